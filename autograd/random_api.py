"""Random tensors: what users call as `pullback.random`.

Every function takes a `generator` (the default one if None) and a `backend` (the current one if None), and takes one
key from the generator. The same seed and the same sequence of calls give the same numbers on every backend and for
every number of threads; the last digits of `normal` depend on the backend's logarithm and cosine.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import Backend, get_backend
from .dtypes import as_dtype
from .ops.elementwise import less
from .ops.random import Generator, default_generator, manual_seed, next_key, philox_bits
from .ops.random import bernoulli as bernoulli_op
from .ops.random import integers as integers_op
from .ops.random import normal as normal_op
from .ops.random import uniform as uniform_op
from .ops.sorting import argsort_
from .tensor import Tensor

__all__ = [
    "Generator", "bernoulli", "default_generator", "manual_seed", "normal", "permutation", "randint", "uniform",
]  # fmt: skip

Shape = int | Sequence[int]
BackendLike = str | Backend | None


def _shape(shape: Shape) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    out = tuple(operator.index(n) for n in sizes)
    if any(n < 0 for n in out):
        raise ValueError(f"a shape has no negative lengths: {out}")
    return out


def _key(generator: Generator | None, backend: BackendLike) -> Tensor:
    chosen = get_backend(backend)
    key = next_key(generator, chosen)
    return key if isinstance(key, Tensor) else Tensor(key, backend=chosen)


def _drawn_as(dtype: Any) -> tuple[str, str]:
    """The dtype asked for, and the one in which the numbers are drawn."""
    name = as_dtype(dtype).name
    if not name.startswith("float"):
        raise TypeError(f"real random numbers need a floating dtype, not {name}; see randint")
    return name, "float64" if name == "float64" else "float32"


def uniform(
    shape: Shape = (), low: float = 0.0, high: float = 1.0, *, generator: Generator | None = None,
    dtype: Any = "float32", backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Uniform numbers in [low, high).

    >>> import pullback as pb
    >>> pb.random.uniform(2, generator=pb.Generator(1)).shape
    (2,)
    """
    name, drawn = _drawn_as(dtype)
    u: Tensor = uniform_op(_key(generator, backend), shape=_shape(shape), dtype=drawn)
    if (low, high) != (0.0, 1.0):
        u = u * (high - low) + low
    return u.astype(name)


def normal(
    shape: Shape = (), mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None,
    dtype: Any = "float32", backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Normal numbers with the given mean and standard deviation."""
    if std < 0:
        raise ValueError(f"std must not be negative, not {std}")
    name, drawn = _drawn_as(dtype)
    z: Tensor = normal_op(_key(generator, backend), shape=_shape(shape), dtype=drawn)
    if (mean, std) != (0.0, 1.0):
        z = z * std + mean
    return z.astype(name)


def bernoulli(
    p: Any, shape: Shape | None = None, *, generator: Generator | None = None, dtype: Any = "bool",
    backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """True with probability p: one number and a shape, or a tensor with a probability for each element."""
    if isinstance(p, int | float):
        size = () if shape is None else _shape(shape)
        drawn: Tensor = bernoulli_op(_key(generator, backend), shape=size, p=float(p))
    else:
        chances = p if isinstance(p, Tensor) else Tensor(p, backend=backend)
        size = chances.shape if shape is None else _shape(shape)
        kind = "float64" if chances.dtype == np.float64 else "float32"
        drawn = less(uniform_op(_key(generator, chances.backend), shape=size, dtype=kind), chances)
    return drawn.astype(dtype)


def randint(
    low: int, high: int | None = None, shape: Shape = (), *, generator: Generator | None = None, dtype: Any = "int64",
    backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Integers in [low, high), or in [0, low) if `high` is None; at most 2³² different ones."""
    if high is None:
        low, high = 0, low
    drawn: Tensor = integers_op(
        _key(generator, backend), low=operator.index(low), high=operator.index(high), shape=_shape(shape)
    )
    return drawn.astype(dtype)


def permutation(n: int, *, generator: Generator | None = None, backend: BackendLike = None) -> Tensor:
    """The numbers 0 … n − 1 in random order, int64: the order of n random 64-bit words."""
    words = philox_bits(_key(generator, backend), shape=(2, operator.index(n))).astype("uint64")
    order: Tensor = argsort_((words[0] << 32) | words[1], axis=0, descending=False)
    return order
