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
from .sums import joined
from .tile import TALL_ROWS
from .vectors import clear_bytes, copy_bytes, mask_vector, sum_vectors
from .winograd import (
    Pair,
    aligned,
    count_tiles,
    enter_tiles,
    move_window,
    multiply_tiles,
    place_of,
    tiling,
    transform_filters,
)
from .winograd_tiles import enter_back_tile, leave_back_pooled_tile, leave_back_tile

Array = Any

IMAGES = 4  # that a call must have: no two tasks share one
FOR_WEIGHT = 1.5  # times fewer products, for the weight alone: two transforms of its own
APART = 32  # tiles that a task must have to keep a dU of its own
PARTIAL = 1 << 24  # bytes of all tasks' dU at most
LARGEST = 1 << 20  # elements of one task's dU that stay near the processor

# ------------------------------------------------------------------ the parts of a block


@jit
def _spread_pooled(
    g: Floats, place: Bytes, scratch: Floats, places: Bytes, m: int, stage: int, start: int, stop: int, geo: Ints
) -> None:  # fmt: skip
    """dM of tiles start..stop-1 of the pooled convolution, from element m of the scratch buffer on."""
    o, lanes, width, size = geo[5], geo[11], geo[15], g.itemsize
    step = (geo[13] * width + lanes) * size
    for t in range(stop - start):
        for k in range(0, o, lanes):
            source, where = g.ctypes.data + ((start + t) * o + k) * size, place.ctypes.data + (start + t) * o + k
            if k + lanes > o:
                copy_bytes(scratch.ctypes.data + stage * size, source, (o - k) * size)
                copy_bytes(places.ctypes.data, where, o - k)
                source, where = scratch.ctypes.data + stage * size, places.ctypes.data
            leave_back_pooled_tile(g, source, where, scratch.ctypes.data + (m + t * width + k) * size, step)


