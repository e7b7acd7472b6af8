"""Scaled dot-product attention, forward and backward, on the register tile: a few queries at a time, one head a task.

A task holds the scores of as many queries as the tile has rows, or, backward, of `BLOCK` queries (Dao et al.,
"FlashAttention", 2022, with whole rows in place of online softmaxes). Keys and values are laid out in panels once a
task; under a causal mask no product goes further than the keys that its queries see. Queries, keys and values are read
where they lie, so heads that are strided parts of one projection are not copied; results lie as the queries do.

Forward, blocks of queries are tasks. Backward, a head is one task, which adds up the cotangents of its keys and values
block by block; where there are few heads their queries are divided among several, each with sums of its own, which are
joined in order: memory of a few times that of the keys and values, but nothing of the size of the scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .attention_rows import dot_rows, scale_row, slope_row, softmax_row
from .compile import LIKE, Floats, Ints, address_of, jit, kernel
from .gemm import ROWS, WIDTH_BYTES, aligned, pack_all, panels_of, tile
from .layout import empty_beside, ready
from .mathematics import log
from .memory import empty
from .tile import VECTOR_BYTES, narrow_strided_tile, strided_tile
from .vectors import add_row, clear_bytes, copy_bytes

Array = Any
BLOCK = 8 * ROWS  # queries of one task
ENOUGH = 4  # tasks; heads are divided where there are fewer


@jit
def _part(table: Any, operand: int, batch: int, head: int, row: int, size: int) -> Any:
    """Address of a row of an operand."""
    i = operand * 4
    return table[i] + (batch * table[i + 1] + head * table[i + 2] + row * table[i + 3]) * size


@jit
def _row_bytes(table: Any, operand: int, size: int) -> Any:
    """Bytes between two rows of an operand."""
    return table[operand * 4 + 3] * size


@jit
def _row_of(n: int, size: int) -> Any:
    """Elements of a row of scores in scratch memory: whole tiles, and one vector more, as powers of two would bring
    rows together in the cache.
    """
    return ((n * size + WIDTH_BYTES - 1) // WIDTH_BYTES * WIDTH_BYTES + VECTOR_BYTES) // size


@jit
def _whole(n: int, size: int) -> Any:
    """Elements of whole vectors."""
    return (n * size + VECTOR_BYTES - 1) // VECTOR_BYTES * VECTOR_BYTES // size


@jit
def _scores(
    like: Array, a: int, a_row: int, rows: int, panels: int, depth: int, keys: int, zeros: int, out: int, ld: int
) -> None:  # fmt: skip
    """out = A·B for a tile's rows, the last of A standing for missing ones, and so many columns, in whole vectors."""
    size, none = like.itemsize, like.dtype.type(-np.inf)
    width, lanes = WIDTH_BYTES // size, VECTOR_BYTES // size
    for left in range(0, keys, width):
        b, c = panels + left // width * depth * WIDTH_BYTES, out + left * size
        if keys - left > lanes:
            strided_tile(
                like, a, a_row, rows - 1, size, b, WIDTH_BYTES, zeros, 0, c, ld * size, depth, none
            )  # fmt: skip
        else:
            narrow_strided_tile(
                like, a, a_row, rows - 1, size, b, WIDTH_BYTES, zeros, 0, c, ld * size, depth, none
            )  # fmt: skip


@jit
def _multiply(
    like: Array, a: int, a_row: int, a_step: int, panels: int, between: int, initial: int, ldi: int, c: int, ldc: int,
    rows: int, columns: int, depth: int, corner: int,
) -> None:  # fmt: skip
    """C = I + A·B for one tile's rows, B in panels that lie `between` bytes apart."""
    size = like.itemsize
    width = WIDTH_BYTES // size
    for left in range(0, columns, width):
        start = initial + left * size if ldi else initial
        tile(
            like, a, a_row, a_step, panels + left // width * between, start, ldi, c + left * size, ldc, rows,
            min(width, columns - left), depth, like.dtype.type(-np.inf), corner,
        )  # fmt: skip


