"""Functions for kernels that the loop vectoriser can use: no branches, no tables, no calls in single precision.

Each has a version for float32 and one for float64 that calls the C library. Errors are the largest in float32 against
float64, over every 37th of all floats where the function is not constant; `tests/test_numba_kernels.py` takes every
997th.

exp, tanh: polynomials with Cephes' coefficients (Moshier, 1989). log, erf: minimax polynomials by N. Juffa. The normal
distribution function: a minimax polynomial of degree 8 in (a − k)/(a + k), as Shepherd & Laframboise (1981) have it for
erfcx.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .compile import intrinsic, overload

f32 = np.float32

_LOG2_E, _LN2_HIGH, _LN2_LOW = f32(1.44269504088896341), f32(0.693359375), f32(-2.12194440e-4)
_ROUND = f32(12582912.0)  # 1.5·2²³: adding and subtracting it rounds to an integer
_ROUND_BIASED = f32(12582912.0 + 127.0)  # so that the sum's low bits are the exponent of 2ⁿ
_HALF, _ONE, _TWO, _ZERO = f32(0.5), f32(1.0), f32(2.0), f32(0.0)
_EXP_MAX, _EXP_MIN, _EXP_TINY = f32(100.0), f32(-150.0), f32(-87.33)
_E = tuple(
    f32(c)
    for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
_E0, _E1, _E2, _E3, _E4, _E5 = _E


@intrinsic
def _power_of_two(typingctx: Any, n: Any) -> Any:
    """2ⁿ for an integer n in -126..127 given as float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32)
        exponent = builder.add(builder.fptosi(args[0], word), ir.Constant(word, 127))
        return builder.bitcast(builder.shl(exponent, ir.Constant(word, 23)), ir.FloatType())

    return types.float32(types.float32), codegen


@intrinsic
def _bits(typingctx: Any, x: Any) -> Any:
    """The bits of a float32 as int32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@intrinsic
def _from_bits(typingctx: Any, x: Any) -> Any:
    """The float32 of these bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def _from_magic(typingctx: Any, x: Any) -> Any:
    """2ⁿ from the float32 n + 127 + 1.5·2²³."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32)
        return builder.bitcast(
            builder.shl(builder.bitcast(args[0], word), ir.Constant(word, 23)), ir.FloatType()
        )  # fmt: skip

    return types.float32(types.float32), codegen


@intrinsic
def choose(typingctx: Any, condition: Any, x: Any, y: Any) -> Any:
    """x if the condition holds, else y, both computed: a Python choice may become a branch, which is not vectorised."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return x(types.boolean, x, x), codegen


def constant(value: Any, x: Any) -> Any:
    """A number in the dtype of x, so that single precision stays single."""
    raise NotImplementedError


@overload(constant)
def _constant(value: Any, x: Any) -> Any:
    if x is types.float32:

        def single(value: Any, x: Any) -> Any:
            return f32(value)

        return single

    def double(value: Any, x: Any) -> Any:
        return float(value)

    return double


def exp(x: Any) -> Any:
    """eˣ. float32: at most 1.1 ulp, gradual underflow, inf on overflow."""
    raise NotImplementedError


@overload(exp)
def _exp(x: Any) -> Any:
    if x is types.float32:

        def single(x: Any) -> Any:
            x = _EXP_MAX if x > _EXP_MAX else x
            x = _EXP_MIN if x < _EXP_MIN else x
            n = (x * _LOG2_E + _ROUND) - _ROUND
            r = (x - n * _LN2_HIGH) - n * _LN2_LOW
            p = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5
            p = (p * r) * r + r + _ONE
            half = (n * _HALF + _ROUND) - _ROUND
            return p * _power_of_two(half) * _power_of_two(n - half)

        return single

    def double(x: Any) -> Any:
        return math.exp(x)

    return double


def exp_below(x: Any) -> Any:
    """eˣ for x <= 0. float32: at most 1.1 ulp, and 0 below −87.33 where the result would be subnormal."""
    raise NotImplementedError


@overload(exp_below)
def _exp_below(x: Any) -> Any:
    if x is types.float32:

        def single(x: Any) -> Any:
            a = _EXP_TINY if x < _EXP_TINY else x
            z = a * _LOG2_E + _ROUND_BIASED
            n = z - _ROUND_BIASED
            r = (a - n * _LN2_HIGH) - n * _LN2_LOW
            p = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5
            p = ((p * r) * r + r + _ONE) * _from_magic(z)
            return choose(x < _EXP_TINY, _ZERO, p)

        return single

    def double(x: Any) -> Any:
        return math.exp(x)

    return double


def expm1_below(x: Any) -> Any:
    """eˣ − 1 for x <= 0. float32: at most 1.5 ulp."""
    raise NotImplementedError


@overload(expm1_below)
def _expm1_below(x: Any) -> Any:
    if x is types.float32:

        def single(x: Any) -> Any:
            a = _EXP_TINY if x < _EXP_TINY else x
            z = a * _LOG2_E + _ROUND_BIASED
            n = z - _ROUND_BIASED
            r = (a - n * _LN2_HIGH) - n * _LN2_LOW
            p = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5
            p = (p * r) * r + r
            scale = _from_magic(z)
            return p * scale + (scale - _ONE)

        return single

    def double(x: Any) -> Any:
        return math.expm1(x)

    return double


