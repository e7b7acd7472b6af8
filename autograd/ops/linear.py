"""The affine map of a dense layer, as one op."""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .linalg import matmul, mT
from .shape import reshape_

__all__ = ["linear", "linear_grad"]

Array = Any


@primitive(promote=True)
def linear(x: Array, weight: Array, bias: Array, /, *, xp: Any) -> Array:
    """Affine map x·Wᵀ + b of the last axis.

    x: (…, in), weight: (out, in), bias: (out,) -> (…, out). Leading axes are one long batch: a single matrix product.

    ∂x = g·W, ∂W = gᵀ·x summed over the batch, ∂b = g summed over the batch.

    Raises
    ------
    ValueError : x has no axis or not `in` features, or the shapes of weight and bias do not fit each other.
    """
    if len(weight.shape) != 2 or tuple(bias.shape) != (weight.shape[0],):
        raise ValueError("weight must have shape (out, in) and bias (out,)")
    out, features = weight.shape
    if not x.shape or x.shape[-1] != features:
        raise ValueError(f"the last axis of the input must have the weight's {features} features")
    rows = x if len(x.shape) == 2 else xp.reshape(x, (math.prod(x.shape[:-1]), features))
    y = xp.matmul(rows, weight.T)
    y += bias
    return y if len(x.shape) == 2 else xp.reshape(y, (*x.shape[:-1], out))


def flat_rows(x: Array) -> Array:
    """x with its leading axes as one: (…, n) -> (m, n)."""
    return x if x.ndim == 2 else reshape_(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


@primitive(promote=True, outputs=0)
def linear_grad(gy: Array, x: Array, weight: Array, /, *, need_x: bool, xp: Any) -> tuple[Array, ...]:
    """Cotangents (weight, bias) or (weight, bias, x) in `linear`: gyᵀ·x, Σgy and gy·W.

    gy: (…, out), x: (…, in), weight: (out, in).
    """
    rows = xp.reshape(gy, (math.prod(gy.shape[:-1]), gy.shape[-1]))
    flat = xp.reshape(x, (rows.shape[0], x.shape[-1]))
    dweight, dbias = xp.matmul(rows.T, flat), xp.sum(rows, axis=0)
    return (dweight, dbias, xp.matmul(gy, weight)) if need_x else (dweight, dbias)


def linear_second(g: tuple[Any, ...], u: Array, x: Array, weight: Array, need_x: bool) -> tuple[Array, Array, Any]:
    """Cotangents of u, x and weight from those of the results of `linear_grad`, each of which is bilinear."""
    du, dx = linear(x, g[0], g[1]), matmul(u, g[0])
    if not need_x:
        return du, dx, None
    return du + matmul(g[2], mT(weight)), dx, matmul(mT(flat_rows(u)), flat_rows(g[2]))


linear_grad.vjp(lambda g, gy, x, weight, need_x: linear_second(g, gy, x, weight, need_x))


def _linear_rule(g: Array, x: Array, weight: Array, need: tuple[bool, ...]) -> tuple[Any, ...]:
    if need[1] and need[2]:
        dweight, dbias, *dx = linear_grad(g, x, weight, need_x=need[0])
        return (dx[0] if dx else None), dweight, dbias
    return linear_parts(g, x, weight, need)


def linear_parts(g: Array, x: Array, weight: Array, need: tuple[bool, ...]) -> tuple[Any, ...]:
    """Those of the three cotangents that are needed, one by one."""
    return (
        matmul(g, weight) if need[0] else None,
        matmul(mT(flat_rows(g)), flat_rows(x)) if need[1] else None,
        g if need[2] else None,  # the engine sums over the leading axes
    )


linear.vjp(_linear_rule)
