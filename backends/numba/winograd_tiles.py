"""The transforms of Winograd's F(2×2, 3×3) for one tile and one vector of channels, and their adjoints.

    V = Bᵀ d B    of a window d of 4 × 4 pixels    Bᵀ = [[1, 0, −1, 0], [0, 1, 1, 0], [0, −1, 1, 0], [0, 1, 0, −1]]
    Y = Aᵀ M A    the 2 × 2 pixels of the result   Aᵀ = [[1, 1, 1, 0], [0, 1, −1, −1]]

Straight-line vector code as in `vectors.py`: the sixteen products of a tile, row by row, lie `step` bytes apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from .compile import intrinsic
from .vectors import Code, vector_code

_WORD = ir.IntType(64)
Vectors = Sequence[Any]


def _at(code: Code, base: Any, *terms: tuple[Any, int]) -> Any:
    """base + Σ step · n."""
    for step, n in terms:
        base = code.builder.add(base, code.builder.mul(step, ir.Constant(_WORD, n)))
    return base


def _products(code: Code, base: Any, step: Any) -> list[Any]:
    """Where the sixteen products of a tile lie."""
    return [_at(code, base, (step, n)) for n in range(16)]


def _window(code: Code, base: Any, row: Any, pixel: Any) -> list[Any]:
    """Where the sixteen pixels of a window lie."""
    return [_at(code, base, (row, i), (pixel, j)) for i in range(4) for j in range(4)]


def _twice(transform: Any, columns: int, values: Vectors) -> list[Any]:
    """A transform of the columns of a matrix, given row by row, and then of its rows."""
    by_column = [transform(values[j::columns]) for j in range(columns)]
    rows = [transform([column[i] for column in by_column]) for i in range(len(by_column[0]))]
    return [value for row in rows for value in row]


def _enter(code: Code) -> Any:
    add, sub = code.builder.fadd, code.builder.fsub
    return lambda d: (sub(d[0], d[2]), add(d[1], d[2]), sub(d[2], d[1]), sub(d[1], d[3]))


def _leave(code: Code) -> Any:
    add, sub = code.builder.fadd, code.builder.fsub
    return lambda m: (add(add(m[0], m[1]), m[2]), sub(sub(m[1], m[2]), m[3]))


def _leave_back(code: Code) -> Any:
    builder = code.builder
    return lambda y: (y[0], builder.fadd(y[0], y[1]), builder.fsub(y[0], y[1]), builder.fneg(y[1]))


def _enter_back(code: Code) -> Any:
    add, sub, neg = code.builder.fadd, code.builder.fsub, code.builder.fneg
    return lambda v: (v[0], add(sub(v[1], v[2]), v[3]), sub(add(v[1], v[2]), v[0]), neg(v[3]))


@intrinsic
def enter_tile(typingctx: Any, like: Any, d: Any, row: Any, pixel: Any, v: Any, step: Any) -> Any:
    """V = Bᵀ d B, for a window whose rows lie `row` and pixels `pixel` bytes apart."""

    def generate(code: Code, d: Any, row: Any, pixel: Any, v: Any, step: Any) -> None:
        values = [code.load(address) for address in _window(code, d, row, pixel)]
        for value, address in zip(_twice(_enter(code), 4, values), _products(code, v, step), strict=True):
            code.store(value, address)

    return vector_code(like, (d, row, pixel, v, step), generate)


@intrinsic
def enter_back_tile(typingctx: Any, like: Any, v: Any, step: Any, d: Any, row: Any, pixel: Any) -> Any:
    """Add B V Bᵀ to a window."""

    def generate(code: Code, v: Any, step: Any, d: Any, row: Any, pixel: Any) -> None:
        values = [code.load(address) for address in _products(code, v, step)]
        for value, address in zip(_twice(_enter_back(code), 4, values), _window(code, d, row, pixel), strict=True):
            code.store(code.builder.fadd(code.load(address), value), address)

    return vector_code(like, (v, step, d, row, pixel), generate)


def _left(code: Code, m: Any, step: Any, bias: Any) -> list[Any]:
    """The four pixels, row by row, with the bias."""
    values = [code.load(address) for address in _products(code, m, step)]
    shift = code.load(bias)
    return [code.builder.fadd(value, shift) for value in _twice(_leave(code), 4, values)]


@intrinsic
def leave_tile(
    typingctx: Any, like: Any, m: Any, step: Any, bias: Any, relu: Any, a: Any, b: Any, c: Any, d: Any
) -> Any:
    """Aᵀ M A + bias to four addresses, one a pixel; max(…, 0) of it where `relu` is not 0."""

    def generate(code: Code, m: Any, step: Any, bias: Any, relu: Any, *targets: Any) -> None:
        floor = code.floor(relu)
        for value, target in zip(_left(code, m, step, bias), targets, strict=True):
            code.store(code.at_least(value, floor), target)

    return vector_code(like, (m, step, bias, relu, a, b, c, d), generate)


@intrinsic
def leave_pooled_tile(typingctx: Any, like: Any, m: Any, step: Any, bias: Any, out: Any, place: Any) -> Any:
    """The largest of the four pixels of Aᵀ M A + bias and 0, and its place, as `top_vector`."""

    def generate(code: Code, m: Any, step: Any, bias: Any, out: Any, place: Any) -> None:
        top, tap = code.top(*_left(code, m, step, bias))
        code.store(top, out)
        code.store(tap, place)

    return vector_code(like, (m, step, bias, out, place), generate)


@intrinsic
def leave_back_tile(typingctx: Any, like: Any, a: Any, b: Any, c: Any, d: Any, m: Any, step: Any) -> Any:
    """M = A Y Aᵀ of the four pixels at four addresses."""

    def generate(code: Code, a: Any, b: Any, c: Any, d: Any, m: Any, step: Any) -> None:
        values = [code.load(address) for address in (a, b, c, d)]
        for value, address in zip(_twice(_leave_back(code), 2, values), _products(code, m, step), strict=True):
            code.store(value, address)

    return vector_code(like, (a, b, c, d, m, step), generate)


@intrinsic
def leave_back_pooled_tile(typingctx: Any, like: Any, g: Any, place: Any, m: Any, step: Any) -> Any:
    """M = A Y Aᵀ where Y is g at `place` (int8) and 0 elsewhere; all 0 for −1."""

    def generate(code: Code, g: Any, place: Any, m: Any, step: Any) -> None:
        value, where = code.load(g), code.load(place, code.bytes)
        values = [
            code.builder.select(code.builder.icmp_signed("==", where, code.tap(n)), value, code.zero) for n in range(4)
        ]
        for product, address in zip(_twice(_leave_back(code), 2, values), _products(code, m, step), strict=True):
            code.store(product, address)

    return vector_code(like, (g, place, m, step), generate)
