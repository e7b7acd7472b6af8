"""Schedules: PyTorch's values, chaining, saving and resuming, errors."""

from __future__ import annotations

import json
import math
import random

import pytest

import pullback as pb
from parity.schedules import RATES, SAMPLES, ours, theirs, walk
from pullback import optim


@pytest.fixture(autouse=True)
def _on_numpy():
    with pb.backend("numpy"):
        yield


SCHEDULES = {name: build for samples in SAMPLES.values() for name, build in samples.items() if "plateau" not in name}


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("name", SCHEDULES)
def test_values_equal_pytorch(name: str) -> None:
    pytest.importorskip("torch")
    for what, mine, other in walk(name, SCHEDULES[name]):
        assert mine == other, what


@pytest.mark.parametrize("name", SCHEDULES)
def test_resumed_schedules_go_on_with_the_same_values(name: str) -> None:
    build = SCHEDULES[name]
    opt = ours(name)
    schedule = build(optim, opt)
    for _ in range(8):
        schedule.step()
    saved = json.loads(json.dumps([opt.state_dict(), schedule.state_dict()]))
    expected = []
    for _ in range(15):
        schedule.step()
        expected.append(schedule.get_last_lr())

    again = ours(name)
    resumed = build(optim, again)
    again.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    for values in expected:
        resumed.step()
        assert resumed.get_last_lr() == values == [g["lr"] for g in again.param_groups]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"factor": 0.5, "patience": 0, "cooldown": 3},
        {"mode": "max", "patience": 2, "threshold": 0.05},
        {"mode": "max", "threshold_mode": "abs", "threshold": 0.1, "patience": 1},
        {"threshold_mode": "abs", "threshold": 0.2, "patience": 1, "min_lr": [0.001, 0.05]},
        {"patience": 1, "eps": 0.05},
    ],
)
def test_plateau_equals_pytorch(options: dict) -> None:
    torch = pytest.importorskip("torch")
    a, b = ours(), theirs()
    mine = optim.ReduceLROnPlateau(a, **options)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(b, **options)
    rng = random.Random(1)
    for epoch in range(60):
        metric = math.nan if epoch == 30 else 1.0 / (epoch + 1) + rng.uniform(-0.2, 0.2)
        value = pb.Tensor(metric)  # a float32, as a loss is
        mine.step(value)
        other.step(value.item())
        assert mine.get_last_lr() == other.get_last_lr(), f"epoch {epoch}"
    fresh = optim.ReduceLROnPlateau(ours(), **options)
    fresh.load_state_dict(json.loads(json.dumps(mine.state_dict())))
    assert fresh.state_dict() == mine.state_dict()


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("options", [(0.05,), ([0.05, 0.5], 0), (0.02, 7, "linear")])
def test_annealing_to_the_averaging_rate_equals_pytorch(options: tuple) -> None:
    torch = pytest.importorskip("torch")
    a, b = ours(), theirs()
    before, other_before = optim.ExponentialLR(a, 0.9), torch.optim.lr_scheduler.ExponentialLR(b, 0.9)
    mine, other = optim.SWALR(a, *options), torch.optim.swa_utils.SWALR(b, *options)
    for epoch in range(30):
        (before if epoch < 5 else mine).step()
        (other_before if epoch < 5 else other).step()
        assert [g["lr"] for g in a.param_groups] == [g["lr"] for g in b.param_groups], f"epoch {epoch}"
        if epoch == 8:
            saved = json.loads(json.dumps([a.state_dict(), mine.state_dict()]))
            a = ours()
            mine = optim.SWALR(a, *options)
            a.load_state_dict(saved[0])
            mine.load_state_dict(saved[1])


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("mult", [1, 2])
def test_restarts_at_fractions_of_epochs_equal_pytorch(mult: int) -> None:
    torch = pytest.importorskip("torch")
    a, b = ours(), theirs()
    mine = optim.CosineAnnealingWarmRestarts(a, 3, mult)
    other = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(b, 3, mult)
    for epoch in [0.25 * i for i in range(60)] + [4, None, None, 1, None]:
        mine.step(epoch)
        other.step(epoch)
        assert mine.get_last_lr() == other.get_last_lr(), f"epoch {epoch}"


def test_a_cycle_has_an_end() -> None:
    schedule = optim.OneCycleLR(ours(), 0.1, 3)
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match="step 4 of a cycle of 3 steps"):
        schedule.step()


