"""Ops that NumPy computes fast on one thread: small arrays go to its functions, large ones to threaded kernels.

The choice costs every call of these ops time, so it is one comparison here. Nothing here needs Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any

LARGE = 1 << 16  # elements
COPIED = 4096  # elements that NumPy copies sooner than a kernel is called

_ndarray = np.ndarray


def unary(small: Callable[..., Any], large: Callable[..., Any]) -> Callable[..., Any]:
    """The function of one array that runs one or the other."""

    def op(x: Array) -> Array:
        return small(x) if x.size < LARGE else large(x)

    return op


def binary(small: Callable[..., Any], large: Callable[..., Any]) -> Callable[..., Any]:
    """The function of two arrays or numbers that runs one or the other, by the size of the first."""

    def op(x: Array, y: Array) -> Array:
        return small(x, y) if type(x) is not _ndarray or x.size < LARGE else large(x, y)

    return op


def optional(small: Callable[..., Any], large: Callable[..., Any]) -> Callable[..., Any]:
    """The function of one array and options that runs one or the other."""

    def op(x: Array, **options: Any) -> Array:
        return (small if x.size < LARGE else large)(x, **options)

    return op


def where(small: Callable[..., Any], large: Callable[..., Any]) -> Callable[..., Any]:
    """The choice between two arrays or numbers that runs one or the other, by the size of the condition."""

    def op(condition: Array, x: Array, y: Array) -> Array:
        return (small if condition.size < LARGE else large)(condition, x, y)

    return op


def reduction(small: Callable[..., Any], large: Callable[..., Any]) -> Callable[..., Any]:
    """The function of one array and axes that runs one or the other."""

    def op(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
        return (small if x.size < LARGE else large)(x, axis=axis, keepdims=keepdims)

    return op


def reshape(large: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function where nothing needs to be copied, or little."""

    def op(x: Array, *, shape: tuple[int, ...]) -> Array:
        return x.reshape(shape) if x.flags.c_contiguous or x.size < COPIED else large(x, shape=shape)

    return op
