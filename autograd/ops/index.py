"""Selecting elements by position along an axis, and adding to them: take, gather, and their transposes.

Integer arrays may hold negative indices, counted from the end. An index out of bounds raises an IndexError, except for
index tensors on a GPU, where looking would wait for the device.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..indexing import check_bounds
from ..primitive import primitive
from .creation import asarray, full_like_
from .elementwise import where
from .shape import as_vector, broadcast_to_, either, one_axis, reshape_
from .slicing import getitem_

__all__ = ["gather", "index_add", "index_select", "scatter", "scatter_add", "take", "take_along_axis"]

Array = Any
Shape = tuple[int, ...]

# ---------------------------------------------------------------- along one axis


@primitive(name="take")
def take_(x: Array, index: Array, /, *, axis: int, xp: Any) -> Array:
    """Elements of x at integer positions along an axis. x: (…, n, …), index: any shape s -> (…, s, …)."""
    if len(index.shape) == 1:
        return xp.take(x, index, axis=axis)
    flat = xp.take(x, xp.reshape(index, (math.prod(index.shape),)), axis=axis)
    return xp.reshape(flat, (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


@primitive
def take_transpose(g: Array, index: Array, /, *, axis: int, size: int, xp: Any) -> Array:
    """Zeros of length `size` along an axis, with g added at the index; repeated indices accumulate."""
    behind = axis + len(index.shape)
    zeros = xp.zeros((*g.shape[:axis], size, *g.shape[behind:]), dtype=g.dtype)
    return _add_along(zeros, index, g, axis, xp)


def _add_along(x: Array, index: Array, updates: Array, axis: int, xp: Any) -> Array:
    if len(index.shape) != 1:
        k = math.prod(index.shape)
        behind = axis + len(index.shape)
        updates = xp.reshape(updates, (*updates.shape[:axis], k, *updates.shape[behind:]))
        index = xp.reshape(index, (k,))
    return xp.index_add(x, index, updates, axis)


def _taken(rows: Array | None, index: Array, axis: int, x_shape: Shape) -> Array | None:
    if rows is None:
        return index if axis == 0 and len(x_shape) == 2 else None
    return take_(rows, index, axis=axis) if axis < len(x_shape) - 1 else None


take_.vjp(x=lambda g, index, axis, x_shape: take_transpose(g, index, axis=axis, size=x_shape[axis]))
take_.moves(_taken)
take_transpose.vjp(g=lambda g, index, axis: take_(g, index, axis=axis))


@primitive(name="index_add", promote=("x", "updates"))
def index_add_(x: Array, index: Array, updates: Array, /, *, axis: int, xp: Any) -> Array:
    """`x` with updates added at integer positions along an axis; repeated indices accumulate.

    x: (…, n, …), index: any shape s, updates: (…, s, …).
    """
    return _add_along(x, index, updates, axis, xp)


index_add_.vjp(x=lambda g: g, updates=lambda g, index, axis: take_(g, index, axis=axis))


@primitive(outputs=2)
def index_source(index: Array, /, *, size: int, xp: Any) -> tuple[Array, Array]:
    """For each of `size` positions, which element of a 1-d index names it last, and whether one does.

    Not differentiable. It makes "the last one wins" the rule on every backend, whatever order it writes in.
    """
    k = index.shape[0]
    if k == 0:
        return xp.zeros((size,), dtype=xp.int64), xp.zeros((size,), dtype=xp.bool)
    index = xp.wrap_index(index, size)
    order = xp.argsort(index, stable=True)
    ranked = xp.take(index, order, axis=0)
    slots = xp.arange(size, dtype=index.dtype)
    last = xp.astype(xp.searchsorted(ranked, slots, side="right"), xp.int64)
    last = xp.where(last > 0, last - 1, last)
    return xp.take(order, last, axis=0), xp.equal(xp.take(ranked, last, axis=0), slots)


@primitive
def occurrence(index: Array, /, *, xp: Any) -> Array:
    """How many earlier elements of a 1-d index equal each one: 0 everywhere if none repeats. Not differentiable."""
    order = xp.argsort(index, stable=True)
    ranked = xp.take(index, order, axis=0)
    first = xp.astype(xp.searchsorted(ranked, ranked, side="left"), xp.int64)
    rank = xp.arange(index.shape[0], dtype=xp.int64) - first
    return xp.take(rank, xp.argsort(order, stable=True), axis=0)


def index_set(x: Array, index: Array, updates: Array, axis: int) -> Array:
    """`x` with updates at a 1-d index along an axis. Of repeated indices the last wins and gets the cotangent."""
    source, hit = index_source(index, size=x.shape[axis])
    if updates.shape[axis] == 0:
        return x
    column = tuple(-1 if i == axis else 1 for i in range(x.ndim))
    return where(reshape_(hit, shape=column), take_(updates, source, axis=axis), x)


def _checked(index: Any, x: Array, axis: int) -> Any:
    """An index array on x's backend; one given as host data is checked here, whatever the backend does."""
    if hasattr(index, "_node"):
        if index.dtype.kind not in "iu":
            raise IndexError(f"an index tensor holds integers, not {index.dtype}")
        return index
    if isinstance(index, list | tuple | range | int):
        index = np.asarray(index)
        if index.size == 0:
            index = index.astype(np.int64)
    if isinstance(index, np.ndarray):
        if index.dtype.kind not in "iu":
            raise IndexError(f"an index array holds integers, not {index.dtype}")
        check_bounds(index, x.shape[axis], axis)
        return asarray(index, backend=x.backend)
    return index


