"""Rows of the ops that losses are made of: `autograd/ops/classify.py` and `clamped_log`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from ...autograd.ops import classify, loss
from ..case import Edge, OpCase, fixed, ints, positive, real

Array = Any
IGNORED = -100

# label -> shape of the scores, targets, label smoothing
SHAPES: dict[str, tuple[tuple[int, ...], Any, float]] = {
    "rows": ((4, 5), ints(4, high=5), 0.0),
    "smooth": ((3, 4), ints(3, high=4), 0.1),
    "ignored": ((4, 3), fixed([2, IGNORED, 0, IGNORED]), 0.2),
    "pixels": ((2, 3, 2, 2), ints(2, 2, 2, high=3, dtype="int32"), 0.0),
    "one-row": ((4,), fixed(2), 0.1),
    "no-rows": ((0, 3), fixed([], "int64"), 0.0),
}


def _axis(shape: tuple[int, ...]) -> int:
    return 1 if len(shape) > 1 else 0


def _onehot(target: Array, shape: tuple[int, ...]) -> Array:
    """One where the target names the class; zero rows where it is ignored."""
    axis = _axis(shape)
    return np.moveaxis(np.asarray(target)[..., None] == np.arange(shape[axis]), -1, axis).astype(float)


def _wanted(target: Array, shape: tuple[int, ...], smoothing: float) -> Array:
    onehot = _onehot(target, shape)
    counts = onehot.sum(_axis(shape), keepdims=True)
    return onehot * (1 - smoothing) + counts * smoothing / shape[_axis(shape)]


def _means(forward: Any, backward: Any, shape: Any, target: Any, params: Any, label: str) -> list[OpCase]:
    """Rows of the same as one number, which is NaN without rows."""
    if label == "no-rows":
        return []

    def valid(t: Array) -> Any:
        return (t != IGNORED).sum()

    return [
        OpCase(
            classify.cross_entropy_mean,
            [real(*shape), target],
            lambda x, t: forward(x, t).sum() / valid(t),
            params=params,
            label=label,
        ),
        OpCase(
            classify.cross_entropy_mean_grad,
            [real(), real(*shape), target],
            lambda g, x, t: backward(np.full(t.shape, g / valid(t)), x, t),
            params=params,
            label=label,
        ),
    ]


def _rows() -> list[OpCase]:
    rows = []
    for label, (shape, target, smoothing) in SHAPES.items():
        axis = _axis(shape)
        y = real(*shape[:axis], *shape[axis + 1 :])
        params = {"label_smoothing": smoothing, "ignore_index": IGNORED}

        def forward(x: Array, t: Array, axis: int = axis, e: float = smoothing) -> Array:
            return -(_wanted(t, x.shape, e) * special.log_softmax(x, axis)).sum(axis)

        def backward(g: Array, x: Array, t: Array, axis: int = axis, e: float = smoothing) -> Array:
            wanted = _wanted(t, x.shape, e)
            p = special.softmax(x, axis) * wanted.sum(axis, keepdims=True)
            return np.expand_dims(g, axis) * (p - wanted)

        def pick(x: Array, t: Array, axis: int = axis) -> Array:
            return (x * _onehot(t, x.shape)).sum(axis)

        def place(g: Array, t: Array, axis: int = axis, shape: Any = shape) -> Array:
            return np.expand_dims(g, axis) * _onehot(t, shape)

        ignore = {"ignore_index": IGNORED}
        rows += [
            OpCase(classify.cross_entropy_index, [real(*shape), target], forward, params=params, label=label),
            OpCase(classify.cross_entropy_index_grad, [y, real(*shape), target], backward, params=params, label=label),
            *_means(forward, backward, shape, target, params, label),
            OpCase(classify.pick_class, [real(*shape), target], pick, params=ignore, label=label),
            OpCase(classify.place_class, [y, target], place, params={"classes": shape[axis], **ignore}, label=label),
        ]
    return rows


OTHERS = [
    OpCase(
        classify.count_valid, [fixed([1, IGNORED, 0])], lambda t: np.asarray(2.0),
        params={"ignore_index": IGNORED, "dtype": "float32"}, orders=0,
        edges=[Edge(np.asarray([IGNORED, IGNORED]), out=np.nan)],
    ),
    OpCase(
        loss.clamped_log, [positive(3, 4)], np.log, params={"offset": 0},
        edges=[
            Edge([0.0], out=[-100.0], grads=[[1e12]]),
            Edge([1e-30], out=[np.log(1e-30)], grads=[[1e12]]),
        ],
    ),
    OpCase(
        loss.clamped_log, [positive(3, 4)], np.log1p, params={"offset": 1}, label="plus-one",
        edges=[Edge([-1.0], out=[-100.0], grads=[[1e12]])],
    ),
]  # fmt: skip

CASES: list[OpCase] = [*_rows(), *OTHERS]
