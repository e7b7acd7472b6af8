"""Basic indexing and its transpose: selecting a regular region, writing one, and padding around one.

An index reaches these ops in canonical form, hashable and resolved against the shape by `autograd.indexing`: a tuple of
non-negative ints, None (a new axis) and triples (start, stop, step); axes that it does not mention are taken whole.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..primitive import primitive
from .creation import full_like_

Array = Any
Shape = tuple[int, ...]
Entry = int | tuple[int, int | None, int] | None
Index = tuple[Entry, ...]


@lru_cache(maxsize=4096)
def _key(index: Index) -> tuple[Any, ...]:
    """The index as Python wants it, and with an ellipsis so that the result is an array even where it is 0-d."""
    return (*(slice(*e) if type(e) is tuple else e for e in index), ...)


@lru_cache(maxsize=4096)
def _region(index: Index) -> tuple[Any, ...]:
    """The index without its new axes: where the selected elements stand."""
    return _key(tuple(e for e in index if e is not None))


def _in_region(values: Array, index: Index, xp: Any) -> Array:
    """Values in the shape of `x[index]`, reshaped to the region's, which has no new axes."""
    if None not in index:
        return values
    shape, axis = [], 0
    for e in index:
        if isinstance(e, tuple):
            shape.append(values.shape[axis])
        axis += not isinstance(e, int)
    return xp.reshape(values, (*shape, *values.shape[axis:]))


@primitive(name="getitem")
def getitem_(x: Array, /, *, index: Index, xp: Any) -> Array:
    """The region of x that a basic index (ints, slices, new axes) selects; a view where possible."""
    return x[_key(index)]


@primitive
def getitem_transpose(g: Array, /, *, index: Index, shape: Shape, xp: Any) -> Array:
    """Zeros of the given shape with g in the region that the index selects: the transpose of basic indexing."""
    out = xp.zeros(shape, dtype=g.dtype)
    out[_region(index)] = _in_region(g, index, xp)
    return out


getitem_.vjp(x=lambda g, index, x_shape: getitem_transpose(g, index=index, shape=x_shape))
getitem_transpose.vjp(g=lambda g, index: getitem_(g, index=index))


@primitive(promote=("x", "v"))
def setitem(x: Array, v: Array, /, *, index: Index, xp: Any) -> Array:
    """A copy of x with v, which has the shape of x[index], in the region that the basic index selects."""
    out = xp.asarray(x, copy=True)
    out[_region(index)] = _in_region(v, index, xp)
    return out


setitem.vjp(
    x=lambda g, v_shape, index: setitem(g, full_like_(g, value=0.0, dtype=None, shape=v_shape), index=index),
    v=lambda g, index: getitem_(g, index=index),
)


@primitive(name="pad")
def pad_(x: Array, /, *, widths: tuple[tuple[int, int], ...], value: float = 0.0, xp: Any) -> Array:
    """`x` with widths[i] = (before, after) elements of a constant around it along axis i; the cotangent is cropped."""
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
    fill = value if xp.isdtype(x.dtype, "real floating") else int(value)
    out = xp.zeros(shape, dtype=x.dtype) if value == 0 else xp.full(shape, fill, dtype=x.dtype)
    out[_key(inner(widths, x.shape))] = x
    return out


def inner(widths: tuple[tuple[int, int], ...], shape: Shape) -> Index:
    """The basic index of what was there before padding."""
    return tuple((before, before + n, 1) for n, (before, _) in zip(shape, widths, strict=True))


pad_.vjp(x=lambda g, x_shape, widths: getitem_(g, index=inner(widths, x_shape)))
