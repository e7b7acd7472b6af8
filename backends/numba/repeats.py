"""Rows of a sequence that are the same: the inputs of a network that reads symbols are rows of a small table.

Where they repeat, the product of the inputs with a weight is that of the *distinct* rows, of which each step takes its
own: the same bits for less work. The gradient of that weight is a product with the distinct rows too, after the
cotangents of equal rows have been added up. Rows are compared by their bits, found by hashing, so it does not matter
where they come from; sequences whose first rows show no repetition are left alone, which costs them next to nothing.

All of it happens in memory of fixed size, in kernels: a recorded step meets other values each time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import memory
from .compile import Flag, Floats, Ints, Words, kernel
from .gemm import ROWS, WIDTH_BYTES, aligned
from .lookup import check_index
from .sequence import product
from .vectors import copy_bytes

Array = Any

LEAST = 256  # rows, and
WORTH = 1 << 22  # multiply-adds, below which looking for repetitions does not pay
SHARE = 4  # distinct rows are at most one in so many
SAMPLE, FRESH = 64, 48  # of so many first rows, more distinct ones than that show no repetition
HASHED = 16  # words from either end of a row that its hash is made of
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@kernel
def _find(x: Words, ids: Ints, first: Ints, count: Ints, places: Ints, words: int, task: int) -> None:
    """Numbers for the rows of x, in the order of their first appearance; count is 0 where too few repeat."""
    limit, mask = first.size, np.uint64(places.size - 1)
    found, wrong = 0, 0
    for i in range(places.size):
        places[i] = -1
    head, tail = min(HASHED, words), max(words - HASHED, min(HASHED, words))
    count[0] = 0
    for row in range(ids.size):
        start = row * words
        key = np.uint64(0)
        for j in range(head):
            word = np.uint64(x[start + j])
            key += (word ^ word >> np.uint64(15)) * (_FACTOR + np.uint64(2 * j))
        for j in range(tail, words):
            word = np.uint64(x[start + j])
            key += (word ^ word >> np.uint64(15)) * (_FACTOR + np.uint64(2 * (j - tail + HASHED)))
        slot = key >> np.uint64(32) & mask
        while True:
            number = places[slot]
            if number < 0:
                if found == limit:
                    return
                places[slot], first[found], ids[row] = found, row, found
                found += 1
                break
            other, differ = first[number] * words, np.uint32(0)
            for j in range(words):
                differ |= x[start + j] ^ x[other + j]
            if differ == 0:
                ids[row] = number
                break
            wrong += 1
            if wrong > ids.size:  # rows that differ where the hash does not look
                return
            slot = slot + np.uint64(1) & mask
        if row == SAMPLE - 1 and found > FRESH:
            return
    count[0] = found


class Repeats:
    """The repeated rows of a sequence, (rows, width) in memory.

    Attributes
    ----------
    ids : (rows,), which distinct row each one is. first : where each of those is met. count : (1,), how many there are;
    0 if they are too many, and then nothing else is set.

    With `each`, every row counts as distinct: for products that a few samples' steps would make row by row.
    """

    def __init__(self, x: Array, columns: int, *, each: bool = False) -> None:
        width = x.shape[-1]
        rows = x.size // max(width, 1)
        if each:
            self.limit, self.count = rows, np.full(1, rows)
            self.ids = self.first = np.arange(rows)
            return
        worth = rows >= LEAST and rows * width * columns >= WORTH
        self.limit = rows // SHARE if worth else 0
        self.ids, self.first = np.empty(rows if worth else 0, np.int64), np.empty(self.limit, np.int64)
        self.count = np.zeros(1, np.int64)
        if worth:
            places = np.empty(1 << (2 * self.limit).bit_length(), np.int64)
            words = x.reshape(-1).view(np.uint32)
            _find(1, words, self.ids, self.first, self.count, places, width * x.itemsize // 4)

    def products(self, x: Array, w: Array, bias: Array) -> Array:
        """Of the distinct rows of x with the first rows of w, in panels, plus the bias: (limit, panels·width)."""
        panels, whole, width = w.shape
        out = memory.empty((self.limit, panels * width), x.dtype)
        if self.limit:
            _products(panels, x, w, bias, out, self.first, self.count, x.shape[-1], whole, width)
        return out


@kernel
def _number(index: Ints, ids: Ints, first: Ints, wrong: Flag, task: int) -> None:
    limit = first.size
    for i in range(limit):
        first[i] = -1
    for row in range(index.size):
        number = index[row]
        if number < -limit or number >= limit:
            wrong[0] = 1
            number = 0
        number = number + limit if number < 0 else number
        ids[row] = number
        if first[number] < 0:
            first[number] = row


class Numbered:
    """The repeated rows of a sequence that was taken from a table, by their numbers there: a `Repeats` that is given.

    `first` is −1 for rows of the table that do not occur.

    Raises
    ------
    IndexError : the table does not have such a row.
    """

    def __init__(self, index: Array, rows: int) -> None:
        self.limit, self.count = rows, np.full(1, rows)
        self.ids, self.first = np.empty(index.size, np.int64), np.empty(rows, np.int64)
        wrong = np.zeros(1, np.int64)
        _number(1, np.ascontiguousarray(index, np.int64), self.ids, self.first, wrong)
        check_index(wrong, index, rows)


@kernel
def _products(
    x: Floats, w: Floats, bias: Floats, out: Floats, first: Ints, count: Ints, f: int, whole: int, width: int,
    panel: int,
) -> None:  # fmt: skip
    """One panel of columns of all distinct rows' products."""
    size, found, ld = x.itemsize, count[0], out.size // max(first.size, 1)
    memory = np.empty(ROWS * (f + 2 * width), x.dtype)
    rows, start = aligned(memory), np.zeros(width, x.dtype)
    result = rows + (ROWS * f * size + WIDTH_BYTES - 1) // WIDTH_BYTES * WIDTH_BYTES
    left = panel * width
    copy_bytes(start.ctypes.data, bias.ctypes.data + left * size, min(width, bias.size - left) * size)
    for top in range(0, found, ROWS):
        some = min(ROWS, found - top)
        for r in range(some):
            copy_bytes(rows + r * f * size, x.ctypes.data + first[top + r] * f * size, f * size)
        product(
            x, rows, f * size, some - 1, w.ctypes.data + panel * whole * WIDTH_BYTES, 0, f, start.ctypes.data, 0,
            result, WIDTH_BYTES, 1,
        )  # fmt: skip
        for r in range(some):
            copy_bytes(out.ctypes.data + ((top + r) * ld + left) * size, result + r * WIDTH_BYTES, WIDTH_BYTES)
    memory[0] = start[0] = 0  # an address alone does not keep an array's memory
