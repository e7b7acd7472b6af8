"""Batching rules of ops with integer arrays of positions.

Where every example has an index of its own, the batch axis and the indexed one are merged, and the index is raised by
the example's number times the axis' length; `ravel_index` does it, and checks that no index leaves its example.
"""

from __future__ import annotations

import math
from typing import Any

from ..ops.creation import full_like_
from ..ops.grouping import searchsorted_
from ..ops.index import (
    flat_positions,
    gather_,
    index_add_,
    scatter_add_,
    take_,
    take_transpose,
)  # fmt: skip
from ..ops.scan import cumsum_
from ..ops.selection import ravel_index
from ..ops.shape import permute_, reshape_
from .backend import Batch, aligned

Array = Any
Shape = tuple[int, ...]


def _moved(x: Array, source: int, target: int) -> Array:
    order = [i for i in range(x.ndim) if i != source]
    order.insert(target, source)
    return x if source == target else permute_(x, axes=tuple(order))


def _numbers(index: Array, axes: int) -> Array:
    """The numbers 0 … B − 1 of the examples, beside an index with so many axes."""
    ones = full_like_(index, value=1, dtype="int64", shape=(index.shape[0],))
    return reshape_(cumsum_(ones, axis=0, reverse=False) - 1, shape=(index.shape[0], *[1] * axes))


def _merged_index(index: Array, n: int) -> Array:
    """An index per example into an axis of length n as one into the batch axis and that one merged."""
    return ravel_index(_numbers(index, index.ndim - 1), index, sizes=(index.shape[0], n))


@take_.batch
def _take(batch: Batch, x: Array, index: Array, *, axis: int) -> Array:
    if not batch.mapped[1]:
        return take_(x, index, axis=axis + 1)
    if not batch.mapped[0]:  # the examples' indices are one index with an axis more
        return _moved(take_(x, index, axis=axis), axis, 0)
    front = _moved(x, axis + 1, 1)
    merged = reshape_(front, shape=(front.shape[0] * front.shape[1], *front.shape[2:]))
    found = take_(merged, _merged_index(index, front.shape[1]), axis=0)
    k = index.ndim - 1  # the index' own axes stand behind the batch axis; back to their place in x
    places = range(1 + k, 1 + k + axis)
    return permute_(found, axes=(0, *places, *range(1, 1 + k), *range(1 + k + axis, found.ndim)))


def _to_front(updates: Array, axis: int, k: int) -> Array:
    """Mapped updates (B, before, index axes, behind) as (B, index axes, before, behind)."""
    places = range(1 + axis, 1 + axis + k)
    return permute_(updates, axes=(0, *places, *range(1, 1 + axis), *range(1 + axis + k, updates.ndim)))


@take_transpose.batch
def _take_transpose(batch: Batch, g: Array, index: Array, *, axis: int, size: int) -> Array:
    if not batch.mapped[1]:
        return take_transpose(g, index, axis=axis + 1, size=size)
    front = _to_front(batch.full(g, 0), axis, index.ndim - 1)
    added = take_transpose(front, _merged_index(index, size), axis=0, size=batch.size * size)
    return _moved(reshape_(added, shape=(batch.size, size, *added.shape[1:])), 1, axis + 1)


@index_add_.batch
def _index_add(batch: Batch, x: Array, index: Array, updates: Array, *, axis: int) -> Array:
    x, updates = batch.full(x, 0), batch.full(updates, 2)
    if not batch.mapped[1]:
        return index_add_(x, index, updates, axis=axis + 1)
    n = x.shape[axis + 1]
    front = _moved(x, axis + 1, 1)
    merged = reshape_(front, shape=(batch.size * n, *front.shape[2:]))
    added = index_add_(merged, _merged_index(index, n), _to_front(updates, axis, index.ndim - 1), axis=0)
    return _moved(reshape_(added, shape=tuple(front.shape)), 1, axis + 1)


def _elements(batch: Batch, *args: Array, axis: int) -> Array:
    """gather and scatter_add: an index for each element, with the axes of the array."""
    return batch.prim(*(batch.full(a, i) for i, a in enumerate(args)), axis=axis + 1)


gather_.batch(_elements)
scatter_add_.batch(_elements)
ravel_index.batch(aligned)


@flat_positions.batch
def _flat_positions(batch: Batch, index: Array, *, shape: Shape, axis: int) -> Array:
    whole = flat_positions(index, shape=(batch.size, *shape), axis=axis + 1)
    rows = reshape_(whole, shape=(batch.size, math.prod(index.shape[1:])))
    return rows - _numbers(index, 1) * math.prod(shape)


@searchsorted_.batch
def _searchsorted(batch: Batch, x: Array, values: Array, *, right: bool) -> Array:
    if not batch.mapped[0] and x.ndim == 1:
        return searchsorted_(x, values, right=right)
    x, values = batch.full(x, 0), batch.full(values, 1)
    if x.ndim > 2:
        return searchsorted_(x, values, right=right)
    # one sequence an example, and values of any shape
    rows = reshape_(values, shape=(batch.size, math.prod(values.shape[1:])))
    return reshape_(searchsorted_(x, rows, right=right), shape=tuple(values.shape))
