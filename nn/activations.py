"""Activation functions with PyTorch's signatures. `inplace` is accepted and has no effect: tensors are immutable."""

from __future__ import annotations

from typing import Any

from ..autograd import ops
from ..autograd.tensor import Tensor

__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_softmax",
    "logsigmoid", "mish", "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softmin", "softplus",
    "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); its derivative at 0 is 0."""
    return ops.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Leaky rectifier: x where x > 0, negative_slope·x elsewhere. Maas et al. 2013."""
    return ops.leaky_relu(input, negative_slope=negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Rectifier with a trained slope: x where x > 0, weight·x elsewhere.

    weight: (1,) for all channels together, or (c,) along axis 1.

    He et al. 2015, "Delving Deep into Rectifiers".
    """
    return ops.prelu(input, weight)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Exponential linear unit: x where x > 0, alpha·(eˣ − 1) elsewhere. Clevert et al. 2016."""
    return ops.elu(input, alpha=alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale·elu(x, alpha) with scale 1.0507… and alpha 1.6732…. Klambauer et al. 2017, "Self-Normalizing Networks"."""
    return ops.selu(input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x·Φ(x) with the normal distribution function Φ, exactly ("none") or by its tanh form. Hendrycks & Gimpel 2016."""
    return ops.gelu(input, approximate=approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x·sigmoid(x), also called swish."""
    return ops.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x·tanh(softplus(x)). Misra 2019."""
    return ops.mish(input)


def sigmoid(input: Tensor) -> Tensor:
    """1/(1 + e⁻ˣ)."""
    return ops.sigmoid(input)


def logsigmoid(input: Tensor) -> Tensor:
    """Logarithm of sigmoid(x), without overflow."""
    return ops.log_sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return ops.tanh(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta·x))/beta; x itself where beta·x > threshold."""
    return ops.softplus(input, beta=float(beta), threshold=float(threshold))


def softsign(input: Tensor) -> Tensor:
    """x/(1 + |x|)."""
    return ops.softsign(input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(x, 0) + min(0, alpha·(e^(x/alpha) − 1)). Barron 2017."""
    return ops.celu(input, alpha)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]; the slope at the bounds is 0."""
    return ops.hardtanh(input, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6); the slope at 0 and 6 is 0."""
    return ops.relu6(input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x + 3, 0), 6)/6."""
    return ops.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x·min(max(x + 3, 0), 6)/6. Howard et al. 2019."""
    return ops.hardswish(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else the value."""
    return ops.threshold(input, threshold, value)


def tanhshrink(input: Tensor) -> Tensor:
    """x − tanh x."""
    return ops.tanhshrink(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x − λ where x > λ, x + λ where x < −λ, else 0."""
    return ops.softshrink(input, lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > λ, else 0."""
    return ops.hardshrink(input, lambd)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a·σ(b), with a and b the halves of x along the axis `dim`. Dauphin et al. 2017."""
    return ops.glu(input, dim)


def _axis(name: str, dim: int | None) -> int:
    if dim is None:
        raise TypeError(f"{name} needs the axis that holds the classes: pass dim=1, or dim=-1 for the last one")
    return dim


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """e^xᵢ / Σⱼ e^xⱼ along the axis `dim`; converted to `dtype` first where one is given."""
    return ops.softmax(input, _axis("softmax", dim), dtype)


def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """softmax(−x) along the axis `dim`."""
    return softmax(-input, _axis("softmin", dim), dtype)


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Logarithm of softmax(x) along the axis `dim`, without overflow."""
    return ops.log_softmax(input, _axis("log_softmax", dim), dtype)
