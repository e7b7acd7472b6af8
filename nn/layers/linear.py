"""Dense layers and shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from .. import init
from ..arguments import whole
from ..module import Module
from ..parameters import parameter


class Identity(Module):
    """Returns its input; arguments of the constructor are ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """The input itself."""
        return input


class Linear(Module):
    """Affine map x·Wᵀ + b of the last axis: (…, in_features) -> (…, out_features).

    Parameters
    ----------
    in_features, out_features : sizes of the last axis before and after.
    bias : whether there is a b.
    dtype, backend : of the parameters; float32 on the current backend by default.

    Attributes
    ----------
    weight : (out_features, in_features), drawn from U(−1/√in_features, 1/√in_features), as in PyTorch.
    bias : (out_features,), drawn from the same distribution; or None.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = None, backend: Any = None
    ) -> None:
        self.in_features = whole("Linear", "in_features", in_features)
        self.out_features = whole("Linear", "out_features", out_features)
        self.weight = parameter(out_features, in_features, dtype=dtype, backend=backend)
        self.bias = parameter(out_features, dtype=dtype, backend=backend) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """(…, in_features) -> (…, out_features)."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Axes start_dim … end_dim as one; by default everything but the batch axis."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """(n, a, b, …) -> (n, a·b·…)."""
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """The axis `dim` as several axes of the sizes `unflattened_size`, one of which may be −1."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """(…, a·b, …) -> (…, a, b, …)."""
        return F.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Bilinear(Module):
    """Bilinear map x₁ᵀ·A·x₂ + b for each output: (…, in1_features), (…, in2_features) -> (…, out_features).

    Attributes
    ----------
    weight : (out_features, in1_features, in2_features), drawn from U(−1/√in1_features, 1/√in1_features).
    bias : (out_features,), drawn from the same distribution; or None.
    """

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, *, dtype: Any = None,
        backend: Any = None,
    ) -> None:  # fmt: skip
        self.in1_features = whole("Bilinear", "in1_features", in1_features)
        self.in2_features = whole("Bilinear", "in2_features", in2_features)
        self.out_features = whole("Bilinear", "out_features", out_features)
        self.weight = parameter(out_features, in1_features, in2_features, dtype=dtype, backend=backend)
        self.bias = parameter(out_features, dtype=dtype, backend=backend) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """(…, in1_features), (…, in2_features) -> (…, out_features)."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
