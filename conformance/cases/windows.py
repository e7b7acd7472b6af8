"""Rows of `autograd/ops/windows.py` and of the primitive of `autograd/ops/grouping.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd.ops.grouping import searchsorted_
from ...autograd.ops.windows import col2im, im2col
from ..case import OpCase, fixed, ints, real

Array = Any
Pair = tuple[int, int]


def _matrix(size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Array:
    """Which pixel is where in the columns, as (kh·kw·blocks, h·w) zeros and ones."""
    starts = [range(0, n - d * (k - 1), s) for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)]
    pixels = [
        (i + p * dilation[0]) * size[1] + j + q * dilation[1]
        for p in range(kernel[0]) for q in range(kernel[1]) for i in starts[0] for j in starts[1]
    ]  # fmt: skip
    return np.eye(size[0] * size[1])[pixels]


def _im2col(size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Any:
    matrix = _matrix(size, kernel, stride, dilation)

    def reference(x: Array) -> Array:
        flat = x.reshape(*x.shape[:-2], -1) @ matrix.T
        rows = x.shape[-3] * kernel[0] * kernel[1]
        return flat.reshape(*x.shape[:-3], rows, len(matrix) // (kernel[0] * kernel[1]))

    return reference


def _col2im(size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Any:
    matrix = _matrix(size, kernel, stride, dilation)

    def reference(x: Array) -> Array:
        return (x.reshape(*x.shape[:-2], -1, len(matrix)) @ matrix).reshape(*x.shape[:-2], -1, *size)

    return reference


_PLAIN = {"kernel_size": (2, 3), "stride": (1, 1), "dilation": (1, 1)}
_WIDE = {"kernel_size": (2, 2), "stride": (2, 1), "dilation": (1, 2)}

CASES: list[OpCase] = [
    OpCase(im2col, [real(2, 2, 3, 4)], _im2col((3, 4), (2, 3), (1, 1), (1, 1)), params=_PLAIN),
    OpCase(im2col, [real(1, 4, 5)], _im2col((4, 5), (2, 2), (2, 1), (1, 2)), params=_WIDE, label="options"),
    OpCase(col2im, [real(2, 12, 4)], _col2im((3, 4), (2, 3), (1, 1), (1, 1)),
           params={"output_size": (3, 4), **_PLAIN}),
    OpCase(col2im, [real(4, 6)], _col2im((4, 5), (2, 2), (2, 1), (1, 2)),
           params={"output_size": (4, 5), **_WIDE}, label="options"),
    OpCase(searchsorted_, [fixed([1.0, 2.0, 2.0, 5.0]), fixed([[0.0, 2.0], [3.0, 9.0]])],
           lambda x, v: np.searchsorted(x, v), params={"right": False}, orders=0),
    OpCase(searchsorted_, [fixed([1, 3, 5]), ints(4, high=7)], lambda x, v: np.searchsorted(x, v, "right"),
           params={"right": True}, label="right", orders=0),
    OpCase(searchsorted_, [fixed([[1.0, 2.0], [3.0, 4.0]]), fixed([[2.0, 0.0, 5.0], [2.0, 3.0, 4.0]])],
           lambda x, v: np.stack([np.searchsorted(a, b) for a, b in zip(x, v, strict=True)]),
           params={"right": False}, label="rows", orders=0),
]  # fmt: skip
