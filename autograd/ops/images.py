"""Channels and pixels rearranged into each other, and normalisation over neighbouring channels."""

from __future__ import annotations

import math
from typing import Any

from .elementwise import power
from .pool import avg_pool2d
from .shape import permute_, reshape_
from .slicing import pad_

__all__ = ["channel_shuffle", "local_response_norm", "pixel_shuffle", "pixel_unshuffle"]


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Channels spread over blocks of r × r pixels: (…, c·r², h, w) -> (…, c, h·r, w·r). Shi et al. 2016.

    Raises
    ------
    ValueError : the channels are no multiple of r².

    >>> import pullback as pb
    >>> pb.pixel_shuffle(pb.arange(4).reshape(4, 1, 1), 2).tolist()
    [[[0, 1], [2, 3]]]
    """
    r, shape = upscale_factor, tuple(input.shape)
    if len(shape) < 3 or r < 1 or shape[-3] % (r * r):
        raise ValueError(f"pixel_shuffle: an input (…, c·{r}², h, w) is wanted, not {shape}")
    *lead, channels, h, w = shape
    k, c = len(lead), channels // (r * r)
    blocks = reshape_(input, shape=(*lead, c, r, r, h, w))
    moved = permute_(blocks, axes=(*range(k), k, k + 3, k + 1, k + 4, k + 2))
    return reshape_(moved, shape=(*lead, c, h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Blocks of r × r pixels as channels: (…, c, h·r, w·r) -> (…, c·r², h, w), the inverse of `pixel_shuffle`."""
    r, shape = downscale_factor, tuple(input.shape)
    if len(shape) < 3 or r < 1 or shape[-2] % r or shape[-1] % r:
        raise ValueError(f"pixel_unshuffle: an input (…, c, h·{r}, w·{r}) is wanted, not {shape}")
    *lead, c, height, width = shape
    k, h, w = len(lead), height // r, width // r
    blocks = reshape_(input, shape=(*lead, c, h, r, w, r))
    moved = permute_(blocks, axes=(*range(k), k, k + 2, k + 4, k + 1, k + 3))
    return reshape_(moved, shape=(*lead, c * r * r, h, w))


def channel_shuffle(input: Any, groups: int) -> Any:
    """Channels dealt out over the groups: channel g·(c/groups) + i becomes i·groups + g. Zhang et al. 2018, ShuffleNet.

    (n, c, …) -> the same shape.
    """
    shape = tuple(input.shape)
    if len(shape) < 2 or groups < 1 or shape[1] % groups:
        raise ValueError(f"channel_shuffle: groups={groups} must divide the channels of an input {shape}")
    n, c, *rest = shape
    parts = reshape_(input, shape=(n, groups, c // groups, math.prod(rest)))
    return reshape_(permute_(parts, axes=(0, 2, 1, 3)), shape=shape)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """x / (k + α·m)^β with the mean m of x² over `size` neighbouring channels, zeros beyond the first and last.

    (n, c, …) -> the same shape. Krizhevsky et al. 2012.
    """
    shape = tuple(input.shape)
    if len(shape) < 3 or size < 1:
        raise ValueError(f"local_response_norm: an input (n, c, …) and a size of at least 1, not {shape} and {size}")
    if not math.prod(shape):
        return input
    squares = reshape_(input * input, shape=(shape[0], 1, shape[1], math.prod(shape[2:])))
    padded = pad_(squares, widths=((0, 0), (0, 0), (size // 2, (size - 1) // 2), (0, 0)), value=0.0)
    mean = avg_pool2d(padded, kernel_size=(size, 1), stride=(1, 1), padding=(0, 0), ceil_mode=False,
                      count_include_pad=True)  # fmt: skip
    return input / power(reshape_(mean, shape=shape) * alpha + k, beta)
