"""Connectionist temporal classification: the loss of a label sequence against a longer sequence of frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .creation import asarray, full_like_
from .elementwise import equal, logical_and, not_equal, where
from .index import gather_, take_
from .loss import _reduced, _tensor
from .reduce import logsumexp_
from .shape import broadcast_to_, concatenate_, reshape_, stack_
from .slicing import getitem_, pad_

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["ctc_loss"]


def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """−log of the probability of all frame-wise paths that spell the target once repeats and blanks are removed.

    With the target and a blank before, between and behind its labels, l′ of length 2s + 1, the forward recursion in
    log space is αₜ(i) = log(e^αₜ₋₁(i) + e^αₜ₋₁(i−1) + [l′ᵢ ≠ blank, l′ᵢ ≠ l′ᵢ₋₂]·e^αₜ₋₁(i−2)) + log pₜ(l′ᵢ), and the
    loss −log(e^α_T(2s) + e^α_T(2s − 1)). Graves et al. 2006. Composed of ops, it has derivatives of every order.

    Parameters
    ----------
    log_probs : (t, n, c), or (t, c) for one sequence: log-probabilities, as from `log_softmax`.
    targets : (n, s) class indices, or all sequences one behind the other in a 1-d array. No label may be the blank.
    input_lengths, target_lengths : (n,) integers: how many frames and labels of each sequence count.
    blank : the class that means no label.
    reduction : "mean" divides each loss by its target's length (at least 1), then averages over the batch.
    zero_infinity : losses of targets too long for their frames, which are ∞, count as 0, and so do their gradients.

    PyTorch's gradient of `log_probs` has the log-softmax built in; here it is the function's own, −γₜ, the posterior of
    each class. Behind a `log_softmax` both give the same.

    Raises
    ------
    ValueError : shapes or lengths do not fit.
    """
    x = _tensor(log_probs)
    single = x.ndim == 2
    if single:
        x = reshape_(x, shape=(x.shape[0], 1, x.shape[1]))
    if x.ndim != 3:
        raise ValueError(f"ctc_loss: log_probs must be (t, n, c) or (t, c), not {x.shape}")
    frames, n, classes = x.shape
    if not 0 <= blank < classes:
        raise ValueError(f"ctc_loss: blank must be in [0, {classes}), not {blank}")
    times, lengths = _lengths("input_lengths", input_lengths, n), _lengths("target_lengths", target_lengths, n)
    if times and (min(times) < 0 or max(times) > frames):
        raise ValueError(f"ctc_loss: input_lengths must be in [0, {frames}], the number of frames")
    labels = _padded(_tensor(targets, x), lengths, blank, single)
    losses = -_log_likelihood(x, labels, times, lengths, blank)
    if zero_infinity:
        losses = where(equal(losses, math.inf), 0.0, losses)
    if reduction == "mean":
        losses = losses / asarray([float(max(k, 1)) for k in lengths], dtype=x.dtype, backend=x.backend)
    if single and reduction != "mean":
        losses = reshape_(losses, shape=())
    return _reduced(losses, reduction)


def _lengths(name: str, given: Any, n: int) -> list[int]:
    """Lengths as a list of n ints."""
    found = given.numpy() if hasattr(given, "numpy") else given
    values = [int(k) for k in found.reshape(-1)] if hasattr(found, "reshape") else found
    listed = [int(values)] if isinstance(values, int) else [int(k) for k in values]
    if len(listed) != n:
        raise ValueError(f"ctc_loss: {name} must have one length for each of {n} sequences, not {len(listed)}")
    return listed


def _padded(targets: Tensor, lengths: list[int], blank: int, single: bool) -> Tensor:
    """The targets as (n, s) with s the longest one's length, and blanks behind the shorter ones."""
    if targets.dtype.kind not in "iu":
        raise TypeError(f"ctc_loss: targets must be integers, not {targets.dtype}")
    n, s = len(lengths), max(lengths, default=0)
    if targets.ndim == 2 and targets.shape[0] != n:
        raise ValueError(f"ctc_loss: targets of shape {targets.shape} for {n} sequences")
    if targets.ndim == 1 and single:
        targets = reshape_(targets, shape=(1, targets.shape[0]))
    width = targets.shape[1] if targets.ndim == 2 else 0
    room = width if targets.ndim == 2 else targets.shape[0]
    need = s if targets.ndim == 2 else sum(lengths)
    if targets.ndim not in (1, 2) or need > room or min(lengths, default=0) < 0:
        raise ValueError(f"ctc_loss: targets of shape {targets.shape} do not hold target_lengths {lengths}")
    starts = [width * i for i in range(n)] if targets.ndim == 2 else [sum(lengths[:i]) for i in range(n)]
    places = [[start + j if j < k else 0 for j in range(s)] for start, k in zip(starts, lengths, strict=True)]
    counts = [[j < k for j in range(s)] for k in lengths]
    if not s:
        return full_like_(targets, value=blank, dtype="int64", shape=(n, 0))  # type: ignore[no-any-return]
    flat = reshape_(targets, shape=(-1,)).astype("int64")
    index = asarray([p for row in places for p in row], dtype="int64", backend=targets.backend)
    found = reshape_(take_(flat, index, axis=0), shape=(n, s))
    return where(asarray(counts, dtype="bool", backend=targets.backend), found, blank)  # type: ignore[no-any-return]


