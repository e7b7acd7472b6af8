"""Products, and running sums along an axis."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import as_dtype
from ..primitive import primitive
from .creation import full_like_
from .elementwise import astype
from .reduce import Axis, keep_axes, rank, reduced_axes, reduction, summable
from .shape import either, flip_, one_axis, permute_, reshape_
from .slicing import getitem_, pad_

__all__ = ["cumsum", "prod"]

Array = Any


@primitive(name="prod")
def prod_(x: Array, /, *, axis: Axis = None, keepdims: bool = False, xp: Any) -> Array:
    """Product over axes. Bools and integers are multiplied as int64; the product of nothing is 1.

    ∂x = g · the product of the *other* elements, which is right where elements are 0, at every order.
    """
    x, dtype = summable(xp, x)
    return xp.prod(x, axis=axis, keepdims=keepdims, dtype=dtype)


def _prod_dx(g: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    axes = reduced_axes(axis, x.ndim)
    order = axes + tuple(i for i in range(x.ndim) if i not in axes)
    moved = permute_(x, axes=order)
    flat = reshape_(moved, shape=(math.prod(moved.shape[: len(axes)]), *moved.shape[len(axes) :]))
    others = reshape_(_products_of_others(flat), shape=tuple(moved.shape))
    back = tuple(order.index(i) for i in range(x.ndim))
    return keep_axes(g, x.shape, axis, keepdims) * permute_(others, axes=back)


def _products_of_others(x: Array) -> Array:
    """Πⱼ≠ᵢ xⱼ along axis 0, without a division: (n, …) -> (n, …), in about 2n products.

    A tree: element i of the first half pairs with i of the second. The product of all others is its partner times what
    the pair as a whole lacks, which is found the same way among the m pairs.
    """
    n, rest = x.shape[0], tuple(x.shape[1:])
    if n < 2:
        return full_like_(x, value=1.0, dtype=None, shape=None)
    if n % 2:
        x = pad_(x, widths=((0, 1), *((0, 0) for _ in rest)), value=1.0)
    m = (n + 1) // 2
    halves = reshape_(x, shape=(2, m, *rest))
    others = flip_(halves, axes=(0,))
    if m > 1:
        above = _products_of_others(getitem_(halves, index=(0,)) * getitem_(halves, index=(1,)))
        others = others * reshape_(above, shape=(1, m, *rest))
    others = reshape_(others, shape=(2 * m, *rest))
    return getitem_(others, index=((0, n, 1),)) if n % 2 else others


prod_.vjp(x=_prod_dx)


def prod(
    x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None, *, dim: Any = None, keepdim: bool | None = None
) -> Any:
    """Product over axes. Bools and integers are multiplied as int64; the product of nothing is 1.

    ∂x = g · the product of the *other* elements: right where elements are 0, at every order. `dtype` converts x first.

    >>> import pullback as pb
    >>> x = pb.Tensor([0.0, 2.0, 3.0], requires_grad=True)
    >>> pb.prod(x).backward()
    >>> x.grad.numpy()
    array([6., 0., 0.], dtype=float32)
    """
    return reduction(prod_, x, axis, keepdims, dim, keepdim, dtype)


@primitive(name="cumsum")
def cumsum_(x: Array, /, *, axis: int, reverse: bool = False, xp: Any) -> Array:
    """Running sum along an axis, from its end with `reverse`. ∂x is the running sum of g from the other end."""
    x, dtype = summable(xp, x)
    if not x.shape:
        return xp.astype(x, dtype)
    if not reverse:
        return xp.cumulative_sum(x, axis=axis, dtype=dtype)
    return xp.flip(xp.cumulative_sum(xp.flip(x, axis=axis), axis=axis, dtype=dtype), axis=axis)


cumsum_.vjp(x=lambda g, axis, reverse: cumsum_(g, axis=axis, reverse=not reverse))


def cumsum(x: Any, axis: int | None = None, dtype: Any = None, *, dim: int | None = None, reverse: bool = False) -> Any:
    """Running sum along an axis; of all elements in row-major order, as a 1-d array, where no axis is given.

    Bools and integers are summed as int64; `dtype` converts x first. `reverse` starts at the end of the axis.
    ∂x is the running sum of g from the other end.

    >>> import pullback as pb
    >>> pb.cumsum(pb.Tensor([1.0, 2.0, 3.0]), axis=0).numpy()
    array([1., 3., 6.], dtype=float32)
    """
    axis = either(axis, dim)
    if dtype is not None:
        x = astype(x, dtype=as_dtype(dtype).name)
    if axis is None:
        return cumsum_(reshape_(x, shape=(-1,)), axis=0, reverse=reverse)
    return cumsum_(x, axis=one_axis(axis, rank(x) or 1, "cumsum"), reverse=reverse)
