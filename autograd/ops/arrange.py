"""Rearranging elements: rolling, tiling, triangles, diagonals, padding."""

from __future__ import annotations

import math
from operator import index as as_int
from typing import Any

import numpy as np

from ..primitive import primitive
from .index import take
from .shape import (
    Axis,
    broadcast_to_,
    concatenate_,
    either,
    flip_,
    moveaxis,
    one_axis,
    permute_,
    reshape_,
    sizes,
    some_axes,
)
from .slicing import getitem_, getitem_transpose, pad_

__all__ = [
    "diag_embed", "diagonal", "pad", "repeat_interleave", "roll", "tile", "tril", "triu",
]  # fmt: skip

Array = Any


@primitive(name="roll")
def roll_(x: Array, /, *, shifts: tuple[int, ...], axes: tuple[int, ...], xp: Any) -> Array:
    """`x` shifted along axes; what falls off one end comes in at the other."""
    return xp.roll(x, shifts, axis=axes)


roll_.vjp(x=lambda g, shifts, axes: roll_(g, shifts=tuple(-s for s in shifts), axes=axes))


def roll(x: Array, shifts: Any, axis: Axis = None, *, dims: Axis = None, dim: Axis = None) -> Array:
    """`x` shifted cyclically along axes, an int for each; without axes, as if it were flat."""
    wanted, steps = either(either(axis, dims), dim), sizes(shifts)
    if wanted is None:
        flat = reshape_(x, shape=(math.prod(x.shape),))
        return reshape_(roll_(flat, shifts=(sum(steps),), axes=(0,)), shape=tuple(x.shape))
    axes = tuple(one_axis(a, x.ndim, "roll") for a in sizes(wanted))
    if len(steps) == 1:
        steps = steps * len(axes)
    if len(steps) != len(axes):
        raise ValueError(f"roll: {len(steps)} shifts for {len(axes)} axes")
    return roll_(x, shifts=steps, axes=axes)


@primitive(name="tril")
def tril_(x: Array, /, *, k: int, xp: Any) -> Array:
    """Matrices with zeros above the k-th diagonal."""
    return xp.tril(x, k=k)


@primitive(name="triu")
def triu_(x: Array, /, *, k: int, xp: Any) -> Array:
    """Matrices with zeros below the k-th diagonal."""
    return xp.triu(x, k=k)


tril_.vjp(x=lambda g, k: tril_(g, k=k))
triu_.vjp(x=lambda g, k: triu_(g, k=k))


def tril(x: Array, diagonal: int = 0) -> Array:
    """The lower triangle of the last two axes; zero above that diagonal."""
    return tril_(x, k=diagonal)


def triu(x: Array, diagonal: int = 0) -> Array:
    """The upper triangle of the last two axes; zero below that diagonal."""
    return triu_(x, k=diagonal)


def _diagonal_index(n: int, m: int, offset: int) -> tuple[int, int, int]:
    """A diagonal of an (n, m) matrix as a slice of its flat elements."""
    start, length = (offset, min(n, m - offset)) if offset >= 0 else (-offset * m, min(n + offset, m))
    return (start, start + (length - 1) * (m + 1) + 1, m + 1) if length > 0 else (0, 0, 1)


def diagonal(
    x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, *, dim1: int | None = None, dim2: int | None = None
) -> Array:
    """The diagonals of two axes (or `dim1`, `dim2`), which become the last. (…, n, …, m, …) -> (…, min(n, m))."""
    pair = axis1 if dim1 is None else dim1, axis2 if dim2 is None else dim2
    i, j = some_axes(pair, x.ndim, "diagonal")
    moved = permute_(x, axes=(*(a for a in range(x.ndim) if a not in (i, j)), i, j))
    *lead, n, m = moved.shape
    flat = reshape_(moved, shape=(*lead, n * m))
    return getitem_(flat, index=(*((0, k, 1) for k in lead), _diagonal_index(n, m, offset)))


