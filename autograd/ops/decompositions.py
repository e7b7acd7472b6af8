"""Determinants, inverses, linear systems and matrix decompositions of (…, n, m) arrays, batched over leading axes.

The rules follow Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation"
(2008), and are made of products and of the decompositions' own results, so every order of derivative is there.

Where a function is not differentiable, a rule still gives one answer: eigenvectors and singular vectors of equal
eigenvalues (singular values) are arbitrary rotations of each other, and the terms that would divide by their difference
are left out, which is right for whatever does not depend on that choice. Singular matrices raise in the rules of `det`
and `slogdet`, which need the inverse. Signs of eigenvectors, singular vectors and QR's columns are the library's.
"""

from __future__ import annotations

from typing import Any

from ..primitive import primitive
from .arrange import roll_, tril, triu
from .creation import full_like_
from .elementwise import multiply, where
from .linalg import matmul, mT
from .shape import broadcast_tensors, concatenate_, one_axis, reshape_
from .slicing import getitem_

__all__ = [
    "cholesky", "cross", "det", "eigh", "eigvalsh", "inv", "matrix_power", "pinv", "qr", "slogdet", "solve", "svd",
    "svdvals",
]  # fmt: skip

Array = Any
Arrays = tuple[Array, ...]


# ------------------------------------------------------------------ pieces of rules


def _part(x: Array, rows: tuple[int, int] | None = None, columns: tuple[int, int] | None = None) -> Array:
    lead = tuple((0, n, 1) for n in x.shape[:-2])
    return getitem_(x, index=(*lead, (*(rows or (0, x.shape[-2])), 1), (*(columns or (0, x.shape[-1])), 1)))


def _identity(x: Array) -> Array:
    """The identity of the size of x's last axis, (n, n), in x's dtype."""
    n = x.shape[-1]
    return triu(tril(full_like_(x, value=1.0, dtype=None, shape=(n, n))))


def _scale_columns(x: Array, s: Array) -> Array:
    """x·diag(s)."""
    return x * reshape_(s, shape=(*s.shape[:-1], 1, s.shape[-1]))


def _symmetric(x: Array) -> Array:
    return 0.5 * (x + mT(x))


def _reciprocal(x: Array) -> Array:
    """1/x, and 0 where x = 0."""
    zero = x == 0.0
    return where(zero, 0.0, 1.0 / where(zero, 1.0, x))


def _gaps(s: Array) -> Array:
    """F with Fᵢⱼ = 1/(sⱼ − sᵢ), and 0 where they are equal. (…, k) -> (…, k, k)."""
    row = reshape_(s, shape=(*s.shape[:-1], 1, s.shape[-1]))
    return _reciprocal(row - mT(row))


def _square(name: str, x: Array) -> None:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{name}: the last two axes must be those of square matrices, not of shape {tuple(x.shape)}")


def _matrices(name: str, x: Array) -> None:
    if x.ndim < 2:
        raise ValueError(f"{name} needs at least two axes; the array has shape {tuple(x.shape)}")


# ------------------------------------------------------------------ inverse, systems, determinants


@primitive(floating=True)
def inv(x: Array, /, *, xp: Any) -> Array:
    """Inverse of square matrices. (…, n, n) -> (…, n, n). ∂x = −outᵀ·g·outᵀ. Giles 2008, 2.2.3.

    Raises
    ------
    ValueError : not square. LinAlgError : a matrix is singular.
    """
    _square("inv", x)
    return xp.linalg.inv(x)


inv.vjp(x=lambda g, out: -matmul(matmul(mT(out), g), mT(out)))


@primitive(name="solve", floating=True)
def solve_(a: Array, b: Array, /, *, xp: Any) -> Array:
    """The matrix x with a·x = b. (…, n, n), (…, n, k) -> (…, n, k). ∂b = a⁻ᵀ·g, ∂a = −∂b·outᵀ. Giles 2008, 2.3.1."""
    _square("solve", a)
    return xp.linalg.solve(a, b)


solve_.vjp(a=lambda g, a, out: -matmul(solve_(mT(a), g), mT(out)), b=lambda g, a: solve_(mT(a), g))


def solve(a: Array, b: Array) -> Array:
    """The x with a·x = b, for b a vector or a matrix of right-hand sides; batch axes broadcast.

    a: (…, n, n), b: (n,), (…, n) of a's batch shape, or (…, n, k). ∂b = a⁻ᵀ·g, ∂a = −∂b·xᵀ.

    Raises
    ------
    ValueError : shapes do not fit. LinAlgError : a matrix is singular.
    """
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and tuple(b.shape) == tuple(a.shape[:-1]))
    if not vector:
        return solve_(a, b)
    out = solve_(a, reshape_(b, shape=(*b.shape, 1)))
    return reshape_(out, shape=tuple(out.shape[:-1]))


