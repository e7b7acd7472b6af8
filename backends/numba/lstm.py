"""The LSTM over a whole sequence, and its backward pass. See `sequence.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, kernel
from .layout import ready
from .sequence import (
    SAMPLES,
    Layout,
    add,
    at,
    copy,
    cotangent,
    multiplied,
    offsets,
    padded,
    panels,
    product,
    sigmoids,
    split,
    tanhs,
    through_sigmoid,
    through_tanh,
)  # fmt: skip
from .tile import tile_width

Array = Any


@kernel
def _forward(
    x: Floats, bias: Floats, wx: Floats, wh: Floats, h0: Floats, c0: Floats, y: Floats, cells: Floats, gates: Floats,
    t: int, n: int, f: int, e: int, st: int, sn: int, width: int, block: int,
) -> None:  # fmt: skip
    """Some samples through all steps."""
    first, four, ld, size = block * SAMPLES, 4 * e, bias.size, x.itemsize
    count = min(SAMPLES, n - first)
    a, h, c = np.empty(SAMPLES * ld, x.dtype), np.zeros(SAMPLES * e, x.dtype), np.zeros(SAMPLES * e, x.dtype)
    rows_x, steps_x = offsets(SAMPLES, sn * f * size, count - 1), offsets(f, size, f)
    rows_h, steps_h = offsets(SAMPLES, e * size, SAMPLES), offsets(e, size, e)
    copy(h0, first * e, h, 0, count * e)
    copy(c0, first * e, c, 0, count * e)
    for step in range(t):
        product(x, (step * st + first * sn) * f, rows_x, steps_x, wx, bias, 0, a, ld, width)
        product(h, 0, rows_h, steps_h, wh, a, ld, a, ld, width)
        for r in range(count):
            row = step * st + (first + r) * sn
            k, s, i = r * ld, r * e, row * four
            f_, g, o = i + e, i + 2 * e, i + 3 * e
            sigmoids(a, k, gates, i, 2 * e)
            tanhs(a, k + 2 * e, gates, g, e)
            sigmoids(a, k + 3 * e, gates, o, e)
            for j in range(e):
                c[at(s + j)] = gates[at(f_ + j)] * c[at(s + j)] + gates[at(i + j)] * gates[at(g + j)]
            tanhs(c, s, h, s, e)
            for j in range(e):
                h[at(s + j)] *= gates[at(o + j)]
            copy(c, s, cells, row * e, e)
            copy(h, s, y, row * e, e)


def lstm(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Array, Array]:
    """x: (t, n, f), h0, c0: (n, e), w_ih: (4e, f), w_hh: (4e, e) -> y, cells: (t, n, e), gates: (t, n, 4e)."""
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    y, cells, gates = lay.empty(e), lay.empty(e), lay.empty(4 * e)
    _forward(
        lay.blocks, lay.packed(x), padded(b_ih + b_hh), panels(w_ih, True), panels(w_hh, True), ready(h0), ready(c0), y,
        cells, gates, lay.t, lay.n, features, e, lay.st, lay.sn, tile_width(x.itemsize),
    )  # fmt: skip
    return lay.seen(y), lay.seen(cells), lay.seen(gates)


@kernel
def _backward(
    gy: Floats, gc: Floats, gg: Floats, x: Floats, h0: Floats, c0: Floats, wx: Floats, wh: Floats, y: Floats,
    cells: Floats, gates: Floats, da: Floats, dx: Floats, z: Floats, dh0: Floats, dc0: Floats, sums: Floats,
    has_gc: int, has_gg: int, t: int, n: int, f: int, e: int, st: int, sn: int, width: int, block: int,
) -> None:  # fmt: skip
    """Some samples back through all steps.

    da: the cotangents of the gates before their nonlinearities. z: x and h₋ side by side. sums: this task's part of
    ∂bias.
    """
    first, four, size = block * SAMPLES, 4 * e, x.itemsize
    ld_x, ld_h = -(-f // width) * width, -(-e // width) * width
    count = min(SAMPLES, n - first)
    dh, dc, over_x = np.zeros(SAMPLES * ld_h, x.dtype), np.zeros(count * e, x.dtype), np.empty(SAMPLES * ld_x, x.dtype)
    zero, squashed, total = np.zeros(max(ld_x, ld_h), x.dtype), np.empty(e, x.dtype), np.zeros(four, x.dtype)
    rows, steps = offsets(SAMPLES, sn * four * size, count - 1), offsets(four, size, four)
    for step in range(t - 1, -1, -1):
        for r in range(count):
            row = step * st + (first + r) * sn
            k, i, h, s, m = row * e, row * four, r * ld_h, r * e, row * (f + e)
            f_, g, o = i + e, i + 2 * e, i + 3 * e
            copy(x, row * f, z, m, f)
            add(dh, h, gy, k, e)
            tanhs(cells, k, squashed, 0, e)
            multiplied(dh, h, squashed, 0, da, o, e)
            for j in range(e):
                dc[at(s + j)] += dh[at(h + j)] * gates[at(o + j)] * (1 - squashed[j] * squashed[j])
            if has_gc:
                add(dc, s, gc, k, e)
            multiplied(dc, s, gates, g, da, i, e)
            multiplied(dc, s, gates, i, da, g, e)
            if step:
                multiplied(dc, s, cells, k - st * e, da, f_, e)
                copy(y, k - st * e, z, m + f, e)
            else:
                multiplied(dc, s, c0, (first + r) * e, da, f_, e)
                copy(h0, (first + r) * e, z, m + f, e)
            if has_gg:
                add(da, i, gg, i, four)
            through_sigmoid(gates, i, da, i, 2 * e)
            through_tanh(gates, g, da, g, e)
            through_sigmoid(gates, o, da, o, e)
            for j in range(e):
                dc[at(s + j)] *= gates[at(f_ + j)]
            add(total, 0, da, i, four)
        start = (step * st + first * sn) * four
        product(da, start, rows, steps, wh, zero, 0, dh, ld_h, width)
        product(da, start, rows, steps, wx, zero, 0, over_x, ld_x, width)
        for r in range(count):
            copy(over_x, r * ld_x, dx, (step * st + (first + r) * sn) * f, f)
    copy(total, 0, sums, block * four, four)
    for r in range(count):
        copy(dh, r * ld_h, dh0, (first + r) * e, e)
    copy(dc, 0, dc0, first * e, count * e)


def lstm_grad(
    gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, y: Array, c: Array,
    gates: Array,
) -> tuple[Array, ...]:  # fmt: skip
    """The cotangents of x, h0, c0, w_ih, w_hh and of either bias."""
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    (over_cells, has_gc), (over_gates, has_gg) = cotangent(lay, gc), cotangent(lay, ggates)
    da, dx, z = lay.empty(4 * e), lay.empty(features), lay.empty(features + e)
    dh0, dc0, sums = np.empty(h0.shape, x.dtype), np.empty(h0.shape, x.dtype), np.empty((lay.blocks, 4 * e), x.dtype)
    _backward(
        lay.blocks, lay.packed(gy), over_cells, over_gates, lay.packed(x), ready(h0), ready(c0), panels(w_ih, False),
        panels(w_hh, False), lay.packed(y), lay.packed(c), lay.packed(gates), da, dx, z, dh0, dc0, sums, has_gc, has_gg,
        lay.t, lay.n, features, e, lay.st, lay.sn, tile_width(x.itemsize),
    )  # fmt: skip
    return lay.seen(dx), dh0, dc0, *split(lay.weight(da, z), features), sums.sum(axis=0)
