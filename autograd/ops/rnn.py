"""Recurrent layers over a whole sequence: a step's result is the next step's input. LSTM, GRU, and the plain network.

Each is one op, so that no graph is made per step: the products with the inputs are one product for all steps, and the
weights of the gates are one matrix. The op keeps the gates of all steps as an output, and its backward pass, a named op
too, goes back through them once; the gradients of the weights are products over all steps at once.

A backward pass is written once, for whatever has the few functions of the array standard that it needs: a backend's
arrays, where it is an op's forward, or Tensors and public ops. The latter is how its own rule, and so every order,
is found: by differentiating that text.

x: (t, n, f), time first; weights, biases and the order of the gates are PyTorch's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..primitive import primitive
from .activation import _sigmoid
from .creation import asarray, full_like_
from .linalg import matmul, mT
from .recurrence import Order, biases, check, derivative, earlier, parts, products, times, total, weight_sum
from .shape import concatenate_, reshape_
from .slicing import pad_

__all__ = ["gru", "lstm", "rnn"]

Array = Any
Arrays = tuple[Array, ...]


# ---------------------------------------------------------------- LSTM


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
    g: Any, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, out: Any, need: tuple[bool, ...]
) -> Arrays:
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


def _gru_rule(g: Any, x: Array, h0: Array, w_ih: Array, w_hh: Array, out: Any, need: tuple[bool, ...]) -> Arrays:
    dh0, dw_ih, dw_hh, db_ih, db_hh, *dx = gru_grad(*g, x, h0, w_ih, w_hh, *out, need_x=need[0])
    return *(dx or [None]), dh0, dw_ih, dw_hh, db_ih, db_hh


gru_.vjp(_gru_rule)


def _gru_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array,
    gates: Array, need_x: bool,
) -> tuple[Any, ...]:  # fmt: skip
    return derivative(partial(_gru_backward, need_x=need_x), g, (gy, ggates, x, h0, w_ih, w_hh, y, gates), need)


gru_grad.vjp(_gru_grad_rule)


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
    g: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, out: Array, nonlinearity: str, need: tuple[bool, ...]
) -> Arrays:
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
