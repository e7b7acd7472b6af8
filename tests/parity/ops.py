"""Functions of `pullback`, each beside the OpInfo of PyTorch's counterpart."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pullback as pb
from pullback.autograd import ops

from .case import Absent, Entry, NotSupportedError, Section
from .opinfo import entry

ABOUT = """
`pullback.<name>` for every function that the ops define. Where PyTorch has more arguments, or names them otherwise, the
samples are translated; what cannot be is listed as skipped.
"""

#: Ours -> the OpInfos of a function with the same arguments. A name alone stands for itself.
SAME = """
abs acos acosh all amax amin any argmax argmin asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_or
bitwise_right_shift bitwise_xor broadcast_tensors broadcast_to ceil chunk clamp copysign cos cosh count_nonzero cross
cumprod cumsum diag_embed diff digamma dot erf erfc erfinv exp exp2 expand expm1 flatten flip floor floor_divide fmod
frac full_like hypot index_add index_select inner isfinite isinf isnan kron lerp lgamma log log10 log1p log2
logaddexp logcumsumexp logical_and logical_not logical_or logical_xor logit logsumexp mT masked_fill masked_select
matmul maximum mean minimum movedim nan_to_num ones_like outer permute pow prod reciprocal remainder repeat_interleave
reshape roll rsqrt sign signbit sin sinh sqrt square squeeze stack sum take tan tanh tile trace transpose
tril triu trunc unbind unsqueeze vdot view xlogy zeros_like

allclose bitwise_not bmm eq ge gt isclose le lt mm mul mv ne neg take_along_dim
bitwise_invert=bitwise_not clip=clamp divide=div:no_rounding_mode
equal=eq expand_dims=unsqueeze greater=gt greater_equal=ge identity=clone less=lt less_equal=le
meshgrid=meshgrid:variadic_tensors,meshgrid:list_of_tensors moveaxis=movedim multiply=mul negative=neg not_equal=ne
norm=norm,norm:fro,norm:inf power=pow std=std,std:unbiased swapaxes=transpose var=var,var:unbiased
diagonal=diagonal,linalg.diagonal round=round,round:decimals_0,round:decimals_3,round:decimals_neg_3
scatter_add=scatter_add searchsorted=searchsorted sort=sort
scatter_reduce=scatter_reduce:sum,scatter_reduce:prod,scatter_reduce:mean,scatter_reduce:amin,scatter_reduce:amax
bucketize=bucketize unique=unique unique_consecutive=unique_consecutive nonzero=nonzero

det=linalg.det inv=linalg.inv
matrix_power=linalg.matrix_power pinv=linalg.pinv qr=linalg.qr slogdet=linalg.slogdet
solve=linalg.solve svdvals=linalg.svdvals vecdot=linalg.vecdot svd=linalg.svd

softmax=softmax,softmax:with_dtype log_softmax=log_softmax,log_softmax:with_dtype
log_sigmoid=nn.functional.logsigmoid sigmoid=sigmoid bce_with_logits=nn.functional.binary_cross_entropy_with_logits
"""
#: Ours -> the OpInfos of torch.nn.functional, whose names alone stand for `nn.functional.<name>`.
FUNCTIONAL = """
multilabel_soft_margin_loss soft_margin_loss
 adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d   celu channel_shuffle      cosine_embedding_loss
cross_entropy elu gelu glu group_norm hardshrink hardswish hinge_embedding_loss huber_loss kl_div l1_loss leaky_relu
margin_ranking_loss mish mse_loss nll_loss one_hot pairwise_distance pixel_shuffle pixel_unshuffle poisson_nll_loss
prelu relu selu silu smooth_l1_loss softplus softshrink softsign tanhshrink threshold triplet_margin_loss unfold
"""
FLOATS = "whole numbers become floats (docs/conventions.md), where PyTorch keeps them"
RANDOM = "random numbers, which are not PyTorch's"


def first(result: Any) -> Any:
    """A result without the indices that PyTorch gives with it."""
    return result[0] if isinstance(result, (tuple, list)) else result


def everywhere(result: Any) -> Any:
    """True in the shape of a result: for memory that holds anything."""
    return (result == result) | (result != result)


def symmetric(x: Any) -> Any:
    return (x + x.mT) / 2


def values(fn: Any) -> Any:
    """Ours gives values alone; `keep=first` drops PyTorch's indices."""

    def call(x: Any, size: Any, return_indices: bool = False) -> Any:
        return fn(x, size)

    return call


def cat_like(fn: Any) -> Any:
    def call(parts: Any, *args: Any, **kwargs: Any) -> Any:
        if any(p.shape == (0,) for p in parts) and any(p.ndim > 1 for p in parts):
            raise NotSupportedError("arrays of different rank: PyTorch ignores those of shape (0,)")
        return fn(parts, *args, **kwargs)

    return call


