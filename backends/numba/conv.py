"""Two-dimensional convolution and its two gradients, as implicit matrix products of register tiles (`tile.py`).

With m a pixel of the output, k = (ky, kx, channel) a place in the window, and byte offsets of both in the image,

    forward          out[m, o]  = bias[o] + Σₖ x[pixel m + place k] · w[k, o]
    weight gradient  dw[k, o]   = Σₘ x[place k + pixel m] · g[m, o]
    input gradient   dcol[m, k] = Σₒ g[m, o] · w[o, k], added to dx[pixel m + place k]

so the image is read where it lies (padded by a copy if there is padding). Images are channels-last in memory. Work is cut by
shape alone: the forward by blocks of output pixels, the input gradient by images (and channels, where images are few),
the weight gradient by spans of pixels, whose sums are added in order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .compile import Floats, Ints, jit, kernel
from .layout import channels_last, empty_images, ready
from .tile import ROWS, fma_tile, tile_width

Array = Any
Pair = tuple[int, int]

DEPTH = 512  # steps of one product: as many rows of B as stay in the first-level cache
SCRATCH = 1 << 18  # bytes of `dcol` at a time: it stays in the second-level cache


@lru_cache(maxsize=1024)
def _geometry(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], out_size: Pair, stride: Pair, padding: Pair, dilation: Pair,
    groups: int, itemsize: int,
) -> tuple[Array, Array]:  # fmt: skip
    """The numbers every kernel needs, and the byte offset of each place in the window, filled up to whole tiles."""
    n, c, h, w = x_shape
    o, per_group, kh, kw = w_shape
    oh, ow = out_size
    width = w + 2 * padding[1]
    pixel = c * itemsize
    ky, kx, channel = np.ogrid[:kh, :kw, :per_group]
    places = ((ky * dilation[0] * width + kx * dilation[1]) * pixel + channel * itemsize).reshape(-1)
    filled = np.zeros(-(-places.size // ROWS) * ROWS, np.int64)
    filled[: places.size] = places
    image = (h + 2 * padding[0]) * width * pixel
    numbers = (
        n * oh * ow, oh * ow, ow, image, stride[0] * width * pixel, stride[1] * pixel,
        places.size, o, groups, o // groups, per_group, tile_width(itemsize), kh * kw, kh, kw,
        h, w, *stride, *padding, *dilation,
    )  # fmt: skip
    return np.array(numbers, np.int64), filled


@jit
def _find_pixels(rows: Array, start: int, stop: int, geo: Array) -> None:
    """Offsets of output pixels start..stop-1 in the (padded) images, the last repeated to fill a tile."""
    per_image, width = geo[1], geo[2]
    image, rest = divmod(start, per_image)
    y, x = divmod(rest, width)
    for m in range(stop - start):
        rows[m] = image * geo[3] + y * geo[4] + x * geo[5]
        x += 1
        if x == width:
            x, y = 0, y + 1
            if y * width == per_image:
                y, image = 0, image + 1
    for m in range(stop - start, min(stop - start + ROWS, rows.size)):
        rows[m] = rows[stop - start - 1]


# ---------------------------------------------------------------- forward


@kernel
def _pack_panel(w: Floats, bias: Floats, packed: Floats, packed_bias: Floats, geo: Ints, panel: int) -> None:
    """One tile's width of output channels as (k, channel), filled up with zeros."""
    depth, per_group, places, nr = geo[6], geo[10], geo[12], geo[11]
    panels = (geo[9] + nr - 1) // nr
    group, first = panel // panels, panel % panels * nr
    base = panel * depth * nr
    for j in range(nr):
        if first + j >= geo[9]:
            packed_bias[panel * nr + j] = 0
            for k in range(depth):
                packed[base + k * nr + j] = 0
            continue
        o = group * geo[9] + first + j
        packed_bias[panel * nr + j] = bias[o] if bias.size else 0
        for c in range(per_group):
            for s in range(places):
                packed[base + (s * per_group + c) * nr + j] = w[(o * per_group + c) * places + s]


@jit
def _copy_tile(a: Array, at: int, lda: int, b: Array, bt: int, ldb: int, rows: int, cols: int) -> None:
    for r in range(rows):
        for j in range(cols):
            b[bt + r * ldb + j] = a[at + r * lda + j]


