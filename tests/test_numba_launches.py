"""Which runs of kernels may be repeated without their Python function, and how their memory is shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

import pullback as pb
from pullback import nn
from pullback.backends.numba.compile import Floats, Ints, kernel
from pullback.backends.numba.launches import Player, Recorded, launched


@kernel
def _scaled(x: Floats, out: Floats, by: float, task: int) -> None:
    for i in range(x.size):
        out[i] = x[i] * x.dtype.type(by)


@kernel
def _added(x: Floats, out: Floats, task: int) -> None:
    for i in range(x.size):
        out[i] += x[i]


@kernel
def _picked(x: Floats, index: Ints, out: Floats, task: int) -> None:
    for i in range(index.size):
        out[i] = x[index[i]]


def doubled(x: Any) -> Any:
    out = np.empty_like(x)
    _scaled(1, x, out, 2.0)
    return out


def with_numpy_behind(x: Any) -> Any:
    return doubled(x) + 1.0


def with_numpy_between(x: Any) -> Any:
    out = np.empty_like(x)
    _scaled(1, np.sqrt(np.abs(x)), out, 2.0)
    return out


def with_a_number_from_values(x: Any) -> Any:
    out = np.empty_like(x)
    _scaled(1, x, out, float(x.max()))
    return out


def onto_zeros(x: Any) -> Any:
    out = np.zeros_like(x)
    _added(1, x, out)
    return out


def half_written(x: Any) -> Any:
    out = np.zeros((2, *x.shape), x.dtype)
    _scaled(1, x, out[0], 2.0)
    return out


def picked(x: Any, index: Any) -> Any:
    out = np.empty(index.shape, x.dtype)
    _picked(1, x, np.ascontiguousarray(index, np.int64), out)
    return out


X = np.linspace(-1, 2, 37, dtype=np.float32)


def test_kernels_alone_are_repeated_and_lend_their_memory() -> None:
    result, recorded = launched(doubled, (X,), {})
    assert recorded is not None
    assert [a is result for a in recorded.own] == [True]


@pytest.mark.parametrize("function", [with_numpy_behind, with_numpy_between, with_a_number_from_values, onto_zeros])
def test_what_numpy_adds_is_noticed(function: Any) -> None:
    result, recorded = launched(function, (X,), {})
    np.testing.assert_array_equal(result, function(X))
    assert recorded is None


def test_memory_that_must_keep_its_contents_is_not_lent() -> None:
    _, recorded = launched(half_written, (X,), {})
    assert recorded is not None
    assert recorded.own == []


def test_integers_that_numpy_converts_are_noticed() -> None:
    index = np.array([3, 1, 4, 1, 5])
    assert launched(picked, (X, index), {})[1] is not None
    assert launched(picked, (X, index.astype(np.int32)), {})[1] is None


def test_arguments_are_left_as_they_were() -> None:
    x = X.copy()
    launched(doubled, (x,), {})
    np.testing.assert_array_equal(x, X)


def test_memory_is_shared_by_time() -> None:
    """A chain of ops needs room for two results, whatever its length; what Python touches keeps its place."""
    values = [np.arange(1000, dtype=np.float32)]
    steps: list[Recorded] = []
    for _ in range(6):
        result, recorded = launched(doubled, (values[-1],), {})
        assert recorded is not None
        values.append(result)
        steps.append(recorded)
    player = Player(steps, [values[0], values[-1]])
    places = [player.place(v).ctypes.data for v in values[1:-1]]
    assert max(places) - min(places) < 1.1 * values[0].nbytes
    assert player.place(values[-1]) is values[-1]
    values[0][:] = 3.0
    assert player.play(0, 6) == -1
    assert (values[-1] == 3.0 * 2**6).all()


def test_replays_are_the_same_bits_for_any_number_of_threads() -> None:
    before = pb.get_num_threads()
    with pb.backend("numba"):
        model = nn.Sequential(nn.Linear(300, 400), nn.ReLU(), nn.Linear(400, 10))
        run = pb.compile(model)
        x = pb.random.normal((256, 300))
        try:
            with pb.no_grad():
                expected = model(x).numpy()
                for threads in (1, 2, 1, 2):
                    pb.set_num_threads(threads)
                    np.testing.assert_array_equal(run(x).numpy(), expected)
        finally:
            pb.set_num_threads(before)
    assert run.replayed == 2


def with_a_constant(x: Any) -> Any:
    weights, out = np.full(3, 0.5, x.dtype), np.empty(3, x.dtype)
    half = np.empty_like(x)
    _scaled(1, x, half, 0.5)
    _picked(1, weights, np.arange(3), out)
    return half, out


def test_a_constant_is_read_and_not_lent() -> None:
    (half, _), recorded = launched(with_a_constant, (X,), {})
    assert recorded is not None
    assert [a is half for a in recorded.own] == [True]


def test_memory_of_others_with_gaps_is_left_to_python() -> None:
    gappy = np.lib.stride_tricks.as_strided(np.ones((4, 9), np.float32), (4, 5), (36, 4), subok=False)
    strided = np.asarray(memoryview(np.ones((4, 9), np.float32)[:, :5]))
    for x in (gappy, strided):
        result, _ = launched(lambda x: doubled(np.ascontiguousarray(x)), (x,), {})
        assert (result == 2.0).all()


def test_results_keep_their_place_in_a_cache_line() -> None:
    big = np.ones(100_000, np.float32)
    first, a = launched(doubled, (big,), {})
    second, b = launched(doubled, (first,), {})
    assert a is not None
    assert b is not None
    player = Player([a, b], [big, second])
    assert player.place(first).ctypes.data % 64 == first.ctypes.data % 64