def gather_like(fn: Any) -> Any:
    def call(x: Any, dim: int, index: Any) -> Any:
        if 0 in index.shape and index.ndim != x.ndim:
            raise NotSupportedError("an index without elements that has another number of axes than the tensor")
        return fn(x, dim, index)

    return call


def scatter_like(fn: Any) -> Any:
    def call(x: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
        return fn(x, dim, index, value if src is None else src, reduce=reduce)

    return call


def tensordot(x: Any, y: Any, *, dims: Any) -> Any:
    if not isinstance(dims, int) and [x.shape[i] for i in dims[0]] != [y.shape[j] for j in dims[1]]:
        raise NotSupportedError("axes of different length: PyTorch broadcasts one of length 1")
    return pb.tensordot(x, y, dims=dims)


def scores(fn: Any) -> Any:
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not x.ndim:
            raise NotSupportedError("scores without an axis of classes")
        return fn(x, *args, **kwargs)

    return call


def with_distance(fn: Any) -> Any:
    """The samples' distance is a module of PyTorch's, the default one."""

    def call(*args: Any, distance_function: Any = None, **kwargs: Any) -> Any:
        return fn(*args, distance_function=distance_function and pb.pairwise_distance, **kwargs)

    return call


def gaussian_nll_loss(x: Any, target: Any, var: Any, **kwargs: Any) -> Any:
    if x.shape != target.shape:
        raise NotSupportedError("prediction and target of different shapes (docs/conventions.md)")
    return pb.gaussian_nll_loss(x, target, var, **kwargs)


def split(x: Any, size: Any, dim: int = 0) -> Any:
    return pb.split(x, size, dim=dim)  # `axis` would mean NumPy's split


def polygamma(x: Any, n: int) -> Any:
    return pb.polygamma(n, x)


def where(x: Any, condition: Any, y: Any) -> Any:
    return pb.where(condition, x, y)


def einsum(operands: Any, equation: str) -> Any:
    return pb.einsum(equation, *operands)


def topk_like(fn: Any) -> Any:
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if x.dtype.kind == "i":
            raise NotSupportedError("positions of equal elements, which PyTorch leaves open")
        return fn(x, *args, **kwargs)

    return call


def add_like(fn: Any) -> Any:
    def call(x: Any, y: Any, alpha: float = 1) -> Any:
        if alpha != 1:
            raise NotSupportedError("alpha: write `x + alpha * y`")
        return fn(x, y)

    return call


def full(shape: Any, value: float, **kwargs: Any) -> Any:
    return pb.full(tuple(shape), value, **kwargs)


MODES = ("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area")


def arange(start: float, *args: Any, end: float | None = None, step: float = 1, **kwargs: Any) -> Any:
    return pb.arange(start, *args, **kwargs) if end is None else pb.arange(start, end, step, **kwargs)


def linspace(start: float, end: float, steps: int, **kwargs: Any) -> Any:
    if kwargs.get("dtype") == "int64" and (start % 1 or end % 1):
        raise NotSupportedError("whole numbers between fractions, where PyTorch truncates the ends first")
    return pb.linspace(start, end, steps, **kwargs)


ADAPTED: dict[str, Entry] = {
    "add": entry(add_like(pb.add), "add"),
    "sub": entry(add_like(pb.sub), "sub"),
    "subtract": entry(add_like(pb.subtract), "sub"),
    "arange": entry(arange, "arange"),
    "argsort": entry(pb.argsort, "argsort"),
    "binary_cross_entropy": entry(
        # PyTorch adds 1e-12 to the denominator of the second gradient
        pb.binary_cross_entropy, "nn.functional.binary_cross_entropy", tolerance=1e-8,
    ),
    "ctc_loss": entry(
        # PyTorch's gradient is only right behind a log-softmax, and it has no second one
        pb.ctc_loss, "nn.functional.ctc_loss", before=lambda x: x.log_softmax(-1), order=1,
    ),
    **{
        f"adaptive_max_pool{n}d": entry(
            getattr(pb, f"adaptive_max_pool{n}d"), f"nn.functional.adaptive_max_pool{n}d", keep=first
        )
        for n in (1, 3)
    },
    "grid_sample": entry(pb.grid_sample, "nn.functional.grid_sample"),
    "interpolate": entry(pb.interpolate, *(f"nn.functional.interpolate:{mode}" for mode in MODES)),
    "cat": entry(cat_like(pb.cat), "cat"),
    "concat": entry(cat_like(pb.concat), "cat"),
    "concatenate": entry(cat_like(pb.concatenate), "cat"),
    # PyTorch reads one triangle, ours the symmetric part: on symmetric matrices they agree, as do the gradients
    "cholesky": entry(pb.cholesky, "linalg.cholesky", "cholesky", before=symmetric),
    "eigh": entry(pb.eigh, "linalg.eigh", before=symmetric),
    "eigvalsh": entry(pb.eigvalsh, "linalg.eigvalsh", before=symmetric),
    "pinv": entry(pb.pinv, "linalg.pinv"),
    "einsum": entry(einsum, "einsum"),
    "empty": entry(pb.empty, "empty", keep=everywhere),
    "empty_like": entry(pb.empty_like, "empty_like", keep=everywhere),
    "eye": entry(pb.eye, "eye"),
    "gather": entry(gather_like(pb.gather), "gather"),
    "gaussian_nll_loss": entry(gaussian_nll_loss, "nn.functional.gaussian_nll_loss"),
    "full": entry(full, "full"),
    "hardsigmoid": entry(pb.hardsigmoid, "nn.functional.hardsigmoid", tolerance=1e-7),  # PyTorch's 1/6 is a float32
    "hardtanh": entry(pb.hardtanh, "nn.functional.hardtanh", integers=FLOATS),
    "linspace": entry(linspace, "linspace"),
    "local_response_norm": entry(
        pb.local_response_norm, "nn.functional.local_response_norm", integers="rounded to whole numbers by PyTorch"
    ),
    "max": entry(pb.max, "max:reduction_no_dim", "max:reduction_with_dim", keep=first),
    "median": entry(pb.median, "median", keep=first),
    "min": entry(pb.min, "min:reduction_no_dim", "min:reduction_with_dim", keep=first),
    **{
        name: entry(scores(getattr(pb, name)), f"nn.functional.{name}")
        for name in ("multi_margin_loss", "multilabel_margin_loss")
    },
    "triplet_margin_with_distance_loss": entry(
        with_distance(pb.triplet_margin_with_distance_loss), "nn.functional.triplet_margin_with_distance_loss"
    ),
    "ones": entry(pb.ones, "ones"),
    "polygamma": entry(polygamma, *(f"polygamma:polygamma_n_{n}" for n in range(5))),
    "relu6": entry(pb.relu6, "nn.functional.relu6", integers=FLOATS),
    "scatter": entry(scatter_like(pb.scatter), "scatter"),
    "tensordot": entry(tensordot, "tensordot"),
    "split": entry(split, "split", "split:list_args"),
    "topk": entry(topk_like(pb.topk), "topk"),
    "where": entry(where, "where"),
    "zeros": entry(pb.zeros, "zeros"),
}  # fmt: skip

#: Why names have no counterpart -> the names.
PARTS = "ops that rules and layers are made of; the conformance table has them"
ABSENT = {
    PARTS: """
        attention_weights batch_norm_add_relu batch_norm_relu conv2d_bias conv2d_relu conv2d_relu_max_pool2d
        gather_places linear_gelu linear_relu max_pool2d_gather max_pool2d_unpool spread_places standardize
    """,
    "compared as `nn.functional`'s of the same name, with PyTorch's arguments": """
        adaptive_max_pool2d avg_pool1d avg_pool2d avg_pool3d batch_norm conv1d conv2d conv3d conv_transpose1d
        conv_transpose2d conv_transpose3d dropout embedding embedding_bag instance_norm layer_norm linear max_pool1d
        max_pool2d max_pool3d pad rms_norm scaled_dot_product_attention
    """,
    "compared with the layers `nn.RNN`, `nn.LSTM` and `nn.GRU`": "gru lstm rnn",
    "make tensors from other data, or convert them; PyTorch has no samples": "asarray astype from_dlpack tensor",
    "PyTorch has no samples; compared with it in the tests": "affine_grid fold lp_pool max_unpool",
    "random state": "Generator default_generator manual_seed",
    "PyTorch has no such loss": "info_nce nt_xent",
    "NumPy's name; compared as `gather`": "take_along_axis",
    "compared as `Tensor.__getitem__`": "getitem",
}


#: The same for all names that end so.
ENDINGS = {"_grad": PARTS, "_step": "compared with the optimisers"}


def named(table: str, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """The pairs of a table such as SAME; a name alone stands for the OpInfo with that prefix."""
    for word in table.split():
        name, _, infos = word.partition("=")
        yield name, (infos or prefix + name).split(",")


def public() -> set[str]:
    """What the ops offer under `pullback`."""
    modules = (importlib.import_module(f"{ops.__name__}.{info.name}") for info in pkgutil.iter_modules(ops.__path__))
    found = {name for module in modules for name in getattr(module, "__all__", ()) if name in vars(pb)}
    return found | {f"random.{name}" for name in pb.random.__all__}


def entries() -> dict[str, Entry | Absent]:
    """All, in alphabetical order."""
    pairs = [*named(SAME), *named(FUNCTIONAL, "nn.functional.")]
    made: dict[str, Entry | Absent] = {name: entry(getattr(pb, name), *infos) for name, infos in pairs}
    made |= ADAPTED
    for reason, names in ABSENT.items():
        made |= {name: Absent(reason) for name in names.split()}
    made |= {name: Absent(RANDOM) for name in public() if name.startswith("random.")}
    for ending, reason in ENDINGS.items():
        made |= {name: Absent(reason) for name in public() if name.endswith(ending)}
    return dict(sorted(made.items(), key=lambda pair: pair[0].lower()))


SECTION = Section("Functions", ABOUT, public, entries())
