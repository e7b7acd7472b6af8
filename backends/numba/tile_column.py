"""Whole register tiles below each other: what one panel of B adds to the rows of C, without a call a tile.

    C[r, j] = I[r, j] + Σₖ A[r, k]·B[k, j]        r < 8·tiles, j < the columns that there are

Most of a product is computed here, so this is written for its speed alone. A's rows lie at equal distances and are
found from two registers and two distances (LLVM, left to itself, keeps an address for each row, and these do not fit).
C's part is asked for before the sums begin: memory that nobody has touched lately would otherwise be waited for when
they are stored.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .compile import intrinsic
from .tile import INT64, TALL_ROWS, VECTOR_BYTES, VECTORS, Tile, will_write

_WORD = ir.IntType(32)


def _make(vectors: int, whole: bool) -> Any:
    @intrinsic
    def column(
        typingctx: Any, like: Any, a: Any, by_row: Any, by_tile: Any, by_step: Any, b: Any, ldb: Any, i: Any, ldi: Any,
        c: Any, ldc: Any, columns: Any, count: Any, tiles: Any, relu: Any,
    ) -> Any:  # fmt: skip
        """See this module's first line. `like`, an array, gives the dtype; all else are int64.

        a: address of A, and the bytes between its rows, its tiles and its steps. b: of the panel, and the bytes between
        its steps. i, c: of I and C, and the bytes between their rows. count: steps. With `relu`, what is not positive
        becomes 0; NaN stays.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _Column(context, builder, like.dtype, VECTOR_BYTES, TALL_ROWS, vectors).write(whole, *args[1:])
            return context.get_dummy_value()

        return types.void(like, *[types.int64] * 14), codegen

    return column


