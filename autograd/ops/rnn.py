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

from collections.abc import Callable
from typing import Any

from ..primitive import primitive
from ..state import enable_grad, is_grad_enabled
from .creation import asarray, zeros
from .elementwise import where
from .linalg import matmul
from .reduce import sum_
from .shape import concatenate_, identity, permute_, reshape_, stack_
from .unary import tanh

__all__ = ["gru", "lstm", "rnn"]

Array = Any
Arrays = tuple[Array, ...]


class _Public:
    """What backward passes use of the array standard, in terms of public ops."""

    matmul, tanh, where = matmul, tanh, where

    @staticmethod
    def concat(xs: Any, axis: int) -> Any:
        return concatenate_(*xs, axis=axis)

    @staticmethod
    def stack(xs: Any, axis: int) -> Any:
        return stack_(*xs, axis=axis)

    @staticmethod
    def sum(x: Any, axis: int) -> Any:
        return sum_(x, axis=(axis,), keepdims=False)

    @staticmethod
    def reshape(x: Any, shape: tuple[int, ...]) -> Any:
        return reshape_(x, shape=shape)

    @staticmethod
    def permute_dims(x: Any, axes: tuple[int, ...]) -> Any:
        return permute_(x, axes=axes)


def _derivative(run: Callable[..., Arrays], g: Any, inputs: Arrays, need: tuple[bool, ...]) -> tuple[Any, ...]:
    """Cotangents of `inputs` from those of `run(_Public, *inputs)`, by recording and differentiating it."""
    from ..transforms import gradients

    recorded = is_grad_enabled()
    with enable_grad():
        own = [identity(x) for x in inputs]  # nodes of their own: one tensor may be two of the inputs
        outs = run(_Public, *own)
        wanted = [x for x, n in zip(own, need, strict=True) if n]
        found = iter(gradients(outs, wanted, g, create_graph=recorded))
    return tuple(next(found) if n else None for n in need)


# ---------------------------------------------------------------- what they share


def _check(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, gates: int) -> None:
    """Shapes that belong together."""
    if x.ndim != 3 or h0.ndim != 2 or w_ih.ndim != 2 or w_hh.ndim != 2:
        raise ValueError("x (t, n, f), states (n, e), weights (gates·e, f) and (gates·e, e) are wanted")
    if not x.shape[0]:
        raise ValueError("the sequence has no steps")
    width = h0.shape[1]
    want = (
        ("h0", h0, (x.shape[1], width)), ("w_ih", w_ih, (gates * width, x.shape[2])),
        ("w_hh", w_hh, (gates * width, width)), ("b_ih", b_ih, (gates * width,)), ("b_hh", b_hh, (gates * width,)),
    )  # fmt: skip
    for name, array, shape in want:
        if tuple(array.shape) != shape:
            raise ValueError(f"{name} must have shape {shape} here, not {tuple(array.shape)}")


def _sigmoid(x: Array, xp: Any) -> Array:
    return xp.exp(xp.minimum(x, 0.0 * x)) / (1.0 + xp.exp(-xp.abs(x)))


def _inputs(x: Array, w_ih: Array, bias: Array, xp: Any) -> Array:
    """x·W_ihᵀ + bias for all steps, as one product. (t, n, f) -> (t, n, gates·e)."""
    t, n, features = x.shape
    rows = xp.matmul(xp.reshape(x, (t * n, features)), xp.permute_dims(w_ih, (1, 0))) + bias
    return xp.reshape(rows, (t, n, w_ih.shape[0]))


def _parts(x: Array, count: int) -> list[Array]:
    """The gates, which lie side by side on the last axis."""
    width = x.shape[-1] // count
    return [x[..., i * width : (i + 1) * width] for i in range(count)]


def _before(states: Array, first: Array, xp: Any) -> Array:
    """The states that the steps start from. (t, n, e), (n, e) -> (t, n, e)."""
    return xp.concat([first[None, ...], states[:-1, ...]], axis=0)


def _weight(g: Array, x: Array, xp: Any) -> Array:
    """Σ over steps and batch of gᵀ·x. (t, n, a), (t, n, b) -> (a, b)."""
    t, n, a = g.shape
    return xp.matmul(xp.permute_dims(xp.reshape(g, (t * n, a)), (1, 0)), xp.reshape(x, (t * n, x.shape[2])))


def _total(g: Array, xp: Any) -> Array:
    """Σ over steps and batch. (t, n, a) -> (a)."""
    return xp.sum(xp.sum(g, axis=0), axis=0)


