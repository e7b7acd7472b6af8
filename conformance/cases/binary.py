"""Rows of `autograd/ops/binary.py`."""

from __future__ import annotations

import numpy as np
from scipy import special

from ...autograd import ops
from ..case import Edge, OpCase, nonzero, positive, real

INF, NAN = np.inf, np.nan

CASES: list[OpCase] = [
    OpCase(ops.atan2, [real(3, 4), nonzero(3, 4)], np.arctan2, edges=[Edge([0.0], [0.0], out=[0.0], grads=[[0.0],
           [0.0]])]),
    OpCase(ops.hypot, [real(3, 4), nonzero(3, 4)], np.hypot,
           edges=[Edge([0.0, 3e30], [0.0, 4e30], out=[0.0, 5e30], grads=[[0.0, 0.6], [0.0, 0.8]])]),
    OpCase(ops.logaddexp, [real(3, 4), real(3, 4)], np.logaddexp,
           edges=[Edge([-INF, 1000.0, -INF], [-INF, 1000.0, 2.0], out=[-INF, 1000.0 + np.log(2), 2.0],
                       grads=[[0.5, 0.5, 0.0], [0.5, 0.5, 1.0]])]),
    OpCase(ops.xlogy, [real(3, 4), positive(3, 4)], special.xlogy,
           edges=[Edge([0.0, 0.0, 0.0], [0.0, 1.0, NAN], out=[0.0, 0.0, NAN], grads=[[0.0, 0.0, NAN],
                  [0.0, 0.0, NAN]])]),
]  # fmt: skip
