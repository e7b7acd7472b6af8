"""Long short-term memory over a whole sequence, as one op. See `rnn.py`, which says how such ops are made."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..primitive import primitive
from .activation import _sigmoid
from .creation import asarray, full_like_
from .linalg import matmul, mT
from .recurrence import (
    Order,
    Source,
    biases,
    by_row,
    check,
    derivative,
    each_row,
    earlier,
    parts,
    products,
    times,
    total,
    weight_sum,
)
from .shape import concatenate_, reshape_
from .slicing import pad_

__all__ = ["lstm"]

Array = Any
Arrays = tuple[Array, ...]


@primitive(name="lstm", promote=True, outputs=3)
def lstm_(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, /, *, xp: Any
) -> tuple[Array, Array, Array]:
    """Long short-term memory over a sequence: `lstm` with the states of all steps.

    x: (t, n, f), h0, c0: (n, e), w_ih: (4e, f), w_hh: (4e, e), b_ih, b_hh: (4e,)
    -> h and c of all steps, (t, n, e) each, and the gates i, f, g, o (t, n, 4e) after their nonlinearities.
    """
    check(x, h0, w_ih, w_hh, b_ih, b_hh, 4)
    if tuple(c0.shape) != tuple(h0.shape):
        raise ValueError(f"c0 must have h0's shape {tuple(h0.shape)}, not {tuple(c0.shape)}")
    inputs, recurrent = products(x, w_ih, b_ih + b_hh, xp), xp.permute_dims(w_hh, (1, 0))
    h, c, width = h0, c0, h0.shape[1]
    hs, cs, gates = [], [], []
    for t in range(x.shape[0]):
        a = inputs[t, ...] + xp.matmul(h, recurrent)
        both = _sigmoid(xp, a[:, : 2 * width])
        g, o = xp.tanh(a[:, 2 * width : 3 * width]), _sigmoid(xp, a[:, 3 * width :])
        c = both[:, width:] * c + both[:, :width] * g
        h = o * xp.tanh(c)
        hs.append(h)
        cs.append(c)
        gates.append(xp.concat([both, g, o], axis=1))
    return xp.stack(hs, axis=0), xp.stack(cs, axis=0), xp.stack(gates, axis=0)


def _lstm_backward(
    xp: Any, gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, y: Array,
    c: Array, gates: Array, *, need_x: bool,
) -> Arrays:  # fmt: skip
    gate, extra = parts(gates, 4), parts(ggates, 4)
    dh, dc = xp.zeros_like(h0), xp.zeros_like(c0)
    steps = []
    for t in range(x.shape[0] - 1, -1, -1):
        i, f, g, o = (part[t, ...] for part in gate)
        before = c[t - 1, ...] if t else c0
        squashed = xp.tanh(c[t, ...])
        dh = gy[t, ...] + dh
        dc = gc[t, ...] + dc + dh * o * (1.0 - squashed * squashed)
        di, df = dc * g + extra[0][t, ...], dc * before + extra[1][t, ...]
        dg, do = dc * i + extra[2][t, ...], dh * squashed + extra[3][t, ...]
        da = [di * i * (1.0 - i), df * f * (1.0 - f), dg * (1.0 - g * g), do * o * (1.0 - o)]
        steps.append(xp.concat(da, axis=1))
        dh, dc = xp.matmul(steps[-1], w_hh), dc * f
    a = xp.stack(steps[::-1], axis=0)
    found = dh, dc, weight_sum(a, x, xp), weight_sum(a, earlier(y, h0, xp), xp), total(a, xp)
    return (*found, times(a, w_ih, xp)) if need_x else found


@primitive(promote=True, outputs=0, tensor_rules=True)
def lstm_grad(
    gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, y: Array, c: Array,
    gates: Array, /, *, need_x: bool, xp: Any,
) -> Arrays:  # fmt: skip
    """The cotangents of h0, c0, w_ih, w_hh, either bias, and x if it is needed, from those of `lstm`'s three outputs.

    From the last step to the first, with C = tanh(c) and da the cotangent of a gate before its nonlinearity:
    ∂h += gy, ∂c += gc + ∂h·o·(1 − C²); di = ∂c·g, df = ∂c·c₋, dg = ∂c·i, do = ∂h·C, each plus its ggates;
    ∂h₋ = da·W_hh, ∂c₋ = ∂c·f. Then ∂x = da·W_ih, ∂W_ih = Σ daᵀ·x, ∂W_hh = Σ daᵀ·h₋, ∂b = Σ da.
    """
    return _lstm_backward(xp, gy, gc, ggates, x, h0, c0, w_ih, w_hh, y, c, gates, need_x=need_x)


def _lstm_rule(
    g: Any, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, out: Any, need: tuple[bool, ...], table: Source
) -> Arrays:
    if table:
        dh0, dc0, dw_ih, dw_hh, db, dtable = lstm_table_grad(*g, x, h0, c0, w_ih, w_hh, *out, table[0], rows=table[1])
        return dtable, dh0, dc0, dw_ih, dw_hh, db, db
    dh0, dc0, dw_ih, dw_hh, db, *dx = lstm_grad(*g, x, h0, c0, w_ih, w_hh, *out, need_x=need[0])
    return *(dx or [None]), dh0, dc0, dw_ih, dw_hh, db, db


lstm_.vjp(_lstm_rule)


def _lstm_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array,
    w_hh: Array, y: Array, c: Array, gates: Array, need_x: bool,
) -> tuple[Any, ...]:  # fmt: skip
    return derivative(
        partial(_lstm_backward, need_x=need_x), g, (gy, gc, ggates, x, h0, c0, w_ih, w_hh, y, c, gates), need
    )


lstm_grad.vjp(_lstm_grad_rule)


@primitive(outputs=0, tensor_rules=True)
def lstm_table_grad(
    gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, y: Array, c: Array,
    gates: Array, index: Array, /, *, rows: int, xp: Any,
) -> Arrays:  # fmt: skip
    """`lstm_grad` where x is rows of a table, table[index], with the cotangent of the table (rows, f) for that of x.

    index: (t, n) integers. Not differentiable in it.
    """
    return by_row(_lstm_backward(xp, gy, gc, ggates, x, h0, c0, w_ih, w_hh, y, c, gates, need_x=True), index, rows, xp)


def _lstm_table_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array,
    w_hh: Array, y: Array, c: Array, gates: Array, index: Array,
) -> tuple[Any, ...]:  # fmt: skip
    inputs = (gy, gc, ggates, x, h0, c0, w_ih, w_hh, y, c, gates)
    return *derivative(partial(_lstm_backward, need_x=True), each_row(g, index), inputs, need[:-1]), None


lstm_table_grad.vjp(_lstm_table_grad_rule)


def lstm(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, *, w_hr: Any = None,
    lengths: Any = None, reverse: bool = False,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Long short-term memory over a sequence (Hochreiter & Schmidhuber 1997; Gers et al. 2000 for the forget gate).

    i, f, o = σ(W·x + U·h₋ + b) each with its own rows of the weights, g = tanh(W·x + U·h₋ + b);
    c = f·c₋ + i·g, h = o·tanh(c).

    Parameters
    ----------
    x : (t, n, features). h0, c0 : (n, e), the states before the first step.
    w_ih : (4e, features), w_hh : (4e, e), b_ih, b_hh : (4e,) or None. Rows are in the order i, f, g, o.
    w_hr : (p, e) or None: h = w_hr·(o·tanh(c)) instead (Sak et al. 2014). Then h0 and every h are (…, p), w_hh (4e, p).
    lengths : (n,) integers, the steps of each sample; None if all have t. What comes after its end is zeros in y, and
        does not enter into the last states.
    reverse : read each sample from its last step to its first.

    Returns
    -------
    y : (t, n, e), h of every step. h : (n, e), c : (n, e), the states after each sample's last step.

    Raises
    ------
    ValueError : shapes or lengths do not fit, or the sequence has no steps.
    """
    x, w_hh = asarray(x), asarray(w_hh)
    order = Order(x.shape, lengths, reverse)
    bias = biases(w_hh, w_hh.shape[0], b_ih, b_hh)
    if w_hr is not None:
        return _projected(order, x, h0, c0, w_ih, w_hh, bias, w_hr)
    y, c, _ = lstm_(order.read(x), h0, c0, w_ih, w_hh, *bias)
    return order.written(y), order.last(y), order.last(c)


