"""Layers and losses as functions, with PyTorch's names, arguments and defaults. Thin: the ops have the mathematics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import ops
from ..autograd.ops.ctc import ctc_loss
from ..autograd.ops.images import channel_shuffle, local_response_norm, pixel_shuffle, pixel_unshuffle
from ..autograd.ops.lookup import embedding, embedding_bag
from ..autograd.ops.loss_margin import (
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_with_distance_loss,
)
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
from ..autograd.ops.resample import interpolate
from ..autograd.ops.sampling import affine_grid, grid_sample
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
from .buffer import Buffer
from .convolution import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d, pad
from .lookup import one_hot
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
from .noise import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout, gumbel_softmax, rrelu
from .pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "affine_grid", "alpha_dropout", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm",
    "batch_norm_relu", "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu",
    "channel_shuffle", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "ctc_loss", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "elu", "embedding", "embedding_bag", "feature_alpha_dropout", "flatten", "fold", "gaussian_nll_loss",
    "gelu", "glu", "grid_sample", "group_norm", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "hinge_embedding_loss", "huber_loss", "info_nce", "instance_norm", "interpolate", "kl_div", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "local_response_norm", "log_softmax", "logsigmoid", "lp_pool1d", "lp_pool2d",
    "lp_pool3d", "margin_ranking_loss", "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d",
    "max_unpool3d", "mish", "mse_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss",
    "nll_loss", "normalize", "nt_xent", "one_hot", "pad", "pairwise_distance", "pixel_shuffle", "pixel_unshuffle",
    "poisson_nll_loss", "prelu", "relu", "relu6", "rms_norm", "rrelu", "scaled_dot_product_attention", "selu",
    "sigmoid", "silu", "smooth_l1_loss", "soft_margin_loss", "softmax", "softmin", "softplus", "softshrink",
    "softsign", "tanh", "tanhshrink", "threshold", "triplet_margin_loss", "triplet_margin_with_distance_loss",
    "unflatten", "unfold",
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


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x₁ᵀ·A·x₂ + b for each matrix A of the weight.

    input1: (…, m), input2: (…, n), weight: (out, m, n), bias: (out,) -> (…, out).
    """
    if (
        weight.ndim != 3
        or input1.shape[:-1] != input2.shape[:-1]
        or ((input1.shape[-1:], input2.shape[-1:]) != (weight.shape[1:2], weight.shape[2:]))
    ):
        raise ValueError(
            f"bilinear: inputs {input1.shape} and {input2.shape} must be (…, m) and (…, n) for a weight (out, m, n), "
            f"not {weight.shape}"
        )
    out, m, n = weight.shape
    maps = ops.reshape(ops.permute(weight, (1, 0, 2)), shape=(m, out * n))
    half = ops.reshape(ops.matmul(input1, maps), shape=(*input1.shape[:-1], out, n))
    y = ops.squeeze(ops.matmul(half, ops.unsqueeze(input2, -1)), -1)
    return y if bias is None else y + bias


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


def _axis(name: str, dim: int, ndim: int) -> int:
    if not -ndim <= dim < ndim:
        raise IndexError(f"{name}: axis {dim} is out of range for {ndim} axes")
    return dim % ndim


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
    return _batch_norm(ops.batch_norm, input, (), running_mean, running_var, weight, bias, training, momentum, eps)


