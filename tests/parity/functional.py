"""Functions of `pullback.nn.functional`, each beside the OpInfo of torch.nn.functional's."""

from __future__ import annotations

from typing import Any

from pullback.nn import Buffer
from pullback.nn import functional as F

from .case import Absent, Entry, NotSupportedError, Section
from .opinfo import entry
from .ops import FLOATS, RANDOM, first, gaussian_nll_loss, named

ABOUT = """
`pullback.nn.functional.<name>`, called with the arguments of the samples as they are.
"""

#: Those that the OpInfo `nn.functional.<name>` has, or the ones named.
SAME = """
adaptive_avg_pool2d avg_pool2d celu cosine_embedding_loss cosine_similarity cross_entropy elu gelu glu
group_norm hardshrink hardswish hinge_embedding_loss huber_loss kl_div l1_loss layer_norm leaky_relu linear logsigmoid
margin_ranking_loss mish mse_loss nll_loss normalize one_hot pairwise_distance poisson_nll_loss prelu relu
rms_norm selu silu smooth_l1_loss softplus softshrink softsign tanhshrink threshold triplet_margin_loss unfold
binary_cross_entropy_with_logits flatten=flatten unflatten=unflatten sigmoid=sigmoid tanh=tanh
softmax=softmax,softmax:with_dtype log_softmax=log_softmax,log_softmax:with_dtype
softmin=nn.functional.softmin,nn.functional.softmin:with_dtype
"""


def batch_norm(x: Any, mean: Any, var: Any, *args: Any, **kwargs: Any) -> Any:
    """Running statistics are buffers, which are assigned; what they become, the layers compare."""
    if x.ndim < 2:
        raise NotSupportedError("an input without an axis of channels")
    running = (None if s is None else Buffer(s.detach(), backend=s.backend) for s in (mean, var))
    return F.batch_norm(x, *running, *args, **kwargs)


def dropout_like(fn: Any) -> Any:
    def call(x: Any, p: float = 0.5, training: bool = True, **kwargs: Any) -> Any:
        if training and 0.0 < p < 1.0:
            raise NotSupportedError(RANDOM)
        return fn(x, p, training, **kwargs)

    return call


def scaled_dot_product_attention(*args: Any, dropout_p: float = 0.0, **kwargs: Any) -> Any:
    if dropout_p:
        raise NotSupportedError(RANDOM)
    return F.scaled_dot_product_attention(*args, dropout_p=dropout_p, **kwargs)


def embedding(weight: Any, index: Any, **kwargs: Any) -> Any:
    """PyTorch's samples have the weights first."""
    if "max_norm" in kwargs:
        raise NotSupportedError("max_norm: the weights would be changed in place")
    if kwargs.pop("scale_grad_by_freq", False) or kwargs.pop("sparse", False):
        raise NotSupportedError("gradients that are sparse or scaled by frequency")
    return F.embedding(index, weight, **kwargs)


PADDINGS = ("constant", "reflect", "replicate", "replicate_negative", "circular")
ADAPTED: dict[str, Entry | Absent] = {
    "adaptive_max_pool2d": entry(F.adaptive_max_pool2d, "nn.functional.adaptive_max_pool2d", keep=first),
    "batch_norm": entry(batch_norm, "nn.functional.batch_norm"),
    "binary_cross_entropy": entry(
        # PyTorch adds 1e-12 to the denominator of the second gradient
        F.binary_cross_entropy, "nn.functional.binary_cross_entropy", tolerance=1e-8,
    ),
    "conv2d": entry(F.conv2d, "nn.functional.conv2d", integers=FLOATS),
    "ctc_loss": entry(
        # PyTorch's gradient is only right behind a log-softmax, and it has no second one
        F.ctc_loss, "nn.functional.ctc_loss", before=lambda x: x.log_softmax(-1), order=1,
    ),
    "dropout": entry(dropout_like(F.dropout), "nn.functional.dropout"),
    "dropout2d": entry(dropout_like(F.dropout2d), "nn.functional.dropout2d"),
    "embedding": entry(embedding, "nn.functional.embedding"),
    "gaussian_nll_loss": entry(gaussian_nll_loss, "nn.functional.gaussian_nll_loss"),
    "hardsigmoid": entry(F.hardsigmoid, "nn.functional.hardsigmoid", tolerance=1e-7),  # PyTorch's 1/6 is a float32
    "hardtanh": entry(F.hardtanh, "nn.functional.hardtanh", integers=FLOATS),
    "max_pool2d": entry(F.max_pool2d, "nn.functional.max_pool2d", keep=first),
    "pad": entry(F.pad, *(f"nn.functional.pad:{mode}" for mode in PADDINGS)),
    "relu6": entry(F.relu6, "nn.functional.relu6", integers=FLOATS),
    "scaled_dot_product_attention": entry(
        scaled_dot_product_attention, "nn.functional.scaled_dot_product_attention",
    ),
    "fold": Absent("PyTorch has no samples; `test_more_ops.py` compares it"),
    "info_nce": Absent("PyTorch has no such loss"),
    "nt_xent": Absent("PyTorch has no such loss"),
}  # fmt: skip


def entries() -> dict[str, Entry | Absent]:
    """All, in alphabetical order."""
    made = {name: entry(getattr(F, name), *infos) for name, infos in named(SAME, "nn.functional.")}
    return dict(sorted((made | ADAPTED).items()))


SECTION = Section("nn.functional", ABOUT, lambda: F.__all__, entries())
