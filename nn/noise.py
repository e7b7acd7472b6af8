"""Dropout and other noise, with PyTorch's signatures. `inplace` is accepted and has no effect.

In training each element, or each channel, is dropped with probability p. The draws come from `generator`, the default
one (`pb.manual_seed`) for None.
"""

from __future__ import annotations

import math
from typing import Any

from ..autograd import ops, random_api
from ..autograd.ops.random import next_key
from ..autograd.tensor import Tensor
from .arguments import probability

__all__ = [
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "gumbel_softmax",
    "rrelu",
]  # fmt: skip

#: minus the least value of SELU, scale·alpha: what alpha dropout puts in place of an element is −this
SATURATION = 1.7580993408473766


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """In training each element is 0 with probability p and x/(1 − p) otherwise. Srivastava et al. 2014.

    The mask is drawn from `generator`, the default one (`pb.manual_seed`) for None.
    """
    p = probability("dropout", "p", p)
    if not training or p == 0.0:
        return input
    return ops.dropout(input, next_key(generator, input.backend), p=p)


def _channels(input: Tensor, lead: int) -> Tensor:
    """Ones in the shape of the input's first axes, to broadcast against it."""
    shape = (*input.shape[:lead], *(1,) * (input.ndim - lead))
    return ops.ones(shape, dtype=input.dtype, backend=input.backend)


def _dropout_channels(name: str, axes: int, input: Tensor, p: float, training: bool, generator: Any) -> Tensor:
    p = probability(name, "p", p)
    if input.ndim not in (axes + 1, axes + 2):
        layout = "(n, c, " + ", ".join("dhw"[3 - axes :]) + ")" if axes > 1 else "(n, c, l)"
        raise ValueError(f"{name} takes {layout}, not an input of shape {input.shape}; dropout takes any shape")
    if not training or p == 0.0:
        return input
    return input * ops.dropout(_channels(input, input.ndim - axes), next_key(generator, input.backend), p=p)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """In training each channel of (n, c, l) or (c, l) is 0 with probability p and x/(1 − p) otherwise."""
    return _dropout_channels("dropout1d", 1, input, p, training, generator)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """In training each channel of each image is 0 with probability p and x/(1 − p) otherwise. Tompson et al. 2015.

    input: (n, c, h, w) or (c, h, w).
    """
    return _dropout_channels("dropout2d", 2, input, p, training, generator)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """In training each channel of (n, c, d, h, w) or (c, d, h, w) is 0 with probability p and x/(1 − p) otherwise."""
    return _dropout_channels("dropout3d", 3, input, p, training, generator)


def _alpha(input: Tensor, ones: Tensor, p: float, generator: Any) -> Tensor:
    """Dropped values become the negative saturation of SELU; then a·x + b restores mean 0 and variance 1."""
    if p == 1.0:
        return input * 0.0
    kept = (ops.dropout(ones, next_key(generator, input.backend), p=p) > 0.0).astype(input.dtype)
    a = 1.0 / math.sqrt((SATURATION**2 * p + 1.0) * (1.0 - p))
    return input * (kept * a) + ((kept - 1.0 + p) * (SATURATION * a))


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """Dropout for SELU networks: keeps mean 0 and variance 1 of an input that has them. Klambauer et al. 2017.

    y = a·(x where kept, −1.758… where dropped) + b with a = ((1 − p)·(1 + p·1.758…²))^(−½) and b = a·p·1.758….
    """
    p = probability("alpha_dropout", "p", p)
    if not training or p == 0.0:
        return input
    return _alpha(input, ops.ones_like(input), p, generator)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """`alpha_dropout` of whole channels. (n, c, …) -> the same shape."""
    p = probability("feature_alpha_dropout", "p", p)
    if not training or p == 0.0:
        return input
    if input.ndim < 2:
        raise ValueError(f"feature_alpha_dropout takes (n, c, …), not an input of shape {input.shape}")
    return _alpha(input, _channels(input, 2), p, generator)


def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1, *, generator: Any = None
) -> Tensor:
    """A draw from the relaxed categorical distribution: softmax((x + Gumbel noise)/tau) along `dim`.

    With `hard` the result is the vector with a 1 at the largest entry, and its gradient that of the soft one. `eps` is
    accepted and has no effect, as in PyTorch. Jang et al. 2017; Maddison et al. 2017.
    """
    if tau <= 0:
        raise ValueError(f"gumbel_softmax: tau must be positive, not {tau}")
    noise = random_api.gumbel(logits.shape, generator=generator, dtype=logits.dtype, backend=logits.backend)
    soft = ops.softmax((logits + noise) / tau, axis=dim)
    if not hard:
        return soft
    fixed = soft.detach()
    best = ops.one_hot(ops.argmax(fixed, axis=dim), fixed.shape[dim]).astype(soft.dtype)
    return ops.moveaxis(best, -1, dim) - fixed + soft


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False, *,
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Rectifier with random slopes: x where x > 0, a·x elsewhere, each a drawn from U(lower, upper) in training.

    In evaluation a is (lower + upper)/2. Xu et al. 2015.
    """
    if not lower <= upper:
        raise ValueError(f"rrelu: lower {lower} must not be above upper {upper}")
    if not training:
        return ops.leaky_relu(input, negative_slope=(lower + upper) / 2)
    slopes = random_api.uniform(
        input.shape, lower, upper, generator=generator, dtype=input.dtype, backend=input.backend
    )
    return input * ops.where(input > 0.0, 1.0, slopes)
