"""Tensor's operators, and reductions as methods: thin names for ops, in NumPy's and PyTorch's spelling."""
# Ops return Any; which of them return a Tensor is said here.
# mypy: disable-error-code="no-any-return, empty-body"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .elementwise_methods import ElementwiseMethods, is_op

if TYPE_CHECKING:
    from .tensor import Tensor


class TensorMethods(ElementwiseMethods):
    """Mixin with everything a Tensor can do through ops. Operators take the shortest way to the interpreter."""

    __slots__ = ()

    # -------------------------------------------------------------- operators

    @is_op("add")
    def __add__(self, other: Any) -> Tensor: ...

    def __radd__(self, other: Any) -> Tensor:
        return ops.add.short(other, self)

    @is_op("subtract")
    def __sub__(self, other: Any) -> Tensor: ...

    def __rsub__(self, other: Any) -> Tensor:
        return ops.subtract.short(other, self)

    @is_op("multiply")
    def __mul__(self, other: Any) -> Tensor: ...

    def __rmul__(self, other: Any) -> Tensor:
        return ops.multiply.short(other, self)

    @is_op("divide")
    def __truediv__(self, other: Any) -> Tensor: ...

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.divide.short(other, self)

    @is_op("floor_divide")
    def __floordiv__(self, other: Any) -> Tensor: ...

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide.short(other, self)

    @is_op("remainder")
    def __mod__(self, other: Any) -> Tensor: ...

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder.short(other, self)

    @is_op("power")
    def __pow__(self, other: Any) -> Tensor: ...

    def __rpow__(self, other: Any) -> Tensor:
        return ops.power.short(other, self)

    @is_op("matmul")
    def __matmul__(self, other: Any) -> Tensor: ...

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul.short(other, self)

    @is_op("bitwise_and")
    def __and__(self, other: Any) -> Tensor: ...

    def __rand__(self, other: Any) -> Tensor:
        return ops.bitwise_and.short(other, self)

    @is_op("bitwise_or")
    def __or__(self, other: Any) -> Tensor: ...

    def __ror__(self, other: Any) -> Tensor:
        return ops.bitwise_or.short(other, self)

    @is_op("bitwise_xor")
    def __xor__(self, other: Any) -> Tensor: ...

    def __rxor__(self, other: Any) -> Tensor:
        return ops.bitwise_xor.short(other, self)

    @is_op("bitwise_left_shift")
    def __lshift__(self, other: Any) -> Tensor: ...

    def __rlshift__(self, other: Any) -> Tensor:
        return ops.bitwise_left_shift.short(other, self)

    @is_op("bitwise_right_shift")
    def __rshift__(self, other: Any) -> Tensor: ...

    def __rrshift__(self, other: Any) -> Tensor:
        return ops.bitwise_right_shift.short(other, self)

    @is_op("negative")
    def __neg__(self) -> Tensor: ...

    @is_op("abs")
    def __abs__(self) -> Tensor: ...

    @is_op("bitwise_invert")
    def __invert__(self) -> Tensor: ...

    def __pos__(self) -> Tensor:
        return self  # type: ignore[return-value]

    # Elementwise; but nothing is equal to None or a string, which Python answers with False by itself.

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        if other is None or type(other) is str:
            return NotImplemented
        return ops.equal.short(self, other)

    def __ne__(self, other: object) -> Any:
        if other is None or type(other) is str:
            return NotImplemented
        return ops.not_equal.short(self, other)

    @is_op("less")
    def __lt__(self, other: Any) -> Tensor: ...

    @is_op("less_equal")
    def __le__(self, other: Any) -> Tensor: ...

    @is_op("greater")
    def __gt__(self, other: Any) -> Tensor: ...

    @is_op("greater_equal")
    def __ge__(self, other: Any) -> Tensor: ...

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
