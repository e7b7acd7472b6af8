"""What the kernels of recurrent layers share.

The samples of a batch do not depend on each other, so a task takes as many of them as the register tile has rows
through all steps, with their states in its own small arrays: no thread ever waits for another within a sequence, and
the weights, laid out once as the tile reads them, stay in the second-level cache. Forward, a step is one product with
the input and the state side by side: as a product of its own for all steps, the input's part would go through memory
twice more. The gradients of the input and of the weights are one large product each for all steps (`products.py`).

Sequences (t, n, …) are taken with time or with the batch outermost in memory, as x comes, and results lie likewise:
nothing is copied for layers that are told `batch_first`. Row `step·st + sample·sn` of a sequence belongs to that step
of that sample.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import memory
from .compile import Floats, jit, kernel
from .gemm import WIDTH_BYTES, pack
from .layout import ready
from .mathematics import sigmoid, tanh
from .tile import TALL_ROWS, strided_tile, tile_width

Array = Any

SAMPLES = TALL_ROWS  #: samples of one task


class Layout:
    """How the sequences of one call lie in memory.

    Attributes
    ----------
    t, n : steps and samples. st, sn : rows between steps, and between samples.
    """

    def __init__(self, x: Array) -> None:
        self.t, self.n = int(x.shape[0]), int(x.shape[1])
        self.dtype = x.dtype
        self.batch_first = not x.flags.c_contiguous and bool(x.transpose(1, 0, 2).flags.c_contiguous)
        self.st, self.sn = (1, self.t) if self.batch_first else (self.n, 1)

    @property
    def blocks(self) -> int:
        """Tasks that share the samples."""
        return -(-self.n // SAMPLES)

    def packed(self, x: Array) -> Array:
        """The sequence as kernels take it; a copy if it lies otherwise."""
        return ready(x.transpose(1, 0, 2) if self.batch_first else x)

    def empty(self, width: int) -> Array:
        """Memory for a sequence."""
        outer = (self.n, self.t) if self.batch_first else (self.t, self.n)
        return memory.empty((*outer, width), self.dtype)

    def seen(self, packed: Array) -> Array:
        """What lies in that memory as (t, n, width)."""
        return packed.transpose(1, 0, 2) if self.batch_first else packed


def cotangent(layout: Layout, g: Array) -> tuple[Array, int]:
    """A cotangent as kernels take it, and whether there is one: zero, broadcast, is what nothing depends on."""
    if not any(g.strides) and not g.flat[0]:
        return np.zeros(1, g.dtype), 0
    return layout.packed(g), 1


# ---------------------------------------------------------------- products


@kernel
def _pack_panel(
    w: Floats, out: Floats, depth: int, columns: int, by_depth: int, by_column: int, start: int, whole: int, panel: int
) -> None:
    size = w.itemsize
    width = WIDTH_BYTES // size
    left = panel * width
    source, target = w.ctypes.data + left * by_column * size, out.ctypes.data + (panel * whole + start) * WIDTH_BYTES
    pack(w, source, by_depth * size, by_column * size, depth, min(width, columns - left), target)


def panels(*ws: Array, transposed: bool = True) -> Array:
    """The transposes of the weights (columns, depth), one below the other, as the tile reads them.

    Or a weight (depth, columns) as it is. Gives (panels, depth, width).
    """
    axis = 1 if transposed else 0
    columns, whole = ws[0].shape[1 - axis], sum(w.shape[axis] for w in ws)
    width = tile_width(ws[0].itemsize)
    count = -(-columns // width)
    out = memory.empty((count, whole, width), ws[0].dtype)
    start = 0
    for w in ws:
        depth = w.shape[axis]
        steps = (1, depth) if transposed else (columns, 1)
        _pack_panel(count, ready(w), out, depth, columns, *steps, start, whole)
        start += depth
    return out


@jit
def product(
    a: Floats, start: int, between: int, last: int, w: Floats, depth: int, initial: Floats, step: int, out: Floats,
    ld: int, width: int,
) -> None:  # fmt: skip
    """out = initial + a·w: (samples, depth), (panels, depth, width) -> (samples, ld).

    a's rows lie `between` apart from element `start`, the last of them stands for all after it; the initial rows lie
    `step` apart.
    """
    size, none = a.itemsize, a.dtype.type(-np.inf)
    for panel in range(ld // width):
        strided_tile(
            a, a.ctypes.data + start * size, between * size, last, size, w.ctypes.data + panel * depth * width * size,
            width * size, initial.ctypes.data + panel * width * size, step * size,
            out.ctypes.data + panel * width * size, ld * size, depth, none,
        )  # fmt: skip


# ---------------------------------------------------------------- one row
#
# Indices are cast to unsigned integers: one that could be negative, as far as the compiler sees, keeps the vectoriser
# away, and slices, which start from 0, cost more than a short loop. Each loop touches few arrays, and none of them
# twice under two names, for the same reason.

at = np.uintp


@jit
def copy(x: Floats, a: int, out: Floats, b: int, n: int) -> None:
    """out = x."""
    for j in range(n):
        out[at(b + j)] = x[at(a + j)]


@jit
def add(x: Floats, a: int, y: Floats, b: int, n: int) -> None:
    """x += y."""
    for j in range(n):
        x[at(a + j)] += y[at(b + j)]


@jit
def sigmoids(x: Floats, a: int, out: Floats, b: int, n: int) -> None:
    """out = σ(x)."""
    for j in range(n):
        out[at(b + j)] = sigmoid(x[at(a + j)])


@jit
def tanhs(x: Floats, a: int, out: Floats, b: int, n: int) -> None:
    """out = tanh(x)."""
    for j in range(n):
        out[at(b + j)] = tanh(x[at(a + j)])


@jit
def through_sigmoid(gates: Floats, c: int, out: Floats, d: int, n: int) -> None:
    """out *= gate·(1 − gate): a cotangent before the sigmoid."""
    for j in range(n):
        gate = gates[at(c + j)]
        out[at(d + j)] *= gate * (1 - gate)


@jit
def through_tanh(gates: Floats, c: int, out: Floats, d: int, n: int) -> None:
    """out *= 1 − gate²: a cotangent before the tanh."""
    for j in range(n):
        gate = gates[at(c + j)]
        out[at(d + j)] *= 1 - gate * gate


@jit
def multiplied(x: Floats, a: int, y: Floats, b: int, out: Floats, d: int, n: int) -> None:
    """out = x·y."""
    for j in range(n):
        out[at(d + j)] = x[at(a + j)] * y[at(b + j)]
