"""Softmax and log-softmax on the GPU: shapes and launches for the kernels of `softmax.cu`."""

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


def _run(name: str, axis: int, logarithm: bool, *arrays: Array) -> Array:
    x = arrays[0]
    axis %= x.ndim
    outer, width, inner = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    inputs = [packed(a) for a in arrays]
    out = cp.empty(x.shape, dtype=x.dtype)
    if inner == 1:
        rows = min(outer, MOST_BLOCKS)
        launch("softmax", f"{name}_rows", x.dtype, rows, *inputs, out, np.int64(outer), np.int64(width), logarithm)
    else:
        lengths = np.int64(width), np.int64(inner)
        launch_each("softmax", f"{name}_columns", x.dtype, outer * inner, *inputs, out, *lengths, logarithm)
    return out


def _takes(x: Array, *, axis: int) -> bool:
    return floats(x) and -x.ndim <= axis < x.ndim


def _takes_grad(gy: Array, y: Array, *, axis: int) -> bool:
    return floats(gy, y) and gy.shape == y.shape and -gy.ndim <= axis < gy.ndim
