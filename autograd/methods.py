"""Tensor's operators and methods: thin names for ops, in NumPy's and PyTorch's spelling."""

from __future__ import annotations

from typing import Any

from .state import state

Tensor: Any  # set by tensor.py, which needs this module first
_NONE: dict[str, Any] = {}


class TensorMethods:
    """Mixin with everything a Tensor can do through ops."""

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        return state.apply(ops.add, (self, other), _NONE)

    def __radd__(self, other: Any) -> Tensor:
        return state.apply(ops.add, (other, self), _NONE)

    def __sub__(self, other: Any) -> Tensor:
        return state.apply(ops.subtract, (self, other), _NONE)

    def __rsub__(self, other: Any) -> Tensor:
        return state.apply(ops.subtract, (other, self), _NONE)

    def __mul__(self, other: Any) -> Tensor:
        return state.apply(ops.multiply, (self, other), _NONE)

    def __rmul__(self, other: Any) -> Tensor:
        return state.apply(ops.multiply, (other, self), _NONE)

    def __truediv__(self, other: Any) -> Tensor:
        return state.apply(ops.divide, (self, other), _NONE)

    def __rtruediv__(self, other: Any) -> Tensor:
        return state.apply(ops.divide, (other, self), _NONE)

    def __pow__(self, other: Any) -> Tensor:
        return state.apply(ops.power, (self, other), _NONE)

    def __rpow__(self, other: Any) -> Tensor:
        return state.apply(ops.power, (other, self), _NONE)

    def __matmul__(self, other: Any) -> Tensor:
        return state.apply(ops.matmul, (self, other), _NONE)

    def __rmatmul__(self, other: Any) -> Tensor:
        return state.apply(ops.matmul, (other, self), _NONE)

    def __neg__(self) -> Tensor:
        return state.apply(ops.negative, (self,), _NONE)

    def __and__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_and, (self, other), _NONE)

    def __eq__(self, other: object) -> Any:
        return state.apply(ops.equal, (self, other), _NONE)

    def __ne__(self, other: object) -> Any:
        return state.apply(ops.not_equal, (self, other), _NONE)

    def __lt__(self, other: Any) -> Tensor:
        return state.apply(ops.less, (self, other), _NONE)

    def __le__(self, other: Any) -> Tensor:
        return state.apply(ops.less_equal, (self, other), _NONE)

    def __gt__(self, other: Any) -> Tensor:
        return state.apply(ops.greater, (self, other), _NONE)

    def __ge__(self, other: Any) -> Tensor:
        return state.apply(ops.greater_equal, (self, other), _NONE)

    def astype(self, dtype: Any) -> Tensor:
        """The values in another dtype; the tensor itself if it has it already. Differentiable between floats."""
        name = as_dtype(dtype)
        return self if name == self.dtype else ops.astype(self, dtype=name.name)  # type: ignore[attr-defined]

    def exp(self) -> Tensor:
        """Elementwise eˣ."""
        return ops.exp(self)

    def tanh(self) -> Tensor:
        """Elementwise hyperbolic tangent."""
        return ops.tanh(self)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """Sum over axes."""
        return ops.sum_(self, axis=axis, keepdims=keepdims)


from . import ops  # noqa: E402
from .dtypes import as_dtype  # noqa: E402
