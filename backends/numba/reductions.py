"""Sums, means and extrema over axes, on all threads.

An array is seen in the order of memory, its axes joined to groups that are reduced or kept in turn. The groups are
reduced from the last to the first: one that is last by `_reduce_rows`, one with kept elements behind it by
`_reduce_columns`. Each cuts its work by shape alone, and joins what several tasks found of one result in a second run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .. import numpy as by_numpy
from .compile import Floats, choose, jit, kernel
from .copies import contiguous
from .guards import has_kernels
from .sums import larger, plus, smaller, times

Array = Any
Axis = int | tuple[int, ...] | None
SUM, MAX, MIN, PRODUCT = 0, 1, 2, 3
SPAN = 16384  # elements of one task
WIDE = 256  # elements of neighbouring rows taken at a time, at the least
COLUMNS = 2048  # elements of a row that one task takes at the most


@jit
def _sum(x: Any, start: int, stop: int) -> Any:
    total = x.dtype.type(0)
    for i in range(start, stop):
        total = plus(total, x[i])
    return total


@jit
def _product(x: Any, start: int, stop: int) -> Any:
    total = x.dtype.type(1)
    for i in range(start, stop):
        total = times(total, x[i])
    return total


@jit
def _extreme(x: Any, start: int, stop: int, kind: int) -> Any:
    """The largest or smallest element; NaN if there is one, for which comparisons leave the extremum open."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    top, wrong = x[start], zero
    if kind == MAX:
        for i in range(start, stop):
            top, wrong = larger(x[i], top), plus(wrong, choose(x[i] == x[i], zero, one))
    else:
        for i in range(start, stop):
            top, wrong = smaller(x[i], top), plus(wrong, choose(x[i] == x[i], zero, one))
    return top if wrong == zero else x.dtype.type(np.nan)


