"""Reductions that pick elements or measure length: max, min, their positions, and vector norms."""

from __future__ import annotations

import math
from typing import Any

from ..primitive import Primitive, primitive
from .creation import full_like_
from .elementwise import astype, where
from .reduce import Axis, keep_axes, keeping, over, rank, reduction, sum_
from .shape import either, one_axis
from .unary import abs, sign

__all__ = ["amax", "amin", "argmax", "argmin", "max", "min", "norm"]

Array = Any


# ------------------------------------------------------------------ extrema


@primitive(name="max")
def max_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, xp: Any) -> Array:
    """Maximum over axes; equal maxima share the cotangent evenly."""
    return _extremum(xp, xp.max, x, axis, keepdims)


@primitive(name="min")
def min_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, xp: Any) -> Array:
    """Minimum over axes; equal minima share the cotangent evenly."""
    return _extremum(xp, xp.min, x, axis, keepdims)


def _extremum(xp: Any, fn: Any, x: Array, axis: Axis, keepdims: bool) -> Array:
    if xp.isdtype(x.dtype, "bool"):  # the standard orders numbers alone
        return xp.astype(fn(xp.astype(x, xp.uint8), axis=axis, keepdims=keepdims), xp.bool)
    return fn(x, axis=axis, keepdims=keepdims)


def _evenly(g: Array, chosen: Array, x_dtype: str, x_shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
    """The cotangent spread over the chosen elements, the same to each."""
    mask = astype(chosen, dtype=x_dtype)
    share = keep_axes(g, x_shape, axis, keepdims) / sum_(mask, axis=axis, keepdims=True)
    return mask * share


def _extremum_dx(g: Array, x: Array, out: Array, x_dtype: str, axis: Axis, keepdims: bool) -> Array:
    chosen = x == keep_axes(out, x.shape, axis, keepdims)
    return _evenly(g, chosen, x_dtype, x.shape, axis, keepdims)


max_.vjp(x=_extremum_dx)
min_.vjp(x=_extremum_dx)


def max(x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Any:
    """Maximum over axes; NaN if there is one. The values alone, as NumPy's; `argmax` gives the positions.

    Elements that share the maximum share the cotangent evenly, as in torch.amax.

    Raises
    ------
    ValueError : there is nothing to take the maximum of.
    """
    return reduction(max_, x, axis, keepdims, dim, keepdim)


def min(x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Any:
    """Minimum over axes; NaN if there is one. The values alone, as NumPy's; `argmin` gives the positions.

    Elements that share the minimum share the cotangent evenly, as in torch.amin.

    Raises
    ------
    ValueError : there is nothing to take the minimum of.
    """
    return reduction(min_, x, axis, keepdims, dim, keepdim)


amax = max
amin = min


@primitive(name="argmax")
def argmax_(x: Array, /, *, axis: int | None = None, keepdims: bool = False, xp: Any) -> Array:
    """Position of the first maximum, as int64; of the first NaN if there is one. Not differentiable."""
    return xp.argmax(x, axis=axis if x.shape else None, keepdims=keepdims)


@primitive(name="argmin")
def argmin_(x: Array, /, *, axis: int | None = None, keepdims: bool = False, xp: Any) -> Array:
    """Position of the first minimum, as int64; of the first NaN if there is one. Not differentiable."""
    return xp.argmin(x, axis=axis if x.shape else None, keepdims=keepdims)


def _position(prim: Primitive, x: Any, axis: Any, keepdims: bool, dim: Any, keepdim: bool | None) -> Any:
    axis = either(axis, dim)
    if axis is not None:
        axis = one_axis(axis, rank(x) or 1, prim.name)
    return prim(x, axis=axis, keepdims=keeping(prim.name, keepdims, keepdim))


def argmax(x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Any:
    """Position of the maximum along an axis, or among all elements in row-major order, as int64.

    The first one where several are equal; the first NaN if there is one. Not differentiable.
    """
    return _position(argmax_, x, axis, keepdims, dim, keepdim)


def argmin(x: Any, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Any:
    """Position of the minimum along an axis, or among all elements in row-major order, as int64.

    The first one where several are equal; the first NaN if there is one. Not differentiable.
    """
    return _position(argmin_, x, axis, keepdims, dim, keepdim)


# ------------------------------------------------------------------ norms


@primitive(name="norm", floating=True)
def norm_(x: Array, /, *, ord: float = 2, axis: Axis = None, keepdims: bool = False, xp: Any) -> Array:
    """Vector norm (Σ|x|^ord)^(1/ord) over axes. ∂x = g·sign(x)·(|x|/out)^(ord−1), taken as 0 where x = 0."""
    if ord == 2:
        return xp.sqrt(xp.sum(xp.multiply(x, x), axis=axis, keepdims=keepdims, dtype=x.dtype))
    if ord == math.inf:
        return xp.max(xp.abs(x), axis=axis, keepdims=keepdims)
    if ord == -math.inf:
        return xp.min(xp.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return xp.sum(xp.astype(x != 0, x.dtype), axis=axis, keepdims=keepdims, dtype=x.dtype)
    if ord == 1:
        return xp.sum(xp.abs(x), axis=axis, keepdims=keepdims, dtype=x.dtype)
    return xp.pow(xp.sum(xp.pow(xp.abs(x), ord), axis=axis, keepdims=keepdims, dtype=x.dtype), 1 / ord)


def _norm_dx(g: Array, x: Array, out: Array, x_dtype: str, ord: float, axis: Axis, keepdims: bool) -> Array:
    shape = x.shape
    if ord == 2:
        return keep_axes(over(g, out), shape, axis, keepdims) * x
    if ord == 0:
        return full_like_(x, value=0.0, dtype=None, shape=None)
    if ord == 1:
        return keep_axes(g, shape, axis, keepdims) * sign(x)
    if math.isinf(ord):
        chosen = abs(x) == keep_axes(out, shape, axis, keepdims)
        return _evenly(g, chosen, x_dtype, shape, axis, keepdims) * sign(x)
    zero = x == 0.0
    length = keep_axes(where(out == 0.0, 1.0, out), shape, axis, keepdims)
    slope = sign(x) * (where(zero, 1.0, abs(x)) / length) ** (ord - 1)
    return keep_axes(g, shape, axis, keepdims) * where(zero, 0.0, slope)


norm_.vjp(x=_norm_dx)


def norm(
    x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False, *, p: Any = None, dim: Any = None,
    keepdim: bool | None = None,
) -> Any:  # fmt: skip
    """Vector norm over axes, of all elements by default: (Σ|x|^ord)^(1/ord).

    Parameters
    ----------
    x : Tensor or array.
    ord : a number, also written `p`: 2 (Euclid; also "fro"), 1, ∞ (largest |x|), −∞ (smallest |x|), 0 (how many are not
        0), or any other.

    ∂x = g·sign(x)·(|x|/out)^(ord−1). The gradient at 0 is 0, PyTorch's subgradient: of the norm of a zero vector, and
    for every ord but 2 of each element that is 0. Elements that share the largest (smallest) |x| share the cotangent of
    ord = ±∞ evenly.

    >>> import pullback as pb
    >>> pb.norm(pb.Tensor([3.0, 4.0])).item()
    5.0

    Raises
    ------
    ValueError : ord is no number; matrix norms by singular values are not vector norms.
    """
    ord = ord if p is None else p
    if ord is None or ord == "fro":
        ord = 2
    if not isinstance(ord, int | float):
        raise ValueError(f'norm: ord must be a number or "fro", not {ord!r}')
    return reduction(norm_, x, axis, keepdims, dim, keepdim, ord=ord)
