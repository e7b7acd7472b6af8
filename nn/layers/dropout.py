"""Dropout layers: noise in training, nothing in evaluation. Srivastava et al. 2014."""

from __future__ import annotations

from collections.abc import Callable

from ...autograd.tensor import Tensor
from .. import functional as F
from ..arguments import probability
from ..module import Module


class _Dropout(Module):
    function: Callable[..., Tensor]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = probability(type(self).__name__, "p", p)
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input's shape."""
        function = type(self).function
        return function(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training each element is zero with probability p, and the others are divided by 1 − p. Any shape."""

    function = F.dropout


class Dropout1d(_Dropout):
    """In training each channel of (n, c, l) is zero with probability p, and the others are divided by 1 − p."""

    function = F.dropout1d


class Dropout2d(_Dropout):
    """In training each channel of each image is zero with probability p, and the others are divided by 1 − p."""

    function = F.dropout2d


class Dropout3d(_Dropout):
    """In training each channel of (n, c, d, h, w) is zero with probability p, and the others are divided by 1 − p."""

    function = F.dropout3d


class AlphaDropout(_Dropout):
    """Dropout for SELU networks, which keeps mean 0 and variance 1: `functional.alpha_dropout`."""

    function = F.alpha_dropout


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels. (n, c, …) -> the same shape."""

    function = F.feature_alpha_dropout