@jit
def _forward_pixels(
    x: Array,
    steps: Array,
    w: Array,
    bias: Array,
    out: Array,
    rows: Array,
    corner: Array,
    start: int,
    stop: int,
    geo: Array,
) -> None:
    """Output pixels start..stop-1. `corner` stands in for tiles that reach over an edge of the output."""
    size, depth, o, per_group, nr = x.itemsize, geo[6], geo[7], geo[9], geo[11]
    panels = (per_group + nr - 1) // nr
    for panel in range(geo[8] * panels):
        group, first = panel // panels, panel % panels * nr
        cols = min(nr, per_group - first)
        column = group * per_group + first
        for k in range(0, depth, DEPTH):
            for m in range(start, stop, ROWS):
                cell = m * o + column
                height = min(ROWS, stop - m)
                inside = height == ROWS and cols == nr
                if inside:
                    c, ldc = out.ctypes.data + cell * size, o * size
                else:
                    c, ldc = corner.ctypes.data, nr * size
                    if k:
                        _copy_tile(out, cell, o, corner, 0, nr, height, cols)
                if k:
                    initial, ldi = c, ldc
                else:
                    initial, ldi = bias.ctypes.data + panel * nr * size, 0
                fma_tile(
                    x, x.ctypes.data + group * geo[10] * size, rows.ctypes.data + (m - start) * 8,
                    steps.ctypes.data + k * 8, w.ctypes.data + (panel * depth + k) * nr * size, nr * size,
                    initial, ldi, c, ldc, min(DEPTH, depth - k),
                )  # fmt: skip
                if not inside:
                    _copy_tile(corner, 0, nr, out, cell, o, height, cols)


@kernel
def _forward_block(
    x: Floats, steps: Ints, w: Floats, bias: Floats, out: Floats, geo: Ints, length: int, block: int
) -> None:
    start = block * length
    stop = min(start + length, geo[0])
    rows = np.empty(length + ROWS, np.int64)
    corner = np.zeros(ROWS * geo[11], x.dtype)
    _find_pixels(rows, start, stop, geo)
    _forward_pixels(x, steps, w, bias, out, rows, corner, start, stop, geo)


def _out_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    h, w = ((size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1))
    return h, w