@kernel
def _forward_block(like: Floats, lse: Floats, table: Ints, sizes: Ints, scale: float, task: int) -> None:
    """Operands: q, k, v, out."""
    heads, queries, keys, d, e, causal = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    blocks = (queries + BLOCK - 1) // BLOCK
    unit, start = task // blocks, task % blocks * BLOCK
    batch, head, size, stop = unit // heads, unit % heads, like.itemsize, min(start + BLOCK, queries)
    if causal:
        keys = min(keys, stop)
    ld, width, factor = _row_of(keys, size), WIDTH_BYTES // size, like.dtype.type(scale)
    k_bytes, v_bytes = panels_of(d, keys, size), panels_of(keys, e, size)
    memory = np.empty((k_bytes + v_bytes) // size + ROWS * ld + (2 + ROWS) * width, like.dtype)
    k_panels = aligned(memory)
    v_panels = k_panels + k_bytes
    zeros = v_panels + v_bytes
    corner = zeros + WIDTH_BYTES
    scores = corner + ROWS * WIDTH_BYTES
    clear_bytes(zeros, WIDTH_BYTES)
    shares = np.empty(ROWS, like.dtype)
    k_row, v_row, out_row = _row_bytes(table, 1, size), _row_bytes(table, 2, size), _row_bytes(table, 3, size)
    pack_all(like, _part(table, 1, batch, head, 0, size), size, k_row, d, keys, k_panels)
    pack_all(like, _part(table, 2, batch, head, 0, size), v_row, size, keys, e, v_panels)
    for first in range(start, stop, ROWS):
        rows = min(ROWS, stop - first)
        reach = min(keys, first + rows) if causal else keys
        q = _part(table, 0, batch, head, first, size)
        _scores(like, q, _row_bytes(table, 0, size), rows, k_panels, d, reach, zeros, scores, ld)
        for r in range(rows):
            seen = min(keys, first + r + 1) if causal else keys
            top, total = softmax_row(like, scores + r * ld * size, seen, _whole(reach, size), factor)
            lse[unit * queries + first + r] = top + log(total)
            shares[r] = like.dtype.type(1) / total
        out = _part(table, 3, batch, head, first, size)
        _multiply(
            like, scores, ld * size, size, v_panels, keys * WIDTH_BYTES, zeros, 0, out, out_row, rows, e, reach, corner
        )  # fmt: skip
        if reach:
            for r in range(rows):
                scale_row(like, out + r * out_row, e, shares.ctypes.data + r * size)
    memory[0] = 0  # an address alone does not keep an array's memory


@jit
def _gather(
    like: Array, a: int, ld: int, panels: int, out: int, out_row: int, columns: int, keys: int, start: int, rows: int,
    begun: int, causal: int, zeros: int, corner: int,
) -> None:  # fmt: skip
    """Add Aᵀ·B to `out`, or set it where this block of queries is the first to see a key. A: (rows, keys) by ld."""
    size = like.itemsize
    for j in range(0, keys, ROWS):
        i = max(0, j - start) if causal else 0
        new = not begun or (causal and j >= start)
        target = out + j * out_row
        _multiply(
            like, a + (i * ld + j) * size, size, ld * size, panels + i * WIDTH_BYTES, rows * WIDTH_BYTES,
            zeros if new else target, 0 if new else out_row, target, out_row, min(ROWS, keys - j), columns, rows - i,
            corner,
        )  # fmt: skip


@kernel
def _backward_head(
    like: Floats, lse: Floats, glse: Floats, table: Ints, sizes: Ints, scale: float, task: int
) -> None:  # fmt: skip
    """One head, or one of several parts of its queries, block by block. Operands: q, k, v, y, gy, ∂q, ∂k, ∂v.

    Where there are several, theirs of ∂k and ∂v lie one after another. The last, which sees most, comes first.
    """
    heads, queries, all_keys, d, e, causal = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    unit, piece, pieces = task // sizes[6], sizes[6] - 1 - task % sizes[6], sizes[6]
    batch, head, size = unit // heads, unit % heads, like.itemsize
    blocks = (queries + BLOCK - 1) // BLOCK
    begin, end = blocks * piece // pieces * BLOCK, min(queries, blocks * (piece + 1) // pieces * BLOCK)
    some_keys = min(all_keys, end) if causal else all_keys
    ld, width, factor = _row_of(some_keys, size), WIDTH_BYTES // size, like.dtype.type(scale)
    k_bytes, v_bytes = panels_of(d, some_keys, size), panels_of(e, some_keys, size)
    back_bytes, q_bytes, g_bytes = panels_of(some_keys, d, size), panels_of(BLOCK, d, size), panels_of(BLOCK, e, size)
    total = k_bytes + v_bytes + back_bytes + q_bytes + g_bytes
    memory = np.empty(total // size + 2 * BLOCK * ld + (2 + ROWS) * width, like.dtype)
    k_panels = aligned(memory)
    v_panels = k_panels + k_bytes
    back_panels = v_panels + v_bytes
    q_panels = back_panels + back_bytes
    g_panels = q_panels + q_bytes
    zeros = g_panels + g_bytes
    corner = zeros + WIDTH_BYTES
    p = corner + ROWS * WIDTH_BYTES
    s = p + BLOCK * ld * size
    clear_bytes(zeros, WIDTH_BYTES)
    k, v = _part(table, 1, batch, head, 0, size), _part(table, 2, batch, head, 0, size)
    dk, dv = _part(table, 6, batch, head, 0, size), _part(table, 7, batch, head, 0, size)
    q_row, k_row, v_row = _row_bytes(table, 0, size), _row_bytes(table, 1, size), _row_bytes(table, 2, size)
    g_row, dq_row = _row_bytes(table, 4, size), _row_bytes(table, 5, size)
    dk_row, dv_row = _row_bytes(table, 6, size), _row_bytes(table, 7, size)
    dk, dv = dk + piece * all_keys * dk_row, dv + piece * all_keys * dv_row
    pack_all(like, k, size, k_row, d, some_keys, k_panels)
    pack_all(like, v, size, v_row, e, some_keys, v_panels)
    pack_all(like, k, k_row, size, some_keys, d, back_panels)
    for start in range(begin, end, BLOCK):
        stop = min(start + BLOCK, queries)
        keys = min(some_keys, stop) if causal else some_keys
        q, gy = _part(table, 0, batch, head, start, size), _part(table, 4, batch, head, start, size)
        pack_all(like, q, q_row, size, stop - start, d, q_panels)
        pack_all(like, gy, g_row, size, stop - start, e, g_panels)
        for first in range(start, stop, ROWS):
            rows, i = min(ROWS, stop - first), first - start
            reach = min(keys, first + rows) if causal else keys
            band, slope = p + i * ld * size, s + i * ld * size
            _scores(like, q + i * q_row, q_row, rows, k_panels, d, reach, zeros, band, ld)
            _scores(like, gy + i * g_row, g_row, rows, v_panels, e, reach, zeros, slope, ld)
            for r in range(rows):
                at = unit * queries + first + r
                inner = dot_rows(like, gy + (i + r) * g_row, _part(table, 3, batch, head, first + r, size), e)
                slope_row(
                    like, band + r * ld * size, slope + r * ld * size, lse[at], glse[at] - inner,
                    min(keys, first + r + 1) if causal else keys, _whole(reach, size), factor,
                )  # fmt: skip
            _multiply(
                like, slope, ld * size, size, back_panels, some_keys * WIDTH_BYTES, zeros, 0,
                _part(table, 5, batch, head, first, size), dq_row, rows, d, reach, corner,
            )  # fmt: skip
        begun = start > begin
        _gather(like, s, ld, q_panels, dk, dk_row, d, keys, start, stop - start, begun, causal, zeros, corner)
        _gather(like, p, ld, g_panels, dv, dv_row, e, keys, start, stop - start, begun, causal, zeros, corner)
    for key in range(some_keys, all_keys):  # that no query sees
        clear_bytes(dk + key * dk_row, d * size)
        clear_bytes(dv + key * dv_row, e * size)
    memory[0] = 0  # an address alone does not keep an array's memory


@kernel
def _join(like: Floats, table: Ints, sizes: Ints, task: int) -> None:
    """Some keys of one head: the pieces' ∂k and ∂v added up. Operands: the pieces of both, ∂k, ∂v."""
    heads, keys, pieces, size = sizes[0], sizes[2], sizes[6], like.itemsize
    blocks = (keys + BLOCK - 1) // BLOCK
    unit, start = task // blocks, task % blocks * BLOCK
    batch, head = unit // heads, unit % heads
    for which in range(2):
        width, apart = sizes[3 + which], keys * _row_bytes(table, which, size)
        for key in range(start, min(start + BLOCK, keys)):
            part = _part(table, which, batch, head, key, size)
            out = _part(table, 2 + which, batch, head, key, size)
            copy_bytes(out, part, width * size)
            for piece in range(1, pieces):
                add_row(like, part + piece * apart, out, width)


def _operand(x: Array) -> tuple[Array, list[int]]:
    """(…, t, d) as (batches, heads, t, d), a copy if its rows do not lie one after another, and its fields."""
    x = x.reshape(-1, *x.shape[-3:]) if x.ndim > 4 else x[(None,) * (4 - x.ndim)]
    size = x.itemsize
    _n, _h, t, d = x.shape
    sn, sh, st, sd = x.strides
    rows_apart = st >= d * size or t == 1
    if not x.flags.aligned or any(s % size for s in x.strides) or (d > 1 and sd != size) or not rows_apart:
        x = np.array(x, order="C")
        sn, sh, st, _ = x.strides
    return x, [address_of(x), sn // size, sh // size, max(st // size, d)]


def _result(like: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """An array of that shape whose heads lie within the rows if those of `like` do."""
    if len(shape) == 4 and abs(like.strides[1]) < abs(like.strides[2]):
        return empty((shape[0], shape[2], shape[1], shape[3]), dtype).transpose(0, 2, 1, 3)
    return empty(shape, dtype)


def _run(run: Any, tasks: int, operands: list[Array], sizes: list[int], before: tuple[Any, ...], *after: Any) -> None:
    kept = [_operand(x) for x in operands]  # copies live until the kernel is done
    table = np.array([number for _, fields in kept for number in fields])
    run(tasks, *before, table, np.array(sizes), *after)


def _sizes(q: Array, k: Array, v: Array, causal: bool) -> tuple[int, list[int]]:
    heads = q.shape[-3] if q.ndim > 2 else 1
    units = q.size // (q.shape[-2] * q.shape[-1])
    return units, [heads, q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1], int(causal)]


def attention(q: Array, k: Array, v: Array, *, causal: bool, scale: float) -> tuple[Array, Array]:
    """q: (…, L, d), k: (…, S, d), v: (…, S, e) -> (…, L, e), (…, L)."""
    units, sizes = _sizes(q, k, v, causal)
    out = _result(q, (*q.shape[:-1], v.shape[-1]), q.dtype)
    lse = empty(q.shape[:-1], q.dtype)
    _run(_forward_block, units * -(-q.shape[-2] // BLOCK), [q, k, v, out], sizes, (LIKE[q.dtype], lse), scale)
    return out, lse


def attention_grad(
    gy: Array, glse: Array, q: Array, k: Array, v: Array, y: Array, lse: Array, *, causal: bool, scale: float
) -> tuple[Array, Array, Array]:
    """gy, y: (…, L, e), glse, lse: (…, L) -> cotangents of q, k and v."""
    units, sizes = _sizes(q, k, v, causal)
    dq, dk, dv = empty_beside(q, k, v) or (_result(x, x.shape, x.dtype) for x in (q, k, v))
    like = LIKE[q.dtype]
    pieces = min(-(-q.shape[-2] // BLOCK), -(-ENOUGH // units)) if units else 1
    sizes.append(pieces)
    over_k, over_v = dk, dv
    if pieces > 1:  # (batches, heads, pieces·keys, width)
        over_k, over_v = (
            empty((units // sizes[0], sizes[0], pieces * x.shape[-2], x.shape[-1]), x.dtype) for x in (k, v)
        )  # fmt: skip
    operands = [q, k, v, y, gy, dq, over_k, over_v]
    _run(_backward_head, units * pieces, operands, sizes, (like, ready(lse), ready(glse)), scale)
    if pieces > 1:
        _run(_join, units * -(-k.shape[-2] // BLOCK), [over_k, over_v, dk, dv], sizes, (like,))
    return dq, dk, dv
