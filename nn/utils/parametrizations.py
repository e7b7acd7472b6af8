"""Weight and spectral normalisation as parametrisations, with the keys of `torch.nn.utils.parametrizations`."""

from __future__ import annotations

from typing import Any

from ...autograd import ops
from ...autograd.dtypes import DEFAULT_FLOAT
from ...autograd.state import no_grad
from ...autograd.tensor import Tensor
from ...backends import backend
from .. import functional as F
from ..buffer import Buffer
from ..module import Module
from .parametrize import register_parametrization


def length(weight: Tensor, dim: int | None) -> Tensor:
    """Euclidean norms of the slices along an axis, which keeps its place: (1, …, n, …, 1); of everything for None."""
    if dim is None or dim == -1:
        return ops.norm(ops.reshape(weight, (weight.size,)), ord=2, axis=0)
    others = tuple(i for i in range(weight.ndim) if i != dim % weight.ndim)
    return ops.sqrt(ops.sum(weight * weight, axis=others, keepdims=True)) if others else ops.abs(weight)


class _WeightNorm(Module):
    """W = g·v/‖v‖ from the lengths g and the directions v."""

    def __init__(self, dim: int | None = 0) -> None:
        self.dim = dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """g: (1, …, n, …, 1), v: the weight's shape -> W."""
        return weight_v * (weight_g / length(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The lengths, and the weight itself."""
        return length(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train length and direction of a parameter's slices along `dim` separately: W = g·v/‖v‖. Returns the module.

    The lengths are `parametrizations.<name>.original0`, the directions `original1`. With None there is one length for
    the whole parameter. Salimans & Kingma 2016.

    >>> from pullback import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
    >>> layer.parametrizations.weight.original0.shape, layer.parametrizations.weight.original1.shape
    ((40, 1), (40, 20))
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight as a matrix whose rows are its slices along an axis."""
    if dim:
        weight = ops.moveaxis(weight, dim, 0)
    return ops.reshape(weight, (weight.shape[0], -1))


def unit_vector(n: int, like: Tensor, eps: float) -> Buffer:
    """A random direction, drawn on the host by the default generator."""
    from ...autograd.random_api import normal

    dtype = "float64" if like.dtype.name == "float64" else DEFAULT_FLOAT
    with backend("numpy"):
        values = F.normalize(normal((n,), dtype=dtype), dim=0, eps=eps)
    return Buffer(values.numpy(), like.dtype, backend=like.backend)


class _SpectralNorm(Module):
    """W/σ with the largest singular value σ of W as a matrix, by power iteration on vectors u and v."""

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(f"spectral_norm: axis {dim} is out of range for a weight of shape {weight.shape}")
        if n_power_iterations < 1:
            raise ValueError(f"spectral_norm: n_power_iterations must be at least 1, not {n_power_iterations}")
        self.dim = dim % weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            self._u = unit_vector(matrix.shape[0], weight, eps)
            self._v = unit_vector(matrix.shape[1], weight, eps)
            self._power_method(matrix, 15)

    @no_grad
    def _power_method(self, matrix: Tensor, iterations: int) -> None:
        for _ in range(iterations):
            self._u.assign(F.normalize(ops.matmul(matrix, self._v), dim=0, eps=self.eps))
            self._v.assign(F.normalize(ops.matmul(self._u, matrix), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight's shape. In training the vectors move on by n_power_iterations steps first."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix.detach(), self.n_power_iterations)
        u, v = self._u.detach(), self._v.detach()
        return weight / ops.sum(u * ops.matmul(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself."""
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a parameter by its largest singular value, as a matrix whose rows are its slices along `dim`.

    σ = uᵀ·W·v with vectors that every training step moves on by power iterations; they are the buffers
    `parametrizations.<name>.0._u` and `_v`. `dim` is 1 for transposed convolutions and 0 otherwise. Returns the module.
    Miyato et al. 2018.

    Raises
    ------
    ValueError : the module has no such parameter.
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"{type(module).__name__} has no parameter {name!r}")
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
