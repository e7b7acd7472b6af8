"""The Numba kernels of normalisation and attention, and what moves elements: shapes, strides, threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("numba")

from beside_numpy import DTYPES, agree, layouts, run
from pullback.autograd.ops import activation
from pullback.autograd.ops.attention import attention, attention_grad
from pullback.autograd.ops.index import take_, take_transpose
from pullback.autograd.ops.norm import batch_norm, batch_norm_grad, standardize, standardize_grad
from pullback.autograd.ops.norm_group import group_norm_, group_norm_grad
from pullback.autograd.ops.norm_relu import (
    batch_norm_add_relu,
    batch_norm_add_relu_grad,
    batch_norm_relu,
    batch_norm_relu_grad,
)
from pullback.autograd.ops.norm_rms import rms_norm_, rms_norm_grad
from pullback.autograd.ops.slicing import place_regions
from pullback.backends import threads
from pullback.backends.numba import sizes
from pullback.backends.numba.layout import channels_last
from pullback.backends.regions import key as region_key


@pytest.fixture
def rng():
    return np.random.default_rng(11)


IMAGES = [(1, 1, 1, 1), (2, 3, 5, 7), (2, 64, 32, 32), (3, 17, 16, 33), (9, 16, 7, 7), (1, 40, 7, 7), (2, 33, 40, 35)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_images_change_to_channels_last(shape, dtype, rng):
    x = rng.standard_normal(shape).astype(dtype)
    for a in (*layouts(x), x[:, :, ::-1]):
        for up, left in ((0, 0), (1, 2)):
            want = np.pad(a, ((0, 0), (0, 0), (up, up), (left, left))).transpose(0, 2, 3, 1)
            np.testing.assert_array_equal(channels_last(a, (up, left)), want)


# ------------------------------------------------------------ normalisation

SHAPES = [
    (5, 3), (1, 4), (1000, 70), (3, 2, 4), (2, 3, 2, 3, 2), (2, 3, 2, 3), (3, 3, 3, 3), (33, 1, 5, 5), (7, 5, 9, 11),
    (40, 64, 8, 8), (2, 300, 3, 5), (3, 2, 150, 151),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm(shape, dtype, rng):
    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    x, gy = draw(*shape) * 2 + 3, draw(*shape)
    weight, bias, gmean, gvar, mean = (draw(shape[1]) for _ in range(5))
    var = abs(draw(shape[1])) + np.asarray(0.3, dtype)
    for a in layouts(x) if x.ndim == 4 else [x, np.asfortranarray(x)]:
        agree(batch_norm, a, weight, bias, eps=0.01)
        for g in (gy, np.moveaxis(np.ascontiguousarray(np.moveaxis(gy, 1, -1)), -1, 1)):
            agree(batch_norm_grad, g, gmean, gvar, a, weight, mean, var, eps=0.01)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm_with_a_sum_and_relu(shape, dtype, rng):
    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    x, gy, more = draw(*shape) * 2 + 3, draw(*shape), draw(*shape)
    weight, bias, gmean, gvar, mean = (draw(shape[1]) for _ in range(5))
    var = abs(draw(shape[1])) + np.asarray(0.3, dtype)
    # a bias that keeps every value away from the ReLU's kink, where single and double precision may differ
    column = tuple(shape[1] if i == 1 else 1 for i in range(len(shape)))
    value = (x - mean.reshape(column)) * (weight / np.sqrt(var + 0.01)).reshape(column) + bias.reshape(column)
    x = np.where(abs(value) < 1e-3, x + 0.1 / weight.reshape(column), x).astype(dtype)
    y = np.maximum(draw(*shape), 0)
    for a in layouts(x) if x.ndim == 4 else [x, np.asfortranarray(x)]:
        agree(batch_norm_relu, a, weight, bias, eps=0.01)
        agree(batch_norm_relu_grad, gy, gmean, gvar, a, weight, bias, mean, var, eps=0.01)
        for b in (more, np.moveaxis(np.ascontiguousarray(np.moveaxis(more, 1, -1)), -1, 1)):
            agree(batch_norm_add_relu, a, b, weight, bias, eps=0.01)
            agree(batch_norm_add_relu_grad, b, gmean, gvar, y, a, weight, mean, var, eps=0.01)


def test_statistics_of_values_far_from_zero_do_not_cancel(rng):
    x = (rng.standard_normal((64, 8, 16, 16)) + 3000).astype(np.float32)
    ones = np.ones(8, np.float32)
    for a in layouts(x):
        _, _, var = run(batch_norm, a, ones, ones)
        np.testing.assert_allclose(var, x.astype(np.float64).var((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axes"), [((1, 1), 1), ((3, 63), 1), ((2, 5, 65), 1), ((4, 7, 130), 2), ((1000, 9), 1)]
)
def test_standardize(shape, axes, dtype, rng):
    x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    for a in (x, np.asfortranarray(x)):
        agree(standardize, a, axes=axes, eps=0.1)
        agree(standardize_grad, g, a, axes=axes, eps=0.1)


GROUPS = [
    ((1, 4), 2), ((70, 6), 3), ((2, 6, 5), 3), ((3, 17, 3, 5), 17), ((2, 64, 33, 31), 8), ((5, 32, 7, 7), 32),
    ((1, 300, 1, 3), 1), ((3, 8, 2, 3, 4), 4),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "groups"), GROUPS, ids=str)
def test_group_norm(shape, groups, dtype, rng):
    def last(a):
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)

    x, gy = ((rng.standard_normal(shape) * 2 + 3).astype(dtype) for _ in range(2))
    weight, bias = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    for a in (x, last(x), np.asfortranarray(x)):
        y = agree(group_norm_, a, weight, bias, groups=groups, eps=0.01)[0]
        if np.moveaxis(a, 1, -1).flags.c_contiguous:
            assert np.moveaxis(y, 1, -1).flags.c_contiguous  # the result lies as the images do
        for g in (gy, last(gy)):
            agree(group_norm_grad, g, a, weight, groups=groups, eps=0.01)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axes"), [((1, 1), 1), ((3, 63), 1), ((4, 7, 130), 2), ((1000, 9), 1), ((90,), 1)])
def test_rms_norm(shape, axes, dtype, rng):
    x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight = rng.standard_normal(shape[len(shape) - axes :]).astype(dtype)
    for a in (x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
        agree(rms_norm_, a, weight, axes=axes, eps=0.1)
        agree(rms_norm_grad, g, a, weight, axes=axes, eps=0.1)


# ------------------------------------------------------------ attention

HEADS = [
    ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 3)), ((2, 7, 5), (2, 7, 5), (2, 7, 5)), ((1, 3, 2), (1, 5, 2), (1, 5, 3)),
    ((8, 2), (3, 2), (3, 4)), ((1, 13, 17), (1, 19, 17), (1, 19, 18)), ((3, 2, 150, 32),) * 3,
    ((2, 2, 2, 70, 33),) * 3, ((1, 1, 130, 1), (1, 1, 200, 1), (1, 1, 200, 1)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", HEADS, ids=[str(h[0]) for h in HEADS])
def test_attention(shapes, dtype, rng):
    def draw(shape, within_rows):
        x = rng.standard_normal(shape).astype(dtype)
        if not within_rows or x.ndim < 3:
            return x
        x = np.concatenate([x, x], axis=-1).swapaxes(-2, -3).copy().swapaxes(-2, -3)
        return x[..., : shape[-1]]  # heads side by side in each row, with a gap

    for causal in (False, True):
        for within_rows in (False, True):
            q, k, v = (draw(shape, within_rows) for shape in shapes)
            y, lse = agree(attention, q, k, v, causal=causal, scale=0.4)
            gy, glse = draw(y.shape, within_rows), draw(lse.shape, False)
            agree(attention_grad, gy, glse, q, k, v, y, lse, causal=causal, scale=0.4)


def test_attention_result_lies_as_the_projection_does(rng):
    qkv = rng.standard_normal((2, 6, 3, 4, 8)).astype(np.float32).transpose(2, 0, 3, 1, 4)
    y, _ = run(attention, *qkv, causal=True, scale=0.3)
    assert y.transpose(0, 2, 1, 3).flags.c_contiguous


def test_results_are_the_same_bits_for_any_number_of_threads(rng):
    x = rng.standard_normal((9, 24, 33, 35)).astype(np.float32)
    ones = np.ones(24, np.float32)
    heads = rng.standard_normal((3, 4, 90, 16)).astype(np.float32)
    before = threads.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            threads.set_num_threads(n)
            mean, var = run(batch_norm, x, ones, ones)[1:]
            y, lse = run(attention, heads, heads, heads, causal=True, scale=0.3)
            results.append([
                mean, var, *run(batch_norm_grad, x, ones, ones, x, ones, mean, var), y, lse,
                *run(attention_grad, y, lse, heads, heads, heads, y, lse, causal=True, scale=0.3),
                *run(attention_grad, *(a[0, :1] for a in (y, lse, *[heads] * 3, y, lse)), causal=True, scale=0.3),
                *run(activation.gelu, x), *run(standardize, x, axes=2),
                *run(group_norm_grad, x, x, ones, groups=8), *run(rms_norm_grad, x, x, x[0, 0], axes=2),
            ])  # fmt: skip
    finally:
        threads.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_copies_into_row_major_order(dtype: str) -> None:
    """Views of every kind: permuted, sliced, reversed, broadcast, of one axis, empty; small and of several tasks."""
    from pullback.backends.numba.copies import contiguous

    a = np.random.default_rng(0).standard_normal((3, 17, 9, 33)).astype(dtype)
    views = [a.transpose(p) for p in itertools.permutations(range(4))]
    views += [v[::-1, 1:, :, ::2] for v in views] + [a[1:, :, 2:5], a[:, 0, 0, 0], a[:0].T, a.T[..., None, :]]
    views += [
        np.broadcast_to(a[0, 0, 0], (40, 33)),
        np.tile(a[0, 0], (40, 20)).T,
        a.reshape(-1)[1:].reshape(-1, 2).T[:1],
    ]
    for view in views:
        copy = contiguous(view)
        assert copy.flags.c_contiguous
        assert not np.shares_memory(copy, a)
        np.testing.assert_array_equal(copy, view)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_added_where_an_index_says(dtype, rng):
    g = rng.standard_normal((3, 50, 130)).astype(dtype)
    index = rng.integers(-7, 7, (3, 50))
    for array in (g, np.asfortranarray(g), g[..., ::-1][..., ::-1], g[..., 0], g[:, :, :, None][..., :3, :]):
        agree(take_transpose, array, index, axis=0, size=7)
    agree(take_transpose, g, index.astype(np.int32)[::-1], axis=0, size=7)
    for table in (g[0, :7], np.asfortranarray(g[0, :7]), g[0, :7, 0], g[:, :7].swapaxes(0, 1)):
        np.testing.assert_array_equal(run(take_, table, index, axis=0)[0], table[index])
    with pytest.raises(IndexError, match="index -8 is out of bounds for an axis of length 7"):
        run(take_, g[0, :7], np.where(index == 0, -8, index), axis=0)
    with pytest.raises(IndexError, match="index 7 is out of bounds for an axis of length 7"):
        run(take_transpose, g, np.where(index == 0, 7, index), axis=0, size=7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_regions_that_make_up_an_array(dtype, rng, monkeypatch):
    monkeypatch.setattr(sizes, "COPIED", 1)
    whole = rng.standard_normal((3, 4, 6, 5)).astype(dtype)
    every = (0, 4, 1)
    for indices in (
        ((0,), (1,), (2,)), (((0, 3, 2),), (1,)), (((0, 3, 1), None, (0, 1, 1)), ((0, 3, 1), None, (1, 4, 1))),
        (((0, 3, 1), every, (0, 6, 2)), ((0, 3, 1), every, (1, 6, 2))), (((2, None, -1),),),
        (((0, 3, 1), every, (0, 6, 1), (0, 5, 2)), ((0, 3, 1), every, (0, 6, 1), (1, 5, 2))),
    ):  # fmt: skip
        for order in (None, (1, 0, 2, 3), (3, 2, 0, 1)):
            gs = [whole[region_key(index)] for index in indices]
            for form in (gs, [np.ascontiguousarray(g) for g in gs], [np.asfortranarray(g) for g in gs]):
                (found,) = run(place_regions, *form, indices=indices, shape=whole.shape, order=order)
                np.testing.assert_array_equal(found, whole)
                assert order is None or found.transpose(order).flags.c_contiguous
