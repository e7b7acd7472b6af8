"""Initialisers: distributions, bounds, seeds, backends."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pullback as pb
from pullback import nn
from pullback.nn import init

SHAPE = (64, 16, 3, 3)
FAN_IN, FAN_OUT = 144, 576


def empty(*shape, dtype=np.float32):
    return nn.Parameter(np.zeros(shape or SHAPE, dtype))


UNIFORM = {
    "kaiming": (lambda p: init.kaiming_uniform_(p, a=math.sqrt(5)), 1 / math.sqrt(FAN_IN)),
    "kaiming-out": (lambda p: init.kaiming_uniform_(p, mode="fan_out", nonlinearity="relu"), math.sqrt(6 / FAN_OUT)),
    "xavier": (lambda p: init.xavier_uniform_(p, gain=2.0), 2 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
    "glorot": (init.glorot_uniform_, math.sqrt(6 / (FAN_IN + FAN_OUT))),
    "he": (init.he_uniform_, math.sqrt(6 / FAN_IN)),
    "lecun": (init.lecun_uniform_, math.sqrt(3 / FAN_IN)),
    "uniform": (lambda p: init.uniform_(p, -2.0, 2.0), 2.0),
}


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform(name):
    fill, bound = UNIFORM[name]
    p = empty()
    assert fill(p) is p
    x = p.numpy()
    assert bound * 0.998 < abs(x).max() <= bound * (1 + 1e-6)
    assert x.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert abs(x.mean()) < 0.03 * bound


NORMAL = {
    "kaiming": (init.kaiming_normal_, math.sqrt(2 / FAN_IN), None),
    "kaiming-tanh": (lambda p: init.kaiming_normal_(p, nonlinearity="tanh"), 5 / 3 / math.sqrt(FAN_IN), None),
    "xavier": (init.xavier_normal_, math.sqrt(2 / (FAN_IN + FAN_OUT)), None),
    "normal": (lambda p: init.normal_(p, std=3.0), 3.0, None),
    "glorot": (init.glorot_normal_, math.sqrt(2 / (FAN_IN + FAN_OUT)), 2 / 0.87962566),
    "he": (init.he_normal_, math.sqrt(2 / FAN_IN), 2 / 0.87962566),
    "lecun": (init.lecun_normal_, math.sqrt(1 / FAN_IN), 2 / 0.87962566),
    "trunc": (lambda p: init.trunc_normal_(p, std=2.0, a=-4.0, b=4.0), 2 * 0.87962566, 2 / 0.87962566),
}


@pytest.mark.parametrize("name", NORMAL)
def test_normal(name):
    fill, std, cut = NORMAL[name]
    x = fill(empty()).numpy()
    assert x.std() == pytest.approx(std, rel=0.03)
    assert abs(x.mean()) < 0.04 * std
    if cut is None:
        assert abs(x).max() > 3 * std
    else:
        assert 0.99 * cut * std < abs(x).max() <= cut * std * (1 + 1e-6)


def test_exact_ones():
    assert (init.ones_(empty(2, 3)).numpy() == 1).all()
    assert (init.zeros_(init.ones_(empty(2, 3))).numpy() == 0).all()
    assert (init.constant_(empty(2), 0.5).numpy() == 0.5).all()
    np.testing.assert_array_equal(init.eye_(empty(2, 3)).numpy(), np.eye(2, 3))
    weight = init.dirac_(empty(4, 2, 3, 3), groups=2)
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 5)).astype(np.float32)
    same = nn.functional.conv2d(pb.Tensor(x), weight, padding=1, groups=2)
    np.testing.assert_allclose(same.numpy(), x, rtol=1e-6)
    for shape in ((5, 3), (3, 5), (4, 2, 3)):
        q = init.orthogonal_(empty(*shape, dtype=np.float64), gain=2.0).numpy().reshape(shape[0], -1)
        gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0.0, 1.0, -2.0, 2.0), (0.0, 1.0, 1.0, 1.5), (0.0, 1.0, 4.0, 1e9), (3.0, 0.5, -1e9, -1.0), (1.0, 2.0, -9.0, 9.0)],
)
def test_truncated_normals_have_their_distribution(mean, std, a, b):
    from scipy.stats import kstest, truncnorm

    pb.manual_seed(5)
    x = init.trunc_normal_(empty(20000, dtype=np.float64), mean, std, a, b).numpy()
    assert x.min() >= a
    assert x.max() <= b
    expected = truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    assert kstest(x, expected.cdf).pvalue > 1e-3  # a wrong one of this size would be at 0


def test_sparse_columns():
    pb.manual_seed(6)
    x = init.sparse_(empty(40, 500), sparsity=0.21, std=2.0).numpy()
    assert ((x == 0).sum(axis=0) == 9).all()
    assert x[x != 0].std() == pytest.approx(2.0, rel=0.03)
    assert ((x == 0).sum(axis=1) > 70).all()  # no row is preferred
    assert (init.sparse_(empty(3, 2), 1.0).numpy() == 0).all()


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_variance_scaling(mode, distribution):
    fan = {"fan_in": FAN_IN, "fan_out": FAN_OUT, "fan_avg": (FAN_IN + FAN_OUT) / 2}[mode]
    pb.manual_seed(7)
    x = init.variance_scaling_(empty(), 3.0, mode, distribution).numpy()
    assert x.std() == pytest.approx(math.sqrt(3.0 / fan), rel=0.03)


def test_parameters_without_elements_are_left_alone():
    for fill in (init.kaiming_uniform_, init.kaiming_normal_, init.he_normal_, init.lecun_uniform_, init.normal_):
        assert fill(empty(3, 0)).shape == (3, 0)


def test_defaults_of_layers():
    for layer, fan in ((nn.Linear(50, 400), 50), (nn.Conv2d(8, 300, 3, groups=2), 36)):
        bound = 1 / math.sqrt(fan)
        for p in layer.parameters():
            assert 0.95 * bound < abs(p.numpy()).max() <= bound * (1 + 1e-6)
    assert nn.Embedding(100, 50).weight.numpy().std() == pytest.approx(1, rel=0.05)
    padded = nn.Embedding(4, 2, padding_idx=1).weight.numpy()
    assert not padded[1].any()
    assert padded[[0, 2, 3]].all()
    norm = nn.LayerNorm(3)
    assert (norm.weight.numpy() == 1).all()
    assert not norm.bias.numpy().any()


def test_one_seed_gives_the_same_weights_on_every_backend():
    def weights(backend):
        pb.manual_seed(11)
        layer = nn.Sequential(nn.Linear(5, 7, backend=backend), nn.Conv2d(2, 3, 3, backend=backend))
        assert {p.backend.name for p in layer.parameters()} == {backend}
        return [p.numpy() for p in layer.parameters()]

    for a, b in zip(weights("numpy"), weights("strict"), strict=True):
        np.testing.assert_array_equal(a, b)
    pb.manual_seed(12)
    assert (nn.Linear(5, 7).weight.numpy() != weights("numpy")[0]).all()


def test_own_generator():
    a = init.normal_(empty(), generator=pb.Generator(5)).numpy()
    pb.manual_seed(99)
    np.testing.assert_array_equal(init.normal_(empty(), generator=pb.Generator(5)).numpy(), a)


def test_errors():
    with pytest.raises(ValueError, match=r"at least 2 axes \(out, in, …\), not shape \(3,\)"):
        init.xavier_uniform_(empty(3))
    with pytest.raises(ValueError, match="nonlinearity must be one of"):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match="mode must be one of 'fan_in', 'fan_out'"):
        init.kaiming_normal_(empty(), mode="fan")
    with pytest.raises(ValueError, match=r"needs std > 0 and a < b, not std=1.0, a=2.0, b=1.0"):
        init.trunc_normal_(empty(), a=2.0, b=1.0)
    with pytest.raises(ValueError, match=r"uniform_ needs a ≤ b, not a=1.0, b=0.0"):
        init.uniform_(empty(), 1.0, 0.0)
    with pytest.raises(ValueError, match=r"normal_ needs std ≥ 0, not -1.0"):
        init.normal_(empty(), std=-1.0)
    with pytest.raises(ValueError, match="sparse_ needs a matrix, not shape"):
        init.sparse_(empty(), 0.5)
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1.5"):
        init.sparse_(empty(2, 2), 1.5)
    with pytest.raises(ValueError, match="distribution must be one of"):
        init.variance_scaling_(empty(), distribution="normal")
    with pytest.raises(ValueError, match="eye_ needs a matrix"):
        init.eye_(empty(3))


def test_gains_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name in ("linear", "relu", "leaky_relu", "tanh", "sigmoid", "selu", "conv2d"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3))
