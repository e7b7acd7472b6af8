"""Rows of attention's scores: softmax and its derivative, in LLVM's own language (see `vectors.py`).

A row is a few vectors long, so what a loop of the vectoriser's does before and after it would cost as much as the loop.
Rows lie in memory that reaches to the end of their last vector; a mask hides what is beyond the keys that a query sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from . import lane_math
from .compile import intrinsic
from .vectors import Code, Lanes, elementwise, vector_code

Array = Any
_WORD, _SHORT = ir.IntType(64), ir.IntType(32)


def _loop(
    builder: Any, count: Any, step: int, states: list[Any], body: Callable[[Any, list[Any]], list[Any]]
) -> list[Any]:
    """`for k in range(0, count, step)`: body(k, states) gives the next states, as values of LLVM."""
    zero, before = ir.Constant(_WORD, 0), builder.block
    inside, done = builder.append_basic_block("row.loop"), builder.append_basic_block("row.done")
    builder.cbranch(builder.icmp_signed(">", count, zero), inside, done)
    builder.position_at_end(inside)
    k, held = builder.phi(_WORD), [builder.phi(s.type) for s in states]
    following = [builder.add(k, ir.Constant(_WORD, step)), *body(k, held)]
    for phi, first, after in zip([k, *held], [zero, *states], following, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(after, builder.block)
    last = builder.block
    builder.cbranch(builder.icmp_signed("<", following[0], count), inside, done)
    builder.position_at_end(done)
    results = []
    for first, after in zip(states, following[1:], strict=True):
        phi = builder.phi(first.type)
        phi.add_incoming(first, before)
        phi.add_incoming(after, last)
        results.append(phi)
    return results


def _spread(code: Code, scalar: Any) -> Lanes:
    builder = code.builder
    undefined = ir.Constant(code.floats, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_SHORT, 0))
    lanes = ir.Constant(ir.VectorType(_SHORT, code.lanes), [0] * code.lanes)
    return Lanes(builder, builder.shuffle_vector(first, undefined, lanes))


def _across(code: Code, vector: Any, join: Callable[[Lanes, Lanes], Lanes]) -> Any:
    """The elements of a vector joined, halves first."""
    builder, width = code.builder, code.lanes
    while width > 1:
        width //= 2
        halves = [
            Lanes(builder, builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_SHORT, width), places)))
            for places in (list(range(width)), list(range(width, 2 * width)))
        ]
        vector = join(*halves).value
    return builder.extract_element(vector, ir.Constant(_SHORT, 0))


class _Row:
    """Access to the vectors of rows of which the first `seen` elements count."""

    def __init__(self, code: Code, seen: Any) -> None:
        self.code, self.seen = code, seen

    def load(self, row: Any, k: Any) -> Lanes:
        return Lanes(self.code.builder, self.code.load(self._at(row, k)))

    def store(self, value: Lanes, row: Any, k: Any) -> None:
        self.code.store(value.value, self._at(row, k))

    def _at(self, row: Any, k: Any) -> Any:
        builder = self.code.builder
        return builder.add(row, builder.mul(k, ir.Constant(_WORD, self.code.size)))

    def visible(self, value: Lanes, k: Any, other: float) -> Lanes:
        """The value where the elements from k on count, elsewhere the other."""
        builder, n = self.code.builder, self.code.lanes
        words = ir.VectorType(_SHORT, n)
        left = builder.trunc(builder.sub(self.seen, k), _SHORT)
        first = builder.insert_element(ir.Constant(words, ir.Undefined), left, ir.Constant(_SHORT, 0))
        all_left = builder.shuffle_vector(first, first, ir.Constant(words, [0] * n))
        inside = builder.icmp_signed("<", ir.Constant(words, list(range(n))), all_left)
        return Lanes(builder, builder.select(inside, value.value, value.constant(other).value))


@intrinsic
def softmax_row(typingctx: Any, like: Any, row: Any, seen: Any, filled: Any, scale: Any) -> Any:
    """The first `seen` scores become exp(scale·s − top), those up to `filled` 0; gives top, and the sum of them.

    `filled` is a multiple of a vector's elements. If all that count are −∞ the sum is NaN.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, row, seen, filled, factor = args
        code = Code(context, builder, like.dtype)
        rows, scale = _Row(code, seen), _spread(code, factor)
        least = Lanes(builder, code.zero).constant(float("-inf"))

        def highest(k: Any, states: list[Any]) -> list[Any]:
            x, top = rows.visible(rows.load(row, k) * scale, k, float("-inf")), Lanes(builder, states[0])
            return [x.where(">", top, x, top).value]

        (tops,) = _loop(builder, filled, code.lanes, [least.value], highest)
        top = _across(code, tops, lambda a, b: a.where(">", b, a, b))
        shift = _spread(code, top)

        def weights(k: Any, states: list[Any]) -> list[Any]:
            x = rows.visible(lane_math.exp_below(rows.load(row, k) * scale - shift), k, 0.0)
            rows.store(x, row, k)
            return [(Lanes(builder, states[0]) + x).value]

        (sums,) = _loop(builder, filled, code.lanes, [code.zero], weights)
        total = _across(code, sums, lambda a, b: a + b)
        return context.make_tuple(builder, signature.return_type, [top, total])

    return types.UniTuple(like.dtype, 2)(like, types.int64, types.int64, types.int64, like.dtype), codegen


