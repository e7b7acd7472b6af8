"""The register tile of convolutions in small groups: every lane is a channel, and lanes do not meet.

    C[r] = I[r] + Σₖ A[rows[r] + steps[k]] · B[k],    vectors multiplied lane by lane

Forward, the rows are pixels and the steps places in the window; in a weight's gradient it is the other way round. Like
`tile.py`'s, it finds A through tables of byte offsets, so no window is copied.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from .compile import intrinsic
from .vectors import Code, vector_code

_WORD = ir.IntType(64)

PIXELS = 8  #: rows of `pixel_tile`: accumulators enough to hide the latency of the multiply-add
PLACES = 9  #: rows of `place_tile`: windows of 9 places fill it, and so do four channels of each


def _make(rows: int) -> Any:
    def lane_tile(
        typingctx: Any, like: Any, a: Any, table: Any, steps: Any, b: Any, ldb: Any, i: Any, ldi: Any, c: Any, ldc: Any,
        count: Any, relu: Any,
    ) -> Any:  # fmt: skip
        """`like` gives the dtype, the others are int64: addresses, the bytes from row to row, the number of steps.

        With `relu`, what is not positive becomes 0; NaN stays.
        """

        def generate(
            code: Code, a: Any, table: Any, steps: Any, b: Any, ldb: Any, i: Any, ldi: Any, c: Any, ldc: Any,
            count: Any, relu: Any,
        ) -> None:  # fmt: skip
            builder = code.builder
            fma = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(code.floats, [code.floats] * 3),
                f"llvm.fmuladd.v{code.lanes}f{8 * code.size}",
            )  # fmt: skip

            def number(n: int) -> Any:
                return ir.Constant(_WORD, n)

            def word(address: Any, n: Any) -> Any:
                words = builder.inttoptr(address, _WORD.as_pointer())
                return builder.load(builder.gep(words, [n]))

            def row(base: Any, step: Any, r: int) -> Any:
                return builder.add(base, builder.mul(step, number(r)))

            places = [builder.add(a, word(table, number(r))) for r in range(rows)]
            first = [code.load(row(i, ldi, r)) for r in range(rows)]
            entry = builder.block
            loop, done = builder.append_basic_block("lane.loop"), builder.append_basic_block("lane.done")
            builder.cbranch(builder.icmp_signed(">", count, number(0)), loop, done)
            builder.position_at_end(loop)
            k, at = builder.phi(_WORD), builder.phi(_WORD)
            sums = [builder.phi(code.floats) for _ in first]
            step, factor = word(steps, k), code.load(at)
            updated = [
                builder.call(fma, [code.load(builder.add(place, step)), factor, old])
                for place, old in zip(places, sums, strict=True)
            ]
            k_next, at_next = builder.add(k, number(1)), builder.add(at, ldb)
            for phi, start, following in zip(
                [k, at, *sums], [number(0), b, *first], [k_next, at_next, *updated], strict=True
            ):
                phi.add_incoming(start, entry)
                phi.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", k_next, count), loop, done)
            builder.position_at_end(done)
            for r in range(rows):
                result = builder.phi(code.floats)
                result.add_incoming(first[r], entry)
                result.add_incoming(updated[r], loop)
                first[r] = result
            floor = code.floor(relu)
            for r in range(rows):
                code.store(code.at_least(first[r], floor), row(c, ldc, r))

        return vector_code(like, (a, table, steps, b, ldb, i, ldi, c, ldc, count, relu), generate)

    lane_tile.__name__ = lane_tile.__qualname__ = f"lane_tile_{rows}"
    return intrinsic(lane_tile)


pixel_tile, place_tile = _make(PIXELS), _make(PLACES)
