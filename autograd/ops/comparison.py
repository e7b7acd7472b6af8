"""PyTorch's short names of comparisons and arithmetic, and whether numbers are close."""

from __future__ import annotations

import math
from typing import Any

from .elementwise import (
    bitwise_invert,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_or,
    multiply,
    negative,
    not_equal,
    subtract,
    where,
)  # fmt: skip
from .index import take_along_axis
from .linalg import matmul
from .reduce import all as all_
from .unary import abs as absolute
from .unary import isnan

__all__ = [
    "allclose", "bitwise_not", "bmm", "eq", "ge", "gt", "isclose", "le", "lt", "mm", "mul", "mv", "ne", "neg", "sub",
    "take_along_dim",
]  # fmt: skip

eq, ne, lt, le, gt, ge = equal, not_equal, less, less_equal, greater, greater_equal
mul, neg, sub = multiply, negative, subtract
bitwise_not = bitwise_invert
mm = bmm = mv = matmul


def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """`take_along_axis` with PyTorch's names; of the flattened array where no axis is given."""
    if dim is None:
        return take_along_axis(x.reshape(-1), indices.reshape(-1), 0)
    return take_along_axis(x, indices, dim)


def isclose(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether |x − y| ≤ atol + rtol·|y|, element by element; equal infinities are close, NaN only with `equal_nan`.

    Not differentiable.

    >>> import pullback as pb
    >>> pb.isclose(pb.tensor([1.0, 2.0]), pb.tensor([1.000001, 2.1])).tolist()
    [True, False]
    """
    if rtol < 0 or atol < 0:
        raise ValueError(f"isclose: rtol and atol must not be negative, not {rtol} and {atol}")
    same = equal(x, y)
    bound = atol + absolute(rtol * y)
    gap = absolute(subtract(where(same, 0, x), where(same, 0, y)))
    near = logical_or(same, logical_and(less_equal(gap, bound), less(gap, math.inf)))
    return logical_or(near, logical_and(isnan(x), isnan(y))) if equal_nan else near


def allclose(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close, as a Python bool: see `isclose`."""
    return bool(all_(isclose(x, y, rtol, atol, equal_nan)))
