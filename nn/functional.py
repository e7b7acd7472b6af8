"""Layers and losses as functions, with PyTorch's names, arguments and defaults. Thin: the ops have the mathematics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import ops
from ..autograd.ops.creation import every_value
from ..autograd.ops.ctc import ctc_loss
from ..autograd.ops.loss_more import (
    cosine_embedding_loss,
    gaussian_nll_loss,
    hinge_embedding_loss,
    info_nce,
    margin_ranking_loss,
    nt_xent,
    pairwise_distance,
    poisson_nll_loss,
    triplet_margin_loss,
)
from ..autograd.ops.random import next_key
from ..autograd.ops.windows import fold, unfold
from ..autograd.state import no_grad
from ..autograd.tensor import Tensor
from .activations import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
)
from .arguments import Pair, choice, pair, probability
from .buffer import Buffer
from .losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)

__all__ = [
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "batch_norm", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "celu", "conv2d", "cosine_embedding_loss", "cosine_similarity",
    "cross_entropy", "ctc_loss", "dropout", "dropout2d", "elu", "embedding", "flatten", "fold", "gaussian_nll_loss",
    "gelu", "glu", "group_norm", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hinge_embedding_loss",
    "huber_loss", "info_nce", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax",
    "logsigmoid", "margin_ranking_loss", "max_pool2d", "mish", "mse_loss", "nll_loss", "normalize", "nt_xent",
    "one_hot", "pad", "pairwise_distance", "poisson_nll_loss", "prelu", "relu", "relu6", "rms_norm",
    "scaled_dot_product_attention", "selu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softmin", "softplus",
    "softshrink", "softsign", "tanh", "tanhshrink", "threshold", "triplet_margin_loss", "unflatten", "unfold",
]  # fmt: skip


# ---------------------------------------------------------------- dense and shapes


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x·Wᵀ + b of the last axis. input: (…, in), weight: (out, in), bias: (out,) -> (…, out)."""
    if not input.ndim or input.shape[-1] != weight.shape[-1]:
        hint = ""
        if math.prod(input.shape[1:]) == weight.shape[-1]:
            hint = "; its other axes together have: put a Flatten before it"
        raise ValueError(
            f"linear: the last axis of an input of shape {input.shape} must have the {weight.shape[-1]} features of "
            f"the weight {weight.shape}{hint}"
        )
    return ops.matmul(input, ops.mT(weight)) if bias is None else ops.linear(input, weight, bias)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes start_dim … end_dim as one."""
    if input.ndim == 0:
        return ops.reshape(input, shape=(1,))
    first, last = _axis("flatten", start_dim, input.ndim), _axis("flatten", end_dim, input.ndim)
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in a shape {input.shape}")
    shape = input.shape
    return ops.reshape(input, shape=(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """The axis `dim` as several axes of those sizes, one of which may be −1."""
    axis = _axis("unflatten", dim, input.ndim)
    n, known = input.shape[axis], math.prod(k for k in sizes if k != -1)
    free = sum(k == -1 for k in sizes)
    if free > 1 or (n != known if not free else known == 0 or n % known):
        raise ValueError(f"unflatten: an axis of length {n} cannot become {tuple(sizes)}")
    filled = tuple(n // known if k == -1 else k for k in sizes)
    return ops.reshape(input, shape=(*input.shape[:axis], *filled, *input.shape[axis + 1 :]))


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad with a constant, 0 by default. `pad` is in PyTorch's order: (last axis before, after, last but one …)."""
    choice("pad", "mode", mode, ("constant",))
    if len(pad) % 2 or len(pad) > 2 * input.ndim or any(k < 0 for k in pad):
        raise ValueError(
            f"pad: an input of shape {input.shape} takes up to {input.ndim} pairs of non-negative widths, last axis "
            f"first, not {tuple(pad)}"
        )
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    untouched = [(0, 0)] * (input.ndim - len(pairs))
    return ops.pad(input, (*untouched, *reversed(pairs)), value=0.0 if value is None else value)


def _axis(name: str, dim: int, ndim: int) -> int:
    if not -ndim <= dim < ndim:
        raise IndexError(f"{name}: axis {dim} is out of range for {ndim} axes")
    return dim % ndim


# ---------------------------------------------------------------- images


def _image(name: str, input: Tensor) -> Tensor:
    """The input as (n, c, h, w)."""
    if input.ndim == 4:
        return input
    if input.ndim == 3:
        return ops.reshape(input, shape=(1, *input.shape))
    hint = ""
    if input.ndim == 2:
        hint = "; a batch of flat images becomes one by x.reshape(n, c, h, w)"
    raise ValueError(f"{name} takes images (n, c, h, w) or one image (c, h, w), not a shape {input.shape}{hint}")


