"""The affine map of a dense layer, as one op."""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .linalg import matmul, mT
from .shape import reshape_

__all__ = ["linear"]

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


linear.vjp(
    x=lambda g, weight: matmul(g, weight),
    weight=lambda g, x: matmul(mT(flat_rows(g)), flat_rows(x)),
    bias=lambda g: g,  # the engine sums over the leading axes
)
