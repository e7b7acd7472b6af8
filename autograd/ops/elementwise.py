"""Arithmetic and comparison, elementwise and broadcasting: (…), (…) -> broadcast shape."""

from __future__ import annotations

import math
from typing import Any

from ..primitive import Primitive, primitive
from .unary import log

__all__ = [
    "add", "subtract", "multiply", "divide", "negative", "power", "maximum", "minimum", "where", "astype", "identity",
    "bitwise_and", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
]  # fmt: skip

Array = Any


@primitive(elementwise=True)
def add(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Sum x + y."""
    return xp.add(x, y)


add.vjp(x=lambda g: g, y=lambda g: g)


@primitive(elementwise=True)
def subtract(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Difference x − y."""
    return xp.subtract(x, y)


subtract.vjp(x=lambda g: g, y=lambda g: -g)


@primitive(elementwise=True)
def multiply(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Product x·y."""
    return xp.multiply(x, y)


multiply.vjp(x=lambda g, y: g * y, y=lambda g, x: g * x)


@primitive(elementwise=True, floating=True)
def divide(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Quotient x/y; integers are divided as floats."""
    return xp.divide(x, y)


divide.vjp(x=lambda g, y: g / y, y=lambda g, out, y: -g * out / y)


@primitive(elementwise=True)
def negative(x: Array, /, *, xp: Any) -> Array:
    """Negation −x."""
    return xp.negative(x)


negative.vjp(x=lambda g: -g)


@primitive(elementwise=True)
def power(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Power x^y.

    ∂x = g·y·x^(y−1), taken as 0 where y = 0. ∂y = g·x^y·log x, taken as 0 where x = 0 and y ≥ 0; NaN for x < 0, where
    x^y is real for integer y alone.
    """
    return xp.pow(x, y)


def _power_dx(g: Array, x: Array, y: Array) -> Array:
    if isinstance(y, int | float):
        if y == 0:
            return g * 0.0
        return g if y == 1 else g * (y * x if y == 2 else y * x ** (y - 1))
    zero = y == 0
    return where(zero, 0.0, g * y * power(x, where(zero, 1.0, y - 1.0)))


def _power_dy(g: Array, x: Array, y: Array, out: Array) -> Array:
    if isinstance(x, int | float):
        slope = math.log(x) if x > 0 else math.nan
        return g * out * slope if x != 0 else where(y >= 0.0, 0.0, g * out * -math.inf)
    zero = (x == 0.0) & (y >= 0.0)
    return where(zero, 0.0, g * out * log(where(zero, 1.0, x)))


power.vjp(x=_power_dx, y=_power_dy)


@primitive(elementwise=True)
def maximum(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Larger of x and y; NaN if either is. At a tie each input gets half of the cotangent."""
    return xp.maximum(x, y)


maximum.vjp(
    x=lambda g, x, y: where(x == y, 0.5 * g, where(x < y, 0.0, g)),
    y=lambda g, x, y: where(x == y, 0.5 * g, where(y < x, 0.0, g)),
)


@primitive(elementwise=True)
def minimum(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Smaller of x and y; NaN if either is. At a tie each input gets half of the cotangent."""
    return xp.minimum(x, y)


minimum.vjp(
    x=lambda g, x, y: where(x == y, 0.5 * g, where(x > y, 0.0, g)),
    y=lambda g, x, y: where(x == y, 0.5 * g, where(y > x, 0.0, g)),
)


@primitive(elementwise=True, promote=("x", "y"))
def where(condition: Array, x: Array, y: Array, /, *, xp: Any) -> Array:
    """x where the (bool) condition holds, else y."""
    return xp.where(condition, x, y)


where.vjp(
    x=lambda g, condition: where(condition, g, 0.0),
    y=lambda g, condition: where(condition, 0.0, g),
)


@primitive
def astype(x: Array, /, *, dtype: str, xp: Any) -> Array:
    """x converted to the dtype of that name. The cotangent is converted back; integers and bools have none."""
    return xp.astype(x, getattr(xp, dtype))


astype.vjp(x=lambda g, x_dtype: astype(g, dtype=x_dtype))


def _comparison(name: str, symbol: str) -> Primitive:
    def compare(x: Array, y: Array, /, *, xp: Any) -> Array:
        return getattr(xp, name)(x, y)

    compare.__doc__ = f"Whether x {symbol} y, as bools. Not differentiable."
    return primitive(name=name, elementwise=True)(compare)


equal = _comparison("equal", "=")
not_equal = _comparison("not_equal", "≠")
less = _comparison("less", "<")
less_equal = _comparison("less_equal", "≤")
greater = _comparison("greater", ">")
greater_equal = _comparison("greater_equal", "≥")


@primitive(elementwise=True)
def bitwise_and(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Bitwise and of integers, logical and of bools. Not differentiable."""
    return xp.bitwise_and(x, y)


@primitive
def identity(x: Array, /, *, xp: Any) -> Array:
    """x itself, as a new node of the graph."""
    return x


identity.vjp(x=lambda g: g)
