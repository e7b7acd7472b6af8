"""Rows of `autograd/ops/fused.py`. Each reference is the parts' plain formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import ops
from ..case import OpCase, nonzero, real
from .conv import conv_reference
from .pool import max_reference, unpool_reference, windows_of

Array = Any


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


PLAIN = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
CONV: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "": ((2, 3, 5, 6), (4, 3, 3, 3), PLAIN),
    "padded": ((1, 2, 4, 5), (9, 2, 3, 2), {**PLAIN, "padding": (1, 1), "stride": (2, 1)}),
    "gray": ((3, 1, 6, 6), (5, 1, 3, 3), PLAIN),
    "groups": ((1, 4, 4, 4), (6, 2, 3, 3), {**PLAIN, "groups": 2}),
}
POOL: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "": ((2, 3, 4, 6), {"kernel_size": (2, 2), "stride": (2, 2)}),
    "leftover": ((1, 5, 5, 3), {"kernel_size": (2, 2), "stride": (2, 2)}),
    "overlap": ((1, 2, 5, 5), {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)}),
}


def _conv(params: dict[str, Any]) -> Any:
    plain = conv_reference(params)
    return lambda x, weight, bias: _relu(plain(x, weight, bias))


def _pool(params: dict[str, Any]) -> Any:
    plain = max_reference(lambda size: windows_of(size, params))
    return lambda x: plain(_relu(x))


def _unpool(params: dict[str, Any]) -> Any:
    plain = unpool_reference(lambda size: windows_of(size, params))
    return lambda u, x: plain(u, _relu(x)) * (x > 0)


def _pooled_shape(shape: tuple[int, ...], params: dict[str, Any]) -> tuple[int, ...]:
    return tuple(_pool(params)(np.zeros(shape)).shape)


CASES: list[OpCase] = [
    *(
        OpCase(ops.conv2d_relu, [real(*x), real(*w), real(w[0])], _conv(params), params=params, label=label)
        for label, (x, w, params) in CONV.items()
    ),
    *(
        OpCase(ops.relu_max_pool2d, [nonzero(*x)], _pool(params), params=params, label=label)
        for label, (x, params) in POOL.items()
    ),
    *(
        OpCase(
            ops.relu_max_pool2d_grad,
            [real(*_pooled_shape(x, params)), nonzero(*x)],
            _unpool(params),
            params=params,
            label=label,
        )
        for label, (x, params) in POOL.items()
    ),
    OpCase(ops.linear_relu, [real(5, 3), real(4, 3), real(4)], lambda x, w, b: _relu(x @ w.T + b)),
    OpCase(ops.linear_relu, [real(2, 3, 5), real(4, 5), real(4)], lambda x, w, b: _relu(x @ w.T + b), label="batches"),
]
