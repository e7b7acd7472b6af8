"""Rows of the conformance table: an op, its input domains, static parameters, a NumPy/SciPy reference, edge points."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autograd.primitive import Primitive

NumpyArray = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Domain:
    """Where an input's values are drawn from, and its shape.

    `draw(rng, shape)` gives the values; `elastic` domains may be given another shape (broadcasting, empty, 0-d).
    """

    shape: tuple[int, ...]
    draw: Callable[[np.random.Generator, tuple[int, ...]], NumpyArray]
    elastic: bool = True

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...] | None = None) -> NumpyArray:
        """Values of the domain, in its shape or another."""
        return self.draw(rng, self.shape if shape is None else shape)


def real(*shape: int, scale: float = 1.0) -> Domain:
    """Normally distributed values."""
    return Domain(shape, lambda rng, s: np.asarray(scale * rng.standard_normal(s)))


def positive(*shape: int, low: float = 0.3, high: float = 3.0) -> Domain:
    """Uniform values in [low, high)."""
    return Domain(shape, lambda rng, s: np.asarray(rng.uniform(low, high, s)))


def unit(*shape: int, margin: float = 0.1) -> Domain:
    """Uniform values in (−1 + margin, 1 − margin)."""
    return Domain(shape, lambda rng, s: np.asarray(rng.uniform(-1 + margin, 1 - margin, s)))


def nonzero(*shape: int, low: float = 0.2, high: float = 2.0) -> Domain:
    """Values of either sign with low ≤ |x| < high: away from a kink at 0."""
    return Domain(shape, lambda rng, s: np.asarray(rng.uniform(low, high, s) * rng.choice([-1.0, 1.0], s)))


def distinct(*shape: int, gap: float = 0.1) -> Domain:
    """Values that differ from each other by at least `gap`, in random order: no ties for max, min, sort."""

    def draw(rng: np.random.Generator, s: tuple[int, ...]) -> NumpyArray:
        n = int(np.prod(s, dtype=int))
        return np.asarray(((rng.permutation(n) - n / 2 + 0.25) * gap).reshape(s))

    return Domain(shape, draw)


def probs(*shape: int, axis: int = -1) -> Domain:
    """Probabilities that sum to 1 along an axis, none of them 0."""

    def draw(rng: np.random.Generator, s: tuple[int, ...]) -> NumpyArray:
        p = rng.uniform(0.1, 1.0, s)
        return np.asarray(p / p.sum(axis, keepdims=True))

    return Domain(shape, draw, elastic=False)


def ints(*shape: int, high: int, low: int = 0, dtype: str = "int64") -> Domain:
    """Integers in [low, high)."""
    return Domain(shape, lambda rng, s: np.asarray(rng.integers(low, high, s, dtype=dtype)))


def bools(*shape: int) -> Domain:
    """Random bools."""
    return Domain(shape, lambda rng, s: np.asarray(rng.integers(0, 2, s) > 0))


def fixed(values: Any, dtype: str | None = None) -> Domain:
    """These very values."""
    array = np.asarray(values, dtype=dtype)
    return Domain(array.shape, lambda rng, s: array.copy(), elastic=False)


@dataclass(frozen=True)
class Edge:
    """A declared answer at a special point: inputs, the forward's values, and each input's gradient for g = 1.

    `grads` entries of None are not checked (integer inputs).
    """

    inputs: Sequence[Any]
    out: Any
    grads: Sequence[Any] | None = None

    def __init__(self, *inputs: Any, out: Any, grads: Sequence[Any] | None = None) -> None:
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "out", out)
        object.__setattr__(self, "grads", grads)


@dataclass(frozen=True)
class Composite:
    """A public function that is made of ops, so that it stands in the table and passes the same checks as they do."""

    fn: Callable[..., Any]
    elementwise: bool = False

    @property
    def name(self) -> str:
        """The function's name."""
        return self.fn.__name__

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Call the function."""
        return self.fn(*args, **params)


@dataclass(frozen=True)
class OpCase:
    """One row.

    Attributes
    ----------
    op : the primitive, or a function made of primitives. inputs : a domain per array input.
    reference : NumPy arrays (float64) -> the expected array, or tuple of arrays for several outputs.
    params : static parameters. label : tells rows of one op apart.
    orders : derivative orders to check (0: not differentiable).
    rtol, atol : of float64 forward against the reference. rtol32 : of float32 against float64.
    edges : declared special points. gradcheck : extra keyword arguments for `gradcheck`.
    """

    op: Primitive | Composite
    inputs: Sequence[Domain]
    reference: Callable[..., Any]
    params: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    orders: int = 2
    rtol: float = 1e-9
    atol: float = 1e-12
    rtol32: float = 2e-4
    atol32: float = 2e-5
    edges: Sequence[Edge] = ()
    gradcheck: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`op` or `op-label`: unique in the table."""
        return f"{self.op.name}-{self.label}" if self.label else self.op.name

    def rng(self) -> np.random.Generator:
        """A generator seeded by the row's name."""
        return np.random.default_rng(zlib.crc32(self.id.encode()))

    def sample(self) -> list[NumpyArray]:
        """The row's inputs, the same at every call; floats in float64."""
        rng = self.rng()
        return [domain.sample(rng) for domain in self.inputs]

    def expected(self, arrays: Sequence[NumpyArray]) -> tuple[NumpyArray, ...]:
        """The reference's outputs as a tuple of arrays."""
        with np.errstate(all="ignore"):
            out = self.reference(*arrays)
        return tuple(np.asarray(o) for o in out) if isinstance(out, tuple) else (np.asarray(out),)

    def call(self, *tensors: Any) -> tuple[Any, ...]:
        """The op's outputs as a tuple."""
        out = self.op(*tensors, **self.params)
        return out if isinstance(out, tuple) else (out,)