def _as_given(out: Tensor, input: Tensor) -> Tensor:
    return out if input.ndim == 4 else ops.reshape(out, shape=out.shape[1:])


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """Two-dimensional convolution, (n, c, h, w) with a weight (o, c/groups, kh, kw) -> (n, o, h', w').

    `padding` may be "valid" or "same"; where "same" needs an odd number of zeros, the extra one goes right and below.
    """
    x = _image("conv2d", input)
    stride, dilation = pair("conv2d", "stride", stride, 1), pair("conv2d", "dilation", dilation, 1)
    if weight.ndim == 4 and x.shape[1] != weight.shape[1] * groups:
        channels = weight.shape[1] * groups
        hint = "; it looks channels-last: x.permute(0, 3, 1, 2)" if x.shape[-1] == channels else ""
        raise ValueError(
            f"conv2d: an input of shape {input.shape} has {x.shape[1]} channels, the weight {weight.shape} takes "
            f"{channels}{hint}"
        )
    if choice("conv2d", "padding", padding, ("valid", "same")) == "same" if isinstance(padding, str) else False:
        x, padding = _same(x, (weight.shape[2], weight.shape[3]), stride, dilation)
    padding = (0, 0) if padding == "valid" else pair("conv2d", "padding", padding)
    settings: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    out = ops.conv2d(x, weight, **settings) if bias is None else ops.conv2d_bias(x, weight, bias, **settings)
    return _as_given(out, input)


