"""Recurrent layers over a whole sequence: a step's result is the next step's input. GRU and the plain network.

Each, as the LSTM of `lstm.py`, is one op, so that no graph is made per step: the products with the inputs are one
product for all steps, and the weights of the gates are one matrix. The op keeps the gates of all steps as an output;
its backward pass, a named op too, goes back through them once; the gradients of the weights are products over all steps
at once.

A backward pass is written once, for whatever has the few functions of the array standard that it needs: a backend's
arrays, where it is an op's forward, or Tensors and public ops. The latter is how its own rule, and so every order,
is found: by differentiating that text.

Where x is rows of a table, an embedding, `tables.py` says so to the rules, and a backward pass of its own gives the
cotangent of the table: it can add up the cotangents of the gates by row before it multiplies them by W_ih.

x: (t, n, f), time first; weights, biases and the order of the gates are PyTorch's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..primitive import primitive
from .activation import _sigmoid
from .creation import asarray
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

__all__ = ["gru", "rnn"]

Array = Any
Arrays = tuple[Array, ...]


# ---------------------------------------------------------------- GRU


@primitive(name="gru", promote=True, outputs=2)
def gru_(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, /, *, xp: Any) -> tuple[Array, Array]:
    """Gated recurrent units over a sequence: `gru` with what its backward pass needs.

    x: (t, n, f), h0: (n, e), w_ih: (3e, f), w_hh: (3e, e), b_ih, b_hh: (3e,)
    -> h of all steps (t, n, e), and r, z, n and m = U_n·h₋ + b_hn of all steps side by side (t, n, 4e).
    """
    check(x, h0, w_ih, w_hh, b_ih, b_hh, 3)
    inputs, recurrent = products(x, w_ih, b_ih, xp), xp.permute_dims(w_hh, (1, 0))
    h, width = h0, h0.shape[1]
    hs, gates = [], []
    for t in range(x.shape[0]):
        a, b = inputs[t, ...], xp.matmul(h, recurrent) + b_hh
        both = _sigmoid(xp, a[:, : 2 * width] + b[:, : 2 * width])
        z, m = both[:, width:], b[:, 2 * width :]
        new = xp.tanh(a[:, 2 * width :] + both[:, :width] * m)
        h = (1.0 - z) * new + z * h
        hs.append(h)
        gates.append(xp.concat([both, new, m], axis=1))
    return xp.stack(hs, axis=0), xp.stack(gates, axis=0)


def _gru_backward(
    xp: Any, gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, gates: Array, *,
    need_x: bool,
) -> Arrays:  # fmt: skip
    gate, extra = parts(gates, 4), parts(ggates, 4)
    dh = xp.zeros_like(h0)
    over_x, over_h = [], []
    for t in range(x.shape[0] - 1, -1, -1):
        r, z, new, m = (part[t, ...] for part in gate)
        before = y[t - 1, ...] if t else h0
        dh = gy[t, ...] + dh
        dnew, dz = dh * (1.0 - z) + extra[2][t, ...], dh * (before - new) + extra[1][t, ...]
        da = dnew * (1.0 - new * new)
        dr = da * m + extra[0][t, ...]
        both = [dr * r * (1.0 - r), dz * z * (1.0 - z)]
        over_x.append(xp.concat([*both, da], axis=1))
        over_h.append(xp.concat([*both, da * r + extra[3][t, ...]], axis=1))
        dh = xp.matmul(over_h[-1], w_hh) + dh * z
    a, b = xp.stack(over_x[::-1], axis=0), xp.stack(over_h[::-1], axis=0)
    found = dh, weight_sum(a, x, xp), weight_sum(b, earlier(y, h0, xp), xp), total(a, xp), total(b, xp)
    return (*found, times(a, w_ih, xp)) if need_x else found


@primitive(promote=True, outputs=0, tensor_rules=True)
def gru_grad(
    gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, gates: Array, /, *,
    need_x: bool, xp: Any,
) -> Arrays:  # fmt: skip
    """The cotangents of h0, w_ih, w_hh, b_ih, b_hh, and of x if it is needed, from those of `gru`'s two outputs.

    From the last step to the first: ∂h += gy; dn = ∂h·(1 − z), dz = ∂h·(h₋ − n), dr = dn·(1 − n²)·m and
    dm = dn·(1 − n²)·r, each plus its ggates; ∂h₋ = (dr, dz, dm before their nonlinearities)·W_hh + ∂h·z.
    """
    return _gru_backward(xp, gy, ggates, x, h0, w_ih, w_hh, y, gates, need_x=need_x)


def _gru_rule(
    g: Any, x: Array, h0: Array, w_ih: Array, w_hh: Array, out: Any, need: tuple[bool, ...], table: Source
) -> Arrays:
    if table:
        dh0, dw_ih, dw_hh, db_ih, db_hh, dtable = gru_table_grad(*g, x, h0, w_ih, w_hh, *out, table[0], rows=table[1])
        return dtable, dh0, dw_ih, dw_hh, db_ih, db_hh
    dh0, dw_ih, dw_hh, db_ih, db_hh, *dx = gru_grad(*g, x, h0, w_ih, w_hh, *out, need_x=need[0])
    return *(dx or [None]), dh0, dw_ih, dw_hh, db_ih, db_hh


gru_.vjp(_gru_rule)


def _gru_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array,
    gates: Array, need_x: bool,
) -> tuple[Any, ...]:  # fmt: skip
    return derivative(partial(_gru_backward, need_x=need_x), g, (gy, ggates, x, h0, w_ih, w_hh, y, gates), need)


gru_grad.vjp(_gru_grad_rule)


@primitive(outputs=0, tensor_rules=True)
def gru_table_grad(
    gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, gates: Array, index: Array, /,
    *, rows: int, xp: Any,
) -> Arrays:  # fmt: skip
    """`gru_grad` for an x that is rows of a table; see `lstm_table_grad`."""
    return by_row(_gru_backward(xp, gy, ggates, x, h0, w_ih, w_hh, y, gates, need_x=True), index, rows, xp)


def _gru_table_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array,
    gates: Array, index: Array,
) -> tuple[Any, ...]:  # fmt: skip
    inputs = (gy, ggates, x, h0, w_ih, w_hh, y, gates)
    return *derivative(partial(_gru_backward, need_x=True), each_row(g, index), inputs, need[:-1]), None


gru_table_grad.vjp(_gru_table_grad_rule)


def gru(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, *, lengths: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Gated recurrent units over a sequence (Cho et al. 2014), in the form whose reset gate comes after the product.

    r, z = σ(W·x + b + U·h₋ + b′) each with its own rows, n = tanh(W·x + b + r·(U·h₋ + b′)); h = (1 − z)·n + z·h₋.

    Parameters
    ----------
    x : (t, n, features). h0 : (n, e), the state before the first step.
    w_ih : (3e, features), w_hh : (3e, e), b_ih, b_hh : (3e,) or None. Rows are in the order r, z, n.
    lengths : (n,) integers, the steps of each sample; None if all have t. What comes after its end is zeros in y, and
        does not enter into the last states.
    reverse : read each sample from its last step to its first.

    Returns
    -------
    y : (t, n, e), h of every step. h : (n, e), the state after each sample's last step.

    Raises
    ------
    ValueError : shapes or lengths do not fit, or the sequence has no steps.
    """
    x, w_hh = asarray(x), asarray(w_hh)
    order = Order(x.shape, lengths, reverse)
    y, _ = gru_(order.read(x), h0, w_ih, w_hh, *biases(w_hh, w_hh.shape[0], b_ih, b_hh))
    return order.written(y), order.last(y)


