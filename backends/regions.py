"""Basic indices in the form that ops get them: what of an array each selects, and how several lie to each other.

An index is a tuple of non-negative ints, None (a new axis) and triples (start, stop, step), hashable and resolved
against the shape; axes that it does not mention are taken whole.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

__all__ = ["Index", "key", "region", "tiling"]

Shape = tuple[int, ...]
Index = tuple[int | tuple[int, int | None, int] | None, ...]

_COMPARED = 16  # regions: the work grows with their square


@lru_cache(maxsize=4096)
def key(index: Index) -> tuple[Any, ...]:
    """The index as Python wants it, and with an ellipsis so that the result is an array even where it is 0-d."""
    return (*(slice(*e) if type(e) is tuple else e for e in index), ...)


@lru_cache(maxsize=4096)
def region(index: Index) -> tuple[Any, ...]:
    """The index without its new axes: where the selected elements stand."""
    return key(tuple(e for e in index if e is not None))


def _places(index: Index, shape: Shape) -> tuple[range, ...]:
    """The region's places along each axis."""
    axes: list[range] = []
    for e, n in zip((e for e in index if e is not None), shape, strict=False):
        axes.append(range(e, e + 1) if isinstance(e, int) else range(n)[slice(*e)])
    return (*axes, *(range(n) for n in shape[len(axes) :]))


@lru_cache(maxsize=1024)
def tiling(indices: tuple[Index, ...], shape: Shape) -> tuple[bool, bool]:
    """Whether no two regions are known to share an element, and whether they then fill the whole shape."""
    if len(indices) > _COMPARED:
        return False, False
    regions = [tuple(set(axis) for axis in _places(index, shape)) for index in indices]
    for i, one in enumerate(regions):
        if any(all(a & b for a, b in zip(one, other, strict=True)) for other in regions[:i]):
            return False, False
    return True, sum(math.prod(map(len, axes)) for axes in regions) == math.prod(shape)