def _torch_order(index: Any, axis: Any) -> tuple[Any, Any]:
    """(index, axis) also when they are given in PyTorch's order, `dim` first."""
    return (axis, index) if isinstance(index, int) and axis is not None and not isinstance(axis, int) else (index, axis)


def take(x: Array, index: Any, axis: int | None = None, *, dim: int | None = None) -> Array:
    """Elements at integer positions along an axis, or of the flattened array without one.

    x: (…, n, …), index: any shape s -> (…, s, …). The cotangents of an element taken twice are added.
    """
    wanted = either(axis, dim)
    if wanted is None:
        x, wanted = reshape_(x, shape=(math.prod(x.shape),)), 0
    a = one_axis(wanted, x.ndim, "take")
    return take_(x, _checked(index, x, a), axis=a)


def index_select(x: Array, axis: Any, index: Any = None, *, dim: int | None = None) -> Array:
    """`take` with PyTorch's order of arguments: `index_select(x, dim, index)`."""
    if dim is not None:
        axis, index = dim, axis if index is None else index
    if not x.ndim:
        return as_vector(lambda v: index_select(v, axis, index), x)
    return take(x, index, axis)


def index_add(
    x: Array, index: Any, updates: Any, axis: int | None = None, *, dim: int | None = None, alpha: float = 1
) -> Array:
    """`x` with alpha·updates added at integer positions along an axis, the first by default; repeated ones accumulate.

    x: (…, n, …), index: (k,), updates: (…, k, …). PyTorch's order `index_add(x, dim, index, source)` is understood.
    """
    if isinstance(index, int) and axis is not None and not isinstance(axis, int):
        index, updates, axis = updates, axis, index
    if not x.ndim:
        each = reshape_(updates, shape=(math.prod(updates.shape),))
        return as_vector(lambda v: index_add(v, index, each, axis, dim=dim, alpha=alpha), x)
    if alpha != 1:
        updates = updates * alpha
    a = one_axis(either(axis, dim, 0), x.ndim, "index_add")
    index = _checked(index, x, a)
    shape = (*x.shape[:a], *index.shape, *x.shape[a + 1 :])
    if tuple(updates.shape) != shape:
        raise ValueError(
            f"index_add: updates of shape {tuple(updates.shape)} for an x of shape {tuple(x.shape)} and an index of "
            f"shape {tuple(index.shape)} on axis {a}; they must have shape {shape}"
        )
    return index_add_(x, index, updates, axis=a)


# ---------------------------------------------------------------- element by element


