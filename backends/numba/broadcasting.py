"""Functions of an array and a smaller one that is broadcast against it, threaded.

In the larger array's order of memory, neighbouring axes that the smaller one has, or lacks, are one. What is left is
mostly rows of n elements, each beside one number of the smaller array or beside a row of it: a bias, a column of
scales, a channel's number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .compile import Floats, Kernel, jit, kernel
from .layout import empty_as, in_memory_order, ready

Array = Any
SPAN = 16384  # elements of one task
SHORT = 8  # rows of fewer elements are NumPy's


def spread_pair(name: str, f: Callable[..., Any], reverse: bool = False) -> Kernel:
    """out = f(x, y, 0, 0), or f(y, x, 0, 0), for an x of rows and a y with a number, or a row, for each.

    Row r belongs to the (r // m % k)-th of y. Rows are cut in parts, and a task takes `length` of these.
    """
    g = jit(f)

    def forwards(x: Any, y: Any) -> Any:
        return g(x, y, 0.0, 0.0)

    def backwards(x: Any, y: Any) -> Any:
        return g(y, x, 0.0, 0.0)

    h = jit(backwards if reverse else forwards)

    def span(
        x: Floats, y: Floats, out: Floats, n: int, rows: int, m: int, k: int, cuts: int, length: int, units: int,
        task: int,
    ) -> None:  # fmt: skip
        part = (n + cuts - 1) // cuts
        for unit in range(task * length, min((task + 1) * length, units)):
            r = unit // cuts
            start, stop = r * n + unit % cuts * part, min(r * n + (unit % cuts + 1) * part, (r + 1) * n)
            at = r // m % k
            if rows:
                shift = (at - r) * n
                for i in range(start, stop):
                    out[i] = h(x[i], y[i + shift])
            else:
                one = y[at]
                for i in range(start, stop):
                    out[i] = h(x[i], one)

    span.__name__ = span.__qualname__ = f"_{name}_spread"
    return kernel(span)


@lru_cache(maxsize=1024)
def _plan(
    shape: tuple[int, ...], strides: tuple[int, ...], small: tuple[int, ...]
) -> tuple[list[int], tuple[int, ...], int] | None:
    """The axes in the order of memory, the kernel's numbers, and the tasks; None for what it does not know."""
    small = (1,) * (len(shape) - len(small)) + small
    order = sorted(range(len(shape)), key=lambda i: -strides[i])
    groups: list[list[int]] = []  # elements, and whether the smaller array has them
    for axis in order:
        if shape[axis] == 1:
            continue
        has = int(small[axis] == shape[axis])
        if groups and groups[-1][1] == has:
            groups[-1][0] *= shape[axis]
        else:
            groups.append([shape[axis], has])
    lengths, flags = [g[0] for g in groups], [g[1] for g in groups]
    if flags in ([0], [0, 1]):
        m, k = 1, 1
    elif flags == [1, 0]:
        m, k = 1, lengths[0]
    elif flags == [0, 1, 0]:
        m, k = 1, lengths[1]
    elif flags == [1, 0, 1]:
        m, k = lengths[1], lengths[0]
    else:
        return None
    n = lengths[-1]
    if n < SHORT:
        return None
    rows = int(np.prod(lengths[:-1]))
    cuts = -(-n // SPAN)
    length = max(1, SPAN // n)
    return order, (n, flags[-1], m, k, cuts, length, rows * cuts), -(-rows * cuts // length)


def combine(run: Kernel, x: Array, y: Array) -> Array | None:
    """The kernel's function of x and a y that broadcasts to x's shape; None where the kernel does not fit."""
    source = in_memory_order(x)
    if source is None or 0 in x.shape:
        return None
    plan = _plan(x.shape, x.strides, y.shape)
    if plan is None:
        return None
    order, numbers, tasks = plan
    lying = ready(y.reshape((1,) * (x.ndim - y.ndim) + y.shape).transpose(order))
    out = empty_as(x)
    run(tasks, source, lying, in_memory_order(out), *numbers)
    return out
