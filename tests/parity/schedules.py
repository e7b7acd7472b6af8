"""Learning-rate schedules, each beside PyTorch's over 100 steps: the rates of two groups, and their momentum."""

from __future__ import annotations

import functools
import random
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pullback as pb
from pullback import optim
from pullback.optim import lr_scheduler

from .case import Absent, Case, Entry, Outcome, Section

ABOUT = """
`pullback.optim.lr_scheduler.<name>`, on an SGD or an Adam with two groups. Learning rates, `get_last_lr()` and momentum
(or the first beta) are the same numbers, to the last bit, before each of 100 steps. The samples are ours.
"""
EPOCHS = 100
RATES = (0.1, 0.3)
Build = Callable[[Any, Any], Any]

#: class -> sample (of an Adam with "adam" in its name, else of an SGD) -> makes it, from a module with PyTorch's names.
SAMPLES: dict[str, dict[str, Build]] = {
    "StepLR": {"step": lambda s, o: s.StepLR(o, 3, 0.5)},
    "MultiStepLR": {"multistep": lambda s, o: s.MultiStepLR(o, [2, 7, 7, 20], 0.3)},
    "ConstantLR": {"constant": lambda s, o: s.ConstantLR(o, 0.25, 4)},
    "LinearLR": {
        "linear": lambda s, o: s.LinearLR(o, 0.1, 1.0, 7),
        "linear-down": lambda s, o: s.LinearLR(o, 1.0, 0.0, 9),
    },
    "ExponentialLR": {"exponential": lambda s, o: s.ExponentialLR(o, 0.9)},
    "PolynomialLR": {"polynomial": lambda s, o: s.PolynomialLR(o, 12, 2.0)},
    "CosineAnnealingLR": {
        "cosine": lambda s, o: s.CosineAnnealingLR(o, 10),
        "cosine-min": lambda s, o: s.CosineAnnealingLR(o, 7, 0.01),
    },
    "CosineAnnealingWarmRestarts": {
        "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 7, eta_min=0.01),
        "longer-restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2),
    },
    "LambdaLR": {
        "lambda": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
        "lambdas": lambda s, o: s.LambdaLR(o, [lambda epoch: 1.0 / (1 + epoch), lambda epoch: 0.5]),
    },
    "MultiplicativeLR": {
        "multiplicative": lambda s, o: s.MultiplicativeLR(o, [lambda e: 0.95, lambda e: 1.0 - 1.0 / (e + 2)]),
    },
    "ChainedScheduler": {
        "two-at-once": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.5, 5), s.ExponentialLR(o, 0.9)]),
    },
    "SequentialLR": {
        "warm-cosine": lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 5), s.CosineAnnealingLR(o, 20)], [5]),
        "three": lambda s, o: s.SequentialLR(
            o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9), s.StepLR(o, 4, 0.5)], [4, 12]
        ),
        "lambda-last": lambda s, o: s.SequentialLR(
            o, [s.MultiStepLR(o, [1, 2], 0.1), s.LambdaLR(o, lambda e: 0.9**e), s.PolynomialLR(o, 10)], [3, 15]
        ),
        "restarts-later": lambda s, o: s.SequentialLR(
            o, [s.LinearLR(o, 0.1), s.CosineAnnealingWarmRestarts(o, 6), s.MultiplicativeLR(o, lambda e: 0.9)], [5, 20]
        ),
    },
    "OneCycleLR": {
        "one-cycle": lambda s, o: s.OneCycleLR(o, 0.7, EPOCHS),
        "one-cycle-adam": lambda s, o: s.OneCycleLR(
            o, [0.7, 0.2], epochs=EPOCHS // 4, steps_per_epoch=5, pct_start=0.4, anneal_strategy="linear",
            base_momentum=[0.5, 0.6], max_momentum=0.8, div_factor=10.0, final_div_factor=50.0, three_phase=True,
        ),
        "one-cycle-constant-momentum": lambda s, o: s.OneCycleLR(o, 0.7, EPOCHS + 3, cycle_momentum=False),
    },
    "CyclicLR": {
        "triangles": lambda s, o: s.CyclicLR(o, 0.01, [0.1, 0.5], 6, base_momentum=0.7, max_momentum=[0.8, 0.9]),
        "falling-triangles-adam": lambda s, o: s.CyclicLR(o, [0.01, 0.02], 0.1, 4, 9, "triangular2"),
        "exponential-triangles": lambda s, o: s.CyclicLR(
            o, 0.01, 0.1, 5, None, "exp_range", 0.97, cycle_momentum=False
        ),
        "own-triangles": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 5, scale_fn=lambda x: 1 / x, scale_mode="cycle"),
    },
    "SWALR": {
        "averaging-cosine": lambda s, o: s.SWALR(o, [0.05, 0.5]),
        "averaging-linear": lambda s, o: s.SWALR(o, 0.02, 7, "linear"),
        "averaging-at-once": lambda s, o: s.SWALR(o, 0.02, 0),
    },
    "ReduceLROnPlateau": {
        "plateau": lambda s, o: s.ReduceLROnPlateau(o),
        "plateau-cooldown": lambda s, o: s.ReduceLROnPlateau(o, factor=0.5, patience=0, cooldown=3),
        "plateau-max": lambda s, o: s.ReduceLROnPlateau(o, "max", patience=2, threshold=0.05),
        "plateau-abs": lambda s, o: s.ReduceLROnPlateau(
            o, threshold_mode="abs", threshold=0.2, patience=1, min_lr=[0.001, 0.05]
        ),
        "plateau-eps": lambda s, o: s.ReduceLROnPlateau(o, patience=1, eps=0.05),
    },
}  # fmt: skip


