"""Copies into row-major order, on all threads: what `np.ascontiguousarray` does, as a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, kernel
from .memory import empty
from .sizes import COPIED

Array = Any

TASK = 1 << 15  # elements
TILE = 16  # rows and columns that are transposed at a time: their cache lines fit the first-level cache
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@kernel
def _copy_band(
    x: Floats, out: Floats, start: int, n1: int, n2: int, n3: int, s0: int, s1: int, s2: int, s3: int, height: int,
    units: int, bands: int, length: int, task: int,
) -> None:  # fmt: skip
    """out[i, j, k, l] = x[start + i·s0 + j·s1 + k·s2 + l·s3] for some units: a pair (i, j) and a band of k."""
    for unit in range(task * length, min((task + 1) * length, units)):
        pair, band = unit // bands, unit % bands
        i, j = pair // n1, pair % n1
        source, target = start + i * s0 + j * s1, pair * n2 * n3
        first, last = band * height, min((band + 1) * height, n2)
        if s3 == 1:
            for k in range(first, last):
                for m in range(n3):
                    out[target + k * n3 + m] = x[source + k * s2 + m]
            continue
        for top in range(first, last, TILE):
            for left in range(0, n3, TILE):
                for k in range(top, min(top + TILE, last)):
                    for m in range(left, min(left + TILE, n3)):
                        out[target + k * n3 + m] = x[source + k * s2 + m * s3]


def _merged(x: Array) -> list[tuple[int, int]]:
    """(length, elements between neighbours) of each axis, without axes that lie as one and those of length 1."""
    axes: list[tuple[int, int]] = []
    for length, step in zip(x.shape, x.strides, strict=True):
        if length == 1:
            continue
        step //= x.itemsize
        if axes and axes[-1][1] == length * step:
            axes[-1] = (axes[-1][0] * length, step)
        else:
            axes.append((length, step))
    return axes


def contiguous(x: Array) -> Array:
    """A row-major copy."""
    owner = x
    while type(owner.base) is np.ndarray:
        owner = owner.base
    order = sorted(range(owner.ndim), key=lambda i: -owner.strides[i])
    whole = owner.transpose(order)
    axes = _merged(x)
    known = x.dtype in _FLOATS and owner.dtype == x.dtype and whole.flags.c_contiguous and x.flags.aligned
    if not known or x.size < COPIED or len(axes) > 4:
        return np.array(x, order="C")
    axes = [(1, 0)] * (4 - len(axes)) + axes
    (n0, s0), (n1, s1), (n2, s2), (n3, s3) = axes
    start = (x.ctypes.data - owner.ctypes.data) // x.itemsize
    out = empty(x.shape, x.dtype)
    height = max(TILE, TASK // n3 // TILE * TILE)
    bands = -(-n2 // height)
    units = n0 * n1 * bands
    length = max(1, TASK // (min(height, n2) * n3))
    _copy_band(
        -(-units // length), whole.reshape(-1), out, start, n1, n2, n3, s0, s1, s2, s3, height, units, bands, length
    )  # fmt: skip
    return out


def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    """A view where there can be one, else a row-major copy."""
    try:
        return np.reshape(x, shape, copy=False)
    except ValueError:
        return contiguous(x).reshape(shape)
