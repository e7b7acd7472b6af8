"""Gated recurrent units over a whole sequence, and their backward pass. See `sequence.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import products
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
    panels,
    product,
    sigmoids,
    tanhs,
    through_sigmoid,
    through_tanh,
)  # fmt: skip
from .tile import tile_width

Array = Any


@kernel
def _forward(
    x: Floats, b_ih: Floats, b_hh: Floats, wx: Floats, wh: Floats, h0: Floats, y: Floats, gates: Floats, t: int,
    n: int, f: int, e: int, st: int, sn: int, width: int, block: int,
) -> None:  # fmt: skip
    """Some samples through all steps."""
    first, three = block * SAMPLES, 3 * e
    ld, count = -(-three // width) * width, min(SAMPLES, n - first)
    bias_x, bias_h = np.zeros(ld, x.dtype), np.zeros(ld, x.dtype)
    copy(b_ih, 0, bias_x, 0, three)
    copy(b_hh, 0, bias_h, 0, three)
    a, b = np.empty(SAMPLES * ld, x.dtype), np.empty(SAMPLES * ld, x.dtype)
    h = np.zeros(SAMPLES * e, x.dtype)
    copy(h0, first * e, h, 0, count * e)
    for step in range(t):
        product(x, (step * st + first * sn) * f, sn * f, count - 1, wx, f, bias_x, 0, a, ld, width)
        product(h, 0, e, count - 1, wh, e, bias_h, 0, b, ld, width)
        for r in range(count):
            row = step * st + (first + r) * sn
            k, s, i = r * ld, r * e, row * 4 * e
            z, new, m = i + e, i + 2 * e, i + 3 * e
            add(a, k, b, k, 2 * e)
            sigmoids(a, k, gates, i, 2 * e)
            copy(b, k + 2 * e, gates, m, e)
            for j in range(e):
                a[at(k + 2 * e + j)] += gates[at(i + j)] * gates[at(m + j)]
            tanhs(a, k + 2 * e, gates, new, e)
            for j in range(e):
                keep = gates[at(z + j)]
                h[at(s + j)] = (1 - keep) * gates[at(new + j)] + keep * h[at(s + j)]
            copy(h, s, y, row * e, e)


def gru(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> tuple[Array, Array]:
    """x: (t, n, f), h0: (n, e), w_ih: (3e, f), w_hh: (3e, e) -> y: (t, n, e), gates: (t, n, 4e)."""
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    y, gates = lay.empty(e), lay.empty(4 * e)
    _forward(
        lay.blocks, lay.packed(x), ready(b_ih), ready(b_hh), panels(w_ih), panels(w_hh), ready(h0), y, gates, lay.t,
        lay.n, features, e, lay.st, lay.sn, tile_width(x.itemsize),
    )  # fmt: skip
    return lay.seen(y), lay.seen(gates)


@kernel
def _backward(
    gy: Floats, gg: Floats, h0: Floats, wh: Floats, y: Floats, gates: Floats, da: Floats, db: Floats, earlier: Floats,
    dh0: Floats, has_gg: int, t: int, n: int, e: int, st: int, sn: int, width: int, block: int,
) -> None:  # fmt: skip
    """Some samples back through all steps.

    da, db: the cotangents of the products with x and with h₋. earlier: h₋.
    """
    first, three, ld = block * SAMPLES, 3 * e, -(-e // width) * width
    count = min(SAMPLES, n - first)
    dh, kept, dm = np.zeros(SAMPLES * ld, y.dtype), np.zeros(SAMPLES * ld, y.dtype), np.empty(e, y.dtype)
    for step in range(t - 1, -1, -1):
        for r in range(count):
            row = step * st + (first + r) * sn
            k, i, h, d = row * e, row * 4 * e, r * ld, row * three
            z, new, m = i + e, i + 2 * e, i + 3 * e
            if step:
                copy(y, k - st * e, earlier, k, e)
            else:
                copy(h0, (first + r) * e, earlier, k, e)
            add(dh, h, gy, k, e)
            for j in range(e):
                da[at(d + e + j)] = dh[at(h + j)] * (earlier[at(k + j)] - gates[at(new + j)])
            for j in range(e):
                da[at(d + 2 * e + j)] = dh[at(h + j)] * (1 - gates[at(z + j)])
            multiplied(dh, h, gates, z, kept, h, e)
            if has_gg:
                add(da, d + e, gg, z, 2 * e)
            through_tanh(gates, new, da, d + 2 * e, e)
            for j in range(e):
                da[at(d + j)] = da[at(d + 2 * e + j)] * gates[at(m + j)]
            if has_gg:
                add(da, d, gg, i, e)
            through_sigmoid(gates, i, da, d, 2 * e)
            multiplied(da, d + 2 * e, gates, i, dm, 0, e)
            if has_gg:
                add(dm, 0, gg, m, e)
            copy(da, d, db, d, 2 * e)
            copy(dm, 0, db, d + 2 * e, e)
        product(db, (step * st + first * sn) * three, sn * three, count - 1, wh, three, kept, ld, dh, ld, width)
    for r in range(count):
        copy(dh, r * ld, dh0, (first + r) * e, e)


def gru_grad(
    gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, gates: Array
) -> tuple[Array, ...]:
    """The cotangents of x, h0, w_ih, w_hh, b_ih and b_hh."""
    lay, e = Layout(x), h0.shape[1]
    over_gates, has_gg = cotangent(lay, ggates)
    da, db, earlier, dh0 = lay.empty(3 * e), lay.empty(3 * e), lay.empty(e), np.empty(h0.shape, x.dtype)
    _backward(
        lay.blocks, lay.packed(gy), over_gates, ready(h0), panels(w_hh, transposed=False), lay.packed(y),
        lay.packed(gates), da, db, earlier, dh0, has_gg, lay.t, lay.n, e, lay.st, lay.sn, tile_width(x.itemsize),
    )  # fmt: skip
    dw_ih, db_ih, dx = products.linear_grad(da, lay.packed(x), w_ih, need_x=True)
    dw_hh, db_hh = products.linear_grad(db, earlier, w_hh, need_x=False)
    return lay.seen(dx), dh0, dw_ih, dw_hh, db_ih, db_hh
