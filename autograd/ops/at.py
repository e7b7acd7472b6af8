"""Functional updates, `x.at[index].set(v)`: a new tensor with some elements changed, differentiable in x and v."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..indexing import Selection
from .creation import every_value, full_like_
from .elementwise import maximum, minimum, multiply
from .index import index_add_, index_set, occurrence, take_
from .selection import getitem, merge, merged_order, nonzero_, ravel_index, read
from .shape import _inverse, broadcast_to_, permute_, reshape_
from .slicing import getitem_, setitem

__all__: list[str] = []

Array = Any


class At:
    """`x.at`: index it, then say what to do there."""

    __slots__ = ("x",)

    def __init__(self, x: Any) -> None:
        self.x = x

    def __getitem__(self, index: Any) -> Update:
        return Update(self.x, index)

    def __repr__(self) -> str:
        return "<at: x.at[index].set(v), .add(v), .multiply(v), .min(v), .max(v) or .get()>"


class Update:
    """`x.at[index]`: every method returns a new tensor; x stays as it is.

    v broadcasts to the shape of `x[index]` and is converted to x's dtype, which must be able to hold it. Where an index
    array names an element more than once, `add`, `multiply`, `min` and `max` apply each v in turn, and of several `set`
    the last in row-major order wins; the gradient follows the same rule exactly.
    """

    __slots__ = ("index", "x")

    def __init__(self, x: Any, index: Any) -> None:
        self.x = x
        self.index = index

    def get(self) -> Any:
        """`x[index]`."""
        return getitem(self.x, self.index)

    def set(self, v: Any) -> Any:
        """`x` with `x[index]` replaced by v."""
        return self._update(v, lambda old, new: new, index_set)

    def add(self, v: Any) -> Any:
        """`x` with v added to `x[index]`."""
        return self._update(v, lambda old, new: old + new, lambda x, i, v, axis: index_add_(x, i, v, axis=axis))

    def multiply(self, v: Any) -> Any:
        """`x` with `x[index]` multiplied by v."""
        return self._update(v, multiply, _in_turn(multiply))

    def min(self, v: Any) -> Any:
        """`x` with the smaller of `x[index]` and v there."""
        return self._update(v, minimum, _in_turn(minimum))

    def max(self, v: Any) -> Any:
        """`x` with the larger of `x[index]` and v there."""
        return self._update(v, maximum, _in_turn(maximum))

    def _update(self, v: Any, change: Callable[..., Any], along: Callable[..., Any]) -> Any:
        """Apply `change(old, v)` to a region, or `along(x, index, v, axis)` to elements named by arrays."""
        x = self.x
        chosen = read(x, self.index)
        old = getitem_(x, index=chosen.basic)
        v = _converted(v, x)
        if not chosen.arrays:
            return setitem(x, change(old, _spread(v, tuple(old.shape))), index=chosen.basic)
        new = _update_along(old, chosen, v, along)
        return new if chosen.basic_is_whole(tuple(x.shape)) else setitem(x, new, index=chosen.basic)


def _update_along(old: Array, chosen: Selection, v: Array, along: Callable[..., Any]) -> Array:
    order = merged_order(old.ndim, chosen)
    merged, index, axis = merge(old, chosen)
    head, tail = tuple(merged.shape[:axis]), tuple(merged.shape[axis + 1 :])
    k = math.prod(index.shape)
    v = _spread(v, (*head, *index.shape, *tail))
    new = along(merged, reshape_(index, shape=(k,)), reshape_(v, shape=(*head, k, *tail)), axis)
    new = reshape_(new, shape=tuple(old.shape[a] for a in order))
    return new if order == tuple(range(old.ndim)) else permute_(new, axes=_inverse(order))


def _in_turn(change: Callable[..., Any]) -> Callable[..., Any]:
    """`change` applied at a 1-d index along an axis, once for each time that an element is named."""

    def along(x: Array, index: Array, v: Array, axis: int) -> Array:
        if index.shape[0] == 0:
            return x
        index = ravel_index(index, sizes=(x.shape[axis],))  # so that −1 and n−1 are seen to be the same
        turn = occurrence(index)
        rounds = int(every_value(turn).max()) + 1
        if turn.backend.levels:  # under vmap a turn has other elements in each example: go through all of them
            for r in range(index.shape[0]):
                one = ((r, r + 1, 1),)
                i, u = getitem_(index, index=one), getitem_(v, index=(*((0, n, 1) for n in v.shape[:axis]), *one))
                x = index_set(x, i, change(take_(x, i, axis=axis), u), axis)
            return x
        for r in range(rounds):
            i, u = index, v
            if rounds > 1:
                (now,) = nonzero_(turn == r)
                i, u = take_(index, now, axis=0), take_(v, now, axis=axis)
            x = index_set(x, i, change(take_(x, i, axis=axis), u), axis)
        return x

    return along


def _converted(v: Any, x: Any) -> Any:
    """`v` as a tensor of x's dtype and backend, which must not lose its kind: no floats into integers."""
    from ..dtypes import promote
    from ..tensor import Tensor

    if isinstance(v, bool | int | float):
        if promote((x.dtype,), (type(v),)) != x.dtype:
            raise TypeError(f"at: {type(v).__name__} values cannot be written into a tensor of {x.dtype}")
        return full_like_(x, value=v, dtype=None, shape=())
    if not isinstance(v, Tensor):
        v = Tensor(v, backend=x.backend)
    if "biuf".index(v.dtype.kind.replace("u", "i")) > "biuf".index(x.dtype.kind.replace("u", "i")):
        raise TypeError(
            f"at: values of {v.dtype} cannot be written into a tensor of {x.dtype}; convert one with .astype"
        )
    return v.astype(x.dtype)


def _spread(v: Any, shape: tuple[int, ...]) -> Any:
    """`v` broadcast to the shape of the region; as in NumPy, its extra leading axes of length 1 are dropped."""
    extra = len(v.shape) - len(shape)
    if extra > 0 and all(n == 1 for n in v.shape[:extra]):
        v = reshape_(v, shape=tuple(v.shape[extra:]))
    if tuple(v.shape) == shape:
        return v
    try:
        fits = np.broadcast_shapes(tuple(v.shape), shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"at: values of shape {tuple(v.shape)} do not broadcast to the shape {shape} of x[index]")
    return broadcast_to_(v, shape=shape)
