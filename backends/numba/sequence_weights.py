"""The gradients of a recurrent layer's weights: sums over all steps and samples of a cotangent times an input.

They are products as deep as the sequence has rows. The backward pass, which has each row at hand, writes cotangents in
panels and inputs in tiles, just as the register tile reads them, so that nothing is packed afterwards. Where few rows
of the input are different (`repeats.py`), the cotangents of equal ones are added up first, and the product is as deep
as there are distinct rows.

Row k of panels and tiles is the k-th that the backward pass comes to; any order will do, if it is the same for both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import memory
from .compile import Floats, Ints, jit, kernel
from .gemm import DEPTH, ROWS, WIDTH_BYTES, aligned
from .products import matmul
from .repeats import Numbered, Repeats
from .sequence import Layout, product
from .tile import VECTOR_BYTES, VECTORS, strided_tile, tile_width
from .vectors import (
    add_row,
    clear_bytes,
    copy_bytes,
    copy_heights,
    copy_widths,
    fetch_to_write,
    sum_vectors,
    transpose_vectors,
)  # fmt: skip

Array = Any
GROUP = 2  # panels of one task, unless there are few
BAND = 4 * ROWS  # rows of one task


# ---------------------------------------------------------------- layouts
#
# One row more than there are lies between two panels, and two tiles: powers of two would bring them together in the
# cache.


def empty_panels(rows: int, columns: int, dtype: Any) -> Array:
    """Memory for (rows, columns) in panels of a tile's width."""
    width = tile_width(dtype.itemsize)
    return memory.empty((-(-columns // width), rows + 1, width), dtype)


def empty_tiles(rows: int, columns: int, dtype: Any) -> Array:
    """Memory for (rows, columns) in tiles of as many columns as the register tile has rows."""
    return memory.empty((-(-columns // ROWS), rows + 1, ROWS), dtype)


@jit
def put_panels(like: Array, row: int, panels: int, k: int, rows: int, count: int) -> None:
    """Row k of so many panels, from memory that reaches to the end of the last one."""
    copy_widths(like, row, WIDTH_BYTES, panels + k * WIDTH_BYTES, (rows + 1) * WIDTH_BYTES, count)


@jit
def put_tiles(like: Array, row: int, tiles: int, k: int, rows: int, columns: int) -> None:
    """Row k of the tiles."""
    bytes_, whole = ROWS * like.itemsize, columns // ROWS
    apart = (rows + 1) * bytes_
    copy_heights(like, row, bytes_, tiles + k * bytes_, apart, whole)
    if whole * ROWS < columns:
        clear_bytes(tiles + whole * apart + k * bytes_, bytes_)
        copy_bytes(tiles + whole * apart + k * bytes_, row + whole * bytes_, columns * like.itemsize - whole * bytes_)


@jit
def fetch_panels(panels: int, k: int, rows: int, some: int, count: int, share: int, shares: int) -> None:
    """Bring rows k … k + some − 1 of one of several shares of `count` panels nearer, to be written."""
    for panel in range(count * share // shares, count * (share + 1) // shares):
        fetch_to_write(panels + (panel * (rows + 1) + k) * WIDTH_BYTES, some * WIDTH_BYTES)


@jit
def fetch_tiles(like: Array, tiles: int, k: int, rows: int, some: int, columns: int, share: int, shares: int) -> None:
    """Bring rows k … k + some − 1 of one of several shares of the tiles of so many columns nearer, to be written."""
    bytes_, count = ROWS * like.itemsize, (columns + ROWS - 1) // ROWS
    for tile in range(count * share // shares, count * (share + 1) // shares):
        fetch_to_write(tiles + (tile * (rows + 1) + k) * bytes_, some * bytes_)


# ---------------------------------------------------------------- products


@jit
def _accumulate(
    like: Array, tiles: int, apart: int, count: int, panel: int, rows: int, sums: int, zeros: int, total: int
) -> None:
    """sums = Aᵀ·B, (count tiles, columns), from A's tiles and a panel of B; and B's column sums to `total`."""
    bytes_, none = ROWS * like.itemsize, like.dtype.type(-np.inf)
    for start in range(0, max(rows, 1), DEPTH):
        depth = min(DEPTH, rows - start)
        b = panel + start * WIDTH_BYTES
        for tile in range(count):
            c = sums + tile * ROWS * WIDTH_BYTES
            i, ldi = (c, WIDTH_BYTES) if start else (zeros, 0)
            strided_tile(
                like, tiles + tile * apart + start * bytes_, like.itemsize, ROWS - 1, bytes_, b, WIDTH_BYTES, i, ldi,
                c, WIDTH_BYTES, depth, none,
            )  # fmt: skip
        if total:
            span = zeros + WIDTH_BYTES
            clear_bytes(span, WIDTH_BYTES)
            for v in range(VECTORS):
                sum_vectors(like, b + v * VECTOR_BYTES, WIDTH_BYTES, depth, span + v * VECTOR_BYTES)
            add_row(like, span, total, WIDTH_BYTES // like.itemsize)


@jit
def _turned(like: Array, sums: int, rows: int, out: int, ldo: int, columns: int) -> None:
    """out[j, i] = sums[i, j], the sums a panel's width apart."""
    size = like.itemsize
    lanes = VECTOR_BYTES // size
    for i in range(0, rows, lanes):
        for j in range(0, columns, lanes):
            source, target = sums + i * WIDTH_BYTES + j * size, out + j * ldo + i * size
            if i + lanes <= rows and j + lanes <= columns:
                transpose_vectors(like, source, WIDTH_BYTES, target, ldo)
            else:
                for p in range(min(lanes, rows - i)):
                    for q in range(min(lanes, columns - j)):
                        copy_bytes(target + q * ldo + p * size, source + p * WIDTH_BYTES + q * size, size)


@jit
def _add_up(like: Array, ids: Array, panel: int, sums: int, found: int) -> None:
    """The rows of a panel added up by the number that each has."""
    clear_bytes(sums, found * WIDTH_BYTES)
    for k in range(ids.size):
        add_row(like, panel + k * WIDTH_BYTES, sums + ids[k] * WIDTH_BYTES, WIDTH_BYTES // like.itemsize)


@kernel
def _weight_group(
    da: Floats, tiles: Floats, x: Floats, dw: Floats, db: Floats, by_id: Floats, ids: Ints, first: Ints,
    count: Ints, rows: int, columns: int, features: int, group: int, task: int,
) -> None:  # fmt: skip
    """Some rows of dw: (columns, features) = Σ daᵀ·x, and of db = Σ da and by_id = Σ [id] da if there are such.

    count[0]: of how many distinct rows the x consists that `first` finds in it, −1 for one that it lacks; 0 if it is in
    tiles instead.
    """
    size, found = da.itemsize, count[0]
    width, bytes_ = WIDTH_BYTES // size, ROWS * size
    high = (features + ROWS - 1) // ROWS
    depth = found if found else rows
    reach = (high * ROWS * WIDTH_BYTES + VECTOR_BYTES * WIDTH_BYTES) // size  # whole squares for `transpose_vectors`
    own = high * (found + 1) * ROWS + found * width + features if found else 0
    scratch = np.empty(reach + own + 4 * width, da.dtype)
    zeros = aligned(scratch)
    total, sums = zeros + 2 * WIDTH_BYTES, zeros + 3 * WIDTH_BYTES
    added = sums + reach * size
    own_tiles = added + found * WIDTH_BYTES
    clear_bytes(zeros, WIDTH_BYTES)
    a, apart = tiles.ctypes.data, (rows + 1) * bytes_
    if found:
        a, apart = own_tiles, (found + 1) * bytes_
        absent = own_tiles + high * apart
        clear_bytes(absent, features * size)
        for u in range(found):
            row = absent if first[u] < 0 else x.ctypes.data + first[u] * features * size
            put_tiles(da, row, own_tiles, u, found, features)
    for panel in range(task * group, min((task + 1) * group, (columns + width - 1) // width)):
        b, left = da.ctypes.data + panel * (rows + 1) * WIDTH_BYTES, panel * width
        some = min(width, columns - left)
        if found:
            _add_up(da, ids, b, added, found)
            b = added
            for u in range(found if by_id.size else 0):
                target = by_id.ctypes.data + (u * columns + left) * size
                copy_bytes(target, added + u * WIDTH_BYTES, some * size)
        clear_bytes(total, WIDTH_BYTES)
        _accumulate(da, a, apart, high, b, depth, sums, zeros, total if db.size else 0)
        _turned(da, sums, features, dw.ctypes.data + left * features * size, features * size, some)
        if db.size:
            copy_bytes(db.ctypes.data + left * size, total, some * size)
    scratch[0] = 0  # an address alone does not keep an array's memory


class Inputs:
    """The x of a weight's gradient: in tiles, or as it is, if few of its rows are different.

    Attributes
    ----------
    tiles : memory for the tiles. ids : memory for the number of each row's distinct one, by k.
    """

    def __init__(
        self, rows: int, columns: int, dtype: Any, x: Array | None = None, repeats: Repeats | Numbered | None = None
    ) -> None:
        self.tiles = empty_tiles(rows, columns, dtype)
        self.rows, self.columns = rows, columns
        self.x = self.tiles.reshape(-1) if x is None else x
        self.ids = np.empty(rows if repeats is not None and repeats.limit else 0, np.int64)
        self.first = np.empty(0, np.int64) if repeats is None else repeats.first
        self.count = np.zeros(1, np.int64) if repeats is None else repeats.count

    def weight_grad(self, da: Array, w: Array, *, bias: bool, table: bool = False) -> tuple[Array, ...]:
        """Σ daᵀ·x for da in panels, of the shape of the weight w, and Σ da.

        table: and the cotangent of the table that the rows of x were taken from, Σ da over the steps that took a row,
        times w.
        """
        columns = w.shape[0]
        dw, db = memory.empty(w.shape, da.dtype), np.empty(columns if bias else 0, da.dtype)
        sums = memory.empty((self.first.size if table else 0, columns), da.dtype)
        group = GROUP if da.shape[0] >= 8 * GROUP else 1
        _weight_group(
            -(-da.shape[0] // group), da, self.tiles, self.x, dw, db, sums, self.ids, self.first, self.count, self.rows,
            columns, self.columns, group,
        )  # fmt: skip
        return (dw, db, matmul(sums, w)) if table else (dw, db)


@kernel
def _input_band(
    da: Floats, w: Floats, dx: Floats, t: int, n: int, f: int, columns: int, st: int, sn: int, task: int
) -> None:
    """Some rows of dx = da·w, in the order in which one task goes back through the samples."""
    size, rows = da.itemsize, t * n
    width = WIDTH_BYTES // size
    parts, x_parts = (columns + width - 1) // width, (f + width - 1) // width
    apart, x_bytes = (parts + 1) * WIDTH_BYTES, x_parts * WIDTH_BYTES
    scratch = np.zeros(ROWS * (parts + 1 + x_parts) * width + x_parts * width + width, da.dtype)
    local = aligned(scratch)
    found = local + ROWS * apart
    zeros = found + ROWS * x_bytes
    for first in range(task * BAND, min((task + 1) * BAND, rows), ROWS):
        some = min(ROWS, rows - first)
        for r in range(some):
            row = da.ctypes.data + (first + r) * WIDTH_BYTES
            copy_widths(da, row, (rows + 1) * WIDTH_BYTES, local + r * apart, WIDTH_BYTES, parts)
        product(
            da, local, apart, some - 1, w.ctypes.data, columns * WIDTH_BYTES, columns, zeros, 0, found, x_bytes, x_parts
        )  # fmt: skip
        for r in range(some):
            step, sample = t - 1 - (first + r) // n, (first + r) % n
            copy_bytes(dx.ctypes.data + (step * st + sample * sn) * f * size, found + r * x_bytes, f * size)
    scratch[0] = 0  # an address alone does not keep an array's memory


def input_grad(lay: Layout, da: Array, w: Array, dx: Array, columns: int) -> None:
    """dx from the cotangents in panels, where a single task has gone back: see `Layout.few`."""
    _input_band(-(-lay.t * lay.n // BAND), da, w, dx, lay.t, lay.n, dx.shape[-1], columns, lay.st, lay.sn)
