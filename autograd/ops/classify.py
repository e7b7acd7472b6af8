"""Ops on scores of classes and class indices: the fused cross-entropy, and picking a row's entry and its transpose.

Scores are (c,), (n, c) or (n, c, d₁, …): the class axis is 1, or 0 for a single row. Targets are integers of the
scores' shape without that axis. Rows whose target is `ignore_index` count for nothing: value 0, gradient 0.
"""

from __future__ import annotations

import math
from typing import Any

from ..primitive import primitive
from .elementwise import not_equal, where
from .reduce import sum_
from .shape import broadcast_to_, reshape
from .softmax import softmax_, softmax_grad

Array = Any


def class_axis(ndim: int) -> int:
    """The axis of the classes in scores with that many axes."""
    return 1 if ndim > 1 else 0


def _with_class_axis(shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
    axis = class_axis(len(shape) + 1)
    return (*shape[:axis], classes, *shape[axis:])


def _indices(scores_shape: tuple[int, ...], target: Array, ignore_index: int, xp: Any) -> tuple[Array, Array]:
    """The target as int64 with ignored entries at 0, and where it counts; checked against the scores.

    Raises
    ------
    ValueError : its shape is wrong. TypeError : it is not of integers. IndexError : a label is out of range.
    """
    axis = class_axis(len(scores_shape))
    classes = scores_shape[axis]
    expected = (*scores_shape[:axis], *scores_shape[axis + 1 :])
    if not xp.isdtype(target.dtype, "integral"):
        raise TypeError(f"class indices must be integers, not {target.dtype}; convert with .astype('int64')")
    if tuple(target.shape) != expected:
        fix = ""
        if tuple(target.shape) == tuple(scores_shape):
            fix = "; one-hot rows or probabilities must be floating"
        elif math.prod(target.shape) == math.prod(expected):
            fix = f"; .reshape({expected}) makes it so"
        raise ValueError(
            f"class indices must have shape {expected}, the scores' shape {tuple(scores_shape)} without the class axis "
            f"{axis}, not {tuple(target.shape)}{fix}"
        )
    target = xp.astype(target, xp.int64, copy=False)
    valid = xp.not_equal(target, ignore_index)
    if math.prod(expected):
        safe = xp.where(valid, target, 0)
        low, high = int(xp.min(safe)), int(xp.max(safe))
        if low < 0 or high >= classes:
            raise IndexError(
                f"class indices must be in [0, {classes}) for scores of {classes} classes, or ignore_index="
                f"{ignore_index}; found {low if low < 0 else high}"
            )
        target = safe
    return target, valid


def _onehot(target: Array, classes: int, xp: Any) -> Array:
    axis = class_axis(target.ndim + 1)
    labels = xp.reshape(xp.arange(classes, dtype=xp.int64), (classes, *[1] * (target.ndim - axis)))
    return xp.equal(xp.expand_dims(target, axis=axis), labels)


@primitive(promote=("x",))
def pick_class(x: Array, target: Array, /, *, ignore_index: int = -100, xp: Any) -> Array:
    """The entry of each row that its target names, 0 where ignored. x: (n, c, …), target: (n, …) -> (n, …)."""
    target, valid = _indices(x.shape, target, ignore_index, xp)
    axis = class_axis(x.ndim)
    if not x.shape[axis]:
        return xp.zeros(target.shape, dtype=x.dtype)
    picked = xp.take_along_axis(x, xp.expand_dims(target, axis=axis), axis=axis)
    return xp.masked(valid, xp.squeeze(picked, axis=axis))


@primitive
def place_class(gy: Array, target: Array, /, *, classes: int, ignore_index: int = -100, xp: Any) -> Array:
    """The transpose of `pick_class`: gy at each row's target, 0 elsewhere. (n, …), (n, …) -> (n, classes, …)."""
    target, valid = _indices(_with_class_axis(tuple(gy.shape), classes), target, ignore_index, xp)
    axis = class_axis(gy.ndim + 1)
    hit = xp.logical_and(_onehot(target, classes, xp), xp.expand_dims(valid, axis=axis))
    return xp.masked(hit, xp.expand_dims(gy, axis=axis))


pick_class.vjp(
    x=lambda g, x_shape, target, ignore_index: place_class(
        g, target, classes=x_shape[class_axis(len(x_shape))], ignore_index=ignore_index
    )
)
place_class.vjp(gy=lambda g, target, ignore_index: pick_class(g, target, ignore_index=ignore_index))


@primitive
def count_valid(target: Array, /, *, ignore_index: int = -100, dtype: str = "float32", xp: Any) -> Array:
    """How many targets are not `ignore_index`, as a float of that dtype; NaN if none is. Not differentiable."""
    n = int(xp.count_nonzero(xp.not_equal(xp.astype(target, xp.int64, copy=False), ignore_index)))
    return xp.asarray(float(n) if n else math.nan, dtype=getattr(xp, dtype))


@primitive(promote=("logits",))
def cross_entropy_index(
    logits: Array, target: Array, /, *, label_smoothing: float = 0.0, ignore_index: int = -100, xp: Any
) -> Array:
    """Cross-entropy of each row's softmax with its class index: log Σ eˣ − x[target], a value per row.

    logits: (n, c, …), target: (n, …) integers -> (n, …). With label smoothing ε the wanted distribution is
    (1 − ε)·onehot + ε/c (Szegedy et al. 2016). ∂logits = g·(softmax(logits) − that distribution).

    Raises
    ------
    ValueError : the target's shape is wrong. TypeError : it is not of integers. IndexError : a label is out of range.
    """
    target, valid = _indices(logits.shape, target, ignore_index, xp)
    axis = class_axis(logits.ndim)
    if not logits.shape[axis]:
        return xp.zeros(target.shape, dtype=logits.dtype)
    z = logits - xp.max(logits, axis=axis, keepdims=True)
    log_total = xp.log(xp.sum(xp.exp(z), axis=axis))
    picked = xp.squeeze(xp.take_along_axis(z, xp.expand_dims(target, axis=axis), axis=axis), axis=axis)
    if label_smoothing:
        picked = (1.0 - label_smoothing) * picked + label_smoothing * xp.mean(z, axis=axis)
    return xp.masked(valid, log_total - picked)


@primitive
def cross_entropy_index_grad(
    gy: Array, logits: Array, target: Array, /, *, label_smoothing: float = 0.0, ignore_index: int = -100, xp: Any
) -> Array:
    """The cotangent of the logits from that of the rows: gy·(softmax(logits) − (1 − ε)·onehot − ε/c), 0 where ignored.

    gy: (n, …), logits: (n, c, …), target: (n, …) -> (n, c, …).
    """
    target, valid = _indices(logits.shape, target, ignore_index, xp)
    axis = class_axis(logits.ndim)
    classes = logits.shape[axis]
    if not classes:
        return logits
    e = xp.exp(logits - xp.max(logits, axis=axis, keepdims=True))
    p = e / xp.sum(e, axis=axis, keepdims=True)
    p = p - xp.astype(_onehot(target, classes, xp), p.dtype) * (1.0 - label_smoothing)
    if label_smoothing:
        p = p - label_smoothing / classes
    return p * xp.expand_dims(xp.masked(valid, gy), axis=axis)


cross_entropy_index.vjp(
    logits=lambda g, logits, target, label_smoothing, ignore_index: cross_entropy_index_grad(
        g, logits, target, label_smoothing=label_smoothing, ignore_index=ignore_index
    )
)


def _cross_entropy_grad_dgy(g: Array, logits: Array, target: Array, label_smoothing: float, ignore_index: int) -> Array:
    """Σ g·(softmax − (1 − ε)·onehot − ε/c) over the classes."""
    axis = class_axis(logits.ndim)
    uniform = label_smoothing / max(logits.shape[axis], 1)
    total = sum_(g * (softmax_(logits, axis=axis) - uniform), axis=(axis,), keepdims=False)
    total = where(not_equal(target, ignore_index), total, 0.0)
    return total - (1.0 - label_smoothing) * pick_class(g, target, ignore_index=ignore_index)


def _cross_entropy_grad_dlogits(g: Array, gy: Array, logits: Array, target: Array, ignore_index: int) -> Array:
    """The softmax's Jacobian times g, times gy where the row counts."""
    axis = class_axis(logits.ndim)
    rows = where(not_equal(target, ignore_index), gy, 0.0)
    rows = reshape(rows, shape=_with_class_axis(tuple(gy.shape), 1))
    return rows * softmax_grad(g, softmax_(logits, axis=axis), axis=axis)


cross_entropy_index_grad.vjp(gy=_cross_entropy_grad_dgy, logits=_cross_entropy_grad_dlogits)


@primitive(promote=("logits",))
def cross_entropy_mean(
    logits: Array, target: Array, /, *, label_smoothing: float = 0.0, ignore_index: int = -100, xp: Any
) -> Array:
    """The mean of `cross_entropy_index` over the rows that are not ignored, as one op; NaN if there are none.

    logits: (n, c, …), target: (n, …) integers -> (). `cross_entropy` uses it where the backend has a kernel for it.
    """
    options = {"label_smoothing": label_smoothing, "ignore_index": ignore_index}
    rows = cross_entropy_index.forward(logits, target, **options, xp=xp)
    return xp.sum(rows) / count_valid.forward(target, ignore_index=ignore_index, dtype=_name(rows, xp), xp=xp)


@primitive(promote=("gy", "logits"))
def cross_entropy_mean_grad(
    gy: Array, logits: Array, target: Array, /, *, label_smoothing: float = 0.0, ignore_index: int = -100, xp: Any
) -> Array:
    """The cotangent of the logits in `cross_entropy_mean`. gy: (), logits: (n, c, …), target: (n, …) -> (n, c, …)."""
    each = gy / count_valid.forward(target, ignore_index=ignore_index, dtype=_name(gy, xp), xp=xp)
    options = {"label_smoothing": label_smoothing, "ignore_index": ignore_index}
    return cross_entropy_index_grad.forward(xp.broadcast_to(each, target.shape), logits, target, **options, xp=xp)


def _name(x: Array, xp: Any) -> str:
    return "float64" if x.dtype == xp.float64 else "float32"


def _each(x: Array, target: Array, ignore_index: int, dtype: str) -> Array:
    """x over the number of rows that count."""
    return x / count_valid(target, ignore_index=ignore_index, dtype=dtype)


def _mean_grad_dgy(
    g: Array, logits: Array, logits_dtype: str, target: Array, label_smoothing: float, ignore_index: int
) -> Array:
    rows = _cross_entropy_grad_dgy(g, logits, target, label_smoothing, ignore_index)
    return _each(sum_(rows, axis=tuple(range(rows.ndim)), keepdims=False), target, ignore_index, logits_dtype)


def _mean_grad_dlogits(
    g: Array, gy: Array, logits: Array, logits_dtype: str, target: Array, ignore_index: int
) -> Array:
    each = broadcast_to_(_each(gy, target, ignore_index, logits_dtype), shape=tuple(target.shape))
    return _cross_entropy_grad_dlogits(g, each, logits, target, ignore_index)


cross_entropy_mean.vjp(
    logits=lambda g, logits, target, label_smoothing, ignore_index: cross_entropy_mean_grad(
        g, logits, target, label_smoothing=label_smoothing, ignore_index=ignore_index
    )
)
cross_entropy_mean_grad.vjp(gy=_mean_grad_dgy, logits=_mean_grad_dlogits)