def _projected(
    order: Order, x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, bias: tuple[Any, Any], w_hr: Any
) -> tuple[Any, Any, Any]:
    """`lstm` whose states are projected, by the op without: U·(R·h) is (U·R)·h, with R = w_hr.

    The first step alone starts from a state that was not made by R; its U·h0 comes in with the input of that step.
    """
    t, n = x.shape[0], x.shape[1]
    if w_hr.ndim != 2 or w_hh.shape[1] != w_hr.shape[0] or tuple(h0.shape) != (n, w_hr.shape[0]):
        raise ValueError(
            f"lstm: w_hr (p, e) needs w_hh (4e, p) and h0 ({n}, p), not {tuple(w_hr.shape)}, {tuple(w_hh.shape)} and "
            f"{tuple(h0.shape)}"
        )
    first = pad_(reshape_(h0, shape=(1, *h0.shape)), widths=((0, t - 1), (0, 0), (0, 0)), value=0.0)
    steps = concatenate_(order.read(x), first, axis=2)
    none = full_like_(c0, value=0.0, dtype=None, shape=None)
    y, c, _ = lstm_(steps, none, c0, concatenate_(w_ih, w_hh, axis=1), matmul(w_hh, w_hr), *bias)
    projected = matmul(y, mT(w_hr))
    return order.written(projected), order.last(projected), order.last(c)
