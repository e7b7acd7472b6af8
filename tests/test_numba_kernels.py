"""The Numba kernels of elementwise functions, normalisation and attention: accuracy, shapes, strides, threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("numba")

from scipy import special

from pullback.autograd import ops
from pullback.autograd.ops import activation, elementwise, random, unary
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
from pullback.backends import get_backend, threads
from pullback.backends.numba import sizes
from pullback.backends.numba.layout import channels_last
from pullback.backends.regions import key as region_key

numba_backend, numpy_backend = get_backend("numba"), get_backend("numpy")
DTYPES = ["float32", "float64"]


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def run(prim, *arrays, **params):
    """The kernel's results, none of which fell back."""
    params = {**prim.defaults, **params}
    before = numba_backend.fallbacks[prim.name]
    out = numba_backend.kernel(prim.name, prim.forward)(*arrays, **params)
    assert numba_backend.fallbacks[prim.name] == before
    return out if isinstance(out, tuple) else (out,)


def agree(prim, *arrays, **params):
    """The kernel against NumPy in double precision; inputs stay as they were. Returns the kernel's results."""
    copies = [np.array(a, np.float64) for a in arrays]
    got = run(prim, *arrays, **params)
    want = numpy_backend.kernel(prim.name, prim.forward)(*copies, **{**prim.defaults, **params})
    want = want if isinstance(want, tuple) else (want,)
    for a, b in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(a, b.astype(a.dtype))
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        assert a.dtype == arrays[0].dtype
        tolerance = (2e-5 if a.dtype == np.float32 else 1e-12) * max(1.0, np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
    return got


# ------------------------------------------------------------ accuracy in single precision


def floats_between(low, high, step):
    """Every `step`-th float of one sign."""
    ends = np.array([abs(low), abs(high)], np.float32).view(np.int32)
    x = np.arange(ends.min(), ends.max(), step, dtype=np.int32).view(np.float32)
    return -x if min(low, high) < 0 else x


def ulps(y, exact):
    """Error in units of the last place of the exact result."""
    unit = np.spacing(np.maximum(np.abs(exact), 1.2e-38).astype(np.float32)).astype(np.float64)
    return np.abs(y.astype(np.float64) - exact) / unit


def gelu_by_tanh(x):
    return x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))


# name -> op, static parameters, the function in double precision, ranges, largest error
ACCURACY = {
    "exp": (unary.exp, {}, np.exp, [(-103.0, -1e-9), (1e-9, 88.7)], 0.9),
    "log": (unary.log, {}, np.log, [(1e-40, 3e38)], 0.9),
    "tanh": (unary.tanh, {}, np.tanh, [(-10.0, -1e-20), (1e-20, 10.0)], 1.6),
    "erf": (unary.erf, {}, special.erf, [(-4.2, -1e-20), (1e-20, 4.2)], 1.0),
    "sigmoid": (activation.sigmoid, {}, special.expit, [(-87.0, -1e-9), (1e-9, 20.0)], 2.2),
    "silu": (activation.silu, {}, lambda x: x * special.expit(x), [(-80.0, -1e-9), (1e-9, 80.0)], 3.3),
    "softplus": (activation.softplus, {}, lambda x: np.logaddexp(0, x), [(-80.0, -1e-9), (1e-9, 19.9)], 1.8),
    "log_sigmoid": (activation.log_sigmoid, {}, special.log_expit, [(-80.0, -1e-9), (1e-9, 80.0)], 1.8),
    "expm1": (unary.expm1, {}, np.expm1, [(-80.0, -1e-30), (1e-30, 88.0)], 1.5),
    "log1p": (unary.log1p, {}, np.log1p, [(-0.9999, -1e-30), (1e-30, 1e38)], 1.5),
    "sin": (unary.sin, {}, np.sin, [(-1e5, -1e-30), (1.0, 100.0)], 1.5),
    "cos": (unary.cos, {}, np.cos, [(-1e5, -1e-30), (1.0, 100.0)], 1.5),
    "elu": (activation.elu, {}, np.expm1, [(-80.0, -1e-9)], 1.0),
    "gelu": (activation.gelu, {}, lambda x: x * special.ndtr(x), [(-13.0, -1e-9), (1e-9, 9.0)], 5.0),
    "gelu_tanh": (activation.gelu, {"approximate": "tanh"}, gelu_by_tanh, [(-9.9, -1e-9), (1e-9, 9.0)], 3.0),
}


