"""Activation layers. The function of the same name in `nn.functional` has the formula."""

from __future__ import annotations

from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from ..arguments import choice, whole
from ..module import Module
from ..parameters import parameter


class _Inplace(Module):
    """Takes PyTorch's `inplace`, which has no effect: tensors are immutable."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_Inplace):
    """max(x, 0)."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.relu(input)


class LeakyReLU(_Inplace):
    """Leaky rectifier: x where x > 0, negative_slope·x elsewhere."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """Rectifier with a trained slope: x where x > 0, weight·x elsewhere.

    The weight is one number, or one a channel (axis 1).
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = None, backend: Any = None) -> None:
        self.num_parameters = whole("PReLU", "num_parameters", num_parameters)
        self.weight = parameter(num_parameters, value=init, dtype=dtype, backend=backend)

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(_Inplace):
    """Exponential linear unit: x where x > 0, alpha·(eˣ − 1) elsewhere."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class SELU(_Inplace):
    """The self-normalising ELU."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.selu(input)


class GELU(Module):
    """x·Φ(x), exactly or by its tanh form."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = choice("GELU", "approximate", approximate, ("none", "tanh"))

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_Inplace):
    """x·sigmoid(x)."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.silu(input)


class Mish(_Inplace):
    """x·tanh(softplus(x))."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.mish(input)


class Sigmoid(Module):
    """1/(1 + e⁻ˣ)."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.sigmoid(input)


class LogSigmoid(Module):
    """Logarithm of sigmoid(x)."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.logsigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.tanh(input)


class Softplus(Module):
    """log(1 + e^(beta·x))/beta; x itself where beta·x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """x/(1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it elementwise."""
        return F.softsign(input)


class _AlongAxis(Module):
    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongAxis):
    """e^xᵢ / Σⱼ e^xⱼ along the axis `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it along the axis."""
        return F.softmax(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels at each pixel: e^xᵢ / Σⱼ e^xⱼ along axis −3. (n, c, h, w) or (c, h, w)."""

    def forward(self, input: Tensor) -> Tensor:
        """The input's shape."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d takes (n, c, h, w) or (c, h, w), not {input.shape}")
        return F.softmax(input, -3)


class Softmin(_AlongAxis):
    """softmax(−x) along the axis `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it along the axis."""
        return F.softmin(input, self.dim)


class LogSoftmax(_AlongAxis):
    """Logarithm of softmax(x) along the axis `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it along the axis."""
        return F.log_softmax(input, self.dim)
