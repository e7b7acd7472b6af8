"""Functions of the rows of a matrix: softmax, its logarithm, and layer normalisation, each with its cotangent.

Arrays are (…, n) with the last axis the row. Sums and maxima run in 64 lanes that are joined in a fixed order: that is
what the vectoriser needs, four vectors hide each other's latency, and the result does not depend on the threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import Floats, jit, kernel
from .layout import ready
from .mathematics import exp_below
from .memory import empty

Array = Any
LANES = 64
BLOCK = 8192  # elements of one task


@jit
def _join(lanes: Floats) -> Any:
    for half in (32, 16, 8, 4, 2, 1):
        for k in range(half):
            lanes[k] += lanes[k + half]
    return lanes[0]


@jit
def row_sum(x: Floats, start: int, n: int, lanes: Floats) -> Any:
    """Sum of n elements from `start`."""
    lanes[:] = 0
    whole = n // LANES * LANES
    for i in range(start, start + whole, LANES):
        for k in range(LANES):
            lanes[k] += x[i + k]
    for i in range(start + whole, start + n):
        lanes[i - start - whole] += x[i]
    return _join(lanes)


@jit
def row_dot(x: Floats, a: int, y: Floats, b: int, n: int, lanes: Floats) -> Any:
    """Scalar product of n elements of x from a and of y from b."""
    lanes[:] = 0
    whole = n // LANES * LANES
    for i in range(0, whole, LANES):
        for k in range(LANES):
            lanes[k] += x[a + i + k] * y[b + i + k]
    for i in range(whole, n):
        lanes[i - whole] += x[a + i] * y[b + i]
    return _join(lanes)


@jit
def row_max(x: Floats, start: int, n: int, lanes: Floats) -> Any:
    """The largest element; if one is NaN, anything."""
    lanes[:] = x[start]
    whole = n // LANES * LANES
    for i in range(start, start + whole, LANES):
        for k in range(LANES):
            lanes[k] = x[i + k] if x[i + k] > lanes[k] else lanes[k]
    for i in range(start + whole, start + n):
        k = i - start - whole
        lanes[k] = x[i] if x[i] > lanes[k] else lanes[k]
    for half in (32, 16, 8, 4, 2, 1):
        for k in range(half):
            lanes[k] = lanes[k + half] if lanes[k + half] > lanes[k] else lanes[k]
    return lanes[0]


@kernel
def _softmax_rows(x: Floats, out: Floats, n: int, rows: int, length: int, block: int) -> None:
    lanes = np.empty(LANES, x.dtype)
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        top = row_max(x, a, n, lanes)
        for i in range(a, a + n):
            out[i] = exp_below(x[i] - top)
        share = x.dtype.type(1) / row_sum(out, a, n, lanes)
        for i in range(a, a + n):
            out[i] *= share


@kernel
def _softmax_grad_rows(g: Floats, y: Floats, out: Floats, n: int, rows: int, length: int, block: int) -> None:
    lanes = np.empty(LANES, y.dtype)
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        inner = row_dot(g, a, y, a, n, lanes)
        for i in range(a, a + n):
            out[i] = y[i] * (g[i] - inner)


@kernel
def _log_softmax_rows(x: Floats, out: Floats, n: int, rows: int, length: int, block: int) -> None:
    lanes = np.empty(LANES, x.dtype)
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        top = row_max(x, a, n, lanes)
        for i in range(a, a + n):
            out[i] = exp_below(x[i] - top)
        shift = top, np.log(row_sum(out, a, n, lanes))
        for i in range(a, a + n):
            out[i] = (x[i] - shift[0]) - shift[1]


@kernel
def _log_softmax_grad_rows(g: Floats, y: Floats, out: Floats, n: int, rows: int, length: int, block: int) -> None:
    lanes = np.empty(LANES, y.dtype)
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        total = row_sum(g, a, n, lanes)
        for i in range(a, a + n):
            out[i] = g[i] - exp_below(y[i]) * total


@jit
def _moments(x: Floats, a: int, n: int, eps: Any, scratch: Floats, lanes: Floats) -> Any:
    """Centred row in `scratch`, and 1/√(σ² + ε)."""
    mean = row_sum(x, a, n, lanes) / x.dtype.type(n)
    for i in range(n):
        scratch[i] = x[a + i] - mean
    return x.dtype.type(1) / np.sqrt(row_dot(scratch, 0, scratch, 0, n, lanes) / x.dtype.type(n) + eps)


@kernel
def _layer_norm_rows(
    x: Floats, weight: Floats, bias: Floats, out: Floats, n: int, eps: float, rows: int, length: int, block: int
) -> None:
    """Without weights if there are none."""
    lanes, centred, epsilon = np.empty(LANES, x.dtype), np.empty(n, x.dtype), x.dtype.type(eps)
    for row in range(block * length, min((block + 1) * length, rows)):
        r = _moments(x, row * n, n, epsilon, centred, lanes)
        if weight.size:
            for i in range(n):
                out[row * n + i] = centred[i] * r * weight[i] + bias[i]
        else:
            for i in range(n):
                out[row * n + i] = centred[i] * r


@kernel
def _standardize_grad_rows(
    g: Floats, x: Floats, out: Floats, n: int, eps: float, rows: int, length: int, block: int
) -> None:
    lanes, centred = np.empty(LANES, x.dtype), np.empty(n, x.dtype)
    epsilon, count = x.dtype.type(eps), x.dtype.type(n)
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        r = _moments(x, a, n, epsilon, centred, lanes)
        mean = row_sum(g, a, n, lanes) / count
        slope = row_dot(g, a, centred, 0, n, lanes) / count * (r * r)
        for i in range(n):
            out[a + i] = r * (g[a + i] - mean - centred[i] * slope)


@kernel
def _layer_norm_grad_rows(
    g: Floats, x: Floats, weight: Floats, out: Floats, sums: Floats, n: int, eps: float, rows: int, length: int,
    block: int,
) -> None:  # fmt: skip
    """∂x of a block of rows, and the block's parts of ∂weight and ∂bias."""
    lanes, xhat, h = np.empty(LANES, x.dtype), np.empty(n, x.dtype), np.empty(n, x.dtype)
    epsilon, count = x.dtype.type(eps), x.dtype.type(n)
    dweight, dbias = sums[block * 2 * n : (block * 2 + 1) * n], sums[(block * 2 + 1) * n : (block * 2 + 2) * n]
    dweight[:] = 0
    dbias[:] = 0
    for row in range(block * length, min((block + 1) * length, rows)):
        a = row * n
        r = _moments(x, a, n, epsilon, xhat, lanes)
        for i in range(n):
            xhat[i] *= r
            dweight[i] += g[a + i] * xhat[i]
        for i in range(n):
            dbias[i] += g[a + i]
            h[i] = g[a + i] * weight[i]
        mean = row_sum(h, 0, n, lanes) / count
        slope = row_dot(h, 0, xhat, 0, n, lanes) / count
        for i in range(n):
            out[a + i] = r * (h[i] - mean - xhat[i] * slope)


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
    dweight, dbias = sums.sum(axis=0)
    return out, dweight.reshape(weight.shape), dbias.reshape(weight.shape)
