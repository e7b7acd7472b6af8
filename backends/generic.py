"""Functions the array API standard lacks, written with the standard alone.

Each takes the namespace first. They are correct on any conforming library and fast on none: backends replace them.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from .special import erfc, erfinv, lgamma, polygamma

__all__ = [
    "einsum_pair", "erf", "erfc", "erfinv", "index_add", "lgamma", "masked", "polygamma", "sliding_windows",
    "wrap_index",
]  # fmt: skip

Array = Any


def erf(xp: Any, x: Array) -> Array:
    """Error function, 2/√π ∫₀ˣ exp(−t²) dt, to a few ulp in float64.

    |x| < 2: the Maclaurin-type series 2/√π · exp(−x²) · Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!! (Abramowitz & Stegun 7.1.6).
    |x| ≥ 2: 1 − erfc, with erfc's continued fraction (A&S 7.1.14) evaluated from the tail.
    """
    a = xp.abs(x)
    small = xp.minimum(a, 2.0 + 0 * a)
    square = small * small
    term, total = small, small
    for n in range(1, 40):
        term = term * square * (2.0 / (2 * n + 1))
        total = total + term
    inner = (2 / math.sqrt(math.pi)) * xp.exp(-square) * total
    large = xp.clip(a, 2.0, 30.0)
    fraction = large
    for n in range(60, 0, -1):
        fraction = large + (n / 2) / fraction
    outer = 1.0 - xp.exp(-large * large) / (math.sqrt(math.pi) * fraction)
    result = xp.sign(x) * xp.where(a < 2.0, inner, outer)
    return xp.where(xp.isnan(x), x, result)


def index_add(xp: Any, x: Array, index: Array, updates: Array, axis: int) -> Array:
    """A copy of x with `updates` added at `index` along `axis`; repeated indices accumulate.

    x: (…, n, …), index: (k,) integers, updates: (…, k, …).
    """
    out = xp.asarray(x, copy=True)
    head = (slice(None),) * axis
    for j in range(index.shape[0]):
        i = int(index[j])
        where = (*head, i, ...)
        out[where] = out[where] + updates[(*head, j, ...)]
    return out


def masked(xp: Any, mask: Array, x: Array) -> Array:
    """The values of x where the (bool) mask holds, else 0: also where x is infinite or NaN. Shapes broadcast."""
    return xp.where(mask, x, 0.0)


def sliding_windows(
    xp: Any, x: Array, window: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Array:
    """All windows over the trailing axes of x, as new trailing axes.

    x: (…, d₁, …, d_k) -> (…, o₁, …, o_k, w₁, …, w_k) with oᵢ = (dᵢ − dilationᵢ·(wᵢ−1) − 1) // strideᵢ + 1.
    """
    k = len(window)
    lead = x.ndim - k
    for i in range(k):
        axis = lead + i
        n = max((x.shape[axis] - dilation[i] * (window[i] - 1) - 1) // stride[i] + 1, 0)
        starts = [stride[i] * p + dilation[i] * q for p, q in itertools.product(range(n), range(window[i]))]
        x = xp.take(x, xp.asarray(starts, dtype=xp.int64), axis=axis)
        x = xp.reshape(x, (*x.shape[:axis], n, window[i], *x.shape[axis + 1 :]))
        # put this window axis last; the remaining spatial axes keep their places
        x = xp.moveaxis(x, axis + 1, -1)
    return x


def einsum_pair(xp: Any, x: Array, y: Array, spec: tuple[str, str, str]) -> Array:
    """Contract two arrays: spec = (labels of x, labels of y, labels of the result), each label once per array.

    Labels in both inputs and the result are batch axes; in both inputs alone are summed over; others are free.
    """
    a, b, out = spec
    batch = [c for c in a if c in b and c in out]
    summed = [c for c in a if c in b and c not in out]
    free_a = [c for c in a if c not in b]
    free_b = [c for c in b if c not in a]
    size = {**dict(zip(a, x.shape, strict=True)), **dict(zip(b, y.shape, strict=True))}

    def shape(labels: list[str]) -> tuple[int, ...]:
        return tuple(size[c] for c in labels)

    def arranged(array: Array, labels: str, order: list[str], to: tuple[int, ...]) -> Array:
        return xp.reshape(xp.permute_dims(array, tuple(labels.index(c) for c in order)), to)

    if not summed:  # an elementwise product: no matrices to multiply
        left, right = (
            arranged(array, labels, [c for c in out if c in labels], tuple(size[c] if c in labels else 1 for c in out))
            for array, labels in ((x, a), (y, b))
        )
        return xp.multiply(left, right)
    lead, k = shape(batch), math.prod(shape(summed))
    left = arranged(x, a, batch + free_a + summed, (*lead, math.prod(shape(free_a)), k))
    right = arranged(y, b, batch + summed + free_b, (*lead, k, math.prod(shape(free_b))))
    order = batch + free_a + free_b
    product = xp.reshape(xp.matmul(left, right), shape(order))
    return xp.permute_dims(product, tuple(order.index(c) for c in out))


def wrap_index(xp: Any, index: Array, n: int) -> Array:
    """An integer array with negative indices into an axis of length n counted from its start, as int64.

    Raises an IndexError if one is out of bounds; a backend on another device may leave that out, to not wait for it.
    """
    index = xp.astype(index, xp.int64, copy=False)
    negative = index < 0
    if math.prod(index.shape) and bool(xp.any(xp.logical_or(index < -n, index >= n))):
        raise IndexError(f"an index is out of bounds for an axis of length {n}")
    return xp.where(negative, index + n, index)
