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
    x: Floats, out: Floats, start: int, n1: int, n2: int, n3: int, n4: int, s0: int, s1: int, s2: int, s3: int, s4: int,
    height: int, units: int, bands: int, length: int, task: int,
) -> None:  # fmt: skip
    """out[h, i, j, k, l] = x[start + h·s0 + i·s1 + j·s2 + k·s3 + l·s4] for some units: an (h, i, j) and a band of k."""
    for unit in range(task * length, min((task + 1) * length, units)):
        triple, band = unit // bands, unit % bands
        pair, j = triple // n2, triple % n2
        h, i = pair // n1, pair % n1
        source, target = start + h * s0 + i * s1 + j * s2, triple * n3 * n4
        first, last = band * height, min((band + 1) * height, n3)
        if s4 == 1:
            for k in range(first, last):
                for m in range(n4):
                    out[target + k * n4 + m] = x[source + k * s3 + m]
            continue
        for top in range(first, last, TILE):
            for left in range(0, n4, TILE):
                for k in range(top, min(top + TILE, last)):
                    for m in range(left, min(left + TILE, n4)):
                        out[target + k * n4 + m] = x[source + k * s3 + m * s4]


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


def owner_of(x: Array) -> Array:
    """The array whose memory this one sees."""
    while type(x.base) is np.ndarray:
        x = x.base
    return x


def bytes_of(x: Array) -> Array:
    """The memory of an array without gaps, in whatever order its axes are; None if it has gaps."""
    whole = x.transpose(sorted(range(x.ndim), key=lambda i: -x.strides[i]))
    return whole.reshape(-1).view(np.uint8) if whole.flags.c_contiguous else None


def extent(x: Array) -> tuple[int, int]:
    """Bytes from an array's first element down to the first in memory, and up to the end of the last."""
    reach = [(n - 1) * step for n, step in zip(x.shape, x.strides, strict=True)]
    return -sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach) + x.itemsize


def contiguous(x: Array) -> Array:
    """A row-major copy."""
    axes = _merged(x)
    if x.size < COPIED or x.dtype not in _FLOATS or not x.flags.aligned or len(axes) > 5:
        return np.array(x, order="C")
    owner = owner_of(x)
    memory = bytes_of(owner)
    if memory is None:
        return np.array(x, order="C")
    lengths, steps = zip(*[(1, 0)] * (5 - len(axes)), *axes, strict=True)
    before, after = extent(x)
    at = x.ctypes.data - owner.ctypes.data
    source, start = memory[at - before : at + after].view(x.dtype), before // x.itemsize
    out = empty(x.shape, x.dtype)
    height = max(TILE, TASK // lengths[4] // TILE * TILE)
    bands = -(-lengths[3] // height)
    units = lengths[0] * lengths[1] * lengths[2] * bands
    length = max(1, TASK // (min(height, lengths[3]) * lengths[4]))
    _copy_band(
        -(-units // length), source, out, start, *lengths[1:], *steps, height, units, bands, length
    )  # fmt: skip
    return out


def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    """A view where there can be one, else a row-major copy."""
    try:
        return np.reshape(x, shape, copy=False)
    except ValueError:
        return contiguous(x).reshape(shape)
