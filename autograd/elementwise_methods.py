"""Tensor's elementwise functions and dtype conversions as methods: thin names for ops."""
# Ops return Any; which of them return a Tensor is said here.
# mypy: disable-error-code="no-any-return, empty-body"

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .dtypes import as_dtype

if TYPE_CHECKING:
    from .tensor import Tensor


_F = TypeVar("_F", bound=Callable[..., Any])


def is_op(name: str) -> Callable[[_F], _F]:
    """Say that a method is an op and nothing more: `short.py` puts the op's own function in its place, a call less."""

    def mark(method: _F) -> _F:
        method.is_op = name  # type: ignore[attr-defined]
        return method

    return mark


class ConversionMethods:
    """Mixin: the values in another dtype. A class of its own, for its names hide Python's types."""

    __slots__ = ()

    def astype(self, dtype: Any) -> Tensor:
        """The values in another dtype; the tensor itself if it has it already. Differentiable between floats."""
        wanted = as_dtype(dtype)
        return self if wanted == self.dtype else ops.astype(self, dtype=wanted.name)  # type: ignore[attr-defined, return-value]

    type = astype

    def float(self) -> Tensor:
        """The values as float32."""
        return self.astype("float32")

    def double(self) -> Tensor:
        """The values as float64."""
        return self.astype("float64")

    def half(self) -> Tensor:
        """The values as float16."""
        return self.astype("float16")

    def int(self) -> Tensor:
        """The values as int32."""
        return self.astype("int32")

    def long(self) -> Tensor:
        """The values as int64."""
        return self.astype("int64")

    def bool(self) -> Tensor:
        """The values as bool; True where they are not 0."""
        return self.astype("bool")


