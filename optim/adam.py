"""Adam and its family: a running mean of gradients, scaled by a running size of them."""

from __future__ import annotations

from typing import Any

from ..autograd.ops.update import adam_step, adamax_step, nadam_step, radam_step
from ..autograd.tensor import Parameter, Tensor
from .checks import at_least, fraction
from .optimizer import Group, Optimizer, Params, number

Betas = tuple[float, float]


class _AdamLike(Optimizer):
    """Options and state that the family shares."""

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        at_least(group, title, "eps", "weight_decay")
        fraction(group, title, "betas")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """First and second moments."""
        return ("exp_avg", "exp_avg_sq")

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of the rule."""
        beta1, beta2 = group["betas"]
        return {
            "beta1": beta1, "beta2": beta2, "eps": group["eps"], "weight_decay": group["weight_decay"],
            "maximize": group["maximize"],
        }  # fmt: skip


class Adam(_AdamLike):
    """Adam: p ← p − lr·m̂/(√v̂ + ε), with bias-corrected running means m̂ of g and v̂ of g².

    Kingma & Ba, *Adam: a method for stochastic optimization*, 2015.

    Parameters
    ----------
    params : see `Optimizer`. lr : learning rate. betas : decay of the running means of g and g². eps : ε.
    weight_decay : λ, added to the gradient as λ·p (see `AdamW` for the decoupled kind).
    amsgrad : divide by the largest v̂ so far (Reddi et al. 2018). maximize : go up the gradient.
    decoupled_weight_decay : shrink parameters by lr·λ instead, which is AdamW.
    """

    rule = adam_step

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, amsgrad: bool = False, *, maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
                "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay,
            },
        )  # fmt: skip

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """First and second moments, and the largest second moment for AMSGrad."""
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `adam_step`."""
        return {
            **super().options(group), "amsgrad": group["amsgrad"], "decoupled": group["decoupled_weight_decay"],
        }  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled weight decay: p ← p·(1 − lr·λ), then Adam's step.

    Loshchilov & Hutter, *Decoupled weight decay regularization*, 2019. Parameters as for `Adam`.
    """

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
        )  # fmt: skip


class Adamax(_AdamLike):
    """Adamax: Adam with the infinity norm, u ← max(β₂u, |g| + ε), p ← p − lr/(1−β₁ᵗ)·m/u.

    Kingma & Ba, 2015, section 7.1. Parameters as for `Adam`.
    """

    rule = adamax_step

    def __init__(
        self, params: Params, lr: float = 2e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """First moment and running maximum."""
        return ("exp_avg", "exp_inf")


class NAdam(_AdamLike):
    """NAdam: Adam with Nesterov's look-ahead and a momentum that warms up.

    Dozat, *Incorporating Nesterov momentum into Adam*, 2016. Parameters as for `Adam`, and

    momentum_decay : how fast the momentum μₜ = β₁(1 − ½·0.96^(t·decay)) warms up.
    """

    rule = nadam_step
    scalar_state = ("mu_product",)

    def __init__(
        self, params: Params, lr: float = 2e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        super().check(group, title)
        at_least(group, title, "momentum_decay")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """First and second moments and the product of the momenta so far."""
        return ("exp_avg", "exp_avg_sq", "mu_product")

    def init_state(self, p: Parameter, group: Group) -> dict[str, Tensor]:
        """Zeros, and 1 for the product."""
        return {**super().init_state(p, group), "mu_product": number(1.0, p.backend)}

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `nadam_step`."""
        return {
            **super().options(group), "momentum_decay": group["momentum_decay"],
            "decoupled": group["decoupled_weight_decay"],
        }  # fmt: skip


class RAdam(_AdamLike):
    """Rectified Adam: plain momentum until the second moment's variance is tractable, then Adam, rectified.

    Liu et al., *On the variance of the adaptive learning rate and beyond*, 2020. Parameters as for `Adam`.
    """

    rule = radam_step

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, decoupled_weight_decay: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
            },
        )  # fmt: skip

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `radam_step`."""
        return {**super().options(group), "decoupled": group["decoupled_weight_decay"]}
