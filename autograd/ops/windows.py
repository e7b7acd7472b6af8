"""Sliding blocks of images as columns, and their transpose: `unfold` and `fold` (im2col and col2im)."""

from __future__ import annotations

from operator import index as as_int
from typing import Any

from ..primitive import primitive
from .slicing import getitem_, pad_

__all__ = ["fold", "unfold"]

Array = Any
Pair = tuple[int, int]


def _counts(size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Pair:
    """How many blocks fit along both axes."""
    h, w = ((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(size, kernel, stride, dilation, strict=True))
    return h, w


@primitive
def im2col(x: Array, /, *, kernel_size: Pair, stride: Pair, dilation: Pair, xp: Any) -> Array:
    """All blocks of an image as columns. (…, c, h, w) -> (…, c·kh·kw, blocks). The transpose of `col2im`."""
    windows = xp.sliding_windows(x, kernel_size, stride, dilation)  # (…, c, oh, ow, kh, kw)
    *lead, c, oh, ow, kh, kw = windows.shape
    k = len(lead)
    moved = xp.permute_dims(windows, (*range(k), k, k + 3, k + 4, k + 1, k + 2))
    return xp.reshape(moved, (*lead, c * kh * kw, oh * ow))


@primitive
def col2im(
    x: Array, /, *, output_size: Pair, kernel_size: Pair, stride: Pair, dilation: Pair, xp: Any
) -> Array:  # fmt: skip
    """Columns added up into an image where their blocks overlap. (…, c·kh·kw, blocks) -> (…, c, h, w)."""
    (kh, kw), lead = kernel_size, x.shape[:-2]
    oh, ow = _counts(output_size, kernel_size, stride, dilation)
    channels = x.shape[-2] // (kh * kw)
    blocks = xp.reshape(x, (*lead, channels, kh, kw, oh, ow))
    out = xp.zeros((*lead, channels, *output_size), dtype=x.dtype)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilation[0], i * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
            columns = slice(j * dilation[1], j * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
            out[..., rows, columns] = out[..., rows, columns] + blocks[..., i, j, :, :]
    return out


im2col.vjp(
    x=lambda g, x_shape, kernel_size, stride, dilation: col2im(
        g, output_size=x_shape[-2:], kernel_size=kernel_size, stride=stride, dilation=dilation
    )
)
col2im.vjp(
    x=lambda g, kernel_size, stride, dilation: im2col(g, kernel_size=kernel_size, stride=stride, dilation=dilation)
)


def _pair(value: Any) -> Pair:
    if isinstance(value, list | tuple):
        h, w = value
        return as_int(h), as_int(w)
    return as_int(value), as_int(value)


def _options(op: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Pair, Pair, Pair, Pair]:
    kernel, dilated, padded, step = _pair(kernel_size), _pair(dilation), _pair(padding), _pair(stride)
    if min(*kernel, *dilated, *step) < 1 or min(padded) < 0:
        raise ValueError(f"{op}: kernel_size, dilation and stride must be at least 1, padding at least 0")
    return kernel, dilated, padded, step


def _fitting(op: str, size: Pair, padding: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Pair:
    """The padded size; an error if no block fits."""
    h, w = size[0] + 2 * padding[0], size[1] + 2 * padding[1]
    if min(_counts((h, w), kernel, stride, dilation)) < 1:
        raise ValueError(f"{op}: no block of size {kernel} with dilation {dilation} fits an image padded to {(h, w)}")
    return h, w


def unfold(x: Array, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Array:
    """All sliding blocks of an image as columns (im2col), in PyTorch's layout. ∂x = `fold` of g.

    (n, c, h, w) -> (n, c·kh·kw, blocks), or without the n. Options are an int or a pair; the padding is with zeros.

    Raises
    ------
    ValueError : x is no image, or no block fits.
    """
    if x.ndim not in (3, 4):
        raise ValueError(f"unfold: x must be (n, c, h, w) or (c, h, w), not {tuple(x.shape)}")
    kernel, dilated, padded, step = _options("unfold", kernel_size, dilation, padding, stride)
    _fitting("unfold", (x.shape[-2], x.shape[-1]), padded, kernel, step, dilated)
    if any(padded):
        widths = (*((0, 0) for _ in x.shape[:-2]), (padded[0], padded[0]), (padded[1], padded[1]))
        x = pad_(x, widths=widths, value=0.0)
    return im2col(x, kernel_size=kernel, stride=step, dilation=dilated)


def fold(
    x: Array, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Array:  # fmt: skip
    """Columns added up into an image where their blocks overlap (col2im): the transpose of `unfold`.

    (n, c·kh·kw, blocks) -> (n, c, h, w) with (h, w) = output_size, or without the n.

    Raises
    ------
    ValueError : the numbers of rows and columns do not fit the options.
    """
    if x.ndim not in (2, 3):
        raise ValueError(f"fold: x must be (n, c·kh·kw, blocks) or without the n, not {tuple(x.shape)}")
    kernel, dilated, padded, step = _options("fold", kernel_size, dilation, padding, stride)
    h, w = size = _pair(output_size)
    whole = _fitting("fold", size, padded, kernel, step, dilated)
    oh, ow = _counts(whole, kernel, step, dilated)
    if x.shape[-1] != oh * ow or x.shape[-2] % (kernel[0] * kernel[1]):
        raise ValueError(
            f"fold: x of shape {tuple(x.shape)} must have a multiple of {kernel[0] * kernel[1]} rows and "
            f"{oh}·{ow} = {oh * ow} columns"
        )
    image = col2im(x, output_size=whole, kernel_size=kernel, stride=step, dilation=dilated)
    if not any(padded):
        return image
    inner = ((padded[0], padded[0] + h, 1), (padded[1], padded[1] + w, 1))
    return getitem_(image, index=(*((0, n, 1) for n in image.shape[:-2]), *inner))
