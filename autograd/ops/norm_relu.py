"""Batch normalisation with what follows it in residual networks, a sum and a ReLU, as one op each.

Each equals its parts, and its rule is made of theirs. Alone, the three would read and write an image seven times,
and their cotangents nine times; a backend that overrides these ops needs three and five.
"""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .activation import relu, relu_grad
from .norm import batch_norm, batch_norm_grad, batch_norm_grad_rule, per_channel
from .shape import reshape
from .unary import sqrt

__all__ = ["batch_norm_add_relu", "batch_norm_add_relu_grad", "batch_norm_relu", "batch_norm_relu_grad"]

Array = Any


@primitive(floating=True, outputs=3)
def batch_norm_relu(
    x: Array, weight: Array, bias: Array, /, *, eps: float = 1e-5, xp: Any
) -> tuple[Array, Array, Array]:  # fmt: skip
    """max(y, 0), μ and σ² with y, μ and σ² of `batch_norm`."""
    y, mean, var = batch_norm.forward(x, weight, bias, eps=eps, xp=xp)
    return relu.forward(y, xp=xp), mean, var


@primitive(floating=True, outputs=3)
def batch_norm_relu_grad(
    gy: Array, gmean: Array, gvar: Array, x: Array, weight: Array, bias: Array, mean: Array, var: Array, /, *,
    eps: float = 1e-5, xp: Any,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """The cotangents of x, weight and bias in `batch_norm_relu` from those of its results.

    They are those of `batch_norm_grad` for gy where (x − mean)/√(var + ε)·weight + bias is positive and 0 elsewhere.
    """
    _, shape, _ = per_channel(x.shape)
    weights, biases, means, variances = (xp.reshape(a, shape) for a in (weight, bias, mean, var))
    u = relu_grad.forward(gy, (x - means) * (weights / xp.sqrt(variances + eps)) + biases, xp=xp)
    return batch_norm_grad.forward(u, gmean, gvar, x, weight, mean, var, eps=eps, xp=xp)  # type: ignore[no-any-return]


def _batch_norm_relu_rule(
    g: Any, x: Array, weight: Array, bias: Array, out: Any, eps: float
) -> tuple[Array, Array, Array]:  # fmt: skip
    gy, gmean, gvar = g
    dx, dweight, dbias = batch_norm_relu_grad(gy, gmean, gvar, x, weight, bias, out[1], out[2], eps=eps)
    return dx, dweight, dbias


batch_norm_relu.vjp(_batch_norm_relu_rule)


def _batch_norm_relu_grad_rule(
    g: Any, gy: Array, gvar: Array, x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float
) -> tuple[Any, ...]:
    _, shape, _ = per_channel(x.shape)
    weights, biases, means, variances = (reshape(a, shape=shape) for a in (weight, bias, mean, var))
    y = (x - means) * (weights / sqrt(variances + eps)) + biases
    du, dgmean, dgvar, dx, dweight, dmean, dvar = batch_norm_grad_rule(
        g, relu_grad(gy, y), gvar, x, weight, mean, var, eps
    )
    return relu_grad(du, y), dgmean, dgvar, dx, dweight, None, dmean, dvar


batch_norm_relu_grad.vjp(_batch_norm_relu_grad_rule)


@primitive(floating=True, outputs=3)
def batch_norm_add_relu(
    x: Array, more: Array, weight: Array, bias: Array, /, *, eps: float = 1e-5, xp: Any
) -> tuple[Array, Array, Array]:
    """max(y + more, 0), μ and σ² with y, μ and σ² of `batch_norm`; `more` has the shape of x."""
    if tuple(more.shape) != tuple(x.shape):
        raise ValueError(f"what is added must have the input's shape {tuple(x.shape)}, not {tuple(more.shape)}")
    y, mean, var = batch_norm.forward(x, weight, bias, eps=eps, xp=xp)
    return relu.forward(y + more, xp=xp), mean, var


@primitive(floating=True, outputs=4)
def batch_norm_add_relu_grad(
    gy: Array, gmean: Array, gvar: Array, y: Array, x: Array, weight: Array, mean: Array, var: Array, /, *,
    eps: float = 1e-5, xp: Any,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """The cotangents of x, more, weight and bias in `batch_norm_add_relu`, whose result is y.

    That of `more` is u = gy where y > 0 and 0 elsewhere; the others are those of `batch_norm_grad` for u.
    """
    u = relu_grad.forward(gy, y, xp=xp)
    dx, dweight, dbias = batch_norm_grad.forward(u, gmean, gvar, x, weight, mean, var, eps=eps, xp=xp)
    return dx, u, dweight, dbias


def _batch_norm_add_relu_rule(g: Any, x: Array, weight: Array, out: Any, eps: float) -> tuple[Array, ...]:
    gy, gmean, gvar = g
    y, mean, var = out
    dx, dmore, dweight, dbias = batch_norm_add_relu_grad(gy, gmean, gvar, y, x, weight, mean, var, eps=eps)
    return dx, dmore, dweight, dbias


batch_norm_add_relu.vjp(_batch_norm_add_relu_rule)


def _batch_norm_add_relu_grad_rule(
    g: Any, gy: Array, gvar: Array, y: Array, x: Array, weight: Array, mean: Array, var: Array, eps: float
) -> tuple[Any, ...]:
    a, more, b, c = g
    du, dgmean, dgvar, dx, dweight, dmean, dvar = batch_norm_grad_rule(
        (a, b, c), relu_grad(gy, y), gvar, x, weight, mean, var, eps
    )
    return relu_grad(du + more, y), dgmean, dgvar, None, dx, dweight, dmean, dvar


batch_norm_add_relu_grad.vjp(_batch_norm_add_relu_grad_rule)
