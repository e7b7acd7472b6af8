"""Rows of `autograd/ops/lstm.py` and `autograd/ops/rnn.py`: one step, one sample, odd widths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...autograd.ops.index import take
from ...autograd.ops.lstm import lstm, lstm_, lstm_grad, lstm_table_grad
from ...autograd.ops.rnn import gru_, gru_grad, gru_table_grad, rnn_, rnn_grad, rnn_table_grad
from ..case import Composite, Domain, OpCase, ints, nonzero, real

Array = Any


def _s(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _lstm(x: Array, h: Array, c: Array, w: Array, u: Array, b: Array, d: Array) -> tuple[Array, ...]:
    hs, cs, gates = [], [], []
    for step in x:
        i, f, g, o = np.split(step @ w.T + h @ u.T + b + d, 4, 1)
        i, f, g, o = _s(i), _s(f), np.tanh(g), _s(o)
        c = f * c + i * g
        h = o * np.tanh(c)
        hs, cs, gates = [*hs, h], [*cs, c], [*gates, np.hstack([i, f, g, o])]
    return np.stack(hs), np.stack(cs), np.stack(gates)


def _sums(da: Array, db: Array, x: Array, before: Array) -> tuple[Array, Array]:
    return np.einsum("tna,tnf->af", da, x), np.einsum("tna,tne->ae", db, before)


def _lstm_grad(
    gy: Array, gc: Array, gg: Array, x: Array, h0: Array, c0: Array, w: Array, u: Array, y: Array, cs: Array,
    gates: Array,
) -> tuple[Array, ...]:  # fmt: skip
    dh, dc, da = np.zeros_like(h0), np.zeros_like(c0), np.zeros_like(gates)
    for t in reversed(range(len(x))):
        i, f, g, o = np.split(gates[t], 4, 1)
        dh, squashed = dh + gy[t], np.tanh(cs[t])
        dc = dc + gc[t] + dh * o / np.cosh(cs[t]) ** 2
        d = np.hstack([dc * g, dc * (cs[t - 1] if t else c0), dc * i, dh * squashed]) + gg[t]
        da[t] = d * np.hstack([i - i**2, f - f**2, 1 - g**2, o - o**2])
        dh, dc = da[t] @ u, dc * f
    return dh, dc, *_sums(da, da, x, np.stack([h0, *y[:-1]])), da.sum((0, 1)), da @ w


def _gru(x: Array, h: Array, w: Array, u: Array, b: Array, d: Array) -> tuple[Array, ...]:
    hs, gates = [], []
    for step in x:
        (r, z, n), (p, q, m) = np.split(step @ w.T + b, 3, 1), np.split(h @ u.T + d, 3, 1)
        r, z = _s(r + p), _s(z + q)
        n = np.tanh(n + r * m)
        h = n + z * (h - n)
        hs, gates = [*hs, h], [*gates, np.hstack([r, z, n, m])]
    return np.stack(hs), np.stack(gates)


def _gru_grad(
    gy: Array, gg: Array, x: Array, h0: Array, w: Array, u: Array, y: Array, gates: Array
) -> tuple[Array, ...]:
    dh = np.zeros_like(h0)
    da, db = np.zeros((*x.shape[:2], len(w))), np.zeros((*x.shape[:2], len(w)))
    for t in reversed(range(len(x))):
        (r, z, n, m), (gr, gz, gn, gm) = np.split(gates[t], 4, 1), np.split(gg[t], 4, 1)
        dh = dh + gy[t]
        dn = (dh * (1 - z) + gn) * (1 - n**2)
        dr, dz = (dn * m + gr) * (r - r**2), (dh * ((y[t - 1] if t else h0) - n) + gz) * (z - z**2)
        da[t], db[t] = np.hstack([dr, dz, dn]), np.hstack([dr, dz, dn * r + gm])
        dh = db[t] @ u + dh * z
    weights = _sums(da, db, x, np.stack([h0, *y[:-1]]))
    return dh, *weights, da.sum((0, 1)), db.sum((0, 1)), da @ w


def _rnn(x: Array, h: Array, w: Array, u: Array, b: Array, d: Array, relu: bool) -> Array:
    hs = []
    for step in x:
        a = step @ w.T + h @ u.T + b + d
        h = np.maximum(a, 0) if relu else np.tanh(a)
        hs.append(h)
    return np.stack(hs)


def _rnn_grad(gy: Array, x: Array, h0: Array, w: Array, u: Array, y: Array, relu: bool) -> tuple[Array, ...]:
    dh, da = np.zeros_like(h0), np.zeros_like(y)
    for t in reversed(range(len(x))):
        da[t] = (dh + gy[t]) * (y[t] > 0 if relu else 1 - y[t] ** 2)
        dh = da[t] @ u
    return dh, *_sums(da, da, x, np.stack([h0, *y[:-1]])), da.sum((0, 1)), da @ w


def _rows(label: str, t: int, n: int, f: int, e: int) -> list[OpCase]:
    def inputs(gates: int, states: int) -> list[Domain]:
        return [real(t, n, f), *[real(n, e)] * states, real(gates * e, f), real(gates * e, e), *[real(gates * e)] * 2]

    steps, wide = real(t, n, e), real(t, n, 4 * e)
    # the second order of a backward pass is the third of the op: slow, and the same text for any size
    once, x_too = {"orders": 2 if n * e == 1 else 1}, {"need_x": True}
    rows = [
        OpCase(lstm_, inputs(4, 2), _lstm, label=label),
        OpCase(
            lstm_grad,
            [steps, steps, wide, *inputs(4, 2)[:-2], steps, steps, wide],
            _lstm_grad,
            params=x_too,
            label=label,
            **once,
        ),
        OpCase(gru_, inputs(3, 1), _gru, label=label),
        OpCase(gru_grad, [steps, wide, *inputs(3, 1)[:-2], steps, wide], _gru_grad, params=x_too, label=label, **once),
    ]
    for name in ("tanh", "relu"):
        params, relu = {"nonlinearity": name}, name == "relu"
        rows += [
            OpCase(
                rnn_, inputs(1, 1), lambda *a, relu=relu: _rnn(*a, relu=relu), params=params, label=f"{name}-{label}"
            ),
            OpCase(
                rnn_grad, [steps, *inputs(1, 1)[:-2], nonzero(t, n, e)],
                lambda *a, relu=relu: _rnn_grad(*a, relu=relu), params=params | x_too, label=f"{name}-{label}",
                **once,
            ),
        ]  # fmt: skip
    return rows


def _projected(
    x: Array, h: Array, c: Array, w: Array, u: Array, b: Array, d: Array, r: Array
) -> tuple[Array, Array, Array]:
    hs = []
    for step in x:
        i, f, g, o = np.split(step @ w.T + h @ u.T + b + d, 4, 1)
        c = _s(f) * c + _s(i) * np.tanh(g)
        h = (_s(o) * np.tanh(c)) @ r.T
        hs.append(h)
    return np.stack(hs), h, c


def _reversed(*arrays: Array) -> tuple[Array, Array, Array]:
    y, h, c = _projected(arrays[0][::-1], *arrays[1:])
    return y[::-1], h, c


def _with_projection(*arrays: Any, reverse: bool = False) -> Any:
    return lstm(*arrays[:-1], w_hr=arrays[-1], reverse=reverse)


_with_projection.__name__ = "lstm"
PROJECTED = [real(3, 2, 2), real(2, 2), real(2, 3), real(12, 2), real(12, 2), real(12), real(12), real(2, 3)]


def _weights_alone() -> list[OpCase]:
    """The backward passes of layers whose input wants no cotangent."""
    made = []
    for row in _rows("no-input", 3, 2, 2, 2):
        if row.params.get("need_x"):
            whole = row.reference
            made.append(replace(row, params=row.params | {"need_x": False}, reference=lambda *a, f=whole: f(*a)[:-1]))
    return made


TABLE_GRADS = {"lstm_grad": lstm_table_grad, "gru_grad": gru_table_grad, "rnn_grad": rnn_table_grad}


def _from_table(row: OpCase, rows: int) -> OpCase:
    """A backward pass's row for an x that is taken from a table, whose rows are then the same where the index is."""
    op: Any = TABLE_GRADS[row.op.name]
    at = op.inputs.index("x")
    t, n, f = row.inputs[at].shape

    def through_table(*arrays: Any, **params: Any) -> Any:
        *arrays, index = arrays
        return op(*arrays[:at], take(arrays[at], index, axis=0), *arrays[at + 1 :], index, **params)

    def reference(*arrays: Array) -> tuple[Array, ...]:
        *arrays, index = arrays
        *found, dx = row.reference(*arrays[:at], arrays[at][index], *arrays[at + 1 :])
        added = np.zeros((rows, f))
        np.add.at(added, index, dx)
        return *found, added

    through_table.__name__ = op.name
    inputs = [*row.inputs[:at], real(rows, f), *row.inputs[at + 1 :], ints(t, n, low=-rows, high=rows)]
    params = {**{k: v for k, v in row.params.items() if k != "need_x"}, "rows": rows}
    return replace(row, op=Composite(through_table), inputs=inputs, reference=reference, params=params)


def _tables() -> list[OpCase]:
    sizes = [
        ("steps", 4, 3, 2, 3, 5),
        ("tiny", 2, 1, 2, 1, 2),
        ("tiles", 2, 9, 3, 9, 33),
        ("no-samples", 2, 0, 3, 2, 2),
    ]
    return [
        _from_table(row, rows)
        for label, *size, rows in sizes
        for row in _rows(label, *size)
        if row.op.name in TABLE_GRADS
    ]


CASES: list[OpCase] = [
    OpCase(Composite(_with_projection), PROJECTED, _projected, label="projected"),
    OpCase(Composite(_with_projection), PROJECTED, _reversed, params={"reverse": True}, label="projected-reversed"),
    *_rows("steps", 4, 3, 2, 3),
    *_rows("one-step", 1, 2, 3, 2),
    *_rows("one-sample", 3, 1, 2, 1),
    *_rows("tiles", 2, 9, 3, 9),
    *_rows("few-samples", 9, 1, 2, 2),
    *_rows("no-samples", 2, 0, 3, 2),
    *_weights_alone(),
    *_tables(),
]
