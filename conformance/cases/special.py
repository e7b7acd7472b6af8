"""Rows of `autograd/ops/special.py` and `autograd/ops/running.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from ...autograd.ops.running import cumprod_, logcumsumexp_
from ...autograd.ops.special import copysign, erfc, erfinv, lgamma, nan_to_num, polygamma_, signbit
from ..case import Edge, OpCase, bools, fixed, ints, nonzero, positive, real, unit

Array = Any
INF, NAN = np.inf, np.nan
LEFT = fixed([-0.4, -1.7, -2.3, -6.6, 0.2])
DEFAULT = {"nan": 0.0, "posinf": None, "neginf": None}


def _polygamma(n: int) -> Any:
    return lambda x: special.polygamma(n, x)


CASES: list[OpCase] = [
    OpCase(erfc, [real(3, 4)], special.erfc, edges=[Edge([-INF, 0.0, INF, NAN], out=[2.0, 1.0, 0.0, NAN],
           grads=[[0.0, -1.1283791671, 0.0, NAN]])]),
    OpCase(erfc, [positive(5, low=2.0, high=8.0)], special.erfc, label="tail", atol=0.0),
    OpCase(erfinv, [unit(3, 4)], special.erfinv, edges=[Edge([-1.0, 0.0, 1.0, 2.0], out=[-INF, 0.0, INF, NAN],
           grads=[[INF, 0.8862269255, INF, NAN]])]),
    OpCase(erfinv, [fixed([1e-9, -0.999999, 1 - 1e-12])], special.erfinv, label="tails", orders=0, rtol32=1.0,
           atol32=np.inf),
    OpCase(lgamma, [positive(3, 4)], special.gammaln, edges=[Edge([0.0, -3.0, INF], out=[INF, INF, INF])]),
    OpCase(lgamma, [positive(5, low=5.0, high=200.0)], special.gammaln, label="large"),
    OpCase(lgamma, [LEFT], special.gammaln, label="left"),
    OpCase(polygamma_, [positive(3, 4)], special.psi, params={"n": 0}),
    OpCase(polygamma_, [LEFT], special.psi, params={"n": 0}, label="left"),
    OpCase(polygamma_, [positive(3, 4, low=0.6)], _polygamma(1), params={"n": 1}, label="trigamma"),
    OpCase(polygamma_, [fixed([-0.4, -1.7, 0.3])], _polygamma(2), params={"n": 2}, label="second", rtol32=1e-3),
    OpCase(polygamma_, [positive(4, low=5.0, high=40.0)], _polygamma(3), params={"n": 3}, label="third"),
    OpCase(nan_to_num, [real(3, 4)], lambda x: x, params=DEFAULT,
           edges=[Edge([NAN, 1.0], out=[0.0, 1.0], grads=[[0.0, 1.0]])]),
    OpCase(nan_to_num, [fixed([INF, -INF, NAN, 2.0])], lambda x: np.asarray([7.0, -8.0, 1.5, 2.0]),
           params={"nan": 1.5, "posinf": 7.0, "neginf": -8.0}, label="given", orders=0),
    OpCase(nan_to_num, [ints(3, high=9)], lambda x: x, params=DEFAULT, label="ints", orders=0),
    OpCase(signbit, [nonzero(3, 4)], np.signbit, orders=0, edges=[Edge([-0.0, 0.0], out=[True, False])]),
    OpCase(copysign, [nonzero(3, 4), nonzero(3, 4)], np.copysign,
           edges=[Edge([0.0, 2.0], [-1.0, -0.0], out=[-0.0, -2.0], grads=[[0.0, -1.0], None])]),
    OpCase(cumprod_, [nonzero(3, 5)], lambda x: x.cumprod(1), params={"axis": 1},
           edges=[Edge([[2.0, 0.0, 3.0]], out=[[2.0, 0.0, 0.0]], grads=[[[1.0, 8.0, 0.0]]])]),
    OpCase(cumprod_, [fixed([[0.0, 0.5], [2.0, 0.0], [1.5, 0.0], [-1.0, 3.0]])], lambda x: x.cumprod(0),
           params={"axis": 0}, label="zeros"),
    OpCase(cumprod_, [nonzero()], lambda x: x, params={"axis": 0}, label="0-d"),
    OpCase(cumprod_, [real(2, 0)], lambda x: x, params={"axis": 1}, label="empty"),
    OpCase(cumprod_, [bools(4)], lambda x: x.cumprod(0), params={"axis": 0}, label="bools", orders=0),
    OpCase(logcumsumexp_, [real(3, 5)], lambda x: np.logaddexp.accumulate(x, 1), params={"axis": 1},
           edges=[Edge([[-INF, -INF, 1.0, 1000.0]], out=[[-INF, -INF, 1.0, 1000.0]], grads=[[[0.0, 0.0, 1.0, 1.0]]]),
                  Edge([[-INF, -INF]], out=[[-INF, -INF]], grads=[[[0.0, 0.0]]])]),
    OpCase(logcumsumexp_, [real(3, 2)], lambda x: np.logaddexp.accumulate(x, 0), params={"axis": 0}, label="axis0"),
    OpCase(logcumsumexp_, [real()], lambda x: x, params={"axis": 0}, label="0-d"),
    OpCase(logcumsumexp_, [real(0, 2)], lambda x: x, params={"axis": 0}, label="empty"),
]  # fmt: skip
