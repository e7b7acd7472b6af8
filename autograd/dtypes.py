"""Dtypes and promotion.

The rule is PyTorch's, by category: bool < integer < float. Within a category the wider dtype wins, across categories
the higher one is kept as it is (int64 × float32 → float32), and Python scalars only ever raise the category.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "as_dtype", "bool_", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
    "uint32", "uint64",
]  # fmt: skip

DType = np.dtype[Any]

bool_ = np.dtype("bool")
int8, int16, int32, int64 = (np.dtype(f"int{n}") for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{n}") for n in (8, 16, 32, 64))
float16, float32, float64 = (np.dtype(f"float{n}") for n in (16, 32, 64))

DEFAULT_FLOAT = float32
DEFAULT_INT = int64
FLOATING = frozenset({float16, float32, float64})

_CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2}
_SCALAR_CATEGORY: dict[type, int] = {bool: 0, int: 1, float: 2}
_SCALAR_DTYPE = (bool_, DEFAULT_INT, DEFAULT_FLOAT)


def as_dtype(dtype: Any) -> DType:
    """A dtype from a NumPy dtype, its name, a NumPy scalar type, or Python's bool, int and float.

    Raises
    ------
    TypeError : it names no dtype pullback computes with.

    >>> as_dtype(float), as_dtype("int64")
    (dtype('float32'), dtype('int64'))
    """
    if isinstance(dtype, type) and dtype in _SCALAR_CATEGORY:  # (np.dtype(float) == float would match `in`)
        return _SCALAR_DTYPE[_SCALAR_CATEGORY[dtype]]
    try:
        found: DType = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found.kind not in _CATEGORY:
        raise TypeError(f"{dtype!r} is not a dtype of pullback; it has bool, (u)int8…64 and float16…64")
    return found


def promote(strong: Sequence[DType], weak: Sequence[type] = ()) -> DType:
    """The common dtype of arrays (`strong`) and Python scalars (`weak`)."""
    if not strong:
        return _SCALAR_DTYPE[max(_SCALAR_CATEGORY[kind] for kind in weak)]
    top = max(_CATEGORY[dtype.kind] for dtype in strong)
    common = strong[0]
    for dtype in strong[1:]:
        if dtype is not common:
            common = _pair(common, dtype)
    raised = max((_SCALAR_CATEGORY[kind] for kind in weak), default=0)
    return common if raised <= top else _SCALAR_DTYPE[raised]


def _pair(a: DType, b: DType) -> DType:
    rank_a, rank_b = _CATEGORY[a.kind], _CATEGORY[b.kind]
    if rank_a != rank_b:
        return a if rank_a > rank_b else b
    both = np.promote_types(a, b)
    # uint64 with a signed integer has no common integer dtype: NumPy says float64, PyTorch raises, we keep integers
    return both if both.kind in "biu" or rank_a == 2 else int64
