"""Gated recurrent units over a whole sequence, and their backward pass. See `sequence.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, Ints, intrinsic, kernel
from .gemm import WIDTH_BYTES, aligned
from .lane_math import gate_of, sigmoid, tanh
from .layout import ready
from .repeats import Numbered, Repeats
from .sequence import SAMPLES, Layout, cotangent, fetch_step, panels, product
from .sequence_weights import Inputs, empty_panels, fetch_panels, fetch_tiles, input_grad, put_panels, put_tiles
from .vectors import copy_bytes, elementwise, vector_code

Array = Any


@intrinsic
def _step(typingctx: Any, like: Any, a: Any, b: Any, gates: Any, h: Any, y: Any, width: Any) -> Any:
    """One sample's step, in addresses of rows: the products with x and with h₋ to the gates and to h.

    In two loops, as the LSTM's: no pass is a chain of two nonlinearities.
    """

    def generate(code: Any, a: Any, b: Any, gates: Any, h: Any, y: Any, width: Any) -> None:
        part = gate_of(code, width)

        def to_gates(load: Any, store: Any) -> None:
            r, z = (sigmoid(load(part(a, n)) + load(part(b, n))) for n in (0, 1))
            for n, gate in ((0, r), (1, z), (3, load(part(b, 2)))):
                store(gate, part(gates, n))

        def to_states(load: Any, store: Any) -> None:
            r, z, m = (load(part(gates, n)) for n in (0, 1, 3))
            new = tanh(load(part(a, 2)) + r * m)
            state = (1 - z) * new + z * load(h)
            store(new, part(gates, 2))
            store(state, h, y)

        elementwise(code, width, to_gates)
        elementwise(code, width, to_states)

    return vector_code(like, (a, b, gates, h, y, width), generate)


@kernel
def _forward(
    x: Floats, b_ih: Floats, b_hh: Floats, wx: Floats, wh: Floats, table: Floats, ids: Ints, count: Ints, h0: Floats,
    y: Floats, gates: Floats, t: int, n: int, f: int, e: int, st: int, sn: int, block: int,
) -> None:  # fmt: skip
    """Some samples through all steps. table: the products of the distinct inputs, if count[0] says there are some."""
    size = x.itemsize
    first, three, width = block * SAMPLES, 3 * e, WIDTH_BYTES // size
    parts, some, state = (three + width - 1) // width, min(SAMPLES, n - first), e * size
    row_bytes = parts * WIDTH_BYTES
    memory = np.zeros((2 * SAMPLES + 2) * parts * width + SAMPLES * e + width, x.dtype)
    a = aligned(memory)
    b = a + SAMPLES * row_bytes
    bias_x = b + SAMPLES * row_bytes
    bias_h = bias_x + row_bytes
    h = bias_h + row_bytes
    copy_bytes(bias_x, b_ih.ctypes.data, three * size)
    copy_bytes(bias_h, b_hh.ctypes.data, three * size)
    copy_bytes(h, h0.ctypes.data + first * state, some * state)
    for step in range(t):
        row = step * st + first * sn
        if not count[0]:
            product(
                x, x.ctypes.data + row * f * size, sn * f * size, some - 1, wx.ctypes.data, f * WIDTH_BYTES, f, bias_x,
                0, a, row_bytes, parts,
            )  # fmt: skip
        product(x, h, state, some - 1, wh.ctypes.data, e * WIDTH_BYTES, e, bias_h, 0, b, row_bytes, parts)
        for r in range(some):
            own = table.ctypes.data + ids[row] * row_bytes if count[0] else a + r * row_bytes
            _step(
                x, own, b + r * row_bytes, gates.ctypes.data + row * 4 * state, h + r * state,
                y.ctypes.data + row * state, e,
            )  # fmt: skip
            row += sn
    memory[0] = 0  # an address alone does not keep an array's memory


def gru(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> tuple[Array, Array]:
    """x: (t, n, f), h0: (n, e), w_ih: (3e, f), w_hh: (3e, e) -> y: (t, n, e), gates: (t, n, 4e)."""
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    y, gates = lay.empty(e), lay.empty(4 * e)
    inputs, weights, bias = lay.packed(x), panels(w_ih), ready(b_ih)
    repeats = Repeats(inputs, 3 * e, each=lay.few)
    _forward(
        lay.blocks, inputs, bias, ready(b_hh), weights, panels(w_hh), repeats.products(inputs, weights, bias),
        repeats.ids, repeats.count, ready(h0), y, gates, lay.t, lay.n, features, e, lay.st, lay.sn,
    )  # fmt: skip
    return lay.seen(y), lay.seen(gates)


@intrinsic
def _through_gates(
    typingctx: Any, like: Any, gy: Any, dh: Any, gates: Any, before: Any, gg: Any, da: Any, db: Any, kept: Any,
    width: Any,
) -> Any:  # fmt: skip
    """One sample's step back, in addresses of rows: gy + ∂h to the cotangents of the products with x and with h₋.

    before: h₋. gg: more cotangents of the gates. kept: what reaches ∂h₋ without a product.
    """

    def generate(
        code: Any, gy: Any, dh: Any, gates: Any, before: Any, gg: Any, da: Any, db: Any, kept: Any, width: Any
    ) -> None:
        part = gate_of(code, width)

        def body(load: Any, store: Any) -> None:
            r, z, new, m = (load(part(gates, n)) for n in range(4))
            extra = [load(part(gg, n)) for n in range(4)]
            h = load(gy) + load(dh)
            dn = (h * (1 - z) + extra[2]) * (1 - new * new)
            dr = (dn * m + extra[0]) * (r * (1 - r))
            dz = (h * (load(before) - new) + extra[1]) * (z * (1 - z))
            store(dr, part(da, 0), part(db, 0))
            store(dz, part(da, 1), part(db, 1))
            store(dn, part(da, 2))
            store(dn * r + extra[3], part(db, 2))
            store(h * z, kept)

        elementwise(code, width, body)

    return vector_code(like, (gy, dh, gates, before, gg, da, db, kept, width), generate)


@kernel
def _backward(
    gy: Floats, gg: Floats, x: Floats, h0: Floats, wh: Floats, wx: Floats, y: Floats, gates: Floats, da: Floats,
    db: Floats, h_tiles: Floats, x_tiles: Floats, dx: Floats, dh0: Floats, ids: Ints, order: Ints, count: Ints,
    has_gg: int, with_x: int, t: int, n: int, f: int, e: int, st: int, sn: int, block: int,
) -> None:  # fmt: skip
    """Some samples back through all steps. da, db: the cotangents of the products with x and with h₋, in panels."""
    size = y.itemsize
    first, three, width, rows = block * SAMPLES, 3 * e, WIDTH_BYTES // size, t * n
    some, k = min(SAMPLES, n - first), first * t
    parts, h_parts, x_parts = (
        (three + width - 1) // width,
        (e + width - 1) // width,
        (f + width - 1) // width if with_x else 0,
    )
    apart = (parts + 1) * WIDTH_BYTES  # more than a power of two, which would bring rows together in the cache
    h_bytes, x_bytes, state, f_bytes = h_parts * WIDTH_BYTES, x_parts * WIDTH_BYTES, e * size, f * size
    between, all_parts = three * WIDTH_BYTES, h_parts + x_parts
    memory = np.zeros((SAMPLES * (2 * apart + 2 * h_bytes + x_bytes) + x_bytes + 4 * state) // size + width, y.dtype)
    over_x = aligned(memory)
    local_a = over_x + SAMPLES * x_bytes
    local_b = local_a + SAMPLES * apart
    dh = local_b + SAMPLES * apart
    kept = dh + SAMPLES * h_bytes
    zeros = kept + SAMPLES * h_bytes
    for step in range(t - 1, -1, -1):
        for r in range(some):
            row = step * st + (first + r) * sn
            before = y.ctypes.data + (row - st) * state if step else h0.ctypes.data + (first + r) * state
            _through_gates(
                y, gy.ctypes.data + row * state, dh + r * h_bytes, gates.ctypes.data + row * 4 * state, before,
                gg.ctypes.data + row * 4 * state if has_gg else zeros, local_a + r * apart, local_b + r * apart,
                kept + r * h_bytes, e,
            )  # fmt: skip
            put_panels(y, local_a + r * apart, da.ctypes.data, k, rows, parts)
            put_panels(y, local_b + r * apart, db.ctypes.data, k, rows, parts)
            put_tiles(y, before, h_tiles.ctypes.data, k, rows, e)
            if count[0]:
                order[k] = ids[row]
            else:
                put_tiles(y, x.ctypes.data + row * f_bytes, x_tiles.ctypes.data, k, rows, f)
            k += 1
        for part in range(all_parts):
            if step:
                for r in range(some * part // all_parts, some * (part + 1) // all_parts):
                    fetch_step(
                        (step - 1) * st + (first + r) * sn, st, step > 1, gates.ctypes.data, 4 * state, gy.ctypes.data,
                        0, y.ctypes.data, state, 0 if count[0] else x.ctypes.data,
                        dx.ctypes.data if with_x else 0, f_bytes,
                    )  # fmt: skip
                fetch_panels(da.ctypes.data, k, rows, some, parts, part, all_parts)
                fetch_panels(db.ctypes.data, k, rows, some, parts, part, all_parts)
                fetch_tiles(y, h_tiles.ctypes.data, k, rows, some, e, part, all_parts)
                if not count[0]:
                    fetch_tiles(y, x_tiles.ctypes.data, k, rows, some, f, part, all_parts)
            if part < h_parts:
                left = part * WIDTH_BYTES
                product(
                    y, local_b, apart, some - 1, wh.ctypes.data + part * between, 0, three, kept + left, h_bytes,
                    dh + left, h_bytes, 1,
                )  # fmt: skip
            else:
                left = part - h_parts
                product(
                    y, local_a, apart, some - 1, wx.ctypes.data + left * between, 0, three, zeros, 0,
                    over_x + left * WIDTH_BYTES, x_bytes, 1,
                )  # fmt: skip
        for r in range(some if with_x else 0):
            row = step * st + (first + r) * sn
            copy_bytes(dx.ctypes.data + row * f_bytes, over_x + r * x_bytes, f_bytes)
    for r in range(some):
        copy_bytes(dh0.ctypes.data + (first + r) * state, dh + r * h_bytes, state)
    memory[0] = 0  # an address alone does not keep an array's memory


def gru_grad(
    gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, gates: Array,
    index: Array | None = None, *, need_x: bool = True, rows: int = 0,
) -> tuple[Array, ...]:  # fmt: skip
    """The cotangents of h0, w_ih, w_hh, b_ih, b_hh, and of x if it is needed.

    With an index, the last is that of the table with so many rows which x was taken from.
    """
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    over_gates, has_gg = cotangent(lay, ggates)
    steps, given, over_x = lay.t * lay.n, lay.packed(x), need_x and index is None
    repeats = Repeats(given, 3 * e) if index is None else Numbered(lay.index(index), rows)
    states, inputs = Inputs(steps, e, x.dtype), Inputs(steps, features, x.dtype, given, repeats)
    da, db = empty_panels(steps, 3 * e, x.dtype), empty_panels(steps, 3 * e, x.dtype)
    dx, dh0 = lay.empty(features if over_x else 0), np.empty(h0.shape, x.dtype)
    wx = panels(w_ih, transposed=False)
    _backward(
        lay.blocks, lay.packed(gy), over_gates, given, ready(h0), panels(w_hh, transposed=False),
        wx, lay.packed(y), lay.packed(gates), da, db, states.tiles, inputs.tiles, dx, dh0,
        repeats.ids, inputs.ids, repeats.count, has_gg, over_x and not lay.few, lay.t, lay.n, features, e, lay.st,
        lay.sn,
    )  # fmt: skip
    if over_x and lay.few:
        input_grad(lay, da, wx, dx, 3 * e)
    dw_ih, db_ih, *dtable = inputs.weight_grad(da, w_ih, bias=True, table=index is not None)
    dw_hh, db_hh = states.weight_grad(db, w_hh, bias=True)
    found = dh0, dw_ih, dw_hh, db_ih, db_hh, *dtable
    return (*found, lay.seen(dx)) if over_x else found


gru_table_grad = gru_grad
