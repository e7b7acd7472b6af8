"""Losses of distances, rankings, likelihoods and sequences as modules; `nn.functional` has the formulas.

`reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from typing import Any

from ...autograd.tensor import Tensor
from .. import functional as F
from ..arguments import choice
from ..module import Module


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = choice(type(self).__name__, "reduction", reduction, ("mean", "sum", "none"))


class _MarginLoss(_Loss):
    def __init__(self, margin: float, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin


class PairwiseDistance(Module):
    """p-norm of the difference over the last axis: `functional.pairwise_distance`."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Two arrays (…, d) -> (…)."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """Cosine of the angle between two arrays along the axis `dim`: `functional.cosine_similarity`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Two arrays -> their cosines, without the axis."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class HingeEmbeddingLoss(_MarginLoss):
    """Distances to be small (target 1) or above a margin (target −1): `functional.hinge_embedding_loss`."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(margin, reduction)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        """Two arrays of one shape -> the loss."""
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class MarginRankingLoss(_MarginLoss):
    """The first score to rank above (target 1) or below (−1) the second: `functional.margin_ranking_loss`."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(margin, reduction)

    def forward(self, input1: Tensor, input2: Tensor, target: Any) -> Tensor:
        """Three arrays of one shape -> the loss."""
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """Directions to agree (target 1) or not (−1): `functional.cosine_embedding_loss`."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(margin, reduction)

    def forward(self, input1: Tensor, input2: Tensor, target: Any) -> Tensor:
        """Two arrays (n, d) and a target (n) -> the loss."""
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_MarginLoss):
    """An anchor to be closer to its like than to another: `functional.triplet_margin_loss`."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(margin, reduction)
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Three arrays (…, d) -> the loss."""
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """Likelihood under a normal distribution of given variance: `functional.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Any, var: Any) -> Tensor:
        """Means, targets of that shape, and variances -> the loss."""
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class PoissonNLLLoss(_Loss):
    """Likelihood of counts: `functional.poisson_nll_loss`."""

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Any) -> Tensor:
        """Log-rates (or rates) and counts of one shape -> the loss."""
        return F.poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class CTCLoss(_Loss):
    """A label sequence against more frames than labels: `functional.ctc_loss`."""

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Tensor, targets: Any, input_lengths: Any, target_lengths: Any) -> Tensor:
        """(t, n, c), (n, s), (n), (n) -> the loss."""
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )


class _Contrastive(_Loss):
    def __init__(self, temperature: float, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.temperature = temperature


class InfoNCELoss(_Contrastive):
    """A query's own key among others: `functional.info_nce`."""

    def __init__(self, temperature: float = 0.1, reduction: str = "mean") -> None:
        super().__init__(temperature, reduction)

    def forward(self, query: Tensor, positive_key: Tensor, negative_keys: Tensor | None = None) -> Tensor:
        """(n, d), (n, d), and (m, d), (n, m, d) or nothing -> the loss."""
        return F.info_nce(query, positive_key, negative_keys, self.temperature, self.reduction)


class NTXentLoss(_Contrastive):
    """Two views of each sample among all others of the batch: `functional.nt_xent`."""

    def __init__(self, temperature: float = 0.5, reduction: str = "mean") -> None:
        super().__init__(temperature, reduction)

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        """(n, d), (n, d) -> the loss."""
        return F.nt_xent(z1, z2, self.temperature, self.reduction)
