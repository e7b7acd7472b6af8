"""Convolution on the GPU: grids and buffers for the kernels of `conv.cu`."""

from __future__ import annotations

from typing import Any

import cupy as cp

from ..base import Backend
from .launch import LARGEST, floats, launch, packed

Array = Any
Pair = tuple[int, int]

TILE = 64
#: Blocks enough to fill a large GPU twice; the weight's gradient is cut into parts until there are that many.
ENOUGH_BLOCKS = 512
#: Terms of a sum that are worth a part of their own.
LEAST_LENGTH = 512
MOST_ROWS = 65535  # of a grid, along y and z


def register(backend: Backend) -> None:
    """Register the convolution kernels."""
    backend.register("conv2d", _takes)(conv2d)
    backend.register("conv2d_bias", _takes_bias)(conv2d_bias)
    backend.register("conv2d_input_grad", _takes_input_grad)(conv2d_input_grad)
    backend.register("conv2d_weight_grad", _takes_weight_grad)(conv2d_weight_grad)


def conv2d(x: Array, weight: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """Kernel of the op conv2d."""
    return _forward(x, weight, None, stride, padding, dilation, groups)


def conv2d_bias(
    x: Array, weight: Array, bias: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Kernel of the op conv2d_bias."""
    return _forward(x, weight, bias, stride, padding, dilation, groups)


def _forward(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    oh, ow = _output_size(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    y = cp.empty((x.shape[0], weight.shape[0], oh, ow), dtype=x.dtype)
    shape = _shape(x.shape, weight.shape, (oh, ow), stride, padding, dilation, groups)
    grid = _grid(weight.shape[0] // groups, x.shape[0] * oh * ow, groups)
    x, weight = packed(x), packed(weight)
    launch(
        "conv",
        "conv2d",
        x.dtype,
        grid,
        x,
        weight,
        weight if bias is None else packed(bias),
        bias is not None,
        y,
        *shape,
    )
    return y


def conv2d_input_grad(
    gy: Array, weight: Array, *, input_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Kernel of the op conv2d_input_grad."""
    x_shape = (gy.shape[0], weight.shape[1] * groups, *input_size)
    gx = cp.empty(x_shape, dtype=gy.dtype)
    shape = _shape(x_shape, weight.shape, gy.shape[2:], stride, padding, dilation, groups)
    grid = _grid(weight.shape[1], gy.shape[0] * input_size[0] * input_size[1], groups)
    launch("conv", "conv2d_input_grad", gy.dtype, grid, packed(gy), packed(weight), gx, *shape)
    return gx


def conv2d_weight_grad(
    gy: Array, x: Array, *, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Kernel of the op conv2d_weight_grad: parts of the sum over images and pixels, then added up in order."""
    w_shape = (gy.shape[1], x.shape[1] // groups, *kernel_size)
    terms = gy.shape[0] * gy.shape[2] * gy.shape[3]
    columns, rows, _ = _grid(w_shape[0] // groups, w_shape[1] * kernel_size[0] * kernel_size[1], groups)
    wanted = max(1, min(ENOUGH_BLOCKS // max(1, columns * rows * groups), terms // LEAST_LENGTH, MOST_ROWS // groups))
    length = max(1, -(-terms // wanted))
    count = max(1, -(-terms // length))
    parts = cp.empty((count, *w_shape), dtype=gy.dtype)
    shape = _shape(x.shape, w_shape, gy.shape[2:], stride, padding, dilation, groups)
    grid = (columns, rows, groups * count)
    launch("conv", "conv2d_weight_grad", gy.dtype, grid, packed(gy), packed(x), parts, length, *shape)
    return parts[0] if count == 1 else parts.sum(axis=0)


def _grid(m: int, n: int, groups: int) -> tuple[int, int, int]:
    """Tiles along the columns and rows of the product, and the groups."""
    return -(-n // TILE), -(-m // TILE), groups


def _shape(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], size: tuple[int, ...], stride: Pair, padding: Pair,
    dilation: Pair, groups: int,
) -> tuple[int, ...]:  # fmt: skip
    """SHAPE_PARAMETERS of conv.cu: n, c, h, w, o, kh, kw, oh, ow, sh, sw, ph, pw, dh, dw, groups."""
    return (*x_shape, w_shape[0], *w_shape[2:], *size, *stride, *padding, *dilation, groups)


def _output_size(size: tuple[int, ...], kernel: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    oh, ow = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return oh, ow


# Guards. They also decline whatever is no convolution at all, so that the generic forward says what is wrong with it.


def _fits(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[int, ...] | None:
    """The output's shape, or None if the shapes do not belong together or are too large for 32-bit coordinates."""
    if len(x_shape) != 4 or len(w_shape) != 4 or not 1 <= groups <= MOST_ROWS:
        return None
    if x_shape[1] != w_shape[1] * groups or w_shape[0] % groups:
        return None
    if any(not isinstance(pair, tuple) or len(pair) != 2 for pair in (stride, padding, dilation)):
        return None
    if min(*w_shape[2:], *stride, *dilation) < 1 or min(padding) < 0:
        return None
    size = _output_size(x_shape[2:], w_shape[2:], stride, padding, dilation)
    if min(size) < 1 or max(w_shape[0], x_shape[1]) > MOST_ROWS * TILE:
        return None
    n, pixels, inputs = x_shape[0], size[0] * size[1], x_shape[2] * x_shape[3]
    terms = (
        n * pixels,
        n * inputs,
        w_shape[0] * w_shape[1] * w_shape[2] * w_shape[3],
        max(x_shape[2:]) + 2 * max(padding),
    )
    if max(terms) > LARGEST or w_shape[1] * w_shape[2] * w_shape[3] > MOST_ROWS * TILE:
        return None
    return n, w_shape[0], *size


def _takes(x: Array, weight: Array, *, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> bool:
    return floats(x, weight) and _fits(x.shape, weight.shape, stride, padding, dilation, groups) is not None


def _takes_bias(x: Array, weight: Array, bias: Array, **static: Any) -> bool:
    return floats(x, bias) and bias.shape == weight.shape[:1] and _takes(x, weight, **static)


def _takes_input_grad(gy: Array, weight: Array, *, input_size: Pair, **static: Any) -> bool:
    if not floats(gy, weight) or gy.ndim != 4 or weight.ndim != 4:
        return False
    x_shape = (gy.shape[0], weight.shape[1] * static["groups"], *input_size)
    return _fits(x_shape, weight.shape, **static) == tuple(gy.shape)


def _takes_weight_grad(gy: Array, x: Array, *, kernel_size: Pair, **static: Any) -> bool:
    if not floats(gy, x) or gy.ndim != 4 or x.ndim != 4 or x.shape[1] % max(1, static["groups"]):
        return False
    w_shape = (gy.shape[1], x.shape[1] // max(1, static["groups"]), *kernel_size)
    return _fits(x.shape, w_shape, **static) == tuple(gy.shape)
