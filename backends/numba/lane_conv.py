"""Convolutions of small groups, depthwise ones above all, and their gradients, by the tile of `lane_tile.py`.

Every lane is a channel of the result, and sums over the `fan` channels that its group has in the source. Images are
channels-last in memory. A task takes a band of rows of one image, and copies what they are made of, with zeros around,
into a scratch buffer that stays in its cache. Where groups are of one channel on both sides, that is done once and for
all channels; else for one vector of channels after the other, spread out as (row, column, fan, lane).

The input's gradient is a convolution of the cotangent, with a stride one for each phase (`phases.py`). The weight's
gradient sums bands in spans, and spans in order. Work is cut by shape alone. A last vector of channels that would reach
over the end begins earlier and repeats some.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .compile import Floats, Ints, jit, kernel
from .lane_tile import PIXELS, PLACES, pixel_tile, place_tile
from .layout import channels_last, ready
from .memory import empty_images
from .phases import Phase, phases_of
from .tile import VECTOR_BYTES
from .vectors import (
    clear_bytes,
    copy_bytes,
    copy_vectors,
    fetch_to_write,
    lanes,
    spread_2,
    spread_4,
    spread_8,
    spread_value,
)

Array = Any
Pair = tuple[int, int]

SCRATCH = 1 << 18  # bytes of a task's scratch buffer
FAN = 16  # channels of a group in the source: each takes a vector in the scratch buffer for every pixel
SPANS = 16
NEAR = 1 << 15  # bytes of the result that are written before the next: they stay in the first-level cache

# ------------------------------------------------------------ what all of them need


def suits(result: int, source: int, groups: int, itemsize: int) -> bool:
    """Groups too narrow for a register tile of their own, and channels enough for a vector, in the result."""
    vector = lanes(itemsize)
    return groups > 1 and result >= vector >= 2 * (result // groups) and source // groups <= FAN


class _Plan:
    """The numbers that kernels need, the tables of byte offsets in the scratch buffer, and the number of tasks.

    Row q and column p of a grid stand for the pixels (q·apart + phase) of the result, and begin at row q·stride − top
    and column p·stride − left of the source. A phase is four numbers: its row, its column, and its first step and the
    one after its last. `order` gives the places of the window in the order of the steps.
    """

    def __init__(
        self, n: int, source: tuple[int, int, int], result: tuple[int, int, int], groups: int, itemsize: int,
        grid: Pair, extent: Pair, start: Pair, stride: Pair, apart: Pair,
        phases: tuple[Phase, ...],
    ) -> None:  # fmt: skip
        """source, result: height, width, channels. extent: of the windows, which begin at −start."""
        fan, per = source[2] // groups, result[2] // groups
        width = (grid[1] - 1) * stride[1] + extent[1]
        alone = fan == per == 1
        pixel = result[2] * itemsize if alone else fan * VECTOR_BYTES
        rows = SCRATCH // (width * pixel)
        band = max(1, min(grid[0], (rows - extent[0]) // stride[0] + 1))
        if n < 8:
            band = min(band, -(-grid[0] * n // 8))
        band = -(-grid[0] // -(-grid[0] // band))
        bands, height = -(-grid[0] // band), (band - 1) * stride[0] + extent[0]
        self.tasks = n * bands
        self.geo = np.array(
            (*source, *result, fan, per, band, bands, height, width, *start, stride[0], *apart, pixel, alone), np.int64
        )
        q, p = np.ogrid[: band if apart == (1, 1) else 1, : grid[1]]
        pixels = ((q * stride[0] * width + p * stride[1]) * pixel).reshape(-1)
        self.count = pixels.size
        self.pixels = np.pad(pixels, (0, max(0, PIXELS - pixels.size)), "edge").astype(np.int64)
        steps: list[int] = []
        order: list[int] = []
        table: list[tuple[int, int, int, int]] = []
        for row, column, places in phases:
            table.append((row, column, len(steps), len(steps) + len(places) * fan))
            for y, x, place in places:
                order.append(place)
                steps += [(y * width + x) * pixel + j * VECTOR_BYTES for j in range(fan)]
        self.steps, self.order = np.array(steps, np.int64), np.array(order, np.int64)
        self.phases = np.array(table, np.int64)


@lru_cache(maxsize=1024)
def _forward_plan(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair, dilation: Pair,
    groups: int, itemsize: int,
) -> _Plan:  # fmt: skip
    n, c, h, w = x_shape
    o, _, kh, kw = w_shape
    places = tuple((y * dilation[0], x * dilation[1], y * kw + x) for y in range(kh) for x in range(kw))
    extent = dilation[0] * (kh - 1) + 1, dilation[1] * (kw - 1) + 1
    return _Plan(
        n, (h, w, c), (*size, o), groups, itemsize, size, extent, padding, stride, (1, 1), (Phase(0, 0, places),)
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _backward_plan(
    g_shape: tuple[int, ...], w_shape: tuple[int, ...], size: Pair, stride: Pair, padding: Pair, dilation: Pair,
    groups: int, itemsize: int,
) -> _Plan:  # fmt: skip
    n, o, oh, ow = g_shape
    phases, grid, start, extent = phases_of(size, w_shape[2:], stride, padding, dilation)
    return _Plan(
        n, (oh, ow, o), (*size, w_shape[1] * groups), groups, itemsize, grid, extent, start, (1, 1), stride, phases
    )  # fmt: skip


@jit
def lanes_of(x: Floats) -> Any:
    """Elements of one vector."""
    return VECTOR_BYTES // x.itemsize


@jit
def _begins(scratch: Floats) -> Any:
    """The first address in it at which a vector may begin."""
    return (scratch.ctypes.data + VECTOR_BYTES - 1) // VECTOR_BYTES * VECTOR_BYTES


@jit
def _room(x: Floats, geo: Ints) -> Any:
    """Elements of a scratch buffer: there is a vector before it to begin at, and one behind that may be overwritten."""
    return geo[10] * geo[11] * geo[17] // x.itemsize + 2 * lanes_of(x)


@jit
def _spread_pixels(x: Floats, source: int, to: int, count: int, k: int, geo: Ints) -> None:
    """Lanes k, k + 1, … of `count` pixels, for each channel that a group has in the source.

    One value a group is written as a whole vector, from the group's first lane on; what follows overwrites its end.
    """
    size, fan, per = x.itemsize, geo[6], geo[7]
    if fan == per and (fan == 2 or fan == 4 or fan == 8) and k % fan == 0:  # within a vector
        pixel = geo[2] * size
        if fan == 2:
            spread_2(x, source + k * size, pixel, to, count)
        elif fan == 4:
            spread_4(x, source + k * size, pixel, to, count)
        else:
            spread_8(x, source + k * size, pixel, to, count)
        return
    first, last = k // per, (k + lanes_of(x) - 1) // per
    for _ in range(count):
        for j in range(fan):
            spread_value(x, source + (first * fan + j) * size, to)
            for group in range(first + 1, last + 1):
                spread_value(x, source + (group * fan + j) * size, to + (group * per - k) * size)
            to += VECTOR_BYTES
        source += geo[2] * size


@jit
def _fill(x: Floats, scratch: int, geo: Ints, image: int, q: int, k: int, filled: bool) -> Any:
    """The part of the source that a band of rows from q on is made of; the address of lane k of its first pixel.

    What holds all channels may be `filled` already.
    """
    h, w, c, height, width, left, pixel, alone = geo[0], geo[1], geo[2], geo[10], geo[11], geo[13], geo[17], geo[18]
    if alone and filled:
        return scratch + k * x.itemsize
    top = q * geo[14] - geo[12]
    begin, end = min(max(left, 0), width), max(min(left + w, width), 0)
    for y in range(height):
        to = scratch + y * width * pixel
        if top + y < 0 or top + y >= h or begin >= end:
            clear_bytes(to, width * pixel)
            continue
        source = x.ctypes.data + ((image * h + top + y) * w + begin - left) * c * x.itemsize
        clear_bytes(to, begin * pixel)
        if alone:
            copy_bytes(to + begin * pixel, source, (end - begin) * pixel)
        else:
            _spread_pixels(x, source, to + begin * pixel, end - begin, k, geo)
        clear_bytes(to + end * pixel, (width - end) * pixel)
    return scratch + k * x.itemsize * alone


# ------------------------------------------------------------ forward, and the gradient of the input


@jit
def _line(
    x: Floats, scratch: int, pixels: int, steps: int, w: int, bias: int, out: int, by_pixel: int, count: int,
    depth: int, corner: Floats, relu: int,
) -> None:  # fmt: skip
    """`count` pixels of the result that lie `by_pixel` bytes apart."""
    for start in range(0, count, PIXELS):
        m = max(0, min(start, count - PIXELS))
        to, step = out + m * by_pixel, by_pixel
        if count < PIXELS:
            to, step = corner.ctypes.data, VECTOR_BYTES
        pixel_tile(x, scratch, pixels + m * 8, steps, w, VECTOR_BYTES, bias, 0, to, step, depth, relu)
    if count < PIXELS:
        copy_vectors(x, corner.ctypes.data, VECTOR_BYTES, out, by_pixel, count)


@kernel
def _band(
    x: Floats, pixels: Ints, steps: Ints, phases: Ints, w: Floats, bias: Floats, out: Floats, geo: Ints, relu: int,
    task: int,
) -> None:  # fmt: skip
    """A band of rows of the grid, of one image; w: (blocks, steps, lanes)."""
    size, vector = x.itemsize, lanes_of(x)
    oh, ow, o, band, down, across = geo[3], geo[4], geo[5], geo[8], geo[15], geo[16]
    image, begin = task // geo[9], task % geo[9] * band
    end = min(begin + band, (oh + down - 1) // down)
    memory = np.empty(_room(x, geo), x.dtype)
    corner = np.empty(PIXELS * vector, x.dtype)
    scratch, line = _begins(memory), geo[11] * geo[17]
    each = max(1, NEAR // (down * ow * o * size)) if geo[18] else band
    for q in range(begin, end, each):
        some = min(each, end - q)
        first_row, last_row = q * down, min((q + some) * down, oh)
        fetch_to_write(
            out.ctypes.data + (image * oh + first_row) * ow * o * size, (last_row - first_row) * ow * o * size
        )
        for block in range((o + vector - 1) // vector):
            k = min(block * vector, o - vector)
            filters = w.ctypes.data + block * steps.size * VECTOR_BYTES
            source = _fill(x, scratch, geo, image, begin, k, block > 0 or q > begin) + (q - begin) * geo[14] * line
            for phase in range(phases.size // 4):
                row, column, first = phases[4 * phase], phases[4 * phase + 1], phases[4 * phase + 2]
                rows = min(q + some, (oh - row + down - 1) // down) - q
                columns = (ow - column + across - 1) // across
                if down == 1 and across == 1:
                    rows, columns = 1, rows * columns
                for r in range(rows):
                    pixel = (image * oh + (q + r) * down + row) * ow + column
                    _line(
                        x, source + r * line, pixels.ctypes.data, steps.ctypes.data + first * 8,
                        filters + first * VECTOR_BYTES, bias.ctypes.data + k * size,
                        out.ctypes.data + (pixel * o + k) * size, across * o * size, columns,
                        phases[4 * phase + 3] - first, corner, relu,
                    )  # fmt: skip
    memory[0] = corner[0] = 0  # an address alone does not keep an array's memory


@kernel
def _pack(w: Floats, order: Ints, out: Floats, channels: int, per: int, fan: int, transposed: int, block: int) -> None:
    """A vector of the result's channels at a time: (blocks, steps, lanes), a step being a place and a channel.

    The weight is (channels, fan, places), or, `transposed`, (groups · fan, per, places). An input smaller than the
    stride does not see all places.
    """
    vector, places = lanes_of(w), w.size // (channels * fan)
    k, at = min(block * vector, channels - vector), block * order.size * fan * vector
    for s in range(order.size):
        for j in range(fan):
            for lane in range(k, k + vector):
                if transposed:
                    row = (lane // per * fan + j) * per + lane % per
                else:
                    row = lane * fan + j
                out[at] = w[row * places + order[s]]
                at += 1


def _run(plan: _Plan, x: Array, weight: Array, bias: Array, out: Array, transposed: bool, relu: bool) -> Array:
    channels, fan, per = out.shape[1], int(plan.geo[6]), int(plan.geo[7])
    blocks = -(-channels // lanes(x.itemsize))
    packed = np.empty(blocks * lanes(x.itemsize) * plan.steps.size, x.dtype)
    _pack(blocks, ready(weight), plan.order, packed, channels, per, fan, transposed)
    bias = ready(bias) if bias.size else np.zeros(channels, x.dtype)
    _band(
        plan.tasks, channels_last(x), plan.pixels, plan.steps, plan.phases, packed, bias, channels_last(out), plan.geo,
        relu,
    )  # fmt: skip
    return out


def convolve(
    x: Array, weight: Array, bias: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int,
    relu: bool,
) -> Array:  # fmt: skip
    """x: (n, c, h, w), weight: (o, c/groups, kh, kw), bias: (o,) or (0,) -> (n, o, *size); max(…, 0) with `relu`."""
    plan = _forward_plan(x.shape, weight.shape, size, stride, padding, dilation, groups, x.itemsize)
    return _run(plan, x, weight, bias, empty_images(len(x), len(weight), *size, x.dtype), False, relu)


def input_grad(gy: Array, weight: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """gy: (n, o, oh, ow), weight: (o, c/groups, kh, kw) -> (n, c, *size)."""
    plan = _backward_plan(gy.shape, weight.shape, size, stride, padding, dilation, groups, gy.itemsize)
    dx = empty_images(len(gy), weight.shape[1] * groups, *size, gy.dtype)
    return _run(plan, gy, weight, np.empty(0, gy.dtype), dx, True, False)


# ------------------------------------------------------------ the gradient of the weight


@kernel
def _weight_span(
    x: Floats, g: Floats, taps: Ints, pixels: Ints, partial: Floats, geo: Ints, units: int, spans: int, span: int
) -> None:  # fmt: skip
    """The sums of some bands of g's rows: partial, (spans, blocks, taps, lanes)."""
    size, vector = x.itemsize, lanes_of(x)
    oh, ow, o, band = geo[3], geo[4], geo[5], geo[8]
    blocks = (o + vector - 1) // vector
    memory = np.empty(_room(x, geo), x.dtype)
    scratch = _begins(memory)
    base = partial.ctypes.data + span * blocks * taps.size * VECTOR_BYTES
    clear_bytes(base, blocks * taps.size * VECTOR_BYTES)
    for unit in range(units * span // spans, units * (span + 1) // spans):
        image, q = unit // geo[9], unit % geo[9] * band
        count = min(band, oh - q) * ow
        for block in range(blocks):
            k = min(block * vector, o - vector)
            source = _fill(x, scratch, geo, image, q, k, block > 0)
            for tap in range(0, taps.size, PLACES):
                sums = base + (block * taps.size + tap) * VECTOR_BYTES
                place_tile(
                    x, source, taps.ctypes.data + tap * 8, pixels.ctypes.data,
                    g.ctypes.data + ((image * oh + q) * ow * o + k) * size, o * size, sums, VECTOR_BYTES, sums,
                    VECTOR_BYTES, count, 0,
                )  # fmt: skip
    memory[0] = 0  # an address alone does not keep an array's memory


@kernel
def _join_spans(
    partial: Floats, dw: Floats, spans: int, o: int, fan: int, places: int, taps: int, block: int
) -> None:  # fmt: skip
    """Add up a block's spans, in order, and give each channel its places."""
    vector = lanes_of(partial)
    k, step = min(block * vector, o - vector), (o + vector - 1) // vector * taps * vector
    for lane in range(vector):
        for j in range(fan):
            for p in range(places):
                at = (block * taps + p * fan + j) * vector + lane
                total = partial[at]
                for span in range(1, spans):
                    total += partial[span * step + at]
                dw[((k + lane) * fan + j) * places + p] = total


def weight_grad(
    gy: Array, x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """gy: (n, o, oh, ow), x: (n, c, h, w) -> (o, c/groups, *kernel_size)."""
    shape = gy.shape[1], x.shape[1] // groups, *kernel_size
    plan = _forward_plan(x.shape, shape, gy.shape[2:], stride, padding, dilation, groups, x.itemsize)
    steps = plan.steps
    taps = np.pad(steps, (0, -steps.size % PLACES), "edge")
    spans, vector = min(SPANS, plan.tasks), lanes(x.itemsize)
    blocks = -(-shape[0] // vector)
    partial = np.empty(spans * blocks * taps.size * vector, x.dtype)
    _weight_span(
        spans, channels_last(x), channels_last(gy), taps, plan.pixels, partial, plan.geo, plan.tasks, spans
    )  # fmt: skip
    dw = np.empty(shape, x.dtype)
    _join_spans(blocks, partial, dw, spans, shape[0], shape[1], kernel_size[0] * kernel_size[1], taps.size)
    return dw
