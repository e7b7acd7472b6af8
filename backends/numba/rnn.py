"""The LSTM over a whole sequence, and its backward pass.

The samples of a batch do not depend on each other, so a task takes as many of them as a register tile has rows through
all steps, with their states in its own small arrays: no thread ever waits for another within a sequence. The weights
are laid out as the tile reads them. Products over all steps at once are left to BLAS.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, jit, kernel
from .layout import ready
from .mathematics import sigmoid, tanh
from .tile import ROWS, fma_tile, tile_width

Array = Any


def panels_of_rows(w: Array) -> Array:
    """Wᵀ for the tile: (columns, depth) -> (panels, depth, width), padded with zeros."""
    width = tile_width(w.itemsize)
    columns, depth = w.shape
    count = -(-columns // width)
    padded = np.zeros((count * width, depth), w.dtype)
    padded[:columns] = w
    return np.ascontiguousarray(padded.reshape(count, width, depth).transpose(0, 2, 1))


def panels_of_columns(w: Array) -> Array:
    """W for the tile: (depth, columns) -> (panels, depth, width), padded with zeros."""
    width = tile_width(w.itemsize)
    depth, columns = w.shape
    count = -(-columns // width)
    padded = np.zeros((depth, count * width), w.dtype)
    padded[:, :columns] = w
    return np.ascontiguousarray(padded.reshape(depth, count, width).transpose(1, 0, 2))


@jit
def _offsets(count: int, step: int) -> Any:
    table = np.empty(count, np.int64)
    for i in range(count):
        table[i] = i * step
    return table


@jit
def _product(
    a: Floats, rows: Any, steps: Any, w: Floats, initial: Floats, between: int, out: Floats, ld: int, width: int
) -> None:
    """out = initial + a·w: (6, depth), (panels, depth, width) -> (6, ld); the initial rows lie `between` apart."""
    size = a.itemsize
    for panel in range(ld // width):
        fma_tile(
            a, a.ctypes.data, rows.ctypes.data, steps.ctypes.data, w.ctypes.data + panel * steps.size * width * size,
            width * size, initial.ctypes.data + panel * width * size, between * size,
            out.ctypes.data + panel * width * size, ld * size, steps.size,
        )  # fmt: skip


# Indices are cast to unsigned integers: one that could be negative, as far as the compiler sees, keeps the vectoriser
# away, and slices, which start from 0, cost more than a short loop. Each loop touches few arrays, and none of them
# twice under two names, for the same reason.
_at = np.uintp


@jit
def _copy(x: Floats, a: int, out: Floats, b: int, n: int) -> None:
    for j in range(n):
        out[_at(b + j)] = x[_at(a + j)]


@jit
def _add(x: Floats, a: int, y: Floats, b: int, n: int) -> None:
    for j in range(n):
        x[_at(a + j)] += y[_at(b + j)]


@jit
def _sigmoids(x: Floats, a: int, n: int) -> None:
    for j in range(n):
        x[_at(a + j)] = sigmoid(x[_at(a + j)])


@jit
def _tanhs(x: Floats, a: int, out: Floats, b: int, n: int) -> None:
    for j in range(n):
        out[_at(b + j)] = tanh(x[_at(a + j)])


@jit
def _tanhs_here(x: Floats, a: int, n: int) -> None:
    for j in range(n):
        x[_at(a + j)] = tanh(x[_at(a + j)])


@jit
def _before_sigmoid(
    g: Floats, a: int, factor: Floats, b: int, gates: Floats, c: int, out: Floats, d: int, n: int
) -> None:
    """out = (g·factor + out)·gate·(1 − gate)."""
    for j in range(n):
        gate = gates[_at(c + j)]
        out[_at(d + j)] = (g[_at(a + j)] * factor[_at(b + j)] + out[_at(d + j)]) * (gate * (1 - gate))


@jit
def _before_tanh(g: Floats, a: int, factor: Floats, b: int, gates: Floats, c: int, out: Floats, d: int, n: int) -> None:
    """out = (g·factor + out)·(1 − gate²)."""
    for j in range(n):
        gate = gates[_at(c + j)]
        out[_at(d + j)] = (g[_at(a + j)] * factor[_at(b + j)] + out[_at(d + j)]) * (1 - gate * gate)


@kernel
def _lstm_rows(
    inputs: Floats, bias: Floats, w: Floats, h0: Floats, c0: Floats, y: Floats, cells: Floats, gates: Floats, t: int,
    n: int, e: int, width: int, block: int,
) -> None:  # fmt: skip
    """Six samples through all steps; `inputs` are the products with x, without bias."""
    first, ld = block * ROWS, -(-4 * e // width) * width
    count, four = min(ROWS, n - first), 4 * e
    a, h, c = np.zeros(ROWS * ld, w.dtype), np.zeros(ROWS * e, w.dtype), np.zeros(ROWS * e, w.dtype)
    rows, steps = _offsets(ROWS, e * w.itemsize), _offsets(e, w.itemsize)
    h[: count * e] = h0[first * e : (first + count) * e]
    c[: count * e] = c0[first * e : (first + count) * e]
    for step in range(t):
        for r in range(count):
            _copy(inputs, (step * n + first + r) * four, a, r * ld, four)
            _add(a, r * ld, bias, 0, four)
        _product(h, rows, steps, w, a, ld, a, ld, width)
        for r in range(count):
            at, i, s = step * n + first + r, r * ld, r * e
            f, g, o = i + e, i + 2 * e, i + 3 * e
            _sigmoids(a, i, 2 * e)
            _tanhs_here(a, g, e)
            _sigmoids(a, o, e)
            for j in range(e):
                c[_at(s + j)] = a[_at(f + j)] * c[_at(s + j)] + a[_at(i + j)] * a[_at(g + j)]
            _tanhs(c, s, h, s, e)
            for j in range(e):
                h[_at(s + j)] *= a[_at(o + j)]
            _copy(a, i, gates, at * four, four)
            _copy(c, s, cells, at * e, e)
            _copy(h, s, y, at * e, e)


def lstm(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Array, Array]:
    """x: (t, n, f), h0, c0: (n, e), w_ih: (4e, f), w_hh: (4e, e) -> y, cells: (t, n, e), gates: (t, n, 4e)."""
    (t, n, features), e = x.shape, h0.shape[1]
    inputs = np.matmul(x.reshape(t * n, features), w_ih.T)
    y, cells = np.empty((t, n, e), x.dtype), np.empty((t, n, e), x.dtype)
    gates = np.empty((t, n, 4 * e), x.dtype)
    _lstm_rows(
        -(-n // ROWS), inputs, ready(b_ih + b_hh), panels_of_rows(w_hh), ready(h0), ready(c0), y, cells, gates, t, n, e,
        tile_width(x.itemsize),
    )  # fmt: skip
    return y, cells, gates


@kernel
def _lstm_back(
    gy: Floats, gc: Floats, gg: Floats, c0: Floats, w: Floats, cells: Floats, gates: Floats, da: Floats, dh0: Floats,
    dc0: Floats, sums: Floats, t: int, n: int, e: int, width: int, block: int,
) -> None:  # fmt: skip
    """Six samples back through all steps: ∂ of the gates before their nonlinearities, and their part of ∂bias."""
    first, ld = block * ROWS, -(-e // width) * width
    count, four = min(ROWS, n - first), 4 * e
    dh, dc = np.zeros(ROWS * ld, w.dtype), np.zeros(ROWS * e, w.dtype)
    a, zero = np.zeros(ROWS * four, w.dtype), np.zeros(ld, w.dtype)
    squashed, total = np.zeros(e, w.dtype), np.zeros(four, w.dtype)
    rows, steps = _offsets(ROWS, four * w.itemsize), _offsets(four, w.itemsize)
    for step in range(t - 1, -1, -1):
        for r in range(count):
            at = step * n + first + r
            k, i, d, h, s = at * e, at * four, r * four, r * ld, r * e
            f, g, o = i + e, i + 2 * e, i + 3 * e
            _add(dh, h, gy, k, e)
            _add(dc, s, gc, k, e)
            _tanhs(cells, k, squashed, 0, e)
            for j in range(e):
                through = 1 - squashed[j] * squashed[j]
                dc[_at(s + j)] += dh[_at(h + j)] * gates[_at(o + j)] * through
            _copy(gg, i, da, i, four)
            _before_sigmoid(dc, s, gates, g, gates, i, da, i, e)
            if step:
                _before_sigmoid(dc, s, cells, k - n * e, gates, f, da, f, e)
            else:
                _before_sigmoid(dc, s, c0, (first + r) * e, gates, f, da, f, e)
            _before_tanh(dc, s, gates, i, gates, g, da, g, e)
            _before_sigmoid(dh, h, squashed, 0, gates, o, da, o, e)
            for j in range(e):
                dc[_at(s + j)] *= gates[_at(f + j)]
            _copy(da, i, a, d, four)
            _add(total, 0, da, i, four)
        _product(a, rows, steps, w, zero, 0, dh, ld, width)
    _copy(total, 0, sums, block * four, four)
    for r in range(count):
        _copy(dh, r * ld, dh0, (first + r) * e, e)
    _copy(dc, 0, dc0, first * e, count * e)


def lstm_grad(
    gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, y: Array, c: Array,
    gates: Array,
) -> tuple[Array, ...]:  # fmt: skip
    """The cotangents of x, h0, c0, w_ih, w_hh and of either bias."""
    (t, n, features), e = x.shape, h0.shape[1]
    da = np.empty((t, n, 4 * e), x.dtype)
    dh0, dc0 = np.empty((n, e), x.dtype), np.empty((n, e), x.dtype)
    blocks = -(-n // ROWS)
    sums = np.empty((blocks, 4 * e), x.dtype)
    _lstm_back(
        blocks, ready(gy), ready(gc), ready(ggates), ready(c0), panels_of_columns(w_hh), ready(c), ready(gates), da,
        dh0, dc0, sums, t, n, e, tile_width(x.itemsize),
    )  # fmt: skip
    flat = da.reshape(t * n, 4 * e)
    dx = np.matmul(flat, w_ih).reshape(t, n, features)
    dw_ih = np.matmul(flat.T, x.reshape(t * n, features))
    dw_hh = recurrent_weight(da, h0, y)
    return dx, dh0, dc0, dw_ih, dw_hh, sums.sum(axis=0)


def recurrent_weight(da: Array, h0: Array, y: Array) -> Array:
    """Σ over steps of daᵀ·h₋, where h₋ is h0 and then y without its last step."""
    t, n, width = da.shape
    total = np.matmul(da[0].T, h0)
    if t > 1:
        total += np.matmul(da[1:].reshape((t - 1) * n, width).T, y[:-1].reshape((t - 1) * n, h0.shape[1]))
    return total
