"""Losses of distances, rankings and count data, with the names, arguments and defaults of `torch.nn.functional`.

Like those of `loss.py`, none broadcasts its inputs silently. `reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .creation import check
from .elementwise import clip, equal, minimum, where
from .extrema import norm_
from .loss import _pair, _reduced, _tensor, cross_entropy
from .reduce import sum_
from .shape import concatenate_, reshape_
from .unary import exp, log, sqrt

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "cosine_embedding_loss", "gaussian_nll_loss", "hinge_embedding_loss", "info_nce", "margin_ranking_loss", "nt_xent",
    "pairwise_distance", "poisson_nll_loss", "triplet_margin_loss",
]  # fmt: skip


def _along_rows(x: Tensor) -> Tensor:
    """Sum over the last axis."""
    return sum_(x, axis=(x.ndim - 1,), keepdims=False)  # type: ignore[no-any-return]


def _hinge(x: Tensor) -> Tensor:
    """max(x, 0), with slope 1 at 0 as PyTorch's losses have."""
    return clip(x, 0.0)  # type: ignore[no-any-return]


# ------------------------------------------------------------------ distances and rankings


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm ‖x1 − x2 + ε‖ over the last axis. (…, d), (…, d) -> (…), or (…, 1) with `keepdim`."""
    x = _tensor(x1)
    d = x - _tensor(x2, x) + eps
    return norm_(d, ord=p, axis=(d.ndim - 1,), keepdims=keepdim)  # type: ignore[no-any-return]


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """x where the target is 1, max(0, margin − x) where it is −1, for a distance x. Shapes must be equal."""
    x, y = _pair("hinge_embedding_loss", input, target)
    losses = where(equal(y, 1), 0.0, _hinge(margin - x)) + where(equal(y, -1), 0.0, x)
    return _reduced(losses, reduction)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """max(0, −y·(x1 − x2) + margin): x1 should rank above x2 where the target y is 1, below where it is −1."""
    a, b = _pair("margin_ranking_loss", input1, input2)
    _, y = _pair("margin_ranking_loss", a, target)
    return _reduced(_hinge(-y * (a - b) + margin), reduction)


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6,
    swap: bool = False, *, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, margin + d(a, pos) − d(a, neg)) with `pairwise_distance` d over the last axis. (…, d) -> (…).

    `swap` replaces d(a, neg) by d(pos, neg) where that is smaller (Balntas et al. 2016).
    """
    a, near = _pair("triplet_margin_loss", anchor, positive)
    _, far = _pair("triplet_margin_loss", a, negative)
    apart = pairwise_distance(a, far, p, eps)
    if swap:
        apart = minimum(apart, pairwise_distance(near, far, p, eps))
    return _reduced(_hinge(margin + pairwise_distance(a, near, p, eps) - apart), reduction)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """1 − cos where the target is 1, max(0, cos − margin) where it is −1.

    cos = ⟨x1, x2⟩/√((‖x1‖² + 10⁻¹²)·(‖x2‖² + 10⁻¹²)) over the last axis. (n, d), (n, d), (n) or (d), (d), () targets.
    """
    a, b = _pair("cosine_embedding_loss", input1, input2)
    y = _tensor(target, a)
    if y.shape != a.shape[:-1]:
        raise ValueError(
            f"cosine_embedding_loss: inputs {a.shape} need a target of shape {a.shape[:-1]}, not {y.shape}"
        )
    cos = _along_rows(a * b) / sqrt((_along_rows(a * a) + 1e-12) * (_along_rows(b * b) + 1e-12))
    losses = where(equal(y, 1), 1.0 - cos, where(equal(y, -1), _hinge(cos - margin), 0.0))
    return _reduced(losses, reduction)


