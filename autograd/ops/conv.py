"""Two-dimensional convolution and its two transposes, a family that is closed under differentiation.

All three are bilinear and share one set of static parameters, so that each one's rules are the other two. Images are
(n, c, h, w), weights (o, c/groups, kh, kw), as in PyTorch; what is computed is cross-correlation: no weight is flipped.

The generic forwards gather windows into a matrix, one row an output pixel (im2col), so that the work is one matrix
product. Rows hold the channels of a pixel next to each other: what comes out is laid out channels-last in memory and
seen as (n, c, h, w) through strides, and the next convolution finds its windows contiguous.
"""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .reduce import sum_

__all__ = ["conv2d", "conv2d_bias", "conv2d_input_grad", "conv2d_weight_grad"]

Array = Any
Pair = tuple[int, int]


def conv_output_size(size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Height and width of a convolution's output: (size + 2·padding − dilation·(kernel − 1) − 1) // stride + 1.

    Raises
    ------
    ValueError : a parameter is no pair, out of its range, or the kernel is larger than the padded input.
    """
    least = {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1}
    for (name, smallest), pair in zip(least.items(), (kernel_size, stride, padding, dilation), strict=True):
        if not isinstance(pair, tuple) or len(pair) != 2 or min(pair) < smallest:
            raise ValueError(f"{name} must be a pair of integers of at least {smallest}, not {pair!r}")
    out = []
    for axis in (0, 1):
        extent = dilation[axis] * (kernel_size[axis] - 1) + 1
        room = size[axis] + 2 * padding[axis] - extent
        if room < 0:
            raise ValueError(
                f"the kernel spans {extent} along {('height', 'width')[axis]} but the padded input only "
                f"{size[axis] + 2 * padding[axis]}; use a smaller kernel_size or dilation, or more padding"
            )
        out.append(room // stride[axis] + 1)
    return out[0], out[1]


def _check(x_shape: tuple[int, ...], weight_shape: tuple[int, ...], groups: int) -> None:
    if len(x_shape) != 4 or len(weight_shape) != 4:
        raise ValueError(
            f"the input must be (n, c, h, w) and the weight (o, c/groups, kh, kw), not {x_shape} and {weight_shape}"
        )
    channels, (out, per_group) = x_shape[1], weight_shape[:2]
    if groups < 1 or channels % groups or out % groups:
        raise ValueError(f"groups={groups} must divide the {channels} input channels and the {out} output channels")
    if per_group * groups != channels:
        raise ValueError(
            f"the input has {channels} channels, but the weight {weight_shape} with groups={groups} expects "
            f"{per_group * groups}; images are (n, c, h, w)"
        )


def _check_cotangent(g: Array, n: int, channels: int, size: Pair) -> None:
    if tuple(g.shape) != (n, channels, *size):
        raise ValueError(
            f"the cotangent has shape {tuple(g.shape)}, but the convolution's output {(n, channels, *size)}"
        )


def _packed(x: Array, xp: Any) -> Array:
    """The array with its elements next to each other in row-major order; itself if they already are."""
    return xp.reshape(xp.reshape(x, (-1,)), x.shape)


def _channels_last(x: Array, padding: Pair, xp: Any) -> Array:
    """(n, c, h, w) -> (n, h + 2·ph, w + 2·pw, c), zero-padded and packed."""
    n, c, h, w = x.shape
    ph, pw = padding
    x = xp.permute_dims(x, (0, 2, 3, 1))
    if ph == pw == 0:
        return _packed(x, xp)
    padded = xp.zeros((n, h + 2 * ph, w + 2 * pw, c), dtype=x.dtype)
    padded[:, ph : ph + h, pw : pw + w, :] = x
    return padded


def _columns(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int, size: Pair, xp: Any
) -> Array:
    """All windows as rows: (groups, n·oh·ow, kh·kw·c/groups), the columns in the order of `_weight_matrix`."""
    n, c = x.shape[:2]
    x = _channels_last(x, padding, xp)
    x = xp.permute_dims(xp.reshape(x, (*x.shape[:3], groups, c // groups)), (0, 3, 4, 1, 2))
    windows = xp.sliding_windows(x, kernel_size, stride, dilation)  # n, groups, c/groups, oh, ow, kh, kw
    rows, width = n * size[0] * size[1], kernel_size[0] * kernel_size[1] * (c // groups)
    if c * kernel_size[1] < size[1]:
        # Few channels: copying along an output row makes longer runs than along a window. BLAS reads it transposed.
        columns = xp.reshape(xp.permute_dims(windows, (1, 5, 6, 2, 0, 3, 4)), (groups, width, rows))
        return xp.permute_dims(columns, (0, 2, 1))
    return xp.reshape(xp.permute_dims(windows, (1, 0, 3, 4, 5, 6, 2)), (groups, rows, width))


def _weight_matrix(weight: Array, groups: int, xp: Any) -> Array:
    """(o, c/groups, kh, kw) -> (groups, o/groups, kh·kw·c/groups)."""
    o, c, kh, kw = weight.shape
    return xp.reshape(xp.permute_dims(weight, (0, 2, 3, 1)), (groups, o // groups, kh * kw * c))


def _pixel_matrix(g: Array, groups: int, xp: Any) -> Array:
    """(n, o, oh, ow) -> (groups, n·oh·ow, o/groups)."""
    n, o, oh, ow = g.shape
    g = xp.reshape(_channels_last(g, (0, 0), xp), (n * oh * ow, groups, o // groups))
    return xp.permute_dims(g, (1, 0, 2))


def _convolve(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int, xp: Any
) -> Array:
    _check(tuple(x.shape), tuple(weight.shape), groups)
    kernel_size = (weight.shape[2], weight.shape[3])
    size = conv_output_size((x.shape[2], x.shape[3]), kernel_size, stride, padding, dilation)
    columns = _columns(x, kernel_size, stride, padding, dilation, groups, size, xp)
    out = xp.matmul(columns, xp.permute_dims(_weight_matrix(weight, groups, xp), (0, 2, 1)))
    out = xp.reshape(xp.permute_dims(out, (1, 0, 2)), (x.shape[0], *size, weight.shape[0]))
    if bias is not None:
        out += bias
    return xp.permute_dims(out, (0, 3, 1, 2))


@primitive(floating=True)
def conv2d(
    x: Array, weight: Array, /, *, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1),
    groups: int = 1, xp: Any,
) -> Array:  # fmt: skip
    """Convolution y[n,o,p,q] = Σ x[n, c, p·sh + i·dh − ph, q·sw + j·dw − pw] · weight[o,c,i,j] over c, i, j.

    x: (n, c, h, w), weight: (o, c/groups, kh, kw) -> (n, o, oh, ow), where x is zero outside its borders. With groups,
    each block of o/groups outputs sees its own c/groups channels. `torch.nn.functional.conv2d`.

    Parameters
    ----------
    stride, padding, dilation : pairs (along height, along width).
    groups : divides both numbers of channels.

    Raises
    ------
    ValueError : channels do not match, or the kernel is larger than the padded input.
    """
    return _convolve(x, weight, None, stride, padding, dilation, groups, xp)


@primitive(floating=True)
def conv2d_bias(
    x: Array, weight: Array, bias: Array, /, *, stride: Pair = (1, 1), padding: Pair = (0, 0),
    dilation: Pair = (1, 1), groups: int = 1, xp: Any,
) -> Array:  # fmt: skip
    """Convolution plus bias[o] at every pixel. See `conv2d`; bias: (o,)."""
    if tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(
            f"the bias must have shape ({weight.shape[0]},), one per output channel, not {tuple(bias.shape)}"
        )
    return _convolve(x, weight, bias, stride, padding, dilation, groups, xp)


@primitive(floating=True)
def conv2d_input_grad(
    gy: Array, weight: Array, /, *, input_size: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0),
    dilation: Pair = (1, 1), groups: int = 1, xp: Any,
) -> Array:  # fmt: skip
    """The convolution's transpose in its input: cotangent of x. Also the forward of a transposed convolution.

    gy: (n, o, oh, ow), weight: (o, c/groups, kh, kw) -> (n, c, *input_size).
    """
    n, o = gy.shape[:2]
    kh, kw = weight.shape[2:]
    c = weight.shape[1] * groups
    _check((n, c, *input_size), tuple(weight.shape), groups)
    oh, ow = conv_output_size(input_size, (kh, kw), stride, padding, dilation)
    _check_cotangent(gy, n, weight.shape[0], (oh, ow))
    # One product per offset in the window, each of which is then added in one piece.
    taps = xp.permute_dims(xp.reshape(weight, (groups, o // groups, c // groups, kh * kw)), (0, 3, 1, 2))
    parts = xp.matmul(xp.expand_dims(_pixel_matrix(gy, groups, xp), axis=1), _packed(taps, xp))
    parts = xp.reshape(parts, (groups, kh, kw, n, oh, ow, c // groups))
    (h, w), (ph, pw), (sh, sw), (dh, dw) = input_size, padding, stride, dilation
    out = xp.zeros((n, h + 2 * ph, w + 2 * pw, groups, c // groups), dtype=gy.dtype)
    for i in range(kh):
        rows = slice(i * dh, i * dh + sh * (oh - 1) + 1, sh)
        for j in range(kw):
            cols = slice(j * dw, j * dw + sw * (ow - 1) + 1, sw)
            out[:, rows, cols, :, :] += xp.permute_dims(parts[:, i, j, :, :, :, :], (1, 2, 3, 0, 4))
    out = xp.reshape(out, (*out.shape[:3], c))[:, ph : ph + h, pw : pw + w, :]
    return xp.permute_dims(out, (0, 3, 1, 2))


@primitive(floating=True)
def conv2d_weight_grad(
    gy: Array, x: Array, /, *, kernel_size: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0),
    dilation: Pair = (1, 1), groups: int = 1, xp: Any,
) -> Array:  # fmt: skip
    """The convolution's transpose in its weight: cotangent of weight.

    gy: (n, o, oh, ow), x: (n, c, h, w) -> (o, c/groups, *kernel_size).
    """
    n, c = x.shape[:2]
    o = gy.shape[1]
    _check(tuple(x.shape), (o, c // max(groups, 1), *kernel_size), groups)
    size = conv_output_size((x.shape[2], x.shape[3]), kernel_size, stride, padding, dilation)
    _check_cotangent(gy, n, o, size)
    columns = _columns(x, kernel_size, stride, padding, dilation, groups, size, xp)
    out = xp.matmul(xp.permute_dims(_pixel_matrix(gy, groups, xp), (0, 2, 1)), columns)
    out = xp.reshape(out, (o, *kernel_size, c // groups))
    return _packed(xp.permute_dims(out, (0, 3, 1, 2)), xp)


def _input_rule(
    g: Array, x_shape: tuple[int, ...], weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    return conv2d_input_grad(
        g, weight, input_size=x_shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    )


def _weight_rule(
    g: Array, x: Array, weight_shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    return conv2d_weight_grad(
        g, x, kernel_size=weight_shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    )


conv2d.vjp(x=_input_rule, weight=_weight_rule)
conv2d_bias.vjp(x=_input_rule, weight=_weight_rule, bias=lambda g: sum_(g, axis=(0, 2, 3), keepdims=False))


def _conv2d_of_cotangent(g: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    return conv2d(g, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)


conv2d_input_grad.vjp(
    gy=_conv2d_of_cotangent,
    weight=lambda g, gy, weight_shape, stride, padding, dilation, groups: _weight_rule(
        gy, g, weight_shape, stride, padding, dilation, groups
    ),
)
conv2d_weight_grad.vjp(
    gy=lambda g, x, stride, padding, dilation, groups: _conv2d_of_cotangent(x, g, stride, padding, dilation, groups),
    x=lambda g, gy, x_shape, stride, padding, dilation, groups: _input_rule(
        gy, x_shape, g, stride, padding, dilation, groups
    ),
)
