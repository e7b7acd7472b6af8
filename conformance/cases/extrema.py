"""Rows of `autograd/ops/extrema.py`."""

from __future__ import annotations

import numpy as np

from ...autograd.ops.extrema import argmax_, argmin_, max_, min_, norm_
from ..case import Edge, OpCase, bools, distinct, fixed, ints, nonzero, real

INF, NAN = np.inf, np.nan
AXIS1 = {"axis": (1,), "keepdims": False}
KEPT = {"axis": (0, 2), "keepdims": True}
ALL: dict[str, object] = {"axis": None, "keepdims": False}


def _norm(ord: float) -> object:
    return lambda x: np.linalg.norm(x, ord=ord, axis=1)


CASES: list[OpCase] = [
    OpCase(max_, [distinct(3, 4)], lambda x: x.max(1), params=AXIS1,
           edges=[Edge([[2.0, 1.0, 2.0]], out=[2.0], grads=[[[0.5, 0.0, 0.5]]])]),
    OpCase(max_, [distinct(3, 4, 2)], lambda x: x.max((0, 2), keepdims=True), params=KEPT, label="kept"),
    OpCase(max_, [distinct(7, 5)], np.max, params=ALL, label="all"),
    OpCase(max_, [real()], lambda x: x, params=ALL, label="0-d"),
    OpCase(max_, [real(0, 3)], lambda x: x.max(1), params=AXIS1, label="empty"),
    OpCase(max_, [ints(3, 4, high=9)], lambda x: x.max(1), params=AXIS1, label="ints", orders=0),
    OpCase(max_, [bools(3, 4)], lambda x: x.max(1), params=AXIS1, label="bools", orders=0),
    OpCase(min_, [distinct(3, 4)], lambda x: x.min(1), params=AXIS1,
           edges=[Edge([[1.0, 1.0, 2.0]], out=[1.0], grads=[[[0.5, 0.5, 0.0]]]), Edge([[NAN, 1.0]], out=[NAN])]),
    OpCase(min_, [distinct(3, 4, 2)], lambda x: x.min((0, 2), keepdims=True), params=KEPT, label="kept"),
    OpCase(min_, [distinct(7, 5)], np.min, params=ALL, label="all"),
    OpCase(min_, [bools(3, 4)], lambda x: x.min(1), params=AXIS1, label="bools", orders=0),
    OpCase(argmax_, [distinct(3, 4)], lambda x: x.argmax(1), params={"axis": 1, "keepdims": False}, orders=0),
    OpCase(argmax_, [ints(3, 4, high=3)], lambda x: x.argmax(0, keepdims=True), params={"axis": 0, "keepdims": True},
           label="ties", orders=0),
    OpCase(argmax_, [distinct(3, 4)], np.argmax, params=ALL, label="all", orders=0),
    OpCase(argmax_, [real()], lambda x: np.zeros((), int), params={"axis": 0, "keepdims": False}, label="0-d",
           orders=0),
    OpCase(argmin_, [distinct(3, 4)], lambda x: x.argmin(1), params={"axis": 1, "keepdims": False}, orders=0),
    OpCase(argmin_, [ints(3, 4, high=3)], lambda x: x.argmin(0, keepdims=True), params={"axis": 0, "keepdims": True},
           label="ties", orders=0),
    OpCase(argmin_, [distinct(3, 4)], np.argmin, params=ALL, label="all", orders=0),
    OpCase(norm_, [real(3, 4)], _norm(2), params={**AXIS1, "ord": 2},
           edges=[Edge([[0.0, 0.0]], out=[0.0], grads=[[[0.0, 0.0]]]), Edge([[0.0, 3.0]], out=[3.0],
                  grads=[[[0.0, 1.0]]])]),
    OpCase(norm_, [real(3, 4, 2)], lambda x: np.sqrt((x * x).sum((0, 2), keepdims=True)), params={**KEPT, "ord": 2},
           label="kept"),
    OpCase(norm_, [real(7, 5)], np.linalg.norm, params={**ALL, "ord": 2}, label="all"),
    OpCase(norm_, [nonzero()], np.abs, params={**ALL, "ord": 2}, label="0-d"),
    OpCase(norm_, [real(0, 3)], lambda x: np.zeros(3), params={"axis": (0,), "keepdims": False, "ord": 2},
           label="empty"),
    OpCase(norm_, [nonzero(3, 4)], _norm(1), params={**AXIS1, "ord": 1}, label="one",
           edges=[Edge([[0.0, -3.0]], out=[3.0], grads=[[[0.0, -1.0]]])]),
    OpCase(norm_, [distinct(3, 4)], _norm(INF), params={**AXIS1, "ord": INF}, label="inf",
           edges=[Edge([[1.0, -3.0, 3.0]], out=[3.0], grads=[[[0.0, -0.5, 0.5]]])]),
    OpCase(norm_, [nonzero(3, 4)], _norm(-INF), params={**AXIS1, "ord": -INF}, label="minus-inf"),
    OpCase(norm_, [fixed([[0.0, 1.5, -2.0], [0.0, 0.0, 1.0]])], _norm(0), params={**AXIS1, "ord": 0}, label="zero",
           orders=0),
    OpCase(norm_, [nonzero(3, 4)], _norm(3), params={**AXIS1, "ord": 3}, label="three",
           edges=[Edge([[0.0, 0.0]], out=[0.0], grads=[[[0.0, 0.0]]]), Edge([[0.0, -2.0]], out=[2.0],
                  grads=[[[0.0, -1.0]]])]),
    OpCase(norm_, [nonzero(3, 4)], _norm(1.5), params={**AXIS1, "ord": 1.5}, label="fraction"),
    OpCase(norm_, [nonzero(3, 4)], _norm(0.5), params={**AXIS1, "ord": 0.5}, label="half",
           edges=[Edge([[0.0, -2.0]], out=[2.0], grads=[[[0.0, -1.0]]])]),
]  # fmt: skip
