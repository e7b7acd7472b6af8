"""Metrics of classifiers: from counts of (true class, predicted class), and from the ranks of scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd.ops import argmax, softmax
from ..autograd.tensor import Tensor
from .metrics import Metric, class_indices

Array = Any


class _Counted(Metric):
    """Metrics of the confusion matrix, which is gathered on the host.

    Scores are (n, c, ...) with classes on axis 1 and targets class indices (n, ...) or scores (one-hot); or both have
    one shape, one score for class 1 against 0 or 1, and the class is 1 above the threshold.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold
        self.reset()

    def reset(self) -> None:
        """Start a new pass over the data."""
        self.counts: Array = np.zeros((0, 0), np.int64)

    def _two_classes(self, prediction: Tensor, target: Tensor) -> bool:
        return prediction.shape == target.shape and (prediction.ndim < 2 or prediction.shape[1] == 1)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch."""
        if self._two_classes(prediction, target):
            classes, predicted, true = 2, (prediction > self.threshold).numpy(), (target > 0.5).numpy()
        else:
            true = class_indices(self.name, prediction, target).numpy()
            classes, predicted = prediction.shape[1], argmax(prediction, axis=1).numpy()
        true = true.reshape(-1).astype(np.int64)
        if true.size and not 0 <= true.min() <= true.max() < classes:
            raise ValueError(
                f"{self.name}: target classes must lie in [0, {classes}), got {true.min()} to {true.max()}"
            )
        found = np.bincount(true * classes + predicted.reshape(-1), minlength=classes * classes)
        if not self.counts.size:
            self.counts = np.zeros((classes, classes), np.int64)
        if self.counts.shape != (classes, classes):
            raise ValueError(f"{self.name}: scores of {classes} classes after some of {len(self.counts)}")
        self.counts += found.reshape(classes, classes)

    def state_dict(self) -> dict[str, Any]:
        """The counts so far."""
        return {"counts": self.counts.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        counts = state["counts"]
        self.counts = np.array(counts, np.int64).reshape(len(counts), len(counts))


class ConfusionMatrix(_Counted):
    """How many samples of each class (row) were taken for each class (column).

    Parameters
    ----------
    normalize : None for counts; "true", "pred" or "all" for shares of each row, of each column, of all.
    threshold : of a single score, 0 for logits, ½ for probabilities.

    A matrix is no number: `Trainer.evaluate` returns it, bars and the History leave it out.
    """

    name = "confusion_matrix"
    scalar = False

    def __init__(self, normalize: str | None = None, threshold: float = 0.0) -> None:
        if normalize not in (None, "true", "pred", "all"):
            raise ValueError(f"normalize must be None, 'true', 'pred' or 'all', not {normalize!r}")
        super().__init__(threshold)
        self.normalize = normalize

    def result(self) -> Array:
        """The matrix (c, c), whole numbers or shares; 0 where a share is of nothing."""
        if self.normalize is None:
            return self.counts.copy()
        axis = {"true": 1, "pred": 0, "all": None}[self.normalize]
        return _ratio(self.counts, self.counts.sum(axis=axis, keepdims=True), 0.0)


def _ratio(a: Array, b: Array, otherwise: float) -> Array:
    """a / b, and another value where b is 0."""
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    return np.divide(a, b, out=np.full(a.shape, otherwise), where=b != 0)


class ClassAverage(_Counted):
    """Metrics of true and false positives of each class, and averages of them.

    Parameters
    ----------
    average : "macro", the mean over classes; "weighted", by how often they occur; "micro", of all samples together;
        "binary", of class 1 alone; None for one number per class, which is left out of bars and the History. Classes
        that are neither predicted nor true do not count.
    threshold : of a single score, 0 for logits, ½ for probabilities. zero_division : the value of 0/0.
    """

    def __init__(self, average: str | None = "macro", threshold: float = 0.0, zero_division: float = 0.0) -> None:
        if average not in ("macro", "weighted", "micro", "binary", None):
            raise ValueError(f"average must be 'macro', 'weighted', 'micro', 'binary' or None, not {average!r}")
        super().__init__(threshold)
        self.average = average
        self.zero_division = zero_division
        self.scalar = average is not None

    def of(self, hits: Array, predicted: Array, true: Array) -> Array:
        """The metric from the numbers of true positives, of those predicted, and of those that are."""
        raise NotImplementedError

    def result(self) -> Any:
        """The value over all samples since `reset`; nan if there were none."""
        counts = self.counts
        if not counts.sum():
            return float("nan") if self.scalar else np.full(len(counts), np.nan)
        hits, predicted, true = np.diagonal(counts), counts.sum(axis=0), counts.sum(axis=1)
        if self.average == "micro":
            return float(self.of(hits.sum(), predicted.sum(), true.sum()))
        values = self.of(hits, predicted, true)
        if self.average is None:
            return values
        if self.average == "binary":
            if len(counts) != 2:
                raise ValueError(f"{self.name}: average='binary' is for two classes, not {len(counts)}")
            return float(values[1])
        weights = true if self.average == "weighted" else (predicted + true > 0)
        return float((values * weights).sum() / weights.sum())


class Precision(ClassAverage):
    """The share of those taken for a class that are of it: TP/(TP + FP). Parameters as of `ClassAverage`."""

    name = "precision"

    def of(self, hits: Array, predicted: Array, true: Array) -> Array:
        """TP/(TP + FP)."""
        return _ratio(hits, predicted, self.zero_division)


class Recall(ClassAverage):
    """The share of a class that is found: TP/(TP + FN). Parameters as of `ClassAverage`."""

    name = "recall"

    def of(self, hits: Array, predicted: Array, true: Array) -> Array:
        """TP/(TP + FN)."""
        return _ratio(hits, true, self.zero_division)


class F1Score(ClassAverage):
    """The harmonic mean of precision and recall, 2·TP/(2·TP + FP + FN). Parameters as of `ClassAverage`."""

    name = "f1"

    def of(self, hits: Array, predicted: Array, true: Array) -> Array:
        """2·TP/(2·TP + FP + FN)."""
        return _ratio(2 * hits, predicted + true, self.zero_division)


class AUROC(Metric):
    """The area under the ROC curve: how often a sample of a class has a higher score for it than one that is not.

    By scikit-learn, from all scores, which are kept on the host until `reset`. Bars leave it out.

    Parameters
    ----------
    average : of more than two classes, each against the rest: "macro", their mean; "weighted", by how often they occur;
        None for one number per class (nan where a class or its opposite does not occur; it is left out of means).
    logits : whether scores of classes become probabilities by softmax first. Single scores are used as they are.

    Scores are (n, c, ...), targets (n, ...); or both have one shape, one score for class 1 against 0 or 1.
    """

    name = "auroc"
    live = False

    def __init__(self, average: str | None = "macro", logits: bool = True) -> None:
        if average not in ("macro", "weighted", None):
            raise ValueError(f"average must be 'macro', 'weighted' or None, not {average!r}")
        self.average = average
        self.logits = logits
        self.scalar = average is not None
        self.reset()

    def reset(self) -> None:
        """Start a new pass over the data."""
        self._scores: list[Array] = []
        self._targets: list[Array] = []

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch."""
        if prediction.shape == target.shape and (prediction.ndim < 2 or prediction.shape[1] == 1):
            scores, true = prediction.numpy().reshape(-1, 1), (target > 0.5).numpy()
        else:
            true = class_indices(self.name, prediction, target).numpy()
            raw = (softmax(prediction, axis=1) if self.logits else prediction).numpy()
            scores = np.moveaxis(raw, 1, -1).reshape(-1, raw.shape[1])
        if self._scores and self._scores[0].shape[1] != scores.shape[1]:
            raise ValueError(
                f"{self.name}: scores of {scores.shape[1]} classes after some of {self._scores[0].shape[1]}"
            )
        self._scores.append(np.array(scores))
        self._targets.append(np.array(true.reshape(-1), np.int64))

    def result(self) -> Any:
        """The area; nan if the targets are all of one class.

        Raises
        ------
        ImportError : scikit-learn is missing; says how to install it.
        """
        try:
            from sklearn.metrics import roc_auc_score
        except ImportError as error:
            raise ImportError("AUROC needs scikit-learn: pip install 'pullback[demo]'") from error
        if not self._scores:
            return float("nan") if self.scalar else np.full(0, np.nan)
        scores, true = np.concatenate(self._scores), np.concatenate(self._targets)

        def area(positive: Array, column: Array) -> float:
            return float(roc_auc_score(positive, column)) if 0 < positive.sum() < positive.size else float("nan")

        if scores.shape[1] <= 2:
            value = area(true == 1, scores[:, -1])
            return value if self.scalar else np.array([value])
        areas = np.array([area(true == c, scores[:, c]) for c in range(scores.shape[1])])
        if self.average is None:
            return areas
        counts = np.bincount(true, minlength=len(areas)) if self.average == "weighted" else np.ones(len(areas))
        known = ~np.isnan(areas)
        return float(np.average(areas[known], weights=counts[known])) if known.any() else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """All scores and targets so far."""
        if not self._scores:
            return {}
        return {"scores": np.concatenate(self._scores), "targets": np.concatenate(self._targets)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.reset()
        if state:
            self._scores, self._targets = [np.array(state["scores"])], [np.array(state["targets"])]
