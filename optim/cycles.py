"""Schedules in cycles, the momentum in step with the learning rate, and the one that leads to weight averaging."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .optimizer import Optimizer
from .schedules import LRScheduler, check_optimizer, per_group, whole

Values = float | Sequence[float]


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (initial − eta_min)·(1 + cos(π·T_cur/T_i))/2, from the start again after T_i epochs.

    T_i is `T_0` at first and `T_mult` times the one before later. Loshchilov & Hutter, *SGDR: stochastic gradient
    descent with warm restarts*, 2017.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0 = self.T_i = whole("T_0", T_0)
        self.T_mult, self.eta_min, self.T_cur = whole("T_mult", T_mult), eta_min, float(last_epoch)
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to any other, which may be a fraction: `schedule.step(epoch + i / batches)`."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        elif epoch < 0:
            raise ValueError(f"the epoch must not be negative, got {epoch}")
        elif epoch < self.T_0:
            self.T_cur, self.T_i = epoch, self.T_0
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n
        self.last_epoch = math.floor(epoch)
        self._set(lambda lr, base: self.closed(base))

    def closed(self, base: float) -> float:
        """The value in this cycle."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2

    def _initial_step(self) -> None:
        self.step()

    def _restart(self) -> None:
        self.step(0)


class _Cycled(LRScheduler):
    """Sets each group's learning rate and, with `cycle_momentum`, its momentum, by its own numbers."""

    cycle_momentum: bool

    def _prepare(self, base_momentum: Values, max_momentum: Values, last_epoch: int) -> None:
        """Check that there is a momentum, and write its bounds into the groups."""
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            raise ValueError(
                f"{type(self).__name__}: {type(self.optimizer).__name__} has neither momentum nor betas; pass "
                "cycle_momentum=False"
            )
        lowest = per_group("base_momentum", self.optimizer, base_momentum)
        highest = per_group("max_momentum", self.optimizer, max_momentum)
        if last_epoch == -1:
            for group, low, high in zip(self.optimizer.param_groups, lowest, highest, strict=True):
                _set_momentum(group, high)
                group["max_momentum"], group["base_momentum"] = high, low

    def at(self, group: dict[str, Any], base: float) -> tuple[float, float | None]:
        """Learning rate and momentum of a group at step `last_epoch`."""
        raise NotImplementedError

    def _set(self, rate: Callable[[float, float], float]) -> None:
        groups = self.optimizer.param_groups
        found = [self.at(group, base) for group, base in zip(groups, self.base_lrs, strict=False)]
        rates = iter(found)
        super()._set(lambda lr, base: next(rates)[0])
        for group, (_, momentum) in zip(groups, found, strict=True):
            if momentum is not None:
                _set_momentum(group, momentum)

    def _restart(self) -> None:
        self.last_epoch = 0
        self._set(lambda lr, base: base)


def _set_momentum(group: dict[str, Any], value: float) -> None:
    """The first of the betas, or the momentum."""
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)


def _linear(start: float, end: float, part: float) -> float:
    return (end - start) * part + start


ANNEAL: dict[str, Callable[[float, float, float], float]] = {"cos": _cosine, "linear": _linear}


