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
    step, line, down, across = (geo[13] * width + lanes) * size, lanes * size, geo[16], geo[17]
    staged = scratch.ctypes.data + stage * size
    for t in range(stop - start):
        image, top, left = place_of(start + t, geo)
        here, right, below = top < oh and left < ow, left + across < ow, top + down < oh
        inside = right and below and y.size == 0
        for k in range(0, o, lanes):
            at = (((image * oh + top) * ow + left) * o + k) * size
            a, row, pixel = g.ctypes.data + at, down * ow * o * size, across * o * size
            if not inside or k + lanes > o:
                for i in range(4):
                    to, there = staged + i * line, at + (i // 2) * row + (i % 2) * pixel
                    clear_bytes(to, line)
                    if here and (right or i % 2 == 0) and (below or i < 2):
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
def _add_windows(
    scratch: Floats, v: int, stage: int, dx: Floats, first: int, last: int, start: int, stop: int, geo: Ints
) -> None:  # fmt: skip
    """B dV Bᵀ of tiles start..stop-1, channels first..last-1, to their windows."""
    h, w, c, nr, lanes, size = geo[0], geo[1], geo[2], geo[10], geo[11], dx.itemsize
    step, line, down, across = (geo[13] * nr + lanes) * size, lanes * size, geo[16], geo[17]
    staged = scratch.ctypes.data + stage * size
    for t in range(stop - start):
        image, top, left = place_of(start + t, geo)
        y0, x0 = top - geo[8], left - geo[9]
        inside = y0 >= 0 and x0 >= 0 and y0 + 3 * down < h and x0 + 3 * across < w
        for k in range(first, last, lanes):
            source = scratch.ctypes.data + (v + t * nr + k - first) * size
            pixels, part = dx.ctypes.data + (image * h * w * c + k) * size, min(lanes, last - k) * size
            if inside and part == line:
                enter_back_tile(
                    dx, source, step, pixels + (y0 * w + x0) * c * size, down * w * c * size, across * c * size
                )  # fmt: skip
                continue
            clear_bytes(staged, 16 * line)
            move_window(pixels, y0, x0, geo, c * size, part, staged, line, False)
            enter_back_tile(dx, source, step, staged, 4 * line, line)
            move_window(pixels, y0, x0, geo, c * size, part, staged, line, True)


@kernel
def _backward_images(
    g: Floats, y: Floats, place: Bytes, x: Floats, u: Floats, partial: Floats, sums: Floats, dx: Floats, geo: Ints,
    n: int, spans: int, task: int,
) -> None:  # fmt: skip
    """Some images; their own gradient is empty if it is not wanted."""
    c, o, nr, lanes, block, width, wide = geo[2], geo[5], geo[10], geo[11], geo[13], geo[14], geo[15]
    size, groups, inner, outer = g.itemsize, geo[18], geo[19], geo[20]
    first, last, tiles_each = n * task // spans, n * (task + 1) // spans, geo[6] * geo[7] * geo[16] * geo[17]
    scratch = np.empty(lanes + 2 * nr + 16 * (max(width, wide) + block * (max(width, nr) + wide) + 2 * lanes), g.dtype)
    places = np.empty(lanes, np.int8)
    zero = aligned(scratch)
    stage = zero + nr
    v = stage + 16 * max(width, wide)
    m = v + 16 * (block * max(width, nr) + lanes)
    base, v_step, m_step = scratch.ctypes.data, (block * width + lanes) * size, (block * wide + lanes) * size
    clear_bytes(base, (lanes + nr + 16 * max(width, wide)) * size)
    total = sums.ctypes.data + task * wide * size
    clear_bytes(total, wide * size)
    own, rows = (outer + nr - 1) // nr * nr, (inner + TALL_ROWS - 1) // TALL_ROWS * TALL_ROWS
    filters = groups * rows * own * size
    du = partial.ctypes.data + task * 16 * filters
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
        enter_tiles(x, scratch, v, stage, start, stop, geo)
        for group in range(groups):
            for panel in range(0, outer, nr):
                to = du + (group * rows * own + panel) * size
                multiply_tiles(
                    g, base + (v + group * inner) * size, v_step, size, inner - 1, width * size,
                    base + (m + group * outer + panel) * size, m_step, wide * size, to, filters, own * size, to,
                    filters, own * size, stop - start, outer - panel,
                )  # fmt: skip
        if dx.size:
            line, panels = (outer + 1) * nr * size, (inner + nr - 1) // nr
            for panel in range(groups * panels):
                group = panel // panels
                channel = group * inner + panel % panels * nr
                stop_channel = min(channel + nr, (group + 1) * inner)
                multiply_tiles(
                    g, base + (m + group * outer) * size, m_step, wide * size, stop - start - 1, size,
                    u.ctypes.data + panel * 16 * line, line, nr * size, base + zero * size, 0, 0,
                    base + v * size, (block * nr + lanes) * size, nr * size, outer, stop_channel - channel,
                )  # fmt: skip
                _add_windows(scratch, v, stage, dx, channel, stop_channel, start, stop, geo)


# ------------------------------------------------------------------ the filters


@kernel
def _filter_row(
    partial: Floats, dw: Floats, spans: int, groups: int, rows: int, c: int, o: int, wide: int, lanes: int, kh: int,
    kw: int, task: int,
) -> None:  # fmt: skip
    """Gᵀ dU G of a part of all filters of one input channel, of the spans' sums, added in order; c and o of a group."""
    size, across, half = partial.itemsize, (kw + 2) // 3, partial.dtype.type(0.5)
    inner = (kh + 2) // 3 * across * c
    group, row = task // inner, task % inner
    part, channel = row // c, row % c
    top, left = part // across * 3, part % across * 3
    step, first = groups * rows * wide, (group * rows + row) * wide
    for s in range(16):
        for k in range(0, wide, lanes):
            to = partial.ctypes.data + (s * step + first + k) * size
            sum_vectors(partial, to + 16 * step * size, 16 * step * size, spans - 1, to)
    column = np.empty(12, partial.dtype)
    for j in range(o):
        for s in range(4):
            at = s * step + first + j
            a, d = partial[at], partial[at + 12 * step]
            p, q = partial[at + 4 * step] * half, partial[at + 8 * step] * half
            column[s], column[4 + s], column[8 + s] = a + (p + q), p - q, (p + q) + d
        for i in range(min(3, kh - top)):
            a, d = column[4 * i], column[4 * i + 3]
            p, q = column[4 * i + 1] * half, column[4 * i + 2] * half
            to = (((group * o + j) * c + channel) * kh + top + i) * kw + left
            dw[to] = a + (p + q)
            if left + 1 < kw:
                dw[to + 1] = p - q
            if left + 2 < kw:
                dw[to + 2] = (p + q) + d


def suits(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], size: Pair, stride: Pair, dilation: Pair,
    need_x: bool = True, pooled: bool = False,
) -> bool:  # fmt: skip
    """Whether this is faster than the direct kernels, for images enough to be shared among the threads.

    Directly, the input's gradient takes a window for each of the image's pixels, the weight's for each of the output's.
    """
    inner, outer = x_shape[2] * x_shape[3], size[0] * size[1]
    pixels = (inner + outer) / 2 if need_x else outer
    parts = winograd.count_parts(w_shape)
    if x_shape[0] < IMAGES or 16 * parts * w_shape[0] * w_shape[1] > LARGEST or (need_x and parts > 1):
        return False
    saving = winograd.SAVING if need_x else FOR_WEIGHT
    return winograd.suits(x_shape, w_shape, stride, count_tiles(size, dilation, pooled), pixels, saving)


