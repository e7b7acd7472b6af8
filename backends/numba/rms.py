"""Normalisation of rows by their root mean square, and its cotangents, in one pass over memory each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import Floats, kernel
from .layout import ready
from .memory import empty
from .rows import BLOCK, blocks
from .sums import joined, plus

Array = Any


@kernel
def _rms_rows(x: Floats, weight: Floats, out: Floats, n: int, eps: float, rows: int, length: int, block: int) -> None:
    one, count = x.dtype.type(1), x.dtype.type(n)
    for row in range(block * length, min((block + 1) * length, rows)):
        a, square = row * n, x.dtype.type(0)
        for i in range(a, a + n):
            square = plus(square, x[i] * x[i])
        r = one / np.sqrt(square / count + x.dtype.type(eps))
        for i in range(n):
            out[a + i] = x[a + i] * r * weight[i]


@kernel
def _rms_grad_rows(
    g: Floats, x: Floats, weight: Floats, out: Floats, sums: Floats, n: int, eps: float, rows: int, length: int,
    block: int,
) -> None:  # fmt: skip
    """∂x of a block of rows, and the block's part of ∂weight."""
    one, count, zero = x.dtype.type(1), x.dtype.type(n), x.dtype.type(0)
    dweight = sums[block * n : (block + 1) * n]
    dweight[:] = 0
    for row in range(block * length, min((block + 1) * length, rows)):
        a, square, slope = row * n, zero, zero
        for i in range(n):
            v = x[a + i]
            square, slope = plus(square, v * v), plus(slope, g[a + i] * weight[i] * v)
        r = one / np.sqrt(square / count + x.dtype.type(eps))
        slope = slope / count * (r * r)
        for i in range(n):
            out[a + i] = r * (g[a + i] * weight[i] - x[a + i] * slope)
        for i in range(n):
            dweight[i] += g[a + i] * (x[a + i] * r)


def rms_norm(x: Array, weight: Array, *, axes: int, eps: float) -> Array:
    """x: (…, *s), weight: s, with `axes` axes -> (…, *s)."""
    x = ready(x)
    n = math.prod(x.shape[x.ndim - axes :])
    rows = x.size // n
    out = empty(x.shape, x.dtype)
    tasks, length = blocks(rows, n)
    _rms_rows(tasks, x, ready(weight), out, n, eps, rows, length)
    return out


def rms_norm_grad(gy: Array, x: Array, weight: Array, *, axes: int, eps: float) -> tuple[Array, Array]:
    """gy, x: (…, *s), weight: s -> cotangents of x: (…, *s), weight: s."""
    gy, x = ready(gy), ready(x)
    n = math.prod(x.shape[x.ndim - axes :])
    rows = x.size // n
    out = empty(x.shape, x.dtype)
    length = max(BLOCK // n, -(-rows // 64), 1)
    tasks = -(-rows // length)
    sums = np.empty((tasks, n), x.dtype)
    _rms_grad_rows(tasks, gy, x, ready(weight), out, sums, n, eps, rows, length)
    return out, joined(sums).reshape(weight.shape)
