"""Reading a tensor by index expression: `x[index]`, masks, and what goes with them.

An index out of bounds raises an IndexError, except for index tensors on a GPU, where looking would wait for the device.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..dtypes import as_dtype
from ..indexing import Selection, basic_index, read_index, resolve_int
from ..primitive import primitive
from .creation import asarray
from .elementwise import where
from .extrema import max_
from .index import take_
from .shape import broadcast_to_, permute_, reshape_, stack_
from .slicing import getitem_

__all__ = ["getitem", "masked_fill", "masked_select", "nonzero", "one_hot"]

Array = Any


@primitive
def ravel_index(*indices: Array, sizes: tuple[int, ...], xp: Any) -> Array:
    """Integer arrays, broadcast, along axes of those sizes as one along the axes merged. Not differentiable."""
    total = None
    for index, n in zip(indices, sizes, strict=True):
        part = xp.wrap_index(xp.astype(index, xp.int64), n)
        total = part if total is None else total * n + part
    return total


@primitive(name="nonzero", outputs=0)
def nonzero_(mask: Array, /, *, xp: Any) -> tuple[Array, ...]:
    """The positions of non-zero elements: one int64 array per axis. Not differentiable."""
    return tuple(xp.astype(i, xp.int64) for i in xp.nonzero(mask))


def nonzero(x: Array, *, as_tuple: bool = True) -> Any:
    """The positions of non-zero elements, in row-major order: one int64 array per axis, as in NumPy.

    With `as_tuple=False`, PyTorch's default, as the rows of one array: (k, number of axes). A 0-d array counts as one
    with one axis in the first form.
    """
    made: tuple[Array, ...] = nonzero_(x if x.ndim else reshape_(x, shape=(1,)))
    if as_tuple:
        return made
    return stack_(*made, axis=1) if x.ndim else reshape_(made[0], shape=(made[0].shape[0], 1))[:, :0]


def getitem(x: Array, index: Any) -> Array:
    """`x[index]` for every index NumPy accepts: ints, slices, None, ..., masks, integer arrays, and their mixtures.

    The cotangents of an element selected twice are added.
    """
    shape = x.shape
    if type(index) is int:
        if not shape:
            raise IndexError("a 0-d tensor cannot be indexed with an int; .item() gives its value")
        return getitem_(x, index=(resolve_int(index, shape[0], 0, shape),))
    basic = basic_index(shape, index if type(index) is tuple else (index,))
    if basic is not None:
        return getitem_(x, index=basic)
    if hasattr(index, "_node") and index.ndim and shape and index.dtype.kind in "iu":
        return take_(x, index, axis=0)
    selection = read(x, index)
    if selection.basic_is_whole(shape):
        return select(x, selection)
    return select(getitem_(x, index=selection.basic), selection)


def read(x: Array, index: Any) -> Selection:
    """An index expression on x, read; its arrays are tensors of x's backend."""
    selection = read_index(
        tuple(x.shape), index, lambda mask: np.nonzero(mask) if isinstance(mask, np.ndarray) else nonzero(mask)
    )
    if not selection.arrays:
        return selection
    arrays = tuple(i if hasattr(i, "_node") else asarray(i, backend=x.backend) for i in selection.arrays)
    return replace(selection, arrays=arrays)


def select(x: Array, selection: Selection) -> Array:
    """The elements that a selection's arrays name in the result of its basic index."""
    if not selection.arrays:
        return x
    merged, flat, axis = merge(x, selection)
    return take_(merged, flat, axis=axis)


def merge(x: Array, selection: Selection) -> tuple[Array, Array, int]:
    """`x` with the indexed axes brought together and merged, the one index array along them, and their axis."""
    place, axes = selection.place, selection.axes
    order = merged_order(x.ndim, selection)
    if order != tuple(range(x.ndim)):
        x = permute_(x, axes=order)
    if len(axes) == 1:
        return x, selection.arrays[0], place
    shape = tuple(x.shape)
    behind = place + len(axes)
    lengths = shape[place:behind]
    flat = ravel_index(*selection.arrays, sizes=lengths)
    return reshape_(x, shape=(*shape[:place], math.prod(lengths), *shape[behind:])), flat, place


def merged_order(ndim: int, selection: Selection) -> tuple[int, ...]:
    """The order of axes in which the indexed ones stand together at the place of the result's."""
    rest = [i for i in range(ndim) if i not in selection.axes]
    return (*rest[: selection.place], *selection.axes, *rest[selection.place :])


def masked_fill(x: Array, mask: Any, value: Any) -> Array:
    """`x` with a value where the mask, which broadcasts, is true."""
    return where(mask, value, x)


def masked_select(x: Array, mask: Any) -> Array:
    """The elements where the mask is true, in a 1-d array; x and mask broadcast."""
    shape = np.broadcast_shapes(tuple(x.shape), tuple(mask.shape))
    return getitem(broadcast_to_(x, shape=shape), broadcast_to_(mask, shape=shape))


@primitive(name="one_hot")
def one_hot_(index: Array, /, *, num_classes: int, dtype: str, xp: Any) -> Array:
    """(…) integers -> (…, num_classes), 1 at the integer and 0 elsewhere. Not differentiable."""
    classes = xp.arange(num_classes, dtype=index.dtype)
    return xp.astype(xp.equal(xp.expand_dims(index, axis=-1), classes), getattr(xp, dtype))


def one_hot(index: Array, num_classes: int = -1, *, dtype: Any = "int64") -> Array:
    """(…) integers -> (…, num_classes), 1 at the integer and 0 elsewhere; all 0 for one out of range.

    num_classes −1 is the largest integer plus 1.
    """
    if num_classes == -1:
        num_classes = int(max_(index, axis=None, keepdims=False).item()) + 1
    return one_hot_(index, num_classes=num_classes, dtype=as_dtype(dtype).name)
