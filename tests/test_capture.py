"""`pullback.compile`: replays give what plain calls give, to the bit, and notice whatever they took for granted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from capture_models import BACKENDS, STEPS, batches, convnet, mlp
from pullback import nn, optim
from pullback.nn import functional as F


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    with pb.backend(request.param):
        yield request.param


class Recurrent(nn.Module):
    def __init__(self) -> None:
        self.embed, self.rnn, self.head = nn.Embedding(11, 6), nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 5)

    def forward(self, x: pb.Tensor) -> pb.Tensor:
        return self.head(self.rnn(self.embed((x[:, :4].abs() * 3).long() % 11))[0][:, -1])


def attentive() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (4, 8)), nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True), nn.Flatten(),
        nn.Linear(32, 5),
    )  # fmt: skip


def same_run(
    build: Callable[[], tuple[Any, Callable[..., Any]]], data: list[tuple[Any, ...]], replayed: int | None = None
) -> Any:
    """Run a step plainly and compiled, from the same seed, on the same batches: equal results and parameters."""
    outcomes = []
    made = None
    for compiled in (False, True):
        pb.random.manual_seed(3)
        model, step = build()
        if compiled:
            step = made = pb.compile(step)
        results = [step(*batch) for batch in data]
        outcomes.append((results, model))
    (plain, a), (replays, b) = outcomes
    for x, y in zip(plain, replays, strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy(), err_msg=name)
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        assert (x.grad is None) == (y.grad is None)
        if x.grad is not None:
            np.testing.assert_array_equal(x.grad.numpy(), y.grad.numpy())
    assert made.replayed == (len(data) - 2 if replayed is None else replayed)
    return made


def trained(make: Callable[[], Any], optimizer: Callable[[Any], Any], zero_first: bool = True) -> Callable[[], Any]:
    def build() -> tuple[Any, Callable[..., Any]]:
        model = make()
        opt = optimizer(model.parameters())

        def step(x: pb.Tensor, y: pb.Tensor) -> pb.Tensor:
            if zero_first:
                opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            if not zero_first:
                opt.zero_grad()
            return loss

        return model, step

    return build


@pytest.mark.parametrize("zero_first", [True, False])
@pytest.mark.parametrize("make", [mlp, Recurrent, attentive])
def test_training_steps(backend: str, make: Callable[[], Any], zero_first: bool) -> None:
    width = {mlp: 7, Recurrent: 7, attentive: 32}[make]
    same_run(trained(make, lambda p: optim.Adam(p, lr=1e-2), zero_first), batches(6, width))


def test_batch_norm_keeps_its_running_statistics(backend: str) -> None:
    same_run(trained(convnet, lambda p: optim.SGD(p, lr=0.1, momentum=0.9)), batches(4, 2, 8, 8))


OPTIMIZERS = [
    name for name in dir(optim)
    if isinstance(getattr(optim, name), type) and issubclass(getattr(optim, name), optim.Optimizer)
    and name not in ("Optimizer", "LBFGS", "Muon")
]  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser(name: str) -> None:
    def make(params: Any) -> Any:
        return getattr(optim, name)(params, lr=1e-2)

    for backend in ("numpy", "numba"):
        with pb.backend(backend):
            same_run(trained(mlp, make), batches(6, 7))


def test_learning_rate_follows_a_schedule() -> None:
    losses = []
    for compiled in (False, True):
        pb.random.manual_seed(0)
        model = nn.Linear(7, 5)
        opt = optim.SGD(model.parameters(), lr=0.5)
        schedule = optim.lr_scheduler.StepLR(opt, 2, gamma=0.1)

        def step(x: pb.Tensor, y: pb.Tensor, opt: Any = opt, model: Any = model) -> pb.Tensor:
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            return loss

        run = pb.compile(step) if compiled else step
        for x, y in batches(6, 7):
            losses.append(run(x, y).item())
            schedule.step()
    assert losses[:STEPS] == losses[STEPS:]


def test_gradients_accumulate_over_calls(backend: str) -> None:
    def build() -> tuple[Any, Callable[..., Any]]:
        model = nn.Linear(7, 5)

        def step(x: pb.Tensor, y: pb.Tensor) -> pb.Tensor:
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        return model, step

    # the first call finds no gradient, the others do: the second call's program is for those
    same_run(build, batches(6, 7))


def test_clipping_and_double_backward(backend: str) -> None:
    def build() -> tuple[Any, Callable[..., Any]]:
        model = nn.Sequential(nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 1))
        opt = optim.RMSprop(model.parameters(), lr=1e-2)

        def step(x: pb.Tensor, y: pb.Tensor) -> pb.Tensor:
            opt.zero_grad()
            slope = pb.grad(lambda v: model(v).sum())(x)
            penalty = ((slope * slope).sum(axis=1).sqrt() - 1.0).square().mean()
            penalty.backward()
            norm = optim.clip_grad_norm_(model.parameters(), 0.1)
            opt.step()
            return norm

        return model, step

    same_run(build, batches(6, 7))


def test_vmap_inside(backend: str) -> None:
    w = pb.Parameter(np.arange(12.0, dtype=np.float32).reshape(3, 4) / 12)
    per_example = pb.vmap(pb.grad(lambda w, x: (w @ x).tanh().sum()), in_axes=(None, 0))
    f = pb.compile(lambda x: per_example(w, x).square().sum(axis=0))
    for x, _ in batches(5, 4):
        np.testing.assert_array_equal(f(x).numpy(), per_example(w, x).square().sum(axis=0).numpy())
    assert f.replayed == STEPS - 2


def test_random_numbers_go_on(backend: str) -> None:
    draws = pb.compile(lambda x: x + pb.random.normal((3,)))
    pb.random.manual_seed(5)
    expected = [pb.random.normal((3,)).numpy() for _ in range(5)]
    pb.random.manual_seed(5)
    zero = pb.zeros((3,))
    for value in expected:
        np.testing.assert_array_equal(draws(zero).numpy(), value)
    assert draws.replayed == 3


def test_inference_with_containers_and_constants(backend: str) -> None:
    model = mlp().eval()

    @pb.compile
    def predict(batch: dict[str, Any], scale: float, *, flip: bool = False) -> dict[str, Any]:
        y = model(batch["x"]) * scale
        return {"y": -y if flip else y, "shape": y.shape, "both": (y, batch["x"])}

    xs = [x for x, _ in batches(3, 7)]
    with pb.no_grad():
        for x in xs:
            for flip in (False, True):
                out = predict({"x": x}, 2.0, flip=flip)
                expected = model(x) * 2.0
                np.testing.assert_array_equal(out["y"].numpy(), (-expected if flip else expected).numpy())
                np.testing.assert_array_equal(out["both"][1].numpy(), x.numpy())
                assert out["shape"] == (3, 5)
    assert predict.recorded == 2 and predict.replayed == 2 * (STEPS - 2)


def test_numpy_arguments_arrive_as_tensors() -> None:
    double = pb.compile(lambda x: x * 2.0)
    for i in range(4):
        np.testing.assert_array_equal(double(np.full(3, float(i))).numpy(), np.full(3, 2.0 * i))
    assert double.replayed == 2


def test_nothing_at_all(backend: str) -> None:
    f = pb.compile(lambda x: pb.grad(lambda x: pb.prod(x, axis=0).sum())(x))
    for _ in range(4):
        assert f(pb.ones((2, 0))).shape == (2, 0)


def test_results_stay_what_they_were() -> None:
    for backend in ("numpy", "numba"):
        with pb.backend(backend):
            f = pb.compile(lambda x: (pb.relu(x), x, x.reshape(-1)))
            xs = [pb.full((4, 5), float(i)) for i in range(5)]
            results = [f(x) for x in xs]
            for i, triple in enumerate(results):
                for r in triple:
                    assert (r.numpy() == i).all()
