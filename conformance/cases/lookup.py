"""Rows of `autograd/ops/lookup.py`."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ...autograd.ops.lookup import embedding, embedding_bag
from ..case import Composite, OpCase, distinct, fixed, ints, real

Array = Any
TABLE, BAGS = Composite(embedding), Composite(embedding_bag)


def _bags(mode: str, starts: Any = None, padding: int | None = None) -> Any:
    def reference(index: Array, weight: Array, factors: Array | None = None) -> Array:
        flat, scale = index.reshape(-1), np.ones(index.size) if factors is None else factors.reshape(-1)
        bounds = np.arange(index.shape[0] + 1) * index.shape[1] if starts is None else [*starts, len(flat)]
        out = np.zeros((len(bounds) - 1, weight.shape[1]))
        for b, (start, stop) in enumerate(itertools.pairwise(bounds)):
            rows = [weight[flat[j]] * scale[j] for j in range(start, stop) if flat[j] != padding]
            if rows:
                out[b] = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](rows, axis=0)
        return out

    return reference


def _with_factors(index: Any, weight: Any, factors: Any, **params: Any) -> Any:
    return embedding_bag(index, weight, per_sample_weights=factors, **params)


_with_factors.__name__ = "embedding_bag"

CASES: list[OpCase] = [
    OpCase(TABLE, [ints(2, 3, high=5), real(5, 2)], lambda i, w: w[i]),
    OpCase(TABLE, [fixed(3), real(4, 2)], lambda i, w: w[i], label="one"),
    OpCase(TABLE, [fixed(np.zeros((0, 2), int)), real(4, 2)], lambda i, w: w[i], label="none"),
    *(
        OpCase(BAGS, [fixed([[1, 4, 1], [0, 2, 4], [2, 2, 2]]), distinct(5, 2)], _bags(mode), params={"mode": mode},
               label=mode)
        for mode in ("sum", "mean", "max")
    ),
    *(
        OpCase(BAGS, [fixed([1, 4, 2, 0, 1, 3]), distinct(5, 2)], _bags(mode, (0, 2, 2, 5)),
               params={"mode": mode, "offsets": (0, 2, 2, 5)}, label=f"{mode}-offsets")
        for mode in ("sum", "mean", "max")
    ),
    OpCase(Composite(_with_factors), [ints(3, 2, high=5), real(5, 2), real(3, 2)], _bags("sum"),
           params={"mode": "sum"}, label="factors"),
]  # fmt: skip
