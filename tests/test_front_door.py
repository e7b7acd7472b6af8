"""`import pullback as pb`: what it offers, and what it does not let out."""

from __future__ import annotations

import functools
from types import ModuleType

import numpy as np
import pytest

import pullback as pb
from pullback.autograd import ops

PACKAGES = {"autograd", "backends", "conformance", "data", "nn", "optim", "train", "random", "info"}


def test_no_module_of_ops_leaks() -> None:
    modules = {name for name in dir(pb) if isinstance(getattr(pb, name), ModuleType) and not name.startswith("_")}
    assert modules <= PACKAGES
    assert not [name for name in ops.__all__ if isinstance(getattr(ops, name), ModuleType) or name.startswith("_")]


def test_every_op_of_the_front_door_is_callable_and_documented() -> None:
    for name in ops.__all__:
        value = getattr(pb, name)
        if callable(value):
            assert value.__doc__, name


@pytest.mark.parametrize(
    "name", [name for name in vars(pb.autograd.function_methods.FunctionMethods) if name[0] != "_"]
)
def test_methods_are_the_ops_of_their_names(name: str) -> None:
    rng = np.random.default_rng(0)
    x = pb.Tensor(rng.uniform(0.1, 0.9, (3, 3)) + 3 * np.eye(3) * (name in ("det", "cholesky", "inverse", "slogdet")))
    if name.startswith("bitwise"):
        x = (x * 10).long()
    if name in ("erfinv", "logit"):
        x = x * 0.5
    other = {"bitwise_not": "bitwise_invert", "inverse": "inv", "pinverse": "pinv"}.get(name, name)
    if name == "cholesky":
        x = x @ x.mT
    index = pb.tensor([[0, 0, 1]])
    rest = {
        "lerp": (x + 1, 0.25), "scatter_reduce": (0, index, x[:1], "amax"), "matrix_power": (3,), "cumprod": (0,),
        **{n: (x * 2 if not n.startswith("bitwise") else x + 1,) for n in (
            "atan2", "hypot", "fmod", "remainder", "copysign", "logaddexp", "xlogy", "cross", "kron", "bitwise_and",
            "bitwise_or", "bitwise_xor",
        )},
    }.get(name, ())  # fmt: skip
    found, wanted = getattr(x, name)(*rest), getattr(pb, other)(x, *rest)
    for a, b in zip(*((v,) if isinstance(v, pb.Tensor) else v for v in (found, wanted)), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter:UserWarning")
def test_scatter_with_a_reduction() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, src, index = rng.standard_normal((3, 4)), rng.standard_normal((2, 4)), rng.integers(0, 3, (2, 4))
    ours, updates = pb.Tensor(x), pb.Tensor(src)
    for reduce in ("add", "multiply"):
        wanted = torch.tensor(x).scatter(0, torch.tensor(index), torch.tensor(src), reduce=reduce)
        found = ours.scatter(0, pb.tensor(index), updates, reduce=reduce)
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-12)
        numbers = pb.scatter(ours, 1, pb.tensor(index), 2.0, reduce=reduce)
        wanted = torch.tensor(x).scatter(1, torch.tensor(index), 2.0, reduce=reduce)
        np.testing.assert_allclose(numbers.numpy(), wanted.numpy(), rtol=1e-12)
        both = functools.partial(_scattered, index=pb.tensor(index), reduce=reduce)
        assert pb.gradcheck(both, [ours, updates], order=2)
    with pytest.raises(ValueError, match='reduce must be "add" or "multiply"'):
        pb.scatter(ours, 0, pb.tensor(index), updates, reduce="mean")


def _scattered(x: pb.Tensor, src: pb.Tensor, index: pb.Tensor, reduce: str) -> pb.Tensor:
    return pb.scatter(x, 0, index, src, reduce=reduce)
