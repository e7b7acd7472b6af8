"""Further activation functions, most composed of other ops, with PyTorch's names, defaults and slopes at the kinks."""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .activation import elu, sigmoid, softplus
from .elementwise import multiply, where
from .shape import either, one_axis, reshape_, split_
from .unary import abs, tanh

__all__ = [
    "celu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "mish", "prelu", "relu6", "selu",
    "softshrink", "softsign", "tanhshrink", "threshold",
]  # fmt: skip

Array = Any

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


# ------------------------------------------------------------------ pieces of straight lines


@primitive(name="hardtanh", elementwise=True, floating=True)
def hardtanh_(x: Array, /, *, low: float, high: float, xp: Any) -> Array:
    """x limited to [low, high]. ∂x = g strictly inside, else 0."""
    return xp.clip(x, low, high)


@primitive(elementwise=True)
def hardtanh_grad(u: Array, x: Array, /, *, low: float, high: float, slope: float = 1.0, xp: Any) -> Array:
    """slope·u where low < x < high, else 0. ∂u alike; ∂x is 0."""
    inside = xp.logical_not(xp.logical_or(x <= low, x >= high))
    return xp.masked(inside, u if slope == 1 else u * slope)


hardtanh_.vjp(x=lambda g, x, low, high: hardtanh_grad(g, x, low=low, high=high, slope=1.0))
hardtanh_grad.vjp(u=lambda g, x, low, high, slope: hardtanh_grad(g, x, low=low, high=high, slope=slope))


def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """x limited to [min_val, max_val]. The slope at the bounds is 0, where `clip` has 1.

    Raises
    ------
    ValueError : min_val > max_val.
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is above max_val {max_val}")
    return hardtanh_(x, low=float(min_val), high=float(max_val))


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6); the slope at 0 and 6 is 0. Krizhevsky 2010."""
    return hardtanh(x, 0.0, 6.0)


@primitive(elementwise=True, floating=True)
def hardsigmoid(x: Array, /, *, xp: Any) -> Array:
    """min(max(x + 3, 0), 6)/6; the slope at −3 and 3 is 0."""
    return xp.clip(x + 3.0, 0.0, 6.0) / 6.0


hardsigmoid.vjp(x=lambda g, x: hardtanh_grad(g, x, low=-3.0, high=3.0, slope=1.0 / 6.0))


@primitive(elementwise=True, floating=True)
def hardswish(x: Array, /, *, xp: Any) -> Array:
    """x·min(max(x + 3, 0), 6)/6; the slope at −3 is 0, at 3 it is 1. Howard et al. 2019, "MobileNetV3"."""
    return x * xp.clip(x + 3.0, 0.0, 6.0) / 6.0


@primitive(elementwise=True)
def hardswish_grad(u: Array, x: Array, /, *, xp: Any) -> Array:
    """Cotangent of hardswish's input x: 0 where x <= −3, u where x >= 3, u·(2x + 3)/6 between.

    ∂u alike; ∂x = g·u/3 where −3 < x < 3, else 0.
    """
    above = x >= 3.0
    between = xp.logical_not(xp.logical_or(x <= -3.0, above))
    return xp.masked(above, u) + xp.masked(between, u * ((x + x + 3.0) / 6.0))


hardswish.vjp(x=lambda g, x: hardswish_grad(g, x))
hardswish_grad.vjp(
    u=lambda g, x: hardswish_grad(g, x),
    x=lambda g, u, x: hardtanh_grad(g * u, x, low=-3.0, high=3.0, slope=1.0 / 3.0),
)


def prelu(x: Array, weight: Array) -> Array:
    """Rectifier with a trained slope: x where x > 0, weight·x elsewhere: also at 0.

    weight: (1,) for all channels together, or (c,) along axis 1.

    He et al. 2015, "Delving deep into rectifiers".
    """
    if weight.size != 1:
        if x.ndim < 2 or x.shape[1] != weight.size:
            raise ValueError(
                f"prelu: the weight has {weight.size} channels, the input of shape {tuple(x.shape)} has them on axis 1"
            )
        weight = reshape_(weight, shape=(weight.size,) + (1,) * (x.ndim - 2))
    elif not x.ndim:
        weight = reshape_(weight, shape=())
    return where(x > 0.0, x, weight * x)


def threshold(x: Array, threshold: float, value: float) -> Array:
    """x where x > threshold, else the value; the slope at the threshold is 0."""
    return where(x <= threshold, value, x)


