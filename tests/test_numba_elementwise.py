"""The Numba kernels of elementwise functions: accuracy, special values, shapes, strides, random numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("numba")

from scipy import special

from beside_numpy import DTYPES, agree, floats_between, layouts, numba_backend, numpy_backend, run, ulps
from pullback.autograd import ops
from pullback.autograd.ops import activation, activation_more, elementwise, random, unary
from pullback.backends.numba import sizes


@pytest.fixture
def rng():
    return np.random.default_rng(11)


# ------------------------------------------------------------ accuracy in single precision


ROOT = np.sqrt(2 / np.pi)


def gelu_by_tanh(x):
    return x * special.expit(2 * ROOT * (x + 0.044715 * x**3))


def gelu_slope(x):
    return special.ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def gelu_by_tanh_slope(x):
    v = 2 * ROOT * (x + 0.044715 * x**3)
    return special.expit(v) * (1 + special.expit(-v) * x * (2 * ROOT * (1 + 3 * 0.044715 * x * x)))


def mish(x):
    e = np.exp(-abs(x))
    return x * np.where(x < 0, e * (e + 2) / (e * (e + 2) + 2), (1 + 2 * e) / (1 + 2 * e + 2 * e * e))


def mish_slope(x):
    with np.errstate(over="ignore"):
        return mish(x) / x + x * special.expit(x) / np.cosh(np.logaddexp(0, x)) ** 2


def silu_slope(x):
    return special.expit(x) * (1 + x * special.expit(-x))


# name -> op, static parameters, the function in double precision, ranges, largest error
ACCURACY = {
    "exp": (unary.exp, {}, np.exp, [(-103.0, -1e-9), (1e-9, 88.7)], 0.9),
    "log": (unary.log, {}, np.log, [(1e-40, 3e38)], 0.9),
    "tanh": (unary.tanh, {}, np.tanh, [(-10.0, -1e-20), (1e-20, 10.0)], 1.6),
    "erf": (unary.erf, {}, special.erf, [(-4.2, -1e-20), (1e-20, 4.2)], 1.0),
    "sigmoid": (activation.sigmoid, {}, special.expit, [(-87.0, -1e-9), (1e-9, 20.0)], 2.4),
    "silu": (activation.silu, {}, lambda x: x * special.expit(x), [(-80.0, -1e-9), (1e-9, 80.0)], 2.2),
    "softplus": (activation.softplus, {}, lambda x: np.logaddexp(0, x), [(-80.0, -1e-9), (1e-9, 19.9)], 1.8),
    "log_sigmoid": (activation.log_sigmoid, {}, special.log_expit, [(-80.0, -1e-9), (1e-9, 80.0)], 1.8),
    "expm1": (unary.expm1, {}, np.expm1, [(-80.0, -1e-30), (1e-30, 88.0)], 1.5),
    "log1p": (unary.log1p, {}, np.log1p, [(-0.9999, -1e-30), (1e-30, 1e38)], 1.5),
    "sin": (unary.sin, {}, np.sin, [(-1e5, -1e-30), (1.0, 100.0)], 1.5),
    "cos": (unary.cos, {}, np.cos, [(-1e5, -1e-30), (1.0, 100.0)], 1.5),
    "elu": (activation.elu, {}, np.expm1, [(-80.0, -1e-9)], 1.0),
    "mish": (activation_more.mish, {}, mish, [(-80.0, -1e-9), (1e-9, 80.0)], 2.8),
    "gelu": (activation.gelu, {}, lambda x: x * special.ndtr(x), [(-13.0, -1e-9), (1e-9, 9.0)], 2.0),
    "gelu_tanh": (activation.gelu, {"approximate": "tanh"}, gelu_by_tanh, [(-9.9, -1e-9), (1e-9, 9.0)], 2.3),
}
# name -> op of (cotangent, x), static parameters, the slope in double precision, ranges, the largest error, and the
# size of a slope below which it is measured as if it were that: near a zero of the slope no digits need be right
SLOPES = {
    "gelu": (activation.gelu_grad, {"approximate": "none"}, gelu_slope, [(-13.0, -1e-9), (1e-9, 9.0)], 1.7, 0.25),
    "gelu_tanh": (
        activation.gelu_grad, {"approximate": "tanh"}, gelu_by_tanh_slope, [(-9.9, -1e-9), (1e-9, 9.0)], 2.6, 0.25
    ),
    "silu": (activation.silu_grad, {}, silu_slope, [(-80.0, -1e-9), (1e-9, 80.0)], 2.4, 0.25),
    "mish": (activation_more.mish_grad, {}, mish_slope, [(-80.0, -1e-9), (1e-9, 80.0)], 3.2, 0.25),
    "softplus": (
        activation.softplus_grad, {"beta": 1.0, "threshold": 20.0}, special.expit, [(-80.0, -1e-9), (1e-9, 19.9)],
        2.4, 0,
    ),
    "elu": (activation.elu_grad, {"alpha": 1.0}, np.exp, [(-87.0, -1e-9)], 1.0, 0),
    "sigmoid, of its result": (activation.sigmoid_grad, {}, lambda y: y * (1 - y), [(1e-9, 1.0)], 1.5, 0),
    "tanh, of its result": (unary.tanh_grad, {}, lambda y: (1 - y) * (1 + y), [(-1.0, -1e-9), (1e-9, 1.0)], 0.6, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCURACY)
def test_single_precision_is_accurate_to_a_few_units_in_the_last_place(name):
    """Against SciPy in double precision, on every 997th float, relative to the result, however small that is."""
    prim, params, exact, ranges, limit = ACCURACY[name]
    for low, high in ranges:
        x = floats_between(low, high, 997)
        x = np.concatenate([x, np.full(max(0, sizes.LARGE - x.size), x[0])])
        error = ulps(run(prim, x, **params)[0], exact(x.astype(np.float64)))
        assert error.max() <= limit
        assert np.quantile(error, 0.99) <= min(limit, 1.7)


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_are_accurate_to_a_few_units_in_the_last_place(name):
    prim, params, exact, ranges, limit, least = SLOPES[name]
    relative = []
    for low, high in ranges:
        x = floats_between(low, high, 997)
        x = np.concatenate([x, np.full(max(0, sizes.LARGE - x.size), x[0])])
        want = exact(x.astype(np.float64))
        found = run(prim, np.ones_like(x), x, **params)[0]
        assert ulps(found, want, least).max() <= limit
        relative.append(ulps(found, want))
    assert np.quantile(np.concatenate(relative), 0.99) <= 3.0  # near zeros too


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
    (activation_more.mish_grad, {}),
    (activation.leaky_relu_grad, {"negative_slope": 0.3}), (activation.elu_grad, {"alpha": 0.7}),
    (activation.softplus_grad, {"beta": 2.0, "threshold": 1.0}),
    (activation.gelu_grad, {"approximate": "none"}), (activation.gelu_grad, {"approximate": "tanh"}),
    (ops.add, {}), (ops.subtract, {}), (ops.multiply, {}), (ops.divide, {}),
    (elementwise.power_grad, {"y": 2}), (elementwise.power_grad, {"y": 3}),
]  # fmt: skip
SINGLES = [
    (activation.relu, {}), (activation.leaky_relu, {}), (activation.elu, {"alpha": 0.6}), (activation.sigmoid, {}),
    (activation.log_sigmoid, {}), (activation.softplus, {"beta": 0.5, "threshold": 2.0}), (activation.silu, {}),
    (activation_more.mish, {}),
    (activation.gelu, {}), (activation.gelu, {"approximate": "tanh"}), (unary.erf, {}), (unary.exp, {}),
    (unary.tanh, {}), (ops.negative, {}),
]  # fmt: skip


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
            agree(elementwise.divide_grad, b, b, a)


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


# ------------------------------------------------------------ random numbers


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
