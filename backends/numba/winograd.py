"""Convolutions with a stride of 1 by Winograd's F(2×2, 3×3): 16 products a tile of 2 × 2 pixels instead of 36.

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

for each tile, with d its window of 4 × 4 pixels and g a filter; ⊙, summed over the channels, is sixteen matrix
products, (tiles × channels) · (channels × filters). Lavin & Gray, *Fast algorithms for convolutional neural networks*,
2016. The transforms are in `winograd_tiles.py`, the gradients in `winograd_grad.py`.

A larger filter is cut into parts of 3 × 3, filled up with zeros: they are as many channels, whose windows begin 3
pixels further on. That makes 64 products of the 100 of 5 × 5.

A task takes a block of tiles, of one image or several: it transforms their windows, multiplies each group of channels,
and transforms back, all in its scratch buffer in the second-level cache. With a dilation, the pixels of a tile lie that
far apart, as those of its window do. A window of 2 × 2 that is pooled is a tile, so its maximum is taken in registers.
Windows that reach over an edge, and channels that do not fill a vector, go through a small copy.

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
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, tiles: int, pixels: float, saving: float = SAVING
) -> bool:  # fmt: skip
    """Whether this is faster than a direct kernel: tiles here, windows there, of one image."""
    parts = count_parts(w_shape)
    return (
        stride == (1, 1)
        and min(w_shape[0] * w_shape[1] // x_shape[1], w_shape[1]) >= CHANNELS
        and (parts == 1 or (w_shape[1] == x_shape[1] and w_shape[1] % CHANNELS == 0))
        and x_shape[0] * tiles >= TILES
        and w_shape[2] * w_shape[3] * pixels >= 16 * parts * tiles * saving
    )


def count_parts(w_shape: tuple[int, ...]) -> int:
    """Parts of 3 × 3 that a filter is cut into."""
    return -(-w_shape[2] // 3) * -(-w_shape[3] // 3)


def _lines(size: Pair, dilation: Pair, pooled: bool) -> Pair:
    """Rows and columns of tiles, of those pixels that leave the same rest when divided by the dilation."""
    if pooled:
        return size[0] // 2, size[1] // 2
    return -(-size[0] // (2 * dilation[0])), -(-size[1] // (2 * dilation[1]))


def count_tiles(size: Pair, dilation: Pair, pooled: bool = False) -> int:
    """Tiles of an output of that size; without those that reach over its edge if they are `pooled`.

    A dilated window's tiles are no windows to pool: there are none.
    """
    rows, columns = _lines(size, dilation, pooled)
    return 0 if pooled and dilation != (1, 1) else rows * columns * dilation[0] * dilation[1]


@lru_cache(maxsize=1024)
def tiling(
    x_shape: tuple[int, ...], o: int, window: Pair, size: Pair, padding: Pair, dilation: Pair, groups: int,
    pooled: bool, beside: int, itemsize: int,
) -> Array:  # fmt: skip
    """The numbers that the kernels need. Beside its own, one tile and one product have that many columns in scratch."""
    n, c, h, w = x_shape
    across = -(-window[1] // 3)
    parts = -(-window[0] // 3) * across
    width = parts * c + beside
    rows, columns = _lines(size, dilation, pooled)
    step, nr = lanes(itemsize), tile_width(itemsize)
    total = n * count_tiles(size, dilation, pooled)
    block = min(max(SCRATCH // (16 * width * itemsize), 16), 96, max(total // 8, 1))
    block = -(-block // TALL_ROWS) * TALL_ROWS
    return np.array(
        (
            h, w, c, *size, o, rows, columns, *padding, nr, step, total, block, -(-parts * c // step) * step,
            -(-o // nr) * nr, *dilation, groups, parts * c // groups, o // groups, across, parts,
        ), np.int64,
    )  # fmt: skip


# ------------------------------------------------------------------ parts of the kernels


@kernel
def _transform_filters(
    w: Floats, packed: Floats, channels: int, columns: int, row: int, column: int, nr: int, panels: int, blocks: int,
    kh: int, kw: int, flip: int, task: int,
) -> None:  # fmt: skip
    """G g Gᵀ of the filters of some rows and one tile's width of a group's columns, as (panel, product, row, column).

    Rows are parts of the window times channels. The filter of a channel c and a column j begins at c · row + j · column
    in the group's part of w; with `flip`, it is taken from its last place to its first.
    """
    panel, block = task // blocks, task % blocks
    across, places = (kw + 2) // 3, kh * kw
    depth = (kh + 2) // 3 * across * channels
    first, begin = panel % panels * nr, panel // panels * channels * columns * places
    step, half, g = (depth + 1) * nr, w.dtype.type(0.5), np.empty(9, w.dtype)
    for k in range(depth * block // blocks, depth * (block + 1) // blocks):
        part, channel = k // channels, k % channels
        top, left = part // across * 3, part % across * 3
        for j in range(nr):
            at = panel * 16 * step + k * nr + j
            if first + j >= columns:
                for s in range(16):
                    packed[at + s * step] = 0
                continue
            f = begin + channel * row + (first + j) * column
            for s in range(9):
                place = (top + s // 3) * kw + left + s % 3
                within = top + s // 3 < kh and left + s % 3 < kw
                g[s] = w[f + (places - 1 - place if flip else place)] if within else w.dtype.type(0)
            for i in range(4):
                if i == 0 or i == 3:
                    a, b, c = g[2 * i], g[2 * i + 1], g[2 * i + 2]
                elif i == 1:
                    a, b, c = (g[0] + g[3] + g[6]) * half, (g[1] + g[4] + g[7]) * half, (g[2] + g[5] + g[8]) * half
                else:
                    a, b, c = (g[0] - g[3] + g[6]) * half, (g[1] - g[4] + g[7]) * half, (g[2] - g[5] + g[8]) * half
                to = at + 4 * i * step
                packed[to] = a
                packed[to + step] = (a + b + c) * half
                packed[to + 2 * step] = (a - b + c) * half
                packed[to + 3 * step] = c


def transform_filters(weight: Array, groups: int, transposed: bool = False, flip: bool = False) -> Array:
    """G g Gᵀ of each group in panels of a tile's width: rows are input channels, columns output channels.

    Or the other way round if it is `transposed`. Each product's rows are followed by an empty one, lest all sixteen
    meet in the same places of the cache.
    """
    o, (c, kh, kw) = len(weight) // groups, weight.shape[1:]
    nr, places = tile_width(weight.itemsize), kh * kw
    channels, columns, row, column = (o, c, c * places, places) if transposed else (c, o, places, c * places)
    panels, blocks = -(-columns // nr), max(1, min(8, channels // 8))
    packed = np.empty(groups * panels * 16 * (count_parts(weight.shape) * channels + 1) * nr, weight.dtype)
    _transform_filters(
        groups * panels * blocks, ready(weight), packed, channels, columns, row, column, nr, panels, blocks, kh, kw,
        flip,
    )  # fmt: skip
    return packed


@jit
def aligned(scratch: Floats) -> int:
    """The first element that begins a vector register's width in memory."""
    skipped: int = -(scratch.ctypes.data // scratch.itemsize) % (VECTOR_BYTES // scratch.itemsize)
    return skipped


@jit
def place_of(tile: int, geo: Ints) -> tuple[int, int, int]:
    """A tile's image, and the row and the column of its first pixel."""
    rows, columns, down, across = geo[6], geo[7], geo[16], geo[17]
    line = tile // columns
    part = line // rows
    image = part // (down * across)
    rest = part - image * down * across
    y, x = 2 * (line - part * rows) * down + rest // across, 2 * (tile - line * columns) * across + rest % across
    return image, y, x


@jit
def move_window(
    x: int, y0: int, x0: int, geo: Ints, pixel: int, part: int, stage: int, line: int, back: bool
) -> None:  # fmt: skip
    """Copy those of 4 × 4 pixels that lie within an image to the stage, or back: `part` bytes of each.

    x: address of the image, whose pixels lie `pixel` bytes apart; in the stage, `line` bytes.
    """
    for n in range(16):
        y, z = y0 + n // 4 * geo[16], x0 + n % 4 * geo[17]
        if y >= 0 and y < geo[0] and z >= 0 and z < geo[1]:
            a, b = x + (y * geo[1] + z) * pixel, stage + n * line
            copy_bytes(a if back else b, b if back else a, part)


@jit
def enter_tiles(x: Floats, scratch: Floats, v: int, stage: int, start: int, stop: int, geo: Ints) -> None:
    """Bᵀ d B of tiles start..stop-1, from element v of the scratch buffer on; `stage` is for windows at an edge."""
    h, w, c, lanes_, width, size = geo[0], geo[1], geo[2], geo[11], geo[14], x.itemsize
    each = width // geo[22]
    down, across, step, line = geo[16], geo[17], (geo[13] * width + lanes_) * size, each * size
    staged = scratch.ctypes.data + stage * size
    for unit in range((stop - start) * geo[22]):
        t, part = unit // geo[22], unit % geo[22]
        image, y, z = place_of(start + t, geo)
        y0, x0 = y - geo[8] + part // geo[21] * 3 * down, z - geo[9] + part % geo[21] * 3 * across
        pixels = x.ctypes.data + image * h * w * c * size
        if y0 >= 0 and x0 >= 0 and y0 + 3 * down < h and x0 + 3 * across < w and c == each:
            source, row, pixel = pixels + (y0 * w + x0) * c * size, down * w * c * size, across * c * size
        else:
            clear_bytes(staged, 16 * line)
            move_window(pixels, y0, x0, geo, c * size, c * size, staged, line, False)
            source, row, pixel = staged, 4 * line, line
        target = scratch.ctypes.data + (v + t * width + part * each) * size
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
    last: int, geo: Ints,
) -> None:  # fmt: skip
    """Tiles start..stop-1, channels first..last-1, to their pixels; those outside go to the stage."""
    oh, ow, o, nr, lanes_, size = geo[3], geo[4], geo[5], geo[10], geo[11], out.itemsize
    down, across, step, line = geo[16], geo[17], (geo[13] * nr + lanes_) * size, lanes_ * size
    staged = scratch.ctypes.data + stage * size
    for t in range(stop - start):
        image, y, x = place_of(start + t, geo)
        if y >= oh or x >= ow:
            continue
        right, below = x + across < ow, y + down < oh
        for k in range(first, last, lanes_):
            source = scratch.ctypes.data + (m + t * nr + k - first) * size
            a = out.ctypes.data + (((image * oh + y) * ow + x) * o + k) * size
            b, c, d = a + across * o * size, a + down * ow * o * size, a + (down * ow + across) * o * size
            whole = k + lanes_ <= last
            leave_tile(
                out, source, step, scratch.ctypes.data + (shift + k) * size, relu, a if whole else staged,
                b if whole and right else staged + line, c if whole and below else staged + 2 * line,
                d if whole and right and below else staged + 3 * line,
            )  # fmt: skip
            if not whole:
                part = (last - k) * size
                copy_bytes(a, staged, part)
                copy_bytes(b, staged + line, part if right else 0)
                copy_bytes(c, staged + 2 * line, part if below else 0)
                copy_bytes(d, staged + 3 * line, part if right and below else 0)


