"""Parts of a tensor: their cotangents are joined in one array."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback.autograd.graph import GraphError
from pullback.autograd.transforms import gradients


@pytest.fixture(autouse=True)
def _on_numpy():
    with pb.backend("numpy"):
        yield


class Counted(dict):
    """A kernel table that counts."""

    def __init__(self, backend) -> None:
        super().__init__()
        self.calls: dict[str, int] = {}

    def __setitem__(self, name, kernel) -> None:
        def counted(*arrays, **static):
            self.calls[name] = self.calls.get(name, 0) + 1
            return kernel(*arrays, **static)

        super().__setitem__(name, counted)


def _of_parts(x):
    """A function that takes x apart, uses some parts twice, and x itself as well."""
    a, b, c = x[0], x[1], x[2]
    return (a * b).sum() + (b * b * c).sum() + (x[1:, ::-1] * 2.0).sum() + (x * x).sum()


def _gradient_of_parts(x: np.ndarray) -> np.ndarray:
    a, b, c = x
    extra = np.zeros_like(x)
    extra[1:] = 2.0
    return np.stack([b, a + 2 * b * c, b * b]) + extra + 2 * x


@pytest.mark.parametrize("computed", [False, True])
def test_a_tensor_taken_apart_has_the_sum_of_its_parts(computed: bool) -> None:
    value = np.random.default_rng(0).standard_normal((3, 5))
    leaf = pb.tensor(value, requires_grad=True)
    seen = []
    x = leaf * 1.0 if computed else leaf
    x.register_hook(lambda g: seen.append(g.numpy().copy()))
    _of_parts(x).backward(retain_graph=True)
    np.testing.assert_allclose(leaf.grad.numpy(), _gradient_of_parts(value))
    assert len(seen) == 1
    np.testing.assert_allclose(seen[0], _gradient_of_parts(value))


def test_parts_differentiate_twice_and_only_where_asked() -> None:
    x = pb.tensor(np.random.default_rng(0).standard_normal((3, 5)), requires_grad=True)
    other = pb.tensor(np.ones((2, 5)), requires_grad=True)
    assert pb.gradcheck(lambda v: _of_parts(v * v), (x,), order=2)
    y = other * 2.0
    (g,) = gradients((x[0] * y[0] + x[1] * y[1]).sum(), [x])
    np.testing.assert_allclose(g.numpy()[:2], 2.0)
    assert other.grad is None
    loss = x[0].sum() + x[1].sum()
    loss.backward()
    with pytest.raises(GraphError, match="freed"):
        loss.backward()


def test_parts_of_one_of_several_outputs() -> None:
    x = pb.tensor(np.arange(12.0).reshape(6, 2), requires_grad=True)
    first, second = pb.split(x, 2)
    (first[0] * 2.0 + first[1] * 3.0 + second[2]).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[:, 0], [2, 3, 0, 0, 0, 1])


def test_parts_cost_one_array_that_lies_as_the_whole_does() -> None:
    backend = pb.get_backend("numpy")
    table, backend._table = backend._table, Counted(backend)
    try:
        x = pb.tensor(np.ones((4, 3 * 2)), requires_grad=True)
        heads = x.reshape(4, 3, 2).permute(1, 0, 2)
        found = []
        heads.register_hook(lambda g: found.append(g))
        for _ in range(2):  # the first call of an op is the one that fills the table
            x.grad = None
            (heads[0] * heads[1] * heads[2]).sum().backward(retain_graph=True)
        calls = backend._table.calls
    finally:
        backend._table = table
    assert calls["place_regions"] == 1
    assert "getitem_transpose" not in calls
    np.testing.assert_array_equal(x.grad.numpy(), 1.0)
    assert found[0].detach()._value.transpose(1, 0, 2).flags.c_contiguous
