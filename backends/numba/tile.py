"""The register tile: a 6 × 2-vector block of a matrix product, whose rows and steps are found through offset tables.

    C[r, j] = I[r, j] + Σₖ A[rows[r] + steps[k]] · B[k, j]        r < 6, j < 2 vectors

Convolutions and their gradients are all products of this form, with A the image or the cotangent as it lies in memory:
no window is ever copied. Twelve vector accumulators hide the latency of the fused multiply-add, and with two vectors of
B and one broadcast of A they fill the sixteen vector registers of AVX2. It is built in LLVM's own language because
the loop vectoriser does not find it. After Goto & van de Geijn, *Anatomy of high-performance matrix multiplication*,
2008, and, for the tables, Dukhan, *The indirect convolution algorithm*, 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils

from .compile import intrinsic

ROWS = 6
VECTORS = 2


def _vector_bytes() -> int:
    """Size of this processor's vector registers."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx") else 16


VECTOR_BYTES = _vector_bytes()


def tile_width(itemsize: int) -> int:
    """Columns of the register tile for elements of that size."""
    return VECTORS * VECTOR_BYTES // itemsize


def make_fma_tile(width_bytes: int, tile_rows: int = ROWS) -> Any:
    """The tile as a Numba intrinsic, for vectors of that many bytes."""

    @intrinsic
    def fma_tile(
        typingctx: Any, like: Any, a: Any, rows: Any, steps: Any, b: Any, ldb: Any, i: Any, ldi: Any, c: Any, ldc: Any,
        count: Any,
    ) -> Any:  # fmt: skip
        """`fma_tile(like, a, rows, steps, b, ldb, i, ldi, c, ldc, count)`: see this module's first line.

        All but `like`, an array that gives the dtype, are int64: addresses of A, of the tables of int64 byte offsets,
        of B, I and C, the bytes from one of their rows to the next, and the number of steps.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _, a, rows, steps, *rest = args
            tile = Tile(context, builder, like.dtype, width_bytes, tile_rows, VECTORS)
            row = [builder.add(a, tile.word_at(rows, r)) for r in range(tile_rows)]
            tile.build(row, lambda k: builder.load(builder.gep(tile.words(steps), [k])), rest)
            return context.get_dummy_value()

        return types.void(like, *[types.int64] * 10), codegen

    return fma_tile


def make_strided_tile(width_bytes: int, tile_rows: int, vectors: int) -> Any:
    """The tile for an A whose rows, and whose steps, lie at equal distances, as those of a matrix do."""

    @intrinsic
    def strided_tile(
        typingctx: Any, like: Any, a: Any, by_row: Any, last: Any, by_step: Any, b: Any, ldb: Any, i: Any, ldi: Any,
        c: Any, ldc: Any, count: Any, low: Any,
    ) -> Any:  # fmt: skip
        """As `fma_tile`, with the bytes between A's rows, the last of which stands for those after it, and its steps.

        What is not above `low` becomes `low`; NaN stays.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _, a, by_row, last, by_step, *rest, low = args
            tile = Tile(context, builder, like.dtype, width_bytes, tile_rows, vectors)
            row = []
            for n in (tile.number(r) for r in range(tile_rows)):
                inside = builder.select(builder.icmp_signed("<", n, last), n, last)
                row.append(builder.add(a, builder.mul(by_row, inside)))
            tile.build(row, lambda k: builder.mul(by_step, k), rest, low)
            return context.get_dummy_value()

        return types.void(like, *[types.int64] * 11, like.dtype), codegen

    return strided_tile


INT64 = ir.IntType(64)


def will_write(builder: Any, address: Any) -> None:
    """Ask for a cache line that will be written."""
    pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    settings = [ir.Constant(word, n) for n in (1, 3, 1)]  # to write, to keep, data
    builder.call(function, [builder.inttoptr(address, pointer), *settings])


