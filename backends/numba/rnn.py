"""The plain recurrent network over a whole sequence, and its backward pass. See `sequence.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import products
from .compile import Floats, jit, kernel
from .layout import ready
from .sequence import SAMPLES, Layout, add, at, copy, panels, product, tanhs, through_tanh
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
    x: Floats, b_ih: Floats, b_hh: Floats, w: Floats, h0: Floats, y: Floats, clipped: int, t: int, n: int,
    f: int, e: int, st: int, sn: int, width: int, block: int,
) -> None:  # fmt: skip
    """Some samples through all steps. w: the weights of x, and below them those of h."""
    first, depth = block * SAMPLES, f + e
    ld, count = -(-e // width) * width, min(SAMPLES, n - first)
    bias = np.zeros(ld, x.dtype)
    copy(b_ih, 0, bias, 0, e)
    add(bias, 0, b_hh, 0, e)
    a, z = np.empty(SAMPLES * ld, x.dtype), np.zeros(SAMPLES * depth, x.dtype)
    for r in range(count):
        copy(h0, (first + r) * e, z, r * depth + f, e)
    for step in range(t):
        for r in range(count):
            copy(x, (step * st + (first + r) * sn) * f, z, r * depth, f)
        product(z, 0, depth, count - 1, w, depth, bias, 0, a, ld, width)
        for r in range(count):
            if clipped:
                _clip(a, r * ld, z, r * depth + f, e)
            else:
                tanhs(a, r * ld, z, r * depth + f, e)
            copy(z, r * depth + f, y, (step * st + (first + r) * sn) * e, e)


def rnn(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, *, nonlinearity: str) -> Array:
    """x: (t, n, f), h0: (n, e), w_ih: (e, f), w_hh: (e, e) -> (t, n, e)."""
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    y = lay.empty(e)
    _forward(
        lay.blocks, lay.packed(x), ready(b_ih), ready(b_hh), panels(w_ih, w_hh), ready(h0), y, nonlinearity == "relu",
        lay.t, lay.n, features, e, lay.st, lay.sn, tile_width(x.itemsize),
    )  # fmt: skip
    return lay.seen(y)


@kernel
def _backward(
    gy: Floats, h0: Floats, wh: Floats, y: Floats, da: Floats, earlier: Floats, dh0: Floats, clipped: int, t: int,
    n: int, e: int, st: int, sn: int, width: int, block: int,
) -> None:  # fmt: skip
    """Some samples back through all steps; da and earlier as in the LSTM's."""
    first, ld = block * SAMPLES, -(-e // width) * width
    count = min(SAMPLES, n - first)
    dh, zero = np.zeros(SAMPLES * ld, y.dtype), np.zeros(ld, y.dtype)
    for step in range(t - 1, -1, -1):
        for r in range(count):
            k, h = (step * st + (first + r) * sn) * e, r * ld
            if step:
                copy(y, k - st * e, earlier, k, e)
            else:
                copy(h0, (first + r) * e, earlier, k, e)
            add(dh, h, gy, k, e)
            copy(dh, h, da, k, e)
            if clipped:
                _through_clip(y, k, da, k, e)
            else:
                through_tanh(y, k, da, k, e)
        product(da, (step * st + first * sn) * e, sn * e, count - 1, wh, e, zero, 0, dh, ld, width)
    for r in range(count):
        copy(dh, r * ld, dh0, (first + r) * e, e)


def rnn_grad(
    gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, *, nonlinearity: str
) -> tuple[Array, ...]:
    """The cotangents of x, h0, w_ih, w_hh and of either bias."""
    lay, e = Layout(x), h0.shape[1]
    da, earlier, dh0 = lay.empty(e), lay.empty(e), np.empty(h0.shape, x.dtype)
    _backward(
        lay.blocks, lay.packed(gy), ready(h0), panels(w_hh, transposed=False), lay.packed(y), da, earlier, dh0,
        nonlinearity == "relu", lay.t, lay.n, e, lay.st, lay.sn, tile_width(x.itemsize),
    )  # fmt: skip
    dw_ih, dbias, dx = products.linear_grad(da, lay.packed(x), w_ih, need_x=True)
    return lay.seen(dx), dh0, dw_ih, products.linear_grad(da, earlier, w_hh, need_x=False)[0], dbias
