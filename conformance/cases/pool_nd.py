"""Rows of `autograd/ops/pool_nd.py`. The references visit one window after the other, for any number of axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...autograd.ops import pool_nd
from ..case import Composite, OpCase, distinct, fixed, positive, real

Array = Any
MAX = {1: Composite(pool_nd.max_pool1d), 3: Composite(pool_nd.max_pool3d)}
AVG = {1: Composite(pool_nd.avg_pool1d), 3: Composite(pool_nd.avg_pool3d)}
ADAPTIVE_MAX = {1: Composite(pool_nd.adaptive_max_pool1d), 3: Composite(pool_nd.adaptive_max_pool3d)}
ADAPTIVE_AVG = {1: Composite(pool_nd.adaptive_avg_pool1d), 3: Composite(pool_nd.adaptive_avg_pool3d)}
UNPOOL, LP = Composite(pool_nd.max_unpool), Composite(pool_nd.lp_pool)

# label -> axes, input shape, static parameters of maximum and average
SHAPES: dict[str, tuple[int, tuple[int, ...], dict[str, Any]]] = {
    "pairs": (1, (2, 2, 6), {"kernel_size": 2}),
    "overlap": (1, (2, 7), {"kernel_size": (3,), "stride": 2, "padding": 1}),
    "ceil": (1, (1, 2, 8), {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True}),
    "vector": (1, (5,), {"kernel_size": 2, "stride": 1}),
    "volume": (3, (1, 2, 2, 4, 3), {"kernel_size": (2, 2, 3), "stride": (1, 2, 1)}),
    "volume-options": (
        3, (1, 1, 4, 5, 3), {"kernel_size": (3, 2, 2), "stride": 2, "padding": (1, 0, 1), "ceil_mode": True},
    ),
    "volume-no-batch": (3, (2, 2, 2, 2), {"kernel_size": 2}),
    "volume-empty": (3, (0, 2, 4, 4, 4), {"kernel_size": 2}),
}  # fmt: skip
DILATED: dict[str, tuple[int, tuple[int, ...], dict[str, Any]]] = {
    "dilated": (1, (2, 7), {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2}),
    "volume-dilated": (3, (1, 4, 3, 4), {"kernel_size": 2, "stride": 1, "dilation": (3, 1, 2)}),
}
ADAPTIVE: dict[str, tuple[int, tuple[int, ...], Any]] = {
    "uneven": (1, (2, 3, 5), 3),
    "even": (1, (2, 6), (2,)),
    "volume": (3, (1, 2, 5, 4, 3), (3, 2, 2)),
    "volume-kept": (3, (2, 4, 3, 2), (2, None, 1)),
    "volume-larger": (3, (1, 2, 1, 2), (3, 2, 5)),
}


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * axes


def _axis(n: int, k: int, s: int, p: int, d: int, ceil: bool) -> list[tuple[list[int], int]]:
    """Per window of one axis: its places within the input, and how many are within the padded input."""
    room = (n + 2 * p - d * (k - 1) - 1) / s
    count = (math.ceil(room) if ceil else math.floor(room)) + 1
    if ceil and (count - 1) * s >= n + p:
        count -= 1
    found = []
    for i in range(count):
        places = [i * s - p + j * d for j in range(k)]
        found.append(([q for q in places if 0 <= q < n], sum(q < n + p for q in places)))
    return found


def _adaptive_axis(n: int, out: int) -> list[tuple[list[int], int]]:
    spans = [range(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]
    return [(list(span), len(span)) for span in spans]


def _windows(size: Any, axes: int, p: dict[str, Any]) -> Any:
    kernel = _each(p["kernel_size"], axes)
    stride = _each(p.get("stride", kernel), axes)
    rest = [_each(p.get(name, default), axes) for name, default in (("padding", 0), ("dilation", 1))]
    return [_axis(*each, p.get("ceil_mode", False)) for each in zip(size, kernel, stride, *rest, strict=True)]


def _boxes(windows: Any) -> Iterator[tuple[tuple[int, ...], list[list[int]], int]]:
    """(index of the output, places along each axis, positions within the padded input) per window."""
    for at in itertools.product(*(range(len(w)) for w in windows)):
        chosen = [w[i] for w, i in zip(windows, at, strict=True)]
        yield at, [places for places, _ in chosen], math.prod(count for _, count in chosen)


def _pooled(x: Array, axes: int, windows: Any, of: Any) -> Array:
    lead = x.shape[:-axes]
    out = np.zeros((*lead, *(len(w) for w in windows)))
    for at, places, count in _boxes(windows):
        block = x[(..., *np.ix_(*places))].reshape(*lead, math.prod(map(len, places)))
        out[(..., *at)] = of(block, count)
    return out


def _max(axes: int, p: dict[str, Any]) -> Any:
    return lambda x: _pooled(x, axes, _windows(x.shape[-axes:], axes, p), lambda block, _: block.max(-1))


def _avg(axes: int, p: dict[str, Any]) -> Any:
    divisor = p.get("divisor_override")

    def of(block: Array, count: int) -> Array:
        if divisor is None and not p.get("count_include_pad", True):
            return block.mean(-1)
        return block.sum(-1) / (count if divisor is None else divisor)

    return lambda x: _pooled(x, axes, _windows(x.shape[-axes:], axes, p), of)


def _indices(axes: int, windows: Any) -> Any:
    """The maxima, and the place of each window's first one."""

    def reference(x: Array) -> tuple[Array, Array]:
        spans = windows(x.shape[-axes:])
        lead = x.shape[:-axes]
        flat = np.broadcast_to(np.arange(math.prod(x.shape[-axes:])).reshape(x.shape[-axes:]), x.shape)
        at_first = np.zeros((*lead, *(len(w) for w in spans)), np.int64)
        for at, places, _ in _boxes(spans):
            where = (..., *np.ix_(*places))
            block, numbers = x[where].reshape(*lead, -1), flat[where].reshape(*lead, -1)
            at_first[(..., *at)] = np.take_along_axis(numbers, block.argmax(-1)[..., None], -1)[..., 0]
        return _pooled(x, axes, spans, lambda block, _: block.max(-1)), at_first

    return reference


