"""Batching rules of pooling, normalisation, recurrence, losses and dropout: the batch joins the samples or channels."""

from __future__ import annotations

import math
from typing import Any

from ..ops.classify import count_valid
from ..ops.creation import full_like_
from ..ops.elementwise import astype, not_equal, where
from ..ops.norm import layer_norm, layer_norm_grad, standardize, standardize_grad
from ..ops.norm_rms import rms_norm, rms_norm_, rms_norm_grad
from ..ops.random import dropout
from ..ops.reduce import sum_
from .backend import Batch, give, one_by_one, stretched
from .product_rules import folded, unfolded

Array = Any

# ---------------------------------------------------------------- leading axes


def _everywhere(batch: Batch, *args: Array, **params: Any) -> Any:
    """The op itself, which treats leading axes as a batch."""
    return batch.prim(*(batch.full(a, i) for i, a in enumerate(args)), **params)


give(
    _everywhere, "adaptive_avg_pool2d", "adaptive_avg_pool2d_grad", "adaptive_max_pool2d",
    "adaptive_max_pool2d_gather", "adaptive_max_pool2d_unpool", "avg_pool2d", "avg_pool2d_grad", "col2im", "im2col",
    "max_pool2d", "max_pool2d_gather", "max_pool2d_unpool",
)  # fmt: skip


def _images(batch: Batch, *args: Array, **params: Any) -> Array:
    """Ops on images, or rows of them: those of all examples are one long batch of them."""
    return unfolded(batch.prim(*(folded(batch.full(a, i)) for i, a in enumerate(args)), **params), batch.size)


give(_images, "add_frames", "gather_places", "spread_places", "stack_frames")

# ---------------------------------------------------------------- samples


def _by_sample(batch: Batch, *args: Array, **params: Any) -> Any:
    """Ops on rows of samples, whose classes are the second axis: the examples' rows are those of one long batch.

    Without samples, the examples take their place.
    """
    full = [batch.full(a, i) for i, a in enumerate(args)]
    if full[-1].ndim == 1:  # the targets
        return batch.prim(*full, **params)
    return unfolded(batch.prim(*map(folded, full), **params), batch.size)


give(_by_sample, "cross_entropy_index", "cross_entropy_index_grad", "pick_class", "place_class")


@count_valid.batch
def _count_valid(batch: Batch, target: Array, *, ignore_index: int, dtype: str) -> Array:
    valid = not_equal(target, ignore_index)
    n = astype(sum_(valid, axis=tuple(range(1, target.ndim)), keepdims=False), dtype=dtype)
    return where(n == 0, math.nan, n)


def _recurrent(batch: Batch, *args: Array, **params: Any) -> Any:
    """A recurrent network whose weights are the same for all examples: x (t, B·n, f) and states (B·n, e)."""
    states = 2 if batch.prim.name == "lstm" else 1
    if any(batch.mapped[1 + states :]):
        return one_by_one(batch, *args, **params)
    x, *rest = args
    x = folded(batch.full(x, 0), 1)
    start = [folded(batch.full(h, 1 + i)) for i, h in enumerate(rest[:states])]
    out = batch.prim(x, *start, *rest[states:], **params)
    if type(out) is tuple:
        return tuple(unfolded(y, batch.size, 1) for y in out)
    return unfolded(out, batch.size, 1)


give(_recurrent, "gru", "lstm", "rnn")

# ---------------------------------------------------------------- normalisation


@layer_norm.batch
def _layer_norm(batch: Batch, x: Array, weight: Array, bias: Array, *, axes: int, eps: float) -> Array:
    if not batch.mapped[1] and not batch.mapped[2]:
        return layer_norm(x, weight, bias, axes=axes, eps=eps)
    wanted = tuple(x.shape[x.ndim - axes :])
    for name, p, m in zip(("weight", "bias"), (weight, bias), batch.mapped[1:], strict=True):
        if tuple(p.shape[m:]) != wanted:
            raise ValueError(f"the {name} must have shape {wanted}, not {tuple(p.shape[m:])}")
    x = standardize(x, axes=axes, eps=eps)
    own = x.ndim - batch.mapped[0]
    weight, bias = (stretched(p, own) if m else p for p, m in zip((weight, bias), batch.mapped[1:], strict=True))
    return x * weight + bias


@layer_norm_grad.batch
def _layer_norm_grad(batch: Batch, gy: Array, x: Array, weight: Array, *, axes: int, eps: float) -> Any:
    gy, x = batch.full(gy, 0), batch.full(x, 1)
    lead = tuple(range(1, x.ndim - axes))
    weight = stretched(weight, x.ndim - 1) if batch.mapped[2] else weight
    dweight = sum_(gy * standardize(x, axes=axes, eps=eps), axis=lead, keepdims=False)
    return standardize_grad(gy * weight, x, axes=axes, eps=eps), dweight, sum_(gy, axis=lead, keepdims=False)


@rms_norm_.batch
def _rms_norm(batch: Batch, x: Array, weight: Array, *, axes: int, eps: float) -> Array:
    if not batch.mapped[1]:
        return rms_norm_(x, weight, axes=axes, eps=eps)
    wanted = tuple(x.shape[x.ndim - axes :])
    if tuple(weight.shape[1:]) != wanted:
        raise ValueError(f"the weight must have shape {wanted}, not {tuple(weight.shape[1:])}")
    return rms_norm(x, axes=axes, eps=eps) * stretched(weight, x.ndim - batch.mapped[0])


@rms_norm_grad.batch
def _rms_norm_grad(batch: Batch, gy: Array, x: Array, weight: Array, *, axes: int, eps: float) -> Any:
    gy, x = batch.full(gy, 0), batch.full(x, 1)
    lead = tuple(range(1, x.ndim - axes))
    v = gy * (stretched(weight, x.ndim - 1) if batch.mapped[2] else weight)
    ones = full_like_(x, value=1.0, shape=tuple(x.shape[x.ndim - axes :]))
    dx, _ = rms_norm_grad(v, x, ones, axes=axes, eps=eps)
    return dx, sum_(gy * rms_norm(x, axes=axes, eps=eps), axis=lead, keepdims=False)


def _by_channel(batch: Batch, *args: Array, **params: Any) -> Any:
    """Batch and group normalisation: every channel of every example is one of its own. (B, n, c, …) -> (n, B·c, …)."""
    if "groups" in params:
        params["groups"] *= batch.size
    full = [batch.full(a, i) for i, a in enumerate(args)]
    out = batch.prim(*(folded(a, 1 if a.ndim > 2 else 0) for a in full), **params)
    if type(out) is not tuple:
        return unfolded(out, batch.size, 1)
    return tuple(unfolded(y, batch.size, 1 if y.ndim > 1 else 0) for y in out)


give(
    _by_channel, "batch_norm", "batch_norm_grad", "batch_norm_relu", "batch_norm_relu_grad", "batch_norm_add_relu",
    "batch_norm_add_relu_grad", "group_norm", "group_norm_grad",
)  # fmt: skip

# ---------------------------------------------------------------- random numbers


@dropout.batch
def _dropout(batch: Batch, x: Array, key: Array, *, p: float) -> Array:
    if batch.mapped[1]:
        return one_by_one(batch, x, key, p=p)
    shape = tuple(x.shape[1:])
    kept = not_equal(dropout(full_like_(x, value=1.0, dtype=None, shape=shape), key, p=p), 0.0)
    return where(kept, x * (1.0 / (1.0 - p) if p < 1.0 else 0.0), 0.0)
