"""Running products and log-sums along an axis, differences, and the median.

The rules of the running reductions are linear recurrences sᵢ = bᵢ + aᵢ·sᵢ₊₁, solved by recursive doubling (Hillis &
Steele 1986) in log₂ n rounds of whole-array ops: no division, so zeros do no harm, and every order of derivative is
there.
"""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import as_dtype
from ..primitive import primitive
from .elementwise import astype, where
from .index import gather_
from .reduce import any_, keeping, rank, summable
from .shape import concatenate, either, one_axis, reshape_, squeeze
from .slicing import getitem_, pad_
from .sorting import argsort_
from .unary import exp, isnan

__all__ = ["cumprod", "diff", "logcumsumexp", "median"]

Array = Any


def _from(x: Array, axis: int, start: int, stop: int) -> Array:
    return getitem_(x, index=(*((0, n, 1) for n in x.shape[:axis]), (start, stop, 1)))


def _shifted(x: Array, axis: int, by: int, value: float) -> Array:
    """x moved by that many places along the axis, towards its end if positive; a constant comes in."""
    n = x.shape[axis]
    width = (by, 0) if by > 0 else (0, -by)
    padded = pad_(x, widths=tuple(width if i == axis else (0, 0) for i in range(x.ndim)), value=value)
    return _from(padded, axis, 0, n) if by > 0 else _from(padded, axis, -by, n - by)


def _recurrence(a: Array, b: Array, axis: int) -> Array:
    """sᵢ = bᵢ + aᵢ·sᵢ₊₁ along the axis, with nothing beyond its end."""
    step, n = 1, b.shape[axis]
    while step < n:
        b = b + a * _shifted(b, axis, -step, 0.0)
        a = a * _shifted(a, axis, -step, 0.0)
        step *= 2
    return b


# ------------------------------------------------------------------ products


@primitive(name="cumprod")
def cumprod_(x: Array, /, *, axis: int, xp: Any) -> Array:
    """Running product along an axis. Bools and integers are multiplied as int64.

    ∂xᵢ = Πₖ<ᵢ xₖ · sᵢ with sᵢ = gᵢ + xᵢ₊₁·sᵢ₊₁: right where elements are 0, at every order.
    """
    x, dtype = summable(xp, x)
    return xp.cumulative_prod(x, axis=axis, dtype=dtype) if x.shape else xp.astype(x, dtype)


def _cumprod_dx(g: Array, x: Array, axis: int) -> Array:
    if not x.ndim or not x.shape[axis]:
        return g
    before = cumprod_(_shifted(x, axis, 1, 1.0), axis=axis)
    return before * _recurrence(_shifted(x, axis, -1, 0.0), g, axis)


cumprod_.vjp(x=_cumprod_dx)


def cumprod(x: Any, axis: int | None = None, dtype: Any = None, *, dim: int | None = None) -> Any:
    """Running product along an axis; of all elements in row-major order, as a 1-d array, where no axis is given.

    Bools and integers are multiplied as int64; `dtype` converts x first. The gradient is right where elements are 0.

    >>> import pullback as pb
    >>> pb.cumprod(pb.Tensor([2.0, 3.0, 4.0]), axis=0).numpy()
    array([ 2.,  6., 24.], dtype=float32)
    """
    axis = either(axis, dim)
    if dtype is not None:
        x = astype(x, dtype=as_dtype(dtype).name)
    if axis is None:
        return cumprod_(reshape_(x, shape=(-1,)), axis=0)
    return cumprod_(x, axis=one_axis(axis, rank(x) or 1, "cumprod"))


# ------------------------------------------------------------------ log-sums


@primitive(name="logcumsumexp", floating=True)
def logcumsumexp_(x: Array, /, *, axis: int, xp: Any) -> Array:
    """Running log Σ eˣ along an axis, without overflow.

    ∂xᵢ = exp(xᵢ − outᵢ)·sᵢ with sᵢ = gᵢ + exp(outᵢ − outᵢ₊₁)·sᵢ₊₁, where no exponent is positive; 0 where outᵢ = −∞.
    """
    if not x.shape:
        return x
    step, n = 1, x.shape[axis]
    head = (slice(None),) * axis
    while step < n:
        later = xp.logaddexp(x[(*head, slice(step, None), ...)], x[(*head, slice(None, n - step), ...)])
        x = xp.concat([x[(*head, slice(None, step), ...)], later], axis=axis)
        step *= 2
    return x


def _logcumsumexp_dx(g: Array, x: Array, out: Array, axis: int) -> Array:
    if not x.ndim or not x.shape[axis]:
        return g
    none = out == -math.inf
    fall = where(none, 0.0, exp(where(none, 0.0, out) - where(none, 0.0, _shifted(out, axis, -1, math.inf))))
    return exp(x - where(none, 0.0, out)) * _recurrence(fall, g, axis)


logcumsumexp_.vjp(x=_logcumsumexp_dx)


def logcumsumexp(x: Any, axis: int | None = None, *, dim: int | None = None) -> Any:
    """Running log Σ eˣ along an axis, the last by default, without overflow. ∂xᵢ = Σⱼ≥ᵢ gⱼ·exp(xᵢ − outⱼ)."""
    return logcumsumexp_(x, axis=one_axis(either(axis, dim, -1), rank(x) or 1, "logcumsumexp"))


# ------------------------------------------------------------------ differences and the median


def diff(
    x: Any, n: int = 1, axis: int | None = None, prepend: Any = None, append: Any = None, *, dim: int | None = None
) -> Any:
    """Differences xᵢ₊₁ − xᵢ of neighbours along an axis, the last by default; n times over.

    `prepend` and `append` are put before and behind x first; n = 0 gives x itself.
    """
    a = one_axis(either(axis, dim, -1), x.ndim, "diff")
    if n < 0:
        raise ValueError(f"diff: n must not be negative, not {n}")
    parts = [part for part in (prepend, x, append) if part is not None]
    x = concatenate(*parts, axis=a) if len(parts) > 1 and n else x
    for _ in range(min(n, x.shape[a])):
        length = x.shape[a]
        x = _from(x, a, 1, length) - _from(x, a, 0, max(length - 1, 0))
    return x


def median(
    x: Any, axis: int | None = None, keepdims: bool = False, *, dim: int | None = None, keepdim: bool | None = None
) -> Any:
    """Median along an axis, or of all elements: of an even number of elements the lower of the middle two, as PyTorch.

    NaN if there is one. The values alone, as `max`. The chosen element gets the cotangent; of equal ones the one that
    a stable sort puts in the middle.

    Raises
    ------
    ValueError : there is nothing to take the median of.
    """
    axis = either(axis, dim)
    keep = keeping("median", keepdims, keepdim)
    if axis is None or not x.ndim:
        flat = reshape_(x, shape=(math.prod(x.shape),))
        found = median(flat, axis=0)
        return reshape_(found, shape=(1,) * x.ndim) if keep else found
    a = one_axis(axis, x.ndim, "median")
    length = x.shape[a]
    if not length:
        raise ValueError(f"median of no elements: axis {a} of shape {tuple(x.shape)} is empty")
    order = argsort_(x, axis=a, descending=False)
    middle = _from(order, a, (length - 1) // 2, (length - 1) // 2 + 1)
    last = _from(order, a, length - 1, length)  # NaN is sorted behind all numbers
    chosen = where(any_(isnan(x), axis=(a,), keepdims=True), last, middle)
    found = gather_(x, chosen, axis=a)
    return found if keep else squeeze(found, axis=a)
