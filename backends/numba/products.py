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
from . import pointwise
from .compile import Floats, kernel

Array = Any

#: Multiply-adds of one task at the least: about 50 µs.
PIECE = 1 << 21
MOST = 8  # tasks of one product
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112
_NAMES = {"float32": "sgemm", "float64": "dgemm"}
_SPELLINGS = ("scipy_cblas_{}64_", "cblas_{}64_")  # with 64-bit integers, as in NumPy's wheels


@cache
def _blas(dtype: str) -> int:
    """Address of cblas_?gemm in NumPy's OpenBLAS; 0 if this NumPy was built with another BLAS."""
    for path in threads.openblas_paths():
        if "numpy" not in path:
            continue
        library = ctypes.CDLL(path)
        for spelling in _SPELLINGS:
            function = getattr(library, spelling.format(_NAMES[dtype]), None)
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


def matmul(x: Array, y: Array) -> Array:
    """(…, k) @ (k, n) -> (…, n)."""
    if x.ndim > 2:
        return matmul(x.reshape(-1, x.shape[-1]), y).reshape(*x.shape[:-1], y.shape[1])
    (m, k), n = x.shape, y.shape[1]
    pieces = min(MOST, m * k * n // PIECE)
    if pieces < 2 or max(m, n) < pieces:
        return x @ y
    blas = _blas(x.dtype.name)
    if not blas:
        return x @ y
    (a, ta), (b, tb) = _as_stored(x), _as_stored(y)
    out = np.empty((m, n), x.dtype)
    _piece(pieces, a, b, out, blas, ta, tb, m, n, k, pieces, int(m >= n))
    return out


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """x: (…, k), weight: (n, k), bias: (n,) -> (…, n)."""
    out = matmul(x, weight.T)
    out += bias
    return out


def linear_relu(x: Array, weight: Array, bias: Array) -> Array:
    """max(linear(x, weight, bias), 0)."""
    out = linear(x, weight, bias)
    if out.size < pointwise.SMALL:
        return np.maximum(out, 0, out=out)
    pointwise.clip_below(out)
    return out