def _times_inverse(g: Array, x: Array) -> Array:
    return reshape_(g, shape=(*g.shape, 1, 1)) * mT(inv(x))


@primitive(floating=True)
def det(x: Array, /, *, xp: Any) -> Array:
    """Determinant of square matrices. (…, n, n) -> (…). ∂x = g·out·x⁻ᵀ, of invertible matrices. Giles 2008, 2.2.4.

    Raises
    ------
    ValueError : not square.
    """
    _square("det", x)
    return xp.linalg.det(x)


det.vjp(x=lambda g, x, out: _times_inverse(g * out, x))


@primitive(name="slogdet", floating=True, outputs=2)
def slogdet(x: Array, /, *, xp: Any) -> Arrays:
    """(sign, log |det|) of square matrices; (0, −∞) if singular. (…, n, n) -> (…), (…). ∂x = g·x⁻ᵀ of the logarithm.

    Raises
    ------
    ValueError : not square.
    """
    _square("slogdet", x)
    return tuple(xp.linalg.slogdet(x))


slogdet.vjp(x=lambda g, x: _times_inverse(g[1], x))


@primitive(name="pinv", floating=True)
def pinv_(x: Array, /, *, rtol: float | None = None, xp: Any) -> Array:
    """Moore–Penrose inverse p; singular values below rtol times the largest count as 0. (…, n, m) -> (…, m, n).

    ∂x = −pᵀ·g·pᵀ + (1 − x·p)·gᵀ·p·pᵀ + pᵀ·p·gᵀ·(1 − p·x), where the rank does not change. Golub & Pereyra 1973.
    """
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    if not s.shape[-1]:
        return xp.matrix_transpose(x)
    limit = max(x.shape[-2:]) * float(xp.finfo(x.dtype).eps) if rtol is None else rtol
    kept = s > limit * xp.max(s, axis=-1, keepdims=True)
    inverse = xp.where(kept, 1.0 / xp.where(kept, s, 1.0), 0.0)
    return xp.matmul(xp.matrix_transpose(vh) * xp.expand_dims(inverse, axis=-2), xp.matrix_transpose(u))


def _pinv_dx(g: Array, x: Array, out: Array) -> Array:
    turned, p = mT(out), mT(g)
    left = p - matmul(x, matmul(out, p))
    right = p - matmul(matmul(p, out), x)
    inner = matmul(matmul(turned, g), turned)
    return matmul(matmul(left, out), turned) + matmul(matmul(turned, out), right) - inner


pinv_.vjp(x=_pinv_dx)


def pinv(x: Array, rtol: float | None = None, *, hermitian: bool = False) -> Array:
    """Moore–Penrose inverse p of matrices. (…, n, m) -> (…, m, n). The gradient holds where the rank is constant.

    Singular values below rtol times the largest count as 0; the default is max(n, m) times the dtype's precision.
    `hermitian` says that x is symmetric, which need not be known here: the result is the same.
    """
    _matrices("pinv", x)
    if hermitian:
        _square("pinv", x)
    return pinv_(x, rtol=rtol)


def matrix_power(x: Array, n: int) -> Array:
    """xⁿ of square matrices, by repeated squaring; of the inverse where n is negative, the identity for n = 0."""
    _square("matrix_power", x)
    if n < 0:
        return matrix_power(inv(x), -n)
    if n == 0:
        return _identity(x) + full_like_(x, value=0.0, dtype=None, shape=None)
    power, result = x, None
    while n:
        if n & 1:
            result = power if result is None else matmul(result, power)
        n >>= 1
        power = matmul(power, power) if n else power
    return result


def cross(x: Array, y: Array, axis: int = -1, *, dim: int | None = None) -> Array:
    """Cross product of 3-vectors along an axis of both, the last by default; the other axes broadcast.

    Raises
    ------
    ValueError : the axis has not length 3.
    """
    x, y = broadcast_tensors(x, y)
    a = one_axis(axis if dim is None else dim, x.ndim, "cross")
    if x.shape[a] != 3:
        raise ValueError(f"cross: axis {a} of shape {tuple(x.shape)} must have length 3")

    def turned(v: Array, by: int) -> Array:
        return roll_(v, shifts=(-by,), axes=(a,))

    return multiply(turned(x, 1), turned(y, 2)) - multiply(turned(x, 2), turned(y, 1))


# ------------------------------------------------------------------ triangular factors


