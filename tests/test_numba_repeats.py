"""Recurrent kernels on sequences whose rows repeat: the same results, found with less arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

import pullback as pb
from pullback import nn
from pullback.autograd.primitive import primitives
from pullback.backends import get_backend, threads
from pullback.backends.numba import repeats
from test_numba_recurrent import CELLS, agree, laid_out, run

numba_backend, numpy_backend = get_backend("numba"), get_backend("numpy")
T, N, F, E = 20, 41, 33, 40


def found(x: np.ndarray) -> tuple[int, repeats.Repeats]:
    made = repeats.Repeats(np.ascontiguousarray(x), 1 << 20)
    return int(made.count[0]), made


def rows(distinct: int, count: int = 512, width: int = 40, dtype: str = "float32") -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((distinct, width)).astype(dtype)[rng.integers(0, distinct, count)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 7, 16, 33, 100])
def test_rows_are_found(width, dtype):
    x = rows(9, width=width, dtype=dtype)
    count, made = found(x)
    assert count == 9
    np.testing.assert_array_equal(x[made.first[:count][made.ids]], x)
    assert made.first[0] == 0
    assert (np.diff(made.first[:count]) > 0).all()


def test_bits_are_compared():
    x = np.zeros((512, 4), np.float32)
    x[1::2] = -0.0
    x[2::4, 1] = np.nan
    count, made = found(x)
    assert count == 3
    np.testing.assert_array_equal(x[made.first[:count][made.ids]].view(np.int32), x.view(np.int32))


@pytest.mark.parametrize(
    "x",
    [
        np.random.default_rng(0).standard_normal((512, 8)).astype(np.float32),  # nothing repeats
        np.concatenate([rows(4, 100), np.random.default_rng(0).standard_normal((412, 40)).astype(np.float32)]),
        rows(300, 2000),  # more than a quarter are distinct
        np.pad(np.repeat(np.eye(64, dtype=np.float32), 8, axis=0), ((0, 0), (40, 40))),  # alike where the hash looks
        rows(2, 100),  # too few
    ],
    ids=["continuous", "later", "many", "hidden", "short"],
)
def test_other_rows_are_left_alone(x):
    assert found(x)[0] == 0


def problem(cell: str, dtype: str):
    _, _, gates, states, kept, _ = CELLS[cell]
    rng = np.random.default_rng(0)
    shapes = [*[(N, E)] * states, (gates * E, F), (gates * E, E), (gates * E,), (gates * E,)]
    x = rows(9, T * N, F, dtype).reshape(T, N, F) / 6
    inputs = [x, *((rng.standard_normal(s) / max(1, s[-1] ** 0.5)).astype(dtype) for s in shapes)]
    return inputs, [rng.standard_normal((T, N, k * E)).astype(dtype) for k in (1, *kept)]


@pytest.fixture(autouse=True)
def small_enough(monkeypatch):
    monkeypatch.setattr(repeats, "WORTH", 1 << 19)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_kernels_agree_with_numpy(cell, dtype):
    forward, backward, gates, _, _, params = CELLS[cell]
    inputs, cotangents = problem(cell, dtype)
    assert repeats.Repeats(inputs[0], gates * E).count[0] == 9
    outs = run(numpy_backend, forward, inputs, params)
    wanted = run(numpy_backend, backward, [*cotangents, *inputs[:-2], *outs], params)
    for order in ("time first", "batch first", "reversed"):
        x = laid_out(inputs[0], order)
        agree(run(numba_backend, forward, [x, *inputs[1:]], params), outs, dtype)
        agree(run(numba_backend, backward, [*cotangents, x, *inputs[1:-2], *outs], params), wanted, dtype)


@pytest.mark.parametrize("cell", CELLS)
def test_forward_has_the_same_bits_as_without(cell, monkeypatch):
    forward, _, _, _, _, params = CELLS[cell]
    inputs, _ = problem(cell, "float32")
    first = run(numba_backend, forward, inputs, params)
    monkeypatch.setattr(repeats, "LEAST", 1 << 30)
    for a, b in zip(first, run(numba_backend, forward, inputs, params), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", CELLS)
def test_bits_do_not_depend_on_threads(cell):
    forward, backward, _, _, _, params = CELLS[cell]
    inputs, cotangents = problem(cell, "float32")
    outs = run(numba_backend, forward, inputs, params)
    before, results = threads.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            results.append(run(numba_backend, backward, [*cotangents, *inputs[:-2], *outs], params))
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_compiled_step_meets_other_sequences():
    with pb.backend("numba"):
        table = pb.Parameter(rows(9, 9, F))
        layers = [nn.LSTM(F, E), nn.GRU(F, E), nn.RNN(F, E)]
        parameters = [table, *(p for layer in layers for p in layer.parameters())]

        def step(index, mixed):
            for p in parameters:
                p.grad = None
            x = table[index] + mixed
            loss = sum((layer(x)[0] ** 2).sum() for layer in layers)
            loss.backward()
            return loss, *(p.grad for p in parameters)

        compiled = pb.compile(step)
        rng = np.random.default_rng(0)
        for turn in range(5):  # from the third on, a recorded step: on inputs that repeat, and on others
            index = pb.tensor(rng.integers(0, 9, (T, N)))
            mixed = np.zeros((T, N, F), np.float32) if turn != 3 else rng.standard_normal((T, N, F), np.float32)
            got, want = compiled(index, pb.tensor(mixed)), step(index, pb.tensor(mixed))
            for a, b in zip(got, want, strict=True):
                np.testing.assert_array_equal(a.numpy(), b.numpy())


# ------------------------------------------------------------ rows of a table, by their numbers


TABLE_GRADS = {
    name: primitives[f"{'rnn' if name in ('tanh', 'relu') else name}_table_grad"] for name in CELLS
}  # fmt: skip


def tabled(cell: str, size: tuple[int, int, int, int], rows: int, dtype: str):
    """Arrays of the op `…_table_grad`, the place of x among them, and of its cotangents."""
    forward, _, gates, states, kept, params = CELLS[cell]
    t, n, f, e = size
    rng = np.random.default_rng(0)
    index = rng.integers(-rows, rows, (t, n))
    index[index % rows == rows - 1] = 0  # a row that does not occur
    x = rng.standard_normal((rows, f)).astype(dtype)[index]
    shapes = [*[(n, e)] * states, (gates * e, f), (gates * e, e), (gates * e,), (gates * e,)]
    inputs = [x, *((rng.standard_normal(s) / max(1, s[-1] ** 0.5)).astype(dtype) for s in shapes)]
    outs = run(numpy_backend, forward, inputs, params)
    cotangents = [rng.standard_normal((t, n, k * e)).astype(dtype) for k in (1, *kept)]
    return [*cotangents, *inputs[:-2], *outs, index], len(cotangents), {**params, "rows": rows}


def table_grad(backend, cell, arrays, params):
    prim = TABLE_GRADS[cell]
    before = backend.fallbacks[prim.name]
    found = backend.kernel(prim.name, prim.forward)(*arrays, **params)
    assert backend.fallbacks[prim.name] == before, "the kernel declined"
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [(3, 8, 4, 8, 3), (2, 9, 5, 33, 2), (4, 17, 33, 40, 70), (40, 2, 34, 3, 9)], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_the_cotangent_of_a_table(cell, size, dtype):
    *size, rows = size
    arrays, at, params = tabled(cell, tuple(size), rows, dtype)
    wanted = table_grad(numpy_backend, cell, arrays, params)
    for order in ("time first", "batch first", "reversed"):
        given = [*(laid_out(a, order) for a in arrays[: at + 1]), *arrays[at + 1 :]]
        agree(table_grad(numba_backend, cell, given, params), wanted, dtype)
    agree(
        table_grad(numba_backend, cell, [*arrays[:-1], arrays[-1].astype(np.int32).T.copy().T], params), wanted, dtype
    )
    for bad in (rows, -rows - 1):
        arrays[-1][1, 1] = bad
        with pytest.raises(IndexError, match=f"index {bad} is out of bounds for an axis of length {rows}"):
            table_grad(numba_backend, cell, arrays, params)


@pytest.mark.parametrize("cell", CELLS)
def test_bits_of_a_tables_cotangent_do_not_depend_on_threads(cell):
    arrays, _, params = tabled(cell, (9, 37, 20, 48), 30, "float32")
    before, results = threads.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            results.append(table_grad(numba_backend, cell, arrays, params))
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
