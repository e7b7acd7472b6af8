"""Convolutions of 3 × 3 with a stride of 1 by Winograd's F(2×2, 3×3): 16 products a tile of 2 × 2 pixels instead of 36.

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

for each tile, with d its window of 4 × 4 pixels and g a filter; ⊙, summed over the channels, is sixteen matrix
products, (tiles × channels) · (channels × filters). Lavin & Gray, *Fast algorithms for convolutional neural networks*,
2016. The transforms are in `winograd_tiles.py`, the gradients in `winograd_grad.py`.

A task takes a block of tiles, of one image or several: it transforms their windows, multiplies, and transforms back,
all in its scratch buffer in the second-level cache. A window of 2 × 2 that is pooled is a tile, so its maximum is taken
in registers. Windows that reach over an edge, and channels that do not fill a vector, go through a small copy.

Rounding: the transforms add up to four values before and nine after a product, but a sum runs over the channels alone,
a ninth as long, which outweighs that. Measured on normal numbers with 17 to 64 channels against float64, the largest
error in float32 is a third to a half of the direct kernels', in all gradients too. A NaN reaches the same pixels; an
infinite pixel gives NaN where the direct sum would give ∞.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .compile import Bytes, Floats, Ints, jit, kernel
from .layout import channels_last, ready
from .memory import empty_images
from .tile import TALL_ROWS, VECTOR_BYTES, narrow_strided_tile, strided_tile, tile_width
from .vectors import clear_bytes, copy_bytes, lanes
from .winograd_tiles import enter_tile, leave_pooled_tile, leave_tile

Array = Any
Pair = tuple[int, int]

SCRATCH = 3 << 17  # bytes of the blocks that a task has in its scratch buffer
CHANNELS = 16  # that both sides must have: with fewer, the transforms cost more than the products save
TILES = 32  # that a call must have, to be worth transforming the weight
SAVING = 1.2  # times fewer products than the direct kernels need, below which the transforms eat it up


def suits(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, dilation: Pair, tiles: int, pixels: float,
    saving: float = SAVING,
) -> bool:  # fmt: skip
    """Whether this is faster than a direct kernel: tiles here, windows there, of one image."""
    return (
        w_shape[2:] == (3, 3)
        and stride == dilation == (1, 1)
        and w_shape[1] == x_shape[1]
        and min(w_shape[:2]) >= CHANNELS
        and x_shape[0] * tiles >= TILES
        and 9 * pixels >= 16 * tiles * saving
    )


def count_tiles(size: Pair, pooled: bool = False) -> int:
    """Tiles of an output of that size; without those that reach over its edge if they are `pooled`."""
    return (size[0] + (not pooled)) // 2 * ((size[1] + (not pooled)) // 2)


@lru_cache(maxsize=1024)
def tiling(
    x_shape: tuple[int, ...], o: int, size: Pair, padding: Pair, pooled: bool, width: int, itemsize: int
) -> Array:
    """The numbers that the kernels need. `width` is of the rows in scratch that one tile and one product take."""
    n, c, h, w = x_shape
    rows, columns = (size[0] // 2, size[1] // 2) if pooled else (-(-size[0] // 2), -(-size[1] // 2))
    step, nr = lanes(itemsize), tile_width(itemsize)
    total = n * rows * columns
    block = min(max(SCRATCH // (16 * width * itemsize), 16), 96, max(total // 8, 1))
    block = -(-block // TALL_ROWS) * TALL_ROWS
    return np.array(
        (h, w, c, *size, o, rows, columns, *padding, nr, step, total, block, -(-c // step) * step, -(-o // nr) * nr),
        np.int64,
    )


# ------------------------------------------------------------------ parts of the kernels


@kernel
def _transform_filters(
    w: Floats, packed: Floats, depth: int, columns: int, row: int, column: int, nr: int, blocks: int, task: int
) -> None:
    """G g Gᵀ of the filters of some rows and one tile's width of columns, as (panel, product, row, column).

    The filter of a row k and a column j begins at k · row + j · column in w.
    """
    panel, block = task // blocks, task % blocks
    step = (depth + 1) * nr
    half = w.dtype.type(0.5)
    for k in range(depth * block // blocks, depth * (block + 1) // blocks):
        for j in range(nr):
            at = panel * 16 * step + k * nr + j
            if panel * nr + j >= columns:
                for s in range(16):
                    packed[at + s * step] = 0
                continue
            f = k * row + (panel * nr + j) * column
            for i in range(4):
                if i == 0:
                    a, b, c = w[f], w[f + 1], w[f + 2]
                elif i == 3:
                    a, b, c = w[f + 6], w[f + 7], w[f + 8]
                elif i == 1:
                    a = (w[f] + w[f + 3] + w[f + 6]) * half
                    b = (w[f + 1] + w[f + 4] + w[f + 7]) * half
                    c = (w[f + 2] + w[f + 5] + w[f + 8]) * half
                else:
                    a = (w[f] - w[f + 3] + w[f + 6]) * half
                    b = (w[f + 1] - w[f + 4] + w[f + 7]) * half
                    c = (w[f + 2] - w[f + 5] + w[f + 8]) * half
                to = at + 4 * i * step
                packed[to] = a
                packed[to + step] = (a + b + c) * half
                packed[to + 2 * step] = (a - b + c) * half
                packed[to + 3 * step] = c


def transform_filters(weight: Array, transposed: bool = False) -> Array:
    """G g Gᵀ in panels of a tile's width: rows are input channels, columns output channels, or the other way round.

    Each product's rows are followed by an empty one, lest all sixteen meet in the same places of the cache.
    """
    o, c = weight.shape[:2]
    nr = tile_width(weight.itemsize)
    depth, columns, row, column = (o, c, c * 9, 9) if transposed else (c, o, 9, c * 9)
    panels, blocks = -(-columns // nr), max(1, min(8, depth // 8))
    packed = np.empty(panels * 16 * (depth + 1) * nr, weight.dtype)
    _transform_filters(panels * blocks, ready(weight), packed, depth, columns, row, column, nr, blocks)
    return packed


@jit
def aligned(scratch: Floats) -> int:
    """The first element that begins a vector register's width in memory."""
    skipped: int = -(scratch.ctypes.data // scratch.itemsize) % (VECTOR_BYTES // scratch.itemsize)
    return skipped


@jit
def place_of(tile: int, geo: Ints) -> tuple[int, int, int]:
    """A tile's image, row and column."""
    rows, columns = geo[6], geo[7]
    line = tile // columns
    image = line // rows
    return image, line - image * rows, tile - line * columns


@jit
def move_window(
    x: int, y0: int, x0: int, h: int, w: int, pixel: int, part: int, stage: int, line: int, back: bool
) -> None:  # fmt: skip
    """Copy those of 4 × 4 pixels that lie within an image to the stage, or back: `part` bytes of each.

    x: address of the image, whose pixels lie `pixel` bytes apart; in the stage, `line` bytes.
    """
    for i in range(max(0, -y0), min(4, h - y0)):
        for j in range(max(0, -x0), min(4, w - x0)):
            a, b = x + ((y0 + i) * w + x0 + j) * pixel, stage + (4 * i + j) * line
            if back:
                copy_bytes(a, b, part)
            else:
                copy_bytes(b, a, part)


@jit
def enter_tiles(x: Floats, scratch: Floats, v: int, stage: int, start: int, stop: int, geo: Ints) -> None:
    """Bᵀ d B of tiles start..stop-1, from element v of the scratch buffer on; `stage` is for windows at an edge."""
    h, w, c, lanes_, width, size = geo[0], geo[1], geo[2], geo[11], geo[14], x.itemsize
    step, line = (geo[13] * width + lanes_) * size, width * size
    staged = scratch.ctypes.data + stage * size
    for t in range(stop - start):
        image, ty, tx = place_of(start + t, geo)
        y0, x0 = 2 * ty - geo[8], 2 * tx - geo[9]
        pixels = x.ctypes.data + image * h * w * c * size
        if y0 >= 0 and x0 >= 0 and y0 + 4 <= h and x0 + 4 <= w and c == width:
            source, row, pixel = pixels + (y0 * w + x0) * c * size, w * c * size, c * size
        else:
            clear_bytes(staged, 16 * line)
            move_window(pixels, y0, x0, h, w, c * size, c * size, staged, line, False)
            source, row, pixel = staged, 4 * line, line
        target = scratch.ctypes.data + (v + t * width) * size
        for k in range(0, line, lanes_ * size):
            enter_tile(x, source + k, row, pixel, target + k, step)


@jit
def multiply_tiles(
    like: Floats, a: int, a_step: int, row: int, last: int, by_step: int, b: int, b_step: int, ldb: int, i: int,
    i_step: int, ldi: int, c: int, c_step: int, ldc: int, depth: int, columns: int,
) -> None:  # fmt: skip
    """Sixteen products C = I + A · B of the rows 0..last of A; the steps from one to the next, and the rest, in bytes.

    Rows of C beyond, up to whole tiles, repeat the last one. With few enough `columns`, only a vector's are computed.
    """
    lowest = like.dtype.type(-np.inf)
    for s in range(16):
        for r in range(0, last + 1, TALL_ROWS):
            at, start, to = a + s * a_step + r * row, i + s * i_step + r * ldi, c + s * c_step + r * ldc
            if columns * like.itemsize > VECTOR_BYTES:
                strided_tile(
                    like, at, row, last - r, by_step, b + s * b_step, ldb, start, ldi, to, ldc, depth, lowest
                )  # fmt: skip
            else:
                narrow_strided_tile(
                    like, at, row, last - r, by_step, b + s * b_step, ldb, start, ldi, to, ldc, depth, lowest
                )  # fmt: skip


# ------------------------------------------------------------------ forward


@jit
def _leave(
    scratch: Floats, m: int, stage: int, shift: int, out: Floats, relu: int, start: int, stop: int, first: int,
    geo: Ints,
) -> None:  # fmt: skip
    """Tiles start..stop-1, a panel of channels from `first` on, to their pixels; those outside go to the stage."""
    oh, ow, o, nr, lanes_, size = geo[3], geo[4], geo[5], geo[10], geo[11], out.itemsize
    step, line = (geo[13] * nr + lanes_) * size, lanes_ * size
    staged = scratch.ctypes.data + stage * size
    for t in range(stop - start):
        image, ty, tx = place_of(start + t, geo)
        right, below = 2 * tx + 1 < ow, 2 * ty + 1 < oh
        for k in range(first, min(first + nr, o), lanes_):
            source = scratch.ctypes.data + (m + t * nr + k - first) * size
            a = out.ctypes.data + (((image * oh + 2 * ty) * ow + 2 * tx) * o + k) * size
            b, c, d = a + o * size, a + ow * o * size, a + (ow + 1) * o * size
            whole = k + lanes_ <= o
            leave_tile(
                out, source, step, scratch.ctypes.data + (shift + k) * size, relu, a if whole else staged,
                b if whole and right else staged + line, c if whole and below else staged + 2 * line,
                d if whole and right and below else staged + 3 * line,
            )  # fmt: skip
            if not whole:
                part = (o - k) * size
                copy_bytes(a, staged, part)
                copy_bytes(b, staged + line, part if right else 0)
                copy_bytes(c, staged + 2 * line, part if below else 0)
                copy_bytes(d, staged + 3 * line, part if right and below else 0)


@jit
def _leave_pooled(
    scratch: Floats, m: int, stage: int, shift: int, places: Bytes, out: Floats, place: Bytes, start: int, stop: int,
    first: int, geo: Ints,
) -> None:  # fmt: skip
    """The same with the maximum of each tile, and its place."""
    o, nr, lanes_, size = geo[5], geo[10], geo[11], out.itemsize
    step = (geo[13] * nr + lanes_) * size
    for t in range(stop - start):
        for k in range(first, min(first + nr, o), lanes_):
            source = scratch.ctypes.data + (m + t * nr + k - first) * size
            a, b = out.ctypes.data + ((start + t) * o + k) * size, place.ctypes.data + (start + t) * o + k
            whole = k + lanes_ <= o
            to, place_to = (a, b) if whole else (scratch.ctypes.data + stage * size, places.ctypes.data)
            leave_pooled_tile(out, source, step, scratch.ctypes.data + (shift + k) * size, to, place_to)
            if not whole:
                copy_bytes(a, to, (o - k) * size)
                copy_bytes(b, place_to, o - k)


@kernel
def _forward_tiles(
    x: Floats, u: Floats, bias: Floats, out: Floats, place: Bytes, geo: Ints, relu: int, task: int
) -> None:
    """One block of tiles; `place` is empty without pooling."""
    c, o, nr, lanes_, total, block, width, wide = geo[2], geo[5], geo[10], geo[11], geo[12], geo[13], geo[14], geo[15]
    size = x.itemsize
    scratch = np.empty(lanes_ + nr + wide + 16 * (width + block * (width + nr) + 2 * lanes_), x.dtype)
    places = np.empty(lanes_, np.int8)
    start = task * block
    stop = min(start + block, total)
    zero = aligned(scratch)
    shift = zero + nr
    stage = shift + wide
    v = stage + 16 * width
    m = v + 16 * (block * width + lanes_)
    base, line = scratch.ctypes.data, (c + 1) * nr * size
    clear_bytes(base + zero * size, (nr + wide) * size)
    copy_bytes(base + shift * size, bias.ctypes.data, bias.size * size)
    enter_tiles(x, scratch, v, stage, start, stop, geo)
    for panel in range(0, o, nr):
        multiply_tiles(
            x, base + v * size, (block * width + lanes_) * size, width * size, stop - start - 1, size,
            u.ctypes.data + panel // nr * 16 * line, line, nr * size, base + zero * size, 0, 0, base + m * size,
            (block * nr + lanes_) * size, nr * size, c, o - panel,
        )  # fmt: skip
        if place.size:
            _leave_pooled(scratch, m, stage, shift, places, out, place, start, stop, panel, geo)
        else:
            _leave(scratch, m, stage, shift, out, relu, start, stop, panel, geo)


def convolve(x: Array, weight: Array, bias: Array, size: Pair, padding: Pair, relu: bool) -> Array:
    """x: (n, c, h, w), weight: (o, c, 3, 3), bias: (o,) or (0,) -> (n, o, *size); max(…, 0) of it with `relu`."""
    out = empty_images(len(x), len(weight), *size, x.dtype)
    _forward(x, weight, bias, out, np.empty(0, np.int8), size, padding, relu)
    return out


def convolve_pooled(x: Array, weight: Array, bias: Array, size: Pair, padding: Pair) -> tuple[Array, Array]:
    """The same with ReLU and windows of 2 × 2 pooled: maxima and places (n, o, size // 2)."""
    shape = len(x), len(weight), size[0] // 2, size[1] // 2
    out, place = empty_images(*shape, x.dtype), empty_images(*shape, np.dtype(np.int8))
    _forward(x, weight, bias, out, channels_last(place), size, padding, True)
    return out, place


def _forward(
    x: Array, weight: Array, bias: Array, out: Array, place: Array, size: Pair, padding: Pair, relu: bool
) -> None:
    o, c = weight.shape[:2]
    nr = tile_width(x.itemsize)
    geo = tiling(x.shape, o, size, padding, place.size > 0, c + nr, x.itemsize)
    tasks = -(-int(geo[12]) // int(geo[13]))
    _forward_tiles(
        tasks, channels_last(x), transform_filters(weight), ready(bias), channels_last(out), place, geo, int(relu)
    )  # fmt: skip
