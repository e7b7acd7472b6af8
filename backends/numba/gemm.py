"""Matrix products on the register tile, as helpers that a kernel's tasks call: one block of C = A·B each.

A is read where it lies, element by element, so any two strides will do: a product with a transposed A costs nothing
more, unless its steps lie so that they drive each other out of the cache; then it is copied. B is read in vectors, so a
panel of it, a tile's width of columns and `DEPTH` steps, is copied to where it stays in the first-level cache,
transposed in registers if it lies the other way; a task's panels are no other task's, so nothing is packed twice. What
C begins with, a bias say, costs nothing: it is what the tile's registers begin with.
After Goto & van de Geijn (see `tile.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import array_at, jit
from .sums import plus
from .tile import TALL_ROWS, VECTOR_BYTES, VECTORS, narrow_strided_tile, strided_tile
from .tile_column import narrow_column, tile_column
from .vectors import clear_bytes, copy_bytes, copy_heights, copy_widths, transpose_vectors

Array = Any

ROWS = TALL_ROWS
DEPTH = 192  # steps of one pass over C: a panel of them leaves the cache room for the rows of A
ALIAS = 2048  # bytes between steps of A at which all of them share a few places of the first-level cache
DOTS = 2  # columns for which the tile, which takes a vector of them, would compute mostly nothing
WIDTH_BYTES = VECTORS * VECTOR_BYTES  # of a panel's row


def aliased(a_row: int, a_step: int, size: int) -> bool:
    """Whether A's rows lie side by side and its steps so that they share a few places of the first-level cache."""
    return a_row == size and a_step % ALIAS == 0


_aliased = jit(aliased)


@jit
def aligned(memory: Array) -> Any:
    """The first address within the memory at which a vector may begin."""
    return (memory.ctypes.data + VECTOR_BYTES - 1) // VECTOR_BYTES * VECTOR_BYTES


@jit
def pack(like: Array, b: int, by_step: int, by_column: int, depth: int, columns: int, panel: int) -> None:
    """Columns of B, as many as the tile is wide, as rows of full width at `panel`; missing ones are zeros."""
    size = like.itemsize
    width, lanes = WIDTH_BYTES // size, VECTOR_BYTES // size
    if columns == width and by_column == size:
        copy_widths(like, b, by_step, panel, WIDTH_BYTES, depth)
        return
    out = array_at(like, panel, depth * width)
    begin = 0
    if columns == width and by_step == size:
        begin = depth // lanes * lanes
        for first in range(0, width, lanes):
            source = b + first * by_column
            for k in range(0, begin, lanes):
                transpose_vectors(
                    like, source + k * size, by_column, panel + k * WIDTH_BYTES + first * size, WIDTH_BYTES
                )
    for j in range(width):
        if j >= columns:
            for k in range(depth):
                out[k * width + j] = 0
        else:
            for k in range(begin, depth):
                out[k * width + j] = array_at(like, b + k * by_step + j * by_column, 1)[0]


@jit
def _copy(like: Array, source: int, lds: int, target: int, ldt: int, rows: int, columns: int) -> None:
    for r in range(rows):
        copy_bytes(target + r * ldt, source + r * lds, columns * like.itemsize)


@jit
def pack_rows(like: Array, a: int, a_step: int, out: int, rows: int, depth: int) -> None:
    """A, whose rows' elements lie side by side and its steps far apart, as whole tiles of consecutive steps."""
    tiles, size = rows // ROWS, like.itemsize
    apart = depth * ROWS * size
    for k in range(depth):
        copy_heights(like, a + k * a_step, ROWS * size, out + k * ROWS * size, apart, tiles)
    if rows > tiles * ROWS:
        _copy(like, a + tiles * ROWS * size, a_step, out + tiles * apart, ROWS * size, depth, rows - tiles * ROWS)


@jit
def tile(
    like: Array, a: int, a_row: int, a_step: int, panel: int, initial: int, ldi: int, c: int, ldc: int, rows: int,
    columns: int, depth: int, low: Any, corner: int,
) -> None:  # fmt: skip
    """C = I + A·B for one tile, or as many of its rows and columns as there are, B being a panel.

    corner: a whole tile's memory, where what reaches over an edge is computed.
    """
    lanes = VECTOR_BYTES // like.itemsize
    i, di, out, do = initial, ldi, c, ldc
    inside = rows == ROWS and columns * like.itemsize == WIDTH_BYTES
    if not inside:
        _copy(like, initial, ldi, corner, WIDTH_BYTES, rows, columns)
        i, di, out, do = corner, WIDTH_BYTES, corner, WIDTH_BYTES
    if columns > lanes:
        strided_tile(like, a, a_row, rows - 1, a_step, panel, WIDTH_BYTES, i, di, out, do, depth, low)
    else:
        narrow_strided_tile(like, a, a_row, rows - 1, a_step, panel, WIDTH_BYTES, i, di, out, do, depth, low)
    if not inside:
        _copy(like, corner, WIDTH_BYTES, c, ldc, rows, columns)


