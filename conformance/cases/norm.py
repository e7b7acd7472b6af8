"""Rows of `autograd/ops/norm.py` and `norm_relu.py`. A large ε is among them, which tells √(σ² + ε) from √σ² + ε."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import ops
from ..case import OpCase, nonzero, positive, real

Array = Any


def _standardize(x: Array, over: tuple[int, ...], eps: float) -> tuple[Array, Array]:
    """x̂ and 1/√(σ² + ε)."""
    r = 1 / np.sqrt(x.var(over, keepdims=True) + eps)
    return (x - x.mean(over, keepdims=True)) * r, r


def _pull(v: Array, x: Array, over: tuple[int, ...], eps: float) -> Array:
    xhat, r = _standardize(x, over, eps)
    return r * (v - v.mean(over, keepdims=True) - xhat * (v * xhat).mean(over, keepdims=True))


def _layer_rows() -> list[OpCase]:
    rows = []
    shapes = {
        "last": ((3, 5), 1, 1e-5), "two-axes": ((2, 3, 4), 2, 1e-5), "wide-eps": ((2, 2, 5), 1, 0.7),
        "alone": ((4,), 1, 1e-5), "no-rows": ((0, 4), 1, 1e-5),
    }  # fmt: skip
    for label, (shape, axes, eps) in shapes.items():
        params, tail = {"axes": axes, "eps": eps}, shape[len(shape) - axes :]
        over, lead = tuple(range(-axes, 0)), tuple(range(len(shape) - axes))
        x, w = real(*shape), real(*tail)

        def layer_grad(
            g: Array, x: Array, w: Array, over: Any = over, lead: Any = lead, eps: float = eps
        ) -> tuple[Array, ...]:
            return _pull(g * w, x, over, eps), (g * _standardize(x, over, eps)[0]).sum(lead), g.sum(lead)

        rows += [
            OpCase(
                ops.layer_norm, [x, w, w],
                lambda x, w, b, over=over, eps=eps: _standardize(x, over, eps)[0] * w + b, params=params, label=label,
            ),
            OpCase(ops.layer_norm_grad, [x, x, w], layer_grad, params=params, label=label),
            OpCase(
                ops.standardize, [x], lambda x, over=over, eps=eps: _standardize(x, over, eps)[0],
                params=params, label=label,
            ),
            OpCase(
                ops.standardize_grad, [x, x], lambda g, x, over=over, eps=eps: _pull(g, x, over, eps),
                params=params, label=label,
            ),
        ]  # fmt: skip
    return rows


def _batch_rows() -> list[OpCase]:
    rows = []
    shapes = {
        "features": ((5, 3), 1e-5),
        "images": ((2, 3, 2, 3), 1e-5),
        "one-image": ((1, 7, 3, 3), 1e-5),
        "wide-eps": ((3, 2, 4), 0.7),
    }
    for label, (shape, eps) in shapes.items():
        over = tuple(i for i in range(len(shape)) if i != 1)
        c = shape[1]
        column = tuple(c if i == 1 else 1 for i in range(len(shape)))

        def forward(x: Array, w: Array, b: Array, over: Any = over, column: Any = column, eps: float = eps) -> Any:
            y = _standardize(x, over, eps)[0] * w.reshape(column) + b.reshape(column)
            return y, x.mean(over), x.var(over)

        def backward(
            g: Array, gm: Array, gv: Array, x: Array, w: Array, mean: Array, var: Array,
            over: Any = over, column: Any = column, eps: float = eps,
        ) -> Any:  # fmt: skip
            w, mean, var, gm, gv = (a.reshape(column) for a in (w, mean, var, gm, gv))
            n = x.size / w.size
            r, centred = 1 / np.sqrt(var + eps), x - mean
            h, xhat = g * w, centred * r
            dx = r * (h - h.mean(over, keepdims=True) - xhat * (h * xhat).mean(over, keepdims=True))
            return dx + (gm + 2 * gv * centred) / n, (g * xhat).sum(over), g.sum(over)

        def forward_relu(x: Array, w: Array, b: Array, forward: Any = forward) -> Any:
            y, mean, var = forward(x, w, b)
            return np.maximum(y, 0), mean, var

        def forward_add(x: Array, more: Array, w: Array, b: Array, forward: Any = forward) -> Any:
            y, mean, var = forward(x, w, b)
            return np.maximum(y + more, 0), mean, var

        def backward_relu(
            g: Array, gm: Array, gv: Array, x: Array, w: Array, b: Array, mean: Array, var: Array,
            backward: Any = backward, column: Any = column, eps: float = eps,
        ) -> Any:  # fmt: skip
            y = (x - mean.reshape(column)) * (w / np.sqrt(var + eps)).reshape(column) + b.reshape(column)
            return backward(g * (y > 0), gm, gv, x, w, mean, var)

        def backward_add(
            g: Array, gm: Array, gv: Array, y: Array, x: Array, w: Array, mean: Array, var: Array,
            backward: Any = backward,
        ) -> Any:  # fmt: skip
            dx, dw, db = backward(g * (y > 0), gm, gv, x, w, mean, var)
            return dx, g * (y > 0), dw, db

        vector, image = real(c), real(*shape)
        cotangents = [image, vector, vector]
        statistics = [vector, positive(c)]
        rows += [
            OpCase(op, inputs, reference, params={"eps": eps}, label=label)
            for op, inputs, reference in (
                (ops.batch_norm, [image, vector, vector], forward),
                (ops.batch_norm_grad, [*cotangents, image, vector, *statistics], backward),
                (ops.batch_norm_relu, [image, vector, vector], forward_relu),
                (ops.batch_norm_relu_grad, [*cotangents, image, vector, vector, *statistics], backward_relu),
                (ops.batch_norm_add_relu, [image, image, vector, vector], forward_add),
                (
                    ops.batch_norm_add_relu_grad, [*cotangents, nonzero(*shape), image, vector, *statistics],
                    backward_add,
                ),
            )
        ]  # fmt: skip
    return rows


def _group_rows() -> list[OpCase]:
    rows = []
    shapes = {
        "images": ((2, 6, 2, 3), 3, 1e-5), "instance": ((2, 3, 4), 3, 1e-5), "one-group": ((1, 4, 3, 2), 1, 1e-5),
        "features": ((3, 4), 2, 1e-5), "wide-eps": ((2, 4, 1, 2, 2), 2, 0.7), "tail": ((1, 17, 3, 5), 1, 1e-5),
        "no-samples": ((0, 4, 2), 2, 1e-5),
    }  # fmt: skip
    for label, (shape, groups, eps) in shapes.items():
        grouped, c = (shape[0], groups, int(np.prod(shape[1:])) // groups), shape[1]
        column, over = (c, *[1] * (len(shape) - 2)), (0, *range(2, len(shape)))

        def xhat(x: Array, grouped: Any = grouped, eps: float = eps) -> Array:
            return _standardize(x.reshape(grouped), (2,), eps)[0].reshape(x.shape)

        def forward(x: Array, w: Array, b: Array, xhat: Any = xhat, column: Any = column) -> Array:
            return xhat(x) * w.reshape(column) + b.reshape(column)

        def backward(
            g: Array, x: Array, w: Array, xhat: Any = xhat, column: Any = column, over: Any = over,
            grouped: Any = grouped, eps: float = eps,
        ) -> tuple[Array, ...]:  # fmt: skip
            dx = _pull((g * w.reshape(column)).reshape(grouped), x.reshape(grouped), (2,), eps)
            return dx.reshape(x.shape), (g * xhat(x)).sum(over), g.sum(over)

        params, image, vector = {"groups": groups, "eps": eps}, real(*shape), real(c)
        rows += [
            OpCase(ops.norm_group.group_norm_, [image, vector, vector], forward, params=params, label=label),
            OpCase(ops.group_norm_grad, [image, image, vector], backward, params=params, label=label),
        ]
    return rows


def _rms_rows() -> list[OpCase]:
    rows = []
    shapes = {
        "last": ((3, 5), 1, 1e-6), "two-axes": ((2, 3, 4), 2, 1e-6), "wide-eps": ((2, 2, 5), 1, 0.7),
        "alone": ((4,), 1, 1e-6), "tail": ((2, 35), 1, 1e-6), "no-rows": ((0, 4), 1, 1e-6),
    }  # fmt: skip
    for label, (shape, axes, eps) in shapes.items():
        over, lead = tuple(range(-axes, 0)), tuple(range(len(shape) - axes))

        def scale(x: Array, over: Any = over, eps: float = eps) -> Array:
            return 1 / np.sqrt((x * x).mean(over, keepdims=True) + eps)

        def backward(
            g: Array, x: Array, w: Array, scale: Any = scale, over: Any = over, lead: Any = lead
        ) -> tuple[Array, ...]:
            r, v = scale(x), g * w
            return r * v - x * r**3 * (v * x).mean(over, keepdims=True), (g * x * r).sum(lead)

        params, x, w = {"axes": axes, "eps": eps}, real(*shape), real(*shape[len(shape) - axes :])
        rows += [
            OpCase(
                ops.norm_rms.rms_norm_, [x, w], lambda x, w, scale=scale: x * scale(x) * w, params=params, label=label
            ),
            OpCase(ops.rms_norm_grad, [x, x, w], backward, params=params, label=label),
        ]  # fmt: skip
    return rows


CASES: list[OpCase] = [*_layer_rows(), *_batch_rows(), *_group_rows(), *_rms_rows()]
