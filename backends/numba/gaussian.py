"""The error function and the normal distribution, as `mathematics.py` has the functions they are made of.

erf: minimax polynomials by N. Juffa. The normal distribution function: by a polynomial near 0, elsewhere as in
Shepherd & Laframboise, 1981, by one in (a − k)/(a + k), fitted to (a + k)·Φ(−a)/φ(a) by linear programs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from . import doubles
from .compile import choose, in_kernels, jit
from .doubles import fused
from .mathematics import exp_below, exp_half_parts, exp_parts
from .squashing import one_plus

f32 = np.float32

_HALF, _ONE, _ZERO = f32(0.5), f32(1.0), f32(0.0)
_ERF_SMALL = f32(0.927734375)
_S = tuple(
    f32(c)
    for c in (-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1)
)  # fmt: skip
_S0, _S1, _S2, _S3, _S4, _S5 = _S
_B = tuple(
    f32(c)
    for c in (
        -1.72853470e-5, 3.83197126e-4, -3.88396438e-3, 2.42546219e-2, -1.06777877e-1, -6.34846687e-1, -1.28717512e-1,
    )
)  # fmt: skip
_B0, _B1, _B2, _B3, _B4, _B5, _B6 = _B
_ERF_LARGE = f32(4.0)


@in_kernels
def erf(x: Any) -> Any:
    """Error function. float32: at most 1 ulp; above 0.93 as 1 − e^p(|x|)."""
    if x is types.float32:

        def single(x: Any) -> Any:
            a = abs(x)
            s = x * x
            small = (((((_S0 * s + _S1) * s + _S2) * s + _S3) * s + _S4) * s + _S5) * x + x
            t = _ERF_LARGE if a > _ERF_LARGE else a
            r = (_B0 * t + _B1) * (t * t) + (_B2 * t + _B3)
            r = (((r * t + _B4) * t + _B5) * t + _B6) * t - t
            large = _ONE - exp_below(r)
            large = choose(x < _ZERO, -large, large)
            return choose(a > _ERF_SMALL, large, small)

        return single

    def double(x: Any) -> Any:
        return doubles.erf(x)

    return double


_FAR = f32(13.26)  # a²/2 = 88
_C, _K, _TWO_C, _MINUS_ONE = f32(1.375), f32(4.0582576), f32(2.75), f32(-1.0)
_G = tuple(
    f32(c)
    for c in (
        -3.2694312e-4, -1.1499377e-3, 1.8753035e-3, 8.7499684e-3, -1.6604662e-2, -5.6392960e-2, 3.0387664e-1,
        -6.9154704e-1,
    )
)  # fmt: skip
_G0, _G1, _G2, _G3, _G4, _G5, _G6, _G7 = _G
_MILLS, _MILLS_SLOPE = f32(1.0 / 4.0582576), f32(-1.375 / 4.0582576)
_NEAR, _SLOPE_NEAR = f32(0.6), f32(0.85)
_P0, _P1, _P2, _P3 = tuple(f32(c) for c in (-1.0955727e-3, 9.9482527e-3, -6.6487730e-2, 3.9894220e-1))
_Q0, _Q1, _Q2, _Q3, _Q4 = tuple(
    f32(c) for c in (9.4819354e-4, -9.3526468e-3, 5.9795335e-2, -2.6595557e-1, 7.9788434e-1)
)
_DENSITY32 = f32(1.0 / math.sqrt(2.0 * math.pi))


@jit
def _upper_tail(a: Any) -> Any:
    """(v, q, M) with a·Φ(−a) = v·(1 + q)·e^(−a²/2) and Φ(−a) = M·e^(−a²/2), for 0.5 <= a <= 13.26.

    v = a/(c·a + k), and q is a polynomial in t = 2c·v − 1 without a constant: c is short and k such that 1 + q is 1 in
    the middle of the range. An error of v hardly matters, since v·(1 + q) is nearly constant where q is steep.
    """
    v = a / fused(a, _C, _K)
    t = fused(v, _TWO_C, _MINUS_ONE)
    q = (((((((_G0 * t + _G1) * t + _G2) * t + _G3) * t + _G4) * t + _G5) * t + _G6) * t + _G7) * t
    return v, q, (_ONE + q) * fused(v, _MILLS_SLOPE, _MILLS)


@jit
def _bell(a: Any) -> Any:
    """(g, r, 2ⁿ) with e^(−a²/2) = (1 + r·g)·2ⁿ, for 0 <= a <= 13.26: what the square loses is added to the rest r."""
    square = a * a
    return exp_half_parts(square, fused(a, a, -square))


@jit
def _gelu_below(a: Any) -> Any:
    """−gelu(−a) = a·Φ(−a) for 0 <= a <= 13.26; and Φ(−a) − a·φ(a), the slope there, for 0.5 <= a."""
    v, q, mills = _upper_tail(a)
    g, r, scale = _bell(a)
    far = fused(v, fused(g * r, _ONE + q, q), v)
    s = a * a
    half = fused(-a, ((_P0 * s + _P1) * s + _P2) * s + _P3, _HALF)
    slope = mills - _DENSITY32 * a
    near = a < _NEAR
    return choose(near, half, far) * choose(near, a, scale), fused(slope * r, g, slope) * scale


@in_kernels
def gelu_and_slope(x: Any) -> Any:
    """x·Φ(x), Φ the normal distribution function, and its derivative Φ(x) + x·Φ′(x), which share an exponential.

    float32: at most 2 ulp, 0 below −13.26. The slope is within 1.7 ulp of the larger of itself and 1/4.
    """
    if x is types.float32:

        def single(x: Any) -> Any:
            a = abs(x)
            a = choose(a > _FAR, _FAR, a)
            below, slope = _gelu_below(a)
            negative = x < _ZERO
            value = choose(negative, x - x, x) - below  # NaN for −∞, as the product is
            s = a * a
            near = fused(x, (((_Q0 * s + _Q1) * s + _Q2) * s + _Q3) * s + _Q4, _HALF)
            slope = choose(a < _SLOPE_NEAR, near, choose(negative, slope, _ONE - slope))
            return value, slope

        return single

    def double(x: Any) -> Any:
        below, density = doubles.normal(x)
        return x * below, below + x * density

    return double


_SCALE = 2.0 * (2.0 / math.pi) ** 0.5  # (1 + tanh v)/2 = σ(2v), without cancellation where v is large and negative
_CUBIC = _SCALE * 0.044715
_TANH_FAR, _TANH_GONE = f32(10.03), f32(-10.065)  # e^(−2v) is 0, and infinite, in `exp_parts`
_SCALE32, _SCALE32_LOW = f32(1.5957691669464111), f32(-4.534068054340423e-08)
_CUBIC32, _CUBIC32_LOW = f32(0.07135481387376785), f32(2.3988324659995897e-09)
_SLOPE32 = f32(3.0 * _CUBIC)


@jit
def _tanh_exponent(a: Any) -> Any:
    """(v, v_low) with v + v_low = 2·√(2/π)·(a + 0.044715·a³): an error of it would be one of the exponential."""
    square = a * a
    p = _CUBIC32 * square
    p_low = fused(_CUBIC32, square, -p) + (_CUBIC32 * fused(a, a, -square) + _CUBIC32_LOW * square)
    w = _SCALE32 + p
    back = w - p
    w_low = ((_SCALE32 - back) + (p - (w - back))) + (_SCALE32_LOW + p_low)
    v = w * a
    return v, fused(w, a, -v) + w_low * a


@in_kernels
def gelu_tanh_and_slope(x: Any) -> Any:
    """y = x·(1 + tanh v)/2 with v = √(2/π)·(x + 0.044715·x³), and its derivative.

    (1 + tanh v)/2 is 1/(1 + e^(−2v)). float32: at most 2.3 ulp, 0 below −10.03. The slope is
    within 2.6 ulp of the larger of itself and 1/4.
    """
    if x is types.float32:

        def single(x: Any) -> Any:
            a = choose(x > _TANH_FAR, _TANH_FAR, choose(x < -_TANH_FAR, _TANH_GONE, x))
            v, low = _tanh_exponent(a)
            g, r, scale = exp_parts(-v, -low)
            whole = one_plus(g * r, scale)
            share = _ONE / whole
            other = choose(x < _ZERO, _ONE - share, fused(g, r, _ONE) * scale * share)
            return x / whole, fused(share * (a * (_SCALE32 + _SLOPE32 * (a * a))), other, share)

        return single

    def double(x: Any) -> Any:
        below, slope = doubles.normal_by_tanh(x)
        return x * below, below * (1.0 + (1.0 - below) * x * slope)

    return double
