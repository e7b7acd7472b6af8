"""Rows of `autograd/ops/scan.py`."""

from __future__ import annotations

import numpy as np

from ...autograd.ops.scan import cumsum_, prod_
from ..case import Edge, OpCase, bools, fixed, ints, nonzero, real

AXIS1 = {"axis": (1,), "keepdims": False}
KEPT = {"axis": (0, 2), "keepdims": True}
ALL: dict[str, object] = {"axis": None, "keepdims": False}
_ZEROS = fixed(
    [[0.0, 1.5, -2.0, 0.7, 1.1], [0.0, 0.0, 2.0, 3.0, -0.4], [0.3, 1.2, 0.0, 0.0, 0.0], [0.5, 0.7, 2.0, 1.4, -1.0]]
)

CASES: list[OpCase] = [
    OpCase(prod_, [nonzero(3, 4)], lambda x: x.prod(1), params=AXIS1,
           edges=[Edge([[0.0, 2.0, 3.0]], out=[0.0], grads=[[[6.0, 0.0, 0.0]]]),
                  Edge([[0.0, 0.0, 3.0]], out=[0.0], grads=[[[0.0, 0.0, 0.0]]])]),
    OpCase(prod_, [_ZEROS], lambda x: x.prod(1), params=AXIS1, label="zeros"),
    OpCase(prod_, [nonzero(3, 4, 2)], lambda x: x.prod((0, 2), keepdims=True), params=KEPT, label="kept"),
    OpCase(prod_, [nonzero(3, 3)], np.prod, params=ALL, label="all"),
    OpCase(prod_, [nonzero(1, 3)], lambda x: x[0], params={"axis": (0,), "keepdims": False}, label="one"),
    OpCase(prod_, [nonzero()], lambda x: x, params=ALL, label="0-d"),
    OpCase(prod_, [real(0, 3)], lambda x: np.ones(3), params={"axis": (0,), "keepdims": False}, label="empty"),
    OpCase(prod_, [real(3, 0)], lambda x: np.ones(0), params={"axis": (0,), "keepdims": False}, label="no-columns"),
    OpCase(prod_, [ints(3, 4, low=-3, high=4)], lambda x: x.prod(1), params=AXIS1, label="ints", orders=0),
    OpCase(prod_, [bools(3, 4)], lambda x: x.prod(1), params=AXIS1, label="bools", orders=0),
    OpCase(cumsum_, [real(3, 4)], lambda x: x.cumsum(1), params={"axis": 1, "reverse": False}),
    OpCase(cumsum_, [real(3, 4)], lambda x: x[::-1].cumsum(0)[::-1], params={"axis": 0, "reverse": True},
           label="reverse"),
    OpCase(cumsum_, [real()], lambda x: x, params={"axis": 0, "reverse": False}, label="0-d"),
    OpCase(cumsum_, [real(0, 3)], lambda x: x, params={"axis": 0, "reverse": False}, label="empty"),
    OpCase(cumsum_, [bools(5)], lambda x: x.cumsum(0), params={"axis": 0, "reverse": False}, label="bools", orders=0),
]  # fmt: skip
