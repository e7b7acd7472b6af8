"""Ten small models, built here and in PyTorch: the same outputs, gradients, and weights after training."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import pytest

import pullback as pb
from ported.all_models import MODELS
from ported.compare import Arrays, Trace, differences, first_weights, train
from ported.model import Library, Ported

#: dtype -> the largest relative difference of outputs, gradients, and weights after 20 steps. Rounding differences of
#: float32 grow a little with every step, and contrastive gradients are small differences of large terms.
TOLERANCE = {"float32": (5e-6, 5e-5, 2e-4), "float64": (1e-10, 1e-10, 1e-10)}


@pytest.fixture(autouse=True)
def _torch_on_one_thread() -> Iterator[None]:
    """PyTorch's threads wait for each other in a loop: many of them, of several test processes, take minutes."""
    torch = pytest.importorskip("torch", reason="ported models are compared with PyTorch: pip install torch==2.13.0")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def reference(model: Ported, dtype: str) -> tuple[Arrays, Arrays, Trace]:
    """The weights and the batch to begin with, and what PyTorch makes of them."""
    weights, batch = first_weights(model, dtype)
    return weights, batch, train(model, Library.theirs(), weights, batch, dtype)


@pytest.mark.parametrize(("backend", "dtype"), [("numpy", "float64"), ("numpy", "float32"), ("numba", "float32")])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_model_trains_as_in_torch(model: Ported, backend: str, dtype: str) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    weights, batch, theirs = reference(model, dtype)
    with pb.backend(backend):
        apart = differences(train(model, Library.ours(), weights, batch, dtype), theirs)
    assert not apart.missing
    output, gradients, state = TOLERANCE[dtype]
    assert apart.output <= output
    assert apart.gradients <= gradients
    assert apart.state <= state


def test_the_comparison_can_fail() -> None:
    model = MODELS[0]
    weights, batch, theirs = reference(model, "float64")
    with pb.backend("numpy"):
        slower = dataclasses.replace(model, optimizer=lambda optim, p: optim.Adam(p, lr=1e-2, betas=(0.9, 0.998)))
        apart = differences(train(slower, Library.ours(), weights, batch, "float64"), theirs)
        assert apart.state > 1e-5
        assert apart.output <= 1e-10
        changed = {key: value * (1 + 1e-8) for key, value in batch.items() if value.dtype.kind == "f"}
        scaled = {**weights, "net/fc.weight": weights["net/fc.weight"] * (1 + 1e-8)}
        apart = differences(train(model, Library.ours(), scaled, {**batch, **changed}, "float64"), theirs)
        assert apart.output > 1e-10
    fewer = Trace(theirs.output, dict(list(theirs.gradients.items())[1:]), theirs.state)
    assert differences(fewer, theirs).missing == (next(iter(theirs.gradients)),)
    ints = Trace(state={"n": np.array(3)})
    assert differences(ints, Trace(state={"n": np.array(2)})).state == float("inf")


def test_ten_models_with_different_optimisers() -> None:
    assert len({model.name for model in MODELS}) == 10
    ours = Library.ours()
    kinds = {type(model.optimizer(ours.optim, [pb.Parameter(pb.ones(2))])).__name__ for model in MODELS}
    assert len(kinds) >= 5
