"""Special functions on NumPy arrays by SciPy, which is imported when one is first needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Array = Any


def erfc(x: Array) -> Array:
    """Complementary error function."""
    from scipy.special import erfc as scipy_erfc

    return scipy_erfc(x)


def erfinv(x: Array) -> Array:
    """Inverse error function."""
    from scipy.special import erfinv as scipy_erfinv

    return scipy_erfinv(x)


def lgamma(x: Array) -> Array:
    """Logarithm of |Γ(x)|."""
    from scipy.special import gammaln

    return gammaln(x)


def polygamma(x: Array, n: int) -> Array:
    """The n-th derivative of the digamma function, (−1)ⁿ⁺¹·n!·ζ(n + 1, x) for n > 0, in x's dtype."""
    from scipy.special import psi, zeta

    if n == 0:
        return psi(x)
    scale = x.dtype.type((-1.0) ** (n + 1) * math.factorial(n))
    return scale * zeta(x.dtype.type(n + 1), x)


SPECIAL: dict[str, Callable[..., Any]] = {"erfc": erfc, "erfinv": erfinv, "lgamma": lgamma, "polygamma": polygamma}
