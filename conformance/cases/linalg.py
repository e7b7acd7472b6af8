"""Rows of the family of products."""

from __future__ import annotations

import numpy as np

from ...autograd.ops import linalg
from ..case import OpCase, real


def _matmul(label: str, x: tuple[int, ...], y: tuple[int, ...]) -> OpCase:
    return OpCase(linalg.matmul, [real(*x), real(*y)], np.matmul, label=label)


def _pair(x: tuple[int, ...], y: tuple[int, ...], a: str, b: str, out: str) -> OpCase:
    return OpCase(
        linalg.einsum_pair, [real(*x), real(*y)], lambda u, v: np.einsum(f"{a},{b}->{out}", u, v),
        params={"spec": (a, b, out)}, label=f"{a},{b}-{out}",
    )  # fmt: skip


CASES: list[OpCase] = [
    _matmul("matrices", (3, 4), (4, 2)),
    _matmul("vectors", (4,), (4,)),
    _matmul("row", (4,), (4, 2)),
    _matmul("column", (3, 4), (4,)),
    _matmul("row-batch", (4,), (2, 3, 4, 2)),
    _matmul("batch-column", (2, 3, 3, 4), (4,)),
    _matmul("batches", (2, 3, 4), (2, 4, 2)),
    _matmul("batch-matrix", (2, 3, 4), (4, 2)),
    _matmul("matrix-batch", (3, 4), (2, 4, 2)),
    _matmul("broadcast", (2, 1, 3, 4), (3, 4, 2)),
    _matmul("tails", (13, 17), (17, 33)),
    _matmul("broadcast-tails", (2, 1, 13, 19), (3, 19, 18)),
    _matmul("empty-sum", (3, 0), (0, 2)),
    _matmul("empty-rows", (2, 0, 3), (3, 2)),
    _matmul("empty-batch", (0, 2, 3), (3, 2)),
    _matmul("empty-columns", (2, 3), (4, 3, 0)),
    _pair((3, 4), (4, 2), "ij", "jk", "ik"),
    _pair((2, 3, 4), (4, 2, 5), "bij", "jbk", "kbi"),
    _pair((2, 3), (2, 3), "ij", "ij", "ji"),
    _pair((2, 3), (4,), "ij", "k", "kij"),
    _pair((2, 3), (3, 2), "ij", "ji", ""),
    _pair((2, 3), (3, 0), "ij", "jk", "ki"),
    _pair((), (3,), "", "i", "i"),
]
