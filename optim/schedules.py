"""Learning-rate schedules: PyTorch's classes and values.

A schedule sets "lr" of every group of its optimiser: once when it is made, then at every `step()`, which is called
after `optimizer.step()`, per epoch or per batch as its numbers are meant. Each schedule multiplies or shifts the
learning rate it finds (so several can act on one optimiser), and also knows its value from the initial one alone, which
`SequentialLR` uses to start it in the middle of a run.

>>> import pullback as pb
>>> from pullback import optim
>>> opt = optim.SGD([pb.Parameter([0.0])], lr=0.1)
>>> warm = optim.LinearLR(opt, start_factor=0.25, total_iters=3)
>>> anneal = optim.CosineAnnealingLR(opt, T_max=4)
>>> schedule = optim.SequentialLR(opt, [warm, anneal], milestones=[3])
>>> rates = []
>>> for _ in range(8):
...     rates += [round(float(opt.param_groups[0]["lr"]), 4)]
...     schedule.step()
>>> rates
[0.025, 0.05, 0.075, 0.1, 0.0854, 0.05, 0.0146, 0.0]
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .optimizer import Optimizer


class LRScheduler:
    """The base of schedules. A subclass gives `chained`, the next learning rate, and `closed`, the same from scratch.

    Parameters
    ----------
    optimizer : whose groups' "lr" it sets; what they have now is remembered as "initial_lr".
    last_epoch : index of the last step of a run that is resumed without `load_state_dict`; −1 to start.

    Raises
    ------
    TypeError : `optimizer` is none. KeyError : `last_epoch` ≥ 0, but the groups have no "initial_lr".
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"group {i} has no 'initial_lr': load the optimiser's state before resuming at {last_epoch=}"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def chained(self, lr: float, base: float, initial: bool) -> float:
        """The learning rate of step `last_epoch` from that of the step before; `initial` when the schedule is made."""
        return self.closed(base)

    def closed(self, base: float) -> float:
        """The learning rate of step `last_epoch` from the initial one."""
        raise NotImplementedError(f"{type(self).__name__} must define closed(base), or chained(lr, base, initial)")

    def step(self) -> None:
        """Go on to the next epoch, or batch."""
        self.last_epoch += 1
        self._set(lambda lr, base: self.chained(lr, base, False))

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as the schedule last set it."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists that say where the schedule stands. Functions given to it are not among them."""
        return {name: copied(value) for name, value in vars(self).items() if _saved(name, value)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a saved state. The learning rates themselves come with the optimiser's state."""
        vars(self).update({name: copied(value) for name, value in state_dict.items()})

    def _initial_step(self) -> None:
        self.last_epoch += 1
        self._set(lambda lr, base: self.chained(lr, base, True))

    def _restart(self) -> None:
        """Begin in the middle of a run, from the initial learning rates."""
        self.last_epoch = 0
        self._set(lambda lr, base: self.closed(base))

    def _set(self, rate: Callable[[float, float], float]) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(
                f"{type(self).__name__} was made for {len(self.base_lrs)} groups; the optimiser has {len(groups)}"
            )
        for group, base in zip(groups, self.base_lrs, strict=True):
            group["lr"] = rate(group["lr"], base)
        self._last_lr = [group["lr"] for group in groups]


def check_optimizer(optimizer: Any) -> None:
    """Raise TypeError unless it is an optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"a schedule needs an Optimizer, not {type(optimizer).__name__}")


def _saved(name: str, value: Any) -> bool:
    return name != "optimizer" and not callable(value) and not (isinstance(value, list) and any(map(callable, value)))


def copied(value: Any) -> Any:
    """A value of a saved state, of which later changes of a list do not reach the other side."""
    return list(value) if isinstance(value, list) else value


class LambdaLR(LRScheduler):
    """lr = initial · f(epoch), with one f for all groups or a list of one per group."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        self.lr_lambdas = _functions(optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def _set(self, rate: Callable[[float, float], float]) -> None:
        factors = iter([f(self.last_epoch) for f in self.lr_lambdas])
        super()._set(lambda lr, base: base * next(factors))


class MultiplicativeLR(LRScheduler):
    """lr times f(epoch) at each epoch, with one f for all groups or a list of one per group."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        self.lr_lambdas = _functions(optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def _initial_step(self) -> None:
        self.last_epoch += 1
        super()._set(lambda lr, base: lr)

    def _restart(self) -> None:
        self.last_epoch = 0
        self._set(lambda lr, base: base)

    def _set(self, rate: Callable[[float, float], float]) -> None:
        factors = iter([f(self.last_epoch) for f in self.lr_lambdas])
        super()._set(lambda lr, base: lr * next(factors))


def _functions(
    optimizer: Optimizer, given: Callable[[int], float] | Sequence[Callable[[int], float]]
) -> list[Callable[[int], float]]:
    """A function of the epoch for each group."""
    check_optimizer(optimizer)
    n = len(optimizer.param_groups)
    functions = [given] * n if callable(given) else list(given)
    if len(functions) != n:
        raise ValueError(f"{len(functions)} functions for {n} parameter groups")
    for f in functions:
        if not callable(f):
            raise TypeError(f"lr_lambda needs functions of the epoch, not {type(f).__name__}")
    return functions


class StepLR(LRScheduler):
    """lr times gamma every `step_size` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = whole("step_size", step_size), gamma
        super().__init__(optimizer, last_epoch)

    def chained(self, lr: float, base: float, initial: bool) -> float:
        """The next value."""
        return lr if self.last_epoch == 0 or self.last_epoch % self.step_size else lr * self.gamma

    def closed(self, base: float) -> float:
        """The initial value times gamma^⌊epoch / step_size⌋."""
        return base * self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """lr times gamma at each milestone; a milestone listed twice counts twice."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def chained(self, lr: float, base: float, initial: bool) -> float:
        """The next value."""
        times = self.milestones.count(self.last_epoch)
        return lr * self.gamma**times if times else lr

    def closed(self, base: float) -> float:
        """The initial value times gamma^(milestones passed)."""
        return base * self.gamma ** bisect_right(self.milestones, self.last_epoch)


class ConstantLR(LRScheduler):
    """lr times `factor` for `total_iters` epochs, then as it was."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor, self.total_iters = _in_unit("factor", factor, 0.0), total_iters
        super().__init__(optimizer, last_epoch)

    def chained(self, lr: float, base: float, initial: bool) -> float:
        """The next value."""
        if self.last_epoch == 0:
            return lr * self.factor
        return lr * (1.0 / self.factor) if self.last_epoch == self.total_iters else lr

    def closed(self, base: float) -> float:
        """The initial value times factor, or the initial value from `total_iters` on."""
        return base * (self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor))


