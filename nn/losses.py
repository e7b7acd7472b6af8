"""Loss functions with PyTorch's signatures. Shapes that differ are an error: a loss never broadcasts silently."""

from __future__ import annotations

from typing import Any

from ..autograd import ops
from ..autograd.tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "kl_div", "l1_loss",
    "mse_loss", "nll_loss", "smooth_l1_loss",
]  # fmt: skip


def mse_loss(input: Tensor, target: Any, *, reduction: str = "mean", weight: Any = None) -> Tensor:
    """(x − t)², reduced. `weight`: a factor each, of the input's shape; the mean is divided by their sum."""
    return ops.mse_loss(input, target, reduction=reduction, weight=weight)


def l1_loss(input: Tensor, target: Any, *, reduction: str = "mean", weight: Any = None) -> Tensor:
    """|x − t|, reduced; its derivative at 0 is 0. `weight` as in `mse_loss`."""
    return ops.l1_loss(input, target, reduction=reduction, weight=weight)


def huber_loss(
    input: Tensor, target: Any, *, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Tensor:
    """d²/2 where |d| < delta, delta·(|d| − delta/2) elsewhere, with d = x − t. Huber 1964.

    `weight`: a factor each, of the input's shape; the mean is over all elements all the same, as in PyTorch.
    """
    return ops.huber_loss(input, target, reduction=reduction, delta=delta, weight=weight)


def smooth_l1_loss(input: Tensor, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d²/(2·beta) where |d| < beta, |d| − beta/2 elsewhere, with d = x − t; |d| for beta = 0. Girshick 2015."""
    return ops.smooth_l1_loss(input, target, reduction=reduction, beta=beta)


def binary_cross_entropy(input: Tensor, target: Any, weight: Any = None, *, reduction: str = "mean") -> Tensor:
    """−(t·log x + (1 − t)·log(1 − x)) for probabilities x; the logarithms are at least −100, as in PyTorch.

    With logits, `binary_cross_entropy_with_logits` is exact where this one saturates.
    """
    return ops.binary_cross_entropy(input, target, weight=weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    input: Tensor, target: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Tensor:
    """−(p·t·log σ(x) + (1 − t)·log(1 − σ(x))) for logits x, without overflow; p is `pos_weight`, 1 by default."""
    return ops.bce_with_logits(input, target, weight=weight, pos_weight=pos_weight, reduction=reduction)


def kl_div(input: Tensor, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t·(log t − x) for log-probabilities x, 0 where t = 0; of log-probabilities t too with `log_target`.

    "batchmean" divides the sum by the length of axis 0, which is what the divergence of a batch means; "mean" divides
    by the number of elements.
    """
    return ops.kl_div(input, target, reduction=reduction, log_target=log_target)


def nll_loss(
    input: Tensor, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """−weight[t]·x[t] for log-probabilities x and class indices t; the mean is weighted.

    Shapes and parameters are those of `cross_entropy`.
    """
    return ops.nll_loss(input, target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def cross_entropy(
    input: Tensor, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """Cross-entropy of softmax(input) with the target classes or probabilities.

    Parameters
    ----------
    input : logits (n, c), (n, c, d₁, …) or (c,).
    target : class indices of the input's shape without the class axis; or probabilities of the input's shape.
    weight : (c,), a factor for each class; the mean is then weighted.
    ignore_index : targets of this value count nothing.
    reduction : "mean", "sum" or "none".
    label_smoothing : this much of each target is spread evenly over the classes. Szegedy et al. 2016.

    Raises
    ------
    ValueError : the target's shape does not fit. TypeError : its dtype does not. IndexError : a label is out of range.
    """
    return ops.cross_entropy(
        input, target, weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )
