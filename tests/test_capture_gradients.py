"""Gradients that compiled functions leave to each other and to the caller: whose memory they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from capture_models import BACKENDS, batches, mlp
from pullback import optim
from pullback.nn import functional as F

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    with pb.backend(request.param):
        yield request.param


def one_for_two_parameters(wrap: Wrap) -> list[Any]:
    """The gradients of a sum's terms are one array; a later sum must not write both into it."""
    p, q = pb.Parameter(pb.ones(3)), pb.Parameter(pb.ones(3))

    def first(x: pb.Tensor) -> None:
        p.grad = q.grad = None
        ((p + q) * x).sum().backward()

    def then(x: pb.Tensor) -> None:
        ((p * 2.0 + q * 3.0) * x).sum().backward()

    first, then = wrap(first), wrap(then)
    found = []
    for i in range(6):
        first(pb.full(3, float(i)))
        then(pb.ones(3))
        then(pb.ones(3))
        found += [p.grad * 1.0, q.grad * 1.0]
    return found


def one_that_the_caller_keeps(wrap: Wrap) -> list[Any]:
    p, mine = pb.Parameter(pb.ones(3)), pb.full(3, 5.0)
    step = wrap(lambda x: (p * 2.0 * x).sum().backward())
    found = []
    for i in range(8):
        p.grad = mine if i % 2 else pb.full(3, float(i))
        step(pb.ones(3))
        found += [mine * 1.0, p.grad * 1.0]
    return found


def one_from_outside(wrap: Wrap) -> list[Any]:
    p, mine = pb.Parameter(pb.ones(3)), pb.full(3, 7.0)
    give = wrap(lambda x: setattr(p, "grad", mine))
    step = wrap(lambda x: (p * 2.0 * x).sum().backward())
    found = []
    for i in range(6):
        give(pb.full(3, float(i)))
        step(pb.ones(3))
        found += [mine * 1.0, p.grad * 1.0]
    return found


def zeros(wrap: Wrap) -> list[Any]:
    """Accumulated over two calls, then set to zeros rather than to None."""
    model = mlp()
    opt = optim.SGD(model.parameters(), lr=0.1)

    def step(x: pb.Tensor, y: pb.Tensor, last: bool) -> pb.Tensor:
        loss = F.cross_entropy(model(x), y) * 0.5
        loss.backward()
        if last:
            optim.clip_grad_norm_(model.parameters(), 0.1)
            opt.step()
            opt.zero_grad(set_to_none=False)
        return loss

    step = wrap(step)
    found = [step(x, y, i % 2 == 1) for i, (x, y) in enumerate(batches(5, 7, count=10))]
    return [*found, *model.state_dict().values(), *(p.grad for p in model.parameters())]


def apart(wrap: Wrap) -> list[Any]:
    """Backward and update are two functions."""
    model = mlp()
    opt = optim.Adam(model.parameters(), lr=0.01)

    def backward(x: pb.Tensor, y: pb.Tensor) -> pb.Tensor:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    def update() -> None:
        opt.step()
        opt.zero_grad()

    backward, update = wrap(backward), wrap(update)
    found = []
    for x, y in batches(5, 7, count=9):
        found += [backward(x, y), backward(y=y, x=x)]
        update()
    return [*found, *model.state_dict().values()]


@pytest.mark.parametrize("case", [one_for_two_parameters, one_that_the_caller_keeps, one_from_outside, zeros, apart])
def test_it_gives_what_the_functions_give(backend: str, case: Callable[[Wrap], list[Any]]) -> None:
    made: list[Any] = []

    def compiled(function: Callable[..., Any]) -> Any:
        made.append(pb.compile(function))
        return made[-1]

    outcomes = []
    for wrap in (lambda function: function, compiled):
        pb.manual_seed(1)
        outcomes.append([x.numpy() for x in case(wrap)])
    for plain, replayed in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(plain, replayed)
    for function in made:
        assert function.replayed >= 4
