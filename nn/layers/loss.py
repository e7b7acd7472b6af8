"""Losses as modules. The function in `nn.functional` has the formula. `reduction` is "mean", "sum" or "none"."""

from __future__ import annotations

from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from ..arguments import choice
from ..buffer import Buffer
from ..module import Module


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = choice(type(self).__name__, "reduction", reduction, self.reductions)

    reductions: tuple[str, ...] = ("mean", "sum", "none")


def _weights(value: Any) -> Buffer | None:
    return None if value is None else Buffer(value)


class CrossEntropyLoss(_Loss):
    """Cross-entropy of logits with class indices or probabilities: `functional.cross_entropy`.

    Parameters
    ----------
    weight : (c,), a factor for each class. ignore_index : targets of this value count nothing.
    label_smoothing : this much of each target is spread evenly over the classes.
    """

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"CrossEntropyLoss: label_smoothing must be between 0 and 1, not {label_smoothing!r}")
        self.weight = _weights(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Logits (n, c, …), targets (n, …) -> the loss."""
        return F.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )  # fmt: skip


class NLLLoss(_Loss):
    """−x[t] for log-probabilities x and class indices t: `functional.nll_loss`."""

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _weights(weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Log-probabilities (n, c, …), targets (n, …) -> the loss."""
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """(x − t)²: `functional.mse_loss`."""

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two arrays of one shape -> the loss."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|x − t|: `functional.l1_loss`."""

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two arrays of one shape -> the loss."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Squared for |x − t| < beta, absolute beyond: `functional.smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two arrays of one shape -> the loss."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Squared for |x − t| < delta, absolute beyond: `functional.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two arrays of one shape -> the loss."""
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities: `functional.binary_cross_entropy`."""

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _weights(weight)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two arrays of one shape -> the loss."""
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of logits: `functional.binary_cross_entropy_with_logits`."""

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self.weight = _weights(weight)
        self.pos_weight = _weights(pos_weight)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two arrays of one shape -> the loss."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(_Loss):
    """t·(log t − x) for log-probabilities x: `functional.kl_div`. `reduction` may also be "batchmean"."""

    reductions = ("mean", "sum", "none", "batchmean")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two arrays of one shape -> the loss."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
