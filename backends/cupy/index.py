"""Scatter-add on the GPU in a fixed order: a stable sort of the indices, then the kernel of `index.cu`."""

from __future__ import annotations

import math
from typing import Any

import cupy as cp
import numpy as np

from . import sources
from .launch import launch_each, packed

Array = Any

_COMPUTED = frozenset(np.dtype(name) for name in sources.MODULES["index"])
#: Dtypes the kernel is not compiled for are summed in a wider one.
_WIDER: dict[str, np.dtype[Any]] = {
    "f": np.dtype(np.float32),
    "i": np.dtype(np.int64),
    "u": np.dtype(np.uint64),
    "b": np.dtype(np.int64),
}


def index_add(x: Array, index: Array, updates: Array, axis: int) -> Array:
    """A copy of x with `updates` added at `index` along `axis`; repeated indices accumulate, in their order.

    x: (…, n, …), index: (k,) integers (negative ones count from the end), updates: (…, k, …), which broadcast.
    The result is the same bit for bit from run to run. Indices out of range are ignored: checking them would wait for
    the GPU.
    """
    dtype: np.dtype[Any] = x.dtype
    wide: np.dtype[Any] = dtype if dtype in _COMPUTED else _WIDER[dtype.kind]
    out = cp.array(x, dtype=wide, order="C")
    rows, k = x.shape[axis], index.shape[0]
    if out.size == 0 or k == 0:
        return out.astype(dtype, copy=False)
    updates = cp.broadcast_to(updates, (*x.shape[:axis], k, *x.shape[axis + 1 :])).astype(wide, copy=False)
    index = index.astype(np.int64, copy=False)
    index = cp.where(index < 0, index + rows, index)
    order = cp.argsort(index)
    starts = cp.searchsorted(index[order], cp.arange(rows + 1))
    inner = math.prod(x.shape[axis + 1 :])
    launch_each(
        "index", "index_add", wide, out.size,
        packed(updates), order, starts, out, np.int64(rows), np.int64(inner), np.int64(k),
    )  # fmt: skip
    return out.astype(dtype, copy=False)
