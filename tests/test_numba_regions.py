"""Regions of one array on Numba: placed by a kernel, or found where a kernel's results already lie."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

import pullback as pb
from beside_numpy import DTYPES, agree, numba_backend, run
from pullback.autograd.ops.slicing import place_regions
from pullback.nn import functional as F

PARTS = tuple((i,) for i in range(3))


def heads(n, t, parts, h, d, dtype=np.float32):
    """(parts, n, h, t, d) as the rows of one projection: a part's heads lie within its rows."""
    values = np.arange(n * t * parts * h * d, dtype=dtype).reshape(n, t, parts, h, d)
    return values.transpose(2, 0, 3, 1, 4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(2, 9, 3, 2, 5), (4, 64, 3, 4, 32), (1, 1, 3, 1, 1)])
def test_what_lies_in_its_regions_is_not_copied(sizes, dtype):
    whole = heads(*sizes, dtype)
    (out,) = agree(place_regions, *whole, indices=PARTS, shape=whole.shape, order=(1, 3, 0, 2, 4))
    assert np.shares_memory(out, whole)
    assert out.ctypes.data == whole.ctypes.data


@pytest.mark.parametrize(
    "change",
    [
        lambda q, k, v: (k, q, v),
        lambda q, k, v: (q, k, k),
        lambda q, k, v: (q, k, v.copy()),
        lambda q, k, v: (q[:, :, ::-1], k[:, :, ::-1], v[:, :, ::-1]),
        lambda q, k, v: tuple(np.stack([q, k, v])),
        lambda q, k, v: tuple(np.stack([q, k, v, q])[1:]),
    ],
)
def test_what_lies_otherwise_is_copied(change):
    gs = change(*heads(2, 9, 3, 2, 5))
    before = [g.copy() for g in gs]
    (out,) = agree(place_regions, *gs, indices=PARTS, shape=(3, *gs[0].shape), order=(1, 3, 0, 2, 4))
    np.testing.assert_array_equal(out, np.stack(before))
    out_again = run(place_regions, *gs, indices=PARTS, shape=(3, *gs[0].shape), order=(4, 3, 2, 1, 0))[0]
    np.testing.assert_array_equal(out_again, np.stack(before))
    assert not np.shares_memory(out_again, gs[0])


@pytest.mark.parametrize("compiled", [False, True])
def test_attention_on_one_projection_gives_one_cotangent(compiled):
    """As copies of the projection's parts do, whose cotangents are placed."""
    rng = np.random.default_rng(0)
    projection = pb.Parameter(rng.standard_normal((2, 70, 3 * 4 * 32), dtype=np.float32), backend="numba")
    weight = pb.tensor(rng.standard_normal((2, 4, 70, 32), dtype=np.float32), backend="numba")

    def gradient(apart):
        def step(weight):
            projection.grad = None
            q, k, v = projection.reshape(2, 70, 3, 4, 32).permute(2, 0, 3, 1, 4)
            if apart:
                q, k, v = q * 1.0, k * 1.0, v * 1.0
            (F.scaled_dot_product_attention(q, k, v, is_causal=True) * weight).sum().backward()

        run_step = pb.compile(step) if compiled else step
        for _ in range(3):
            run_step(weight)
        return projection.grad.numpy().copy()

    with pb.backend("numba"):
        np.testing.assert_array_equal(gradient(False), gradient(True))


def test_the_parts_of_the_cotangent_lie_as_the_operands_do():
    q, k, v = heads(2, 64, 3, 4, 32) / 1e4
    y, lse = numba_backend.kernel("attention", None)(q, k, v, causal=True, scale=0.1)
    found = numba_backend.kernel("attention_grad", None)(y, np.zeros_like(lse), q, k, v, y, lse, causal=True, scale=0.1)
    assert [g.ctypes.data - found[0].ctypes.data for g in found] == [x.ctypes.data - q.ctypes.data for x in (q, k, v)]
    assert all(g.strides == q.strides for g in found)
    apart = numba_backend.kernel("attention_grad", None)(
        y, np.zeros_like(lse), q.copy(), k.copy(), v.copy(), y, lse, causal=True, scale=0.1
    )
    for g, other in zip(found, apart, strict=True):
        np.testing.assert_array_equal(g, other)
