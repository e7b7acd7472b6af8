"""Rows of `autograd/ops/softmax.py`, against SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from ...autograd import ops
from ...autograd.ops.softmax import log_softmax_, softmax_
from ..case import Edge, OpCase, real

Array = Any
SHAPES = {
    "rows": ((3, 4), 1),
    "columns": ((3, 4), 0),
    "middle": ((2, 5, 3), -2),
    "vector": ((7,), 0),
    "one": ((3, 1), 1),
}


def _rows() -> list[OpCase]:
    rows = []
    for label, (shape, axis) in {**SHAPES, "no-rows": ((0, 3), 1), "no-classes": ((2, 0), 1)}.items():
        x, params = real(*shape, scale=3.0), {"axis": axis}
        soft = lambda x, axis=axis: special.softmax(x, axis) if x.size else x
        log_soft = lambda x, axis=axis: special.log_softmax(x, axis) if x.size else x
        soft_grad = lambda g, y, axis=axis: y * (g - (g * y).sum(axis, keepdims=True))
        log_grad = lambda g, y, axis=axis: g - np.exp(y) * g.sum(axis, keepdims=True)
        rows += [
            OpCase(softmax_, [x], soft, params=params, label=label),
            OpCase(log_softmax_, [x], log_soft, params=params, label=label),
            OpCase(ops.softmax_grad, [real(*shape), real(*shape)], soft_grad, params=params, label=label),
            OpCase(ops.log_softmax_grad, [real(*shape), real(*shape)], log_grad, params=params, label=label),
        ]
    return rows


# Large numbers do not overflow; −∞ is an exact zero; a row of −∞ alone is NaN, as in PyTorch.
EDGES = [
    OpCase(
        softmax_, [real(2, 3)], lambda x: special.softmax(x, 1), params={"axis": 1}, label="extremes",
        edges=[
            Edge([[1000.0, 1000.0, -np.inf]], out=[[0.5, 0.5, 0.0]], grads=[[[0.0, 0.0, 0.0]]]),
            Edge([[-np.inf, -np.inf]], out=[[np.nan, np.nan]]),
        ],
    ),
    OpCase(
        log_softmax_, [real(2, 3)], lambda x: special.log_softmax(x, 1), params={"axis": 1}, label="extremes",
        edges=[
            Edge([[1000.0, -np.inf]], out=[[0.0, -np.inf]], grads=[[[-1.0, 1.0]]]),
            Edge([[-np.inf, -np.inf]], out=[[np.nan, np.nan]]),
        ],
    ),
]  # fmt: skip

CASES: list[OpCase] = [*_rows(), *EDGES]
