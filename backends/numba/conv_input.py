"""The input gradient of a two-dimensional convolution. See `conv.py`.

With a stride of 1 it is a convolution of the cotangent, padded with zeros, with the flipped weight, transposed. A task
pads a few images, or a band of one, in a scratch buffer, and a tile sums over those rows of the window alone that
lie within the cotangent. With larger strides, dcol[m, k] = Σₒ g[m, o] · w[o, k] is made some pixels at a time and
added to dx[pixel m + place k]; the tasks are images, and blocks of channels where images are few.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import lane_conv, winograd
from .compile import Floats, Ints, jit, kernel
from .conv import geometry, multiply
from .conv_pad import pad_cotangent
from .layout import channels_last, ready
from .memory import empty_images
from .tile import ROWS, fma_tile, tile_width

Array = Any
Pair = tuple[int, int]

SCRATCH = 1 << 18  # bytes of a task's scratch buffer: it stays in the second-level cache

# ------------------------------------------------------------------ stride 1


@kernel
def _flip_panel(w: Floats, packed: Floats, o: int, c: int, places: int, nr: int, panels: int, panel: int) -> None:
    """One tile's width of input channels as (k, channel), k = (flipped place, output channel); o and c per group."""
    group, first = panel // panels, panel % panels * nr
    base = panel * places * o * nr
    for s in range(places):
        for i in range(o):
            for j in range(nr):
                at = ((group * o + i) * c + first + j) * places + places - 1 - s
                packed[base + (s * o + i) * nr + j] = w[at] if first + j < c else w.dtype.type(0)


@jit
def find_inputs(rows: Array, limits: Array, count: int, top: int, oh: int, span: int, geo: Ints) -> None:
    """Offsets of `count` pixels of dx in the scratch buffer, and the places that each tile sums over.

    `top` is the row of g at the top of a band; `span` the places in a row of the window times the channels.
    """
    per_image, width, kh, dilation = geo[1], geo[2], geo[13], geo[21]
    for m in range(rows.size):
        image, pixel = divmod(min(m, count - 1), per_image)
        y, x = divmod(pixel, width)
        rows[m] = image * geo[3] + y * geo[4] + x * geo[5]
    for tile in range((count + ROWS - 1) // ROWS):
        a, b = tile * ROWS, min(tile * ROWS + ROWS, count) - 1
        first, last = 0, kh
        if a // per_image == b // per_image:
            low, high = a % per_image // width, b % per_image // width
            while first < kh and top + high + first * dilation < 0:
                first += 1
            while last > first and top + low + (last - 1) * dilation >= oh:
                last -= 1
        limits[2 * tile], limits[2 * tile + 1] = first * span, last * span


@kernel
def _input_band(
    g: Floats, steps: Ints, w: Floats, zeros: Floats, dx: Floats, geo: Ints, n: int, h: int, oh: int, ow: int,
    left: int, above: int, images: int, bands: int, task: int,
) -> None:  # fmt: skip
    """Some whole images, or one band of rows of one; geo is of the convolution of a padded band."""
    o, width, height, row = geo[8] * geo[10], geo[2], geo[15], geo[16]
    band = geo[1] // width
    first, y0 = task // bands * images, task % bands * band
    some = min(images, n - first)
    scratch = np.empty(some * height * row * o, g.dtype)
    for i in range(some):
        pad_cotangent(g, scratch, i * height * row * o, first + i, y0 - above, height, row, oh, ow, left, o)
    count = some * min(band, h - y0) * width
    rows = np.empty((count + ROWS - 1) // ROWS * ROWS, np.int64)
    limits = np.empty(2 * (rows.size // ROWS), np.int64)
    corner = np.zeros(ROWS * geo[11], g.dtype)
    find_inputs(rows, limits, count, y0 - above, oh, geo[14] * geo[10], geo)
    start = (first * h + y0) * width
    multiply(scratch, steps, w, zeros, dx, rows, limits, corner, start, start + count, geo)


def pack_flipped(weight: Array, groups: int) -> tuple[Array, Array]:
    """The flipped weight, transposed, in panels of a tile's width, and as many zeros as that has columns."""
    o, per_group, kh, kw = weight.shape
    nr = tile_width(weight.itemsize)
    panels = -(-per_group // nr)
    packed = np.empty(groups * panels * kh * kw * (o // groups) * nr, weight.dtype)
    _flip_panel(groups * panels, ready(weight), packed, o // groups, per_group, kh * kw, nr, panels)
    return packed, np.zeros(groups * panels * nr, weight.dtype)


def _flipped(gy: Array, weight: Array, input_size: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    n, o, oh, ow = gy.shape
    (h, w), (_, per_group, kh, kw) = input_size, weight.shape
    extent, row = dilation[0] * (kh - 1), w + dilation[1] * (kw - 1)
    line = row * o * gy.itemsize
    band, images = h, max(1, min(SCRATCH // ((h + extent) * line), 96 // (h * w)))
    if images == 1:
        wanted = min(h, max(SCRATCH // line - extent, 4, -(-24 // w)))  # rows that fit
        if n < 8:
            wanted = min(wanted, max(-(-h * n // 8), -(-24 // w)))
        band = -(-h // -(-h // wanted))
    bands = -(-h // band)
    geo, steps = geometry(
        (n, o, band + extent, row), (per_group * groups, o // groups, kh, kw), (band, w), (1, 1), (0, 0), dilation,
        groups, gy.itemsize,
    )  # fmt: skip
    packed, zeros = pack_flipped(weight, groups)
    dx = empty_images(n, per_group * groups, h, w, gy.dtype)
    _input_band(
        -(-n // images) * bands, channels_last(gy), steps, packed, zeros, channels_last(dx), geo, n, h, oh, ow,
        dilation[1] * (kw - 1) - padding[1], extent - padding[0], images, bands,
    )  # fmt: skip
    return dx


# ------------------------------------------------------------ larger strides


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
    inner, tiles = input_size[0] * input_size[1], winograd.count_tiles(input_size, dilation)
    if winograd.suits(gy.shape, (c, o // groups, kh, kw), stride, tiles, inner):
        return winograd.input_grad(gy, weight, input_size, padding, dilation, groups)
    if lane_conv.suits(c, o, groups, gy.itemsize):
        return lane_conv.input_grad(gy, weight, input_size, stride, padding, dilation, groups)
    if stride == (1, 1):
        return _flipped(gy, weight, input_size, padding, dilation, groups)
    geo, _ = geometry(
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