# ---------------------------------------------------------------- plain


@primitive(name="rnn", promote=True)
def rnn_(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, /, *, nonlinearity: str, xp: Any
) -> Array:
    """Plain recurrent network over a sequence: the states h of all steps.

    x: (t, n, f), h0: (n, e), w_ih: (e, f), w_hh: (e, e), b_ih, b_hh: (e,) -> (t, n, e).
    """
    check(x, h0, w_ih, w_hh, b_ih, b_hh, 1)
    inputs, recurrent = products(x, w_ih, b_ih + b_hh, xp), xp.permute_dims(w_hh, (1, 0))
    h, hs = h0, []
    for t in range(x.shape[0]):
        a = inputs[t, ...] + xp.matmul(h, recurrent)
        h = xp.tanh(a) if nonlinearity == "tanh" else xp.maximum(a, 0)
        hs.append(h)
    return xp.stack(hs, axis=0)


def _rnn_backward(
    xp: Any, gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, *, nonlinearity: str, need_x: bool
) -> Arrays:
    dh, steps = xp.zeros_like(h0), []
    for t in range(x.shape[0] - 1, -1, -1):
        dh, h = gy[t, ...] + dh, y[t, ...]
        steps.append(dh * (1.0 - h * h) if nonlinearity == "tanh" else xp.where(h > 0.0, dh, 0.0))
        dh = xp.matmul(steps[-1], w_hh)
    a = xp.stack(steps[::-1], axis=0)
    found = dh, weight_sum(a, x, xp), weight_sum(a, earlier(y, h0, xp), xp), total(a, xp)
    return (*found, times(a, w_ih, xp)) if need_x else found


