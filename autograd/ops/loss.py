"""Losses, with the names, arguments and defaults of `torch.nn.functional`.

Predictions are floating. A target of another shape than expected raises: nothing is broadcast silently. Every function
takes `reduction`: "mean" (over all elements, or over the rows that count), "sum" or "none".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..primitive import primitive
from .activation import log_sigmoid
from .binary import xlogy
from .classify import class_axis, count_valid, cross_entropy_index, cross_entropy_mean, pick_class
from .elementwise import less, maximum, not_equal, where
from .reduce import mean_, sum_
from .shape import broadcast_to_, reshape
from .softmax import log_softmax_
from .unary import abs, exp

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "bce_with_logits", "binary_cross_entropy", "cross_entropy", "huber_loss", "kl_div", "l1_loss", "mse_loss",
    "nll_loss", "smooth_l1_loss",
]  # fmt: skip

Array = Any


def _tensor(x: Any, like: Tensor | None = None) -> Tensor:
    from ..tensor import Tensor

    return x if isinstance(x, Tensor) else Tensor(x, backend=None if like is None else like.backend)


def _pair(name: str, prediction: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Prediction and target as tensors of one shape."""
    x = _tensor(prediction)
    y = _tensor(target, x)
    if x.shape != y.shape:
        fix = f"; .reshape({x.shape}) the target" if x.size == y.size else ""
        raise ValueError(f"{name}: prediction {x.shape} and target {y.shape} must have the same shape{fix}")
    return x, y


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    """The losses as asked for."""
    if reduction == "mean":
        return mean_(losses, axis=None, keepdims=False)  # type: ignore[no-any-return]
    if reduction == "sum":
        return sum_(losses, axis=None, keepdims=False)  # type: ignore[no-any-return]
    if reduction == "none":
        return losses
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")


# -------------------------------------------------------------- regression


def _factors(weight: Any, losses: Tensor) -> Tensor:
    """A factor for each loss."""
    w = _tensor(weight, losses)
    if w.shape != losses.shape:
        raise ValueError(f"weight must have the losses' shape {losses.shape}, not {w.shape}")
    return w


def _each_weighted(losses: Tensor, weight: Any, reduction: str) -> Tensor:
    """Losses with a factor each; the mean is divided by the sum of the factors."""
    if weight is None:
        return _reduced(losses, reduction)
    w = _factors(weight, losses)
    return _weighted(losses * w, w, reduction)