class Tile:
    """Writes the tile's code."""

    def __init__(
        self, context: Any, builder: Any, dtype: Any, width_bytes: int, tile_rows: int, vectors: int
    ) -> None:  # fmt: skip
        self.builder, self.rows, self.vectors, self.width_bytes = builder, tile_rows, vectors, width_bytes
        self.element, self.size = context.get_value_type(dtype), dtype.bitwidth // 8
        lanes = width_bytes // self.size
        self.vector = ir.VectorType(self.element, lanes)
        self.fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(self.vector, [self.vector] * 3), f"llvm.fmuladd.v{lanes}f{dtype.bitwidth}"
        )
        self.lane_0 = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        self.undefined = ir.Constant(self.vector, ir.Undefined)

    def number(self, n: int) -> Any:
        return ir.Constant(INT64, n)

    def words(self, address: Any) -> Any:
        return self.builder.inttoptr(address, INT64.as_pointer())

    def word_at(self, table: Any, n: int) -> Any:
        return self.builder.load(self.builder.gep(self.words(table), [self.number(n)]))

    def load(self, address: Any, kind: Any) -> Any:
        value = self.builder.load(self.builder.inttoptr(address, kind.as_pointer()))
        value.align = self.size
        return value

    def spread(self, scalar: Any) -> Any:
        first = self.builder.insert_element(self.undefined, scalar, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(first, self.undefined, self.lane_0)

    def cells(self, base: Any, step: Any) -> list[Any]:
        """Addresses of the tile's vectors in a matrix, row by row."""
        builder = self.builder
        return [
            builder.add(builder.add(base, builder.mul(step, self.number(r))), self.number(v * self.width_bytes))
            for r in range(self.rows)
            for v in range(self.vectors)
        ]

    def build(self, row: list[Any], offset: Callable[[Any], Any], rest: list[Any], low: Any = None) -> None:
        """row: the addresses of A's rows. offset: from k to the bytes from there to step k. rest: B, its step, …"""
        builder, number = self.builder, self.number
        b, ldb, i, ldi, c, ldc, count = rest
        first = [self.load(address, self.vector) for address in self.cells(i, ldi)]
        entry = builder.block
        loop, done = builder.append_basic_block("tile.loop"), builder.append_basic_block("tile.done")
        builder.cbranch(builder.icmp_signed(">", count, number(0)), loop, done)

        builder.position_at_end(loop)
        k, at = builder.phi(INT64), builder.phi(INT64)
        sums = [builder.phi(self.vector) for _ in first]
        step = offset(k)
        columns = [self.load(builder.add(at, number(v * self.width_bytes)), self.vector) for v in range(self.vectors)]
        updated = []
        for r in range(self.rows):
            same = self.spread(self.load(builder.add(row[r], step), self.element))
            old = sums[r * self.vectors : (r + 1) * self.vectors]
            updated += [builder.call(self.fma, [same, x, y]) for x, y in zip(columns, old, strict=True)]
        k_next, at_next = builder.add(k, number(1)), builder.add(at, ldb)
        for phi, start, following in zip(
            [k, at, *sums], [number(0), b, *first], [k_next, at_next, *updated], strict=True
        ):
            phi.add_incoming(start, entry)
            phi.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", k_next, count), loop, done)

        builder.position_at_end(done)
        results = [builder.phi(self.vector) for _ in first]
        for phi, start, following in zip(results, first, updated, strict=True):
            phi.add_incoming(start, entry)
            phi.add_incoming(following, loop)
        if low is not None:
            floor = self.spread(low)
            results = [builder.select(builder.fcmp_ordered("<=", x, floor), floor, x) for x in results]
        for value, address in zip(results, self.cells(c, ldc), strict=True):
            builder.store(value, builder.inttoptr(address, self.vector.as_pointer())).align = self.size


fma_tile = make_fma_tile(VECTOR_BYTES)

#: A taller tile, for products whose rows come in powers of two: as high as the registers allow.
TALL_ROWS = 8 if VECTOR_BYTES == 64 else ROWS
strided_tile = make_strided_tile(VECTOR_BYTES, TALL_ROWS, VECTORS)
narrow_strided_tile = make_strided_tile(VECTOR_BYTES, TALL_ROWS, 1)