@primitive(promote=True, outputs=0, tensor_rules=True)
def rnn_grad(
    gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, /, *, nonlinearity: str, need_x: bool, xp: Any
) -> Arrays:
    """The cotangents of h0, w_ih, w_hh, either bias, and x if it is needed, from that of the result y of the op `rnn`.

    From the last step to the first: da = (∂h + gy)·(1 − h²), for relu where h > 0; ∂h₋ = da·W_hh.
    """
    return _rnn_backward(xp, gy, x, h0, w_ih, w_hh, y, nonlinearity=nonlinearity, need_x=need_x)


def _rnn_rule(
    g: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, out: Array, nonlinearity: str, need: tuple[bool, ...],
    table: Source,
) -> Arrays:  # fmt: skip
    if table:
        dh0, dw_ih, dw_hh, db, dtable = rnn_table_grad(
            g, x, h0, w_ih, w_hh, out, table[0], nonlinearity=nonlinearity, rows=table[1]
        )
        return dtable, dh0, dw_ih, dw_hh, db, db
    dh0, dw_ih, dw_hh, db, *dx = rnn_grad(g, x, h0, w_ih, w_hh, out, nonlinearity=nonlinearity, need_x=need[0])
    return *(dx or [None]), dh0, dw_ih, dw_hh, db, db


rnn_.vjp(_rnn_rule)


def _rnn_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array,
    nonlinearity: str, need_x: bool,
) -> tuple[Any, ...]:  # fmt: skip
    return derivative(
        partial(_rnn_backward, nonlinearity=nonlinearity, need_x=need_x), g, (gy, x, h0, w_ih, w_hh, y), need
    )


rnn_grad.vjp(_rnn_grad_rule)


@primitive(outputs=0, tensor_rules=True)
def rnn_table_grad(
    gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, index: Array, /, *, nonlinearity: str,
    rows: int, xp: Any,
) -> Arrays:  # fmt: skip
    """`rnn_grad` for an x that is rows of a table; see `lstm_table_grad`."""
    found = _rnn_backward(xp, gy, x, h0, w_ih, w_hh, y, nonlinearity=nonlinearity, need_x=True)
    return by_row(found, index, rows, xp)


def _rnn_table_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, index: Array,
    nonlinearity: str,
) -> tuple[Any, ...]:  # fmt: skip
    run = partial(_rnn_backward, nonlinearity=nonlinearity, need_x=True)
    return *derivative(run, each_row(g, index), (gy, x, h0, w_ih, w_hh, y), need[:-1]), None


rnn_table_grad.vjp(_rnn_table_grad_rule)


def rnn(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, *, nonlinearity: str = "tanh",
    lengths: Any = None, reverse: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Plain recurrent network over a sequence (Elman 1990): h = tanh(W·x + b + U·h₋ + b′), or relu of it.

    Parameters
    ----------
    x : (t, n, features). h0 : (n, e), the state before the first step.
    w_ih : (e, features), w_hh : (e, e), b_ih, b_hh : (e,) or None.
    nonlinearity : "tanh" or "relu".
    lengths : (n,) integers, the steps of each sample; None if all have t. What comes after its end is zeros in y, and
        does not enter into the last states.
    reverse : read each sample from its last step to its first.

    Returns
    -------
    y : (t, n, e), h of every step. h : (n, e), the state after each sample's last step.

    Raises
    ------
    ValueError : shapes or lengths do not fit, the sequence has no steps, or another nonlinearity is given.
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"rnn: the nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
    x, w_hh = asarray(x), asarray(w_hh)
    order = Order(x.shape, lengths, reverse)
    bias = biases(w_hh, w_hh.shape[0], b_ih, b_hh)
    y = rnn_(order.read(x), h0, w_ih, w_hh, *bias, nonlinearity=nonlinearity)
    return order.written(y), order.last(y)
