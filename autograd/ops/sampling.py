"""Images read at any positions: grids of positions, and what stands there, interpolated between the pixels.

Jaderberg et al. 2015, "Spatial transformer networks". Positions run from −1 to 1 along each axis, in the order (x, y)
or (x, y, z): the last axis of the image first. Where a position lies between pixels is worked out by ops, so the result
is differentiable in the image and in the positions; which pixels those are is a step function of them.
"""

from __future__ import annotations

import itertools
from operator import index as as_int
from typing import Any

import numpy as np

from .creation import asarray
from .elementwise import clip, fmod, where
from .index import take_along_axis
from .linalg import matmul, mT
from .shape import reshape_, unbind_
from .unary import abs, floor, round

__all__ = ["affine_grid", "grid_sample"]

Array = Any
_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """The grid of positions that an affine map sends an image's own positions to, for `grid_sample`.

    theta: (n, 2, 3) for a size (n, c, h, w) -> (n, h, w, 2); (n, 3, 4) for (n, c, d, h, w) -> (n, d, h, w, 3).

    Parameters
    ----------
    align_corners : whether −1 and 1 are the centres of the outermost pixels, or the image's borders (None, False).

    Raises
    ------
    ValueError : theta's shape does not fit the size.
    """
    wanted = tuple(as_int(n) for n in size)
    axes = len(wanted) - 2
    if axes not in (2, 3) or tuple(theta.shape) != (wanted[0], axes, axes + 1) or min(wanted) < 1:
        raise ValueError(
            "affine_grid: theta (n, 2, 3) for a size (n, c, h, w), or (n, 3, 4) for (n, c, d, h, w), not "
            f"{tuple(theta.shape)} for {wanted}"
        )
    lines = []
    for n in wanted[2:]:
        inner = np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(1)
        lines.append(inner if align_corners else inner * ((n - 1) / n))
    own = np.meshgrid(*lines, indexing="ij")
    points = np.stack([*reversed(own), np.ones(wanted[2:])], axis=-1).reshape(-1, axes + 1)
    flat = matmul(asarray(points, theta.dtype, backend=theta.backend), mT(theta))
    return reshape_(flat, shape=(wanted[0], *wanted[2:], axes))


def _reflected(at: Array, size: int, align_corners: bool) -> Array:
    """Positions mirrored at the borders until they lie within them."""
    low, span = (0.0, float(size - 1)) if align_corners else (-0.5, float(size))
    if not span:
        return at * 0.0
    away = abs(at - low)
    rest = fmod(away, span)
    turned = fmod(floor(away.detach() / span), 2.0) > 0.5
    return where(turned, span - rest, rest) + low


def _padded(at: Array, size: int, padding: str, align_corners: bool) -> Array:
    """Positions outside moved to where the padding reads; zeros are put in later."""
    if padding == "zeros":
        return at
    if padding == "reflection":
        at = _reflected(at, size, align_corners)
    return clip(at, 0.0, size - 1.0)


def _cubic(t: Array) -> list[Array]:
    """Weights of the pixels at −1, 0, 1 and 2 for a position t in [0, 1): Keys's kernel with a = −¾."""
    a = -0.75
    near = [((a + 2) * d - (a + 3)) * d * d + 1 for d in (t, 1.0 - t)]
    far = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in (1.0 + t, 2.0 - t)]
    return [far[0], near[0], near[1], far[1]]


def _along(at: Array, size: int, mode: str, padding: str, align_corners: bool) -> list[tuple[Array, Array | None]]:
    """What is read along one axis: (pixel as a whole number in a float, weight) per tap; no weight is 1."""
    scaled = (at + 1.0) * ((size - 1) / 2) if align_corners else ((at + 1.0) * size - 1.0) * 0.5
    if mode == "bicubic":
        base = floor(scaled.detach())
        weights = _cubic(scaled - base)
        return [(_padded(base + (k - 1.0), size, padding, align_corners), weights[k]) for k in range(4)]
    inside = _padded(scaled, size, padding, align_corners)
    if mode == "nearest":
        return [(round(inside.detach()), None)]
    base = floor(inside.detach())
    share = inside - base
    return [(base, 1.0 - share), (base + 1.0, share)]


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """The image read at the positions of a grid. `torch.nn.functional.grid_sample`.

    input: (n, c, h, w), grid: (n, oh, ow, 2) -> (n, c, oh, ow); or (n, c, d, h, w), (n, od, oh, ow, 3) -> (n, c, …).

    Parameters
    ----------
    mode : "bilinear" (with three axes: trilinear), "nearest" (halves go to the even pixel), or "bicubic" (two axes).
    padding_mode : what is read outside: "zeros", "border" (the nearest pixel), or "reflection" (mirrored).
    align_corners : whether −1 and 1 are the centres of the outermost pixels, or the image's borders (None, False).

    Raises
    ------
    ValueError : shapes do not fit, or a mode is unknown.
    """
    axes = input.ndim - 2
    if axes not in (2, 3) or grid.ndim != input.ndim or grid.shape[0] != input.shape[0] or grid.shape[-1] != axes:
        raise ValueError(
            "grid_sample: an input (n, c, h, w) with a grid (n, oh, ow, 2), or (n, c, d, h, w) with (n, od, oh, ow, 3) "
            f"are wanted, not {tuple(input.shape)} and {tuple(grid.shape)}"
        )
    if mode not in _MODES or padding_mode not in _PADDINGS or (mode == "bicubic" and axes == 3):
        raise ValueError(
            f"grid_sample: mode must be one of {', '.join(_MODES)} (bicubic for two axes alone), padding_mode one of "
            f"{', '.join(_PADDINGS)}, not {mode!r} and {padding_mode!r}"
        )
    n, c, *lengths = input.shape
    count = int(np.prod(grid.shape[1:-1]))
    places = unbind_(reshape_(grid, shape=(n, 1, count, axes)), axis=3)
    taps = [
        _along(at, size, mode, padding_mode, bool(align_corners))
        for at, size in zip(reversed(places), lengths, strict=True)
    ]
    flat = reshape_(input, shape=(n, c, int(np.prod(lengths))))
    total = None
    for chosen in itertools.product(*taps):
        index: Any = 0
        outside, weight = None, None
        for (pixel, share), size in zip(chosen, lengths, strict=True):
            within = clip(pixel.detach(), 0.0, size - 1.0)
            index = index * size + within.astype("int64")
            beyond = within != pixel.detach()
            outside = beyond if outside is None else outside | beyond
            weight = share if weight is None else weight * share if share is not None else weight
        value = take_along_axis(flat, index, -1)
        value = where(outside, 0.0, value if weight is None else value * weight)
        total = value if total is None else total + value
    return reshape_(total, shape=(n, c, *grid.shape[1:-1]))
