"""Straight-line vector code for short rows of channels, in LLVM's own language.

The loop vectoriser makes its loops longer than a pixel's 32 channels and leaves those to a scalar rest, and it cannot
know several places in one array apart. Here each function is one vector of `lanes(itemsize)` elements; addresses are
int64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .compile import intrinsic
from .tile import TALL_ROWS, VECTOR_BYTES, VECTORS

_BYTE, _WORD = ir.IntType(8), ir.IntType(64)


def lanes(itemsize: int) -> int:
    """Elements of one vector."""
    return VECTOR_BYTES // itemsize


class Code:
    """What the functions below are written with: loads, stores and constants of one dtype's vectors."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self.builder = builder
        self.size = dtype.bitwidth // 8
        self.lanes = lanes(self.size)
        self.floats = ir.VectorType(context.get_value_type(dtype), self.lanes)
        self.bytes = ir.VectorType(_BYTE, self.lanes)
        self.zero = ir.Constant(self.floats, [0.0] * self.lanes)

    def load(self, address: Any, kind: Any = None) -> Any:
        kind = kind or self.floats
        value = self.builder.load(self.builder.inttoptr(address, kind.as_pointer()))
        value.align = 1 if kind is self.bytes else self.size
        return value

    def store(self, value: Any, address: Any) -> None:
        stored = self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()))
        stored.align = 1 if value.type == self.bytes else self.size

    def tap(self, n: int) -> Any:
        return ir.Constant(self.bytes, [n % 256] * self.lanes)

    def floor(self, relu: Any) -> Any:
        """Zeros where `relu` is not 0, else the lowest values."""
        wanted = self.builder.icmp_signed("!=", relu, ir.Constant(_WORD, 0))
        return self.builder.select(wanted, self.zero, ir.Constant(self.floats, [float("-inf")] * self.lanes))

    def at_least(self, x: Any, floor: Any) -> Any:
        """x where it is above the floor, and the floor where it is not; NaN stays."""
        return self.builder.select(self.builder.fcmp_ordered("<=", x, floor), floor, x)

    def beats(self, x: Any, y: Any) -> Any:
        """x ≥ y, or x is NaN."""
        builder = self.builder
        return builder.or_(builder.fcmp_ordered(">=", x, y), builder.fcmp_unordered("uno", x, x))

    def top(self, p: Any, q: Any, r: Any, s: Any) -> tuple[Any, Any]:
        """The largest of four vectors and 0, and its place; −1 where none is positive. See `top_vector`."""
        select = self.builder.select
        left, lower_left = self.beats(p, q), self.beats(r, s)
        u, i = select(left, p, q), select(left, self.tap(0), self.tap(1))
        v, j = select(lower_left, r, s), select(lower_left, self.tap(2), self.tap(3))
        upper = self.beats(u, v)
        top, tap = select(upper, u, v), select(upper, i, j)
        flat = self.builder.fcmp_ordered("<=", top, self.zero)
        return select(flat, self.zero, top), select(flat, self.tap(-1), tap)


def vector_code(like: Any, arguments: tuple[Any, ...], generate: Callable[..., None]) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        generate(Code(context, builder, like.dtype), *args[1:])
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * len(arguments)), codegen