def gradients(
    g: Array, y: Array | None, place: Array | None, x: Array, window: Pair, weight: Array | None, padding: Pair,
    dilation: Pair, groups: int,
) -> tuple[Array, ...]:  # fmt: skip
    """Cotangents of weight, bias and x, the last of them empty without the weight, whose window must be 3 × 3 then.

    g: (n, o, oh, ow); if there is `place`, then that and g: (n, o, oh // 2, ow // 2). y: (n, o, oh, ow), the result,
    masks g where it is not positive.
    """
    n, channels, h, w = x.shape
    o, dtype, item = g.shape[1], g.dtype, g.itemsize
    (kh, kw), (down, across) = window, dilation
    size = h + 2 * padding[0] - down * (kh - 1), w + 2 * padding[1] - across * (kw - 1)
    none, no_place = np.empty((0, 1, 1, 1), dtype), np.empty((0, 1, 1, 1), np.int8)
    geo = tiling(x.shape, o, window, size, padding, dilation, groups, place is not None, o, item)
    nr, inner, outer = int(geo[10]), int(geo[19]), o // groups
    rows, wide = -(-inner // TALL_ROWS) * TALL_ROWS, -(-outer // nr) * nr
    spans = min(n, 16 if n >= 128 else 8)
    spans = max(1, min(spans, PARTIAL // (16 * groups * rows * wide * item), max(2, int(geo[12]) // APART)))
    partial, dw = empty((spans * 16 * groups * rows * wide,), dtype), np.empty((o, channels // groups, kh, kw), dtype)
    dx, u = none, none.reshape(-1)
    if weight is not None:
        dx, u = empty_images(n, channels, h, w, dtype), transform_filters(weight, groups, transposed=True)
    sums = np.empty((spans, int(geo[15])), dtype)
    _backward_images(
        spans, channels_last(g), channels_last(none if y is None else y),
        channels_last(no_place if place is None else place), channels_last(x), u, partial, sums, channels_last(dx), geo,
        n, spans,
    )  # fmt: skip
    _filter_row(
        groups * inner, partial, dw, spans, groups, rows, channels // groups, outer, wide, int(geo[11]), kh, kw
    )  # fmt: skip
    return dw, joined(sums)[:o], dx
