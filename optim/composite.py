"""Schedules made of schedules, and the one that watches a metric."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from .optimizer import Optimizer
from .schedules import LRScheduler, check_optimizer, copied


class _Composite(LRScheduler):
    """Schedules that consist of others, saved with them."""

    def _adopt(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        title = type(self).__name__
        self.schedulers = list(schedulers)
        if not self.schedulers:
            raise ValueError(f"{title} needs at least one schedule")
        self.optimizer = optimizer
        for i, schedule in enumerate(self.schedulers):
            if not isinstance(schedule, LRScheduler):
                raise TypeError(
                    f"{type(self).__name__}: item {i} is a {type(schedule).__name__}, not a schedule by epoch"
                )
            if schedule.optimizer is not optimizer:
                raise ValueError(f"{title}: schedule {i} belongs to another optimiser")

    def state_dict(self) -> dict[str, Any]:
        """The composite's numbers, and those of its schedules under "schedulers"."""
        own = {name: copied(value) for name, value in vars(self).items() if name not in ("optimizer", "schedulers")}
        return {**own, "schedulers": [schedule.state_dict() for schedule in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a saved state, for the same schedules in the same order."""
        saved = state_dict["schedulers"]
        if len(saved) != len(self.schedulers):
            raise ValueError(f"the saved state has {len(saved)} schedules, this one {len(self.schedulers)}")
        for schedule, state in zip(self.schedulers, saved, strict=True):
            schedule.load_state_dict(state)
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "schedulers"})


class SequentialLR(_Composite):
    """One schedule after the other: number i + 1 takes over at `milestones[i]`, from its own epoch 0.

    Raises
    ------
    ValueError : no schedules, other than one milestone less than schedules, or schedules of different optimisers.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self._adopt(optimizer, schedulers)
        if len(milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"{len(self.schedulers)} schedules need {len(self.schedulers) - 1} milestones, not {len(milestones)}"
            )
        self.milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo(self)
        first = self.schedulers[bisect_right(self.milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Go on to the next epoch, in the schedule whose turn it is."""
        self.last_epoch += 1
        i = bisect_right(self.milestones, self.last_epoch)
        schedule = self.schedulers[i]
        if i > 0 and self.milestones[i - 1] == self.last_epoch:
            schedule._restart()
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()

    def _initial_step(self) -> None:
        self.step()

    def _restart(self) -> None:
        self.last_epoch = 0
        self.schedulers[bisect_right(self.milestones, 0)]._restart()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def _undo(schedule: LRScheduler) -> None:
    """Take back the step that each schedule took when it was made."""
    if isinstance(schedule, SequentialLR):
        for part in schedule.schedulers:
            _undo(part)
    else:
        schedule.last_epoch -= 1


class ChainedScheduler(_Composite):
    """Several schedules at once, each acting on what the one before left."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        schedulers = list(schedulers)
        chosen = optimizer if optimizer is not None else getattr(next(iter(schedulers), None), "optimizer", None)
        self._adopt(chosen, schedulers)  # type: ignore[arg-type]  # without schedules it raises before it uses it
        self.last_epoch = 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Go on to the next epoch in every schedule."""
        self.last_epoch += 1
        for schedule in self.schedulers:
            schedule.step()
        self._last_lr = self.schedulers[-1].get_last_lr()


class ReduceLROnPlateau:
    """lr times `factor` when a metric has not improved for more than `patience` epochs.

    Parameters
    ----------
    mode : "min" if smaller is better, "max" if larger is.
    factor : below 1. patience : epochs without improvement that are tolerated.
    threshold : how much counts as improvement, relative to the best ("rel") or as it is ("abs", `threshold_mode`).
    cooldown : epochs after a reduction during which nothing is counted. min_lr : lower bound, or a list per group.
    eps : a reduction by less than this is not made.

    >>> import pullback as pb
    >>> from pullback import optim
    >>> opt = optim.SGD([pb.Parameter([0.0])], lr=1.0)
    >>> schedule = optim.ReduceLROnPlateau(opt, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0, eps: float = 1e-8,
    ) -> None:  # fmt: skip
        check_optimizer(optimizer)
        if factor >= 1.0:
            raise ValueError(f"factor must be below 1, not {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(f"mode is 'min' or 'max', threshold_mode 'rel' or 'abs'; not {mode!r}, {threshold_mode!r}")
        n = len(optimizer.param_groups)
        self.min_lrs = [min_lr] * n if isinstance(min_lr, float | int) else list(min_lr)
        if len(self.min_lrs) != n:
            raise ValueError(f"{len(self.min_lrs)} values of min_lr for {n} parameter groups")
        self.optimizer = optimizer
        self.mode, self.factor, self.patience, self.cooldown, self.eps = mode, factor, patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: Any) -> None:
        """Take note of an epoch's metric (a number, or a Tensor with one element)."""
        current = float(metrics)
        self.last_epoch += 1
        if self._improved(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _improved(self, current: float) -> bool:
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "rel":
            return sign * current > sign * (self.best * (1.0 + sign * self.threshold))
        return sign * current > sign * (self.best + sign * self.threshold)

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            raise ValueError(
                f"ReduceLROnPlateau was made for {len(self.min_lrs)} groups; the optimiser has {len(groups)}"
            )
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            new = max(group["lr"] * self.factor, lowest)
            if group["lr"] - new > self.eps:
                group["lr"] = new

    get_last_lr = LRScheduler.get_last_lr
    state_dict = LRScheduler.state_dict
    load_state_dict = LRScheduler.load_state_dict
