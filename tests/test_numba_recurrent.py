"""The recurrent kernels against NumPy: sizes around the register tile's, and every order of memory."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from beside_numpy import floats_between, ulps
from pullback.autograd.ops.lstm import lstm_, lstm_grad
from pullback.autograd.ops.rnn import gru_, gru_grad, rnn_, rnn_grad
from pullback.backends import get_backend, threads

numba_backend, numpy_backend = get_backend("numba"), get_backend("numpy")

# op, its gradient, gates, states, width of what is kept beside y (in units of e), static parameters of the op
CELLS = {
    "lstm": (lstm_, lstm_grad, 4, 2, (1, 4), {}),
    "gru": (gru_, gru_grad, 3, 1, (4,), {}),
    "tanh": (rnn_, rnn_grad, 1, 1, (), {"nonlinearity": "tanh"}),
    "relu": (rnn_, rnn_grad, 1, 1, (), {"nonlinearity": "relu"}),
}
# steps, samples, features, width
SIZES = [(1, 1, 1, 1), (3, 8, 4, 8), (2, 9, 5, 33), (4, 17, 33, 40), (3, 5, 1, 70), (40, 2, 34, 3)]
ORDERS = ["time first", "batch first", "reversed", "read-only"]


def laid_out(x: np.ndarray, order: str) -> np.ndarray:
    if order == "batch first":
        return np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2)
    if order == "reversed":
        return x[:, :, ::-1].copy()[:, :, ::-1]
    x = x.copy()
    x.flags.writeable = order != "read-only"
    return x


def run(backend, prim, arrays, params, need_x=True):
    if prim.name.endswith("_grad"):
        params = {**params, "need_x": need_x}
    before = backend.fallbacks[prim.name]
    found = backend.kernel(prim.name, prim.forward)(*arrays, **params)
    assert backend.fallbacks[prim.name] == before, "the kernel declined"
    return found if isinstance(found, tuple) else (found,)


def agree(got, want, dtype):
    tolerance = 3e-5 if dtype == "float32" else 1e-12
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, np.abs(b).max()))


def problem(cell: str, size: tuple[int, int, int, int], dtype: str):
    """Inputs of the op, cotangents of its outputs."""
    t, n, f, e = size
    _, _, gates, states, kept, _ = CELLS[cell]
    rng = np.random.default_rng(sum(size))
    shapes = [(t, n, f), *[(n, e)] * states, (gates * e, f), (gates * e, e), (gates * e,), (gates * e,)]
    inputs = [(rng.standard_normal(s) / max(1, s[-1] ** 0.5)).astype(dtype) for s in shapes]
    cotangents = [rng.standard_normal((t, n, k * e)).astype(dtype) for k in (1, *kept)]
    return inputs, cotangents


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_kernels_agree_with_numpy(cell, size, dtype):
    forward, backward, _, _, _, params = CELLS[cell]
    inputs, cotangents = problem(cell, size, dtype)
    outs = run(numpy_backend, forward, inputs, params)
    zero = [cotangents[0], *(np.broadcast_to(np.zeros((), dtype), g.shape) for g in cotangents[1:])]
    wanted = [run(numpy_backend, backward, [*gs, *inputs[:-2], *outs], params) for gs in (cotangents, zero)]
    for order in ORDERS:
        x = laid_out(inputs[0], order)
        agree(run(numba_backend, forward, [x, *inputs[1:]], params), outs, dtype)
        kept = [laid_out(o, order) for o in outs]
        for gs, want in zip((cotangents, zero), wanted, strict=True):
            given = [laid_out(gs[0], order), *gs[1:]]
            agree(run(numba_backend, backward, [*given, x, *inputs[1:-2], *kept], params), want, dtype)


@pytest.mark.parametrize("size", [(4, 9, 5, 7), (9, 3, 5, 7)], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_without_the_input(cell, size):
    forward, backward, _, _, _, params = CELLS[cell]
    inputs, cotangents = problem(cell, size, "float32")
    outs = run(numba_backend, forward, inputs, params)
    arrays = [*cotangents, *inputs[:-2], *outs]
    *rest, dx = run(numba_backend, backward, arrays, params)
    assert dx.shape == inputs[0].shape
    for a, b in zip(run(numba_backend, backward, arrays, params, need_x=False), rest, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", CELLS)
def test_results_lie_as_the_sequence_does(cell):
    forward, _, _, _, _, params = CELLS[cell]
    inputs, _ = problem(cell, (3, 5, 4, 6), "float32")
    inputs[0] = laid_out(inputs[0], "batch first")
    for out in run(numba_backend, forward, inputs, params):
        assert out.transpose(1, 0, 2).flags.c_contiguous


@pytest.mark.parametrize("cell", CELLS)
def test_bits_do_not_depend_on_threads(cell):
    forward, backward, _, _, _, params = CELLS[cell]
    inputs, cotangents = problem(cell, (9, 37, 20, 48), "float32")
    outs = run(numba_backend, forward, inputs, params)
    arrays = [*cotangents, *inputs[:-2], *outs]
    before, found = threads.get_num_threads(), []
    try:
        for count in (1, 2, 3, 1):
            threads.set_num_threads(count)
            found.append([*run(numba_backend, forward, inputs, params), *run(numba_backend, backward, arrays, params)])
    finally:
        threads.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_infinity_and_nan_of_the_plain_network():
    inputs, _ = problem("relu", (2, 3, 2, 4), "float32")
    inputs[0][0, 0, 0], inputs[0][1, 1, 1] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        (want,) = run(numpy_backend, rnn_, inputs, {"nonlinearity": "relu"})
    (got,) = run(numba_backend, rnn_, inputs, {"nonlinearity": "relu"})
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_allclose(got, want, rtol=1e-5)


def gates_of(x: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """σ(x) and tanh(x) as the LSTM's kernel finds them, in vectors of `width` elements."""
    x = x[: x.size // width * width].reshape(1, -1, width)
    zero, eye = np.zeros((x.shape[1], width), x.dtype), np.eye(width, dtype=x.dtype)
    none, weight = np.zeros(4 * width, x.dtype), np.vstack([eye] * 4)
    gates = run(numba_backend, lstm_, [x, zero, zero, weight, 0 * weight, none, none], {})[2][0]
    return gates[:, :width].reshape(-1), gates[:, 2 * width : 3 * width].reshape(-1)


@pytest.mark.parametrize("width", [1, 16])
def test_gates_are_accurate_to_a_few_units_in_the_last_place(width):
    for low, high in ((-80.0, -1e-9), (1e-9, 20.0)):
        x = floats_between(low, high, 997)
        exact = x[: x.size // width * width].astype(np.float64)
        sigmoid, tanh = gates_of(x, width)
        assert ulps(sigmoid, 1 / (1 + np.exp(-exact))).max() <= 2.2
        assert ulps(tanh, np.tanh(exact)).max() <= 1.6


@pytest.mark.parametrize("width", [1, 16])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gates_of_special_values(dtype, width):
    x = np.repeat(np.array([np.nan, 0.0, -0.0, 200.0, -200.0, 1e-40, 1e30, -1e30], dtype), width)
    sigmoid, tanh = gates_of(x, width)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(sigmoid, (1 / (1 + np.exp(-x.astype(np.float64)))).astype(dtype), atol=1e-38)
        np.testing.assert_allclose(tanh, np.tanh(x), rtol=1e-6)
