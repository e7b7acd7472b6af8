"""Random tensors: what users call as `pullback.random`.

Every function takes a `generator` (the default one if None) and a `backend` (that of its parameters, else the current
one), and takes one key from the generator. The same seed and the same sequence of calls give the same numbers on every
backend and for every number of threads; where a logarithm or cosine is computed, the last digits are the library's.

Parameters of the distributions (`mean`, `high`, …) are numbers, or tensors that broadcast to the shape, which then is
theirs unless one is given. Samples are differentiable with respect to them wherever PyTorch's `rsample` is: `uniform`,
`normal`, `truncated_normal`, `exponential`, `laplace` and `gumbel` transform fixed random numbers (the
reparameterisation trick). Draws of bools and integers are not differentiable. The dtype is float32, or that of the
parameters.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backends import Backend, get_backend
from .dtypes import DEFAULT_FLOAT, as_dtype, promote
from .ops.creation import check
from .ops.elementwise import clip, less, maximum, minimum
from .ops.extrema import argmax
from .ops.index import take
from .ops.random import Generator, default_generator, manual_seed, next_key, philox_bits
from .ops.random import bernoulli as bernoulli_op
from .ops.random import integers as integers_op
from .ops.random import normal as normal_op
from .ops.random import uniform as uniform_op
from .ops.shape import broadcast_to, moveaxis, one_axis
from .ops.sorting import argsort_
from .ops.special import erfinv
from .ops.unary import abs as absolute
from .ops.unary import erf, log, log1p, sign
from .tensor import Tensor

__all__ = [
    "Generator", "bernoulli", "categorical", "default_generator", "exponential", "gumbel", "laplace", "manual_seed",
    "normal", "permutation", "randint", "truncated_normal", "uniform",
]  # fmt: skip

Shape = int | Sequence[int]
BackendLike = str | Backend | None
Real = Any  # a number or a Tensor


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


class _Draw:
    """One draw: its shape, the dtype asked for and the one it is computed in, and the key."""

    def __init__(
        self, op: str, shape: Shape | None, generator: Generator | None, dtype: Any, backend: BackendLike, **given: Real
    ) -> None:
        for name, value in given.items():
            if isinstance(value, np.ndarray):
                given[name] = Tensor(value, backend=backend)
        self.parameters = given
        tensors = [value for value in given.values() if isinstance(value, Tensor)]
        if dtype is None:
            floating = [t.dtype for t in tensors if t.dtype.kind == "f"]
            dtype = promote(floating) if floating else DEFAULT_FLOAT
        self.dtype = as_dtype(dtype).name
        if not self.dtype.startswith("float"):
            raise TypeError(f"random.{op}: real numbers need a floating dtype, not {self.dtype}; see randint")
        self.kind = "float64" if self.dtype == "float64" else "float32"
        common = np.broadcast_shapes(*(t.shape for t in tensors))
        self.shape = common if shape is None else _shape(shape)
        try:
            fits = np.broadcast_shapes(common, self.shape) == self.shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(f"random.{op}: parameters of shape {common} do not broadcast to the shape {self.shape}")
        self.key = _key(generator, tensors[0].backend if tensors and backend is None else backend)

    def uniform(self) -> Tensor:
        """Uniform numbers in [0, 1)."""
        drawn: Tensor = uniform_op(self.key, shape=self.shape, dtype=self.kind)
        return drawn

    def exponential(self, least: float = 0.0) -> Tensor:
        """Standard exponential numbers, −log(1 − u), of uniforms that are `least` at least."""
        u = self.uniform()
        positive: Tensor = -log1p(-(maximum(u, least) if least else u))
        return positive

    @property
    def half_step(self) -> float:
        """Half the distance of two neighbouring uniforms: stands in for a 0 whose logarithm is taken."""
        return 2.0**-54 if self.kind == "float64" else 2.0**-25

    def moved(self, standard: Tensor, loc: Real, scale: Real) -> Tensor:
        """loc + scale·standard, in the dtype asked for."""
        if not (type(scale) in (int, float) and scale == 1):
            standard = standard * scale
        if not (type(loc) in (int, float) and loc == 0):
            standard = standard + loc
        return standard.astype(self.dtype)

    def positive(self, op: str, *names: str, zero: bool = False) -> None:
        """Refuse parameters that are negative (or zero)."""

        def fits(values: Any) -> bool:
            return bool((values >= 0 if zero else values > 0).all())

        for name in names:
            value = self.parameters[name]
            what = f", not {value}" if not isinstance(value, Tensor) else ""
            error = ValueError(f"random.{op}: {name} must {'not be negative' if zero else 'be positive'}{what}")
            if isinstance(value, Tensor):
                check(fits, lambda _, error=error: error, value)
            elif not fits(np.asarray(value)):
                raise error


# ------------------------------------------------------------------ real numbers


def uniform(
    shape: Shape | None = None, low: Real = 0.0, high: Real = 1.0, *, generator: Generator | None = None,
    dtype: Any = None, backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Uniform numbers in [low, high).

    >>> import pullback as pb
    >>> pb.random.uniform(2, generator=pb.Generator(1)).shape
    (2,)
    """
    draw = _Draw("uniform", shape, generator, dtype, backend, low=low, high=high)
    return draw.moved(draw.uniform(), low, high - low)


