"""Functions of the rows of a matrix: softmax, its logarithm, and layer normalisation, each with its cotangent.

Arrays are (…, n) with the last axis the row. A row is gone through a few times while it is in the cache, with all the
sums that one pass can give taken in that pass (`sums.py`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import Floats, jit, kernel
from .layout import ready
from .mathematics import exp_below
from .memory import empty
from .sums import joined, larger, plus

Array = Any
BLOCK = 8192  # elements of one task


@kernel
def _softmax_rows(x: Floats, out: Floats, n: int, rows: int, length: int, block: int) -> None:
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        top, total = x[a], x.dtype.type(0)
        for i in range(a, a + n):
            top = larger(x[i], top)
        for i in range(a, a + n):
            out[i] = exp_below(x[i] - top)
        for i in range(a, a + n):
            total = plus(total, out[i])
        share = x.dtype.type(1) / total
        for i in range(a, a + n):
            out[i] *= share


@kernel
def _softmax_grad_rows(g: Floats, y: Floats, out: Floats, n: int, rows: int, length: int, block: int) -> None:
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        inner = y.dtype.type(0)
        for i in range(a, a + n):
            inner = plus(inner, g[i] * y[i])
        for i in range(a, a + n):
            out[i] = y[i] * (g[i] - inner)


@kernel
def _log_softmax_rows(x: Floats, out: Floats, n: int, rows: int, length: int, block: int) -> None:
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        top, total = x[a], x.dtype.type(0)
        for i in range(a, a + n):
            top = larger(x[i], top)
        for i in range(a, a + n):
            total = plus(total, exp_below(x[i] - top))
        shift = np.log(total)
        for i in range(a, a + n):
            out[i] = (x[i] - top) - shift


@kernel
def _log_softmax_grad_rows(g: Floats, y: Floats, out: Floats, n: int, rows: int, length: int, block: int) -> None:
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        total = y.dtype.type(0)
        for i in range(a, a + n):
            total = plus(total, g[i])
        for i in range(a, a + n):
            out[i] = g[i] - exp_below(y[i]) * total


@jit
def _mean(x: Floats, a: int, n: int) -> Any:
    total = x.dtype.type(0)
    for i in range(a, a + n):
        total = plus(total, x[i])
    return total / x.dtype.type(n)


@kernel
def _layer_norm_rows(
    x: Floats, weight: Floats, bias: Floats, out: Floats, n: int, eps: float, rows: int, length: int, block: int
) -> None:
    """Without weights if there are none."""
    epsilon, count = x.dtype.type(eps), x.dtype.type(n)
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        mean, square = _mean(x, a, n), x.dtype.type(0)
        for i in range(a, a + n):
            d = x[i] - mean
            square = plus(square, d * d)
        r = x.dtype.type(1) / np.sqrt(square / count + epsilon)
        if weight.size:
            for i in range(n):
                out[a + i] = (x[a + i] - mean) * r * weight[i] + bias[i]
        else:
            for i in range(a, a + n):
                out[i] = (x[i] - mean) * r


@kernel
def _standardize_grad_rows(
    g: Floats, x: Floats, out: Floats, n: int, eps: float, rows: int, length: int, block: int
) -> None:
    epsilon, count, zero = x.dtype.type(eps), x.dtype.type(n), x.dtype.type(0)
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        mean, pull, square, slope = zero, zero, zero, zero
        for i in range(a, a + n):
            mean, pull = plus(mean, x[i]), plus(pull, g[i])
        mean, pull = mean / count, pull / count
        for i in range(a, a + n):
            d = x[i] - mean
            square, slope = plus(square, d * d), plus(slope, g[i] * d)
        r = x.dtype.type(1) / np.sqrt(square / count + epsilon)
        slope = slope / count * (r * r)
        for i in range(a, a + n):
            out[i] = r * ((g[i] - pull) - (x[i] - mean) * slope)


@kernel
def _layer_norm_grad_rows(
    g: Floats, x: Floats, weight: Floats, out: Floats, sums: Floats, n: int, eps: float, rows: int, length: int,
    block: int,
) -> None:  # fmt: skip
    """∂x of a block of rows, and the block's parts of ∂weight and ∂bias."""
    epsilon, count, zero = x.dtype.type(eps), x.dtype.type(n), x.dtype.type(0)
    dweight, dbias = sums[block * 2 * n : (block * 2 + 1) * n], sums[(block * 2 + 1) * n : (block * 2 + 2) * n]
    dweight[:] = 0
    dbias[:] = 0
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        mean, pull, square, slope = zero, zero, zero, zero
        for i in range(n):
            mean, pull = plus(mean, x[a + i]), plus(pull, g[a + i] * weight[i])
        mean, pull = mean / count, pull / count
        for i in range(n):
            d = x[a + i] - mean
            square, slope = plus(square, d * d), plus(slope, g[a + i] * weight[i] * d)
        r = x.dtype.type(1) / np.sqrt(square / count + epsilon)
        slope = slope / count * (r * r)
        for i in range(n):
            out[a + i] = r * ((g[a + i] * weight[i] - pull) - (x[a + i] - mean) * slope)
        for i in range(n):
            dweight[i] += g[a + i] * ((x[a + i] - mean) * r)
        for i in range(n):
            dbias[i] += g[a + i]


