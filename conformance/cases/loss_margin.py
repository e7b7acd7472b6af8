"""Rows of `autograd/ops/loss_margin.py`. The references sum over one pair of classes after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd.ops import loss_margin
from ..case import Composite, OpCase, distinct, fixed, real

Array = Any
SOFT, SOFT_LABELS = Composite(loss_margin.soft_margin_loss), Composite(loss_margin.multilabel_soft_margin_loss)
MULTI, LABELS = Composite(loss_margin.multi_margin_loss), Composite(loss_margin.multilabel_margin_loss)


def _multi(p: int = 1, margin: float = 1.0) -> Any:
    def reference(x: Array, y: Array) -> Array:
        losses = [
            sum(max(0.0, margin - row[t] + v) ** p for j, v in enumerate(row) if j != t) / len(row)
            for row, t in zip(x, y, strict=True)
        ]
        return np.mean(losses)

    return reference


def _labels(x: Array, y: Array) -> Array:
    losses = []
    for row, labels in zip(x, y, strict=True):
        named = labels[: np.argmax(labels < 0)] if (labels < 0).any() else labels
        pairs = [max(0.0, 1 - row[t] + v) for t in named for j, v in enumerate(row) if j not in named]
        losses.append(sum(pairs) / len(row))
    return np.asarray(losses)


CASES: list[OpCase] = [
    OpCase(SOFT, [real(3, 4), fixed(np.where(np.arange(12).reshape(3, 4) % 3, 1.0, -1.0))],
           lambda x, y: np.log1p(np.exp(-x * y)).mean()),
    OpCase(SOFT, [fixed([-800.0, 800.0, 0.0]), fixed([1.0, 1.0, -1.0])],
           lambda x, y: np.array([800.0, 0.0, np.log(2)]), params={"reduction": "none"}, label="far", orders=0),
    OpCase(SOFT_LABELS, [real(3, 4), fixed(np.arange(12).reshape(3, 4) % 2.0)],
           lambda x, y: (y * np.log1p(np.exp(-x)) + (1 - y) * np.log1p(np.exp(x))).mean(-1),
           params={"reduction": "none"}),
    OpCase(MULTI, [distinct(4, 3, gap=0.37), fixed([0, 2, 1, 2])], _multi()),
    OpCase(MULTI, [distinct(4, 3, gap=0.37), fixed([0, 2, 1, 2])], _multi(2, 0.7), params={"p": 2, "margin": 0.7},
           label="squared"),
    OpCase(LABELS, [distinct(3, 4, gap=0.37), fixed([[1, 2, -1, 0], [3, -1, 0, 0], [0, 1, 2, 3]])], _labels,
           params={"reduction": "none"}),
]  # fmt: skip
