"""Winograd's convolutions: which calls take them, and how far they are from the direct kernels and from float64."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from pullback.backends.numba import conv, conv_block, conv_input, winograd

GEOMETRY = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}


def results(x, weight, bias, g):
    geometry = {**GEOMETRY, "padding": (weight.shape[2] // 2, weight.shape[3] // 2)}
    out = conv.conv2d_bias(x, weight, bias, **geometry)
    y = np.roll(g, 1)  # not `out`, where a sign may differ by rounding
    return out, *conv_block.conv2d_relu_grad(g, y, x, weight, need_x=True, **geometry)


@pytest.mark.parametrize("side", [3, 5])
def test_float32_is_about_as_close_to_float64_as_the_direct_kernels_are(side, monkeypatch):
    rng = np.random.default_rng(3)
    shapes = (8, 48, 14, 15), (40, 48, side, side), (40,), (8, 40, 14, 15)
    single = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    tiles = results(*single)
    monkeypatch.setattr(winograd, "CHANNELS", 1000)
    direct, exact = results(*single), results(*(a.astype(np.float64) for a in single))
    assert any((a != b).any() for a, b in zip(tiles, direct, strict=True)), "both ran the same kernels"
    for a, b, truth in zip(tiles, direct, exact, strict=True):
        assert np.abs(a - truth).mean() < 1.5 * np.abs(b - truth).mean()


@pytest.mark.parametrize(
    ("change", "suits"),
    [
        ({}, True),
        ({"w_shape": (32, 32, 5, 5)}, True),  # four parts
        ({"w_shape": (32, 32, 4, 4)}, False),  # as many products
        ({"w_shape": (64, 16, 5, 5)}, False),  # parts of two groups
        ({"w_shape": (32, 24, 5, 5), "x_shape": (8, 24, 16, 16)}, False),  # parts that are no whole vectors
        ({"w_shape": (32, 16, 3, 3)}, True),  # two groups
        ({"w_shape": (16, 16, 3, 3)}, False),  # of too few results each
        ({"w_shape": (8, 32, 3, 3)}, False),
        ({"stride": (2, 1)}, False),
        ({"tiles": 3}, False),
        ({"pixels": 80.0}, False),
    ],
)
def test_shape_alone_chooses(change, suits):
    call = {
        "x_shape": (8, 32, 16, 16), "w_shape": (32, 32, 3, 3), "stride": (1, 1), "tiles": 64, "pixels": 256.0,
    }  # fmt: skip
    assert winograd.suits(**(call | change)) is suits


def test_the_input_gradient_has_no_part_of_the_one_before():
    """Windows at an edge go through a buffer that the tiles share."""
    rng = np.random.default_rng(4)
    g, weight = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, 16, 9, 9), (16, 17, 3, 3)))
    g[:2] = 0
    dx = conv_input.conv2d_input_grad(g, weight, input_size=(9, 9), **GEOMETRY)
    assert not dx[:2].any()
    assert dx[2:].any()