@primitive(name="cholesky", floating=True)
def cholesky_(x: Array, /, *, xp: Any) -> Array:
    """Lower triangular l with l·lᵀ = (x + xᵀ)/2, the symmetric part of x. (…, n, n) -> (…, n, n).

    ∂x is the symmetric part of l⁻ᵀ·Φ(lᵀ·g)·l⁻¹, with Φ the lower triangle, its diagonal halved. Murray,
    "Differentiation of the Cholesky decomposition" (2016).

    Raises
    ------
    ValueError : not square. LinAlgError : a symmetric part is not positive definite.
    """
    _square("cholesky", x)
    return xp.linalg.cholesky((x + xp.matrix_transpose(x)) / 2)


def _cholesky_dx(g: Array, out: Array) -> Array:
    inverse = inv(out)
    product = matmul(mT(out), tril(g))
    lower = 0.5 * (tril(product) + tril(product, -1))
    return _symmetric(matmul(matmul(mT(inverse), lower), inverse))


cholesky_.vjp(x=_cholesky_dx)


def cholesky(x: Array, upper: bool = False) -> Array:
    """Lower triangular l with l·lᵀ = (x + xᵀ)/2, the symmetric part of x; or lᵀ, with `upper`. (…, n, n) -> (…, n, n).

    Raises
    ------
    ValueError : not square. LinAlgError : a symmetric part is not positive definite.
    """
    lower = cholesky_(x)
    return mT(lower) if upper else lower


@primitive(name="qr", floating=True, outputs=2)
def qr(x: Array, /, *, xp: Any) -> Arrays:
    """Reduced QR decomposition x = q·r: q with orthonormal columns, r upper triangular.

    (…, n, m) -> (…, n, k), (…, k, m), k = min(n, m). For n ≥ m: ∂x = (gq + q·copyltu(r·grᵀ − gqᵀ·q))·r⁻ᵀ, copyltu
    mirroring the lower triangle (Seeger et al., "Auto-differentiating linear algebra", 2017, transposed); for n < m the
    columns beyond n follow from r = qᵀ·x.
    Not differentiable where the first k columns are dependent: the rule raises.
    """
    _matrices("qr", x)
    return tuple(xp.linalg.qr(x, mode="reduced"))


def _tall_qr(gq: Array, gr: Array, q: Array, r: Array) -> Array:
    m = matmul(r, mT(gr)) - matmul(mT(gq), q)
    mirrored = tril(m) + mT(tril(m, -1))
    return matmul(gq + matmul(q, mirrored), mT(inv(r)))


def _qr_dx(g: Arrays, x: Array, out: Arrays) -> Array:
    (gq, gr), (q, r) = g, out
    n, m = x.shape[-2:]
    gr = triu(gr)
    if n >= m:
        return _tall_qr(gq, gr, q, r)
    square, beyond = (0, n), (n, m)
    gbeyond = _part(gr, columns=beyond)
    gq = gq + matmul(_part(x, columns=beyond), mT(gbeyond))
    first = _tall_qr(gq, _part(gr, columns=square), q, _part(r, columns=square))
    return concatenate_(first, matmul(q, gbeyond), axis=x.ndim - 1)


qr.vjp(x=_qr_dx)


# ------------------------------------------------------------------ spectra


@primitive(name="eigh", floating=True, outputs=2)
def eigh_(x: Array, /, *, xp: Any) -> Arrays:
    """Eigenvalues w, ascending, and eigenvectors v as columns of the symmetric part (x + xᵀ)/2. (…, n, n) -> (…, n), …

    ∂x is the symmetric part of v·(diag(gw) + F∘(vᵀ·gv))·vᵀ with Fᵢⱼ = 1/(wⱼ − wᵢ), and 0 where i = j or the
    eigenvalues are equal. Giles 2008, 3.1.

    Raises
    ------
    ValueError : not square.
    """
    _square("eigh", x)
    return tuple(xp.linalg.eigh((x + xp.matrix_transpose(x)) / 2))


def _eigh_dx(g: Arrays, out: Arrays) -> Array:
    (gw, gv), (w, v) = g, out
    inner = _gaps(w) * matmul(mT(v), gv)
    return _symmetric(matmul(_scale_columns(v, gw) + matmul(v, inner), mT(v)))


eigh_.vjp(x=_eigh_dx)


def _triangle(name: str, x: Array, UPLO: str | None) -> Array:
    """The symmetric matrix that a triangle says, or x itself, whose symmetric part counts."""
    if UPLO is None:
        return x
    if UPLO.upper() not in ("L", "U"):
        raise ValueError(f'{name}: UPLO must be "L" or "U", not {UPLO!r}')
    half = tril(x) if UPLO.upper() == "L" else triu(x)
    return half + mT(tril(x, -1) if UPLO.upper() == "L" else triu(x, 1))


