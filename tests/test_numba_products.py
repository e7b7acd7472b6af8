"""Matrix products of the Numba backend: pieces, batches, what is not finite."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from pullback.backends import threads

PRODUCTS = [
    (5, 7, 3), (64, 33, 17), (9, 200, 130), (3, 50, 40), (40, 50, 1), (8, 16, 32), (300, 3, 65), (16, 400, 16),
    (530, 1, 33), (21, 530, 512), (19, 400, 34),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", PRODUCTS)
def test_products_in_pieces(monkeypatch, shape, dtype):
    """Tails in every direction, several passes over the depth, operands that lie in any way, many tasks."""
    from pullback.backends.numba import products

    monkeypatch.setattr(products, "PIECE", 1)
    monkeypatch.setattr(products, "LEAST_ROWS", 8)
    monkeypatch.setattr(products, "TINY", 1)
    products.cut.cache_clear()
    m, k, n = shape
    rng = np.random.default_rng(0)
    x, y, b, g = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (n,), (m, n)))
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
    wide = np.zeros((2 * m, 2 * k), dtype)
    wide[::2, ::2] = x
    for left in (x, np.asfortranarray(x), x[::-1].copy()[::-1], wide[::2, ::2]):
        for right in (y, np.asfortranarray(y), np.repeat(y, 2, axis=1)[:, ::2]):
            got = products.matmul(left, right)
            assert got.dtype == x.dtype
            np.testing.assert_allclose(got, x @ y, **tolerance)
    weight = np.ascontiguousarray(y.T)
    plain, cut_off = x @ y + b, np.maximum(x @ y + b, 0)
    for form in (x, np.asfortranarray(x), x[None]):
        lead = form.shape[:-1]
        np.testing.assert_allclose(products.linear(form, weight, b), plain.reshape(*lead, n), **tolerance)
        np.testing.assert_allclose(products.linear_relu(form, weight, b), cut_off.reshape(*lead, n), **tolerance)
        for need_x in (False, True):
            for y_out in (None, cut_off):
                u = g if y_out is None else np.where(y_out > 0, g, 0)
                args = (g.reshape(*lead, n),) + (() if y_out is None else (y_out.reshape(*lead, n),))
                run = products.linear_grad if y_out is None else products.linear_relu_grad
                found = run(*args, form, weight, need_x=need_x)
                for got, want in zip(found, (u.T @ x, u.sum(0), (u @ weight).reshape(form.shape)), strict=False):
                    np.testing.assert_allclose(got, want, **tolerance)
                assert len(found) == 2 + need_x
    one, sums = products.matmul(x, y), products.linear_grad(g, x, weight, need_x=True)
    threads.set_num_threads(1)
    try:
        np.testing.assert_array_equal(products.matmul(x, y), one)
        for got, want in zip(products.linear_grad(g, x, weight, need_x=True), sums, strict=True):
            np.testing.assert_array_equal(got, want)
    finally:
        threads.set_num_threads(threads.available_cores())
        products.cut.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("each", [1, 1 << 17])
def test_batches_of_products(monkeypatch, dtype, each):
    from pullback.backends.numba import products

    monkeypatch.setattr(products, "PIECE", each)
    monkeypatch.setattr(products, "TINY", 1)
    products.cut.cache_clear()
    rng = np.random.default_rng(0)
    heads = rng.standard_normal((3, 20, 2, 4, 19)).astype(dtype).transpose(2, 0, 3, 1, 4)  # parts of one projection
    pairs = [
        (heads[0], heads[1].swapaxes(-1, -2)), (heads[0].swapaxes(-1, -2), heads[1]), (heads[0], heads[1, :, :1].mT),
        (heads[0, 0, 0], heads[1].mT), (heads[0], heads[1, 0, 0].mT), (heads[:, None, 0], heads[1].mT),
        (heads[0, 0], heads[1, :, :1].mT), (heads[0, :0], heads[1, :0].mT),
    ]  # fmt: skip
    for x, y in pairs:
        got = products.matmul(x, y)
        np.testing.assert_allclose(got, x @ y, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-4)
        assert got.shape == (x @ y).shape and got.dtype == x.dtype
    products.cut.cache_clear()


def test_products_keep_nan_and_infinity():
    from pullback.backends.numba import products

    x = np.ones((9, 5), np.float32)
    x[0, 0], x[1, 1], x[2, 2] = np.nan, np.inf, -np.inf
    got = products.linear_relu(x, np.ones((3, 5), np.float32), np.zeros(3, np.float32))
    assert np.isnan(got[0]).all() and np.isposinf(got[1]).all() and (got[2] == 0).all() and (got[3:] == 5).all()
