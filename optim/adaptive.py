"""Optimisers that scale each coordinate by a running size of its gradient."""

from __future__ import annotations

from typing import Any

from ..autograd.ops.update import adadelta_step, adagrad_step, rmsprop_step
from ..autograd.tensor import Parameter, Tensor
from .checks import at_least, fraction
from .optimizer import Group, Optimizer, Params, filled


class RMSprop(Optimizer):
    """RMSprop: p ← p − lr·g/(√s + ε) with a running mean s of g²; centered subtracts the squared mean of g from s.

    Tieleman & Hinton, lecture 6.5 of *Neural networks for machine learning*, 2012; Graves 2013 (centered).

    Parameters
    ----------
    params : see `Optimizer`. lr : learning rate. alpha : decay of the running means. eps : ε. weight_decay : λ.
    momentum : of the scaled steps. centered : divide by an estimate of the standard deviation. maximize : go up.
    """

    rule = rmsprop_step

    def __init__(
        self, params: Params, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0,
        momentum: float = 0.0, centered: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
                "centered": centered, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        at_least(group, title, "alpha", "eps", "weight_decay", "momentum")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """Mean square, and the momentum buffer and mean gradient where they are used."""
        return (
            "square_avg",
            *(("momentum_buffer",) if group["momentum"] else ()),
            *(("grad_avg",) if group["centered"] else ()),
        )

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `rmsprop_step`."""
        return {name: group[name] for name in ("alpha", "eps", "weight_decay", "momentum", "centered", "maximize")}


class Adagrad(Optimizer):
    """Adagrad: p ← p − lr/(1 + (t−1)·decay)·g/(√s + ε) with s the sum of all g².

    Duchi et al., *Adaptive subgradient methods for online learning and stochastic optimization*, 2011.

    Parameters
    ----------
    params : see `Optimizer`. lr : learning rate. lr_decay : its decay with the steps taken. weight_decay : λ.
    initial_accumulator_value : s before the first step. eps : ε. maximize : go up the gradient.
    """

    rule = adagrad_step

    def __init__(
        self, params: Params, lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        at_least(group, title, "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """The sum of squares."""
        return ("sum",)

    def init_state(self, p: Parameter, group: Group) -> dict[str, Tensor]:
        """The initial sum of squares."""
        return {"sum": filled(p, group["initial_accumulator_value"])}

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `adagrad_step`."""
        return {name: group[name] for name in ("lr_decay", "eps", "weight_decay", "maximize")}


class Adadelta(Optimizer):
    """Adadelta: steps scaled by the ratio of running sizes of past steps and gradients, so that units agree.

    s ← ρs + (1−ρ)g², Δ = g·√(u + ε)/√(s + ε), u ← ρu + (1−ρ)Δ², p ← p − lr·Δ.
    Zeiler, *ADADELTA: an adaptive learning rate method*, 2012.

    Parameters
    ----------
    params : see `Optimizer`. lr : factor of Δ. rho : ρ. eps : ε. weight_decay : λ. maximize : go up the gradient.
    """

    rule = adadelta_step

    def __init__(
        self, params: Params, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        at_least(group, title, "eps", "weight_decay")
        fraction(group, title, "rho")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """Mean squares of gradients and of steps."""
        return ("square_avg", "acc_delta")

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `adadelta_step`."""
        return {name: group[name] for name in ("rho", "eps", "weight_decay", "maximize")}
