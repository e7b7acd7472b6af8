"""Special functions written with the array standard alone, for libraries that lack them.

Correct to about 13 digits in float64. Backends replace them where their library has its own (SciPy, cupyx).
"""

from __future__ import annotations

import math
from typing import Any

__all__ = ["erfc", "erfinv", "lgamma", "polygamma"]

Array = Any

#: Bernoulli numbers B₂, B₄, …, B₁₆.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def erfc(xp: Any, x: Array) -> Array:
    """Complementary error function 1 − erf(x); beyond 2 by its continued fraction (Abramowitz & Stegun 7.1.14)."""
    large = xp.clip(x, 2.0, 30.0)
    fraction = large
    for n in range(60, 0, -1):
        fraction = large + (n / 2) / fraction
    tail = xp.exp(-large * large) / (math.sqrt(math.pi) * fraction)
    result = xp.where(x < 2.0, 1.0 - xp.erf(x), xp.where(x > 30.0, 0.0, tail))
    return xp.where(xp.isnan(x), x, result)


def erfinv(xp: Any, x: Array) -> Array:
    """Inverse error function: Winitzki's approximation (2008), then three steps of Halley's method.

    The residual is taken from erfc where |x| > ½, so that nothing cancels near ±1.
    """
    a = xp.abs(x)
    inside = a < 1.0
    safe = xp.where(inside, a, 0.0)
    log = xp.log1p(-safe * safe)
    t = 2 / (math.pi * 0.147) + log / 2
    y = xp.sqrt(-log / 0.147 / (xp.sqrt(t * t - log / 0.147) + t))
    for _ in range(3):
        residual = xp.where(safe > 0.5, (1.0 - safe) - xp.erfc(y), xp.erf(y) - safe)
        step = residual * xp.exp(y * y) * (math.sqrt(math.pi) / 2)
        y = y - step / (1.0 + y * step)
    result = xp.where(inside, y, xp.where(a == 1.0, math.inf, y * math.nan))
    return xp.where(x == 0.0, x, xp.sign(x) * result)


def lgamma(xp: Any, x: Array) -> Array:
    """log |Γ(x)|: Stirling's series after a shift by 8; below ½ by the reflection formula (A&S 6.1.40, 6.1.17)."""
    left = x < 0.5
    z = xp.where(left, 1.0 - x, x)
    small = z < 8.0
    product = xp.where(small, z, 1.0)
    for k in range(1, 8):
        product = product * xp.where(small, z + k, 1.0)
    w = xp.where(small, z + 8.0, z)
    inverse = 1.0 / w
    series, power = 0.0 * inverse, inverse
    for k, b in enumerate(_BERNOULLI, start=1):
        series = series + (b / (2 * k * (2 * k - 1))) * power
        power = power * inverse * inverse
    right = (w - 0.5) * xp.log(w) - w + 0.5 * math.log(2 * math.pi) + series - xp.log(product)
    right = xp.where(z == math.inf, math.inf, right)
    sine = xp.abs(_sin_pi(xp, xp.where(left, x, 0.5)))
    pole = xp.logical_and(left, sine == 0.0)
    reflected = math.log(math.pi) - xp.log(xp.where(pole, 1.0, sine)) - right
    result = xp.where(left, reflected, right)
    return xp.where(xp.logical_or(pole, x == -math.inf), math.inf, result)


def _sin_pi(xp: Any, x: Array) -> Array:
    """sin πx, exactly 0 at integers."""
    r = x - xp.round(x)
    odd = xp.remainder(xp.round(x), 2.0) == 1.0
    s = xp.sin(math.pi * r)
    return xp.where(odd, -s, s)


def polygamma(xp: Any, x: Array, n: int) -> Array:
    """The n-th derivative of the digamma function ψ = (log Γ)′; n = 0 is ψ itself.

    For x ≥ ½ the Euler–Maclaurin series of Σ (x + k)^−(n+1) after 10 terms (A&S 6.3.18, 6.4.11); below by reflection,
    ψₙ(x) = (−1)ⁿ·ψₙ(1 − x) − dⁿ/dxⁿ π·cot πx (A&S 6.4.7), with the derivatives of cot as polynomials of it.
    """
    left = x < 0.5
    right = _polygamma_right(xp, xp.where(left, 1.0 - x, x), n)
    r = xp.where(left, x, 0.25) - xp.round(xp.where(left, x, 0.25))
    cot = xp.cos(math.pi * r) / xp.sin(math.pi * r)
    coefficients = [0.0, 1.0]  # of cot's n-th derivative, lowest power first: p ↦ −(1 + c²)·p′
    for _ in range(n):
        slope = [k * c for k, c in enumerate(coefficients)][1:]
        padded = [*slope, 0.0, 0.0]
        coefficients = [-(c + (padded[k - 2] if k >= 2 else 0.0)) for k, c in enumerate(padded)]
    polynomial = 0.0 * cot
    for c in reversed(coefficients):
        polynomial = polynomial * cot + c
    return xp.where(left, (-1.0) ** n * right - math.pi ** (n + 1) * polynomial, right)


def _polygamma_right(xp: Any, x: Array, n: int) -> Array:
    s, shift = n + 1, 10
    total = 0.0 * x
    for k in range(shift):
        total = total + xp.pow(x + k, -float(s))
    w = x + float(shift)
    if n:
        total = total + xp.pow(w, 1.0 - s) / n
    else:
        total = total - xp.log(w)
    total = total + 0.5 * xp.pow(w, -float(s))
    rising = float(s)  # s·(s + 1)·…·(s + 2k − 2) / (2k)!
    for k, b in enumerate(_BERNOULLI, start=1):
        factor = rising / math.factorial(2 * k)
        total = total + (b * factor) * xp.pow(w, -float(s + 2 * k - 1))
        rising *= (s + 2 * k - 1) * (s + 2 * k)
    return (-1.0) ** (n + 1) * math.factorial(n) * total