class LinearLR(LRScheduler):
    """lr times a factor that goes linearly from `start_factor` to `end_factor` in `total_iters` epochs: warm-up."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if start_factor == 0.0:
            raise ValueError("start_factor must be greater than 0: later values are multiples of it")
        self.start_factor = _in_unit("start_factor", start_factor, 0.0)
        self.end_factor = _in_unit("end_factor", end_factor, 0.0)
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def chained(self, lr: float, base: float, initial: bool) -> float:
        """The next value."""
        if self.last_epoch == 0:
            return lr * self.start_factor
        if initial or self.last_epoch > self.total_iters:
            return lr
        rise = self.end_factor - self.start_factor
        return lr * (1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise))

    def closed(self, base: float) -> float:
        """The initial value times (start + (end − start) · min(epoch, total)/total)."""
        rise = self.end_factor - self.start_factor
        return base * (self.start_factor + rise * min(self.total_iters, self.last_epoch) / self.total_iters)


class ExponentialLR(LRScheduler):
    """lr times gamma every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def chained(self, lr: float, base: float, initial: bool) -> float:
        """The next value."""
        return lr if initial else lr * self.gamma

    def closed(self, base: float) -> float:
        """The initial value times gamma^epoch."""
        return base * self.gamma**self.last_epoch


class PolynomialLR(LRScheduler):
    """lr = initial · (1 − epoch/total_iters)^power, and 0 from `total_iters` on."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = whole("total_iters", total_iters), power
        super().__init__(optimizer, last_epoch)

    def chained(self, lr: float, base: float, initial: bool) -> float:
        """The next value."""
        if initial or self.last_epoch > self.total_iters:
            return lr
        left, before = 1.0 - self.last_epoch / self.total_iters, 1.0 - (self.last_epoch - 1) / self.total_iters
        return lr * (left / before) ** self.power

    def closed(self, base: float) -> float:
        """The value from scratch."""
        return base * (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial − eta_min)·(1 + cos(π·epoch/T_max))/2, going up again after `T_max` epochs.

    Loshchilov & Hutter, *SGDR: stochastic gradient descent with warm restarts*, 2017, without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = whole("T_max", T_max), eta_min
        super().__init__(optimizer, last_epoch)

    def chained(self, lr: float, base: float, initial: bool) -> float:
        """The next value."""
        if initial:
            return lr
        epoch, turn = self.last_epoch, math.pi / self.T_max
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            return lr + (base - self.eta_min) * (1 - math.cos(turn)) / 2
        now, before = 1 + math.cos(math.pi * epoch / self.T_max), 1 + math.cos(math.pi * (epoch - 1) / self.T_max)
        return now / before * (lr - self.eta_min) + self.eta_min

    def closed(self, base: float) -> float:
        """The value from scratch."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2


def whole(name: str, value: int) -> int:
    """The value, or ValueError unless it is an int of at least 1."""
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"{name} must be at least 1, not {value}" + ("" if isinstance(value, int) else ": an int"))
    return value


def per_group(name: str, optimizer: Optimizer, value: float | Sequence[float]) -> list[float]:
    """One number for each group: the same for all, or a list of as many."""
    n = len(optimizer.param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * n
    if len(values) != n:
        raise ValueError(f"{len(values)} values of {name} for {n} parameter groups")
    return values  # type: ignore[return-value]


def _in_unit(name: str, value: float, low: float) -> float:
    if not low <= value <= 1.0:
        raise ValueError(f"{name} must lie between {low} and 1, not {value}")
    return value
