"""Layers and losses, each beside PyTorch's, with the same weights, on the samples of PyTorch's ModuleInfo table."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

import pullback as pb
from pullback import nn

from .case import Absent, Case, Entry, NotSupportedError, Outcome, Section, some
from .compare import compare
from .opinfo import _fill, _template
from .ops import RANDOM

ABOUT = """
`pullback.nn.<name>`, made with the arguments of the samples and loaded with the `state_dict` of PyTorch's module.
Compared are the outputs and, in training, the buffers afterwards; gradients with respect to the inputs and all
parameters. Layers that behave otherwise in training are compared in both modes, those with dropout in evaluation.
Samples of layers that PyTorch's table has not are ours.
"""

#: Layers that PyTorch's table has not: arguments, and shapes of inputs ("i": indices below a number, "even": distinct).
OWN: dict[str, list[tuple[tuple[Any, ...], dict[str, Any], list[Any]]]] = {
    "CosineSimilarity": [((), {}, [(3, 4), (3, 4)]), ((), {"dim": 2, "eps": 0.1}, [(2, 3, 5), (2, 3, 5)])],
    "PairwiseDistance": [((), {}, [(3, 4), (3, 4)]), ((), {"p": 3.0, "keepdim": True}, [(3, 4), (3, 4)])],
    "Dropout": [((), {}, [(3, 4)]), ((), {"p": 0.9}, [(2,)])],
    "Dropout1d": [((), {}, [(3, 4, 2)])],
    "Dropout2d": [((), {}, [(3, 4, 2, 2)])],
    "Dropout3d": [((), {}, [(3, 4, 2, 2, 2)])],
    "AlphaDropout": [((), {}, [(3, 4)])],
    "FeatureAlphaDropout": [((), {}, [(3, 4, 2)])],
    "EmbeddingBag": [((10, 3), {"mode": "sum"}, [("i", 10, (4, 5))]), ((10, 3), {}, [("i", 10, (2, 3))])],
    "Flatten": [((), {}, [(2, 3, 4)]), ((), {"start_dim": 0, "end_dim": -2}, [(2, 3, 4)])],
    "Unflatten": [((1, (2, 3)), {}, [(4, 6)]), ((0, (-1, 2)), {}, [(4, 6)])],
    "Identity": [((), {}, [(2, 3)]), ((1, "anything"), {"of": "any"}, [()])],
    "Hardsigmoid": [((), {}, [(3, 4)]), ((), {}, [()])],
    "RReLU": [((), {}, [(3, 4)]), ((0.2, 0.2), {}, [(5,)])],
    "ChannelShuffle": [((2,), {}, [(1, 4, 3, 3)])],
    "PixelShuffle": [((2,), {}, [(1, 8, 3, 2)])],
    "PixelUnshuffle": [((2,), {}, [(1, 2, 4, 6)])],
    "Upsample": [
        ((), {"scale_factor": 2.0}, [(1, 2, 3, 4)]),
        ((), {"size": (5, 7), "mode": "bilinear", "align_corners": True}, [(2, 1, 3, 4)]),
        ((), {"size": 6, "mode": "linear"}, [(2, 2, 4)]),
    ],
    "UpsamplingNearest2d": [((), {"scale_factor": 2}, [(1, 2, 3, 4)])],
    "UpsamplingBilinear2d": [((), {"size": (5, 7)}, [(1, 2, 3, 4)])],
    "Unfold": [((2,), {}, [(1, 2, 4, 5)]), (((2, 3),), {"dilation": 2, "padding": 1, "stride": 2}, [(2, 3, 6, 7)])],
    "Fold": [(((4, 5), (2, 3)), {}, [(1, 12, 9)]), (((5, 5), 2), {"stride": 2, "padding": 1}, [(2, 8, 9)])],
    "MaxUnpool1d": [((2,), {}, [(1, 2, 3), ("even", 6, (1, 2, 3))])],
    "MaxUnpool2d": [((2,), {}, [(1, 2, 3, 3), ("even", 36, (1, 2, 3, 3))])],
    "MaxUnpool3d": [((2,), {}, [(1, 1, 2, 2, 2), ("even", 64, (1, 1, 2, 2, 2))])],
    "TransformerDecoder": [((4, 2), {}, [(3, 2, 4), (5, 2, 4)]), ((4, 2), {"norm": True}, [(3, 2, 4), (5, 2, 4)])],
    "TripletMarginLoss": [
        ((), {}, [(4, 3), (4, 3), (4, 3)]),
        ((), {"margin": 0.4, "p": 3.0, "swap": True, "reduction": "none"}, [(4, 3), (4, 3), (4, 3)]),
    ],
    "TripletMarginWithDistanceLoss": [((), {"margin": 0.5, "swap": True}, [(4, 3), (4, 3), (4, 3)])],
}
ABSENT = {
    "containers, which compute nothing": "Module ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "PyTorch has no such loss; tests/test_nn_sequence.py has its formula": "InfoNCELoss NTXentLoss",
}
#: The highest order of derivative that PyTorch has.
ORDER = {"CTCLoss": 1}
#: PyTorch adds 1e-12 to the denominator of BCELoss's second gradient; Hardsigmoid's 1/6 is a float32 there.
TOLERANCE = {"BCELoss": 1e-8, "Hardsigmoid": 1e-7}


def public() -> set[str]:
    """The module classes that `pullback.nn` offers."""
    return {name for name, value in vars(nn).items() if isinstance(value, type) and issubclass(value, nn.Module)}


def _entries() -> dict[str, Entry | Absent]:
    made: dict[str, Entry | Absent] = {
        name: Entry(f"torch.nn.{name}", functools.partial(_cases, name)) for name in sorted(public(), key=str.lower)
    }
    for reason, names in ABSENT.items():
        made |= {name: Absent(reason) for name in names.split()}
    return made


@functools.cache
def _table() -> dict[str, Any]:
    from torch.testing._internal.common_modules import module_db

    return {info.module_cls.__name__: info for info in module_db}


def _cases(name: str) -> Iterator[Case]:
    import torch

    for dtype in (torch.float64, torch.float32):
        samples = list(_samples(name, dtype))
        if not samples:
            yield Case(name, lambda: Outcome(failed="neither PyTorch's table nor tests/parity/modules.py has a sample"))
        for i, (cls, sample, training, order) in enumerate(some(samples)):
            mode = "training" if training else "evaluation"
            text = f"{name} {str(dtype).removeprefix('torch.')} {i} {mode} {sample.desc or _short(sample)}"
            order = order if dtype == torch.float64 else 0
            yield Case(text, functools.partial(_check, cls, sample, dtype, training, min(order, ORDER.get(name, 2))))


def _samples(name: str, dtype: Any) -> Iterator[tuple[Any, Any, bool, int]]:
    """(class, sample, whether in training, derivatives to compare) of a layer, PyTorch's samples or ours."""
    import torch

    torch.manual_seed(0)
    info = _table().get(name)
    if info is None:
        for args, kwargs, shapes in OWN.get(name, []):
            rng = np.random.default_rng(0)
            inputs = [torch.tensor(_draw(rng, shape)) for shape in shapes]
            inputs = [t.to(dtype).requires_grad_() if t.dtype == torch.float64 else t for t in inputs]
            construct = SimpleNamespace(args=args, kwargs=kwargs)
            sample = SimpleNamespace(
                constructor_input=construct, forward_input=SimpleNamespace(args=inputs, kwargs={}), desc=""
            )
            yield getattr(torch.nn, name), sample, False, 2
        return
    for training in (True, False) if info.train_and_eval_differ else (True,):
        found = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)
        for sample in found:
            if sample.forward_input is not None:
                yield info.module_cls, sample, training, 2 if info.supports_gradgrad else 1


