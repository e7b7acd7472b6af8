"""A Tensor as a Python object: methods in both spellings, text, conversions, and what it says to what it cannot do."""

from __future__ import annotations

import types

import numpy as np
import pytest

import pullback as pb


@pytest.fixture(autouse=True)
def _on_numpy():
    with pb.backend("numpy"):
        yield


X = np.random.default_rng(0).permutation(np.arange(12.0)).reshape(3, 4)
REDUCTIONS = [
    "sum", "mean", "prod", "max", "min", "amax", "amin", "argmax", "argmin", "logsumexp", "var", "std", "norm", "any",
    "all", "count_nonzero",
]  # fmt: skip
#: name -> further arguments
ALONG = {
    "cumsum": (), "softmax": (), "log_softmax": (), "sort": (), "argsort": (), "topk": (2,), "unbind": (),
    "squeeze": (), "unsqueeze": (), "chunk": (2,), "take": ([0, 1],), "repeat_interleave": (2,),
}  # fmt: skip


def first(result):
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("owner", [pb.Tensor, pb], ids=["method", "function"])
def test_reductions_take_numpys_and_pytorchs_names(name, owner):
    x = pb.tensor(X)
    reduce = getattr(owner, name)
    rows = reduce(x, axis=1)
    assert rows.shape == (3,)
    for kept in (reduce(x, axis=1, keepdims=True), reduce(x, dim=1, keepdim=True), reduce(x, dim=-1, keepdims=True)):
        assert kept.shape == (3, 1)
        np.testing.assert_array_equal(kept.numpy()[:, 0], rows.numpy())
    with pytest.raises(TypeError, match="axis= or dim=, not both"):
        reduce(x, axis=1, dim=1)
    with pytest.raises(TypeError, match="keepdims= or keepdim=, not both"):
        reduce(x, axis=1, keepdims=True, keepdim=True)
    with pytest.raises(IndexError, match="axis 2 is out of bounds"):
        reduce(x, dim=2)


@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("owner", [pb.Tensor, pb], ids=["method", "function"])
def test_what_works_along_an_axis_takes_both_names(name, owner):
    x = pb.tensor(X[:1] if name == "squeeze" else X)
    along = getattr(owner, name)
    a, b = (first(along(x, *ALONG[name], **{word: 0})) for word in ("axis", "dim"))
    np.testing.assert_array_equal(a.numpy(), b.numpy())
    with pytest.raises(TypeError, match="axis= or dim=, not both"):
        along(x, *ALONG[name], axis=0, dim=1)


def test_an_axis_is_an_int():
    with pytest.raises(TypeError, match=r"sum: an axis is an int, not 1\.0"):
        pb.tensor(X).sum(axis=1.0)


def test_repr_is_short_and_says_shape_dtype_backend_and_op():
    assert repr(pb.tensor([1.0, 2.0])) == "Tensor([1., 2.], shape=(2,), dtype=float32, backend=numpy)"
    x = pb.tensor(0.5, requires_grad=True)
    assert repr(x) == "Tensor(0.5, shape=(), dtype=float32, backend=numpy, requires_grad=True)"
    assert repr(x.exp()).endswith("op=exp)")
    assert repr(pb.Parameter([[1.0], [2.0]])).startswith("Parameter([[1.],\n           [2.]], shape=(2, 1)")
    assert len(repr(pb.zeros(1000, 1000))) < 400


def test_format():
    assert f"{pb.tensor(1.25):.3f} {pb.tensor(7):4d}" == "1.250    7"
    assert f"{pb.tensor([1.0])}" == repr(pb.tensor([1.0]))
    with pytest.raises(TypeError, match=r"'\.2f' suits a number, not a tensor of shape \(3, 4\)"):
        f"{pb.tensor(X):.2f}"


def test_python_protocols():
    x = pb.tensor(X)
    assert 3.0 in x
    assert 12.5 not in x
    assert (x == None) is False and (x != "a") is True  # noqa: E711
    assert [None, "a", x].index(x) == 2
    assert len({x, x, pb.tensor(X)}) == 2  # hashed by identity
    assert x.numel() == x.size == 12
    assert x.dim() == x.ndim == 2
    assert [row.shape for row in x] == [(4,)] * 3
    assert [10, 20][pb.tensor(1)] == 20


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("cuda", r"x\.to\('cupy'\)"),
        ("data", "assign"),
        ("add_", r"immutable; write x = x\.add\(\.\.\.\)"),
        ("clamp_", "immutable"),
    ],
)
def test_what_pytorch_has_and_a_tensor_has_not(name, advice):
    with pytest.raises(AttributeError, match=advice):
        getattr(pb.tensor(X), name)


def test_an_unknown_attribute_is_just_that():
    with pytest.raises(AttributeError, match=r"'Tensor' object has no attribute 'colour'$"):
        pb.tensor(X).colour
    assert not hasattr(pb.tensor(X), "colour_")


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: pb.tensor([[1, 2], [3]]), ValueError, "unequal lengths"),
        (lambda: pb.tensor(2**70), OverflowError, "64 bits"),
        (lambda: pb.tensor(300, dtype="uint8"), OverflowError, "uint8"),
        (lambda: pb.ones(2, dtype="uint8") + 300, OverflowError, r"add\(\(2,\) uint8, 300\)"),
        (lambda: pb.ones(2) + None, TypeError, "add: input 1 is None"),
        (lambda: pb.ones(2) * "a", TypeError, "multiply: input 1 is 'a'"),
        (lambda: pb.ones(2) + {}, TypeError, "add: input 1: cannot make a tensor of dict"),
        (lambda: pb.leaky_relu(pb.ones(2), 0.1), TypeError, "leaky_relu takes 1 .* negative_slope: by keyword"),
        (lambda: pb.ones(2)["a"], IndexError, "not a string"),
        (lambda: pb.take(pb.ones(2), pb.tensor([0.5])), IndexError, "holds integers, not float32"),
        (lambda: pb.scatter_add(pb.ones(2), 0, pb.tensor([0.5]), pb.ones(1)), IndexError, "holds integers"),
    ],
)
def test_errors_name_the_op_and_the_input(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_what_a_forward_returns_becomes_a_tensor_of_the_inputs_dtype_or_an_error():
    @pb.primitive
    def total(x, /):
        return float(x.sum())  # as a compiled function does

    assert total(pb.ones(3, dtype="float64")).dtype == pb.float64
    assert total(pb.ones(3)).dtype == pb.float32
    assert total(pb.arange(3)).dtype == pb.float32

    @pb.primitive
    def wrong(x, /):
        return "nothing"

    with pytest.raises(TypeError, match="wrong: its forward returned a str, not an array of numbers"):
        wrong(pb.ones(3))


def test_the_front_door_shows_functions_not_files():
    modules = {name for name, value in vars(pb).items() if isinstance(value, types.ModuleType) and name[0] != "_"}
    assert modules <= {
        "autograd", "backends", "conformance", "data", "info", "nn", "optim", "random", "train"
    }  # fmt: skip
