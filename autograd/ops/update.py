"""Optimiser steps: one op moves all parameters of a group at once.

Every op here is `step(*arrays, n=..., **options)` and lays its inputs out in the same way:

    lr, step, *params, *grads, *state_1, ..., *state_k  ->  *new_params, *new_state_1, ..., *new_state_k

with n arrays in each list, equal shapes and dtypes across the lists, and `lr` and `step` 0-d float64: they change from
step to step, so they are inputs, while what stays is a static parameter. `step` is the number of this step, from 1. It
is the same for all parameters of a call, and so is the dtype.

With `donate`, as an optimiser calls them, a backend's kernel may write into the parameters and states and return those
arrays; otherwise, and in the generic forwards here always, new arrays are returned. Gradients are never written to.
Updates are not differentiated, so these ops have no rules. `update_layerwise` holds the steps that look at a parameter
as a whole.

The formulas, and the order of operations, are PyTorch's. `weight_decay` adds λ·p to the gradient (an L2 penalty), or,
`decoupled`, shrinks p by lr·λ instead (Loshchilov & Hutter, 2019); `maximize` goes up the gradient.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable
from typing import Any

from ..primitive import primitive

__all__ = [
    "adadelta_step", "adagrad_step", "adam_step", "adamax_step", "asgd_step", "average_step", "clip_norm_step",
    "lion_step", "nadam_step", "radam_step", "rmsprop_step", "rprop_step", "sgd_step",
]  # fmt: skip

Array = Any


def _rows(arrays: tuple[Array, ...], n: int) -> tuple[Array, Array, list[tuple[Array, ...]]]:
    """The inputs as lr, step and, per parameter, (parameter, gradient, state_1, ..., state_k)."""
    lists, rest = divmod(len(arrays) - 2, n)
    if rest or lists < 2:
        raise ValueError(f"{len(arrays)} arrays are not lr, step and lists of n={n} parameters, gradients and states")
    return arrays[0], arrays[1], list(zip(*(arrays[2 + i * n : 2 + (i + 1) * n] for i in range(lists)), strict=True))


def _columns(rows: Iterable[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Per-parameter results as one flat tuple: all parameters, then each state's arrays."""
    return tuple(array for column in zip(*rows, strict=True) for array in column)


def _like(value: Array, p: Array, xp: Any) -> Array:
    """A 0-d float64 value in the parameter's dtype."""
    return xp.asarray(value, dtype=p.dtype)


def _penalised(g: Array, p: Array, weight_decay: float, maximize: bool) -> Array:
    """The gradient to descend along, with an L2 penalty's."""
    if maximize:
        g = -g
    return g + p * weight_decay if weight_decay else g


def _decayed(
    p: Array, g: Array, lr: Array, weight_decay: float, decoupled: bool, maximize: bool, xp: Any
) -> tuple[Array, Array]:
    """Parameter and gradient after weight decay of either kind."""
    if not decoupled:
        return p, _penalised(g, p, weight_decay, maximize)
    if weight_decay:
        p = p * _like(1.0 - lr * weight_decay, p, xp)
    return p, _penalised(g, p, 0.0, maximize)


