"""Dropout layers: noise in training, nothing in evaluation. Srivastava et al. 2014."""

from __future__ import annotations

from ...autograd.tensor import Tensor
from .. import functional as F
from ..arguments import probability
from ..module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = probability(type(self).__name__, "p", p)
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training each element is zero with probability p, and the others are divided by 1 − p."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        return F.dropout(input, self.p, self.training)


class Dropout2d(_Dropout):
    """In training each channel of each image is zero with probability p, and the others are divided by 1 − p."""

    def forward(self, input: Tensor) -> Tensor:
        """(n, c, h, w) -> the same shape."""
        return F.dropout2d(input, self.p, self.training)