def normal(
    shape: Shape | None = None, mean: Real = 0.0, std: Real = 1.0, *, generator: Generator | None = None,
    dtype: Any = None, backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Normal numbers with the given mean and standard deviation: mean + std·z.

    >>> import pullback as pb
    >>> mean, std = pb.tensor([0.0, 1.0]), pb.tensor([1.0, 2.0])
    >>> pb.grad(lambda s: pb.random.normal(mean=mean, std=s).sum())(std).shape  # the fixed z
    (2,)
    """
    draw = _Draw("normal", shape, generator, dtype, backend, mean=mean, std=std)
    draw.positive("normal", "std", zero=True)
    z: Tensor = normal_op(draw.key, shape=draw.shape, dtype=draw.kind)
    return draw.moved(z, mean, std)


def truncated_normal(
    shape: Shape | None = None, mean: Real = 0.0, std: Real = 1.0, low: Real = -2.0, high: Real = 2.0, *,
    generator: Generator | None = None, dtype: Any = None, backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Normal numbers given that they lie in [low, high]: the inverse of the distribution function, of uniform numbers.

    mean + std·√2·erf⁻¹(v) with v uniform between the erf of both bounds. The arguments are those of
    `torch.nn.init.trunc_normal_`: low and high are bounds of the result. Bounds many standard deviations to one side of
    the mean leave few different numbers.
    """
    draw = _Draw("truncated_normal", shape, generator, dtype, backend, mean=mean, std=std, low=low, high=high)
    draw.positive("truncated_normal", "std")
    below, above = (erf(_real((bound - mean) / (std * math.sqrt(2.0)), draw)) for bound in (low, high))
    edge = 1.0 - 2 * draw.half_step
    v = clip(draw.uniform() * (above - below) + below, -edge, edge)
    drawn = draw.moved(erfinv(v) * math.sqrt(2.0), mean, std)
    inside: Tensor = minimum(maximum(drawn, low), high)
    return inside.astype(draw.dtype)


def _real(value: Real, draw: _Draw) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor(value, draw.kind, backend=draw.key.backend)


def exponential(
    shape: Shape | None = None, rate: Real = 1.0, *, generator: Generator | None = None, dtype: Any = None,
    backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Exponential numbers with density rate·exp(−rate·x): −log(1 − u)/rate."""
    draw = _Draw("exponential", shape, generator, dtype, backend, rate=rate)
    draw.positive("exponential", "rate")
    return draw.moved(draw.exponential(), 0, 1.0 / rate)


def laplace(
    shape: Shape | None = None, loc: Real = 0.0, scale: Real = 1.0, *, generator: Generator | None = None,
    dtype: Any = None, backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Laplace numbers with density exp(−|x − loc|/scale)/(2·scale): loc − scale·sign(v)·log(1 − 2|v|), v in ±½."""
    draw = _Draw("laplace", shape, generator, dtype, backend, loc=loc, scale=scale)
    draw.positive("laplace", "scale")
    v = draw.uniform() - 0.5
    inside = minimum(absolute(v), 0.5 - draw.half_step)
    return draw.moved(-sign(v) * log1p(-2.0 * inside), loc, scale)


def gumbel(
    shape: Shape | None = None, loc: Real = 0.0, scale: Real = 1.0, *, generator: Generator | None = None,
    dtype: Any = None, backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Gumbel numbers, loc − scale·log(e) with e standard exponential: the noise whose argmax is a categorical draw."""
    draw = _Draw("gumbel", shape, generator, dtype, backend, loc=loc, scale=scale)
    draw.positive("gumbel", "scale")
    return draw.moved(-log(draw.exponential(draw.half_step)), loc, scale)


# ------------------------------------------------------------------ bools and integers


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


def permutation(
    x: Any, axis: int = 0, *, generator: Generator | None = None, backend: BackendLike = None
) -> Tensor:  # fmt: skip
    """The numbers 0 … x − 1 in random order, int64; or a tensor's slices along an axis in random order.

    They are put in the order of as many random 64-bit words.

    >>> import pullback as pb
    >>> sorted(pb.random.permutation(4).tolist())
    [0, 1, 2, 3]
    """
    if isinstance(x, np.ndarray):
        x = Tensor(x, backend=backend)
    tensor = isinstance(x, Tensor) and x.ndim > 0
    n = x.shape[one_axis(axis, x.ndim, "permutation")] if tensor else operator.index(x)
    if n < 0:
        raise ValueError(f"random.permutation: a length is wanted, not {n}")
    words = philox_bits(_key(generator, x.backend if tensor else backend), shape=(2, n)).astype("uint64")
    order: Tensor = argsort_((words[0] << 32) | words[1], axis=0, descending=False)
    return take(x, order, axis=axis) if tensor else order


def categorical(
    logits: Any, shape: Shape | None = None, *, axis: int = -1, generator: Generator | None = None,
    backend: BackendLike = None,
) -> Tensor:  # fmt: skip
    """Class indices with probabilities softmax(logits) along an axis, int64; pass log p for probabilities p.

    logits: (…, classes, …). `shape` is that of the result; it must end with the logits' shape without the classes,
    which is its default. Drawn as the argmax of logits + Gumbel noise in float64, so that a backend's last digits do
    not change a draw. A class with logit −∞ is never drawn.

    >>> import pullback as pb
    >>> pb.random.categorical(pb.tensor([-1e9, 0.0, -1e9]), (3,)).tolist()
    [1, 1, 1]

    Raises
    ------
    ValueError : there are no classes, or the shape does not end as it should.
    """
    scores = logits if isinstance(logits, Tensor) else Tensor(logits, backend=backend)
    scores = moveaxis(scores.detach(), one_axis(axis, scores.ndim, "categorical"), -1)
    *batch, classes = scores.shape
    size = tuple(batch) if shape is None else _shape(shape)
    if not classes:
        raise ValueError("random.categorical: there are no classes to draw from")
    if len(size) < len(batch) or size[len(size) - len(batch) :] != tuple(batch):
        raise ValueError(f"random.categorical: the shape {size} must end with {tuple(batch)}, that of the logits")
    noise = gumbel((*size, classes), generator=generator, dtype="float64", backend=scores.backend)
    best: Tensor = argmax(broadcast_to(scores.astype("float64"), noise.shape) + noise, axis=-1)
    return best