def _log_likelihood(x: Tensor, labels: Tensor, times: list[int], lengths: list[int], blank: int) -> Tensor:
    """log p(target) of each sequence. x: (t, n, c), labels: (n, s) -> (n,)."""
    frames, n, _ = x.shape
    s = labels.shape[1]
    states = 2 * s + 1
    blanks = full_like_(labels, value=blank, dtype=None, shape=(n, s))
    pairs = reshape_(stack_(blanks, labels, axis=2), shape=(n, 2 * s))
    extended = concatenate_(pairs, full_like_(labels, value=blank, dtype=None, shape=(n, 1)), axis=1)
    index = broadcast_to_(reshape_(extended, shape=(1, n, states)), shape=(frames, n, states))
    emitted = gather_(x, index, axis=2)
    # l′ᵢ₋₂, with blanks before the first; from a label to the next but one may be jumped unless they are equal
    before = getitem_(pad_(extended, widths=((0, 0), (2, 0)), value=blank), index=((0, n, 1), (0, states, 1)))
    jump = logical_and(not_equal(extended, blank), not_equal(extended, before))
    clock = asarray(times, dtype="int64", backend=x.backend)
    started = asarray([[0.0] + [-math.inf] * (states - 1)] * n, dtype=x.dtype, backend=x.backend)
    alpha = started  # before the first frame: the path is at the first blank, from where it may also take one step
    for t in range(frames):
        one, two = (
            getitem_(pad_(alpha, widths=((0, 0), (k, 0)), value=-math.inf), index=((0, n, 1), (0, states, 1)))
            for k in (1, 2)
        )
        jumped = where(jump, two, -math.inf)
        total = logsumexp_(stack_(alpha, one, jumped, axis=0), axis=(0,), keepdims=False)
        moved = total + getitem_(emitted, index=(t,))
        alpha = moved if t < min(times, default=0) else where(reshape_(clock > t, shape=(n, 1)), moved, alpha)
    ends = asarray([[2 * k, max(2 * k - 1, 0)] for k in lengths], dtype="int64", backend=x.backend)
    last = gather_(alpha, reshape_(ends, shape=(n, 2)), axis=1)
    twice = asarray([[False, k == 0] for k in lengths], dtype="bool", backend=x.backend)
    return logsumexp_(where(reshape_(twice, shape=(n, 2)), -math.inf, last), axis=(1,), keepdims=False)  # type: ignore[no-any-return]
