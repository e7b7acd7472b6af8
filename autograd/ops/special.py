"""Special functions and other elementwise functions that statistics and losses are made of.

Unless its docstring says otherwise, a function takes floating arrays; integers are cast to the default float dtype.
"""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .elementwise import clip, less, subtract, where
from .unary import exp, isfinite, log, log1p, sign, trunc

__all__ = [
    "copysign", "digamma", "erfc", "erfinv", "frac", "lerp", "lgamma", "logit", "nan_to_num", "polygamma", "signbit",
]  # fmt: skip

Array = Any

_SQRT_PI = math.sqrt(math.pi)


# ------------------------------------------------------------------ error functions


@primitive(elementwise=True, floating=True)
def erfc(x: Array, /, *, xp: Any) -> Array:
    """Complementary error function 1 − erf(x), without cancellation for large x. ∂x = −g·2/√π·exp(−x²)."""
    return xp.erfc(x)


erfc.vjp(x=lambda g, x: g * (-2.0 / _SQRT_PI) * exp(-x * x))


@primitive(elementwise=True, floating=True)
def erfinv(x: Array, /, *, xp: Any) -> Array:
    """Inverse of erf; ±∞ at ±1, NaN outside [−1, 1]. ∂x = g·√π/2·exp(out²), infinite at ±1."""
    return xp.erfinv(x)


erfinv.vjp(x=lambda g, out: g * (_SQRT_PI / 2.0) * exp(out * out))


# ------------------------------------------------------------------ gamma functions


@primitive(elementwise=True, floating=True)
def lgamma(x: Array, /, *, xp: Any) -> Array:
    """log |Γ(x)|; +∞ at the poles 0, −1, −2, …. ∂x = g·ψ(x), with ψ the digamma function."""
    return xp.lgamma(x)


@primitive(name="polygamma", elementwise=True, floating=True)
def polygamma_(x: Array, /, *, n: int, xp: Any) -> Array:
    """The n-th derivative ψₙ of the digamma function ψ = (log Γ)′. ∂x = g·ψₙ₊₁(x)."""
    return xp.polygamma(x, n)


lgamma.vjp(x=lambda g, x: g * polygamma_(x, n=0))
polygamma_.vjp(x=lambda g, x, n: g * polygamma_(x, n=n + 1))


def digamma(x: Any) -> Any:
    """ψ(x) = d/dx log Γ(x), by the op `polygamma`; not finite at its poles 0, −1, −2, …. ∂x = g·ψ₁(x).

    >>> import pullback as pb
    >>> round(pb.digamma(pb.Tensor(1.0)).item(), 4)
    -0.5772
    """
    return polygamma_(x, n=0)


def polygamma(n: int, x: Any) -> Any:
    """The n-th derivative ψₙ of the digamma function, n ≥ 0, in PyTorch's order of arguments. ∂x = g·ψₙ₊₁(x).

    Raises
    ------
    ValueError : n is negative.
    """
    if n < 0:
        raise ValueError(f"polygamma: the order n must not be negative, not {n}")
    return polygamma_(x, n=n)


# ------------------------------------------------------------------ compositions


def logit(x: Any, eps: float | None = None) -> Any:
    """log(x/(1 − x)), the inverse of the sigmoid; ∓∞ at 0 and 1, NaN outside. ∂x = g/(x·(1 − x)).

    With `eps`, x is first limited to [eps, 1 − eps], outside of which the slope is 0.
    """
    if eps is not None:
        x = clip(x, eps, 1.0 - eps)
    return log(x) - log1p(-x)


def lerp(start: Any, end: Any, weight: Any) -> Any:
    """Linear interpolation start + weight·(end − start), broadcasting; exact at weight 0 and 1.

    ∂start = g·(1 − weight), ∂end = g·weight, ∂weight = g·(end − start).
    """
    span = subtract(end, start)
    if isinstance(weight, int | float):
        return start + weight * span if abs(weight) < 0.5 else end - span * (1.0 - weight)
    near = less(weight * sign(weight), 0.5)
    return where(near, start + weight * span, end - span * (1.0 - weight))


def frac(x: Any) -> Any:
    """The part of x after the point, x − trunc(x), with the sign of x. ∂x = g, at the jumps too."""
    return x - trunc(x)


# ------------------------------------------------------------------ signs and special values


@primitive(elementwise=True)
def nan_to_num(
    x: Array, /, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None, xp: Any
) -> Array:
    """NaN, +∞ and −∞ replaced by numbers; by default 0 and the largest and smallest of the dtype.

    ∂x = g where x is finite, else 0.
    """
    if not xp.isdtype(x.dtype, "real floating"):
        return x
    limit = float(xp.finfo(x.dtype).max)
    x = xp.where(xp.isnan(x), nan, x)
    x = xp.where(x == math.inf, limit if posinf is None else posinf, x)
    return xp.where(x == -math.inf, -limit if neginf is None else neginf, x)


nan_to_num.vjp(x=lambda g, x: where(isfinite(x), g, 0.0))


@primitive(elementwise=True, floating=True)
def signbit(x: Array, /, *, xp: Any) -> Array:
    """Whether the sign bit is set, as bools: true of −0 as well. Not differentiable."""
    return xp.signbit(x)


@primitive(elementwise=True, floating=True)
def copysign(x: Array, y: Array, /, *, xp: Any) -> Array:
    """The magnitude of x with the sign of y. ∂x = g where the signs agree, −g where not, 0 at x = 0; ∂y is 0."""
    if isinstance(x, int | float):
        x = xp.asarray(x, dtype=y.dtype)
    elif isinstance(y, int | float):
        y = xp.asarray(y, dtype=x.dtype)
    return xp.copysign(x, y)


copysign.vjp(x=lambda g, x, out: g * (sign(x) * sign(out)))