def diag_embed(x: Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Array:
    """Square matrices of zeros with x's last axis on their k-th diagonal. (…, n) -> (…, n+|k|, n+|k|).

    `dim1` and `dim2` are the result's axes that the matrices take, the last two by default.
    """
    places = some_axes((dim1, dim2), x.ndim + 1, "diag_embed")
    *lead, n = x.shape
    m = n + abs(offset)
    index = (*((0, k, 1) for k in lead), _diagonal_index(m, m, offset))
    made = reshape_(getitem_transpose(x, index=index, shape=(*lead, m * m)), shape=(*lead, m, m))
    return made if places == (x.ndim - 1, x.ndim) else moveaxis(made, (-2, -1), places)


def tile(x: Array, reps: Any) -> Array:
    """`x` repeated reps[i] times along axis i; missing leading axes or reps count as 1."""
    counts = sizes(reps)
    n = max(len(counts), x.ndim)
    shape = (1,) * (n - x.ndim) + tuple(x.shape)
    counts = (1,) * (n - len(counts)) + counts
    split_up = reshape_(x, shape=tuple(k for size in shape for k in (1, size)))
    spread = broadcast_to_(split_up, shape=tuple(k for r, size in zip(counts, shape, strict=True) for k in (r, size)))
    return reshape_(spread, shape=tuple(r * size for r, size in zip(counts, shape, strict=True)))


def repeat_interleave(
    x: Array, repeats: Any, axis: int | None = None, *, dim: int | None = None, output_size: int | None = None
) -> Array:
    """Each element along an axis repeated: an int for all, or one int per element; x is flattened without an axis.

    `output_size`, the length that results, need not be given and is only checked.
    """
    wanted = either(axis, dim)
    if wanted is None:
        x, wanted = reshape_(x, shape=(math.prod(x.shape),)), 0
    a = one_axis(wanted, x.ndim, "repeat_interleave")
    if not isinstance(repeats, int):
        counts = np.asarray(repeats)
        if output_size not in (None, int(counts.sum())):
            raise ValueError(
                f"repeat_interleave: output_size is {output_size}, but the repeats add up to {counts.sum()}"
            )
        return take(x, np.repeat(np.arange(x.shape[a]), counts), axis=a)
    head, n, tail = tuple(x.shape[:a]), x.shape[a], tuple(x.shape[a + 1 :])
    spread = broadcast_to_(reshape_(x, shape=(*head, n, 1, *tail)), shape=(*head, n, repeats, *tail))
    return reshape_(spread, shape=(*head, n * repeats, *tail))


def _widths(widths: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """np.pad's forms: one int, one pair for every axis, or a pair per axis."""
    if not isinstance(widths, list | tuple):
        return ((as_int(widths), as_int(widths)),) * ndim
    if len(widths) == 2 and not isinstance(widths[0], list | tuple):
        return ((as_int(widths[0]), as_int(widths[1])),) * ndim
    pairs = tuple(sizes(w) for w in widths)
    pairs = tuple((p[0], p[0]) if len(p) == 1 else p for p in pairs)
    if len(pairs) == 1:
        pairs = pairs * ndim
    if len(pairs) != ndim or any(len(p) != 2 for p in pairs):
        raise ValueError(f"pad: widths must be an int, a pair, or a pair for each of the {ndim} axes, not {widths}")
    return tuple((a, b) for a, b in pairs)


def pad(x: Array, widths: Any, mode: str = "constant", *, value: float = 0.0) -> Array:
    """`x` with more elements around it.

    Parameters
    ----------
    widths : how many before and after along each axis, in NumPy's order: ((before, after), …), one pair for all axes,
        or one int. Negative widths crop.
    mode : "constant" (`value`), "reflect" (mirrored about the edge element), "replicate" or "edge" (the edge element),
        "circular" or "wrap" (from the other end).
    """
    pairs = _widths(widths, x.ndim)
    if mode == "constant":
        shape = tuple(x.shape)
        if any(a < 0 or b < 0 for a, b in pairs):
            if any(min(a, 0) + min(b, 0) + n < 0 for (a, b), n in zip(pairs, shape, strict=True)):
                raise ValueError(f"pad: the widths {pairs} crop more than there is of an array of shape {shape}")
            x = getitem_(
                x, index=tuple((max(-a, 0), n - max(-b, 0), 1) for (a, b), n in zip(pairs, shape, strict=True))
            )
            pairs = tuple((max(a, 0), max(b, 0)) for a, b in pairs)
        return pad_(x, widths=pairs, value=value) if any(map(any, pairs)) else x
    if mode not in _MODES:
        raise ValueError(f"pad: mode must be constant, {', '.join(_MODES)}, not {mode!r}")
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            x = _extend(x, axis, before, after, _MODES[mode])
    return x


_MODES = {"reflect": "reflect", "replicate": "edge", "edge": "edge", "circular": "wrap", "wrap": "wrap"}


def _extend(x: Array, axis: int, before: int, after: int, mode: str) -> Array:
    n = x.shape[axis]
    if min(before, after) < 0:
        if n + before + after < 0:
            raise ValueError(f"pad: the widths ({before}, {after}) crop more than the {n} elements of axis {axis}")
        if mode == "edge":  # of the whole array, even where nothing of it is left
            return take(x, np.clip(np.arange(-before, n + after), 0, n - 1), axis=axis)
        first, last = max(-before, 0), n - max(-after, 0)
        x = getitem_(x, index=(*((0, k, 1) for k in x.shape[:axis]), (first, last, 1)))
        before, after, n = max(before, 0), max(after, 0), last - first
    most = {"reflect": n - 1, "wrap": n, "edge": before + after if n else 0}[mode]
    if max(before, after) > most:
        raise ValueError(
            f"pad: {mode} padding of ({before}, {after}) on axis {axis} of length {n}; at most {most} is possible"
        )

    def part(start: int, stop: int) -> Array:
        return getitem_(x, index=(*((0, k, 1) for k in x.shape[:axis]), (start, stop, 1)))

    if mode == "reflect":
        left, right = flip_(part(1, before + 1), axes=(axis,)), flip_(part(n - 1 - after, n - 1), axes=(axis,))
    elif mode == "wrap":
        left, right = part(n - before, n), part(0, after)
    else:
        return concatenate_(*[part(0, 1)] * before, x, *[part(n - 1, n)] * after, axis=axis)
    return concatenate_(left, x, right, axis=axis)
