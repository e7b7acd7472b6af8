"""Workloads: shapes, data and initial weights, the same for every library. NumPy only."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Spec:
    """One workload.

    kind: which model every peer builds. batch: examples per step. train: a training step, or inference alone.
    """

    name: str
    kind: str
    batch: int
    train: bool = True
    sizes: dict[str, int] = field(default_factory=dict)


LSTM = {"vocab": 65, "embed": 64, "hidden": 128, "steps": 64}
GPT = {"vocab": 65, "width": 128, "heads": 4, "layers": 4, "steps": 64}
BLOCK = {"channels": 64, "side": 32}

SPECS = {
    spec.name: spec
    for spec in [
        *(Spec(f"cnn-{n}", "cnn", n) for n in (32, 128, 512)),
        *(Spec(f"cnn-infer-{n}", "cnn", n, train=False) for n in (1, 128)),
        *(Spec(f"mlp-{n}", "mlp", n) for n in (32, 128)),
        Spec("lstm-32", "lstm", 32, sizes=LSTM),
        *(Spec(f"{kind}-32", kind, 32, sizes=LSTM) for kind in ("gru", "rnn")),
        Spec("gpt-12", "gpt", 12, sizes=GPT),
        Spec("resnet-block-32", "block", 32, sizes=BLOCK),
        Spec("elementwise", "elementwise", 1000),
        Spec("adam-1m", "adam", 100),
        Spec("chain-add", "chain", 50),
        Spec("chain-mul-tanh", "chain", 50),
    ]
}


def find(name: str) -> Spec:
    """The workload of that name; `cnn-64`, say, is the one of that batch even if it is not in the table."""
    if name in SPECS:
        return SPECS[name]
    kind, _, batch = name.rpartition("-")
    if kind in ("cnn", "mlp") and batch.isdecimal() and int(batch):
        return Spec(name, kind, int(batch))
    raise KeyError(f"unknown workload {name!r}; there are {', '.join(SPECS)}, and cnn-N and mlp-N for any batch N")


def named(name: str) -> str:
    """The name of a workload, for a command line: its error says which there are."""
    try:
        return find(name).name
    except KeyError as error:
        raise argparse.ArgumentTypeError(error.args[0]) from None


def positive(text: str) -> int:
    """A number of threads or steps, for a command line."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, not {text!r}")
    return int(text)


CNN_SHAPES = {
    "0.weight": (32, 1, 3, 3), "0.bias": (32,), "3.weight": (64, 32, 3, 3), "3.bias": (64,),
    "6.weight": (64, 64, 3, 3), "6.bias": (64,), "9.weight": (64, 576), "9.bias": (64,),
    "11.weight": (10, 64), "11.bias": (10,),
}  # fmt: skip
MLP_SHAPES = {
    "0.weight": (128, 784), "0.bias": (128,), "2.weight": (64, 128), "2.bias": (64,),
    "4.weight": (10, 64), "4.bias": (10,),
}  # fmt: skip


def _recurrent_shapes(gates: int) -> dict[str, tuple[int, ...]]:
    v, e, h = LSTM["vocab"], LSTM["embed"], LSTM["hidden"]
    return {
        "embed.weight": (v, e), "rnn.weight_ih_l0": (gates * h, e), "rnn.weight_hh_l0": (gates * h, h),
        "rnn.bias_ih_l0": (gates * h,), "rnn.bias_hh_l0": (gates * h,), "head.weight": (v, h), "head.bias": (v,),
    }  # fmt: skip


def _gpt_shapes() -> dict[str, tuple[int, ...]]:
    v, w, t = GPT["vocab"], GPT["width"], GPT["steps"]
    shapes: dict[str, tuple[int, ...]] = {"token.weight": (v, w), "position.weight": (t, w)}
    for i in range(GPT["layers"]):
        shapes |= {
            f"blocks.{i}.norm1.weight": (w,), f"blocks.{i}.norm1.bias": (w,),
            f"blocks.{i}.qkv.weight": (3 * w, w), f"blocks.{i}.qkv.bias": (3 * w,),
            f"blocks.{i}.out.weight": (w, w), f"blocks.{i}.out.bias": (w,),
            f"blocks.{i}.norm2.weight": (w,), f"blocks.{i}.norm2.bias": (w,),
            f"blocks.{i}.up.weight": (4 * w, w), f"blocks.{i}.up.bias": (4 * w,),
            f"blocks.{i}.down.weight": (w, 4 * w), f"blocks.{i}.down.bias": (w,),
        }  # fmt: skip
    return shapes | {"norm.weight": (w,), "norm.bias": (w,), "head.weight": (v, w), "head.bias": (v,)}


