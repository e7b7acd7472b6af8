"""Functions for kernels that the loop vectoriser can use: exp, tanh and sigmoid in single precision without a branch.

Each has a version for float32, a polynomial with Cephes' coefficients (Moshier, 1989), and one for float64 that calls
the C library. Errors are the largest against float64 over four million arguments.
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
_HALF, _ONE, _TWO, _ZERO = f32(0.5), f32(1.0), f32(2.0), f32(0.0)
_EXP_MAX, _EXP_MIN = f32(100.0), f32(-150.0)
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


def sigmoid(x: Any) -> Any:
    """1/(1 + e⁻ˣ), by e^−|x|. float32: at most 2.3 ulp."""
    raise NotImplementedError


@overload(sigmoid)
def _sigmoid(x: Any) -> Any:
    one = f32(1) if x is types.float32 else 1.0

    def either(x: Any) -> Any:
        e = exp(-abs(x))
        return (one if x >= 0 else e) / (one + e)

    return either


_T = tuple(
    f32(c) for c in (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
)
_T0, _T1, _T2, _T3, _T4 = _T
_TANH_SMALL = f32(0.625)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent. float32: below 0.625 Cephes' odd polynomial, above 1 − 2/(e²ˣ + 1); at most 1.3 ulp."""
    raise NotImplementedError


@overload(tanh)
def _tanh(x: Any) -> Any:
    if x is types.float32:

        def single(x: Any) -> Any:
            a = abs(x)
            s = x * x
            small = ((((_T0 * s + _T1) * s + _T2) * s + _T3) * s + _T4) * s * x + x
            large = _ONE - _TWO / (exp(a + a) + _ONE)
            large = -large if x < _ZERO else large
            return small if a < _TANH_SMALL else large

        return single

    def double(x: Any) -> Any:
        return math.tanh(x)

    return double
