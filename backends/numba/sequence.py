"""What the kernels of recurrent layers share.

The samples of a batch do not depend on each other, so a task takes as many of them as the register tile has rows
through all steps, with their states in its own small arrays: no thread ever waits for another within a sequence, and
the weights, laid out once as the tile reads them, stay in the second-level cache. Forward, a step is one product with
the input and the state side by side: as a product of its own for all steps, the input's part would go through memory
twice more; of inputs that repeat, the product is looked up (`repeats.py`), and of few samples it is made for several
steps at once. Backward, the cotangents of a step's gates give those of its state and its input while they are at hand,
and are laid out for the gradients of the weights, one large product each (`sequence_weights.py`). Caches do not expect
that what the forward pass left in memory is read backwards: a step asks for what the next one will touch.

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
from .tile import TALL_ROWS, strided_tile, tile_width
from .vectors import fetch_to_read, fetch_to_write

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

    @property
    def few(self) -> bool:
        """Whether a step has fewer rows than the tile: the inputs' products are made for several steps at once."""
        return self.n < SAMPLES <= self.n * self.t

    def packed(self, x: Array) -> Array:
        """The sequence as kernels take it; a copy if it lies otherwise."""
        return ready(x.transpose(1, 0, 2) if self.batch_first else x)

    def index(self, index: Array) -> Array:
        """Integers, one for each step of each sample, as the rows of a sequence lie in memory."""
        return np.ascontiguousarray(index.T if self.batch_first else index, np.int64)

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


@kernel
def _add(x: Floats, y: Floats, out: Floats, task: int) -> None:
    for j in range(x.size):
        out[j] = x[j] + y[j]


def total(x: Array, y: Array) -> Array:
    """x + y of two vectors: by a kernel, since a recorded step repeats nothing else."""
    out = np.empty(x.shape, x.dtype)
    _add(1, ready(x), ready(y), out)
    return out


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
    like: Array, a: int, a_row: int, last: int, w: int, between: int, depth: int, initial: int, i_row: int, out: int,
    out_row: int, panels: int,
) -> None:  # fmt: skip
    """out = initial + a·w: (samples, depth), (panels, depth, width) -> (samples, panels·width), by addresses.

    Panels of w lie `between` bytes apart; the rows of the rest a_row, i_row and out_row. a's row `last` stands for all
    after it.
    """
    size, none = like.itemsize, like.dtype.type(-np.inf)
    for panel in range(panels):
        left = panel * WIDTH_BYTES
        strided_tile(
            like, a, a_row, last, size, w + panel * between, WIDTH_BYTES, initial + left, i_row, out + left, out_row,
            depth, none,
        )  # fmt: skip


@jit
def fetch_step(
    row: int, st: int, far: int, gates: int, g_bytes: int, gy: int, cells: int, y: int, state: int, x: int, dx: int,
    f_bytes: int,
) -> None:  # fmt: skip
    """Bring a row's part of what a step back reads and writes nearer, by addresses; 0 for what is not there.

    A step reads the states before it. far: whether there are any but the first ones.
    """
    if gates:
        fetch_to_read(gates + row * g_bytes, g_bytes)
    fetch_to_read(gy + row * state, state)
    if far:
        fetch_to_read(y + (row - st) * state, state)
        if cells:
            fetch_to_read(cells + (row - st) * state, state)
    if x:
        fetch_to_read(x + row * f_bytes, f_bytes)
    if dx:
        fetch_to_write(dx + row * f_bytes, f_bytes)
