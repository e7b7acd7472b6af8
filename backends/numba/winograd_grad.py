"""The gradients of the convolution of `winograd.py`: its adjoint, also with sixteen products a tile.

    dM = A dY Aᵀ,    dU = Σ Vᵀ dM,    dw = Gᵀ dU G,    dV = dM Uᵀ,    dd = B dV Bᵀ

for each tile, V = Bᵀ d B again from the image: storing it would cost four times the image. dw is made once, of the
sum over all tiles. dd is added to the image's gradient, where the windows of neighbouring tiles overlap.

A task takes some images, a block of tiles at once, and is alone with their gradient; the tasks' dU are added in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import winograd
from .compile import Bytes, Floats, Ints, jit, kernel
from .layout import channels_last
from .memory import empty, empty_images
from .tile import TALL_ROWS
from .vectors import mask_vector, sum_vectors
from .winograd import Pair, aligned, count_tiles, enter_tiles, multiply_tiles, tiling, transform_filters
from .winograd_tiles import enter_back_tile, leave_back_pooled_tile, leave_back_tile

Array = Any

IMAGES = 4  # that a call must have: no two tasks share one
PARTIAL = 1 << 24  # bytes of all tasks' dU at most
LARGEST = 1 << 20  # elements of one task's dU that stay near the processor

# ------------------------------------------------------------------ the parts of a block


@jit
def _copy_pooled(g: Floats, place: Bytes, at: int, o: int, scratch: Floats, stage: int, width: int) -> None:
    """One window's cotangent as four pixels of `width` channels."""
    for k in range(o):
        v, tap = g[at + k], place[at + k]
        for i in range(4):
            scratch[stage + i * width + k] = v if tap == i else v * 0


@jit
def _copy_pixel(g: Floats, y: Floats, at: int, o: int, scratch: Floats, to: int, lanes: int) -> None:
    """A pixel's cotangent, where y is positive or empty."""
    if y.size == 0:
        for k in range(o):
            scratch[to + k] = g[at + k]
        return
    size = g.itemsize
    whole = o // lanes * lanes
    for k in range(0, whole, lanes):
        mask_vector(
            g, g.ctypes.data + (at + k) * size, y.ctypes.data + (at + k) * size, scratch.ctypes.data + (to + k) * size
        )  # fmt: skip
    for k in range(whole, o):
        v = g[at + k]
        scratch[to + k] = v * 0 if y[at + k] <= 0 else v


@jit
def _spread_pooled(
    g: Floats, place: Bytes, scratch: Floats, m: int, stage: int, start: int, stop: int, geo: Ints
) -> None:
    """dM of tiles start..stop-1 of the pooled convolution, from element m of the scratch buffer on."""
    o, lanes, width, size = geo[5], geo[11], geo[15], g.itemsize
    step = (geo[13] * width + lanes) * size
    line = width * size
    whole = o // lanes * lanes
    for t in range(stop - start):
        at = (start + t) * o
        target = scratch.ctypes.data + (m + t * width) * size
        for k in range(0, whole, lanes):
            leave_back_pooled_tile(
                g, g.ctypes.data + (at + k) * size, place.ctypes.data + at + k, target + k * size, step
            )  # fmt: skip
        if whole < o:
            _copy_pooled(g, place, at, o, scratch, stage, width)
            for k in range(whole, width, lanes):
                a = scratch.ctypes.data + (stage + k) * size
                leave_back_tile(g, a, a + line, a + 2 * line, a + 3 * line, target + k * size, step)


@jit
def _spread(g: Floats, y: Floats, scratch: Floats, m: int, stage: int, start: int, stop: int, geo: Ints) -> None:
    """dM of tiles start..stop-1, of a cotangent that is masked by y if that is not empty."""
    oh, ow, o, rows, columns, lanes, width = geo[3], geo[4], geo[5], geo[6], geo[7], geo[11], geo[15]
    size = g.itemsize
    step = (geo[13] * width + lanes) * size
    image, rest = divmod(start, rows * columns)
    ty, tx = divmod(rest, columns)
    for t in range(stop - start):
        at = ((image * oh + 2 * ty) * ow + 2 * tx) * o
        target = scratch.ctypes.data + (m + t * width) * size
        if y.size == 0 and o == width and 2 * ty + 1 < oh and 2 * tx + 1 < ow:
            a, right, below = g.ctypes.data + at * size, o * size, ow * o * size
        else:
            for i in range(2):
                for j in range(2):
                    to = stage + (2 * i + j) * width
                    if 2 * ty + i < oh and 2 * tx + j < ow:
                        _copy_pixel(g, y, at + (i * ow + j) * o, o, scratch, to, lanes)
                    else:
                        scratch[to : to + o] = 0
            a, right, below = scratch.ctypes.data + stage * size, width * size, 2 * width * size
        for k in range(0, width * size, lanes * size):
            leave_back_tile(g, a + k, a + right + k, a + below + k, a + below + right + k, target + k, step)
        tx += 1
        if tx == columns:
            tx, ty = 0, ty + 1
            if ty == rows:
                ty, image = 0, image + 1