def _draw(rng: np.random.Generator, shape: Any) -> np.ndarray:
    if shape and shape[0] == "i":
        return rng.integers(0, shape[1], shape[2])
    if shape and shape[0] == "even":
        n, spatial = shape[1], shape[2][2:]
        count = int(np.prod(spatial))
        places = np.arange(count).reshape(spatial) * (n // count)
        return np.broadcast_to(places, shape[2]).copy()
    return rng.standard_normal(shape)


def _check(cls: Any, sample: Any, dtype: Any, training: bool, order: int) -> Outcome:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    name, construct, forward = cls.__name__, sample.constructor_input, sample.forward_input
    torch.manual_seed(0)
    theirs = _decoder(torch.nn, construct) if name == "TransformerDecoder" else cls(*construct.args, **construct.kwargs)
    theirs.to(dtype)
    if training and _random(theirs):
        if _table()[name].train_and_eval_differ:
            return Outcome(skipped=RANDOM)
        training = False
    theirs.train(training)
    tensors: list[Any] = []
    try:
        args, kwargs = _ours((tuple(construct.args), dict(construct.kwargs)))
        whole = (tuple(forward.args), dict(forward.kwargs))
        template = _template(whole, tensors)
    except NotSupportedError as error:
        return Outcome(skipped=str(error))
    weights = dict(theirs.named_parameters())
    state = {key: t.detach().clone() for key, t in theirs.state_dict().items()}

    def mine(*given: Any) -> Any:
        ours = _decoder(nn, construct) if name == "TransformerDecoder" else getattr(nn, name)(*args, **kwargs)
        ours.to(dtype=str(dtype).removeprefix("torch."))
        ours.load_state_dict(state)
        ours.train(training)
        a, k = _fill(template, given[: len(tensors)])
        if name == "CTCLoss":  # PyTorch's gradient is only right behind a log-softmax
            a = (a[0].log_softmax(-1), *a[1:])
        values = dict(zip(weights, given[len(tensors) :], strict=True))
        out = nn.functional_call(ours, values, tuple(a), k)
        return out, [pb.Tensor(b.detach()) for b in ours.buffers()] if training else []

    def other(*given: Any) -> Any:
        # clones, since a layer with inplace=True may not write into what asks for gradients
        copies = [t.clone() if t.requires_grad else t for t in given[: len(tensors)]]
        a, k = _fill(whole, copies, torch.Tensor)
        if name == "CTCLoss":
            a = (a[0].log_softmax(-1), *a[1:])
        values = dict(zip(weights, given[len(tensors) :], strict=True))
        with sdpa_kernel(SDPBackend.MATH):  # its other kernels have no second derivative
            out = torch.func.functional_call(theirs, values, a, k)
        return out, [b.detach().clone() for b in theirs.buffers()] if training else []

    arrays = [t.detach().numpy() for t in [*tensors, *weights.values()]]
    wanted = [t.requires_grad for t in tensors] + [True] * len(weights)
    return compare(
        mine,
        other,
        arrays,
        order=order,
        wanted=wanted,
        tolerance=TOLERANCE.get(name),
        backend=pb.current_backend().name,
    )


def _random(module: Any) -> bool:
    """Whether a module of PyTorch's draws random numbers in training."""
    for m in module.modules():
        share = m.p if "Dropout" in type(m).__name__ else getattr(m, "dropout", 0.0)
        if isinstance(share, float) and 0.0 < share < 1.0:
            return True
    return False


def _ours(value: Any) -> Any:
    """Arguments of a constructor in our terms."""
    import torch

    if isinstance(value, torch.Tensor):
        return pb.Tensor(value.detach().numpy().copy())
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        return _encoder_layer(value)
    if isinstance(value, torch.nn.Module):
        raise NotSupportedError(f"a {type(value).__name__} as an argument")
    if isinstance(value, dict):
        return {key: _ours(part) for key, part in value.items() if key != "device"}
    if isinstance(value, (tuple, list)):
        return type(value)(map(_ours, value))
    if callable(value):
        return getattr(nn.functional, value.__name__)
    return value


def _encoder_layer(m: Any) -> nn.Module:
    return nn.TransformerEncoderLayer(
        m.self_attn.embed_dim, m.self_attn.num_heads, m.linear1.out_features, m.dropout.p, _ours(m.activation),
        m.norm1.eps, m.self_attn.batch_first, m.norm_first, bias=m.linear1.bias is not None,
    )  # fmt: skip


def _decoder(lib: Any, construct: Any) -> Any:
    """Two layers of (width, heads), with a last normalisation where `norm` is given."""
    layer = lib.TransformerDecoderLayer(*construct.args, dim_feedforward=7, dropout=0.0)
    norm = lib.LayerNorm(construct.args[0]) if construct.kwargs.get("norm") else None
    return lib.TransformerDecoder(layer, 2, norm)


def _short(sample: Any) -> str:
    construct = sample.constructor_input
    keywords = [f"{key}={value}" for key, value in construct.kwargs.items() if key not in ("device", "dtype")]
    return "(" + ", ".join([*map(str, construct.args), *keywords])[:80].replace("\n", " ") + ")"


SECTION = Section("Layers and losses", ABOUT, public, _entries())
