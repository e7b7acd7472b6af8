"""Batches: what they hold, that seeds fix their order, and that a position can be restored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pullback as pb
from pullback.data import ArrayDataset, DataLoader, batches, permutation


class Squares:
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return {"x": float(i), "square": np.full((2,), i * i)}


def order(loader):
    return [x.tolist() for x in loader]


def test_permutation_is_one_and_stays_the_same():
    assert permutation(8, seed=3, epoch=1).tolist() == [7, 3, 5, 6, 4, 0, 2, 1]
    assert sorted(permutation(1000, seed=0, epoch=0)) == list(range(1000))
    assert permutation(0, seed=0, epoch=0).tolist() == []


def test_every_sample_once_and_the_last_batch_is_smaller():
    x = np.arange(10, dtype=np.float64)
    y = np.arange(10)
    loader = batches(x, y, batch_size=4, seed=0)
    got = list(loader)
    assert [a.shape for a, _ in got] == [(4,), (4,), (2,)]
    assert [a.dtype.name for a, _ in got] == ["float64"] * 3
    assert all((a.numpy() == b.numpy()).all() for a, b in got)
    assert sorted(itertools.chain(*(b.tolist() for _, b in got))) == list(range(10))
    assert len(loader) == 3
    assert len(batches(x, batch_size=4, drop_last=True)) == len(list(batches(x, batch_size=4, drop_last=True))) == 2


def test_epochs_differ_and_seeds_repeat():
    x = np.arange(50)
    a, b = batches(x, batch_size=8, seed=7), batches(x, batch_size=8, seed=7)
    first, second = order(a), order(a)
    assert first != second
    assert (order(b), order(b)) == (first, second)
    assert order(batches(x, batch_size=8, seed=8)) != first
    assert order(batches(x, batch_size=8, shuffle=False)) == [list(range(i, min(i + 8, 50))) for i in range(0, 50, 8)]


def test_an_abandoned_epoch_is_followed_by_a_new_order():
    loader = batches(np.arange(50), batch_size=8, seed=7)
    assert next(iter(loader)).tolist() != next(iter(loader)).tolist()


@pytest.mark.parametrize("stop", [0, 1, 5, 7, 9, 14])
def test_resuming_continues_exactly_there(stop):
    x = np.arange(50)
    whole = batches(x, batch_size=8, seed=5)
    expected = order(whole) + order(whole)
    loader = batches(x, batch_size=8, seed=5)
    seen = []
    state = loader.state_dict()
    for _ in range(2):
        for batch in loader:
            if len(seen) == stop:
                break
            seen.append(batch.tolist())
            state = loader.state_dict()
        if len(seen) == stop:
            break
    resumed = batches(x, batch_size=8, seed=99)
    resumed.load_state_dict(state)
    while len(seen) < 14:
        seen += order(resumed)
    assert seen == expected


def test_position_after_a_whole_epoch_is_the_next_one():
    loader = batches(np.arange(10), batch_size=5, seed=0)
    list(loader)
    assert (loader.epoch, loader.batch) == (1, 0)


def test_resuming_an_iterable():
    loader = DataLoader(range(7), batch_size=2)
    list(itertools.islice(loader, 2))
    state = loader.state_dict()
    other = DataLoader(iter_only(7), batch_size=2)
    other.load_state_dict({**state, "size": None})
    assert order(other) == [[4, 5], [6]]


def iter_only(n):
    class Stream:
        def __iter__(self):
            return iter(range(n))

    return Stream()


def test_a_state_of_another_loader_is_refused():
    loader = batches(np.arange(10), batch_size=5, seed=0)
    with pytest.raises(ValueError, match="batch_size=4, this loader has batch_size=5"):
        loader.load_state_dict(batches(np.arange(10), batch_size=4).state_dict())
    with pytest.raises(ValueError, match="size=11"):
        loader.load_state_dict(batches(np.arange(11), batch_size=5).state_dict())
    with pytest.raises(ValueError, match="keys"):
        loader.load_state_dict({"epoch": 1})


def test_datasets_and_iterables_are_collated():
    (batch,) = DataLoader(Squares(3), batch_size=3)
    assert batch["x"].dtype == np.float32
    assert batch["square"].tolist() == [[0, 0], [1, 1], [4, 4]]
    got = list(DataLoader(((i, f"s{i}", pb.Tensor([1.0 * i])) for i in range(3)), batch_size=2))
    assert got[0][0].tolist() == [0, 1]
    assert got[0][1] == ["s0", "s1"]
    assert got[1][2].tolist() == [[2.0]]
    assert list(DataLoader(range(5), batch_size=2, drop_last=True, collate=sum)) == [1, 5]


def test_items_that_are_batches_already():
    made = [{"x": np.full((k, 2), k, np.float32)} for k in (3, 1, 2)]
    loader = DataLoader(made, batch_size=None)
    assert len(loader) == 3
    assert [batch["x"].shape for batch in loader] == [(3, 2), (1, 2), (2, 2)]
    shuffled = DataLoader(made, batch_size=None, shuffle=True, seed=1, collate=lambda item: len(item["x"]))
    assert sorted(shuffled) == [1, 2, 3]
    epoch = iter(shuffled)
    next(epoch)
    state = shuffled.state_dict()
    rest = list(epoch)
    shuffled.load_state_dict(state)
    assert list(shuffled) == rest
    assert len(rest) == 2


def test_tensors_stay_on_their_backend():
    x = pb.Tensor(np.arange(6.0), backend="numpy")
    for batch in batches(x, batch_size=4):
        assert batch.backend.name == "numpy"
    assert sorted(itertools.chain(*order(batches(x, batch_size=4)))) == x.tolist()


def test_one_array_gives_bare_items():
    assert ArrayDataset([1.0, 2.0])[1] == 2.0
    assert ArrayDataset([1.0, 2.0], [3, 4])[1] == (2.0, 4)
    assert ArrayDataset([1.0, 2.0]).arrays[0].dtype == np.float32


def test_generators_can_seed():
    a, b = (DataLoader(range(5), shuffle=True, seed=np.random.default_rng(0)) for _ in range(2))
    assert a.seed == b.seed
    assert DataLoader(range(5), shuffle=True).seed != DataLoader(range(5), shuffle=True).seed


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: batches(), ValueError, "at least one array"),
        (lambda: batches([1, 2], [1, 2, 3]), ValueError, r"different lengths \[2, 3\]"),
        (lambda: ArrayDataset(np.float32(1)), ValueError, "0-d"),
        (lambda: batches([1, 2], batch_size=0), ValueError, "batch_size must be at least 1"),
        (lambda: batches([1, 2], batch_size=None, drop_last=True), ValueError, "drop_last has no meaning"),
        (lambda: batches([1, 2], seed=-1), ValueError, "seed"),
        (lambda: DataLoader(5), TypeError, "int has not"),
        (lambda: batches(iter([1, 2])), ValueError, "pass shuffle=False"),
        (lambda: len(DataLoader(iter([1, 2]))), TypeError, "no length"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
