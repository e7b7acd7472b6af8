"""Pooling on the GPU: shapes and launches for the kernels of `pool.cu`."""

from __future__ import annotations

import math
from typing import Any

import cupy as cp

from ..base import Backend
from .launch import LARGEST, floats, launch_each, packed

Array = Any
Pair = tuple[int, int]
ONE = (1, 1)


def register(backend: Backend) -> None:
    """Register the pooling kernels."""
    backend.register("max_pool2d", _takes)(max_pool2d)
    backend.register("max_pool2d_unpool", _takes_unpool)(max_pool2d_unpool)
    backend.register("max_pool2d_gather", _takes_gather)(max_pool2d_gather)
    backend.register("avg_pool2d", _takes)(avg_pool2d)
    backend.register("avg_pool2d_grad", _takes_grad)(avg_pool2d_grad)


def max_pool2d(x: Array, **windows: Any) -> Array:
    """Kernel of the op max_pool2d."""
    y, parameters = _output(x, **windows)
    launch_each("pool", "max_pool2d", x.dtype, y.size, packed(x), y, *parameters)
    return y


def max_pool2d_unpool(gy: Array, x: Array, **windows: Any) -> Array:
    """Kernel of the op max_pool2d_unpool."""
    gx = cp.empty(x.shape, dtype=x.dtype)
    parameters = _parameters(x.shape, **windows)
    launch_each("pool", "max_pool2d_unpool", x.dtype, gx.size, packed(gy), packed(x), gx, *parameters)
    return gx


def max_pool2d_gather(u: Array, x: Array, **windows: Any) -> Array:
    """Kernel of the op max_pool2d_gather."""
    y, parameters = _output(x, **windows)
    launch_each("pool", "max_pool2d_gather", x.dtype, y.size, packed(u), packed(x), y, *parameters)
    return y


def avg_pool2d(x: Array, *, count_include_pad: bool, **windows: Any) -> Array:
    """Kernel of the op avg_pool2d."""
    y, parameters = _output(x, **windows)
    launch_each("pool", "avg_pool2d", x.dtype, y.size, packed(x), y, count_include_pad, *parameters)
    return y


def avg_pool2d_grad(gy: Array, *, input_size: Pair, count_include_pad: bool, **windows: Any) -> Array:
    """Kernel of the op avg_pool2d_grad."""
    gx = cp.empty((*gy.shape[:-2], *input_size), dtype=gy.dtype)
    parameters = _parameters(gx.shape, **windows)
    launch_each("pool", "avg_pool2d_grad", gy.dtype, gx.size, packed(gy), gx, count_include_pad, *parameters)
    return gx


def _output(x: Array, **windows: Any) -> tuple[Array, tuple[int, ...]]:
    parameters = _parameters(x.shape, **windows)
    return cp.empty((*x.shape[:-2], *parameters[2:4]), dtype=x.dtype), parameters


def _parameters(
    shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, dilation: Pair = ONE
) -> tuple[int, ...]:
    """WINDOW_PARAMETERS of pool.cu: h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw."""
    oh, ow = (_count(shape[i], kernel_size[i], stride[i], padding[i], dilation[i], ceil_mode) for i in (-2, -1))
    return (*shape[-2:], oh, ow, *kernel_size, *stride, *padding, *dilation)


def _count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows lie along an axis; PyTorch's rule decides about the last one."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    n = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    return n - 1 if ceil_mode and (n - 1) * stride >= size + padding else n


# Guards. They also decline whatever is no pooling at all, so that the generic forward says what is wrong with it.


def _fits(shape: tuple[int, ...], **windows: Any) -> tuple[int, ...] | None:
    """The output's shape, or None if the parameters make no sense for that input."""
    if len(shape) < 2 or math.prod(shape) > LARGEST:
        return None
    pairs = [windows[name] for name in ("kernel_size", "stride", "padding")] + [windows.get("dilation", ONE)]
    if any(not isinstance(pair, tuple) or len(pair) != 2 for pair in pairs):
        return None
    kernel_size, stride, padding, dilation = pairs
    if min(*kernel_size, *stride, *dilation) < 1 or min(padding) < 0:
        return None
    if any(2 * p > d * (k - 1) + 1 for p, d, k in zip(padding, dilation, kernel_size, strict=True)):
        return None
    size = _parameters(shape, **windows)[2:4]
    return (*shape[:-2], *size) if min(size) >= 1 else None


def _takes(x: Array, *, count_include_pad: bool = True, **windows: Any) -> bool:
    return floats(x) and _fits(x.shape, **windows) is not None


def _takes_unpool(gy: Array, x: Array, **windows: Any) -> bool:
    return floats(gy, x) and _fits(x.shape, **windows) == gy.shape


def _takes_gather(u: Array, x: Array, **windows: Any) -> bool:
    return floats(u, x) and u.shape == x.shape and _takes(x, **windows)


def _takes_grad(gy: Array, *, input_size: Pair, count_include_pad: bool, **windows: Any) -> bool:
    return floats(gy) and gy.ndim >= 2 and _fits((*gy.shape[:-2], *input_size), **windows) == gy.shape
