"""Random numbers as a pure function of a key: Philox 4×32-10 (Salmon, Moraes, Dror & Shaw 2011).

A key is four uint32 words, [k0, k1, o0, o1]: the seed and a running number. Element i of a draw is lane i mod 4 of the
Philox block with key (k0, k1) and counter (⌊i/4⌋ low, high, o0, o1). So an element depends on its key and its index
alone: every backend gives the same bits, for any number of threads, and two keys of one seed never share a block.
`Generator` hands out keys; the ops below have no state.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from ..primitive import primitive
from ..state import state

__all__ = ["Generator", "default_generator", "dropout", "manual_seed"]

Array = Any
Shape = tuple[int, ...]

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)  # the key's increments: golden ratio and √3 − 1
_WORD = 0xFFFFFFFF
_CHUNK = 32768  # blocks computed at a time: what they need fits a core's cache


def philox4x32(counter: tuple[Array, ...], key: tuple[Array, Array], xp: Any) -> tuple[Array, ...]:
    """Ten rounds of Philox on 32-bit words held in uint64 arrays: four words of counter, two of key -> four words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        even, odd = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (odd >> 32) ^ c1 ^ k0, odd & _WORD, (even >> 32) ^ c3 ^ k1, even & _WORD
        k0, k1 = (k0 + _WEYL[0]) & _WORD, (k1 + _WEYL[1]) & _WORD
    return c0, c1, c2, c3


