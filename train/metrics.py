"""Metrics: numbers about predictions and targets, gathered batch by batch, right with a smaller last batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..autograd.ops import argmax, equal, gather, stack, unsqueeze
from ..autograd.tensor import Tensor


class RunningMean:
    """The mean of sums over batches. From a device other than the host they are fetched many at a time."""

    FETCH = 32

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.total = 0.0
        self.weight = 0
        self._pending: list[tuple[Tensor, float]] = []

    def add(self, value: Tensor, weight: int, scale: float = 1.0) -> None:
        """Take in scale·value, a sum over `weight` samples; value is a 0-d Tensor."""
        self.weight += weight
        self._pending.append((value, scale))
        if value.backend.host or len(self._pending) >= self.FETCH:
            self._fetch()

    def _fetch(self) -> None:
        pending, self._pending = self._pending, []
        if len(pending) == 1:
            self.total += pending[0][0].item() * pending[0][1]
        elif pending:
            values = stack([value for value, _ in pending], axis=0).tolist()
            for value, (_, scale) in zip(values, pending, strict=True):
                self.total += value * scale

    def result(self) -> float:
        """The mean so far; nan if nothing was added."""
        self._fetch()
        return self.total / self.weight if self.weight else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """The sums, as plain numbers."""
        self._fetch()
        return {"total": self.total, "weight": self.weight}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the sums of `state_dict`."""
        self.reset()
        self.total, self.weight = float(state["total"]), int(state["weight"])


class Metric:
    """A number about predictions and targets. Subclasses give `name` and the methods, of which `compute` is done.

    Attributes
    ----------
    name : under which it is logged.
    scalar : whether the result is one number. What is none, `Trainer.evaluate` returns; the History leaves it out.
    live : whether it may be asked for after every batch, for a bar; else only when an epoch is over.
    """

    name: str = "metric"
    scalar: bool = True
    live: bool = True

    def reset(self) -> None:
        """Start a new pass over the data."""
        raise NotImplementedError

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch."""
        raise NotImplementedError

    def result(self) -> Any:
        """The value over all batches since `reset`."""
        raise NotImplementedError

    def compute(self) -> Any:
        """The result, under the name that torchmetrics gives it."""
        return self.result()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint in the middle of a pass must hold."""
        raise NotImplementedError

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        raise NotImplementedError


class MeanMetric(Metric):
    """A mean over samples: subclasses write `measure`, which gives a batch's sum and its number of samples."""

    def __init__(self) -> None:
        self._mean = RunningMean()

    def measure(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, int]:
        """(sum over the batch as a 0-d Tensor, number of samples)."""
        raise NotImplementedError

    def reset(self) -> None:
        """Start a new pass over the data."""
        self._mean.reset()

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch."""
        self._mean.add(*self.measure(prediction, target))

    def result(self) -> float:
        """The mean over all samples since `reset`."""
        return self._mean.result()

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        return self._mean.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._mean.load_state_dict(state)


class Accuracy(MeanMetric):
    """The share of samples whose highest score is the target's class.

    Scores are (n, c, ...) with classes on axis 1; targets are class indices (n, ...), or scores themselves (one-hot).
    """

    name = "accuracy"

    def measure(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, int]:
        """(right ones, samples)."""
        indices = class_indices(self.name, prediction, target)
        right = equal(argmax(prediction, axis=1), indices).sum()
        return right, indices.size


class TopKAccuracy(MeanMetric):
    """The share of samples where fewer than k classes score higher than the target's class.

    Parameters
    ----------
    k : how many guesses count. Shapes as for `Accuracy`.
    """

    def __init__(self, k: int = 5) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        self.k = k
        self.name = f"top{k}_accuracy"

    def measure(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, int]:
        """(right ones, samples)."""
        indices = class_indices(self.name, prediction, target)
        score = gather(prediction, unsqueeze(indices, axis=1), axis=1)
        higher = (prediction > score).sum(axis=1)
        return (higher < self.k).sum(), indices.size


class BinaryAccuracy(MeanMetric):
    """The share of entries on the target's side of a threshold.

    Parameters
    ----------
    threshold : 0 for logits, ½ for probabilities. Predictions and targets (0 or 1) have one shape.
    """

    name = "binary_accuracy"

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        self.threshold = threshold

    def measure(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, int]:
        """(right ones, entries)."""
        if prediction.shape != target.shape:
            raise ValueError(f"binary_accuracy: predictions have shape {prediction.shape}, targets {target.shape}")
        return equal(prediction > self.threshold, target > 0.5).sum(), prediction.size


def class_indices(name: str, prediction: Tensor, target: Tensor) -> Tensor:
    """The targets as class indices, their shape checked against the scores'."""
    if prediction.ndim < 2:
        raise ValueError(f"{name}: scores need the shape (n, classes, ...), not {prediction.shape}")
    if target.dtype.kind == "f" and target.shape == prediction.shape:
        return argmax(target, axis=1)
    expected = prediction.shape[:1] + prediction.shape[2:]
    if target.shape != expected or target.dtype.kind == "f":
        raise ValueError(
            f"{name}: for scores of shape {prediction.shape} targets are class indices of shape {expected} or scores "
            f"of that same shape, not {target.dtype} of shape {target.shape}"
        )
    return target
