"""Sums and extrema of a loop, which LLVM may take in vectors.

Addition in floating point is not associative, so an ordinary `total += x[i]` must stay a chain of single additions.
`total = plus(total, x[i])` says for this one addition that the order does not matter: LLVM then keeps several vectors
of partial sums in registers. Which ones is decided when the kernel is compiled, so that a sum of n elements is made in
the same order every time, on any thread.
"""

from __future__ import annotations

from typing import Any

from .compile import intrinsic


@intrinsic
def plus(typingctx: Any, total: Any, x: Any) -> Any:
    """total + x, in whatever order a loop of them is quickest."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(*args, flags=("reassoc", "contract"))

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
