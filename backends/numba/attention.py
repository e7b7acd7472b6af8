"""Scaled dot-product attention, forward and backward: a block of queries against all keys, one head at a time.

A task holds the scores of `BLOCK` queries alone (Dao et al., "FlashAttention", 2022, with whole rows in place of online
softmaxes), and under a causal mask those of the keys that the block sees. Queries, keys and values are read where they
lie, so heads that are strided parts of one projection are not copied; results lie as the queries do. Products are
BLAS's, on one thread, or plain loops where this NumPy has another BLAS than OpenBLAS.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .. import threads
from .compile import Floats, Ints, address_of, array_at, intrinsic, jit, kernel
from .layout import ready
from .mathematics import exp, exp_below
from .memory import empty
from .rows import LANES, row_dot, row_max, row_sum

Array = Any
BLOCK = 64  # queries of one task
_NAMES = {"float32": "sgemm", "float64": "dgemm"}
_SPELLINGS = ("scipy_cblas_{}64_", "cblas_{}64_")  # with 64-bit integers, as in NumPy's wheels


@cache
def _blas(dtype: Any) -> int:
    """Address of cblas_?gemm in NumPy's OpenBLAS; 0 if this NumPy was built with another BLAS."""
    for path in threads.openblas_paths():
        if "numpy" not in path:
            continue
        library = ctypes.CDLL(path)
        for spelling in _SPELLINGS:
            function = getattr(library, spelling.format(_NAMES[dtype.name]), None)
            if function is not None:
                return ctypes.cast(function, ctypes.c_void_p).value or 0
    return 0