@jit
def column(
    like: Array, a: int, a_row: int, a_tile: int, a_step: int, panel: int, initial: int, ldi: int, c: int, ldc: int,
    rows: int, columns: int, depth: int, relu: int, corner: int,
) -> None:  # fmt: skip
    """C = I + A·B for all tiles of one panel B, of at least one step.

    a_tile: the bytes from one of A's tiles to the next. corner: a whole tile's memory, see `tile`.
    """
    size, lanes = like.itemsize, VECTOR_BYTES // like.itemsize
    tiles = rows // ROWS
    if columns * size == WIDTH_BYTES:
        tile_column(
            like, a, a_row, a_tile, a_step, panel, WIDTH_BYTES, initial, ldi, c, ldc, columns, depth, tiles, relu
        )
    else:
        for left in range(0, columns, lanes):
            narrow_column(
                like, a, a_row, a_tile, a_step, panel + left * size, WIDTH_BYTES, initial + left * size, ldi,
                c + left * size, ldc, columns - left, depth, tiles, relu,
            )  # fmt: skip
    low = like.dtype.type(0) if relu else like.dtype.type(-np.inf)
    for n in range(tiles, (rows + ROWS - 1) // ROWS):
        tile(
            like, a + n * a_tile, a_row, a_step, panel, initial + n * ROWS * ldi, ldi, c + n * ROWS * ldc, ldc,
            min(ROWS, rows - n * ROWS), columns, depth, low, corner,
        )  # fmt: skip


@jit
def _dots(
    like: Array, a: int, a_row: int, b: int, b_column: int, i: int, ldi: int, c: int, ldc: int, rows: int, columns: int,
    depth: int, relu: int,
) -> None:  # fmt: skip
    """C = I + A·B for a few columns, each element a sum over a row of A and a column of B as they lie."""
    size, zero = like.itemsize, like.dtype.type(0)
    for r in range(rows):
        x = array_at(like, a + r * a_row, depth)
        for j in range(columns):
            y, total = array_at(like, b + j * b_column, depth), zero
            for k in range(depth):
                total = plus(total, x[k] * y[k])
            total += array_at(like, i + r * ldi + j * size, 1)[0]
            array_at(like, c + r * ldc + j * size, 1)[0] = zero if relu and total <= zero else total


@jit
def block(
    like: Array, a: int, a_row: int, a_step: int, b: int, b_step: int, b_column: int, bias: int, c: int, ldc: int,
    rows: int, columns: int, depth: int, relu: int,
) -> None:  # fmt: skip
    """C = A·B, plus a bias for each column unless its address is 0; and what is not positive is 0 with `relu`.

    A: (rows, depth), B: (depth, columns), C: (rows, columns), by their addresses and the bytes from row to row, and so
    on. The columns of C lie side by side.
    """
    size = like.itemsize
    width, lanes = WIDTH_BYTES // size, VECTOR_BYTES // size
    tiles, passes = (rows + ROWS - 1) // ROWS, max(1, (depth + DEPTH - 1) // DEPTH)
    span = ((depth + passes - 1) // passes + lanes - 1) // lanes * lanes  # whole squares for `transpose_vectors`
    copied = _aliased(a_row, a_step, size) and tiles > 1 and columns > width
    memory = np.empty((DEPTH + 1 + ROWS) * width + (tiles * ROWS * DEPTH if copied else 0) + lanes, like.dtype)
    panel = aligned(memory)
    zeros, corner = panel + DEPTH * WIDTH_BYTES, panel + (DEPTH + 1) * WIDTH_BYTES
    clear_bytes(zeros, WIDTH_BYTES)
    for number in range(passes):
        k, stop = min(depth, number * span), min(depth, (number + 1) * span)
        source, tile_step, row_step, step = a + k * a_step, ROWS * a_row, a_row, a_step
        if copied:
            source, tile_step, step = corner + ROWS * WIDTH_BYTES, (stop - k) * ROWS * size, ROWS * size
            pack_rows(like, a + k * a_step, a_step, source, rows, stop - k)
        for left in range(0, columns, width):
            some = min(width, columns - left)
            cell = c + left * size
            if number:
                initial, ldi = cell, ldc
            else:
                initial, ldi = (bias + left * size if bias else zeros), 0
            if some <= DOTS and step == b_step == size:
                _dots(
                    like, source, row_step, b + k * size + left * b_column, b_column, initial, ldi, cell, ldc, rows,
                    some, stop - k, relu if stop == depth else 0,
                )  # fmt: skip
                continue
            pack(like, b + k * b_step + left * b_column, b_step, b_column, stop - k, some, panel)
            column(
                like, source, row_step, tile_step, step, panel, initial, ldi, cell, ldc, rows, some, stop - k,
                relu if stop == depth else 0, corner,
            )  # fmt: skip
    memory[0] = 0  # an address alone does not keep an array's memory


@jit
def panels_of(depth: int, columns: int, size: int) -> int:
    """Bytes of a whole matrix in panels."""
    return (columns * size + WIDTH_BYTES - 1) // WIDTH_BYTES * depth * WIDTH_BYTES


@jit
def pack_all(like: Array, b: int, by_step: int, by_column: int, depth: int, columns: int, panels: int) -> None:
    """A whole B in panels, one after another."""
    width = WIDTH_BYTES // like.itemsize
    for left in range(0, columns, width):
        panel = panels + left // width * depth * WIDTH_BYTES
        pack(like, b + left * by_column, by_step, by_column, depth, min(width, columns - left), panel)
