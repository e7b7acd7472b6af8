"""Softmax and its logarithm along one axis, and the products with their Jacobians that backward needs.

Both are invariant under adding a number to a row, and subtract the row's maximum first, so that they overflow nowhere.
A row of −∞ alone has no softmax: it gives NaN, as in PyTorch. Single entries of −∞ are exact zeros of the softmax.
"""

from __future__ import annotations

from typing import Any

from ..dtypes import as_dtype
from ..primitive import Primitive, primitive
from .elementwise import astype
from .reduce import rank, sum_
from .shape import as_vector, either, one_axis
from .unary import exp

__all__ = ["log_softmax", "log_softmax_grad", "softmax", "softmax_grad"]

Array = Any


def _shifted(x: Array, axis: int, xp: Any) -> Array:
    if not -x.ndim <= axis < x.ndim:
        raise IndexError(f"axis {axis} is out of range for an array with {x.ndim} axes")
    return x - xp.max(x, axis=axis, keepdims=True) if x.shape[axis] else x


@primitive(name="softmax", floating=True)
def softmax_(x: Array, /, *, axis: int, xp: Any) -> Array:
    """Softmax s = eˣ / Σ eˣ along `axis`: non-negative, and each row sums to 1. x: (…) -> (…).

    ∂x = s·(g − Σ g·s). A row of −∞ alone gives NaN.
    """
    e = xp.exp(_shifted(x, axis, xp))
    return e / xp.sum(e, axis=axis, keepdims=True)


@primitive(floating=True)
def softmax_grad(gy: Array, y: Array, /, *, axis: int, xp: Any) -> Array:
    """The softmax's Jacobian diag(y) − y·yᵀ, which is symmetric, times gy: y·(gy − Σ gy·y), where y is the softmax."""
    return y * (gy - xp.sum(gy * y, axis=axis, keepdims=True))


softmax_.vjp(x=lambda g, out, axis: softmax_grad(g, out, axis=axis))


def _softmax_grad_dy(g: Array, gy: Array, y: Array, axis: int) -> Array:
    """∂/∂y of Σ g·y·(gy − Σ gy·y) = g·(gy − Σ gy·y) − gy·Σ g·y."""
    return g * (gy - sum_(gy * y, axis=(axis,), keepdims=True)) - gy * sum_(g * y, axis=(axis,), keepdims=True)


softmax_grad.vjp(gy=lambda g, y, axis: softmax_grad(g, y, axis=axis), y=_softmax_grad_dy)


@primitive(name="log_softmax", floating=True)
def log_softmax_(x: Array, /, *, axis: int, xp: Any) -> Array:
    """Logarithm of the softmax, x − log Σ eˣ along `axis`, without forming the softmax. x: (…) -> (…).

    ∂x = g − softmax(x)·Σ g. A row of −∞ alone gives NaN.
    """
    x = _shifted(x, axis, xp)
    if not x.shape[axis]:
        return x
    return x - xp.log(xp.sum(xp.exp(x), axis=axis, keepdims=True))


@primitive(floating=True)
def log_softmax_grad(gy: Array, y: Array, /, *, axis: int, xp: Any) -> Array:
    """The transposed Jacobian of log_softmax times gy: gy − eʸ·Σ gy, where y is the log-softmax."""
    return gy - xp.exp(y) * xp.sum(gy, axis=axis, keepdims=True)


log_softmax_.vjp(x=lambda g, out, axis: log_softmax_grad(g, out, axis=axis))
log_softmax_grad.vjp(
    gy=lambda g, y, axis: g - sum_(g * exp(y), axis=(axis,), keepdims=True),
    y=lambda g, gy, y, axis: -g * exp(y) * sum_(gy, axis=(axis,), keepdims=True),
)


def softmax(x: Any, axis: int | None = None, dtype: Any = None, *, dim: int | None = None) -> Any:
    """Softmax s = eˣ / Σ eˣ along an axis: non-negative, and each row sums to 1. (…) -> (…).

    `dtype` converts x first. ∂x = s·(g − Σ g·s). A row of −∞ alone gives NaN.

    >>> import pullback as pb
    >>> pb.softmax(pb.zeros(2, 4), dim=1)[0].tolist()
    [0.25, 0.25, 0.25, 0.25]

    Raises
    ------
    TypeError : no axis is named.
    """
    return _along(softmax_, x, either(axis, dim), dtype)


def log_softmax(x: Any, axis: int | None = None, dtype: Any = None, *, dim: int | None = None) -> Any:
    """Logarithm of the softmax, x − log Σ eˣ along an axis, without forming the softmax. (…) -> (…).

    `dtype` converts x first. ∂x = g − softmax(x)·Σ g. A row of −∞ alone gives NaN.

    Raises
    ------
    TypeError : no axis is named.
    """
    return _along(log_softmax_, x, either(axis, dim), dtype)


def _along(prim: Primitive, x: Any, axis: int | None, dtype: Any) -> Any:
    if axis is None:
        raise TypeError(f"{prim.name} needs the axis that holds the classes: pass dim=1 for rows of a matrix")
    if dtype is not None:
        x = astype(x, dtype=as_dtype(dtype).name)
    a = one_axis(axis, rank(x) or 1, prim.name)
    return prim(x, axis=a) if rank(x) else as_vector(lambda v: prim(v, axis=a), x)
