"""Rows of `autograd/ops/fused_linear.py`. Each reference is the parts' plain formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import ops
from ..case import Composite, OpCase, nonzero, real
from .activation import gelu_curve_reference, gelu_reference, gelu_slope_reference

Array = Any


def _relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def _linear_grads(need_x: bool) -> Any:
    def reference(g: Array, y: Array, x: Array, weight: Array) -> tuple[Array, ...]:
        u = g * (y > 0)
        rows = u.reshape(-1, u.shape[-1])
        found = rows.T @ x.reshape(-1, x.shape[-1]), rows.sum(0), u @ weight
        return found if need_x else found[:2]

    return reference


def _gelu(approximate: str) -> Any:
    def reference(x: Array, weight: Array, bias: Array) -> tuple[Array, Array]:
        u = x @ weight.T + bias
        return gelu_reference(u, approximate), gelu_slope_reference(u, approximate)

    return reference


def _gelu_grads(approximate: str, need_x: bool) -> Any:
    def reference(
        gy: Array, gslope: Array, slope: Array, x: Array, weight: Array, bias: Array
    ) -> tuple[Array, ...]:  # fmt: skip
        v = gy * slope + gslope * gelu_curve_reference(x @ weight.T + bias, approximate)
        rows = v.reshape(-1, v.shape[-1])
        found = rows.T @ x.reshape(-1, x.shape[-1]), rows.sum(0), v @ weight
        return found if need_x else found[:2]

    return reference


def linear_gelu_values(x: Any, weight: Any, bias: Any, *, approximate: str) -> Any:
    """The first result alone: its rule meets no cotangent of the slope, as in a layer."""
    return ops.linear_gelu(x, weight, bias, approximate=approximate)[0]


_GELU = {"": (5, 3, 4), "batches": (2, 3, 5, 4), "vector": (3, 4), "tails": (9, 19, 33), "one-row": (1, 9, 70)}

CASES: list[OpCase] = [
    *(
        OpCase(
            ops.linear_relu_grad,
            [real(*lead, 4), nonzero(*lead, 4), real(*lead, 3), real(4, 3)],
            _linear_grads(need_x),
            params={"need_x": need_x},
            label=f"{label}{'' if need_x else '-first-layer'}".lstrip("-"),
        )
        for label, lead in {"": (5,), "batches": (2, 3)}.items()
        for need_x in (True, False)
    ),
    OpCase(ops.linear_relu, [real(5, 3), real(4, 3), real(4)], lambda x, w, b: _relu(x @ w.T + b)),
    OpCase(ops.linear_relu, [real(2, 3, 5), real(4, 5), real(4)], lambda x, w, b: _relu(x @ w.T + b), label="batches"),
    OpCase(
        ops.linear_relu,
        [real(1, 150), real(131, 150), real(131)],
        lambda x, w, b: _relu(x @ w.T + b),
        orders=1,
        label="one-row",
    ),
    *(
        OpCase(
            ops.linear_gelu,
            [real(*shape[:-1]), real(shape[-1], shape[-2]), real(shape[-1])],
            _gelu(approximate),
            params={"approximate": approximate},
            orders=2 if max(shape) < 9 else 1,
            label="-".join(filter(None, (label, approximate.removeprefix("none")))),
        )
        for label, shape in _GELU.items()
        for approximate in ("none", "tanh")
    ),
    *(
        OpCase(
            Composite(linear_gelu_values),
            [real(*shape[:-1]), real(shape[-1], shape[-2]), real(shape[-1])],
            lambda x, weight, bias, *, approximate=approximate: _gelu(approximate)(x, weight, bias)[0],
            params={"approximate": approximate},
            orders=2 if max(shape) < 9 else 1,
            label="-".join(filter(None, (label, approximate.removeprefix("none")))),
        )
        for label, shape in _GELU.items()
        for approximate in ("none", "tanh")
    ),
    *(
        OpCase(
            ops.linear_gelu_grad,
            [
                *(real(*shape[:-2], shape[-1]) for _ in range(3)),
                real(*shape[:-1]),
                real(shape[-1], shape[-2]),
                real(shape[-1]),
            ],
            _gelu_grads(approximate, need_x),
            params={"approximate": approximate, "need_x": need_x},
            label="-".join(filter(None, (label, approximate.removeprefix("none"), "" if need_x else "first-layer"))),
        )
        for label, shape in _GELU.items()
        if max(shape) < 9
        for approximate in ("none", "tanh")
        for need_x in (True, False)
    ),
]
