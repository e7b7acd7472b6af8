"""Two-dimensional convolution and its weight gradient, as implicit matrix products of register tiles (`tile.py`).

With m a pixel of the output, k = (ky, kx, channel) a place in the window, and byte offsets of both in the image,

    forward          out[m, o]  = bias[o] + Σₖ x[pixel m + place k] · w[k, o]
    weight gradient  dw[k, o]   = Σₘ x[place k + pixel m] · g[m, o]

so the image is read where it lies (padded by a copy if there is padding). Images are channels-last in memory. Work is
cut by shape alone: the forward into blocks of output pixels, the weight gradient into spans of them, whose sums are
added in order. The input gradient is in `conv_input.py`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from . import lane_conv, winograd, winograd_grad
from .compile import Floats, Ints, jit, kernel
from .layout import channels_last, ready
from .memory import empty, empty_images
from .tile import ROWS, VECTOR_BYTES, fma_tile, tile_width
from .vectors import copy_bytes, transpose_vectors

Array = Any
Pair = tuple[int, int]

DEPTH = 512  # steps of one product: as many rows of B as stay in the first-level cache


@lru_cache(maxsize=1024)
def geometry(
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
def find_pixels(rows: Array, start: int, stop: int, geo: Array) -> None:
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
    base, start = panel * depth * nr, (group * geo[9] + first) * depth
    size, side = w.itemsize, VECTOR_BYTES // w.itemsize
    valid = min(nr, geo[9] - first)
    across, along = valid // side * side, depth // side * side  # what squares of vectors cover
    square = np.empty(side * side, w.dtype)
    for j in range(0, across, side):
        c = s = 0
        for k in range(0, along, side):
            transpose_vectors(
                w, w.ctypes.data + (start + j * depth + k) * size, depth * size, square.ctypes.data, side * size
            )  # fmt: skip
            for row in range(side):
                to = base + (s * per_group + c) * nr + j
                for n in range(side):
                    packed[to + n] = square[row * side + n]
                s += 1
                if s == places:
                    c, s = c + 1, 0
    for j in range(nr):
        if j >= valid:
            packed_bias[panel * nr + j] = 0
            for k in range(depth):
                packed[base + k * nr + j] = 0
            continue
        packed_bias[panel * nr + j] = bias[group * geo[9] + first + j] if bias.size else 0
        for k in range(along if j < across else 0, depth):
            packed[base + (k % places * per_group + k // places) * nr + j] = w[start + j * depth + k]


@jit
def _copy_tile(a: Array, at: int, lda: int, b: Array, bt: int, ldb: int, rows: int, cols: int) -> None:
    size = a.itemsize
    for r in range(rows):
        copy_bytes(b.ctypes.data + (bt + r * ldb) * size, a.ctypes.data + (at + r * lda) * size, cols * size)


@jit
def multiply(
    x: Array,
    steps: Array,
    w: Array,
    bias: Array,
    out: Array,
    rows: Array,
    limits: Array,
    corner: Array,
    start: int,
    stop: int,
    geo: Array,
) -> None:
    """Output pixels start..stop-1, where tile i sums over the places limits[2·i] <= k < limits[2·i + 1] alone.

    `corner` stands in for tiles that reach over an edge of the output.
    """
    size, depth, o, per_group, nr = x.itemsize, geo[6], geo[7], geo[9], geo[11]
    panels = (per_group + nr - 1) // nr
    for panel in range(geo[8] * panels):
        group, first = panel // panels, panel % panels * nr
        cols = min(nr, per_group - first)
        column = group * per_group + first
        for k in range(0, depth, DEPTH):
            for m in range(start, stop, ROWS):
                tile = (m - start) // ROWS
                begin = max(k, limits[2 * tile])
                count = min(k + DEPTH, limits[2 * tile + 1]) - begin
                if k and count <= 0:
                    continue
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
                    steps.ctypes.data + begin * 8, w.ctypes.data + (panel * depth + begin) * nr * size, nr * size,
                    initial, ldi, c, ldc, count,
                )  # fmt: skip
                if not inside:
                    _copy_tile(corner, 0, nr, out, cell, o, height, cols)


@kernel
def _forward_block(
    x: Floats, steps: Ints, w: Floats, bias: Floats, out: Floats, geo: Ints, length: int, relu: int, block: int
) -> None:
    start = block * length
    stop = min(start + length, geo[0])
    rows = np.empty(length + ROWS, np.int64)
    corner = np.zeros(ROWS * geo[11], x.dtype)
    limits = np.empty(2 * (length // ROWS), np.int64)
    limits[0::2], limits[1::2] = 0, geo[6]
    find_pixels(rows, start, stop, geo)
    multiply(x, steps, w, bias, out, rows, limits, corner, start, stop, geo)
    if relu:
        zero = x.dtype.type(0)
        for i in range(start * geo[7], stop * geo[7]):
            v = out[i]
            out[i] = zero if v <= zero else v


def out_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    h, w = ((size[i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1))
    return h, w


def pack_weight(weight: Array, bias: Array, geo: Array) -> tuple[Array, Array]:
    """Weight and bias, (o,) or (0,), in panels of a tile's width."""
    _, per_group, kh, kw = weight.shape
    groups, outputs, nr = int(geo[8]), int(geo[9]), int(geo[11])
    panels = -(-outputs // nr) * groups
    packed = np.empty(panels * per_group * kh * kw * nr, weight.dtype)
    packed_bias = np.empty(panels * nr, weight.dtype)
    _pack_panel(panels, ready(weight), ready(bias), packed, packed_bias, geo)
    return packed, packed_bias


def conv2d_bias(
    x: Array, weight: Array, bias: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    relu: bool = False,
) -> Array:  # fmt: skip
    """x: (n, c, h, w), weight: (o, c/groups, kh, kw), bias: (o,) or (0,) -> (n, o, oh, ow); max(…, 0) with `relu`."""
    n, _, h, w = x.shape
    o, _, kh, kw = weight.shape
    size = out_size((h, w), (kh, kw), stride, padding, dilation)
    if winograd.suits(x.shape, weight.shape, stride, winograd.count_tiles(size, dilation), size[0] * size[1]):
        return winograd.convolve(x, weight, bias, size, padding, dilation, relu)
    if lane_conv.suits(o, x.shape[1], groups, x.itemsize):
        return lane_conv.convolve(x, weight, bias, size, stride, padding, dilation, groups, relu)
    geo, steps = geometry(x.shape, weight.shape, size, stride, padding, dilation, groups, x.itemsize)
    out = empty_images(n, o, *size, x.dtype)
    packed, packed_bias = pack_weight(weight, bias, geo)
    pixels = n * size[0] * size[1]
    length = ROWS * max(1, min(16, pixels // (ROWS * 32)))
    _forward_block(
        -(-pixels // length), channels_last(x, padding), steps, packed, packed_bias, channels_last(out), geo, length,
        relu,
    )  # fmt: skip
    return out


def conv2d(x: Array, weight: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """x: (n, c, h, w), weight: (o, c/groups, kh, kw) -> (n, o, oh, ow)."""
    none = np.empty(0, x.dtype)
    return conv2d_bias(x, weight, none, stride=stride, padding=padding, dilation=dilation, groups=groups)


# --------------------------------------------------------- weight gradient

SPAN = 192  # pixels of one product


@jit
def weight_sums(
    x: Array, steps: Array, g: Array, partial: Array, rows: Array, edge: Array, zero: Array, span: int, first: int,
    last: int, start: int, stop: int, base: int, fresh: bool, geo: Array,
) -> None:  # fmt: skip
    """Rows first..last-1 (in tiles) of dw, summed over output pixels start..stop-1, into partial[span].

    g begins with the cotangent of pixel `base`; without `fresh` the sums are added to what is there.
    """
    size, o, groups, per_group, nr = x.itemsize, geo[7], geo[8], geo[9], geo[11]
    panels = (per_group + nr - 1) // nr
    ldc = panels * nr * size
    for m in range(start, stop, SPAN):
        count = min(SPAN, stop - m)
        find_pixels(rows, m, m + count, geo)
        for panel in range(groups * panels):
            group, column = panel // panels, panel % panels * nr
            cols = min(nr, per_group - column)
            cell = (m - base) * o + group * per_group + column
            if cols == nr:
                b, ldb = g.ctypes.data + cell * size, o * size
            else:
                _copy_tile(g, cell, o, edge, 0, nr, count, cols)
                b, ldb = edge.ctypes.data, nr * size
            for tile in range(first, last):
                row = (span * groups + group) * steps.size + tile * ROWS
                c = partial.ctypes.data + row * ldc + column * size
                initial, ldi = (c, ldc) if m > start or not fresh else (zero.ctypes.data, 0)
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
    weight_sums(
        x, steps, g, partial, rows, edge, zero, span, tiles * cut // cuts, tiles * (cut + 1) // cuts,
        pixels * span // spans, pixels * (span + 1) // spans, 0, True, geo,
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
    if winograd_grad.suits(x.shape, shape, (oh, ow), stride, dilation, need_x=False):
        return winograd_grad.gradients(gy, None, None, x, kernel_size, None, padding, dilation, groups)[0]
    if lane_conv.suits(o, c, groups, x.itemsize):
        return lane_conv.weight_grad(gy, x, kernel_size, stride, padding, dilation, groups)
    geo, steps = geometry(x.shape, shape, (oh, ow), stride, padding, dilation, groups, x.itemsize)
    nr = tile_width(x.itemsize)
    width = -(-(o // groups) // nr) * nr
    pixels = n * oh * ow
    spans = max(1, min(16, pixels // 1024))
    cuts = max(1, min(steps.size // ROWS, 32 // spans))
    partial = empty((spans * groups * steps.size * width,), x.dtype)
    _weight_task(spans * cuts, channels_last(x, padding), steps, channels_last(gy), partial, geo, spans, cuts)
    return reduce_weight(partial, shape, spans, width, steps.size, groups, geo)


def reduce_weight(
    partial: Array, shape: tuple[int, ...], spans: int, width: int, filled: int, groups: int, geo: Array
) -> Array:
    """The sum of the spans' parts, as a weight of that shape."""
    dw = np.empty(shape, partial.dtype)
    _weight_row(groups * shape[1] * shape[2] * shape[3], partial, dw, spans, width, filled, geo)
    return dw
