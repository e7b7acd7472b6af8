"""Tensor's less frequent functions as methods: thin names for ops, in PyTorch's spelling."""
# Ops return Any; which of them return a Tensor is said here.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tensor import Tensor


class FunctionMethods:
    """Mixin: special functions, running reductions, sets and matrices. Each is documented with the op of its name."""

    __slots__ = ()

    # -------------------------------------------------------------- element by element

    def atan2(self, other: Any) -> Tensor:
        """Angle of the point (other, self)."""
        return ops.atan2(self, other)

    def hypot(self, other: Any) -> Tensor:
        """√(x² + other²), without overflow."""
        return ops.hypot(self, other)

    def fmod(self, other: Any) -> Tensor:
        """Remainder with the sign of x."""
        return ops.fmod(self, other)

    def remainder(self, other: Any) -> Tensor:
        """Remainder with the sign of the divisor."""
        return ops.remainder(self, other)

    def copysign(self, other: Any) -> Tensor:
        """|x| with the sign of `other`."""
        return ops.copysign(self, other)

    def signbit(self) -> Tensor:
        """Whether the sign is negative, of zeros too."""
        return ops.signbit(self)

    def lerp(self, end: Any, weight: Any) -> Tensor:
        """x + weight·(end − x)."""
        return ops.lerp(self, end, weight)

    def logaddexp(self, other: Any) -> Tensor:
        """log(eˣ + e^other), without overflow."""
        return ops.logaddexp(self, other)

    def xlogy(self, other: Any) -> Tensor:
        """x·log(other), and 0 where x is 0."""
        return ops.xlogy(self, other)

    def erfc(self) -> Tensor:
        """Complementary error function 1 − erf(x)."""
        return ops.erfc(self)

    def erfinv(self) -> Tensor:
        """Inverse of the error function."""
        return ops.erfinv(self)

    def lgamma(self) -> Tensor:
        """Logarithm of the absolute value of the gamma function."""
        return ops.lgamma(self)

    def digamma(self) -> Tensor:
        """Derivative of `lgamma`."""
        return ops.digamma(self)

    def logit(self, eps: float | None = None) -> Tensor:
        """log(x/(1 − x)), of x limited to [eps, 1 − eps] if that is given."""
        return ops.logit(self, eps)

    def frac(self) -> Tensor:
        """The part behind the decimal point, with x's sign."""
        return ops.frac(self)

    def nan_to_num(self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
        """NaN and infinities replaced by numbers."""
        return ops.nan_to_num(self, nan=nan, posinf=posinf, neginf=neginf)

    def bitwise_and(self, other: Any) -> Tensor:
        """Bitwise and."""
        return ops.bitwise_and(self, other)

    def bitwise_or(self, other: Any) -> Tensor:
        """Bitwise or."""
        return ops.bitwise_or(self, other)

    def bitwise_xor(self, other: Any) -> Tensor:
        """Bitwise exclusive or."""
        return ops.bitwise_xor(self, other)

    def bitwise_not(self) -> Tensor:
        """All bits inverted."""
        return ops.bitwise_invert(self)

    # -------------------------------------------------------------- along an axis

    def median(
        self, axis: int | None = None, keepdims: bool = False, *, dim: int | None = None, keepdim: bool | None = None
    ) -> Tensor:
        """Median along an axis or of all elements, the lower one of two; the values alone."""
        return ops.median(self, axis, keepdims, dim=dim, keepdim=keepdim)

    def cumprod(self, axis: int | None = None, dtype: Any = None, *, dim: int | None = None) -> Tensor:
        """Running product along an axis; of all elements, flattened, where none is given."""
        return ops.cumprod(self, axis, dtype, dim=dim)

    def logcumsumexp(self, axis: int | None = None, *, dim: int | None = None) -> Tensor:
        """Running log Σ eˣ along an axis, the last by default."""
        return ops.logcumsumexp(self, axis, dim=dim)

    def diff(
        self, n: int = 1, axis: int | None = None, prepend: Any = None, append: Any = None, *, dim: int | None = None
    ) -> Tensor:
        """Differences of neighbours along an axis, the last by default; n times over."""
        return ops.diff(self, n, axis, prepend, append, dim=dim)

    def cross(self, other: Any, axis: int = -1, *, dim: int | None = None) -> Tensor:
        """Cross product of 3-vectors along an axis, the last by default."""
        return ops.cross(self, other, axis, dim=dim)

    def scatter_reduce(self, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Tensor:
        """With all src that an index names reduced into their element: "sum", "prod", "mean", "amax" or "amin"."""
        return ops.scatter_reduce(self, dim, index, src, reduce, include_self=include_self)

    def unique(
        self, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        """The distinct elements, or slices along an axis, in ascending order."""
        return ops.unique(self, sorted, return_inverse, return_counts, dim)

    def unique_consecutive(
        self, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        """The first of each run of equal elements, or slices along an axis."""
        return ops.unique_consecutive(self, return_inverse, return_counts, dim)

    # -------------------------------------------------------------- matrices

    def det(self) -> Tensor:
        """Determinant of square matrices."""
        return ops.det(self)

    def slogdet(self) -> Any:
        """(sign, log |det|) of square matrices."""
        return ops.slogdet(self)

    def inverse(self) -> Tensor:
        """Inverse of square matrices."""
        return ops.inv(self)

    def pinverse(self) -> Tensor:
        """Moore–Penrose inverse of matrices."""
        return ops.pinv(self)

    def cholesky(self, upper: bool = False) -> Tensor:
        """Cholesky factor of positive definite matrices."""
        return ops.cholesky(self, upper)

    def qr(self) -> Any:
        """Reduced QR decomposition."""
        return ops.qr(self)

    def matrix_power(self, n: int) -> Tensor:
        """The n-th power of square matrices."""
        return ops.matrix_power(self, n)

    def kron(self, other: Any) -> Tensor:
        """Kronecker product."""
        return ops.kron(self, other)


from . import ops  # noqa: E402