@kernel
def _reduce_rows(
    x: Floats, out: Floats, kind: int, divisor: float, n: int, span: int, cuts: int, results: int, length: int,
    task: int,
) -> None:  # fmt: skip
    """Rows of n elements, each in `cuts` parts of at most `span`: one result a part, divided by the divisor."""
    share = x.dtype.type(divisor)
    for r in range(task * length, min((task + 1) * length, results)):
        start = r // cuts * n + r % cuts * span
        stop = min(start + span, (r // cuts + 1) * n)
        if kind == SUM:
            out[r] = _sum(x, start, stop) / share
        elif kind == PRODUCT:
            out[r] = _product(x, start, stop)
        else:
            out[r] = _extreme(x, start, stop, kind)


@jit
def _take(kind: int, total: Any, row: Any) -> None:
    if kind == SUM:
        for j in range(row.size):
            total[j] += row[j]
    elif kind == PRODUCT:
        for j in range(row.size):
            total[j] *= row[j]
    elif kind == MAX:
        for j in range(row.size):
            total[j] = choose((row[j] > total[j]) | (row[j] != row[j]), row[j], total[j])
    else:
        for j in range(row.size):
            total[j] = choose((row[j] < total[j]) | (row[j] != row[j]), row[j], total[j])


@kernel
def _reduce_columns(
    x: Floats, out: Floats, kind: int, divisor: float, n: int, k: int, span: int, cuts: int, columns: int, blocks: int,
    length: int, units: int, task: int,
) -> None:  # fmt: skip
    """Matrices of n rows of k elements, each in `cuts` parts of `span` rows: one row of k results a part.

    A unit is one part of one matrix, and of its rows one block of columns; a task takes several of these where they are
    small. Short rows are taken several at a time.
    """
    share = x.dtype.type(divisor)
    wide = np.empty(max(WIDE, k) + k, x.dtype)
    for unit in range(task * length, min((task + 1) * length, units)):
        part, block = unit // blocks, unit % blocks
        matrix, cut = part // cuts, part % cuts
        first, last = cut * span, min((cut + 1) * span, n)
        left = block * columns
        width = min(columns, k - left)
        at, a = part * k + left, (matrix * n + first) * k + left
        result = out[at : at + width]
        together = min(last - first, WIDE // k) if width == k and k * 2 <= WIDE else 1
        if together == 1:
            for j in range(width):
                result[j] = x[a + j]
            for i in range(1, last - first):
                _take(kind, result, x[a + i * k : a + i * k + width])
        else:
            size, stop = together * k, a + (last - first) * k
            for j in range(size):
                wide[j] = x[a + j]
            for start in range(a + size, stop, size):
                rest = min(size, stop - start)  # the last rows may be fewer
                _take(kind, wide[:rest], x[start : start + rest])
            while together > 1:  # halves are joined, and an odd row with the first ones
                half = (together + 1) // 2
                _take(kind, wide[: (together - half) * k], wide[half * k : together * k])
                together = half
            for j in range(k):
                result[j] = wide[j]
        if kind == SUM and divisor != 1.0:
            for j in range(width):
                result[j] /= share


# ------------------------------------------------------------ any axes


@dataclass(frozen=True)
class _Plan:
    """How arrays of one shape and order of memory are reduced."""

    order: list[int] | None  # the axes in the order of memory; None: a row-major copy is needed
    runs: list[tuple[Any, int, int, float, tuple[int, ...]]]  # kernel, tasks, results, divisor, its other numbers
    kept: list[int]  # the result's shape in that order, reduced axes with length 1
    back: list[int]  # the axes in the order the user sees
    shape: list[int]  # without the reduced axes


def _rows(runs: list[Any], size: int, n: int, divisor: float) -> int:
    """(…·n) -> (…); returns how many elements are left."""
    cuts = -(-n // SPAN)
    results = size // n * cuts
    length = max(1, SPAN // n)
    last = 1.0 if cuts > 1 else divisor
    runs.append((_reduce_rows, -(-results // length), results, last, (n, min(n, SPAN), cuts, results, length)))
    return results if cuts == 1 else _rows(runs, results, cuts, divisor)


def _columns(runs: list[Any], size: int, n: int, k: int, divisor: float) -> int:
    """(…·n·k) -> (…·k); returns how many elements are left."""
    matrices = size // (n * k)
    columns = min(k, COLUMNS)
    blocks = -(-k // columns)
    few = matrices * blocks >= 64 or n * columns <= 4 * SPAN
    if few and matrices * blocks < 8 and n * k > SPAN // 2:  # too little for a second run, but not for one thread
        columns = min(columns, max(64, -(-k // 512) * 64))
        blocks = -(-k // columns)
    span = n if few else max(SPAN // columns, -(-n // 64))
    cuts = -(-n // span)
    results = matrices * cuts * k
    last = 1.0 if cuts > 1 else divisor
    units, length = matrices * cuts * blocks, max(1, SPAN // (min(span, n) * columns))
    numbers = (n, k, span, cuts, columns, blocks, length, units)
    runs.append((_reduce_columns, -(-units // length), results, last, numbers))
    return results if cuts == 1 else _columns(runs, results, cuts, k, divisor)


def _groups(shape: tuple[int, ...], reduced: list[bool]) -> list[tuple[int, bool]]:
    """(elements, whether reduced) of neighbouring axes that share their fate; those of length 1 have none."""
    groups: list[tuple[int, bool]] = []
    for n, gone in zip(shape, reduced, strict=True):
        if n == 1:
            continue
        if groups and groups[-1][1] == gone:
            groups[-1] = groups[-1][0] * n, gone
        else:
            groups.append((n, gone))
    return groups


@lru_cache(maxsize=1024)
def _plan(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, axis: Axis, mean: bool) -> _Plan:
    ndim = len(shape)
    given = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = {a % ndim for a in given}
    order = sorted(range(ndim), key=lambda i: -strides[i])
    lengths = [shape[i] for i in order]
    dense = all(strides[a] == itemsize * math.prod(lengths[i + 1 :]) for i, a in enumerate(order) if shape[a] > 1)
    if not dense:
        order = list(range(ndim))
    groups = _groups(tuple(shape[i] for i in order), [i in axes for i in order])
    count = math.prod(shape[a] for a in axes)
    runs: list[Any] = []
    left, behind, todo = math.prod(shape), 1, sum(gone for _, gone in groups)
    for n, gone in reversed(groups):
        if not gone:
            behind *= n
            continue
        todo -= 1
        divisor = float(count) if mean and not todo else 1.0
        left = _rows(runs, left, n, divisor) if behind == 1 else _columns(runs, left, n, behind, divisor)
    kept = [1 if i in axes else shape[i] for i in order]
    back = sorted(range(ndim), key=order.__getitem__)
    return _Plan(order if dense else None, runs, kept, back, [n for i, n in enumerate(shape) if i not in axes])


def _reduced(x: Array, axis: Axis, keepdims: bool, kind: int, mean: bool = False) -> Array:
    plan = _plan(x.shape, x.strides, x.itemsize, axis, mean)
    out = x if plan.order is None else x.transpose(plan.order)
    if plan.order is None or not x.flags.aligned:
        out = contiguous(out)
    if not plan.runs:
        out = out.copy()
    for run, tasks, results, divisor, numbers in plan.runs:
        source, out = out, np.empty(results, x.dtype)
        run(tasks, source, out, kind, divisor, *numbers)
    out = out.reshape(plan.kept).transpose(plan.back)
    return out if keepdims else out.reshape(plan.shape)


def sum_(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Sum over axes."""
    return _reduced(x, axis, keepdims, SUM) if has_kernels(x) else by_numpy.sum_(x, axis=axis, keepdims=keepdims)


def mean_(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Mean over axes."""
    if not has_kernels(x):
        return by_numpy.mean_(x, axis=axis, keepdims=keepdims)
    return _reduced(x, axis, keepdims, SUM, mean=True)


def max_(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Maximum over axes; NaN if there is one."""
    return _reduced(x, axis, keepdims, MAX) if has_kernels(x) else by_numpy.max_(x, axis=axis, keepdims=keepdims)


def min_(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Minimum over axes; NaN if there is one."""
    return _reduced(x, axis, keepdims, MIN) if has_kernels(x) else by_numpy.min_(x, axis=axis, keepdims=keepdims)


def prod_(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Product over axes."""
    return _reduced(x, axis, keepdims, PRODUCT) if has_kernels(x) else by_numpy.prod_(x, axis=axis, keepdims=keepdims)
