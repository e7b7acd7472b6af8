"""The windows along one axis as channels, and their transpose: what carries convolutions along three axes or more.

An image along three axes is a row of *frames*. Window z holds the frames z·stride + k·dilation − padding, k < kernel,
which are zero outside the row. Both ops take how many windows there are: not all that would fit need be there.
"""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive

__all__: list[str] = []

Array = Any


def _met(k: int, size: int, count: int, stride: int, padding: int, dilation: int) -> tuple[slice, slice]:
    """Which windows have a frame at place k, and those frames, out of `size`."""
    further = k * dilation - padding
    first = max(0, math.ceil(-further / stride))
    stop = max(first, min(count, (size - 1 - further) // stride + 1))
    start = first * stride + further
    return slice(first, stop), slice(start, start + (stop - first - 1) * stride + 1 if stop > first else start, stride)


def _check(
    op: str, channels: int, parts: int, kernel: int, count: int, stride: int, padding: int, dilation: int
) -> None:
    if min(kernel, stride, dilation, parts) < 1 or min(count, padding) < 0 or channels % parts:
        raise ValueError(
            f"{op}: {channels} channels, in {parts} equal parts, do not go with kernel={kernel}, count={count}, "
            f"stride={stride}, padding={padding}, dilation={dilation}"
        )


@primitive
def stack_frames(
    x: Array, /, *, kernel: int, count: int, stride: int, padding: int, dilation: int, groups: int, xp: Any
) -> Array:  # fmt: skip
    """Windows along axis 2 as channels, and their positions as samples: (n, c, d, …) -> (n·count, c·kernel, …).

    Each of the groups of channels has its places one after the other: (groups, kernel, c/groups). The transpose of
    `add_frames`.

    Raises
    ------
    ValueError : an option is out of its range, or `groups` does not divide the channels.
    """
    n, c, d, *rest = x.shape
    _check("stack_frames", c, groups, kernel, count, stride, padding, dilation)
    kept = tuple(range(4, 4 + len(rest)))
    frames = xp.permute_dims(xp.reshape(x, (n, groups, c // groups, d, *rest)), (0, 3, 1, 2, *kept))
    out = xp.zeros((n, count, groups, kernel, c // groups, *rest), dtype=x.dtype)
    for k in range(kernel):
        windows, met = _met(k, d, count, stride, padding, dilation)
        out[:, windows, :, k, ...] = frames[:, met, ...]
    return xp.reshape(out, (n * count, c * kernel, *rest))


@primitive
def add_frames(
    x: Array, /, *, size: int, kernel: int, count: int, stride: int, padding: int, dilation: int, groups: int, xp: Any
) -> Array:  # fmt: skip
    """Windows added up into `size` frames where they overlap: (n·count, c·kernel, …) -> (n, c, size, …).

    The transpose of `stack_frames`.

    Raises
    ------
    ValueError : an option is out of its range, or the samples or channels are no multiple of what they hold.
    """
    samples, channels, *rest = x.shape
    _check("add_frames", channels, groups * kernel, kernel, count, stride, padding, dilation)
    if samples % max(count, 1):
        raise ValueError(f"add_frames: {samples} samples are no multiple of the {count} windows of each")
    n, c = samples // max(count, 1), channels // kernel
    windows_of = xp.reshape(x, (n, count, groups, kernel, c // groups, *rest))
    out = xp.zeros((n, size, groups, c // groups, *rest), dtype=x.dtype)
    for k in range(kernel):
        windows, met = _met(k, size, count, stride, padding, dilation)
        out[:, met, ...] += windows_of[:, windows, :, k, ...]
    kept = tuple(range(4, 4 + len(rest)))
    return xp.reshape(xp.permute_dims(out, (0, 2, 3, 1, *kept)), (n, c, size, *rest))


stack_frames.vjp(
    x=lambda g, x_shape, kernel, count, stride, padding, dilation, groups: add_frames(
        g, size=x_shape[2], kernel=kernel, count=count, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
)
add_frames.vjp(
    x=lambda g, kernel, count, stride, padding, dilation, groups: stack_frames(
        g, kernel=kernel, count=count, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
)