def test_a_schedule_leaves_the_initial_rate_in_the_group() -> None:
    opt = ours()
    optim.LinearLR(opt, 0.5)
    assert [g["initial_lr"] for g in opt.param_groups] == list(RATES)
    with pytest.raises(KeyError, match="no 'initial_lr'"):
        optim.StepLR(ours(), 3, last_epoch=4)


def test_the_learning_rate_is_read_at_each_step() -> None:
    w = pb.Parameter([0.0])
    opt = optim.SGD([w], lr=1.0)
    schedule = optim.StepLR(opt, 1, 0.5)
    for _ in range(3):
        w.grad = pb.Tensor([1.0])
        opt.step()
        schedule.step()
    assert w.item() == -1.75


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: optim.StepLR("SGD", 3), TypeError, "needs an Optimizer, not str"),
        (lambda o: optim.StepLR(o, 0), ValueError, "step_size must be at least 1, not 0"),
        (lambda o: optim.CosineAnnealingLR(o, 0), ValueError, "T_max must be at least 1"),
        (lambda o: optim.LinearLR(o, 0.0), ValueError, "start_factor must be greater than 0"),
        (lambda o: optim.LinearLR(o, 0.5, 1.5), ValueError, "end_factor must lie between"),
        (lambda o: optim.LambdaLR(o, [abs]), ValueError, "1 functions for 2 parameter groups"),
        (lambda o: optim.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor must be below 1"),
        (lambda o: optim.ReduceLROnPlateau(o, mode="least"), ValueError, "mode is 'min' or 'max'"),
        (lambda o: optim.ReduceLROnPlateau(o, min_lr=[0.1]), ValueError, "1 values of min_lr for 2"),
        (lambda o: optim.SequentialLR(o, [], []), ValueError, "at least one schedule"),
        (
            lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)], [3]),
            ValueError,
            "1 schedules need 0 milestones, not 1",
        ),
        (lambda o: optim.SequentialLR(o, [optim.StepLR(ours(), 1)], []), ValueError, "belongs to another optimiser"),
        (lambda o: optim.ChainedScheduler([]), ValueError, "at least one schedule"),
        (lambda o: optim.MultiplicativeLR(o, [0.5, 0.5]), TypeError, "needs functions of the epoch, not float"),
        (lambda o: optim.CosineAnnealingWarmRestarts(o, 2.5), ValueError, "T_0 must be at least 1, not 2.5: an int"),
        (lambda o: optim.CosineAnnealingWarmRestarts(o, 2).step(-1), ValueError, "must not be negative, got -1"),
        (lambda o: optim.OneCycleLR(o, 0.1, epochs=3), ValueError, "total_steps, or epochs and steps_per_epoch"),
        (lambda o: optim.OneCycleLR(o, 0.1, 10, pct_start=3), ValueError, "pct_start must lie between 0 and 1"),
        (lambda o: optim.OneCycleLR(o, [0.1], 10), ValueError, "1 values of max_lr for 2 parameter groups"),
        (
            lambda o: optim.OneCycleLR(optim.Adagrad([pb.Parameter([0.0])]), 0.1, 10),
            ValueError,
            "Adagrad has neither momentum nor betas; pass cycle_momentum=False",
        ),
        (lambda o: optim.CyclicLR(o, 0.1, 0.2, mode="square"), ValueError, "mode must be 'triangular'"),
        (lambda o: optim.SWALR(o, 0.1, anneal_strategy="fast"), ValueError, "'cos' or 'linear', not 'fast'"),
        (lambda o: optim.SWALR(o, 0.1, -1), ValueError, "anneal_epochs must be a whole number of at least 0"),
        (
            lambda o: optim.SequentialLR(o, [optim.ReduceLROnPlateau(o)], []),
            TypeError,
            "item 0 is a ReduceLROnPlateau, not a schedule by epoch",
        ),
    ],
)
def test_wrong_schedules(make, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make(ours())


def test_a_group_added_later_is_named() -> None:
    opt = ours()
    schedule = optim.StepLR(opt, 1)
    opt.add_param_group({"params": [pb.Parameter([1.0])], "lr": 0.1})
    with pytest.raises(ValueError, match="made for 2 groups; the optimiser has 3"):
        schedule.step()
