"""Index expressions and functional updates against NumPy, on random expressions and on wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback.autograd.gradcheck import gradcheck

STEPS = (None, 1, 2, -1, -2, 3)
SHAPES = ((3,), (2, 3), (1, 3), (2, 1), ())


def random_slice(rng, n):
    ends = [None if rng.random() < 0.4 else int(rng.integers(-n - 2, n + 3)) for _ in range(2)]
    return slice(*ends, STEPS[rng.integers(len(STEPS))])


def random_index(rng, shape):
    """An index expression of up to one entry per axis: ints, slices, None, ..., arrays, masks."""
    items, axis, dots = [], 0, False
    while axis < len(shape) and rng.random() < 0.85:
        n, kind = shape[axis], rng.random()
        if kind < 0.12:
            items.append(None)
        elif kind < 0.2 and not dots:
            dots = True
            items.append(...)
            axis += int(rng.integers(0, len(shape) - axis + 1))
        elif kind < 0.35 and n:
            items.append(int(rng.integers(-n, n)))
            axis += 1
        elif kind < 0.6 or not n:
            items.append(random_slice(rng, n))
            axis += 1
        elif kind < 0.9:
            items.append(rng.integers(-n, n, SHAPES[rng.integers(len(SHAPES))]))
            axis += 1
        elif kind < 0.93:
            items.append(bool(rng.random() < 0.5))
        else:
            k = min(int(rng.integers(1, 3)), len(shape) - axis)
            items.append(rng.random(shape[axis : axis + k]) < 0.5)
            axis += k
    return tuple(items)


def as_given(rng, item, backend):
    """An array entry as an array, a tensor or a list."""
    if not isinstance(item, np.ndarray) or rng.random() < 0.4:
        return item
    return item.tolist() if rng.random() < 0.2 and item.size else pb.Tensor(item, backend=backend)


def draw(seed):
    rng = np.random.default_rng(seed)
    while True:
        shape = tuple(int(n) for n in rng.integers(0 if rng.random() < 0.1 else 1, 5, rng.integers(0, 5)))
        index = random_index(rng, shape)
        a = rng.standard_normal(shape)
        try:
            want = a[index]
        except IndexError:
            with pytest.raises(IndexError):
                pb.Tensor(a)[index]
            continue
        backend = "numpy" if rng.random() < 0.8 else "strict"
        return rng, a, index, np.asarray(want), tuple(as_given(rng, i, backend) for i in index), backend


@pytest.mark.parametrize("block", range(8))
def test_random_expressions_select_and_pull_back_as_in_numpy(block):
    for seed in range(50 * block, 50 * (block + 1)):
        rng, a, index, want, given, backend = draw(seed)
        x = pb.Tensor(a, requires_grad=True, backend=backend)
        got = x[given]
        assert got.shape == want.shape, index
        assert np.array_equal(got.numpy(), want), index
        g = rng.standard_normal(want.shape)
        got.backward(pb.Tensor(g, backend=backend))
        expected = np.zeros(a.shape)
        np.add.at(expected, index, g)
        np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12, err_msg=str(index))


@pytest.mark.parametrize("name", ["add", "multiply", "max", "min"])
def test_random_updates_accumulate_as_ufunc_at(name):
    ufunc = {"add": np.add, "multiply": np.multiply, "max": np.maximum, "min": np.minimum}[name]
    for seed in range(1000, 1100):
        rng, a, index, want, given, backend = draw(seed)
        v = rng.standard_normal(want.shape)
        expected = a.copy()
        ufunc.at(expected, index, v)
        got = getattr(pb.Tensor(a, backend=backend).at[given], name)(pb.Tensor(v, backend=backend))
        np.testing.assert_allclose(got.numpy(), expected, atol=1e-12, err_msg=str(index))


def test_random_sets_let_the_last_win_and_pull_back_to_it():
    for seed in range(2000, 2150):
        rng, a, index, want, given, backend = draw(seed)
        v, g = rng.standard_normal(want.shape), rng.standard_normal(a.shape)
        positions = np.arange(a.size).reshape(a.shape)[index].ravel()
        winner = {p: k for k, p in enumerate(positions)}
        expected, gx, gv = a.copy().ravel(), g.copy().ravel(), np.zeros(v.size)
        for p, k in winner.items():
            expected[p], gv[k], gx[p] = v.ravel()[k], g.ravel()[p], 0
        x, values = (pb.Tensor(t, requires_grad=True, backend=backend) for t in (a, v))
        out = x.at[given].set(values)
        assert np.array_equal(out.numpy().ravel(), expected), index
        dx, dv = pb.vjp(lambda x, v, given=given: x.at[given].set(v), x, values)[1](pb.Tensor(g, backend=backend))
        np.testing.assert_allclose(dx.numpy().ravel(), gx, err_msg=str(index))
        np.testing.assert_allclose(dv.numpy().ravel(), gv, err_msg=str(index))


@pytest.mark.parametrize("name", ["set", "add", "multiply", "max", "min"])
def test_updates_differentiate_twice(name):
    rng = np.random.default_rng(5)
    x = pb.Tensor(rng.standard_normal((4, 3)), requires_grad=True)
    v = pb.Tensor(rng.standard_normal((4, 2)), requires_grad=True)
    gradcheck(lambda x, v: getattr(x.at[[0, 2, 2, -1], 1:], name)(v) ** 2, (x, v), order=2)
    gradcheck(lambda x, v: getattr(x.at[::-1, :2], name)(v) ** 2, (x, v), order=2)


def test_updates_convert_and_broadcast_values():
    x = pb.zeros(2, 3)
    assert x.at[0].set(1).tolist() == [[1, 1, 1], [0, 0, 0]]
    assert x.at[:, 1].add(pb.arange(2)).dtype == np.float32
    assert x.at[[0, 0], [1, 1]].add(1.0)[0, 1].item() == 2.0
    assert x.at[1, 2].get().item() == 0.0
    with pytest.raises(TypeError, match="cannot be written"):
        pb.arange(3).at[0].set(1.5)
    with pytest.raises(ValueError, match="do not broadcast"):
        x.at[0].set(pb.ones(2))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (4, "out of bounds"), (-5, "out of bounds"), ((0, 0, 0), "too many"), ((..., ...), "only one ellipsis"),
        (1.0, "only ints"), ("a", "only ints"), ([0.5], "only ints"), (np.ones(3, bool), "mask"),
        ([0, 4], "out of bounds"),
        ((slice(None), [0, -4]), "out of bounds"), (([0, 1], [0, 3]), "out of bounds"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("backend", ["numpy", "strict", "strict-device"])
def test_wrong_indices_raise_index_errors(index, message, backend):
    with pytest.raises(IndexError, match=message):
        pb.zeros(4, 3, backend=backend)[index]


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_index_tensors_out_of_bounds_raise(backend):
    bad = pb.Tensor([0, 7], backend=backend)
    x = pb.zeros(4, 3, backend=backend)
    square = pb.Tensor([[0, 7, 0]], backend=backend)
    for call in (
        lambda: x[bad], lambda: x[bad, bad], lambda: pb.take(x, bad, 0), lambda: pb.gather(x, square, 0),
        lambda: x.at[bad].set(0.0), lambda: x.at[bad].add(0.0), lambda: pb.scatter_add(x, square, x[:1], 0),
    ):  # fmt: skip
        with pytest.raises(IndexError):
            call()


def test_iterating_takes_slices_apart_in_one_op():
    x = pb.Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    a, _, c = x
    (a * c).sum().backward()
    assert x.grad.tolist() == [[4, 5], [0, 0], [0, 1]]
    with pytest.raises(TypeError, match="0-d"):
        list(pb.Tensor(1.0))
