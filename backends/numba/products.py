"""Matrix products and dense layers on all threads, from blocks that `gemm.py` computes on the register tile.

A result is cut into blocks by its shape alone, so it does not depend on the threads. Everything that a layer does
beside its product is done while the block is at hand: the bias is what the registers begin with, ReLU what they end
with, and the bias's gradient is summed by the tasks that read the cotangent for the weight's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from . import pointwise
from .compile import LIKE, Floats, Ints, address_of, jit, kernel
from .gemm import DEPTH, ROWS, WIDTH_BYTES, aliased, block
from .layout import ready
from .memory import empty
from .sums import plus
from .tile import VECTOR_BYTES
from .vectors import clear_bytes, sum_vectors

Array = Any

PIECE = 1 << 17  # multiply-adds that are worth a task: some microseconds' work
MOST = 16  # tasks that a product is cut into, unless they would be too high
LEAST_ROWS, MOST_ROWS = 128, 512  # of a task: fewer do not repay packing B for it, more of A leave the cache
GROUP = 8  # panels that repay a copy of A
FEW = 3  # rows below which packing a weight costs more than its product
SOON = 1 << 14  # multiply-adds of a few rows that NumPy has done before a kernel starts
TINY = 1 << 12  # multiply-adds of products of which NumPy computes a batch faster


@lru_cache(maxsize=4096)
def cut(rows: int, columns: int, depth: int, itemsize: int, copied: bool = False) -> tuple[int, int]:
    """In how many bands of rows, and in how many groups of panels, to compute (rows, depth) @ (depth, columns).

    copied: each task copies its rows of A, so the groups are large.
    """
    panels = -(-columns * itemsize // WIDTH_BYTES)
    tasks = max(1, min(MOST, rows * columns * depth // PIECE))
    if copied and panels > 1:
        groups = max(1, panels // GROUP)
        bands = max(1, min(tasks, rows // (LEAST_ROWS if groups == 1 else MOST_ROWS)))
        return bands, min(groups, max(1, tasks // bands))
    groups = min(panels, tasks)
    bands = max(1, min(-(-tasks // groups), rows // LEAST_ROWS))
    return max(bands, -(-rows // MOST_ROWS) if tasks > 1 else 1), groups


@jit
def bounds(rows: int, columns: int, bands: int, groups: int, width: int, part: int) -> Any:
    """Which rows and columns a task computes."""
    tiles, panels = (rows + ROWS - 1) // ROWS, (columns + width - 1) // width
    band, group = part // groups, part % groups
    return (
        tiles * band // bands * ROWS, min(rows, tiles * (band + 1) // bands * ROWS),
        panels * group // groups * width, min(columns, panels * (group + 1) // groups * width),
    )  # fmt: skip


# ------------------------------------------------------------ products of matrices


@kernel
def _matmul_tasks(like: Floats, starts: Ints, steps: Ints, sizes: Ints, task: int) -> None:
    """One block of one product, or all of several products.

    starts: addresses of A, B and C for each product. steps: bytes between rows and between columns of A and of B.
    """
    m, n, k, bands, groups, each = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    size = like.itemsize
    parts = bands * groups
    first = task // parts * each
    top, bottom, left, right = bounds(m, n, bands, groups, WIDTH_BYTES // size, task % parts)
    for unit in range(first, min(first + each, starts.size // 3)):
        block(
            like, starts[3 * unit] + top * steps[0], steps[0], steps[1], starts[3 * unit + 1] + left * steps[3],
            steps[2], steps[3], 0, starts[3 * unit + 2] + top * n * size + left * size, n * size, bottom - top,
            right - left, k, 0,
        )  # fmt: skip


@lru_cache(maxsize=1024)
def _offsets(lead: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """Bytes from the first matrix of a batch to each of them."""
    places: Any = np.zeros(1, np.int64)
    for length, stride in zip(lead, strides, strict=True):
        places = np.add.outer(places, np.arange(length) * stride).reshape(-1)
    return places


def _starts(x: Array, lead: tuple[int, ...]) -> Array:
    strides = (0,) * (len(lead) - x.ndim + 2) + tuple(
        0 if length == 1 else stride for length, stride in zip(x.shape[:-2], x.strides[:-2], strict=True)
    )
    return _offsets(lead, strides) + address_of(x)


def _placed(x: Array) -> Array:
    return x if x.flags.aligned else np.array(x)


def matmul(x: Array, y: Array) -> Array:
    """(…, m, k) @ (…, k, n) -> (…, m, n), with leading axes that broadcast."""
    if x.ndim > 2 == y.ndim and x.flags.c_contiguous:
        return matmul(x.reshape(-1, x.shape[-1]), y).reshape(*x.shape[:-1], y.shape[1])
    (m, k), n = x.shape[-2:], y.shape[-1]
    work = m * n * k
    if work < TINY or m < FEW or n == 1:
        return np.matmul(x, y)
    x, y = _placed(x), _placed(y)
    lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2]) if x.ndim > 2 or y.ndim > 2 else ()
    out = empty((*lead, m, n), x.dtype)
    count = math.prod(lead)
    bands, groups = (
        (1, 1) if count >= MOST else cut(m, n, k, x.itemsize, aliased(x.strides[-2], x.strides[-1], x.itemsize))
    )
    each = max(1, PIECE // work) if bands * groups == 1 else 1
    if lead:
        starts = np.stack([_starts(a, lead) for a in (x, y, out)], axis=1)
    else:
        starts = np.array((address_of(x), address_of(y), address_of(out)))
    _matmul_tasks(
        -(-count // each) * bands * groups, LIKE[x.dtype], starts, np.array((*x.strides[-2:], *y.strides[-2:])),
        np.array((m, n, k, bands, groups, each)),
    )  # fmt: skip
    return out


# ------------------------------------------------------------ dense layers


@kernel
def _linear_tasks(
    x: Floats, weight: Floats, bias: Floats, out: Floats, m: int, n: int, k: int, bands: int, groups: int, relu: int,
    task: int,
) -> None:  # fmt: skip
    """A block of x·Wᵀ + b, or of max(x·Wᵀ + b, 0)."""
    size = x.itemsize
    top, bottom, left, right = bounds(m, n, bands, groups, WIDTH_BYTES // size, task)
    block(
        x, x.ctypes.data + top * k * size, k * size, size, weight.ctypes.data + left * k * size, size, k * size,
        bias.ctypes.data + left * size, out.ctypes.data + (top * n + left) * size, n * size, bottom - top, right - left,
        k, relu,
    )  # fmt: skip


@kernel
def _linear_dots(
    x: Floats, weight: Floats, bias: Floats, out: Floats, m: int, n: int, k: int, relu: int, length: int, task: int
) -> None:
    """Some columns of x·Wᵀ + b, or of max(x·Wᵀ + b, 0), each a sum over a row of W as it lies."""
    zero = x.dtype.type(0)
    for j in range(task * length, min((task + 1) * length, n)):
        for i in range(m):
            total = zero
            for q in range(k):
                total = plus(total, x[i * k + q] * weight[j * k + q])
            total += bias[j]
            out[i * n + j] = zero if relu and total <= zero else total


def _linear(x: Array, weight: Array, bias: Array, relu: int) -> Array:
    n, k = weight.shape
    m = x.size // k
    if m < FEW and m * n * k < SOON:
        out = np.matmul(x, weight.T) + bias
        return np.maximum(out, 0, out=out) if relu else out
    out = empty((*x.shape[:-1], n), x.dtype)
    if m < FEW:
        length = max(1, PIECE // (m * k))
        _linear_dots(-(-n // length), ready(x), ready(weight), ready(bias), out, m, n, k, relu, length)
        return out
    bands, groups = cut(m, n, k, x.itemsize)
    _linear_tasks(bands * groups, ready(x), ready(weight), ready(bias), out, m, n, k, bands, groups, relu)
    return out


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """x: (…, k), weight: (n, k), bias: (n,) -> (…, n)."""
    return _linear(x, weight, bias, 0)


def linear_relu(x: Array, weight: Array, bias: Array) -> Array:
    """max(linear(x, weight, bias), 0)."""
    return _linear(x, weight, bias, 1)


@jit
def _sum_rows(g: Floats, out: Floats, m: int, n: int, left: int, right: int) -> None:
    """Columns left … right-1 of out: (n,), the sums of g: (m, n), in spans of rows that are then added up."""
    size, step = g.itemsize, VECTOR_BYTES // g.itemsize
    whole = left + (right - left) // step * step
    span, zero = np.empty(step, g.dtype), g.dtype.type(0)
    clear_bytes(out.ctypes.data + left * size, (right - left) * size)
    for start in range(0, m, DEPTH):
        stop = min(start + DEPTH, m)
        for j in range(left, whole, step):
            clear_bytes(span.ctypes.data, step * size)
            sum_vectors(g, g.ctypes.data + (start * n + j) * size, n * size, stop - start, span.ctypes.data)
            for lane in range(step):
                out[j + lane] += span[lane]
        for j in range(whole, right):
            total = zero
            for i in range(start, stop):
                total += g[i * n + j]
            out[j] += total
    span[0] = 0  # an address alone does not keep an array's memory


@kernel
def _gradient_tasks(
    u: Floats, x: Floats, weight: Floats, dweight: Floats, dbias: Floats, dx: Floats, m: int, n: int, k: int,
    bands: int, groups: int, x_bands: int, x_groups: int, task: int,
) -> None:  # fmt: skip
    """A block of uᵀ·x, the first of a band with the sums of u; or, after those, a block of u·W."""
    size, width = u.itemsize, WIDTH_BYTES // u.itemsize
    if task < bands * groups:
        top, bottom, left, right = bounds(n, k, bands, groups, width, task)
        block(
            u, u.ctypes.data + top * size, size, n * size, x.ctypes.data + left * size, k * size, size, 0,
            dweight.ctypes.data + (top * k + left) * size, k * size, bottom - top, right - left, m, 0,
        )  # fmt: skip
        if left == 0:
            _sum_rows(u, dbias, m, n, top, bottom)
        return
    top, bottom, left, right = bounds(m, k, x_bands, x_groups, width, task - bands * groups)
    block(
        u, u.ctypes.data + top * n * size, n * size, size, weight.ctypes.data + left * size, k * size, size, 0,
        dx.ctypes.data + (top * k + left) * size, k * size, bottom - top, right - left, n, 0,
    )  # fmt: skip


def linear_grad(gy: Array, x: Array, weight: Array, *, need_x: bool) -> tuple[Array, ...]:
    """gy: (…, n), x: (…, k), weight: (n, k) -> cotangents of weight, bias, and x."""
    (n, k), dtype = weight.shape, x.dtype
    m = x.size // k
    dweight, dbias = empty((n, k), dtype), np.empty(n, dtype)
    dx = empty(x.shape if need_x else (0,), dtype)
    size = x.itemsize
    cuts = *cut(n, k, m, size, aliased(size, n * size, size)), *(cut(m, k, n, size) if need_x else (0, 0))
    tasks = cuts[0] * cuts[1] + cuts[2] * cuts[3]
    _gradient_tasks(tasks, ready(gy), ready(x), ready(weight), dweight, dbias, dx, m, n, k, *cuts)
    return (dweight, dbias, dx) if need_x else (dweight, dbias)


def linear_relu_grad(gy: Array, y: Array, x: Array, weight: Array, *, need_x: bool) -> tuple[Array, ...]:
    """As `linear_grad`, with gy where y: (…, n) is positive."""
    return linear_grad(pointwise.passed(gy, y), x, weight, need_x=need_x)
