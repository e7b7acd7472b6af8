"""Depthwise convolution, one filter a channel, and its gradients, by the tile of `lane_tile.py`.

Images are channels-last in memory. A task takes a band of rows of one image, and copies what they are made of, with
zeros around, into a scratch buffer that stays in its cache. The input's gradient is the convolution of the cotangent,
spread out by the stride, with the flipped filters. The weight's gradient sums bands in spans, and spans in order. Work
is cut by shape alone. A last vector of channels that would reach over the end begins earlier and repeats some.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .compile import Floats, Ints, jit, kernel
from .conv_pad import pad_cotangent
from .lane_tile import PIXELS, PLACES, pixel_tile, place_tile
from .layout import channels_last, ready
from .memory import empty_images
from .tile import VECTOR_BYTES
from .vectors import clear_bytes, copy_bytes, lanes

Array = Any
Pair = tuple[int, int]

SCRATCH = 1 << 18  # bytes of a task's scratch buffer
SPANS = 16

# ------------------------------------------------------------ what all of them need


def suits(x_shape: tuple[int, ...], w_shape: tuple[int, ...], groups: int, itemsize: int) -> bool:
    """One filter a channel, and channels enough for a vector."""
    return groups == x_shape[1] == w_shape[0] and groups >= lanes(itemsize)


@lru_cache(maxsize=1024)
def _plan(
    n: int, c: int, source: Pair, out: Pair, window: Pair, dilation: Pair, top: int, left: int, stride: Pair,
    spread: Pair, itemsize: int,
) -> tuple[Array, Array, int]:  # fmt: skip
    """The numbers that kernels need, the byte offset of each place of the window in the scratch buffer, and the tasks.

    Row y of the result begins at row y·stride − top of the source, whose rows and columns are `spread` apart, and at
    its column −left.
    """
    extent = dilation[0] * (window[0] - 1) + 1
    width = (out[1] - 1) * stride[1] + dilation[1] * (window[1] - 1) + 1
    line = width * c * itemsize
    band = max(1, min(out[0], (SCRATCH // line - extent) // stride[0] + 1))
    if n < 8:
        band = min(band, -(-out[0] * n // 8))
    band = -(-out[0] // -(-out[0] // band))
    bands, height = -(-out[0] // band), (band - 1) * stride[0] + extent
    ky, kx = np.ogrid[: window[0], : window[1]]
    places = ((ky * dilation[0] * width + kx * dilation[1]) * c * itemsize).reshape(-1)
    numbers = (n, *source, c, *out, band, bands, height, width, top, left, *stride, *spread, places.size)
    return np.array(numbers, np.int64), places.astype(np.int64), n * bands


@jit
def lanes_of(x: Floats) -> Any:
    """Elements of one vector."""
    return VECTOR_BYTES // x.itemsize


@jit
def _fill(x: Floats, scratch: Floats, geo: Ints, image: int, y0: int) -> None:
    """The part of the source that a band of rows from y0 on is made of, with zeros where there is nothing."""
    h, w, c, height, width, left, sh, sw = geo[1], geo[2], geo[3], geo[8], geo[9], geo[11], geo[14], geo[15]
    top = y0 * geo[12] - geo[10]
    if sh == 1 and sw == 1:
        pad_cotangent(x, scratch, 0, image, top, height, width, h, w, left, c)
        return
    pixel = c * x.itemsize
    for y in range(height):
        to = scratch.ctypes.data + y * width * pixel
        clear_bytes(to, width * pixel)
        row = (top + y) // sh
        if top + y < 0 or row >= h or row * sh != top + y:
            continue
        for j in range(w):
            at = left + j * sw
            if at >= 0 and at < width:
                copy_bytes(to + at * pixel, x.ctypes.data + ((image * h + row) * w + j) * pixel, pixel)


@jit
def _find(rows: Array, count: int, pixel: int, geo: Ints) -> None:
    """Byte offsets of a band's pixels in the scratch buffer, the last repeated to fill a tile."""
    for m in range(rows.size):
        y, x = divmod(min(m, count - 1), geo[5])
        rows[m] = (y * geo[12] * geo[9] + x * geo[13]) * pixel


# ------------------------------------------------------------ forward, and the gradient of the input


