"""Products of matrices and tensors. Everything but `matmul` itself comes down to pairwise contractions."""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .arrange import diagonal
from .elementwise import multiply
from .reduce import sum_
from .shape import one_axis, permute_, reshape_, sizes, some_axes

__all__ = ["dot", "inner", "kron", "mT", "matmul", "outer", "tensordot", "trace", "vdot", "vecdot"]

Array = Any
Shape = tuple[int, ...]


def mT(x: Array) -> Array:  # noqa: N802 - the array standard's name
    """`x` with its last two axes swapped: the transposed matrices. (…, n, m) -> (…, m, n)."""
    n = x.ndim
    if n < 2:
        raise ValueError(f"mT needs at least two axes; the array has shape {tuple(x.shape)}")
    return permute_(x, axes=(*range(n - 2), n - 1, n - 2))


@primitive(promote=("x", "y"))
def matmul(x: Array, y: Array, /, *, xp: Any) -> Array:
    """Matrix product, batched and broadcast over leading axes.

    1-d operands are a row on the left, a column on the right. (…, n, k) @ (…, k, m) -> (…, n, m).
    """
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError("matrix products need at least one axis on either side; use * for a scalar")
    if x.shape[-1] != y.shape[max(y.ndim - 2, 0)]:
        raise ValueError(
            f"the last axis of the left side ({x.shape[-1]}) must be as long as the "
            f"{'first' if y.ndim == 1 else 'second to last'} of the right ({y.shape[max(y.ndim - 2, 0)]})"
        )
    return xp.matmul(x, y)


def _row(g: Array) -> Array:
    return reshape_(g, shape=(*g.shape[:-1], 1, g.shape[-1]))


def _column(g: Array) -> Array:
    return reshape_(g, shape=(*g.shape, 1))


# Batch axes along which an input was broadcast are summed by the engine.
def _matmul_dx(g: Array, x_shape: Shape, y: Array) -> Array:
    if y.ndim == 1:
        return g * y if len(x_shape) == 1 else _column(g) * y
    if len(x_shape) == 1:  # (k) @ (…, k, m) -> (…, m)
        lead = g.shape[:-1]
        return reshape_(matmul(_row(g), mT(y)), shape=(*lead, *x_shape))
    return matmul(g, mT(y))


def _matmul_dy(g: Array, x: Array, y_shape: Shape) -> Array:
    if x.ndim == 1:
        return g * x if len(y_shape) == 1 else _column(x) * _row(g)
    if len(y_shape) > 2:
        return matmul(mT(x), g)
    # y has no batch axes: one product over all rows of x, rather than one a batch and a sum
    k = x.shape[-1]
    rows = math.prod(x.shape[:-1])
    flat = reshape_(x, shape=(rows, k))
    if len(y_shape) == 1:
        return matmul(reshape_(g, shape=(rows,)), flat)
    return matmul(mT(flat), reshape_(g, shape=(rows, y_shape[1])))


matmul.vjp(x=_matmul_dx, y=_matmul_dy)


@primitive(promote=("x", "y"))
def einsum_pair(x: Array, y: Array, /, *, spec: tuple[str, str, str], xp: Any) -> Array:
    """Contraction of two arrays; spec = (labels of x, labels of y, labels of the result), each label once per array.

    A label of one input alone is in the result too, and those the inputs share have one length.
    """
    return xp.einsum_pair(x, y, spec)


einsum_pair.vjp(
    x=lambda g, y, spec: einsum_pair(g, y, spec=(spec[2], spec[1], spec[0])),
    y=lambda g, x, spec: einsum_pair(g, x, spec=(spec[2], spec[0], spec[1])),
)

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def label(i: int) -> str:
    """The i-th of as many one-character labels as are wanted."""
    return _LETTERS[i] if i < len(_LETTERS) else chr(0x100 + i)


def tensordot(x: Array, y: Array, axes: Any = 2, *, dims: Any = None) -> Array:
    """Sum of products over axes of both: `axes` is how many (the last of x, the first of y), or a pair of axis lists.

    The result has the other axes of x, then those of y.
    """
    if dims is not None:
        axes = dims
    if isinstance(axes, int):
        if not 0 <= axes <= min(x.ndim, y.ndim):
            raise ValueError(f"tensordot: {axes} axes of arrays with {x.ndim} and {y.ndim} axes")
        left, right = tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes))
    else:
        left, right = (some_axes(sizes(a), s.ndim, "tensordot") for a, s in zip(axes, (x, y), strict=True))
    if [x.shape[i] for i in left] != [y.shape[j] for j in right]:
        raise ValueError(
            f"tensordot: axes {left} of shape {tuple(x.shape)} and {right} of shape {tuple(y.shape)} differ in length"
        )
    a = [label(i) for i in range(x.ndim)]
    b = [label(x.ndim + j) for j in range(y.ndim)]
    for i, j in zip(left, right, strict=True):
        b[j] = a[i]
    out = [c for i, c in enumerate(a) if i not in left] + [c for j, c in enumerate(b) if j not in right]
    return einsum_pair(x, y, spec=("".join(a), "".join(b), "".join(out)))


def outer(x: Array, y: Array) -> Array:
    """All products x_i·y_j of the flattened arrays. (n), (m) -> (n, m)."""
    return multiply(reshape_(x, shape=(math.prod(x.shape), 1)), reshape_(y, shape=(1, math.prod(y.shape))))


def inner(x: Array, y: Array) -> Array:
    """Sum of products over the last axes. (…, k), (…′, k) -> (…, …′)."""
    if x.ndim == 0 or y.ndim == 0:
        return multiply(x, y)
    return tensordot(x, y, ((-1,), (-1,)))


def dot(x: Array, y: Array) -> Array:
    """Sum of products over the last axis of x and the last but one of y, or its only one (NumPy's dot)."""
    if x.ndim == 0 or y.ndim == 0:
        return multiply(x, y)
    if y.ndim <= 2:
        return matmul(x, y)
    return tensordot(x, y, ((-1,), (-2,)))


def vdot(x: Array, y: Array) -> Array:
    """Sum of all products of two arrays of one shape, flattened."""
    n, m = math.prod(x.shape), math.prod(y.shape)
    if n != m:
        raise ValueError(f"vdot: shapes {tuple(x.shape)} and {tuple(y.shape)} have {n} and {m} elements")
    return matmul(reshape_(x, shape=(n,)), reshape_(y, shape=(m,)))


def vecdot(x: Array, y: Array, axis: int = -1, *, dim: int | None = None) -> Array:
    """Sum of products along one axis of both (also `dim`); the others broadcast. (…, k), (…, k) -> (…)."""
    product, axis = multiply(x, y), axis if dim is None else dim
    return sum_(product, axis=(one_axis(axis, product.ndim, "vecdot"),), keepdims=False)


def trace(x: Array, offset: int = 0) -> Array:
    """Sum of a diagonal of the first two axes. (n, m, …) -> (…)."""
    return sum_(diagonal(x, offset), axis=(x.ndim - 2,), keepdims=False)


def kron(x: Array, y: Array) -> Array:
    """Kronecker product: every element of x times all of y, laid out in blocks."""
    n = max(x.ndim, y.ndim)
    a, b = ((1,) * (n - s.ndim) + tuple(s.shape) for s in (x, y))
    left = reshape_(x, shape=tuple(k for size in a for k in (size, 1)))
    right = reshape_(y, shape=tuple(k for size in b for k in (1, size)))
    return reshape_(multiply(left, right), shape=tuple(i * j for i, j in zip(a, b, strict=True)))
