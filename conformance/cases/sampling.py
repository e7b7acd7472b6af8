"""Rows of `autograd/ops/sampling.py`. The references read one position after the other."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ...autograd.ops.sampling import affine_grid, grid_sample
from ..case import Composite, OpCase, fixed, real

Array = Any
SAMPLE, GRID = Composite(grid_sample), Composite(affine_grid)


def _cubic(t: float) -> float:
    t, a = abs(t), -0.75
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def _moved(at: float, size: int, padding: str, align: bool) -> float:
    """A position brought back into the image, as the padding says."""
    if padding == "reflection":
        low, high = (0.0, size - 1.0) if align else (-0.5, size - 0.5)
        while not low <= at <= high:
            at = 2 * low - at if at < low else 2 * high - at
    return at if padding == "zeros" else min(max(at, 0.0), size - 1.0)


def _read(at: float, size: int, mode: str, padding: str, align: bool) -> list[tuple[float, float]]:
    """(pixel, weight) along one axis."""
    at = (at + 1) / 2 * (size - 1) if align else ((at + 1) * size - 1) / 2
    if mode == "bicubic":
        base = math.floor(at)
        return [(_moved(base + k, size, padding, align), _cubic(at - base - k)) for k in range(-1, 3)]
    at = _moved(at, size, padding, align)
    if mode == "nearest":
        return [(round(at), 1.0)]
    base = math.floor(at)
    return [(base, 1 - at + base), (base + 1, at - base)]


def _sampled(mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False) -> Any:
    def reference(x: Array, grid: Array) -> Array:
        sizes = x.shape[2:]
        out = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
        for n, *at in np.ndindex(grid.shape[:-1]):
            places = grid[(n, *at)][::-1]
            taps = [_read(p, s, mode, padding_mode, align_corners) for p, s in zip(places, sizes, strict=True)]
            for chosen in itertools.product(*taps):
                pixel = [int(p) for p, _ in chosen]
                if all(0 <= p < s for p, s in zip(pixel, sizes, strict=True)):
                    out[(n, slice(None), *at)] += x[(n, slice(None), *pixel)] * math.prod(w for _, w in chosen)
        return out

    return reference


def _affine(size: tuple[int, ...], align: bool) -> Any:
    def reference(theta: Array) -> Array:
        axes = len(size) - 2
        out = np.zeros((size[0], *size[2:], axes))
        for n, *at in np.ndindex(out.shape[:-1]):
            own = [
                (2 * i / (s - 1) - 1 if s > 1 else 0.0) if align else (2 * i + 1) / s - 1
                for i, s in zip(at, size[2:], strict=True)
            ]
            out[(n, *at)] = theta[n] @ np.array([*own[::-1], 1.0])
        return out

    return reference


def _positions(*shape: int, seed: int = 0) -> Array:
    """Positions in and around the image, away from the pixels and borders, where the result has kinks."""
    return fixed(np.random.default_rng(seed).uniform(-1.6, 1.6, shape))


OPTIONS: dict[str, dict[str, Any]] = {
    "zeros": {},
    "aligned": {"align_corners": True},
    "border": {"padding_mode": "border"},
    "reflection": {"padding_mode": "reflection"},
    "reflection-aligned": {"padding_mode": "reflection", "align_corners": True},
    "nearest": {"mode": "nearest"},
    "nearest-border": {"mode": "nearest", "padding_mode": "border", "align_corners": True},
    "cubic": {"mode": "bicubic"},
    "cubic-reflection": {"mode": "bicubic", "padding_mode": "reflection", "align_corners": True},
}

CASES: list[OpCase] = [
    *(
        OpCase(SAMPLE, [real(2, 2, 4, 5), _positions(2, 2, 3, 2, seed=i)], _sampled(**p), params=p, label=label,
               atol32=2e-4)
        for i, (label, p) in enumerate(OPTIONS.items())
    ),
    OpCase(SAMPLE, [real(1, 2, 3, 2, 3), _positions(1, 2, 1, 3, 3)], _sampled(), label="volume", atol32=2e-4),
    OpCase(SAMPLE, [real(1, 1, 3, 2, 4), _positions(1, 1, 2, 2, 3)], _sampled("nearest", "reflection"),
           params={"mode": "nearest", "padding_mode": "reflection"}, label="volume-nearest"),
    OpCase(GRID, [real(2, 2, 3)], _affine((2, 1, 3, 4), False), params={"size": (2, 1, 3, 4)}),
    OpCase(GRID, [real(1, 2, 3)], _affine((1, 2, 1, 3), True),
           params={"size": (1, 2, 1, 3), "align_corners": True}, label="aligned"),
    OpCase(GRID, [real(1, 3, 4)], _affine((1, 1, 2, 1, 3), False), params={"size": (1, 1, 2, 1, 3)}, label="volume"),
]  # fmt: skip
