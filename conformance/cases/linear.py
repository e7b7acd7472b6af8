"""Rows of `autograd/ops/linear.py`."""

from __future__ import annotations

import numpy as np

from ...autograd import ops
from ..case import OpCase, real


def _affine(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return x @ weight.T + bias


CASES: list[OpCase] = [
    OpCase(ops.linear, [real(5, 3), real(4, 3), real(4)], _affine),
    OpCase(ops.linear, [real(3), real(4, 3), real(4)], _affine, label="vector"),
    OpCase(ops.linear, [real(2, 3, 5), real(4, 5), real(4)], _affine, label="batches"),
    OpCase(ops.linear, [real(1, 7), real(1, 7), real(1)], _affine, label="one"),
    OpCase(ops.linear, [real(0, 3), real(4, 3), real(4)], _affine, label="empty-batch"),
    OpCase(ops.linear, [real(2, 0), real(4, 0), real(4)], _affine, label="no-features"),
    OpCase(ops.linear, [real(2, 3), real(0, 3), real(0)], _affine, label="no-outputs"),
]
