"""Optimiser steps that look at a parameter as a whole: at its norm, its rows and columns, its singular vectors.

Inputs, outputs and options are laid out as in `update`.
"""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .update import _columns, _decayed, _like, _penalised, _rows

__all__ = ["adafactor_step", "lamb_step", "muon_step"]

Array = Any


def _norm(x: Array, xp: Any) -> Array:
    """√Σx² over all elements, 0-d float64."""
    return xp.asarray(xp.sqrt(xp.sum(x * x)), dtype=xp.float64)


def _rms(x: Array, xp: Any) -> Array:
    """√(mean of x²), 0-d float64; 0 of nothing."""
    return _norm(x, xp) / math.sqrt(max(math.prod(x.shape), 1))


@primitive(outputs=0)
def lamb_step(
    *arrays: Array, n: int, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-6, weight_decay: float = 0.01,
    maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """LAMB: Adam's step u = m̂/(√v̂ + ε) + λp, scaled by the trust ratio of its parameter, p ← p − lr·(‖p‖/‖u‖)·u.

    The ratio is 1 where a norm is 0. State lists: m, v.
    You et al., *Large batch optimization for deep learning: training BERT in 76 minutes*, 2020, algorithm 2.
    """
    lr, step, rows = _rows(arrays, n)
    first, second = 1.0 - beta1**step, 1.0 - beta2**step

    def rule(p: Array, g: Array, m: Array, v: Array) -> tuple[Array, ...]:
        g = _penalised(g, p, 0.0, maximize)
        m = m + (g - m) * (1.0 - beta1)
        v = v * beta2 + g * g * (1.0 - beta2)
        u = m / _like(first, p, xp) / (xp.sqrt(v / _like(second, p, xp)) + eps)
        if weight_decay:
            u = u + p * weight_decay
        size, length = _norm(p, xp), _norm(u, xp)
        one = xp.ones_like(size)
        moves = xp.logical_and(size > 0.0, length > 0.0)
        ratio = xp.where(moves, size / xp.where(moves, length, one), one)
        return p - _like(lr * ratio, p, xp) * u, m, v

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def adafactor_step(
    *arrays: Array, n: int, beta2_decay: float = -0.8, eps1: float | None = None, eps2: float = 1e-3, d: float = 1.0,
    weight_decay: float = 0.0, maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Adafactor: p ← p − α·u/max(1, RMS(u)/d), u = g/√v, with a second moment v of which only the margins are kept.

    β = 1 − t^decay; r ← βr + (1−β)·(mean of g² along rows), c likewise along columns, v = r·c/max(mean r, ε₁) over the
    last two axes; of a vector v ← βv + (1−β)g² itself. √v is at least ε₁ (None: the dtype's epsilon). The step size is
    α = max(ε₂, RMS(p))·min(lr, 1/√t), and weight decay is decoupled.
    State lists: r (…, a, 1) and c (…, 1, b) if the parameters have two axes or more, else v.
    Shazeer & Stern, *Adafactor: adaptive learning rates with sublinear memory cost*, 2018, as PyTorch has it.
    """
    lr, step, rows = _rows(arrays, n)
    newest = step**beta2_decay
    rate = xp.minimum(lr, 1.0 / xp.sqrt(step))

    def margin(g: Array, axis: int) -> Array:
        return xp.sum(g * g, axis=axis, keepdims=True) / max(g.shape[axis], 1)

    def rule(p: Array, g: Array, *moments: Array) -> tuple[Array, ...]:
        alpha = xp.maximum(_rms(p, xp), eps2) * rate
        p, g = _decayed(p, g, lr, weight_decay, True, maximize, xp)
        low = float(xp.finfo(p.dtype).eps) if eps1 is None else eps1
        share = _like(newest, p, xp)
        states: tuple[Array, ...]
        if len(moments) == 1:
            v = moments[0] + (g * g - moments[0]) * share
            states = (v,)
        else:
            r, c = moments
            r, c = r + (margin(g, -1) - r) * share, c + (margin(g, -2) - c) * share
            mean = xp.sum(r, axis=-2, keepdims=True) / max(r.shape[-2], 1)
            v = r * c / xp.maximum(mean, low)
            states = (r, c)
        u = g / xp.sqrt(xp.maximum(v, low * low))
        shrink = xp.maximum(_rms(u, xp) / d, 1.0)
        return p - _like(alpha / shrink, p, xp) * u, *states

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def muon_step(
    *arrays: Array, n: int, momentum: float = 0.95, nesterov: bool = True, weight_decay: float = 0.1,
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315), eps: float = 1e-7, ns_steps: int = 5,
    match_rms: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Muon: p ← p·(1 − lr·λ) − lr·s·O, with O the momentum of a matrix (a, b) made nearly orthogonal.

    b ← b + (1−μ)·(g − b); of b, or with Nesterov of g + μ·(b − g), the `ns_steps` iterations x ← a·x + (b·A + c·A²)·x,
    A = x·xᵀ, from the matrix divided by its Frobenius norm, bring all singular values near 1 (Newton–Schulz). The scale
    s is √max(1, a/b), or, `match_rms`, 0.2·√max(a, b), which gives steps of AdamW's size. State list: b.
    Jordan et al., *Muon: an optimizer for hidden layers in neural networks*, 2024; Liu et al., *Muon is scalable for
    LLM training*, 2025. PyTorch iterates in bfloat16, this in the parameter's dtype.
    """
    lr, _, rows = _rows(arrays, n)
    a, b, c = ns_coefficients

    def orthogonal(x: Array) -> Array:
        tall = x.shape[0] > x.shape[1]
        x = xp.matrix_transpose(x) if tall else x
        x = x / _like(xp.maximum(_norm(x, xp), eps), x, xp)
        for _ in range(ns_steps):
            gram = xp.matmul(x, xp.matrix_transpose(x))
            x = x * a + xp.matmul(gram * b + xp.matmul(gram, gram) * c, x)
        return xp.matrix_transpose(x) if tall else x

    def rule(p: Array, g: Array, buffer: Array) -> tuple[Array, ...]:
        buffer = buffer + (g - buffer) * (1.0 - momentum)
        move = orthogonal(g + (buffer - g) * momentum if nesterov else buffer)
        rows, columns = p.shape
        scale = 0.2 * max(rows, columns) ** 0.5 if match_rms else max(1.0, rows / max(columns, 1)) ** 0.5
        return p * _like(1.0 - lr * weight_decay, p, xp) - _like(lr * scale, p, xp) * move, buffer

    return _columns(rule(*row) for row in rows)
