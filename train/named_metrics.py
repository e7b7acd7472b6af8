"""Metrics by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from .classification import AUROC, ConfusionMatrix, F1Score, Precision, Recall
from .metrics import Accuracy, BinaryAccuracy, Metric, TopKAccuracy
from .regression import MeanAbsoluteError, MeanSquaredError, Perplexity, R2Score

NAMES: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy, "acc": Accuracy, "binary_accuracy": BinaryAccuracy, "precision": Precision, "recall": Recall,
    "f1": F1Score, "confusion_matrix": ConfusionMatrix, "auroc": AUROC, "r2": R2Score, "perplexity": Perplexity,
    "mse": MeanSquaredError, "rmse": partial(MeanSquaredError, squared=False), "mae": MeanAbsoluteError,
}  # fmt: skip


def get_metric(which: str | Metric) -> Metric:
    """A metric by name, with its defaults; a Metric as it is.

    The names are accuracy, binary_accuracy, top5_accuracy with any number, precision, recall, f1, confusion_matrix,
    auroc, r2, perplexity, mse, rmse and mae.
    """
    if isinstance(which, Metric):
        return which
    if isinstance(which, str) and which in NAMES:
        return NAMES[which]()
    match = re.fullmatch(r"top_?(\d+)(_accuracy)?", which) if isinstance(which, str) else None
    if match:
        return TopKAccuracy(int(match[1]))
    known = ", ".join(name for name in NAMES if name != "acc")
    raise ValueError(f"unknown metric {which!r}; known are {known}, topK_accuracy, or give a Metric")
