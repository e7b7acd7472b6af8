"""Functions of float64 that the loop vectoriser can use, as `mathematics.py` has them for float32.

No branches, no tables, no calls: every case is computed and one is chosen. Errors are the largest found against
arithmetic of 40 digits; `tests/test_numba_accuracy.py` measures them again.

exp: the Taylor polynomial of degree 13 on |r| <= log(2)/2. log, log1p, sin, cos, erf near 0: polynomials of FDLIBM
(Sun Microsystems, 1993). e^(a²)·erfc(a): a polynomial of degree 24 in (a − 3.75)/(a + 3.75), fitted to
(1 + 2a)·e^(a²)·erfc(a) after Shepherd & Laframboise, 1981.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from .compile import choose, intrinsic, jit


def _within(fn: Callable[..., Any]) -> Any:
    """Compile as part of every caller: the vectoriser gives up at a call, and LLVM leaves long functions called."""
    return jit(fn, "always")


_WORD = ir.IntType(64)
_DOUBLE = ir.DoubleType()


def _polynomial(*coefficients: float) -> Any:
    """An intrinsic: x -> the polynomial with these coefficients, the highest power first, by fused multiply-adds."""

    @intrinsic
    def value(typingctx: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            total = ir.Constant(_DOUBLE, coefficients[0])
            for c in coefficients[1:]:
                product = builder.fmul(total, args[0], flags=("contract",))
                total = builder.fadd(product, ir.Constant(_DOUBLE, c), flags=("contract",))
            return total

        return types.float64(types.float64), codegen

    return value


@intrinsic
def fused(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """x·y + z, rounded once, of the type of x."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return x(x, x, x), codegen


@intrinsic
def _bits(typingctx: Any, x: Any) -> Any:
    """The bits of a float64 as int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _WORD)

    return types.int64(types.float64), codegen


@intrinsic
def _from_bits(typingctx: Any, x: Any) -> Any:
    """The float64 of these bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _DOUBLE)

    return types.float64(types.int64), codegen


# ------------------------------------------------------------ exponentials

_MAGIC = 6755399441055744.0  # 1.5·2⁵²: adding and subtracting it rounds to an integer, which the sum's low bits hold
_LOG2_E, _LN2_HIGH, _LN2_LOW = math.log2(math.e), 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LEAST, _MOST = -746.0, 710.0  # what is beyond is 0, or infinite
_GONE = -709.0  # rounds to 2⁻¹⁰²³, whose bits as a double are 0
_tail = _polynomial(*(1.0 / math.factorial(k) for k in range(13, 1, -1)))  # (eʳ − 1 − r)/r²


@_within
def _scale(z: float) -> Any:
    """2ⁿ from n + 1.5·2⁵², for n in −1022..1023."""
    return _from_bits((_bits(z) + 1023) << 52)


@_within
def _reduced(x: float) -> Any:
    """n + 1.5·2⁵² and r with x = n·log 2 + r."""
    z = x * _LOG2_E + _MAGIC
    n = z - _MAGIC
    return z, fused(n, -_LN2_LOW, fused(n, -_LN2_HIGH, x))


@_within
def exp(x: float) -> Any:
    """eˣ: at most 1 ulp, gradual underflow, inf on overflow."""
    x = choose(x > _MOST, _MOST, x)
    x = choose(x < _LEAST, _LEAST, x)
    z, r = _reduced(x)
    half = ((z - _MAGIC) * 0.5 + _MAGIC) - _MAGIC
    p = (_tail(r) * (r * r) + r) + 1.0
    return p * _scale(half + _MAGIC) * _scale((z - _MAGIC - half) + _MAGIC)


@_within
def exp_below(x: float, low: float) -> Any:
    """e^(x + low) for x <= 0 and a small `low`: at most 1 ulp down to −708, below that 0."""
    x = choose(x < _GONE, _GONE, x)
    z, r = _reduced(x)
    r += low
    return ((_tail(r) * (r * r) + r) + 1.0) * _scale(z)


