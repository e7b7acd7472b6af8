"""Folding numbers into one: sums, products and extrema of columns and of rows, vector by vector, in LLVM's language.

A loop that sums may not write to memory (`sums.py`), so partial sums are either in registers or in arrays that are read
and written again for every element. Here they are in registers. The order is decided by the shape alone: that of the
rows for a column; for a row the vectors go to `CHAINS` sums in turn, which are then joined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from .compile import intrinsic
from .vectors import Code, vector_code

_INDEX, _WORD = ir.IntType(32), ir.IntType(64)
GROUP = 8  # vectors of a row that `columns` takes at a time
CHAINS = 4  # sums of one row: an addition takes some cycles, in which others begin


@dataclass(frozen=True)
class Fold:
    """The vector code of one way to fold.

    columns(like, x, step, count, out) : `GROUP` vectors at x, x + step, … (bytes), `count` >= 1 times, folded to out.
    column : the same for one vector.
    row(like, x, n, out) : n elements at x, at least a vector of them, folded to one vector at out.
    across(like, x, out) : as many vectors as a vector has elements, next to each other: the elements of each, folded.
    """

    start: float
    columns: Any
    column: Any
    row: Any
    across: Any


Combine = Callable[[Any, Any, Any], Any]  # (builder, folded so far, vector) -> folded


def _add(builder: Any, total: Any, x: Any) -> Any:
    return builder.fadd(total, x)


def _multiply(builder: Any, total: Any, x: Any) -> Any:
    return builder.fmul(total, x)


def _extreme(comparison: str) -> Combine:
    def combine(builder: Any, best: Any, x: Any) -> Any:
        """NaN where either is."""
        better = builder.fcmp_ordered(comparison, x, best)
        return builder.select(builder.or_(better, builder.fcmp_unordered("uno", x, x)), x, best)

    return combine


def _number(n: int) -> Any:
    return ir.Constant(_WORD, n)


def _loop(code: Code, first: Any, last: Any, at: Any, step: Any, values: list[Any], body: Any) -> tuple[Any, list[Any]]:
    """From `first` up to `last`, at an address that grows by `step`: values = body(address, values)."""
    builder = code.builder
    entry = builder.block
    loop, done = builder.append_basic_block("fold.loop"), builder.append_basic_block("fold.done")
    builder.cbranch(builder.icmp_signed("<", first, last), loop, done)
    builder.position_at_end(loop)
    k, place = builder.phi(_WORD), builder.phi(_WORD)
    now = [builder.phi(v.type) for v in values]
    after = body(place, now)
    steps = [builder.add(k, _number(1)), builder.add(place, step)]
    for phi, start, following in zip([k, place, *now], [first, at, *values], [*steps, *after], strict=True):
        phi.add_incoming(start, entry)
        phi.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", steps[0], last), loop, done)
    builder.position_at_end(done)
    results = []
    for start, following in zip([at, *values], [steps[1], *after], strict=True):
        result = builder.phi(start.type)
        result.add_incoming(start, entry)
        result.add_incoming(following, loop)
        results.append(result)
    return results[0], results[1:]


def _columns(name: str, vectors: int, combine: Combine) -> Any:
    def columns(typingctx: Any, like: Any, x: Any, step: Any, count: Any, out: Any) -> Any:
        def generate(code: Code, x: Any, step: Any, count: Any, out: Any) -> None:
            builder = code.builder
            size = code.size * code.lanes

            def load(place: Any) -> list[Any]:
                return [code.load(builder.add(place, _number(v * size))) for v in range(vectors)]

            def body(place: Any, totals: list[Any]) -> list[Any]:
                return [combine(builder, total, x) for total, x in zip(totals, load(place), strict=True)]

            _, totals = _loop(code, _number(1), count, builder.add(x, step), step, load(x), body)
            for v, total in enumerate(totals):
                code.store(total, builder.add(out, _number(v * size)))

        return vector_code(like, (x, step, count, out), generate)

    columns.__name__ = columns.__qualname__ = name
    return intrinsic(columns)


def _row(name: str, start: float, combine: Combine) -> Any:
    def row(typingctx: Any, like: Any, x: Any, n: Any, out: Any) -> Any:
        def generate(code: Code, x: Any, n: Any, out: Any) -> None:
            builder, lanes = code.builder, code.lanes
            size = code.size * lanes
            none = ir.Constant(code.floats, [start] * lanes)
            whole = builder.sdiv(n, _number(lanes * CHAINS))

            def chains(place: Any, totals: list[Any]) -> list[Any]:
                return [
                    combine(builder, total, code.load(builder.add(place, _number(v * size))))
                    for v, total in enumerate(totals)
                ]

            entry = builder.block
            with builder.if_then(builder.icmp_signed(">", whole, _number(0))):
                after, totals = _loop(code, _number(0), whole, x, _number(CHAINS * size), [none] * CHAINS, chains)
                while len(totals) > 1:
                    half = len(totals) // 2
                    totals = [combine(builder, a, b) for a, b in zip(totals[:half], totals[half:], strict=True)]
                long = builder.block
            at, total = builder.phi(_WORD), builder.phi(code.floats)
            for phi, short, found in ((at, x, after), (total, none, totals[0])):
                phi.add_incoming(short, entry)
                phi.add_incoming(found, long)
            left = builder.srem(n, _number(lanes * CHAINS))

            def one(place: Any, totals: list[Any]) -> list[Any]:
                return [combine(builder, totals[0], code.load(place))]

            vectors = builder.sdiv(left, _number(lanes))
            _, totals = _loop(code, _number(0), vectors, at, _number(size), [total], one)
            # the last elements are the end of a vector whose start has been folded already
            rest = builder.srem(n, _number(lanes))
            end = builder.add(x, builder.mul(builder.sub(n, _number(lanes)), _number(code.size)))
            words = ir.VectorType(_INDEX, lanes)
            first = builder.trunc(builder.sub(_number(lanes), rest), _INDEX)
            spread = builder.insert_element(ir.Constant(words, ir.Undefined), first, ir.Constant(_INDEX, 0))
            spread = builder.shuffle_vector(spread, spread, ir.Constant(words, [0] * lanes))
            new = builder.icmp_signed(">=", ir.Constant(words, list(range(lanes))), spread)
            tail = builder.select(new, code.load(end), none)
            code.store(combine(builder, totals[0], tail), out)

        return vector_code(like, (x, n, out), generate)

    row.__name__ = row.__qualname__ = name
    return intrinsic(row)


def _across(name: str, combine: Combine) -> Any:
    def across(typingctx: Any, like: Any, x: Any, out: Any) -> Any:
        def generate(code: Code, x: Any, out: Any) -> None:
            """Two vectors at a time: of each pair of neighbours in both, the even ones with the odd ones."""
            builder, lanes = code.builder, code.lanes
            rows = [code.load(builder.add(x, _number(r * code.size * lanes))) for r in range(lanes)]

            def mixed(a: Any, b: Any, places: list[int]) -> Any:
                return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INDEX, lanes), places))

            evens, odds = list(range(0, 2 * lanes, 2)), list(range(1, 2 * lanes, 2))
            while len(rows) > 1:
                rows = [
                    combine(builder, mixed(a, b, evens), mixed(a, b, odds))
                    for a, b in zip(rows[::2], rows[1::2], strict=True)
                ]
            code.store(rows[0], out)

        return vector_code(like, (x, out), generate)

    across.__name__ = across.__qualname__ = name
    return intrinsic(across)


def _fold(name: str, start: float, combine: Combine) -> Fold:
    return Fold(
        start,
        _columns(f"{name}_columns", GROUP, combine),
        _columns(f"{name}_column", 1, combine),
        _row(f"{name}_row", start, combine),
        _across(f"{name}_across", combine),
    )


FOLDS = {
    "sum": _fold("sum", 0.0, _add),
    "max": _fold("max", -math.inf, _extreme(">")),
    "min": _fold("min", math.inf, _extreme("<")),
    "prod": _fold("prod", 1.0, _multiply),
}
