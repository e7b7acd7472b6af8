"""L-BFGS and its line search: PyTorch's steps, the Wolfe conditions, saving, moving, errors."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import pullback as pb
from pullback import optim
from pullback.optim.line_search import Point, cubic_minimum, strong_wolfe
from pullback.train import load_checkpoint, save_checkpoint

WOLFE = {"line_search_fn": "strong_wolfe"}


def valley(x):
    """Rosenbrock's function of a vector; its minimum 0 is at (1, 1, ..., 1)."""
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def bowl(x):
    return (x**2 * x.sum() ** 2).sum() + ((x - 1.0) ** 2).sum()


def closure_of(opt, params, function):
    def closure():
        opt.zero_grad()
        loss = function(params[0]) + sum((p**2).sum() for p in params[1:])
        loss.backward()
        return loss

    return closure


START = [np.array([1.3, 0.7, 0.8, 1.9]), np.array([[1.0, -2.0]]), np.array(3.0)]


@pytest.mark.parametrize("backend", ["numpy", "numba", "strict"])
@pytest.mark.parametrize(
    ("function", "options"),
    [
        (valley, WOLFE),
        (valley, {**WOLFE, "history_size": 2, "max_iter": 6}),
        (valley, {**WOLFE, "max_eval": 4, "lr": 0.5}),
        (bowl, {"lr": 0.1}),
        (bowl, {"lr": 0.2, "history_size": 3, "max_iter": 4}),
    ],
)
def test_steps_equal_pytorch(function, options: dict, backend: str) -> None:
    torch = pytest.importorskip("torch")
    if backend == "numba":
        pytest.importorskip("numba")
    # dozens of iterations along a narrow valley amplify rounding by 10⁴ and more
    for dtype, rtol in [("float64", 1e-7), ("float32", 5e-3)]:
        ours = [pb.Parameter(a, dtype=dtype, backend=backend) for a in START]
        theirs = [torch.nn.Parameter(torch.tensor(a.astype(dtype))) for a in START]
        opt, other = optim.LBFGS(ours, **options), torch.optim.LBFGS(theirs, **options)
        for step in range(3):
            loss = float(opt.step(closure_of(opt, ours, function)))
            assert loss == pytest.approx(other.step(closure_of(other, theirs, function)).item(), rel=rtol, abs=1e-9)
            for p, q in zip(ours, theirs, strict=True):
                assert p.dtype == dtype
                np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=rtol, atol=rtol, err_msg=f"step {step}")
        if dtype == "float64":
            counts = [
                {k: o.state[p[0]][k] for k in ("n_iter", "func_evals")} for o, p in ((opt, ours), (other, theirs))
            ]
            assert counts[0] == counts[1]


def test_it_finds_the_end_of_the_valley() -> None:
    x = pb.Parameter(START[0])
    opt = optim.LBFGS([x], max_iter=200, **WOLFE)
    opt.step(closure_of(opt, [x], valley))
    np.testing.assert_allclose(x.numpy(), 1.0, atol=1e-5)  # it stops where the loss falls by less than 1e-9
    opt.step(closure_of(opt, [x], valley))  # little is left to do
    assert opt.state[x]["func_evals"] < 80
    assert valley(x).item() < 1e-9


def test_parameters_without_gradient_stay_and_the_closure_records() -> None:
    x, unused = pb.Parameter(START[0]), pb.Parameter([1.0, 2.0], dtype="float64")
    opt = optim.LBFGS([x, unused], **WOLFE)
    with pb.no_grad():
        opt.step(closure_of(opt, [x], valley))
    assert unused.tolist() == [1.0, 2.0]
    assert valley(x).item() < 1.0


@pytest.mark.parametrize("through", ["memory", "checkpoint", "json"])
@pytest.mark.parametrize("options", [{**WOLFE, "max_iter": 5}, {"lr": 0.1, "max_iter": 3}])
def test_resuming_is_bit_identical(options: dict, through: str, tmp_path) -> None:
    def made(values):
        x = pb.Parameter(values)
        return x, optim.LBFGS([x], **options)

    function = valley if "line_search_fn" in options else bowl
    x, opt = made(START[0])
    for _ in range(2):
        opt.step(closure_of(opt, [x], function))
    middle = x.numpy()
    y, again = made(middle)
    if through == "checkpoint":
        save_checkpoint(tmp_path / "c.safetensors", optimizer=opt)
        load_checkpoint(tmp_path / "c.safetensors", optimizer=again)
    elif through == "json":
        text = json.dumps(opt.state_dict(), default=lambda t: t.numpy().tolist())
        saved = json.loads(text)
        for entries in saved["state"].values():
            for name in ("d", "prev_flat_grad", "old_dirs", "old_stps"):
                value = entries[name]
                many = name.startswith("old")
                entries[name] = [np.array(v) for v in value] if many else np.array(value)
        again.load_state_dict(saved)
    else:
        again.load_state_dict(opt.state_dict())
    opt.step(closure_of(opt, [x], function))
    again.step(closure_of(again, [y], function))
    assert not np.array_equal(x.numpy(), middle)
    assert np.array_equal(x.numpy(), y.numpy())


