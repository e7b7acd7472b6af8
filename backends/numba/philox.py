"""Dropout and uniform numbers by Philox 4×32-10, threaded: the same bits as `autograd/ops/random.py` defines.

Element i takes word i of the key's stream, lane i mod 4 of block ⌊i/4⌋. Words are kept in 64 bits: a product of two of
them is then one instruction of the vector unit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compile import Floats, Words, jit, kernel
from .layout import ready
from .memory import empty

Array = Any
SPAN = 16384  # elements of one task
CHUNK = 1024  # words made at a time

_M0, _M1, _WORD = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57), np.uint64(0xFFFFFFFF)
_W0, _W1, _HALF = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85), np.uint64(32)


@jit
def _make(key: Any, words: Any, first: int, count: int) -> None:
    """`count` words of the stream from word `first` on, both multiples of 4."""
    k0, k1, o0, o1 = np.uint64(key[0]), np.uint64(key[1]), np.uint64(key[2]), np.uint64(key[3])
    for j in range(count // 4):
        block = np.uint64(first // 4 + j)
        c0, c1, c2, c3 = block & _WORD, block >> _HALF, o0, o1
        for r in range(10):
            a, b = c0 * _M0, c2 * _M1
            p, q = (k0 + np.uint64(r) * _W0) & _WORD, (k1 + np.uint64(r) * _W1) & _WORD
            c0, c1, c2, c3 = (b >> _HALF) ^ c1 ^ p, b & _WORD, (a >> _HALF) ^ c3 ^ q, a & _WORD
        words[4 * j] = c0
        words[4 * j + 1] = c1
        words[4 * j + 2] = c2
        words[4 * j + 3] = c3


@kernel
def _dropout_span(x: Floats, out: Floats, key: Words, least: int, scale: float, task: int) -> None:
    """x·scale where the upper 24 bits of its word are at least `least`, else 0."""
    words = np.empty(CHUNK, np.uint32)
    factor, zero, low = x.dtype.type(scale), x.dtype.type(0), np.uint32(least)
    stop = min((task + 1) * SPAN, x.size)
    for start in range(task * SPAN, stop, CHUNK):
        count = min(CHUNK, stop - start)
        _make(key, words, start, (count + 3) // 4 * 4)
        for i in range(count):
            v = x[start + i] * factor
            out[start + i] = v if words[i] >> np.uint32(8) >= low else zero


@kernel
def _uniform_span(out: Floats, key: Words, task: int) -> None:
    words = np.empty(CHUNK, np.uint32)
    unit = out.dtype.type(2.0**-24)
    stop = min((task + 1) * SPAN, out.size)
    for start in range(task * SPAN, stop, CHUNK):
        count = min(CHUNK, stop - start)
        _make(key, words, start, (count + 3) // 4 * 4)
        for i in range(count):
            out[start + i] = out.dtype.type(words[i] >> np.uint32(8)) * unit


def dropout(x: Array, key: Array, *, p: float) -> Array:
    """x/(1 − p) where a uniform number is at least p, else 0; 0 < p < 1."""
    x = ready(x)
    out = empty(x.shape, x.dtype)
    least = math.ceil(float(np.float32(p)) * 2.0**24)
    _dropout_span(-(-x.size // SPAN), x, out, ready(key), least, 1.0 / (1.0 - p))
    return out


def random_uniform(key: Array, *, shape: tuple[int, ...], dtype: str) -> Array:
    """Multiples of 2⁻²⁴ in [0, 1), float32."""
    out = empty(shape, np.dtype(np.float32))
    _uniform_span(-(-out.size // SPAN), out, ready(key))
    return out