def mse_loss(prediction: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Tensor:
    """Squared error (x − y)². Shapes must be equal. `weight`: a factor each, of their shape; the mean is weighted.

    >>> import pullback as pb
    >>> pb.mse_loss(pb.Tensor([1.0, 2.0]), pb.Tensor([0.0, 4.0])).item()
    2.5
    """
    x, y = _pair("mse_loss", prediction, target)
    d = x - y
    return _each_weighted(d * d, weight, reduction)


def l1_loss(prediction: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Tensor:
    """Absolute error |x − y|; its slope where they are equal is 0. `weight` as in `mse_loss`."""
    x, y = _pair("l1_loss", prediction, target)
    return _each_weighted(abs(x - y), weight, reduction)


def smooth_l1_loss(prediction: Any, target: Any, *, beta: float = 1.0, reduction: str = "mean") -> Tensor:
    """Squared error d²/(2β) where |d| < β, else |d| − β/2 (Girshick 2015). β = 0 is `l1_loss`."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, not {beta}")
    if beta == 0:
        return l1_loss(prediction, target, reduction=reduction)
    x, y = _pair("smooth_l1_loss", prediction, target)
    d = x - y
    size = abs(d)
    return _reduced(where(less(size, beta), d * d * (0.5 / beta), size - 0.5 * beta), reduction)


def huber_loss(
    prediction: Any, target: Any, *, delta: float = 1.0, reduction: str = "mean", weight: Any = None
) -> Tensor:  # fmt: skip
    """Squared error d²/2 where |d| < δ, else δ·(|d| − δ/2) (Huber 1964).

    `weight`: a factor each; as in PyTorch, "mean" then divides by the number of elements, unlike `mse_loss`.
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, not {delta}")
    x, y = _pair("huber_loss", prediction, target)
    d = x - y
    size = abs(d)
    losses: Tensor = where(less(size, delta), d * d * 0.5, delta * (size - 0.5 * delta))
    return _reduced(losses if weight is None else losses * _factors(weight, losses), reduction)


# ------------------------------------------------------------ probabilities


@primitive(elementwise=True, floating=True)
def clamped_log(x: Array, /, *, offset: int = 0, xp: Any) -> Array:
    """Logarithm log(x + offset), but at least −100; offset is 0 or 1. ∂x = g/max(x + offset, 10⁻¹²)."""
    positive = x > -offset
    inside = xp.where(positive, x, 1.0)
    return xp.where(positive, xp.maximum(xp.log1p(inside) if offset else xp.log(inside), -100.0), -100.0)


clamped_log.vjp(x=lambda g, x, offset: g / maximum(x + float(offset), 1e-12))


def binary_cross_entropy(prediction: Any, target: Any, *, weight: Any = None, reduction: str = "mean") -> Tensor:
    """Cross-entropy −y·log p − (1 − y)·log(1 − p) of probabilities p; both logarithms are at least −100.

    `weight` multiplies the losses and may broadcast against them. Prefer `bce_with_logits`, which loses no digits.
    """
    p, y = _pair("binary_cross_entropy", prediction, target)
    losses = -(y * clamped_log(p, offset=0) + (1.0 - y) * clamped_log(-p, offset=1))
    return _reduced(losses if weight is None else losses * weight, reduction)


def bce_with_logits(
    prediction: Any, target: Any, *, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy of σ(x) with y, stable for every x: (1 − y)·x − (1 + (w − 1)·y)·log σ(x).

    `weight` multiplies the losses; `pos_weight` w multiplies those of the positive class. Both may broadcast.
    """
    x, y = _pair("bce_with_logits", prediction, target)
    log_p = log_sigmoid(x)
    if pos_weight is not None:
        log_p = (1.0 + (_tensor(pos_weight, x) - 1.0) * y) * log_p
    losses = (1.0 - y) * x - log_p
    return _reduced(losses if weight is None else losses * weight, reduction)


def kl_div(prediction: Any, target: Any, *, log_target: bool = False, reduction: str = "mean") -> Tensor:
    """Kullback–Leibler divergence y·(log y − x) of log-probabilities x from probabilities y, elementwise; 0·log 0 = 0.

    With `log_target` the target holds log y. `reduction="batchmean"` divides the sum by the first axis's length, which
    is the divergence's usual meaning; "mean" divides by the number of elements, as in PyTorch.
    """
    x, y = _pair("kl_div", prediction, target)
    if log_target:
        losses = exp(y) * (y - x)
    else:
        losses = xlogy(y, y) - y * x
    if reduction == "batchmean":
        return _reduced(losses, "sum") / (x.shape[0] if x.ndim else 1)
    return _reduced(losses, reduction)


# ------------------------------------------------------------------ classes


def nll_loss(
    prediction: Any, target: Any, *, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """Negative log-likelihood −x[target] of log-probabilities x: (n, c, …), target: (n, …) integers.

    `weight`: (c,), a factor per class. "mean" divides by the weights of the rows that count.
    """
    x = _tensor(prediction)
    y = _tensor(target, x)
    losses = -pick_class(x, y, ignore_index=ignore_index)
    if weight is None:
        return _counted(losses, y, ignore_index, reduction)
    rows = pick_class(_class_weights(weight, x), y, ignore_index=ignore_index)
    return _weighted(losses * rows, rows, reduction)


def _counted(losses: Tensor, target: Tensor, ignore_index: int, reduction: str) -> Tensor:
    """Row losses reduced; the mean is over the rows that are not ignored, and NaN if there are none."""
    if reduction != "mean":
        return _reduced(losses, reduction)
    mean: Tensor = _reduced(losses, "sum") / count_valid(target, ignore_index=ignore_index, dtype=losses.dtype.name)
    return mean


def _weighted(losses: Tensor, rows: Tensor, reduction: str) -> Tensor:
    return _reduced(losses, "sum") / _reduced(rows, "sum") if reduction == "mean" else _reduced(losses, reduction)


def _class_weights(weight: Any, x: Tensor) -> Tensor:
    """The weights (c,), repeated to the shape of the scores."""
    w = _tensor(weight, x).astype(x.dtype)
    axis = class_axis(x.ndim)
    if w.shape != (x.shape[axis],):
        raise ValueError(f"weight must have shape ({x.shape[axis]},), one factor per class, not {w.shape}")
    column = reshape(w, shape=tuple(n if i == axis else 1 for i, n in enumerate(x.shape)))
    return broadcast_to_(column, shape=x.shape)  # type: ignore[no-any-return]


def cross_entropy(
    logits: Any, target: Any, *, weight: Any = None, label_smoothing: float = 0.0, ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Cross-entropy between softmax(logits) and the target.

    Parameters
    ----------
    logits : (c,), (n, c) or (n, c, d₁, …): the class axis is 1, or 0 for a single row.
    target : class indices, integers of that shape without the class axis; or probabilities, floats of logits' shape.
    weight : (c,), a factor per class. With indices, "mean" divides by the weights of the rows that count.
    label_smoothing : ε in [0, 1]: the wanted distribution is (1 − ε)·target + ε/c (Szegedy et al. 2016).
    ignore_index : rows with this index count for nothing; if none counts, the mean is NaN.

    Raises
    ------
    ValueError : the target's shape does not fit. TypeError : its dtype does not. IndexError : a label is out of range.

    >>> import pullback as pb
    >>> round(pb.cross_entropy(pb.Tensor([[2.0, 0.0], [0.0, 0.0]]), pb.Tensor([0, 1])).item(), 4)
    0.41
    """
    x = _tensor(logits)
    y = _tensor(target, x)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1], not {label_smoothing}")
    if not x.ndim:
        raise ValueError("cross_entropy: logits need a class axis; this tensor is a single number")
    if y.dtype.kind == "f":
        return _soft_cross_entropy(x, y, weight, label_smoothing, reduction)
    if weight is None:
        if reduction == "mean" and "cross_entropy_mean" in x.backend.kernels:
            return cross_entropy_mean(x, y, label_smoothing=label_smoothing, ignore_index=ignore_index)  # type: ignore[no-any-return]
        rows = cross_entropy_index(x, y, label_smoothing=label_smoothing, ignore_index=ignore_index)
        return _counted(rows, y, ignore_index, reduction)
    weights = _class_weights(weight, x)
    axis = class_axis(x.ndim)
    log_p = log_softmax_(x, axis=axis)
    factors = pick_class(weights, y, ignore_index=ignore_index)
    losses = -(1.0 - label_smoothing) * factors * pick_class(log_p, y, ignore_index=ignore_index)
    if label_smoothing:
        smooth = sum_(weights * log_p, axis=(axis,), keepdims=False) * (label_smoothing / x.shape[axis])
        losses = losses - where(not_equal(y, ignore_index), smooth, 0.0)
    return _weighted(losses, factors, reduction)


def _soft_cross_entropy(x: Tensor, y: Tensor, weight: Any, label_smoothing: float, reduction: str) -> Tensor:
    """Cross-entropy with probabilities; "mean" divides by the number of rows."""
    axis = class_axis(x.ndim)
    if x.shape != y.shape:
        indices = (*x.shape[:axis], *x.shape[axis + 1 :])
        fix = "; class indices must be integers: .astype('int64')" if y.shape == indices else ""
        raise ValueError(f"cross_entropy: logits {x.shape} and probabilities {y.shape} must have the same shape{fix}")
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + label_smoothing / x.shape[axis]
    terms = y * log_softmax_(x, axis=axis)
    if weight is not None:
        terms = terms * _class_weights(weight, x)
    return _reduced(-sum_(terms, axis=(axis,), keepdims=False), reduction)
