"""Cross-entropy of rows of scores with class indices, and its cotangent, each in one pass without forming the softmax.

    value = log Σ eˣ − x[t],    cotangent = g·(softmax(x) − (1 − ε)·onehot(t) − ε/c)

with label smoothing ε, and 0 for rows whose target is to be ignored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Flag, Floats, Ints, jit, kernel
from .layout import ready
from .mathematics import exp_below
from .memory import empty
from .rows import blocks
from .sums import larger, plus

Array = Any

WORTH = 128  # elements that take as long as the shortest row


@kernel
def _loss_rows(
    x: Floats, target: Ints, out: Floats, wrong: Flag, n: int, smoothing: float, ignored: int, rows: int, length: int,
    block: int,
) -> None:  # fmt: skip
    one, zero, share = x.dtype.type(1), x.dtype.type(0), x.dtype.type(smoothing)
    for row in range(block * length, min((block + 1) * length, rows)):
        a, t = row * n, target[row]
        out[row] = 0
        if t == ignored:
            continue
        if t < 0 or t >= n:
            wrong[0] = 1
            continue
        top, total, sum_of_all = x[a], zero, zero
        for i in range(a, a + n):
            top = larger(x[i], top)
        for i in range(a, a + n):
            total = plus(total, exp_below(x[i] - top))
        picked = x[a + t] - top
        if smoothing:
            for i in range(a, a + n):
                sum_of_all = plus(sum_of_all, x[i] - top)
            picked = (one - share) * picked + share * (sum_of_all / x.dtype.type(n))
        out[row] = np.log(total) - picked


@kernel
def _cotangent_rows(
    g: Floats, x: Floats, target: Ints, out: Floats, wrong: Flag, n: int, smoothing: float, ignored: int, rows: int,
    length: int, step: int, block: int,
) -> None:  # fmt: skip
    """The cotangent of a row's loss is g[step·row]."""
    hit, rest = x.dtype.type(1.0 - smoothing), x.dtype.type(smoothing / n)
    for row in range(block * length, min((block + 1) * length, rows)):
        a, t = row * n, target[row]
        if t == ignored or t < 0 or t >= n:
            out[a : a + n] = 0
            wrong[0] |= t != ignored
            continue
        top, total, over = x[a], x.dtype.type(0), g[step * row]
        for i in range(a, a + n):
            top = larger(x[i], top)
        for i in range(a, a + n):
            out[i] = exp_below(x[i] - top)
        for i in range(a, a + n):
            total = plus(total, out[i])
        share = x.dtype.type(1) / total
        at_target = ((out[a + t] * share - rest) - hit) * over
        for i in range(a, a + n):
            out[i] = (out[i] * share - rest) * over
        out[a + t] = at_target


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
    out, wrong = empty((rows,), logits.dtype), np.zeros(1, np.int64)
    tasks, length = blocks(rows, max(n, WORTH))
    _loss_rows(tasks, ready(logits), target, out, wrong, n, label_smoothing, ignore_index, rows, length)
    _checked(wrong, target, n, ignore_index)
    return out


@kernel
def _mean_loss(losses: Floats, target: Ints, out: Floats, ignored: int, rows: int, task: int) -> None:
    total = losses.dtype.type(0)
    for row in range(rows):
        total = plus(total, losses[row])
    out[0] = total / _valid(losses, target, ignored, rows)


@kernel
def _mean_share(g: Floats, target: Ints, out: Floats, ignored: int, rows: int, task: int) -> None:
    out[0] = g[0] / _valid(g, target, ignored, rows)


@jit
def _valid(like: Floats, target: Ints, ignored: int, rows: int) -> Any:
    """How many rows count; NaN if none."""
    valid = 0
    for row in range(rows):
        valid += target[row] != ignored
    return like.dtype.type(valid) if valid else like.dtype.type(np.nan)


def _cotangent(
    gy: Array, logits: Array, target: Array, smoothing: float, ignored: int, step: int
) -> Array:  # fmt: skip
    rows, n = logits.shape
    out, wrong = empty((rows, n), logits.dtype), np.zeros(1, np.int64)
    tasks, length = blocks(rows, max(n, WORTH))
    _cotangent_rows(tasks, gy, ready(logits), target, out, wrong, n, smoothing, ignored, rows, length, step)
    _checked(wrong, target, n, ignored)
    return out


def cross_entropy_index_grad(
    gy: Array, logits: Array, target: Array, *, label_smoothing: float, ignore_index: int
) -> Array:
    """gy: (n,), logits: (n, c), target: (n,) -> (n, c)."""
    labels = np.ascontiguousarray(target, np.int64)
    return _cotangent(ready(gy), logits, labels, label_smoothing, ignore_index, 1)


def cross_entropy_mean(logits: Array, target: Array, *, label_smoothing: float, ignore_index: int) -> Array:
    """logits: (n, c), target: (n,) -> ()."""
    labels = np.ascontiguousarray(target, np.int64)
    losses = cross_entropy_index(logits, labels, label_smoothing=label_smoothing, ignore_index=ignore_index)
    out = np.empty((), logits.dtype)
    _mean_loss(1, losses, labels, out, ignore_index, len(losses))
    return out


def cross_entropy_mean_grad(
    gy: Array, logits: Array, target: Array, *, label_smoothing: float, ignore_index: int
) -> Array:
    """gy: (), logits: (n, c), target: (n,) -> (n, c)."""
    labels = np.ascontiguousarray(target, np.int64)
    share = np.empty(1, logits.dtype)
    _mean_share(1, ready(gy), labels, share, ignore_index, len(labels))
    return _cotangent(share, logits, labels, label_smoothing, ignore_index, 0)
