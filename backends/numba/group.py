"""Group normalisation and its cotangents, in one pass over memory each: a task's images stay in its cache.

Images are taken as they lie. As planes, a group's channels are one run of memory. As rows of channels (channels-last
images, or features), as many pixels are taken at a time as fill vectors, sums are kept for each channel, and those of
a group's channels are added up. A task takes a block of images, and where images lie as planes and are large a block of
groups. Means come first, squares from centred values. Blocks are cut by shape alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import Floats, jit, kernel
from .layout import ready
from .memory import empty
from .sums import joined, plus

Array = Any
BLOCK = 32768  # elements of one task
WIDE = 256  # elements of neighbouring pixels taken at a time, at the least

# ------------------------------------------------------------ planes


@kernel
def _group_planes(
    x: Floats, weight: Floats, bias: Floats, out: Floats, eps: float, n: int, c: int, s: int, groups: int, images: int,
    span: int, task: int,
) -> None:  # fmt: skip
    blocks, per = (groups + span - 1) // span, c // groups
    one, count, zero = x.dtype.type(1), x.dtype.type(per * s), x.dtype.type(0)
    first, start = task // blocks * images, task % blocks * span
    for image in range(first, min(first + images, n)):
        for group in range(start, min(start + span, groups)):
            a = (image * c + group * per) * s
            total, square = zero, zero
            for i in range(a, a + per * s):
                total = plus(total, x[i])
            mean = total / count
            for i in range(a, a + per * s):
                d = x[i] - mean
                square = plus(square, d * d)
            r = one / np.sqrt(square / count + x.dtype.type(eps))
            for k in range(per):
                f, t = r * weight[group * per + k], bias[group * per + k]
                for i in range(a + k * s, a + (k + 1) * s):
                    out[i] = (x[i] - mean) * f + t


@kernel
def _group_grad_planes(
    g: Floats, x: Floats, weight: Floats, out: Floats, sums: Floats, eps: float, n: int, c: int, s: int, groups: int,
    images: int, span: int, task: int,
) -> None:  # fmt: skip
    """∂x, and the parts of ∂weight and ∂bias of a block of images: sums, (blocks, 2, c)."""
    blocks, per = (groups + span - 1) // span, c // groups
    one, count, zero = x.dtype.type(1), x.dtype.type(per * s), x.dtype.type(0)
    first, start = task // blocks * images, task % blocks * span
    at = task // blocks * 2 * c
    for k in range(start * per, min(start + span, groups) * per):
        sums[at + k], sums[at + c + k] = zero, zero
    slopes = np.empty(per, x.dtype)
    for image in range(first, min(first + images, n)):
        for group in range(start, min(start + span, groups)):
            a, w = (image * c + group * per) * s, group * per
            total, square, pull, slope = zero, zero, zero, zero
            for i in range(a, a + per * s):
                total = plus(total, x[i])
            mean = total / count
            for k in range(per):
                cotangents, products = zero, zero
                for i in range(a + k * s, a + (k + 1) * s):
                    d = x[i] - mean
                    square = plus(square, d * d)
                    cotangents, products = plus(cotangents, g[i]), plus(products, g[i] * d)
                slopes[k] = products
                sums[at + c + w + k] += cotangents
                pull += cotangents * weight[w + k]
                slope += products * weight[w + k]
            r = one / np.sqrt(square / count + x.dtype.type(eps))
            pull, slope = r * (pull / count), r * r * r * (slope / count)
            for k in range(per):
                sums[at + w + k] += slopes[k] * r
                f = r * weight[w + k]
                for i in range(a + k * s, a + (k + 1) * s):
                    out[i] = (g[i] * f - pull) - (x[i] - mean) * slope


# ------------------------------------------------------------ rows of channels


@jit
def _fold(wide: Any, c: int) -> None:
    """Add up what belongs to one channel, into the first c."""
    for j in range(c, wide.size, c):
        for k in range(c):
            wide[k] += wide[j + k]


@jit
def _add_row(row: Any, wide: Any) -> None:
    for j in range(row.size):
        wide[j] += row[j]


@jit
def _add_squares(row: Any, mean: Any, wide: Any) -> None:
    for j in range(row.size):
        d = row[j] - mean[j]
        wide[j] += d * d


@jit
def _group_sum(wide: Any, group: int, per: int) -> Any:
    total = wide[group * per]
    for k in range(group * per + 1, (group + 1) * per):
        total += wide[k]
    return total


@jit
def _repeat(wide: Any, c: int) -> None:
    """The first c numbers, for all pixels that are taken at a time."""
    for j in range(c, wide.size):
        wide[j] = wide[j - c]


@jit
def _centre(image: Any, mean: Any, sums: Any, c: int, groups: int) -> None:
    """Each channel's group's mean."""
    per, width = c // groups, mean.size
    sums[:] = 0
    for a in range(0, image.size, width):
        _add_row(image[a : a + width], sums)
    _fold(sums, c)
    for group in range(groups):
        value = _group_sum(sums, group, per) / image.dtype.type(image.size // groups)
        for k in range(group * per, (group + 1) * per):
            mean[k] = value
    _repeat(mean, c)


@kernel
def _group_rows(
    x: Floats, weight: Floats, bias: Floats, out: Floats, eps: float, n: int, c: int, s: int, groups: int, images: int,
    width: int, task: int,
) -> None:  # fmt: skip
    per, one = c // groups, x.dtype.type(1)
    mean, scale = np.empty(width, x.dtype), np.empty(width, x.dtype)
    shift, sums = np.empty(width, x.dtype), np.empty(width, x.dtype)
    for k in range(c):
        shift[k] = bias[k]
    _repeat(shift, c)
    for image in range(task * images, min((task + 1) * images, n)):
        v, y = x[image * c * s : (image + 1) * c * s], out[image * c * s : (image + 1) * c * s]
        _centre(v, mean, sums, c, groups)
        sums[:] = 0
        for a in range(0, v.size, width):
            _add_squares(v[a : a + width], mean, sums)
        _fold(sums, c)
        for group in range(groups):
            r = one / np.sqrt(_group_sum(sums, group, per) / x.dtype.type(per * s) + x.dtype.type(eps))
            for k in range(group * per, (group + 1) * per):
                scale[k] = r * weight[k]
        _repeat(scale, c)
        for a in range(0, v.size, width):
            for j in range(min(width, v.size - a)):
                y[a + j] = (v[a + j] - mean[j]) * scale[j] + shift[j]


@jit
def _add_products(h: Any, v: Any, mean: Any, first: Any, second: Any, third: Any) -> None:
    for j in range(v.size):
        d = v[j] - mean[j]
        first[j] += h[j]
        second[j] += h[j] * d
        third[j] += d * d


@kernel
def _group_grad_rows(
    g: Floats, x: Floats, weight: Floats, out: Floats, sums: Floats, eps: float, n: int, c: int, s: int, groups: int,
    images: int, width: int, task: int,
) -> None:  # fmt: skip
    """As `_group_grad_planes`."""
    per, one, count, zero = c // groups, x.dtype.type(1), x.dtype.type(c // groups * s), x.dtype.type(0)
    mean, scale = np.empty(width, x.dtype), np.empty(width, x.dtype)
    shift, slope = np.empty(width, x.dtype), np.empty(width, x.dtype)
    first, second, third = np.empty(width, x.dtype), np.empty(width, x.dtype), np.empty(width, x.dtype)
    dweight, dbias = sums[task * 2 * c : (task * 2 + 1) * c], sums[(task * 2 + 1) * c : (task * 2 + 2) * c]
    dweight[:] = 0
    dbias[:] = 0
    for image in range(task * images, min((task + 1) * images, n)):
        b, e = image * c * s, (image + 1) * c * s
        h, v, dx = g[b:e], x[b:e], out[b:e]
        _centre(v, mean, first, c, groups)
        first[:] = 0
        second[:] = 0
        third[:] = 0
        for a in range(0, v.size, width):
            stop = min(a + width, v.size)
            _add_products(h[a:stop], v[a:stop], mean, first, second, third)
        _fold(first, c)
        _fold(second, c)
        _fold(third, c)
        for group in range(groups):
            r = one / np.sqrt(_group_sum(third, group, per) / count + x.dtype.type(eps))
            pull, bend = zero, zero
            for k in range(group * per, (group + 1) * per):
                pull += first[k] * weight[k]
                bend += second[k] * weight[k]
            for k in range(group * per, (group + 1) * per):
                dweight[k] += second[k] * r
                dbias[k] += first[k]
                scale[k] = r * weight[k]
                shift[k] = r * (pull / count)
                slope[k] = r * r * r * (bend / count)
        _repeat(scale, c)
        _repeat(shift, c)
        _repeat(slope, c)
        for a in range(0, v.size, width):
            for j in range(min(width, v.size - a)):
                dx[a + j] = (h[a + j] * scale[j] - shift[j]) - (v[a + j] - mean[j]) * slope[j]


# ------------------------------------------------------------ either


class _Cut:
    """How images lie in memory, and how they are cut into tasks."""

    def __init__(self, x: Array, groups: int) -> None:
        n, c = x.shape[:2]
        s = math.prod(x.shape[2:])
        self.last = not x.flags.c_contiguous and np.moveaxis(x, 1, -1).flags.c_contiguous and x.flags.aligned
        self.planar = s > 1 and not self.last
        images = max(1, min(n, BLOCK // (c * s)))
        self.parts = -(-n // images)
        if self.planar:
            span = max(1, min(groups, BLOCK // (c * s // groups)))
            self.tasks, last = self.parts * -(-groups // span), span
        else:
            self.tasks, last = self.parts, c * -(-WIDE // c)
        self.numbers = n, c, s, groups, images, last

    def seen(self, a: Array) -> Array:
        """An array of the same shape in that order of memory."""
        return ready(np.moveaxis(a, 1, -1) if self.last else a)

    def empty(self, x: Array) -> tuple[Array, Array]:
        """An array like x, as the user sees it and in the order of memory."""
        if not self.last:
            out = empty(x.shape, x.dtype)
            return out, out
        out = empty((x.shape[0], *x.shape[2:], x.shape[1]), x.dtype)
        return np.moveaxis(out, -1, 1), out


def group_norm(x: Array, weight: Array, bias: Array, *, groups: int, eps: float) -> Array:
    """x: (n, c, …), weight, bias: (c,) -> (n, c, …)."""
    cut = _Cut(x, groups)
    out, target = cut.empty(x)
    run = _group_planes if cut.planar else _group_rows
    run(cut.tasks, cut.seen(x), ready(weight), ready(bias), target, eps, *cut.numbers)
    return out


def group_norm_grad(gy: Array, x: Array, weight: Array, *, groups: int, eps: float) -> tuple[Array, Array, Array]:
    """gy, x: (n, c, …), weight: (c,) -> cotangents of x: (n, c, …), weight: (c,), bias: (c,)."""
    cut = _Cut(x, groups)
    out, target = cut.empty(x)
    sums = np.empty((cut.parts, 2, x.shape[1]), x.dtype)
    run = _group_grad_planes if cut.planar else _group_grad_rows
    run(cut.tasks, cut.seen(gy), cut.seen(x), ready(weight), target, sums, eps, *cut.numbers)
    dweight, dbias = joined(sums)
    return out, dweight, dbias
