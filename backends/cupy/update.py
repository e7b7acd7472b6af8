"""Optimiser steps on the GPU: one launch of a kernel of `update.cu` per parameter.

The ops' arrays are lr, step, *parameters, *gradients, *state lists; results are the new parameters and states. With
`donate`, parameters and states are overwritten where they are row-major.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cupy as cp
import numpy as np

from ..base import Backend
from .launch import FLOATS, launch, launch_each, packed

Array = Any
DOUBLE = np.dtype(np.float64)


def register(backend: Backend) -> None:
    """Register the optimiser steps."""
    backend.register("sgd_step", _takes)(sgd_step)
    backend.register("adam_step", _takes)(adam_step)
    backend.register("rmsprop_step", _takes)(rmsprop_step)


def sgd_step(
    *arrays: Array, n: int, momentum: float, dampening: float, nesterov: bool, weight_decay: float, maximize: bool,
    donate: bool,
) -> tuple[Array, ...]:  # fmt: skip
    """Kernel of the op sgd_step."""
    lr, step = packed(arrays[0]), packed(arrays[1])
    options = float(momentum), float(dampening), nesterov, float(weight_decay), maximize
    results = []
    for (p, g, *states), new in _rows(arrays, n, donate):
        buffer, new_buffer = (states[0], new[1]) if momentum else (p, p)
        launch_each("update", "sgd_step", p.dtype, p.size, lr, step, p, g, buffer, new[0], new_buffer, *options)
        results.append(new)
    return _columns(results)


def adam_step(
    *arrays: Array, n: int, beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool, amsgrad: bool,
    maximize: bool, donate: bool,
) -> tuple[Array, ...]:  # fmt: skip
    """Kernel of the op adam_step."""
    rates = cp.empty((3,), dtype=np.float64)
    betas = float(beta1), float(beta2)
    launch("update", "adam_rates", DOUBLE, 1, packed(arrays[0]), packed(arrays[1]), rates, *betas, float(weight_decay))
    options = *betas, float(eps), float(weight_decay), decoupled, amsgrad, maximize
    results = []
    for (p, g, m, v, *more), new in _rows(arrays, n, donate):
        largest, new_largest = (more[0], new[3]) if amsgrad else (p, p)
        launch_each("update", "adam_step", p.dtype, p.size, rates, p, g, m, v, largest, *new[:3], new_largest, *options)
        results.append(new)
    return _columns(results)


def rmsprop_step(
    *arrays: Array, n: int, alpha: float, eps: float, weight_decay: float, momentum: float, centered: bool,
    maximize: bool, donate: bool,
) -> tuple[Array, ...]:  # fmt: skip
    """Kernel of the op rmsprop_step. State lists: s, the momentum buffer if momentum ≠ 0, the mean if centered."""
    lr = packed(arrays[0])
    options = float(alpha), float(eps), float(weight_decay), float(momentum), centered, maximize
    results = []
    for (p, g, s, *more), new in _rows(arrays, n, donate):
        buffer, new_buffer = (more[0], new[2]) if momentum else (p, p)
        mean, new_mean = (more[-1], new[-1]) if centered else (p, p)
        launch_each(
            "update", "rmsprop_step", p.dtype, p.size,
            lr, p, g, s, buffer, mean, new[0], new[1], new_buffer, new_mean, *options,
        )  # fmt: skip
        results.append(new)
    return _columns(results)


def _rows(arrays: tuple[Array, ...], n: int, donate: bool) -> Iterator[tuple[list[Array], list[Array]]]:
    """Per parameter: (parameter, gradient, states...) as kernels read them, and arrays for the results.

    The results are the parameter and the states themselves where they may be overwritten.
    """
    lists = [arrays[2 + i * n : 2 + (i + 1) * n] for i in range((len(arrays) - 2) // n)]
    for row in zip(*lists, strict=True):
        kept = [a for i, a in enumerate(row) if i != 1]
        new = [a if donate and a.flags.c_contiguous else cp.empty(a.shape, dtype=a.dtype) for a in kept]
        yield [packed(a) for a in row], new


def _columns(rows: list[list[Array]]) -> tuple[Array, ...]:
    """Per-parameter results as one flat tuple: all parameters, then each state's arrays."""
    return tuple(array for column in zip(*rows, strict=True) for array in column)


def _takes(*arrays: Array, n: int, donate: bool, **options: Any) -> bool:
    """Whole lists of arrays of one floating dtype, each list with the parameters' shapes, and float64 lr and step."""
    lists, rest = divmod(len(arrays) - 2, max(n, 1))
    if n < 1 or rest or lists != _lists(**options):
        return False
    lr, step, *others = arrays
    if lr.dtype != DOUBLE or step.dtype != DOUBLE or others[0].dtype not in FLOATS:
        return False
    return all(a.dtype == others[0].dtype and a.shape == others[i % n].shape for i, a in enumerate(others))


def _lists(**options: Any) -> int:
    """How many lists of arrays the options ask for: parameters, gradients and states."""
    if "beta1" in options:
        return 4 + bool(options["amsgrad"])
    if "alpha" in options:
        return 3 + bool(options["momentum"]) + bool(options["centered"])
    return 2 + bool(options["momentum"])
