"""Rows of `autograd/ops/pool.py`. The references visit one window after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...autograd import ops
from ...autograd.ops import pool
from ..case import Edge, OpCase, distinct, real

Array = Any
Box = tuple[slice, slice]

# label -> input shape, static parameters
SHAPES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "halves": ((2, 2, 4, 4), {"kernel_size": (2, 2), "stride": (2, 2)}),
    "leftover": ((1, 2, 3, 5), {"kernel_size": (2, 2), "stride": (2, 2)}),
    "ceil": ((1, 2, 3, 6), {"kernel_size": (2, 3), "stride": (2, 2), "ceil_mode": True}),
    "overlap": ((1, 3, 5, 4), {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)}),
    "ceil-padded": ((1, 2, 5, 4), {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 1), "ceil_mode": True}),
    "gaps": ((1, 1, 7, 8), {"kernel_size": (2, 2), "stride": (3, 4)}),
    "whole": ((2, 2, 3, 4), {"kernel_size": (3, 4), "stride": (3, 4)}),
    "one": ((1, 2, 3, 3), {"kernel_size": (1, 1), "stride": (1, 1)}),
    "no-batch": ((2, 4, 5), {"kernel_size": (2, 3), "stride": (1, 1)}),
    "empty-batch": ((0, 2, 4, 4), {"kernel_size": (2, 2), "stride": (2, 2)}),
}
DILATED = {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 1), "dilation": (3, 2)}
ADAPTIVE = {"uneven": ((2, 2, 4, 3), (3, 2)), "larger": ((1, 2, 2, 2), (3, 2)), "single": ((2, 2, 3, 4), (1, 1))}
MAX_ALONE = {
    "leftover",
    "whole",
    "one",
    "ceil",
    "gaps",
    "no-batch",
    "single",
}  # rows of the maximum, not its transposes
EMPTY_ADAPTIVE = ((0, 2, 5, 5), (2, 3))


def _length(n: int, k: int, s: int, p: int, d: int, ceil: bool) -> int:
    room = (n + 2 * p - d * (k - 1) - 1) / s
    out = (math.ceil(room) if ceil else math.floor(room)) + 1
    return out - 1 if ceil and (out - 1) * s >= n + p else out


def windows_of(size: Any, p: dict[str, Any]) -> tuple[tuple[int, int], Iterator[tuple[int, int, list[int], list[int]]]]:
    """The output's size, and (row, column, input rows, input columns) per window, without positions in the padding."""
    spec = [
        (size[i], p["kernel_size"][i], p["stride"][i], p.get("padding", (0, 0))[i], p.get("dilation", (1, 1))[i])
        for i in (0, 1)
    ]
    out = tuple(_length(*axis, p.get("ceil_mode", False)) for axis in spec)

    def places(axis: int, i: int) -> list[int]:
        n, k, s, pad, d = spec[axis]
        return [q for q in range(i * s - pad, i * s - pad + d * (k - 1) + 1, d) if 0 <= q < n]

    return (out[0], out[1]), ((a, b, places(0, a), places(1, b)) for a in range(out[0]) for b in range(out[1]))


def _adaptive(size: Any, out: Any) -> Any:
    def places(axis: int, i: int) -> list[int]:
        return list(range(math.floor(i * size[axis] / out[axis]), math.ceil((i + 1) * size[axis] / out[axis])))

    return out, ((a, b, places(0, a), places(1, b)) for a in range(out[0]) for b in range(out[1]))


