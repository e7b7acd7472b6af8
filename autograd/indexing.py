"""Reading index expressions: what stands between the brackets, in the canonical form that the indexing ops take.

Every expression NumPy accepts is read as a *basic* index (ints, slices, new axes: static, hashable, resolved against
the shape), followed by integer arrays along some of the axes that remain. A bool array is read as the integer arrays
of its true positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = tuple[int, ...]
Entry = int | tuple[int, int | None, int] | None


@dataclass(frozen=True, slots=True)
class Selection:
    """An index expression, read.

    Attributes
    ----------
    basic : the canonical basic index, applied first; () selects everything.
    arrays : integer index arrays, each along one axis of the basic result.
    axes : those axes. place : where the arrays' common broadcast shape stands among the axes that are left.
    """

    basic: tuple[Entry, ...]
    arrays: tuple[Any, ...]
    axes: tuple[int, ...]
    place: int

    def basic_is_whole(self, shape: Shape) -> bool:
        """Whether the basic index leaves an array of that shape as it is."""
        whole = ((0, n, 1) if n else (0, 0, 1) for n in shape)
        return len(self.basic) <= len(shape) and all(e == w for e, w in zip(self.basic, whole, strict=False))


def resolve_slice(s: slice, n: int) -> tuple[int, int | None, int]:
    """A slice with its ends within an axis of length n; all empty slices are (0, 0, 1)."""
    start, stop, step = s.indices(n)
    if step > 0:
        return (start, stop, step) if start < stop else (0, 0, 1)
    # walking down to the first element, Python says stop=None: −1 would mean the last
    return (start, None if stop < 0 else stop, step) if start > stop else (0, 0, 1)


def resolve_int(i: int, n: int, axis: int, shape: Shape) -> int:
    """An int index as one in [0, n)."""
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of bounds for axis {axis} with length {n} (shape {shape})")
    return i + n if i < 0 else i


def basic_index(shape: Shape, items: tuple[Any, ...]) -> tuple[Entry, ...] | None:
    """The canonical form of an index made of plain ints, slices, None and one ellipsis; None for any other."""
    entries: list[Entry] = []
    axis, ndim = 0, len(shape)
    for item in items:
        kind = type(item)
        if kind is int:
            if axis >= ndim:
                raise too_many(items, shape)
            entries.append(resolve_int(item, shape[axis], axis, shape))
            axis += 1
        elif kind is slice:
            if axis >= ndim:
                raise too_many(items, shape)
            entries.append(resolve_slice(item, shape[axis]))
            axis += 1
        elif item is None:
            entries.append(None)
        elif item is ...:
            if sum(e is ... for e in items) > 1:
                raise IndexError("an index can have only one ellipsis (...)")
            left = ndim - (sum(e is not None for e in items) - 1)
            for _ in range(max(left, 0)):
                entries.append((0, shape[axis], 1) if shape[axis] else (0, 0, 1))
                axis += 1
        else:
            return None
    return tuple(entries)


def too_many(items: tuple[Any, ...], shape: Shape) -> IndexError:
    """The error for an index with more entries than the array has axes."""
    return IndexError(f"too many indices: {len(items)} for an array with {len(shape)} axes (shape {shape})")


def read_index(shape: Shape, index: Any, true_positions: Callable[[Any], tuple[Any, ...]]) -> Selection:
    """Read any index expression.

    Parameters
    ----------
    shape : of the array that is indexed.
    index : what stood between the brackets.
    true_positions : makes integer index arrays of a bool array: `nonzero` as an op.

    Raises
    ------
    IndexError : out of bounds, too many entries, a mask of another shape, or an array that is not of ints or bools.
    """
    items = index if type(index) is tuple else (index,)
    if all(item is None or type(item) in (int, slice, type(...)) for item in items):
        entries = basic_index(shape, items)
        assert entries is not None
        return Selection(entries, (), (), 0)
    items = tuple(_plain(item) for item in items)
    used = sum(_consumes(item) for item in items)
    if used > len(shape):
        raise IndexError(f"too many indices: {used} for an array with {len(shape)} axes (shape {shape})")
    if sum(item is ... for item in items) > 1:
        raise IndexError("an index can have only one ellipsis (...)")
    reader = _Reader(shape, true_positions)
    for item in items:
        reader.take(item, len(shape) - used)
    return reader.selection()


class _Reader:
    """What has been read of an index expression so far."""

    def __init__(self, shape: Shape, true_positions: Callable[[Any], tuple[Any, ...]]) -> None:
        self.shape = shape
        self.true_positions = true_positions
        self.axis = 0  # of the array
        self.dims = 0  # of the basic result
        self.entries: list[Entry] = []
        self.arrays: list[Any] = []
        self.axes: list[int] = []
        # Positions, in basic-result dims, of advanced entries; NumPy counts ints among them once there is an array.
        self.first: int | None = None
        self.closed = self.separated = False

    def take(self, item: Any, hidden: int) -> None:
        """Read one entry; an ellipsis stands for `hidden` axes."""
        if item is None:
            self._keep(None)
        elif item is ...:
            self.closed = self.first is not None
            for _ in range(hidden):
                self._whole_axis()
        elif isinstance(item, slice):
            self._keep(resolve_slice(item, self.shape[self.axis]))
            self.axis += 1
        else:
            self.separated = self.separated or self.closed
            self.first = self.dims if self.first is None else self.first
            self._advanced(item)

    def _keep(self, entry: Entry) -> None:
        self.closed = self.first is not None
        self.entries.append(entry)
        self.dims += 1

    def _whole_axis(self) -> None:
        n = self.shape[self.axis]
        self.entries.append((0, n, 1) if n else (0, 0, 1))
        self.axis += 1
        self.dims += 1

    def _advanced(self, item: Any) -> None:
        if isinstance(item, bool):  # a 0-d mask: a new axis with one element or none
            self.entries.append(None)
            self.arrays.append(np.zeros(int(item), np.int64))
            self.axes.append(self.dims)
            self.dims += 1
        elif isinstance(item, int):
            self.entries.append(resolve_int(item, self.shape[self.axis], self.axis, self.shape))
            self.axis += 1
        elif _is_bool(item):
            here = self.shape[self.axis : self.axis + len(item.shape)]
            if tuple(item.shape) != here:
                raise IndexError(
                    f"a mask of shape {tuple(item.shape)} does not fit the axes of shape {here} that it selects from"
                )
            for positions in self.true_positions(item):
                self._along(positions)
        else:
            self._along(item)

    def _along(self, positions: Any) -> None:
        n = self.shape[self.axis]
        if isinstance(positions, np.ndarray):
            check_bounds(positions, n, self.axis)
        self.arrays.append(positions)
        self.axes.append(self.dims)
        self._whole_axis()

    def selection(self) -> Selection:
        if not self.arrays:
            return Selection(tuple(self.entries), (), (), 0)
        shapes = [tuple(i.shape) for i in self.arrays]
        try:
            if len(shapes) > 1:
                np.broadcast_shapes(*shapes)
        except ValueError:
            raise IndexError(
                f"index arrays of shapes {', '.join(map(str, shapes))} do not broadcast together"
            ) from None
        place = 0 if self.separated or self.first is None else self.first
        return Selection(tuple(self.entries), tuple(self.arrays), tuple(self.axes), place)


def check_bounds(positions: np.ndarray[Any, Any], n: int, axis: int) -> None:
    """Raise an IndexError unless all indices lie in [−n, n)."""
    if positions.size and not (-n <= positions.min() and positions.max() < n):
        bad = positions.max() if positions.max() >= n else positions.min()
        raise IndexError(f"index {bad} is out of bounds for axis {axis} with length {n}")


def _kind(item: Any) -> str:
    """The dtype's kind, as NumPy names it, of a tensor or of any library's array."""
    found = getattr(item.dtype, "kind", None)
    return np.dtype(str(item.dtype).rsplit(".", 1)[-1]).kind if found is None else found


def _is_bool(item: Any) -> bool:
    return _kind(item) == "b"


def _plain(item: Any) -> Any:
    """An entry as None, ..., slice, bool, int, or an array with shape and dtype (Tensors stay Tensors)."""
    if item is None or item is ... or isinstance(item, slice | bool | int):
        return item
    if isinstance(item, np.bool_):
        return bool(item)
    if isinstance(item, np.integer):
        return int(item)
    if not hasattr(item, "shape") or not hasattr(item, "dtype"):
        try:
            item = np.asarray(_host(item))
        except (ValueError, TypeError) as error:
            raise IndexError(f"cannot index with a {type(item).__name__}: {error}") from None
        if item.size == 0 and item.dtype.kind == "f":
            item = item.astype(np.int64)
    kind = _kind(item)
    if kind not in "iub":
        what = "a string" if kind in "US" else item.dtype
        raise IndexError(f"only ints, slices (:), ..., None, and arrays of ints or bools are indices, not {what}")
    if isinstance(item, np.ndarray) and item.ndim == 0:
        return item.item()
    if kind == "b" and len(item.shape) == 0:
        return bool(item)
    return item


def _host(item: Any) -> Any:
    """A nested sequence with tensors in it as one of NumPy arrays."""
    if isinstance(item, list | tuple | range):
        return [_host(i) for i in item]
    return item.numpy() if hasattr(item, "_node") else item


def _consumes(item: Any) -> int:
    """How many of the array's axes an entry selects from."""
    if item is None or item is ... or isinstance(item, bool):
        return 0
    if isinstance(item, int | slice):
        return 1
    return len(item.shape) if _is_bool(item) else 1
