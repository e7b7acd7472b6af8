"""Optimisers: PyTorch's numbers, parameter groups, saving and resuming, moving, errors."""

from __future__ import annotations

import copy
import gc
import json

import numpy as np
import pytest

import pullback as pb
from pullback import optim
from pullback.autograd.graph import GraphError

SHAPES = [(4, 3), (3,), (), (2, 0), (2, 3, 2, 2)]
STEPS = 25

#: optimiser -> options to compare, each alone or with others
OPTIONS = {
    "SGD": [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.3},
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        {"weight_decay": 0.05, "maximize": True},
    ],
    "Adam": [
        {},
        {"betas": (0.3, 0.7), "eps": 1e-2},
        {"amsgrad": True},
        {"weight_decay": 0.1},
        {"weight_decay": 0.1, "amsgrad": True, "maximize": True},
    ],
    "AdamW": [{}, {"weight_decay": 0.3}, {"amsgrad": True, "maximize": True}],
    "RMSprop": [
        {},
        {"alpha": 0.7, "eps": 1e-2},
        {"momentum": 0.9},
        {"centered": True},
        {"momentum": 0.5, "centered": True, "weight_decay": 0.1, "maximize": True},
    ],
    "Adagrad": [{}, {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1}, {"maximize": True}],
    "Adadelta": [{}, {"rho": 0.7, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}],
    "Adamax": [{}, {"betas": (0.5, 0.9), "eps": 1e-2, "weight_decay": 0.1, "maximize": True}],
    "NAdam": [
        {},
        {"momentum_decay": 0.1, "weight_decay": 0.1},
        {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
    "RAdam": [
        {},
        {"betas": (0.8, 0.9), "weight_decay": 0.1},
        {"betas": (0.8, 0.95), "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ],
    "ASGD": [{}, {"lambd": 0.1, "alpha": 0.5, "t0": 5, "weight_decay": 0.1, "maximize": True}],
    "Rprop": [{}, {"etas": (0.3, 1.5), "step_sizes": (0.02, 0.3), "maximize": True}],
    "Adafactor": [
        {},
        {"beta2_decay": -0.5, "d": 1.5, "weight_decay": 0.1},
        {"lr": 0.5, "eps": (1e-2, 1e-1), "weight_decay": 0.1, "maximize": True},
    ],
}
ROWS = [(name, options) for name, rows in OPTIONS.items() for options in rows]
BACKENDS = ["numpy", "numba", "strict"]
SCALARS = ("mu_product", "eta", "mu")


@pytest.fixture
def torch():
    """PyTorch with float64 numbers: NAdam keeps its product of momenta in the default dtype."""
    module = pytest.importorskip("torch")
    module.set_default_dtype(module.float64)
    yield module
    module.set_default_dtype(module.float32)


@pytest.fixture(autouse=True)
def _on_numpy():
    with pb.backend("numpy"):
        yield


def available(backend: str) -> str:
    if backend == "numba":
        pytest.importorskip("numba")
    return backend


def start(dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def gradients(step: int, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(1000 + step)
    return [rng.standard_normal(shape).astype(dtype) * (1.0 + 0.1 * step) for shape in SHAPES]


def walk(opt: optim.Optimizer, params: list[pb.Parameter], dtype: str, steps: range) -> None:
    for step in steps:
        for p, g in zip(params, gradients(step, dtype), strict=True):
            p.grad = pb.Tensor(g, dtype=p.dtype, backend=p.backend)
        opt.step()


def made(name: str, dtype: str = "float64", backend: str = "numpy", **options) -> tuple[optim.Optimizer, list]:
    params = [pb.Parameter(a, backend=backend) for a in start(dtype)]
    return getattr(optim, name)(params, **{"lr": 0.05, **options}), params


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-10), ("float32", 5e-5)])
@pytest.mark.parametrize(("name", "options"), ROWS, ids=lambda v: v if isinstance(v, str) else "-".join(v) or "plain")
def test_steps_equal_pytorch(name: str, options: dict, dtype: str, rtol: float, backend: str, torch) -> None:
    opt, params = made(name, dtype, available(backend), **options)
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in start(dtype)]
    other = getattr(torch.optim, name)(theirs, **{"lr": 0.05, **options}, foreach=False)
    for step in range(STEPS):
        walk(opt, params, dtype, range(step, step + 1))
        for p, g in zip(theirs, gradients(step, dtype), strict=True):
            if g.size or name != "Adafactor":  # PyTorch's divides by the number of elements
                p.grad = torch.tensor(np.asarray(g, dtype))
        other.step()
        for p, q in zip(params, theirs, strict=True):
            assert p.dtype == dtype
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=rtol, atol=rtol, err_msg=f"step {step}")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_lion_follows_its_formula(dtype: str, backend: str) -> None:
    opt, params = made("Lion", dtype, available(backend), betas=(0.8, 0.9), weight_decay=0.1)
    expected = [(a.astype("float64"), np.zeros(a.shape)) for a in start(dtype)]
    for step in range(STEPS):
        walk(opt, params, dtype, range(step, step + 1))
        moved = []
        for (p, m), g in zip(expected, gradients(step, dtype), strict=True):
            p = p * (1 - 0.05 * 0.1) - 0.05 * np.sign(0.8 * m + 0.2 * g)
            moved.append((p, 0.9 * m + 0.1 * g))
        expected = moved
    for p, (q, _) in zip(params, expected, strict=True):
        np.testing.assert_allclose(p.numpy(), q, rtol=1e-10 if dtype == "float64" else 1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*OPTIONS, "Lion", "LAMB"])
