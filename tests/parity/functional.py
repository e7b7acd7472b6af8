"""Functions of `pullback.nn.functional`, each beside the OpInfo of torch.nn.functional's."""

from __future__ import annotations

import itertools
from typing import Any

from pullback.nn import Buffer
from pullback.nn import functional as F

from .case import Absent, Entry, NotSupportedError, Section
from .opinfo import entry
from .ops import FLOATS, MODES, RANDOM, gaussian_nll_loss, named, scores, with_distance

ABOUT = """
`pullback.nn.functional.<name>`, called with the arguments of the samples as they are.
"""

#: Those that the OpInfo `nn.functional.<name>` has, or the ones named.
SAME = """
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
bilinear binary_cross_entropy_with_logits celu channel_shuffle cosine_embedding_loss cosine_similarity cross_entropy
elu gelu glu group_norm hardshrink hardswish hinge_embedding_loss huber_loss kl_div l1_loss layer_norm
leaky_relu linear logsigmoid margin_ranking_loss mish mse_loss
multilabel_soft_margin_loss nll_loss normalize one_hot pairwise_distance pixel_shuffle pixel_unshuffle poisson_nll_loss
prelu relu rms_norm selu silu smooth_l1_loss soft_margin_loss softplus softshrink softsign tanhshrink threshold
triplet_margin_loss unfold

flatten=flatten sigmoid=sigmoid tanh=tanh unflatten=unflatten
log_softmax=log_softmax,log_softmax:with_dtype softmax=softmax,softmax:with_dtype
softmin=nn.functional.softmin,nn.functional.softmin:with_dtype
"""
#: The same, of floats alone.
OF_FLOATS = """
avg_pool1d conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d hardtanh
max_pool1d max_pool2d max_pool3d relu6
"""


def batch_norm(x: Any, mean: Any, var: Any, *args: Any, **kwargs: Any) -> Any:
    """Running statistics are buffers, which are assigned; what they become, the layers compare."""
    if x.ndim < 2:
        raise NotSupportedError("an input without an axis of channels")
    running = (None if s is None else Buffer(s.detach(), backend=s.backend) for s in (mean, var))
    return F.batch_norm(x, *running, *args, **kwargs)


def instance_norm(x: Any, running_mean: Any = None, running_var: Any = None, **kwargs: Any) -> Any:
    """As `batch_norm`."""
    running = (None if s is None else Buffer(s.detach(), backend=s.backend) for s in (running_mean, running_var))
    return F.instance_norm(x, *running, **kwargs)


def max_unpool(name: str) -> Entry:
    """Where an index occurs twice, PyTorch's gradient is not that of its values: only distinct ones are differentiated.

    PyTorch has samples of its own for that.
    """
    values = entry(getattr(F, name), f"nn.functional.{name}", order=0)
    gradients = entry(getattr(F, name), f"nn.functional.{name}:grad")
    return Entry(f"{values.against}, {gradients.against}", lambda: itertools.chain(values.cases(), gradients.cases()))


def avg_pool_like(fn: Any) -> Any:
    def call(x: Any, kernel_size: Any, stride: Any = None, *args: Any, **kwargs: Any) -> Any:
        if stride is not None and stride in ([], ()):
            raise NotSupportedError("a stride of no numbers, which is None")
        return fn(x, kernel_size, stride, *args, **kwargs)

    return call


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


def plain_look_up(kwargs: dict[str, Any]) -> None:
    if kwargs.get("max_norm") is not None:
        raise NotSupportedError("max_norm: the weights would be changed in place")
    if kwargs.pop("scale_grad_by_freq", False) or kwargs.pop("sparse", False):
        raise NotSupportedError("gradients that are sparse or scaled by frequency")


def embedding(weight: Any, index: Any, **kwargs: Any) -> Any:
    """PyTorch's samples have the weights first."""
    plain_look_up(kwargs)
    return F.embedding(index, weight, **kwargs)


def embedding_bag(weight: Any, index: Any, **kwargs: Any) -> Any:
    plain_look_up(kwargs)
    return F.embedding_bag(index, weight, **kwargs)


