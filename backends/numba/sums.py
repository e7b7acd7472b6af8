"""Sums and extrema of a loop, which LLVM may take in vectors.

Addition in floating point is not associative, so an ordinary `total += x[i]` must stay a chain of single additions.
`total = plus(total, x[i])` says for this one addition that the order does not matter: LLVM then keeps several vectors
of partial sums in registers. Which ones is decided when the kernel is compiled, so that a sum of n elements is made in
the same order every time, on any thread. But a loop that sums must not write to an array: LLVM then takes the vectors
only where that array lies far enough from those that are read (`tests/test_numba_placement.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, intrinsic, kernel

Array = Any


@intrinsic
def plus(typingctx: Any, total: Any, x: Any) -> Any:
    """total + x, in whatever order a loop of them is quickest."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(*args, flags=("reassoc", "contract"))

    return total(total, total), codegen


@intrinsic
def times(typingctx: Any, total: Any, x: Any) -> Any:
    """total·x, in whatever order a loop of them is quickest."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fmul(*args, flags=("reassoc", "contract"))

    return total(total, total), codegen


def _extreme(comparison: str) -> Any:
    flags = ("nnan", "nsz")

    def choose(typingctx: Any, x: Any, best: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            condition = builder.fcmp_ordered(comparison, *args, flags=flags)
            return builder.select(condition, *args, flags=flags)

        return best(best, best), codegen

    return choose


larger = intrinsic(_extreme(">"))  #: the larger of (x, best so far); if one is NaN, anything
smaller = intrinsic(_extreme("<"))  #: the smaller of (x, best so far); if one is NaN, anything


@kernel
def _add_parts(parts: Floats, out: Floats, count: int, task: int) -> None:
    n = out.size
    for j in range(n):
        out[j] = parts[j]
    for k in range(1, count):
        for j in range(n):
            out[j] = out[j] + parts[k * n + j]


def joined(parts: Array) -> Array:
    """The sum over the first axis, in order: what the blocks of a task give together."""
    if len(parts) == 1:
        return parts[0]
    out = np.empty(parts.shape[1:], parts.dtype)
    _add_parts(1, parts, out, len(parts))
    return out
