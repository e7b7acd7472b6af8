"""The input's gradient of a strided convolution as convolutions of the cotangent with a stride of 1, one a *phase*.

The pixels whose rows, and whose columns, leave the same rest when divided by the stride see the same places of the
window, each in the cotangent's pixel that lies equally far from their own place in a grid:

    dx[q·stride + phase] = Σ g[q + (phase + padding − place·dilation) / stride] · w[place]

over the places for which the division leaves no rest. See Dumoulin & Visin, *A guide to convolution arithmetic for deep
learning*, 2016.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

Pair = tuple[int, int]


class Phase(NamedTuple):
    """Its row and column in each cell of the grid, and the row, the column and the number of each place that it sees.

    Rows and columns of places are counted from `Phases.start`.
    """

    row: int
    column: int
    places: tuple[tuple[int, int, int], ...]


class Phases(NamedTuple):
    """All phases; the grid's size; how far before a cell its window begins in the cotangent, and the window's size."""

    phases: tuple[Phase, ...]
    grid: Pair
    start: Pair
    extent: Pair


def _seen(phase: int, places: int, stride: int, padding: int, dilation: int) -> list[tuple[int, int]]:
    """How many rows further on in the cotangent a phase finds each place of the window that it sees, and which."""
    found = []
    for place in range(places):
        further, rest = divmod(phase + padding - place * dilation, stride)
        if rest == 0:
            found.append((further, place))
    return found


@lru_cache(maxsize=1024)
def phases_of(size: Pair, window: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Phases:
    """The phases of an input of that size."""
    axes = [
        [_seen(phase, window[i], stride[i], padding[i], dilation[i]) for phase in range(min(stride[i], size[i]))]
        for i in (0, 1)
    ]
    reach = [[further for phase in axis for further, _ in phase] or [0] for axis in axes]
    top, left = min(reach[0]), min(reach[1])
    phases = tuple(
        Phase(row, column, tuple((y - top, x - left, ky * window[1] + kx) for y, ky in along for x, kx in across))
        for row, along in enumerate(axes[0])
        for column, across in enumerate(axes[1])
    )
    grid = -(-size[0] // stride[0]), -(-size[1] // stride[1])
    return Phases(phases, grid, (-top, -left), (max(reach[0]) - top + 1, max(reach[1]) - left + 1))
