"""The LSTM over a whole sequence, and its backward pass. See `sequence.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from . import products
from .compile import Floats, intrinsic, kernel
from .layout import ready
from .sequence import (
    SAMPLES,
    Layout,
    add,
    at,
    copy,
    cotangent,
    panels,
    product,
    sigmoids,
    tanhs,
)  # fmt: skip
from .tile import tile_width
from .vectors import elementwise, vector_code

Array = Any


@kernel
def _forward(
    x: Floats, b_ih: Floats, b_hh: Floats, w: Floats, h0: Floats, c0: Floats, y: Floats, cells: Floats,
    gates: Floats, t: int, n: int, f: int, e: int, st: int, sn: int, width: int, block: int,
) -> None:  # fmt: skip
    """Some samples through all steps. w: the weights of x, and below them those of h."""
    first, four, depth = block * SAMPLES, 4 * e, f + e
    ld, count = -(-four // width) * width, min(SAMPLES, n - first)
    bias = np.zeros(ld, x.dtype)
    copy(b_ih, 0, bias, 0, four)
    add(bias, 0, b_hh, 0, four)
    a, z, c = np.empty(SAMPLES * ld, x.dtype), np.zeros(SAMPLES * depth, x.dtype), np.zeros(SAMPLES * e, x.dtype)
    for r in range(count):
        copy(h0, (first + r) * e, z, r * depth + f, e)
    copy(c0, first * e, c, 0, count * e)
    for step in range(t):
        for r in range(count):
            copy(x, (step * st + (first + r) * sn) * f, z, r * depth, f)
        product(z, 0, depth, count - 1, w, depth, bias, 0, a, ld, width)
        for r in range(count):
            row = step * st + (first + r) * sn
            k, s, h, i = r * ld, r * e, r * depth + f, row * four
            f_, g, o = i + e, i + 2 * e, i + 3 * e
            sigmoids(a, k, gates, i, 2 * e)
            tanhs(a, k + 2 * e, gates, g, e)
            sigmoids(a, k + 3 * e, gates, o, e)
            for j in range(e):
                c[at(s + j)] = gates[at(f_ + j)] * c[at(s + j)] + gates[at(i + j)] * gates[at(g + j)]
            tanhs(c, s, z, h, e)
            for j in range(e):
                z[at(h + j)] *= gates[at(o + j)]
            copy(c, s, cells, row * e, e)
            copy(z, h, y, row * e, e)


def lstm(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Array, Array]:
    """x: (t, n, f), h0, c0: (n, e), w_ih: (4e, f), w_hh: (4e, e) -> y, cells: (t, n, e), gates: (t, n, 4e)."""
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    y, cells, gates = lay.empty(e), lay.empty(e), lay.empty(4 * e)
    _forward(
        lay.blocks, lay.packed(x), ready(b_ih), ready(b_hh), panels(w_ih, w_hh), ready(h0), ready(c0), y, cells, gates,
        lay.t, lay.n, features, e, lay.st, lay.sn, tile_width(x.itemsize),
    )  # fmt: skip
    return lay.seen(y), lay.seen(cells), lay.seen(gates)


@intrinsic
def _through_gates(
    typingctx: Any, like: Any, gy: Any, dh: Any, gates: Any, squashed: Any, dc: Any, before: Any, gc: Any, gg: Any,
    local: Any, da: Any, width: Any,
) -> Any:  # fmt: skip
    """One sample's step back, in addresses of rows: gy + ∂h and ∂c to the gates' cotangents and to ∂c₋.

    squashed: tanh(c). before: c₋. gc, gg: more cotangents of c and of the gates. local, da: where the result goes.
    """

    def generate(
        code: Any, gy: Any, dh: Any, gates: Any, squashed: Any, dc: Any, before: Any, gc: Any, gg: Any, local: Any,
        da: Any, width: Any,
    ) -> None:  # fmt: skip
        def part(base: Any, n: int) -> Any:
            return code.builder.add(base, code.builder.mul(width, ir.Constant(width.type, n * code.size)))

        def body(load: Any, store: Any) -> None:
            i, f, g, o = (load(part(gates, n)) for n in range(4))
            extra = [load(part(gg, n)) for n in range(4)]
            s, h = load(squashed), load(gy) + load(dh)
            c = h * o * (1 - s * s) + (load(dc) + load(gc))
            found = (
                (c * g + extra[0]) * (i * (1 - i)), (c * load(before) + extra[1]) * (f * (1 - f)),
                (c * i + extra[2]) * (1 - g * g), (h * s + extra[3]) * (o * (1 - o)),
            )  # fmt: skip
            store(c * f, dc)
            for n, value in enumerate(found):
                store(value, part(local, n), part(da, n))

        elementwise(code, width, body)

    return vector_code(like, (gy, dh, gates, squashed, dc, before, gc, gg, local, da, width), generate)


@kernel
def _backward(
    gy: Floats, gc: Floats, gg: Floats, h0: Floats, c0: Floats, wh: Floats, y: Floats, cells: Floats, gates: Floats,
    da: Floats, earlier: Floats, dh0: Floats, dc0: Floats, has_gc: int, has_gg: int, t: int, n: int, e: int, st: int,
    sn: int, width: int, block: int,
) -> None:  # fmt: skip
    """Some samples back through all steps. da: the cotangents of the gates before their nonlinearities. earlier: h₋."""
    first, four, ld = block * SAMPLES, 4 * e, -(-e // width) * width
    count = min(SAMPLES, n - first)
    apart = four + width  # of the rows of `local`: one more than a power of two would bring them together in the cache
    local = np.empty(SAMPLES * apart, y.dtype)
    dh, dc, squashed = np.zeros(SAMPLES * ld, y.dtype), np.zeros(count * e, y.dtype), np.empty(e, y.dtype)
    zero, size = np.zeros(max(ld, four), y.dtype), y.itemsize
    nothing = zero.ctypes.data
    for step in range(t - 1, -1, -1):
        for r in range(count):
            row = step * st + (first + r) * sn
            k = row * e
            tanhs(cells, k, squashed, 0, e)
            if step:
                before = cells.ctypes.data + (k - st * e) * size
                copy(y, k - st * e, earlier, k, e)
            else:
                before = c0.ctypes.data + (first + r) * e * size
                copy(h0, (first + r) * e, earlier, k, e)
            _through_gates(
                y, gy.ctypes.data + k * size, dh.ctypes.data + r * ld * size, gates.ctypes.data + row * four * size,
                squashed.ctypes.data, dc.ctypes.data + r * e * size, before,
                gc.ctypes.data + k * size if has_gc else nothing,
                gg.ctypes.data + row * four * size if has_gg else nothing, local.ctypes.data + r * apart * size,
                da.ctypes.data + row * four * size, e,
            )  # fmt: skip
        product(local, 0, apart, count - 1, wh, four, zero, 0, dh, ld, width)
    for r in range(count):
        copy(dh, r * ld, dh0, (first + r) * e, e)
    copy(dc, 0, dc0, first * e, count * e)
    local[0] = squashed[0] = zero[0] = 0  # an address alone does not keep an array's memory


def lstm_grad(
    gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, y: Array, c: Array,
    gates: Array,
) -> tuple[Array, ...]:  # fmt: skip
    """The cotangents of x, h0, c0, w_ih, w_hh and of either bias."""
    lay, e = Layout(x), h0.shape[1]
    (over_cells, has_gc), (over_gates, has_gg) = cotangent(lay, gc), cotangent(lay, ggates)
    da, earlier = lay.empty(4 * e), lay.empty(e)
    dh0, dc0 = np.empty(h0.shape, x.dtype), np.empty(h0.shape, x.dtype)
    _backward(
        lay.blocks, lay.packed(gy), over_cells, over_gates, ready(h0), ready(c0), panels(w_hh, transposed=False),
        lay.packed(y), lay.packed(c), lay.packed(gates), da, earlier, dh0, dc0, has_gc, has_gg, lay.t, lay.n, e, lay.st,
        lay.sn, tile_width(x.itemsize),
    )  # fmt: skip
    dw_ih, dbias, dx = products.linear_grad(da, lay.packed(x), w_ih, need_x=True)
    return lay.seen(dx), dh0, dc0, dw_ih, products.linear_grad(da, earlier, w_hh, need_x=False)[0], dbias