@intrinsic
def slope_row(
    typingctx: Any, like: Any, weights: Any, slopes: Any, shift: Any, more: Any, seen: Any, filled: Any, scale: Any
) -> Any:  # fmt: skip
    """Scores s to weights p = exp(scale·s − shift), and d to p·(d + more)·scale; beyond `seen` both become 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, weights, slopes, shift, more, seen, filled, scale = args
        code = Code(context, builder, like.dtype)
        rows = _Row(code, seen)
        less, add, factor = (_spread(code, x) for x in (shift, more, scale))

        def body(k: Any, states: list[Any]) -> list[Any]:
            p = lane_math.exp(rows.load(weights, k) * factor - less)
            slope = p * (rows.load(slopes, k) + add) * factor
            rows.store(rows.visible(p, k, 0.0), weights, k)
            rows.store(rows.visible(slope, k, 0.0), slopes, k)
            return []

        _loop(builder, filled, code.lanes, [], body)
        return context.get_dummy_value()

    words = types.int64, types.int64
    return types.void(like, *words, like.dtype, like.dtype, *words, like.dtype), codegen


@intrinsic
def dot_rows(typingctx: Any, like: Any, x: Any, y: Any, count: Any) -> Any:
    """Σ x·y of `count` elements at two addresses."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, x, y, count = args
        code = Code(context, builder, like.dtype)
        rows, element = _Row(code, count), code.floats.element
        whole = builder.and_(count, ir.Constant(_WORD, -code.lanes))

        def vectors(k: Any, states: list[Any]) -> list[Any]:
            return [(Lanes(builder, states[0]) + rows.load(x, k) * rows.load(y, k)).value]

        def elements(k: Any, states: list[Any]) -> list[Any]:
            at = builder.mul(builder.add(k, whole), ir.Constant(_WORD, code.size))
            a, b = (Lanes(builder, code.load(builder.add(base, at), element)) for base in (x, y))
            return [(Lanes(builder, states[0]) + a * b).value]

        (sums,) = _loop(builder, whole, code.lanes, [code.zero], vectors)
        total = _across(code, sums, lambda a, b: a + b)
        (total,) = _loop(builder, builder.sub(count, whole), 1, [total], elements)
        return total

    return like.dtype(like, types.int64, types.int64, types.int64), codegen


@intrinsic
def scale_row(typingctx: Any, like: Any, row: Any, count: Any, factor: Any) -> Any:
    """row *= the number at the address `factor`."""

    def generate(code: Code, row: Any, count: Any, factor: Any) -> None:
        number = code.load(factor, code.floats.element)
        vector = _spread(code, number)

        def body(load: Any, store: Any) -> None:
            x = load(row)
            whole = isinstance(x.value.type, ir.VectorType)
            store(x * (vector if whole else Lanes(code.builder, number)), row)

        elementwise(code, count, body)

    return vector_code(like, (row, count, factor), generate)
