"""Softmax, log-softmax and cross-entropy on the GPU: shapes and launches for the kernels of `softmax.cu`."""

from __future__ import annotations

import math
from typing import Any

import cupy as cp
import numpy as np

from ..base import Backend
from .launch import MOST_BLOCKS, floats, launch, launch_each, packed

Array = Any


def register(backend: Backend) -> None:
    """Register the softmax kernels."""
    backend.register("softmax", _takes)(softmax)
    backend.register("log_softmax", _takes)(log_softmax)
    backend.register("softmax_grad", _takes_grad)(softmax_grad)
    backend.register("log_softmax_grad", _takes_grad)(log_softmax_grad)
    backend.register("cross_entropy_index", _takes_index)(cross_entropy_index)
    backend.register("cross_entropy_index_grad", _takes_index_grad)(cross_entropy_index_grad)


def softmax(x: Array, *, axis: int) -> Array:
    """Kernel of the op softmax."""
    return _run("softmax", axis, False, x)


def log_softmax(x: Array, *, axis: int) -> Array:
    """Kernel of the op log_softmax."""
    return _run("softmax", axis, True, x)


def softmax_grad(gy: Array, y: Array, *, axis: int) -> Array:
    """Kernel of the op softmax_grad."""
    return _run("softmax_grad", axis, False, gy, y)


def log_softmax_grad(gy: Array, y: Array, *, axis: int) -> Array:
    """Kernel of the op log_softmax_grad."""
    return _run("softmax_grad", axis, True, gy, y)


def cross_entropy_index(logits: Array, target: Array, *, label_smoothing: float, ignore_index: int) -> Array:
    """Kernel of the op cross_entropy_index. Waits for the GPU to learn whether all labels are in range."""
    losses, bad = cp.empty(target.shape, dtype=logits.dtype), cp.zeros((2,), dtype=np.int64)
    arrays = packed(logits), packed(target.astype(np.int64, copy=False)), losses, bad
    axis = _class_axis(logits)
    _lines("cross_entropy", logits, axis, *arrays, options=(float(label_smoothing), np.int64(ignore_index)))
    found, label = bad.tolist()
    if found:
        classes = logits.shape[axis]
        raise IndexError(
            f"class indices must be in [0, {classes}) for scores of {classes} classes, or ignore_index={ignore_index}; "
            f"found {label}"
        )
    return losses


def cross_entropy_index_grad(
    gy: Array, logits: Array, target: Array, *, label_smoothing: float, ignore_index: int
) -> Array:
    """Kernel of the op cross_entropy_index_grad; the forward pass has checked the labels."""
    gx = cp.empty(logits.shape, dtype=logits.dtype)
    arrays = packed(gy), packed(logits), packed(target.astype(np.int64, copy=False)), gx
    options = float(label_smoothing), np.int64(ignore_index)
    _lines("cross_entropy_grad", logits, _class_axis(logits), *arrays, options=options)
    return gx


def _run(name: str, axis: int, logarithm: bool, *arrays: Array) -> Array:
    out = cp.empty(arrays[0].shape, dtype=arrays[0].dtype)
    _lines(name, out, axis, *map(packed, arrays), out, options=(logarithm,))
    return out


def _lines(name: str, like: Array, axis: int, *arrays: Array, options: tuple[Any, ...]) -> None:
    """Launch a kernel over the lines of an array along `axis`: a block per row, or a thread per column."""
    axis %= like.ndim
    outer, width, inner = math.prod(like.shape[:axis]), like.shape[axis], math.prod(like.shape[axis + 1 :])
    if inner == 1:
        sizes = np.int64(outer), np.int64(width)
        launch("softmax", f"{name}_rows", like.dtype, min(outer, MOST_BLOCKS), *arrays, *sizes, *options)
    else:
        sizes = np.int64(width), np.int64(inner)
        launch_each("softmax", f"{name}_columns", like.dtype, outer * inner, *arrays, *sizes, *options)


def _class_axis(scores: Array) -> int:
    return 1 if scores.ndim > 1 else 0


def _takes(x: Array, *, axis: int) -> bool:
    return floats(x) and -x.ndim <= axis < x.ndim


def _takes_grad(gy: Array, y: Array, *, axis: int) -> bool:
    return floats(gy, y) and gy.shape == y.shape and -gy.ndim <= axis < gy.ndim


def _takes_index(logits: Array, target: Array, *, label_smoothing: float, ignore_index: int) -> bool:
    if not floats(logits) or target.dtype.kind not in "iu" or not logits.ndim:
        return False
    axis = _class_axis(logits)
    return bool(logits.shape[axis]) and tuple(target.shape) == (*logits.shape[:axis], *logits.shape[axis + 1 :])


def _takes_index_grad(gy: Array, logits: Array, target: Array, **options: Any) -> bool:
    return floats(gy, logits) and _takes_index(logits, target, **options) and bool(gy.shape == target.shape)
