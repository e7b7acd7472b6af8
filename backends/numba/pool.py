"""Maximum and average pooling on images that lie channels-last, or one channel at a time.

The kernels see (images, height, width, channels): an (n, c, h, w) array whose memory is in that order is n·c images of
one channel, and nothing is copied. Where the maximum was is not stored but found again in the backward pass: reading
x costs less than writing and reading an index. A task is one row of windows, or one image where windows overlap.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .compile import Floats, Ints, jit, kernel
from .layout import channels_last, dense_images
from .memory import empty, empty_images

Array = Any
Pair = tuple[int, int]


def _count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Number of windows along one axis, by PyTorch's rule."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    n = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    return n - 1 if ceil_mode and (n - 1) * stride >= size + padding else n


@lru_cache(maxsize=1024)
def _geometry(
    size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, int, int]:
    oh, ow = (_count(size[i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode) for i in (0, 1))
    numbers = (*size, oh, ow, *kernel, *stride, *padding, *dilation)
    return np.array(numbers, np.int64), oh, ow


@jit
def _bounds(window: int, size: int, kernel: int, stride: int, padding: int, dilation: int) -> Any:
    """First position of the window in the input, and the taps first..last-1 that are within it."""
    start = window * stride - padding
    first = max(0, (-start + dilation - 1) // dilation)
    last = min(kernel, (size - 1 - start) // dilation + 1)
    return start, first, last


@kernel
def _max_row(x: Floats, out: Floats, geo: Ints, c: int, row: int) -> None:
    """One row of windows: the maximum of each, NaN if one is in it."""
    h, w, oh, ow = geo[0], geo[1], geo[2], geo[3]
    image, oy = row // oh, row % oh
    y0, top, bottom = _bounds(oy, h, geo[4], geo[6], geo[8], geo[10])
    for ox in range(ow):
        x0, left, right = _bounds(ox, w, geo[5], geo[7], geo[9], geo[11])
        target = (row * ow + ox) * c
        if bottom - top == 2 and right - left == 2:
            a = ((image * h + y0 + top * geo[10]) * w + x0 + left * geo[11]) * c
            b, below = a + geo[11] * c, geo[10] * w * c
            for k in range(c):
                u, v = x[a + k], x[b + k]
                s, t = x[a + below + k], x[b + below + k]
                u = u if (u >= v) | (u != u) else v
                s = s if (s >= t) | (s != s) else t
                out[target + k] = u if (u >= s) | (u != u) else s
            continue
        for k in range(c):
            out[target + k] = -np.inf
        for i in range(top, bottom):
            for j in range(left, right):
                a = ((image * h + y0 + i * geo[10]) * w + x0 + j * geo[11]) * c
                for k in range(c):
                    v, u = x[a + k], out[target + k]
                    out[target + k] = u if (u >= v) | (u != u) else v


@jit
def _find_first(x: Floats, best: Floats, where: Any, base: int, geo: Ints, c: int, oy: int, ox: int) -> None:
    """Per channel, the tap of the window's first maximum, in row-major order; the first NaN if there is one."""
    h, w = geo[0], geo[1]
    y0, top, bottom = _bounds(oy, h, geo[4], geo[6], geo[8], geo[10])
    x0, left, right = _bounds(ox, w, geo[5], geo[7], geo[9], geo[11])
    started = False
    for i in range(top, bottom):
        for j in range(left, right):
            a = base + ((y0 + i * geo[10]) * w + x0 + j * geo[11]) * c
            tap = np.int32(i * geo[5] + j)
            if not started:
                started = True
                for k in range(c):
                    best[k], where[k] = x[a + k], tap
                continue
            for k in range(c):
                v, u = x[a + k], best[k]
                keep = (u >= v) | (u != u)
                best[k] = u if keep else v
                where[k] = where[k] if keep else tap


@jit
def _find_first_of_four(x: Floats, where: Any, a: int, width: int, c: int) -> None:
    """As `_find_first`, for the window of 2 × 2 at a."""
    b, d, e = a + c, a + width, a + width + c
    for k in range(c):
        p, q, r, s = x[a + k], x[b + k], x[d + k], x[e + k]
        left, lower_left = (p >= q) | (p != p), (r >= s) | (r != r)
        u, i = (p, np.int32(0)) if left else (q, np.int32(1))
        v, j = (r, np.int32(2)) if lower_left else (s, np.int32(3))
        where[k] = i if (u >= v) | (u != u) else j


