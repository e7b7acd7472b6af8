"""What `pullback.compile` takes for granted and notices, what it refuses, and how it lives with threads and memory."""

from __future__ import annotations

import copy
import math
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import pullback as pb
from capture_models import BACKENDS, batches, counting_step, mlp
from pullback import nn, optim
from pullback.nn import functional as F


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    with pb.backend(request.param):
        yield request.param


# ------------------------------------------------------------ what was taken for granted


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
        (lambda x: x * x.sum().item(), r"item\(\) of a tensor of shape \(\) at .*test_capture_guards.py"),
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
    def steps(x: Any) -> Any:
        yield x

    async def later(x: Any) -> Any:
        return x

    for wrong, message in [
        (3, "compile takes a function, not int"),
        (nn.Linear, "not the class Linear; compile an instance of it"),
        (steps, "steps is a generator or a coroutine"),
        (later, "later is a generator or a coroutine"),
    ]:
        with pytest.raises(TypeError, match=message):
            pb.compile(wrong)


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


@pb.compile
def doubled(x: pb.Tensor) -> pb.Tensor:
    return x * 2.0


class Quick(nn.Module):
    def __init__(self) -> None:
        self.linear = nn.Linear(3, 3)
        self.run = pb.compile(self.compute)

    def compute(self, x: pb.Tensor) -> pb.Tensor:
        return self.linear(x)

    def forward(self, x: pb.Tensor) -> pb.Tensor:
        return self.run(x)


def test_copies_have_programs_of_their_own() -> None:
    model, x = Quick().requires_grad_(False), pb.ones((2, 3))
    expected = [model(x).numpy() for _ in range(4)][-1]
    other = copy.deepcopy(model)
    other.linear.weight.assign(pb.zeros((3, 3)))
    other.linear.bias.assign(pb.ones(3))
    for _ in range(4):
        assert (other(x).numpy() == 1.0).all()
        np.testing.assert_array_equal(model(x).numpy(), expected)
    assert pickle.loads(pickle.dumps(doubled)) is doubled


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


def test_a_layer_that_is_computed_with_its_neighbour_has_a_mode_too() -> None:
    """Batch normalisation and ReLU in a row are one op; freezing statistics is noticed there."""
    with pb.backend("numba"):
        model = nn.Sequential(nn.Linear(7, 9), nn.BatchNorm1d(9), nn.ReLU())
        norm = model[1]
        for forward in (model, lambda x: norm.relu(model[0](x))):
            model.train()
            step = pb.compile(lambda x, forward=forward: forward(x))
            x = batches(6, 7)[0][0]
            for _ in range(3):
                step(x)
            norm.eval()
            np.testing.assert_array_equal(step(x).numpy(), forward(x).numpy())
            assert step.recorded == 2


def test_constants_that_never_repeat_are_warned_about_and_forgotten() -> None:
    f = pb.compile(lambda x, by: x * by)
    x = pb.ones(2)
    for i in range(64):
        f(x, float(i))
    with pytest.warns(RuntimeWarning, match="pass numbers that change as tensors"):
        f(x, 64.0)
    for i in range(65, 80):
        assert f(x, float(i)).tolist() == [i, i]
    assert len(f._signatures) == 64
