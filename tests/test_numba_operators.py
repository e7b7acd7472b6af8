"""Rules on bare arrays use NumPy's operators, recorded ones the backend's kernels: their results must be alike."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

import pullback as pb
from pullback.backends import get_backend
from pullback.nn import functional as F


@pytest.mark.parametrize("scaled", [False, True])
def test_a_scaled_loss_keeps_its_kernels(scaled: bool) -> None:
    """The cotangent of a 0-d tensor is an array, not the scalar that NumPy's operators make of it."""
    backend = get_backend("numba")
    rng = np.random.default_rng(0)
    scores, gradients = rng.standard_normal((40, 7)).astype(np.float32), []
    with pb.backend(backend):
        for create_graph in (False, True):
            x, y = pb.tensor(scores).requires_grad_(), pb.tensor(np.arange(40) % 7)
            before = backend.fallbacks["cross_entropy_mean_grad"]
            loss = F.cross_entropy(x, y)
            ((loss * 0.5 + loss * 0.25) if scaled else loss).backward(create_graph=create_graph)
            assert backend.fallbacks["cross_entropy_mean_grad"] == before
            gradients.append(x.grad.detach().numpy())
    np.testing.assert_array_equal(*gradients)


def test_the_gradient_of_a_number_is_an_array() -> None:
    p = pb.Parameter(2.0)
    (p * 3.0 + p * p).backward()
    assert type(p.grad._value) is p.backend.array_type
    assert p.grad.item() == 7.0
