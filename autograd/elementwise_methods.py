"""Tensor's elementwise functions and dtype conversions as methods: thin names for ops."""
# Ops return Any; which of them return a Tensor is said here.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .dtypes import as_dtype
from .state import state

if TYPE_CHECKING:
    from .tensor import Tensor

_NONE: dict[str, Any] = {}


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

    def abs(self) -> Tensor:
        """Absolute value."""
        return state.apply(ops.abs, (self,), _NONE)

    def sign(self) -> Tensor:
        """Sign: −1, 0 or 1."""
        return state.apply(ops.sign, (self,), _NONE)

    def square(self) -> Tensor:
        """Square x²."""
        return state.apply(ops.square, (self,), _NONE)

    def sqrt(self) -> Tensor:
        """Square root."""
        return state.apply(ops.sqrt, (self,), _NONE)

    def rsqrt(self) -> Tensor:
        """Reciprocal square root."""
        return state.apply(ops.rsqrt, (self,), _NONE)

    def reciprocal(self) -> Tensor:
        """Reciprocal 1/x."""
        return state.apply(ops.reciprocal, (self,), _NONE)

    def exp(self) -> Tensor:
        """Exponential eˣ."""
        return state.apply(ops.exp, (self,), _NONE)

    def exp2(self) -> Tensor:
        """Power of two 2ˣ."""
        return state.apply(ops.exp2, (self,), _NONE)

    def expm1(self) -> Tensor:
        """Exponential minus one, eˣ − 1."""
        return state.apply(ops.expm1, (self,), _NONE)

    def log(self) -> Tensor:
        """Natural logarithm."""
        return state.apply(ops.log, (self,), _NONE)

    def log1p(self) -> Tensor:
        """Logarithm log(1 + x)."""
        return state.apply(ops.log1p, (self,), _NONE)

    def log2(self) -> Tensor:
        """Logarithm to base 2."""
        return state.apply(ops.log2, (self,), _NONE)

    def log10(self) -> Tensor:
        """Logarithm to base 10."""
        return state.apply(ops.log10, (self,), _NONE)

    def erf(self) -> Tensor:
        """Error function."""
        return state.apply(ops.erf, (self,), _NONE)

    def sin(self) -> Tensor:
        """Sine."""
        return state.apply(ops.sin, (self,), _NONE)

    def cos(self) -> Tensor:
        """Cosine."""
        return state.apply(ops.cos, (self,), _NONE)

    def tan(self) -> Tensor:
        """Tangent."""
        return state.apply(ops.tan, (self,), _NONE)

    def asin(self) -> Tensor:
        """Inverse sine."""
        return state.apply(ops.asin, (self,), _NONE)

    def acos(self) -> Tensor:
        """Inverse cosine."""
        return state.apply(ops.acos, (self,), _NONE)

    def atan(self) -> Tensor:
        """Inverse tangent."""
        return state.apply(ops.atan, (self,), _NONE)

    def sinh(self) -> Tensor:
        """Hyperbolic sine."""
        return state.apply(ops.sinh, (self,), _NONE)

    def cosh(self) -> Tensor:
        """Hyperbolic cosine."""
        return state.apply(ops.cosh, (self,), _NONE)

    def tanh(self) -> Tensor:
        """Hyperbolic tangent."""
        return state.apply(ops.tanh, (self,), _NONE)

    def asinh(self) -> Tensor:
        """Inverse hyperbolic sine."""
        return state.apply(ops.asinh, (self,), _NONE)

    def acosh(self) -> Tensor:
        """Inverse hyperbolic cosine."""
        return state.apply(ops.acosh, (self,), _NONE)

    def atanh(self) -> Tensor:
        """Inverse hyperbolic tangent."""
        return state.apply(ops.atanh, (self,), _NONE)

    def floor(self) -> Tensor:
        """The largest integer ≤ x."""
        return state.apply(ops.floor, (self,), _NONE)

    def ceil(self) -> Tensor:
        """The smallest integer ≥ x."""
        return state.apply(ops.ceil, (self,), _NONE)

    def round(self, decimals: int = 0) -> Tensor:  # type: ignore[valid-type]  # int is Python's here
        """The nearest multiple of 10^−decimals; halves to the even one."""
        return ops.round(self, decimals)

    def trunc(self) -> Tensor:
        """The integer part."""
        return state.apply(ops.trunc, (self,), _NONE)

    def isnan(self) -> Tensor:
        """Whether elements are NaN."""
        return state.apply(ops.isnan, (self,), _NONE)

    def isinf(self) -> Tensor:
        """Whether elements are infinite."""
        return state.apply(ops.isinf, (self,), _NONE)

    def isfinite(self) -> Tensor:
        """Whether elements are neither infinite nor NaN."""
        return state.apply(ops.isfinite, (self,), _NONE)

    def relu(self) -> Tensor:
        """Rectifier max(x, 0)."""
        return state.apply(ops.relu, (self,), _NONE)

    def sigmoid(self) -> Tensor:
        """Logistic function 1/(1 + e⁻ˣ)."""
        return state.apply(ops.sigmoid, (self,), _NONE)

    def neg(self) -> Tensor:
        """Negation −x."""
        return state.apply(ops.negative, (self,), _NONE)

    def logical_not(self) -> Tensor:
        """Whether elements are 0."""
        return state.apply(ops.logical_not, (self,), _NONE)

    def add(self, other: Any) -> Tensor:
        """Sum x + other."""
        return state.apply(ops.add, (self, other), _NONE)

    def sub(self, other: Any) -> Tensor:
        """Difference x − other."""
        return state.apply(ops.subtract, (self, other), _NONE)

    def mul(self, other: Any) -> Tensor:
        """Product x·other."""
        return state.apply(ops.multiply, (self, other), _NONE)

    def div(self, other: Any) -> Tensor:
        """Quotient x/other."""
        return state.apply(ops.divide, (self, other), _NONE)

    def pow(self, other: Any) -> Tensor:
        """Power x^other."""
        return state.apply(ops.power, (self, other), _NONE)

    def maximum(self, other: Any) -> Tensor:
        """Larger of x and other."""
        return state.apply(ops.maximum, (self, other), _NONE)

    def minimum(self, other: Any) -> Tensor:
        """Smaller of x and other."""
        return state.apply(ops.minimum, (self, other), _NONE)

    def eq(self, other: Any) -> Tensor:
        """Whether x = other."""
        return state.apply(ops.equal, (self, other), _NONE)

    def ne(self, other: Any) -> Tensor:
        """Whether x ≠ other."""
        return state.apply(ops.not_equal, (self, other), _NONE)

    def lt(self, other: Any) -> Tensor:
        """Whether x < other."""
        return state.apply(ops.less, (self, other), _NONE)

    def le(self, other: Any) -> Tensor:
        """Whether x ≤ other."""
        return state.apply(ops.less_equal, (self, other), _NONE)

    def gt(self, other: Any) -> Tensor:
        """Whether x > other."""
        return state.apply(ops.greater, (self, other), _NONE)

    def ge(self, other: Any) -> Tensor:
        """Whether x ≥ other."""
        return state.apply(ops.greater_equal, (self, other), _NONE)

    def logical_and(self, other: Any) -> Tensor:
        """Whether both are not 0."""
        return state.apply(ops.logical_and, (self, other), _NONE)

    def logical_or(self, other: Any) -> Tensor:
        """Whether either is not 0."""
        return state.apply(ops.logical_or, (self, other), _NONE)

    def logical_xor(self, other: Any) -> Tensor:
        """Whether one of both is not 0."""
        return state.apply(ops.logical_xor, (self, other), _NONE)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """The values limited to [min, max]; each bound a number, a Tensor or None."""
        return ops.clip(self, min, max)

    clamp = clip

    def where(self, condition: Any, other: Any) -> Tensor:
        """These values where the condition holds, else the other's."""
        return ops.where(condition, self, other)


from . import ops  # noqa: E402
