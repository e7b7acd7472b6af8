"""Grids, places in sorted arrays, distinct values, and reductions of elements that share an index."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..primitive import primitive
from .creation import asarray, every_value, full_like_
from .elementwise import astype, equal, not_equal, where
from .extrema import max_, min_
from .index import _scattering, flat_positions, gather, index_add_, index_set, occurrence, take_
from .scan import cumsum_, prod_
from .selection import nonzero_
from .shape import broadcast_to_, concatenate_, moveaxis, one_axis, reshape_
from .slicing import getitem_
from .sorting import argsort_

__all__ = [
    "bucketize", "meshgrid", "scatter_reduce", "searchsorted", "unique", "unique_consecutive",
]  # fmt: skip

Array = Any


# ------------------------------------------------------------------ grids


def meshgrid(*tensors: Array, indexing: str = "ij") -> tuple[Array, ...]:
    """1-d (or 0-d) arrays repeated over the grid that they span: k arrays with k axes.

    indexing="ij": axis i runs along the i-th array, PyTorch's default; "xy": the first two axes are exchanged, NumPy's.

    Raises
    ------
    ValueError : an array has more than one axis, or `indexing` is something else.
    """
    if indexing not in ("ij", "xy"):
        raise ValueError(f'meshgrid: indexing must be "ij" or "xy", not {indexing!r}')
    given = tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    if any(t.ndim > 1 for t in given):
        raise ValueError(f"meshgrid: arrays must be 1-d, not of shapes {', '.join(str(tuple(t.shape)) for t in given)}")
    places = list(range(len(given)))
    if indexing == "xy" and len(given) > 1:
        places[:2] = [1, 0]
    lengths = [math.prod(t.shape) for t in given]
    shape = tuple(lengths[p] for p in places)
    return tuple(
        broadcast_to_(reshape_(t, shape=tuple(-1 if p == i else 1 for p in places)), shape=shape)
        for i, t in enumerate(given)
    )


# ------------------------------------------------------------------ sorted arrays


@primitive(name="searchsorted", promote=("x", "values"))
def searchsorted_(x: Array, values: Array, /, *, right: bool = False, xp: Any) -> Array:
    """How many elements along x's last axis are < each value, or ≤ it with `right`. Not differentiable."""
    if x.ndim == 1:
        found = xp.searchsorted(x, xp.reshape(values, (-1,)), side="right" if right else "left")
        return xp.reshape(xp.astype(found, xp.int64), values.shape)
    rows, wanted = xp.expand_dims(x, axis=-2), xp.expand_dims(values, axis=-1)
    before = rows <= wanted if right else rows < wanted
    return xp.sum(xp.astype(before, xp.int64), axis=-1)


def searchsorted(
    sorted_sequence: Array, values: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None,
    sorter: Any = None,
) -> Array:  # fmt: skip
    """Where values would go in sequences sorted along the last axis, as int64; behind equal elements with `right`.

    (n,), any shape -> that shape; or (…, n), (…, k) -> (…, k). `side` may be "left" or "right"; `sorter` holds the
    positions that sort sequences which are not sorted; `out_int32` gives int32. Not differentiable.

    >>> import pullback as pb
    >>> pb.searchsorted(pb.Tensor([1.0, 2.0, 3.0]), pb.Tensor([2.0, 2.5])).tolist()
    [1, 2]

    Raises
    ------
    ValueError : the leading axes of a batch of sequences and of the values differ.
    """
    if side is not None:
        if side not in ("left", "right"):
            raise ValueError(f'searchsorted: side must be "left" or "right", not {side!r}')
        right = side == "right"
    if not hasattr(values, "ndim"):
        values = asarray(values, backend=sorted_sequence.backend)
    if sorter is not None:
        sorted_sequence = gather(sorted_sequence, sorter, axis=-1)
    lead = tuple(sorted_sequence.shape[:-1])
    if sorted_sequence.ndim != 1 and (not sorted_sequence.ndim or tuple(values.shape[:-1]) != lead):
        raise ValueError(
            f"searchsorted: sequences of shape {tuple(sorted_sequence.shape)} and values of shape "
            f"{tuple(values.shape)}; all axes but the last must agree, unless there is one sequence"
        )
    found = searchsorted_(sorted_sequence, values, right=right)
    return astype(found, dtype="int32") if out_int32 else found


def bucketize(input: Any, boundaries: Array, *, out_int32: bool = False, right: bool = False) -> Array:
    """In which interval of sorted 1-d boundaries each value lies: `searchsorted(boundaries, input)`."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


# ------------------------------------------------------------------ distinct values


def unique(
    x: Array, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The distinct elements of x, ascending, as a 1-d array; or its distinct slices along `dim`, in dictionary order.

    With `return_inverse` also where each element of x stands among them, in x's shape (each slice: 1-d); with
    `return_counts` also how often each occurs. Each NaN is one of its own. The cotangent goes to the first occurrence.
    They are sorted whatever `sorted` says.
    """
    compared, keys, axis, shape = _keys(x, dim)
    order = argsort_(keys, axis=0, descending=False)
    places, ranks, counts = _runs(take_(keys, order, axis=0))
    made = [take_(compared, take_(order, places, axis=0), axis=axis)]
    if return_inverse:
        back = argsort_(order, axis=0, descending=False)
        made.append(reshape_(take_(ranks, back, axis=0), shape=shape))
    if return_counts:
        made.append(counts)
    return made[0] if len(made) == 1 else tuple(made)


