"""Rows of the optimiser steps: two parameters a call, whose reference is the formula written out for one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd import ops
from ...autograd.primitive import Primitive
from ..case import Domain, NumpyArray, OpCase, fixed, positive, real, unit

Rule = Callable[..., tuple[NumpyArray, ...]]
LR = 0.05


def _for_all(rule: Rule, step: float) -> Callable[..., tuple[NumpyArray, ...]]:
    """The reference of an op over several parameters, from `rule(step, p, g, *state)` of one."""

    def reference(lr: NumpyArray, t: NumpyArray, *arrays: NumpyArray) -> tuple[NumpyArray, ...]:
        rows = [arrays[i::2] for i in range(2)]
        return tuple(a for column in zip(*(rule(step, *row) for row in rows), strict=True) for a in column)

    return reference


def _case(
    op: Primitive, rule: Rule, states: str, step: float, label: str, shapes: Any = ((3, 4), (5,)), **params: Any
) -> OpCase:
    """A row.

    `states` has a letter per state list: r real, p positive, o a 0-d number, 1 the 0-d number 1, s and a a mean square
    and a mean that fit together (s ≥ a²).
    """
    inputs: list[Domain] = [fixed(LR), fixed(step)]
    inputs += [real(*shape) for _ in "pg" for shape in shapes]
    kinds: dict[str, Callable[..., Domain]] = {
        "r": real,
        "p": positive,
        "o": lambda *shape: fixed(0.8),
        "1": lambda *shape: fixed(1.0),
        "s": lambda *shape: positive(*shape, low=1.0),
        "a": unit,
    }
    inputs += [kinds[kind](*shape) for kind in states for shape in shapes]
    return OpCase(op, inputs, _for_all(rule, step), params={"n": 2, **params}, label=label, orders=0)


def _sgd(momentum: float = 0.0, dampening: float = 0.0, nesterov: bool = False, decay: float = 0.0) -> Rule:
    def rule(t: float, p: NumpyArray, g: NumpyArray, *b: NumpyArray) -> tuple[NumpyArray, ...]:
        g = g + decay * p
        if not momentum:
            return (p - LR * g,)
        buffer = momentum * b[0] + (1.0 if t == 1 else 1 - dampening) * g
        return p - LR * (g + momentum * buffer if nesterov else buffer), buffer

    return rule


def _adam(b1: float, b2: float, eps: float, l2: float = 0.0, shrink: float = 0.0, amsgrad: bool = False) -> Rule:
    def rule(t: float, p: NumpyArray, g: NumpyArray, m: NumpyArray, v: NumpyArray, *top: NumpyArray) -> Any:
        g, p = g + l2 * p, p * (1 - LR * shrink)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        states = (m, v, np.maximum(v, top[0])) if amsgrad else (m, v)
        return p - LR * m / (1 - b1**t) / (np.sqrt(states[-1] / (1 - b2**t)) + eps), *states

    return rule


def _rmsprop(alpha: float, eps: float, momentum: float = 0.0, centered: bool = False) -> Rule:
    def rule(t: float, p: NumpyArray, g: NumpyArray, s: NumpyArray, *more: NumpyArray) -> Any:
        s = alpha * s + (1 - alpha) * g**2
        mean = alpha * more[-1] + (1 - alpha) * g if centered else np.zeros_like(g)
        step = g / (np.sqrt(s - mean**2) + eps) + (momentum * more[0] if momentum else 0.0)
        return p - LR * step, s, *((step,) if momentum else ()), *((mean,) if centered else ())

    return rule


def _adagrad(t: float, p: NumpyArray, g: NumpyArray, s: NumpyArray) -> tuple[NumpyArray, ...]:
    g = g + 0.1 * p
    s = s + g**2
    return p - LR / (1 + (t - 1) * 0.5) * g / (np.sqrt(s) + 1e-3), s


def _adadelta(t: float, p: NumpyArray, g: NumpyArray, s: NumpyArray, u: NumpyArray) -> tuple[NumpyArray, ...]:
    s = 0.8 * s + 0.2 * g**2
    delta = np.sqrt((u + 1e-3) / (s + 1e-3)) * g
    return p - LR * delta, s, 0.8 * u + 0.2 * delta**2


def _adamax(t: float, p: NumpyArray, g: NumpyArray, m: NumpyArray, u: NumpyArray) -> tuple[NumpyArray, ...]:
    m, u = 0.8 * m + 0.2 * g, np.maximum(0.9 * u, np.abs(g) + 1e-3)
    return p - LR / (1 - 0.8**t) * m / u, m, u


def _nadam(t: float, p: NumpyArray, g: NumpyArray, m: NumpyArray, v: NumpyArray, product: NumpyArray) -> Any:
    now, after = (0.8 * (1 - 0.5 * 0.96 ** (k * 0.1)) for k in (t, t + 1))
    p, product = p * (1 - LR * 0.1), product * now
    m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
    move = (1 - now) / (1 - product) * g + after / (1 - product * after) * m
    return p - LR * move / (np.sqrt(v / (1 - 0.9**t)) + 1e-3), m, v, product


def _radam(t: float, p: NumpyArray, g: NumpyArray, m: NumpyArray, v: NumpyArray) -> tuple[NumpyArray, ...]:
    m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
    limit, correction = 2 / (1 - 0.9) - 1, 1 - 0.9**t
    length = limit - 2 * t * 0.9**t / correction
    move = LR * m / (1 - 0.8**t)
    if length <= 5:
        return p - move, m, v
    r = np.sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length))
    return p - move * r * np.sqrt(correction) / (np.sqrt(v) + 1e-3), m, v


def _lion(t: float, p: NumpyArray, g: NumpyArray, m: NumpyArray) -> tuple[NumpyArray, ...]:
    return p * (1 - LR * 0.1) - LR * np.sign(0.8 * m + 0.2 * g), 0.9 * m + 0.1 * g


def _asgd(
    t: float, p: NumpyArray, g: NumpyArray, eta: NumpyArray, mu: NumpyArray, a: NumpyArray
) -> tuple[NumpyArray, ...]:
    p = p * (1 - 0.2 * eta) - eta * (g + 0.1 * p)
    return p, np.asarray(LR / (1 + 0.2 * LR * t) ** 0.5), np.asarray(1 / max(1, t - 2)), (1 - mu) * a + mu * p


def _rprop(t: float, p: NumpyArray, g: NumpyArray, before: NumpyArray, s: NumpyArray) -> tuple[NumpyArray, ...]:
    s = np.clip(s * np.select([g * before > 0, g * before < 0], [1.3, 0.4], 1.0), 0.2, 3.0)
    g = g * (g * before >= 0)
    return p - s * np.sign(g), g, s


def _average(weight: NumpyArray, a: NumpyArray, b: NumpyArray, p: NumpyArray, q: NumpyArray) -> tuple[NumpyArray, ...]:
    return weight * p + (1 - weight) * a, weight * q + (1 - weight) * b


def _clipped(order: float) -> Callable[..., tuple[NumpyArray, ...]]:
    def reference(*grads: NumpyArray) -> tuple[NumpyArray, ...]:
        norm = np.linalg.norm(np.concatenate([g.ravel() for g in grads]), order)
        return norm, *(g * min(1.0, 1.5 / (norm + 1e-6)) for g in grads)

    return reference


_ADAM = {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3}
_ODD = ((1, 3, 3, 7), ())
_NOTHING = ((0, 3), (33,))

CASES: list[OpCase] = [
    _case(ops.sgd_step, _sgd(), "", 1.0, "plain"),
    _case(ops.sgd_step, _sgd(decay=0.1), "", 4.0, "decay", _ODD, weight_decay=0.1),
    _case(ops.sgd_step, _sgd(0.9, 0.3), "r", 1.0, "first", momentum=0.9, dampening=0.3),
    _case(ops.sgd_step, _sgd(0.9, 0.3), "r", 2.0, "dampened", _NOTHING, momentum=0.9, dampening=0.3),
    _case(
        ops.sgd_step, _sgd(0.9, nesterov=True, decay=0.1), "r", 3.0, "nesterov", momentum=0.9, nesterov=True,
        weight_decay=0.1,
    ),
    _case(ops.adam_step, _adam(0.9, 0.999, 1e-8), "rp", 3.0, "defaults"),
    _case(ops.adam_step, _adam(0.8, 0.9, 1e-3), "rp", 1.0, "odd", _ODD, **_ADAM),
    _case(ops.adam_step, _adam(0.8, 0.9, 1e-3, l2=0.1), "rp", 2.0, "l2", _NOTHING, weight_decay=0.1, **_ADAM),
    _case(
        ops.adam_step, _adam(0.8, 0.9, 1e-3, shrink=0.1), "rp", 2.0, "decoupled", weight_decay=0.1, decoupled=True,
        **_ADAM,
    ),
    _case(ops.adam_step, _adam(0.8, 0.9, 1e-3, amsgrad=True), "rpp", 5.0, "amsgrad", amsgrad=True, **_ADAM),
    _case(ops.rmsprop_step, _rmsprop(0.9, 1e-3), "p", 2.0, "plain", alpha=0.9, eps=1e-3),
    _case(ops.rmsprop_step, _rmsprop(0.9, 1e-3, 0.5), "pr", 2.0, "momentum", _ODD, alpha=0.9, eps=1e-3, momentum=0.5),
    _case(
        ops.rmsprop_step, _rmsprop(0.9, 1e-3, 0.5, True), "sra", 2.0, "centered", _NOTHING, alpha=0.9, eps=1e-3,
        momentum=0.5, centered=True,
    ),
    _case(ops.adagrad_step, _adagrad, "p", 3.0, "decay", lr_decay=0.5, weight_decay=0.1, eps=1e-3),
    _case(ops.adadelta_step, _adadelta, "pp", 3.0, "plain", _ODD, rho=0.8, eps=1e-3),
    _case(ops.adamax_step, _adamax, "rp", 3.0, "plain", **_ADAM),
    _case(
        ops.nadam_step, _nadam, "rpo", 3.0, "decoupled", momentum_decay=0.1, weight_decay=0.1, decoupled=True, **_ADAM
    ),
    _case(ops.radam_step, _radam, "rp", 1.0, "early", **_ADAM),
    _case(ops.radam_step, _radam, "rp", 30.0, "rectified", _ODD, **_ADAM),
    _case(ops.lion_step, _lion, "r", 2.0, "decay", beta1=0.8, beta2=0.9, weight_decay=0.1),
    _case(ops.asgd_step, _asgd, "o1r", 2.0, "start", lambd=0.2, alpha=0.5, t0=2.0, weight_decay=0.1),
    _case(ops.asgd_step, _asgd, "oor", 5.0, "averaging", _ODD, lambd=0.2, alpha=0.5, t0=2.0, weight_decay=0.1),
    _case(ops.rprop_step, _rprop, "rp", 3.0, "", _ODD, eta_minus=0.4, eta_plus=1.3, low=0.2, high=3.0),
    *(
        OpCase(
            ops.clip_norm_step, [real(*shape, scale=scale) for shape in shapes], _clipped(order),
            {"max_norm": 1.5, "norm_type": order}, label=label, orders=0,
        )
        for label, order, scale, shapes in (
            ("", 2.0, 1.0, [(3, 4), (5,)]), ("small", 2.0, 0.01, [*_ODD, (33, 1)]), ("sum", 1.0, 1.0, [*_NOTHING, ()]),
            ("largest", math.inf, 1.0, [*_NOTHING, (2, 3)]), ("cubes", 3.0, 1.0, [(4,), (2, 2)]),
        )
    ),
    OpCase(
        ops.average_step, [fixed(0.3), real(3, 4), real(0), real(3, 4), real(0)], _average, {"n": 2}, orders=0,
    ),
]  # fmt: skip