def _times(g: Array, w: Array, xp: Any) -> Array:
    """g·W for all steps. (t, n, a), (a, b) -> (t, n, b)."""
    t, n, a = g.shape
    return xp.reshape(xp.matmul(xp.reshape(g, (t * n, a)), w), (t, n, w.shape[1]))


def _biases(x: Any, width: int, b_ih: Any, b_hh: Any) -> tuple[Any, Any]:
    """The biases, zeros for None."""
    absent = None
    if b_ih is None or b_hh is None:
        absent = zeros(width, dtype=x.dtype, backend=x.backend)
    return absent if b_ih is None else b_ih, absent if b_hh is None else b_hh


# ---------------------------------------------------------------- LSTM


@primitive(name="lstm", promote=True, outputs=3)
def lstm_(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, /, *, xp: Any
) -> tuple[Array, Array, Array]:
    """Long short-term memory over a sequence: `lstm` with the states of all steps.

    x: (t, n, f), h0, c0: (n, e), w_ih: (4e, f), w_hh: (4e, e), b_ih, b_hh: (4e,)
    -> h of all steps (t, n, e), c of all steps (t, n, e), and the gates i, f, g, o (t, n, 4e) after their nonlinearities.
    """
    _check(x, h0, w_ih, w_hh, b_ih, b_hh, 4)
    if tuple(c0.shape) != tuple(h0.shape):
        raise ValueError(f"c0 must have h0's shape {tuple(h0.shape)}, not {tuple(c0.shape)}")
    inputs, recurrent = _inputs(x, w_ih, b_ih + b_hh, xp), xp.permute_dims(w_hh, (1, 0))
    h, c, width = h0, c0, h0.shape[1]
    hs, cs, gates = [], [], []
    for t in range(x.shape[0]):
        a = inputs[t, ...] + xp.matmul(h, recurrent)
        both = _sigmoid(a[:, : 2 * width], xp)
        g, o = xp.tanh(a[:, 2 * width : 3 * width]), _sigmoid(a[:, 3 * width :], xp)
        c = both[:, width:] * c + both[:, :width] * g
        h = o * xp.tanh(c)
        hs.append(h)
        cs.append(c)
        gates.append(xp.concat([both, g, o], axis=1))
    return xp.stack(hs, axis=0), xp.stack(cs, axis=0), xp.stack(gates, axis=0)


def _lstm_backward(
    xp: Any, gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, y: Array,
    c: Array, gates: Array,
) -> Arrays:  # fmt: skip
    parts, extra = _parts(gates, 4), _parts(ggates, 4)
    dh, dc = 0.0 * h0, 0.0 * c0
    steps = []
    for t in range(x.shape[0] - 1, -1, -1):
        i, f, g, o = (part[t, ...] for part in parts)
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
    return _times(a, w_ih, xp), dh, dc, _weight(a, x, xp), _weight(a, _before(y, h0, xp), xp), _total(a, xp)


@primitive(promote=True, outputs=6, tensor_rules=True)
def lstm_grad(
    gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, y: Array, c: Array,
    gates: Array, /, *, xp: Any,
) -> Arrays:  # fmt: skip
    """The cotangents of x, h0, c0, w_ih, w_hh and of either bias, from those of the three outputs of the op `lstm`.

    From the last step to the first, with C = tanh(c) and da the cotangent of a gate before its nonlinearity:
    ∂h += gy, ∂c += gc + ∂h·o·(1 − C²); di = ∂c·g, df = ∂c·c₋, dg = ∂c·i, do = ∂h·C, each plus its ggates;
    ∂h₋ = da·W_hh, ∂c₋ = ∂c·f. Then ∂x = da·W_ih, ∂W_ih = Σ daᵀ·x, ∂W_hh = Σ daᵀ·h₋, ∂b = Σ da.
    """
    return _lstm_backward(xp, gy, gc, ggates, x, h0, c0, w_ih, w_hh, y, c, gates)


def _lstm_rule(
    g: Any, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, out: Any, need: tuple[bool, ...]
) -> Arrays:
    dx, dh0, dc0, dw_ih, dw_hh, db = lstm_grad(*g, x, h0, c0, w_ih, w_hh, *out)
    return dx, dh0, dc0, dw_ih, dw_hh, db, db


lstm_.vjp(_lstm_rule)


def _lstm_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array,
    w_hh: Array, y: Array, c: Array, gates: Array,
) -> tuple[Any, ...]:  # fmt: skip
    return _derivative(_lstm_backward, g, (gy, gc, ggates, x, h0, c0, w_ih, w_hh, y, c, gates), need)


