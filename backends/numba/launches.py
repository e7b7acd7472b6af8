"""Kernels' runs that are recorded once and repeated without Python: the part of a compiled step that is machine code.

An op's function checks and prepares its arguments, then launches kernels. Repeating the launches alone is right only
if they are all the function does with its arguments' *values*: anything NumPy computes in between would be left out.
So a trial decides, op by op: the function runs on copies of its arguments, other values are written into the copies,
and the launches are repeated on them. If that gives the bits that the function itself gives for those values, they will
do.

The trial also spoils whatever memory the op made, before it repeats the launches: if the bits are right all the same,
each repetition writes this memory before it reads it, and others may have it in the meantime. The player lets all such
memory of a program share one block, by the time from first to last use.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .copies import bytes_of, extent, owner_of
from .running import Launch, Notes, noting_launches, replay

Array = Any
_ALIGN = 64
_SPOIL = 0xFF  # in every byte: NaN as a float, −1 as an integer
_SPOILED = ("Floats", "Bytes")  # kinds of arrays that kernels compute; those of integers may be tables


@dataclass(slots=True)
class Recorded:
    """One op's launches. `own`: the arrays it made that a repetition writes first. `kept`: what its tables point to."""

    launches: list[Launch]
    own: list[Array]
    kept: list[Array]


class _Copies:
    """Copies of a call's arrays that lie as they do, and two sets of values for them; constants stay."""

    def __init__(self, args: tuple[Any, ...], constant: frozenset[int]) -> None:
        self.memory: dict[int, tuple[Array, Array, Array]] = {}  # owner -> bytes of the copy, its values, other values
        self.args = tuple(
            self._copy(a) if type(a) is np.ndarray and a.size and i not in constant else a for i, a in enumerate(args)
        )

    def _copy(self, a: Array) -> Array:
        owner = owner_of(a)
        if id(owner) not in self.memory:
            values = bytes_of(np.array(owner, order="K", copy=True))
            self.memory[id(owner)] = values.copy(), values, values.copy()
        made, values, others = self.memory[id(owner)]
        before, after = extent(a)
        at = a.ctypes.data - owner.ctypes.data
        region = slice(at - before, at + after)
        others[region].view(a.dtype)[...] = _others(values[region].view(a.dtype))
        return np.ndarray(a.shape, a.dtype, made, at, a.strides)

    def fill(self, other: bool) -> None:
        """Write one of the two sets of values."""
        for made, values, others in self.memory.values():
            made[...] = others if other else values


def _others(values: Array) -> Array:
    """Other values that a kernel will take for these: the same integers in another order, numbers about as large."""
    turned = values[::-1]
    if values.dtype.kind != "f":
        return turned
    ramp = 1.0 + 0.25 * np.arange(values.size) / max(values.size, 1)
    return (turned * ramp + 1e-3 * ramp).astype(values.dtype)


# ------------------------------------------------------------ the trial


def launched(
    fn: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any], constant: frozenset[int] = frozenset()
) -> tuple[Any, Recorded | None]:
    """The result of a call, and its launches if they alone repeat it. See `Backend.launched`."""
    if any(type(a) is np.ndarray and bytes_of(owner_of(a)) is None for a in args):  # memory of others, with gaps
        return fn(*args, **params), None
    copies = _Copies(args, constant)
    with noting_launches() as notes:
        result = fn(*args, **params)
    if not notes.launches:
        return result, None
    for spoil in (True, False):
        written = _written(fn, copies, params, notes, spoil)
        if written is not None:
            own = [a for a, w in zip(_made(notes, args), written, strict=True) if w]
            return result, Recorded(notes.launches, own, notes.addressed)
    return result, None


def _made(notes: Notes, args: Iterable[Any]) -> list[Array]:
    """The memory that an op itself made for floats and bytes of its launches, each once, in order of use."""
    given = {id(owner_of(a)) for a in args if type(a) is np.ndarray}
    given |= {id(owner_of(a)) for a in notes.addressed}
    owners = {
        id(owner_of(a)): owner_of(a)
        for launch in notes.launches
        for kind, a in zip(launch.kinds, launch.args, strict=True)
        if kind in _SPOILED
    }
    return [a for key, a in owners.items() if key not in given]


def _written(
    fn: Callable[..., Any], copies: _Copies, params: dict[str, Any], notes: Notes, spoil: bool
) -> list[bool] | None:
    """Which of the memory that the op made its launches write first; None if repeating the launches is not enough.

    It is, if launches of a run on the copies give what the function gives, after the values have changed. Memory that
    this leaves as it was is taken for a constant; all other is spoiled before, and what is read first shows.
    """
    copies.fill(other=False)
    with np.errstate(all="ignore"):
        with noting_launches() as trial:
            results = _tuple(fn(*copies.args, **params))
        if list(map(_shape, trial.launches)) != list(map(_shape, notes.launches)):
            return None
        copies.fill(other=True)
        expected = [np.array(r, copy=True) for r in _tuple(fn(*copies.args, **params))]
    player = Player([Recorded(trial.launches, [], [])], [])

    def play(spoiled: Iterable[Array]) -> bool:
        copies.fill(other=True)
        for a in spoiled:
            bytes_of(a)[...] = _SPOIL
        return player.play(0, 1) < 0

    made = _made(trial, copies.args)
    written = [False] * len(made)
    if spoil:
        first = [bytes_of(a).copy() for a in made]
        if not play(()):
            return None
        written = [not np.array_equal(bytes_of(a), values) for a, values in zip(made, first, strict=True)]
    if not play(a for a, w in zip(made, written, strict=True) if w):
        return None
    right = all(type(r) is np.ndarray and _same(r, e) for r, e in zip(results, expected, strict=True))
    return written if right else None