def blocks(rows: int, n: int) -> tuple[int, int]:
    """Number of tasks and rows of one."""
    length = max(1, BLOCK // n)
    return -(-rows // length), length


def softmax(x: Array, *, axis: int) -> Array:
    """x: (…, n) -> (…, n)."""
    x = ready(x)
    out = empty(x.shape, x.dtype)
    n = x.shape[-1]
    tasks, length = blocks(x.size // n, n)
    _softmax_rows(tasks, x, out, n, x.size // n, length)
    return out


def log_softmax(x: Array, *, axis: int) -> Array:
    """x: (…, n) -> (…, n)."""
    x = ready(x)
    out = empty(x.shape, x.dtype)
    n = x.shape[-1]
    tasks, length = blocks(x.size // n, n)
    _log_softmax_rows(tasks, x, out, n, x.size // n, length)
    return out


def softmax_grad(gy: Array, y: Array, *, axis: int) -> Array:
    """gy, y: (…, n) -> (…, n)."""
    gy, y = ready(gy), ready(y)
    out = empty(y.shape, y.dtype)
    n = y.shape[-1]
    tasks, length = blocks(y.size // n, n)
    _softmax_grad_rows(tasks, gy, y, out, n, y.size // n, length)
    return out


def log_softmax_grad(gy: Array, y: Array, *, axis: int) -> Array:
    """gy, y: (…, n) -> (…, n)."""
    gy, y = ready(gy), ready(y)
    out = empty(y.shape, y.dtype)
    n = y.shape[-1]
    tasks, length = blocks(y.size // n, n)
    _log_softmax_grad_rows(tasks, gy, y, out, n, y.size // n, length)
    return out


def _sizes(x: Array, axes: int) -> tuple[int, int]:
    """Rows, and elements of one that spans the last `axes` axes."""
    n = math.prod(x.shape[x.ndim - axes :])
    return x.size // n, n


def standardize(x: Array, *, axes: int, eps: float) -> Array:
    """x: (…, *s) -> (…, *s), s of `axes` axes."""
    none = np.empty(0, x.dtype)
    return _layer_norm(x, none, none, axes, eps)


def layer_norm(x: Array, weight: Array, bias: Array, *, axes: int, eps: float) -> Array:
    """x: (…, *s), weight, bias: s, with `axes` axes -> (…, *s)."""
    return _layer_norm(x, ready(weight), ready(bias), axes, eps)


def _layer_norm(x: Array, weight: Array, bias: Array, axes: int, eps: float) -> Array:
    x = ready(x)
    rows, n = _sizes(x, axes)
    out = empty(x.shape, x.dtype)
    tasks, length = blocks(rows, n)
    _layer_norm_rows(tasks, x, weight, bias, out, n, eps, rows, length)
    return out


def standardize_grad(gy: Array, x: Array, *, axes: int, eps: float) -> Array:
    """gy, x: (…, *s) -> (…, *s)."""
    gy, x = ready(gy), ready(x)
    rows, n = _sizes(x, axes)
    out = empty(x.shape, x.dtype)
    tasks, length = blocks(rows, n)
    _standardize_grad_rows(tasks, gy, x, out, n, eps, rows, length)
    return out


def layer_norm_grad(gy: Array, x: Array, weight: Array, *, axes: int, eps: float) -> tuple[Array, Array, Array]:
    """gy, x: (…, *s), weight: s -> cotangents of x: (…, *s), weight: s, bias: s."""
    gy, x = ready(gy), ready(x)
    rows, n = _sizes(x, axes)
    out = empty(x.shape, x.dtype)
    length = max(BLOCK // n, -(-rows // 64), 1)
    tasks = -(-rows // length)
    sums = np.empty((tasks, 2, n), x.dtype)
    _layer_norm_grad_rows(tasks, gy, x, ready(weight), out, sums, n, eps, rows, length)
    dweight, dbias = joined(sums)
    return out, dweight.reshape(weight.shape), dbias.reshape(weight.shape)
