"""Clipping the norm of all gradients together: one pass for the norm, one that scales, over any number of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Doubles, Floats, Ints, array_at, choose, kernel
from .layout import ready
from .memory import empty
from .sums import larger, plus
from .updates import SPAN, tables

Array = Any
_LISTS = 2  # gradients and what becomes of them


@kernel
def _norm_span(like: Floats, table: Ints, spans: Ints, parts: Doubles, order: float, task: int) -> None:
    """Σ g², Σ |g| or max |g| of one span, for the orders 2, 1 and ∞."""
    row, start = spans[2 * task] * (_LISTS + 1), spans[2 * task + 1]
    n = min(SPAN, table[row + _LISTS] - start)
    g = array_at(like, table[row] + start * like.itemsize, n)
    zero, one = like.dtype.type(0), like.dtype.type(1)
    total, wrong = zero, zero
    if order == 2.0:
        for i in range(n):
            total = plus(total, g[i] * g[i])
    elif order == 1.0:
        for i in range(n):
            total = plus(total, abs(g[i]))
    else:
        for i in range(n):
            total, wrong = larger(abs(g[i]), total), plus(wrong, choose(g[i] == g[i], zero, one))
    parts[task] = total if wrong == zero else np.nan


@kernel
def _join_norm(parts: Doubles, total: Floats, scale: Doubles, order: float, max_norm: float, task: int) -> None:
    """The norm, and min(1, max_norm/(norm + 1e-6)); NaN where the norm is."""
    norm = 0.0
    for i in range(parts.size):
        if order == np.inf:
            norm = parts[i] if parts[i] > norm or parts[i] != parts[i] else norm
        else:
            norm += parts[i]
    total[0] = np.sqrt(norm) if order == 2.0 else norm
    share = max_norm / (total[0] + 1e-6)
    scale[0] = 1.0 if share > 1.0 else share


@kernel
def _scale_span(like: Floats, table: Ints, spans: Ints, scale: Doubles, task: int) -> None:
    row, start = spans[2 * task] * (_LISTS + 1), spans[2 * task + 1]
    n, at = min(SPAN, table[row + _LISTS] - start), start * like.itemsize
    g, out = array_at(like, table[row] + at, n), array_at(like, table[row + 1] + at, n)
    share = like.dtype.type(scale[0])
    for i in range(n):
        out[i] = g[i] * share


def clip_norm_step(*grads: Array, max_norm: float, norm_type: float) -> tuple[Array, ...]:
    """See `autograd.ops.update.clip_norm_step`."""
    sources = [ready(g) for g in grads]
    like, whole = sources[0], sum(g.size for g in grads)
    memory, results, at = empty((whole,), like.dtype), [], 0  # one block, from the pool if it is large
    for g in grads:
        results.append(memory[at : at + g.size].reshape(g.shape))
        at += g.size
    table, spans = tables([sources, results])
    parts, total, scale = np.zeros(max(1, spans.size // 2)), np.empty((), like.dtype), np.empty(1)
    if spans.size:
        _norm_span(spans.size // 2, like, table, spans, parts, float(norm_type))
    _join_norm(1, parts, total, scale, float(norm_type), float(max_norm))
    if spans.size:
        _scale_span(spans.size // 2, like, table, spans, scale)
    return total, *results
