"""Reductions over axes.

`axis` (or `dim`) is None for all axes, an int, or a tuple; `keepdims` (or `keepdim`) keeps reduced axes with length 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import as_dtype
from ..primitive import Primitive, primitive
from .elementwise import astype, not_equal, where
from .shape import broadcast_to_, either, reshape_, some_axes
from .unary import exp

__all__ = ["all", "any", "count_nonzero", "logsumexp", "mean", "std", "sum", "var"]

Array = Any
Axis = int | tuple[int, ...] | None


# ------------------------------------------------------------------ axes


def reduced_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The reduced axes as non-negative ints, in order."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, int) else axis
    return tuple(sorted(a % ndim for a in axes)) if ndim else ()


def keep_axes(g: Array, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """A reduction's result with its reduced axes put back as length 1, so that it broadcasts against the input."""
    if keepdims:
        return g
    axes = reduced_axes(axis, len(shape))
    return reshape_(g, shape=tuple(1 if i in axes else n for i, n in enumerate(shape)))


def count(shape: tuple[int, ...], axis: Axis) -> int:
    """How many elements each result of a reduction is made of."""
    return math.prod(shape if axis is None else [shape[a] for a in reduced_axes(axis, len(shape))])


def canonical_axes(op: str, axis: Any, ndim: int) -> tuple[int, ...] | None:
    """The axes a user names as a sorted tuple of non-negative ints; None stays None. A 0-d array has axes 0 and −1.

    Raises
    ------
    IndexError : an axis is out of range.
    ValueError : an axis is named twice.
    """
    if axis is None:
        return None
    axes = some_axes(axis, ndim or 1, op)
    return tuple(sorted(axes)) if ndim else ()


def keeping(op: str, keepdims: bool, keepdim: bool | None) -> bool:
    """The argument that was given: NumPy's `keepdims` or PyTorch's `keepdim`."""
    if keepdim is None:
        return keepdims
    if keepdims:
        raise TypeError(f"{op}: give keepdims= or keepdim=, not both: they are the same argument")
    return keepdim


def rank(x: Any) -> int:
    """Number of axes of a Tensor, an array, or what can become one."""
    return x.ndim if hasattr(x, "ndim") else np.ndim(x)


def reduction(
    prim: Primitive, x: Any, axis: Any, keepdims: bool, dim: Any, keepdim: bool | None, dtype: Any = None, **static: Any
) -> Any:
    """What every public reduction does: settle the synonyms, make the axes canonical, convert if asked, apply."""
    if dim is not None:
        axis = either(axis, dim)
    if axis is not None:
        axis = canonical_axes(prim.name, axis, rank(x))
    if dtype is not None:
        x = astype(x, dtype=as_dtype(dtype).name)
    return prim(x, axis=axis, keepdims=keeping(prim.name, keepdims, keepdim), **static)


# ------------------------------------------------------------------ sums and means


@primitive(name="sum")
def sum_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, xp: Any) -> Array:
    """Sum over axes. Bools and integers are summed as int64; the sum of nothing is 0. ∂x = g, broadcast."""
    x, dtype = summable(xp, x)
    return xp.sum(x, axis=axis, keepdims=keepdims, dtype=dtype)


def summable(xp: Any, x: Array) -> tuple[Array, Any]:
    """The array, and the dtype it is summed or multiplied in. The standard sums numbers alone, no bools."""
    if xp.isdtype(x.dtype, "real floating"):
        return x, x.dtype
    return xp.astype(x, xp.int64) if xp.isdtype(x.dtype, "bool") else x, xp.int64


sum_.vjp(
    x=lambda g, x_shape, axis, keepdims: broadcast_to_(keep_axes(g, x_shape, axis, keepdims), shape=x_shape),
)


def sum(
    x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None, *, dim: Any = None, keepdim: bool | None = None
) -> Any:
    """Sum over axes. Bools and integers are summed as int64; the sum of nothing is 0. ∂x = g, broadcast.

    `dtype` converts x first.

    >>> import pullback as pb
    >>> pb.sum(pb.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0).numpy()
    array([4., 6.], dtype=float32)
    """
    return reduction(sum_, x, axis, keepdims, dim, keepdim, dtype)


