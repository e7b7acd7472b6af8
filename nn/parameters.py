"""New parameters and buffers of layers, before an initialiser fills them."""

from __future__ import annotations

from typing import Any

from ..autograd import ops
from ..autograd.dtypes import DEFAULT_FLOAT
from ..autograd.tensor import Parameter
from .buffer import Buffer


def parameter(*shape: int, value: float = 0.0, dtype: Any = None, backend: Any = None) -> Parameter:
    """A parameter of one value everywhere; float32 on the current backend by default."""
    return Parameter(ops.full(shape, value, dtype=dtype or DEFAULT_FLOAT, backend=backend))


def buffer(*shape: int, value: float = 0.0, dtype: Any = None, backend: Any = None) -> Buffer:
    """A buffer of one value everywhere; float32 on the current backend by default."""
    return Buffer(ops.full(shape, value, dtype=dtype or DEFAULT_FLOAT, backend=backend))