@pytest.mark.parametrize("name", ACCURACY)
def test_single_precision_is_accurate_to_a_few_units_in_the_last_place(name):
    """Against SciPy in double precision, on every 997th float, relative to the result, however small that is."""
    prim, params, exact, ranges, limit = ACCURACY[name]
    for low, high in ranges:
        x = floats_between(low, high, 997)
        x = np.concatenate([x, np.full(max(0, sizes.LARGE - x.size), x[0])])
        error = ulps(run(prim, x, **params)[0], exact(x.astype(np.float64)))
        assert error.max() <= limit
        assert np.quantile(error, 0.99) <= min(limit, 2.0)


@pytest.mark.parametrize("name", ACCURACY)
def test_special_values(name):
    prim, params, *_ = ACCURACY[name]
    params = {**prim.defaults, **params}
    values = np.array([np.nan, np.inf, -np.inf, 0.0, 200.0, -200.0, 1e-40, -1e30, 1e30], np.float32)
    x = np.resize(values, sizes.LARGE + 3)
    with np.errstate(all="ignore"):
        want = numpy_backend.kernel(prim.name, prim.forward)(x.astype(np.float64), **params)
        got = run(prim, x, **params)[0]
        np.testing.assert_allclose(got, want.astype(np.float32), rtol=1e-5, atol=1e-38)


# ------------------------------------------------------------ elementwise

PAIRS = [
    (activation.relu_grad, {}), (activation.sigmoid_grad, {}), (activation.silu_grad, {}), (unary.tanh_grad, {}),
    (activation.leaky_relu_grad, {"negative_slope": 0.3}), (activation.elu_grad, {"alpha": 0.7}),
    (activation.softplus_grad, {"beta": 2.0, "threshold": 1.0}),
    (activation.gelu_grad, {"approximate": "none"}), (activation.gelu_grad, {"approximate": "tanh"}),
    (ops.add, {}), (ops.subtract, {}), (ops.multiply, {}), (ops.divide, {}),
]  # fmt: skip
SINGLES = [
    (activation.relu, {}), (activation.leaky_relu, {}), (activation.elu, {"alpha": 0.6}), (activation.sigmoid, {}),
    (activation.log_sigmoid, {}), (activation.softplus, {"beta": 0.5, "threshold": 2.0}), (activation.silu, {}),
    (activation.gelu, {}), (activation.gelu, {"approximate": "tanh"}), (unary.erf, {}), (unary.exp, {}),
    (unary.tanh, {}), (ops.negative, {}),
]  # fmt: skip


def layouts(x):
    """The same values in different orders of memory."""
    yield x
    yield np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    yield np.asfortranarray(x)
    yield np.stack([x, x], axis=-1)[..., 0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 5, 7, 11), (2, 17, 44, 45)], ids=["one", "odd", "large"])
def test_elementwise(shape, dtype, rng):
    x, u = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    x += np.sign(x) * 0.1  # away from kinks, and from 0 for division
    for a in layouts(x):
        for prim, params in SINGLES:
            agree(prim, a, **params)
        agree(unary.log, abs(a))
        agree(unary.sqrt, abs(a))
        for b in layouts(u):
            for prim, params in PAIRS:
                agree(prim, b, a, **params)


def test_large_arrays_with_numbers_rows_and_other_dtypes(rng):
    x = rng.standard_normal((300, 301)).astype(np.float32)
    row, column = x[0].copy(), x[:, :1].copy()
    for prim in (ops.add, ops.subtract, ops.multiply, ops.divide):
        kernel = numba_backend.kernel(prim.name, prim.forward)
        ufunc = getattr(np, {"divide": "true_divide"}.get(prim.name, prim.name))
        for other in (
            2.5,
            3,
            row,
            np.broadcast_to(np.float32(2.5), x.shape),
            column,
            x[None],
            np.float32(2),
            np.float64(2),
            x.astype(np.float64),
            np.arange(1, 302),
        ):
            got, want = kernel(x, other), ufunc(x, other)
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)
    power = numba_backend.kernel("power", ops.power.forward)
    np.testing.assert_array_equal(power(x, 2), x * x)
    np.testing.assert_allclose(power(x, 3.0), x**3.0, rtol=3e-7)
    whole = np.arange(90000)
    np.testing.assert_array_equal(numba_backend.kernel("add", ops.add.forward)(whole, 1), whole + 1)
    np.testing.assert_allclose(numba_backend.kernel("exp", unary.exp.forward)(whole / 1e5), np.exp(whole / 1e5))