def _spans(axes: int, size: Any) -> Any:
    def windows(lengths: Any) -> Any:
        wanted = (k if o is None else o for k, o in zip(lengths, _each(size, axes), strict=True))
        return [_adaptive_axis(n, o) for n, o in zip(lengths, wanted, strict=True)]

    return windows


def _rows() -> list[OpCase]:
    rows = []
    for label, (axes, shape, p) in {**SHAPES, **DILATED}.items():
        rows.append(OpCase(MAX[axes], [distinct(*shape)], _max(axes, p), params=p, label=label))
        if label in SHAPES:
            rows.append(OpCase(AVG[axes], [real(*shape)], _avg(axes, p), params=p, label=label))
        if label in ("overlap", "volume-options"):
            inside = {**p, "count_include_pad": False}
            rows.append(OpCase(AVG[axes], [real(*shape)], _avg(axes, inside), params=inside, label=f"{label}-inside"))
        if label in ("volume", "volume-options"):
            over = {**p, "divisor_override": 5}
            rows.append(OpCase(AVG[axes], [real(*shape)], _avg(axes, over), params=over, label=f"{label}-divisor"))
        if label in ("overlap", "dilated", "volume-options", "volume-dilated"):
            indexed = _indices(axes, lambda size, axes=axes, p=p: _windows(size, axes, p))
            rows.append(
                OpCase(
                    MAX[axes], [distinct(*shape)], indexed, params={**p, "return_indices": True}, orders=0,
                    label=f"{label}-indices",
                )
            )  # fmt: skip
    for label, (axes, shape, size) in ADAPTIVE.items():
        spans = _spans(axes, size)
        p = {"output_size": size}
        rows += [
            OpCase(
                ADAPTIVE_MAX[axes], [distinct(*shape)],
                lambda x, axes=axes, spans=spans: _pooled(x, axes, spans(x.shape[-axes:]), lambda b, _: b.max(-1)),
                params=p, label=label,
            ),
            OpCase(
                ADAPTIVE_AVG[axes], [real(*shape)],
                lambda x, axes=axes, spans=spans: _pooled(x, axes, spans(x.shape[-axes:]), lambda b, _: b.mean(-1)),
                params=p, label=label,
            ),
            OpCase(
                ADAPTIVE_MAX[axes], [distinct(*shape)], _indices(axes, spans), params={**p, "return_indices": True},
                orders=0, label=f"{label}-indices",
            ),
        ]  # fmt: skip
    return rows


def _unpool(size: tuple[int, ...]) -> Any:
    def reference(x: Array, indices: Array) -> Array:
        lead = x.shape[: -len(size)]
        out = np.zeros((*lead, math.prod(size)))
        np.put_along_axis(out, indices.reshape(*lead, -1), x.reshape(*lead, -1), -1)
        return out.reshape(*lead, *size)

    return reference


def _lp(axes: int, p: dict[str, Any]) -> Any:
    q = p["norm_type"]
    if math.isinf(q):
        sign = 1 if q > 0 else -1
        return lambda x: sign * _max(axes, p)(sign * np.abs(x))
    size = math.prod(_each(p["kernel_size"], axes))
    return lambda x: (np.abs(_avg(axes, p)(x**q)) * size) ** (1 / q)


CASES: list[OpCase] = [
    *_rows(),
    OpCase(UNPOOL, [real(2, 3), fixed([[1, 2, 5], [0, 3, 4]])], _unpool((6,)),
           params={"kernel_size": 2, "axes": 1}, label="line"),
    OpCase(UNPOOL, [real(1, 2, 2), fixed([[[0, 7], [12, 14]]])], _unpool((5, 4)),
           params={"kernel_size": 2, "output_size": (1, 5, 4), "axes": 2}, label="sized"),
    OpCase(UNPOOL, [real(1, 1, 2, 2), fixed([[[[3, 0], [11, 8]]]])], _unpool((1, 4, 3)),
           params={"kernel_size": (1, 2, 2), "stride": (1, 2, 1), "padding": 0, "axes": 3}, label="volume"),
    OpCase(LP, [positive(2, 7)], _lp(1, {"norm_type": 3.0, "kernel_size": 3, "stride": 2, "ceil_mode": True}),
           params={"norm_type": 3.0, "kernel_size": 3, "stride": 2, "ceil_mode": True, "axes": 1}, label="line"),
    OpCase(LP, [real(2, 4, 4)], _lp(2, {"norm_type": 2.0, "kernel_size": (2, 3)}),
           params={"norm_type": 2.0, "kernel_size": (2, 3), "axes": 2}, label="image"),
    OpCase(LP, [positive(1, 2, 3, 4)], _lp(3, {"norm_type": 1.5, "kernel_size": 2, "stride": 1}),
           params={"norm_type": 1.5, "kernel_size": 2, "stride": 1, "axes": 3}, label="volume"),
    OpCase(LP, [distinct(2, 4, 4)], _lp(2, {"norm_type": math.inf, "kernel_size": 2}),
           params={"norm_type": math.inf, "kernel_size": 2, "axes": 2}, label="largest"),
    OpCase(LP, [distinct(2, 4, 4)], _lp(2, {"norm_type": -math.inf, "kernel_size": 2}),
           params={"norm_type": -math.inf, "kernel_size": 2, "axes": 2}, label="smallest"),
]  # fmt: skip
