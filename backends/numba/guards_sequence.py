"""Which arguments the kernels of recurrent networks and attention take. Nothing here needs Numba."""

from __future__ import annotations

from typing import Any

from .guards import floats

Array = Any


def _recurrent(x: Array, h0: Array, w_ih: Array, w_hh: Array, gates: int, index: Array | None = None) -> bool:
    if x.ndim != 3 or h0.ndim != 2:
        return False
    if index is not None and (index.dtype.kind not in "iu" or index.shape != x.shape[:2]):
        return False
    rows = gates * h0.shape[1]
    return bool(h0.shape[0] == x.shape[1] and w_ih.shape == (rows, x.shape[2]) and w_hh.shape == (rows, h0.shape[1]))


def rnn(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, *, nonlinearity: str, gates: int = 1
) -> bool:
    """Arrays that belong together."""
    if not floats(x, h0, w_ih, w_hh, b_ih, b_hh) or not _recurrent(x, h0, w_ih, w_hh, gates):
        return False
    return bool(b_ih.shape == b_hh.shape == w_ih.shape[:1])


def rnn_grad(
    gy: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, index: Array | None = None, *,
    nonlinearity: str, need_x: bool = True, rows: int = 0,
) -> bool:  # fmt: skip
    """Arrays that belong together."""
    if not floats(x, gy, h0, w_ih, w_hh, y) or not _recurrent(x, h0, w_ih, w_hh, 1, index):
        return False
    return bool(gy.shape == y.shape == (*x.shape[:2], h0.shape[1]))


def gru(x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> bool:
    """Arrays that belong together."""
    return rnn(x, h0, w_ih, w_hh, b_ih, b_hh, nonlinearity="", gates=3)


def gru_grad(
    gy: Array, ggates: Array, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, gates: Array,
    index: Array | None = None, *, need_x: bool = True, rows: int = 0,
) -> bool:  # fmt: skip
    """Arrays that belong together."""
    if not floats(x, gy, ggates, h0, w_ih, w_hh, y, gates) or not _recurrent(x, h0, w_ih, w_hh, 3, index):
        return False
    t, n, e = x.shape[0], x.shape[1], h0.shape[1]
    return bool(gy.shape == y.shape == (t, n, e) and ggates.shape == gates.shape == (t, n, 4 * e))


def lstm(x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> bool:
    """Arrays that belong together."""
    if not floats(x, h0, c0, w_ih, w_hh, b_ih, b_hh) or not _recurrent(x, h0, w_ih, w_hh, 4):
        return False
    return bool(c0.shape == h0.shape and b_ih.shape == b_hh.shape == w_ih.shape[:1])


def lstm_grad(
    gy: Array, gc: Array, ggates: Array, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, y: Array, c: Array,
    gates: Array, index: Array | None = None, *, need_x: bool = True, rows: int = 0,
) -> bool:  # fmt: skip
    """Arrays that belong together."""
    if not floats(x, gy, gc, ggates, h0, c0, w_ih, w_hh, y, c, gates) or not _recurrent(x, h0, w_ih, w_hh, 4, index):
        return False
    t, n, e = x.shape[0], x.shape[1], h0.shape[1]
    states = all(a.shape == (t, n, e) for a in (gy, gc, y, c))
    return states and c0.shape == h0.shape and ggates.shape == gates.shape == (t, n, 4 * e)


def attention(q: Array, k: Array, v: Array, *, causal: bool, scale: float) -> bool:
    """Equal leading axes: nothing to broadcast."""
    if not floats(q, k, v) or not q.ndim == k.ndim == v.ndim >= 2:
        return False
    lead = q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
    return bool(lead and q.shape[-1] == k.shape[-1] and k.shape[-2] == v.shape[-2])


def attention_grad(
    gy: Array, glse: Array, q: Array, k: Array, v: Array, y: Array, lse: Array, *, causal: bool, scale: float
) -> bool:
    """As `attention`, with results and cotangents of its shapes."""
    if not floats(gy, glse, q, k, v, y, lse) or not attention(q, k, v, causal=causal, scale=scale):
        return False
    return bool(gy.shape == y.shape == (*q.shape[:-1], v.shape[-1]) and glse.shape == lse.shape == q.shape[:-1])
