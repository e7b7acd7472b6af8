"""The input gradient of a two-dimensional convolution. See `conv.py`.

With a stride of 1 it is a convolution of the cotangent, padded with zeros, with the flipped weight, transposed. A task
pads a few images, or a band of one, in a scratch buffer, and a tile sums over those rows of the window alone that
lie within the cotangent. With larger strides it is one such convolution for each phase (`phases.py`), whose pixels are
then put where they belong.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from . import lane_conv, winograd
from .compile import Floats, Ints, array_at, jit, kernel
from .conv import geometry, multiply
from .conv_pad import pad_cotangent
from .layout import channels_last, ready
from .memory import empty_images
from .phases import phases_of
from .runs import move_runs
from .tile import ROWS, tile_width
from .vectors import clear_bytes

Array = Any
Pair = tuple[int, int]

SCRATCH = 1 << 18  # bytes of a task's scratch buffer: it stays in the second-level cache
PHASE = 4  # numbers of a phase: its row, its column, its first place and the one after its last

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
def _pack_phases(
    w: Floats, order: Ints, table: Ints, packed: Floats, o: int, c: int, places: int, nr: int, panels: int, panel: int
) -> None:  # fmt: skip
    """One tile's width of input channels of each phase as (k, channel), k = (place, output channel); o, c per group.

    places: of the window, of which an input smaller than the stride sees only those in `order`.
    """
    group, first = panel // panels, panel % panels * nr
    for phase in range(table.size // PHASE):
        begin, stop = table[phase * PHASE + 2], table[phase * PHASE + 3]
        at = (begin * (w.size // (o * c * places)) * panels + panel * (stop - begin)) * o * nr
        for s in range(begin, stop):
            for i in range(o):
                row = ((group * o + i) * c + first) * places + order[s]
                for j in range(nr):
                    packed[at] = w[row + j * places] if first + j < c else w.dtype.type(0)
                    at += 1


@kernel
def _input_phases(
    g: Floats, steps: Ints, w: Floats, zeros: Floats, dx: Floats, table: Ints, geo: Ints, place: Ints, images: int,
    bands: int, band: int, task: int,
) -> None:  # fmt: skip
    """Some whole images, or one band of the grid's rows of one.

    place: number of images; height and width of g, of dx, of the padded band; start; stride; width of the grid. geo: as
    `multiply` takes it, for each phase.
    """
    n, oh, ow, h, w_, height, width = place[0], place[1], place[2], place[3], place[4], place[5], place[6]
    above, left, down, across, columns = place[7], place[8], place[9], place[10], place[11]
    size, c, o, depth = g.itemsize, geo[7], geo[8] * geo[10], geo[10]
    phases = table.size // PHASE
    numbers = geo.size // phases
    first, q = task // bands * images, task % bands * band
    some = min(images, n - first)
    rows_each = min(band, (h + down - 1) // down - q)
    count = some * rows_each * columns
    padded = np.empty(some * height * width * o, g.dtype)
    part = np.empty(count * c, g.dtype)
    rows = np.empty((count + ROWS - 1) // ROWS * ROWS, np.int64)
    limits = np.empty(2 * (rows.size // ROWS), np.int64)
    corner = np.zeros(ROWS * geo[11], g.dtype)
    for i in range(some):
        pad_cotangent(g, padded, i * height * width * o, first + i, q - above, height, width, oh, ow, left, o)
    for m in range(rows.size):
        line, x = divmod(min(m, count - 1), columns)
        image, y = divmod(line, rows_each)
        rows[m] = ((image * height + y) * width + x) * o * size
    for phase in range(phases):
        at = phase * PHASE
        row, column, begin, stop = table[at], table[at + 1], table[at + 2] * depth, table[at + 3] * depth
        limits[0::2], limits[1::2] = 0, stop - begin
        own = array_at(geo, geo.ctypes.data + phase * numbers * 8, numbers)
        packed = array_at(w, w.ctypes.data + begin * zeros.size * size, (stop - begin) * zeros.size)
        tile_steps = array_at(steps, steps.ctypes.data + begin * 8, stop - begin)
        if stop > begin:
            multiply(padded, tile_steps, packed, zeros, part, rows, limits, corner, 0, count, own)
        else:
            clear_bytes(part.ctypes.data, count * c * size)
        inside = (w_ - column + across - 1) // across
        for line in range(count // columns):
            image, y = divmod(line, rows_each)
            y = (q + y) * down + row
            if y < h:
                target = (((first + image) * h + y) * w_ + column) * c
                move_runs(part, dx, line * columns * c, c, target, across * c, c, inside, False)


@lru_cache(maxsize=1024)
def _phase_tables(
    g_shape: tuple[int, ...], w_shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair, dilation: Pair,
    groups: int, itemsize: int,
) -> tuple[Any, ...]:  # fmt: skip
    """Byte offsets of the steps, their places in the window, the phases, the numbers of each, and those of all.

    And images in a task, bands of one, and rows of a band.
    """
    n, o, oh, ow = g_shape
    per_group, kh, kw = w_shape[1:]
    phases, grid, start, extent = phases_of(size, (kh, kw), stride, padding, dilation)
    width, inner = grid[1] + extent[1] - 1, o // groups
    line = width * o * itemsize
    images, band = max(1, 96 // (grid[0] * grid[1])), grid[0]
    if images == 1:
        wanted = max(SCRATCH // line - extent[0] + 1, 4)
        if n < 8:
            wanted = min(wanted, max(-(-grid[0] * n // 8), -(-24 // grid[1])))
        band = -(-grid[0] // -(-grid[0] // min(wanted, grid[0])))
    height = band + extent[0] - 1
    steps: list[int] = []
    order: list[int] = []
    table: list[int] = []
    numbers: list[int] = []
    for row, column, places in phases:
        table += (row, column, len(order), len(order) + len(places))
        depth = len(places) * inner
        numbers += (0, 0, 0, 0, 0, 0, depth, per_group * groups, groups, per_group, inner, tile_width(itemsize))
        for y, x, number in places:
            order.append(number)
            steps += [((y * width + x) * o + channel) * itemsize for channel in range(inner)]
    place = (n, oh, ow, *size, height, width, *start, *stride, grid[1])
    arrays = [np.array(a, np.int64) for a in (steps, order, table, numbers, place)]
    return (*arrays, images, -(-grid[0] // band), band)


def _strided(
    gy: Array, weight: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:  # fmt: skip
    (n, o), (_, per_group, kh, kw) = gy.shape[:2], weight.shape
    steps, order, table, geo, place, images, bands, band = _phase_tables(
        gy.shape, weight.shape, size, stride, padding, dilation, groups, gy.itemsize
    )
    nr = tile_width(gy.itemsize)
    panels = -(-per_group // nr)
    packed = np.empty(groups * panels * order.size * (o // groups) * nr, gy.dtype)
    _pack_phases(groups * panels, ready(weight), order, table, packed, o // groups, per_group, kh * kw, nr, panels)
    zeros = np.zeros(groups * panels * nr, gy.dtype)
    dx = empty_images(n, per_group * groups, *size, gy.dtype)
    _input_phases(
        -(-n // images) * bands, channels_last(gy), steps, packed, zeros, channels_last(dx), table, geo, place, images,
        bands, band,
    )  # fmt: skip
    return dx


def conv2d_input_grad(
    gy: Array, weight: Array, *, input_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """gy: (n, o, oh, ow), weight: (o, c/groups, kh, kw) -> (n, c, *input_size)."""
    o, per_group, kh, kw = weight.shape
    c = per_group * groups
    inner, tiles = input_size[0] * input_size[1], winograd.count_tiles(input_size, dilation)
    if winograd.suits(gy.shape, (c, o // groups, kh, kw), stride, tiles, inner):
        return winograd.input_grad(gy, weight, input_size, padding, dilation, groups)
    if lane_conv.suits(c, o, groups, gy.itemsize):
        return lane_conv.input_grad(gy, weight, input_size, stride, padding, dilation, groups)
    if stride == (1, 1):
        return _flipped(gy, weight, input_size, padding, dilation, groups)
    return _strided(gy, weight, input_size, stride, padding, dilation, groups)