lstm_grad.vjp(_lstm_grad_rule)


def lstm(x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Any, Any, Any]:
    """Long short-term memory over a sequence (Hochreiter & Schmidhuber 1997; Gers et al. 2000 for the forget gate).

    i, f, o = σ(W·x + U·h₋ + b) each with its own rows of the weights, g = tanh(W·x + U·h₋ + b);
    c = f·c₋ + i·g, h = o·tanh(c).

    Parameters
    ----------
    x : (t, n, features). h0, c0 : (n, e), the states before the first step.
    w_ih : (4e, features), w_hh : (4e, e), b_ih, b_hh : (4e,) or None. Rows are in the order i, f, g, o.

    Returns
    -------
    y : (t, n, e), h of every step. h : (n, e), c : (n, e), the states after the last step.

    Raises
    ------
    ValueError : shapes do not fit, or the sequence has no steps.
    """
    w_hh = asarray(w_hh)
    y, c, _ = lstm_(x, h0, c0, w_ih, w_hh, *_biases(w_hh, w_hh.shape[0], b_ih, b_hh))
    return y, y[-1], c[-1]


# ---------------------------------------------------------------- GRU


@primitive(name="gru", promote=True, outputs=2)
def gru_(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, /, *, xp: Any) -> tuple[Array, Array]:
    """Gated recurrent units over a sequence: `gru` with what its backward pass needs.

    x: (t, n, f), h0: (n, e), w_ih: (3e, f), w_hh: (3e, e), b_ih, b_hh: (3e,)
    -> h of all steps (t, n, e), and r, z, n and m = U_n·h₋ + b_hn of all steps side by side (t, n, 4e).
    """
    _check(x, h0, w_ih, w_hh, b_ih, b_hh, 3)
    inputs, recurrent = _inputs(x, w_ih, b_ih, xp), xp.permute_dims(w_hh, (1, 0))
    h, width = h0, h0.shape[1]
    hs, gates = [], []
    for t in range(x.shape[0]):
        a, b = inputs[t, ...], xp.matmul(h, recurrent) + b_hh
        both = _sigmoid(a[:, : 2 * width] + b[:, : 2 * width], xp)
        z, m = both[:, width:], b[:, 2 * width :]
        new = xp.tanh(a[:, 2 * width :] + both[:, :width] * m)
        h = (1.0 - z) * new + z * h
        hs.append(h)
        gates.append(xp.concat([both, new, m], axis=1))
    return xp.stack(hs, axis=0), xp.stack(gates, axis=0)


def _gru_backward(
    xp: Any, gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, gates: Array
) -> Arrays:
    parts, extra = _parts(gates, 4), _parts(ggates, 4)
    dh = 0.0 * h0
    over_x, over_h = [], []
    for t in range(x.shape[0] - 1, -1, -1):
        r, z, new, m = (part[t, ...] for part in parts)
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
    weights = _weight(a, x, xp), _weight(b, _before(y, h0, xp), xp)
    return _times(a, w_ih, xp), dh, *weights, _total(a, xp), _total(b, xp)


@primitive(promote=True, outputs=6, tensor_rules=True)
def gru_grad(
    gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, gates: Array, /, *, xp: Any
) -> Arrays:
    """The cotangents of x, h0, w_ih, w_hh, b_ih and b_hh from those of the two outputs of the op `gru`.

    From the last step to the first: ∂h += gy; dn = ∂h·(1 − z), dz = ∂h·(h₋ − n), dr = dn·(1 − n²)·m, dm = dn·(1 − n²)·r,
    each plus its ggates; ∂h₋ = (dr, dz, dm before their nonlinearities)·W_hh + ∂h·z.
    """
    return _gru_backward(xp, gy, ggates, x, h0, w_ih, w_hh, y, gates)


gru_.vjp(lambda g, x, h0, w_ih, w_hh, out, need: gru_grad(*g, x, h0, w_ih, w_hh, *out))


def _gru_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array,
    gates: Array,
) -> tuple[Any, ...]:  # fmt: skip
    return _derivative(_gru_backward, g, (gy, ggates, x, h0, w_ih, w_hh, y, gates), need)


gru_grad.vjp(_gru_grad_rule)


