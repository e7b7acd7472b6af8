"""The plain recurrent network over a whole sequence, and its backward pass. See `sequence.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, Ints, intrinsic, kernel
from .gemm import WIDTH_BYTES, aligned
from .lane_math import tanh
from .layout import ready
from .repeats import Numbered, Repeats
from .sequence import SAMPLES, Layout, fetch_step, panels, product, total
from .sequence_weights import Inputs, empty_panels, fetch_panels, fetch_tiles, input_grad, put_panels, put_tiles
from .vectors import copy_bytes, elementwise, vector_code

Array = Any


@intrinsic
def _squash(typingctx: Any, like: Any, a: Any, h: Any, y: Any, width: Any) -> Any:
    """h = tanh(a), in addresses of rows."""

    def generate(code: Any, a: Any, h: Any, y: Any, width: Any) -> None:
        elementwise(code, width, lambda load, store: store(tanh(load(a)), h, y))

    return vector_code(like, (a, h, y, width), generate)


@intrinsic
def _clip(typingctx: Any, like: Any, a: Any, h: Any, y: Any, width: Any) -> Any:
    """h = max(a, 0), in addresses of rows."""

    def generate(code: Any, a: Any, h: Any, y: Any, width: Any) -> None:
        def body(load: Any, store: Any) -> None:
            x = load(a)
            zero = x.constant(0.0)
            store(x.where("<=", zero, zero, x), h, y)

        elementwise(code, width, body)

    return vector_code(like, (a, h, y, width), generate)


@kernel
def _forward(
    x: Floats, bias: Floats, w: Floats, table: Floats, ids: Ints, count: Ints, h0: Floats, y: Floats, clipped: int,
    t: int, n: int, f: int, e: int, st: int, sn: int, block: int,
) -> None:  # fmt: skip
    """Some samples through all steps. w: the weights of x, and below them those of h.

    table: the products of the distinct inputs, if count[0] says that there are some.
    """
    size = x.itemsize
    first, depth, width = block * SAMPLES, f + e, WIDTH_BYTES // size
    parts, some, f_bytes, state = (e + width - 1) // width, min(SAMPLES, n - first), f * size, e * size
    row_bytes, between = parts * WIDTH_BYTES, depth * WIDTH_BYTES
    memory = np.zeros((SAMPLES + 1) * parts * width + SAMPLES * depth + width, x.dtype)
    a = aligned(memory)
    start = a + SAMPLES * row_bytes
    z = start + row_bytes
    h = z + f_bytes
    copy_bytes(start, bias.ctypes.data, state)
    for r in range(some):
        copy_bytes(h + r * depth * size, h0.ctypes.data + (first + r) * state, state)
    for step in range(t):
        for r in range(some):
            row = step * st + (first + r) * sn
            if count[0]:
                copy_bytes(a + r * row_bytes, table.ctypes.data + ids[row] * row_bytes, row_bytes)
            else:
                copy_bytes(z + r * depth * size, x.ctypes.data + row * f_bytes, f_bytes)
        if count[0]:
            weights = w.ctypes.data + f * WIDTH_BYTES
            product(x, h, depth * size, some - 1, weights, between, e, a, row_bytes, a, row_bytes, parts)
        else:
            product(x, z, depth * size, some - 1, w.ctypes.data, between, depth, start, 0, a, row_bytes, parts)
        for r in range(some):
            row = step * st + (first + r) * sn
            if clipped:
                _clip(x, a + r * row_bytes, h + r * depth * size, y.ctypes.data + row * state, e)
            else:
                _squash(x, a + r * row_bytes, h + r * depth * size, y.ctypes.data + row * state, e)
    memory[0] = 0  # an address alone does not keep an array's memory


def rnn(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, *, nonlinearity: str) -> Array:
    """x: (t, n, f), h0: (n, e), w_ih: (e, f), w_hh: (e, e) -> (t, n, e)."""
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    y, inputs, weights, bias = lay.empty(e), lay.packed(x), panels(w_ih, w_hh), total(b_ih, b_hh)
    repeats = Repeats(inputs, e, each=lay.few)
    _forward(
        lay.blocks, inputs, bias, weights, repeats.products(inputs, weights, bias), repeats.ids, repeats.count,
        ready(h0), y, nonlinearity == "relu", lay.t, lay.n, features, e, lay.st, lay.sn,
    )  # fmt: skip
    return lay.seen(y)


@intrinsic
def _through_squash(typingctx: Any, like: Any, gy: Any, dh: Any, y: Any, da: Any, width: Any) -> Any:
    """da = (gy + ∂h)·(1 − y²), in addresses of rows."""

    def generate(code: Any, gy: Any, dh: Any, y: Any, da: Any, width: Any) -> None:
        def body(load: Any, store: Any) -> None:
            h = load(y)
            store((load(gy) + load(dh)) * (1 - h * h), da)

        elementwise(code, width, body)

    return vector_code(like, (gy, dh, y, da, width), generate)


@intrinsic
def _through_clip(typingctx: Any, like: Any, gy: Any, dh: Any, y: Any, da: Any, width: Any) -> Any:
    """da = gy + ∂h where y > 0, else 0, in addresses of rows."""

    def generate(code: Any, gy: Any, dh: Any, y: Any, da: Any, width: Any) -> None:
        def body(load: Any, store: Any) -> None:
            h = load(y)
            zero = h.constant(0.0)
            store(h.where(">", zero, load(gy) + load(dh), zero), da)

        elementwise(code, width, body)

    return vector_code(like, (gy, dh, y, da, width), generate)


@kernel
def _backward(
    gy: Floats, x: Floats, h0: Floats, wh: Floats, wx: Floats, y: Floats, da: Floats, h_tiles: Floats,
    x_tiles: Floats, dx: Floats, dh0: Floats, ids: Ints, order: Ints, count: Ints, clipped: int, with_x: int, t: int,
    n: int, f: int, e: int, st: int, sn: int, block: int,
) -> None:  # fmt: skip
    """Some samples back through all steps. da: the cotangents before the nonlinearity, in panels."""
    size = y.itemsize
    first, width, rows = block * SAMPLES, WIDTH_BYTES // size, t * n
    some, k = min(SAMPLES, n - first), first * t
    parts, x_parts = (e + width - 1) // width, (f + width - 1) // width if with_x else 0
    apart = (parts + 1) * WIDTH_BYTES  # more than a power of two, which would bring rows together in the cache
    h_bytes, x_bytes, state, f_bytes = parts * WIDTH_BYTES, x_parts * WIDTH_BYTES, e * size, f * size
    between, all_parts = e * WIDTH_BYTES, parts + x_parts
    memory = np.zeros((SAMPLES * (apart + h_bytes + x_bytes) + max(h_bytes, x_bytes)) // size + width, y.dtype)
    local = aligned(memory)
    dh = local + SAMPLES * apart
    over_x = dh + SAMPLES * h_bytes
    zeros = over_x + SAMPLES * x_bytes
    for step in range(t - 1, -1, -1):
        for r in range(some):
            row = step * st + (first + r) * sn
            before = y.ctypes.data + (row - st) * state if step else h0.ctypes.data + (first + r) * state
            over, own = gy.ctypes.data + row * state, y.ctypes.data + row * state
            if clipped:
                _through_clip(y, over, dh + r * h_bytes, own, local + r * apart, e)
            else:
                _through_squash(y, over, dh + r * h_bytes, own, local + r * apart, e)
            put_panels(y, local + r * apart, da.ctypes.data, k, rows, parts)
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
                        (step - 1) * st + (first + r) * sn, st, step > 1, 0, 0, gy.ctypes.data, 0, y.ctypes.data,
                        state, 0 if count[0] else x.ctypes.data,
                        dx.ctypes.data if with_x else 0, f_bytes,
                    )  # fmt: skip
                fetch_panels(da.ctypes.data, k, rows, some, parts, part, all_parts)
                fetch_tiles(y, h_tiles.ctypes.data, k, rows, some, e, part, all_parts)
                if not count[0]:
                    fetch_tiles(y, x_tiles.ctypes.data, k, rows, some, f, part, all_parts)
            if part < parts:
                weights, out, out_row = wh.ctypes.data + part * between, dh + part * WIDTH_BYTES, h_bytes
            else:
                weights = wx.ctypes.data + (part - parts) * between
                out, out_row = over_x + (part - parts) * WIDTH_BYTES, x_bytes
            product(y, local, apart, some - 1, weights, 0, e, zeros, 0, out, out_row, 1)
        for r in range(some if with_x else 0):
            row = step * st + (first + r) * sn
            copy_bytes(dx.ctypes.data + row * f_bytes, over_x + r * x_bytes, f_bytes)
    for r in range(some):
        copy_bytes(dh0.ctypes.data + (first + r) * state, dh + r * h_bytes, state)
    memory[0] = 0  # an address alone does not keep an array's memory


def rnn_grad(
    gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, index: Array | None = None, *,
    nonlinearity: str, need_x: bool = True, rows: int = 0,
) -> tuple[Array, ...]:  # fmt: skip
    """The cotangents of h0, w_ih, w_hh, of either bias, and of x if it is needed.

    With an index, the last is that of the table with so many rows which x was taken from.
    """
    lay, features, e = Layout(x), x.shape[2], h0.shape[1]
    steps, given, over_x = lay.t * lay.n, lay.packed(x), need_x and index is None
    repeats = Repeats(given, e) if index is None else Numbered(lay.index(index), rows)
    states, inputs = Inputs(steps, e, x.dtype), Inputs(steps, features, x.dtype, given, repeats)
    da, dx, dh0 = empty_panels(steps, e, x.dtype), lay.empty(features if over_x else 0), np.empty(h0.shape, x.dtype)
    wx = panels(w_ih, transposed=False)
    _backward(
        lay.blocks, lay.packed(gy), given, ready(h0), panels(w_hh, transposed=False), wx,
        lay.packed(y), da, states.tiles, inputs.tiles, dx, dh0, repeats.ids, inputs.ids, repeats.count,
        nonlinearity == "relu", over_x and not lay.few, lay.t, lay.n, features, e, lay.st, lay.sn,
    )  # fmt: skip
    if over_x and lay.few:
        input_grad(lay, da, wx, dx, e)
    dw_ih, dbias, *dtable = inputs.weight_grad(da, w_ih, bias=True, table=index is not None)
    found = dh0, dw_ih, states.weight_grad(da, w_hh, bias=False)[0], dbias, *dtable
    return (*found, lay.seen(dx)) if over_x else found


rnn_table_grad = rnn_grad