def test_parameters_and_state_stay_in_their_dtype(name: str) -> None:
    for dtype in ("float32", "float64"):
        opt, params = made(name, dtype)
        walk(opt, params, dtype, range(2))
        assert all(p.dtype == dtype for p in params)
        for state in opt.state.values():
            assert all(t.dtype == ("float64" if k in SCALARS else dtype) for k, t in state.items() if k != "step")


# ---------------------------------------------------------------- groups


def test_groups_have_their_own_options_and_pytorch_agrees(torch) -> None:
    a, b = start("float64")[:2]
    ours = [pb.Parameter(a), pb.Parameter(b)]
    theirs = [torch.nn.Parameter(torch.tensor(a)), torch.nn.Parameter(torch.tensor(b))]

    def groups(params):
        return [
            {"params": [params[0]], "lr": 0.3, "name": "body"},
            {"params": params[1], "momentum": 0.5, "name": "head"},
        ]

    opt, other = optim.SGD(groups(ours), lr=0.1), torch.optim.SGD(groups(theirs), lr=0.1)
    for step in range(5):
        for p, q, g in zip(ours, theirs, gradients(step, "float64"), strict=False):
            p.grad, q.grad = pb.Tensor(g), torch.tensor(g)
        opt.step()
        other.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-12)
    assert [group["name"] for group in opt.state_dict()["param_groups"]] == ["body", "head"]


def test_named_parameters_are_remembered() -> None:
    opt = optim.Adam([("w", pb.Parameter([1.0])), ("b", pb.Parameter([2.0]))])
    assert opt.state_dict()["param_groups"][0]["param_names"] == ["w", "b"]
    assert "Adam(" in repr(opt)
    assert "2 parameters, lr=0.001" in repr(opt)


def test_parameters_without_gradient_are_left_alone_and_keep_their_own_step_count(torch) -> None:
    a, b = start("float64")[:2]
    ours = [pb.Parameter(a), pb.Parameter(b)]
    theirs = [torch.nn.Parameter(torch.tensor(a)), torch.nn.Parameter(torch.tensor(b))]
    opt, other = optim.Adam(ours, lr=0.1), torch.optim.Adam(theirs, lr=0.1)
    opt.step()  # no gradients at all: nothing happens
    assert not opt.state
    for step in range(6):
        for i, (p, q, g) in enumerate(zip(ours, theirs, gradients(step, "float64"), strict=False)):
            skip = i == 1 and step % 2 == 0
            p.grad, q.grad = (None, None) if skip else (pb.Tensor(g), torch.tensor(g))
        opt.step()
        other.step()
    assert [opt.state[p]["step"] for p in ours] == [6, 3]
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-12)


def test_zero_grad() -> None:
    w = pb.Parameter([1.0, 2.0])
    opt = optim.SGD([w], lr=0.1)
    w.grad = pb.Tensor([np.nan, 1.0])
    opt.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0, 0.0]
    opt.zero_grad()
    assert w.grad is None


