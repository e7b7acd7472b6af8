"""Stochastic gradient descent and its kin without second moments."""

from __future__ import annotations

from typing import Any

from ..autograd.ops.update import asgd_step, lion_step, rprop_step, sgd_step
from ..autograd.tensor import Parameter, Tensor
from .checks import at_least, fraction
from .optimizer import Group, Optimizer, Params, filled, number


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, damped or Nesterov's.

    b ← μ·b + (1−d)·(g + λ·p), p ← p − lr·b; with Nesterov p ← p − lr·(g + λ·p + μ·b). The buffer b starts as the first
    gradient. Sutskever et al., *On the importance of initialization and momentum in deep learning*, 2013.

    Parameters
    ----------
    params : see `Optimizer`. lr : learning rate. momentum : μ. dampening : d. weight_decay : λ.
    nesterov : needs momentum and no dampening. maximize : go up the gradient.

    >>> import pullback as pb
    >>> from pullback import optim
    >>> w = pb.Parameter([1.0, 2.0])
    >>> opt = optim.SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w.numpy()
    array([0., 0.], dtype=float32)
    """

    rule = sgd_step

    def __init__(
        self, params: Params, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0,
        weight_decay: float = 0.0, nesterov: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                "nesterov": nesterov, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        at_least(group, title, "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(f"{title}: Nesterov momentum needs momentum > 0 and dampening 0")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """The momentum buffer, if there is momentum."""
        return ("momentum_buffer",) if group["momentum"] else ()

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `sgd_step`."""
        return {name: group[name] for name in ("momentum", "dampening", "nesterov", "weight_decay", "maximize")}


class Lion(Optimizer):
    """Lion: the sign of an interpolated momentum, p ← p·(1 − lr·λ) − lr·sign(β₁m + (1−β₁)g), m ← β₂m + (1−β₂)g.

    Chen et al., *Symbolic discovery of optimization algorithms*, 2023. Its learning rate is 3 to 10 times smaller, and
    its weight decay as much larger, than AdamW's.

    Parameters
    ----------
    params : see `Optimizer`. lr : learning rate. betas : (β₁, β₂). weight_decay : λ, decoupled. maximize : go up.
    """

    rule = lion_step

    def __init__(
        self, params: Params, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0,
        *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        at_least(group, title, "weight_decay")
        fraction(group, title, "betas")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """The momentum."""
        return ("exp_avg",)

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `lion_step`."""
        beta1, beta2 = group["betas"]
        return {"beta1": beta1, "beta2": beta2, "weight_decay": group["weight_decay"], "maximize": group["maximize"]}


class ASGD(Optimizer):
    """Averaged SGD: p ← p·(1 − λη) − η·g with a falling rate η = lr/(1 + λ·lr·t)^α, and the average of p beside it.

    The average is `state[p]["ax"]`; it begins after `t0` steps and is p itself before. Polyak & Juditsky, *Acceleration
    of stochastic approximation by averaging*, 1992. Averages of any optimiser's path: `train.swa_utils`.

    Parameters
    ----------
    params : see `Optimizer`. lr : learning rate at first. lambd : λ. alpha : α. t0 : step at which averaging starts.
    weight_decay : added to the gradient as weight_decay·p. maximize : go up the gradient.
    """

    rule = asgd_step
    scalar_state = ("eta", "mu")

    def __init__(
        self, params: Params, lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
        weight_decay: float = 0.0, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        at_least(group, title, "weight_decay")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """The current rate, the weight of the newest parameters in the average, and the average."""
        return ("eta", "mu", "ax")

    def init_state(self, p: Parameter, group: Group) -> dict[str, Tensor]:
        """The rate lr, and an average that the first step replaces."""
        eta, mu = (number(value, p.backend) for value in (group["lr"], 1.0))
        return {"eta": eta, "mu": mu, "ax": filled(p, 0.0)}

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `asgd_step`."""
        return {name: group[name] for name in ("lambd", "alpha", "t0", "weight_decay", "maximize")}


class Rprop(Optimizer):
    """Rprop: each element moves against the sign of its gradient by a size of its own, which grows while signs agree.

    For gradients of all the data: those of small batches change their signs too often. Riedmiller & Braun, *A direct
    adaptive method for faster backpropagation learning*, 1993.

    Parameters
    ----------
    params : see `Optimizer`. lr : the sizes at first; what a schedule sets later has no effect.
    etas : factors (η₋, η₊) of the size where the sign changes and where it stays, 0 < η₋ < 1 < η₊.
    step_sizes : bounds of the size. maximize : go up the gradient.
    """

    rule = rprop_step

    def __init__(
        self, params: Params, lr: float = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0), *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        minus, plus = group["etas"]
        if not 0.0 < minus < 1.0 < plus:
            raise ValueError(f"{title}: etas must be two factors, 0 < etas[0] < 1 < etas[1], not {group['etas']}")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """The gradient before, and the sizes."""
        return ("prev", "step_size")

    def init_state(self, p: Parameter, group: Group) -> dict[str, Tensor]:
        """No gradient yet, and the size lr everywhere."""
        return {"prev": filled(p, 0.0), "step_size": filled(p, group["lr"])}

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `rprop_step`."""
        (eta_minus, eta_plus), (low, high) = group["etas"], group["step_sizes"]
        return {"eta_minus": eta_minus, "eta_plus": eta_plus, "low": low, "high": high, "maximize": group["maximize"]}