@jit
def _place_pixel(g: Floats, dx: Floats, where: Any, a: int, target: int, tap: int, c: int) -> None:
    """Write one pixel's cotangent: a loop with one store, so that few overlaps are to be ruled out to vectorise it."""
    zero = g.dtype.type(0)
    for k in range(c):
        value = g[target + k]
        dx[a + k] = value if where[k] == tap else zero


@jit
def _unpool_window(
    g: Floats, dx: Floats, where: Any, base: int, target: int, geo: Ints, c: int, oy: int, ox: int
) -> None:
    w, zero = geo[1], g.dtype.type(0)
    y0, top, bottom = _bounds(oy, geo[0], geo[4], geo[6], geo[8], geo[10])
    x0, left, right = _bounds(ox, w, geo[5], geo[7], geo[9], geo[11])
    for i in range(top, bottom):
        for j in range(left, right):
            a = base + ((y0 + i * geo[10]) * w + x0 + j * geo[11]) * c
            tap = np.int32(i * geo[5] + j)
            for k in range(c):
                value = g[target + k]
                dx[a + k] += value if where[k] == tap else zero


@kernel
def _unpool_image(g: Floats, x: Floats, dx: Floats, geo: Ints, c: int, image: int) -> None:
    """The cotangent of one image."""
    h, w, oh, ow = geo[0], geo[1], geo[2], geo[3]
    base = image * h * w * c
    two = geo[4] == 2 and geo[5] == 2 and geo[6] == 2 and geo[7] == 2 and geo[10] == 1 and geo[11] == 1
    two = two and geo[8] == 0 and geo[9] == 0 and oh * 2 <= h and ow * 2 <= w
    best, where = np.empty(c, x.dtype), np.empty(c, np.int32)
    if two:
        for oy in range(oh):
            for ox in range(ow):
                target = ((image * oh + oy) * ow + ox) * c
                a = base + (2 * oy * w + 2 * ox) * c
                _find_first_of_four(x, where, a, w * c, c)
                for tap in range(4):
                    _place_pixel(g, dx, where, a + (tap // 2 * w + tap % 2) * c, target, tap, c)
            for k in range(base + (2 * oy * w + 2 * ow) * c, base + (2 * oy + 1) * w * c):
                dx[k] = 0
            for k in range(base + ((2 * oy + 1) * w + 2 * ow) * c, base + (2 * oy + 2) * w * c):
                dx[k] = 0
        for k in range(base + 2 * oh * w * c, base + h * w * c):
            dx[k] = 0
        return
    for k in range(base, base + h * w * c):
        dx[k] = 0
    for oy in range(oh):
        for ox in range(ow):
            _find_first(x, best, where, base, geo, c, oy, ox)
            _unpool_window(g, dx, where, base, ((image * oh + oy) * ow + ox) * c, geo, c, oy, ox)


@jit
def _area(oy: int, ox: int, geo: Ints, inside: int) -> Any:
    """What a window's sum is divided by."""
    y0, x0 = oy * geo[6] - geo[8], ox * geo[7] - geo[9]
    if inside:
        return (min(y0 + geo[4], geo[0]) - max(y0, 0)) * (min(x0 + geo[5], geo[1]) - max(x0, 0))
    return (min(y0 + geo[4], geo[0] + geo[8]) - y0) * (min(x0 + geo[5], geo[1] + geo[9]) - x0)


@kernel
def _average_row(x: Floats, out: Floats, geo: Ints, c: int, inside: int, row: int) -> None:
    """One row of windows: the sum of each over its area."""
    h, w, oh, ow = geo[0], geo[1], geo[2], geo[3]
    image, oy = row // oh, row % oh
    y0, top, bottom = _bounds(oy, h, geo[4], geo[6], geo[8], 1)
    for ox in range(ow):
        x0, left, right = _bounds(ox, w, geo[5], geo[7], geo[9], 1)
        target = (row * ow + ox) * c
        for k in range(c):
            out[target + k] = 0
        for i in range(top, bottom):
            for j in range(left, right):
                a = ((image * h + y0 + i) * w + x0 + j) * c
                for k in range(c):
                    out[target + k] += x[a + k]
        area = out.dtype.type(_area(oy, ox, geo, inside))
        for k in range(c):
            out[target + k] /= area


@kernel
def _average_image_grad(g: Floats, dx: Floats, geo: Ints, c: int, inside: int, image: int) -> None:
    """The cotangent of one image: each window's value over its area, added to all its pixels."""
    h, w, oh, ow = geo[0], geo[1], geo[2], geo[3]
    base = image * h * w * c
    for k in range(base, base + h * w * c):
        dx[k] = 0
    share = np.empty(c, g.dtype)
    for oy in range(oh):
        y0, top, bottom = _bounds(oy, h, geo[4], geo[6], geo[8], 1)
        for ox in range(ow):
            x0, left, right = _bounds(ox, w, geo[5], geo[7], geo[9], 1)
            target = ((image * oh + oy) * ow + ox) * c
            area = g.dtype.type(_area(oy, ox, geo, inside))
            for k in range(c):
                share[k] = g[target + k] / area
            for i in range(top, bottom):
                for j in range(left, right):
                    a = base + ((y0 + i) * w + x0 + j) * c
                    for k in range(c):
                        dx[a + k] += share[k]


def _like_images(planar: bool, n: int, c: int, h: int, w: int, dtype: Any) -> Array:
    """An uninitialised (n, c, h, w) in the memory order of the input."""
    return empty((n, c, h, w), dtype) if planar else empty_images(n, c, h, w, dtype)


def max_pool2d(x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> Array:
    """x: (n, c, h, w) -> (n, c, oh, ow)."""
    n, c, h, w = x.shape
    geo, oh, ow = _geometry((h, w), kernel_size, stride, padding, dilation, ceil_mode)
    source, planar = dense_images(x)
    out = _like_images(planar, n, c, oh, ow, x.dtype)
    images, channels = (n * c, 1) if planar else (n, c)
    _max_row(images * oh, source, out if planar else channels_last(out), geo, channels)
    return out


def max_pool2d_unpool(
    gy: Array, x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Array:
    """gy: (n, c, oh, ow), x: (n, c, h, w) -> (n, c, h, w)."""
    n, c, h, w = x.shape
    geo, _, _ = _geometry((h, w), kernel_size, stride, padding, dilation, ceil_mode)
    source, planar = dense_images(x)
    dx = _like_images(planar, n, c, h, w, x.dtype)
    images, channels = (n * c, 1) if planar else (n, c)
    cotangent = np.ascontiguousarray(gy) if planar else channels_last(gy)
    _unpool_image(images, cotangent, source, dx if planar else channels_last(dx), geo, channels)
    return dx


def avg_pool2d(
    x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
) -> Array:
    """x: (n, c, h, w) -> (n, c, oh, ow)."""
    n, c, h, w = x.shape
    geo, oh, ow = _geometry((h, w), kernel_size, stride, padding, (1, 1), ceil_mode)
    source, planar = dense_images(x)
    out = _like_images(planar, n, c, oh, ow, x.dtype)
    images, channels = (n * c, 1) if planar else (n, c)
    _average_row(images * oh, source, out if planar else channels_last(out), geo, channels, not count_include_pad)
    return out


def avg_pool2d_grad(
    gy: Array, *, input_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
    count_include_pad: bool,
) -> Array:  # fmt: skip
    """gy: (n, c, oh, ow) -> (n, c, *input_size)."""
    n, c = gy.shape[:2]
    geo, _, _ = _geometry(input_size, kernel_size, stride, padding, (1, 1), ceil_mode)
    source, planar = dense_images(gy)
    dx = _like_images(planar, n, c, *input_size, gy.dtype)
    images, channels = (n * c, 1) if planar else (n, c)
    _average_image_grad(images, source, dx if planar else channels_last(dx), geo, channels, not count_include_pad)
    return dx