@primitive(name="mean", floating=True)
def mean_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, xp: Any) -> Array:
    """Mean over axes. ∂x = g/n, broadcast."""
    return _average(xp, x, axis, keepdims)


def _average(xp: Any, x: Array, axis: Axis, keepdims: bool) -> Array:
    total, n = xp.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype), count(x.shape, axis)
    return total / n if n else total * math.nan


def _mean_dx(g: Array, x_shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    n = count(x_shape, axis)
    return broadcast_to_(keep_axes(g, x_shape, axis, keepdims) / (n or 1), shape=x_shape)


mean_.vjp(x=_mean_dx)


def mean(
    x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None, *, dim: Any = None, keepdim: bool | None = None
) -> Any:
    """Mean over axes; NaN of nothing. Integers and bools are averaged in the default float dtype. ∂x = g/n, broadcast.

    `dtype` converts x first.
    """
    return reduction(mean_, x, axis, keepdims, dim, keepdim, dtype)


def _freedom(n: int, correction: float) -> float:
    """1/(n − correction), the weight of each squared deviation; ∞ if there is no degree of freedom left."""
    return 1 / (n - correction) if n > correction else math.inf


def _variance(xp: Any, x: Array, axis: Axis, keepdims: bool, correction: float) -> Array:
    centred = x - _average(xp, x, axis, True)
    squares = xp.sum(xp.multiply(centred, centred), axis=axis, keepdims=keepdims, dtype=x.dtype)
    weight = _freedom(count(x.shape, axis), correction)
    if weight == math.inf:  # as 0/0 and positive/0 would be
        return xp.where(squares > 0, weight, squares * math.nan)
    return squares * weight


@primitive(name="var", floating=True)
def var_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, correction: float = 1, xp: Any) -> Array:
    """Variance over axes, Σ(x − mean)²/(n − correction), in two passes. ∂x = g·2·(x − mean)/(n − correction)."""
    return _variance(xp, x, axis, keepdims, correction)


def _centred(x: Array, axis: Axis) -> Array:
    return x - mean_(x, axis=axis, keepdims=True)


def _var_dx(g: Array, x: Array, axis: Axis, keepdims: bool, correction: float) -> Array:
    weight = 2 * _freedom(count(x.shape, axis), correction)
    return (keep_axes(g, x.shape, axis, keepdims) * weight) * _centred(x, axis)


var_.vjp(x=_var_dx)


@primitive(name="std", floating=True)
def std_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, correction: float = 1, xp: Any) -> Array:
    """Standard deviation over axes. ∂x = g·(x − mean)/((n − correction)·out), taken as 0 where out = 0."""
    return xp.sqrt(_variance(xp, x, axis, keepdims, correction))


def _std_dx(g: Array, x: Array, out: Array, axis: Axis, keepdims: bool, correction: float) -> Array:
    scale = over(g, out) * _freedom(count(x.shape, axis), correction)
    return keep_axes(scale, x.shape, axis, keepdims) * _centred(x, axis)


def over(g: Array, out: Array) -> Array:
    """g/out, and 0 where out = 0: the subgradient of roots of sums at 0."""
    zero = out == 0.0
    return where(zero, 0.0, g / where(zero, 1.0, out))


std_.vjp(x=_std_dx)


def _correction(op: str, correction: float | None, unbiased: bool | None) -> float:
    if unbiased is None:
        return 1 if correction is None else correction
    if correction is not None:
        raise TypeError(f"{op}: give correction or unbiased, not both; unbiased=True is correction=1, False is 0")
    return int(unbiased)