def batch_norm_relu(
    input: Tensor, running_mean: Buffer | None, running_var: Buffer | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
    residual: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """relu(batch_norm(input, …) + residual), in fewer passes over memory where the backend has an op for it.

    residual: of the input's shape; None for none. The other arguments are those of `batch_norm`.

    Raises
    ------
    ValueError : the residual has another shape than the input.
    """
    if residual is not None and residual.shape != input.shape:
        raise ValueError(
            f"batch_norm_relu: the residual must have the input's shape {input.shape}, not {residual.shape}"
        )
    op, more = (ops.batch_norm_relu, ()) if residual is None else (ops.batch_norm_add_relu, (residual,))
    if training and input.size and op.name in input.backend.kernels:
        return _batch_norm(op, input, more, running_mean, running_var, weight, bias, training, momentum, eps)
    y = batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    return ops.relu(y if residual is None else y + residual)


def _check_running(owner: str, channels: int, mean: Any, var: Any, moved: bool) -> None:
    """Running statistics have a value for each channel, and can be assigned to where they are `moved`."""
    for name, value in (("running_mean", mean), ("running_var", var)):
        if value is None:
            continue
        if value.shape != (channels,):
            raise ValueError(
                f"{owner}: {name} must have shape {(channels,)}, a value for each channel of the input, "
                f"not {value.shape}"
            )
        if moved and not hasattr(value, "assign"):
            raise TypeError(
                f"{owner}: {name} is assigned to in training, and a {type(value).__name__} cannot be; make it an "
                "nn.Buffer, or pass None"
            )


def _batch_norm(
    op: Any, input: Tensor, more: tuple[Tensor, ...], running_mean: Buffer | None, running_var: Buffer | None,
    weight: Tensor | None, bias: Tensor | None, training: bool, momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    """`batch_norm`, in training by an op of (input, *more, weight, bias) that gives mean and variance too."""
    if input.ndim < 2:
        raise ValueError(f"batch_norm: it needs an input (n, c, …), not one of shape {input.shape}")
    channels = input.shape[1]
    _check_running("batch_norm", channels, running_mean, running_var, training)
    weight, bias = _or(weight, 1.0, (channels,), input), _or(bias, 0.0, (channels,), input)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: with training=False it needs running_mean and running_var")
        for name, affine in (("weight", weight), ("bias", bias)):
            if affine.shape != (channels,):
                raise ValueError(f"batch_norm: the {name} must have shape {(channels,)}, not {affine.shape}")
        scale = weight * ops.rsqrt(running_var + eps)
        shape = (channels,) + (1,) * (input.ndim - 2)
        return input * ops.reshape(scale, shape=shape) + ops.reshape(bias - running_mean * scale, shape=shape)
    n = input.size // max(channels, 1)
    if input.size == 0:  # a batch of nothing has no statistics; the result only depends on weight and bias in shape
        shape = (channels,) + (1,) * (input.ndim - 2)
        return input * ops.reshape(weight, shape=shape) + ops.reshape(bias, shape=shape)
    if n <= 1:
        raise ValueError(
            f"batch_norm: in training each channel needs more than one value, and an input of shape {input.shape} has "
            f"{n}; use a larger batch, or .eval()"
        )
    y, mean, var = op(input, *more, weight, bias, eps=eps)
    with no_grad():
        if running_mean is not None:
            running_mean.assign(running_mean * (1.0 - momentum) + mean.detach() * momentum)
        if running_var is not None:
            running_var.assign(running_var * (1.0 - momentum) + var.detach() * (momentum * n / (n - 1)))
    return y


def _trailing(name: str, input: Tensor, normalized_shape: Any) -> tuple[int, ...]:
    shape = tuple(normalized_shape) if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
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
    if eps is None:  # integers become the default float
        eps = MACHINE_EPSILON.get(input.dtype.name, MACHINE_EPSILON["float32"])
    return ops.rms_norm(input, weight, axes=len(shape), eps=eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalise each image's channels (axis 1) in groups. Wu & He 2018."""
    return ops.group_norm(input, num_groups, weight, bias, eps)


def instance_norm(
    input: Tensor, running_mean: Buffer | None = None, running_var: Buffer | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(x − mean)/√(var + eps)·weight + bias, for each channel of each sample. (n, c, …). Ulyanov et al. 2016.

    With use_input_stats the mean and the biased variance are the sample's, and the running ones, where given, move
    towards the batch's mean of them (of the unbiased variance). Otherwise the running ones are used.
    """
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm: with use_input_stats=False it needs running_mean and running_var")
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    count = math.prod(input.shape[2:])
    if input.ndim < 3 or count <= 1:
        raise ValueError(
            f"instance_norm: a channel of a sample needs more than one value; an input of shape {input.shape} has "
            f"{count if input.ndim > 2 else 'no axes for them'}"
        )
    _check_running("instance_norm", input.shape[1], running_mean, running_var, True)
    with no_grad():
        over = tuple(range(2, input.ndim))
        if running_mean is not None:
            mean = ops.mean(ops.mean(input, axis=over), axis=0)
            running_mean.assign(running_mean * (1.0 - momentum) + mean * momentum)
        if running_var is not None:
            var = ops.mean(ops.var(input, axis=over, correction=1), axis=0)
            running_var.assign(running_var * (1.0 - momentum) + var * momentum)
    return ops.instance_norm(input, weight, bias, eps)


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """Vectors of length one: x / max(‖x‖ₚ, eps) along `dim`."""
    return input / ops.clip(ops.norm(input, ord=p, axis=dim, keepdims=True), min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x₁·x₂ / (max(‖x₁‖, eps)·max(‖x₂‖, eps)) along `dim` of both, broadcast."""
    x1, x2 = ops.broadcast_tensors(x1, x2)
    norms = [ops.clip(ops.norm(x, ord=2, axis=dim, keepdims=True), min=eps) for x in (x1, x2)]
    return ops.sum((x1 / norms[0]) * (x2 / norms[1]), axis=dim)


# ---------------------------------------------------------------- attention


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
