"""Gradient clipping: PyTorch's numbers, and what must not happen."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pullback as pb
from pullback import optim

SHAPES = [(4, 3), (), (5,), (2, 0)]


@pytest.fixture(autouse=True)
def _on_numpy():
    with pb.backend("numpy"):
        yield


def made(scale: float, backend: str = "numpy") -> tuple[list[pb.Parameter], list[np.ndarray]]:
    rng = np.random.default_rng(2)
    grads = [np.asarray(scale * rng.standard_normal(shape)) for shape in SHAPES]
    params = [pb.Parameter(np.zeros(shape), backend=backend) for shape in SHAPES]
    for p, g in zip(params, grads, strict=True):
        p.grad = pb.Tensor(g, backend=backend)
    return params, grads


@pytest.mark.parametrize("backend", ["numpy", "strict", "numba"])
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_the_norm_and_the_clipped_gradients_equal_pytorch(scale: float, norm_type: float, backend: str) -> None:
    torch = pytest.importorskip("torch")
    params, grads = made(scale, backend)
    if norm_type == math.inf:  # PyTorch takes no maximum of an empty tensor
        params, grads = params[:3], grads[:3]
    theirs = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in grads]
    for p, g in zip(theirs, grads, strict=True):
        p.grad = torch.tensor(g)
    norm = optim.clip_grad_norm_(params, 1.5, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 1.5, norm_type)
    assert norm.shape == ()
    np.testing.assert_allclose(norm.item(), expected.item(), rtol=1e-12)
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)


def test_values_are_clipped() -> None:
    params, grads = made(3.0)
    optim.clip_grad_value_(iter(params), 0.5)
    for p, g in zip(params, grads, strict=True):
        assert np.array_equal(p.grad.numpy(), np.clip(g, -0.5, 0.5))
    optim.clip_grad_value_(params[0], 0.25)
    assert np.abs(params[0].grad.numpy()).max() == 0.25


def test_parameters_without_gradients() -> None:
    w = pb.Parameter([1.0])
    assert optim.clip_grad_norm_([w], 1.0).item() == 0.0
    assert optim.clip_grad_norm_([], 1.0).item() == 0.0
    optim.clip_grad_value_(w, 1.0)
    assert w.grad is None


def test_gradients_keep_their_dtype_and_nobody_elses_is_changed() -> None:
    a, b = pb.Parameter(np.ones(3, "float32")), pb.Parameter(np.ones(3))
    given = pb.Tensor(np.full(3, 5.0, "float32"))
    a.grad, b.grad = given, pb.Tensor(np.full(3, 5.0))
    optim.clip_grad_norm_([a, b], 1.0)
    assert (a.grad.dtype, b.grad.dtype) == ("float32", "float64")
    assert given.tolist() == [5.0] * 3
    assert not a.grad.requires_grad


def test_errors() -> None:
    params, _ = made(1.0)
    params[0].grad = pb.Tensor(np.full((4, 3), np.nan))
    with pytest.raises(FloatingPointError, match="the gradients' norm is nan"):
        optim.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert math.isnan(optim.clip_grad_norm_(params, 1.0).item())
    with pytest.raises(ValueError, match="norm_type must be positive"):
        optim.clip_grad_norm_(params, 1.0, 0.0)
    with pytest.raises(ValueError, match="clip_value must be at least 0"):
        optim.clip_grad_value_(params, -1.0)
    with pytest.raises(TypeError, match="not float"):
        optim.clip_grad_norm_([1.0], 1.0)


@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite(norm_type: float, value: float) -> None:
    """All become NaN with a norm of NaN, zeros beside NaN with an infinite one, as in PyTorch."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("numba")
    start = [np.linspace(-1, 1, 40000, dtype="f"), np.ones((3, 5), "f")]
    start[0][7] = value
    mine = [pb.Parameter(g, backend="numba") for g in start]
    theirs = [torch.nn.Parameter(torch.tensor(g)) for g in start]
    for p, q, g in zip(mine, theirs, start, strict=True):
        p.grad, q.grad = pb.Tensor(g, backend="numba"), torch.tensor(g)
    norms = optim.clip_grad_norm_(mine, 2.0, norm_type), torch.nn.utils.clip_grad_norm_(theirs, 2.0, norm_type)
    np.testing.assert_equal(norms[0].item(), norms[1].item())
    for p, q in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())
    with pytest.raises(FloatingPointError):
        optim.clip_grad_norm_(mine, 2.0, norm_type, error_if_nonfinite=True)


def test_many_gradients_at_once_are_clipped_as_one_by_one() -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(4)
    grads = [rng.standard_normal(shape).astype("f") for shape in [(300, 301), (7,), (1, 1), (64, 3, 3, 3)]]
    params = [pb.Parameter(np.zeros_like(g), backend="numba") for g in grads]
    for p, g in zip(params, grads, strict=True):
        p.grad = pb.Tensor(g.T, backend="numba").T
    norm = optim.clip_grad_norm_(params, 1.0)
    exact = math.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in grads))
    np.testing.assert_allclose(norm.item(), exact, rtol=1e-6)
    for p, g in zip(params, grads, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g / exact, rtol=1e-5)
