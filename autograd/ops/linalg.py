"""Products of matrices and tensors."""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .reduce import sum_
from .shape import permute, reshape

__all__ = ["matmul", "mT"]

Array = Any


def mT(x: Array) -> Array:
    """x with its last two axes swapped."""
    n = x.ndim
    return permute(x, axes=(*range(n - 2), n - 1, n - 2))


@primitive(promote=("x", "y"))
def matmul(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Matrix product, batched and broadcast over leading axes; 1-d operands are a row on the left, a column on the right.

    (…, n, k) @ (…, k, m) -> (…, n, m).
    """
    return xp.matmul(x, y)


def _matmul_dx(g: Array, x_shape: tuple[int, ...], y: Array) -> Array:
    if len(x_shape) == 1 and y.ndim == 1:
        return g * y
    if len(x_shape) == 1:  # (k) @ (…, k, m): the batch axes of y are summed, as the engine sums broadcast axes
        return _columns(y * reshape(g, shape=(*g.shape[:-1], 1, g.shape[-1])))
    if y.ndim == 1:
        return reshape(g, shape=(*g.shape, 1)) * y
    return matmul(g, mT(y))


def _matmul_dy(g: Array, x: Array, y_shape: tuple[int, ...]) -> Array:
    if x.ndim == 1 and len(y_shape) == 1:
        return g * x
    if x.ndim == 1:
        return reshape(x, shape=(*x.shape, 1)) * reshape(g, shape=(*g.shape[:-1], 1, g.shape[-1]))
    if len(y_shape) == 1:
        return sum_(x * reshape(g, shape=(*g.shape, 1)), axis=tuple(range(x.ndim - 1)))
    return matmul(mT(x), g)


def _columns(x: Array) -> Array:
    return sum_(x, axis=(*range(x.ndim - 2), x.ndim - 1))


matmul.vjp(x=_matmul_dx, y=_matmul_dy)