@intrinsic
def _gemm(
    typingctx: Any, like: Any, blas: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, alpha: Any, a: Any, lda: Any,
    b: Any, ldb: Any, beta: Any, c: Any, ldc: Any,
) -> Any:  # fmt: skip
    """cblas_?gemm(row-major, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) of the dtype of `like`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        enum, _word = ir.IntType(32), ir.IntType(64)
        real = ir.FloatType() if like.dtype == types.float32 else ir.DoubleType()
        pointer = ir.IntType(8).as_pointer()
        _, blas, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc = args
        plain, transposed = ir.Constant(enum, 111), ir.Constant(enum, 112)
        ta, tb = (builder.select(builder.trunc(t, ir.IntType(1)), transposed, plain) for t in (ta, tb))
        a, b, c = (builder.inttoptr(value, pointer) for value in (a, b, c))
        values = [ir.Constant(enum, 101), ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc]
        function = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        assert values[6].type == real
        builder.call(builder.inttoptr(blas, function.as_pointer()), values)
        return context.get_dummy_value()

    word, real = types.int64, like.dtype
    return types.void(like, *(word,) * 6, real, *(word,) * 4, real, word, word), codegen


@jit
def _loops(
    like: Any, ta: int, tb: int, m: int, n: int, k: int, alpha: Any, a: int, lda: int, b: int, ldb: int, beta: Any,
    c: int, ldc: int,
) -> None:  # fmt: skip
    x, y = array_at(like, a, (k if ta else m) * lda), array_at(like, b, (n if tb else k) * ldb)
    out = array_at(like, c, m * ldc)
    for i in range(m):
        for j in range(n):
            out[i * ldc + j] = out[i * ldc + j] * beta if beta else beta
        for p in range(k):
            factor = alpha * x[p * lda + i if ta else i * lda + p]
            step, start = (ldb, p) if tb else (1, p * ldb)
            for j in range(n):
                out[i * ldc + j] += factor * y[start + j * step]


@jit
def _multiply(
    like: Any, blas: int, ta: int, tb: int, m: int, n: int, k: int, alpha: Any, a: int, lda: int, b: int, ldb: int,
    beta: Any, c: int, ldc: int,
) -> None:  # fmt: skip
    """C = alpha·A·B + beta·C, A or B transposed if ta or tb; addresses, and elements from one row to the next."""
    if blas:
        _gemm(like, blas, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
    else:
        _loops(like, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)


@jit
def _part(table: Any, operand: int, batch: int, head: int, row: int, size: int) -> Any:
    """Address of a row of an operand."""
    i = operand * 4
    return table[i] + (batch * table[i + 1] + head * table[i + 2] + row * table[i + 3]) * size


@kernel
def _forward_block(like: Floats, lse: Floats, table: Ints, sizes: Ints, scale: float, task: int) -> None:
    """Operands: q, k, v, out."""
    heads, queries, keys, d, e, causal, blas, length = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    blocks = (queries + length - 1) // length
    unit, start = task // blocks, task % blocks * length
    batch, head, size = unit // heads, unit % heads, like.itemsize
    rows = min(length, queries - start)
    zero, one = like.dtype.type(0), like.dtype.type(1)
    if causal:
        keys = min(keys, start + rows)
    scores, lanes = np.empty(rows * keys, like.dtype), np.empty(LANES, like.dtype)
    _multiply(
        like, blas, 0, 1, rows, keys, d, like.dtype.type(scale), _part(table, 0, batch, head, start, size), table[3],
        _part(table, 1, batch, head, 0, size), table[7], zero, scores.ctypes.data, keys,
    )  # fmt: skip
    for i in range(rows):
        seen = min(keys, start + i + 1) if causal else keys
        row = scores[i * keys : i * keys + seen]
        top = row_max(row, 0, seen, lanes)
        for j in range(seen):
            row[j] = exp_below(row[j] - top)
        total = row_sum(row, 0, seen, lanes)
        share = one / total
        for j in range(seen):
            row[j] *= share
        scores[i * keys + seen : (i + 1) * keys] = zero
        lse[unit * queries + start + i] = top + np.log(total)
    _multiply(
        like, blas, 0, 0, rows, e, keys, one, scores.ctypes.data, keys, _part(table, 2, batch, head, 0, size),
        table[11], zero, _part(table, 3, batch, head, start, size), table[15],
    )  # fmt: skip
    scores[0] = zero  # an address alone does not keep an array's memory


@kernel
def _backward_head(
    like: Floats, lse: Floats, glse: Floats, table: Ints, sizes: Ints, scale: float, task: int
) -> None:  # fmt: skip
    """One head, block by block. Operands: q, k, v, y, gy, ∂q, ∂k, ∂v; the last two are 0 at the start."""
    heads, queries, all_keys, d, e, causal, blas, length = (
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7],
    )  # fmt: skip
    batch, head, size = task // heads, task % heads, like.itemsize
    zero, one, factor = like.dtype.type(0), like.dtype.type(1), like.dtype.type(scale)
    p, s = np.empty(length * all_keys, like.dtype), np.empty(length * all_keys, like.dtype)
    lanes = np.empty(LANES, like.dtype)
    k, v = _part(table, 1, batch, head, 0, size), _part(table, 2, batch, head, 0, size)
    dk, dv = _part(table, 6, batch, head, 0, size), _part(table, 7, batch, head, 0, size)
    for start in range(0, queries, length):
        rows = min(length, queries - start)
        keys = min(all_keys, start + rows) if causal else all_keys
        q, gy = _part(table, 0, batch, head, start, size), _part(table, 4, batch, head, start, size)
        _multiply(like, blas, 0, 1, rows, keys, d, factor, q, table[3], k, table[7], zero, p.ctypes.data, keys)
        _multiply(like, blas, 0, 1, rows, keys, e, one, gy, table[19], v, table[11], zero, s.ctypes.data, keys)
        for i in range(rows):
            seen = min(keys, start + i + 1) if causal else keys
            at = task * queries + start + i
            weights, slopes = p[i * keys : i * keys + seen], s[i * keys : i * keys + seen]
            g = array_at(like, gy + i * table[19] * size, e)
            y = array_at(like, _part(table, 3, batch, head, start + i, size), e)
            shift, shared = lse[at], glse[at] - row_dot(g, 0, y, 0, e, lanes)
            for j in range(seen):
                weights[j] = exp(weights[j] - shift)
            for j in range(seen):
                slopes[j] = weights[j] * (slopes[j] + shared) * factor
            p[i * keys + seen : (i + 1) * keys] = zero
            s[i * keys + seen : (i + 1) * keys] = zero
        dq = _part(table, 5, batch, head, start, size)
        _multiply(like, blas, 0, 0, rows, d, keys, one, s.ctypes.data, keys, k, table[7], zero, dq, table[23])
        _multiply(like, blas, 1, 0, keys, d, rows, one, s.ctypes.data, keys, q, table[3], one, dk, table[27])
        _multiply(like, blas, 1, 0, keys, e, rows, one, p.ctypes.data, keys, gy, table[19], one, dv, table[31])
    p[0] = s[0] = zero  # an address alone does not keep an array's memory


def _operand(x: Array) -> tuple[Array, list[int]]:
    """(…, t, d) as (batches, heads, t, d), a copy if its rows do not lie one after another, and its fields."""
    x = x.reshape(-1, *x.shape[-3:]) if x.ndim > 4 else x[(None,) * (4 - x.ndim)]
    size = x.itemsize
    _n, _h, t, d = x.shape
    sn, sh, st, sd = x.strides
    rows_apart = st >= d * size or t == 1
    if not x.flags.aligned or any(s % size for s in x.strides) or (d > 1 and sd != size) or not rows_apart:
        x = np.array(x, order="C")
        sn, sh, st, _ = x.strides
    return x, [address_of(x), sn // size, sh // size, max(st // size, d)]


def _result(like: Array, shape: tuple[int, ...], dtype: Any, zero: bool = False) -> Array:
    """An array of that shape whose heads lie within the rows if those of `like` do."""
    if len(shape) == 4 and abs(like.strides[1]) < abs(like.strides[2]):
        out = empty((shape[0], shape[2], shape[1], shape[3]), dtype).transpose(0, 2, 1, 3)
    else:
        out = empty(shape, dtype)
    if zero:
        out[...] = 0
    return out


def _run(run: Any, tasks: int, operands: list[Array], sizes: list[int], scale: float, *rows: Array) -> None:
    kept = [_operand(x) for x in operands]  # copies live until the kernel is done
    table = np.array([number for _, fields in kept for number in fields])
    run(tasks, *rows, table, np.array(sizes), scale)


def _sizes(q: Array, k: Array, v: Array, causal: bool) -> tuple[int, list[int]]:
    heads = q.shape[-3] if q.ndim > 2 else 1
    units = q.size // (q.shape[-2] * q.shape[-1])
    blas = _blas(q.dtype)
    return units, [heads, q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1], int(causal), blas, BLOCK]


def attention(q: Array, k: Array, v: Array, *, causal: bool, scale: float) -> tuple[Array, Array]:
    """q: (…, L, d), k: (…, S, d), v: (…, S, e) -> (…, L, e), (…, L)."""
    units, sizes = _sizes(q, k, v, causal)
    out = _result(q, (*q.shape[:-1], v.shape[-1]), q.dtype)
    lse = np.empty(q.shape[:-1], q.dtype)
    _run(_forward_block, units * -(-q.shape[-2] // BLOCK), [q, k, v, out], sizes, scale, _LIKE[q.dtype], lse)
    return out, lse


def attention_grad(
    gy: Array, glse: Array, q: Array, k: Array, v: Array, y: Array, lse: Array, *, causal: bool, scale: float
) -> tuple[Array, Array, Array]:
    """gy, y: (…, L, e), glse, lse: (…, L) -> cotangents of q, k and v."""
    units, sizes = _sizes(q, k, v, causal)
    dq, dk, dv = (_result(x, x.shape, x.dtype, zero) for x, zero in ((q, False), (k, True), (v, True)))
    rows = (_LIKE[q.dtype], ready(lse), ready(glse))
    _run(_backward_head, units, [q, k, v, y, gy, dq, dk, dv], sizes, scale, *rows)
    return dq, dk, dv


_LIKE = {np.dtype(t): np.empty(1, t) for t in (np.float32, np.float64)}  # gives a kernel its dtype
