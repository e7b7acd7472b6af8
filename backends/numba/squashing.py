"""Functions for kernels that squash: sigmoids, the hyperbolic tangent, and what mish is made of.

As those of `mathematics.py`, of which they are made. tanh: a polynomial with Cephes' coefficients (Moshier, 1989).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from . import doubles
from .compile import choose, in_kernels, jit
from .mathematics import EXP_GONE, EXP_INF, EXP_MOST, exp_below, exp_parts

f32 = np.float32
_HALF, _ONE, _ZERO = f32(0.5), f32(1.0), f32(0.0)


@jit
def one_plus(part: Any, scale: Any) -> Any:
    """1 + (1 + part)·2ⁿ, rounded once: 1 + 2ⁿ is exact where both matter. `part` is positive where 2ⁿ is infinite."""
    return doubles.fused(part, scale, scale + _ONE)


@jit
def _exp_signed(x: Any) -> Any:
    """(r·g, 2ⁿ) with eˣ = (1 + r·g)·2ⁿ in single precision: 0 below −88, inf from 88.37."""
    x = choose(x < EXP_GONE, EXP_GONE, x)
    g, r, scale = exp_parts(choose(x > EXP_MOST, EXP_INF, x), _ZERO)
    return g * r, scale


@in_kernels
def one_plus_exp(x: Any) -> Any:
    """1 + eˣ, the denominator of sigmoids. float32: at most 1.3 ulp, inf from 88.37."""
    if x is types.float32:

        def single(x: Any) -> Any:
            part, scale = _exp_signed(x)
            return one_plus(part, scale)

        return single

    def double(x: Any) -> Any:
        return 1.0 + doubles.exp(x)

    return double


@in_kernels
def sigmoid(x: Any) -> Any:
    """1/(1 + e⁻ˣ). float32: at most 1.6 ulp, but 2.4 near x = −16.6, and 0 below −88.37."""
    if x is types.float32:

        def single(x: Any) -> Any:
            return _ONE / one_plus_exp(-x)

        return single

    def double(x: Any) -> Any:
        e = doubles.exp_below(-abs(x), 0.0)
        return (1.0 if x >= 0 else e) / (1.0 + e)

    return double


@in_kernels
def sigmoids(x: Any) -> Any:
    """(1/(1 + e⁻ˣ), 1/(1 + eˣ)): of two numbers that add up to 1, the small one is not made from the large one."""
    if x is types.float32:

        def single(x: Any) -> Any:
            part, scale = _exp_signed(-x)
            share = _ONE / one_plus(part, scale)
            return share, choose(x < _ZERO, _ONE - share, (part + _ONE) * scale * share)

        return single

    def double(x: Any) -> Any:
        e = doubles.exp(-x)
        share = 1.0 / (1.0 + e)
        return share, choose(x < 0.0, 1.0 - share, e * share)

    return double


@in_kernels
def mish_parts(x: Any) -> Any:
    """(x·n, n, d, p): with t = tanh(log(1 + eˣ)), t = n/d and σ(x)·(1 − t²) = p/d², by e = e^−|x|.

    For x < 0, n = e·(e + 2). In float32, with e = (1 + f)·2ᵏ, x·n is 2·x·2ᵏ·(1 + m), where m is much like f.
    """
    if x is types.float32:

        def single(x: Any) -> Any:
            a = -abs(x)
            g, r, scale = exp_parts(choose(a < EXP_GONE, EXP_GONE, a), _ZERO)
            e, negative = (g * r + _ONE) * scale, x < _ZERO
            both, half = e + e, e * _HALF
            n = choose(negative, e * e + both, _ONE + both)
            twice, m = x * (scale + scale), (g * r) * half + (g * r + half)
            part = (both + both) * (_ONE + e)
            product = choose(negative, twice * m + twice, x * n)
            return product, n, n + choose(negative, f32(2.0), both * e), choose(negative, part, part * e)

        return single

    def double(x: Any) -> Any:
        e, negative = doubles.exp_below(-abs(x), 0.0), x < 0.0
        n = choose(negative, e * e + 2.0 * e, 1.0 + 2.0 * e)
        part = 4.0 * e * (1.0 + e)
        return x * n, n, n + choose(negative, 2.0, 2.0 * e * e), choose(negative, part, part * e)

    return double


TANH = tuple(
    f32(c) for c in (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
)
_T0, _T1, _T2, _T3, _T4 = TANH
TANH_SMALL = f32(0.625)


@in_kernels
def tanh(x: Any) -> Any:
    """Hyperbolic tangent. float32: below 0.625 Cephes' odd polynomial, above (1 − e⁻²ˣ)/(1 + e⁻²ˣ); at most 1.6 ulp."""
    if x is types.float32:

        def single(x: Any) -> Any:
            a = abs(x)
            s = x * x
            small = ((((_T0 * s + _T1) * s + _T2) * s + _T3) * s + _T4) * s * x + x
            e = exp_below(-(a + a))
            large = (_ONE - e) / (_ONE + e)
            large = choose(x < _ZERO, -large, large)
            return choose(a < TANH_SMALL, small, large)

        return single

    def double(x: Any) -> Any:
        return doubles.tanh(x)

    return double
