"""Metrics of predicted numbers, and of predicted probabilities of words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd.ops import abs as absolute
from ..autograd.ops import nll_loss
from ..autograd.ops.softmax import log_softmax
from ..autograd.tensor import Tensor
from .metrics import MeanMetric, Metric, class_indices


def _same_shape(name: str, prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ValueError(f"{name}: predictions have shape {prediction.shape}, targets {target.shape}")


class MeanSquaredError(MeanMetric):
    """The mean of (x − y)² over all elements; `squared=False` gives its root."""

    def __init__(self, squared: bool = True) -> None:
        super().__init__()
        self.squared = squared
        self.name = "mse" if squared else "rmse"

    def measure(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, int]:
        """(sum of squares, elements)."""
        _same_shape(self.name, prediction, target)
        return ((prediction - target) ** 2).sum(), prediction.size

    def result(self) -> float:
        """The mean so far, or its root."""
        mean = super().result()
        return mean if self.squared else math.sqrt(mean)


class MeanAbsoluteError(MeanMetric):
    """The mean of |x − y| over all elements."""

    name = "mae"

    def measure(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, int]:
        """(sum, elements)."""
        _same_shape(self.name, prediction, target)
        return absolute(prediction - target).sum(), prediction.size


class R2Score(Metric):
    """The coefficient of determination, 1 − Σ(y − x)²/Σ(y − ȳ)², the mean of those of the outputs.

    Predictions and targets are (n, ...). Of a constant target it is 1 if it is met exactly, else 0, as in scikit-learn.
    The sums are merged batch by batch around their means (Chan et al. 1979), so that no digits cancel.
    """

    name = "r2"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start a new pass over the data."""
        self.n = 0
        self.mean: Any = np.zeros(1)
        self.total: Any = np.zeros(1)
        self.residual: Any = np.zeros(1)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch."""
        _same_shape(self.name, prediction, target)
        y = np.asarray(target.numpy(), np.float64)
        x = np.asarray(prediction.numpy(), np.float64).reshape(len(y), -1)
        y = y.reshape(len(y), -1)
        if not len(y):
            return
        mean, n = y.mean(axis=0), self.n + len(y)
        shift = mean - self.mean
        self.total = self.total + ((y - mean) ** 2).sum(axis=0) + shift**2 * (self.n * len(y) / n)
        self.mean = self.mean + shift * (len(y) / n)
        self.residual = self.residual + ((y - x) ** 2).sum(axis=0)
        self.n = n

    def result(self) -> float:
        """The value over all samples since `reset`; nan of fewer than two."""
        if self.n < 2:
            return float("nan")
        met = np.where(self.residual == 0, 1.0, 0.0)
        safe = np.where(self.total == 0, 1.0, self.total)
        return float(np.where(self.total == 0, met, 1.0 - self.residual / safe).mean())

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "total", "residual")}
        return {"n": self.n, **arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.n = int(state["n"])
        self.mean, self.total, self.residual = (np.array(state[name]) for name in ("mean", "total", "residual"))


class Perplexity(MeanMetric):
    """e to the mean of −log p(target), with p the softmax of the scores: how many words a model wavers between.

    Parameters
    ----------
    ignore_index : targets that do not count. Shapes as for `Accuracy`: scores (n, c, ...), targets (n, ...).
    """

    name = "perplexity"

    def __init__(self, ignore_index: int = -100) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def measure(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, int]:
        """(sum of −log p, targets that count)."""
        indices = class_indices(self.name, prediction, target)
        losses = nll_loss(
            log_softmax(prediction, axis=1), indices, ignore_index=self.ignore_index, reduction="sum"
        )  # fmt: skip
        return losses, int((indices != self.ignore_index).sum().item())

    def result(self) -> float:
        """The value over all targets since `reset`."""
        mean = super().result()
        return math.exp(mean) if mean < 709.0 else (mean if math.isnan(mean) else math.inf)