@kernel
def _band(x: Floats, steps: Ints, w: Floats, bias: Floats, out: Floats, geo: Ints, relu: int, task: int) -> None:
    """A band of rows of the result; w: (places, c)."""
    size, c, oh, ow, band = x.itemsize, geo[3], geo[4], geo[5], geo[6]
    vector, places = lanes_of(x), geo[16]
    image, y0 = task // geo[7], task % geo[7] * band
    count = min(band, oh - y0) * ow
    scratch = np.empty(geo[8] * geo[9] * c, x.dtype)
    corner = np.empty(PIXELS * vector, x.dtype)
    rows = np.empty(max(count, PIXELS), np.int64)
    _fill(x, scratch, geo, image, y0)
    _find(rows, count, c * size, geo)
    base = (image * oh + y0) * ow * c
    for block in range((c + vector - 1) // vector):
        k = min(block * vector, c - vector)
        for start in range(0, count, PIXELS):
            m = max(0, min(start, count - PIXELS))
            to, step = out.ctypes.data + (base + m * c + k) * size, c * size
            if count < PIXELS:
                to, step = corner.ctypes.data, vector * size
            pixel_tile(
                x, scratch.ctypes.data + k * size, rows.ctypes.data + m * 8, steps.ctypes.data,
                w.ctypes.data + k * size, c * size, bias.ctypes.data + k * size, 0, to, step, places,
            )  # fmt: skip
        if count < PIXELS:
            for m in range(count):
                for j in range(vector):
                    out[base + m * c + k + j] = corner[m * vector + j]
    if relu:
        zero = x.dtype.type(0)
        for i in range(base, base + count * c):
            v = out[i]
            out[i] = zero if v <= zero else v


@kernel
def _turn(w: Floats, out: Floats, c: int, places: int, flip: int, task: int) -> None:
    """(c, places) -> (places, c), the places from the last to the first with `flip`."""
    for p in range(places):
        row = places - 1 - p if flip else p
        for k in range(c):
            out[row * c + k] = w[k * places + p]


def _filters(weight: Array, flip: bool) -> Array:
    c, _, kh, kw = weight.shape
    out = np.empty(weight.size, weight.dtype)
    _turn(1, ready(weight), out, c, kh * kw, flip)
    return out


def convolve(
    x: Array, weight: Array, bias: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair, relu: bool
) -> Array:
    """x: (n, c, h, w), weight: (c, 1, kh, kw), bias: (c,) or (0,) -> (n, c, *size); max(…, 0) with `relu`."""
    n, c, h, w = x.shape
    geo, steps, tasks = _plan(
        n, c, (h, w), size, weight.shape[2:], dilation, padding[0], padding[1], stride, (1, 1), x.itemsize
    )  # fmt: skip
    out = empty_images(n, c, *size, x.dtype)
    bias = ready(bias) if bias.size else np.zeros(c, x.dtype)
    _band(tasks, channels_last(x), steps, _filters(weight, False), bias, channels_last(out), geo, relu)
    return out


def input_grad(gy: Array, weight: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """gy: (n, c, oh, ow), weight: (c, 1, kh, kw) -> (n, c, *size)."""
    n, c, oh, ow = gy.shape
    kh, kw = weight.shape[2:]
    geo, steps, tasks = _plan(
        n, c, (oh, ow), size, (kh, kw), dilation, dilation[0] * (kh - 1) - padding[0],
        dilation[1] * (kw - 1) - padding[1], (1, 1), stride, gy.itemsize,
    )  # fmt: skip
    dx = empty_images(n, c, *size, gy.dtype)
    zeros = np.zeros(c, gy.dtype)
    _band(tasks, channels_last(gy), steps, _filters(weight, True), zeros, channels_last(dx), geo, False)
    return dx


# ------------------------------------------------------------ the gradient of the weight


@kernel
def _weight_span(
    x: Floats, g: Floats, taps: Ints, partial: Floats, geo: Ints, units: int, spans: int, span: int
) -> None:  # fmt: skip
    """The sums of some bands of g's rows: partial, (spans, places, channels), both filled up."""
    size, c, oh, ow, band = x.itemsize, geo[3], geo[4], geo[5], geo[6]
    vector = lanes_of(x)
    blocks = (c + vector - 1) // vector
    scratch = np.empty(geo[8] * geo[9] * c, x.dtype)
    rows = np.empty(max(band * ow, PIXELS), np.int64)
    base = span * taps.size * blocks * vector
    partial[base : base + taps.size * blocks * vector] = 0
    for unit in range(units * span // spans, units * (span + 1) // spans):
        image, y0 = unit // geo[7], unit % geo[7] * band
        count = min(band, oh - y0) * ow
        _fill(x, scratch, geo, image, y0)
        _find(rows, count, c * size, geo)
        for block in range(blocks):
            k = min(block * vector, c - vector)
            for tap in range(0, taps.size, PLACES):
                sums = partial.ctypes.data + (base + (tap * blocks + block) * vector) * size
                place_tile(
                    x, scratch.ctypes.data + k * size, taps.ctypes.data + tap * 8, rows.ctypes.data,
                    g.ctypes.data + ((image * oh + y0) * ow * c + k) * size, c * size,
                    sums, blocks * vector * size, sums, blocks * vector * size, count,
                )  # fmt: skip


@kernel
def _join_spans(partial: Floats, dw: Floats, spans: int, c: int, places: int, filled: int, task: int) -> None:
    """Add up the spans, in order, and give each channel its places."""
    vector = lanes_of(partial)
    blocks = (c + vector - 1) // vector
    for k in range(c):
        block = min(k // vector, blocks - 1)
        lane = k - min(block * vector, c - vector)
        for p in range(places):
            at = (p * blocks + block) * vector + lane
            total = partial[at]
            for span in range(1, spans):
                total += partial[span * filled * blocks * vector + at]
            dw[k * places + p] = total


def weight_grad(gy: Array, x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """gy: (n, c, oh, ow), x: (n, c, h, w) -> (c, 1, *kernel_size)."""
    n, c, h, w = x.shape
    geo, steps, units = _plan(
        n, c, (h, w), gy.shape[2:], kernel_size, dilation, padding[0], padding[1], stride, (1, 1), x.itemsize
    )  # fmt: skip
    taps = np.full(-(-steps.size // PLACES) * PLACES, steps[-1])
    taps[: steps.size] = steps
    spans, vector = min(SPANS, units), lanes(x.itemsize)
    partial = np.empty(spans * taps.size * -(-c // vector) * vector, x.dtype)
    _weight_span(spans, channels_last(x), channels_last(gy), taps, partial, geo, units, spans)
    dw = np.empty((c, 1, *kernel_size), x.dtype)
    _join_spans(1, partial, dw, spans, c, steps.size, taps.size)
    return dw
