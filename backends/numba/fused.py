"""A layer and its ReLU as one kernel: what `autograd/ops/fused.py` is made of, in fewer passes over memory.

A maximum over windows and a ReLU are both maxima, so their order does not matter: the pooling writes max(maximum, 0),
and the ReLU of the whole image is never made. Backward, a window whose maximum is not positive has no cotangent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import conv, pointwise, pool
from .compile import Floats, Ints, jit, kernel
from .layout import channels_last, dense_images
from .pool import HALVES, find_first_of_four, place_pixel, window_geometry

Array = Any
Pair = tuple[int, int]


@kernel
def _halve_row(x: Floats, out: Floats, geo: Ints, c: int, row: int) -> None:
    """One row of 2 × 2 windows: the maximum of each and 0."""
    h, w, oh, ow = geo[0], geo[1], geo[2], geo[3]
    zero = x.dtype.type(0)
    for ox in range(ow):
        a = ((row // oh * h + 2 * (row % oh)) * w + 2 * ox) * c
        b, d = a + c, a + w * c
        target = (row * ow + ox) * c
        for k in range(c):
            u, v, s, t = x[a + k], x[b + k], x[d + k], x[d + c + k]
            u = u if (u >= v) | (u != u) else v
            s = s if (s >= t) | (s != s) else t
            u = u if (u >= s) | (u != u) else s
            out[target + k] = zero if u <= zero else u


@jit
def _leave_out(x: Array, where: Any, a: int, width: int, c: int) -> None:
    """Windows without a positive value have no maximum that counts."""
    b, d, e = a + c, a + width, a + width + c
    zero = x.dtype.type(0)
    for k in range(c):
        flat = (x[a + k] <= zero) & (x[b + k] <= zero) & (x[d + k] <= zero) & (x[e + k] <= zero)
        where[k] = np.int32(-1) if flat else where[k]


@kernel
def _unhalve_image(g: Floats, x: Floats, dx: Floats, geo: Ints, c: int, image: int) -> None:
    """The cotangent of one image."""
    h, w, oh, ow = geo[0], geo[1], geo[2], geo[3]
    base = image * h * w * c
    where = np.empty(c, np.int32)
    for oy in range(oh):
        for ox in range(ow):
            a = base + (2 * oy * w + 2 * ox) * c
            target = ((image * oh + oy) * ow + ox) * c
            find_first_of_four(x, where, a, w * c, c)
            _leave_out(x, where, a, w * c, c)
            for tap in range(4):
                place_pixel(g, dx, where, a + (tap // 2 * w + tap % 2) * c, target, tap, c)
        for y in range(2 * oy, 2 * oy + 2):
            for k in range(base + (y * w + 2 * ow) * c, base + (y + 1) * w * c):
                dx[k] = 0
    for k in range(base + 2 * oh * w * c, base + h * w * c):
        dx[k] = 0


def relu_max_pool2d(x: Array, **windows: Any) -> Array:
    """x: (n, c, h, w) -> (n, c, oh, ow)."""
    if not _halves(windows, x):
        return pool.max_pool2d(pointwise.relu(x), **windows)
    n, c, h, w = x.shape
    geo, oh, ow = window_geometry((h, w), **windows)
    source, planar = dense_images(x)
    out = pool.like_images(planar, n, c, oh, ow, x.dtype)
    images, channels = (n * c, 1) if planar else (n, c)
    _halve_row(images * oh, source, out if planar else channels_last(out), geo, channels)
    return out


def relu_max_pool2d_grad(u: Array, x: Array, **windows: Any) -> Array:
    """u: (n, c, oh, ow), x: (n, c, h, w) -> (n, c, h, w)."""
    if not _halves(windows, x):
        y = pointwise.relu(x)
        return pointwise.relu_grad(pool.max_pool2d_unpool(u, y, **windows), y)
    n, c, h, w = x.shape
    geo, _, _ = window_geometry((h, w), **windows)
    source, planar = dense_images(x)
    dx = pool.like_images(planar, n, c, h, w, x.dtype)
    images, channels = (n * c, 1) if planar else (n, c)
    cotangent = np.ascontiguousarray(u) if planar else channels_last(u)
    _unhalve_image(images, cotangent, source, dx if planar else channels_last(dx), geo, channels)
    return dx


def _halves(windows: dict[str, Any], x: Array) -> bool:
    """Whether the windows are 2 × 2, side by side, and none reaches over the border."""
    return all(windows[name] == value for name, value in HALVES.items()) and not (
        windows["ceil_mode"] and (x.shape[2] % 2 or x.shape[3] % 2)
    )


def conv2d_relu(x: Array, weight: Array, bias: Array, **geometry: Any) -> Array:
    """x: (n, c, h, w), weight: (o, c/groups, kh, kw), bias: (o,) -> (n, o, oh, ow)."""
    out = conv.conv2d_bias(x, weight, bias, **geometry)
    pointwise.clip_below(out)
    return out
