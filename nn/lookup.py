"""Integers as vectors with a single 1."""

from __future__ import annotations

from typing import Any

from ..autograd import ops
from ..autograd.ops.creation import check, every_value
from ..autograd.tensor import Tensor

__all__ = ["one_hot"]


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """Integers (…) as int64 vectors (…, num_classes) with a 1 at each; num_classes −1 is the largest integer plus 1."""
    index = tensor if isinstance(tensor, Tensor) else Tensor(tensor)
    if index.dtype.kind not in "iu":
        raise TypeError(f"one_hot: classes are integers, not {index.dtype}")
    if index.size == 0 and num_classes < 1:
        raise ValueError("one_hot: give num_classes for an empty tensor")
    count = int(every_value(index).max(initial=0)) + 1 if num_classes == -1 else num_classes

    def error(values: Any) -> ValueError:
        reach = f"these reach from {values.min()} to {values.max()}"
        return ValueError(f"one_hot: classes must be from 0 to {count - 1}; {reach}")

    check(lambda values: ((values >= 0) & (values < count)).all(), error, index)
    classes = ops.arange(count, backend=index.backend)
    return (ops.unsqueeze(index, -1) == classes).astype("int64")