# ------------------------------------------------------------------ likelihoods


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(log v + (x − t)²/v)/2 with v = max(var, ε); plus (log 2π)/2 with `full`. Nix & Weigend 1994.

    var: a number, or the input's shape, or that without its last axis, or with length 1 in one axis. As in PyTorch the
    gradient passes through the bound ε as if it were not there.

    Raises
    ------
    ValueError : shapes do not fit, or a variance is negative.
    """
    x, y = _pair("gaussian_nll_loss", input, target)
    v = _tensor(float(var) if isinstance(var, int | float) else var, x)
    if v.ndim and v.shape != x.shape:
        if v.shape == x.shape[:-1]:
            v = reshape_(v, shape=(*v.shape, 1))
        elif v.ndim != x.ndim or [a for a, b in zip(v.shape, x.shape, strict=True) if a != b] != [1]:
            raise ValueError(f"gaussian_nll_loss: a variance of shape {v.shape} for an input of shape {x.shape}")
    message = "gaussian_nll_loss: variances must not be negative"
    check(lambda values: not (values < 0.0).any(), lambda _: ValueError(message), v)
    fixed = v.detach()
    v = v + (clip(fixed, eps) - fixed)
    d = x - y
    losses = 0.5 * (log(v) + d * d / v)
    return _reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Tensor:
    """Negative log-likelihood of counts t: eˣ − t·x, or x − t·log(x + ε) where x is no logarithm.

    `full` adds Stirling's approximation of log t!, t·log t − t + log(2πt)/2, where t > 1.
    """
    x, t = _pair("poisson_nll_loss", input, target)
    losses = exp(x) - t * x if log_input else x - t * log(x + eps)
    if full:
        many = t > 1
        safe = where(many, t, 1.0)
        losses = losses + where(many, safe * log(safe) - safe + 0.5 * log(2 * math.pi * safe), 0.0)
    return _reduced(losses, reduction)


# ------------------------------------------------------------------ contrastive


def _unit(x: Tensor) -> Tensor:
    """Rows of length 1; rows shorter than 10⁻¹² are divided by that."""
    return x / clip(norm_(x, ord=2, axis=(x.ndim - 1,), keepdims=True), 1e-12)  # type: ignore[no-any-return]


def info_nce(
    query: Any, positive_key: Any, negative_keys: Any = None, temperature: float = 0.1, reduction: str = "mean"
) -> Tensor:
    """−log of the softmax share that a query's cosine with its own key has among those with all keys, over τ.

    query, positive_key: (n, d). negative_keys: (m, d) shared by all queries, (n, m, d) for each its own, or None: the
    other rows' positive keys are the negatives. van den Oord et al. 2018, "Representation learning with contrastive
    predictive coding".

    Raises
    ------
    ValueError : shapes do not fit, or the temperature is not positive.
    """
    a, b = _pair("info_nce", query, positive_key)
    if a.ndim != 2:
        raise ValueError(f"info_nce: query and positive_key must be (n, d), not {a.shape}")
    if temperature <= 0:
        raise ValueError(f"info_nce: temperature must be positive, not {temperature}")
    a, b = _unit(a), _unit(b)
    n, d = a.shape
    if negative_keys is None:
        from .creation import arange

        logits = a @ b.mT
        own = arange(n, backend=a.backend)
    else:
        from .creation import zeros

        keys = _tensor(negative_keys, a)
        if keys.ndim not in (2, 3) or keys.shape[-1] != d or (keys.ndim == 3 and keys.shape[0] != n):
            raise ValueError(f"info_nce: negative_keys must be (m, {d}) or ({n}, m, {d}), not {keys.shape}")
        keys = _unit(keys)
        if keys.ndim == 2:
            others = a @ keys.mT
        else:
            others = reshape_(reshape_(a, shape=(n, 1, d)) @ keys.mT, shape=(n, keys.shape[1]))
        logits = concatenate_(reshape_(_along_rows(a * b), shape=(n, 1)), others, axis=1)
        own = zeros(n, dtype="int64", backend=a.backend)
    return cross_entropy(logits / temperature, own, reduction=reduction)


def nt_xent(z1: Any, z2: Any, temperature: float = 0.5, reduction: str = "mean") -> Tensor:
    """Normalised temperature-scaled cross-entropy of two views: `info_nce` of all 2n rows, each against all others.

    z1, z2: (n, d), row i of one the partner of row i of the other. The losses are (2n,), those of z1 first. Chen et
    al. 2020, "A simple framework for contrastive learning of visual representations".
    """
    from .creation import arange, eye

    a, b = _pair("nt_xent", z1, z2)
    if a.ndim != 2:
        raise ValueError(f"nt_xent: both views must be (n, d), not {a.shape}")
    if temperature <= 0:
        raise ValueError(f"nt_xent: temperature must be positive, not {temperature}")
    n = a.shape[0]
    rows = _unit(concatenate_(a, b, axis=0))
    logits = (rows @ rows.mT) / temperature
    itself = eye(2 * n, dtype="bool", backend=rows.backend)
    partner = (arange(2 * n, backend=rows.backend) + n) % max(2 * n, 1)
    return cross_entropy(where(itself, -math.inf, logits), partner, reduction=reduction)