@_within
def expm1(x: float) -> Any:
    """eˣ − 1: at most 1.5 ulp."""
    a = choose(x < -40.0, -40.0, x)
    a = choose(a > 40.0, 40.0, a)
    z, r = _reduced(a)
    p, scale = _tail(r) * (r * r) + r, _scale(z)
    r = choose(x > 40.0, exp(x), fused(p, scale, scale - 1.0))
    return choose(x == 0.0, x, r)  # with its sign


@_within
def tanh(x: float) -> Any:
    """Hyperbolic tangent, −m/(2 + m) with m = e^(−2|x|) − 1: at most 2 ulp."""
    m = expm1(-2.0 * abs(x))
    return math.copysign(m / (2.0 + m), x)


# ------------------------------------------------------------ logarithms

_log_even = _polynomial(
    1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
    2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01,
)  # fmt: skip
_ROOT = 0x3FE6A09E00000000  # √½, where the significand's range begins
_TINY, _HUGE = 2.2250738585072014e-308, 1.7976931348623157e308


@_within
def _log_of(f: float, k: float, low: float) -> Any:
    """k·log 2 + log(1 + f) + low, for √½ <= 1 + f < √2."""
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f * f
    return k * _LN2_HIGH - ((half - (s * (half + z * _log_even(z)) + (k * _LN2_LOW + low))) - f)


@_within
def _split(u: float) -> Any:
    """k and f with u = 2ᵏ·(1 + f), for a positive normal u."""
    e = (_bits(u) - _ROOT) >> 52
    return float(e), _from_bits(_bits(u) - (e << 52)) - 1.0


@_within
def log(x: float) -> Any:
    """Natural logarithm: at most 1 ulp; −inf of 0, NaN of negative numbers."""
    small = x < _TINY
    k, f = _split(choose(small, x * 18014398509481984.0, x))
    r = _log_of(f, k - choose(small, 54.0, 0.0), 0.0)
    r = choose(x <= _HUGE, r, x)  # inf and NaN
    r = choose(x == 0.0, -math.inf, r)
    return choose(x < 0.0, math.nan, r)


@_within
def log1p(x: float) -> Any:
    """log(1 + x): at most 1.5 ulp; −inf of −1, NaN below."""
    u = 1.0 + x
    k, f = _split(choose(u < _TINY, 1.0, u))
    low = choose(k > 0.0, 1.0 - (u - x), x - (u - 1.0)) / u  # what the sum lost
    near = k == 0.0
    r = _log_of(choose(near, x, f), k, choose(near | (x > 9e15), 0.0, low))
    r = choose((x <= _HUGE) & (x != 0.0), r, x)  # inf, NaN, and 0 with its sign
    r = choose(x == -1.0, -math.inf, r)
    return choose(x < -1.0, math.nan, r)


# ------------------------------------------------------------ sine and cosine

_TWO_OVER_PI = 2.0 / math.pi
_P1, _P2, _P3 = 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33
_sine_odd = _polynomial(
    1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06, -1.98412698298579493134e-04,
    8.33333333332248946124e-03, -1.66666666666666324348e-01,
)  # fmt: skip
_cosine_even = _polynomial(
    -1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07, 2.48015872894767294178e-05,
    -1.38888888888741095749e-03, 4.16666666666666019037e-02,
)  # fmt: skip


@_within
def _circle(x: float, quarters: int) -> Any:
    """The sine of x + quarters·π/2, for |x| up to 10⁶."""
    z = x * _TWO_OVER_PI + _MAGIC
    n = z - _MAGIC
    r = fused(n, -_P3, fused(n, -_P2, fused(n, -_P1, x)))
    s = r * r
    odd = fused(r * s, _sine_odd(s), r)
    half = 0.5 * s
    w = 1.0 - half
    even = w + (((1.0 - w) - half) + s * s * _cosine_even(s))
    place = _bits(z) + quarters
    value = choose((place & 1) != 0, even, odd)
    return choose((place & 2) != 0, -value, value)


@_within
def sin(x: float) -> Any:
    """Sine, for |x| up to 10⁶: at most 1 ulp."""
    return choose(x == 0.0, x, _circle(x, 0))


@_within
def cos(x: float) -> Any:
    """Cosine, for |x| up to 10⁶: at most 1 ulp."""
    return _circle(x, 1)


# ------------------------------------------------------------ the normal distribution

