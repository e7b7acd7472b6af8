"""Reductions over axes. `axis` is None (all axes), an int or a tuple; `keepdims` keeps reduced axes with length 1."""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .shape import broadcast_to, reshape

__all__ = ["sum_"]

Array = Any
Axis = int | tuple[int, ...] | None


def reduced_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The reduced axes as non-negative ints, in order."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, int) else axis
    return tuple(sorted(a % ndim for a in axes)) if ndim else ()


def keep_axes(g: Array, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """A reduction's result with its reduced axes put back as length 1, so that it broadcasts against the input."""
    if keepdims:
        return g
    axes = reduced_axes(axis, len(shape))
    return reshape(g, shape=tuple(1 if i in axes else n for i, n in enumerate(shape)))


@primitive(name="sum")
def sum_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, xp: Any) -> Array:
    """Sum over axes. Bools and integers are summed as int64; the sum of nothing is 0."""
    dtype = x.dtype if xp.isdtype(x.dtype, "real floating") else xp.int64
    return xp.sum(x, axis=axis, keepdims=keepdims, dtype=dtype)


sum_.vjp(
    x=lambda g, x_shape, axis, keepdims: broadcast_to(keep_axes(g, x_shape, axis, keepdims), shape=x_shape),
)