class _Column(Tile):
    """Writes the code."""

    def write(
        self, whole: bool, a: Any, by_row: Any, by_tile: Any, by_step: Any, b: Any, ldb: Any, i: Any, ldi: Any, c: Any,
        ldc: Any, columns: Any, count: Any, tiles: Any, relu: Any,
    ) -> None:  # fmt: skip
        builder, number = self.builder, self.number
        masks = [None if whole else self._mask(columns, v) for v in range(self.vectors)] * self.rows
        entry = builder.block
        loop, done = builder.append_basic_block("column.loop"), builder.append_basic_block("column.done")
        builder.cbranch(builder.icmp_signed(">", tiles, number(0)), loop, done)
        builder.position_at_end(loop)
        n, a_at, i_at, c_at = (builder.phi(INT64) for _ in range(4))
        targets = self.cells(c_at, ldc)
        for address in targets:
            will_write(builder, address)
        first = [self._load(address, mask) for address, mask in zip(self.cells(i_at, ldi), masks, strict=True)]
        sums = self._steps(a_at, by_row, by_step, b, ldb, count, first)
        self._store(sums, targets, masks, relu)
        rows = number(self.rows)
        following = (
            builder.add(n, number(1)), builder.add(a_at, by_tile), builder.add(i_at, builder.mul(ldi, rows)),
            builder.add(c_at, builder.mul(ldc, rows)),
        )  # fmt: skip
        for phi, start, after in zip((n, a_at, i_at, c_at), (number(0), a, i, c), following, strict=True):
            phi.add_incoming(start, entry)
            phi.add_incoming(after, builder.block)
        builder.cbranch(builder.icmp_signed("<", following[0], tiles), loop, done)
        builder.position_at_end(done)

    def _steps(self, a: Any, by_row: Any, by_step: Any, b: Any, ldb: Any, count: Any, first: list[Any]) -> list[Any]:
        """The sums of one tile; at least one step."""
        builder, number = self.builder, self.number
        twice, thrice = builder.mul(by_row, number(2)), builder.mul(by_row, number(3))
        starts = [builder.add(a, builder.mul(by_row, number(r))) for r in range(0, self.rows, 4)]
        entry, loop, done = builder.block, *(builder.append_basic_block(f"steps.{name}") for name in ("loop", "done"))
        builder.branch(loop)
        builder.position_at_end(loop)
        k, at, *places = (builder.phi(INT64) for _ in range(2 + len(starts)))
        sums = [builder.phi(self.vector) for _ in first]
        columns = [self.load(builder.add(at, number(v * self.width_bytes)), self.vector) for v in range(self.vectors)]
        same_address = ir.FunctionType(INT64, [INT64])
        updated = []
        for r in range(self.rows):
            if r % 4 == 0:
                base = builder.asm(same_address, "", "=r,0", [places[r // 4]], False)
            address = base if r % 4 == 0 else builder.add(base, (by_row, twice, thrice)[r % 4 - 1])
            same = self.spread(self.load(address, self.element))
            old = sums[r * self.vectors : (r + 1) * self.vectors]
            updated += [builder.call(self.fma, [same, x, y]) for x, y in zip(columns, old, strict=True)]
        following = [builder.add(k, number(1)), builder.add(at, ldb), *(builder.add(x, by_step) for x in places)]
        for phi, start, after in zip(
            [k, at, *places, *sums], [number(0), b, *starts, *first], [*following, *updated], strict=True
        ):
            phi.add_incoming(start, entry)
            phi.add_incoming(after, loop)
        builder.cbranch(builder.icmp_signed("<", following[0], count), loop, done)
        builder.position_at_end(done)
        return updated

    def _store(self, sums: list[Any], targets: list[Any], masks: list[Any], relu: Any) -> None:
        builder = self.builder
        cut, after = builder.append_basic_block("store.cut"), builder.append_basic_block("store.all")
        before = builder.block
        builder.cbranch(builder.icmp_signed("!=", relu, self.number(0)), cut, after)
        builder.position_at_end(cut)
        zero = ir.Constant(self.vector, [0.0] * self.vector.count)
        positive = [builder.select(builder.fcmp_ordered("<=", x, zero), zero, x) for x in sums]
        builder.branch(after)
        builder.position_at_end(after)
        values = [builder.phi(self.vector) for _ in sums]
        for value, x, y in zip(values, sums, positive, strict=True):
            value.add_incoming(x, before)
            value.add_incoming(y, cut)
        for value, address, mask in zip(values, targets, masks, strict=True):
            place = builder.inttoptr(address, self.vector.as_pointer())
            if mask is None:
                builder.store(value, place).align = self.size
            else:
                kind = ir.FunctionType(ir.VoidType(), [self.vector, place.type, _WORD, mask.type])
                function = self._intrinsic("llvm.masked.store", kind, place.type)
                builder.call(function, [value, place, ir.Constant(_WORD, self.size), mask])

    def _load(self, address: Any, mask: Any) -> Any:
        if mask is None:
            return self.load(address, self.vector)
        place = self.builder.inttoptr(address, self.vector.as_pointer())
        kind = ir.FunctionType(self.vector, [place.type, _WORD, mask.type, self.vector])
        zero = ir.Constant(self.vector, [0.0] * self.vector.count)
        function = self._intrinsic("llvm.masked.load", kind, place.type)
        return self.builder.call(function, [place, ir.Constant(_WORD, self.size), mask, zero])

    def _intrinsic(self, name: str, kind: Any, pointer: Any) -> Any:
        lanes, bits = self.vector.count, 8 * self.size
        return cgutils.get_or_insert_function(self.builder.module, kind, f"{name}.v{lanes}f{bits}.p0v{lanes}f{bits}")

    def _mask(self, columns: Any, v: int) -> Any:
        """Which lanes of a row's v-th vector are columns of C."""
        lanes = self.vector.count
        narrow = self.builder.trunc(columns, _WORD)
        kind = ir.VectorType(_WORD, lanes)
        empty = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(empty, narrow, ir.Constant(_WORD, 0))
        limit = self.builder.shuffle_vector(first, empty, ir.Constant(kind, [0] * lanes))
        return self.builder.icmp_signed("<", ir.Constant(kind, list(range(v * lanes, (v + 1) * lanes))), limit)


#: The first for panels of full width, the second for one vector of a panel, or less.
tile_column, narrow_column = _make(VECTORS, True), _make(1, False)