def _same(x: Tensor, kernel_size: Pair, stride: Pair, dilation: Pair) -> tuple[Tensor, Pair]:
    """The input, and the padding of a convolution that keeps its size; what is odd is padded right away."""
    if stride != (1, 1):
        raise ValueError(f'conv2d: padding="same" needs stride 1, not {stride}')
    total = tuple(d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True))
    odd = (total[0] % 2, total[1] % 2)
    if any(odd):
        x = pad(x, (0, odd[1], 0, odd[0]))
    return x, (total[0] // 2, total[1] // 2)


def max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """The largest value of each window; gradients go to the first of equal ones. (n, c, h, w) -> (n, c, h', w')."""
    kernel = pair("max_pool2d", "kernel_size", kernel_size, 1)
    out = ops.max_pool2d(
        _image("max_pool2d", input), kernel_size=kernel,
        stride=kernel if stride is None else pair("max_pool2d", "stride", stride, 1),
        padding=pair("max_pool2d", "padding", padding), dilation=pair("max_pool2d", "dilation", dilation, 1),
        ceil_mode=bool(ceil_mode),
    )  # fmt: skip
    return _as_given(out, input)


def avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window. (n, c, h, w) -> (n, c, h', w')."""
    kernel = pair("avg_pool2d", "kernel_size", kernel_size, 1)
    out = ops.avg_pool2d(
        _image("avg_pool2d", input), kernel_size=kernel,
        stride=kernel if stride is None else pair("avg_pool2d", "stride", stride, 1),
        padding=pair("avg_pool2d", "padding", padding), ceil_mode=bool(ceil_mode),
        count_include_pad=bool(count_include_pad),
    )  # fmt: skip
    return _as_given(out, input)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means over windows that give the output size: an int or a pair, None keeps an axis."""
    x = _image("adaptive_avg_pool2d", input)
    return _as_given(ops.adaptive_avg_pool2d(x, output_size=_output_size("adaptive_avg_pool2d", x, output_size)), input)


def adaptive_max_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Maxima over windows that give the output size: an int or a pair, None keeps an axis."""
    x = _image("adaptive_max_pool2d", input)
    return _as_given(ops.adaptive_max_pool2d(x, output_size=_output_size("adaptive_max_pool2d", x, output_size)), input)


def _output_size(name: str, x: Tensor, output_size: Any) -> Pair:
    sizes = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(sizes) != 2:
        raise ValueError(f"{name}: output_size must be an integer or a pair (height, width), not {output_size!r}")
    return pair(name, "output_size", tuple(k if s is None else s for s, k in zip(sizes, x.shape[2:], strict=True)), 1)


# ---------------------------------------------------------------- normalisation


def _or(parameter: Tensor | None, value: float, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """The parameter, or a constant in its place."""
    return ops.full(shape, value, dtype=like.dtype, backend=like.backend) if parameter is None else parameter


def batch_norm(
    input: Tensor, running_mean: Buffer | None, running_var: Buffer | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(x − mean)/√(var + eps)·weight + bias, for each channel (axis 1).

    In training the mean and the biased variance are the batch's, and the running ones, where given, are assigned
    (1 − momentum)·running + momentum·batch, with the unbiased variance. Otherwise the running ones are used.
    Ioffe & Szegedy 2015.
    """
    channels = input.shape[1]
    weight, bias = _or(weight, 1.0, (channels,), input), _or(bias, 0.0, (channels,), input)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: with training=False it needs running_mean and running_var")
        scale = weight * ops.rsqrt(running_var + eps)
        shape = (channels,) + (1,) * (input.ndim - 2)
        return input * ops.reshape(scale, shape=shape) + ops.reshape(bias - running_mean * scale, shape=shape)
    n = input.size // max(channels, 1)
    if n <= 1:
        raise ValueError(
            f"batch_norm: in training each channel needs more than one value, and an input of shape {input.shape} has "
            f"{n}; use a larger batch, or .eval()"
        )
    y, mean, var = ops.batch_norm(input, weight, bias, eps=eps)
    with no_grad():
        if running_mean is not None:
            running_mean.assign(running_mean * (1.0 - momentum) + mean.detach() * momentum)
        if running_var is not None:
            running_var.assign(running_var * (1.0 - momentum) + var.detach() * (momentum * n / (n - 1)))
    return y


def _trailing(name: str, input: Tensor, normalized_shape: Any) -> tuple[int, ...]:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ValueError(f"{name}: an input of shape {input.shape} does not end in the normalised axes {shape}")
    return shape


def layer_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(x − mean)/√(var + eps)·weight + bias over the last axes. Ba et al. 2016."""
    shape = _trailing("layer_norm", input, normalized_shape)
    if weight is None and bias is None:
        return ops.standardize(input, axes=len(shape), eps=eps)
    weight, bias = _or(weight, 1.0, shape, input), _or(bias, 0.0, shape, input)
    return ops.layer_norm(input, weight, bias, axes=len(shape), eps=eps)


MACHINE_EPSILON = {"float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


def rms_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x/√(mean(x²) + eps)·weight over the last axes; eps None is the dtype's machine epsilon. Zhang & Sennrich 2019."""
    shape = _trailing("rms_norm", input, normalized_shape)
    eps = MACHINE_EPSILON[input.dtype.name] if eps is None else eps
    return ops.rms_norm(input, weight, axes=len(shape), eps=eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalise each image's channels (axis 1) in groups. Wu & He 2018."""
    return ops.group_norm(input, num_groups, weight, bias, eps)


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """Vectors of length one: x / max(‖x‖ₚ, eps) along `dim`."""
    return input / ops.clip(ops.norm(input, ord=p, axis=dim, keepdims=True), min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x₁·x₂ / (max(‖x₁‖, eps)·max(‖x₂‖, eps)) along `dim` of both, broadcast."""
    x1, x2 = ops.broadcast_tensors(x1, x2)
    norms = [ops.clip(ops.norm(x, ord=2, axis=dim, keepdims=True), min=eps) for x in (x1, x2)]
    return ops.sum((x1 / norms[0]) * (x2 / norms[1]), axis=dim)


# ---------------------------------------------------------------- noise and look-up


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """In training each element is 0 with probability p and x/(1 − p) otherwise. Srivastava et al. 2014.

    The mask is drawn from `generator`, the default one (`pb.manual_seed`) for None.
    """
    p = probability("dropout", "p", p)
    if not training or p == 0.0:
        return input
    return ops.dropout(input, next_key(generator, input.backend), p=p)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """In training each channel of each image is 0 with probability p and x/(1 − p) otherwise. Tompson et al. 2015."""
    p = probability("dropout2d", "p", p)
    if input.ndim < 3:
        raise ValueError(f"dropout2d takes (n, c, h, w), not an input of shape {input.shape}; dropout takes any shape")
    if not training or p == 0.0:
        return input
    lead = input.ndim - 2
    ones = ops.ones((*input.shape[:lead], 1, 1), dtype=input.dtype, backend=input.backend)
    return input * ops.dropout(ones, next_key(generator, input.backend), p=p)


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False, *, generator: Any = None,
) -> Tensor:  # fmt: skip
    """softmax(scale·q·kᵀ + mask)·v: (…, L, d), (…, S, d), (…, S, e) -> (…, L, e). Vaswani et al. 2017.

    A mask holds bools that say which keys take part, or floats that are added. With enable_gqa the queries may have
    several times as many heads (axis −3) as keys and values. See `pb.scaled_dot_product_attention`.
    """
    if enable_gqa:
        key, value = (ops.repeat_interleave(x, query.shape[-3] // x.shape[-3], axis=-3) for x in (key, value))
    return ops.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout=dropout_p, is_causal=is_causal, scale=scale, generator=generator
    )


def embedding(input: Any, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of `weight` (rows, size) looked up by integers (…) -> (…, size); the row `padding_idx` gets no gradient."""
    index = input if isinstance(input, Tensor) else Tensor(input, backend=weight.backend)
    if index.dtype.kind not in "iu":
        raise TypeError(f"embedding: indices are integers, not {index.dtype}; convert with .astype('int64')")
    out = ops.take(weight, index, axis=0)
    if padding_idx is None:
        return out
    return ops.where(ops.unsqueeze(index == padding_idx % weight.shape[0], -1), out.detach(), out)


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """Integers (…) as int64 vectors (…, num_classes) with a 1 at each; num_classes −1 is the largest integer plus 1."""
    index = tensor if isinstance(tensor, Tensor) else Tensor(tensor)
    if index.dtype.kind not in "iu":
        raise TypeError(f"one_hot: classes are integers, not {index.dtype}")
    if index.size == 0 and num_classes < 1:
        raise ValueError("one_hot: give num_classes for an empty tensor")
    values = every_value(index)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    count = high + 1 if num_classes == -1 else num_classes
    if low < 0 or high >= count:
        raise ValueError(f"one_hot: classes must be from 0 to {count - 1}; these reach from {low} to {high}")
    classes = ops.arange(count, backend=index.backend)
    return (ops.unsqueeze(index, -1) == classes).astype("int64")