def test_closure_is_called_with_recording_on_and_its_loss_returned() -> None:
    w = pb.Parameter([3.0])
    opt = optim.SGD([w], lr=0.25)

    def closure():
        opt.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with pb.no_grad():
        loss = opt.step(closure)
    assert loss.item() == 9.0
    assert w.numpy().tolist() == [1.5]


def test_a_training_loop_descends() -> None:
    rng = np.random.default_rng(3)
    x, true = pb.Tensor(rng.standard_normal((64, 5))), rng.standard_normal((5, 1))
    y = x @ pb.Tensor(true)
    for name in [*OPTIONS, "Lion", "LAMB"]:
        w = pb.Parameter(np.zeros((5, 1)))
        opt = getattr(optim, name)([w], lr={"Adadelta": 10.0, "Adagrad": 0.5, "Adafactor": 0.5}.get(name, 0.05))
        for _ in range(200):
            opt.zero_grad()
            error = x @ w - y
            (error * error * (1 / 64)).sum().backward()
            opt.step()
        assert np.abs(w.numpy() - true).max() < 0.15, name


# ---------------------------------------------------------------- memory


def test_whoever_looks_at_a_parameters_memory_keeps_the_old_values() -> None:
    opt, params = made("SGD", "float32", momentum=0.9)
    walk(opt, params, "float32", range(2))
    w = params[0]
    before, shared, copied = w.numpy(), pb.Tensor(w), w.detach()
    walk(opt, params, "float32", range(2, 4))
    assert np.array_equal(shared.numpy(), before)
    assert np.array_equal(copied.numpy(), before)
    assert not np.array_equal(w.numpy(), before)


def test_a_graph_made_before_the_step_is_not_given_new_values() -> None:
    w = pb.Parameter(np.array([[2.0, 3.0]]))
    opt = optim.Adam([w], lr=0.5)
    x = pb.Tensor(np.array([[1.0, 1.0]]), requires_grad=True)
    direct, through_a_view = (x * w).sum(), (x @ pb.swapaxes(w, 0, 1)).sum()
    w.grad = pb.Tensor(np.ones((1, 2)))
    opt.step()
    with pytest.raises(GraphError, match="multiply"):
        direct.backward()
    try:
        through_a_view.backward()
    except GraphError:
        pass
    else:
        assert x.grad.numpy().tolist() == [[2.0, 3.0]]


def test_gradients_are_not_written_to() -> None:
    for name in [*OPTIONS, "Lion", "LAMB"]:
        opt, params = made(name, maximize=True, **({} if name == "Rprop" else {"weight_decay": 0.1}))
        given = gradients(0, "float64")
        for p, g in zip(params, given, strict=True):
            p.grad = pb.Tensor(g.copy())
        opt.step()
        assert all(np.array_equal(p.grad.numpy(), g) for p, g in zip(params, given, strict=True)), name


def test_non_contiguous_parameters_and_gradients() -> None:
    rng = np.random.default_rng(5)
    a, g = rng.standard_normal((6, 4)), rng.standard_normal((4, 6))
    plain, turned = pb.Parameter(a), pb.Parameter(a)
    turned._adopt(np.asfortranarray(a))
    plain.grad, turned.grad = pb.Tensor(np.ascontiguousarray(g.T)), pb.Tensor(g.T)
    for p in (plain, turned):
        optim.AdamW([p], lr=0.1).step()
    assert np.array_equal(plain.numpy(), turned.numpy())


def test_a_dropped_optimiser_leaves_no_garbage() -> None:
    gc.collect()
    gc.disable()
    try:
        opt, params = made("Adam")
        walk(opt, params, "float64", range(2))
        del opt, params
        assert gc.collect() == 0
    finally:
        gc.enable()


