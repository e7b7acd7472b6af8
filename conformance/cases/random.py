"""Rows of `autograd/ops/random.py`, against Philox computed word by word with Python's integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...autograd.ops import random as ops
from ..case import OpCase, fixed, real

Array = Any
KEY = fixed([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], "uint32")
WORD = 0xFFFFFFFF


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> list[int]:
    """Philox 4×32-10 of one counter, as in Salmon et al. 2011, section 4.2."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(b >> 32) ^ c[1] ^ k[0], b & WORD, (a >> 32) ^ c[3] ^ k[1], a & WORD]
        k = [(k[0] + 0x9E3779B9) & WORD, (k[1] + 0xBB67AE85) & WORD]
    return c


def _words(key: Array, n: int) -> Array:
    k0, k1, o0, o1 = (int(word) for word in key)
    words = [w for block in range(-(-n // 4)) for w in philox((block, 0, o0, o1), (k0, k1))]
    return np.asarray(words[:n], dtype=np.uint64)


def _uniform(key: Array, shape: tuple[int, ...]) -> Array:
    return ((_words(key, math.prod(shape)) >> 8) / 2**24).reshape(shape)


def _uniform64(key: Array, shape: tuple[int, ...]) -> Array:
    pairs = _words(key, 2 * math.prod(shape)).reshape(-1, 2)
    return ((pairs[:, 0] >> 5) * 2.0**26 + (pairs[:, 1] >> 6)).reshape(shape) / 2**53


def _normal(key: Array, shape: tuple[int, ...], uniform: Any) -> Array:
    n = math.prod(shape)
    u, v = uniform(key, (-(-n // 2), 2)).T
    radius = np.sqrt(-2 * np.log1p(-u))
    return np.stack([radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)], -1).reshape(-1)[:n].reshape(shape)


def _integers(key: Array, low: int, high: int, n: int) -> Array:
    pairs = _words(key, 2 * n).reshape(-1, 2)
    return np.asarray([low + (((int(a) << 32) + int(b)) * (high - low) >> 64) for a, b in pairs])


def _dropout(x: Array, key: Array, p: float) -> Array:
    return np.where(_uniform(key, x.shape) >= p, x / (1 - p) if p < 1 else 0.0, 0.0)


CASES: list[OpCase] = [
    *(
        OpCase(
            ops.philox_bits, [KEY], lambda key, s=shape: _words(key, math.prod(s)).reshape(s).astype(np.uint32),
            params={"shape": shape}, label=label, orders=0,
        )
        for label, shape in {"odd": (3, 5), "0-d": (), "empty": (0, 3)}.items()
    ),
    OpCase(
        ops.uniform, [KEY], lambda key: _uniform(key, (3, 3)),
        params={"shape": (3, 3), "dtype": "float32"}, orders=0, rtol=0.0, atol=0.0,
    ),
    OpCase(
        ops.uniform, [KEY], lambda key: _uniform64(key, (7,)),
        params={"shape": (7,), "dtype": "float64"}, label="float64", orders=0, rtol=0.0, atol=0.0,
    ),
    OpCase(
        ops.normal, [KEY], lambda key: _normal(key, (3, 5), _uniform),
        params={"shape": (3, 5), "dtype": "float32"}, orders=0, rtol=1e-5, atol=1e-6,
    ),
    OpCase(
        ops.normal, [KEY], lambda key: _normal(key, (9,), _uniform64),
        params={"shape": (9,), "dtype": "float64"}, label="float64", orders=0,
    ),
    OpCase(
        ops.bernoulli, [KEY], lambda key: _uniform(key, (4, 5)) < 0.3, params={"shape": (4, 5), "p": 0.3}, orders=0,
    ),
    OpCase(
        ops.integers, [KEY], lambda key: _integers(key, -3, 9, 11),
        params={"low": -3, "high": 9, "shape": (11,)}, orders=0,
    ),
    OpCase(
        ops.integers, [KEY], lambda key: _integers(key, 0, 2**32, 5),
        params={"low": 0, "high": 2**32, "shape": (5,)}, label="widest", orders=0,
    ),
    *(
        OpCase(ops.dropout, [real(*shape), KEY], lambda x, key, p=p: _dropout(x, key, p), params={"p": p}, label=label)
        for label, shape, p in [
            ("half", (3, 5), 0.5), ("nothing", (2, 3), 0.0), ("all", (2, 3), 1.0), ("0-d", (), 0.5),
            ("empty", (0, 2), 0.5),
        ]
    ),
]  # fmt: skip
