"""Rows of `autograd/ops/linear.py`."""

from __future__ import annotations

import numpy as np

from ...autograd import ops
from ..case import OpCase, real


def _affine(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return x @ weight.T + bias


def _grads(g: np.ndarray, x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    rows, flat = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    return rows.T @ flat, rows.sum(0), g @ weight


CASES: list[OpCase] = [
    OpCase(ops.linear, [real(5, 3), real(4, 3), real(4)], _affine),
    OpCase(ops.linear, [real(3), real(4, 3), real(4)], _affine, label="vector"),
    OpCase(ops.linear, [real(2, 3, 5), real(4, 5), real(4)], _affine, label="batches"),
    OpCase(ops.linear, [real(1, 7), real(1, 7), real(1)], _affine, label="one"),
    OpCase(ops.linear, [real(9, 33), real(35, 33), real(35)], _affine, label="tails"),
    OpCase(ops.linear, [real(1, 150), real(131, 150), real(131)], _affine, label="one-row", orders=1),
    OpCase(ops.linear, [real(2, 97), real(101, 97), real(101)], _affine, label="two-rows", orders=1),
    OpCase(ops.linear, [real(0, 3), real(4, 3), real(4)], _affine, label="empty-batch"),
    OpCase(ops.linear, [real(2, 0), real(4, 0), real(4)], _affine, label="no-features"),
    OpCase(ops.linear, [real(2, 3), real(0, 3), real(0)], _affine, label="no-outputs"),
    OpCase(ops.linear_grad, [real(5, 4), real(5, 3), real(4, 3)], _grads, params={"need_x": True}),
    OpCase(ops.linear_grad, [real(4), real(3), real(4, 3)], _grads, params={"need_x": True}, label="vector"),
    OpCase(
        ops.linear_grad, [real(2, 3, 5), real(2, 3, 7), real(5, 7)], _grads, params={"need_x": True}, label="batches"
    ),
    OpCase(ops.linear_grad, [real(9, 19), real(9, 33), real(19, 33)], _grads, params={"need_x": True}, label="tails"),
    OpCase(
        ops.linear_grad,
        [real(6, 17), real(6, 3), real(17, 3)],
        lambda g, x, w: _grads(g, x, w)[:2],
        params={"need_x": False},
        label="first-layer",
    ),
]
