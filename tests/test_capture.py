"""`pullback.compile`: replays give what plain calls give, to the bit, and notice whatever they took for granted."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.nn import functional as F

BACKENDS = ["numpy", "numba", "strict"]
STEPS = 6


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    with pb.backend(request.param):
        yield request.param


def batches(*shape: int, classes: int = 5, count: int = STEPS) -> list[tuple[pb.Tensor, pb.Tensor]]:
    rng = np.random.default_rng(0)
    return [
        (pb.tensor(rng.standard_normal(shape).astype(np.float32)), pb.tensor(rng.integers(0, classes, shape[0])))
        for _ in range(count)
    ]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 5))


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 9, 5)
    )


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


def test_results_stay_what_they_were() -> None:
    for backend in ("numpy", "numba"):
        with pb.backend(backend):
            f = pb.compile(lambda x: (pb.relu(x), x, x.reshape(-1)))
            xs = [pb.full((4, 5), float(i)) for i in range(5)]
            results = [f(x) for x in xs]
            for i, triple in enumerate(results):
                for r in triple:
                    assert (r.numpy() == i).all()


# ------------------------------------------------------------ what was taken for granted


def counting_step(make: Callable[[], Any] = mlp) -> tuple[Any, Any, Any]:
    pb.random.manual_seed(1)
    model = make()
    opt = optim.Adam(model.parameters(), lr=1e-2)

    @pb.compile
    def step(x: pb.Tensor, y: pb.Tensor) -> pb.Tensor:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    return model, opt, step


def test_another_shape_is_recorded_apart() -> None:
    _, _, step = counting_step()
    for n in (6, 4, 6, 4, 6, 4, 6, 4):
        step(*batches(n, 7, count=1)[0])
    assert (step.recorded, step.replayed) == (2, 4)


def test_modes_have_programs_of_their_own() -> None:
    model = mlp()
    predict = pb.compile(model)
    x = batches(3, 7)[0][0]
    with pb.no_grad():
        model.eval()
        expected = model(x).numpy()
        for _ in range(4):
            model.train()
            noisy = predict(x).numpy()
            model.eval()
            np.testing.assert_array_equal(predict(x).numpy(), expected)
            assert (noisy != expected).any()
    assert predict.recorded == 2
    assert predict.replayed == 5


def test_loading_weights_is_noticed() -> None:
    model, opt, step = counting_step(lambda: nn.Linear(7, 5))
    data = batches(6, 7)
    start, moments = model.state_dict(), opt.state_dict()
    first = [step(x, y).item() for x, y in data]
    model.load_state_dict(start)
    opt.load_state_dict(moments)
    assert [step(x, y).item() for x, y in data] == first


def test_changed_options_and_frozen_parameters_are_noticed() -> None:
    model, opt, step = counting_step(lambda: nn.Linear(7, 5))
    (x, y), *_ = batches(6, 7)
    for _ in range(3):
        step(x, y)
    opt.param_groups[0]["weight_decay"] = 1.0
    assert step.replayed == 1
    step(x, y)
    assert step.recorded == 2
    model.bias.requires_grad = False
    before = model.bias.numpy()
    for _ in range(3):
        step(x, y)
    np.testing.assert_array_equal(model.bias.numpy(), before)


def test_another_tensor_around_a_parameter_is_the_parameter() -> None:
    p = pb.Parameter(np.ones(3, np.float32))
    f = pb.compile(lambda x: x * pb.Tensor(p))
    for i in (1.0, 1.0, 1.0, 2.0, 3.0):
        p.assign(np.full(3, i, np.float32))
        assert f(pb.ones(3)).tolist() == [i] * 3


def test_it_gives_up_with_a_warning_where_nothing_can_be_replayed() -> None:
    p = pb.Parameter(np.ones(3, np.float32))
    f = pb.compile(lambda x: x * p)
    x = pb.ones(3)

    def call(i: int) -> None:
        p.assign(np.full(3, float(i), np.float32))
        np.testing.assert_array_equal(f(x).numpy(), np.full(3, float(i)))

    for i in range(9):
        call(i)
    with pytest.warns(RuntimeWarning, match="runs uncompiled"):
        call(9)
    for i in range(10, 15):
        call(i)


def test_a_residual_from_before_the_step_is_not_used_after_it() -> None:
    model, _, step = counting_step(lambda: nn.Linear(7, 5))
    (x, y), *_ = batches(6, 7)
    for _ in range(3):
        step(x, y)
    out = model(x.requires_grad_()).sum()
    step(x.detach(), y)
    with pytest.raises(pb.GraphError, match="assigned to since"):
        out.backward()


def test_bad_data_stops_a_replay_before_anything_changes(backend: str) -> None:
    model, _, step = counting_step()
    data = batches(6, 7)
    for x, y in data[:4]:
        step(x, y)
    before = [p.numpy() for p in model.parameters()]
    with pytest.raises(IndexError, match=r"class"):
        step(data[0][0], data[0][1] + 100)
    for p, old in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), old)
    assert math.isfinite(step(*data[0]).item())


def test_checks_of_values_are_made_at_replays_too(backend: str) -> None:
    f = pb.compile(lambda m, v: F.gaussian_nll_loss(m, pb.zeros_like(m), v))
    for _ in range(4):
        f(pb.ones(3), pb.ones(3))
    with pytest.raises(ValueError, match="must not be negative"):
        f(pb.ones(3), -pb.ones(3))


# ------------------------------------------------------------ what cannot be compiled


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x * x.sum().item(), r"item\(\) of a tensor of shape \(\) at .*test_capture.py"),
        (lambda x: x if x.sum() > 0 else -x, r"item\(\).*pullback.where"),
        (lambda x: x + x.numpy().sum(), r"numpy\(\)"),
        (lambda x: x.tolist() and x, r"tolist\(\)"),
    ],
)
def test_looking_at_values_is_refused_at_the_first_call(function: Any, message: str) -> None:
    with pytest.raises(pb.CaptureError, match=message):
        pb.compile(function)(pb.ones(3))
    assert pb.ones(1).item() == 1.0  # nothing is left behind


def test_arguments_that_require_gradients_are_refused() -> None:
    with pytest.raises(pb.CaptureError, match=r"argument \[0\].*requires a gradient"):
        pb.compile(lambda x: x)(pb.ones(3, requires_grad=True))


def test_unhashable_arguments_are_refused() -> None:
    with pytest.raises(pb.CaptureError, match="hashable constants; got set"):
        pb.compile(lambda s: pb.ones(3))({1, 2})


def test_two_backends_are_refused() -> None:
    f = pb.compile(lambda x: x.to("strict") * 2.0)
    with pb.backend("numpy"):
        f(pb.ones(3))
        with pytest.raises(pb.CaptureError, match="stays on one backend"):
            f(pb.ones(3))


def test_a_view_of_a_parameter_does_not_outlive_its_step() -> None:
    with pb.backend("numba"):
        p = pb.Parameter(np.ones((4, 5), np.float32))
        opt = optim.SGD([p], lr=1.0)

        def step(copy: bool) -> pb.Tensor:
            opt.zero_grad()
            (p * p).sum().backward()
            with pb.no_grad():
                old = p.detach() if copy else p.reshape(-1)
            opt.step()
            return old * 1.0

        f = pb.compile(step)
        f(False)
        with pytest.raises(pb.CaptureError, match=r"take parameter.detach\(\)"):
            f(False)
        for _ in range(4):
            before = p.numpy()
            np.testing.assert_array_equal(f(True).numpy(), before)


def test_not_a_function() -> None:
    with pytest.raises(TypeError, match="compile takes a function, not int"):
        pb.compile(3)


def test_inside_a_transform_it_is_the_function() -> None:
    square = pb.compile(lambda x: x * x)
    for _ in range(3):
        square(pb.ones(3))
    x = pb.tensor([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(pb.vmap(square)(x).numpy(), [1.0, 4.0, 9.0])
    assert square.replayed == 1


def test_as_a_method() -> None:
    class Scaler:
        def __init__(self, by: float) -> None:
            self.by = by

        @pb.compile
        def scaled(self, x: pb.Tensor) -> pb.Tensor:
            """Doc."""
            return x * self.by

    a, b = Scaler(2.0), Scaler(3.0)
    for _ in range(4):
        assert a.scaled(pb.ones(2)).tolist() == [2.0, 2.0]
        assert b.scaled(pb.ones(2)).tolist() == [3.0, 3.0]
    assert Scaler.scaled.__doc__ == "Doc."


def test_threads_replay_one_function_at_the_same_time() -> None:
    with pb.backend("numba"):
        model = mlp().eval()
        predict = pb.compile(model)
        xs = [x for x, _ in batches(300, 7, count=8)]
        with pb.no_grad():
            expected = [model(x).numpy() for x in xs]
        wrong: list[int] = []

        def work(i: int) -> None:
            with pb.no_grad(), pb.backend("numba"):
                wrong.extend(i for _ in range(30) if (predict(xs[i]).numpy() != expected[i]).any())

        workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        assert not wrong
        assert predict.replayed > 200


def test_what_nobody_uses_is_left_out(backend: str) -> None:
    f = pb.compile(lambda x: (pb.exp(x).sum(), x * 2.0)[1])
    for _ in range(4):
        assert f(pb.ones(3)).tolist() == [2.0] * 3
    (program,) = f.programs()
    assert program.launched + program.called == 1


def test_profile_is_a_call_that_says_where_time_goes(backend: str) -> None:
    model, _, step = counting_step(lambda: nn.Linear(7, 5))
    data = batches(6, 7)
    with pytest.raises(pb.CaptureError, match="call it three times first"):
        step.profile(*data[0])
    for x, y in data[:3]:
        step(x, y)
    before = model.weight.numpy()
    times = step.profile(*data[3])
    assert (model.weight.numpy() != before).any()
    names = [name.split()[0] for name, _ in times]
    assert "linear" in names
    assert "adam_step" in names
    assert all(seconds >= 0.0 for _, seconds in times)