@jit
def _spread(g: Floats, y: Floats, scratch: Floats, m: int, stage: int, start: int, stop: int, geo: Ints) -> None:
    """dM of tiles start..stop-1, of a cotangent that is masked by y if that is not empty."""
    oh, ow, o, lanes, width, size = geo[3], geo[4], geo[5], geo[11], geo[15], g.itemsize
    step, line = (geo[13] * width + lanes) * size, lanes * size
    staged = scratch.ctypes.data + stage * size
    for t in range(stop - start):
        image, ty, tx = place_of(start + t, geo)
        right, below = 2 * tx + 1 < ow, 2 * ty + 1 < oh
        inside = right and below and y.size == 0
        for k in range(0, o, lanes):
            at = (((image * oh + 2 * ty) * ow + 2 * tx) * o + k) * size
            a, row, pixel = g.ctypes.data + at, ow * o * size, o * size
            if not inside or k + lanes > o:
                for i in range(4):
                    to, there = staged + i * line, at + (i // 2) * row + (i % 2) * pixel
                    clear_bytes(to, line)
                    if (right or i % 2 == 0) and (below or i < 2):
                        part = min(lanes, o - k) * size
                        copy_bytes(to, g.ctypes.data + there, part)
                        if y.size:
                            copy_bytes(staged + 4 * line, y.ctypes.data + there, part)
                            mask_vector(g, to, staged + 4 * line, to)
                a, row, pixel = staged, 2 * line, line
            leave_back_tile(
                g, a, a + pixel, a + row, a + row + pixel, scratch.ctypes.data + (m + t * width + k) * size, step
            )  # fmt: skip


@jit
def _add_windows(scratch: Floats, v: int, stage: int, dx: Floats, first: int, start: int, stop: int, geo: Ints) -> None:
    """B dV Bᵀ of tiles start..stop-1, one tile's width of channels from `first` on, to their windows."""
    h, w, c, nr, lanes, size = geo[0], geo[1], geo[2], geo[10], geo[11], dx.itemsize
    step, line = (geo[13] * nr + lanes) * size, lanes * size
    staged = scratch.ctypes.data + stage * size
    for t in range(stop - start):
        image, ty, tx = place_of(start + t, geo)
        y0, x0 = 2 * ty - geo[8], 2 * tx - geo[9]
        inside = y0 >= 0 and x0 >= 0 and y0 + 4 <= h and x0 + 4 <= w
        for k in range(first, min(first + nr, c), lanes):
            source = scratch.ctypes.data + (v + t * nr + k - first) * size
            pixels, part = dx.ctypes.data + (image * h * w * c + k) * size, min(lanes, c - k) * size
            if inside and part == line:
                enter_back_tile(dx, source, step, pixels + (y0 * w + x0) * c * size, w * c * size, c * size)
                continue
            clear_bytes(staged, 16 * line)
            move_window(pixels, y0, x0, h, w, c * size, part, staged, line, False)
            enter_back_tile(dx, source, step, staged, 4 * line, line)
            move_window(pixels, y0, x0, h, w, c * size, part, staged, line, True)


@kernel
def _backward_images(
    g: Floats, y: Floats, place: Bytes, x: Floats, u: Floats, partial: Floats, sums: Floats, dx: Floats, geo: Ints,
    n: int, spans: int, task: int,
) -> None:  # fmt: skip
    """Some images; what is not wanted of the filters' and the images' gradient is empty."""
    c, o, nr, lanes, block, width, wide = geo[2], geo[5], geo[10], geo[11], geo[13], geo[14], geo[15]
    size = g.itemsize
    first, last, tiles_each = n * task // spans, n * (task + 1) // spans, geo[6] * geo[7]
    scratch = np.empty(lanes + nr + 16 * (max(width, wide) + block * (max(width, nr) + wide) + 2 * lanes), g.dtype)
    places = np.empty(lanes, np.int8)
    zero = aligned(scratch)
    stage = zero + nr
    v = stage + 16 * max(width, wide)
    m = v + 16 * (block * max(width, nr) + lanes)
    base, v_step, m_step = scratch.ctypes.data, (block * width + lanes) * size, (block * wide + lanes) * size
    clear_bytes(base, (lanes + nr + 16 * max(width, wide)) * size)
    total = sums.ctypes.data + task * wide * size
    clear_bytes(total, wide * size)
    filters = (c + TALL_ROWS - 1) // TALL_ROWS * TALL_ROWS * wide * size
    du = partial.ctypes.data + task * 16 * filters
    if partial.size:
        clear_bytes(du, 16 * filters)
    if dx.size:
        image = geo[0] * geo[1] * c * size
        clear_bytes(dx.ctypes.data + first * image, (last - first) * image)
    for start in range(first * tiles_each, last * tiles_each, block):
        stop = min(start + block, last * tiles_each)
        if place.size:
            _spread_pooled(g, place, scratch, places, m, stage, start, stop, geo)
        else:
            _spread(g, y, scratch, m, stage, start, stop, geo)
        for k in range(0, o * size, lanes * size):  # the sum of a tile's four pixels is one of its products
            sum_vectors(g, base + m * size + 5 * m_step + k, wide * size, stop - start, total + k)
        if partial.size:
            enter_tiles(x, scratch, v, stage, start, stop, geo)
            for panel in range(0, wide * size, nr * size):
                multiply_tiles(
                    g, base + v * size, v_step, size, c - 1, width * size, base + m * size + panel, m_step, wide * size,
                    du + panel, filters, wide * size, du + panel, filters, wide * size, stop - start,
                    o - panel // size,
                )  # fmt: skip
        if dx.size:
            line = (o + 1) * nr * size
            for panel in range(0, c, nr):
                multiply_tiles(
                    g, base + m * size, m_step, wide * size, stop - start - 1, size,
                    u.ctypes.data + panel // nr * 16 * line, line, nr * size, base + zero * size, 0, 0,
                    base + v * size, (block * nr + lanes) * size, nr * size, o, c - panel,
                )  # fmt: skip
                _add_windows(scratch, v, stage, dx, panel, start, stop, geo)


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
    saving = winograd.SAVING if need_x else FOR_WEIGHT
    return winograd.suits(x_shape, w_shape, stride, dilation, count_tiles(size, pooled), pixels, saving)


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
        spans = max(1, min(spans, PARTIAL // (16 * rows * wide * item), max(2, int(geo[12]) // APART)))
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
    return dw, joined(sums)[:o], dx