def _tuple(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def _same(x: Array, y: Array) -> bool:
    return bool(np.array_equal(x, y, equal_nan=x.dtype.kind == "f"))


def _shape(launch: Launch) -> Any:
    """All of a launch but where its arrays lie."""
    sizes = tuple((a.dtype, a.size) if type(a) is np.ndarray else a for a in launch.args)
    return launch.address, launch.tasks, sizes


# ------------------------------------------------------------ the player


class Player:
    """Launches of several ops in one table, ready to run; see `Backend.player`."""

    def __init__(self, recorded: list[Recorded], touched: list[Array]) -> None:
        self._places: dict[int, int] = {}  # owner of memory -> where it begins in the shared block
        self._block = np.empty(0, np.uint8)
        self._share(recorded, touched)
        self._starts = [0]
        self._kept: list[Any] = [of_one_op.kept for of_one_op in recorded]
        words: list[int] = []
        for of_one_op in recorded:
            for launch in of_one_op.launches:
                block = self._placed(launch)
                words += (launch.address, ctypes.addressof(block), launch.tasks, _flag(launch))
            self._starts.append(len(words) // 4)
        self._table = np.array(words, np.int64)

    def play(self, first: int, last: int) -> int:
        """Run the launches of ops first … last − 1; −1, or the op that met bad data: those behind it did not run."""
        row = replay(self._table, self._starts[first], self._starts[last])
        if row < 0:
            return -1
        ctypes.c_int64.from_address(int(self._table[4 * row + 3])).value = 0
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def place(self, array: Array) -> Array:
        """The array, or the one like it in the shared block."""
        owner = owner_of(array)
        start = self._places.get(id(owner))
        if start is None or not array.size:
            return array
        offset = start + array.ctypes.data - owner.ctypes.data
        return np.ndarray(array.shape, array.dtype, self._block, offset, array.strides)

    def _placed(self, launch: Launch) -> Any:
        """The launch's words, with the addresses of what has moved; the rest of its arrays is kept alive."""
        block = type(launch.block).from_buffer_copy(launch.block)
        self._kept.append(block)
        for i, a in enumerate(launch.args):
            if type(a) is not np.ndarray:
                continue
            moved = self.place(a)
            if moved is a:
                self._kept.append(a)
            else:
                setattr(block, f"p{i}", moved.ctypes.data)
        return block

    def _share(self, recorded: list[Recorded], touched: list[Array]) -> None:
        """Find each array that may move a place in the block that nobody else has at that time: the largest first."""
        fixed = {id(owner_of(a)) for a in touched}
        for of_one_op in recorded:
            fixed |= {id(owner_of(a)) for a in of_one_op.kept}
        movable = {id(a): a for of_one_op in recorded for a in of_one_op.own if id(a) not in fixed}
        spans: dict[int, tuple[int, int]] = {}
        launches = (launch for of_one_op in recorded for launch in of_one_op.launches)
        for row, launch in enumerate(launches):
            for a in launch.args:
                key = id(owner_of(a)) if type(a) is np.ndarray else 0
                if key in movable:
                    spans[key] = spans.get(key, (row, row))[0], row
        placed: list[tuple[int, int, int, int]] = []  # start and end of place, first and last use
        for key in sorted(spans, key=lambda k: (-movable[k].nbytes, spans[k])):
            first, last = spans[key]
            shift = movable[key].ctypes.data % _ALIGN  # every array keeps its place in a cache line
            size = (movable[key].nbytes // _ALIGN + 2) * _ALIGN  # the same for every shift, so that one fits another's
            start = 0
            for begin, end, used, done in placed:
                if used <= last and first <= done:
                    if begin - start >= size:
                        break
                    start = max(start, end)
            self._places[key] = start + shift
            placed.append((start, start + size, first, last))
            placed.sort()
        if placed:
            self._block = _aligned(max(end for _, end, _, _ in placed))


def _aligned(size: int) -> Array:
    whole = np.empty(size + _ALIGN, np.uint8)
    start = -whole.ctypes.data % _ALIGN
    return whole[start : start + size]


def _flag(launch: Launch) -> int:
    for kind, a in zip(launch.kinds, launch.args, strict=True):
        if kind == "Flag":
            return int(a.ctypes.data)
    return 0