def eigh(x: Array, UPLO: str | None = None) -> Arrays:
    """Eigenvalues w, ascending, and eigenvectors v as columns, x = v·diag(w)·vᵀ. (…, n, n) -> (…, n), (…, n, n).

    Of the symmetric part (x + xᵀ)/2; or, with `UPLO`, of the symmetric matrix whose lower ("L") or upper ("U") triangle
    is x's. ∂x is the symmetric part of v·(diag(gw) + F∘(vᵀ·gv))·vᵀ with Fᵢⱼ = 1/(wⱼ − wᵢ), and 0 where i = j or the
    eigenvalues are equal. Giles 2008, 3.1.

    Raises
    ------
    ValueError : not square.
    """
    made: Arrays = eigh_(_triangle("eigh", x, UPLO))
    return made


def eigvalsh(x: Array, UPLO: str | None = None) -> Array:
    """Eigenvalues, ascending, of symmetric matrices, as in `eigh`. (…, n, n) -> (…, n)."""
    return eigh(x, UPLO)[0]


@primitive(name="svd", floating=True, outputs=3)
def svd_(x: Array, /, *, xp: Any) -> Arrays:
    """Reduced singular value decomposition x = u·diag(s)·vh, s descending. See `svd`."""
    return tuple(xp.linalg.svd(x, full_matrices=False))


def _svd_dx(g: Arrays, x_shape: tuple[int, ...], out: Arrays) -> Array:
    (gu, gs, gvh), (u, s, vh) = g, out
    n, m = x_shape[-2:]
    k = min(n, m)
    gaps = _gaps(s * s)
    skew_u, skew_v = (matmul(mT(a), b) for a, b in ((u, gu), (mT(vh), mT(gvh))))
    inner_u = _scale_columns(gaps * (skew_u - mT(skew_u)), s)
    inner_v = mT(_scale_columns(mT(gaps * (skew_v - mT(skew_v))), s))
    total = matmul(_scale_columns(u, gs) + matmul(u, inner_u + inner_v), vh)
    inverse = _reciprocal(s)
    if n > k:
        total = total + matmul(_scale_columns(gu - matmul(u, skew_u), inverse), vh)
    if m > k:
        total = total + matmul(_scale_columns(u, inverse), gvh - matmul(matmul(gvh, mT(vh)), vh))
    return total


svd_.vjp(x=_svd_dx)


@primitive(name="svd_full", floating=True, outputs=3)
def svd_full(x: Array, /, *, xp: Any) -> Arrays:
    """Singular value decomposition with square u and vh; vectors beyond the reduced form are any basis. See `svd`."""
    return tuple(xp.linalg.svd(x, full_matrices=True))


def _svd_full_dx(g: Arrays, x_shape: tuple[int, ...], out: Arrays) -> Array:
    (gu, gs, gvh), (u, s, vh) = g, out
    k = (0, min(x_shape[-2:]))
    cotangents = _part(gu, columns=k), gs, _part(gvh, rows=k)
    return _svd_dx(cotangents, x_shape, (_part(u, columns=k), s, _part(vh, rows=k)))


svd_full.vjp(x=_svd_full_dx)


def svd(x: Array, full_matrices: bool = False) -> Arrays:
    """Singular value decomposition x = u·diag(s)·vh, s descending, in its reduced form or with square u and vh.

    (…, n, m) -> u (…, n, k), s (…, k), vh (…, k, m), k = min(n, m). With Fᵢⱼ = 1/(sⱼ² − sᵢ²), or 0 where equal,
    ∂x = u·(F∘(uᵀgu − guᵀu)·S + S·F∘(vᵀgv − gvᵀv) + diag(gs))·vh + (1 − u·uᵀ)·gu·S⁻¹·vh + u·S⁻¹·gvh·(1 − v·vh), and
    the terms with the inverse of a singular value 0 are left out. Townsend, "Differentiating the singular value
    decomposition" (2016).

    The further vectors of the full form are an arbitrary basis without a derivative: cotangents of theirs are left out.

    Raises
    ------
    ValueError : x has less than two axes.
    """
    _matrices("svd", x)
    made: Arrays = svd_full(x) if full_matrices else svd_(x)
    return made


def svdvals(x: Array) -> Array:
    """Singular values, descending. (…, n, m) -> (…, min(n, m))."""
    return svd(x)[1]
