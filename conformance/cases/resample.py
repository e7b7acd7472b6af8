"""Rows of `autograd/ops/resample.py`. The references build one matrix per axis, an output after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...autograd.ops.resample import Method, interpolate, resample
from ..case import Composite, OpCase, real

Array = Any
INTERPOLATE = Composite(interpolate)


def _cubic(t: float, a: float) -> float:
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def _triangle(t: float) -> float:
    return max(1 - abs(t), 0.0)


def _lanczos(t: float) -> float:
    return 1.0 if t == 0 else 3 * math.sin(math.pi * t) * math.sin(math.pi * t / 3) / (math.pi * t) ** 2


def _smooth(row: Array, centre: float, scale: float, kernel: Any, reach: float) -> None:
    """The weights of a kernel stretched by the scale around a centre, cut at the borders."""
    wide = max(scale, 1.0)
    for j in range(max(int(centre - reach * wide + 0.5), 0), min(int(centre + reach * wide + 0.5), len(row))):
        row[j] = kernel((j - centre + 0.5) / wide)
    row /= row.sum()


def matrix(n: int, size: int, kind: str, align: bool = False, scale: float | None = None) -> Array:
    """(size, n): what each output takes of each input."""
    out = np.zeros((size, n))
    step = ((n - 1) / (size - 1) if size > 1 else 0.0) if align else (n / size if scale is None else scale)
    for i in range(size):
        at = i * step if align else (i + 0.5) * step - 0.5
        if kind == "nearest":
            out[i, min(int(i * step), n - 1)] = 1
        elif kind == "nearest-exact":
            out[i, min(int((i + 0.5) * step), n - 1)] = 1
        elif kind == "linear":
            at = min(max(at, 0.0), n - 1)
            low = int(at)
            out[i, low] += 1 - (at - low)
            out[i, min(low + 1, n - 1)] += at - low
        elif kind == "cubic":
            low = math.floor(at)
            for j in range(low - 1, low + 3):
                out[i, min(max(j, 0), n - 1)] += _cubic(at - j, -0.75)
        else:
            kernel, reach = {
                "aa-linear": (_triangle, 1.0), "aa-cubic": (lambda t: _cubic(t, -0.5), 2.0),
                "aa-lanczos": (_lanczos, 3.0),
            }[kind]  # fmt: skip
            _smooth(out[i], (i + 0.5) * step, step, kernel, reach)
    return out


def _along(x: Array, m: Array, axis: int) -> Array:
    return np.moveaxis(np.moveaxis(x, axis, -1) @ m.T, -1, axis)


def _interpolated(kind: str, size: tuple[int, ...], align: bool = False, scales: Any = None) -> Any:
    def reference(x: Array) -> Array:
        for axis, n in enumerate(size, start=2):
            scale = None if scales is None else 1.0 / scales[axis - 2]
            x = _along(x, matrix(x.shape[axis], n, kind, align, scale), axis)
        return x

    return reference


def _area(size: tuple[int, ...]) -> Any:
    def reference(x: Array) -> Array:
        for axis, out in enumerate(size, start=2):
            n = x.shape[axis]
            m = np.zeros((out, n))
            for i in range(out):
                start, stop = i * n // out, -(-(i + 1) * n // out)
                m[i, start:stop] = 1 / (stop - start)
            x = _along(x, m, axis)
        return x

    return reference


# label -> shape, axis, size, method, transposed
RESAMPLED: dict[str, tuple[tuple[int, ...], int, int, Method, bool]] = {
    "nearest": ((2, 5), 1, 8, Method("nearest"), False),
    "nearest-fewer": ((2, 7), 1, 3, Method("nearest"), True),
    "linear": ((3, 4, 2), 1, 7, Method("linear"), False),
    "linear-aligned": ((2, 3), 1, 5, Method("linear", True), True),
    "linear-one": ((2, 1), 1, 4, Method("linear"), False),
    "to-one": ((4,), 0, 1, Method("linear", True), False),
    "cubic": ((2, 4), 1, 7, Method("cubic"), False),
    "cubic-back": ((6, 2), 0, 3, Method("cubic", False, 0.6), True),
    "smooth": ((2, 9), 1, 4, Method("aa-linear"), False),
    "smooth-back": ((3, 2), 0, 8, Method("aa-cubic"), True),
    "lanczos": ((2, 7), 1, 3, Method("aa-lanczos"), False),
}

# label -> shape, arguments, reference
CALLS: dict[str, tuple[tuple[int, ...], dict[str, Any], Any]] = {
    "twice": ((2, 1, 2, 3), {"scale_factor": 2}, _interpolated("nearest", (4, 6))),
    "line": ((2, 2, 5), {"size": 3}, _interpolated("nearest", (3,))),
    "factor": ((1, 2, 5), {"scale_factor": 1.7, "mode": "linear"}, _interpolated("linear", (8,), scales=(1.7,))),
    "recomputed": (
        (1, 2, 5), {"scale_factor": 1.7, "mode": "linear", "recompute_scale_factor": True},
        _interpolated("linear", (8,)),
    ),
    "exact": (
        (1, 1, 3, 4), {"size": (5, 3), "mode": "nearest-exact"}, _interpolated("nearest-exact", (5, 3)),
    ),
    "bilinear": ((2, 2, 3, 4), {"size": (5, 3), "mode": "bilinear"}, _interpolated("linear", (5, 3))),
    "aligned": (
        (1, 2, 3, 4), {"size": (5, 7), "mode": "bilinear", "align_corners": True},
        _interpolated("linear", (5, 7), True),
    ),
    "bicubic": (
        (1, 1, 4, 3), {"scale_factor": (1.5, 0.7), "mode": "bicubic"},
        _interpolated("cubic", (6, 2), scales=(1.5, 0.7)),
    ),
    "antialias": (
        (1, 1, 7, 5), {"size": (3, 4), "mode": "bicubic", "antialias": True}, _interpolated("aa-cubic", (3, 4)),
    ),
    "volume": ((1, 2, 2, 2, 3), {"size": (3, 4, 2), "mode": "trilinear"}, _interpolated("linear", (3, 4, 2))),
    "volume-nearest": ((1, 1, 2, 1, 3), {"scale_factor": 2.0}, _interpolated("nearest", (4, 2, 6))),
    "area": ((1, 2, 5, 4), {"size": (2, 3), "mode": "area"}, _area((2, 3))),
}  # fmt: skip


def _rows() -> list[OpCase]:
    rows = []
    for label, (shape, axis, size, method, transposed) in RESAMPLED.items():
        n = shape[axis]
        m = matrix(size, n, *method).T if transposed else matrix(n, size, *method)
        params = {"axis": axis, "size": size, "method": method, "transposed": transposed}
        rows.append(
            OpCase(resample, [real(*shape)], lambda x, m=m, axis=axis: _along(x, m, axis), params=params, label=label)
        )
    for label, (shape, params, reference) in CALLS.items():
        rows.append(OpCase(INTERPOLATE, [real(*shape)], reference, params=params, label=label))
    return rows


CASES: list[OpCase] = _rows()
