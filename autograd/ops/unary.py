"""Elementwise functions of one array.

Unless its docstring says otherwise, a function takes floating arrays; integers and bools are cast to the default float
dtype first.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

from ..primitive import Primitive, primitive
from .creation import full_like_

__all__ = [
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf", "exp", "exp2", "expm1",
    "floor", "isfinite", "isinf", "isnan", "log", "log1p", "log2", "log10", "reciprocal", "round", "rsqrt", "sign",
    "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc",
]  # fmt: skip

Array = Any


# ------------------------------------------------------------------ powers


@primitive(elementwise=True)
def square(x: Array, /, *, xp: Any) -> Array:
    """Square x², of any numeric dtype. ∂x = 2·g·x."""
    return xp.multiply(x, x)


square.vjp(x=lambda g, x: g * (2.0 * x))


@primitive(elementwise=True, floating=True)
def sqrt(x: Array, /, *, xp: Any) -> Array:
    """Square root √x; NaN below 0. ∂x = g / (2√x).

    At 0 the slope is +∞, as in PyTorch: a cotangent of 0 arriving there gives NaN. `norm` and `std` have a finite
    subgradient of their own at 0; elsewhere add a small constant under the root.
    """
    return xp.sqrt(x)


sqrt.vjp(x=lambda g, out: g * 0.5 / out)


@primitive(elementwise=True, floating=True)
def rsqrt(x: Array, /, *, xp: Any) -> Array:
    """Reciprocal square root 1/√x; +∞ at 0, NaN below. ∂x = −g·x^(−3/2) / 2, which is −∞ at 0."""
    return xp.reciprocal(xp.sqrt(x))


rsqrt.vjp(x=lambda g, out: g * -0.5 * (out * out * out))


@primitive(elementwise=True, floating=True)
def reciprocal(x: Array, /, *, xp: Any) -> Array:
    """Reciprocal 1/x; ±∞ at ±0. ∂x = −g / x²."""
    return xp.reciprocal(x)


reciprocal.vjp(x=lambda g, out: -g * (out * out))


# ------------------------------------------------------------------ exponentials and logarithms


@primitive(elementwise=True, floating=True)
def exp(x: Array, /, *, xp: Any) -> Array:
    """Exponential eˣ. ∂x = g·eˣ."""
    return xp.exp(x)


exp.vjp(x=lambda g, out: g * out)


@primitive(elementwise=True, floating=True)
def exp2(x: Array, /, *, xp: Any) -> Array:
    """Power of two 2ˣ. ∂x = g·2ˣ·log 2."""
    return xp.pow(2.0, x)


exp2.vjp(x=lambda g, out: g * (out * math.log(2)))


@primitive(elementwise=True, floating=True)
def expm1(x: Array, /, *, xp: Any) -> Array:
    """Exponential minus one, eˣ − 1, without cancellation near 0. ∂x = g·eˣ.

    The rule takes the exponential anew: 1 + (eˣ − 1) would lose all digits for very negative x.
    """
    return xp.expm1(x)


expm1.vjp(x=lambda g, x: g * exp(x))


@primitive(elementwise=True, floating=True)
def log(x: Array, /, *, xp: Any) -> Array:
    """Natural logarithm; −∞ at 0, NaN below. ∂x = g / x."""
    return xp.log(x)


log.vjp(x=lambda g, x: g / x)


@primitive(elementwise=True, floating=True)
def log1p(x: Array, /, *, xp: Any) -> Array:
    """Logarithm of one more, log(1 + x), without cancellation near 0. ∂x = g / (1 + x)."""
    return xp.log1p(x)


log1p.vjp(x=lambda g, x: g / (1.0 + x))


@primitive(elementwise=True, floating=True)
def log2(x: Array, /, *, xp: Any) -> Array:
    """Logarithm to base 2. ∂x = g / (x·log 2)."""
    return xp.log2(x)


log2.vjp(x=lambda g, x: g / (x * math.log(2)))


@primitive(elementwise=True, floating=True)
def log10(x: Array, /, *, xp: Any) -> Array:
    """Logarithm to base 10. ∂x = g / (x·log 10)."""
    return xp.log10(x)


log10.vjp(x=lambda g, x: g / (x * math.log(10)))


@primitive(elementwise=True, floating=True)
def erf(x: Array, /, *, xp: Any) -> Array:
    """Error function 2/√π ∫₀ˣ exp(−t²) dt. ∂x = g·2/√π·exp(−x²)."""
    return xp.erf(x)


erf.vjp(x=lambda g, x: g * (2.0 / math.sqrt(math.pi)) * exp(-x * x))


# ------------------------------------------------------------------ trigonometric


@primitive(elementwise=True, floating=True)
def sin(x: Array, /, *, xp: Any) -> Array:
    """Sine of x in radians. ∂x = g·cos x."""
    return xp.sin(x)


@primitive(elementwise=True, floating=True)
def cos(x: Array, /, *, xp: Any) -> Array:
    """Cosine of x in radians. ∂x = −g·sin x."""
    return xp.cos(x)


sin.vjp(x=lambda g, x: g * cos(x))
cos.vjp(x=lambda g, x: -g * sin(x))


@primitive(elementwise=True, floating=True)
def tan(x: Array, /, *, xp: Any) -> Array:
    """Tangent of x in radians. ∂x = g·(1 + tan²x)."""
    return xp.tan(x)


tan.vjp(x=lambda g, out: g * (1.0 + out * out))


@primitive(elementwise=True, floating=True)
def asin(x: Array, /, *, xp: Any) -> Array:
    """Inverse sine, in [−π/2, π/2]; NaN outside [−1, 1]. ∂x = g / √(1 − x²), infinite at ±1."""
    return xp.asin(x)


asin.vjp(x=lambda g, x: g * rsqrt((1.0 - x) * (1.0 + x)))


@primitive(elementwise=True, floating=True)
def acos(x: Array, /, *, xp: Any) -> Array:
    """Inverse cosine, in [0, π]; NaN outside [−1, 1]. ∂x = −g / √(1 − x²), infinite at ±1."""
    return xp.acos(x)


acos.vjp(x=lambda g, x: -g * rsqrt((1.0 - x) * (1.0 + x)))


@primitive(elementwise=True, floating=True)
def atan(x: Array, /, *, xp: Any) -> Array:
    """Inverse tangent, in (−π/2, π/2). ∂x = g / (1 + x²)."""
    return xp.atan(x)


atan.vjp(x=lambda g, x: g / (1.0 + x * x))


# ------------------------------------------------------------------ hyperbolic


@primitive(elementwise=True, floating=True)
def sinh(x: Array, /, *, xp: Any) -> Array:
    """Hyperbolic sine. ∂x = g·cosh x."""
    return xp.sinh(x)


@primitive(elementwise=True, floating=True)
def cosh(x: Array, /, *, xp: Any) -> Array:
    """Hyperbolic cosine. ∂x = g·sinh x."""
    return xp.cosh(x)


sinh.vjp(x=lambda g, x: g * cosh(x))
cosh.vjp(x=lambda g, x: g * sinh(x))


@primitive(elementwise=True, floating=True)
def tanh(x: Array, /, *, xp: Any) -> Array:
    """Hyperbolic tangent. ∂x = g·(1 − tanh²x), as the op `tanh_grad`."""
    return xp.tanh(x)


@primitive(elementwise=True)
def tanh_grad(u: Array, y: Array, /, *, xp: Any) -> Array:
    """Cotangent of tanh's input, u·(1 − y²), from that of its result y. ∂u = g·(1 − y²), ∂y = −2·g·u·y."""
    return u * (1.0 - y * y)