WIDE = [
    ((300, 301), (301,)), ((300, 301), (300, 1)), ((5, 6, 50, 61), (6, 1, 1)), ((5, 6, 50, 61), (5, 1, 1, 61)),
    ((2, 40000), (40000,)), ((90000,), (1,)), ((300, 301), (1, 1)), ((20, 30, 40, 3), (20, 1, 40, 1)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "small"), WIDE, ids=str)
def test_large_arrays_and_smaller_ones_that_broadcast(shape, small, dtype, rng):
    x, y = rng.standard_normal(shape).astype(dtype), rng.standard_normal(small).astype(dtype)
    for name, ufunc in (("add", np.add), ("subtract", np.subtract), ("divide", np.divide), ("maximum", np.maximum)):
        kernel = numba_backend.kernel(name, getattr(ops, name).forward)
        for a in (x, np.asfortranarray(x), np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
                  if x.ndim == 4 else x):  # fmt: skip
            np.testing.assert_array_equal(kernel(a, y), ufunc(x, y))
            np.testing.assert_array_equal(kernel(y, a), ufunc(y, x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_choices_are_numpys(dtype, rng):
    def kernel(name, module=ops):
        prim = getattr(module, name)
        return numba_backend.kernel(prim.name, prim.forward)

    x, y = (rng.standard_normal((9, 8, 33, 32)).astype(dtype) for _ in range(2))
    x[0, 0, 0, :3] = np.nan, 0.0, -0.0
    y[0, 0, :3, 0] = np.nan
    three = np.asarray(3, dtype)
    last, other_last = (list(layouts(a))[1] for a in (x, y))
    for a, b in ((x, y), (last, other_last), (x, other_last), (x[:, ::-1], y)):
        mask = a > 0
        for m in (mask, np.ascontiguousarray(mask)):
            np.testing.assert_array_equal(kernel("where")(m, a, b), np.where(m, a, b))
            np.testing.assert_array_equal(kernel("where")(m, a, 2.0), np.where(m, a, np.asarray(2, dtype)))
            np.testing.assert_array_equal(kernel("where")(m, three, b), np.where(m, three, b))
        np.testing.assert_array_equal(kernel("maximum")(a, b), np.maximum(a, b))
        np.testing.assert_array_equal(kernel("minimum")(a, 0.25), np.minimum(a, np.asarray(0.25, dtype)))
        for name in ("abs", "sign", "square"):
            np.testing.assert_array_equal(kernel(name, unary)(a), getattr(np, name)(a))
        np.testing.assert_allclose(kernel("rsqrt", unary)(abs(a) + 1), 1 / np.sqrt(abs(a) + 1), rtol=3e-7)
        for low, high in ((-0.5, 0.5), (None, 0.5), (-0.5, None)):
            want = np.clip(a, low, high)
            np.testing.assert_array_equal(kernel("clip_", elementwise)(a, min=low, max=high), want)
        for target in ("float32", "float64", "int32"):
            got = kernel("astype")(np.nan_to_num(a), dtype=target)
            assert got.dtype == target
            np.testing.assert_array_equal(got, np.nan_to_num(a).astype(target))
    power = kernel("power")
    x = abs(x[1:]) + np.asarray(0.1, dtype)
    for exponent in (-2, -1, -0.5, 0.5, 2, 3, 1.7):
        np.testing.assert_allclose(power(x, exponent), x.astype(np.float64) ** exponent, rtol=4 * np.finfo(dtype).eps)


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


@pytest.mark.parametrize("n", [1, 7, 1025, 16384, 50003])
def test_random_numbers_are_numpys_bit_by_bit(n, rng):
    for key in rng.integers(0, 2**32, (2, 4), dtype=np.uint32):
        (found,) = run(random.uniform, key, shape=(n,), dtype="float32")
        np.testing.assert_array_equal(
            found, random.uniform.forward(key, shape=(n,), dtype="float32", xp=numpy_backend.xp)
        )
        for dtype, p in itertools.product(DTYPES, (0.1, 0.5, 0.999)):
            x = rng.standard_normal((2, n)).astype(dtype)
            for a in (x, np.asfortranarray(x)):
                (found,) = run(random.dropout, a, key, p=p)
                np.testing.assert_array_equal(found, random.dropout.forward(x, key, p=p, xp=numpy_backend.xp))
