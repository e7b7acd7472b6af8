"""The plain recurrent network over a whole sequence, and its backward pass. See `sequence.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, jit, kernel
from .layout import ready
from .sequence import SAMPLES, Layout, add, at, copy, offsets, padded, panels, product, split, tanhs, through_tanh
from .tile import tile_width

Array = Any


@jit
def _clip(x: Floats, a: int, out: Floats, b: int, n: int) -> None:
    zero = x.dtype.type(0)
    for j in range(n):
        v = x[at(a + j)]
        out[at(b + j)] = zero if v <= zero else v


@jit
def _through_clip(y: Floats, a: int, out: Floats, b: int, n: int) -> None:
    zero = y.dtype.type(0)
    for j in range(n):
        v = out[at(b + j)]
        out[at(b + j)] = v if y[at(a + j)] > zero else zero


@kernel
def _forward(
    x: Floats, bias: Floats, wx: Floats, wh: Floats, h0: Floats, y: Floats, clipped: int, t: int, n: int, f: int,
    e: int, st: int, sn: int, width: int, block: int,
) -> None:  # fmt: skip
    """Some samples through all steps."""
    first, ld, size = block * SAMPLES, bias.size, x.itemsize
    count = min(SAMPLES, n - first)
    a, h = np.empty(SAMPLES * ld, x.dtype), np.zeros(SAMPLES * e, x.dtype)
    rows_x, steps_x = offsets(SAMPLES, sn * f * size, count - 1), offsets(f, size, f)
    rows_h, steps_h = offsets(SAMPLES, e * size, SAMPLES), offsets(e, size, e)
    copy(h0, first * e, h, 0, count * e)
    for step in range(t):
        product(x, (step * st + first * sn) * f, rows_x, steps_x, wx, bias, 0, a, ld, width)
        product(h, 0, rows_h, steps_h, wh, a, ld, a, ld, width)
        for r in range(count):
            if clipped:
                _clip(a, r * ld, h, r * e, e)
            else:
                tanhs(a, r * ld, h, r * e, e)
            copy(h, r * e, y, (step * st + (first + r) * sn) * e, e)


def rnn(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, *, nonlinearity: str) -> Array:
    """x: (t, n, f), h0: (n, e), w_ih: (e, f), w_hh: (e, e) -> (t, n, e)."""
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    y = lay.empty(e)
    _forward(
        lay.blocks, lay.packed(x), padded(b_ih + b_hh), panels(w_ih, True), panels(w_hh, True), ready(h0), y,
        nonlinearity == "relu", lay.t, lay.n, features, e, lay.st, lay.sn, tile_width(x.itemsize),
    )  # fmt: skip
    return lay.seen(y)


@kernel
def _backward(
    gy: Floats, x: Floats, h0: Floats, wx: Floats, wh: Floats, y: Floats, da: Floats, dx: Floats, z: Floats,
    dh0: Floats, sums: Floats, clipped: int, t: int, n: int, f: int, e: int, st: int, sn: int, width: int, block: int,
) -> None:  # fmt: skip
    """Some samples back through all steps; da, z and sums as in the LSTM's."""
    first, size = block * SAMPLES, x.itemsize
    ld_x, ld_h = -(-f // width) * width, -(-e // width) * width
    count = min(SAMPLES, n - first)
    dh, over_x = np.zeros(SAMPLES * ld_h, x.dtype), np.empty(SAMPLES * ld_x, x.dtype)
    zero, total = np.zeros(max(ld_x, ld_h), x.dtype), np.zeros(e, x.dtype)
    rows, steps = offsets(SAMPLES, sn * e * size, count - 1), offsets(e, size, e)
    for step in range(t - 1, -1, -1):
        for r in range(count):
            row = step * st + (first + r) * sn
            k, h, m = row * e, r * ld_h, row * (f + e)
            copy(x, row * f, z, m, f)
            if step:
                copy(y, k - st * e, z, m + f, e)
            else:
                copy(h0, (first + r) * e, z, m + f, e)
            add(dh, h, gy, k, e)
            copy(dh, h, da, k, e)
            if clipped:
                _through_clip(y, k, da, k, e)
            else:
                through_tanh(y, k, da, k, e)
            add(total, 0, da, k, e)
        start = (step * st + first * sn) * e
        product(da, start, rows, steps, wh, zero, 0, dh, ld_h, width)
        product(da, start, rows, steps, wx, zero, 0, over_x, ld_x, width)
        for r in range(count):
            copy(over_x, r * ld_x, dx, (step * st + (first + r) * sn) * f, f)
    copy(total, 0, sums, block * e, e)
    for r in range(count):
        copy(dh, r * ld_h, dh0, (first + r) * e, e)


def rnn_grad(
    gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, *, nonlinearity: str
) -> tuple[Array, ...]:
    """The cotangents of x, h0, w_ih, w_hh and of either bias."""
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    da, dx, z = lay.empty(e), lay.empty(features), lay.empty(features + e)
    dh0, sums = np.empty(h0.shape, x.dtype), np.empty((lay.blocks, e), x.dtype)
    _backward(
        lay.blocks, lay.packed(gy), lay.packed(x), ready(h0), panels(w_ih, False), panels(w_hh, False), lay.packed(y),
        da, dx, z, dh0, sums, nonlinearity == "relu", lay.t, lay.n, features, e, lay.st, lay.sn, tile_width(x.itemsize),
    )  # fmt: skip
    return lay.seen(dx), dh0, *split(lay.weight(da, z), features), sums.sum(axis=0)
