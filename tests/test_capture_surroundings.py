"""What a compiled function looks up outside of its arguments may change between its calls, and it notices."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.autograd.capture.surroundings import Surroundings

CALLS = 12
CHANGE, BACK = 5, 9  # the calls before which things change

scale: Any = 1.0
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


class Gated(nn.Module):
    """A user's layer with an option of its own, a plain list of layers, and a method beside `forward`."""

    def __init__(self) -> None:
        self.layers = [nn.Linear(6, 6)]
        self.on = True
        self.log: list[int] = []
        self.calls = 0

    def forward(self, x: pb.Tensor) -> pb.Tensor:
        self.calls += 1
        return self.all_layers(x) if self.on else x

    def all_layers(self, x: pb.Tensor) -> pb.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x * 2.0 if self.training else x


class Learner:
    """Has a counter that the step does not look at, and a factor that it does."""

    def __init__(self) -> None:
        self.model, self.factor, self.steps = Gated(), 1.0, 0

    def step(self, x: pb.Tensor) -> pb.Tensor:
        return self.model(x) * self.factor


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


def scaled_globally(wrap: Wrap) -> tuple[Any, Any, Any]:
    def change(value: float) -> Callable[[], None]:
        return lambda: globals().update(scale=value)

    change(1.0)()
    return wrap(lambda x: helper(x)), change(3.0), change(1.0)


def helper(x: pb.Tensor) -> pb.Tensor:
    return x * scale


def enclosed(wrap: Wrap) -> tuple[Any, Any, Any]:
    model = nn.Linear(6, 3)
    mask = pb.ones(3)

    def change() -> None:
        nonlocal model
        model = nn.Linear(6, 3)

    def back() -> None:
        nonlocal mask
        mask = pb.zeros(3)

    return wrap(lambda x: model(x) * mask), change, back


def in_containers(wrap: Wrap) -> tuple[Any, Any, Any]:
    options, layers = {"by": 1.0}, [nn.Linear(6, 6)]

    def step(x: pb.Tensor) -> pb.Tensor:
        return functools.reduce(lambda x, layer: layer(x), layers, x * options["by"])

    return wrap(step), lambda: options.update(by=2.0), lambda: layers.append(nn.Linear(6, 6))


def attributes(wrap: Wrap) -> tuple[Any, Any, Any]:
    options = SimpleNamespace(by=1.0)
    learner = Learner()
    step = wrap(learner.step)
    run = wrap(lambda x: step(x) + x * options.by)
    return run, lambda: setattr(options, "by", 0.5), lambda: setattr(learner, "factor", 2.0)


def default_arguments(wrap: Wrap) -> tuple[Any, Any, Any]:
    def step(x: pb.Tensor, by: float = 2.0) -> pb.Tensor:
        return x * by

    return wrap(step), lambda: setattr(step, "__defaults__", (5.0,)), lambda: setattr(step, "__defaults__", (2.0,))


def own_layer(wrap: Wrap) -> tuple[Any, Any, Any]:
    model = Gated()
    return wrap(model), lambda: setattr(model, "on", False), lambda: setattr(model, "on", True)


def mode_of_a_layer_that_is_not_called(wrap: Wrap) -> tuple[Any, Any, Any]:
    model = Gated()
    model.layers = []
    return wrap(lambda x: model.all_layers(x)), model.eval, model.train


def replaced_layers(wrap: Wrap) -> tuple[Any, Any, Any]:
    model, own = mlp(), Gated()

    def change() -> None:
        model[4] = nn.Linear(8, 6)

    model[4] = nn.Linear(8, 6)
    return wrap(lambda x: own(model(x))), change, lambda: own.layers.append(nn.Linear(6, 6))


def replaced_parameters(wrap: Wrap) -> tuple[Any, Any, Any]:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    return (
        wrap(model),
        lambda: setattr(model[1], "weight", model[0].weight),
        lambda: setattr(model[0], "bias", pb.Parameter(pb.ones(6))),
    )


def layer_options(wrap: Wrap) -> tuple[Any, Any, Any]:
    model = mlp()
    return wrap(model), lambda: setattr(model[3], "p", 0.0), lambda: setattr(model[1], "momentum", 0.5)


def module_hooks(wrap: Wrap) -> tuple[Any, Any, Any]:
    model = mlp()
    handles: list[Any] = []

    def change() -> None:
        handles.append(model[0].register_forward_hook(lambda module, args, out: out * 2.0))

    return wrap(model), change, lambda: handles.pop().remove()


def other_forward(wrap: Wrap) -> tuple[Any, Any, Any]:
    model = mlp()
    return wrap(model), lambda: setattr(model[4], "forward", lambda x: x * 0.0), lambda: delattr(model[4], "forward")


def buffers(wrap: Wrap) -> tuple[Any, Any, Any]:
    model = nn.Module()
    model.b = nn.Buffer(pb.zeros(6))
    return wrap(lambda x: x + model.b), lambda: setattr(model, "b", pb.ones(6)), lambda: model.b.assign(pb.zeros(6))


class Slotted:
    __slots__ = ("by",)

    def __init__(self) -> None:
        self.by = 1.0


