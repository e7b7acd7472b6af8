"""Elementwise functions of one array. All take floating arrays; integers are cast to the default float dtype first."""

from __future__ import annotations

from typing import Any

from ..primitive import primitive

__all__ = ["cos", "exp", "log", "sin", "sqrt", "tanh"]

Array = Any


@primitive(elementwise=True, floating=True)
def exp(x: Array, /, *, xp: Any) -> Array:
    """Exponential eˣ."""
    return xp.exp(x)


exp.vjp(x=lambda g, out: g * out)


@primitive(elementwise=True, floating=True)
def log(x: Array, /, *, xp: Any) -> Array:
    """Natural logarithm; −∞ at 0, NaN below."""
    return xp.log(x)


log.vjp(x=lambda g, x: g / x)


@primitive(elementwise=True, floating=True)
def sqrt(x: Array, /, *, xp: Any) -> Array:
    """Square root; its slope at 0 is +∞, as in PyTorch."""
    return xp.sqrt(x)


sqrt.vjp(x=lambda g, out: g * 0.5 / out)


@primitive(elementwise=True, floating=True)
def sin(x: Array, /, *, xp: Any) -> Array:
    """Sine of x in radians."""
    return xp.sin(x)


@primitive(elementwise=True, floating=True)
def cos(x: Array, /, *, xp: Any) -> Array:
    """Cosine of x in radians."""
    return xp.cos(x)


sin.vjp(x=lambda g, x: g * cos(x))
cos.vjp(x=lambda g, x: -g * sin(x))


@primitive(elementwise=True, floating=True)
def tanh(x: Array, /, *, xp: Any) -> Array:
    """Hyperbolic tangent."""
    return xp.tanh(x)


tanh.vjp(x=lambda g, out: g * (1.0 - out * out))