def var(
    x: Any, axis: Any = None, keepdims: bool = False, *, correction: float | None = None, unbiased: bool | None = None,
    dim: Any = None, keepdim: bool | None = None,
) -> Any:  # fmt: skip
    """Variance over axes, Σ(x − mean)² / (n − correction), computed in two passes.

    The default correction is 1, as in PyTorch (NumPy's is 0). Where n ≤ correction the result is 0/0 = NaN, or ∞.
    ∂x = g·2·(x − mean)/(n − correction).

    >>> import pullback as pb
    >>> pb.var(pb.Tensor([1.0, 2.0, 3.0, 4.0]), correction=0).item()
    1.25
    """
    if isinstance(axis, bool):  # PyTorch's var(x, unbiased)
        axis, unbiased = None, axis
    correction = _correction("var", correction, unbiased)
    return reduction(var_, x, axis, keepdims, dim, keepdim, correction=correction)


def std(
    x: Any, axis: Any = None, keepdims: bool = False, *, correction: float | None = None, unbiased: bool | None = None,
    dim: Any = None, keepdim: bool | None = None,
) -> Any:  # fmt: skip
    """Standard deviation over axes: the square root of `var`, with the same default correction of 1.

    ∂x = g·(x − mean)/((n − correction)·out), and 0 where out = 0 (all elements equal), as in PyTorch.
    """
    if isinstance(axis, bool):  # PyTorch's std(x, unbiased)
        axis, unbiased = None, axis
    correction = _correction("std", correction, unbiased)
    return reduction(std_, x, axis, keepdims, dim, keepdim, correction=correction)


# ------------------------------------------------------------------ log of a sum of exponentials


@primitive(name="logsumexp", floating=True)
def logsumexp_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, xp: Any) -> Array:
    """Logarithm of a sum, log Σ eˣ over axes, without overflow. ∂x = g·exp(x − out), taken as 0 where out = −∞."""
    if not count(x.shape, axis):
        return xp.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype) - math.inf
    limit = xp.finfo(x.dtype).max  # a finite offset keeps ±∞ − offset infinite
    top = xp.clip(xp.max(x, axis=axis, keepdims=True), -limit, limit)
    total = xp.sum(xp.exp(x - top), axis=axis, keepdims=keepdims, dtype=x.dtype)
    if not keepdims:
        top = xp.reshape(top, total.shape)
    nothing = total == 0.0
    return xp.where(nothing, -math.inf, xp.log(xp.where(nothing, 1.0, total)) + top)


def _logsumexp_dx(g: Array, x: Array, out: Array, axis: Axis, keepdims: bool) -> Array:
    finite = where(out == -math.inf, 0.0, out)
    weights = exp(x - keep_axes(finite, x.shape, axis, keepdims))
    return keep_axes(g, x.shape, axis, keepdims) * weights


logsumexp_.vjp(x=_logsumexp_dx)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Any:
    """Logarithm of a sum, log Σ eˣ over axes, computed as m + log Σ exp(x − m) with m the maximum, so without overflow.

    −∞ where all elements are −∞, or where there are none; ∞ where one is. ∂x = g·softmax(x), and 0 where the result is
    −∞.

    >>> import pullback as pb
    >>> round(pb.logsumexp(pb.Tensor([1000.0, 1000.0])).item(), 3)
    1000.693
    """
    return reduction(logsumexp_, x, axis, keepdims, dim, keepdim)


# ------------------------------------------------------------------ truth


@primitive(name="any")
def any_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, xp: Any) -> Array:
    """Whether some element over the axes is not 0. Not differentiable."""
    return xp.any(x, axis=axis, keepdims=keepdims)


@primitive(name="all")
def all_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, xp: Any) -> Array:
    """Whether no element over the axes is 0. Not differentiable."""
    return xp.all(x, axis=axis, keepdims=keepdims)


def any(x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Any:
    """Whether some element holds (is not 0), over axes, as bools; False of nothing. NaN holds. Not differentiable."""
    return reduction(any_, x, axis, keepdims, dim, keepdim)


def all(x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Any:
    """Whether all elements hold (are not 0), over axes, as bools; True of nothing. NaN holds. Not differentiable."""
    return reduction(all_, x, axis, keepdims, dim, keepdim)


def count_nonzero(
    x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None
) -> Any:
    """How many elements are not 0, over axes, as int64. Not differentiable."""
    return reduction(sum_, not_equal(x, 0), axis, keepdims, dim, keepdim)
