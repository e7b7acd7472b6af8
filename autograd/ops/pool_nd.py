"""Pooling over windows of one, two or three trailing axes, carried by the two-dimensional ops of `pool.py`.

A window is a product of intervals, so an axis more is a pass more: the last two axes first, then each one before them,
seen as an image whose width is everything behind it. The maximum of maxima is the maximum, and its first position in
row-major order is the first along the first axis, then along the next; averages of averages are the average, because
a window's divisor is a product as well. One axis alone is an image of height 1. Sums of powers, indices of maxima and
unpooling are made of the same ops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import index as as_int
from typing import Any

import numpy as np

from ..state import no_grad
from .activation import relu
from .conv_nd import each_axis
from .creation import arange, asarray, full_like_
from .elementwise import power
from .index import scatter
from .pool import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    adaptive_max_pool2d_gather,
    avg_pool2d,
    max_pool2d,
    max_pool2d_gather,
    window_taps,
)
from .shape import broadcast_to_, permute_, reshape_
from .unary import abs, sign

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool3d", "avg_pool1d",
    "avg_pool3d", "lp_pool", "max_pool1d", "max_pool3d", "max_unpool",
]  # fmt: skip

Array = Any
Sizes = tuple[int, ...]
Pass = Callable[..., Array]

# ------------------------------------------------------------------ passes


def _passes(arrays: list[Array], axes: int, options: list[Sizes], run: Callable[..., list[Array]]) -> list[Array]:
    """Carry arrays (…, d₁, …, d_k) of one shape through `run`, which pools the last two axes of an (n, c, h, w).

    `options` has per-axis options, each (d₁, …, d_k) and its neutral value at the end; `run` gets them as pairs.
    """
    lead, lengths = tuple(arrays[0].shape[:-axes]), list(arrays[0].shape[-axes:])
    samples, channels = (lead[0] if len(lead) > 1 else 1), math.prod(lead[1:] if len(lead) > 1 else lead)
    for last in [axes - 1, *range(axes - 3, -1, -1)]:
        first = max(last - 1, 0) if last == axes - 1 else last
        before, behind = math.prod(lengths[:first]), math.prod(lengths[last + 1 :])
        if first < last:
            view, pairs = (lengths[first], lengths[last]), [(o[first], o[last]) for o in options]
        elif last == axes - 1:  # the only axis
            view, pairs = (1, lengths[last]), [(o[-1], o[last]) for o in options]
        else:
            view, pairs = (lengths[last], behind), [(o[last], o[-1]) for o in options]
        shape = (samples, channels * before, *view)
        pooled = run([reshape_(a, shape=shape) for a in arrays], *pairs)
        h, w = pooled[0].shape[2:]
        lengths[first : last + 1] = [h, w] if first < last else [w if last == axes - 1 else h]
        arrays = [reshape_(a, shape=(*lead, *lengths)) for a in pooled]
    return arrays


def _options(
    op: str, x: Any, axes: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    if x.ndim < axes:
        raise ValueError(f"{op}: an input of shape {tuple(x.shape)} has no {axes} axes to pool over")
    kernel = each_axis(op, "kernel_size", kernel_size, axes, 1)
    return (
        kernel,
        kernel if stride is None or stride == () or stride == [] else each_axis(op, "stride", stride, axes, 1),
        each_axis(op, "padding", padding, axes, 0),
        each_axis(op, "dilation", dilation, axes, 1),
    )


def _positions(x: Array, axes: int) -> Array:
    """Each element's number among those of the last axes, in x's shape."""
    spatial = tuple(x.shape[-axes:])
    flat = arange(math.prod(spatial), dtype="float64", backend=x.backend)
    return broadcast_to_(reshape_(flat, shape=spatial), shape=tuple(x.shape))


# ------------------------------------------------------------------ maximum


def pooled_max(x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> Array:
    """Maxima of windows over the last len(kernel) axes."""

    def run(arrays: list[Array], k: Any, s: Any, p: Any, d: Any) -> list[Array]:
        return [max_pool2d(*arrays, kernel_size=k, stride=s, padding=p, dilation=d, ceil_mode=ceil_mode)]

    options = [(*kernel, 1), (*stride, 1), (*padding, 0), (*dilation, 1)]
    return _passes([x], len(kernel), options, run)[0]


@no_grad
def first_positions(x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool) -> Array:
    """Where each window's first maximum stands among the elements of the last axes, as int64."""

    def run(arrays: list[Array], k: Any, s: Any, p: Any, d: Any) -> list[Array]:
        given: dict[str, Any] = {"kernel_size": k, "stride": s, "padding": p, "dilation": d, "ceil_mode": ceil_mode}
        values, at = arrays
        return [max_pool2d(values, **given), max_pool2d_gather(at, values, **given)]

    options = [(*kernel, 1), (*stride, 1), (*padding, 0), (*dilation, 1)]
    return _passes([x, _positions(x, len(kernel))], len(kernel), options, run)[1].astype("int64")