class ElementwiseMethods(ConversionMethods):
    """Mixin: functions of each element, and of two tensors' elements. Each is documented with the op of its name."""

    __slots__ = ()

    @is_op("abs")
    def abs(self) -> Tensor:
        """Absolute value."""

    @is_op("sign")
    def sign(self) -> Tensor:
        """Sign: −1, 0 or 1."""

    @is_op("square")
    def square(self) -> Tensor:
        """Square x²."""

    @is_op("sqrt")
    def sqrt(self) -> Tensor:
        """Square root."""

    @is_op("rsqrt")
    def rsqrt(self) -> Tensor:
        """Reciprocal square root."""

    @is_op("reciprocal")
    def reciprocal(self) -> Tensor:
        """Reciprocal 1/x."""

    @is_op("exp")
    def exp(self) -> Tensor:
        """Exponential eˣ."""

    @is_op("exp2")
    def exp2(self) -> Tensor:
        """Power of two 2ˣ."""

    @is_op("expm1")
    def expm1(self) -> Tensor:
        """Exponential minus one, eˣ − 1."""

    @is_op("log")
    def log(self) -> Tensor:
        """Natural logarithm."""

    @is_op("log1p")
    def log1p(self) -> Tensor:
        """Logarithm log(1 + x)."""

    @is_op("log2")
    def log2(self) -> Tensor:
        """Logarithm to base 2."""

    @is_op("log10")
    def log10(self) -> Tensor:
        """Logarithm to base 10."""

    @is_op("erf")
    def erf(self) -> Tensor:
        """Error function."""

    @is_op("sin")
    def sin(self) -> Tensor:
        """Sine."""

    @is_op("cos")
    def cos(self) -> Tensor:
        """Cosine."""

    @is_op("tan")
    def tan(self) -> Tensor:
        """Tangent."""

    @is_op("asin")
    def asin(self) -> Tensor:
        """Inverse sine."""

    @is_op("acos")
    def acos(self) -> Tensor:
        """Inverse cosine."""

    @is_op("atan")
    def atan(self) -> Tensor:
        """Inverse tangent."""

    @is_op("sinh")
    def sinh(self) -> Tensor:
        """Hyperbolic sine."""

    @is_op("cosh")
    def cosh(self) -> Tensor:
        """Hyperbolic cosine."""

    @is_op("tanh")
    def tanh(self) -> Tensor:
        """Hyperbolic tangent."""

    @is_op("asinh")
    def asinh(self) -> Tensor:
        """Inverse hyperbolic sine."""

    @is_op("acosh")
    def acosh(self) -> Tensor:
        """Inverse hyperbolic cosine."""

    @is_op("atanh")
    def atanh(self) -> Tensor:
        """Inverse hyperbolic tangent."""

    @is_op("floor")
    def floor(self) -> Tensor:
        """The largest integer ≤ x."""

    @is_op("ceil")
    def ceil(self) -> Tensor:
        """The smallest integer ≥ x."""

    def round(self, decimals: int = 0) -> Tensor:  # type: ignore[valid-type]  # int is Python's here
        """The nearest multiple of 10^−decimals; halves to the even one."""
        return ops.round(self, decimals)

    @is_op("trunc")
    def trunc(self) -> Tensor:
        """The integer part."""

    @is_op("isnan")
    def isnan(self) -> Tensor:
        """Whether elements are NaN."""

    @is_op("isinf")
    def isinf(self) -> Tensor:
        """Whether elements are infinite."""

    @is_op("isfinite")
    def isfinite(self) -> Tensor:
        """Whether elements are neither infinite nor NaN."""

    @is_op("relu")
    def relu(self) -> Tensor:
        """Rectifier max(x, 0)."""

    @is_op("sigmoid")
    def sigmoid(self) -> Tensor:
        """Logistic function 1/(1 + e⁻ˣ)."""

    @is_op("negative")
    def neg(self) -> Tensor:
        """Negation −x."""

    @is_op("logical_not")
    def logical_not(self) -> Tensor:
        """Whether elements are 0."""

    def add(self, other: Any) -> Tensor:
        """Sum x + other."""
        return ops.add.short(self, other)

    def sub(self, other: Any) -> Tensor:
        """Difference x − other."""
        return ops.subtract.short(self, other)

    def mul(self, other: Any) -> Tensor:
        """Product x·other."""
        return ops.multiply.short(self, other)

    def div(self, other: Any) -> Tensor:
        """Quotient x/other."""
        return ops.divide.short(self, other)

    def pow(self, other: Any) -> Tensor:
        """Power x^other."""
        return ops.power.short(self, other)

    def maximum(self, other: Any) -> Tensor:
        """Larger of x and other."""
        return ops.maximum.short(self, other)

    def minimum(self, other: Any) -> Tensor:
        """Smaller of x and other."""
        return ops.minimum.short(self, other)

    def eq(self, other: Any) -> Tensor:
        """Whether x = other."""
        return ops.equal.short(self, other)

    def ne(self, other: Any) -> Tensor:
        """Whether x ≠ other."""
        return ops.not_equal.short(self, other)

    def lt(self, other: Any) -> Tensor:
        """Whether x < other."""
        return ops.less.short(self, other)

    def le(self, other: Any) -> Tensor:
        """Whether x ≤ other."""
        return ops.less_equal.short(self, other)

    def gt(self, other: Any) -> Tensor:
        """Whether x > other."""
        return ops.greater.short(self, other)

    def ge(self, other: Any) -> Tensor:
        """Whether x ≥ other."""
        return ops.greater_equal.short(self, other)

    def logical_and(self, other: Any) -> Tensor:
        """Whether both are not 0."""
        return ops.logical_and.short(self, other)

    def logical_or(self, other: Any) -> Tensor:
        """Whether either is not 0."""
        return ops.logical_or.short(self, other)

    def logical_xor(self, other: Any) -> Tensor:
        """Whether one of both is not 0."""
        return ops.logical_xor.short(self, other)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """The values limited to [min, max]; each bound a number, a Tensor or None."""
        return ops.clip(self, min, max)

    clamp = clip

    def where(self, condition: Any, other: Any) -> Tensor:
        """These values where the condition holds, else the other's."""
        return ops.where(condition, self, other)


from . import ops  # noqa: E402
