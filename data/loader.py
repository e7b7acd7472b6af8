"""Batches of a data set, in an order that a seed fixes and a checkpoint can restore."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import ops
from ..autograd.tensor import Tensor


def permutation(n: int, *, seed: int, epoch: int) -> np.ndarray[Any, Any]:
    """A permutation of 0 ... n-1: a pure function of its arguments, on every platform and with every NumPy.

    The order in which n words of NumPy's Philox 4×64 generator with the key (seed, epoch) sort. NumPy guarantees its
    raw words; it does not guarantee `Generator.permutation`.
    """
    words = np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)).random_raw(n)
    return np.argsort(words, kind="stable")


class ArrayDataset:
    """Arrays or Tensors of one length side by side: item i is the tuple of their items i.

    With one array, an item is that array's item itself. Lists of Python floats become float32, as in `Tensor`.

    Raises
    ------
    ValueError : no array, a 0-d array, or different lengths.
    """

    def __init__(self, *arrays: Any) -> None:
        if not arrays:
            raise ValueError("ArrayDataset needs at least one array")
        self.arrays = tuple(_as_data(a) for a in arrays)
        for i, a in enumerate(self.arrays):
            if not a.shape:
                raise ValueError(f"array {i} is 0-d: it has no items to make batches of")
        lengths = [len(a) for a in self.arrays]
        if len(set(lengths)) > 1:
            raise ValueError(f"arrays have different lengths {lengths}; inputs and targets must pair up one to one")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> Any:
        items = tuple(a[index] for a in self.arrays)
        return items if len(items) > 1 else items[0]

    def gather(self, index: np.ndarray[Any, Any]) -> Any:
        """The batch of the items at `index`, as Tensors: host arrays go to the current backend."""
        items = tuple(_gather(a, index) for a in self.arrays)
        return items if len(items) > 1 else items[0]


def _as_data(a: Any) -> Any:
    if isinstance(a, Tensor):
        return a.detach()
    if isinstance(a, list | tuple | range):
        return Tensor(a, backend="numpy").numpy()
    return a if isinstance(a, np.ndarray) else np.asarray(a)


def _gather(a: Any, index: np.ndarray[Any, Any]) -> Tensor:
    if isinstance(a, Tensor):
        out: Tensor = ops.take(a, Tensor(index, backend=a.backend), axis=0)
        return out
    return Tensor(np.take(a, index, axis=0))


def stack(samples: Sequence[Any]) -> Any:
    """Samples as one batch: tuples and dicts field by field, arrays and numbers stacked along a new first axis."""
    first = samples[0]
    if isinstance(first, tuple):
        return tuple(stack(field) for field in zip(*samples, strict=True))
    if isinstance(first, Mapping):
        return {key: stack([sample[key] for sample in samples]) for key in first}
    if isinstance(first, Tensor):
        return ops.stack(list(samples), axis=0)
    if isinstance(first, str | bytes):
        return list(samples)
    if isinstance(first, np.ndarray | np.generic):
        return Tensor(np.stack(samples))
    return Tensor(list(samples))


def as_tensors(batch: Any) -> Any:
    """A batch that somebody else made, its arrays as Tensors on the current backend."""
    if isinstance(batch, tuple):
        return tuple(map(as_tensors, batch))
    if isinstance(batch, Mapping):
        return {key: as_tensors(value) for key, value in batch.items()}
    return batch if isinstance(batch, Tensor | str | bytes) else Tensor(batch)


class DataLoader:
    """Batches of a data set; each `for` over the loader is one epoch.

    Epoch e's order is a pure function of (seed, e). The loader's position is part of a checkpoint: `state_dict()`
    taken between two batches says which epoch it is and how many batches were handed out, and after `load_state_dict`
    the next `for` goes on exactly there.

    Parameters
    ----------
    dataset : `ArrayDataset`, anything with `__len__` and `__getitem__`, or any iterable of samples.
    batch_size : samples in a batch; the last one may be smaller. None: the items of the data set are batches already.
    shuffle : draw a new order each epoch. Needs a data set with a length.
    seed : of the shuffling, a non-negative int or a NumPy Generator to draw one from; None draws one from the system.
    drop_last : leave out a last batch that is smaller.
    collate : makes a batch of a list of samples, or of an item where `batch_size` is None; by default fields are
        stacked to Tensors on the current backend.

    Attributes
    ----------
    epoch, batch : the position: the current epoch and its batches handed out so far; (epoch + 1, 0) when it is over.

    >>> loader = DataLoader(ArrayDataset([0.0, 1.0, 2.0, 3.0, 4.0]), batch_size=2)
    >>> [x.tolist() for x in loader]
    [[0.0, 1.0], [2.0, 3.0], [4.0]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 32,
        shuffle: bool = False,
        seed: int | np.random.Generator | None = None,
        drop_last: bool = False,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if batch_size is None and drop_last:
            raise ValueError("drop_last has no meaning with batch_size=None, where the items are batches already")
        self.indexable = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
        if not self.indexable and not isinstance(dataset, Iterable):
            raise TypeError(
                f"a data set has a length and items, or can be iterated over; {type(dataset).__name__} has not"
            )
        if shuffle and not self.indexable:
            raise ValueError("shuffle needs a data set with a length and items; pass shuffle=False for an iterable")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = _seed(seed)
        self.drop_last = drop_last
        self.collate = collate
        self.epoch = 0
        self.batch = 0
        self._begin = (0, 0)

    def __len__(self) -> int:
        if not self.indexable:
            raise TypeError("a loader over an iterable has no length")
        n = len(self.dataset)
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        epoch, start = self._begin
        self._begin = (epoch + 1, 0)
        self.epoch, self.batch = epoch, start
        return self._batches(epoch, start)

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        source = self._indexed(epoch, start) if self.indexable else self._streamed(start)
        for k, batch in enumerate(source, start + 1):
            self.epoch, self.batch = epoch, k
            yield batch
        self.epoch, self.batch = epoch + 1, 0

    def _indexed(self, epoch: int, start: int) -> Iterator[Any]:
        n = len(self.dataset)
        order = permutation(n, seed=self.seed, epoch=epoch) if self.shuffle else np.arange(n)
        if self.batch_size is None:
            for i in order[start:].tolist():
                yield (self.collate or as_tensors)(self.dataset[i])
            return
        for k in range(start, len(self)):
            index = order[k * self.batch_size : (k + 1) * self.batch_size]
            if self.collate is None and isinstance(self.dataset, ArrayDataset):
                yield self.dataset.gather(index)
            else:
                yield (self.collate or stack)([self.dataset[i] for i in index.tolist()])

    def _streamed(self, start: int) -> Iterator[Any]:
        if self.batch_size is None:
            yield from map(self.collate or as_tensors, itertools.islice(self.dataset, start, None))
            return
        samples = itertools.islice(self.dataset, start * self.batch_size, None)
        while chunk := list(itertools.islice(samples, self.batch_size)):
            if len(chunk) < self.batch_size and self.drop_last:
                return
            yield (self.collate or stack)(chunk)

    def state_dict(self) -> dict[str, Any]:
        """The position, and what the order depends on, as plain numbers."""
        settings = {"batch_size": self.batch_size, "shuffle": self.shuffle, "drop_last": self.drop_last}
        size = len(self.dataset) if self.indexable else None
        return {"epoch": self.epoch, "batch": self.batch, "seed": self.seed, "size": size, **settings}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, with its seed: the next `for` yields the rest of that epoch.

        Raises
        ------
        ValueError : the state is of a loader with another batch size, another order or another number of samples.
        """
        mine = self.state_dict()
        if state.keys() != mine.keys():
            raise ValueError(f"a loader's state has the keys {sorted(mine)}, this one has {sorted(state)}")
        for key in ("size", "batch_size", "shuffle", "drop_last"):
            if state[key] != mine[key]:
                raise ValueError(
                    f"the position was saved with {key}={state[key]}, this loader has {key}={mine[key]}: "
                    "the batches would not be the same"
                )
        self.seed = int(state["seed"])
        self.epoch, self.batch = self._begin = (int(state["epoch"]), int(state["batch"]))


def _seed(seed: int | np.random.Generator | None) -> int:
    if seed is None:
        return secrets.randbits(63)
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    if not 0 <= seed < 2**63:
        raise ValueError(f"a seed is an int from 0 to 2**63 - 1, not {seed}")
    return int(seed)


def batches(
    *arrays: Any,
    batch_size: int | None = 32,
    shuffle: bool = True,
    seed: int | np.random.Generator | None = None,
    drop_last: bool = False,
) -> DataLoader:
    """Batches of arrays side by side, or of one data set: the `DataLoader` for a hand-written loop.

    Parameters
    ----------
    arrays : arrays, Tensors or lists of one length; or one data set or iterable as `DataLoader` takes.
    batch_size, shuffle, seed, drop_last : as for `DataLoader`, but shuffling unless told otherwise.

    >>> for x, y in batches([1.0, 2.0, 3.0], [0, 1, 0], batch_size=2, shuffle=False):
    ...     print(x.tolist(), y.tolist())
    [1.0, 2.0] [0, 1]
    [3.0] [0]
    """
    is_array = len(arrays) != 1 or isinstance(arrays[0], list | tuple | range) or hasattr(arrays[0], "__array__")
    dataset = ArrayDataset(*arrays) if is_array else arrays[0]
    return DataLoader(dataset, batch_size, shuffle, seed, drop_last)
