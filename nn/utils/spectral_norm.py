"""Spectral normalisation in its older form, with `weight_orig`, `weight_u` and `weight_v` on the module itself."""

from __future__ import annotations

from typing import Any

from ...autograd import ops
from ...autograd.state import no_grad
from ...autograd.tensor import Parameter
from .. import functional as F
from ..module import Module
from .parametrizations import as_matrix, unit_vector
from .weight_norm import removed, replaced


class SpectralNorm:
    """Called before each forward: sets the weight to the original divided by its largest singular value."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def __call__(self, module: Module, args: Any = None) -> None:
        """Compute the weight and set it; in training u and v move on first."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = as_matrix(weight, self.dim)
        if module.training and args is not None:
            with no_grad():
                fixed = matrix.detach()
                for _ in range(self.n_power_iterations):
                    v.assign(F.normalize(ops.matmul(u, fixed), dim=0, eps=self.eps))
                    u.assign(F.normalize(ops.matmul(fixed, v), dim=0, eps=self.eps))
        sigma = ops.sum(u.detach() * ops.matmul(matrix, v.detach()))
        object.__setattr__(module, self.name, weight / sigma)


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a parameter by its largest singular value before each forward. Returns the module.

    The parameter becomes `<name>_orig`; the vectors of the power iteration are the buffers `<name>_u` and `<name>_v`.
    `parametrizations.spectral_norm` is the newer form of it. Miyato et al. 2018.
    """
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    if n_power_iterations < 1:
        raise ValueError(f"spectral_norm: n_power_iterations must be at least 1, not {n_power_iterations}")
    weight = replaced(module, name)
    hook = SpectralNorm(name, n_power_iterations, dim % weight.ndim, eps)
    matrix = as_matrix(weight.detach(), hook.dim)
    setattr(module, f"{name}_orig", Parameter(weight.detach(), requires_grad=weight.requires_grad))
    setattr(module, f"{name}_u", unit_vector(matrix.shape[0], weight, eps))
    setattr(module, f"{name}_v", unit_vector(matrix.shape[1], weight, eps))
    hook(module)
    module.__dict__.setdefault("_normed", {})[name] = (hook, module.register_forward_pre_hook(hook))
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again, with its present value. Returns the module."""
    removed(module, name, SpectralNorm)
    for suffix in ("orig", "u", "v"):
        del module.__dict__[f"{name}_{suffix}"]
    return module
