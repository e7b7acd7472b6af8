"""What people hand to `fit`, as batches."""

from __future__ import annotations

from typing import Any

from ..autograd.tensor import Tensor
from ..data.loader import ArrayDataset, DataLoader


def is_array(x: Any) -> bool:
    """Whether x is data itself, not something that yields data."""
    return isinstance(x, Tensor | list) or hasattr(x, "__array__")


def loader_of(x: Any, y: Any, *, batch_size: int | None, shuffle: bool, seed: int | None) -> DataLoader:
    """The DataLoader for `fit(x, y)`: x itself if it is one."""
    if isinstance(x, DataLoader):
        if y is not None:
            raise ValueError("a DataLoader yields the targets too; leave y out")
        return x
    if batch_size is not None and (is_array(x) or isinstance(x, tuple)):
        inputs = x if isinstance(x, tuple) else (x,)
        return DataLoader(ArrayDataset(*inputs, *(() if y is None else (y,))), batch_size, shuffle, seed)
    if y is not None:
        if batch_size is None:
            raise ValueError("batch_size=None is for an x that yields batches with their targets; leave y out")
        raise TypeError(f"with targets y, x must be an array or a tuple of arrays, not {type(x).__name__}")
    indexable = hasattr(x, "__len__") and hasattr(x, "__getitem__")
    return DataLoader(x, batch_size, shuffle and indexable, seed)


def batches_of(data: Any, batch_size: int | None) -> DataLoader:
    """The DataLoader of validation data: (x, y), or a DataLoader, data set or iterable."""
    if isinstance(data, tuple):
        if len(data) != 2:
            raise ValueError(f"validation_data is the pair (x, y) or a DataLoader, not a tuple of {len(data)}")
        return loader_of(data[0], data[1], batch_size=batch_size or 32, shuffle=False, seed=0)
    return loader_of(data, None, batch_size=batch_size, shuffle=False, seed=0)


def split_off(x: Any, y: Any, fraction: float) -> tuple[Any, Any, tuple[Any, Any] | None]:
    """Divide x and y in what comes before their last `fraction`, and that part; None instead of it for 0."""
    if not fraction:
        return x, y, None
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"validation_split is a part from 0 to 1, not {fraction}")
    if y is None or not (is_array(x) or isinstance(x, tuple)):
        raise ValueError("validation_split needs arrays x and y; give validation_data instead")
    inputs = x if isinstance(x, tuple) else (x,)
    arrays = ArrayDataset(*inputs, y)
    cut = round(len(arrays) * (1.0 - fraction))
    if not 0 < cut < len(arrays):
        raise ValueError(f"validation_split={fraction} of {len(arrays)} samples leaves one part empty")
    *first, y_first = (a[:cut] for a in arrays.arrays)
    *last, y_last = (a[cut:] for a in arrays.arrays)
    one = not isinstance(x, tuple)
    return (first[0] if one else tuple(first)), y_first, ((last[0] if one else tuple(last)), y_last)


def unpack(batch: Any) -> tuple[tuple[Any, ...], Any]:
    """A batch (*inputs, target) as (inputs, target)."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        got = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, tuple | list) else "")
        raise TypeError(f"a batch must be (*inputs, target), got {got}; did you forget y?")
    return tuple(batch[:-1]), batch[-1]
