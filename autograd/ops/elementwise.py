"""Arithmetic, comparison and choice, elementwise and broadcasting: (…), (…) -> broadcast shape."""

from __future__ import annotations

import math
from typing import Any

from ..primitive import Primitive, primitive
from .unary import log

__all__ = [
    "add", "astype", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "clamp", "clip", "divide", "equal", "floor_divide", "fmod", "greater",
    "greater_equal", "less", "less_equal", "logical_and", "logical_not", "logical_or",
    "logical_xor", "maximum", "minimum", "multiply", "negative", "not_equal", "pow", "power", "remainder", "subtract",
    "where",
]  # fmt: skip

Array = Any


# ------------------------------------------------------------------ arithmetic


@primitive(elementwise=True)
def add(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Sum x + y. ∂x = g, ∂y = g."""
    return xp.add(x, y)


add.vjp(x=lambda g: g, y=lambda g: g)


@primitive(elementwise=True)
def subtract(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Difference x − y. ∂x = g, ∂y = −g."""
    return xp.subtract(x, y)


subtract.vjp(x=lambda g: g, y=lambda g: -g)


@primitive(elementwise=True)
def multiply(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Product x·y. ∂x = g·y, ∂y = g·x."""
    return xp.multiply(x, y)


multiply.vjp(x=lambda g, y: g * y, y=lambda g, x: g * x)


@primitive(elementwise=True, floating=True)
def divide(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Quotient x/y; integers are divided as floats. ∂x = g/y, ∂y = −g·x/y²."""
    return xp.divide(x, y)


@primitive(elementwise=True)
def divide_grad(u: Array, q: Array, y: Array, /, *, xp: Any) -> Array:
    """Cotangent −u·q/y of a quotient's divisor y, from the quotient q and its cotangent u. Its rules are this op."""
    return -(u * q) / y


divide.vjp(x=lambda g, y: g / y, y=lambda g, out, y: divide_grad(g, out, y))
divide_grad.vjp(
    u=lambda g, q, y: divide_grad(g, q, y),
    q=lambda g, u, y: divide_grad(g, u, y),
    y=lambda g, out, y: divide_grad(g, out, y),
)


@primitive(elementwise=True)
def floor_divide(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Quotient rounded down, ⌊x/y⌋, as Python's //. Not differentiable: its slope is 0 between the jumps."""
    return xp.floor_divide(x, y)


@primitive(elementwise=True)
def remainder(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Remainder x − ⌊x/y⌋·y with the sign of y, as Python's %. ∂x = g, ∂y = −g·⌊x/y⌋, at the jumps too."""
    return xp.remainder(x, y)


remainder.vjp(x=lambda g: g, y=lambda g, x, y: -g * floor_divide(x, y))


@primitive(elementwise=True)
def fmod(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Remainder x − trunc(x/y)·y with the sign of x, as C's fmod. ∂x = g, ∂y = −g·trunc(x/y), at the jumps too."""
    return xp.sign(x) * xp.remainder(_abs(xp, x), _abs(xp, y))


def _abs(xp: Any, x: Array) -> Array:
    return abs(x) if isinstance(x, int | float) else xp.abs(x)


fmod.vjp(x=lambda g: g, y=lambda g, x, y, out: -g * ((x - out) / y))


@primitive(elementwise=True)
def negative(x: Array, /, *, xp: Any) -> Array:
    """Negation −x. ∂x = −g."""
    return xp.negative(x)


negative.vjp(x=lambda g: -g)


@primitive(elementwise=True)
def power(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Power x^y.

    ∂x = g·y·x^(y−1), which is 0 at x = y = 0. ∂y = g·x^y·log x, taken as 0 where x = 0 and y ≥ 0; NaN for x < 0, where
    x^y is real for integer y alone. An exponent that is a Python number has no gradient and is the cheaper form.

    Raises
    ------
    ValueError : integers to a negative integer power; convert the base with `.float()`.
    """
    return xp.pow(x, y)


def _power_dx(g: Array, x: Array, y: Array) -> Array:
    if isinstance(y, int | float):
        if y == 0:
            return g * 0.0
        return g if y == 1 else power_grad(g, x, y=y)
    # At y = 0 the slope is 0, but for x near 0 the formula says 0·∞. Masking only there keeps ∂²/∂x∂y = 1/x elsewhere.
    trap = (y == 0.0) & (x * x == 0.0)
    return where(trap, 0.0, g * y * power(x, where(trap, 1.0, y - 1.0)))


@primitive(elementwise=True)
def power_grad(u: Array, x: Array, /, *, y: float, xp: Any) -> Array:
    """Cotangent u·y·x^(y−1) of the base x of a power with a number as exponent. ∂u alike; ∂x = g·u·y·(y−1)·x^(y−2)."""
    return u * (x * 2 if y == 2 else y * xp.pow(x, y - 1))


power_grad.vjp(
    u=lambda g, x, y: power_grad(g, x, y=y),
    x=lambda g, u, x, y: _power_dx(multiply(multiply(g, u), y), x, y - 1),
)


def _power_dy(g: Array, x: Array, y: Array, out: Array) -> Array:
    if isinstance(x, int | float):
        slope = math.log(x) if x > 0 else math.nan
        return g * out * slope if x != 0 else where(y >= 0.0, 0.0, g * out * -math.inf)
    zero = (x == 0.0) & (y >= 0.0)
    return where(zero, 0.0, g * out * log(where(zero, 1.0, x)))


power.vjp(x=_power_dx, y=_power_dy)
pow = power


# ------------------------------------------------------------------ choice


@primitive(elementwise=True)
def maximum(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Larger of x and y; NaN if either is. The larger one gets the cotangent; at a tie each gets half of it."""
    return xp.maximum(x, y)


@primitive(elementwise=True)
def minimum(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Smaller of x and y; NaN if either is. The smaller one gets the cotangent; at a tie each gets half of it."""
    return xp.minimum(x, y)


@primitive(elementwise=True, promote=("x", "y"))
def where(condition: Array, x: Array, y: Array, /, *, xp: Any) -> Array:
    """Choice: x where the (bool) condition holds, else y. Each gets the cotangent where it was chosen, and 0 elsewhere.

    A NaN in the values not chosen does no harm. A NaN in their *slope* does: where(x > 0, log(x), 0) has the gradient
    0·(1/0) = NaN at x = 0, because the rule of log multiplies the 0 it is handed. Guard the argument too:

    >>> import pullback as pb
    >>> x = pb.Tensor([0.0, 2.0], requires_grad=True)
    >>> safe = pb.where(x > 0, x, 1.0)
    >>> pb.where(x > 0, pb.log(safe), 0.0).sum().backward()
    >>> x.grad.numpy()
    array([0. , 0.5], dtype=float32)
    """
    return xp.where(condition, x, y)


where.vjp(
    x=lambda g, condition: where(condition, g, 0.0),
    y=lambda g, condition: where(condition, 0.0, g),
)


@primitive(elementwise=True)
def larger_share(u: Array, x: Array, y: Array, /, *, xp: Any) -> Array:
    """The share of a cotangent u that the larger of x and y gives x: 0 where x < y, u/2 where they are equal, else u.

    ∂u alike; ∂x and ∂y are 0.
    """
    less, tie = x < y, x == y
    return xp.masked(xp.logical_not(xp.logical_or(less, tie)), u) + xp.masked(tie, 0.5 * u)


larger_share.vjp(u=lambda g, x, y: larger_share(g, x, y))
maximum.vjp(x=lambda g, x, y: larger_share(g, x, y), y=lambda g, x, y: larger_share(g, y, x))
minimum.vjp(x=lambda g, x, y: larger_share(g, y, x), y=lambda g, x, y: larger_share(g, x, y))


@primitive(name="clip")
def clip_(x: Array, /, *, min: float | None = None, max: float | None = None, xp: Any) -> Array:
    """The values limited to [min, max], Python numbers of x's dtype. ∂x = g inside and at the bounds, 0 outside."""
    return xp.clip(x, min, max)


def _clip_dx(g: Array, x: Array, min: float | None, max: float | None) -> Array:
    if min is None:
        return where(x <= max, g, 0.0)
    return where(x >= min if max is None else (x >= min) & (x <= max), g, 0.0)


clip_.vjp(x=_clip_dx)


@primitive(elementwise=True)
def clip_min(x: Array, low: Array, /, *, xp: Any) -> Array:
    """Larger of x and a lower bound. As `maximum`, but at a tie x gets all of the cotangent."""
    return xp.maximum(x, low)


@primitive(elementwise=True)
def clip_max(x: Array, high: Array, /, *, xp: Any) -> Array:
    """Smaller of x and an upper bound. As `minimum`, but at a tie x gets all of the cotangent."""
    return xp.minimum(x, high)


clip_min.vjp(x=lambda g, x, low: where(x < low, 0.0, g), low=lambda g, x, low: where(x < low, g, 0.0))
clip_max.vjp(x=lambda g, x, high: where(x > high, 0.0, g), high=lambda g, x, high: where(x > high, g, 0.0))


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """The values limited to [min, max]; max where min > max.

    Parameters
    ----------
    x : Tensor or array of any real dtype.
    min, max : None (no bound), a number, or a Tensor that broadcasts against x.

    The cotangent goes to x inside the bounds and *at* them, and to the bound elsewhere, if it is a Tensor.

    >>> import pullback as pb
    >>> pb.clip(pb.Tensor([-1.0, 0.5, 3.0]), 0.0, 1.0).numpy()
    array([0. , 0.5, 1. ], dtype=float32)

    Raises
    ------
    ValueError : both bounds are None.
    """
    if min is None and max is None:
        raise ValueError("clip needs a bound: min, max, or both")
    plain = all(bound is None or isinstance(bound, int | float) for bound in (min, max))
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    if plain and (kind == "f" or (kind in ("i", "u") and not any(isinstance(bound, float) for bound in (min, max)))):
        return clip_(x, min=min, max=max)
    x = x if min is None else clip_min(x, min)
    return x if max is None else clip_max(x, max)


clamp = clip


@primitive
def astype(x: Array, /, *, dtype: str, xp: Any) -> Array:
    """The values converted to the dtype of that name. The cotangent is converted back; integers and bools have none."""
    return xp.astype(x, getattr(xp, dtype))


astype.vjp(x=lambda g, x_dtype: astype(g, dtype=x_dtype))


# ------------------------------------------------------------------ comparison, logic, bits


def _undifferentiable(name: str, doc: str, forward: Any) -> Primitive:
    forward.__name__ = forward.__qualname__ = name
    forward.__doc__ = f"{doc} Not differentiable."
    return primitive(elementwise=True)(forward)


def _standard(name: str, doc: str) -> Primitive:
    """A function of two arrays that the array standard has, as an op without a rule."""

    def forward(x: Array, y: Array, /, *, xp: Any) -> Array:
        return getattr(xp, name)(x, y)

    return _undifferentiable(name, doc, forward)


equal = _standard("equal", "Whether x = y, as bools.")
not_equal = _standard("not_equal", "Whether x ≠ y, as bools.")
less = _standard("less", "Whether x < y, as bools.")
less_equal = _standard("less_equal", "Whether x ≤ y, as bools.")
greater = _standard("greater", "Whether x > y, as bools.")
greater_equal = _standard("greater_equal", "Whether x ≥ y, as bools.")
bitwise_and = _standard("bitwise_and", "Bitwise and of integers, logical and of bools.")
bitwise_or = _standard("bitwise_or", "Bitwise or of integers, logical or of bools.")
bitwise_xor = _standard("bitwise_xor", "Bitwise exclusive or of integers, logical exclusive or of bools.")
bitwise_left_shift = _standard("bitwise_left_shift", "Integers x·2^y, by shifting bits.")
bitwise_right_shift = _standard("bitwise_right_shift", "Integers ⌊x/2^y⌋, by shifting bits.")


def _logical(name: str, doc: str) -> Primitive:
    def forward(x: Array, y: Array, /, *, xp: Any) -> Array:
        return getattr(xp, name)(_truth(xp, x), _truth(xp, y))

    return _undifferentiable(name, f"{doc}, as bools; numbers other than 0 count as true.", forward)


def _truth(xp: Any, x: Array) -> Array:
    if isinstance(x, int | float):
        return bool(x)
    return x if xp.isdtype(x.dtype, "bool") else x != 0


logical_and = _logical("logical_and", "Whether x and y hold")
logical_or = _logical("logical_or", "Whether x or y holds")
logical_xor = _logical("logical_xor", "Whether one of x and y holds, not both")


@primitive(elementwise=True)
def logical_not(x: Array, /, *, xp: Any) -> Array:
    """Whether x does not hold, as bools; numbers other than 0 count as true. Not differentiable."""
    return xp.logical_not(_truth(xp, x))


@primitive(elementwise=True)
def bitwise_invert(x: Array, /, *, xp: Any) -> Array:
    """Bitwise complement of integers, logical not of bools. Not differentiable."""
    return xp.bitwise_invert(x)