def softshrink(x: Array, lambd: float = 0.5) -> Array:
    """x − λ where x > λ, x + λ where x < −λ, else 0; the slope at ±λ is 0.

    Raises
    ------
    ValueError : λ is negative.
    """
    if lambd < 0:
        raise ValueError(f"softshrink: lambd must not be negative, not {lambd}")
    return where(x > lambd, x - lambd, where(x < -lambd, x + lambd, x * 0.0))


def hardshrink(x: Array, lambd: float = 0.5) -> Array:
    """x where |x| > λ, else 0; the slope at ±λ is 0."""
    return where((x >= -lambd) & (x <= lambd), 0.0, x)


# ------------------------------------------------------------------ smooth


def selu(x: Array) -> Array:
    """Self-normalising ELU, scale·elu(x, α), scale 1.0507…, α 1.6732…; the slope at 0 is scale·α.

    Klambauer et al. 2017, "Self-normalizing neural networks".
    """
    return SELU_SCALE * elu(x, alpha=SELU_ALPHA)


def celu(x: Array, alpha: float = 1.0) -> Array:
    """max(x, 0) + min(0, α·(e^(x/α) − 1)), whose slope is continuous for every α. Barron 2017.

    Raises
    ------
    ValueError : α is not positive.
    """
    if alpha <= 0:
        raise ValueError(f"celu: alpha must be positive, not {alpha}")
    return alpha * elu(x / alpha, alpha=1.0)


def _mish_parts(xp: Any, x: Array) -> tuple[Any, Array, Array, Array]:
    """x < 0, e^−|x|, and n and d with tanh(softplus(x)) = n/d, which is (e²ˣ + 2eˣ)/(e²ˣ + 2eˣ + 2): no overflow."""
    e, negative = xp.exp(-xp.abs(x)), x < 0
    n = xp.where(negative, e * (e + 2), 1 + 2 * e)
    return negative, e, n, n + xp.where(negative, xp.full_like(x, 2), 2 * e * e)


@primitive(elementwise=True, floating=True)
def mish(x: Array, /, *, xp: Any) -> Array:
    """x·tanh(softplus(x)). ∂x = g·(tanh(softplus(x)) + x·σ(x)·(1 − tanh²(softplus(x)))), as the op `mish_grad`.

    Misra 2019, "Mish: a self-regularized non-monotonic activation function".
    """
    *_, n, d = _mish_parts(xp, x)
    return x * n / d


@primitive(elementwise=True)
def mish_grad(u: Array, x: Array, /, *, xp: Any) -> Array:
    """Cotangent of mish's input x, u·(t + x·s·(1 − t²)) with t = tanh(softplus(x)), s = σ(x). ∂u alike.

    ∂x = g·u·s·(1 − t²)·(2 + x·(1 − s − 2·t·s)).
    """
    negative, e, n, d = _mish_parts(xp, x)
    part = e * (1 + e)
    return u * (n / d + 4 * x * xp.where(negative, part, e * part) / (d * d))


def _mish_curve(g: Array, u: Array, x: Array) -> Array:
    s, t = sigmoid(x), tanh(softplus(x, beta=1.0, threshold=20.0))
    return g * u * s * (1.0 - t * t) * (2.0 + x * (sigmoid(-x) - 2.0 * t * s))


mish.vjp(x=lambda g, x: mish_grad(g, x))
mish_grad.vjp(u=lambda g, x: mish_grad(g, x), x=_mish_curve)


def softsign(x: Array) -> Array:
    """x/(1 + |x|); its second derivative at 0, where it jumps, is 0."""
    return x / (abs(x) + 1.0)


def tanhshrink(x: Array) -> Array:
    """x − tanh x."""
    return x - tanh(x)


def glu(x: Array, axis: int | None = None, *, dim: int | None = None) -> Array:
    """Gated linear unit a·σ(b), with a and b the halves of x along an axis, the last by default.

    Dauphin et al. 2017, "Language modeling with gated convolutional networks".

    Raises
    ------
    ValueError : the axis has odd length.
    """
    a = one_axis(either(axis, dim, -1), x.ndim, "glu")
    if x.shape[a] % 2:
        raise ValueError(f"glu: axis {a} of shape {tuple(x.shape)} must have even length, to be halved")
    half = x.shape[a] // 2
    value, gate = split_(x, sizes=(half, half), axis=a)
    return multiply(value, sigmoid(gate))