def _max_pool(
    op: str, axes: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    return_indices: bool,
) -> Any:  # fmt: skip
    options = _options(op, x, axes, kernel_size, stride, padding, dilation)
    out = pooled_max(x, *options, bool(ceil_mode))
    return (out, first_positions(x, *options, bool(ceil_mode))) if return_indices else out


def max_pool1d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Maximum of each window of the last axis; NaN if one is in it. The cotangent goes to the first maximum.

    x: (…, l) -> (…, l') with l' = (l + 2·padding − dilation·(k − 1) − 1) // stride + 1, rounded up with `ceil_mode`.
    The stride is the kernel size by default, padding counts as −∞. With `return_indices` also where each maximum
    stands in the axis, as int64.

    >>> import pullback as pb
    >>> pb.max_pool1d(pb.tensor([[1.0, 3.0, 2.0, 0.0]]), 2).tolist()
    [[3.0, 2.0]]
    """
    return _max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Maximum of each window of the last three axes, as `max_pool1d` of one. x: (…, d, h, w) -> (…, d', h', w').

    Options are an int, or (depth, height, width). Indices count the elements of the three axes in row-major order.
    """
    return _max_pool("max_pool3d", 3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_unpool(
    x: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None, *,
    axes: int,
) -> Any:  # fmt: skip
    """Values put where `max_pool` found them, zeros elsewhere: a partial inverse. (…, *s) -> (…, *output_size).

    Parameters
    ----------
    indices : int64 of x's shape, as `return_indices` gives them.
    output_size : of the last `axes` axes, or of all; (s − 1)·stride + kernel_size − 2·padding for None.
    """
    kernel, steps, paddings, _ = _options("max_unpool", x, axes, kernel_size, stride, padding)
    lead, size = tuple(x.shape[:-axes]), x.shape[-axes:]
    whole = tuple((n - 1) * s + k - 2 * p for n, s, k, p in zip(size, steps, kernel, paddings, strict=True))
    if output_size is not None:
        wanted = tuple(as_int(n) for n in output_size)[-axes:]
        if any(not w - s < n < w + s for n, w, s in zip(wanted, whole, steps, strict=True)):
            raise ValueError(f"max_unpool: an output_size of {wanted} is further than a stride {steps} from {whole}")
        whole = wanted
    zeros = full_like_(x, value=0.0, dtype=None, shape=(*lead, math.prod(whole)))
    flat = (*lead, math.prod(size))
    filled = scatter(zeros, reshape_(asarray(indices, backend=x.backend), shape=flat), reshape_(x, shape=flat), -1)
    return reshape_(filled, shape=(*lead, *whole))


# ------------------------------------------------------------------ average


def pooled_average(
    x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:  # fmt: skip
    """Averages of windows over the last len(kernel) axes; sums divided by `divisor_override` if that is given."""

    def run(arrays: list[Array], k: Any, s: Any, p: Any) -> list[Array]:
        return [avg_pool2d(*arrays, kernel_size=k, stride=s, padding=p, ceil_mode=ceil_mode,
                           count_include_pad=count_include_pad)]  # fmt: skip

    axes = len(kernel)
    out = _passes([x], axes, [(*kernel, 1), (*stride, 1), (*padding, 0)], run)[0]
    if divisor_override is None:
        return out
    areas = np.ones(())
    for i in range(axes):
        taps = window_taps(x.shape[i - axes], kernel[i], stride[i], padding[i], 1, ceil_mode, count_include_pad)
        areas = areas[..., None] * np.asarray(taps.counts, np.float64)
    factor = areas / divisor_override
    same = factor.size and factor.min() == factor.max()
    return out * (float(factor.flat[0]) if same else asarray(factor, dtype=out.dtype, backend=out.backend))


def _avg_pool(
    op: str, axes: int, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
    divisor_override: int | None = None,
) -> Any:  # fmt: skip
    if divisor_override is not None and as_int(divisor_override) == 0:
        raise ValueError(f"{op}: divisor_override must not be 0")
    kernel, steps, paddings, _ = _options(op, x, axes, kernel_size, stride, padding)
    return pooled_average(x, kernel, steps, paddings, bool(ceil_mode), bool(count_include_pad), divisor_override)


def avg_pool1d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:  # fmt: skip
    """Average of each window of the last axis, zeros in the padding. x: (…, l) -> (…, l'), sizes as in `max_pool1d`.

    The sum is divided by the positions within the padded axis, or within the axis alone if not `count_include_pad`.
    """
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool3d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """Average of each window of the last three axes, as `avg_pool1d` of one. x: (…, d, h, w) -> (…, d', h', w').

    `divisor_override` divides the sums instead of the numbers of positions.
    """
    return _avg_pool("avg_pool3d", 3, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def lp_pool(
    x: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, *, axes: int
) -> Any:  # fmt: skip
    """The p-th root of the sum of p-th powers of each window of the last `axes` axes: (Σ xᵖ)^(1/p).

    With p = ±∞ it is the largest or smallest |x|. As in PyTorch the powers keep their signs, a negative sum counts as
    positive, and a window that `ceil_mode` lets reach over the border has its mean times the whole window's size.
    """
    kernel, steps, none, ones = _options("lp_pool", x, axes, kernel_size, stride, 0)
    if math.isinf(norm_type):
        size = abs(x)
        if norm_type > 0:
            return pooled_max(size, kernel, steps, none, ones, bool(ceil_mode))
        return -pooled_max(-size, kernel, steps, none, ones, bool(ceil_mode))
    mean = pooled_average(power(x, norm_type), kernel, steps, none, bool(ceil_mode), True, None)
    return power(sign(mean) * relu(abs(mean)) * math.prod(kernel), 1.0 / norm_type)


# ------------------------------------------------------------------ adaptive


def _lengths(op: str, x: Any, output_size: Any, axes: int) -> Sizes:
    given = tuple(output_size) if isinstance(output_size, list | tuple) else (output_size,) * axes
    if x.ndim < axes or len(given) != axes:
        raise ValueError(f"{op}: a size or {axes} of them for the last axes of {tuple(x.shape)}, not {output_size!r}")
    return tuple(n if k is None else as_int(k) for n, k in zip(x.shape[-axes:], given, strict=True))


def _adaptive(x: Array, size: Sizes, run: Pass) -> Array:
    """`run(x, (h, w))` on the last two axes, then on each one before them; on one alone as an image of height 1."""
    lead, axes = tuple(x.shape[: -len(size)]), len(size)
    if axes == 1:
        return reshape_(run(reshape_(x, shape=(*lead, 1, x.shape[-1])), (1, *size)), shape=(*lead, *size))
    x = run(x, size[-2:])
    for i in range(axes - 3, -1, -1):
        shape = (*lead, *x.shape[len(lead) : len(lead) + i])
        n, behind = x.shape[len(shape)], tuple(x.shape[len(shape) + 1 :])
        flat = reshape_(x, shape=(*shape, n, math.prod(behind)))
        if n % size[i] == 0 and n:  # windows of one length: no need for a pass over the width
            pooled = run(flat, (size[i], flat.shape[-1]))
        else:
            k = len(shape)
            rows = reshape_(permute_(flat, axes=(*range(k), k + 1, k)), shape=(*shape, flat.shape[-1], 1, n))
            columns = reshape_(run(rows, (1, size[i])), shape=(*shape, flat.shape[-1], size[i]))
            pooled = permute_(columns, axes=(*range(k), k + 1, k))
        x = reshape_(pooled, shape=(*shape, size[i], *behind))
    return x


@no_grad
def adaptive_positions(x: Array, size: Sizes) -> Array:
    """Where the first maximum of each adaptive window stands among the elements of the last axes, as int64."""
    axes = len(size)
    lead, values, at = tuple(x.shape[:-axes]), x, _positions(x, axes)
    for i in range(axes - 1, -1, -1):
        n = values.shape[len(lead) + i]
        order = (*(k for k in range(values.ndim) if k != len(lead) + i), len(lead) + i)
        moved = [permute_(a, axes=order) for a in (values, at)]
        rows = [reshape_(a, shape=(*a.shape[:-1], 1, n)) for a in moved]
        both = (adaptive_max_pool2d(rows[0], (1, size[i])), adaptive_max_pool2d_gather(
            rows[1], rows[0], output_size=(1, size[i])))  # fmt: skip
        flat = [reshape_(a, shape=(*a.shape[:-2], size[i])) for a in both]
        back = (*range(len(lead) + i), values.ndim - 1, *range(len(lead) + i, values.ndim - 1))
        values, at = (permute_(a, axes=back) for a in flat)
    return at.astype("int64")


def adaptive_avg_pool1d(x: Any, output_size: Any) -> Any:
    """Average of each of o windows that cover the last axis; windows as in `adaptive_avg_pool2d`. (…, l) -> (…, o)."""
    return _adaptive(x, _lengths("adaptive_avg_pool1d", x, output_size, 1), adaptive_avg_pool2d)


def adaptive_avg_pool3d(x: Any, output_size: Any) -> Any:
    """Average of each of od × oh × ow windows that cover the last three axes; None keeps a length."""
    return _adaptive(x, _lengths("adaptive_avg_pool3d", x, output_size, 3), adaptive_avg_pool2d)


def adaptive_max_pool1d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum of each of o windows that cover the last axis, and where it stands with `return_indices`."""
    size = _lengths("adaptive_max_pool1d", x, output_size, 1)
    out = _adaptive(x, size, adaptive_max_pool2d)
    return (out, adaptive_positions(x, size)) if return_indices else out


def adaptive_max_pool3d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum of each of od × oh × ow windows that cover the last three axes; None keeps a length.

    With `return_indices` also where it stands among the elements of the three axes, in row-major order.
    """
    size = _lengths("adaptive_max_pool3d", x, output_size, 3)
    out = _adaptive(x, size, adaptive_max_pool2d)
    return (out, adaptive_positions(x, size)) if return_indices else out