def _block_shapes() -> dict[str, tuple[int, ...]]:
    c = BLOCK["channels"]
    return {
        "conv1.weight": (c, c, 3, 3), "bn1.weight": (c,), "bn1.bias": (c,),
        "conv2.weight": (c, c, 3, 3), "bn2.weight": (c,), "bn2.bias": (c,),
    }  # fmt: skip


def _parts(spec: Spec) -> tuple[list[int], int]:
    """Operations of one step's forward products, layer by layer in the order of the weights; 2 a multiply-add.

    Also the number of products that need no input gradient: those that the input enters.
    """
    n, s = spec.batch, spec.sizes
    if spec.kind == "cnn":
        convolved = [2 * n * side**2 * math.prod(CNN_SHAPES[f"{i}.weight"]) for i, side in ((0, 26), (3, 11), (6, 3))]
        return convolved + [2 * n * math.prod(CNN_SHAPES[f"{i}.weight"]) for i in (9, 11)], 1
    if spec.kind == "mlp":
        return [2 * n * math.prod(MLP_SHAPES[f"{i}.weight"]) for i in (0, 2, 4)], 1
    if spec.kind == "block":
        return [2 * n * s["side"] ** 2 * math.prod(_SHAPES["block"][f"conv{i}.weight"]) for i in (1, 2)], 1
    if spec.kind in SYMBOLS:
        steps = n * s["steps"]
        tables = ("embed.weight", "token.weight", "position.weight")
        flops = [2 * steps * math.prod(w) for k, w in _SHAPES[spec.kind].items() if len(w) == 2 and k not in tables]
        if spec.kind == "gpt":  # scores, and their product with the values, in full: the mask saves nobody a product
            flops += [2 * steps * s["steps"] * s["width"]] * 2 * s["layers"]
        return flops, 0
    return [], 0


def flops(spec: Spec) -> int:
    """Operations of one step's matrix products and convolutions; 0 where they are not what the workload is about.

    Backward, a product is done twice: for its weight, and for its input unless that is the data.
    """
    forward, leaves = _parts(spec)
    return 3 * sum(forward) - sum(forward[:leaves]) if spec.train else sum(forward)


RECURRENT = {"lstm": 4, "gru": 3, "rnn": 1}  # gates
SYMBOLS = (*RECURRENT, "gpt")  # kinds that read symbols and predict the next
_SHAPES = {
    "cnn": CNN_SHAPES, "mlp": MLP_SHAPES, "gpt": _gpt_shapes(), "block": _block_shapes(),
    **{kind: _recurrent_shapes(gates) for kind, gates in RECURRENT.items()},
}  # fmt: skip


def weights(kind: str) -> dict[str, np.ndarray]:
    """Initial weights by PyTorch's names: uniform in ±1/√fan_in; norms start at scale 1, shift 0."""
    rng = np.random.default_rng(0)
    made = {}
    for name, shape in _SHAPES[kind].items():
        if "norm" in name or "bn" in name:
            value = np.ones(shape) if name.endswith("weight") else np.zeros(shape)
        else:
            bound = 1 / math.sqrt(math.prod(shape[1:]) if len(shape) > 1 else shape[0])
            value = rng.uniform(-bound, bound, shape)
        made[name] = value.astype(np.float32)
    return made


def data(spec: Spec) -> tuple[Any, ...]:
    """Inputs and targets of one batch."""
    rng = np.random.default_rng(1)
    n = spec.batch
    if spec.kind == "cnn":
        return rng.random((n, 1, 28, 28), np.float32), rng.integers(0, 10, n)
    if spec.kind == "mlp":
        return rng.random((n, 784), np.float32), rng.integers(0, 10, n)
    if spec.kind in SYMBOLS:
        tokens = rng.integers(0, spec.sizes["vocab"], (n, spec.sizes["steps"] + 1))
        return np.ascontiguousarray(tokens[:, :-1]), np.ascontiguousarray(tokens[:, 1:])
    if spec.kind == "block":
        c, s = spec.sizes["channels"], spec.sizes["side"]
        return (rng.standard_normal((n, c, s, s), np.float32),)
    if spec.kind == "elementwise":  # x and the cotangent of the result
        return rng.standard_normal((n, n), np.float32), rng.standard_normal((n, n), np.float32)
    if spec.kind == "adam":
        tensors = [rng.standard_normal((100, 100), np.float32) for _ in range(n)]
        return tensors, [rng.standard_normal((100, 100), np.float32) for _ in range(n)]
    if spec.kind == "chain":
        return (np.full((4, 4), 0.5, np.float32), np.full((4, 4), 0.9, np.float32))
    raise ValueError(spec.kind)
