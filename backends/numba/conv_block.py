"""A convolution with the ReLU and the pooling behind it, forward and backward: what `autograd/ops/fused.py` is made of.

A task takes its images one after the other, or a few small ones at once. Forward, an image's convolution is written
to a scratch buffer and pooled from there. Backward, the cotangent of the convolution's result is spread out, or masked,
in a scratch buffer, and all that is made of it, bias, weight and input gradient, is made while it is in the cache. The
large image in between is never written to memory, and neither is its cotangent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import conv, lane_conv, pointwise, reductions, winograd, winograd_grad
from .compile import Bytes, Floats, Ints, jit, kernel
from .conv import find_pixels, geometry, multiply, out_size, pack_weight, reduce_weight, weight_sums
from .conv_input import conv2d_input_grad, find_inputs, pack_flipped
from .conv_pad import pad_cotangent
from .layout import channels_last
from .memory import empty, empty_images
from .sums import joined
from .tile import ROWS, VECTOR_BYTES, tile_width
from .vectors import clear_bytes, copy_bytes, lanes, mask_vector, spread_vector, sum_vectors, top_vector

Array = Any
Pair = tuple[int, int]

LARGEST = 1 << 19  # bytes of one image's cotangent that still stay in the second-level cache
PIXELS = 128  # of the convolution's result that a task takes at once, at the least

# ---------------------------------------------------------------- forward


@jit
def _pool_row(
    conv_rows: Floats, base: int, width: int, o: int, out: Floats, place: Bytes, target: int, ow: int, tail: Floats,
    tail_place: Bytes,
) -> None:  # fmt: skip
    """Windows of 2 × 2 in two rows of pixels: the maximum of each and 0, and its place, or −1.

    Channels that do not fill a vector go through `tail`; a vector behind the rows may be read.
    """
    size = conv_rows.itemsize
    step = VECTOR_BYTES // size
    for ox in range(ow):
        for k in range(0, o, step):
            p = conv_rows.ctypes.data + (base + 2 * ox * o + k) * size
            r = p + width * o * size
            at = target + ox * o + k
            y, where = out.ctypes.data + at * size, place.ctypes.data + at
            whole = k + step <= o
            to, to_place = (y, where) if whole else (tail.ctypes.data, tail_place.ctypes.data)
            top_vector(conv_rows, p, p + o * size, r, r + o * size, to, to_place)
            if not whole:
                copy_bytes(y, to, (o - k) * size)
                copy_bytes(where, to_place, o - k)


@kernel
def _forward_band(
    x: Floats, steps: Ints, w: Floats, bias: Floats, out: Floats, place: Bytes, geo: Ints, height: int, bands: int,
    task: int,
) -> None:  # fmt: skip
    """One band of one image's `height` rows of windows."""
    o, width = geo[7], geo[2]
    image, band = task // bands, task % bands
    top, bottom = height * band // bands, height * (band + 1) // bands
    count = 2 * (bottom - top) * width
    start = image * geo[1] + 2 * top * width
    rows = np.empty((count + ROWS - 1) // ROWS * ROWS, np.int64)
    limits = np.empty(2 * (rows.size // ROWS), np.int64)
    limits[0::2], limits[1::2] = 0, geo[6]
    corner = np.zeros(ROWS * geo[11], x.dtype)
    step = VECTOR_BYTES // x.itemsize
    scratch = np.empty(count * o + step, x.dtype)  # whose last vector may reach over its end
    tail, tail_place = np.empty(step, x.dtype), np.empty(step, np.int8)
    find_pixels(rows, start, start + count, geo)
    multiply(x, steps, w, bias, scratch, rows, limits, corner, 0, count, geo)
    pooled = width // 2
    for row in range(bottom - top):
        _pool_row(
            scratch, 2 * row * width * o, width, o, out, place, (image * height + top + row) * pooled * o, pooled,
            tail, tail_place,
        )  # fmt: skip


def conv2d_relu_max_pool2d(
    x: Array, weight: Array, bias: Array, *, window: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[Array, Array]:
    """x: (n, c, h, w), weight: (o, c/groups, kh, kw), bias: (o,) -> maxima and places (n, o, oh // 2, ow // 2)."""
    n, _, h, w = x.shape
    o, _, kh, kw = weight.shape
    size = out_size((h, w), (kh, kw), stride, padding, dilation)
    tiles = winograd.count_tiles(size, dilation, pooled=True)
    if winograd.suits(x.shape, weight.shape, stride, tiles, size[0] * size[1]):
        return winograd.convolve_pooled(x, weight, bias, size, padding)
    geo, steps = geometry(x.shape, weight.shape, size, stride, padding, dilation, groups, x.itemsize)
    height, width = size[0] // 2, size[1] // 2
    out, place = empty_images(n, o, height, width, x.dtype), empty_images(n, o, height, width, np.dtype(np.int8))
    packed, packed_bias = pack_weight(weight, bias, geo)
    bands = 1
    while n * bands < 8 and height // (2 * bands) * size[1] >= PIXELS // 2:
        bands *= 2
    while size[0] * size[1] * o * x.itemsize > bands * LARGEST and bands < height:
        bands *= 2
    bands = min(bands, height)
    _forward_band(
        n * bands, channels_last(x, padding), steps, packed, packed_bias, channels_last(out), channels_last(place), geo,
        height, bands,
    )  # fmt: skip
    return out, place


def conv2d_relu(x: Array, weight: Array, bias: Array, **geometry: Any) -> Array:
    """x: (n, c, h, w), weight: (o, c/groups, kh, kw), bias: (o,) -> (n, o, oh, ow)."""
    return conv.conv2d_bias(x, weight, bias, **geometry, relu=True)


# --------------------------------------------------------------- backward


@jit
def _put(
    g: Floats, place: Bytes, u: Floats, source: int, a: int, right: int, below: int, o: int, tail: Floats,
    tail_place: Bytes,
) -> None:  # fmt: skip
    """One window's cotangent, to the four pixels of u from `a` on; a rest of channels goes through `tail`."""
    size = u.itemsize
    step = VECTOR_BYTES // size
    for k in range(0, o, step):
        value, where = g.ctypes.data + (source + k) * size, place.ctypes.data + source + k
        to = u.ctypes.data + (a + k) * size
        if k + step <= o:
            spread_vector(g, value, where, to, to + right * size, to + below * size, to + (below + right) * size)
            continue
        part, t = (o - k) * size, tail.ctypes.data
        copy_bytes(t, value, part)
        copy_bytes(tail_place.ctypes.data, where, o - k)
        line = step * size
        spread_vector(g, t, tail_place.ctypes.data, t, t + line, t + 2 * line, t + 3 * line)
        copy_bytes(to, t, part)
        copy_bytes(to + right * size, t + line, part)
        copy_bytes(to + below * size, t + 2 * line, part)
        copy_bytes(to + (below + right) * size, t + 3 * line, part)


@jit
def _spread(
    g: Floats, place: Bytes, u: Floats, image: int, at: int, oh: int, ow: int, o: int, tail: Floats, tail_place: Bytes
) -> None:
    """One image's cotangent, from the windows to the places of their maxima, into u from `at` on."""
    height, width, pixel = oh // 2, ow // 2, o * u.itemsize
    for y in range(height):
        for x in range(width):
            source = ((image * height + y) * width + x) * o
            _put(g, place, u, source, at + (2 * y * ow + 2 * x) * o, o, ow * o, o, tail, tail_place)
    first = u.ctypes.data + at * u.itemsize
    for row in range(2 * height):
        clear_bytes(first + (row * ow + 2 * width) * pixel, (ow - 2 * width) * pixel)
    clear_bytes(first + 2 * height * ow * pixel, (oh - 2 * height) * ow * pixel)


@jit
def _mask(g: Floats, y: Floats, u: Floats, start: int, count: int, tail: Floats) -> None:
    """g where y is positive, else 0, as `relu_grad`; `count` elements from `start` on."""
    size = u.itemsize
    step = VECTOR_BYTES // size
    for i in range(0, count, step):
        a, b, to = g.ctypes.data + (start + i) * size, y.ctypes.data + (start + i) * size, u.ctypes.data + i * size
        if i + step <= count:
            mask_vector(u, a, b, to)
            continue
        t, part = tail.ctypes.data, (count - i) * size
        copy_bytes(t, a, part)
        copy_bytes(t + step * size, b, part)
        mask_vector(u, t, t + step * size, t)
        copy_bytes(to, t, part)


@jit
def _add_rows(u: Floats, count: int, sums: Floats, at: int, o: int) -> None:
    """Add `count` rows of u, one after the other, to sums[at:at + o], where there is room for whole vectors."""
    size = u.itemsize
    step = VECTOR_BYTES // size
    for k in range(0, o, step):
        sum_vectors(u, u.ctypes.data + k * size, o * size, count, sums.ctypes.data + (at + k) * size)


@jit
def _chunk_weights(
    g: Floats, y: Floats, place: Bytes, x: Floats, steps: Ints, partial: Floats, sums: Floats, u: Floats, rows: Ints,
    edge: Floats, zero: Floats, tail: Floats, tail_place: Bytes, geo: Ints, oh: int, task: int, first: int, image: int,
    some: int,
) -> None:  # fmt: skip
    """The cotangent of `some` images' convolution, into u, and with it bias and weight gradient."""
    per_image, ow, o = geo[1], geo[2], geo[7]
    step = VECTOR_BYTES // g.itemsize
    wide = (o + step - 1) // step * step * g.itemsize
    if image == first:
        clear_bytes(sums.ctypes.data + task * wide, wide)
    if place.size:
        for i in range(some):
            _spread(g, place, u, image + i, i * per_image * o, oh, ow, o, tail, tail_place)
    else:
        _mask(g, y, u, image * per_image * o, some * per_image * o, tail)
    _add_rows(u, some * per_image, sums, task * wide // g.itemsize, o)
    start = image * per_image
    weight_sums(
        x, steps, u, partial, rows, edge, zero, task, 0, steps.size // ROWS, start, start + some * per_image, start,
        image == first, geo,
    )  # fmt: skip


@kernel
def _backward_weights(
    g: Floats, y: Floats, place: Bytes, x: Floats, steps: Ints, partial: Floats, sums: Floats, geo: Ints, n: int,
    oh: int, chunk: int, spans: int, task: int,
) -> None:  # fmt: skip
    """Bias and weight gradient of some images, `chunk` at once: all that a first layer needs."""
    first, last = n * task // spans, n * (task + 1) // spans
    step = VECTOR_BYTES // g.itemsize
    u = np.empty(chunk * geo[1] * geo[7] + step, g.dtype)  # whose last vector may reach over its end
    tail, tail_place = np.empty(4 * step, g.dtype), np.empty(step, np.int8)
    rows = np.empty(conv.SPAN + ROWS, np.int64)
    edge, zero = np.zeros(conv.SPAN * geo[11], g.dtype), np.zeros(geo[11], g.dtype)
    for image in range(first, last, chunk):
        _chunk_weights(
            g, y, place, x, steps, partial, sums, u, rows, edge, zero, tail, tail_place, geo, oh, task, first, image,
            min(chunk, last - image),
        )  # fmt: skip


@kernel
def _backward_images(
    g: Floats, y: Floats, place: Bytes, x: Floats, steps: Ints, w: Floats, zeros: Floats, steps_in: Ints,
    partial: Floats, sums: Floats, dx: Floats, geo: Ints, geo_in: Ints, n: int, oh: int, left: int, above: int,
    chunk: int, spans: int, task: int,
) -> None:  # fmt: skip
    """The same with the input gradient; geo_in is of the padded cotangent's convolution with the flipped weight."""
    per_image, ow, o = geo[1], geo[2], geo[7]
    first, last = n * task // spans, n * (task + 1) // spans
    step = VECTOR_BYTES // g.itemsize
    u = np.empty(chunk * per_image * o + step, g.dtype)
    tail, tail_place = np.empty(4 * step, g.dtype), np.empty(step, np.int8)
    rows = np.empty(conv.SPAN + ROWS, np.int64)
    edge, zero = np.zeros(conv.SPAN * geo[11], g.dtype), np.zeros(geo[11], g.dtype)
    height, row, inputs = geo_in[15], geo_in[16], geo_in[1]
    padded = np.empty(chunk * height * row * o, g.dtype)
    rows_in = np.empty((chunk * inputs + ROWS - 1) // ROWS * ROWS, np.int64)
    limits = np.empty(2 * (rows_in.size // ROWS), np.int64)
    corner = np.zeros(ROWS * geo_in[11], g.dtype)
    find_inputs(rows_in, limits, chunk * inputs, -above, oh, geo_in[14] * geo_in[10], geo_in)
    for image in range(first, last, chunk):
        some = min(chunk, last - image)
        _chunk_weights(
            g, y, place, x, steps, partial, sums, u, rows, edge, zero, tail, tail_place, geo, oh, task, first, image,
            some,
        )  # fmt: skip
        for i in range(some):
            pad_cotangent(u, padded, i * height * row * o, i, -above, height, row, oh, ow, left, o)
        multiply(
            padded, steps_in, w, zeros, dx, rows_in, limits, corner, image * inputs, (image + some) * inputs, geo_in
        )  # fmt: skip


def _backward(
    g: Array, y: Array, place: Array, x: Array, weight: Array, need_x: bool, padding: Pair, dilation: Pair,
    groups: int, size: Pair,
) -> tuple[Array, ...]:  # fmt: skip
    """Weight, bias and, if needed, input gradient for a stride of 1; y or `place` is empty."""
    n, c, h, w = x.shape
    o, (kh, kw) = len(weight), weight.shape[2:]
    dtype, item = x.dtype, x.itemsize
    oh, ow = size
    geo, steps = geometry(x.shape, weight.shape, size, (1, 1), padding, dilation, groups, item)
    nr = tile_width(item)
    width = -(-(o // groups) // nr) * nr
    spans = max(1, min(n, 16 if n >= 128 else 8, n * oh * ow // 64))
    chunk = max(1, min(-(-n // spans), -(-PIXELS // (oh * ow))))
    partial = empty((spans * groups * steps.size * width,), dtype)
    step = lanes(item)
    sums = np.empty((spans, -(-o // step) * step), dtype)
    arrays = channels_last(g), channels_last(y), channels_last(place), channels_last(x, padding), steps
    dx: tuple[Array, ...] = ()
    if need_x:
        extent, row = dilation[0] * (kh - 1), w + dilation[1] * (kw - 1)
        geo_in, steps_in = geometry(
            (n, o, h + extent, row), (c, o // groups, kh, kw), (h, w), (1, 1), (0, 0), dilation, groups, item
        )
        dx = (empty_images(n, c, h, w, dtype),)
        _backward_images(
            spans, *arrays, *pack_flipped(weight, groups), steps_in, partial, sums, channels_last(dx[0]), geo, geo_in,
            n, oh, dilation[1] * (kw - 1) - padding[1], extent - padding[0], chunk, spans,
        )  # fmt: skip
    else:
        _backward_weights(spans, *arrays, partial, sums, geo, n, oh, chunk, spans)
    dweight = reduce_weight(partial, weight.shape, spans, width, steps.size, groups, geo)
    return dweight, joined(sums)[:o], *dx


def _separately(
    u: Array, x: Array, weight: Array, need_x: bool, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[Array, ...]:
    """The same by the kernels of each gradient."""
    shape: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    dweight = conv.conv2d_weight_grad(u, x, kernel_size=weight.shape[2:], **shape)
    bias = reductions.sum_(u, axis=(0, 2, 3))
    if not need_x:
        return dweight, bias
    return dweight, bias, conv2d_input_grad(u, weight, input_size=x.shape[2:], **shape)


def _by_tiles(
    g: Array, y: Array | None, place: Array | None, x: Array, weight: Array, need_x: bool, padding: Pair,
    dilation: Pair, groups: int,
) -> tuple[Array, ...]:  # fmt: skip
    """The same by Winograd's tiles."""
    found = winograd_grad.gradients(
        g, y, place, x, weight.shape[2:], weight if need_x else None, padding, dilation, groups
    )  # fmt: skip
    return found if need_x else found[:2]


def _small(size: Pair, n: int, o: int, itemsize: int, stride: Pair) -> bool:
    """Whether images are small, and many enough to be shared among the threads."""
    return stride == (1, 1) and n >= 4 and size[0] * size[1] * o * itemsize <= LARGEST


def _apart(x: Array, weight: Array, size: Pair, stride: Pair, dilation: Pair, groups: int) -> bool:
    """Whether single gradients have kernels that are faster than the direct ones, and that do one at a time."""
    return lane_conv.suits(len(weight), x.shape[1], groups, x.itemsize) or winograd_grad.suits(
        x.shape, weight.shape, size, stride, dilation, need_x=False
    )


def conv2d_relu_grad(
    gy: Array, y: Array, x: Array, weight: Array, *, need_x: bool, stride: Pair, padding: Pair, dilation: Pair,
    groups: int,
) -> tuple[Array, ...]:  # fmt: skip
    """gy, y: (n, o, oh, ow), x: (n, c, h, w), weight: (o, c/groups, kh, kw) -> cotangents of weight, bias, and x."""
    size = gy.shape[2:]
    if winograd_grad.suits(x.shape, weight.shape, size, stride, dilation, need_x=need_x):
        return _by_tiles(gy, y, None, x, weight, need_x, padding, dilation, groups)
    apart = _apart(x, weight, size, stride, dilation, groups)
    if not apart and _small(size, len(x), len(weight), x.itemsize, stride):
        none = np.empty((0, 1, 1, 1), np.int8)
        return _backward(gy, y, none, x, weight, need_x, padding, dilation, groups, size)
    return _separately(pointwise.relu_grad(gy, y), x, weight, need_x, stride, padding, dilation, groups)


@kernel
def _spread_image(g: Floats, place: Bytes, u: Floats, oh: int, ow: int, o: int, image: int) -> None:
    step = VECTOR_BYTES // g.itemsize
    tail, tail_place = np.empty(4 * step, g.dtype), np.empty(step, np.int8)
    _spread(g, place, u, image, image * oh * ow * o, oh, ow, o, tail, tail_place)


def conv2d_relu_max_pool2d_grad(
    gy: Array, place: Array, x: Array, weight: Array, *, need_x: bool, window: Pair, stride: Pair, padding: Pair,
    dilation: Pair, groups: int,
) -> tuple[Array, ...]:  # fmt: skip
    """gy, place: (n, o, oh // 2, ow // 2), x, weight as in `conv2d_relu_grad`."""
    n, o = gy.shape[:2]
    size = out_size(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    if winograd_grad.suits(x.shape, weight.shape, size, stride, dilation, need_x=need_x, pooled=True):
        return _by_tiles(gy, None, place, x, weight, need_x, padding, dilation, groups)
    apart = _apart(x, weight, size, stride, dilation, groups)
    if not apart and _small(size, n, o, x.itemsize, stride):
        none = np.empty((0, 1, 1, 1), x.dtype)
        return _backward(gy, none, place, x, weight, need_x, padding, dilation, groups, size)
    u = empty_images(n, o, *size, x.dtype)
    _spread_image(n, channels_last(gy), channels_last(place), channels_last(u), *size, o)
    return _separately(u, x, weight, need_x, stride, padding, dilation, groups)