@jit
def _add_windows(scratch: Floats, v: int, stage: int, dx: Floats, first: int, start: int, stop: int, geo: Ints) -> None:
    """B dV Bᵀ of tiles start..stop-1, one tile's width of channels from `first` on, to their windows."""
    h, w, c, rows, columns, nr, lanes = geo[0], geo[1], geo[2], geo[6], geo[7], geo[10], geo[11]
    size = dx.itemsize
    step = (geo[13] * nr + lanes) * size
    image, rest = divmod(start, rows * columns)
    ty, tx = divmod(rest, columns)
    for t in range(stop - start):
        y0, x0 = 2 * ty - geo[8], 2 * tx - geo[9]
        inside = y0 >= 0 and x0 >= 0 and y0 + 4 <= h and x0 + 4 <= w
        for k in range(first, min(first + nr, c), lanes):
            source = scratch.ctypes.data + (v + t * nr + k - first) * size
            if inside and k + lanes <= c:
                target = dx.ctypes.data + (((image * h + y0) * w + x0) * c + k) * size
                enter_back_tile(dx, source, step, target, w * c * size, c * size)
                continue
            scratch[stage : stage + 16 * lanes] = 0
            enter_back_tile(dx, source, step, scratch.ctypes.data + stage * size, 4 * lanes * size, lanes * size)
            for i in range(max(0, -y0), min(4, h - y0)):
                for j in range(max(0, -x0), min(4, w - x0)):
                    to = ((image * h + y0 + i) * w + x0 + j) * c + k
                    for q in range(min(lanes, c - k)):
                        dx[to + q] += scratch[stage + (4 * i + j) * lanes + q]
        tx += 1
        if tx == columns:
            tx, ty = 0, ty + 1
            if ty == rows:
                ty, image = 0, image + 1


