"""Optimisers that look at a parameter as a whole: at its norm, its rows and columns, its singular vectors."""

from __future__ import annotations

from typing import Any

from ..autograd.ops.creation import full
from ..autograd.ops.update_layerwise import adafactor_step, lamb_step, muon_step
from ..autograd.tensor import Parameter, Tensor
from .checks import at_least, fraction
from .optimizer import Group, Optimizer, Params, filled


class LAMB(Optimizer):
    """LAMB: Adam's step, decay included, scaled for each parameter by ‖p‖/‖step‖; made for very large batches.

    u = m̂/(√v̂ + ε) + λp, p ← p − lr·(‖p‖/‖u‖)·u, the ratio 1 where a norm is 0. You et al., *Large batch optimization
    for deep learning: training BERT in 76 minutes*, 2020.

    Parameters
    ----------
    params : see `Optimizer`. lr : learning rate. betas : decay of the running means of g and g². eps : ε.
    weight_decay : λ; give biases and normalisation layers a group with 0. maximize : go up the gradient.
    """

    rule = lamb_step

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-6,
        weight_decay: float = 1e-2, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        at_least(group, title, "eps", "weight_decay")
        fraction(group, title, "betas")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """First and second moments."""
        return ("exp_avg", "exp_avg_sq")

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `lamb_step`."""
        beta1, beta2 = group["betas"]
        return {
            "beta1": beta1, "beta2": beta2, "eps": group["eps"], "weight_decay": group["weight_decay"],
            "maximize": group["maximize"],
        }  # fmt: skip


class Adafactor(Optimizer):
    """Adafactor: Adam without momentum, its second moment kept as one number per row and one per column.

    The state of an (a, b) matrix is a + b numbers instead of 2ab. Steps are relative to the parameter's own size:
    α = max(ε₂, RMS(p))·min(lr, 1/√t), and clipped to RMS d. Shazeer & Stern, *Adafactor: adaptive learning rates with
    sublinear memory cost*, 2018; where implementations differ, this is PyTorch's.

    Parameters
    ----------
    params : see `Optimizer`. lr : the largest relative step, and the factor of weight decay.
    beta2_decay : τ ≤ 0 of the second moment's decay, β = 1 − t^τ. eps : (ε₁, ε₂), a lower bound of √v (None: the
    dtype's epsilon) and of RMS(p). d : ≥ 1, clipping threshold. weight_decay : λ, decoupled. maximize : go up.
    """

    rule = adafactor_step

    def __init__(
        self, params: Params, lr: float = 1e-2, beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for an option out of its range."""
        at_least(group, title, "weight_decay")
        if not group["beta2_decay"] <= 0.0:
            raise ValueError(f"{title}: beta2_decay must be at most 0, not {group['beta2_decay']}")
        if not all(eps is None or eps >= 0.0 for eps in group["eps"]):
            raise ValueError(f"{title}: eps must be two numbers of at least 0, the first or None, not {group['eps']}")
        if not group["d"] >= 1.0:
            raise ValueError(f"{title}: d must be at least 1, not {group['d']}")

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """Means of g² along rows and along columns; of g² itself for vectors and single numbers."""
        return ("row_var", "col_var") if len(p.shape) > 1 else ("variance",)

    def init_state(self, p: Parameter, group: Group) -> dict[str, Tensor]:
        """Zeros."""
        if len(p.shape) < 2:
            return {"variance": filled(p, 0.0)}
        shapes = {"row_var": (*p.shape[:-1], 1), "col_var": (*p.shape[:-2], 1, p.shape[-1])}
        return {name: full(shape, 0.0, dtype=p.dtype, backend=p.backend) for name, shape in shapes.items()}

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `adafactor_step`."""
        eps1, eps2 = group["eps"]
        names = ("beta2_decay", "d", "weight_decay", "maximize")
        return {"eps1": eps1, "eps2": eps2, **{name: group[name] for name in names}}


class Muon(Optimizer):
    """Muon, for the matrices of hidden layers: momentum, made nearly orthogonal so that all directions move alike.

    p ← p·(1 − lr·λ) − lr·s·O, where O has the singular vectors of the momentum and singular values near 1, found by a
    few Newton–Schulz iterations. Everything else (biases, embeddings, the last layer, convolutions) takes another
    optimiser, such as AdamW. Jordan et al., *Muon: an optimizer for hidden layers in neural networks*, 2024.

    PyTorch iterates in bfloat16, pullback in the parameter's dtype: its results agree with this one's to about 1 %.

    Parameters
    ----------
    params : matrices only. lr : learning rate. weight_decay : λ, decoupled. momentum : μ of the running mean of g.
    nesterov : look ahead. ns_coefficients : (a, b, c) of an iteration x ← a·x + (b·A + c·A²)·x, A = x·xᵀ.
    eps : lower bound of the norm that the matrix is divided by at first. ns_steps : iterations, below 100.
    adjust_lr_fn : the scale s for a matrix (a, b): None or "original" for √max(1, a/b); "match_rms_adamw" for
    0.2·√max(a, b), with which AdamW's lr and weight decay can be kept (Liu et al. 2025).
    """

    rule = muon_step

    def __init__(
        self, params: Params, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
        nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
                "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
            },
        )  # fmt: skip

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for a parameter that is no matrix, or an option out of its range."""
        at_least(group, title, "momentum", "weight_decay")
        for i, p in enumerate(group["params"]):
            if len(p.shape) != 2:
                raise ValueError(
                    f"{title}: Muon moves matrices only, and parameter {i} has shape {p.shape}; give it to AdamW"
                )
        if len(group["ns_coefficients"]) != 3 or not group["ns_steps"] < 100:
            raise ValueError(
                f"{title}: ns_coefficients are three numbers and ns_steps below 100, not {group['ns_coefficients']}, "
                f"{group['ns_steps']}"
            )
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                f"{title}: adjust_lr_fn is None, 'original' or 'match_rms_adamw', not {group['adjust_lr_fn']!r}"
            )

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """The running mean of the gradients."""
        return ("momentum_buffer",)

    def options(self, group: Group) -> dict[str, Any]:
        """Static parameters of `muon_step`."""
        names = ("momentum", "nesterov", "weight_decay", "eps", "ns_steps")
        return {
            "ns_coefficients": tuple(group["ns_coefficients"]),
            "match_rms": group["adjust_lr_fn"] == "match_rms_adamw",
            **{name: group[name] for name in names},
        }