# ---------------------------------------------------------------- saving, moving


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "options"), [*ROWS, ("Lion", {}), ("LAMB", {})])
def test_resuming_is_bit_identical(name: str, options: dict, backend: str) -> None:
    opt, params = made(name, "float32", available(backend), **options)
    walk(opt, params, "float32", range(3))
    saved, weights = opt.state_dict(), [p.numpy() for p in params]
    frozen = copy.deepcopy({i: {k: np.asarray(v) for k, v in s.items()} for i, s in saved["state"].items()})
    walk(opt, params, "float32", range(3, 6))
    for i, state in saved["state"].items():  # the saved state did not move on
        assert all(np.array_equal(np.asarray(v), frozen[i][k]) for k, v in state.items())

    again, fresh = made(name, "float32", backend)
    for p, w in zip(fresh, weights, strict=True):
        p.assign(w)
    again.load_state_dict(saved)
    walk(again, fresh, "float32", range(3, 6))
    for p, q in zip(params, fresh, strict=True):
        assert np.array_equal(p.numpy(), q.numpy())


def test_state_dict_survives_json_and_numpy() -> None:
    opt, params = made("Adam", "float64", amsgrad=True)
    walk(opt, params, "float64", range(2))
    text = json.dumps(opt.state_dict(), default=lambda t: {"array": t.numpy().tolist(), "shape": t.shape})
    saved = json.loads(text)
    for state in saved["state"].values():
        for key, value in state.items():
            if isinstance(value, dict):
                state[key] = np.array(value["array"], "float64").reshape(value["shape"])
    weights = [p.numpy() for p in params]
    walk(opt, params, "float64", range(2, 4))
    again, fresh = made("Adam")
    for p, w in zip(fresh, weights, strict=True):
        p.assign(w)
    again.load_state_dict(saved)
    walk(again, fresh, "float64", range(2, 4))
    assert all(np.array_equal(p.numpy(), q.numpy()) for p, q in zip(params, fresh, strict=True))


@pytest.mark.parametrize(("name", "options"), [
        ("Adam", {"amsgrad": True}), ("SGD", {"momentum": 0.9}), ("NAdam", {}), ("ASGD", {"t0": 1}), ("Rprop", {}),
        ("Adafactor", {}),
    ],
)  # fmt: skip
def test_pytorchs_state_dict_is_taken_over(name: str, options: dict, torch) -> None:
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in start("float64")]
    other = getattr(torch.optim, name)(theirs, lr=0.05, **options)
    for step in range(6):
        if step == 3:
            opt, params = made(name, **options)
            for p, q in zip(params, theirs, strict=True):
                p.assign(q.detach().numpy())
            opt.load_state_dict(other.state_dict())
        for p, g in zip(theirs, gradients(step, "float64"), strict=True):
            p.grad = torch.tensor(g) if g.size or name != "Adafactor" else None
        other.step()
    walk(opt, params, "float64", range(3, 6))
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-10)


def test_a_state_dict_that_does_not_fit_changes_nothing() -> None:
    opt, params = made("Adam")
    walk(opt, params, "float64", range(2))
    good = opt.state_dict()
    other = optim.Adam([pb.Parameter(np.zeros((7, 7))), *params[1:]])
    with pytest.raises(ValueError, match=r"exp_avg of parameter 0 has shape \(4, 3\), the parameter needs \(7, 7\)"):
        other.load_state_dict(good)
    assert not other.state
    with pytest.raises(ValueError, match=r"have \[5\] parameters, this optimiser's \[1\]"):
        optim.Adam(params[:1]).load_state_dict(good)
    with pytest.raises(ValueError, match=r"no \['square_avg'\]"):
        optim.RMSprop(params).load_state_dict(good)
    good["state"][9] = {}
    with pytest.raises(ValueError, match="no saved group lists"):
        opt.load_state_dict(good)


def test_state_follows_a_moved_model() -> None:
    opt, params = made("Adam", "float64")
    still, fixed = made("Adam", "float64")
    from pullback.backends import get_backend

    walk(opt, params, "float64", range(2))
    walk(still, fixed, "float64", range(4))
    for p in params:
        p._move(get_backend("strict"))
    walk(opt, params, "float64", range(2, 4))
    for p, q in zip(params, fixed, strict=True):
        assert opt.state[p]["exp_avg"].backend.name == p.backend.name == "strict"
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-12)


def test_an_option_switched_on_later_gets_its_state() -> None:
    opt, params = made("SGD")
    walk(opt, params, "float64", range(2))
    opt.param_groups[0]["momentum"] = 0.9
    walk(opt, params, "float64", range(2, 4))
    assert set(opt.state[params[0]]) == {"step", "momentum_buffer"}