@jit
def _backward_block(
    g: Floats, y: Floats, place: Bytes, x: Floats, u: Floats, partial: Floats, sums: Floats, dx: Floats,
    scratch: Floats, tiles: Ints, channels: Ints, outputs: Ints, geo: Ints, start: int, stop: int, fresh: bool,
    task: int,
) -> None:  # fmt: skip
    c, o, nr, lanes, block, width, wide = geo[2], geo[5], geo[10], geo[11], geo[13], geo[14], geo[15]
    size, count = g.itemsize, stop - start
    zero = aligned(scratch)
    stage = zero + nr
    v = stage + 16 * max(width, wide)
    m = v + 16 * (block * max(width, nr) + lanes)
    base = scratch.ctypes.data
    m_step = (block * wide + lanes) * size
    if place.size:
        _spread_pooled(g, place, scratch, m, stage, start, stop, geo)
    else:
        _spread(g, y, scratch, m, stage, start, stop, geo)
    if sums.size:  # the sum of a tile's four pixels is one of its products
        for k in range(0, wide, lanes):
            sum_vectors(
                g, base + (m + k) * size + 5 * m_step, wide * size, count, sums.ctypes.data + (task * wide + k) * size
            )  # fmt: skip
    if partial.size:
        enter_tiles(x, scratch, v, stage, start, stop, geo)
        for t in range(count):
            tiles[t] = t * width * size
        rows = channels.size
        first = partial.ctypes.data + task * 16 * rows * wide * size
        for panel in range(0, wide, nr):
            multiply_tiles(
                g, base + v * size, (block * width + lanes) * size, channels, tiles, base + (m + panel) * size, m_step,
                wide * size, base + zero * size if fresh else 0, first + panel * size, rows * wide * size, wide * size,
                rows, count,
            )  # fmt: skip
    if dx.size:
        for t in range(block):
            tiles[t] = min(t, count - 1) * wide * size
        line = (o + 1) * nr * size
        for panel in range((c + nr - 1) // nr):
            multiply_tiles(
                g, base + m * size, m_step, tiles, outputs, u.ctypes.data + panel * 16 * line, line, nr * size,
                base + zero * size, base + v * size, (block * nr + lanes) * size, nr * size, count, o,
            )  # fmt: skip
            _add_windows(scratch, v, stage, dx, panel * nr, start, stop, geo)


@kernel
def _backward_images(
    g: Floats, y: Floats, place: Bytes, x: Floats, u: Floats, partial: Floats, sums: Floats, dx: Floats, geo: Ints,
    n: int, spans: int, task: int,
) -> None:  # fmt: skip
    """Some images; what is not wanted of the filters', the bias' and the images' gradient is empty."""
    c, nr, lanes, block, width, wide = geo[2], geo[10], geo[11], geo[13], geo[14], geo[15]
    first, last, tiles_each = n * task // spans, n * (task + 1) // spans, geo[6] * geo[7]
    scratch = np.empty(
        lanes + nr + 16 * (max(width, wide) + block * (max(width, nr) + wide) + 2 * lanes), g.dtype
    )  # fmt: skip
    scratch[: lanes + nr + 16 * max(width, wide)] = 0
    tiles, outputs = np.empty(block, np.int64), np.arange(geo[5]) * g.itemsize
    channels = np.arange((c + TALL_ROWS - 1) // TALL_ROWS * TALL_ROWS)
    for k in range(channels.size):
        channels[k] = min(k, c - 1) * g.itemsize
    if sums.size:
        sums[task * wide : (task + 1) * wide] = 0
    if dx.size:
        dx[first * geo[0] * geo[1] * c : last * geo[0] * geo[1] * c] = 0
    for start in range(first * tiles_each, last * tiles_each, block):
        stop = min(start + block, last * tiles_each)
        _backward_block(
            g, y, place, x, u, partial, sums, dx, scratch, tiles, channels, outputs, geo, start, stop,
            start == first * tiles_each, task,
        )  # fmt: skip


# ------------------------------------------------------------------ the filters


@kernel
def _filter_row(
    partial: Floats, dw: Floats, spans: int, rows: int, c: int, o: int, wide: int, lanes: int, row: int
) -> None:
    """Gᵀ dU G of all filters of one input channel, of the spans' sums, added in order."""
    size = partial.itemsize
    step = rows * wide
    half = partial.dtype.type(0.5)
    for s in range(16):
        at = s * step + row * wide
        for k in range(0, wide, lanes):
            to = partial.ctypes.data + (at + k) * size
            sum_vectors(partial, to + 16 * step * size, 16 * step * size, spans - 1, to)
    column = np.empty(12, partial.dtype)
    for j in range(o):
        for s in range(4):
            at = s * step + row * wide + j
            a, d = partial[at], partial[at + 12 * step]
            p, q = partial[at + 4 * step] * half, partial[at + 8 * step] * half
            column[s], column[4 + s], column[8 + s] = a + (p + q), p - q, (p + q) + d
        for i in range(3):
            a, d = column[4 * i], column[4 * i + 3]
            p, q = column[4 * i + 1] * half, column[4 * i + 2] * half
            to = (j * c + row) * 9 + 3 * i
            dw[to], dw[to + 1], dw[to + 2] = a + (p + q), p - q, (p + q) + d


def suits(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], size: Pair, stride: Pair, dilation: Pair,
    need_weight: bool = True, need_x: bool = True, pooled: bool = False,
) -> bool:  # fmt: skip
    """Whether this is faster than the direct kernels, for images enough to be shared among the threads.

    Directly, the input's gradient takes a window for each of the image's pixels, the weight's for each of the output's.
    """
    inner, outer = x_shape[2] * x_shape[3], size[0] * size[1]
    pixels = (inner * need_x + outer * need_weight) / (need_x + need_weight)
    if x_shape[0] < IMAGES or (need_weight and 16 * w_shape[0] * w_shape[1] > LARGEST):
        return False
    return winograd.suits(x_shape, w_shape, stride, dilation, count_tiles(size, pooled), pixels)


def gradients(
    g: Array, y: Array | None, place: Array | None, x: Array | None, weight: Array | None, channels: int,
    input_size: Pair, padding: Pair,
) -> tuple[Array, ...]:  # fmt: skip
    """Cotangents of weight, bias and x; the weight's is empty without x, and x's without the weight.

    g: (n, o, oh, ow); if there is `place`, then that and g: (n, o, oh // 2, ow // 2). y: (n, o, oh, ow), the result,
    masks g where it is not positive.
    """
    n, o = g.shape[:2]
    dtype, item = g.dtype, g.itemsize
    size = input_size[0] + 2 * padding[0] - 2, input_size[1] + 2 * padding[1] - 2
    none, no_place = np.empty((0, 1, 1, 1), dtype), np.empty((0, 1, 1, 1), np.int8)
    geo = tiling((n, channels, *input_size), o, size, padding, place is not None, channels + o, item)
    rows, wide = -(-channels // TALL_ROWS) * TALL_ROWS, int(geo[15])
    spans = min(n, 16 if n >= 128 else 8)
    partial, dw, dx, u = none.reshape(-1), none, none, none.reshape(-1)
    if x is not None:
        spans = max(1, min(spans, PARTIAL // (16 * rows * wide * item)))
        partial, dw = empty((spans * 16 * rows * wide,), dtype), np.empty((o, channels, 3, 3), dtype)
    if weight is not None:
        dx, u = empty_images(n, channels, *input_size, dtype), transform_filters(weight, transposed=True)
    sums = np.empty((spans, wide), dtype)
    _backward_images(
        spans, channels_last(g), channels_last(none if y is None else y),
        channels_last(no_place if place is None else place), channels_last(none if x is None else x), u, partial, sums,
        channels_last(dx), geo, n, spans,
    )  # fmt: skip
    if x is not None:
        _filter_row(channels, partial, dw, spans, rows, channels, o, wide, int(geo[11]))
    return dw, sums[:, :o].sum(axis=0), dx
