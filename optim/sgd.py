"""Stochastic gradient descent and its kin without second moments."""

from __future__ import annotations

from typing import Any

from ..autograd.ops.update import lion_step, sgd_step
from .checks import at_least, fraction
from .optimizer import Group, Optimizer, Params


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

    def state_names(self, group: Group) -> tuple[str, ...]:
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

    def state_names(self, group: Group) -> tuple[str, ...]:
        """The momentum."""
        return ("exp_avg",)

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `lion_step`."""
        beta1, beta2 = group["betas"]
        return {"beta1": beta1, "beta2": beta2, "weight_decay": group["weight_decay"], "maximize": group["maximize"]}
