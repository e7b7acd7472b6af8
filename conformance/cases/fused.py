"""Rows of `autograd/ops/fused.py`. Each reference is the parts' plain formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import ops
from ..case import Domain, OpCase, ints, nonzero, real
from .conv import conv_reference

Array = Any
Pair = tuple[int, int]


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


PLAIN = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
CONV: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "": ((2, 3, 5, 6), (4, 3, 3, 3), PLAIN),
    "padded": ((1, 2, 4, 5), (9, 2, 3, 2), {**PLAIN, "padding": (1, 1), "stride": (2, 1)}),
    "gray": ((3, 1, 6, 6), (5, 1, 3, 3), PLAIN),
    "many": ((5, 2, 4, 3), (3, 2, 2, 2), {**PLAIN, "padding": (0, 1)}),
    "groups": ((1, 4, 4, 4), (6, 2, 3, 3), {**PLAIN, "groups": 2}),
    "tiles": ((4, 17, 13, 12), (19, 17, 3, 3), {**PLAIN, "padding": (0, 1)}),
}
# after a convolution, with windows side by side
POOLED: dict[str, tuple[tuple[int, ...], tuple[int, ...], Pair, dict[str, Any]]] = {
    "": ((2, 3, 6, 8), (4, 3, 3, 3), (2, 2), PLAIN),
    "many": ((5, 2, 7, 5), (3, 2, 2, 2), (2, 2), PLAIN),
    "padded": ((4, 2, 5, 4), (9, 2, 3, 2), (2, 2), {**PLAIN, "padding": (1, 1)}),
    "stride": ((1, 2, 9, 8), (3, 2, 3, 3), (2, 2), {**PLAIN, "stride": (2, 1)}),
    "wide": ((1, 2, 6, 8), (3, 2, 3, 3), (2, 3), PLAIN),
    "groups": ((4, 4, 4, 4), (6, 2, 2, 2), (2, 2), {**PLAIN, "groups": 2, "dilation": (2, 1)}),
    "tiles": ((4, 17, 13, 14), (19, 17, 3, 3), (2, 2), {**PLAIN, "padding": (1, 0)}),
}


def _conv(params: dict[str, Any]) -> Any:
    plain = conv_reference(params)
    return lambda x, weight, bias: _relu(plain(x, weight, bias))


def _out_shape(x: Any, w: Any, params: dict[str, Any]) -> tuple[int, ...]:
    return tuple(conv_reference(params)(np.zeros(x), np.zeros(w), np.zeros(w[0])).shape)


def _windows(y: Array, window: Pair) -> Array:
    kh, kw = window
    n, c, h, w = y.shape
    y = y[:, :, : h // kh * kh, : w // kw * kw].reshape(n, c, h // kh, kh, w // kw, kw)
    return y.transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // kh, w // kw, kh * kw)


def _pooled(window: Pair, params: dict[str, Any]) -> Any:
    def reference(x: Array, weight: Array, bias: Array) -> tuple[Array, Array]:
        windows = _windows(_conv(params)(x, weight, bias), window)
        y = windows.max(-1)
        return y, np.where(y > 0, windows.argmax(-1), -1).astype(np.int8)

    return reference


def _spread(g: Array, place: Array, window: Pair, size: Pair) -> Array:
    out = np.zeros((*g.shape[:2], *size))
    for (n, c, p, q), tap in np.ndenumerate(place):
        if tap >= 0:
            out[n, c, p * window[0] + tap // window[1], q * window[1] + tap % window[1]] = g[n, c, p, q]
    return out


def _grads(u: Array, x: Array, weight: Array, params: dict[str, Any]) -> tuple[Array, Array, Array]:
    """Cotangents of weight, bias and x, each tap of the window by itself."""
    (ph, pw), (sh, sw), (dh, dw) = (params[k] for k in ("padding", "stride", "dilation"))
    groups = params["groups"]
    o, per_group, kh, kw = weight.shape
    h, w = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    dx, dweight = np.zeros_like(padded), np.zeros_like(weight)
    for i in range(kh):
        for j in range(kw):
            at = np.s_[:, :, i * dh :, j * dw :]
            view, target = (a[at][:, :, ::sh, ::sw][:, :, : u.shape[2], : u.shape[3]] for a in (padded, dx))
            for k in range(groups):
                outs, ins = np.s_[k * o // groups : (k + 1) * o // groups], np.s_[k * per_group : (k + 1) * per_group]
                dweight[outs, :, i, j] = np.einsum("nopq,ncpq->oc", u[:, outs], view[:, ins])
                target[:, ins] += np.einsum("nopq,oc->ncpq", u[:, outs], weight[outs, :, i, j])
    return dweight, u.sum((0, 2, 3)), dx[:, :, ph : ph + h, pw : pw + w]


def _relu_grads(params: dict[str, Any]) -> Any:
    return lambda g, y, x, weight: _grads(g * (y > 0), x, weight, params)


def _pool_grads(window: Pair, params: dict[str, Any], need_x: bool) -> Any:
    def reference(g: Array, place: Array, x: Array, weight: Array) -> tuple[Array, ...]:
        size = _out_shape(x.shape, weight.shape, params)[2:]
        found = _grads(_spread(g, place, window, (size[0], size[1])), x, weight, params)
        return found if need_x else found[:2]

    return reference


def _pool_shape(x: Any, w: Any, window: Pair, params: dict[str, Any]) -> tuple[int, ...]:
    n, o, h, width = _out_shape(x, w, params)
    return n, o, h // window[0], width // window[1]


def _places(shape: tuple[int, ...], window: Pair) -> Domain:
    return ints(*shape, low=-1, high=window[0] * window[1], dtype="int8")


CASES: list[OpCase] = [
    *(
        OpCase(ops.conv2d_relu, [real(*x), real(*w), real(w[0])], _conv(params), params=params, label=label)
        for label, (x, w, params) in CONV.items()
    ),
    *(
        OpCase(
            ops.conv2d_relu_grad,
            [real(*_out_shape(x, w, params)), nonzero(*_out_shape(x, w, params)), real(*x), real(*w)],
            _relu_grads(params),
            params={**params, "need_x": True},
            label=label,
        )
        for label, (x, w, params) in CONV.items()
    ),
    *(
        OpCase(
            ops.conv2d_relu_max_pool2d,
            [real(*x), real(*w), real(w[0])],
            _pooled(window, params),
            params={**params, "window": window},
            label=label,
        )
        for label, (x, w, window, params) in POOLED.items()
    ),
    *(
        OpCase(
            ops.conv2d_relu_max_pool2d_grad,
            [real(*(shape := _pool_shape(x, w, window, params))), _places(shape, window), real(*x), real(*w)],
            _pool_grads(window, params, need_x),
            params={**params, "window": window, "need_x": need_x},
            label=label if need_x else f"{label}-first-layer".lstrip("-"),
        )
        for label, (x, w, window, params) in POOLED.items()
        for need_x in ((True, False) if label in ("", "padded") else (True,))
    ),
    OpCase(
        ops.spread_places,
        [real(2, 3, 2, 2), _places((2, 3, 2, 2), (2, 3))],
        lambda g, place: _spread(g, place, (2, 3), (5, 6)),
        params={"window": (2, 3), "size": (5, 6)},
    ),
    OpCase(
        ops.gather_places,
        [real(2, 3, 5, 6), _places((2, 3, 2, 2), (2, 3))],
        lambda u, place: (
            np.take_along_axis(_windows(u, (2, 3)), np.maximum(place, 0)[..., None].astype(int), -1)[..., 0]
            * (place >= 0)
        ),
        params={"window": (2, 3)},
    ),
]