@jit
def _leave_pooled(
    scratch: Floats, m: int, stage: int, shift: int, places: Bytes, out: Floats, place: Bytes, start: int, stop: int,
    first: int, last: int, geo: Ints,
) -> None:  # fmt: skip
    """The same with the maximum of each tile, and its place."""
    o, nr, lanes_, size = geo[5], geo[10], geo[11], out.itemsize
    step = (geo[13] * nr + lanes_) * size
    for t in range(stop - start):
        for k in range(first, last, lanes_):
            source = scratch.ctypes.data + (m + t * nr + k - first) * size
            a, b = out.ctypes.data + ((start + t) * o + k) * size, place.ctypes.data + (start + t) * o + k
            whole = k + lanes_ <= last
            to, place_to = (a, b) if whole else (scratch.ctypes.data + stage * size, places.ctypes.data)
            leave_pooled_tile(out, source, step, scratch.ctypes.data + (shift + k) * size, to, place_to)
            if not whole:
                copy_bytes(a, to, (last - k) * size)
                copy_bytes(b, place_to, last - k)


@kernel
def _forward_tiles(
    x: Floats, u: Floats, bias: Floats, out: Floats, place: Bytes, geo: Ints, relu: int, task: int
) -> None:
    """One block of tiles; `place` is empty without pooling."""
    nr, lanes_, total, block, width, wide = geo[10], geo[11], geo[12], geo[13], geo[14], geo[15]
    inner, outer, size = geo[19], geo[20], x.itemsize
    scratch = np.empty(lanes_ + nr + wide + 16 * (width + block * (width + nr) + 2 * lanes_), x.dtype)
    places = np.empty(lanes_, np.int8)
    start = task * block
    stop = min(start + block, total)
    zero = aligned(scratch)
    shift = zero + nr
    stage = shift + wide
    v = stage + 16 * width
    m = v + 16 * (block * width + lanes_)
    panels, base, line = (outer + nr - 1) // nr, scratch.ctypes.data, (inner + 1) * nr * size
    clear_bytes(base + zero * size, (nr + wide) * size)
    copy_bytes(base + shift * size, bias.ctypes.data, bias.size * size)
    enter_tiles(x, scratch, v, stage, start, stop, geo)
    for panel in range(geo[18] * panels):
        group = panel // panels
        first = group * outer + panel % panels * nr
        last = min(first + nr, (group + 1) * outer)
        multiply_tiles(
            x, base + (v + group * inner) * size, (block * width + lanes_) * size, width * size, stop - start - 1, size,
            u.ctypes.data + panel * 16 * line, line, nr * size, base + zero * size, 0, 0, base + m * size,
            (block * nr + lanes_) * size, nr * size, inner, last - first,
        )  # fmt: skip
        if place.size:
            _leave_pooled(scratch, m, stage, shift, places, out, place, start, stop, first, last, geo)
        else:
            _leave(scratch, m, stage, shift, out, relu, start, stop, first, last, geo)


