"""Elementwise functions in one pass over memory, threaded, in whatever order the operands lie.

Below `SMALL` elements NumPy's own function is as quick, and runs instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, kernel
from .layout import aligned_pair, empty_as, in_memory_order

Array = Any
SPAN = 16384  # elements of one task
SMALL = 2048


@kernel
def _relu_span(x: Floats, out: Floats, span: int) -> None:
    zero = x.dtype.type(0)
    for i in range(span * SPAN, min((span + 1) * SPAN, x.size)):
        v = x[i]
        out[i] = zero if v <= zero else v


@kernel
def _relu_grad_span(u: Floats, y: Floats, out: Floats, span: int) -> None:
    zero = y.dtype.type(0)
    for i in range(span * SPAN, min((span + 1) * SPAN, y.size)):
        v = u[i]  # read whatever y is: a load under a condition is a branch
        out[i] = zero if y[i] <= zero else v


def relu(x: Array) -> Array:
    """max(x, 0) of any shape and memory order; the result lies as x does."""
    if x.size < SMALL:
        return np.maximum(x, 0)
    source = in_memory_order(x)
    if source is None:
        source = x = np.array(x, order="C")
    out = empty_as(x)
    _relu_span(-(-x.size // SPAN), source, in_memory_order(out))
    return out


def relu_grad(u: Array, y: Array) -> Array:
    """u where y > 0, else 0; equal shapes."""
    if y.size < SMALL:
        return np.where(y <= 0, y.dtype.type(0), u)
    u, y, out = aligned_pair(u, y)
    _relu_grad_span(-(-y.size // SPAN), u, y, in_memory_order(out))
    return out


@kernel
def _clip_span(x: Floats, span: int) -> None:
    zero = x.dtype.type(0)
    for i in range(span * SPAN, min((span + 1) * SPAN, x.size)):
        v = x[i]
        x[i] = zero if v <= zero else v


def clip_below(x: Array) -> None:
    """relu in place, of an array that lies densely in memory."""
    _clip_span(-(-x.size // SPAN), in_memory_order(x))
