"""Convolutions along one, three or more axes, and transposed ones: all of them carried by the two-dimensional ops.

A sum over the taps along an axis is what a convolution does over channels anyway. So the first of three or more axes is
folded away: the windows along it become channels, its positions samples (`frames.py`),

    (n, c, d, h, w) -> (n·od, c·kd, h, w),    weight (o, c/groups, kd, kh, kw) -> (o, kd·c/groups, kh, kw),

and what remains has one axis less. One axis alone is an image of height 1. A transposed convolution goes the same way
back. There is nothing to differentiate here: every order comes from the ops that are used, and every backend's kernels
for two dimensions serve all others.
"""

from __future__ import annotations

from operator import index as as_int
from typing import Any

from .conv import conv2d, conv2d_bias, conv2d_input_grad
from .frames import add_frames, stack_frames
from .shape import permute_, reshape_
from .slicing import getitem_, pad_

__all__ = ["conv1d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

Array = Any
Sizes = tuple[int, ...]

# ------------------------------------------------------------------ arguments


def each_axis(op: str, name: str, value: Any, n: int, least: int) -> Sizes:
    """An int for all axes, or one for each, as a tuple of n ints of at least `least`."""
    values = tuple(value) if isinstance(value, list | tuple) else (value,) * n
    if len(values) != n or any(as_int(v) < least for v in values):
        raise ValueError(f"{op}: {name} must be an integer of at least {least}, or {n} of them, not {value!r}")
    return tuple(as_int(v) for v in values)


def _check(op: str, n: int, x: Array, weight: Array, groups: int, transposed: bool) -> None:
    """Shapes that belong together: the weight is (o, c/groups, …), or (c, o/groups, …) of a transposed convolution."""
    lead = "(c, o/groups" if transposed else "(o, c/groups"
    if x.ndim != n + 2 or weight.ndim != n + 2:
        raise ValueError(
            f"{op}: the input must be (n, c, {n} axes) and the weight {lead}, {n} axes), not {tuple(x.shape)} and "
            f"{tuple(weight.shape)}"
        )
    first, second = weight.shape[:2]
    channels = first if transposed else second * groups
    if groups < 1 or first % groups or x.shape[1] != channels:
        raise ValueError(
            f"{op}: an input of shape {tuple(x.shape)} has {x.shape[1]} channels, a weight of shape "
            f"{tuple(weight.shape)} with groups={groups} takes {channels}, and groups must divide {first}"
        )


# ------------------------------------------------------------------ forwards


def _folded(weight: Array) -> Array:
    """The places along axis 2 as channels: (o, c, k, …) -> (o, k·c, …)."""
    o, c, k, *rest = weight.shape
    moved = permute_(weight, axes=(0, 2, 1, *range(3, weight.ndim)))
    return reshape_(moved, shape=(o, k * c, *rest))


def convolve(
    x: Array, weight: Array, bias: Array | None, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """Convolution along weight.ndim − 2 axes. (n, c, …), (o, c/groups, …), (o,) -> (n, o, …)."""
    axes = weight.ndim - 2
    if axes == 2:
        options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return conv2d(x, weight, **options) if bias is None else conv2d_bias(x, weight, bias, **options)
    if axes == 1:
        image, kernel = (reshape_(a, shape=(*a.shape[:2], 1, a.shape[2])) for a in (x, weight))
        out = convolve(image, kernel, bias, (1, *stride), (0, *padding), (1, *dilation), groups)
        return reshape_(out, shape=(*out.shape[:2], out.shape[3]))
    k = weight.shape[2]
    count = (x.shape[2] + 2 * padding[0] - dilation[0] * (k - 1) - 1) // stride[0] + 1
    stacked = stack_frames(
        x, kernel=k, count=count, stride=stride[0], padding=padding[0], dilation=dilation[0], groups=groups
    )
    out = convolve(stacked, _folded(weight), bias, stride[1:], padding[1:], dilation[1:], groups)
    frames = reshape_(out, shape=(x.shape[0], count, *out.shape[1:]))
    return permute_(frames, axes=(0, 2, 1, *range(3, frames.ndim)))


def _fitted(x: Array, start: Sizes, size: Sizes) -> Array:
    """The trailing axes of x from `start` on, each cut or filled with zeros to its size."""
    lead = x.ndim - len(size)
    shape = x.shape[lead:]
    stop = tuple(min(s + n, whole) for s, n, whole in zip(start, size, shape, strict=True))
    if any(start) or stop != shape:
        kept = ((0, n, 1) for n in x.shape[:lead])
        x = getitem_(x, index=(*kept, *((s, max(e, s), 1) for s, e in zip(start, stop, strict=True))))
    missing = tuple((0, n - have) for n, have in zip(size, x.shape[lead:], strict=True))
    return pad_(x, widths=(*((0, 0),) * lead, *missing), value=0.0) if any(b for _, b in missing) else x


def spread(x: Array, weight: Array, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int, size: Sizes) -> Array:
    """The transpose of `convolve` in its input, for an input of that size; what no window reaches is zero.

    (n, c, …), (c, o/groups, …) -> (n, o, *size).
    """
    axes = weight.ndim - 2
    reach = tuple((n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(
        x.shape[2:], stride, dilation, weight.shape[2:], strict=True))  # fmt: skip
    if axes == 1:
        image, kernel = (reshape_(a, shape=(*a.shape[:2], 1, a.shape[2])) for a in (x, weight))
        out = spread(image, kernel, (1, *stride), (0, *padding), (1, *dilation), groups, (1, *size))
        return reshape_(out, shape=(*out.shape[:2], out.shape[3]))
    if axes == 2:
        if any(n + 2 * p - r >= s for n, p, r, s in zip(size, padding, reach, stride, strict=True)):
            whole = spread(x, weight, stride, (0, 0), dilation, groups, reach)  # another window would fit
            return _fitted(whole, padding, size)
        return conv2d_input_grad(
            x, weight, input_size=size, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
    n, i, d, *inner = x.shape
    frames = reshape_(permute_(x, axes=(0, 2, 1, *range(3, x.ndim))), shape=(n * d, i, *inner))
    out = spread(frames, _folded(weight), stride[1:], padding[1:], dilation[1:], groups, size[1:])
    return add_frames(
        out, size=size[0], kernel=weight.shape[2], count=d, stride=stride[0], padding=padding[0], dilation=dilation[0],
        groups=groups,
    )  # fmt: skip


# ------------------------------------------------------------------ public


def _convolution(
    op: str, axes: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    _check(op, axes, x, weight, groups, False)
    strides, dilations = each_axis(op, "stride", stride, axes, 1), each_axis(op, "dilation", dilation, axes, 1)
    paddings = each_axis(op, "padding", padding, axes, 0)
    for n, k, p, d in zip(x.shape[2:], weight.shape[2:], paddings, dilations, strict=True):
        if n + 2 * p < d * (k - 1) + 1:
            raise ValueError(
                f"{op}: the kernel spans {d * (k - 1) + 1} along an axis whose padded length is {n + 2 * p}; use a "
                "smaller kernel or dilation, or more padding"
            )
    return convolve(x, weight, bias, strides, paddings, dilations, groups)


def conv1d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution y[n,o,p] = Σ x[n, c, p·stride + i·dilation − padding] · weight[o,c,i] over c, i, plus bias[o].

    x: (n, c, l), weight: (o, c/groups, k), bias: (o,) -> (n, o, l') with
    l' = (l + 2·padding − dilation·(k − 1) − 1) // stride + 1. Options are an int, or a tuple of one.

    Raises
    ------
    ValueError : channels do not match, or the kernel is larger than the padded input.
    """
    return _convolution("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


def conv3d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution along three axes, as `conv1d` along one; options are an int, or (depth, height, width).

    x: (n, c, d, h, w), weight: (o, c/groups, kd, kh, kw), bias: (o,) -> (n, o, d', h', w').
    """
    return _convolution("conv3d", 3, x, weight, bias, stride, padding, dilation, groups)


def _transposed(
    op: str, axes: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int,
    dilation: Any,
) -> Any:  # fmt: skip
    _check(op, axes, x, weight, groups, True)
    strides, dilations = each_axis(op, "stride", stride, axes, 1), each_axis(op, "dilation", dilation, axes, 1)
    paddings, more = (
        each_axis(op, "padding", padding, axes, 0),
        each_axis(op, "output_padding", output_padding, axes, 0),
    )
    if any(m >= max(s, d) for m, s, d in zip(more, strides, dilations, strict=True)):
        raise ValueError(f"{op}: output_padding {more} must be smaller than stride {strides} or dilation {dilations}")
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + m + 1
        for n, s, p, d, k, m in zip(x.shape[2:], strides, paddings, dilations, weight.shape[2:], more, strict=True)
    )
    if min(size) < 1:
        raise ValueError(f"{op}: an input of shape {tuple(x.shape)} with padding {paddings} gives a size of {size}")
    out = spread(x, weight, strides, paddings, dilations, groups, size)
    return out if bias is None else out + reshape_(bias, shape=(-1,) + (1,) * axes)


def conv_transpose1d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """A convolution's transpose: y[n, o, p·stride + i·dilation − padding] += x[n,c,p]·weight[c,o,i], plus bias[o].

    x: (n, c, l), weight: (c, o/groups, k), bias: (o,) -> (n, o, l') with
    l' = (l − 1)·stride − 2·padding + dilation·(k − 1) + output_padding + 1. `torch.nn.functional.conv_transpose1d`.
    Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning".

    Raises
    ------
    ValueError : channels do not match, or output_padding is not smaller than stride or dilation.
    """
    return _transposed("conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """As `conv_transpose1d` along two axes. x: (n, c, h, w), weight: (c, o/groups, kh, kw) -> (n, o, h', w')."""
    return _transposed("conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """As `conv_transpose1d` along three axes. x: (n, c, d, h, w), weight: (c, o/groups, kd, kh, kw) -> (n, o, …)."""
    return _transposed("conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups, dilation)
