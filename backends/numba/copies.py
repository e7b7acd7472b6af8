"""Copies into row-major order, on all threads: what `np.ascontiguousarray` does, as a kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..regions import Index, region
from . import sizes
from .compile import LIKE, Floats, Ints, address_of, kernel
from .guards import FLOATS
from .memory import empty
from .vectors import copy_bytes

Array = Any

TASK = 1 << 15  # elements
TILE = 16  # rows and columns that are transposed at a time: their cache lines fit the first-level cache


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
    if x.size < sizes.COPIED or x.dtype not in FLOATS or not x.flags.aligned or len(axes) > 5:
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


# ------------------------------------------------------------ regions of one array


@kernel
def _place_rows(like: Floats, table: Ints, runs: int, task: int) -> None:
    """Runs of elements that lie side by side, from one place to another.

    table: two addresses, bytes in a run, runs in all, then length, step there and step here of four axes.
    """
    source, target, count = table[0], table[1], table[2]
    for run in range(task * runs, min((task + 1) * runs, table[3])):
        rest, x, y = run, source, target
        for axis in range(3, -1, -1):
            rest, i = divmod(rest, table[4 + 3 * axis])
            x += i * table[5 + 3 * axis]
            y += i * table[6 + 3 * axis]
        copy_bytes(y, x, count)


def _place(values: Array, view: Array) -> None:
    """view[...] = values, for arrays of one shape."""
    axes: list[list[int]] = []  # length, bytes between values, bytes between places; those that lie as one are one
    for n, x, y in sorted(zip(view.shape, values.strides, view.strides, strict=True), key=lambda axis: -abs(axis[2])):
        if n == 1:
            continue
        if axes and axes[-1][1:] == [n * x, n * y]:
            axes[-1] = [axes[-1][0] * n, x, y]
        else:
            axes.append([n, x, y])
    size = view.itemsize
    if view.size < sizes.COPIED or not axes or axes[-1][1:] != [size, size] or len(axes) > 5:
        view[...] = values
        return
    length = axes.pop()[0]
    axes = [[1, 0, 0]] * (4 - len(axes)) + axes
    count = math.prod(n for n, _, _ in axes)
    table = np.array([address_of(values), address_of(view), length * size, count, *(n for axis in axes for n in axis)])
    runs = max(1, TASK // length)
    _place_rows(-(-count // runs), LIKE[view.dtype], table, runs)


def _lies(x: Array) -> list[tuple[int, int]]:
    return [(n, step) for n, step in zip(x.shape, x.strides, strict=True) if n != 1]


def _placed(gs: tuple[Array, ...], indices: tuple[Index, ...], lying: tuple[int, ...], back: Any) -> Array | None:
    """The array whose regions all g are already, if there is one: see `layout.empty_beside`.

    lying: the lengths of its axes in the order of memory. back: where each of its own axes is among them.
    """
    owner, dtype = owner_of(gs[0]), gs[0].dtype
    size = math.prod(lying) * dtype.itemsize
    if any(owner_of(g) is not owner for g in gs[1:]) or owner.nbytes < size or not owner.flags.c_contiguous:
        return None
    begin = np.ndarray(lying, dtype, owner).transpose(back)[region(indices[0])]
    start = gs[0].ctypes.data - begin.ctypes.data
    if not 0 <= start <= owner.nbytes - size:
        return None
    whole = np.ndarray(lying, dtype, owner, start).transpose(back)
    for g, index in zip(gs, indices, strict=True):
        view = whole[region(index)]
        if view.ctypes.data != g.ctypes.data or _lies(view) != _lies(g):
            return None
    return whole


def place_regions(*gs: Array, indices: tuple[Index, ...], shape: tuple[int, ...], order: Any = None) -> Array:
    """Each g in its region of one array, where they make up the whole of it; a view, if they already lie so."""
    axes = tuple(range(len(shape))) if order is None else order
    lying, back = tuple(shape[axis] for axis in axes), [axes.index(axis) for axis in range(len(shape))]
    out = _placed(gs, indices, lying, back)
    if out is not None:
        return out
    out = empty(lying, gs[0].dtype).transpose(back)
    for g, index in zip(gs, indices, strict=True):
        view = out[region(index)]
        _place(g.reshape(view.shape), view)
    return out


def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    """A view where there can be one, else a row-major copy."""
    try:
        return np.reshape(x, shape, copy=False)
    except ValueError:
        return contiguous(x).reshape(shape)