@primitive(name="gather")
def gather_(x: Array, index: Array, /, *, axis: int, xp: Any) -> Array:
    """out[…, i, …] = x[…, index[…, i, …], …]: index has x's number of axes and is no longer than x on the others."""
    if index.shape[:axis] != x.shape[:axis] or index.shape[axis + 1 :] != x.shape[axis + 1 :]:
        x = x[tuple(slice(None) if i == axis else slice(0, n) for i, n in enumerate(index.shape))]
    return xp.take_along_axis(x, index, axis=axis)


@primitive(name="scatter_add", promote=("x", "src"))
def scatter_add_(x: Array, index: Array, src: Array, /, *, axis: int, xp: Any) -> Array:
    """`x` with x[…, index[…, i, …], …] += src[…, i, …]: the transpose of gather. Repeated indices accumulate.

    index and src have the same shape and x's number of axes; only along `axis` may they be longer than x.
    """
    flat = xp.index_add(
        xp.reshape(x, (math.prod(x.shape),)), _positions(index, tuple(x.shape), axis, xp), xp.reshape(src, (-1,)), 0
    ) if math.prod(index.shape) else x  # fmt: skip
    return xp.reshape(flat, x.shape)


def _positions(index: Array, shape: tuple[int, ...], axis: int, xp: Any) -> Array:
    """The flat positions in an array of that shape that index names along the axis, as one 1-d array."""
    step, total = 1, None
    for i in reversed(range(len(shape))):
        if i == axis:
            part = xp.wrap_index(xp.astype(index, xp.int64), shape[i])
        else:
            line = xp.arange(index.shape[i], dtype=xp.int64)
            part = xp.reshape(line, tuple(-1 if j == i else 1 for j in range(len(shape))))
        total = part * step if total is None else total + part * step
        step *= shape[i]
    return xp.reshape(total, (-1,))


gather_.vjp(
    x=lambda g, index, x_shape, axis: scatter_add_(
        full_like_(g, value=0.0, dtype=None, shape=x_shape), index, g, axis=axis
    )
)
scatter_add_.vjp(x=lambda g: g, src=lambda g, index, axis: gather_(g, index, axis=axis))


@primitive
def flat_positions(index: Array, /, *, shape: tuple[int, ...], axis: int, xp: Any) -> Array:
    """The flat positions that a gather index names, in a 1-d array. Not differentiable."""
    return _positions(index, shape, axis, xp)


def _fits(index: Any, x: Array, axis: int, op: str) -> Any:
    index, shape = _checked(index, x, axis), tuple(x.shape)
    small = len(index.shape) == len(shape) and all(
        i == axis or k <= n for i, (k, n) in enumerate(zip(index.shape, shape, strict=True))
    )
    if not small:
        raise ValueError(
            f"{op}: an index of shape {tuple(index.shape)} for an array of shape {shape} on axis {axis}; it needs "
            "as many axes, and no more elements than the array on the others"
        )
    return index


def gather(x: Array, index: Any, axis: Any = None, *, dim: int | None = None) -> Array:
    """out[…, i, …] = x[…, index[…, i, …], …] along an axis (PyTorch's gather).

    index has as many axes as x; on the others it may be shorter than x. `gather(x, dim, index)` is understood.
    """
    index, axis = _torch_order(index, axis)
    if not x.ndim:
        x = reshape_(x, shape=(1,))
        index = _checked(index, x, 0)
        shape = tuple(index.shape)
        return reshape_(gather(x, reshape_(index, shape=(math.prod(shape),)), axis, dim=dim), shape=shape)
    a = one_axis(either(axis, dim, -1), x.ndim, "gather")
    return gather_(x, _fits(index, x, a, "gather"), axis=a)


