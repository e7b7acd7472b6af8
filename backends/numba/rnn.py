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


# Rows are handed to helpers as slices, counted from 0: an index that could be negative keeps the vectoriser away.


@jit
def _add(x: Floats, y: Floats) -> None:
    for j in range(y.size):
        x[j] += y[j]


@jit
def _sigmoids(x: Floats) -> None:
    for j in range(x.size):
        x[j] = sigmoid(x[j])


@jit
def _tanhs(x: Floats, out: Floats) -> None:
    for j in range(x.size):
        out[j] = tanh(x[j])


@jit
def _next_cell(i: Floats, f: Floats, g: Floats, c: Floats) -> None:
    for j in range(c.size):
        c[j] = f[j] * c[j] + i[j] * g[j]


@jit
def _times(x: Floats, y: Floats) -> None:
    for j in range(x.size):
        x[j] *= y[j]


@jit
def _through_output(dh: Floats, o: Floats, squashed: Floats, gc: Floats, dc: Floats) -> None:
    """∂c += gc + ∂h·o·(1 − tanh²c)."""
    for j in range(dc.size):
        dc[j] += gc[j] + dh[j] * o[j] * (1 - squashed[j] * squashed[j])


@jit
def _before_sigmoid(g: Floats, factor: Floats, extra: Floats, gate: Floats, out: Floats) -> None:
    """(g·factor + extra)·gate·(1 − gate)."""
    for j in range(out.size):
        out[j] = (g[j] * factor[j] + extra[j]) * (gate[j] * (1 - gate[j]))


@jit
def _before_tanh(g: Floats, factor: Floats, extra: Floats, gate: Floats, out: Floats) -> None:
    """(g·factor + extra)·(1 − gate²)."""
    for j in range(out.size):
        out[j] = (g[j] * factor[j] + extra[j]) * (1 - gate[j] * gate[j])


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
            at = step * n + first + r
            a[r * ld : r * ld + four] = inputs[at * four : (at + 1) * four]
            _add(a[r * ld :], bias)
        _product(h, rows, steps, w, a, ld, a, ld, width)
        for r in range(count):
            at, gate = step * n + first + r, a[r * ld : r * ld + four]
            cell, state = c[r * e : (r + 1) * e], h[r * e : (r + 1) * e]
            i, f, g, o = gate[:e], gate[e : 2 * e], gate[2 * e : 3 * e], gate[3 * e :]
            _sigmoids(gate[: 2 * e])
            _tanhs(g, g)
            _sigmoids(o)
            _next_cell(i, f, g, cell)
            _tanhs(cell, state)
            _times(state, o)
            gates[at * four : (at + 1) * four] = gate
            cells[at * e : (at + 1) * e] = cell
            y[at * e : (at + 1) * e] = state


def lstm(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Array, Array]:
    """x: (t, n, f), h0, c0: (n, e), w_ih: (4e, f), w_hh: (4e, e) -> y, cells: (t, n, e), gates: (t, n, 4e)."""
    (t, n, features), e = x.shape, h0.shape[1]
    inputs = np.matmul(x.reshape(t * n, features), w_ih.T)
    y, cells = np.empty((t, n, e), x.dtype), np.empty((t, n, e), x.dtype)
    gates = np.empty((t, n, 4 * e), x.dtype)
    _lstm_rows(
        -(-n // ROWS), inputs, b_ih + b_hh, panels_of_rows(w_hh), ready(h0), ready(c0), y, cells, gates, t, n, e,
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
    d, zero, squashed, total = (
        np.zeros(ROWS * four, w.dtype), np.zeros(ld, w.dtype), np.zeros(e, w.dtype), np.zeros(four, w.dtype)
    )  # fmt: skip
    rows, steps = _offsets(ROWS, four * w.itemsize), _offsets(four, w.itemsize)
    for step in range(t - 1, -1, -1):
        for r in range(count):
            at = step * n + first + r
            gate, extra, out = gates[at * four :], gg[at * four :], d[r * four : (r + 1) * four]
            i, f, g, o = gate[:e], gate[e : 2 * e], gate[2 * e : 3 * e], gate[3 * e : four]
            dhr, dcr = dh[r * ld : r * ld + e], dc[r * e : (r + 1) * e]
            before = cells[(at - n) * e : (at - n + 1) * e] if step else c0[(first + r) * e : (first + r + 1) * e]
            _add(dhr, gy[at * e : (at + 1) * e])
            _tanhs(cells[at * e : (at + 1) * e], squashed)
            _through_output(dhr, o, squashed, gc[at * e : (at + 1) * e], dcr)
            _before_sigmoid(dcr, g, extra[:e], i, out[:e])
            _before_sigmoid(dcr, before, extra[e : 2 * e], f, out[e : 2 * e])
            _before_tanh(dcr, i, extra[2 * e : 3 * e], g, out[2 * e : 3 * e])
            _before_sigmoid(dhr, squashed, extra[3 * e : four], o, out[3 * e :])
            _times(dcr, f)
            da[at * four : (at + 1) * four] = out
            _add(total, out)
        _product(d, rows, steps, w, zero, 0, dh, ld, width)
    sums[block * four : (block + 1) * four] = total
    for r in range(count):
        dh0[(first + r) * e : (first + r + 1) * e] = dh[r * ld : r * ld + e]
    dc0[first * e : (first + count) * e] = dc[: count * e]


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
