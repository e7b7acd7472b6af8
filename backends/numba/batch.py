"""Batch normalisation and its cotangents: one pass over memory for the statistics, one for the result.

Arrays are seen as they lie, either as rows of channels (channels-last images, or (n, c) features), or as planes of one
channel each. Rows are taken several at a time, as many as fill vectors. A block's mean and the sum of its squared
deviations come from two passes over the block while it is in the cache; blocks are joined in a fixed order, in double
precision (Chan, Golub & LeVeque, 1979). Blocks are cut by shape alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, jit, kernel
from .layout import channels_last, lies_channels_last, ready
from .memory import empty, empty_images
from .rows import LANES, row_dot, row_sum

Array = Any
BLOCK = 32768  # elements of one task
WIDE = 256  # elements of neighbouring rows taken at a time, at the least


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


@kernel
def _row_products(g: Floats, x: Floats, mean: Floats, sums: Floats, c: int, width: int, length: int, task: int) -> None:
    """Σ g and Σ g·(x − mean) of each channel in one block."""
    start, stop = task * length, min((task + 1) * length, x.size)
    first, second = np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    for a in range(start, stop, width):
        n = min(width, stop - a)
        u, v = g[a : a + n], x[a : a + n]
        for j in range(n):
            first[j] += u[j]
            second[j] += u[j] * (v[j] - mean[j])
    _fold(first, sums, task * 2 * c, c)
    _fold(second, sums, task * 2 * c + c, c)


@kernel
def _scale_rows(
    x: Floats, mean: Floats, scale: Floats, shift: Floats, out: Floats, width: int, length: int, task: int
) -> None:
    stop = min((task + 1) * length, x.size)
    for a in range(task * length, stop, width):
        for j in range(min(width, stop - a)):
            out[a + j] = (x[a + j] - mean[j]) * scale[j] + shift[j]


@kernel
def _pull_rows(
    g: Floats, x: Floats, mean: Floats, scale: Floats, slope: Floats, shift: Floats, out: Floats, width: int,
    length: int, task: int,
) -> None:  # fmt: skip
    stop = min((task + 1) * length, x.size)
    for a in range(task * length, stop, width):
        for j in range(min(width, stop - a)):
            out[a + j] = g[a + j] * scale[j] + (x[a + j] - mean[j]) * slope[j] + shift[j]


# ------------------------------------------------------------ planes of one channel


@kernel
def _plane_statistics(x: Floats, sums: Floats, s: int, planes: int, length: int, task: int) -> None:
    lanes, centred = np.empty(LANES, x.dtype), np.empty(s, x.dtype)
    for p in range(task * length, min((task + 1) * length, planes)):
        mean = row_sum(x, p * s, s, lanes) / x.dtype.type(s)
        for j in range(s):
            centred[j] = x[p * s + j] - mean
        sums[2 * p], sums[2 * p + 1] = mean, row_dot(centred, 0, centred, 0, s, lanes)


@kernel
def _plane_products(
    g: Floats, x: Floats, mean: Floats, sums: Floats, c: int, s: int, planes: int, length: int, task: int
) -> None:
    lanes, centred = np.empty(LANES, x.dtype), np.empty(s, x.dtype)
    for p in range(task * length, min((task + 1) * length, planes)):
        m = mean[p % c]
        for j in range(s):
            centred[j] = x[p * s + j] - m
        sums[2 * p], sums[2 * p + 1] = row_sum(g, p * s, s, lanes), row_dot(g, p * s, centred, 0, s, lanes)


@kernel
def _scale_planes(
    x: Floats, mean: Floats, scale: Floats, shift: Floats, out: Floats, c: int, s: int, planes: int, length: int,
    task: int,
) -> None:  # fmt: skip
    for p in range(task * length, min((task + 1) * length, planes)):
        m, f, t = mean[p % c], scale[p % c], shift[p % c]
        for j in range(p * s, (p + 1) * s):
            out[j] = (x[j] - m) * f + t


@kernel
def _pull_planes(
    g: Floats, x: Floats, mean: Floats, scale: Floats, slope: Floats, shift: Floats, out: Floats, c: int, s: int,
    planes: int, length: int, task: int,
) -> None:  # fmt: skip
    for p in range(task * length, min((task + 1) * length, planes)):
        m, f, h, t = mean[p % c], scale[p % c], slope[p % c], shift[p % c]
        for j in range(p * s, (p + 1) * s):
            out[j] = g[j] * f + (x[j] - m) * h + t


# ------------------------------------------------------------ either


class _Cut:
    """How an array of channels lies in memory, and how it is cut into tasks."""

    def __init__(self, source: Array, c: int, planar: bool) -> None:
        self.c, self.planar, self.size = c, planar, source.size
        if planar:
            self.s = source.size // (source.shape[0] * c)
            self.planes = source.shape[0] * c
            self.length = max(1, BLOCK // self.s)
            self.tasks = -(-self.planes // self.length)
            self.numbers: tuple[int, ...] = (c, self.s, self.planes, self.length)
        else:
            self.width = c * -(-WIDE // c)
            self.length = max(1, BLOCK // self.width) * self.width
            self.tasks = -(-source.size // self.length)
            self.numbers = (self.width, self.length)

    def wide(self, *vectors: Array) -> list[Array]:
        """One value per channel, repeated for the rows that are taken at a time."""
        return [np.ascontiguousarray(v) if self.planar else np.tile(v, self.width // self.c) for v in vectors]

    def parts(self, dtype: Any) -> Array:
        """Where the tasks put two numbers per channel: (blocks, 2, c), or (n·c, 2) for planes."""
        return np.empty((self.planes, 2) if self.planar else (self.tasks, 2, self.c), dtype)

    def joined(self, parts: Array) -> tuple[Array, Array]:
        """The two numbers of each block and channel, in double precision: (blocks, c) each."""
        parts = parts.astype(np.float64)
        if self.planar:
            parts = parts.reshape(-1, self.c, 2)
            return parts[:, :, 0], parts[:, :, 1]
        return parts[:, 0], parts[:, 1]

    def counts(self) -> Array:
        """Values of one channel in each block, as a column."""
        if self.planar:
            return np.full((self.planes // self.c, 1), float(self.s))
        sizes = np.full((self.tasks, 1), float(self.length // self.c))
        sizes[-1] = (self.size - (self.tasks - 1) * self.length) // self.c
        return sizes


def _seen(x: Array) -> tuple[Array, Array, Array, _Cut]:
    """The array in the order of memory, an empty one like it in that order and as the user sees it, and the cut."""
    if lies_channels_last(x):
        n, c, h, w = x.shape
        out = empty_images(n, c, h, w, x.dtype)
        return x.transpose(0, 2, 3, 1), out.transpose(0, 2, 3, 1), out, _Cut(x, c, planar=False)
    out = empty(x.shape, x.dtype)
    return ready(x), out, out, _Cut(x, x.shape[1], planar=x.ndim > 2)


def batch_norm(x: Array, weight: Array, bias: Array, *, eps: float) -> tuple[Array, Array, Array]:
    """x: (n, c, …), weight, bias: (c,) -> (n, c, …), mean: (c,), variance: (c,)."""
    source, target, out, cut = _seen(x)
    parts = cut.parts(x.dtype)
    if cut.planar:
        _plane_statistics(cut.tasks, source, parts, *cut.numbers[1:])
    else:
        _row_statistics(cut.tasks, source, parts, cut.c, *cut.numbers)
    means, squares = cut.joined(parts)
    counts = cut.counts()
    n = x.size // cut.c
    mean = (means * counts).sum(axis=0) / n
    var = (squares + counts * (means - mean) ** 2).sum(axis=0) / n
    scale = (weight / np.sqrt(var + eps)).astype(x.dtype)
    mean, var = mean.astype(x.dtype), var.astype(x.dtype)
    run = _scale_planes if cut.planar else _scale_rows
    run(cut.tasks, source, *cut.wide(mean, scale, bias), target, *cut.numbers)
    return out, mean, var


def batch_norm_grad(
    gy: Array, gmean: Array, gvar: Array, x: Array, weight: Array, mean: Array, var: Array, *, eps: float
) -> tuple[Array, Array, Array]:
    """gy, x: (n, c, …), the others: (c,) -> cotangents of x, weight and bias."""
    source, target, out, cut = _seen(x)
    g = ready(gy) if cut.planar or x.ndim != 4 else channels_last(gy)
    parts = cut.parts(x.dtype)
    if cut.planar:
        _plane_products(cut.tasks, g, source, *cut.wide(mean), parts, *cut.numbers)
    else:
        _row_products(cut.tasks, g, source, *cut.wide(mean), parts, cut.c, *cut.numbers)
    sums, products = (part.sum(axis=0) for part in cut.joined(parts))
    n = x.size // cut.c
    r = 1.0 / np.sqrt(var.astype(np.float64) + eps)
    dweight, scale = products * r, r * weight
    slope = (2.0 * gvar - r * scale * dweight) / n
    shift = (gmean - scale * sums) / n
    vectors = cut.wide(mean, *(v.astype(x.dtype) for v in (scale, slope, shift)))
    run = _pull_planes if cut.planar else _pull_rows
    run(cut.tasks, g, source, *vectors, target, *cut.numbers)
    return out, dweight.astype(x.dtype), sums.astype(x.dtype)
