"""Philox random numbers on the GPU: launches of the kernels of `random.cu`, the same bits as on every backend."""

from __future__ import annotations

import math
from typing import Any

import cupy as cp
import numpy as np

from ..base import Backend
from .launch import floats, launch_each, packed

Array = Any
Shape = tuple[int, ...]
#: Kernels that compute in float32 whatever they return.
SINGLE = np.dtype(np.float32)


def register(backend: Backend) -> None:
    """Register the random kernels."""
    backend.register("philox_bits", _takes)(philox_bits)
    backend.register("random_uniform", _takes)(random_uniform)
    backend.register("random_bernoulli", _takes)(random_bernoulli)
    backend.register("dropout", _takes_dropout)(dropout)


def philox_bits(key: Array, *, shape: Shape) -> Array:
    """Kernel of the op philox_bits."""
    out = cp.empty(shape, dtype=np.uint32)
    launch_each("random", "philox_bits", SINGLE, _blocks(out), packed(key), out, np.int64(out.size))
    return out


def random_uniform(key: Array, *, shape: Shape, dtype: str) -> Array:
    """Kernel of the op random_uniform."""
    out = cp.empty(shape, dtype=np.dtype(dtype))
    launch_each("random", "random_uniform", out.dtype, _blocks(out), packed(key), out, np.int64(out.size))
    return out


def random_bernoulli(key: Array, *, shape: Shape, p: float) -> Array:
    """Kernel of the op random_bernoulli."""
    out = cp.empty(shape, dtype=np.bool_)
    launch_each("random", "random_bernoulli", SINGLE, _blocks(out), packed(key), out, np.int64(out.size), float(p))
    return out


def dropout(x: Array, key: Array, *, p: float) -> Array:
    """Kernel of the op dropout."""
    out = cp.empty(x.shape, dtype=x.dtype)
    blocks, n, scale = -(-out.size // 4), np.int64(out.size), 1.0 / (1.0 - p)
    launch_each("random", "dropout", x.dtype, blocks, packed(x), packed(key), out, n, float(p), scale)
    return out


def _blocks(out: Array) -> int:
    """Philox blocks that fill the array: four words each, two words for a double."""
    size: int = out.size
    return -(-size // (2 if out.dtype.itemsize == 8 else 4))


def _takes(key: Array, *, shape: Shape, dtype: str = "float32", p: float = 0.5) -> bool:
    if key.shape != (4,) or key.dtype != np.uint32 or not 0.0 <= p <= 1.0:
        return False
    return dtype in ("float32", "float64") and math.prod(shape) < 2**48


def _takes_dropout(x: Array, key: Array, *, p: float) -> bool:
    return floats(x) and 0.0 < p < 1.0 and _takes(key, shape=x.shape)
