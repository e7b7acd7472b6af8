"""Losses of margins between classes, with the names, arguments and defaults of `torch.nn.functional`.

Like those of `loss.py`, none broadcasts its inputs silently. `reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .activation import log_sigmoid
from .creation import check
from .elementwise import minimum, where
from .index import gather, take
from .loss import _pair, _reduced, _tensor
from .loss_more import _along_rows, _hinge, pairwise_distance
from .reduce import any_
from .running import cumprod
from .selection import one_hot
from .shape import reshape_

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip


def _rows(name: str, input: Any) -> tuple[Tensor, Tensor]:
    """The scores, and the scores as (n, c)."""
    x = _tensor(input)
    if x.ndim not in (1, 2) or not x.shape[-1]:
        raise ValueError(f"{name}: scores (n, c) or (c,) are wanted, not {x.shape}")
    return x, (x if x.ndim == 2 else reshape_(x, shape=(1, *x.shape)))


def soft_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Tensor:
    """log(1 + e^(−y·x)) of scores x and targets y of 1 or −1. Shapes must be equal."""
    x, y = _pair("soft_margin_loss", input, target)
    return _reduced(-log_sigmoid(y * x), reduction)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Tensor:
    """−Σ y·log σ(x) + (1 − y)·log σ(−x), averaged over the classes, which are the last axis. (…, c), (…, c) -> (…).

    `weight` holds a factor for each class.
    """
    x, y = _pair("multilabel_soft_margin_loss", input, target)
    losses = -(y * log_sigmoid(x) + (1.0 - y) * log_sigmoid(-x))
    if weight is not None:
        losses = losses * _tensor(weight, x)
    return _reduced(_along_rows(losses) / x.shape[-1], reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean"
) -> Tensor:
    """Σ over the other classes j of w[t]·max(0, margin − x[t] + x[j])ᵖ, divided by the number of classes.

    input: scores (n, c) or (c,), target: classes (n,) or (). `weight`: (c,), a factor for each class.

    Raises
    ------
    ValueError : shapes do not fit, or p is neither 1 nor 2. IndexError : a class is out of range.
    """
    x, rows = _rows("multi_margin_loss", input)
    y = _tensor(target, x)
    n, c = rows.shape
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, not {p}")
    if y.dtype.kind not in "iu" or y.shape not in (x.shape[:-1], (1,) * (x.ndim == 1)):
        raise ValueError(f"multi_margin_loss: scores {x.shape} need integer targets {x.shape[:-1]}, not {y.shape}")
    y = reshape_(y, shape=(n, 1))
    hinge = _hinge(margin - gather(rows, y, 1) + rows)
    if p == 2:
        hinge = hinge * hinge
    others = _tensor(np.arange(c), x) != y
    losses = where(others, hinge, 0.0)
    if weight is not None:
        losses = losses * take(_tensor(weight, x), y, 0)
    losses = _along_rows(losses) / c
    return _reduced(losses if x.ndim == 2 else reshape_(losses, shape=()), reduction)


def multilabel_margin_loss(input: Any, target: Any, *, reduction: str = "mean") -> Tensor:
    """Σ over labels t and classes i that are none of max(0, 1 − x[t] + x[i]), divided by the number of classes.

    input: scores (n, c) or (c,), target: labels of the same shape; those from the first −1 on do not count.

    Raises
    ------
    ValueError : shapes do not fit. IndexError : a label is out of range.
    """
    x, rows = _rows("multilabel_margin_loss", input)
    y = _tensor(target, x)
    if y.dtype.kind not in "iu" or y.shape != x.shape:
        raise ValueError(f"multilabel_margin_loss: scores {x.shape} need integer labels of that shape, not {y.shape}")
    n, c = rows.shape
    y = reshape_(y, shape=(n, c))
    counts = cumprod((y >= 0).long(), 1) > 0
    labels = where(counts, y, 0)
    message = f"multilabel_margin_loss: labels must be below {c}, the number of classes, or -1"
    check(lambda values: (values < c).all(), lambda _: IndexError(message), labels)
    beside = reshape_(counts, shape=(n, c, 1))
    named = any_(one_hot(labels, c, dtype="bool") & beside, axis=(1,), keepdims=True)
    own = gather(rows, labels, 1)
    hinge = _hinge(1.0 - reshape_(own, shape=(n, c, 1)) + reshape_(rows, shape=(n, 1, c)))
    losses = _along_rows(_along_rows(where(beside & ~named, hinge, 0.0))) / c
    return _reduced(losses if x.ndim == 2 else reshape_(losses, shape=()), reduction)


def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *, distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0, swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, margin + d(a, pos) − d(a, neg)) with any distance d, `pairwise_distance` for None.

    `swap` replaces d(a, neg) by d(pos, neg) where that is smaller (Balntas et al. 2016).
    """
    distance = pairwise_distance if distance_function is None else distance_function
    a, near = _pair("triplet_margin_with_distance_loss", anchor, positive)
    _, far = _pair("triplet_margin_with_distance_loss", a, negative)
    if margin <= 0:
        raise ValueError(f"triplet_margin_with_distance_loss: margin must be positive, not {margin}")
    apart = distance(a, far)
    if swap:
        apart = minimum(apart, distance(near, far))
    return _reduced(_hinge(margin + distance(a, near) - apart), reduction)