class OneCycleLR(_Cycled):
    """One cycle: up from max_lr/div_factor to `max_lr`, then down to the start divided by final_div_factor.

    The momentum goes the other way. Step it after each batch; after `total_steps` steps it raises. Smith & Topin,
    *Super-convergence: very fast training of neural networks using large learning rates*, 2018.

    Parameters
    ----------
    max_lr : the peak, or a list of one per group.
    total_steps : steps of the cycle, or `epochs` times `steps_per_epoch`.
    pct_start : share of the cycle that goes up. anneal_strategy : "cos" or "linear".
    cycle_momentum : whether momentum, or the first beta, goes from `max_momentum` to `base_momentum` and back.
    three_phase : go down as long as up, then anneal to the end, as in the paper.
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: Values, total_steps: int | None = None, epochs: int | None = None,
        steps_per_epoch: int | None = None, pct_start: float = 0.3, anneal_strategy: str = "cos",
        cycle_momentum: bool = True, base_momentum: Values = 0.85, max_momentum: Values = 0.95,
        div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        check_optimizer(optimizer)
        self.optimizer = optimizer
        if total_steps is not None:
            self.total_steps = whole("total_steps", total_steps)
        elif epochs is not None and steps_per_epoch is not None:
            self.total_steps = whole("epochs", epochs) * whole("steps_per_epoch", steps_per_epoch)
        else:
            raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
        if not 0.0 <= pct_start <= 1.0:
            raise ValueError(f"pct_start must lie between 0 and 1, not {pct_start}")
        if anneal_strategy not in ANNEAL:
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}")
        self.anneal_strategy = anneal_strategy
        up, last = float(pct_start * self.total_steps) - 1, self.total_steps - 1
        # the step that ends each phase; where learning rate and momentum start and end
        self.phases: list[tuple[float, str, str, str, str]]
        if three_phase:
            turn = float(2 * pct_start * self.total_steps) - 2
            self.phases = [
                (up, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                (turn, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (last, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        else:
            self.phases = [
                (up, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                (last, "max_lr", "min_lr", "base_momentum", "max_momentum"),
            ]
        peaks = per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group.update(max_lr=peak, initial_lr=peak / div_factor, min_lr=peak / div_factor / final_div_factor)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._prepare(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def at(self, group: dict[str, Any], base: float) -> tuple[float, float | None]:
        """Learning rate and momentum between those at the two ends of the phase."""
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR: step {self.last_epoch} of a cycle of {self.total_steps} steps")
        anneal, start = ANNEAL[self.anneal_strategy], 0.0
        phase = 0
        while phase < len(self.phases) - 1 and self.last_epoch > self.phases[phase][0]:
            start = self.phases[phase][0]
            phase += 1
        end, *bounds = self.phases[phase]
        part = (self.last_epoch - start) / (end - start)
        rate = anneal(group[bounds[0]], group[bounds[1]], part)
        return rate, anneal(group[bounds[2]], group[bounds[3]], part) if self.cycle_momentum else None


class CyclicLR(_Cycled):
    """Triangles: up from `base_lr` to `max_lr` in `step_size_up` steps and down again in `step_size_down`.

    The momentum goes the other way. Step it after each batch. Smith, *Cyclical learning rates for training neural
    networks*, 2017.

    Parameters
    ----------
    base_lr, max_lr : bounds, or lists of one per group. step_size_down : as `step_size_up` by default.
    mode : the height of a triangle: "triangular" all the same; "triangular2" half of the one before; "exp_range"
        gamma^step.
    scale_fn : a height of one's own instead, of the cycle (from 1) or the step, as `scale_mode` ("cycle" or
        "iterations") says.
    cycle_momentum : whether momentum, or the first beta, goes from `max_momentum` to `base_momentum` and back.
    """

    def __init__(
        self, optimizer: Optimizer, base_lr: Values, max_lr: Values, step_size_up: int = 2000,
        step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle", cycle_momentum: bool = True,
        base_momentum: Values = 0.8, max_momentum: Values = 0.9, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        check_optimizer(optimizer)
        self.optimizer = optimizer
        lowest = per_group("base_lr", optimizer, base_lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, lowest, strict=True):
                group["lr"] = lr
        up = float(whole("step_size_up", step_size_up))
        down = up if step_size_down is None else float(whole("step_size_down", step_size_down))
        self.total_size, self.step_ratio = up + down, up / (up + down)
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"mode must be 'triangular', 'triangular2' or 'exp_range', or give scale_fn; not {mode!r}")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"scale_mode must be 'cycle' or 'iterations', not {scale_mode!r}")
        self.mode, self.gamma, self._scale = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._prepare(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lowest

    def scale_fn(self, x: float) -> float:
        """The height of a triangle, 1 for one that reaches max_lr."""
        if self._scale is not None:
            return self._scale(x)
        heights = {
            "triangular": lambda: 1.0,
            "triangular2": lambda: 1 / 2.0 ** (x - 1),
            "exp_range": lambda: self.gamma**x,
        }
        return heights[self.mode]()

    def at(self, group: dict[str, Any], base: float) -> tuple[float, float | None]:
        """Learning rate and momentum at this point of the cycle."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        part = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        peak = self.max_lrs[next(i for i, g in enumerate(self.optimizer.param_groups) if g is group)]
        rate = base + (peak - base) * part * height
        if not self.cycle_momentum:
            return rate, None
        low, high = group["base_momentum"], group["max_momentum"]
        return rate, high - (high - low) * part * height


class SWALR(LRScheduler):
    """From the learning rate there is to `swa_lr` in `anneal_epochs` epochs, for averaging the weights from there on.

    Izmailov et al., *Averaging weights leads to wider optima and better generalization*, 2018; the average itself is
    `train.swa_utils.AveragedModel`.

    Parameters
    ----------
    swa_lr : the final value, or a list of one per group. anneal_strategy : "cos" or "linear".
    """

    def __init__(
        self, optimizer: Optimizer, swa_lr: Values, anneal_epochs: int = 10, anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        check_optimizer(optimizer)
        if anneal_strategy not in ANNEAL:
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be a whole number of at least 0, not {anneal_epochs}")
        for group, lr in zip(optimizer.param_groups, per_group("swa_lr", optimizer, swa_lr), strict=True):
            group["swa_lr"] = lr
        self.anneal_epochs, self.anneal_strategy, self._steps = anneal_epochs, anneal_strategy, -1
        super().__init__(optimizer, last_epoch)

    def _part(self, step: int) -> float:
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def _set(self, rate: Callable[[float, float], float]) -> None:
        self._steps += 1
        step = max(1, self._steps) if self.anneal_epochs == 0 else self._steps
        before, now = self._part(step - 1), self._part(step)
        targets = iter([group["swa_lr"] for group in self.optimizer.param_groups])

        def annealed(lr: float, base: float) -> float:
            target = next(targets)
            start = target if before == 1 else (lr - before * target) / (1 - before)
            return float(target * now + start * (1 - now))

        super()._set(annealed)

    def _restart(self) -> None:
        self.last_epoch = 0
        self._set(lambda lr, base: lr)
