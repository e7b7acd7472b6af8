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
from .tile import TALL_ROWS, VECTOR_BYTES, tall_fma_tile, tile_width
from .vectors import lanes
from .winograd_tiles import enter_tile, leave_pooled_tile, leave_tile

Array = Any
Pair = tuple[int, int]

SCRATCH = 3 << 17  # bytes of the blocks that a task has in its scratch buffer
CHANNELS = 16  # that both sides must have: with fewer, the transforms cost more than the products save
TILES = 128  # that a call must have, to be worth transforming the weight
SAVING = 1.5  # times fewer products than the direct kernels need, below which the transforms eat it up


def suits(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, dilation: Pair, tiles: int, pixels: float
) -> bool:
    """Whether this is faster than a direct kernel: tiles here, windows there, of one image."""
    return (
        w_shape[2:] == (3, 3)
        and stride == dilation == (1, 1)
        and w_shape[1] == x_shape[1]
        and min(w_shape[:2]) >= CHANNELS
        and x_shape[0] * tiles >= TILES
        and 9 * pixels >= 16 * tiles * SAVING
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
def _copy_window(x: Floats, image: int, y0: int, x0: int, h: int, w: int, c: int, scratch: Floats, to: int) -> None:
    """4 × 4 pixels, zero outside the image, as rows of whole vectors."""
    step = VECTOR_BYTES // x.itemsize
    row = (c + step - 1) // step * step
    for i in range(4):
        for j in range(4):
            at = to + (4 * i + j) * row
            if y0 + i < 0 or y0 + i >= h or x0 + j < 0 or x0 + j >= w:
                for k in range(row):
                    scratch[at + k] = 0
                continue
            source = ((image * h + y0 + i) * w + x0 + j) * c
            for k in range(c):
                scratch[at + k] = x[source + k]
            for k in range(c, row):
                scratch[at + k] = 0


@jit
def enter_tiles(x: Floats, scratch: Floats, v: int, stage: int, start: int, stop: int, geo: Ints) -> None:
    """Bᵀ d B of tiles start..stop-1, from element v of the scratch buffer on; `stage` is for windows at an edge."""
    h, w, c, rows, columns = geo[0], geo[1], geo[2], geo[6], geo[7]
    lanes_, width, size = geo[11], geo[14], x.itemsize
    step = (geo[13] * width + lanes_) * size
    image, rest = divmod(start, rows * columns)
    ty, tx = divmod(rest, columns)
    for t in range(stop - start):
        y0, x0 = 2 * ty - geo[8], 2 * tx - geo[9]
        if y0 >= 0 and x0 >= 0 and y0 + 4 <= h and x0 + 4 <= w and c == width:
            source, row, pixel = x.ctypes.data + ((image * h + y0) * w + x0) * c * size, w * c * size, c * size
        else:
            _copy_window(x, image, y0, x0, h, w, c, scratch, stage)
            source, row, pixel = scratch.ctypes.data + stage * size, 4 * width * size, width * size
        target = scratch.ctypes.data + (v + t * width) * size
        for k in range(0, width * size, lanes_ * size):
            enter_tile(x, source + k, row, pixel, target + k, step)
        tx += 1
        if tx == columns:
            tx, ty = 0, ty + 1
            if ty == rows:
                ty, image = 0, image + 1


@jit
def multiply_tiles(
    like: Floats, a: int, a_step: int, rows: Ints, steps: Ints, b: int, b_step: int, ldb: int, zero: int, c: int,
    c_step: int, ldc: int, count: int, depth: int,
) -> None:  # fmt: skip
    """Sixteen products C = A · B of `count` rows; C += A · B if `zero`, an address of zeros, is 0. Steps in bytes."""
    for s in range(16):
        for r in range(0, count, TALL_ROWS):
            at = c + s * c_step + r * ldc
            initial, ldi = (zero, 0) if zero else (at, ldc)
            tall_fma_tile(
                like, a + s * a_step, rows.ctypes.data + r * 8, steps.ctypes.data, b + s * b_step, ldb, initial, ldi,
                at, ldc, depth,
            )  # fmt: skip


# ------------------------------------------------------------------ forward


@jit
def _leave(
    scratch: Floats, m: int, stage: int, bias: Floats, out: Floats, relu: int, start: int, stop: int, panel: int,
    geo: Ints,
) -> None:  # fmt: skip
    """Tiles start..stop-1 of one panel of output channels to their pixels."""
    oh, ow, o, rows, columns, nr, lanes_ = geo[3], geo[4], geo[5], geo[6], geo[7], geo[10], geo[11]
    size = out.itemsize
    step = (geo[13] * nr + lanes_) * size
    first = panel * nr
    dump = scratch.ctypes.data + stage * size
    image, rest = divmod(start, rows * columns)
    ty, tx = divmod(rest, columns)
    for t in range(stop - start):
        y, x = 2 * ty, 2 * tx
        at = ((image * oh + y) * ow + x) * o
        right, below = x + 1 < ow, y + 1 < oh
        for k in range(first, min(first + nr, o), lanes_):
            source = scratch.ctypes.data + (m + t * nr + k - first) * size
            shift = bias.ctypes.data + k * size
            if k + lanes_ <= o:
                a = out.ctypes.data + (at + k) * size
                b, c = a + o * size, a + ow * o * size
                leave_tile(
                    out, source, step, shift, relu, a, b if right else dump, c if below else dump,
                    c + o * size if right and below else dump,
                )  # fmt: skip
                continue
            line = lanes_ * size
            leave_tile(out, source, step, shift, relu, dump, dump + line, dump + 2 * line, dump + 3 * line)
            for j in range(o - k):
                out[at + k + j] = scratch[stage + j]
                if right:
                    out[at + o + k + j] = scratch[stage + lanes_ + j]
                if below:
                    out[at + ow * o + k + j] = scratch[stage + 2 * lanes_ + j]
                if right and below:
                    out[at + (ow + 1) * o + k + j] = scratch[stage + 3 * lanes_ + j]
        tx += 1
        if tx == columns:
            tx, ty = 0, ty + 1
            if ty == rows:
                ty, image = 0, image + 1


@jit
def _leave_pooled(
    scratch: Floats, m: int, stage: int, places: Bytes, bias: Floats, out: Floats, place: Bytes, start: int, stop: int,
    panel: int, geo: Ints,
) -> None:  # fmt: skip
    """The same with the maximum of each tile, and its place."""
    o, nr, lanes_, size = geo[5], geo[10], geo[11], out.itemsize
    step = (geo[13] * nr + lanes_) * size
    first = panel * nr
    for t in range(stop - start):
        at = (start + t) * o
        for k in range(first, min(first + nr, o), lanes_):
            source = scratch.ctypes.data + (m + t * nr + k - first) * size
            shift = bias.ctypes.data + k * size
            if k + lanes_ <= o:
                leave_pooled_tile(
                    out, source, step, shift, out.ctypes.data + (at + k) * size, place.ctypes.data + at + k
                )  # fmt: skip
                continue
            leave_pooled_tile(out, source, step, shift, scratch.ctypes.data + stage * size, places.ctypes.data)
            for j in range(o - k):
                out[at + k + j], place[at + k + j] = scratch[stage + j], places[j]


@jit
def _forward_block(
    x: Floats, u: Floats, bias: Floats, out: Floats, place: Bytes, scratch: Floats, rows: Ints, steps: Ints,
    places: Bytes, geo: Ints, relu: int, start: int, stop: int,
) -> None:  # fmt: skip
    c, o, nr, lanes_, block, width = geo[2], geo[5], geo[10], geo[11], geo[13], geo[14]
    size = x.itemsize
    zero = aligned(scratch)
    stage = zero + nr
    v = stage + 16 * width
    m = v + 16 * (block * width + lanes_)
    scratch[zero : zero + nr] = 0
    for r in range(block):
        rows[r] = min(r, stop - start - 1) * width * size
    for k in range(c):
        steps[k] = k * size
    enter_tiles(x, scratch, v, stage, start, stop, geo)
    base, line = scratch.ctypes.data, (c + 1) * nr * size
    for panel in range((o + nr - 1) // nr):
        multiply_tiles(
            x, base + v * size, (block * width + lanes_) * size, rows, steps, u.ctypes.data + panel * 16 * line,
            line, nr * size, base + zero * size, base + m * size, (block * nr + lanes_) * size, nr * size,
            stop - start, c,
        )  # fmt: skip
        if place.size:
            _leave_pooled(scratch, m, stage, places, bias, out, place, start, stop, panel, geo)
        else:
            _leave(scratch, m, stage, bias, out, relu, start, stop, panel, geo)


@kernel
def _forward_tiles(
    x: Floats, u: Floats, bias: Floats, out: Floats, place: Bytes, geo: Ints, relu: int, task: int
) -> None:
    """One block of tiles; `place` is empty without pooling."""
    nr, lanes_, total, block, width = geo[10], geo[11], geo[12], geo[13], geo[14]
    scratch = np.empty(lanes_ + nr + 16 * (width + block * (width + nr) + 2 * lanes_), x.dtype)
    rows, steps = np.empty(block, np.int64), np.empty(geo[2], np.int64)
    places = np.empty(lanes_, np.int8)
    start = task * block
    stop = min(start + block, total)
    _forward_block(x, u, bias, out, place, scratch, rows, steps, places, geo, relu, start, stop)


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
    padded = np.zeros(geo[15], x.dtype)
    padded[: bias.size] = bias
    tasks = -(-int(geo[12]) // int(geo[13]))
    _forward_tiles(
        tasks, channels_last(x), transform_filters(weight), padded, channels_last(out), place, geo, int(relu)
    )  # fmt: skip