def conv2d_bias(
    x: Array, weight: Array, bias: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """x: (n, c, h, w), weight: (o, c/groups, kh, kw), bias: (o,) or (0,) -> (n, o, oh, ow)."""
    n, _, h, w = x.shape
    o, per_group, kh, kw = weight.shape
    size = _out_size((h, w), (kh, kw), stride, padding, dilation)
    geo, steps = _geometry(x.shape, weight.shape, size, stride, padding, dilation, groups, x.itemsize)
    out = empty_images(n, o, *size, x.dtype)
    nr = tile_width(x.itemsize)
    panels = -(-(o // groups) // nr) * groups
    packed = np.empty(panels * per_group * kh * kw * nr, x.dtype)
    packed_bias = np.empty(panels * nr, x.dtype)
    _pack_panel(panels, ready(weight), ready(bias), packed, packed_bias, geo)
    pixels = n * size[0] * size[1]
    length = ROWS * max(1, min(16, pixels // (ROWS * 32)))
    _forward_block(
        -(-pixels // length), channels_last(x, padding), steps, packed, packed_bias, channels_last(out), geo, length
    )
    return out


def conv2d(x: Array, weight: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """x: (n, c, h, w), weight: (o, c/groups, kh, kw) -> (n, o, oh, ow)."""
    none = np.empty(0, x.dtype)
    return conv2d_bias(x, weight, none, stride=stride, padding=padding, dilation=dilation, groups=groups)


# --------------------------------------------------------- weight gradient

SPAN = 192  # pixels of one product


@jit
def _weight_sums(
    x: Array, steps: Array, g: Array, partial: Array, rows: Array, edge: Array, zero: Array, span: int, first: int,
    last: int, start: int, stop: int, geo: Array,
) -> None:  # fmt: skip
    """Rows first..last-1 (in tiles) of dw, summed over output pixels start..stop-1, into partial[span]."""
    size, o, groups, per_group, nr = x.itemsize, geo[7], geo[8], geo[9], geo[11]
    panels = (per_group + nr - 1) // nr
    ldc = panels * nr * size
    for m in range(start, stop, SPAN):
        count = min(SPAN, stop - m)
        _find_pixels(rows, m, m + count, geo)
        for panel in range(groups * panels):
            group, column = panel // panels, panel % panels * nr
            cols = min(nr, per_group - column)
            cell = m * o + group * per_group + column
            if cols == nr:
                b, ldb = g.ctypes.data + cell * size, o * size
            else:
                _copy_tile(g, cell, o, edge, 0, nr, count, cols)
                b, ldb = edge.ctypes.data, nr * size
            for tile in range(first, last):
                row = (span * groups + group) * steps.size + tile * ROWS
                c = partial.ctypes.data + row * ldc + column * size
                initial, ldi = (c, ldc) if m > start else (zero.ctypes.data, 0)
                fma_tile(
                    x, x.ctypes.data + group * geo[10] * size, steps.ctypes.data + tile * ROWS * 8, rows.ctypes.data,
                    b, ldb, initial, ldi, c, ldc, count,
                )  # fmt: skip


@kernel
def _weight_task(
    x: Floats, steps: Ints, g: Floats, partial: Floats, geo: Ints, spans: int, cuts: int, task: int
) -> None:
    span, cut = task // cuts, task % cuts
    tiles, pixels = steps.size // ROWS, geo[0]
    rows = np.empty(SPAN + ROWS, np.int64)
    edge = np.zeros(SPAN * geo[11], x.dtype)
    zero = np.zeros(geo[11], x.dtype)
    _weight_sums(
        x, steps, g, partial, rows, edge, zero, span, tiles * cut // cuts, tiles * (cut + 1) // cuts,
        pixels * span // spans, pixels * (span + 1) // spans, geo,
    )  # fmt: skip


@kernel
def _weight_row(partial: Floats, dw: Floats, spans: int, width: int, filled: int, geo: Ints, row: int) -> None:
    """Add up one row of the spans' sums, in order, and put it where the weight's layout wants it."""
    depth, groups, per_group, channels, places = geo[6], geo[8], geo[9], geo[10], geo[12]
    group, k = row // depth, row % depth
    total = (group * filled + k) * width
    for span in range(1, spans):
        other = ((span * groups + group) * filled + k) * width
        for j in range(per_group):
            partial[total + j] += partial[other + j]
    place, c = k // channels, k % channels
    for j in range(per_group):
        dw[((group * per_group + j) * channels + c) * places + place] = partial[total + j]


def conv2d_weight_grad(
    gy: Array, x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """gy: (n, o, oh, ow), x: (n, c, h, w) -> (o, c/groups, kh, kw)."""
    n, c = x.shape[:2]
    o, oh, ow = gy.shape[1:]
    per_group = c // groups
    shape = (o, per_group, *kernel_size)
    geo, steps = _geometry(x.shape, shape, (oh, ow), stride, padding, dilation, groups, x.itemsize)
    nr = tile_width(x.itemsize)
    width = -(-(o // groups) // nr) * nr
    pixels = n * oh * ow
    spans = max(1, min(16, pixels // 1024))
    cuts = max(1, min(steps.size // ROWS, 32 // spans))
    partial = np.empty(spans * groups * steps.size * width, x.dtype)
    _weight_task(spans * cuts, channels_last(x, padding), steps, channels_last(gy), partial, geo, spans, cuts)
    dw = np.empty(shape, x.dtype)
    _weight_row(groups * per_group * kernel_size[0] * kernel_size[1], partial, dw, spans, width, steps.size, geo)
    return dw


# ---------------------------------------------------------- input gradient


@kernel
def _pack_transposed(w: Floats, packed: Floats, geo: Ints, channels: int, width: int, block: int) -> None:
    """The weights of one block of input channels as panels of (o, k), k = (ky, kx, channel in the block)."""
    per_group, per_group_in, nr, places = geo[9], geo[10], geo[11], geo[12]
    blocks = per_group_in // channels
    group, first = block // blocks, block % blocks * channels
    base = block * width * per_group
    for o in range(per_group):
        row = ((group * per_group + o) * per_group_in + first) * places
        for q in range(width):
            place, c = divmod(q, channels)
            value = w[row + c * places + place] if place < places else w[row] * 0
            packed[base + (q // nr * per_group + o) * nr + q % nr] = value


@jit
def _scatter(
    dx: Array, col: Array, base: int, start: int, stop: int, first: int, channels: int, width: int, geo: Array
) -> None:
    """Add rows of `dcol`, those of output pixels start..stop-1, to the input's pixels."""
    per_image, ow, kh, kw, h, w = geo[1], geo[2], geo[13], geo[14], geo[15], geo[16]
    total = geo[8] * geo[10]
    for m in range(start, stop):
        image, pixel = divmod(m, per_image)
        oy, ox = divmod(pixel, ow)
        y0, x0 = oy * geo[17] - geo[19], ox * geo[18] - geo[20]
        whole = channels == total and geo[22] == 1 and x0 >= 0 and x0 + kw <= w
        for ky in range(kh):
            y = y0 + ky * geo[21]
            if y < 0 or y >= h:
                continue
            source = (m - base) * width + ky * kw * channels
            target = (image * h + y) * w * total + first
            if whole:
                target += x0 * total
                for j in range(kw * channels):
                    dx[target + j] += col[source + j]
                continue
            for kx in range(kw):
                x = x0 + kx * geo[22]
                if x >= 0 and x < w:
                    for j in range(channels):
                        dx[target + x * total + j] += col[source + kx * channels + j]


@jit
def _input_pixels(
    g: Array, w: Array, dx: Array, col: Array, rows: Array, steps: Array, zero: Array, block: int, first: int,
    channels: int, width: int, start: int, stop: int, geo: Array,
) -> None:  # fmt: skip
    """The input gradient's part from output pixels start..stop-1, for one block of channels."""
    size, o, per_group, nr = g.itemsize, geo[7], geo[9], geo[11]
    group = first // geo[10]
    length = rows.size
    for m in range(start, stop, length):
        count = min(length, stop - m)
        for r in range(length):
            rows[r] = ((m + min(r, count - 1)) * o + group * per_group) * size
        for panel in range(width // nr):
            for r in range(0, count, ROWS):
                fma_tile(
                    g, g.ctypes.data, rows.ctypes.data + r * 8, steps.ctypes.data,
                    w.ctypes.data + (block * width + panel * nr) * per_group * size, nr * size,
                    zero.ctypes.data, 0, col.ctypes.data + (r * width + panel * nr) * size, width * size, per_group,
                )  # fmt: skip
        _scatter(dx, col, m, m, m + count, first, channels, width, geo)


@kernel
def _input_task(
    g: Floats, w: Floats, dx: Floats, geo: Ints, channels: int, width: int, images: int, blocks: int, task: int
) -> None:
    """Some images and one block of input channels: nobody else writes there."""
    size, per_group = g.itemsize, geo[9]
    block, per_image = task % blocks, geo[1]
    total = geo[8] * geo[10]
    begin = task // blocks * images
    end = min(begin + images, geo[0] // per_image)
    first = block * channels
    for pixel in range(begin * geo[15] * geo[16], end * geo[15] * geo[16]):
        for c in range(channels):
            dx[pixel * total + first + c] = 0
    length = max(1, min(SCRATCH // (width * size * ROWS), ((end - begin) * per_image + ROWS - 1) // ROWS)) * ROWS
    rows = np.empty(length, np.int64)
    col = np.empty(length * width, g.dtype)
    zero = np.zeros(geo[11], g.dtype)
    steps = np.arange(per_group) * size
    _input_pixels(
        g, w, dx, col, rows, steps, zero, block, first, channels, width, begin * per_image, end * per_image, geo
    )


def conv2d_input_grad(
    gy: Array, weight: Array, *, input_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """gy: (n, o, oh, ow), weight: (o, c/groups, kh, kw) -> (n, c, *input_size)."""
    n, o, oh, ow = gy.shape
    _, per_group, kh, kw = weight.shape
    c = per_group * groups
    geo, _ = _geometry(
        (n, c, *input_size), weight.shape, (oh, ow), stride, padding, dilation, groups, gy.itemsize
    )  # fmt: skip
    images = max(1, 96 // (oh * ow))
    channels = per_group
    while -(-n // images) * (c // channels) < 8 and channels % 32 == 0:
        channels //= 2
    nr = tile_width(gy.itemsize)
    width = -(-kh * kw * channels // nr) * nr
    blocks = c // channels
    packed = np.empty(blocks * width * (o // groups), gy.dtype)
    _pack_transposed(blocks, ready(weight), packed, geo, channels, width)
    dx = empty_images(n, c, *input_size, gy.dtype)
    tasks = -(-n // images) * blocks
    _input_task(tasks, channels_last(gy), packed, channels_last(dx), geo, channels, width, images, blocks)
    return dx
