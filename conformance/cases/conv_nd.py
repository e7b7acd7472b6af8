"""Rows of `autograd/ops/conv_nd.py`. The references sum over the window's offsets, for any number of axes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ...autograd.ops import conv_nd
from ..case import Composite, OpCase, real

Array = Any
CONV = {1: Composite(conv_nd.conv1d), 3: Composite(conv_nd.conv3d)}
TRANSPOSED = {
    1: Composite(conv_nd.conv_transpose1d), 2: Composite(conv_nd.conv_transpose2d),
    3: Composite(conv_nd.conv_transpose3d),
}  # fmt: skip

# label -> input, weight (o, c/groups, …), static parameters, whether there is a bias
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any], bool]] = {
    "plain": ((2, 3, 6), (4, 3, 3), {}, True),
    "options": ((2, 4, 9), (6, 2, 3), {"stride": (2,), "padding": (2,), "dilation": (3,), "groups": 2}, False),
    "pointwise": ((1, 2, 5), (3, 2, 1), {"stride": 2}, True),
    "whole": ((2, 1, 4), (2, 1, 4), {}, False),
    "empty-batch": ((0, 2, 5), (3, 2, 2), {"padding": 1}, False),
    "volume": ((2, 2, 3, 4, 3), (3, 2, 2, 3, 2), {}, True),
    "volume-options": (
        (1, 4, 4, 5, 4), (2, 2, 2, 2, 3),
        {"stride": (2, 1, 2), "padding": (1, 0, 1), "dilation": (2, 3, 1), "groups": 2}, False,
    ),
    "volume-depthwise": ((1, 2, 2, 2, 3), (4, 1, 2, 1, 2), {"padding": 1, "groups": 2}, True),
    "volume-pointwise": ((2, 2, 2, 1, 3), (3, 2, 1, 1, 1), {"stride": 2}, False),
}  # fmt: skip
# label -> input, weight (c, o/groups, …), static parameters, whether there is a bias
BACK: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any], bool]] = {
    "plain": ((2, 3, 4), (3, 4, 3), {}, True),
    "options": (
        (1, 4, 5), (4, 1, 3), {"stride": 3, "padding": 2, "output_padding": 1, "dilation": 2, "groups": 2}, True,
    ),
    "gaps": ((2, 1, 3), (1, 2, 1), {"stride": 3, "output_padding": 2}, False),
    "past-stride": ((1, 2, 3), (2, 2, 2), {"stride": 1, "dilation": 3, "output_padding": 2, "padding": 1}, True),
    "image": ((2, 3, 3, 4), (3, 2, 3, 2), {}, True),
    "image-options": (
        (1, 4, 2, 3), (4, 3, 3, 2),
        {"stride": (2, 1), "padding": (1, 0), "output_padding": (1, 0), "dilation": (1, 2), "groups": 2}, False,
    ),
    "image-past-stride": ((1, 1, 2, 2), (1, 2, 2, 1), {"dilation": (4, 1), "output_padding": (3, 0)}, False),
    "volume": ((1, 2, 2, 3, 2), (2, 3, 2, 2, 2), {}, True),
    "volume-options": (
        (2, 2, 2, 2, 3), (2, 1, 2, 3, 1),
        {"stride": (2, 1, 3), "padding": (1, 1, 0), "output_padding": (1, 0, 2), "dilation": (3, 1, 1), "groups": 2},
        False,
    ),
}  # fmt: skip


def _each(value: Any, n: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * n


def _options(p: dict[str, Any], n: int) -> tuple[Any, ...]:
    names = {"stride": 1, "padding": 0, "dilation": 1, "output_padding": 0}
    return tuple(_each(p.get(name, default), n) for name, default in names.items())


def _offsets(kernel: Any, count: Any, stride: Any, dilation: Any) -> Any:
    """Per offset of the window: the offset, and where the windows have it, as slices."""
    for at in itertools.product(*map(range, kernel)):
        yield (
            at,
            tuple(
                slice(i * d, i * d + s * (o - 1) + 1, s) for i, d, s, o in zip(at, dilation, stride, count, strict=True)
            ),
        )


def _grouped(a: Array, axis: int, groups: int) -> Array:
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


def _added(y: Array, bias: Array | None) -> Array:
    return y if bias is None else y + bias.reshape(-1, *(1,) * (y.ndim - 2))


def conv_reference(p: dict[str, Any]) -> Any:
    def reference(x: Array, weight: Array, bias: Array | None = None) -> Array:
        n, groups = x.ndim - 2, p.get("groups", 1)
        stride, padding, dilation, _ = _options(p, n)
        padded = _grouped(np.pad(x, ((0, 0), (0, 0), *((q, q) for q in padding))), 1, groups)
        w = _grouped(weight, 0, groups)
        size = [
            (m - d * (k - 1) - 1) // s + 1
            for m, d, k, s in zip(padded.shape[3:], dilation, weight.shape[2:], stride, strict=True)
        ]
        out = np.zeros((x.shape[0], groups, weight.shape[0] // groups, *size))
        for at, where in _offsets(weight.shape[2:], size, stride, dilation):
            out += np.einsum("ngc...,goc->ngo...", padded[(..., *where)], w[(..., *at)])
        return _added(out.reshape(x.shape[0], weight.shape[0], *size), bias)

    return reference


def transposed_reference(p: dict[str, Any]) -> Any:
    def reference(x: Array, weight: Array, bias: Array | None = None) -> Array:
        n, groups = x.ndim - 2, p.get("groups", 1)
        stride, padding, dilation, more = _options(p, n)
        count, kernel = x.shape[2:], weight.shape[2:]
        size = [
            (c - 1) * s + d * (k - 1) + 1 + m
            for c, s, d, k, m in zip(count, stride, dilation, kernel, more, strict=True)
        ]
        out = np.zeros((x.shape[0], groups, weight.shape[1], *size))
        grouped, w = _grouped(x, 1, groups), _grouped(weight, 0, groups)
        for at, where in _offsets(kernel, count, stride, dilation):
            out[(..., *where)] += np.einsum("ngc...,gco->ngo...", grouped, w[(..., *at)])
        out = out.reshape(x.shape[0], -1, *size)
        return _added(out[(..., *(slice(q, s - q) for q, s in zip(padding, size, strict=True)))], bias)

    return reference


def _rows() -> list[OpCase]:
    rows = []
    for label, (x, weight, p, bias) in SHAPES.items():
        inputs = [real(*x), real(*weight), *([real(weight[0])] if bias else [])]
        rows.append(OpCase(CONV[len(x) - 2], inputs, conv_reference(p), params=p, label=label))
    for label, (x, weight, p, bias) in BACK.items():
        inputs = [real(*x), real(*weight), *([real(weight[1] * p.get("groups", 1))] if bias else [])]
        rows.append(OpCase(TRANSPOSED[len(x) - 2], inputs, transposed_reference(p), params=p, label=label))
    return rows


CASES: list[OpCase] = _rows()
