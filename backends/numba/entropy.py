"""Cross-entropy of rows of scores with class indices, and its cotangent, each in one pass without forming the softmax.

    value = log Σ eˣ − x[t],    cotangent = g·(softmax(x) − (1 − ε)·onehot(t) − ε/c)

with label smoothing ε, and 0 for rows whose target is to be ignored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Flag, Floats, Ints, kernel
from .layout import ready
from .mathematics import exp_below
from .rows import LANES, blocks, row_max, row_sum

Array = Any


@kernel
def _loss_rows(
    x: Floats, target: Ints, out: Floats, wrong: Flag, n: int, smoothing: float, ignored: int, rows: int, length: int,
    block: int,
) -> None:  # fmt: skip
    lanes, e, z = np.empty(LANES, x.dtype), np.empty(n, x.dtype), np.empty(n, x.dtype)
    one, share = x.dtype.type(1), x.dtype.type(smoothing)
    for row in range(block * length, min((block + 1) * length, rows)):
        a, t = row * n, target[row]
        out[row] = 0
        if t == ignored:
            continue
        if t < 0 or t >= n:
            wrong[0] = 1
            continue
        top = row_max(x, a, n, lanes)
        for i in range(n):
            z[i] = x[a + i] - top
            e[i] = exp_below(z[i])
        picked = z[t]
        if smoothing:
            picked = (one - share) * picked + share * (row_sum(z, 0, n, lanes) / x.dtype.type(n))
        out[row] = np.log(row_sum(e, 0, n, lanes)) - picked


@kernel
def _cotangent_rows(
    g: Floats, x: Floats, target: Ints, out: Floats, wrong: Flag, n: int, smoothing: float, ignored: int, rows: int,
    length: int, block: int,
) -> None:  # fmt: skip
    lanes = np.empty(LANES, x.dtype)
    hit, rest = x.dtype.type(1.0 - smoothing), x.dtype.type(smoothing / n)
    for row in range(block * length, min((block + 1) * length, rows)):
        a, t = row * n, target[row]
        if t == ignored or t < 0 or t >= n:
            out[a : a + n] = 0
            wrong[0] |= t != ignored
            continue
        top = row_max(x, a, n, lanes)
        for i in range(a, a + n):
            out[i] = exp_below(x[i] - top)
        total = row_sum(out, a, n, lanes)
        for i in range(a, a + n):
            out[i] = out[i] / total - rest
        out[a + t] -= hit
        for i in range(a, a + n):
            out[i] *= g[row]


def _checked(wrong: Array, target: Array, classes: int, ignored: int) -> None:
    if wrong[0]:
        labels = target[target != ignored]
        low, high = int(labels.min()), int(labels.max())
        raise IndexError(
            f"class indices must be in [0, {classes}) for scores of {classes} classes, or ignore_index={ignored}; "
            f"found {low if low < 0 else high}"
        )


def cross_entropy_index(logits: Array, target: Array, *, label_smoothing: float, ignore_index: int) -> Array:
    """logits: (n, c), target: (n,) -> (n,)."""
    rows, n = logits.shape
    target = np.ascontiguousarray(target, np.int64)
    out, wrong = np.empty(rows, logits.dtype), np.zeros(1, np.int64)
    tasks, length = blocks(rows, n)
    _loss_rows(tasks, ready(logits), target, out, wrong, n, label_smoothing, ignore_index, rows, length)
    _checked(wrong, target, n, ignore_index)
    return out


def cross_entropy_index_grad(
    gy: Array, logits: Array, target: Array, *, label_smoothing: float, ignore_index: int
) -> Array:
    """gy: (n,), logits: (n, c), target: (n,) -> (n, c)."""
    rows, n = logits.shape
    target = np.ascontiguousarray(target, np.int64)
    out, wrong = np.empty((rows, n), logits.dtype), np.zeros(1, np.int64)
    tasks, length = blocks(rows, n)
    _cotangent_rows(tasks, ready(gy), ready(logits), target, out, wrong, n, label_smoothing, ignore_index, rows, length)
    _checked(wrong, target, n, ignore_index)
    return out


def cross_entropy_mean(logits: Array, target: Array, *, label_smoothing: float, ignore_index: int) -> Array:
    """logits: (n, c), target: (n,) -> ()."""
    losses = cross_entropy_index(logits, target, label_smoothing=label_smoothing, ignore_index=ignore_index)
    valid = np.count_nonzero(target != ignore_index)
    return np.asarray(losses.sum() / losses.dtype.type(valid or np.nan))


def cross_entropy_mean_grad(
    gy: Array, logits: Array, target: Array, *, label_smoothing: float, ignore_index: int
) -> Array:
    """gy: (), logits: (n, c), target: (n,) -> (n, c)."""
    valid = np.count_nonzero(target != ignore_index)
    each = np.full(len(logits), gy / gy.dtype.type(valid or np.nan), logits.dtype)
    return cross_entropy_index_grad(
        each, logits, target, label_smoothing=label_smoothing, ignore_index=ignore_index
    )  # fmt: skip
