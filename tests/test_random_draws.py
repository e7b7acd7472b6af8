"""pullback.random: distributions, gradients through samples, the same numbers everywhere, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import pullback as pb

BACKENDS = ["numpy", "numba", "strict"]
N = 20_000

#: function, arguments -> the distribution in SciPy
REAL = {
    "uniform": (lambda **k: pb.random.uniform(N, -1.0, 3.0, **k), stats.uniform(-1, 4)),
    "normal": (lambda **k: pb.random.normal(N, 1.0, 2.0, **k), stats.norm(1, 2)),
    "truncated_normal": (
        lambda **k: pb.random.truncated_normal(N, 1.0, 2.0, 0.0, 2.5, **k), stats.truncnorm(-0.5, 0.75, 1, 2),
    ),
    "exponential": (lambda **k: pb.random.exponential(N, 2.0, **k), stats.expon(scale=0.5)),
    "laplace": (lambda **k: pb.random.laplace(N, 1.0, 0.5, **k), stats.laplace(1, 0.5)),
    "gumbel": (lambda **k: pb.random.gumbel(N, 1.0, 0.5, **k), stats.gumbel_r(1, 0.5)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", REAL)
def test_distribution(name: str, dtype: str) -> None:
    draw, wanted = REAL[name]
    x = draw(generator=pb.Generator(3), dtype=dtype, backend="numpy")
    assert x.dtype == dtype
    assert stats.kstest(x.numpy(), wanted.cdf).pvalue > 1e-3
    assert np.isfinite(x.numpy()).all()


def test_discrete_distributions() -> None:
    p = np.array([[0.1, 0.2, 0.7], [0.0, 0.5, 0.5]])
    drawn = pb.random.categorical(np.log(np.maximum(p, 1e-300)), (N, 2), generator=pb.Generator(1), backend="numpy")
    assert drawn.dtype == pb.int64
    counts = np.stack([np.bincount(column, minlength=3) for column in drawn.numpy().T])
    assert counts[1, 0] == 0
    assert stats.chisquare(counts[0], N * p[0]).pvalue > 1e-3
    assert stats.chisquare(counts[1, 1:], N * p[1, 1:]).pvalue > 1e-3
    bits = pb.random.bernoulli(0.3, N, generator=pb.Generator(1)).numpy()
    assert abs(bits.mean() - 0.3) < 0.02
    orders = [tuple(pb.random.permutation(3, generator=pb.Generator(i)).tolist()) for i in range(600)]
    assert len(set(orders)) == 6
    assert max(orders.count(o) for o in set(orders)) < 140


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_the_same_on_every_backend(backend: str) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    exact = {
        "uniform": lambda **k: pb.random.uniform((3, 5), **k),
        "bernoulli": lambda **k: pb.random.bernoulli(0.4, (3, 5), **k),
        "randint": lambda **k: pb.random.randint(-3, 9, (3, 5), **k),
        "permutation": lambda **k: pb.random.permutation(50, **k),
        "categorical": lambda **k: pb.random.categorical(np.log(np.arange(1.0, 6.0)), (500,), **k),
    }
    for name, draw in exact.items():
        ours, numpys = (draw(generator=pb.Generator(5), backend=b).numpy() for b in (backend, "numpy"))
        assert np.array_equal(ours, numpys), name
    for name, (draw, _) in REAL.items():
        for dtype, rtol in (("float32", 1e-4), ("float64", 1e-11)):
            ours, numpys = (draw(generator=pb.Generator(5), backend=b, dtype=dtype).numpy() for b in (backend, "numpy"))
            np.testing.assert_allclose(ours, numpys, rtol, rtol * 1e-1, err_msg=name)


def reparameterised() -> dict[str, object]:
    """Samples as functions of their parameters, with a fixed generator."""
    return {
        "uniform": lambda a, b: pb.random.uniform((4, 3), a, b.abs() + 5.0, generator=pb.Generator(2)),
        "normal": lambda a, b: pb.random.normal((4, 3), a, b.exp(), generator=pb.Generator(2)),
        "truncated_normal": lambda a, b: pb.random.truncated_normal((4, 3), a, b.exp(), generator=pb.Generator(2)),
        "exponential": lambda a, b: pb.random.exponential((4, 3), a.exp(), generator=pb.Generator(2)) * b,
        "laplace": lambda a, b: pb.random.laplace((4, 3), a, b.exp(), generator=pb.Generator(2)),
        "gumbel": lambda a, b: pb.random.gumbel((4, 3), a, b.exp(), generator=pb.Generator(2)),
    }


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", reparameterised())
def test_gradients_through_samples(name: str, backend: str) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    with pb.backend(backend):
        a, b = pb.Tensor(rng.uniform(-1, 1, 3)), pb.Tensor(rng.uniform(-0.5, 0.5, (4, 1)))
        fn = reparameterised()[name]
        assert fn(a, b).dtype == pb.float64
        assert pb.gradcheck(lambda a, b: fn(a, b) ** 2, [a, b], order=2)


@pytest.mark.parametrize(
    ("name", "make"),
    {
        "normal": lambda t, a, b: t.Normal(a, b), "laplace": lambda t, a, b: t.Laplace(a, b),
        "gumbel": lambda t, a, b: t.Gumbel(a, b), "uniform": lambda t, a, b: t.Uniform(a, b + 3),
    }.items(),
)  # fmt: skip
def test_gradients_are_those_of_rsample(name: str, make) -> None:
    """For a location and a scale the gradient of a sample is a function of the sample alone, as in torch."""
    torch = pytest.importorskip("torch")
    a, b = np.array([0.5, -1.0]), np.array([2.0, 0.5])
    ta, tb = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    sample = make(torch.distributions, ta, tb).rsample()
    sample.sum().backward()
    second = pb.Tensor(b + 3 if name == "uniform" else b, requires_grad=True)
    first = pb.Tensor(a, requires_grad=True)
    ours = getattr(pb.random, name)(None, first, second)
    ours.sum().backward()
    if name == "uniform":  # x = a + (b − a)·u
        u = (sample.detach().numpy() - a) / (b + 3 - a)
        np.testing.assert_allclose(ta.grad.numpy(), 1 - u)
        v = (ours.detach().numpy() - a) / (b + 3 - a)
        np.testing.assert_allclose(first.grad.numpy(), 1 - v)
        np.testing.assert_allclose(second.grad.numpy(), v)
    else:  # x = a + b·z
        for grads, x in (((ta, tb), sample.detach().numpy()), ((first, second), ours.detach().numpy())):
            np.testing.assert_allclose(grads[0].grad.numpy(), 1.0)
            np.testing.assert_allclose(grads[1].grad.numpy(), (x - a) / b)


def test_shapes_and_generators() -> None:
    g = pb.Generator(7)
    for draw in (pb.random.uniform, pb.random.normal, pb.random.gumbel, pb.random.exponential, pb.random.laplace):
        assert draw(generator=g).shape == ()
        assert draw((2, 0), generator=g).shape == (2, 0)
        assert draw(3, generator=g, dtype="float16").dtype == pb.float16
    assert g.get_state()["offset"] == 15  # one key a call
    assert pb.random.normal(mean=pb.zeros(2, 1), std=pb.ones(3)).shape == (2, 3)
    x = pb.arange(12).reshape(3, 4)
    shuffled = pb.random.permutation(x, axis=1, generator=pb.Generator(1))
    assert sorted(shuffled[0].tolist()) == [0, 1, 2, 3]
    assert (shuffled[1] - shuffled[0]).tolist() == [4] * 4
    assert pb.random.categorical(pb.zeros(3, 5), axis=0).shape == (5,)
    assert pb.random.categorical(pb.zeros(3, 5), (7, 3)).shape == (7, 3)
    assert pb.random.permutation(0).shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pb.random.normal(3, std=-1.0), "std must not be negative, not -1"),
        (lambda: pb.random.normal(std=pb.tensor([1.0, -1.0])), "std must not be negative"),
        (lambda: pb.random.exponential(3, 0.0), "rate must be positive"),
        (
            lambda: pb.random.normal((2,), pb.zeros(3)),
            r"parameters of shape \(3,\) do not broadcast to the shape \(2,\)",
        ),
        (lambda: pb.random.uniform(-1), "no negative lengths"),
        (lambda: pb.random.categorical(pb.zeros(3, 0)), "no classes"),
        (lambda: pb.random.categorical(pb.zeros(3, 2), (2,)), r"must end with \(3,\)"),
        (lambda: pb.random.permutation(-1), "a length is wanted"),
    ],
)
def test_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_real_numbers_have_floating_dtypes() -> None:
    with pytest.raises(TypeError, match=r"random\.normal: real numbers need a floating dtype, not int64; see randint"):
        pb.random.normal(3, dtype="int64")


@pytest.mark.parametrize("name", ["uniform", "gumbel", "laplace", "exponential"])
def test_the_ends_of_the_uniform_give_no_infinity(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for u in (0.0, 0.5, 1 - 2.0**-24):
        monkeypatch.setattr(
            "pullback.autograd.random_api.uniform_op", lambda key, shape, dtype, u=u: pb.full(shape, u, dtype=dtype)
        )
        assert math.isfinite(getattr(pb.random, name)(()).item())