class Hidden:
    offset = 0.0

    @property
    def total(self) -> float:
        return self.offset + scale


def slots_and_properties(wrap: Wrap) -> tuple[Any, Any, Any]:
    """An attribute of a class that an instance gets of its own, behind a property."""
    slotted, hidden = Slotted(), Hidden()
    run = wrap(lambda x: x * slotted.by + hidden.total)
    return run, lambda: setattr(slotted, "by", 2.0), lambda: setattr(hidden, "offset", 2.0)


def names_that_come_later(wrap: Wrap) -> tuple[Any, Any, Any]:
    options, kinds = SimpleNamespace(), {1}
    step = wrap(lambda x: x * getattr(options, "by", 1.0) + (1.0 if 2 in kinds else 0.0))
    return step, lambda: setattr(options, "by", 2.0), lambda: kinds.add(2)


def methods(wrap: Wrap) -> tuple[Any, Any, Any]:
    class Layer(nn.Module):
        def forward(self, x: pb.Tensor) -> pb.Tensor:
            return x * 1.0

    model = Layer()
    return wrap(model), lambda: setattr(Layer, "forward", lambda self, x: x * 2.0), lambda: None


CASES = [
    scaled_globally, enclosed, in_containers, attributes, default_arguments, own_layer,
    mode_of_a_layer_that_is_not_called, replaced_layers, replaced_parameters, layer_options, module_hooks,
    other_forward, buffers, slots_and_properties, names_that_come_later, methods,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_change_outside_is_noticed(case: Callable[[Wrap], tuple[Any, Any, Any]]) -> None:
    outcomes = []
    made: list[Any] = []

    def compiled(function: Callable[..., Any]) -> Any:
        made.append(pb.compile(function))
        return made[-1]

    for wrap in (lambda function: function, compiled):
        pb.manual_seed(1)
        rng = np.random.default_rng(0)
        step, change, back = case(wrap)
        results = []
        for i in range(CALLS):
            if i == CHANGE:
                change()
            if i == BACK:
                back()
            results.append(step(pb.tensor(rng.standard_normal((5, 6)).astype(np.float32))).numpy())
        outcomes.append(results)
    for plain, replayed in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(plain, replayed)
    assert made[-1].recorded in (2, 3)
    assert made[-1].recorded + made[-1].replayed == CALLS - 1


def test_what_the_code_does_not_mention_may_change() -> None:
    learner = Learner()
    step = pb.compile(learner.step)
    for i in range(6):
        step(pb.ones((2, 6)))
        learner.steps += 1  # no part of the step
        learner.model.log = [i]
        learner.factor = float("1.0")  # another object of the same value
    assert (step.recorded, step.replayed) == (1, 4)


def test_a_global_that_changes_at_every_call_leaves_it_uncompiled_with_a_warning() -> None:
    step = pb.compile(lambda x: x * scale)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for i in range(15):
            globals()["scale"] = float(i)
            assert step(pb.ones(2)).tolist() == [i, i]
    assert [str(w.message) for w in seen if "variables that it looks up change" in str(w.message)]
    globals()["scale"] = 1.0


def test_a_tensor_that_python_carries_from_call_to_call_is_refused() -> None:
    hidden: Any = pb.zeros(3)

    def step(x: pb.Tensor) -> pb.Tensor:
        nonlocal hidden
        hidden = hidden * 0.5 + x
        return hidden

    f = pb.compile(step)
    f(pb.ones(3))
    with pytest.raises(pb.CaptureError, match=r"the variable 'hidden'.*return the new one.*assign"):
        f(pb.ones(3))


def test_a_buffer_set_inside_is_carried() -> None:
    class Memory(nn.Module):
        def __init__(self) -> None:
            self.hidden = nn.Buffer(pb.zeros(3))

        def forward(self, x: pb.Tensor) -> pb.Tensor:
            self.hidden = self.hidden * 0.5 + x
            return self.hidden * 1.0

    plain, model = Memory(), Memory()
    f = pb.compile(model)
    for i in range(6):
        x = pb.full((3,), float(i))
        np.testing.assert_array_equal(f(x).numpy(), plain(x).numpy())
    np.testing.assert_array_equal(model.hidden.numpy(), plain.hidden.numpy())
    assert f.replayed == 4


def test_a_computed_weight_is_no_state_of_python() -> None:
    """The older weight normalisation sets the weight as an attribute before each forward."""
    model = nn.utils.weight_norm(nn.Linear(6, 3))
    opt = optim.SGD(model.parameters(), lr=0.1)

    def step(x: pb.Tensor) -> pb.Tensor:
        opt.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        opt.step()
        return loss

    f = pb.compile(step)
    losses = [f(pb.ones((2, 6))).item() for _ in range(6)]
    assert f.replayed == 4
    assert losses == sorted(losses, reverse=True)


def test_installed_packages_are_not_followed() -> None:
    def step(x: pb.Tensor) -> pb.Tensor:
        return x if x.shape else pytest.approx(helper(x))

    surroundings = Surroundings([step])
    assert helper in surroundings._seen.values()
    assert len(surroundings._seen) < 50
