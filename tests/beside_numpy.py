"""A Numba kernel beside NumPy in double precision: what the tests of several files of kernels compare by."""

from __future__ import annotations

import numpy as np

from pullback.backends import get_backend

numba_backend, numpy_backend = get_backend("numba"), get_backend("numpy")
DTYPES = ["float32", "float64"]


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


def layouts(x):
    """The same values in different orders of memory."""
    yield x
    yield np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    yield np.asfortranarray(x)
    yield np.stack([x, x], axis=-1)[..., 0]


def floats_between(low, high, step):
    """Every `step`-th float of one sign."""
    ends = np.array([abs(low), abs(high)], np.float32).view(np.int32)
    x = np.arange(ends.min(), ends.max(), step, dtype=np.int32).view(np.float32)
    return -x if min(low, high) < 0 else x


def ulps(y, exact, least=0.0):
    """Error in units of the last place of the exact result, or of `least` if that is larger."""
    unit = np.spacing(np.maximum(np.abs(exact), max(least, 1.2e-38)).astype(np.float32)).astype(np.float64)
    return np.abs(y.astype(np.float64) - exact) / unit
