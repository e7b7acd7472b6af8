"""Matrix products on all threads: pieces of one product, each computed by BLAS on one thread.

OpenBLAS's own threads spin for milliseconds after each call and take the cores from the kernels that follow. So where
kernels run, BLAS keeps to one thread (`threads.kernels_started`), and the tasks of a kernel call it through the address
of its C function. A product is cut by its shape alone, so the result does not depend on the threads.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import threads
from .compile import Floats, kernel
from .layout import ready
from .memory import empty

Array = Any

#: Multiply-adds that are worth a second thread: some microseconds' work.
PIECE = 1 << 18
MOST = 4  # tasks of one product
ROWS_AT_ONCE = 8192  # elements of the cotangent that one task masks and adds up
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112
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
    typingctx: Any, like: Any, address: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, a: Any, lda: Any, b: Any,
    ldb: Any, c: Any, ldc: Any,
) -> Any:  # fmt: skip
    """cblas_?gemm(row-major, ta, tb, m, n, k, 1, a, lda, b, ldb, 0, c, ldc) of the dtype of `like`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        enum, word = ir.IntType(32), ir.IntType(64)
        real = ir.FloatType() if like.dtype == types.float32 else ir.DoubleType()
        pointer = ir.IntType(8).as_pointer()
        function = ir.FunctionType(
            ir.VoidType(),
            [enum, enum, enum, word, word, word, real, pointer, word, pointer, word, real, pointer, word],
        )
        _, address, ta, tb, m, n, k, a, lda, b, ldb, c, ldc = args
        a, b, c = (builder.inttoptr(value, pointer) for value in (a, b, c))
        ta, tb = (builder.trunc(value, enum) for value in (ta, tb))
        one, zero = ir.Constant(real, 1.0), ir.Constant(real, 0.0)
        builder.call(
            builder.inttoptr(address, function.as_pointer()),
            [ir.Constant(enum, _ROW_MAJOR), ta, tb, m, n, k, one, a, lda, b, ldb, zero, c, ldc],
        )
        return context.get_dummy_value()

    return types.void(like, *(types.int64,) * 12), codegen


@kernel
def _piece(
    a: Floats, b: Floats, c: Floats, blas: int, ta: int, tb: int, m: int, n: int, k: int, pieces: int, by_row: int,
    task: int,
) -> None:  # fmt: skip
    """One band of rows, or of columns, of c."""
    size = c.itemsize
    lda, ldb = (m if ta == 112 else k), (k if tb == 112 else n)
    length = m if by_row else n
    start, stop = length * task // pieces, length * (task + 1) // pieces
    if by_row:
        step = 1 if ta == 112 else lda
        _gemm(
            c, blas, ta, tb, stop - start, n, k, a.ctypes.data + start * step * size, lda, b.ctypes.data, ldb,
            c.ctypes.data + start * n * size, n,
        )  # fmt: skip
    else:
        step = ldb if tb == 112 else 1
        _gemm(
            c, blas, ta, tb, m, stop - start, k, a.ctypes.data, lda, b.ctypes.data + start * step * size, ldb,
            c.ctypes.data + start * size, n,
        )  # fmt: skip


def _as_stored(x: Array) -> tuple[Array, int]:
    """The matrix as it lies row by row in memory, and whether that is its transpose."""
    if x.flags.f_contiguous and not x.flags.c_contiguous:
        return x.T, _TRANSPOSED
    return np.ascontiguousarray(x), _PLAIN


def _pieces(m: int, n: int, k: int) -> int:
    """In how many tasks to compute an (m, k) @ (k, n)."""
    work = m * n * k // PIECE
    return min(1 if work < 2 else 2 if work < 16 else MOST, max(m, n))


def matmul(x: Array, y: Array) -> Array:
    """(…, k) @ (k, n) -> (…, n)."""
    if x.ndim > 2:
        return matmul(x.reshape(-1, x.shape[-1]), y).reshape(*x.shape[:-1], y.shape[1])
    (m, k), n = x.shape, y.shape[1]
    pieces, blas = _pieces(m, n, k), _blas(x.dtype)
    if pieces < 2 or not blas:
        return x @ y
    (a, ta), (b, tb) = _as_stored(x), _as_stored(y)
    out = empty((m, n), x.dtype)
    _piece(pieces, a, b, out, blas, ta, tb, m, n, k, pieces, int(m >= n))
    return out


# ------------------------------------------------------------ dense layers


@kernel
def _linear_piece(
    x: Floats, weight: Floats, bias: Floats, out: Floats, blas: int, m: int, n: int, k: int, pieces: int, relu: int,
    task: int,
) -> None:  # fmt: skip
    """Some rows, or columns, of x·Wᵀ + b, or of max(x·Wᵀ + b, 0)."""
    size = x.itemsize
    top, bottom, left, right = 0, m, 0, n
    if m >= n:
        top, bottom = m * task // pieces, m * (task + 1) // pieces
    else:
        left, right = n * task // pieces, n * (task + 1) // pieces
    _gemm(
        out, blas, _PLAIN, _TRANSPOSED, bottom - top, right - left, k, x.ctypes.data + top * k * size, k,
        weight.ctypes.data + left * k * size, k, out.ctypes.data + (top * n + left) * size, n,
    )  # fmt: skip
    zero = x.dtype.type(0)
    for row in range(top, bottom):
        for j in range(left, right):
            v = out[row * n + j] + bias[j]
            out[row * n + j] = zero if relu and v <= zero else v


