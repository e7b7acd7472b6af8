"""Tables of vectors looked up by integers, one by one or in bags, with PyTorch's arguments.

Which rows are meant, and how many there are of each, is worked out on the host; the rows themselves are gathered,
added up and compared by ops, so every order of derivative is theirs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..state import no_grad
from .creation import asarray, zeros
from .elementwise import clip, equal, greater, logical_and, not_equal, where
from .extrema import argmax, norm
from .index import gather, index_add, take
from .reduce import any as any_
from .reduce import sum
from .shape import reshape, unsqueeze

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["embedding", "embedding_bag"]

Host = np.ndarray[Any, Any]


def _indices(name: str, input: Any, weight: Tensor) -> Tensor:
    index = asarray(input, backend=None if hasattr(input, "_node") else weight.backend)
    if index.dtype.kind not in "iu":
        raise TypeError(f"{name}: indices are integers, not {index.dtype}; convert with .astype('int64')")
    if weight.ndim != 2:
        raise ValueError(f"{name}: the weight is a table (rows, size), not an array of shape {weight.shape}")
    return index


@no_grad
def _shortened(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """The table with those of its rows that are looked up scaled down to `max_norm` where they are longer."""
    table = weight.detach()
    norms = norm(table, ord=float(norm_type), axis=1, keepdims=True)
    used = np.zeros((weight.shape[0], 1), bool)
    used[index.numpy().reshape(-1)] = True
    long = logical_and(greater(norms, max_norm), asarray(used, backend=weight.backend))
    short: Tensor = table * where(long, max_norm / (norms + 1e-7), 1.0)
    return short


def _limited(weight: Tensor, index: Tensor, max_norm: float | None, norm_type: float) -> Tensor:
    """The table after `max_norm`: a Parameter is changed for good, of another tensor a changed copy is used."""
    if max_norm is None:
        return weight
    from ..tensor import Parameter

    short = _shortened(weight, index, max_norm, norm_type)
    if isinstance(weight, Parameter):
        weight.assign(short)
        return weight
    changed: Tensor = weight + (short - weight.detach())
    return changed


def _rows(weight: Tensor, index: Tensor, padding_idx: int | None, by_frequency: bool) -> Tensor:
    """Rows of the table; padding gets no gradient, and a repeated row the mean of its gradients if asked."""
    out: Tensor = take(weight, index, axis=0)
    if by_frequency:
        flat = index.numpy().reshape(-1)
        counts = np.bincount(flat % weight.shape[0], minlength=1)[flat % weight.shape[0]].reshape(index.shape)
        fixed, share = out.detach(), asarray(1.0 / counts, out.dtype, backend=out.backend)
        out = fixed + (out - fixed) * unsqueeze(share, -1)
    if padding_idx is None:
        return out
    padding = equal(index, padding_idx % weight.shape[0])
    masked: Tensor = where(unsqueeze(padding, -1), out.detach(), out)
    return masked


def embedding(
    input: Any, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Rows of `weight` (rows, size) looked up by integers (…) -> (…, size).

    Parameters
    ----------
    padding_idx : this row gets no gradient.
    max_norm : rows that are looked up and whose norm is larger are scaled down to it first: for good in a Parameter.
    norm_type : p of the p-norm for that.
    scale_grad_by_freq : divide a row's gradient by how often it was looked up here.
    sparse : accepted; gradients are dense.
    """
    index = _indices("embedding", input, weight)
    weight = _limited(weight, index, max_norm, norm_type)
    return _rows(weight, index, padding_idx, scale_grad_by_freq)


def _bags(name: str, index: Tensor, offsets: Any, include_last_offset: bool) -> Host:
    """Where each bag of a flat input starts, and at the end its length."""
    starts = np.asarray(offsets.numpy() if hasattr(offsets, "_node") else offsets)
    if starts.ndim != 1 or starts.dtype.kind not in "iu" or not starts.size or starts[0] != 0:
        raise ValueError(f"{name}: offsets are integers (bags,) that begin with 0, not {starts.dtype} {starts.shape}")
    if (np.diff(starts) < 0).any() or starts[-1] > index.size:
        raise ValueError(f"{name}: offsets must not descend, nor exceed the {index.size} indices")
    return starts if include_last_offset else np.append(starts, index.size)


