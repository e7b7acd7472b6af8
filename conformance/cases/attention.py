"""Rows of `autograd/ops/attention.py`: odd sizes, one query, one key, and causal with more queries than keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd.ops.attention import attention, attention_grad
from ..case import OpCase, real

Array = Any


def _scores(q: Array, k: Array, causal: bool, scale: float) -> Array:
    s = scale * np.einsum("...id,...jd->...ij", q, k)
    return np.where(np.arange(s.shape[-1]) > np.arange(s.shape[-2])[:, None], -np.inf, s) if causal else s


def _row(label: str, q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...], causal: bool) -> list[OpCase]:
    params = {"causal": causal, "scale": 0.4}
    batch = np.broadcast_shapes(q[:-2], k[:-2], v[:-2])
    y, lse = (*batch, q[-2], v[-1]), (*np.broadcast_shapes(q[:-2], k[:-2]), q[-2])

    def forward(q: Array, k: Array, v: Array) -> Any:
        s = _scores(q, k, **params)
        total = np.exp(s).sum(-1)
        return (np.exp(s) / total[..., None]) @ v, np.log(total)

    def backward(gy: Array, glse: Array, q: Array, k: Array, v: Array, y: Array, lse: Array) -> Any:
        p = np.exp(_scores(q, k, **params) - lse[..., None])
        inner = np.einsum("...ie,...je->...ij", gy, v) - np.einsum("...ie,...ie->...i", gy, y)[..., None]
        e = 0.4 * p * (inner + glse[..., None])
        return e @ k, np.einsum("...ij,...id->...jd", e, q), np.einsum("...ij,...ie->...je", p, gy)

    arrays = [real(*q), real(*k), real(*v)]
    rows = [OpCase(attention, arrays, forward, params=params, label=label)]
    if q[:-2] == k[:-2] == v[:-2]:
        inputs = [real(*y), real(*lse), *arrays, real(*y), real(*lse)]
        rows.append(OpCase(attention_grad, inputs, backward, params=params, label=label))
    return rows


CASES: list[OpCase] = [
    *_row("heads", (2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 3), False),
    *_row("causal", (2, 7, 5), (2, 7, 5), (2, 7, 5), True),
    *_row("causal-more-keys", (1, 3, 2), (1, 5, 2), (1, 5, 3), True),
    *_row("causal-more-queries", (8, 2), (3, 2), (3, 4), True),
    *_row("one-query", (2, 1, 3), (2, 4, 3), (2, 4, 1), False),
    *_row("one-key", (2, 4, 3), (2, 1, 3), (2, 1, 2), True),
    *_row("tiles", (1, 13, 17), (1, 19, 17), (1, 19, 18), True),
    *_row("long", (1, 67, 2), (1, 70, 2), (1, 70, 3), True),
    *_row("broadcast", (2, 1, 3, 4), (3, 2, 4), (1, 3, 2, 5), False),
    *_row("no-batch", (0, 3, 2), (0, 4, 2), (0, 4, 2), False),
    *_row("no-queries", (0, 2), (4, 2), (4, 2), False),
]