def _words(key: Array, n: int, xp: Any) -> Array:
    """The first n words of the key's stream, as uint64."""
    if tuple(key.shape) != (4,) or not xp.isdtype(key.dtype, xp.uint32):
        raise ValueError(f"a key is 4 words of uint32, from Generator.next_key(); not {tuple(key.shape)} {key.dtype}")
    k0, k1, o0, o1 = (xp.astype(key[i], xp.uint64) for i in range(4))
    parts = []
    for start in range(0, -(-n // 4), _CHUNK):
        block = xp.arange(start, min(start + _CHUNK, -(-n // 4)), dtype=xp.uint64)
        lanes = philox4x32((block & _WORD, block >> 32, o0, o1), (k0, k1), xp)
        parts.append(xp.reshape(xp.stack(lanes, axis=-1), (-1,)))
    if not parts:
        return xp.zeros((0,), dtype=xp.uint64)
    return (parts[0] if len(parts) == 1 else xp.concat(parts))[:n]


def _uniform(key: Array, shape: Shape, dtype: str, xp: Any) -> Array:
    """Multiples of 2⁻²⁴ in [0, 1) from one word an element, or of 2⁻⁵³ from two for float64."""
    n = math.prod(shape)
    if dtype == "float64":
        words = xp.reshape(_words(key, 2 * n, xp), (n, 2))
        high, low = xp.astype(words[:, 0] >> 5, xp.float64), xp.astype(words[:, 1] >> 6, xp.float64)
        flat = (high * 67108864.0 + low) * 2.0**-53
    elif dtype == "float32":
        flat = xp.astype(_words(key, n, xp) >> 8, xp.float32) * 2.0**-24
    else:
        raise TypeError(f"random numbers are drawn as float32 or float64, not {dtype}; convert them with .astype")
    return xp.reshape(flat, shape)


@primitive
def philox_bits(key: Array, /, *, shape: Shape, xp: Any) -> Array:
    """Uniform 32-bit words. key: (4,) uint32 -> shape, uint32. Not differentiable."""
    return xp.astype(xp.reshape(_words(key, math.prod(shape), xp), shape), xp.uint32)


@primitive(name="random_uniform")
def uniform(key: Array, /, *, shape: Shape, dtype: str = "float32", xp: Any) -> Array:
    """Uniform numbers in [0, 1): multiples of 2⁻²⁴ (float32) or 2⁻⁵³ (float64). key: (4,) uint32 -> shape."""
    return _uniform(key, shape, dtype, xp)


@primitive(name="random_normal")
def normal(key: Array, /, *, shape: Shape, dtype: str = "float32", xp: Any) -> Array:
    """Standard normal numbers by Box & Muller 1958. key: (4,) uint32 -> shape.

    Elements 2j, 2j + 1 are √(−2·log(1 − u))·cos 2πv and the same with sin, where u, v are the uniforms 2j, 2j + 1.
    Their last digits depend on the library's log, sin and cos.
    """
    n = math.prod(shape)
    pairs = xp.reshape(_uniform(key, (2 * -(-n // 2),), dtype, xp), (-1, 2))
    radius = xp.sqrt(-2.0 * xp.log1p(-pairs[:, 0]))
    angle = (2.0 * math.pi) * pairs[:, 1]
    both = xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=-1)
    return xp.reshape(xp.reshape(both, (-1,))[:n], shape)


@primitive(name="random_bernoulli")
def bernoulli(key: Array, /, *, shape: Shape, p: float = 0.5, xp: Any) -> Array:
    """Bools that are true with probability p: whether a uniform float32 is below p. key: (4,) uint32 -> shape."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p must be a probability, not {p}")
    return _uniform(key, shape, "float32", xp) < p


@primitive(name="random_integers")
def integers(key: Array, /, *, low: int, high: int, shape: Shape, xp: Any) -> Array:
    """Integers in [low, high), int64. key: (4,) uint32 -> shape.

    ⌊64 random bits · (high − low) / 2⁶⁴⌋ + low (Lemire 2019, without rejection: a value's probability is off by at most
    2⁻⁶⁴). The span is at most 2³².
    """
    span = high - low
    if not 0 < span <= 2**32:
        raise ValueError(f"low={low} must be less than high={high}, by at most 2**32")
    n = math.prod(shape)
    words = xp.reshape(_words(key, 2 * n, xp), (n, 2))
    top = (words[:, 0] * span + ((words[:, 1] * span) >> 32)) >> 32
    return xp.reshape(xp.astype(top, xp.int64) + low, shape)


@primitive(promote=("x",))
def dropout(x: Array, key: Array, /, *, p: float = 0.5, xp: Any) -> Array:
    """Scale x by 1/(1 − p) with probability 1 − p, else 0, each element on its own (Srivastava et al. 2014).

    x: (…), key: (4,) uint32 -> (…). Element i of x in row-major order is kept where uniform i of the key is at least p.
    The rule is the op itself with the same key: the mask is drawn again and not stored. p = 1 gives zeros.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p must be a probability, not {p}")
    if p == 1.0:
        return xp.zeros_like(x)
    if p == 0.0:
        return x
    return xp.masked(_uniform(key, tuple(x.shape), "float32", xp) >= p, x * (1.0 / (1.0 - p)))


dropout.vjp(x=lambda g, key, p: dropout(g, key, p=p))


class Generator:
    """A stream of keys: a seed, and a running number that counts the keys handed out.

    Parameters
    ----------
    seed : any integer; its lowest 64 bits count.

    >>> g = Generator(7)
    >>> g.next_key()
    array([7, 0, 0, 0], dtype=uint32)
    >>> g.next_key(), g.get_state()
    (array([7, 0, 1, 0], dtype=uint32), {'seed': 7, 'offset': 2})
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._seed, self._offset = int(seed) % 2**64, 0

    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`, and return the generator itself."""
        return self.set_state({"seed": int(seed) % 2**64, "offset": 0})

    def next_key(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """A key that no other call of this generator gives: (4,) uint32. Safe to call from several threads."""
        with self._lock:
            seed, offset = self._seed, self._offset
            self._offset = (offset + 1) % 2**64
        return np.asarray([seed & _WORD, seed >> 32, offset & _WORD, offset >> 32], dtype=np.uint32)

    def get_state(self) -> dict[str, int]:
        """The seed and the number of keys handed out, as plain integers."""
        with self._lock:
            return {"seed": self._seed, "offset": self._offset}

    def set_state(self, state: dict[str, int]) -> Generator:
        """Go back to a state of `get_state`, and return the generator itself."""
        try:
            seed, offset = int(state["seed"]), int(state["offset"])
        except (KeyError, TypeError) as error:
            raise ValueError("a generator's state is a dict with the integers 'seed' and 'offset'") from error
        if not (0 <= seed < 2**64 and 0 <= offset < 2**64):
            raise ValueError(f"seed and offset must be in [0, 2**64), not {seed} and {offset}")
        with self._lock:
            self._seed, self._offset = seed, offset
        return self

    def __repr__(self) -> str:
        return "Generator(seed={seed}, offset={offset})".format(**self.get_state())


#: The generator that random functions use when they are given none. Its seed is 0 until `manual_seed`.
default_generator = Generator(0)


def next_key(generator: Generator | None, backend: Any) -> Any:
    """The key that a random function takes from its generator: inside `vmap`, as `randomness` says."""
    source = default_generator if generator is None else generator
    if state.now.capture is not None:
        return state.now.capture.fresh(source.next_key, backend)
    if state.now.levels:
        from ..batching.randomness import keys

        return keys(source, backend)
    return source.next_key()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, and return it."""
    return default_generator.manual_seed(seed)
