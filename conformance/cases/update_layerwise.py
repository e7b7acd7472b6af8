"""Rows of the optimiser steps that look at a parameter as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autograd import ops
from ..case import Domain, NumpyArray, OpCase, fixed, positive, real
from .update import LR, Rule, _case, _for_all


def _lamb(t: float, p: NumpyArray, g: NumpyArray, m: NumpyArray, v: NumpyArray) -> tuple[NumpyArray, ...]:
    m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
    u = m / (1 - 0.8**t) / (np.sqrt(v / (1 - 0.9**t)) + 1e-3) + 0.1 * p
    norms = np.linalg.norm(p.ravel()), np.linalg.norm(u.ravel())
    return p - LR * (norms[0] / norms[1] if all(norms) else 1.0) * u, m, v


def _adafactor(decay: float, eps: float, d: float, shrink: float) -> Rule:
    def rms(x: NumpyArray) -> Any:
        return np.sqrt((x**2).mean()) if x.size else 0.0

    def rule(t: float, p: NumpyArray, g: NumpyArray, *moments: NumpyArray) -> tuple[NumpyArray, ...]:
        alpha = max(1e-3, rms(p)) * min(LR, t**-0.5)
        w = t**decay
        if p.ndim < 2:
            states: tuple[NumpyArray, ...] = ((1 - w) * moments[0] + w * g**2,)
            v = states[0]
        else:
            r, c = (
                (1 - w) * m + w * (g**2).mean(axis, keepdims=True) for m, axis in zip(moments, (-1, -2), strict=True)
            )
            states, v = (r, c), r @ c / np.maximum(r.mean(-2, keepdims=True), eps)
        u = g / np.sqrt(np.maximum(v, eps**2))
        return p * (1 - LR * shrink) - alpha * u / max(1.0, rms(u) / d), *states

    return rule


def _factored(rule: Rule, step: float, label: str, shapes: Sequence[tuple[int, ...]], **params: Any) -> OpCase:
    """A row whose states are the margins of parameters of two axes or more."""
    inputs: list[Domain] = [fixed(LR), fixed(step), *[real(*shape) for _ in "pg" for shape in shapes]]
    inputs += [positive(*shape[:-1], 1) for shape in shapes]
    inputs += [positive(*shape[:-2], 1, shape[-1]) for shape in shapes]
    reference = _for_all(rule, step)
    return OpCase(ops.adafactor_step, inputs, reference, params={"n": 2, **params}, label=label, orders=0)


def _muon(coefficients: tuple[float, float, float], steps: int, nesterov: bool, match: bool) -> Rule:
    """The iteration seen on singular values, each of which it moves by a polynomial."""
    a, b, c = coefficients

    def rule(t: float, p: NumpyArray, g: NumpyArray, buffer: NumpyArray) -> tuple[NumpyArray, ...]:
        buffer = 0.9 * buffer + 0.1 * g
        u, s, vh = np.linalg.svd(0.1 * g + 0.9 * buffer if nesterov else buffer, full_matrices=False)
        s = s / np.linalg.norm(s)
        for _ in range(steps):
            s = a * s + b * s**3 + c * s**5
        rows, columns = p.shape
        scale = 0.2 * np.sqrt(max(rows, columns)) if match else np.sqrt(max(1, rows / columns))
        return p * (1 - LR * 0.1) - LR * scale * (u * s) @ vh, buffer

    return rule


_ADAM = {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3}
_NS = (3.4445, -4.775, 2.0315)
_MATRICES = ((3, 5), (6, 2))

CASES: list[OpCase] = [
    _case(ops.lamb_step, _lamb, "rp", 3.0, "decay", weight_decay=0.1, **_ADAM),
    _case(ops.lamb_step, _lamb, "rp", 1.0, "odd", ((1, 3, 2), ()), weight_decay=0.1, **_ADAM),
    _case(ops.adafactor_step, _adafactor(-0.8, 1e-16, 1.0, 0.0), "p", 3.0, "vector", ((5,), ())),
    _case(
        ops.adafactor_step, _adafactor(-1.0, 1e-3, 1.5, 0.1), "p", 1.0, "first", ((5,), (0,)), beta2_decay=-1.0,
        eps1=1e-3, d=1.5, weight_decay=0.1,
    ),
    _factored(_adafactor(-0.8, 1e-16, 1.0, 0.0), 3.0, "matrix", _MATRICES),
    _factored(
        _adafactor(-1.0, 1e-3, 0.2, 0.1), 400.0, "late", ((2, 3, 4), (2, 1, 2, 2)), beta2_decay=-1.0, eps1=1e-3, d=0.2,
        weight_decay=0.1,
    ),
    _case(ops.muon_step, _muon(_NS, 5, True, False), "r", 2.0, "nesterov", _MATRICES, momentum=0.9),
    _case(
        ops.muon_step, _muon((1.5, -0.5, 0.0), 2, False, True), "r", 1.0, "plain", ((4, 4), (1, 3)), momentum=0.9,
        nesterov=False, ns_coefficients=(1.5, -0.5, 0.0), ns_steps=2, match_rms=True,
    ),
]  # fmt: skip
