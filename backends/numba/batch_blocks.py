"""Batch normalisation's small part: what the blocks' numbers give together, and what the next pass needs of it.

A block has two numbers for each channel, `parts`: (blocks, 2, c), or (n·c, 2) where images lie as planes.
"""

from __future__ import annotations

import math

from .compile import Doubles, Floats, jit, kernel


@jit
def _part(parts: Floats, block: int, channel: int, which: int, c: int, planar: int) -> float:
    """One of a block's two numbers for a channel, in double precision."""
    return float(parts[2 * (block * c + channel) + which] if planar else parts[(2 * block + which) * c + channel])


@jit
def _inverse(var: float, eps: float) -> float:
    """1/√(var + ε), the same bits forward and backward."""
    return 1.0 / math.sqrt(var + eps)


@jit
def _repeat(vectors: Floats, which: int, channel: int, value: float, c: int, width: int) -> None:
    """One value of a channel, for all rows that are taken at a time."""
    for j in range(which * width + channel, (which + 1) * width, c):
        vectors[j] = value


@kernel
def join_statistics(
    parts: Floats, counts: Doubles, weight: Floats, bias: Floats, mean: Floats, var: Floats, vectors: Floats, c: int,
    width: int, planar: int, eps: float, task: int,
) -> None:  # fmt: skip
    """Mean and variance of each channel; vectors: mean, scale and bias."""
    n = 0.0
    for b in range(counts.size):
        n += counts[b]
    for k in range(c):
        total, squares = 0.0, 0.0
        for b in range(counts.size):
            total += _part(parts, b, k, 0, c, planar) * counts[b]
        total /= n
        for b in range(counts.size):
            d = _part(parts, b, k, 0, c, planar) - total
            squares += _part(parts, b, k, 1, c, planar) + counts[b] * d * d
        mean[k], var[k] = total, squares / n
        _repeat(vectors, 0, k, mean[k], c, width)
        _repeat(vectors, 1, k, _inverse(float(var[k]), eps) * weight[k], c, width)
        _repeat(vectors, 2, k, bias[k], c, width)


@kernel
def spread_vectors(
    weight: Floats, bias: Floats, mean: Floats, var: Floats, vectors: Floats, c: int, width: int, eps: float, task: int
) -> None:
    """vectors: mean, scale and bias."""
    for k in range(c):
        _repeat(vectors, 0, k, mean[k], c, width)
        _repeat(vectors, 1, k, _inverse(float(var[k]), eps) * weight[k], c, width)
        _repeat(vectors, 2, k, bias[k], c, width)


@kernel
def join_products(
    parts: Floats, gmean: Floats, gvar: Floats, weight: Floats, var: Floats, dweight: Floats, dbias: Floats,
    vectors: Floats, blocks: int, c: int, width: int, planar: int, n: int, eps: float, task: int,
) -> None:  # fmt: skip
    """Cotangents of weight and bias; vectors: slope and shift, by which x − mean and 1 enter ∂x."""
    for k in range(c):
        sums, products = 0.0, 0.0
        for b in range(blocks):
            sums += _part(parts, b, k, 0, c, planar)
            products += _part(parts, b, k, 1, c, planar)
        r = _inverse(float(var[k]), eps)
        scale, slope = r * weight[k], products * r
        dweight[k], dbias[k] = slope, sums
        _repeat(vectors, 3, k, (2.0 * gvar[k] - r * scale * slope) / n, c, width)
        _repeat(vectors, 4, k, (gmean[k] - scale * sums) / n, c, width)