def unique_consecutive(
    x: Array, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """As `unique`, but only neighbours, in row-major order or along `dim`, are compared, and nothing is sorted."""
    compared, keys, axis, shape = _keys(x, dim)
    places, ranks, counts = _runs(keys)
    made = [take_(compared, places, axis=axis)]
    if return_inverse:
        made.append(reshape_(ranks, shape=shape))
    if return_counts:
        made.append(counts)
    return made[0] if len(made) == 1 else tuple(made)


def _keys(x: Array, dim: int | None) -> tuple[Array, Array, int, tuple[int, ...]]:
    """The array to choose from, a number for each element or slice of it that orders them, its axis, and its shape."""
    if dim is None:
        flat = reshape_(x, shape=(math.prod(x.shape),))
        return flat, _ordered(flat), 0, tuple(x.shape)
    axis = one_axis(dim, x.ndim, "unique")
    moved = moveaxis(x, axis, 0)
    n, m = moved.shape[0], math.prod(moved.shape[1:])
    rows = reshape_(moved, shape=(n, m))
    keys = full_like_(x, value=0, dtype="int64", shape=(n,))
    for k in range(m):  # ranks by the columns so far, always below n
        column = reshape_(getitem_(rows, index=((0, n, 1), (k, k + 1, 1))), shape=(n,))
        keys = unique(keys * n + unique(column, return_inverse=True)[1], return_inverse=True)[1]
    return x, keys, axis, (n,)


def _ordered(x: Array) -> Array:
    """x, or bools as numbers: the standard orders numbers alone."""
    return astype(x, dtype="uint8") if x.dtype == np.bool_ else x


def _runs(x: Array) -> tuple[Array, Array, Array]:
    """Where each run of equal elements starts, the run's number for each element, and the runs' lengths."""
    n = x.shape[0]
    first = full_like_(x, value=1, dtype="bool", shape=(min(n, 1),))
    changes = not_equal(getitem_(x, index=((min(n, 1), n, 1),)), getitem_(x, index=((0, max(n - 1, 0), 1),)))
    starts = concatenate_(first, changes, axis=0)
    (places,) = nonzero_(starts)
    k = places.shape[0]
    end = full_like_(places, value=n, dtype=None, shape=(min(n, 1),))
    ends = concatenate_(getitem_(places, index=((min(k, 1), k, 1),)), end, axis=0)
    ranks = cumsum_(starts, axis=0, reverse=False) - 1
    return places, ranks, ends - places


# ------------------------------------------------------------------ reductions by index

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def scatter_reduce(
    x: Array, dim: Any, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Array:  # fmt: skip
    """`x` with x[…, index[…, i, …], …] reduced with all src[…, i, …] that name it, along an axis (PyTorch's).

    reduce : "sum", "prod", "mean", "amax" or "amin". Without `include_self` the element of x counts only where no index
    names it. Elements that share an extremum share its cotangent evenly; products have the right gradient at 0. All but
    sums and means lay the elements out in a table of as many rows as the most frequent index has occurrences.

    Raises
    ------
    ValueError : shapes do not fit, or `reduce` is something else.
    """
    if reduce not in _REDUCTIONS:
        raise ValueError(f"scatter_reduce: reduce must be one of {', '.join(_REDUCTIONS)}, not {reduce!r}")
    shape, n = tuple(x.shape), math.prod(x.shape)
    x, index, src, axis = _scattering(x, index, src, dim, None, "scatter_reduce")
    places = flat_positions(index, shape=tuple(x.shape), axis=axis)
    own, parts = reshape_(x, shape=(n,)), reshape_(src, shape=(math.prod(src.shape),))
    if not parts.shape[0]:
        return reshape_(x, shape=shape)
    ones = full_like_(parts, value=1, dtype=None, shape=None)
    counts = index_add_(full_like_(own, value=0, dtype=None, shape=None), places, ones, axis=0)
    untouched = equal(counts, 0)
    if reduce in ("sum", "mean"):
        start = own if include_self else where(untouched, own, full_like_(own, value=0, dtype=None, shape=None))
        result = index_add_(start, places, parts, axis=0)
        if reduce == "mean":
            total = counts + 1 if include_self else where(untouched, 1, counts)
            result = result / total if own.dtype.kind == "f" else result // total
        return reshape_(result, shape=shape)
    neutral = _neutral(reduce, own)
    rank = occurrence(places)
    rows = int(every_value(rank).max()) + 1
    table = full_like_(own, value=neutral, dtype=None, shape=(rows * n,))
    table = reshape_(index_set(table, rank * n + places, parts, 0), shape=(rows, n))
    first = own if include_self else where(untouched, own, full_like_(own, value=neutral, dtype=None, shape=None))
    table = concatenate_(reshape_(first, shape=(1, n)), table, axis=0)
    fold = {"prod": prod_, "amax": max_, "amin": min_}[reduce]
    return reshape_(astype(fold(table, axis=(0,), keepdims=False), dtype=x.dtype.name), shape=shape)


def _neutral(reduce: str, x: Array) -> float:
    """What changes no product, maximum or minimum of x's dtype."""
    if reduce == "prod":
        return 1
    if x.dtype.kind == "f":
        return -math.inf if reduce == "amax" else math.inf
    limits = np.iinfo(x.dtype)
    return limits.min if reduce == "amax" else limits.max