def test_pytorchs_state_is_taken_over() -> None:
    torch = pytest.importorskip("torch")
    q = torch.nn.Parameter(torch.tensor(START[0]))
    other = torch.optim.LBFGS([q], max_iter=6, **WOLFE)
    other.step(closure_of(other, [q], valley))
    x = pb.Parameter(q.detach().numpy())
    opt = optim.LBFGS([x])
    opt.load_state_dict(other.state_dict())
    for _ in range(2):
        other.step(closure_of(other, [q], valley))
        opt.step(closure_of(opt, [x], valley))
    np.testing.assert_allclose(x.numpy(), q.detach().numpy(), rtol=1e-8)


def test_state_follows_a_moved_parameter() -> None:
    from pullback.backends import get_backend

    x, still = pb.Parameter(START[0]), pb.Parameter(START[0])
    opt, fixed = optim.LBFGS([x], max_iter=4, **WOLFE), optim.LBFGS([still], max_iter=4, **WOLFE)
    opt.step(closure_of(opt, [x], valley))
    x._move(get_backend("strict"))
    opt.step(closure_of(opt, [x], valley))
    for _ in range(2):
        fixed.step(closure_of(fixed, [still], valley))
    assert opt.state[x]["old_dirs"][0].backend.name == "strict"
    np.testing.assert_allclose(x.numpy(), still.numpy(), rtol=1e-9)


def test_wrong_uses() -> None:
    x, y = pb.Parameter([1.0]), pb.Parameter([1.0], dtype="float64")
    with pytest.raises(TypeError, match="needs a closure"):
        optim.LBFGS([x]).step()
    with pytest.raises(ValueError, match="takes one group"):
        optim.LBFGS([{"params": [x]}, {"params": [pb.Parameter([2.0])]}])
    with pytest.raises(ValueError, match=r"one dtype on one backend, not .*float32.*float64"):
        optim.LBFGS([x, y])
    opt = optim.LBFGS([x])
    opt.step(closure_of(opt, [x], bowl))
    with pytest.raises(ValueError, match=r"d has shape \(1,\), the parameters need \(2,\)"):
        optim.LBFGS([pb.Parameter([1.0, 2.0])]).load_state_dict(opt.state_dict())


# ---------------------------------------------------------------- the line search


def along(f, slope):
    def at(t: float) -> Point:
        return Point(t, f(t), None, slope(t))

    return at


FALLING = {
    "quadratic": (lambda t: (t - 3.0) ** 2, lambda t: 2.0 * (t - 3.0)),
    "quartic": (lambda t: (t - 0.2) ** 4 - t, lambda t: 4.0 * (t - 0.2) ** 3 - 1.0),
    "wiggly": (lambda t: math.sin(8.0 * t) * 0.3 - t + 0.1 * t * t, lambda t: 2.4 * math.cos(8.0 * t) - 1.0 + 0.2 * t),
    "wall": (
        lambda t: math.exp(t) - 4.0 * t if t < 5 else math.inf,
        lambda t: math.exp(t) - 4.0 if t < 5 else math.nan,
    ),
    "undefined": (
        lambda t: -math.log1p(t) + 3 * t * t if t < 1 else math.nan,
        lambda t: -1.0 / (1.0 + t) + 6 * t if t < 1 else math.nan,
    ),
}


@pytest.mark.parametrize("first", [1e-3, 1.0, 20.0])
@pytest.mark.parametrize("name", ["quadratic", "quartic", "wall", "undefined"])
def test_the_point_satisfies_both_wolfe_conditions(name: str, first: float) -> None:
    at = along(*FALLING[name])
    start = at(0.0)
    assert start.slope < 0
    point, count = strong_wolfe(at, start, first, size=1.0, max_evaluations=40)
    assert point.value <= start.value + 1e-4 * point.t * start.slope
    assert abs(point.slope) <= 0.9 * abs(start.slope)
    assert 1 <= count <= 41


def test_the_search_ends_with_the_best_point_when_it_may_not_go_on() -> None:
    at = along(*FALLING["quadratic"])
    start = at(0.0)
    assert strong_wolfe(at, start, 1e-6, size=1.0, max_evaluations=0)[0].t == 1e-6
    assert strong_wolfe(at, start, 100.0, size=1.0, max_evaluations=0)[0] is start


def test_the_cubic_through_two_points() -> None:
    f, slope = (lambda t: t**3 - 3.0 * t), (lambda t: 3.0 * t * t - 3.0)
    a, b = Point(0.0, f(0.0), None, slope(0.0)), Point(1.5, f(1.5), None, slope(1.5))
    assert cubic_minimum(a, b, 0.0, 1.5) == pytest.approx(1.0)
    assert cubic_minimum(b, a, 0.0, 1.5) == pytest.approx(1.0)
    assert cubic_minimum(a, b, 0.0, 0.5) == 0.5
    assert cubic_minimum(a, a, 2.0, 4.0) == 3.0
    assert cubic_minimum(a, Point(1.5, math.nan, None, 1.0), 0.0, 1.0) == 0.5