tanh.vjp(x=lambda g, out: tanh_grad(g, out))
tanh_grad.vjp(u=lambda g, y: tanh_grad(g, y), y=lambda g, u, y: g * u * (-2.0 * y))


@primitive(elementwise=True, floating=True)
def asinh(x: Array, /, *, xp: Any) -> Array:
    """Inverse hyperbolic sine. ∂x = g / √(1 + x²)."""
    return xp.asinh(x)


asinh.vjp(x=lambda g, x: g * rsqrt(1.0 + x * x))


@primitive(elementwise=True, floating=True)
def acosh(x: Array, /, *, xp: Any) -> Array:
    """Inverse hyperbolic cosine; NaN below 1. ∂x = g / √(x² − 1), infinite at 1."""
    return xp.acosh(x)


acosh.vjp(x=lambda g, x: g * rsqrt((x - 1.0) * (x + 1.0)))


@primitive(elementwise=True, floating=True)
def atanh(x: Array, /, *, xp: Any) -> Array:
    """Inverse hyperbolic tangent; ±∞ at ±1, NaN outside. ∂x = g / (1 − x²)."""
    return xp.atanh(x)


atanh.vjp(x=lambda g, x: g / ((1.0 - x) * (1.0 + x)))


# ------------------------------------------------------------------ piecewise


@primitive(elementwise=True)
def abs(x: Array, /, *, xp: Any) -> Array:
    """Absolute value |x|, of any numeric dtype. ∂x = g·sign x, which is 0 at 0."""
    return xp.abs(x)


def _no_slope(name: str, doc: str, fn: str) -> Primitive:
    """An elementwise step function: its slope is taken to be 0 everywhere, at the steps too."""

    def step(x: Array, /, *, xp: Any) -> Array:
        return getattr(xp, fn)(x)

    step.__doc__ = f"{doc} Takes any numeric dtype. ∂x = 0 everywhere, at the jumps too."
    step.__name__ = step.__qualname__ = name
    return primitive(elementwise=True)(step).vjp(x=lambda g: full_like_(g, value=0.0))


sign = _no_slope("sign", "Sign: −1, 0 or 1; NaN of NaN.", "sign")
abs.vjp(x=lambda g, x: g * sign(x))

floor = _no_slope("floor", "The largest integer ≤ x.", "floor")
ceil = _no_slope("ceil", "The smallest integer ≥ x.", "ceil")
round_ = _no_slope("round", "The nearest integer; halves to the even one.", "round")
trunc = _no_slope("trunc", "The integer part, rounded towards 0.", "trunc")


def round(x: Any, decimals: int = 0) -> Any:
    """The nearest multiple of 10^−decimals; halves to the even one. ∂x = 0.

    >>> import pullback as pb
    >>> pb.round(pb.tensor([1.26, 2.5]), decimals=1).tolist() == pb.tensor([1.3, 2.5]).tolist()
    True
    """
    if not decimals:
        return round_(x)
    scale = 10.0 ** builtins.abs(decimals)
    return round_(x * scale) / scale if decimals > 0 else round_(x / scale) * scale


def _test(name: str, doc: str) -> Primitive:
    def test(x: Array, /, *, xp: Any) -> Array:
        return getattr(xp, name)(x)

    test.__doc__ = f"Whether x is {doc}, as bools; of any numeric dtype. Not differentiable."
    test.__name__ = test.__qualname__ = name
    return primitive(elementwise=True)(test)


isnan = _test("isnan", "NaN")
isinf = _test("isinf", "+∞ or −∞")
isfinite = _test("isfinite", "neither infinite nor NaN")
