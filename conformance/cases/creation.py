"""Rows of the ops that make constants; the functions that make tensors from nothing are tested in test_creation.py."""

from __future__ import annotations

import numpy as np

from ...autograd.ops import creation
from ..case import OpCase, real

CASES: list[OpCase] = [
    OpCase(
        creation.full_like_,
        [real(2, 3)],
        lambda x: np.full((2, 3), 1.5),
        params={"value": 1.5, "dtype": None, "shape": None},
        orders=0,
    ),
    OpCase(
        creation.full_like_,
        [real(2, 3)],
        lambda x: np.zeros((0, 2), np.int64),
        params={"value": 0, "dtype": "int64", "shape": (0, 2)},
        orders=0,
        label="dtype-shape",
    ),
    OpCase(creation.duplicate, [real(2, 3)], lambda x: x),
    OpCase(creation.duplicate, [real(0, 3)], lambda x: x, label="empty"),
]