_LOG_START, _LOG_MASK, _TINY, _SCALE = np.int32(0x3F2AAAAB), np.int32(-0x800000), f32(1.17549435e-38), f32(8388608.0)
_ULP, _LN2, _MOST = f32(2.0**-23), f32(0.693147182), f32(3.40282347e38)
_TINY_STEPS = f32(-23.0)
_L = tuple(
    f32(c)
    for c in (
        -0.130310059, -0.121483512, -0.166846126, -0.249996200, 0.140869141, 0.139814854, 0.200120345, 0.333331972,
    )
)  # fmt: skip
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = _L
_NAN, _INF = f32(np.nan), f32(np.inf)


def log(x: Any) -> Any:
    """Natural logarithm. float32: at most 1 ulp; −inf of 0, NaN of negative numbers."""
    raise NotImplementedError


@overload(log)
def _log(x: Any) -> Any:
    if x is types.float32:

        def single(x: Any) -> Any:
            small = x < _TINY
            a = x * _SCALE if small else x
            e = (_bits(a) - _LOG_START) & _LOG_MASK
            m = _from_bits(_bits(a) - e) - _ONE
            i = f32(e) * _ULP + (_TINY_STEPS if small else _ZERO)
            s = m * m
            t = (_L4 * s + _L5) * s + _L6
            r = ((_L0 * s + _L1) * s + _L2) * s + _L3
            r = ((t * m + r) * m + _L7) * m - _HALF
            r = i * _LN2 + (r * s + m)
            r = choose(x <= _MOST, r, x)  # inf and NaN
            r = choose(x == _ZERO, -_INF, r)
            return choose(x < _ZERO, _NAN, r)

        return single

    def double(x: Any) -> Any:
        return math.log(x) if x > 0.0 else (-np.inf if x == 0.0 else np.nan)

    return double


def log1p_unit(x: Any) -> Any:
    """log(1 + x) for 0 <= x <= 1. float32: at most 1.5 ulp."""
    raise NotImplementedError


@overload(log1p_unit)
def _log1p_unit(x: Any) -> Any:
    if x is types.float32:

        def single(x: Any) -> Any:
            u = _ONE + x
            return log(u) + (x - (u - _ONE)) / u

        return single

    def double(x: Any) -> Any:
        return math.log1p(x)

    return double


def sigmoid(x: Any) -> Any:
    """1/(1 + e⁻ˣ), by e^−|x|. float32: at most 2.3 ulp, and 0 below −87.33."""
    raise NotImplementedError


@overload(sigmoid)
def _sigmoid(x: Any) -> Any:
    one = f32(1) if x is types.float32 else 1.0

    def either(x: Any) -> Any:
        e = exp_below(-abs(x))
        return (one if x >= 0 else e) / (one + e)

    return either


_T = tuple(
    f32(c) for c in (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
)
_T0, _T1, _T2, _T3, _T4 = _T
_TANH_SMALL = f32(0.625)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent. float32: below 0.625 Cephes' odd polynomial, above (1 − e⁻²ˣ)/(1 + e⁻²ˣ); at most 2 ulp."""
    raise NotImplementedError


@overload(tanh)
def _tanh(x: Any) -> Any:
    if x is types.float32:

        def single(x: Any) -> Any:
            a = abs(x)
            s = x * x
            small = ((((_T0 * s + _T1) * s + _T2) * s + _T3) * s + _T4) * s * x + x
            e = exp_below(-(a + a))
            large = (_ONE - e) / (_ONE + e)
            large = choose(x < _ZERO, -large, large)
            return choose(a < _TANH_SMALL, small, large)

        return single

    def double(x: Any) -> Any:
        return math.tanh(x)

    return double


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


def erf(x: Any) -> Any:
    """Error function. float32: at most 1.2 ulp; above 0.93 as 1 − e^p(|x|)."""
    raise NotImplementedError


@overload(erf)
def _erf(x: Any) -> Any:
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
        return math.erf(x)

    return double


_FAR, _K = f32(15.0), f32(3.75)
_Q = tuple(
    f32(c)
    for c in (
        4.43449547e-4, 5.09628259e-4, -4.16901807e-3, 1.20007365e-3, 3.74925064e-2, -1.51520835e-1, 3.52939604e-1,
        -5.88188278e-1, 7.50294074e-1,
    )
)  # fmt: skip
_Q0, _Q1, _Q2, _Q3, _Q4, _Q5, _Q6, _Q7, _Q8 = _Q
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
_DENSITY32 = f32(_DENSITY)
_SQRT_HALF = math.sqrt(0.5)


def normal(x: Any) -> Any:
    """Φ(x), the normal distribution function, and its derivative φ(x), which share their exponential.

    Φ(−a) = e^(−a²/2)·p((a − k)/(a + k))/(a + k) for a >= 0, and Φ(a) = 1 − Φ(−a). float32: φ and Φ(x < 0) to a relative
    error of 4·10⁻⁷ + x²·3·10⁻⁸, which is the rounding of x²/2; Φ(x > 0) to 1 ulp.
    """
    raise NotImplementedError


@overload(normal)
def _normal(x: Any) -> Any:
    if x is types.float32:

        def single(x: Any) -> Any:
            a = abs(x)
            a = _FAR if a > _FAR else a
            e = exp_below(-_HALF * (a * a))
            r = _ONE / (a + _K)
            q = (a - _K) * r
            p = (((((((_Q0 * q + _Q1) * q + _Q2) * q + _Q3) * q + _Q4) * q + _Q5) * q + _Q6) * q + _Q7) * q + _Q8
            below = p * r * e
            return choose(x > _ZERO, _ONE - below, below), _DENSITY32 * e

        return single

    def double(x: Any) -> Any:
        return 0.5 * math.erfc(-_SQRT_HALF * x), _DENSITY * math.exp(-0.5 * x * x)

    return double
