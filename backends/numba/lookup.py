"""Rows of a table that an index says, an embedding, and rows added up where it says: the cotangent of the table.

A task adds a few columns of all rows, in their order, so that repeated indices need no care and sums are the same bits
for any number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import Flag, Floats, Ints, kernel
from .layout import ready
from .memory import empty
from .sizes import COPIED
from .vectors import add_row, clear_bytes, copy_bytes

Array = Any

COLUMNS = 32  # of one task that adds: two cache lines of each row
TASK = 1 << 14  # elements that one task copies


def check_index(wrong: Array, index: Array, size: int) -> None:
    """Raise if a kernel has met an index that is out of bounds."""
    if wrong[0]:
        low, high = int(index.min()), int(index.max())
        raise IndexError(f"index {high if high >= size else low} is out of bounds for an axis of length {size}")


@kernel
def _copy_rows(
    x: Floats, index: Ints, out: Floats, wrong: Flag, width: int, size: int, length: int, task: int
) -> None:  # fmt: skip
    row_bytes = width * x.itemsize
    for i in range(task * length, min((task + 1) * length, index.size)):
        row = index[i]
        if row < -size or row >= size:
            wrong[0] = 1
            continue
        row = row + size if row < 0 else row
        copy_bytes(out.ctypes.data + i * row_bytes, x.ctypes.data + row * row_bytes, row_bytes)


def take(x: Array, index: Array, *, axis: int) -> Array:
    """x: (size, …), index: s integers -> (*s, …)."""
    size, rest = x.shape[0], x.shape[1:]
    width = math.prod(rest)
    if index.size * width < COPIED:
        return np.take(x, index, axis=0)
    index = np.ascontiguousarray(index, np.int64)
    out, wrong = empty((*index.shape, *rest), x.dtype), np.zeros(1, np.int64)
    length = max(1, TASK // width)
    _copy_rows(-(-index.size // length), ready(x), index, out, wrong, width, size, length)
    check_index(wrong, index, size)
    return out


@kernel
def _add_rows(
    g: Floats, index: Ints, out: Floats, wrong: Flag, width: int, size: int, columns: int, task: int
) -> None:  # fmt: skip
    left = task * columns
    count, itemsize = min(columns, width - left), g.itemsize
    for row in range(size):
        clear_bytes(out.ctypes.data + (row * width + left) * itemsize, count * itemsize)
    for i in range(index.size):
        row = index[i]
        if row < -size or row >= size:
            wrong[0] = 1
            continue
        row = row + size if row < 0 else row
        add_row(
            g, g.ctypes.data + (i * width + left) * itemsize, out.ctypes.data + (row * width + left) * itemsize, count
        )


def take_transpose(g: Array, index: Array, *, axis: int, size: int) -> Array:
    """g: (*s, …), index: s integers -> (size, …), zeros with the rows of g added at the index."""
    rest = g.shape[index.ndim :]
    width = math.prod(rest)
    index = np.ascontiguousarray(index, np.int64)
    out, wrong = empty((size, *rest), g.dtype), np.zeros(1, np.int64)
    columns = min(COLUMNS, max(1, width))
    _add_rows(-(-width // columns), ready(g), index, out, wrong, width, size, columns)
    check_index(wrong, index, size)
    return out
