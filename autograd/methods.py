"""Tensor's operators, and reductions as methods: thin names for ops, in NumPy's and PyTorch's spelling."""
# Ops return Any; which of them return a Tensor is said here.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .elementwise_methods import ElementwiseMethods
from .state import state

if TYPE_CHECKING:
    from .tensor import Tensor

_NONE: dict[str, Any] = {}


class TensorMethods(ElementwiseMethods):
    """Mixin with everything a Tensor can do through ops. Operators take the shortest way to the interpreter."""

    __slots__ = ()

    # -------------------------------------------------------------- operators

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

    def __floordiv__(self, other: Any) -> Tensor:
        return state.apply(ops.floor_divide, (self, other), _NONE)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return state.apply(ops.floor_divide, (other, self), _NONE)

    def __mod__(self, other: Any) -> Tensor:
        return state.apply(ops.remainder, (self, other), _NONE)

    def __rmod__(self, other: Any) -> Tensor:
        return state.apply(ops.remainder, (other, self), _NONE)

    def __pow__(self, other: Any) -> Tensor:
        return state.apply(ops.power, (self, other), _NONE)

    def __rpow__(self, other: Any) -> Tensor:
        return state.apply(ops.power, (other, self), _NONE)

    def __matmul__(self, other: Any) -> Tensor:
        return state.apply(ops.matmul, (self, other), _NONE)

    def __rmatmul__(self, other: Any) -> Tensor:
        return state.apply(ops.matmul, (other, self), _NONE)

    def __and__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_and, (self, other), _NONE)

    def __rand__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_and, (other, self), _NONE)

    def __or__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_or, (self, other), _NONE)

    def __ror__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_or, (other, self), _NONE)

    def __xor__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_xor, (self, other), _NONE)

    def __rxor__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_xor, (other, self), _NONE)

    def __lshift__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_left_shift, (self, other), _NONE)

    def __rlshift__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_left_shift, (other, self), _NONE)

    def __rshift__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_right_shift, (self, other), _NONE)

    def __rrshift__(self, other: Any) -> Tensor:
        return state.apply(ops.bitwise_right_shift, (other, self), _NONE)

    def __neg__(self) -> Tensor:
        return state.apply(ops.negative, (self,), _NONE)

    def __abs__(self) -> Tensor:
        return state.apply(ops.abs, (self,), _NONE)

    def __invert__(self) -> Tensor:
        return state.apply(ops.bitwise_invert, (self,), _NONE)

    def __pos__(self) -> Tensor:
        return self  # type: ignore[return-value]

    # Elementwise; but nothing is equal to None or a string, which Python answers with False by itself.

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        if other is None or type(other) is str:
            return NotImplemented
        return state.apply(ops.equal, (self, other), _NONE)

    def __ne__(self, other: object) -> Any:
        if other is None or type(other) is str:
            return NotImplemented
        return state.apply(ops.not_equal, (self, other), _NONE)

    def __lt__(self, other: Any) -> Tensor:
        return state.apply(ops.less, (self, other), _NONE)

    def __le__(self, other: Any) -> Tensor:
        return state.apply(ops.less_equal, (self, other), _NONE)

    def __gt__(self, other: Any) -> Tensor:
        return state.apply(ops.greater, (self, other), _NONE)

    def __ge__(self, other: Any) -> Tensor:
        return state.apply(ops.greater_equal, (self, other), _NONE)

    # -------------------------------------------------------------- reductions

    def sum(
        self,
        axis: Any = None,
        keepdims: bool = False,
        dtype: Any = None,
        *,
        dim: Any = None,
        keepdim: bool | None = None,
    ) -> Tensor:
        """Sum over axes."""
        return ops.sum(self, axis, keepdims, dtype, dim=dim, keepdim=keepdim)

    def mean(
        self,
        axis: Any = None,
        keepdims: bool = False,
        dtype: Any = None,
        *,
        dim: Any = None,
        keepdim: bool | None = None,
    ) -> Tensor:
        """Mean over axes."""
        return ops.mean(self, axis, keepdims, dtype, dim=dim, keepdim=keepdim)

    def prod(
        self,
        axis: Any = None,
        keepdims: bool = False,
        dtype: Any = None,
        *,
        dim: Any = None,
        keepdim: bool | None = None,
    ) -> Tensor:
        """Product over axes."""
        return ops.prod(self, axis, keepdims, dtype, dim=dim, keepdim=keepdim)

    def max(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Tensor:
        """Maximum over axes, the values alone; equal maxima share the cotangent evenly."""
        return ops.max(self, axis, keepdims, dim=dim, keepdim=keepdim)

    amax = max

    def min(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Tensor:
        """Minimum over axes, the values alone; equal minima share the cotangent evenly."""
        return ops.min(self, axis, keepdims, dim=dim, keepdim=keepdim)

    amin = min

    def logsumexp(
        self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None
    ) -> Tensor:
        """Logarithm of the sum of exponentials over axes, without overflow."""
        return ops.logsumexp(self, axis, keepdims, dim=dim, keepdim=keepdim)

    def any(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Tensor:
        """Whether some element over the axes is not 0."""
        return ops.any(self, axis, keepdims, dim=dim, keepdim=keepdim)

    def all(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None) -> Tensor:
        """Whether no element over the axes is 0."""
        return ops.all(self, axis, keepdims, dim=dim, keepdim=keepdim)

    def count_nonzero(
        self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None
    ) -> Tensor:
        """How many elements over the axes are not 0."""
        return ops.count_nonzero(self, axis, keepdims, dim=dim, keepdim=keepdim)

    def argmax(
        self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None
    ) -> Tensor:
        """Position of the first maximum, along an axis or among all elements."""
        return ops.argmax(self, axis, keepdims, dim=dim, keepdim=keepdim)

    def argmin(
        self, axis: Any = None, keepdims: bool = False, *, dim: Any = None, keepdim: bool | None = None
    ) -> Tensor:
        """Position of the first minimum, along an axis or among all elements."""
        return ops.argmin(self, axis, keepdims, dim=dim, keepdim=keepdim)

    def var(
        self, axis: Any = None, keepdims: bool = False, *, correction: float | None = None,
        unbiased: bool | None = None, dim: Any = None, keepdim: bool | None = None,
    ) -> Tensor:  # fmt: skip
        """Variance over axes, Σ(x − mean)²/(n − correction)."""
        return ops.var(self, axis, keepdims, correction=correction, unbiased=unbiased, dim=dim, keepdim=keepdim)

    def std(
        self, axis: Any = None, keepdims: bool = False, *, correction: float | None = None,
        unbiased: bool | None = None, dim: Any = None, keepdim: bool | None = None,
    ) -> Tensor:  # fmt: skip
        """Standard deviation over axes, the root of `var`; its gradient at 0 is 0."""
        return ops.std(self, axis, keepdims, correction=correction, unbiased=unbiased, dim=dim, keepdim=keepdim)

    def norm(
        self, ord: Any = 2, axis: Any = None, keepdims: bool = False, *, p: Any = None, dim: Any = None,
        keepdim: bool | None = None,
    ) -> Tensor:  # fmt: skip
        """Vector norm over axes; its gradient at 0 is 0."""
        return ops.norm(self, ord, axis, keepdims, p=p, dim=dim, keepdim=keepdim)

    def cumsum(self, axis: Any = None, dtype: Any = None, *, dim: Any = None) -> Tensor:
        """Running sum along an axis; of all elements, flattened, where none is given."""
        return ops.cumsum(self, axis, dtype, dim=dim)

    # -------------------------------------------------------------- softmax

    def softmax(self, axis: int | None = None, dtype: Any = None, *, dim: int | None = None) -> Tensor:
        """Softmax eˣ / Σ eˣ along an axis, the last by default."""
        return ops.softmax(self, either(axis, dim, -1), dtype)

    def log_softmax(self, axis: int | None = None, dtype: Any = None, *, dim: int | None = None) -> Tensor:
        """Logarithm of the softmax along an axis, the last by default."""
        return ops.log_softmax(self, either(axis, dim, -1), dtype)


from . import ops  # noqa: E402
from .ops.shape import either  # noqa: E402
