"""Sequential's fused pairs: the same values and gradients as the layers one by one, and only where nobody watches."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback import nn

pytest.importorskip("numba")


def build() -> nn.Sequential:
    pb.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 6, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(6 * 9, 7), nn.ReLU(), nn.Linear(7, 3),
    )  # fmt: skip


def ops_of(out: pb.Tensor) -> set[str]:
    from pullback.autograd.graph import descending

    return {node.name for node in descending([out._node])}


def test_same_values_and_gradients_as_one_by_one() -> None:
    with pb.backend("numba"):
        model = build()
        data = np.random.default_rng(0).standard_normal((4, 2, 8, 8)).astype("f")
        x, y = (pb.tensor(data, requires_grad=True) for _ in range(2))
        fused = model(x)
        plain = y
        for layer in model:
            plain = layer(plain)
        kernels = set(pb.get_backend("numba").kernels)
        expected = {"conv2d_relu", "conv2d_relu_max_pool2d", "linear_relu"} & kernels
        assert expected
        assert expected <= ops_of(fused)
        assert not expected & ops_of(plain)
        np.testing.assert_allclose(fused.detach().numpy(), plain.detach().numpy(), rtol=1e-5, atol=1e-6)
        wanted = [*model.parameters()]
        for a, b in zip(
            pb.gradients((fused**2).sum(), [x, *wanted]), pb.gradients((plain**2).sum(), [y, *wanted]), strict=True
        ):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_sequential_joins_linear_and_gelu_where_gradients_are_recorded(approximate: str) -> None:
    data = np.random.default_rng(0).standard_normal((3, 5, 7)).astype("f")
    with pb.backend("numba"):
        model = nn.Sequential(nn.Linear(7, 9), nn.GELU(approximate), nn.Linear(9, 2))
        results = []
        for run in (model, lambda x: model[2](model[1](model[0](x)))):
            x = pb.tensor(data, requires_grad=True)
            out = run(x)
            assert ("linear_gelu" in ops_of(out)) is (run is model)
            results.append([out.detach(), *pb.gradients((out**2).sum(), [x, *model.parameters()])])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)
        with pb.no_grad():
            np.testing.assert_array_equal(model(x).numpy(), model[2](model[1](model[0](x))).numpy())


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_transformer_layers_join_their_activation(activation: str) -> None:
    data = np.random.default_rng(0).standard_normal((3, 5, 8)).astype("f")
    outs = []
    for backend in ("numba", "numpy"):
        with pb.backend(backend):
            pb.manual_seed(0)
            layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation=activation, batch_first=True)
            out = layer(pb.tensor(data))
            assert (f"linear_{activation}" in ops_of(out)) is (backend == "numba")
            outs.append([out.detach().numpy(), *(g.numpy() for g in pb.gradients(out.sum(), [*layer.parameters()]))])
    for a, b in zip(*outs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def test_a_hook_sees_its_layer() -> None:
    with pb.backend("numba"):
        model = build()
        seen = []
        model[1].register_forward_hook(lambda module, args, out: seen.append(tuple(out.shape)))
        out = model(pb.zeros((1, 2, 8, 8)))
        assert seen == [(1, 5, 6, 6)]
        assert "relu" in ops_of(out)


def test_wrong_input_names_the_layer() -> None:
    with pb.backend("numba"), pytest.raises(ValueError, match="channel"):
        build()(pb.zeros((1, 3, 8, 8)))


def test_layers_with_options_the_ops_lack_run_one_by_one() -> None:
    x = pb.tensor(np.random.default_rng(0).standard_normal((2, 2, 6, 6)).astype("f"), backend="numba")
    with pb.backend("numba"):
        wrapped = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), nn.ReLU())
        normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), nn.ReLU())
        indexed = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2, return_indices=True))
        for model in (wrapped, normed):
            np.testing.assert_array_equal(model(x).numpy(), model[0](x).numpy().clip(0))
            assert "conv2d_relu" not in ops_of(model(x))
        out, places = indexed(x)
        flat = indexed[1](indexed[0](x)).numpy().reshape(2, 3, -1)
        found = np.take_along_axis(flat, places.numpy().reshape(2, 3, -1), -1)
        np.testing.assert_array_equal(found.reshape(out.shape), out.numpy())


def block(norms, x, joined):
    """relu(norm(relu(norm(x))) + x), with running statistics on the way."""
    if joined:
        return norms[1].relu(norms[0].relu(x), residual=x)
    return (norms[1](norms[0](x).relu()) + x).relu()


@pytest.mark.parametrize("last", [True, False], ids=["channels-last", "row-major"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_batch_norm_with_a_sum_and_relu_equals_its_parts(backend: str, training: bool, last: bool) -> None:
    rng = np.random.default_rng(3)
    data = rng.standard_normal((3, 5, 7, 9)).astype("f")
    if last:
        data = np.ascontiguousarray(data.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    results = []
    for joined in (True, False):
        with pb.backend(backend):
            norms = [nn.BatchNorm2d(5), nn.BatchNorm2d(5)]
            for k, norm in enumerate(norms):
                norm.train(training)
                norm.weight.assign(np.linspace(0.5, 1.5, 5, dtype="f"))
                norm.bias.assign(np.linspace(-0.5, 0.5 + k, 5, dtype="f"))
            x = pb.Tensor(data, requires_grad=True)
            out = block(norms, x, joined)
            fused = {"batch_norm_relu", "batch_norm_add_relu"} & ops_of(out)
            assert bool(fused) == (joined and training and backend == "numba")
            parameters = [p for norm in norms for p in norm.parameters()]
            grads = pb.gradients((out**2).sum(), [x, *parameters])
            statistics = [b for norm in norms for b in norm.buffers()]
            results.append([out.detach().numpy(), *(g.numpy() for g in grads), *(b.numpy() for b in statistics)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5 * max(1.0, float(np.abs(b).max())))


def test_sequential_joins_batch_norm_and_relu() -> None:
    with pb.backend("numba"):
        model = nn.Sequential(nn.Conv2d(2, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU())
        x = pb.tensor(np.random.default_rng(0).standard_normal((4, 2, 8, 8)).astype("f"))
        assert "batch_norm_relu" in ops_of(model(x))
        seen = []
        model[1].register_forward_hook(lambda module, args, out: seen.append(out.shape))
        assert "batch_norm_relu" not in ops_of(model(x))
        assert "batch_norm_relu" not in ops_of(model[1].relu(model[0](x)))
        assert seen == [(4, 5, 6, 6)] * 2


def test_a_residual_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"residual must have the input's shape \(2, 3\), not \(3,\)"):
        nn.BatchNorm1d(3).relu(pb.ones(2, 3), residual=pb.ones(3))