def _linear(x: Array, weight: Array, bias: Array, relu: bool) -> Array:
    (n, k), blas = weight.shape, _blas(x.dtype)
    m = x.size // k
    out = empty((*x.shape[:-1], n), x.dtype)
    if not blas:
        np.add(np.matmul(x, weight.T, out=out), bias, out=out)
        return np.maximum(out, 0, out=out) if relu else out
    pieces = _pieces(m, n, k)
    _linear_piece(pieces, ready(x), ready(weight), ready(bias), out, blas, m, n, k, pieces, relu)
    return out


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """x: (…, k), weight: (n, k), bias: (n,) -> (…, n)."""
    return _linear(x, weight, bias, False)


def linear_relu(x: Array, weight: Array, bias: Array) -> Array:
    """max(linear(x, weight, bias), 0)."""
    return _linear(x, weight, bias, True)


@kernel
def _masked_rows(
    g: Floats, y: Floats, u: Floats, sums: Floats, n: int, rows: int, length: int, block: int
) -> None:  # fmt: skip
    """u = g where y is positive, else 0, unless y is empty; and the sum of a block of rows."""
    zero = g.dtype.type(0)
    base = block * n
    sums[base : base + n] = 0
    for row in range(block * length, min((block + 1) * length, rows)):
        if y.size:
            for j in range(n):
                v = g[row * n + j]
                v = zero if y[row * n + j] <= zero else v
                u[row * n + j] = v
                sums[base + j] += v
        else:
            for j in range(n):
                sums[base + j] += g[row * n + j]


@kernel
def _gradient_piece(
    u: Floats, x: Floats, weight: Floats, dweight: Floats, dx: Floats, blas: int, m: int, n: int, k: int, pieces: int,
    task: int,
) -> None:  # fmt: skip
    """Some rows or columns of uᵀ·x, or, from task `pieces` on, of u·W."""
    size = u.itemsize
    part = task % pieces
    if task < pieces:
        top, bottom, left, right = 0, n, 0, k
        if n >= k:
            top, bottom = n * part // pieces, n * (part + 1) // pieces
        else:
            left, right = k * part // pieces, k * (part + 1) // pieces
        _gemm(
            u, blas, _TRANSPOSED, _PLAIN, bottom - top, right - left, m, u.ctypes.data + top * size, n,
            x.ctypes.data + left * size, k, dweight.ctypes.data + (top * k + left) * size, k,
        )  # fmt: skip
        return
    top, bottom, left, right = 0, m, 0, k
    if m >= k:
        top, bottom = m * part // pieces, m * (part + 1) // pieces
    else:
        left, right = k * part // pieces, k * (part + 1) // pieces
    _gemm(
        u, blas, _PLAIN, _PLAIN, bottom - top, right - left, n, u.ctypes.data + top * n * size, n,
        weight.ctypes.data + left * size, k, dx.ctypes.data + (top * k + left) * size, k,
    )  # fmt: skip


def _gradients(gy: Array, y: Array, x: Array, weight: Array, need_x: bool) -> tuple[Array, ...]:
    (n, k), dtype = weight.shape, x.dtype
    rows = x.size // k
    length = max(1, min(rows, ROWS_AT_ONCE // n))
    if rows > 64 * length:
        length = -(-rows // 64)
    blocks = -(-rows // length)
    g, sums = ready(gy), np.empty((blocks, n), dtype)
    u = empty(g.shape, dtype) if y.size else g
    _masked_rows(blocks, g, ready(y), u, sums, n, rows, length)
    dweight = empty((n, k), dtype)
    dx = empty(x.shape if need_x else (0,), dtype)
    blas, pieces = _blas(dtype), _pieces(max(rows, n), k, min(rows, n))
    if blas:
        tasks = pieces * (2 if need_x else 1)
        _gradient_piece(tasks, u, ready(x), ready(weight), dweight, dx, blas, rows, n, k, pieces)
    else:
        flat = u.reshape(rows, n)
        np.matmul(flat.T, x.reshape(rows, k), out=dweight)
        if need_x:
            np.matmul(flat, weight, out=dx.reshape(rows, k))
    dbias = sums.sum(axis=0) if blocks > 1 else sums.reshape(n)
    return (dweight, dbias, dx) if need_x else (dweight, dbias)


def linear_grad(gy: Array, x: Array, weight: Array, *, need_x: bool) -> tuple[Array, ...]:
    """gy: (…, n), x: (…, k), weight: (n, k) -> cotangents of weight, bias, and x."""
    return _gradients(gy, np.empty(0, x.dtype), x, weight, need_x)


def linear_relu_grad(gy: Array, y: Array, x: Array, weight: Array, *, need_x: bool) -> tuple[Array, ...]:
    """As `linear_grad`, with gy where y: (…, n) is positive."""
    return _gradients(gy, y, x, weight, need_x)
