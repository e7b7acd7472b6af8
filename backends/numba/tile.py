"""The register tile: a 6 × 2-vector block of a matrix product, whose rows and steps are found through offset tables.

    C[r, j] = I[r, j] + Σₖ A[rows[r] + steps[k]] · B[k, j]        r < 6, j < 2 vectors

Convolutions and their gradients are all products of this form, with A the image or the cotangent as it lies in memory:
no window is ever copied. Twelve vector accumulators hide the latency of the fused multiply-add, and with two vectors of
B and one broadcast of A they fill the sixteen vector registers of AVX2. It is built in LLVM's own language because
the loop vectoriser does not find it. After Goto & van de Geijn, *Anatomy of high-performance matrix multiplication*,
2008, and, for the tables, Dukhan, *The indirect convolution algorithm*, 2019.
"""

from __future__ import annotations

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
        signature = types.void(like, *[types.int64] * 10)
        return signature, _codegen(like.dtype, width_bytes, tile_rows)

    return fma_tile


def _codegen(dtype: Any, width_bytes: int, tile_rows: int) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, a, rows, steps, b, ldb, i, ldi, c, ldc, count = args
        element = context.get_value_type(dtype)
        size = dtype.bitwidth // 8
        lanes = width_bytes // size
        vector = ir.VectorType(element, lanes)
        int64 = ir.IntType(64)
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{lanes}f{dtype.bitwidth}"
        )
        spread = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        undefined = ir.Constant(vector, ir.Undefined)

        def number(n: int) -> Any:
            return ir.Constant(int64, n)

        def load(address: Any, kind: Any) -> Any:
            value = builder.load(builder.inttoptr(address, kind.as_pointer()))
            value.align = min(size, 8)
            return value

        def cells(base: Any, step: Any) -> list[Any]:
            """Addresses of the tile's vectors in a matrix, row by row."""
            return [
                builder.add(builder.add(base, builder.mul(step, number(r))), number(v * width_bytes))
                for r in range(tile_rows)
                for v in range(VECTORS)
            ]

        row = [builder.add(a, load(builder.add(rows, number(8 * r)), int64)) for r in range(tile_rows)]
        first = [load(address, vector) for address in cells(i, ldi)]
        entry = builder.block
        loop, done = builder.append_basic_block("tile.loop"), builder.append_basic_block("tile.done")
        builder.cbranch(builder.icmp_signed(">", count, number(0)), loop, done)

        builder.position_at_end(loop)
        k, at = builder.phi(int64), builder.phi(int64)
        sums = [builder.phi(vector) for _ in first]
        offset = load(builder.add(steps, builder.shl(k, number(3))), int64)
        columns = [load(builder.add(at, number(v * width_bytes)), vector) for v in range(VECTORS)]
        updated = []
        for r in range(tile_rows):
            scalar = builder.insert_element(
                undefined, load(builder.add(row[r], offset), element), ir.Constant(ir.IntType(32), 0)
            )
            same = builder.shuffle_vector(scalar, undefined, spread)
            updated += [builder.call(fma, [same, columns[v], sums[r * VECTORS + v]]) for v in range(VECTORS)]
        k_next, at_next = builder.add(k, number(1)), builder.add(at, ldb)
        for phi, start, following in zip(
            [k, at, *sums], [number(0), b, *first], [k_next, at_next, *updated], strict=True
        ):
            phi.add_incoming(start, entry)
            phi.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", k_next, count), loop, done)

        builder.position_at_end(done)
        results = [builder.phi(vector) for _ in first]
        for phi, start, following in zip(results, first, updated, strict=True):
            phi.add_incoming(start, entry)
            phi.add_incoming(following, loop)
        for value, address in zip(results, cells(c, ldc), strict=True):
            builder.store(value, builder.inttoptr(address, vector.as_pointer())).align = size
        return context.get_dummy_value()

    return codegen


fma_tile = make_fma_tile(VECTOR_BYTES)

#: A taller tile, for products whose rows come in powers of two: as high as the registers allow.
TALL_ROWS = 8 if VECTOR_BYTES == 64 else ROWS
tall_fma_tile = make_fma_tile(VECTOR_BYTES, TALL_ROWS)
