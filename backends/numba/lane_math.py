"""Functions of vectors for code that is being written (`vectors.elementwise`): those of `mathematics.py` and
`squashing.py`, by formula.

In single precision they are the same polynomials; double precision calls the C library for each element.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from . import mathematics, squashing
from .vectors import Code, Lanes

_WORD = ir.IntType(32)


def _is_single(x: Lanes) -> bool:
    kind = x.value.type
    return isinstance(kind.element if isinstance(kind, ir.VectorType) else kind, ir.FloatType)


def _each(x: Lanes, name: str) -> Lanes:
    """A function of the C library, element by element."""
    builder, double = x.builder, ir.DoubleType()
    function = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(double, [double]), name)
    if not isinstance(x.value.type, ir.VectorType):
        return Lanes(builder, builder.call(function, [x.value]))
    result = ir.Constant(x.value.type, ir.Undefined)
    for n in range(x.value.type.count):
        place = ir.Constant(_WORD, n)
        value = builder.call(function, [builder.extract_element(x.value, place)])
        result = builder.insert_element(result, value, place)
    return Lanes(builder, result)


def _constant(like: Lanes, number: Any) -> Lanes:
    return like.constant(float(number))


def _polynomial(x: Lanes, coefficients: tuple[Any, ...]) -> Lanes:
    total = _constant(x, coefficients[0])
    for c in coefficients[1:]:
        total = total * x + float(c)
    return total


def _two_to(z: Lanes) -> Lanes:
    """2ⁿ from n + 127 + 1.5·2²³."""
    builder, kind = z.builder, z.value.type
    vector = isinstance(kind, ir.VectorType)
    words = ir.VectorType(_WORD, kind.count) if vector else _WORD
    shift = ir.Constant(words, [23] * kind.count if vector else 23)
    return Lanes(builder, builder.bitcast(builder.shl(builder.bitcast(z.value, words), shift), kind))


def _exponential(x: Lanes) -> Lanes:
    """eˣ for −88 <= x <= 89, beyond 88.4 as inf."""
    m = mathematics
    z = x * float(m._LOG2_E) + float(m._ROUND_BIASED)
    n = z - float(m._ROUND_BIASED)
    r = (x - n * float(m._LN2_HIGH)) - n * float(m._LN2_LOW)
    return _polynomial(r, (m._E0, m._E1, m._E2, m._E3, m._E4, 1.0, 1.0)) * _two_to(z)


def exp_below(x: Lanes) -> Lanes:
    """eˣ for x <= 0."""
    if not _is_single(x):
        return _each(x, "exp")
    gone = _constant(x, mathematics.EXP_GONE)
    return _exponential(x.where("<", gone, gone, x))


def exp(x: Lanes) -> Lanes:
    """eˣ. Single precision: 0 below −87.7, inf from 88.4."""
    if not _is_single(x):
        return _each(x, "exp")
    much = _constant(x, 89.0)
    return exp_below(x.where(">", much, much, x))


def sigmoid(x: Lanes) -> Lanes:
    """1/(1 + e⁻ˣ), by e^−|x|."""
    zero = _constant(x, 0.0)
    e = exp_below(x.negative_size())
    return x.where(">=", zero, _constant(x, 1.0), e) / (e + 1.0)


def tanh(x: Lanes) -> Lanes:
    """Hyperbolic tangent."""
    if not _is_single(x):
        return _each(x, "tanh")
    zero, m = _constant(x, 0.0), squashing
    minus = x.negative_size()
    s = x * x
    small = _polynomial(s, m.TANH) * s * x + x
    e = exp_below(minus + minus)
    large = (1.0 - e) / (e + 1.0)
    large = x.where("<", zero, zero - large, large)
    return minus.where(">", _constant(x, -float(m.TANH_SMALL)), small, large)


def gate_of(code: Code, width: Any) -> Any:
    """What gives the address of the n-th of several parts of a row, each of `width` elements."""
    builder = code.builder
    return lambda base, n: builder.add(base, builder.mul(width, ir.Constant(width.type, n * code.size)))
