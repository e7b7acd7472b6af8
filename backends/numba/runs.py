"""Runs of channels, from pixels that lie equally far apart to others."""

from __future__ import annotations

from .compile import Floats, jit
from .tile import VECTOR_BYTES
from .vectors import add_vectors, copy_vectors


@jit
def move_runs(
    x: Floats, out: Floats, source: int, x_pixel: int, target: int, out_pixel: int, run: int, pixels: int, add: bool
) -> None:  # fmt: skip
    """A run of channels of every pixel, from x to out, or added there; pixels lie x_pixel and out_pixel apart."""
    size = x.itemsize
    vector = VECTOR_BYTES // size
    whole = run // vector * vector
    for k in range(0, whole, vector):
        a, b = x.ctypes.data + (source + k) * size, out.ctypes.data + (target + k) * size
        if add:
            add_vectors(x, a, x_pixel * size, b, out_pixel * size, pixels)
        else:
            copy_vectors(x, a, x_pixel * size, b, out_pixel * size, pixels)
    if whole == run:
        return
    for p in range(pixels):
        for k in range(whole, run):
            value = x[source + p * x_pixel + k]
            out[target + p * out_pixel + k] = value + (out[target + p * out_pixel + k] if add else 0)
