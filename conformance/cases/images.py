"""Rows of `autograd/ops/images.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd.ops import images
from ..case import Composite, OpCase, real

Array = Any
SHUFFLE, UNSHUFFLE = Composite(images.pixel_shuffle), Composite(images.pixel_unshuffle)
CHANNELS, RESPONSE = Composite(images.channel_shuffle), Composite(images.local_response_norm)


def _shuffled(r: int) -> Any:
    def reference(x: Array) -> Array:
        *lead, channels, h, w = x.shape
        out = np.zeros((*lead, channels // r**2, h * r, w * r))
        for i in range(r):
            for j in range(r):
                out[..., i::r, j::r] = x[..., i * r + j :: r * r, :, :]
        return out

    return reference


def _unshuffled(r: int) -> Any:
    def reference(x: Array) -> Array:
        *lead, c, height, width = x.shape
        out = np.zeros((*lead, c * r * r, height // r, width // r))
        for i in range(r):
            for j in range(r):
                out[..., i * r + j :: r * r, :, :] = x[..., i::r, j::r]
        return out

    return reference


def _dealt(groups: int) -> Any:
    def reference(x: Array) -> Array:
        per = x.shape[1] // groups
        return np.stack([x[:, g * per + i] for i in range(per) for g in range(groups)], 1)

    return reference


def _response(size: int, alpha: float, beta: float, k: float) -> Any:
    def reference(x: Array) -> Array:
        out = np.zeros_like(x)
        for c in range(x.shape[1]):
            around = x[:, max(c - size // 2, 0) : c + (size - 1) // 2 + 1]
            out[:, c] = x[:, c] / (k + alpha * (around**2).sum(1) / size) ** beta
        return out

    return reference


CASES: list[OpCase] = [
    OpCase(SHUFFLE, [real(2, 8, 2, 3)], _shuffled(2), params={"upscale_factor": 2}),
    OpCase(SHUFFLE, [real(9, 1, 2)], _shuffled(3), params={"upscale_factor": 3}, label="no-batch"),
    OpCase(UNSHUFFLE, [real(1, 2, 4, 6)], _unshuffled(2), params={"downscale_factor": 2}),
    OpCase(UNSHUFFLE, [real(2, 1, 1, 3, 3)], _unshuffled(3), params={"downscale_factor": 3}, label="more-axes"),
    OpCase(CHANNELS, [real(2, 6, 2, 2)], _dealt(3), params={"groups": 3}),
    OpCase(CHANNELS, [real(2, 4)], _dealt(2), params={"groups": 2}, label="no-pixels"),
    OpCase(RESPONSE, [real(2, 5, 3)], _response(3, 0.5, 0.75, 1.0), params={"size": 3, "alpha": 0.5}),
    OpCase(RESPONSE, [real(1, 3, 2, 2)], _response(4, 1.0, 1.5, 2.0),
           params={"size": 4, "alpha": 1.0, "beta": 1.5, "k": 2.0}, label="even"),
]  # fmt: skip
