"""Rows of `autograd/ops/reduce.py`."""

from __future__ import annotations

import numpy as np
from scipy import special

from ...autograd.ops.reduce import all_, any_, logsumexp_, mean_, std_, sum_, var_
from ..case import Edge, OpCase, bools, fixed, ints, real

INF, NAN = np.inf, np.nan
AXIS1 = {"axis": (1,), "keepdims": False}
KEPT = {"axis": (0, 2), "keepdims": True}
ALL: dict[str, object] = {"axis": None, "keepdims": False}

CASES: list[OpCase] = [
    OpCase(sum_, [real(3, 4)], lambda x: x.sum(1), params=AXIS1),
    OpCase(sum_, [real(3, 4, 2)], lambda x: x.sum((0, 2), keepdims=True), params=KEPT, label="kept"),
    OpCase(sum_, [real(7, 5)], np.sum, params=ALL, label="all"),
    OpCase(sum_, [real(3, 4)], lambda x: x, params={"axis": (), "keepdims": False}, label="no-axis"),
    OpCase(sum_, [real()], lambda x: x, params=ALL, label="0-d"),
    OpCase(sum_, [real(0, 3)], lambda x: x.sum(0), params={"axis": (0,), "keepdims": False}, label="empty"),
    OpCase(sum_, [bools(3, 4)], lambda x: x.sum(1), params=AXIS1, label="bools", orders=0),
    OpCase(sum_, [ints(3, 4, high=100, dtype="int8")], lambda x: x.sum(1), params=AXIS1, label="ints", orders=0),
    OpCase(mean_, [real(3, 4)], lambda x: x.mean(1), params=AXIS1),
    OpCase(mean_, [real(3, 4, 2)], lambda x: x.mean((0, 2), keepdims=True), params=KEPT, label="kept"),
    OpCase(mean_, [real(7, 5)], np.mean, params=ALL, label="all"),
    OpCase(mean_, [real()], lambda x: x, params=ALL, label="0-d"),
    OpCase(mean_, [real(0, 3)], lambda x: np.full(3, NAN), params={"axis": (0,), "keepdims": False}, label="empty",
           orders=0),
    OpCase(var_, [real(3, 4)], lambda x: x.var(1, ddof=1), params=AXIS1),
    OpCase(var_, [real(3, 4, 2)], lambda x: x.var((0, 2), keepdims=True), params={**KEPT, "correction": 0},
           label="kept"),
    OpCase(var_, [real(7, 5)], np.var, params={**ALL, "correction": 0}, label="all"),
    OpCase(var_, [real()], lambda x: x * 0, params={**ALL, "correction": 0}, label="0-d"),
    OpCase(var_, [real(4, 3)], lambda x: ((x - x.mean(0)) ** 2).sum(0) / 2.5,
           params={"axis": (0,), "keepdims": False, "correction": 1.5}, label="fraction"),
    OpCase(var_, [fixed([[1.0]])], lambda x: np.full(1, NAN), params=AXIS1, label="one", orders=0),
    OpCase(std_, [real(3, 4)], lambda x: x.std(1, ddof=1), params=AXIS1,
           edges=[Edge([[2.0, 2.0]], out=[0.0], grads=[[[0.0, 0.0]]])]),
    OpCase(std_, [real(3, 4, 2)], lambda x: x.std((0, 2), keepdims=True), params={**KEPT, "correction": 0},
           label="kept"),
    OpCase(std_, [real(7, 5)], np.std, params={**ALL, "correction": 0}, label="all"),
    OpCase(logsumexp_, [real(3, 4)], lambda x: special.logsumexp(x, axis=1), params=AXIS1,
           edges=[Edge([[-INF, -INF]], out=[-INF], grads=[[[0.0, 0.0]]]),
                  Edge([[1000.0, 1000.0]], out=[1000.0 + np.log(2)]),
                  Edge([[0.0, 0.0]], out=[np.log(2)], grads=[[[0.5, 0.5]]]),
                  Edge([[-INF, -1000.0]], out=[-1000.0], grads=[[[0.0, 1.0]]]),
                  Edge([[INF, 1000.0]], out=[INF])]),
    OpCase(logsumexp_, [real(3, 4, 2)], lambda x: special.logsumexp(x, axis=(0, 2), keepdims=True), params=KEPT,
           label="kept"),
    OpCase(logsumexp_, [real(7, 5)], special.logsumexp, params=ALL, label="all"),
    OpCase(logsumexp_, [real()], lambda x: x, params=ALL, label="0-d"),
    OpCase(logsumexp_, [real(0, 3)], lambda x: np.full(3, -INF), params={"axis": (0,), "keepdims": False},
           label="empty", orders=0),
    OpCase(any_, [bools(3, 4)], lambda x: x.any(1), params=AXIS1, orders=0),
    OpCase(any_, [fixed([[0.0, NAN], [0.0, 0.0]])], lambda x: np.array([[True], [False]]),
           params={"axis": (1,), "keepdims": True}, label="floats", orders=0),
    OpCase(any_, [bools(0, 3)], lambda x: np.zeros((), bool), params=ALL, label="empty", orders=0),
    OpCase(all_, [bools(3, 4)], lambda x: x.all(1), params=AXIS1, orders=0),
    OpCase(all_, [ints(3, 2, 2, high=2)], lambda x: x.all((0, 2), keepdims=True), params=KEPT, label="ints", orders=0),
    OpCase(all_, [bools(0, 3)], lambda x: np.ones((), bool), params=ALL, label="empty", orders=0),
]  # fmt: skip
