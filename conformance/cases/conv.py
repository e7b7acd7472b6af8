"""Rows of `autograd/ops/conv.py`. The references sum over the window's offsets, one pixel after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import ops
from ..case import OpCase, real

Array = Any

# label -> (n, c, h, w), (o, c/groups, kh, kw), static parameters
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 5, 6), (4, 3, 3, 3), {}),
    "options": ((2, 4, 7, 6), (6, 2, 3, 2), {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}),
    "one-channel": ((2, 1, 9, 8), (3, 1, 3, 3), {}),
    "pointwise": ((2, 3, 3, 4), (5, 3, 1, 1), {}),
    "depthwise": ((2, 4, 5, 5), (4, 1, 3, 3), {"padding": (1, 1), "groups": 4}),
    "depthwise-wide": ((2, 21, 5, 6), (21, 1, 3, 2), {"padding": (1, 2), "groups": 21}),
    "depthwise-stride": (
        (1, 16, 8, 7),
        (16, 1, 3, 3),
        {"stride": (2, 3), "padding": (0, 1), "dilation": (1, 2), "groups": 16},
    ),
    "groups-narrow": ((2, 21, 5, 6), (28, 3, 3, 2), {"padding": (1, 2), "groups": 7}),
    "groups-squares": ((1, 20, 4, 5), (20, 4, 3, 3), {"padding": (1, 1), "groups": 5}),
    "groups-stride": (
        (1, 20, 9, 8),
        (20, 2, 3, 2),
        {"stride": (3, 2), "padding": (2, 0), "dilation": (1, 2), "groups": 10},
    ),
    "multiplier-wide": ((1, 17, 4, 11), (34, 1, 3, 3), {"padding": (1, 1), "groups": 17}),
    "multiplier": ((1, 2, 5, 4), (6, 1, 2, 3), {"padding": (1, 1), "groups": 2}),
    "whole": ((2, 3, 3, 3), (4, 3, 3, 3), {}),
    "wide-stride": ((1, 2, 8, 7), (2, 2, 2, 1), {"stride": (3, 4), "padding": (1, 0)}),
    "phases": ((2, 9, 8, 7), (5, 9, 4, 3), {"stride": (2, 3), "padding": (1, 2), "dilation": (3, 1)}),
    "less-than-stride": ((2, 5, 1, 4), (3, 5, 3, 3), {"stride": (3, 2), "padding": (2, 2), "dilation": (1, 2)}),
    "depthwise-less-than-stride": ((1, 16, 2, 2), (16, 1, 3, 3), {"stride": (3, 4), "padding": (1, 2), "groups": 16}),
    "odd-channels": ((1, 5, 4, 19), (17, 5, 3, 3), {"padding": (1, 1)}),
    "tiles": ((4, 17, 13, 12), (19, 17, 3, 3), {"padding": (0, 1)}),
    "tiles-padded": ((1, 16, 22, 23), (33, 16, 3, 3), {"padding": (2, 2)}),
    "tiles-dilated": ((4, 17, 9, 10), (18, 17, 3, 3), {"padding": (3, 0), "dilation": (3, 2)}),
    "tiles-large": ((4, 16, 9, 10), (17, 16, 5, 4), {"padding": (2, 3)}),
    "tiles-groups": ((4, 36, 7, 6), (34, 18, 3, 3), {"padding": (1, 2), "dilation": (1, 2), "groups": 2}),
    "empty-batch": ((0, 2, 4, 4), (3, 2, 3, 3), {"padding": (1, 1)}),
}
DEFAULTS: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}


def _offsets(x_shape: Any, weight_shape: Any, p: dict[str, Any]) -> Any:
    """(i, j, rows, columns of the padded input) per window offset, and the output's size."""
    (h, w), (kh, kw) = x_shape[2:], weight_shape[2:]
    (sh, sw), (ph, pw), (dh, dw) = p["stride"], p["padding"], p["dilation"]
    oh, ow = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    found = [
        (i, j, slice(i * dh, i * dh + sh * (oh - 1) + 1, sh), slice(j * dw, j * dw + sw * (ow - 1) + 1, sw))
        for i in range(kh)
        for j in range(kw)
    ]
    return found, oh, ow


def _grouped(a: Array, axis: int, groups: int) -> Array:
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


def _padded(x: Array, p: dict[str, Any]) -> Array:
    (ph, pw) = p["padding"]
    return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))


def conv_reference(p: dict[str, Any]) -> Any:
    def reference(x: Array, weight: Array, bias: Array | None = None) -> Array:
        offsets, oh, ow = _offsets(x.shape, weight.shape, p)
        padded, g = _grouped(_padded(x, p), 1, p["groups"]), p["groups"]
        w = _grouped(weight, 0, g)
        out = np.zeros((x.shape[0], g, weight.shape[0] // g, oh, ow))
        for i, j, rows, cols in offsets:
            out += np.einsum("ngchw,goc->ngohw", padded[:, :, :, rows, cols], w[..., i, j])
        out = out.reshape(x.shape[0], weight.shape[0], oh, ow)
        return out if bias is None else out + bias[:, None, None]

    return reference


def _input_grad(p: dict[str, Any], x_shape: Any) -> Any:
    def reference(gy: Array, weight: Array) -> Array:
        offsets, *_ = _offsets(x_shape, weight.shape, p)
        out = _grouped(_padded(np.zeros(x_shape), p), 1, p["groups"])
        g, w = _grouped(gy, 1, p["groups"]), _grouped(weight, 0, p["groups"])
        for i, j, rows, cols in offsets:
            out[:, :, :, rows, cols] += np.einsum("ngohw,goc->ngchw", g, w[..., i, j])
        (ph, pw), (h, w_) = p["padding"], x_shape[2:]
        return out.reshape(x_shape[0], x_shape[1], *out.shape[3:])[:, :, ph : ph + h, pw : pw + w_]

    return reference


def _weight_grad(p: dict[str, Any], weight_shape: Any) -> Any:
    def reference(gy: Array, x: Array) -> Array:
        offsets, *_ = _offsets(x.shape, weight_shape, p)
        padded, g = _grouped(_padded(x, p), 1, p["groups"]), _grouped(gy, 1, p["groups"])
        out = np.zeros(weight_shape)
        for i, j, rows, cols in offsets:
            product = np.einsum("ngohw,ngchw->goc", g, padded[:, :, :, rows, cols])
            out[:, :, i, j] = product.reshape(weight_shape[:2])
        return out

    return reference


def _rows() -> list[OpCase]:
    rows = []
    for label, (x, weight, options) in SHAPES.items():
        p = {**DEFAULTS, **options}
        _, oh, ow = _offsets(x, weight, p)
        y = real(x[0], weight[0], oh, ow)
        rows += [
            OpCase(ops.conv2d, [real(*x), real(*weight)], conv_reference(p), params=p, label=label),
            OpCase(
                ops.conv2d_input_grad, [y, real(*weight)], _input_grad(p, x),
                params={"input_size": x[2:], **p}, label=label,
            ),
            OpCase(
                ops.conv2d_weight_grad, [y, real(*x)], _weight_grad(p, weight),
                params={"kernel_size": weight[2:], **p}, label=label,
            ),
        ]  # fmt: skip
        if label in ("plain", "options", "one-channel", "tiles", "empty-batch"):
            inputs = [real(*x), real(*weight), real(weight[0])]
            rows.append(OpCase(ops.conv2d_bias, inputs, conv_reference(p), params=p, label=label))
    return rows


CASES: list[OpCase] = _rows()
