"""Windows along the first of three axes as channels, and their transpose: `autograd/ops/frames.py`.

Images are channels-last in memory, so that a window's frames lie as runs of a group's channels in each pixel. A task
makes one frame of the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import Floats, Ints, kernel
from .layout import channels_last
from .memory import empty
from .runs import move_runs
from .vectors import clear_bytes

Array = Any


def frames_last(x: Array) -> Array:
    """(n, c, d, h, w) -> (n, d, h, w, c), row-major; no copy if the memory is so already."""
    last = x.transpose(0, 2, 3, 4, 1)
    if last.flags.c_contiguous and last.flags.aligned:
        return last
    n, c, d, h, w = x.shape
    return channels_last(x.reshape(n, c, d * h, w)).reshape(n, d, h, w, c)


@kernel
def _stack_frame(x: Floats, out: Floats, geo: Ints, task: int) -> None:
    """One window."""
    d, pixels, c, count, kernel_, stride, padding, dilation, groups = (
        geo[0], geo[1], geo[2], geo[3], geo[4], geo[5], geo[6], geo[7], geo[8]
    )  # fmt: skip
    image, z = task // count, task % count
    run, wide = c // groups, c * kernel_
    start = task * pixels * wide
    for k in range(kernel_):
        frame = z * stride + k * dilation - padding
        for group in range(groups):
            target = start + (group * kernel_ + k) * run
            if frame >= 0 and frame < d:
                move_runs(
                    x, out, ((image * d + frame) * pixels * groups + group) * run, c, target, wide, run, pixels, False
                )
            else:
                for p in range(pixels):
                    clear_bytes(out.ctypes.data + (target + p * wide) * x.itemsize, run * x.itemsize)


@kernel
def _add_frame(x: Floats, out: Floats, geo: Ints, task: int) -> None:
    """One frame: the sum of its places in the windows that have it, from the first place on."""
    d, pixels, c, count, kernel_, stride, padding, dilation, groups = (
        geo[0], geo[1], geo[2], geo[3], geo[4], geo[5], geo[6], geo[7], geo[8]
    )  # fmt: skip
    image, frame = task // d, task % d
    run, wide = c // groups, c * kernel_
    met = False
    for k in range(kernel_):
        z = (frame + padding - k * dilation) // stride
        if z < 0 or z >= count or z * stride != frame + padding - k * dilation:
            continue
        for group in range(groups):
            source = (image * count + z) * pixels * wide + (group * kernel_ + k) * run
            move_runs(x, out, source, wide, (task * pixels * groups + group) * run, c, run, pixels, met)
        met = True
    if not met:
        clear_bytes(out.ctypes.data + task * pixels * c * out.itemsize, pixels * c * out.itemsize)


def stack_frames(
    x: Array, *, kernel: int, count: int, stride: int, padding: int, dilation: int, groups: int
) -> Array:  # fmt: skip
    """(n, c, d, h, w) -> (n·count, c·kernel, h, w)."""
    n, c, d, h, w = x.shape
    out = empty((n * count, h, w, c * kernel), x.dtype)
    geo = np.array((d, h * w, c, count, kernel, stride, padding, dilation, groups))
    _stack_frame(n * count, frames_last(x), out, geo)
    return out.transpose(0, 3, 1, 2)


def add_frames(
    x: Array, *, size: int, kernel: int, count: int, stride: int, padding: int, dilation: int, groups: int
) -> Array:  # fmt: skip
    """(n·count, c·kernel, h, w) -> (n, c, size, h, w)."""
    n, c, (h, w) = len(x) // count, x.shape[1] // kernel, x.shape[2:]
    out = empty((n, size, h, w, c), x.dtype)
    geo = np.array((size, h * w, c, count, kernel, stride, padding, dilation, groups))
    _add_frame(n * size, channels_last(x), out, geo)
    return out.transpose(0, 4, 1, 2, 3)
