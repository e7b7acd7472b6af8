"""Pooling with PyTorch's signatures: inputs with or without the batch axis, ints or one for each axis."""

from __future__ import annotations

from typing import Any

from ..autograd import ops
from ..autograd.ops.pool_nd import adaptive_positions, first_positions, pooled_average
from ..autograd.tensor import Tensor
from .arguments import each
from .convolution import as_given, batched

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d",
    "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip


def _window(name: str, axes: int, kernel_size: Any, stride: Any, padding: Any) -> tuple[tuple[int, ...], ...]:
    kernel = each(name, "kernel_size", kernel_size, axes, 1)
    steps = kernel if stride is None or stride == () or stride == [] else each(name, "stride", stride, axes, 1)
    return kernel, steps, each(name, "padding", padding, axes)


# ---------------------------------------------------------------- maximum


def _max_pool(
    name: str, axes: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    return_indices: bool,
) -> Any:  # fmt: skip
    x = batched(name, input, axes)
    kernel, steps, paddings = _window(name, axes, kernel_size, stride, padding)
    dilations = each(name, "dilation", dilation, axes, 1)
    settings = (kernel, steps, paddings, dilations, bool(ceil_mode))
    if axes == 2:
        out = ops.max_pool2d(
            x, kernel_size=kernel, stride=steps, padding=paddings, dilation=dilations, ceil_mode=bool(ceil_mode)
        )
    else:
        out = (ops.max_pool1d if axes == 1 else ops.max_pool3d)(x, *settings)
    if not return_indices:
        return as_given(out, input, axes)
    return as_given(out, input, axes), as_given(first_positions(x, *settings), input, axes)


def max_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest value of each window. (n, c, l) -> (n, c, l'). See `max_pool2d`."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest value of each window; gradients go to the first of equal ones. (n, c, h, w) -> (n, c, h', w').

    With `return_indices` also where it stands in the flattened image, as int64: what `max_unpool2d` takes.
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The largest value of each window. (n, c, d, h, w) -> (n, c, d', h', w'). See `max_pool2d`."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_unpool(
    name: str, axes: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, size: Any
) -> Tensor:
    x = batched(name, input, axes)
    at = batched(name, ops.asarray(indices, backend=input.backend), axes)
    if at.shape != x.shape:
        raise ValueError(f"{name}: indices {at.shape} for an input of shape {input.shape}; they must have one shape")
    kernel, steps, paddings = _window(name, axes, kernel_size, stride, padding)
    out = ops.max_unpool(x, at, kernel, steps, paddings, size, axes=axes)
    return as_given(out, input, axes)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The values put where `max_pool1d` found them, zeros elsewhere. (n, c, l) -> (n, c, l')."""
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The values put where `max_pool2d` found them, zeros elsewhere. (n, c, h, w) -> (n, c, h', w')."""
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The values put where `max_pool3d` found them, zeros elsewhere. (n, c, d, h, w) -> (n, c, d', h', w')."""
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


# ---------------------------------------------------------------- average and power


def _avg_pool(
    name: str, axes: int, input: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    x = batched(name, input, axes)
    kernel, steps, paddings = _window(name, axes, kernel_size, stride, padding)
    if divisor_override == 0:
        raise ValueError(f"{name}: divisor_override must not be 0")
    if axes == 2 and divisor_override is None:
        out = ops.avg_pool2d(
            x, kernel_size=kernel, stride=steps, padding=paddings, ceil_mode=bool(ceil_mode),
            count_include_pad=bool(count_include_pad),
        )  # fmt: skip
    else:
        out = pooled_average(x, kernel, steps, paddings, bool(ceil_mode), bool(count_include_pad), divisor_override)
    return as_given(out, input, axes)


def avg_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window. (n, c, l) -> (n, c, l')."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window, or its sum divided by `divisor_override`. (n, c, h, w) -> (n, c, h', w')."""
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window, or its sum divided by `divisor_override`. (n, c, d, h, w) -> (n, c, d', h', w')."""
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _lp_pool(
    name: str, axes: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    x = batched(name, input, axes)
    kernel, steps, _ = _window(name, axes, kernel_size, stride, 0)
    return as_given(ops.lp_pool(x, norm_type, kernel, steps, ceil_mode, axes=axes), input, axes)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ xᵖ)^(1/p) of each window with p = norm_type. (n, c, l) -> (n, c, l'). See `pb.lp_pool`."""
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ xᵖ)^(1/p) of each window with p = norm_type. (n, c, h, w) -> (n, c, h', w'). See `pb.lp_pool`."""
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ xᵖ)^(1/p) of each window with p = norm_type. (n, c, d, h, w) -> (n, c, d', h', w'). See `pb.lp_pool`."""
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


# ---------------------------------------------------------------- adaptive

_MEANS = {1: ops.adaptive_avg_pool1d, 2: ops.adaptive_avg_pool2d, 3: ops.adaptive_avg_pool3d}
_MAXIMA = {1: ops.adaptive_max_pool1d, 2: ops.adaptive_max_pool2d, 3: ops.adaptive_max_pool3d}


def _output_size(name: str, axes: int, x: Tensor, output_size: Any) -> tuple[int, ...]:
    sizes = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,) * axes
    if len(sizes) == axes:
        sizes = tuple(k if s is None else s for s, k in zip(sizes, x.shape[2:], strict=True))
    return each(name, "output_size", sizes, axes, 1)


def _adaptive_avg(name: str, axes: int, input: Tensor, output_size: Any) -> Tensor:
    x = batched(name, input, axes)
    return as_given(_MEANS[axes](x, _output_size(name, axes, x, output_size)), input, axes)


def _adaptive_max(name: str, axes: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    x = batched(name, input, axes)
    size = _output_size(name, axes, x, output_size)
    out = as_given(_MAXIMA[axes](x, size), input, axes)
    return (out, as_given(adaptive_positions(x, size), input, axes)) if return_indices else out


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means over windows that give the output size."""
    return _adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means over windows that give the output size: an int or a pair, None keeps an axis."""
    return _adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means over windows that give the output size: an int or a triple, None keeps an axis."""
    return _adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over windows that give the output size, and where they stand with `return_indices`."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over windows that give the output size: an int or a pair, None keeps an axis.

    With `return_indices` also where each stands in the flattened image, as int64.
    """
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over windows that give the output size: an int or a triple, None keeps an axis.

    With `return_indices` also where each stands in the flattened volume, as int64.
    """
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)