LP_POOLS = ("lp_pool1d", "lp_pool2d", "lp_pool3d")
PADDINGS = ("constant", "reflect", "replicate", "replicate_negative", "circular")
ADAPTED: dict[str, Entry | Absent] = {
    "batch_norm": entry(batch_norm, "nn.functional.batch_norm"),
    "binary_cross_entropy": entry(
        # PyTorch adds 1e-12 to the denominator of the second gradient
        F.binary_cross_entropy, "nn.functional.binary_cross_entropy", tolerance=1e-8,
    ),
    "ctc_loss": entry(
        # PyTorch's gradient is only right behind a log-softmax, and it has no second one
        F.ctc_loss, "nn.functional.ctc_loss", before=lambda x: x.log_softmax(-1), order=1,
    ),
    **{
        name: entry(dropout_like(getattr(F, name)), f"nn.functional.{name}")
        for name in ("alpha_dropout", "dropout", "dropout2d", "dropout3d")
    },
    "feature_alpha_dropout": entry(
        dropout_like(F.feature_alpha_dropout),
        "nn.functional.feature_alpha_dropout:with_train", "nn.functional.feature_alpha_dropout:without_train",
    ),
    "embedding_bag": entry(embedding_bag, "nn.functional.embedding_bag"),
    **{name: max_unpool(name) for name in ("max_unpool1d", "max_unpool2d", "max_unpool3d")},
    **{
        name: entry(avg_pool_like(getattr(F, name)), f"nn.functional.{name}", integers=FLOATS)
        for name in ("avg_pool2d", "avg_pool3d")
    },
    **{
        name: entry(scores(getattr(F, name)), f"nn.functional.{name}")
        for name in ("multi_margin_loss", "multilabel_margin_loss")
    },
    "triplet_margin_with_distance_loss": entry(
        with_distance(F.triplet_margin_with_distance_loss), "nn.functional.triplet_margin_with_distance_loss"
    ),
    "instance_norm": entry(instance_norm, "nn.functional.instance_norm"),
    "interpolate": entry(F.interpolate, *(f"nn.functional.interpolate:{mode}" for mode in MODES)),
    "local_response_norm": entry(
        F.local_response_norm, "nn.functional.local_response_norm", integers="rounded to whole numbers by PyTorch"
    ),
    "affine_grid": Absent("PyTorch has no samples; compared with it in the tests"),
    "gumbel_softmax": Absent(RANDOM),
    "rrelu": Absent(RANDOM),
    # a float32 position may round to another pixel
    "grid_sample": entry(F.grid_sample, "nn.functional.grid_sample"),
    "embedding": entry(embedding, "nn.functional.embedding"),
    "gaussian_nll_loss": entry(gaussian_nll_loss, "nn.functional.gaussian_nll_loss"),
    "hardsigmoid": entry(F.hardsigmoid, "nn.functional.hardsigmoid", tolerance=1e-7),  # PyTorch's 1/6 is a float32
    "pad": entry(F.pad, *(f"nn.functional.pad:{mode}" for mode in PADDINGS)),
    "scaled_dot_product_attention": entry(
        scaled_dot_product_attention, "nn.functional.scaled_dot_product_attention",
    ),
    **{name: Absent("PyTorch has no samples; compared with it in the tests") for name in ("fold", *LP_POOLS)},
    "dropout1d": Absent(RANDOM),
    "batch_norm_relu": Absent("PyTorch has no such function; compared with its parts in the tests"),
    "info_nce": Absent("PyTorch has no such loss"),
    "nt_xent": Absent("PyTorch has no such loss"),
}  # fmt: skip


def entries() -> dict[str, Entry | Absent]:
    """All, in alphabetical order."""
    made = {name: entry(getattr(F, name), *infos) for name, infos in named(SAME, "nn.functional.")}
    made |= {
        name: entry(getattr(F, name), *infos, integers=FLOATS) for name, infos in named(OF_FLOATS, "nn.functional.")
    }
    return dict(sorted((made | ADAPTED).items()))


SECTION = Section("nn.functional", ABOUT, lambda: F.__all__, entries())
