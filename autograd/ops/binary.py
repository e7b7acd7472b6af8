"""Special functions of two floating arrays, elementwise and broadcasting; integers become the default float dtype."""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .activation import sigmoid
from .elementwise import where
from .unary import log

__all__ = ["atan2", "hypot", "logaddexp", "xlogy"]

Array = Any


@primitive(elementwise=True, floating=True)
def atan2(y: Array, x: Array, /, *, xp: Any) -> Array:
    """Angle of the point (x, y), in [−π, π]. ∂y = g·x/(x² + y²), ∂x = −g·y/(x² + y²); both 0 at the origin."""
    return xp.atan2(*_arrays(xp, y, x))


def _atan2_slope(g: Array, y: Array, x: Array) -> Array:
    square = x * x + y * y
    origin = square == 0.0
    return where(origin, 0.0, g / where(origin, 1.0, square))


atan2.vjp(y=lambda g, y, x: _atan2_slope(g, y, x) * x, x=lambda g, y, x: -_atan2_slope(g, y, x) * y)


@primitive(elementwise=True, floating=True)
def hypot(x: Array, y: Array, /, *, xp: Any) -> Array:
    """√(x² + y²) without overflow. ∂x = g·x/out, ∂y = g·y/out; both 0 at the origin."""
    return xp.hypot(*_arrays(xp, x, y))


def _hypot_slope(g: Array, out: Array) -> Array:
    origin = out == 0.0
    return where(origin, 0.0, g / where(origin, 1.0, out))


hypot.vjp(x=lambda g, x, out: _hypot_slope(g, out) * x, y=lambda g, y, out: _hypot_slope(g, out) * y)


@primitive(elementwise=True, floating=True)
def logaddexp(x: Array, y: Array, /, *, xp: Any) -> Array:
    """log(eˣ + e^y) without overflow; −∞ only where both are.

    ∂x = g·σ(x − y), ∂y = g·σ(y − x), with σ the sigmoid; half each where both are −∞.
    """
    return xp.logaddexp(*_arrays(xp, x, y))


def _share(g: Array, x: Array, y: Array, out: Array) -> Array:
    return g * sigmoid(where(out == -math.inf, 0.0, x - y))


logaddexp.vjp(x=_share, y=lambda g, x, y, out: _share(g, y, x, out))


@primitive(elementwise=True, floating=True)
def xlogy(x: Array, y: Array, /, *, xp: Any) -> Array:
    """x·log y, and 0 where x = 0 (even if y ≤ 0), so that 0·log 0 = 0. NaN where y is.

    ∂x = g·log y, taken as 0 where x = 0 and y ≤ 0. ∂y = g·x/y, and 0 where x = y = 0.
    """
    x, y = _arrays(xp, x, y)
    zero = (x == 0) & ~xp.isnan(y)
    return x * xp.log(xp.where(zero, 1.0, y))


def _xlogy_dx(g: Array, x: Array, y: Array) -> Array:
    trap = (x == 0.0) & (y <= 0.0)
    return where(trap, 0.0, g * log(where(trap, 1.0, y)))


def _xlogy_dy(g: Array, x: Array, y: Array) -> Array:
    trap = (x == 0.0) & (y == 0.0)
    return where(trap, 0.0, g * x / where(trap, 1.0, y))


xlogy.vjp(x=_xlogy_dx, y=_xlogy_dy)


def _arrays(xp: Any, x: Array, y: Array) -> tuple[Array, Array]:
    """Both as arrays: one of them may be a Python number, which not every function of the standard takes."""
    if isinstance(x, int | float):
        return xp.asarray(x, dtype=y.dtype), y
    if isinstance(y, int | float):
        return x, xp.asarray(y, dtype=x.dtype)
    return x, y