def gru(x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Any, Any]:
    """Gated recurrent units over a sequence (Cho et al. 2014), in the form whose reset gate comes after the product.

    r, z = σ(W·x + b + U·h₋ + b′) each with its own rows, n = tanh(W·x + b + r·(U·h₋ + b′)); h = (1 − z)·n + z·h₋.

    Parameters
    ----------
    x : (t, n, features). h0 : (n, e), the state before the first step.
    w_ih : (3e, features), w_hh : (3e, e), b_ih, b_hh : (3e,) or None. Rows are in the order r, z, n.

    Returns
    -------
    y : (t, n, e), h of every step. h : (n, e), the state after the last step.

    Raises
    ------
    ValueError : shapes do not fit, or the sequence has no steps.
    """
    w_hh = asarray(w_hh)
    y, _ = gru_(x, h0, w_ih, w_hh, *_biases(w_hh, w_hh.shape[0], b_ih, b_hh))
    return y, y[-1]


# ---------------------------------------------------------------- plain


@primitive(name="rnn", promote=True)
def rnn_(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, /, *, nonlinearity: str, xp: Any
) -> Array:
    """Plain recurrent network over a sequence: the states h of all steps.

    x: (t, n, f), h0: (n, e), w_ih: (e, f), w_hh: (e, e), b_ih, b_hh: (e,) -> (t, n, e).
    """
    _check(x, h0, w_ih, w_hh, b_ih, b_hh, 1)
    inputs, recurrent = _inputs(x, w_ih, b_ih + b_hh, xp), xp.permute_dims(w_hh, (1, 0))
    h, hs = h0, []
    for t in range(x.shape[0]):
        a = inputs[t, ...] + xp.matmul(h, recurrent)
        h = xp.tanh(a) if nonlinearity == "tanh" else xp.maximum(a, 0.0 * a)
        hs.append(h)
    return xp.stack(hs, axis=0)


def _rnn_backward(
    xp: Any, gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, nonlinearity: str
) -> Arrays:
    dh, steps = 0.0 * h0, []
    for t in range(x.shape[0] - 1, -1, -1):
        dh, h = gy[t, ...] + dh, y[t, ...]
        steps.append(dh * (1.0 - h * h) if nonlinearity == "tanh" else xp.where(h > 0.0, dh, 0.0))
        dh = xp.matmul(steps[-1], w_hh)
    a = xp.stack(steps[::-1], axis=0)
    return _times(a, w_ih, xp), dh, _weight(a, x, xp), _weight(a, _before(y, h0, xp), xp), _total(a, xp)


@primitive(promote=True, outputs=5, tensor_rules=True)
def rnn_grad(
    gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, /, *, nonlinearity: str, xp: Any
) -> Arrays:
    """The cotangents of x, h0, w_ih, w_hh and of either bias from that of the result y of the op `rnn`.

    From the last step to the first: da = (∂h + gy)·(1 − h²), for relu where h > 0; ∂h₋ = da·W_hh.
    """
    return _rnn_backward(xp, gy, x, h0, w_ih, w_hh, y, nonlinearity)


def _rnn_rule(
    g: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, out: Array, nonlinearity: str, need: tuple[bool, ...]
) -> Arrays:
    dx, dh0, dw_ih, dw_hh, db = rnn_grad(g, x, h0, w_ih, w_hh, out, nonlinearity=nonlinearity)
    return dx, dh0, dw_ih, dw_hh, db, db


rnn_.vjp(_rnn_rule)


def _rnn_grad_rule(
    g: Any, need: tuple[bool, ...], gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array,
    nonlinearity: str,
) -> tuple[Any, ...]:  # fmt: skip
    def run(xp: Any, *inputs: Array) -> Arrays:
        return _rnn_backward(xp, *inputs, nonlinearity)

    return _derivative(run, g, (gy, x, h0, w_ih, w_hh, y), need)


rnn_grad.vjp(_rnn_grad_rule)


def rnn(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, *, nonlinearity: str = "tanh"
) -> tuple[Any, Any]:
    """Plain recurrent network over a sequence (Elman 1990): h = tanh(W·x + b + U·h₋ + b′), or relu of it.

    Parameters
    ----------
    x : (t, n, features). h0 : (n, e), the state before the first step.
    w_ih : (e, features), w_hh : (e, e), b_ih, b_hh : (e,) or None.
    nonlinearity : "tanh" or "relu".

    Returns
    -------
    y : (t, n, e), h of every step. h : (n, e), the state after the last step.

    Raises
    ------
    ValueError : shapes do not fit, the sequence has no steps, or another nonlinearity is given.
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"rnn: the nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
    w_hh = asarray(w_hh)
    y = rnn_(x, h0, w_ih, w_hh, *_biases(w_hh, w_hh.shape[0], b_ih, b_hh), nonlinearity=nonlinearity)
    return y, y[-1]
