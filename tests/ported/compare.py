"""A ported model trained in both libraries, from the same weights and on the same data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np

from .model import Batch, Library, Networks, Ported

STEPS = 20
Arrays = dict[str, np.ndarray]


@dataclass
class Trace:
    """What one library computed: the first output, the first gradients, and all state after the last step."""

    output: Arrays = field(default_factory=dict)
    gradients: Arrays = field(default_factory=dict)
    state: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Differences:
    """The largest differences between two traces, relative to the largest magnitude in each tensor (or 1e-3)."""

    output: float
    gradients: float
    state: float
    missing: tuple[str, ...]


def first_weights(model: Ported, dtype: str) -> tuple[Arrays, Arrays]:
    """PyTorch's initial state, and a batch, as NumPy arrays: what both libraries begin with."""
    theirs = Library.theirs()
    theirs.T.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        networks = model.build(theirs)
    weights = {
        f"{name}/{key}": value.numpy().astype(dtype) if value.is_floating_point() else value.numpy()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    batch = model.data(np.random.default_rng(0))
    return weights, {key: v.astype(dtype) if v.dtype.kind == "f" else v for key, v in batch.items()}


def train(model: Ported, lib: Library, weights: Arrays, arrays: Arrays, dtype: str) -> Trace:
    """Build, load, and take the steps."""
    if lib.name == "torch":  # NAdam and others keep running products in the default dtype
        lib.T.set_default_dtype(getattr(lib.T, dtype))
        try:
            return _train(model, lib, weights, arrays, dtype)
        finally:
            lib.T.set_default_dtype(lib.T.float32)
    return _train(model, lib, weights, arrays, dtype)


def _train(model: Ported, lib: Library, weights: Arrays, arrays: Arrays, dtype: str) -> Trace:
    trace = Trace()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, about lazy RNN weights and the like
        networks = model.build(lib)
    for name, network in networks.items():
        if dtype == "float64":
            network.double()
        state = {key.partition("/")[2]: v for key, v in weights.items() if key.startswith(f"{name}/")}
        network.load_state_dict({key: lib.T.tensor(v) for key, v in state.items()} if lib.name == "torch" else state)
        network.train()
    batch: Batch = {key: lib.tensor(v) for key, v in arrays.items()}
    trace.output["output"] = lib.numpy(model.output(lib, networks, batch))
    optimizers = {name: model.optimizer(lib.optim, networks[name].parameters()) for name in model.losses}
    schedulers = [model.schedule(lib.optim, o) for o in optimizers.values()] if model.schedule else []
    for step in range(STEPS):
        for name, loss in model.losses.items():
            optimizers[name].zero_grad()
            loss(lib, networks, batch).backward()
            if step == 0:
                trace.gradients |= _gradients(lib, name, networks)
            if model.clip is not None:
                lib.clip(list(networks[name].parameters()), model.clip)
            optimizers[name].step()
        for scheduler in schedulers:
            scheduler.step()
    for name, network in networks.items():
        trace.state |= {f"{name}/{key}": lib.numpy(value) for key, value in network.state_dict().items()}
    return trace


def _gradients(lib: Library, name: str, networks: Networks) -> Arrays:
    named = networks[name].named_parameters()
    return {f"{name}/{key}": lib.numpy(p.grad) for key, p in named if p.grad is not None}


def differences(ours: Trace, theirs: Trace) -> Differences:
    """How far two traces are apart, and which entries only one of them has."""
    parts = [(getattr(ours, part), getattr(theirs, part)) for part in ("output", "gradients", "state")]
    missing = tuple(sorted(key for a, b in parts for key in a.keys() ^ b.keys()))
    output, gradients, state = (max((_apart(a[k], b[k]) for k in a.keys() & b.keys()), default=0.0) for a, b in parts)
    return Differences(output, gradients, state, missing)


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if not a.size:
        return 0.0
    if a.dtype.kind != "f":
        return 0.0 if np.array_equal(a, b) else float("inf")
    wide = np.abs(a.astype(np.float64) - b.astype(np.float64)).max()
    return float(wide / max(np.abs(b).max(), 1e-3))
