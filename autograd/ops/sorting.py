"""Putting elements in order. Indices are not differentiable; values are, as gathers from the input."""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .index import gather_
from .shape import as_vector, either, one_axis
from .slicing import getitem_

__all__ = ["argsort", "sort", "topk"]

Array = Any


@primitive(name="argsort")
def argsort_(x: Array, /, *, axis: int, descending: bool, xp: Any) -> Array:
    """The positions that put the elements in order along an axis; equal elements keep theirs. Not differentiable."""
    if not descending:
        return xp.astype(xp.argsort(x, axis=axis, stable=True), xp.int64)
    # the reverse of an ascending stable sort of the reverse: equal elements keep their order
    backwards = xp.argsort(xp.flip(x, axis=axis), axis=axis, stable=True)
    return xp.astype(x.shape[axis] - 1 - xp.flip(backwards, axis=axis), xp.int64)


def argsort(
    x: Array, axis: int | None = None, descending: bool = False, stable: bool = True, *, dim: int | None = None
) -> Array:
    """The positions that put the elements in order along an axis, the last by default.

    Equal elements keep their order whatever `stable` says: a stable sort is the only one there is.
    """
    if not x.ndim:
        return as_vector(lambda v: argsort(v, axis, descending, dim=dim), x)
    a = one_axis(either(axis, dim, -1), x.ndim, "argsort")
    return argsort_(x, axis=a, descending=descending)


def sort(
    x: Array, axis: int | None = None, descending: bool = False, stable: bool = True, *, dim: int | None = None
) -> tuple[Array, Array]:
    """(values, indices) in order along an axis, the last by default (PyTorch's `sort`).

    Equal elements keep their order whatever `stable` says: a stable sort is the only one there is.
    """
    if not x.ndim:
        made: tuple[Array, Array] = as_vector(lambda v: sort(v, axis, descending, dim=dim), x)
        return made
    a = one_axis(either(axis, dim, -1), x.ndim, "sort")
    order = argsort_(x, axis=a, descending=descending)
    return gather_(x, order, axis=a), order


def topk(
    x: Array, k: int, axis: int | None = None, largest: bool = True, sorted: bool = True, *, dim: int | None = None
) -> tuple[Array, Array]:
    """(values, indices) of the k largest (or smallest) elements along an axis, the last by default.

    They are in order whatever `sorted` says; of equal elements the first come first.
    """
    if not x.ndim:
        made: tuple[Array, Array] = as_vector(lambda v: topk(v, k, axis, largest, dim=dim), x)
        return made
    a = one_axis(either(axis, dim, -1), x.ndim, "topk")
    if not 0 <= k <= x.shape[a]:
        raise ValueError(f"topk: k = {k} of {x.shape[a]} elements")
    order = argsort_(x, axis=a, descending=largest)
    first = getitem_(order, index=(*((0, n, 1) for n in x.shape[:a]), (0, k, 1)))
    return gather_(x, first, axis=a), first
