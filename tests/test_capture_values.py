"""What a program takes for granted about tensors, optimisers and arguments, each against the plain function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
CALLS = 14


def normal(i: int, *shape: int) -> pb.Tensor:
    return pb.tensor(np.random.default_rng(i).standard_normal(shape).astype(np.float32))


def trained(model: Any, opt: Any) -> Callable[[pb.Tensor], pb.Tensor]:
    def step(x: pb.Tensor) -> pb.Tensor:
        opt.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        opt.step()
        return loss

    return step


def two_layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))


def thawed_layer(wrap: Wrap) -> list[Any]:
    """Its steps are behind those of the others then: bias corrections differ."""
    model = two_layers()
    step = wrap(trained(model, optim.Adam(model.parameters(), lr=0.01)))
    found = []
    for i in range(CALLS):
        model[0].requires_grad_(i % 6 < 3)
        found.append(step(normal(i, 5, 6)))
    return [*found, *model.state_dict().values()]


def another_group(wrap: Wrap) -> list[Any]:
    model = two_layers()
    opt = optim.SGD(model[0].parameters(), lr=0.1)
    step = wrap(trained(model, opt))
    for i in range(CALLS):
        if i == 5:
            opt.add_param_group({"params": model[2].parameters(), "lr": 0.05})
        step(normal(i, 5, 6))
    return list(model.state_dict().values())


def another_parameter_in_the_group(wrap: Wrap) -> list[Any]:
    model = two_layers()
    opt = optim.SGD([model[0].weight], lr=0.1)
    step = wrap(trained(model, opt))
    for i in range(CALLS):
        if i == 5:
            opt.param_groups[0]["params"][0] = model[2].weight
        step(normal(i, 5, 6))
    return list(model.state_dict().values())


def layout(wrap: Wrap) -> list[Any]:
    w = normal(9, 7, 6)
    step = wrap(
        lambda x: pb.concatenate([(x @ w).reshape(-1), x.sum(axis=0), x.exp().mean(axis=1), x.sum().reshape(1)])
    )
    forms = [normal(0, 50, 7), normal(1, 7, 50).T, normal(2, 50, 14)[:, ::2], normal(3, 50, 7)[::-1]]
    return [step(forms[i % 4]) for i in range(CALLS)]


def signed_zero(wrap: Wrap) -> list[Any]:
    step = wrap(lambda x, by: x * by)
    return [step(pb.ones(3), -0.0 if i % 2 else 0.0) for i in range(CALLS)]


def current_backend(wrap: Wrap) -> list[Any]:
    step = wrap(lambda: pb.ones(3) * 2.0)
    found = []
    for i in range(CALLS):
        with pb.backend("numpy" if i % 2 else "strict"):
            found.append(pb.tensor(float(step().backend.name == "numpy")))
    return found


def leaf_tensor(wrap: Wrap) -> list[Any]:
    w = pb.ones(6).requires_grad_()

    def forward(x: pb.Tensor) -> pb.Tensor:
        loss = (w * x).sum()
        if loss.requires_grad:
            loss.backward()
        return loss

    step = wrap(forward)
    found = []
    for i in range(CALLS):
        w.requires_grad = not 5 <= i < 8
        step(normal(i, 5, 6))
        found.append(w.grad * 1.0)
    return found


def tensor_that_begins_to_require_a_gradient(wrap: Wrap) -> list[Any]:
    w = pb.ones(6)
    step = wrap(lambda x: pb.tensor(float((w * x).requires_grad)))
    found = []
    for i in range(CALLS):
        w.requires_grad = i > 7
        found.append(step(normal(i, 6)))
    return found


def detached_parameter(wrap: Wrap) -> list[Any]:
    p = pb.Parameter(pb.ones(6))
    opt = optim.SGD([p], lr=0.1)
    step = wrap(lambda x: x * p.detach())
    found = []
    for i in range(CALLS):
        if i in (5, 8):
            p.grad = normal(i, 6)
            opt.step()
        found.append(step(normal(i, 6)))
    return found


def hook_on_a_parameter(wrap: Wrap) -> list[Any]:
    model = two_layers()
    step = wrap(trained(model, optim.SGD(model.parameters(), lr=0.1)))
    handle: Any = None
    for i in range(CALLS):
        if i == 5:
            handle = model[0].weight.register_hook(lambda g: g * 2.0)
        if i == 9:
            handle.remove()
        step(normal(i, 5, 6))
    return list(model.state_dict().values())


def buffer_that_the_first_call_does_not_touch(wrap: Wrap) -> list[Any]:
    """Its memory is a tensor's that the caller keeps."""
    kept = normal(0, 6)
    buffer, calls = nn.Buffer(pb.zeros(6)), [0]
    buffer.assign(kept)

    def step(x: pb.Tensor) -> pb.Tensor:
        calls[0] += 1
        if calls[0] > 1:
            buffer.assign(buffer * 2.0 + x)
        return x

    run = wrap(step)
    for i in range(4):
        run(normal(i, 6))
    return [kept, buffer.detach()]


CASES = [
    thawed_layer, another_group, another_parameter_in_the_group, layout, signed_zero, current_backend, leaf_tensor,
    tensor_that_begins_to_require_a_gradient, detached_parameter, hook_on_a_parameter,
    buffer_that_the_first_call_does_not_touch,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_gives_what_the_function_gives(case: Callable[[Wrap], list[Any]]) -> None:
    made: list[Any] = []

    def compiled(function: Callable[..., Any]) -> Any:
        made.append(pb.compile(function))
        return made[0]

    outcomes = []
    for wrap in (lambda function: function, compiled):
        pb.manual_seed(1)
        outcomes.append([x.numpy() for x in case(wrap)])
    for plain, replayed in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(plain, replayed)
        np.testing.assert_array_equal(np.signbit(plain), np.signbit(replayed))
    assert made[0].replayed >= 2


def test_other_libraries_cannot_look_at_values_either() -> None:
    with pytest.raises(pb.CaptureError, match=r"__dlpack__\(\) of a tensor"):
        pb.compile(lambda x: x * float(np.from_dlpack(x).sum()))(pb.ones(3))