@primitive(outputs=0)
def sgd_step(
    *arrays: Array, n: int, momentum: float = 0.0, dampening: float = 0.0, nesterov: bool = False,
    weight_decay: float = 0.0, maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Stochastic gradient descent, b ← μ·b + (1−d)·g, p ← p − lr·b; Nesterov: p ← p − lr·(g + μ·b).

    One state list, the momentum buffers b (zeros at first), if momentum ≠ 0, else none. The first step is undamped.
    Sutskever et al., *On the importance of initialization and momentum in deep learning*, 2013.
    """
    lr, step, rows = _rows(arrays, n)
    share = 1.0 - dampening * xp.astype(xp.asarray(step > 1.0), xp.float64)

    def rule(p: Array, g: Array, *buffer: Array) -> tuple[Array, ...]:
        g = _penalised(g, p, weight_decay, maximize)
        rate = _like(lr, p, xp)
        if momentum == 0.0:
            return (p - rate * g,)
        b = buffer[0] * momentum + (g * _like(share, p, xp) if dampening else g)
        return p - rate * (g + b * momentum if nesterov else b), b

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def adam_step(
    *arrays: Array, n: int, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0,
    decoupled: bool = False, amsgrad: bool = False, maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Adam: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − lr·m̂ / (√v̂ + ε) with m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ).

    State lists: m, v and, with amsgrad, the largest v so far, which replaces v in the step. AdamW is `decoupled`.
    Kingma & Ba 2015; Reddi et al. 2018 (AMSGrad); Loshchilov & Hutter 2019 (AdamW).
    """
    lr, step, rows = _rows(arrays, n)
    rate = lr / (1.0 - beta1**step)
    root = xp.sqrt(1.0 - beta2**step)

    def rule(p: Array, g: Array, m: Array, v: Array, *largest: Array) -> tuple[Array, ...]:
        p, g = _decayed(p, g, lr, weight_decay, decoupled, maximize, xp)
        m = m + (g - m) * (1.0 - beta1)
        v = v * beta2 + g * g * (1.0 - beta2)
        states = (m, v, xp.maximum(largest[0], v)) if amsgrad else (m, v)
        scale = xp.sqrt(states[-1]) / _like(root, p, xp) + eps
        return p - _like(rate, p, xp) * m / scale, *states

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def rmsprop_step(
    *arrays: Array, n: int, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0, momentum: float = 0.0,
    centered: bool = False, maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """RMSprop: s ← αs + (1−α)g², p ← p − lr·g / (√s + ε); centered: √(s − a²) with a ← αa + (1−α)g.

    With momentum, b ← μ·b + g/(√s + ε) and p ← p − lr·b. State lists: s, then b if momentum ≠ 0, then a if centered.
    Tieleman & Hinton, lecture 6.5, 2012; Graves, *Generating sequences with recurrent networks*, 2013 (centered).
    """
    lr, _, rows = _rows(arrays, n)

    def rule(p: Array, g: Array, s: Array, *more: Array) -> tuple[Array, ...]:
        g = _penalised(g, p, weight_decay, maximize)
        states = [s * alpha + g * g * (1.0 - alpha)]
        variance = states[0]
        mean = None
        if centered:
            mean = more[-1] + (g - more[-1]) * (1.0 - alpha)
            variance = variance - mean * mean
        step = g / (xp.sqrt(variance) + eps)
        if momentum:
            step = more[0] * momentum + step
            states.append(step)
        if mean is not None:
            states.append(mean)
        return p - _like(lr, p, xp) * step, *states

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def adagrad_step(
    *arrays: Array, n: int, lr_decay: float = 0.0, eps: float = 1e-10, weight_decay: float = 0.0,
    maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Adagrad: s ← s + g², p ← p − lr/(1 + (t−1)·decay) · g/(√s + ε). State list: s. Duchi et al. 2011."""
    lr, step, rows = _rows(arrays, n)
    rate = lr / (1.0 + (step - 1.0) * lr_decay)

    def rule(p: Array, g: Array, s: Array) -> tuple[Array, ...]:
        g = _penalised(g, p, weight_decay, maximize)
        s = s + g * g
        return p - _like(rate, p, xp) * g / (xp.sqrt(s) + eps), s

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def adadelta_step(
    *arrays: Array, n: int, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0, maximize: bool = False,
    donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Adadelta: s ← ρs + (1−ρ)g², Δ = g·√(u + ε)/√(s + ε), u ← ρu + (1−ρ)Δ², p ← p − lr·Δ.

    State lists: s, u. Zeiler, *ADADELTA: an adaptive learning rate method*, 2012.
    """
    lr, _, rows = _rows(arrays, n)

    def rule(p: Array, g: Array, s: Array, u: Array) -> tuple[Array, ...]:
        g = _penalised(g, p, weight_decay, maximize)
        s = s * rho + g * g * (1.0 - rho)
        delta = xp.sqrt(u + eps) / xp.sqrt(s + eps) * g
        return p - _like(lr, p, xp) * delta, s, u * rho + delta * delta * (1.0 - rho)

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def adamax_step(
    *arrays: Array, n: int, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0,
    maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Adamax: m as in Adam, u ← max(β₂u, |g| + ε), p ← p − lr/(1−β₁ᵗ)·m/u. State lists: m, u. Kingma & Ba 2015, §7."""
    lr, step, rows = _rows(arrays, n)
    rate = lr / (1.0 - beta1**step)

    def rule(p: Array, g: Array, m: Array, u: Array) -> tuple[Array, ...]:
        g = _penalised(g, p, weight_decay, maximize)
        m = m + (g - m) * (1.0 - beta1)
        u = xp.maximum(u * beta2, xp.abs(g) + eps)
        return p - _like(rate, p, xp) * m / u, m, u

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def nadam_step(
    *arrays: Array, n: int, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0,
    momentum_decay: float = 4e-3, decoupled: bool = False, maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """NAdam: Adam with Nesterov's look-ahead and a warming momentum μₜ = β₁(1 − ½·0.96^(t·decay)).

    p ← p − lr·[(1−μₜ)/(1−Πμ)·g + μₜ₊₁/(1−Πμ·μₜ₊₁)·m] / (√v̂ + ε), Πμ the product up to t.
    State lists: m, v, Πμ (0-d float64, ones at first). Dozat, *Incorporating Nesterov momentum into Adam*, 2016.
    """
    lr, step, rows = _rows(arrays, n)
    mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))
    following = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1.0) * momentum_decay))
    correction = 1.0 - beta2**step

    def rule(p: Array, g: Array, m: Array, v: Array, product: Array) -> tuple[Array, ...]:
        p, g = _decayed(p, g, lr, weight_decay, decoupled, maximize, xp)
        product = product * mu
        m = m + (g - m) * (1.0 - beta1)
        v = v * beta2 + g * g * (1.0 - beta2)
        scale = xp.sqrt(v / _like(correction, p, xp)) + eps
        p = p - _like(lr * (1.0 - mu) / (1.0 - product), p, xp) * g / scale
        return p - _like(lr * following / (1.0 - product * following), p, xp) * m / scale, m, v, product

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def radam_step(
    *arrays: Array, n: int, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0,
    decoupled: bool = False, maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Rectified Adam: p ← p − lr·m̂·r·√(1−β₂ᵗ)/(√v + ε) once ρₜ > 5, p ← p − lr·m̂ before.

    ρ∞ = 2/(1−β₂) − 1, ρₜ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ), r = √((ρₜ−4)(ρₜ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρₜ)). State lists: m, v.
    Liu et al., *On the variance of the adaptive learning rate and beyond*, 2020.
    """
    lr, step, rows = _rows(arrays, n)
    limit = 2.0 / (1.0 - beta2) - 1.0
    correction = 1.0 - beta2**step
    length = xp.asarray(limit - 2.0 * step * beta2**step / correction)
    rectified = length > 5.0
    safe = xp.where(rectified, length, xp.asarray(6.0, dtype=length.dtype))
    r = xp.sqrt((safe - 4.0) * (safe - 2.0) / safe * correction) * math.sqrt(limit / abs((limit - 4.0) * (limit - 2.0)))

    def rule(p: Array, g: Array, m: Array, v: Array) -> tuple[Array, ...]:
        p, g = _decayed(p, g, lr, weight_decay, decoupled, maximize, xp)
        m = m + (g - m) * (1.0 - beta1)
        v = v * beta2 + g * g * (1.0 - beta2)
        move = m * _like(lr / (1.0 - beta1**step), p, xp)
        return p - xp.where(rectified, move * (_like(r, p, xp) / (xp.sqrt(v) + eps)), move), m, v

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def lion_step(
    *arrays: Array, n: int, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0, maximize: bool = False,
    donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Lion: p ← p·(1 − lr·λ) − lr·sign(β₁m + (1−β₁)g), then m ← β₂m + (1−β₂)g. State list: m.

    Chen et al., *Symbolic discovery of optimization algorithms*, 2023. Weight decay is decoupled.
    """
    lr, _, rows = _rows(arrays, n)

    def rule(p: Array, g: Array, m: Array) -> tuple[Array, ...]:
        p, g = _decayed(p, g, lr, weight_decay, True, maximize, xp)
        move = xp.sign(m * beta1 + g * (1.0 - beta1))
        return p - _like(lr, p, xp) * move, m * beta2 + g * (1.0 - beta2)

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def asgd_step(
    *arrays: Array, n: int, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6, weight_decay: float = 0.0,
    maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Averaged SGD: p ← p·(1 − λη) − ηg, a ← a + μ·(p − a), then η ← lr/(1 + λ·lr·t)^α and μ ← 1/max(1, t − t₀).

    State lists: η and μ (0-d float64, lr and 1 at first), and the average a, which is p itself while μ is 1.
    Polyak & Juditsky, *Acceleration of stochastic approximation by averaging*, 1992; Bottou 2010.
    """
    lr, step, rows = _rows(arrays, n)
    later_eta = xp.asarray(lr / (1.0 + lambd * lr * step) ** alpha)
    past = xp.asarray(step - t0)
    later_mu = 1.0 / xp.where(past > 1.0, past, xp.ones_like(past))

    def rule(p: Array, g: Array, eta: Array, mu: Array, a: Array) -> tuple[Array, ...]:
        g = _penalised(g, p, weight_decay, maximize)
        p = p * _like(1.0 - lambd * eta, p, xp) - _like(eta, p, xp) * g
        a = xp.where(xp.asarray(mu == 1.0), p, a + (p - a) * _like(mu, p, xp))
        return p, xp.asarray(later_eta, copy=True), xp.asarray(later_mu, copy=True), a

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def rprop_step(
    *arrays: Array, n: int, eta_minus: float = 0.5, eta_plus: float = 1.2, low: float = 1e-6, high: float = 50.0,
    maximize: bool = False, donate: bool = False, xp: Any,
) -> tuple[Array, ...]:  # fmt: skip
    """Rprop: p ← p − s·sign(g), with a size s of its own for each element, whatever the size of g.

    s grows by η₊ where the gradient keeps its sign and shrinks by η₋ where it changes it, within [low, high]; there g
    counts as 0 for this step and the next comparison. State lists: the gradients before (zeros at first), and s (lr at
    first; lr itself is not used). Riedmiller & Braun, *A direct adaptive method for faster backpropagation learning*,
    1993.
    """
    _, _, rows = _rows(arrays, n)

    def rule(p: Array, g: Array, before: Array, s: Array) -> tuple[Array, ...]:
        g = _penalised(g, p, 0.0, maximize)
        agreement = g * before
        turned = agreement < 0.0
        factor = xp.where(turned, xp.full_like(s, eta_minus), xp.ones_like(s))
        s = xp.clip(s * xp.where(agreement > 0.0, xp.full_like(s, eta_plus), factor), low, high)
        g = xp.where(turned, xp.zeros_like(g), g)
        return p - xp.sign(g) * s, g, s

    return _columns(rule(*row) for row in rows)


@primitive(outputs=0)
def average_step(*arrays: Array, n: int, donate: bool = False, xp: Any) -> tuple[Array, ...]:
    """Running averages of parameters, a ← a + w·(p − a): w = 1 − decay for exponential ones, 1/(t + 1) for plain ones.

    Inputs: w (0-d float64), n averages, n parameters -> the n new averages. Polyak & Juditsky 1992; Izmailov et al.,
    *Averaging weights leads to wider optima and better generalization*, 2018.
    """
    weight, averages, values = arrays[0], arrays[1 : 1 + n], arrays[1 + n :]
    return tuple(a + (p - a) * _like(weight, a, xp) for a, p in zip(averages, values, strict=True))


@primitive(outputs=0)
def clip_norm_step(*grads: Array, max_norm: float, norm_type: float = 2.0, xp: Any) -> tuple[Array, ...]:
    """The norm of all gradients as one vector, and each of them times min(1, max_norm/(norm + 1e-6)).

    grads -> norm: 0-d, *clipped. norm_type: p of the p-norm, which may be ∞.

    Pascanu et al., *On the difficulty of training recurrent neural networks*, 2013.
    """
    norm = _joint_norm(grads, norm_type, xp)
    scale = xp.minimum(max_norm / (norm + 1e-6), xp.ones_like(norm))
    return norm, *(g * xp.astype(scale, g.dtype) for g in grads)


def _joint_norm(arrays: tuple[Array, ...], p: float, xp: Any) -> Array:
    """The p-norm of all the arrays' elements together."""
    if p == math.inf:
        parts = [xp.max(xp.abs(a)) if math.prod(a.shape) else xp.sum(a) for a in arrays]
        return functools.reduce(xp.maximum, parts)
    if p == 2.0:
        return xp.sqrt(functools.reduce(operator.add, [xp.sum(a * a) for a in arrays]))
    return functools.reduce(operator.add, [xp.sum(xp.abs(a) ** p) for a in arrays]) ** (1.0 / p)
