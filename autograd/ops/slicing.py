"""Basic indexing and its transpose: selecting a regular region, writing one, and padding around one.

An index reaches these ops in canonical form, hashable and resolved against the shape by `autograd.indexing`: a tuple of
non-negative ints, None (a new axis) and triples (start, stop, step); axes that it does not mention are taken whole.
"""

from __future__ import annotations

from typing import Any

from ...backends.regions import Index, key, region, tiling
from ..primitive import primitive
from .creation import full_like_

Array = Any
Shape = tuple[int, ...]


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
    return x[key(index)]


def _lying(make: Any, shape: Shape, order: Shape | None, dtype: Any, xp: Any) -> Array:
    """A new array whose axes lie in that order in memory, from the outermost to the innermost; None for their own."""
    if order is None:
        return make(shape, dtype=dtype)
    back = tuple(order.index(axis) for axis in range(len(shape)))
    return xp.permute_dims(make(tuple(shape[axis] for axis in order), dtype=dtype), back)


@primitive
def getitem_transpose(g: Array, /, *, index: Index, shape: Shape, order: Shape | None = None, xp: Any) -> Array:
    """Zeros of the given shape with g in the region that the index selects: the transpose of basic indexing.

    order: the axes as they lie in memory, from the outermost to the innermost, where that is not their own order. Heads
    that were a view of a projection have their cotangent where the projection's is wanted.
    """
    out = _lying(xp.zeros, shape, order, g.dtype, xp)
    out[region(index)] = _in_region(g, index, xp)
    return out


getitem_.vjp(x=lambda g, index, x_shape, x_order: getitem_transpose(g, index=index, shape=x_shape, order=x_order))
getitem_transpose.vjp(g=lambda g, index: getitem_(g, index=index))


@primitive(promote=True)
def place_regions(*gs: Array, indices: tuple[Index, ...], shape: Shape, order: Shape | None = None, xp: Any) -> Array:
    """Σᵢ of `getitem_transpose(gs[i], index=indices[i], shape=shape)` in one array, each region added where it stands.

    It is what the cotangent of a tensor is made of that was taken apart by indexing: without a sum of mostly zeros for
    each of its parts, nor zeros at all where the parts make up the whole.
    """
    apart, whole = tiling(indices, shape)
    out = _lying(xp.empty if whole else xp.zeros, shape, order, gs[0].dtype, xp)
    for g, index in zip(gs, indices, strict=True):
        values, at = _in_region(g, index, xp), region(index)
        if apart:
            out[at] = values
        else:
            out[at] += values
    return out


place_regions.vjp(
    lambda g, indices, need: tuple(getitem_(g, index=i) if n else None for i, n in zip(indices, need, strict=True))
)


def _joined(gs: tuple[Array, ...], params: tuple[dict[str, Any], ...], saved: tuple[Any, ...]) -> Array:
    shape, order = saved[0]
    if len(gs) == 1:
        return getitem_transpose(gs[0], index=params[0]["index"], shape=shape, order=order)
    return place_regions(*gs, indices=tuple(p["index"] for p in params), shape=shape, order=order)


getitem_.joined = _joined


@primitive(promote=("x", "v"))
def setitem(x: Array, v: Array, /, *, index: Index, xp: Any) -> Array:
    """A copy of x with v, which has the shape of x[index], in the region that the basic index selects."""
    out = xp.asarray(x, copy=True)
    out[region(index)] = _in_region(v, index, xp)
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
    out[key(inner(widths, x.shape))] = x
    return out


def inner(widths: tuple[tuple[int, int], ...], shape: Shape) -> Index:
    """The basic index of what was there before padding."""
    return tuple((before, before + n, 1) for n, (before, _) in zip(shape, widths, strict=True))


pad_.vjp(x=lambda g, x_shape, widths: getitem_(g, index=inner(widths, x_shape)))
