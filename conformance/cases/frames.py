"""Rows of `autograd/ops/frames.py`. The references go through windows and their places one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd.ops.frames import add_frames, stack_frames
from ..case import OpCase, real

Array = Any

# label -> (n, c, d, …), static parameters
SHAPES: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
    "plain": ((2, 3, 5, 2, 3), {"kernel": 3, "count": 3}),
    "padded": ((1, 4, 4, 2, 2), {"kernel": 3, "count": 4, "padding": 1, "groups": 2}),
    "options": ((2, 6, 5, 3, 1), {"kernel": 2, "count": 3, "stride": 3, "padding": 2, "dilation": 2, "groups": 3}),
    "vectors": ((1, 35, 3, 2, 3), {"kernel": 2, "count": 4, "padding": 1}),
    "gaps": ((1, 2, 6, 1, 2), {"kernel": 1, "count": 2, "stride": 4}),
    "fewer": ((1, 2, 6, 2, 2), {"kernel": 2, "count": 2}),
    "far": ((1, 2, 2, 1, 2), {"kernel": 2, "count": 6, "padding": 4, "dilation": 5}),
    "more-axes": ((2, 2, 3, 2, 1, 2), {"kernel": 2, "count": 2}),
    "empty-batch": ((0, 2, 3, 2, 2), {"kernel": 2, "count": 2}),
}
DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}


def _stack(p: dict[str, int]) -> Any:
    def reference(x: Array) -> Array:
        n, c, d, *rest = x.shape
        each = c // p["groups"]
        out = np.zeros((n, p["count"], c * p["kernel"], *rest), x.dtype)
        for z in range(p["count"]):
            for k in range(p["kernel"]):
                frame = z * p["stride"] + k * p["dilation"] - p["padding"]
                for channel in range(c if 0 <= frame < d else 0):
                    group, rest_of = divmod(channel, each)
                    out[:, z, (group * p["kernel"] + k) * each + rest_of] = x[:, channel, frame]
        return out.reshape(n * p["count"], c * p["kernel"], *rest)

    return reference


def _add(p: dict[str, int], shape: tuple[int, ...]) -> Any:
    def reference(x: Array) -> Array:
        each = shape[1] // p["groups"]
        windows = x.reshape(shape[0], p["count"], p["groups"], p["kernel"], each, *shape[3:])
        out = np.zeros(shape, x.dtype)
        for z in range(p["count"]):
            for k in range(p["kernel"]):
                frame = z * p["stride"] + k * p["dilation"] - p["padding"]
                if 0 <= frame < shape[2]:
                    out[:, :, frame] += windows[:, z, :, k].reshape(shape[0], shape[1], *shape[3:])
        return out

    return reference


def _rows() -> list[OpCase]:
    rows = []
    for label, (shape, options) in SHAPES.items():
        p = {**DEFAULTS, **options}
        n, c, d, *rest = shape
        stacked = real(n * p["count"], c * p["kernel"], *rest)
        rows += [
            OpCase(stack_frames, [real(*shape)], _stack(p), params=p, label=label),
            OpCase(add_frames, [stacked], _add(p, shape), params={"size": d, **p}, label=label),
        ]
    return rows


CASES: list[OpCase] = _rows()
