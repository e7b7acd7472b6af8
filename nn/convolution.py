"""Convolutions and padding with PyTorch's signatures: with or without the batch axis, an int or one for each axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import ops
from ..autograd.tensor import Tensor
from .arguments import choice, each

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "pad"]

Sizes = tuple[int, ...]
_LENGTHS = {1: "l", 2: "h, w", 3: "d, h, w"}
_KIND = {1: "sequence", 2: "image", 3: "volume"}


def batched(name: str, input: Tensor, axes: int) -> Tensor:
    """The input as (n, c, …) with so many axes after the channels; a missing batch axis is put before it."""
    if input.ndim == axes + 2:
        return input
    if input.ndim == axes + 1:
        return ops.reshape(input, shape=(1, *input.shape))
    hint = ""
    if input.ndim == 2 and axes == 2:
        hint = "; a batch of flat images becomes one by x.reshape(n, c, h, w)"
    lengths, kind = _LENGTHS[axes], _KIND[axes]
    raise ValueError(
        f"{name} takes {kind}s (n, c, {lengths}) or one {kind} (c, {lengths}), not a shape {input.shape}{hint}"
    )


def as_given(out: Tensor, input: Tensor, axes: int) -> Tensor:
    """The output with a batch axis only if the input has one."""
    return out if input.ndim == axes + 2 else ops.reshape(out, shape=out.shape[1:])


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements put around an array, or with negative widths taken off.

    Parameters
    ----------
    pad : widths in PyTorch's order: (before the last axis, after it, before the last but one, …).
    mode : "constant" (`value`, 0 by default), "reflect" (mirrored about the edge element), "replicate" (the edge
        element), or "circular" (from the other end).
    """
    choice("pad", "mode", mode, ("constant", "reflect", "replicate", "circular"))
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(
            f"pad: an input of shape {input.shape} takes up to {input.ndim} pairs of widths, last axis first, "
            f"not {tuple(pad)}"
        )
    if value is not None and mode != "constant":
        raise ValueError(f"pad: mode {mode!r} takes no value")
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    untouched = [(0, 0)] * (input.ndim - len(pairs))
    return ops.pad(input, (*untouched, *reversed(pairs)), mode, value=0.0 if value is None else value)


# ---------------------------------------------------------------- convolution


def same_padding(kernel_size: Sizes, dilation: Sizes) -> list[int]:
    """What `pad` takes for an output of the input's size at stride 1; where it is odd the extra element goes last."""
    totals = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
    return [n for total in reversed(totals) for n in (total // 2, total - total // 2)]


def _conv(
    name: str, axes: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any,
    groups: int,
) -> Tensor:  # fmt: skip
    x = batched(name, input, axes)
    stride, dilation = each(name, "stride", stride, axes, 1), each(name, "dilation", dilation, axes, 1)
    if weight.ndim == axes + 2 and x.shape[1] != weight.shape[1] * groups:
        channels = weight.shape[1] * groups
        order = ", ".join(map(str, (0, axes + 1, *range(1, axes + 1))))
        hint = f"; it looks channels-last: x.permute({order})" if x.shape[-1] == channels else ""
        raise ValueError(
            f"{name}: an input of shape {input.shape} has {x.shape[1]} channels, the weight {weight.shape} takes "
            f"{channels}{hint}"
        )
    if isinstance(padding, str):
        if choice(name, "padding", padding, ("valid", "same")) == "valid":
            padding = 0
        elif any(s != 1 for s in stride):
            raise ValueError(f'{name}: padding="same" needs stride 1, not {stride}')
        else:
            widths = same_padding(weight.shape[2:], dilation)
            padding = tuple(reversed(widths[::2]))
            x = pad(x, [n for a, b in zip(widths[::2], widths[1::2], strict=True) for n in (0, b - a)])
    padding = each(name, "padding", padding, axes)
    settings: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if axes == 2:
        out = ops.conv2d(x, weight, **settings) if bias is None else ops.conv2d_bias(x, weight, bias, **settings)
    else:
        out = (ops.conv1d if axes == 1 else ops.conv3d)(x, weight, bias, **settings)
    return as_given(out, input, axes)


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """Convolution along one axis, (n, c, l) with a weight (o, c/groups, k) -> (n, o, l'). See `conv2d`."""
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """Two-dimensional convolution, (n, c, h, w) with a weight (o, c/groups, kh, kw) -> (n, o, h', w').

    `padding` may be "valid" or "same"; where "same" needs an odd number of zeros, the extra one goes right and below.
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """Three-dimensional convolution, (n, c, d, h, w) with (o, c/groups, kd, kh, kw) -> (n, o, d', h', w').

    See `conv2d`.
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


_TRANSPOSED = {1: ops.conv_transpose1d, 2: ops.conv_transpose2d, 3: ops.conv_transpose3d}


def _conv_transpose(
    name: str, axes: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any,
    output_padding: Any, groups: int, dilation: Any,
) -> Tensor:  # fmt: skip
    x = batched(name, input, axes)
    out = _TRANSPOSED[axes](
        x, weight, bias, each(name, "stride", stride, axes, 1), each(name, "padding", padding, axes),
        each(name, "output_padding", output_padding, axes), groups, each(name, "dilation", dilation, axes, 1),
    )  # fmt: skip
    return as_given(out, input, axes)


def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """The transpose of `conv1d`: (n, c, l) with a weight (c, o/groups, k) -> (n, o, l').

    l' = (l − 1)·stride − 2·padding + dilation·(k − 1) + output_padding + 1.
    """
    return _conv_transpose(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """The transpose of `conv2d`: (n, c, h, w) with a weight (c, o/groups, kh, kw) -> (n, o, h', w')."""
    return _conv_transpose(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    """The transpose of `conv3d`: (n, c, d, h, w) with a weight (c, o/groups, kd, kh, kw) -> (n, o, d', h', w')."""
    return _conv_transpose(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
