"""Running sums along an axis, and the logarithm of a sum of exponentials, threaded.

A row's running sum is a chain. Rows are shared among tasks; a long row is cut into spans of fixed length, whose sums
are found first, so that each span can start from the sum of those before it. Where other axes lie behind the one that
is summed, whole rows of these are added. Cuts depend on the shape alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .compile import Floats, choose, intrinsic, jit, kernel
from .layout import ready
from .mathematics import exp_below
from .memory import empty
from .sums import larger, plus
from .tile import VECTOR_BYTES
from .vectors import Code

Array = Any
SPAN = 16384  # elements of one task
COLUMNS = 1024  # elements of a row of other axes that one task takes at the most


def _scan(back: bool) -> Any:
    """Makes an intrinsic: the running sum of the vector at x, begun with `start`, goes to out; returns its last."""

    def scan_vector(typingctx: Any, like: Any, x: Any, out: Any, start: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code = Code(context, builder, like.dtype)
            n, word = code.lanes, ir.IntType(32)
            total, distance = code.load(args[1]), 1
            while distance < n:
                lanes = [j + distance if back else j - distance for j in range(n)]
                places = ir.Constant(ir.VectorType(word, n), [j if 0 <= j < n else n for j in lanes])
                total = builder.fadd(total, builder.shuffle_vector(total, code.zero, places))
                distance *= 2
            first = builder.insert_element(code.zero, args[3], ir.Constant(word, 0))
            spread = builder.shuffle_vector(first, code.zero, ir.Constant(ir.VectorType(word, n), [0] * n))
            total = builder.fadd(total, spread)
            code.store(total, args[2])
            return builder.extract_element(total, ir.Constant(word, 0 if back else n - 1))

        return like.dtype(like, types.int64, types.int64, like.dtype), codegen

    scan_vector.__name__ = scan_vector.__qualname__ = f"scan_vector_{'back' if back else 'on'}"
    return intrinsic(scan_vector)


_scan_on, _scan_back = _scan(False), _scan(True)


@jit
def _running(x: Any, out: Any, first: int, stop: int, start: Any, back: int) -> None:
    """The running sum of x[first:stop], from its end if `back`, begun with `start`."""
    side, size = VECTOR_BYTES // x.itemsize, x.itemsize
    whole = (stop - first) // side * side
    if back:
        for i in range(stop - side, stop - whole - 1, -side):
            start = _scan_back(x, x.ctypes.data + i * size, out.ctypes.data + i * size, start)
        for i in range(stop - whole - 1, first - 1, -1):
            start += x[i]
            out[i] = start
    else:
        for i in range(first, first + whole, side):
            start = _scan_on(x, x.ctypes.data + i * size, out.ctypes.data + i * size, start)
        for i in range(first + whole, stop):
            start += x[i]
            out[i] = start


@kernel
def _span_sums(x: Floats, sums: Floats, n: int, cuts: int, task: int) -> None:
    """The sum of one span of one row."""
    a = task // cuts * n + task % cuts * SPAN
    total = x.dtype.type(0)
    for i in range(a, min(a + SPAN, (task // cuts + 1) * n)):
        total = plus(total, x[i])
    sums[task] = total


@kernel
def _sum_rows(
    x: Floats, out: Floats, sums: Floats, n: int, cuts: int, length: int, units: int, back: int, task: int
) -> None:
    """Running sums of spans of rows, `length` of them a task; sums: those of all spans, if rows have several."""
    for unit in range(task * length, min((task + 1) * length, units)):
        row, cut = unit // cuts, unit % cuts
        start = x.dtype.type(0)
        if back:
            for k in range(cuts - 1, cut, -1):
                start += sums[row * cuts + k]
        else:
            for k in range(cut):
                start += sums[row * cuts + k]
        a = row * n + cut * SPAN
        _running(x, out, a, min(a + SPAN, (row + 1) * n), start, back)


@kernel
def _sum_columns(
    x: Floats, out: Floats, n: int, k: int, blocks: int, columns: int, length: int, units: int, back: int, task: int
) -> None:
    """Matrices of n rows of k elements: each row is added to the sum of those before it."""
    for unit in range(task * length, min((task + 1) * length, units)):
        matrix, left = unit // blocks, unit % blocks * columns
        width = min(columns, k - left)
        total = np.zeros(width, x.dtype)
        for i in range(n):
            at = (matrix * n + (n - 1 - i if back else i)) * k + left
            v, y = x[at : at + width], out[at : at + width]
            for j in range(width):
                total[j] += v[j]
            for j in range(width):
                y[j] = total[j]


def cumsum(x: Array, *, axis: int, reverse: bool) -> Array:
    """The running sum along an axis, from its end with `reverse`."""
    x = ready(x)
    out = empty(x.shape, x.dtype)
    n, behind = x.shape[axis], math.prod(x.shape[axis % x.ndim + 1 :])
    if behind == 1:
        cuts, rows = -(-n // SPAN), x.size // n
        sums = np.empty(rows * cuts if cuts > 1 else 0, x.dtype)
        if cuts > 1:
            _span_sums(rows * cuts, x, sums, n, cuts)
        length = max(1, SPAN // n)
        _sum_rows(-(-rows * cuts // length), x, out, sums, n, cuts, length, rows * cuts, reverse)
        return out
    matrices, columns = x.size // (n * behind), min(behind, COLUMNS)
    if matrices * -(-behind // columns) < 8:
        columns = min(columns, max(64, -(-behind // 512) * 64))
    blocks = -(-behind // columns)
    length = max(1, SPAN // (n * columns))
    _sum_columns(
        -(-matrices * blocks // length), x, out, n, behind, blocks, columns, length, matrices * blocks, reverse
    )  # fmt: skip
    return out


# ------------------------------------------------------------ log of a sum of exponentials


@kernel
def _log_sums(
    x: Floats, tops: Floats, totals: Floats, n: int, cuts: int, length: int, units: int, task: int
) -> None:  # fmt: skip
    """The largest element of each span of each row, and the sum of e^(x − that), or − a finite number if it is none."""
    zero, most = x.dtype.type(0), x.dtype.type(3e38) if x.itemsize == 4 else x.dtype.type(1e308)
    for unit in range(task * length, min((task + 1) * length, units)):
        a = unit // cuts * n + unit % cuts * SPAN
        stop = min(a + SPAN, (unit // cuts + 1) * n)
        top, total = x[a], zero
        for i in range(a, stop):
            top = larger(x[i], top)
        shift = min(max(top, -most), most)
        for i in range(a, stop):
            d = x[i] - shift
            total = plus(total, exp_below(choose(d > zero, zero, d)))
        tops[unit], totals[unit] = top, total


@kernel
def _join_log_sums(tops: Floats, totals: Floats, out: Floats, cuts: int, task: int) -> None:
    most = out.dtype.type(3e38) if out.itemsize == 4 else out.dtype.type(1e308)
    for row in range(out.size):
        top, total = tops[row * cuts], out.dtype.type(0)
        for k in range(1, cuts):
            top = max(top, tops[row * cuts + k])
        shift = min(max(top, -most), most)
        for k in range(cuts):
            total += totals[row * cuts + k] * exp_below(min(max(tops[row * cuts + k], -most), most) - shift)
        out[row] = np.log(total) + (top if abs(top) > most else shift)


def logsumexp(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    """log Σ eˣ over axes."""
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes)
    x = ready(x.transpose(kept + axes))
    n = math.prod(x.shape[len(kept) :])
    rows, cuts = x.size // n, -(-n // SPAN)
    out, tops, totals = np.empty(rows, x.dtype), np.empty(rows * cuts, x.dtype), np.empty(rows * cuts, x.dtype)
    length = max(1, SPAN // n)
    _log_sums(-(-rows * cuts // length), x, tops, totals, n, cuts, length, rows * cuts)
    _join_log_sums(1, tops, totals, out, cuts)
    return out.reshape(shape)