def take_along_axis(x: Array, index: Any, axis: int = -1) -> Array:
    """As `gather`, with index and x broadcast against each other on the other axes (NumPy's take_along_axis)."""
    a = one_axis(axis, x.ndim, "take_along_axis")
    index = _checked(index, x, a)
    rest = np.broadcast_shapes(*(tuple(1 if i == a else n for i, n in enumerate(s.shape)) for s in (x, index)))
    if len(index.shape) != x.ndim:
        raise ValueError(f"take_along_axis: an index with {len(index.shape)} axes for an array with {x.ndim}")
    wide, many = (tuple(s.shape[a] if i == a else n for i, n in enumerate(rest)) for s in (x, index))
    x = x if tuple(x.shape) == wide else broadcast_to_(x, shape=wide)
    return gather_(x, index if tuple(index.shape) == many else broadcast_to_(index, shape=many), axis=a)


def _scattering(x: Array, index: Any, src: Any, axis: Any, dim: Any, op: str) -> tuple[Any, Any, Any, int]:
    """(x, index, src, axis) checked and of fitting shapes; what is 0-d gets an axis."""
    if isinstance(index, int) and axis is not None and not isinstance(src, bool | int | float):
        index, src, axis = src, axis, index
    if not x.ndim:
        x = reshape_(x, shape=(1,))
        index = _checked(index, x, 0)
        index = reshape_(index, shape=(math.prod(index.shape),))
        src = reshape_(src, shape=(math.prod(src.shape),)) if hasattr(src, "_node") else src
    a = one_axis(either(axis, dim, -1), x.ndim, op)
    index = _fits(index, x, a, op)
    shape = tuple(index.shape)
    if not hasattr(src, "_node") and not isinstance(src, bool | int | float):
        src = asarray(src, backend=x.backend)
    if isinstance(src, bool | int | float):
        return x, index, full_like_(x, value=src, dtype=None, shape=shape), a
    if len(src.shape) != len(shape) or any(k > n for k, n in zip(shape, src.shape, strict=True)):
        raise ValueError(
            f"{op}: a src of shape {tuple(src.shape)} has no element for each of an index of shape {shape}"
        )
    if tuple(src.shape) != shape:
        src = getitem_(src, index=tuple((0, n, 1) for n in shape))
    return x, index, src, a


def scatter_add(x: Array, index: Any, src: Any, axis: Any = None, *, dim: int | None = None) -> Array:
    """`x` with x[…, index[…, i, …], …] += src[…, i, …] along an axis; repeated indices accumulate.

    `scatter_add(x, dim, index, src)`, PyTorch's order, is understood. src may be larger than index.
    """
    shape = tuple(x.shape)
    x, index, src, a = _scattering(x, index, src, axis, dim, "scatter_add")
    out = scatter_add_(x, index, src, axis=a)
    return out if shape else reshape_(out, shape=shape)


def _scatter_with(reduce: str, x: Array, index: Any, src: Any, axis: int, shape: Shape) -> Array:
    from .grouping import scatter_reduce

    if reduce not in ("add", "multiply"):
        raise ValueError(f'scatter: reduce must be "add" or "multiply", not {reduce!r}; see also scatter_reduce')
    done = scatter_reduce(x, axis, index, src, "sum" if reduce == "add" else "prod")
    return reshape_(done, shape=shape)


def scatter(
    x: Array, index: Any, src: Any, axis: Any = None, *, dim: int | None = None, reduce: str | None = None
) -> Array:
    """`x` with x[…, index[…, i, …], …] = src[…, i, …] along an axis.

    Of repeated indices the last in row-major order wins, and gets the cotangent. With reduce="add" or "multiply" all of
    src are added to the element, or multiplied with it; `scatter_reduce` has other reductions.
    PyTorch's order `scatter(x, dim, index, src)` is understood; src may be a number.
    """
    if reduce is not None:
        return _scatter_with(reduce, *_scattering(x, index, src, axis, dim, "scatter"), tuple(x.shape))
    whole, n = tuple(x.shape), math.prod(x.shape)
    x, index, src, a = _scattering(x, index, src, axis, dim, "scatter")
    flat = flat_positions(index, shape=tuple(x.shape), axis=a)
    changed = index_set(reshape_(x, shape=(n,)), flat, reshape_(src, shape=(flat.shape[0],)), 0)
    return reshape_(changed, shape=whole)
