"""Sums, means and extrema over axes, on all threads.

An array is seen in the order of memory, its axes joined to groups that are reduced or kept in turn. The groups are
reduced from the last to the first: one that is last as rows, one with kept elements behind it as columns. Each cuts its
work by shape alone, and joins what several tasks found of one result in a second run. The arithmetic is in `folds.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .. import numpy as by_numpy
from .compile import Floats, Kernel, choose, jit, kernel
from .copies import contiguous
from .folds import FOLDS, GROUP, Fold
from .guards import has_kernels
from .tile import VECTOR_BYTES

Array = Any
Axis = int | tuple[int, ...] | None
SPAN = 16384  # elements of one task
LONG = 32768  # elements of a row that one task takes at the most
WIDE = 256  # elements of neighbouring short rows that are taken at a time
NARROW, COLUMNS = 128, 2048  # elements of a row that one task takes, at the least and at the most


def _rows_kernel(name: str, fold: Fold) -> Kernel:
    start, row, across = fold.start, fold.row, fold.across

    def rows(
        x: Floats, out: Floats, divisor: float, n: int, span: int, cuts: int, results: int, length: int, task: int
    ) -> None:
        """Rows of n elements, each in `cuts` parts of at most `span`: one result a part, divided by the divisor.

        One vector is left of each part; as many as a vector has elements are then folded together, to the one behind.
        """
        share, size, width = x.dtype.type(divisor), x.itemsize, VECTOR_BYTES // x.itemsize
        vectors = np.full(width * (width + 1), start, x.dtype)
        found = width * width
        last = min((task + 1) * length, results)
        whole, cut = task * length // cuts, task * length % cuts
        for first in range(task * length, last, width):
            some = min(width, last - first)
            for i in range(some):
                begin = whole * n + cut * span
                count = min(span, n - cut * span)
                if count >= width:
                    row(x, x.ctypes.data + begin * size, count, vectors.ctypes.data + i * width * size)
                else:
                    for j in range(count):
                        vectors[i * width + j] = x[begin + j]
                    for j in range(count, width):
                        vectors[i * width + j] = start
                cut += 1
                if cut == cuts:
                    whole, cut = whole + 1, 0
            across(x, vectors.ctypes.data, vectors.ctypes.data + found * size)
            for i in range(some):
                out[first + i] = vectors[found + i] / share

    rows.__name__ = rows.__qualname__ = f"_{name}_rows"
    return kernel(rows)


def _plus(x: Any, y: Any) -> Any:
    return x + y


def _times(x: Any, y: Any) -> Any:
    return x * y


def _larger(x: Any, y: Any) -> Any:
    return choose((y > x) | (y != y), y, x)


def _smaller(x: Any, y: Any) -> Any:
    return choose((y < x) | (y != y), y, x)


_JOINS = {"sum": _plus, "max": _larger, "min": _smaller, "prod": _times}


def _columns_kernel(name: str, fold: Fold) -> Kernel:
    start, many, one, join = fold.start, fold.columns, fold.column, jit(_JOINS[name], "always")

    def columns(
        x: Floats, out: Floats, divisor: float, n: int, k: int, span: int, cuts: int, columns: int, blocks: int,
        length: int, units: int, task: int,
    ) -> None:  # fmt: skip
        """Matrices of n rows of k elements, each in `cuts` parts of `span` rows: one row of k results a part.

        A unit is one part of one matrix, and of its rows one block of columns; a task takes several of these where they
        are small. The last vector of a block may overlap the one before. Rows shorter than a vector are taken several
        at a time, as one row.
        """
        share, size, lanes = x.dtype.type(divisor), x.itemsize, VECTOR_BYTES // x.itemsize
        step = k * size
        wide = np.empty(WIDE + lanes, x.dtype)
        for unit in range(task * length, min((task + 1) * length, units)):
            part, block = unit // blocks, unit % blocks
            matrix, cut = part // cuts, part % cuts
            first, rows = cut * span, min(span, n - cut * span)
            left = block * columns
            width = columns if block < blocks - 1 else k - left
            at, source = part * k + left, (matrix * n + first) * k + left
            a, b = x.ctypes.data + source * size, out.ctypes.data + at * size
            if k >= lanes:
                j = 0
                while j + GROUP * lanes <= width:
                    many(x, a + j * size, step, rows, b + j * size)
                    j += GROUP * lanes
                while j + lanes <= width:
                    one(x, a + j * size, step, rows, b + j * size)
                    j += lanes
                if j < width:
                    j = width - lanes
                    one(x, a + j * size, step, rows, b + j * size)
            else:
                together = WIDE // k
                whole = rows // together
                for j in range(together * k):
                    wide[j] = start
                if whole:
                    for j in range(0, together * k - lanes + 1, lanes):
                        one(x, a + j * size, together * step, whole, wide.ctypes.data + j * size)
                    j = together * k - lanes
                    one(x, a + j * size, together * step, whole, wide.ctypes.data + j * size)
                for i in range(whole * together, rows):
                    for j in range(k):
                        wide[i % together * k + j] = join(wide[i % together * k + j], x[source + i * k + j])
                for i in range(1, together):
                    for j in range(k):
                        wide[j] = join(wide[j], wide[i * k + j])
                for j in range(k):
                    out[at + j] = wide[j]
            if divisor != 1.0:
                for j in range(width):
                    out[at + j] /= share

    columns.__name__ = columns.__qualname__ = f"_{name}_columns"
    return kernel(columns)


_ROWS = {name: _rows_kernel(name, fold) for name, fold in FOLDS.items()}
_COLUMNS = {name: _columns_kernel(name, fold) for name, fold in FOLDS.items()}


# ------------------------------------------------------------ any axes


@dataclass(frozen=True)
class _Plan:
    """How arrays of one shape and order of memory are reduced."""

    order: list[int] | None  # the axes in the order of memory; None: a row-major copy is needed
    straight: bool  # that is the order which the user sees
    runs: list[tuple[Kernel, int, int, tuple[Any, ...]]]  # kernel, tasks, results, its numbers
    kept: list[int]  # the result's shape in that order, reduced axes with length 1
    back: list[int]  # the axes in the order the user sees
    shape: list[int]  # without the reduced axes


def _rows(runs: list[Any], kind: str, size: int, n: int, divisor: float) -> int:
    """(…·n) -> (…); returns how many elements are left."""
    cuts = -(-n // LONG)
    results = size // n * cuts
    length = max(1, SPAN // n)
    last = 1.0 if cuts > 1 else divisor
    runs.append((_ROWS[kind], -(-results // length), results, (last, n, min(n, LONG), cuts, results, length)))
    return results if cuts == 1 else _rows(runs, kind, results, cuts, divisor)


def _columns(runs: list[Any], kind: str, size: int, n: int, k: int, divisor: float) -> int:
    """(…·n·k) -> (…·k); returns how many elements are left."""
    matrices = size // (n * k)
    columns = min(COLUMNS, max(1, 4 * SPAN // n // NARROW) * NARROW)
    blocks = max(1, k // columns + (k % columns * 4 >= NARROW))  # what is left is a block, or part of the last one
    most = n * min(k, columns)
    tall = (matrices * blocks < 8 and most > SPAN) or (matrices * blocks < 64 and most > 16 * SPAN)
    span = max(1, SPAN // min(k, columns), -(-n // 64)) if tall else n
    cuts = -(-n // span)
    results = matrices * cuts * k
    last = 1.0 if cuts > 1 else divisor
    units, length = matrices * cuts * blocks, max(1, SPAN // (min(span, n) * min(k, columns)))
    numbers = (last, n, k, span, cuts, columns, blocks, length, units)
    runs.append((_COLUMNS[kind], -(-units // length), results, numbers))
    return results if cuts == 1 else _columns(runs, kind, results, cuts, k, divisor)


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
def _plan(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, kind: str, axis: Axis, mean: bool) -> _Plan:
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
        left = _rows(runs, kind, left, n, divisor) if behind == 1 else _columns(runs, kind, left, n, behind, divisor)
    kept = [1 if i in axes else shape[i] for i in order]
    back = sorted(range(ndim), key=order.__getitem__)
    left_over = [n for i, n in enumerate(shape) if i not in axes]
    return _Plan(order if dense else None, back == order == list(range(ndim)), runs, kept, back, left_over)


def _reduced(x: Array, axis: Axis, keepdims: bool, kind: str, mean: bool = False) -> Array:
    plan = _plan(x.shape, x.strides, x.itemsize, kind, axis, mean)
    out = x if plan.straight or plan.order is None else x.transpose(plan.order)
    if plan.order is None or not x.flags.aligned:
        out = contiguous(out)
    if not plan.runs:
        out = out.copy()
    for run, tasks, results, numbers in plan.runs:
        source, out = out, np.empty(results, x.dtype)
        run(tasks, source, out, *numbers)
    if plan.straight:
        return out.reshape(plan.kept if keepdims else plan.shape)
    out = out.reshape(plan.kept).transpose(plan.back)
    return out if keepdims else out.reshape(plan.shape)


def sum_(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Sum over axes."""
    return _reduced(x, axis, keepdims, "sum") if has_kernels(x) else by_numpy.sum_(x, axis=axis, keepdims=keepdims)


def mean_(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Mean over axes."""
    if not has_kernels(x):
        return by_numpy.mean_(x, axis=axis, keepdims=keepdims)
    return _reduced(x, axis, keepdims, "sum", mean=True)


def max_(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Maximum over axes; NaN if there is one."""
    return _reduced(x, axis, keepdims, "max") if has_kernels(x) else by_numpy.max_(x, axis=axis, keepdims=keepdims)


def min_(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Minimum over axes; NaN if there is one."""
    return _reduced(x, axis, keepdims, "min") if has_kernels(x) else by_numpy.min_(x, axis=axis, keepdims=keepdims)


def prod_(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Product over axes."""
    return _reduced(x, axis, keepdims, "prod") if has_kernels(x) else by_numpy.prod_(x, axis=axis, keepdims=keepdims)