def convolve(
    x: Array, weight: Array, bias: Array, size: Pair, padding: Pair, dilation: Pair, relu: bool
) -> Array:  # fmt: skip
    """x: (n, c, h, w), weight: (o, c/groups, kh, kw), bias: (o,) or (0,) -> (n, o, *size); max(…, 0) with `relu`."""
    groups = x.shape[1] // weight.shape[1]
    out = empty_images(len(x), len(weight), *size, x.dtype)
    u = transform_filters(weight, groups)
    _forward(x, u, bias, out, np.empty(0, np.int8), weight.shape[2:], size, padding, dilation, groups, relu)
    return out


def convolve_pooled(x: Array, weight: Array, bias: Array, size: Pair, padding: Pair) -> tuple[Array, Array]:
    """The same with ReLU and windows of 2 × 2 pooled: maxima and places (n, o, size // 2)."""
    groups = x.shape[1] // weight.shape[1]
    shape = len(x), len(weight), size[0] // 2, size[1] // 2
    out, place = empty_images(*shape, x.dtype), empty_images(*shape, np.dtype(np.int8))
    u = transform_filters(weight, groups)
    _forward(x, u, bias, out, channels_last(place), weight.shape[2:], size, padding, (1, 1), groups, True)
    return out, place


def input_grad(gy: Array, weight: Array, size: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """gy: (n, o, oh, ow), weight: (o, c/groups, kh, kw) -> (n, c, *size): gy's convolution with the flipped filters."""
    out = empty_images(len(gy), weight.shape[1] * groups, *size, gy.dtype)
    u = transform_filters(weight, groups, transposed=True, flip=True)
    (kh, kw), (down, across) = weight.shape[2:], dilation
    around = down * (kh - 1) - padding[0], across * (kw - 1) - padding[1]
    none = np.empty(0, gy.dtype)
    _forward(gy, u, none, out, np.empty(0, np.int8), (kh, kw), size, around, dilation, groups, False)
    return out


def _forward(
    x: Array, u: Array, bias: Array, out: Array, place: Array, window: Pair, size: Pair, padding: Pair, dilation: Pair,
    groups: int, relu: bool,
) -> None:  # fmt: skip
    nr = tile_width(x.itemsize)
    geo = tiling(x.shape, out.shape[1], window, size, padding, dilation, groups, place.size > 0, nr, x.itemsize)
    tasks = -(-int(geo[12]) // int(geo[13]))
    _forward_tiles(tasks, channels_last(x), u, ready(bias), channels_last(out), place, geo, int(relu))