def public() -> set[str]:
    """All schedules."""
    return set(lr_scheduler.__all__)


def ours(name: str = "", **options: Any) -> optim.Optimizer:
    """An optimiser with two groups."""
    kind = optim.Adam if "adam" in name else optim.SGD
    return kind([{"params": [pb.Parameter([0.0])], "lr": lr} for lr in RATES], **options)


def theirs(name: str = "") -> Any:
    """The same of PyTorch."""
    import torch

    kind = torch.optim.Adam if "adam" in name else torch.optim.SGD
    return kind([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in RATES])


def names() -> Any:
    """All of PyTorch's schedules in one namespace."""
    import torch

    return SimpleNamespace(**vars(torch.optim.lr_scheduler), SWALR=torch.optim.swa_utils.SWALR)


def walk(name: str, build: Build) -> Iterator[tuple[str, Any, Any]]:
    """Before each step: what is compared, our value, PyTorch's."""
    a, b = ours(name), theirs(name)
    mine, other = build(lr_scheduler, a), build(names(), b)
    metrics = random.Random(1)
    for epoch in range(EPOCHS):
        for key in ("lr", "betas" if "adam" in name else "momentum"):
            yield f"epoch {epoch}, {key}", [g[key] for g in a.param_groups], [g[key] for g in b.param_groups]
        yield f"epoch {epoch}, last lr", mine.get_last_lr(), other.get_last_lr()
        given = (1.0 / (epoch + 1) + metrics.uniform(-0.2, 0.2),) if "plateau" in name else ()
        mine.step(*given)
        other.step(*given)


def _check(name: str, build: Build) -> Outcome:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of steps of a schedule without those of the optimiser
        for what, a, b in walk(name, build):
            if a != b:
                return Outcome(failed=f"{what}: {a}, PyTorch gives {b}")
    return Outcome(("forward",))


def _entry(cls: str) -> Entry:
    where = "swa_utils" if cls == "SWALR" else "lr_scheduler"
    cases = [Case(name, functools.partial(_check, name, build)) for name, build in SAMPLES[cls].items()]
    return Entry(f"torch.optim.{where}.{cls}", lambda: cases)


ENTRIES: dict[str, Entry | Absent] = {cls: _entry(cls) for cls in SAMPLES}
ENTRIES["LRScheduler"] = Absent("the base class")
SECTION = Section("Learning-rate schedules", ABOUT, public, dict(sorted(ENTRIES.items())))