@intrinsic
def spread_vector(typingctx: Any, like: Any, g: Any, place: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """g to that of the four addresses which `place` (int8) names, 0 to the others; to none of them for −1."""

    def generate(code: Code, g: Any, place: Any, *targets: Any) -> None:
        value, where = code.load(g), code.load(place, code.bytes)
        for n, target in enumerate(targets):
            here = code.builder.icmp_signed("==", where, code.tap(n))
            code.store(code.builder.select(here, value, code.zero), target)

    return vector_code(like, (g, place, a, b, c, d), generate)


@intrinsic
def top_vector(typingctx: Any, like: Any, a: Any, b: Any, c: Any, d: Any, out: Any, place: Any) -> Any:
    """The largest of the vectors at four addresses and 0, and its place; −1 where none is positive.

    The first of equal ones and the first NaN win.
    """

    def generate(code: Code, a: Any, b: Any, c: Any, d: Any, out: Any, place: Any) -> None:
        top, tap = code.top(*(code.load(address) for address in (a, b, c, d)))
        code.store(top, out)
        code.store(tap, place)

    return vector_code(like, (a, b, c, d, out, place), generate)


@intrinsic
def sum_vectors(typingctx: Any, like: Any, x: Any, step: Any, count: Any, total: Any) -> Any:
    """Add the vectors at x, x + step, … (bytes), `count` of them, one after the other, to the one at `total`."""

    def generate(code: Code, x: Any, step: Any, count: Any, total: Any) -> None:
        builder = code.builder
        first = code.load(total)
        entry = builder.block
        loop, done = builder.append_basic_block("sum.loop"), builder.append_basic_block("sum.done")
        builder.cbranch(builder.icmp_signed(">", count, ir.Constant(_WORD, 0)), loop, done)
        builder.position_at_end(loop)
        k, at, partial = builder.phi(_WORD), builder.phi(_WORD), builder.phi(code.floats)
        following = builder.fadd(partial, code.load(at))
        k_next, at_next = builder.add(k, ir.Constant(_WORD, 1)), builder.add(at, step)
        for phi, start, after in ((k, ir.Constant(_WORD, 0), k_next), (at, x, at_next), (partial, first, following)):
            phi.add_incoming(start, entry)
            phi.add_incoming(after, loop)
        builder.cbranch(builder.icmp_signed("<", k_next, count), loop, done)
        builder.position_at_end(done)
        result = builder.phi(code.floats)
        result.add_incoming(first, entry)
        result.add_incoming(following, loop)
        code.store(result, total)

    return vector_code(like, (x, step, count, total), generate)


def _copier(name: str, elements: Callable[[int], int], add: bool = False) -> Any:
    """Makes what copies `count` runs of so many elements, from x, x + x_step, … (bytes) to out, out + out_step, …

    Or adds them to what is there.
    """

    def copy_runs(typingctx: Any, like: Any, x: Any, x_step: Any, out: Any, out_step: Any, count: Any) -> Any:
        def generate(code: Code, x: Any, x_step: Any, out: Any, out_step: Any, count: Any) -> None:
            builder, zero = code.builder, ir.Constant(_WORD, 0)
            run = ir.VectorType(code.floats.element, elements(code.size))
            entry = builder.block
            loop, done = builder.append_basic_block("copy.loop"), builder.append_basic_block("copy.done")
            builder.cbranch(builder.icmp_signed(">", count, zero), loop, done)
            builder.position_at_end(loop)
            k, source, target = (builder.phi(_WORD) for _ in range(3))
            value = code.load(source, run)
            code.store(builder.fadd(value, code.load(target, run)) if add else value, target)
            k_next = builder.add(k, ir.Constant(_WORD, 1))
            after = k_next, builder.add(source, x_step), builder.add(target, out_step)
            for phi, start, following in zip((k, source, target), (zero, x, out), after, strict=True):
                phi.add_incoming(start, entry)
                phi.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", k_next, count), loop, done)
            builder.position_at_end(done)

        return vector_code(like, (x, x_step, out, out_step, count), generate)

    copy_runs.__name__ = copy_runs.__qualname__ = name
    return intrinsic(copy_runs)


copy_widths = _copier("copy_widths", lambda size: VECTORS * VECTOR_BYTES // size)  #: as wide as the register tile
copy_vectors = _copier("copy_vectors", lanes)  #: one vector each
add_vectors = _copier("add_vectors", lanes, add=True)
copy_heights = _copier("copy_heights", lambda size: TALL_ROWS)  #: as long as the tall tile is high


@intrinsic
def spread_value(typingctx: Any, like: Any, x: Any, out: Any) -> Any:
    """The element at an address, in each place of the vector at another."""

    def generate(code: Code, x: Any, out: Any) -> None:
        value = code.load(x, code.floats.element)
        first = code.builder.insert_element(code.zero, value, ir.Constant(ir.IntType(32), 0))
        places = ir.Constant(ir.VectorType(ir.IntType(32), code.lanes), [0] * code.lanes)
        code.store(code.builder.shuffle_vector(first, code.zero, places), out)

    return vector_code(like, (x, out), generate)


def _spreader(part: int) -> Any:
    """Makes what writes `part` vectors for each of `count` vectors x, x + x_step, … (bytes), one after the other.

    The j-th of them has the j-th element of each `part` elements of x in their place.
    """

    def spread_parts(typingctx: Any, like: Any, x: Any, x_step: Any, out: Any, count: Any) -> Any:
        def generate(code: Code, x: Any, x_step: Any, out: Any, count: Any) -> None:
            builder, zero = code.builder, ir.Constant(_WORD, 0)
            entry = builder.block
            loop, done = builder.append_basic_block("spread.loop"), builder.append_basic_block("spread.done")
            builder.cbranch(builder.icmp_signed(">", count, zero), loop, done)
            builder.position_at_end(loop)
            k, source, target = (builder.phi(_WORD) for _ in range(3))
            value, kind = code.load(source), ir.VectorType(ir.IntType(32), code.lanes)
            for j in range(part):
                places = ir.Constant(kind, [min(n // part * part + j, code.lanes - 1) for n in range(code.lanes)])
                to = builder.add(target, ir.Constant(_WORD, j * code.lanes * code.size))
                code.store(builder.shuffle_vector(value, value, places), to)
            k_next = builder.add(k, ir.Constant(_WORD, 1))
            after = k_next, builder.add(source, x_step), builder.add(target, ir.Constant(_WORD, part * VECTOR_BYTES))
            for phi, start, following in zip((k, source, target), (zero, x, out), after, strict=True):
                phi.add_incoming(start, entry)
                phi.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", k_next, count), loop, done)
            builder.position_at_end(done)

        return vector_code(like, (x, x_step, out, count), generate)

    spread_parts.__name__ = spread_parts.__qualname__ = f"spread_{part}"
    return intrinsic(spread_parts)


spread_2, spread_4, spread_8 = _spreader(2), _spreader(4), _spreader(8)


@intrinsic
def transpose_vectors(typingctx: Any, like: Any, x: Any, x_step: Any, out: Any, out_step: Any) -> Any:
    """The square of `lanes` vectors at x, x + x_step, … (bytes), transposed, to out, out + out_step, …"""

    def generate(code: Code, x: Any, x_step: Any, out: Any, out_step: Any) -> None:
        builder, n = code.builder, code.lanes

        def at(base: Any, step: Any, row: int) -> Any:
            return builder.add(base, builder.mul(step, ir.Constant(_WORD, row)))

        rows = [code.load(at(x, x_step, row)) for row in range(n)]
        half = 1
        while half < n:  # squares of twice the size: their off-diagonal quarters change places
            upper = [e if not e & half else n + e - half for e in range(n)]
            lower = [e + half if not e & half else n + e for e in range(n)]
            for row in range(n):
                if not row & half:
                    a, b = rows[row], rows[row + half]
                    rows[row], rows[row + half] = (
                        builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), n), places))
                        for places in (upper, lower)
                    )
            half *= 2
        for row in range(n):
            code.store(rows[row], at(out, out_step, row))

    return vector_code(like, (x, x_step, out, out_step), generate)


class Lanes:
    """A vector in code that is being written: arithmetic of its elements, with a·b + c fused."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _other(self, other: Lanes | float) -> Any:
        if isinstance(other, Lanes):
            return other.value
        kind = self.value.type
        return ir.Constant(kind, [float(other)] * kind.count if isinstance(kind, ir.VectorType) else float(other))

    def __add__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fadd(self.value, self._other(other), flags=("contract",)))

    def __mul__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fmul(self.value, self._other(other), flags=("contract",)))

    def __sub__(self, other: Lanes | float) -> Lanes:
        return Lanes(self.builder, self.builder.fsub(self.value, self._other(other), flags=("contract",)))

    def __rsub__(self, other: float) -> Lanes:
        return Lanes(self.builder, self.builder.fsub(self._other(other), self.value, flags=("contract",)))

    def __truediv__(self, other: Lanes) -> Lanes:
        return Lanes(self.builder, self.builder.fdiv(self.value, other.value))

    def constant(self, number: float) -> Lanes:
        """That number in each element."""
        return Lanes(self.builder, self._other(number))

    def negative_size(self) -> Lanes:
        """−|x|, by the sign's bit."""
        kind = self.value.type
        size = 64 if isinstance(getattr(kind, "element", kind), ir.DoubleType) else 32
        word: Any = ir.IntType(size)
        bit: Any = 1 << size - 1
        if isinstance(kind, ir.VectorType):
            word, bit = ir.VectorType(word, kind.count), [bit] * kind.count
        signed = self.builder.or_(self.builder.bitcast(self.value, word), ir.Constant(word, bit))
        return Lanes(self.builder, self.builder.bitcast(signed, kind))

    def where(self, comparison: str, other: Lanes, yes: Lanes, no: Lanes) -> Lanes:
        """`yes` where the comparison with `other` holds, `no` where it does not, or one of them is NaN."""
        holds = self.builder.fcmp_ordered(comparison, self.value, other.value)
        return Lanes(self.builder, self.builder.select(holds, yes.value, no.value))


def elementwise(code: Code, count: Any, body: Callable[[Callable[[Any], Lanes], Callable[..., None]], None]) -> None:
    """Write a loop over `count` elements, in vectors and then one by one.

    The vectoriser gives up on a loop of more arrays than it can prove to lie apart; this takes the caller's word.
    body(load, store): `load(address)` gives the elements of the array at that address, `store(value, *addresses)`
    puts them there. It loads all before it stores.
    """
    builder = code.builder

    def loop(first: Any, stop: Any, kind: Any, step: int) -> Any:
        before = builder.block
        inside, done = builder.append_basic_block("each.loop"), builder.append_basic_block("each.done")
        size = ir.Constant(_WORD, code.size)
        builder.cbranch(builder.icmp_signed("<", first, stop), inside, done)
        builder.position_at_end(inside)
        k = builder.phi(_WORD)
        offset = builder.mul(k, size)

        def load(address: Any) -> Lanes:
            return Lanes(builder, code.load(builder.add(address, offset), kind))

        def store(value: Lanes, *addresses: Any) -> None:
            for address in addresses:
                code.store(value.value, builder.add(address, offset))

        body(load, store)
        k_next = builder.add(k, ir.Constant(_WORD, step))
        k.add_incoming(first, before)
        k.add_incoming(k_next, inside)
        builder.cbranch(builder.icmp_signed("<", k_next, stop), inside, done)
        builder.position_at_end(done)

    lanes_mask = ir.Constant(_WORD, -code.lanes)
    whole = builder.and_(count, lanes_mask)
    loop(ir.Constant(_WORD, 0), whole, code.floats, code.lanes)
    loop(whole, count, code.floats.element, 1)


@intrinsic
def add_row(typingctx: Any, like: Any, x: Any, out: Any, count: Any) -> Any:
    """out += x, `count` elements at two addresses."""
    return vector_code(
        like, (x, out, count), lambda code, x, out, count: elementwise(
            code, count, lambda load, store: store(load(out) + load(x), out)
        )
    )  # fmt: skip


@intrinsic
def mask_vector(typingctx: Any, like: Any, g: Any, y: Any, out: Any) -> Any:
    """g where y is positive or NaN, else 0."""

    def generate(code: Code, g: Any, y: Any, out: Any) -> None:
        flat = code.builder.fcmp_ordered("<=", code.load(y), code.zero)
        code.store(code.builder.select(flat, code.zero, code.load(g)), out)

    return vector_code(like, (g, y, out), generate)


@intrinsic
def copy_bytes(typingctx: Any, to: Any, source: Any, count: Any) -> Any:
    """Copy `count` bytes from one address to another. A loop that copies costs LLVM far more time to compile."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target, origin = (builder.inttoptr(address, _BYTE.as_pointer()) for address in args[:2])
        cgutils.raw_memcpy(builder, target, origin, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def clear_bytes(typingctx: Any, to: Any, count: Any) -> Any:
    """Set `count` bytes to 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        cgutils.memset(builder, builder.inttoptr(args[0], _BYTE.as_pointer()), args[1], 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _fetcher(name: str, write: int) -> Any:
    """Makes what asks for bytes to be brought into the second-level cache, to be read, or the first, to be written."""

    def fetch(typingctx: Any, address: Any, count: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            first, size = args
            word, pointer = ir.IntType(32), _BYTE.as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
            ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            with cgutils.for_range_slice(builder, ir.Constant(_WORD, 0), size, ir.Constant(_WORD, 64)) as (at, _):
                place = builder.inttoptr(builder.add(first, at), pointer)
                builder.call(ask, [place, *(ir.Constant(word, n) for n in (write, 3 if write else 2, 1))])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    fetch.__name__ = fetch.__qualname__ = name
    return intrinsic(fetch)


fetch_to_read = _fetcher("fetch_to_read", 0)
fetch_to_write = _fetcher("fetch_to_write", 1)
