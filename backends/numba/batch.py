"""Batch normalisation, alone or with a sum and a ReLU behind it, and its cotangents.

One pass over memory takes the statistics, one makes the result; backward, one takes the sums and one makes ∂x. Arrays
are seen as they lie, either as rows of channels (channels-last images, or (n, c) features), or as planes of one channel
each. Rows are taken several at a time, as many as fill vectors. A block's mean and the sum of its squared deviations
come from two passes over the block while it is in the cache; blocks are joined in a fixed order, in double precision
(Chan, Golub & LeVeque, 1979). Blocks are cut by shape alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .batch_blocks import join_products, join_statistics, spread_vectors
from .compile import Floats, choose, jit, kernel
from .layout import channels_last, lies_channels_last, ready
from .memory import empty, empty_images
from .sums import plus

Array = Any
BLOCK = 32768  # elements of one task
WIDE = 256  # elements of neighbouring rows taken at a time, at the least

# where a cotangent is masked by the ReLU: nowhere, where the normalised value is not positive, where the result is not
PLAIN, BY_VALUE, BY_RESULT = 0, 1, 2


# ------------------------------------------------------------ rows of channels


@jit
def _fold(wide: Any, sums: Floats, at: int, c: int) -> None:
    """Add up what belongs to one channel."""
    for k in range(c):
        sums[at + k] = wide[k]
    for j in range(c, wide.size, c):
        for k in range(c):
            sums[at + k] += wide[j + k]


@kernel
def _row_statistics(x: Floats, sums: Floats, c: int, width: int, length: int, task: int) -> None:
    """Mean and sum of squared deviations of each channel in one block."""
    block = x[task * length : min((task + 1) * length, x.size)]
    count = x.dtype.type(block.size // c)
    wide, mean = np.zeros(width, x.dtype), np.empty(width, x.dtype)
    for start in range(0, block.size, width):
        row = block[start : start + width]
        for j in range(row.size):
            wide[j] += row[j]
    at = task * 2 * c
    _fold(wide, sums, at, c)
    for k in range(c):
        sums[at + k] /= count
    for j in range(width):
        mean[j] = sums[at + j % c]
    wide[:] = 0
    for start in range(0, block.size, width):
        row = block[start : start + width]
        for j in range(row.size):
            d = row[j] - mean[j]
            wide[j] += d * d
    _fold(wide, sums, at + c, c)


@jit
def _add_products(h: Any, v: Any, mean: Any, first: Any, second: Any) -> None:
    for j in range(v.size):
        first[j] += h[j]
        second[j] += h[j] * (v[j] - mean[j])


@kernel
def _row_products(
    g: Floats, x: Floats, y: Floats, mean: Floats, scale: Floats, bias: Floats, u: Floats, sums: Floats, mask: int,
    c: int, width: int, length: int, task: int,
) -> None:  # fmt: skip
    """Σ u and Σ u·(x − mean) of each channel in one block, where u is g, masked; it is kept where y masks it."""
    start, stop = task * length, min((task + 1) * length, x.size)
    first, second = np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    scratch = np.empty(width, x.dtype)
    zero = x.dtype.type(0)
    for a in range(start, stop, width):
        n = min(width, stop - a)
        v = x[a : a + n]
        if mask == BY_VALUE:
            for j in range(n):
                scratch[j] = choose((v[j] - mean[j]) * scale[j] + bias[j] <= zero, zero, g[a + j])
            _add_products(scratch, v, mean, first, second)
        elif mask == BY_RESULT:
            for j in range(n):
                u[a + j] = choose(y[a + j] <= zero, zero, g[a + j])
            _add_products(u[a : a + n], v, mean, first, second)
        else:
            _add_products(g[a : a + n], v, mean, first, second)
    _fold(first, sums, task * 2 * c, c)
    _fold(second, sums, task * 2 * c + c, c)


@kernel
def _scale_rows(
    x: Floats, more: Floats, mean: Floats, scale: Floats, bias: Floats, out: Floats, relu: int, width: int, length: int,
    task: int,
) -> None:  # fmt: skip
    """(x − mean)·scale + bias, plus `more` if there is any, and no less than 0 if `relu`."""
    stop, zero = min((task + 1) * length, x.size), x.dtype.type(0)
    for a in range(task * length, stop, width):
        n = min(width, stop - a)
        if more.size:
            for j in range(n):
                z = (x[a + j] - mean[j]) * scale[j] + bias[j] + more[a + j]
                out[a + j] = choose(z <= zero, zero, z)
        elif relu:
            for j in range(n):
                z = (x[a + j] - mean[j]) * scale[j] + bias[j]
                out[a + j] = choose(z <= zero, zero, z)
        else:
            for j in range(n):
                out[a + j] = (x[a + j] - mean[j]) * scale[j] + bias[j]


@kernel
def _pull_rows(
    g: Floats, x: Floats, mean: Floats, scale: Floats, bias: Floats, slope: Floats, shift: Floats, out: Floats,
    mask: int, width: int, length: int, task: int,
) -> None:  # fmt: skip
    """u·scale + (x − mean)·slope + shift, where u is g, masked by the normalised value or not at all."""
    stop, zero = min((task + 1) * length, x.size), x.dtype.type(0)
    for a in range(task * length, stop, width):
        n = min(width, stop - a)
        if mask == BY_VALUE:
            for j in range(n):
                d = x[a + j] - mean[j]
                h = choose(d * scale[j] + bias[j] <= zero, zero, g[a + j])
                out[a + j] = h * scale[j] + d * slope[j] + shift[j]
        else:
            for j in range(n):
                out[a + j] = g[a + j] * scale[j] + (x[a + j] - mean[j]) * slope[j] + shift[j]


# ------------------------------------------------------------ planes of one channel


@kernel
def _plane_statistics(x: Floats, sums: Floats, s: int, planes: int, length: int, task: int) -> None:
    for p in range(task * length, min((task + 1) * length, planes)):
        total, square = x.dtype.type(0), x.dtype.type(0)
        for j in range(p * s, (p + 1) * s):
            total = plus(total, x[j])
        mean = total / x.dtype.type(s)
        for j in range(p * s, (p + 1) * s):
            d = x[j] - mean
            square = plus(square, d * d)
        sums[2 * p], sums[2 * p + 1] = mean, square


@kernel
def _plane_products(
    g: Floats, x: Floats, y: Floats, mean: Floats, scale: Floats, bias: Floats, u: Floats, sums: Floats, mask: int,
    c: int, s: int, planes: int, length: int, task: int,
) -> None:  # fmt: skip
    """As `_row_products`."""
    zero = x.dtype.type(0)
    for p in range(task * length, min((task + 1) * length, planes)):
        m, f, t = mean[p % c], scale[p % c], bias[p % c]
        first, second = zero, zero
        if mask == BY_VALUE:
            for j in range(p * s, (p + 1) * s):
                d = x[j] - m
                h = choose(d * f + t <= zero, zero, g[j])
                first, second = plus(first, h), plus(second, h * d)
        elif mask == BY_RESULT:
            for j in range(p * s, (p + 1) * s):
                u[j] = choose(y[j] <= zero, zero, g[j])
            for j in range(p * s, (p + 1) * s):
                first, second = plus(first, u[j]), plus(second, u[j] * (x[j] - m))
        else:
            for j in range(p * s, (p + 1) * s):
                first, second = plus(first, g[j]), plus(second, g[j] * (x[j] - m))
        sums[2 * p], sums[2 * p + 1] = first, second


@kernel
def _scale_planes(
    x: Floats, more: Floats, mean: Floats, scale: Floats, bias: Floats, out: Floats, relu: int, c: int, s: int,
    planes: int, length: int, task: int,
) -> None:  # fmt: skip
    """As `_scale_rows`."""
    zero = x.dtype.type(0)
    for p in range(task * length, min((task + 1) * length, planes)):
        m, f, t = mean[p % c], scale[p % c], bias[p % c]
        if more.size:
            for j in range(p * s, (p + 1) * s):
                z = (x[j] - m) * f + t + more[j]
                out[j] = choose(z <= zero, zero, z)
        elif relu:
            for j in range(p * s, (p + 1) * s):
                z = (x[j] - m) * f + t
                out[j] = choose(z <= zero, zero, z)
        else:
            for j in range(p * s, (p + 1) * s):
                out[j] = (x[j] - m) * f + t


@kernel
def _pull_planes(
    g: Floats, x: Floats, mean: Floats, scale: Floats, bias: Floats, slope: Floats, shift: Floats, out: Floats,
    mask: int, c: int, s: int, planes: int, length: int, task: int,
) -> None:  # fmt: skip
    """As `_pull_rows`."""
    zero = x.dtype.type(0)
    for p in range(task * length, min((task + 1) * length, planes)):
        m, f, b, h, t = mean[p % c], scale[p % c], bias[p % c], slope[p % c], shift[p % c]
        if mask == BY_VALUE:
            for j in range(p * s, (p + 1) * s):
                d = x[j] - m
                out[j] = choose(d * f + b <= zero, zero, g[j]) * f + d * h + t
        else:
            for j in range(p * s, (p + 1) * s):
                out[j] = g[j] * f + (x[j] - m) * h + t


# ------------------------------------------------------------ either


class _Cut:
    """How an array of channels lies in memory, and how it is cut into tasks."""

    def __init__(self, x: Array) -> None:
        self.last = lies_channels_last(x)
        self.c, self.planar, self.size = x.shape[1], x.ndim > 2 and not self.last, x.size
        if self.planar:
            self.s = x.size // (x.shape[0] * self.c)
            self.planes = x.shape[0] * self.c
            self.length = max(1, BLOCK // self.s)
            self.tasks = -(-self.planes // self.length)
            self.width = self.c
            self.numbers: tuple[int, ...] = (self.c, self.s, self.planes, self.length)
        else:
            self.width = self.c * -(-WIDE // self.c)
            self.length = max(1, BLOCK // self.width) * self.width
            self.tasks = -(-x.size // self.length)
            self.numbers = (self.width, self.length)

    def seen(self, a: Array) -> Array:
        """An array of the same shape in that order of memory."""
        return channels_last(a) if self.last else ready(a)

    def empty(self, x: Array) -> tuple[Array, Array]:
        """An array like x, as the user sees it and in the order of memory."""
        if not self.last:
            out = empty(x.shape, x.dtype)
            return out, out
        n, c, h, w = x.shape
        out = empty_images(n, c, h, w, x.dtype)
        return out, out.transpose(0, 2, 3, 1)

    def vectors(self, count: int, dtype: Any) -> tuple[Array, list[Array]]:
        """Room for values per channel, repeated for the rows that are taken at a time: as one, and one by one."""
        whole = np.empty((count, self.width), dtype)
        return whole, list(whole)

    def parts(self, dtype: Any) -> Array:
        """Where the tasks put two numbers per channel: (blocks, 2, c), or (n·c, 2) for planes."""
        return np.empty((self.planes, 2) if self.planar else (self.tasks, 2, self.c), dtype)

    def counts(self) -> Array:
        """Values of one channel in each block."""
        if self.planar:
            return np.full(self.planes // self.c, float(self.s))
        sizes = np.full(self.tasks, float(self.length // self.c))
        sizes[-1] = (self.size - (self.tasks - 1) * self.length) // self.c
        return sizes


def batch_norm(x: Array, weight: Array, bias: Array, *, eps: float) -> tuple[Array, Array, Array]:
    """x: (n, c, …), weight, bias: (c,) -> (n, c, …), mean: (c,), variance: (c,)."""
    return _forward(x, np.empty(0, x.dtype), weight, bias, eps, relu=False)


def batch_norm_relu(x: Array, weight: Array, bias: Array, *, eps: float) -> tuple[Array, Array, Array]:
    """max(`batch_norm`, 0), mean, variance."""
    return _forward(x, np.empty(0, x.dtype), weight, bias, eps, relu=True)


def batch_norm_add_relu(
    x: Array, more: Array, weight: Array, bias: Array, *, eps: float
) -> tuple[Array, Array, Array]:  # fmt: skip
    """max(`batch_norm` + more, 0), mean, variance."""
    return _forward(x, more, weight, bias, eps, relu=True)


def _forward(x: Array, more: Array, weight: Array, bias: Array, eps: float, relu: bool) -> tuple[Array, Array, Array]:
    cut = _Cut(x)
    source, (out, target), parts = cut.seen(x), cut.empty(x), cut.parts(x.dtype)
    if cut.planar:
        _plane_statistics(cut.tasks, source, parts, *cut.numbers[1:])
    else:
        _row_statistics(cut.tasks, source, parts, cut.c, *cut.numbers)
    mean, var = np.empty(cut.c, x.dtype), np.empty(cut.c, x.dtype)
    whole, vectors = cut.vectors(3, x.dtype)
    given = (ready(weight), ready(bias), mean, var, whole, cut.c, cut.width, cut.planar, eps)
    join_statistics(1, parts, cut.counts(), *given)
    run = _scale_planes if cut.planar else _scale_rows
    run(cut.tasks, source, cut.seen(more) if more.size else more, *vectors, target, relu, *cut.numbers)
    return out, mean, var


def batch_norm_grad(
    gy: Array, gmean: Array, gvar: Array, x: Array, weight: Array, mean: Array, var: Array, *, eps: float
) -> tuple[Array, Array, Array]:
    """gy, x: (n, c, …), the others: (c,) -> cotangents of x, weight and bias."""
    dx, dweight, dbias, _ = _backward(gy, gmean, gvar, x, weight, mean, mean, var, eps, PLAIN)
    return dx, dweight, dbias


def batch_norm_relu_grad(
    gy: Array, gmean: Array, gvar: Array, x: Array, weight: Array, bias: Array, mean: Array, var: Array, *, eps: float
) -> tuple[Array, Array, Array]:
    """gy, x: (n, c, …), the others: (c,) -> cotangents of x, weight and bias."""
    dx, dweight, dbias, _ = _backward(gy, gmean, gvar, x, weight, bias, mean, var, eps, BY_VALUE)
    return dx, dweight, dbias


def batch_norm_add_relu_grad(
    gy: Array, gmean: Array, gvar: Array, y: Array, x: Array, weight: Array, mean: Array, var: Array, *, eps: float
) -> tuple[Array, Array, Array, Array]:
    """gy, y, x: (n, c, …), the others: (c,) -> cotangents of x, what was added, weight and bias."""
    dx, dweight, dbias, u = _backward(gy, gmean, gvar, x, weight, mean, mean, var, eps, BY_RESULT, y)
    return dx, u, dweight, dbias


def _backward(
    gy: Array, gmean: Array, gvar: Array, x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float,
    mask: int, y: Array = None,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """Cotangents of x, weight and bias, and the masked gy where y masks it."""
    cut = _Cut(x)
    source, g, (out, target), parts = cut.seen(x), cut.seen(gy), cut.empty(x), cut.parts(x.dtype)
    whole, vectors = cut.vectors(5, x.dtype)
    weight, var = ready(weight), ready(var)
    spread_vectors(1, weight, ready(bias), ready(mean), var, whole, cut.c, cut.width, eps)
    masked, u = cut.empty(x) if mask == BY_RESULT else (gy, g)
    y = g if y is None else cut.seen(y)
    if cut.planar:
        _plane_products(cut.tasks, g, source, y, *vectors[:3], u, parts, mask, *cut.numbers)
    else:
        _row_products(cut.tasks, g, source, y, *vectors[:3], u, parts, mask, cut.c, *cut.numbers)
    dweight, dbias = np.empty(cut.c, x.dtype), np.empty(cut.c, x.dtype)
    blocks = cut.planes // cut.c if cut.planar else cut.tasks
    join_products(
        1, parts, ready(gmean), ready(gvar), weight, var, dweight, dbias, whole, blocks, cut.c, cut.width, cut.planar,
        x.size // cut.c, eps,
    )  # fmt: skip
    run = _pull_planes if cut.planar else _pull_rows
    run(cut.tasks, u, source, *vectors, target, mask, *cut.numbers)
    return out, dweight, dbias, masked