def _over_bags(rows: Tensor, kept: Tensor | None, mode: str) -> Tensor:
    """The rows of each bag made one: (bags, k, size) -> (bags, size), of those that are kept; all for None."""
    bags, k, size = rows.shape
    if not k:
        return zeros((bags, size), dtype=rows.dtype, backend=rows.backend)
    if mode == "max":
        table = rows if kept is None else where(unsqueeze(kept, -1), rows, -math.inf)
        best = unsqueeze(argmax(table.detach(), axis=1), 1)  # the first of equal ones
        largest: Tensor = reshape(gather(table, best, axis=1), (bags, size))
        if kept is not None:
            largest = where(any_(kept, axis=1, keepdims=True), largest, 0.0)
        return largest
    total: Tensor = sum(rows if kept is None else where(unsqueeze(kept, -1), rows, 0.0), axis=1)
    if mode == "sum":
        return total
    count: Any = float(k) if kept is None else clip(sum(kept.astype(rows.dtype), axis=1, keepdims=True), 1.0)
    mean: Tensor = total / count
    return mean


def _spread_out(rows: Tensor, bag: Host, place: Host, kept: Host, count: int) -> tuple[Tensor, Tensor]:
    """Rows one after the other as a table of bags, and which of its places hold a row that is kept."""
    many = int(place.max(initial=-1)) + 1
    at, held = np.zeros((count, many), np.int64), np.zeros((count, many), bool)
    at[bag[kept], place[kept]], held[bag[kept], place[kept]] = np.flatnonzero(kept), True
    table: Tensor = take(rows, asarray(at, backend=rows.backend), axis=0)
    return table, asarray(held, backend=rows.backend)


def embedding_bag(
    input: Any, weight: Tensor, offsets: Any = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """Sums, means or maxima of the rows of `weight` that each bag of integers looks up: -> (bags, size).

    Parameters
    ----------
    input : (bags, k), a bag in each row; or (n,) with the `offsets` (bags,) at which bags start. With
        `include_last_offset` the last offset is where the last bag ends.
    mode : "sum", "mean" or "max". An empty bag gives zeros.
    per_sample_weights : of the input's shape, factors of the rows; for sums only.
    padding_idx : these count for nothing. max_norm, norm_type, scale_grad_by_freq, sparse : as in `embedding`.
    """
    name = "embedding_bag"
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name}: mode must be 'sum', 'mean' or 'max', not {mode!r}")
    index = _indices(name, input, weight)
    if index.ndim not in (1, 2) or (index.ndim == 2) != (offsets is None):
        raise ValueError(
            f"{name}: an input (bags, k) without offsets, or (n,) with them, not {index.shape} with"
            f"{'out' if offsets is None else ''} offsets"
        )
    weight = _limited(weight, index, max_norm, norm_type)
    rows = _rows(weight, index, padding_idx, scale_grad_by_freq)
    if per_sample_weights is not None:
        if mode != "sum":
            raise ValueError(f"{name}: per_sample_weights are for mode 'sum', not {mode!r}")
        factors = asarray(per_sample_weights, backend=rows.backend)
        if factors.shape != index.shape:
            raise ValueError(f"{name}: per_sample_weights {factors.shape} for an input of shape {index.shape}")
        rows = rows * unsqueeze(factors, -1)
    skipped = None if padding_idx is None else padding_idx % weight.shape[0]
    if index.ndim == 2:
        return _over_bags(rows, None if skipped is None else not_equal(index, skipped), mode)
    bounds, host = _bags(name, index, offsets, include_last_offset), index.numpy()
    count = len(bounds) - 1
    bag = np.searchsorted(bounds, np.arange(len(host)), side="right") - 1
    kept = (bag < count) & (True if skipped is None else host != skipped)
    if mode == "max":
        place = np.arange(len(host)) - bounds[bag]
        return _over_bags(*_spread_out(rows, bag, place, kept, count), mode)
    rows = where(asarray(kept[:, None], backend=rows.backend), rows, 0.0)
    total = zeros((count, rows.shape[1]), dtype=rows.dtype, backend=rows.backend)
    if count:
        total = index_add(total, asarray(np.minimum(bag, count - 1), backend=rows.backend), rows, 0)
    if mode == "sum":
        return total
    lengths = np.maximum(np.bincount(bag[kept], minlength=count), 1)[:, None]
    return total / asarray(lengths, rows.dtype, backend=rows.backend)
