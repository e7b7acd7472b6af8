"""Losses of margins between classes as modules; `nn.functional` has the formulas.

`reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from ..buffer import Buffer
from .loss import _Loss


class SoftMarginLoss(_Loss):
    """log(1 + e^(−y·x)) for targets y of 1 or −1: `functional.soft_margin_loss`."""

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two arrays of one shape -> the loss."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """Binary cross-entropy of each class, averaged over them: `functional.multilabel_soft_margin_loss`."""

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else Buffer(weight)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Scores and targets (n, c) -> the loss."""
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class MultiMarginLoss(_Loss):
    """The target's score to be a margin above all others: `functional.multi_margin_loss`."""

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p must be 1 or 2, not {p!r}")
        self.p = p
        self.margin = margin
        self.weight = None if weight is None else Buffer(weight)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Scores (n, c), classes (n) -> the loss."""
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Every label's score to be 1 above those of all classes that are none: `functional.multilabel_margin_loss`."""

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Scores (n, c), labels (n, c) that end at the first −1 -> the loss."""
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with any distance: `functional.triplet_margin_with_distance_loss`."""

    def __init__(
        self, *, distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
        swap: bool = False, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: margin must be positive, not {margin}")
        self.distance_function = F.pairwise_distance if distance_function is None else distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Three arrays (n, …) -> the loss."""
        return F.triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function, margin=self.margin, swap=self.swap,
            reduction=self.reduction,
        )  # fmt: skip
