"""Every row of the conformance table under `vmap`, to second order, against a Python loop over the examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.autograd.tensor import Tensor
from pullback.backends import get_backend
from pullback.conformance.case import OpCase
from pullback.conformance.cases import all_cases

CASES = all_cases()
SIZE = 2
#: Ops and rows that `vmap` refuses, and what the error says.
MASKED, LOOKED_AT = "how many elements a mask selects differs", "values cannot be looked at"
REFUSED = {"nonzero": MASKED, **{f"embedding_bag-{mode}-offsets": LOOKED_AT for mode in ("sum", "mean", "max")}}


def _examples(case: OpCase) -> list[list[np.ndarray]]:
    """Inputs for as many examples: draws from the row's domains (the same values, where those are fixed)."""
    rng = case.rng()
    return [[domain.sample(rng) for domain in case.inputs] for _ in range(SIZE)]


def _masks(n: int) -> list[tuple[bool, ...]]:
    """Which inputs are mapped: all of them, and each alone."""
    masks = [(True,) * n]
    if n > 1:
        masks += [tuple(i == k for i in range(n)) for k in range(min(n, 4))]
    return masks


def _close(actual: Any, expected: np.ndarray, what: str) -> None:
    values = actual.numpy()
    assert values.shape == expected.shape, f"{what}: shape {values.shape}, the loop gives {expected.shape}"
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-11, err_msg=what)


def _pulled(case: OpCase, tensors: list[Tensor], cotangents: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients with respect to the floating inputs, of outputs times cotangents, through functions of the engine."""
    floating = tuple(i for i, t in enumerate(tensors) if t.dtype.kind == "f")

    def scalar(*chosen: Tensor) -> Tensor:
        args = list(tensors)
        for i, t in zip(floating, chosen, strict=True):
            args[i] = t
        outs = [out for out in case.call(*args) if out.dtype.kind == "f"]
        return sum(((out * g).sum() for out, g in zip(outs, cotangents, strict=True)), pb.zeros((), dtype="float64"))

    return pb.grad(scalar, argnums=tuple(range(len(floating))))(*[tensors[i] for i in floating])


def _pulled_twice(case: OpCase, tensors: list[Tensor], cotangents: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of the sum of the gradients, weighted by their place."""
    floating = tuple(i for i, t in enumerate(tensors) if t.dtype.kind == "f")

    def weighted(*chosen: Tensor) -> Tensor:
        args = list(tensors)
        for i, t in zip(floating, chosen, strict=True):
            args[i] = t
        first = _pulled(case, args, cotangents)
        places = [pb.arange(g.size).reshape(g.shape) * 0.3 + 1.0 for g in first]
        return sum(((g * p).sum() for g, p in zip(first, places, strict=True)), pb.zeros((), dtype="float64"))

    return pb.grad(weighted, argnums=tuple(range(len(floating))))(*[tensors[i] for i in floating])


@pytest.fixture(autouse=True)
def _on_numpy() -> Iterator[None]:
    with pb.backend("numpy"):
        yield


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_row_under_vmap_is_a_loop(case: OpCase) -> None:
    backend = get_backend("numpy")
    examples = _examples(case)
    refused = REFUSED.get(case.id, REFUSED.get(case.op.name))
    if refused is not None:
        stacks = [Tensor(np.stack(column), backend=backend) for column in zip(*examples, strict=True)]
        with pytest.raises((ValueError, pb.BackendError), match=refused):
            pb.vmap(lambda *xs: case.call(*xs))(*stacks)
        return
    for mask in _masks(len(case.inputs)):
        tensors = [
            Tensor(np.stack([e[i] for e in examples]) if m else examples[0][i], backend=backend)
            for i, m in enumerate(mask)
        ]
        axes = tuple(0 if m else None for m in mask)
        alone = [[t[b] if m else t for t, m in zip(tensors, mask, strict=True)] for b in range(SIZE)]
        with np.errstate(all="ignore"):
            expected = [case.call(*one) for one in alone]
            found = pb.vmap(lambda *xs: case.call(*xs), in_axes=axes)(*tensors)
        for k, out in enumerate(found):
            _close(out, np.stack([e[k].numpy() for e in expected]), f"output {k}, mapped {mask}")
        if not case.orders:
            continue
        rng = np.random.default_rng(3)
        cotangents = [
            [Tensor(rng.standard_normal(out.shape), backend=backend) for out in outs if out.dtype.kind == "f"]
            for outs in expected
        ]
        stacked = [pb.stack([c[k] for c in cotangents]) for k in range(len(cotangents[0]))]
        loop = [_pulled(case, one, gs) for one, gs in zip(alone, cotangents, strict=True)]
        batched = pb.vmap(lambda xs, gs: _pulled(case, xs, gs), in_axes=(list(axes), 0))(tensors, stacked)
        for k, g in enumerate(batched):
            _close(g, np.stack([one[k].detach().numpy() for one in loop]), f"gradient {k}, mapped {mask}")
        if case.orders >= 2 and all(mask):
            loop = [_pulled_twice(case, one, gs) for one, gs in zip(alone, cotangents, strict=True)]
            batched = pb.vmap(lambda xs, gs: _pulled_twice(case, xs, gs))(tensors, stacked)
            for k, g in enumerate(batched):
                _close(g, np.stack([one[k].detach().numpy() for one in loop]), f"second gradient {k}")