_erf_above = _polynomial(
    -2.37630166566501626084e-05, -5.77027029648944159157e-03, -2.84817495755985104766e-02, -3.25042107247001499370e-01,
    1.28379167095512558561e-01,
)  # fmt: skip
_erf_below = _polynomial(
    -3.96022827877536812320e-06, 1.32494738004321644526e-04, 5.08130628187576562776e-03, 6.50222499887672944485e-02,
    3.97917223959155352819e-01, 1.0,
)  # fmt: skip
_scaled = _polynomial(
    4.2514714447963897761e-10, 3.1114333809799251993e-10, -5.1739902140113096269e-09, -3.7442100809620186444e-09,
    3.8675334242222356816e-08, 2.3263508708859123732e-08, -2.5866850716155885443e-07, -5.7218230603224087501e-08,
    1.7516376488490621431e-06, -9.7355989673677493407e-07, -1.1444146237700523373e-05, 2.238423915508222982e-05,
    5.1649098892682403449e-05, -2.9015408054084171105e-04, 2.9371366559134481992e-04, 1.7556258528952953569e-03,
    -9.7465795580292755337e-03, 2.8362277418956404286e-02, -5.8693398589636774061e-02, 9.230432116037747776e-02,
    -1.0880393014174885723e-01, 8.2276738490145207683e-02, 3.585415485464429369e-03, -1.4024059858554696245e-01,
    1.2375126308378275796,
)  # fmt: skip
_CENTRE = 3.75
_SQRT_HALF = 0.7071067811865476
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
_ERF_SMALL, _ERF_MOST, _NORMAL_MOST, _TANH_MOST = 0.84375, 6.0, 38.5, 22.0


@_within
def _erfcx(a: float) -> Any:
    """e^(a²)·erfc(a) for a >= 0."""
    return _scaled((a - _CENTRE) / (a + _CENTRE)) / (1.0 + 2.0 * a)


@_within
def erf(x: float) -> Any:
    """Error function: at most 1 ulp."""
    a, s = abs(x), x * x
    small = x + x * (_erf_above(s) / _erf_below(s))
    t = choose(a > _ERF_MOST, _ERF_MOST, a)
    large = math.copysign(1.0 - _erfcx(t) * exp_below(-(t * t), 0.0), x)
    return choose(a < _ERF_SMALL, small, choose(x == x, large, x))


@_within
def normal(x: float) -> Any:
    """Φ(x), the normal distribution function, and its derivative φ(x), which share their exponential.

    Φ(−a) = erfcx(a/√2)·e^(−a²/2)/2, where the square's rounding error goes into the exponential. Within 4 ulp down to
    x = −37.6, below which both are 0.
    """
    a = abs(x)
    a = choose(a > _NORMAL_MOST, _NORMAL_MOST, a)
    square = a * a
    e = exp_below(-0.5 * square, -0.5 * fused(a, a, -square))
    below = 0.5 * (_erfcx(a * _SQRT_HALF) * e)
    return choose(x > 0.0, 1.0 - below, below), _DENSITY * e


_SCALE, _SCALE_LOW = 1.5957691216057308, -9.96930880911092e-17
_CUBIC, _CUBIC_LOW = 0.07135481627260025, -6.175149918155315e-19


@_within
def normal_by_tanh(x: float) -> Any:
    """(1 + tanh v)/2 with v = √(2/π)·(x + 0.044715·x³), and 2·∂v/∂x. x times the first is within 3 ulp.

    An error of 2v would be one of the exponential, and 2v reaches 709: it is made with what its roundings lose.
    """
    a = abs(x)
    a = choose(a > _TANH_MOST, _TANH_MOST, a)
    square = a * a
    p = _CUBIC * square
    p_low = fused(_CUBIC, square, -p) + (_CUBIC * fused(a, a, -square) + _CUBIC_LOW * square)
    w = _SCALE + p
    back = w - p
    w_low = ((_SCALE - back) + (p - (w - back))) + (_SCALE_LOW + p_low)
    v = w * a
    e = exp_below(-v, -(fused(w, a, -v) + w_low * a))
    return choose(x >= 0.0, 1.0, e) / (1.0 + e), _SCALE + 3.0 * _CUBIC * (x * x)
