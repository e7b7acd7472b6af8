"""Normalisation on the GPU: shapes, buffers and launches for the kernels of `norm.cu`."""

from __future__ import annotations

import math
from typing import Any

import cupy as cp
import numpy as np

from ..base import Backend
from .launch import MOST_BLOCKS, THREADS, floats, launch, launch_each, packed

Array = Any
#: Sums over rows are cut into at most this many parts, of at least so many rows.
MOST_PARTS, LEAST_ROWS = 256, 64


def register(backend: Backend) -> None:
    """Register the normalisation kernels."""
    backend.register("standardize", _takes)(standardize)
    backend.register("standardize_grad", _takes)(standardize_grad)
    backend.register("layer_norm", _takes_layer)(layer_norm)
    backend.register("layer_norm_grad", _takes_layer_grad)(layer_norm_grad)
    backend.register("batch_norm", _takes_batch)(batch_norm)
    backend.register("batch_norm_grad", _takes_batch_grad)(batch_norm_grad)


def standardize(x: Array, *, axes: int, eps: float) -> Array:
    """Kernel of the op standardize."""
    return _layer_norm(x, None, None, axes, eps)


def standardize_grad(gy: Array, x: Array, *, axes: int, eps: float) -> Array:
    """Kernel of the op standardize_grad."""
    return _layer_norm_grad(packed(gy), packed(x), None, axes, eps)[0]


def layer_norm(x: Array, weight: Array, bias: Array, *, axes: int, eps: float) -> Array:
    """Kernel of the op layer_norm."""
    return _layer_norm(x, packed(weight), packed(bias), axes, eps)


def layer_norm_grad(gy: Array, x: Array, weight: Array, *, axes: int, eps: float) -> tuple[Array, Array, Array]:
    """Kernel of the op layer_norm_grad: one pass over rows, one over columns, and the sum of the latter's parts."""
    gy, x = packed(gy), packed(x)
    gx, means, scales = _layer_norm_grad(gy, x, packed(weight), axes, eps)
    rows, width = _rows(x.shape, axes)
    length = max(LEAST_ROWS, -(-rows // MOST_PARTS))
    count = -(-rows // length)
    parts = cp.empty((2, count, width), dtype=x.dtype)
    launch(
        "norm", "layer_norm_weight_grad", x.dtype, (-(-width // THREADS), count),
        gy, x, means, scales, parts, np.int64(rows), np.int64(width), np.int64(length),
    )  # fmt: skip
    dweight, dbias = parts.sum(axis=1).reshape(2, *weight.shape)
    return gx, dweight, dbias


def _layer_norm(x: Array, weight: Array | None, bias: Array | None, axes: int, eps: float) -> Array:
    rows, width = _rows(x.shape, axes)
    x = packed(x)
    y = cp.empty(x.shape, dtype=x.dtype)
    affine = (x, x, False) if weight is None else (weight, bias, True)
    sizes = np.int64(rows), np.int64(width)
    launch("norm", "layer_norm", x.dtype, min(rows, MOST_BLOCKS), x, *affine, y, *sizes, float(eps))
    return y


def _layer_norm_grad(gy: Array, x: Array, weight: Array | None, axes: int, eps: float) -> tuple[Array, Array, Array]:
    rows, width = _rows(x.shape, axes)
    gx, means, scales = (cp.empty(shape, dtype=x.dtype) for shape in (x.shape, (rows,), (rows,)))
    affine = (x, False) if weight is None else (weight, True)
    sizes = np.int64(rows), np.int64(width)
    launch(
        "norm",
        "layer_norm_grad",
        x.dtype,
        min(rows, MOST_BLOCKS),
        gy,
        x,
        *affine,
        gx,
        means,
        scales,
        *sizes,
        float(eps),
    )
    return gx, means, scales


def batch_norm(x: Array, weight: Array, bias: Array, *, eps: float) -> tuple[Array, Array, Array]:
    """Kernel of the op batch_norm."""
    n, c, inner = _channels(x.shape)
    x = packed(x)
    mean, var, y = (cp.empty(shape, dtype=x.dtype) for shape in ((c,), (c,), x.shape))
    launch("norm", "batch_norm_moments", x.dtype, c, x, mean, var, n, c, inner)
    affine = packed(weight), packed(bias)
    launch_each("norm", "batch_norm", x.dtype, x.size, x, mean, var, *affine, y, c, inner, float(eps))
    return y, mean, var


def batch_norm_grad(
    gy: Array, gmean: Array, gvar: Array, x: Array, weight: Array, mean: Array, var: Array, *, eps: float
) -> tuple[Array, Array, Array]:
    """Kernel of the op batch_norm_grad."""
    n, c, inner = _channels(x.shape)
    gy, gmean, gvar, x, weight, mean, var = (packed(a) for a in (gy, gmean, gvar, x, weight, mean, var))
    gx, dweight, dbias = (cp.empty(shape, dtype=x.dtype) for shape in (x.shape, (c,), (c,)))
    launch("norm", "batch_norm_sums", x.dtype, c, gy, x, mean, var, dweight, dbias, n, c, inner, float(eps))
    launch_each(
        "norm", "batch_norm_grad", x.dtype, x.size,
        gy, gmean, gvar, x, weight, mean, var, dweight, dbias, gx, n, c, inner, float(eps),
    )  # fmt: skip
    return gx, dweight, dbias


def _rows(shape: tuple[int, ...], axes: int) -> tuple[int, int]:
    """How many rows are normalised, and their length: x seen as (rows, width)."""
    return math.prod(shape[: len(shape) - axes]), math.prod(shape[len(shape) - axes :])


def _channels(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The array's shape seen as (n, c, inner)."""
    return shape[0], shape[1], math.prod(shape[2:])


# Guards. Means of nothing, and whatever has wrong shapes, are left to the generic forward.


def _takes(*arrays: Array, axes: int, eps: float) -> bool:
    x = arrays[-1]
    return floats(*arrays) and x.size > 0 and 0 < axes <= x.ndim and arrays[0].shape == x.shape


def _takes_layer(x: Array, *affine: Array, axes: int, eps: float) -> bool:
    return floats(x, *affine) and _takes(x, axes=axes, eps=eps) and _all(x.shape[x.ndim - axes :], *affine)


def _takes_layer_grad(gy: Array, x: Array, weight: Array, *, axes: int, eps: float) -> bool:
    return floats(gy, x) and gy.shape == x.shape and _takes_layer(x, weight, axes=axes, eps=eps)


def _takes_batch(x: Array, *affine: Array, eps: float) -> bool:
    return floats(x, *affine) and x.ndim >= 2 and x.size > 0 and _all(x.shape[1:2], *affine)


def _takes_batch_grad(gy: Array, gmean: Array, gvar: Array, x: Array, *affine: Array, eps: float) -> bool:
    return floats(gy, x) and gy.shape == x.shape and _takes_batch(x, gmean, gvar, *affine, eps=eps)


def _all(shape: tuple[int, ...], *arrays: Array) -> bool:
    return all(a.shape == shape for a in arrays)