def _first(x: Array, rows: list[int], cols: list[int]) -> tuple[Array, Array]:
    """The row and column of each window's first maximum."""
    values = x[..., rows, :][..., cols].reshape(*x.shape[:-2], len(rows) * len(cols))
    at = values.argmax(-1)
    return np.asarray(rows)[at // len(cols)], np.asarray(cols)[at % len(cols)]


def max_reference(windows: Any) -> Any:
    def reference(x: Array) -> Array:
        size, boxes = windows(x.shape[-2:])
        out = np.zeros((*x.shape[:-2], *size))
        for a, b, rows, cols in boxes:
            out[..., a, b] = x[..., rows, :][..., cols].max((-2, -1))
        return out

    return reference


def unpool_reference(windows: Any) -> Any:
    def reference(gy: Array, x: Array) -> Array:
        out = np.zeros(x.shape)
        lead = np.indices(x.shape[:-2])
        for a, b, rows, cols in windows(x.shape[-2:])[1]:
            np.add.at(out, (*lead, *_first(x, rows, cols)), gy[..., a, b])
        return out

    return reference


def _gather(windows: Any) -> Any:
    def reference(u: Array, x: Array) -> Array:
        size, boxes = windows(x.shape[-2:])
        out = np.zeros((*x.shape[:-2], *size))
        lead = np.indices(x.shape[:-2])
        for a, b, rows, cols in boxes:
            out[..., a, b] = u[(*lead, *_first(x, rows, cols))]
        return out

    return reference


def _area(size: Any, p: dict[str, Any], a: int, b: int, inside: int) -> int:
    """Positions of a window within the padded input, or within the input."""
    if not p.get("count_include_pad", True):
        return inside
    area = 1
    for axis, i in ((0, a), (1, b)):
        pad = p.get("padding", (0, 0))[axis]
        start = i * p["stride"][axis] - pad
        area *= min(start + p["kernel_size"][axis], size[axis] + pad) - start
    return area


def _average(windows: Any, p: dict[str, Any]) -> Any:
    def reference(x: Array) -> Array:
        size, boxes = windows(x.shape[-2:])
        out = np.zeros((*x.shape[:-2], *size))
        for a, b, rows, cols in boxes:
            area = _area(x.shape[-2:], p, a, b, len(rows) * len(cols))
            out[..., a, b] = x[..., rows, :][..., cols].sum((-2, -1)) / area
        return out

    return reference


def _average_grad(windows: Any, p: dict[str, Any], size: Any) -> Any:
    def reference(gy: Array) -> Array:
        out = np.zeros((*gy.shape[:-2], *size))
        for a, b, rows, cols in windows(size)[1]:
            area = _area(size, p, a, b, len(rows) * len(cols))
            for r in rows:
                out[..., r, cols] += gy[..., a, b, None] / area
        return out

    return reference


def _family(x: Any, windows: Any, params: dict[str, Any], label: str, names: tuple[Any, Any, Any]) -> list[OpCase]:
    y = (*x[:-2], *windows(x[-2:])[0])
    top, unpool, gather = names
    first = OpCase(top, [distinct(*x)], max_reference(windows), params=params, label=label)
    if label in MAX_ALONE:
        return [first]
    return [
        first,
        OpCase(unpool, [real(*y), distinct(*x)], unpool_reference(windows), params=params, label=label),
        OpCase(gather, [real(*x), distinct(*x)], _gather(windows), params=params, label=label),
    ]


def _fixed_rows() -> list[OpCase]:
    rows = []
    names = (ops.max_pool2d, ops.max_pool2d_unpool, ops.max_pool2d_gather)
    for label, (x, p) in {**SHAPES, "dilated": ((1, 2, 7, 8), DILATED)}.items():
        rows += _family(x, lambda size, p=p: windows_of(size, p), p, label, names)
    for label, (x, p) in SHAPES.items():
        for count in (True, False) if "padding" in p else (True,):
            q = {**p, "count_include_pad": count}
            windows = lambda size, p=p: windows_of(size, p)
            name = label if count else f"{label}-without-padding"
            y = (*x[:-2], *windows(x[-2:])[0])
            rows += [
                OpCase(ops.avg_pool2d, [real(*x)], _average(windows, q), params=q, label=name),
                OpCase(
                    ops.avg_pool2d_grad, [real(*y)], _average_grad(windows, q, x[-2:]),
                    params={"input_size": x[-2:], **q}, label=name,
                ),
            ]  # fmt: skip
    return rows


def _adaptive_rows() -> list[OpCase]:
    rows = []
    names = (pool.adaptive_max_pool2d_, pool.adaptive_max_pool2d_unpool, pool.adaptive_max_pool2d_gather)
    for label, (x, out) in {**ADAPTIVE, "empty-batch": EMPTY_ADAPTIVE}.items():
        windows = lambda size, out=out: _adaptive(size, out)
        rows += _family(x, windows, {"output_size": out}, label, names)
        inside = {"count_include_pad": False}
        rows += [
            OpCase(
                pool.adaptive_avg_pool2d_, [real(*x)], _average(windows, inside),
                params={"output_size": out}, label=label,
            ),
            OpCase(
                pool.adaptive_avg_pool2d_grad, [real(*x[:-2], *out)], _average_grad(windows, inside, x[-2:]),
                params={"input_size": x[-2:]}, label=label,
            ),
        ]  # fmt: skip
    return rows


# At a tie the first maximum, row by row, gets the cotangent; so does the first position of a window of −∞ alone.
TIES = OpCase(
    ops.max_pool2d, [distinct(2, 2)], lambda x: x.max((-2, -1), keepdims=True),
    params={"kernel_size": (2, 2), "stride": (2, 2)}, label="ties",
    edges=[
        Edge([[1.0, 2.0], [2.0, 2.0]], out=[[2.0]], grads=[[[0.0, 1.0], [0.0, 0.0]]]),
        Edge([[0.0, 0.0], [0.0, 0.0]], out=[[0.0]], grads=[[[1.0, 0.0], [0.0, 0.0]]]),
        Edge(np.full((2, 2), -np.inf), out=[[-np.inf]], grads=[[[1.0, 0.0], [0.0, 0.0]]]),
        Edge([[1.0, np.nan], [2.0, 0.0]], out=[[np.nan]]),
    ],
)  # fmt: skip

CASES: list[OpCase] = [*_fixed_rows(), *_adaptive_rows(), TIES]
