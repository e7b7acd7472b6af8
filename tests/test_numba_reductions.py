"""The Numba kernels of sums, means and extrema: any axes, any order of memory, NaN, any number of threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("numba")

from scipy import special

from pullback.autograd.ops.extrema import max_, min_
from pullback.autograd.ops.reduce import mean_, sum_
from pullback.autograd.ops.scan import prod_
from pullback.backends import get_backend, threads
from pullback.backends.numba import reductions, scans, sizes

OPS = {
    "sum": (sum_, np.sum), "mean": (mean_, np.mean), "max": (max_, np.max), "min": (min_, np.min),
    "prod": (prod_, np.prod),
}  # fmt: skip
SHAPES = [
    (1,), (20001,), (3, 5), (300, 7), (5, 3000), (40000, 3), (3, 40000), (2, 3, 4, 5), (4, 40, 9, 11), (3, 1, 70, 65),
    (1000, 100),
]  # fmt: skip


def layouts(x):
    """The same values in different orders of memory, one of them not aligned, and with a NaN."""
    yield x
    yield np.asfortranarray(x)
    yield np.stack([x, x], axis=-1)[..., 0]
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)
    unaligned = np.frombuffer(b" " + x.T.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape[::-1]).T
    yield unaligned
    broken = x.copy()
    broken.reshape(-1)[x.size // 2] = np.nan
    yield broken


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_axes_in_any_order_of_memory(shape, dtype):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    tolerance = (2e-6 if dtype == "float32" else 1e-14) * x.size**0.5
    subsets = [s for r in range(len(shape) + 1) for s in itertools.combinations(range(len(shape)), r)]
    for a, (name, (_, exact)) in itertools.product(layouts(x), OPS.items()):
        kernel = getattr(reductions, f"{name}_")
        for axis, keepdims in itertools.product([None, *subsets], (True, False)):
            got, want = kernel(a, axis=axis, keepdims=keepdims), exact(a.astype(float), axis=axis, keepdims=keepdims)
            assert (got.shape, got.dtype) == (want.shape, a.dtype)
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPS)
def test_the_backend_runs_them_for_large_arrays_and_numpy_for_others(name, monkeypatch):
    prim, exact = OPS[name]
    op = get_backend("numba").kernel(prim.name, prim.forward)
    x = np.random.default_rng(1).standard_normal((300, 301)).astype("f")
    assert x.size > sizes.LARGE
    calls = []
    reduced = reductions._reduced
    monkeypatch.setattr(reductions, "_reduced", lambda *args, **more: calls.append(1) or reduced(*args, **more))
    for a in (x, x[:9], np.sign(x * 100).astype("i4")):
        if a.dtype.kind == "i" and name == "mean":
            continue  # the op makes floats of them first
        np.testing.assert_allclose(op(a, axis=1), exact(a.astype(float), axis=1), rtol=1e-4, atol=1e-4)
    assert len(calls) == 1


@pytest.mark.parametrize("name", OPS)
def test_results_are_the_same_bits_for_any_number_of_threads(name):
    x = np.random.default_rng(2).standard_normal((37, 64, 9, 11)).astype("f")
    kernel, before = getattr(reductions, f"{name}_"), threads.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            found.append([kernel(x, axis=axis) for axis in (None, (0,), (1,), (3,), (0, 2, 3))])
    finally:
        threads.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [*SHAPES, (3, 70001), (2, 5, 2000)], ids=str)
def test_running_sums_and_logs_of_sums_along_any_axis(shape, dtype):
    x = np.random.default_rng(2).standard_normal(shape).astype(dtype)
    tolerance = (1e-5 if dtype == "float32" else 1e-13) * x.size**0.5
    for a, axis in itertools.product(list(layouts(x))[:5], range(x.ndim)):
        exact = x.astype(float)
        for reverse, want in (
            (False, exact.cumsum(axis)), (True, np.flip(np.flip(exact, axis).cumsum(axis), axis)),
        ):  # fmt: skip
            found = scans.cumsum(a, axis=axis, reverse=reverse)
            assert found.dtype == dtype
            np.testing.assert_allclose(found, want, rtol=tolerance, atol=tolerance)
        for kept in (False, True):
            found, want = scans.logsumexp(a, axis=axis, keepdims=kept), special.logsumexp(exact, axis, keepdims=kept)
            assert found.shape == want.shape
            np.testing.assert_allclose(found, want, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(scans.logsumexp(x), special.logsumexp(exact), rtol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logs_of_sums_of_infinities(dtype):
    inf = np.inf
    rows = np.array([[inf, 1], [-inf, -inf], [np.nan, inf], [inf, -inf], [1000, 1000], [-inf, 3]], dtype)
    want = np.array([inf, -inf, np.nan, inf, 1000 + np.log(2), 3])
    for n in (2, 20000):
        wide = np.full((len(rows), n), -inf, dtype)
        wide[:, -2:] = rows
        np.testing.assert_allclose(scans.logsumexp(wide, axis=1), want, rtol=1e-6)


def test_running_sums_are_the_same_bits_for_any_number_of_threads():
    x = np.random.default_rng(3).standard_normal(300001).astype("f")
    before, found = threads.get_num_threads(), []
    try:
        for n in (1, 2):
            threads.set_num_threads(n)
            found.append((scans.cumsum(x, axis=0, reverse=False), scans.logsumexp(x)))
    finally:
        threads.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
