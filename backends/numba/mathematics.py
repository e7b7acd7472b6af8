"""Functions for kernels that the loop vectoriser can use: no branches, no tables, no calls in single precision.

Each has a version for float32 and one for float64, of `doubles.py`. Errors are the largest in float32 against
float64, over every 211th of all floats where the function is not constant; `tests/test_numba_elementwise.py` takes
every 997th.

exp: a minimax polynomial of degree 6. log: a minimax polynomial by N. Juffa. Sigmoids and tanh: `squashing.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from . import doubles
from .compile import choose, in_kernels, intrinsic, jit

f32 = np.float32

_LOG2_E, _LN2_HIGH, _LN2_LOW = f32(1.44269504088896341), f32(0.693359375), f32(-2.12194440e-4)
_ROUND = f32(12582912.0)  # 1.5·2²³: adding and subtracting it rounds to an integer
_ROUND_BIASED = f32(12582912.0 + 127.0)  # so that the sum's low bits are the exponent of 2ⁿ
_HALF, _ONE, _ZERO = f32(0.5), f32(1.0), f32(0.0)
_EXP_MAX, _EXP_MIN = f32(100.0), f32(-150.0)
EXP_GONE, EXP_INF = f32(-88.0), f32(88.8)  # round to 2⁻¹²⁷ and 2¹²⁸, whose bits as floats are 0 and inf
EXP_MOST = f32(88.37)  # what is below rounds to 2¹²⁷ at most
_E0, _E1, _E2, _E3, _E4 = tuple(f32(c) for c in (0.0013814539, 0.008368745, 0.04166839, 0.16666521, 0.49999994))


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


@in_kernels
def constant(value: Any, x: Any) -> Any:
    """A number in the dtype of x, so that single precision stays single."""
    if x is types.float32:

        def single(value: Any, x: Any) -> Any:
            return f32(value)

        return single

    def double(value: Any, x: Any) -> Any:
        return float(value)

    return double


@in_kernels
def exp(x: Any) -> Any:
    """eˣ. float32: at most 0.9 ulp, gradual underflow, inf on overflow."""
    if x is types.float32:

        def single(x: Any) -> Any:
            x = _EXP_MAX if x > _EXP_MAX else x
            x = _EXP_MIN if x < _EXP_MIN else x
            n = (x * _LOG2_E + _ROUND) - _ROUND
            r = (x - n * _LN2_HIGH) - n * _LN2_LOW
            p = (((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _ONE) * r + _ONE
            half = (n * _HALF + _ROUND) - _ROUND
            return p * _power_of_two(half) * _power_of_two(n - half)

        return single

    def double(x: Any) -> Any:
        return doubles.exp(x)

    return double


@in_kernels
def exp_below(x: Any) -> Any:
    """eˣ for x <= 0. float32: at most 0.9 ulp down to −87.33, then subnormal, and exactly 0 below −87.7."""
    if x is types.float32:

        def single(x: Any) -> Any:
            g, r, scale = exp_parts(EXP_GONE if x < EXP_GONE else x, _ZERO)
            return (g * r + _ONE) * scale

        return single

    def double(x: Any) -> Any:
        return doubles.exp_below(x, 0.0)

    return double


@jit
def exp_parts(x: Any, low: Any) -> Any:
    """(g, r, 2ⁿ) with e^(x + low) = (1 + r·g)·2ⁿ, for −88 <= x <= 88.7 and a small `low`, in single precision."""
    z = x * _LOG2_E + _ROUND_BIASED
    n = z - _ROUND_BIASED
    r = ((x - n * _LN2_HIGH) - n * _LN2_LOW) + low
    return ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _ONE, r, _from_magic(z)


_H = tuple(c * f32(-0.5) ** k for c, k in zip((_E0, _E1, _E2, _E3, _E4, _ONE), range(6, 0, -1), strict=True))
_H0, _H1, _H2, _H3, _H4, _H5 = _H
_HALF_LOG2_E = f32(-0.5) * _LOG2_E


@jit
def exp_half_parts(x: Any, low: Any) -> Any:
    """(g, r, 2ⁿ) with e^−(x + low)/2 = (1 + r·g)·2ⁿ, for 0 <= x <= 176 and a small `low`, in single precision."""
    z = x * _HALF_LOG2_E + _ROUND_BIASED
    n = z - _ROUND_BIASED
    r = ((n * (_LN2_HIGH + _LN2_HIGH) + x) + n * (_LN2_LOW + _LN2_LOW)) + low
    return ((((_H0 * r + _H1) * r + _H2) * r + _H3) * r + _H4) * r + _H5, r, _from_magic(z)


@jit
def _expm1_within(x: Any) -> Any:
    """eˣ − 1 for −88 <= x <= 80, in single precision."""
    z = x * _LOG2_E + _ROUND_BIASED
    n = z - _ROUND_BIASED
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = (((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r) * r + r
    scale = _from_magic(z)
    return p * scale + (scale - _ONE)


@in_kernels
def expm1_below(x: Any) -> Any:
    """eˣ − 1 for x <= 0. float32: at most 1 ulp."""
    if x is types.float32:

        def single(x: Any) -> Any:
            return _expm1_within(EXP_GONE if x < EXP_GONE else x)

        return single

    def double(x: Any) -> Any:
        return doubles.expm1(x)

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


@jit
def _log_series(m: Any) -> Any:
    """log(1 + m) for m between −1/3 and 1/3, in single precision."""
    s = m * m
    t = (_L4 * s + _L5) * s + _L6
    r = ((_L0 * s + _L1) * s + _L2) * s + _L3
    r = ((t * m + r) * m + _L7) * m - _HALF
    return r * s + m


@in_kernels
def log(x: Any) -> Any:
    """Natural logarithm. float32: at most 1 ulp; −inf of 0, NaN of negative numbers."""
    if x is types.float32:

        def single(x: Any) -> Any:
            small = x < _TINY
            a = x * _SCALE if small else x
            e = (_bits(a) - _LOG_START) & _LOG_MASK
            m = _from_bits(_bits(a) - e) - _ONE
            i = f32(e) * _ULP + (_TINY_STEPS if small else _ZERO)
            r = i * _LN2 + _log_series(m)
            r = choose(x <= _MOST, r, x)  # inf and NaN
            r = choose(x == _ZERO, -_INF, r)
            return choose(x < _ZERO, _NAN, r)

        return single

    def double(x: Any) -> Any:
        return doubles.log(x)

    return double


_EXPM1_MOST = f32(80.0)


@in_kernels
def expm1(x: Any) -> Any:
    """eˣ − 1 for any x. float32: at most 1.4 ulp."""
    if x is types.float32:

        def single(x: Any) -> Any:
            a = EXP_GONE if x < EXP_GONE else x
            a = _EXPM1_MOST if a > _EXPM1_MOST else a
            small = choose(x == _ZERO, x, _expm1_within(a))  # 0 with its sign
            return choose(x > _EXPM1_MOST, exp(x), small)

        return single

    def double(x: Any) -> Any:
        return doubles.expm1(x)

    return double


_ONE_BITS = np.int32(0x3F800000)
_FAR_ABOVE = f32(2.0**100)  # where 1 + x is x, and 2⁻ᵉ still a normal number


@in_kernels
def log1p(x: Any) -> Any:
    """log(1 + x) for any x. float32: at most 1.5 ulp; −inf of −1, NaN below.

    With 2ᵉ the power of two for which (1 + x)·2⁻ᵉ is between 2/3 and 4/3: its distance m from 1 is x·2⁻ᵉ + (2⁻ᵉ − 1).
    """
    if x is types.float32:

        def single(x: Any) -> Any:
            e = (_bits(x + _ONE) - _LOG_START) & _LOG_MASK
            unit = _from_bits(_ONE_BITS - e)
            m = choose(e == np.int32(0), x, x * unit + (unit - _ONE))
            r = f32(e) * _ULP * _LN2 + _log_series(m)
            r = choose((x <= _FAR_ABOVE) & (x != _ZERO), r, choose(x > _FAR_ABOVE, log(x), x))
            r = choose(x == -_ONE, -_INF, r)
            return choose(x < -_ONE, _NAN, r)

        return single

    def double(x: Any) -> Any:
        return doubles.log1p(x)

    return double


_TWO_OVER_PI = f32(2.0 / np.pi)
_P1, _P2, _P3 = f32(1.57079601), f32(3.13916473e-7), f32(5.39030253e-15)


@jit
def _circle(x: Any, quarters: Any) -> Any:
    """The sine of x + quarters·π/2, for |x| up to `FAR`. After N. Juffa."""
    z = x * _TWO_OVER_PI + _ROUND
    n = z - _ROUND
    r = doubles.fused(n, -_P3, doubles.fused(n, -_P2, doubles.fused(n, -_P1, x)))
    s = r * r
    odd = ((f32(2.86567956e-6) * s - f32(1.98559923e-4)) * s + f32(8.33338592e-3)) * s - f32(1.66666672e-1)
    odd = odd * (s * r) + r
    even = ((f32(2.44677067e-5) * s - f32(1.38877297e-3)) * s + f32(4.16666567e-2)) * s - _HALF
    even = even * s + _ONE
    place = _bits(z) + quarters
    value = choose((place & np.int32(1)) != np.int32(0), even, odd)
    return choose((place & np.int32(2)) != np.int32(0), -value, value)


_NONE, _QUARTER = np.int32(0), np.int32(1)
FAR = 5e4  #: beyond, π/2 in three parts of float32 is not enough


@in_kernels
def sin(x: Any) -> Any:
    """Sine, for |x| up to `FAR`. float32: at most 1.5 ulp."""
    if x is types.float32:

        def single(x: Any) -> Any:
            return choose(x == _ZERO, x, _circle(x, _NONE))

        return single

    def double(x: Any) -> Any:
        return doubles.sin(x)

    return double


@in_kernels
def cos(x: Any) -> Any:
    """Cosine, for |x| up to `FAR`. float32: at most 1.5 ulp."""
    if x is types.float32:

        def single(x: Any) -> Any:
            return _circle(x, _QUARTER)

        return single

    def double(x: Any) -> Any:
        return doubles.cos(x)

    return double


_THIRD = f32(1.0 / 3.0)


@in_kernels
def log1p_unit(x: Any) -> Any:
    """log(1 + x) for 0 <= x <= 1. float32: at most 1.5 ulp; above 1/3 as log 2 + log(1 + (x − 1)/2)."""
    if x is types.float32:

        def single(x: Any) -> Any:
            large = x > _THIRD
            m = choose(large, x * _HALF - _HALF, x)
            return _log_series(m) + choose(large, _LN2, _ZERO)

        return single

    def double(x: Any) -> Any:
        return doubles.log1p(x)

    return double
