"""The LSTM over a whole sequence, and its backward pass. See `sequence.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, Ints, intrinsic, kernel
from .gemm import WIDTH_BYTES, aligned
from .lane_math import gate_of, sigmoid, tanh
from .layout import ready
from .repeats import Numbered, Repeats
from .sequence import SAMPLES, Layout, cotangent, fetch_step, panels, product, total
from .sequence_weights import Inputs, empty_panels, fetch_panels, fetch_tiles, input_grad, put_panels, put_tiles
from .vectors import copy_bytes, elementwise, vector_code

Array = Any


@intrinsic
def _step(
    typingctx: Any, like: Any, a: Any, c: Any, gates: Any, cells: Any, h: Any, y: Any, width: Any
) -> Any:  # fmt: skip
    """One sample's step, in addresses of rows: the gates before their nonlinearities and c₋ to all the rest.

    In two loops: in one, a pass would be a chain of two nonlinearities, so long that the processor, which looks a few
    hundred instructions ahead, would wait for results.
    """

    def generate(code: Any, a: Any, c: Any, gates: Any, cells: Any, h: Any, y: Any, width: Any) -> None:
        part = gate_of(code, width)

        def to_cells(load: Any, store: Any) -> None:
            i, f, o = (sigmoid(load(part(a, n))) for n in (0, 1, 3))
            g = tanh(load(part(a, 2)))
            new = f * load(c) + i * g
            for n, gate in enumerate((i, f, g, o)):
                store(gate, part(gates, n))
            store(new, c, cells)

        def to_states(load: Any, store: Any) -> None:
            store(load(part(gates, 3)) * tanh(load(c)), h, y)

        elementwise(code, width, to_cells)
        elementwise(code, width, to_states)

    return vector_code(like, (a, c, gates, cells, h, y, width), generate)


@kernel
def _forward(
    x: Floats, bias: Floats, w: Floats, table: Floats, ids: Ints, count: Ints, h0: Floats, c0: Floats, y: Floats,
    cells: Floats, gates: Floats, t: int, n: int, f: int, e: int, st: int, sn: int, block: int,
) -> None:  # fmt: skip
    """Some samples through all steps. w: the weights of x, and below them those of h.

    table: the products of the distinct inputs, if count[0] says that there are some.
    """
    size = x.itemsize
    first, four, depth, width = block * SAMPLES, 4 * e, f + e, WIDTH_BYTES // size
    parts, some = (four + width - 1) // width, min(SAMPLES, n - first)
    row_bytes, between = parts * WIDTH_BYTES, depth * WIDTH_BYTES
    memory = np.zeros((SAMPLES + 1) * parts * width + SAMPLES * (depth + e) + width, x.dtype)
    a = aligned(memory)
    start = a + SAMPLES * row_bytes
    z = start + row_bytes
    h, c = z + f * size, z + SAMPLES * depth * size
    weights, weights_h = w.ctypes.data, w.ctypes.data + f * WIDTH_BYTES
    copy_bytes(start, bias.ctypes.data, four * size)
    for r in range(some):
        copy_bytes(h + r * depth * size, h0.ctypes.data + (first + r) * e * size, e * size)
    copy_bytes(c, c0.ctypes.data + first * e * size, some * e * size)
    for step in range(t):
        if count[0]:
            for r in range(some):
                row = step * st + (first + r) * sn
                copy_bytes(a + r * row_bytes, table.ctypes.data + ids[row] * row_bytes, row_bytes)
            product(x, h, depth * size, some - 1, weights_h, between, e, a, row_bytes, a, row_bytes, parts)
        else:
            for r in range(some):
                row = step * st + (first + r) * sn
                copy_bytes(z + r * depth * size, x.ctypes.data + row * f * size, f * size)
            product(x, z, depth * size, some - 1, weights, between, depth, start, 0, a, row_bytes, parts)
        for r in range(some):
            row = step * st + (first + r) * sn
            _step(
                x, a + r * row_bytes, c + r * e * size, gates.ctypes.data + row * four * size,
                cells.ctypes.data + row * e * size, h + r * depth * size, y.ctypes.data + row * e * size, e,
            )  # fmt: skip
    memory[0] = 0  # an address alone does not keep an array's memory


def lstm(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Array, Array]:
    """x: (t, n, f), h0, c0: (n, e), w_ih: (4e, f), w_hh: (4e, e) -> y, cells: (t, n, e), gates: (t, n, 4e)."""
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    y, cells, gates = lay.empty(e), lay.empty(e), lay.empty(4 * e)
    inputs, weights, bias = lay.packed(x), panels(w_ih, w_hh), total(b_ih, b_hh)
    repeats = Repeats(inputs, 4 * e, each=lay.few)
    _forward(
        lay.blocks, inputs, bias, weights, repeats.products(inputs, weights, bias), repeats.ids, repeats.count,
        ready(h0), ready(c0), y, cells, gates, lay.t, lay.n, features, e, lay.st, lay.sn,
    )  # fmt: skip
    return lay.seen(y), lay.seen(cells), lay.seen(gates)


@intrinsic
def _through_gates(
    typingctx: Any, like: Any, gy: Any, dh: Any, gates: Any, cells: Any, dc: Any, before: Any, gc: Any, gg: Any,
    da: Any, width: Any,
) -> Any:  # fmt: skip
    """One sample's step back, in addresses of rows: gy + ∂h and ∂c to the gates' cotangents and to ∂c₋.

    before: c₋. gc, gg: more cotangents of c and of the gates.
    """

    def generate(
        code: Any, gy: Any, dh: Any, gates: Any, cells: Any, dc: Any, before: Any, gc: Any, gg: Any, da: Any, width: Any
    ) -> None:
        part = gate_of(code, width)

        def body(load: Any, store: Any) -> None:
            i, f, g, o = (load(part(gates, n)) for n in range(4))
            extra = [load(part(gg, n)) for n in range(4)]
            s, h = tanh(load(cells)), load(gy) + load(dh)
            c = h * o * (1 - s * s) + (load(dc) + load(gc))
            found = (
                (c * g + extra[0]) * (i * (1 - i)), (c * load(before) + extra[1]) * (f * (1 - f)),
                (c * i + extra[2]) * (1 - g * g), (h * s + extra[3]) * (o * (1 - o)),
            )  # fmt: skip
            store(c * f, dc)
            for n, value in enumerate(found):
                store(value, part(da, n))

        elementwise(code, width, body)

    return vector_code(like, (gy, dh, gates, cells, dc, before, gc, gg, da, width), generate)


@kernel
def _backward(
    gy: Floats, gc: Floats, gg: Floats, x: Floats, h0: Floats, c0: Floats, wh: Floats, wx: Floats, y: Floats,
    cells: Floats, gates: Floats, da: Floats, h_tiles: Floats, x_tiles: Floats, dx: Floats, dh0: Floats, dc0: Floats,
    ids: Ints, order: Ints, count: Ints, has_gc: int, has_gg: int, with_x: int, t: int, n: int, f: int, e: int,
    st: int, sn: int, block: int,
) -> None:  # fmt: skip
    """Some samples back through all steps. da: the cotangents of the gates before their nonlinearities, in panels."""
    size = y.itemsize
    first, four, width, rows = block * SAMPLES, 4 * e, WIDTH_BYTES // size, t * n
    some, k = min(SAMPLES, n - first), first * t
    parts, h_parts, x_parts = (
        (four + width - 1) // width,
        (e + width - 1) // width,
        (f + width - 1) // width if with_x else 0,
    )
    apart = (parts + 1) * WIDTH_BYTES  # more than a power of two, which would bring rows together in the cache
    h_bytes, x_bytes = h_parts * WIDTH_BYTES, x_parts * WIDTH_BYTES
    state, between, all_parts = e * size, four * WIDTH_BYTES, h_parts + x_parts
    memory = np.zeros(
        (SAMPLES * (apart + h_bytes + x_bytes + state) + max(h_bytes, x_bytes, four * size)) // size + width, y.dtype
    )
    local = aligned(memory)
    dh = local + SAMPLES * apart
    over_x = dh + SAMPLES * h_bytes
    zeros = over_x + SAMPLES * x_bytes
    dc = zeros + max(h_bytes, x_bytes, four * size)
    for step in range(t - 1, -1, -1):
        for r in range(some):
            row = step * st + (first + r) * sn
            at, at_four = row * state, row * four * size
            if step:
                c_before, h_before = cells.ctypes.data + at - st * state, y.ctypes.data + at - st * state
            else:
                c_before, h_before = c0.ctypes.data + (first + r) * state, h0.ctypes.data + (first + r) * state
            _through_gates(
                y, gy.ctypes.data + at, dh + r * h_bytes, gates.ctypes.data + at_four, cells.ctypes.data + at,
                dc + r * state, c_before, gc.ctypes.data + at if has_gc else zeros,
                gg.ctypes.data + at_four if has_gg else zeros, local + r * apart, e,
            )  # fmt: skip
            put_panels(y, local + r * apart, da.ctypes.data, k, rows, parts)
            put_tiles(y, h_before, h_tiles.ctypes.data, k, rows, e)
            if count[0]:
                order[k] = ids[row]
            else:
                put_tiles(y, x.ctypes.data + row * f * size, x_tiles.ctypes.data, k, rows, f)
            k += 1
        for part in range(all_parts):
            if step:
                for r in range(some * part // all_parts, some * (part + 1) // all_parts):
                    fetch_step(
                        (step - 1) * st + (first + r) * sn, st, step > 1, gates.ctypes.data, four * size,
                        gy.ctypes.data, cells.ctypes.data, y.ctypes.data, state, 0 if count[0] else x.ctypes.data,
                        dx.ctypes.data if with_x else 0, f * size,
                    )  # fmt: skip
                fetch_panels(da.ctypes.data, k, rows, some, parts, part, all_parts)
                fetch_tiles(y, h_tiles.ctypes.data, k, rows, some, e, part, all_parts)
                if not count[0]:
                    fetch_tiles(y, x_tiles.ctypes.data, k, rows, some, f, part, all_parts)
            if part < h_parts:
                weights, out, out_row = wh.ctypes.data + part * between, dh + part * WIDTH_BYTES, h_bytes
            else:
                weights = wx.ctypes.data + (part - h_parts) * between
                out, out_row = over_x + (part - h_parts) * WIDTH_BYTES, x_bytes
            product(y, local, apart, some - 1, weights, between, four, zeros, 0, out, out_row, 1)
        for r in range(some if with_x else 0):
            row = step * st + (first + r) * sn
            copy_bytes(dx.ctypes.data + row * f * size, over_x + r * x_bytes, f * size)
    for r in range(some):
        copy_bytes(dh0.ctypes.data + (first + r) * state, dh + r * h_bytes, state)
    copy_bytes(dc0.ctypes.data + first * state, dc, some * state)
    memory[0] = 0  # an address alone does not keep an array's memory


def lstm_grad(
    gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, y: Array, c: Array,
    gates: Array, index: Array | None = None, *, need_x: bool = True, rows: int = 0,
) -> tuple[Array, ...]:  # fmt: skip
    """The cotangents of h0, c0, w_ih, w_hh, of either bias, and of x if it is needed.

    With an index, the last is that of the table with so many rows which x was taken from.
    """
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    (over_cells, has_gc), (over_gates, has_gg) = cotangent(lay, gc), cotangent(lay, ggates)
    steps, given, over_x = lay.t * lay.n, lay.packed(x), need_x and index is None
    repeats = Repeats(given, 4 * e) if index is None else Numbered(lay.index(index), rows)
    states, inputs = Inputs(steps, e, x.dtype), Inputs(steps, features, x.dtype, given, repeats)
    da, dx = empty_panels(steps, 4 * e, x.dtype), lay.empty(features if over_x else 0)
    dh0, dc0 = np.empty(h0.shape, x.dtype), np.empty(h0.shape, x.dtype)
    wx = panels(w_ih, transposed=False)
    _backward(
        lay.blocks, lay.packed(gy), over_cells, over_gates, given, ready(h0), ready(c0),
        panels(w_hh, transposed=False), wx, lay.packed(y), lay.packed(c),
        lay.packed(gates), da, states.tiles, inputs.tiles, dx, dh0, dc0, repeats.ids, inputs.ids, repeats.count,
        has_gc, has_gg, over_x and not lay.few, lay.t, lay.n, features, e, lay.st, lay.sn,
    )  # fmt: skip
    if over_x and lay.few:
        input_grad(lay, da, wx, dx, 4 * e)
    dw_ih, dbias, *dtable = inputs.weight_grad(da, w_ih, bias=True, table=index is not None)
    found = dh0, dc0, dw_ih, states.weight_grad(da, w_hh, bias=False)[0], dbias, *dtable
    return (*found, lay.seen(dx)) if over_x else found


lstm_table_grad = lstm_grad
