"""Sequences of several lengths: packed without padding, or padded to one length. `torch.nn.utils.rnn`'s functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ...autograd import ops
from ...autograd.tensor import Tensor
from ..arguments import choice


class PackedSequence(NamedTuple):
    """The steps of all sequences, all first ones, then all second ones, …, without padding.

    Attributes
    ----------
    data : (steps, …), longer sequences first within a step.
    batch_sizes : int64, on the host's backend: how many sequences have a first step, a second one, ….
    sorted_indices, unsorted_indices : the order from the longest sequence to the shortest, and its inverse; None if
        the sequences came in that order.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, backend: Any = None, dtype: Any = None) -> PackedSequence:
        """The same with its data on another backend or of another dtype."""
        return self._replace(data=self.data.to(backend, dtype))

    @property
    def lengths(self) -> list[int]:
        """The length of each sequence, in the order they came in."""
        sizes = [int(n) for n in self.batch_sizes.numpy()]
        ordered = [sum(n > j for n in sizes) for j in range(sizes[0] if sizes else 0)]
        return ordered if self.unsorted_indices is None else [ordered[int(i)] for i in self.unsorted_indices.numpy()]


def integers(values: Any) -> list[int]:
    """Integers of a tensor, an array or a sequence as a list."""
    return [int(n) for n in (values.numpy() if isinstance(values, Tensor) else values)]


def _order(packed: PackedSequence) -> list[int]:
    n = integers(packed.batch_sizes[:1])[0]
    return list(range(n)) if packed.sorted_indices is None else integers(packed.sorted_indices)


def repack(input: Tensor, packed: PackedSequence) -> PackedSequence:
    """A padded sequence (t, n, …) packed in the same way as another one."""
    n, order = input.shape[1], _order(packed)
    places = [t * n + order[j] for t, size in enumerate(integers(packed.batch_sizes)) for j in range(size)]
    flat = ops.reshape(input, (input.shape[0] * n, *input.shape[2:]))
    return packed._replace(data=ops.take(flat, places, axis=0))


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The steps of padded sequences without the padding.

    Parameters
    ----------
    input : (t, n, …), or (n, t, …) with batch_first. lengths : n integers from 1 to t.
    enforce_sorted : the sequences come from the longest to the shortest; with False they are sorted here.

    Raises
    ------
    ValueError : lengths do not fit, or are not in descending order.
    """
    x = ops.swapaxes(input, 0, 1) if batch_first else input
    steps, n = x.shape[:2]
    sizes = integers(lengths)
    if len(sizes) != n or any(not 1 <= size <= steps for size in sizes):
        raise ValueError(f"pack_padded_sequence: {n} lengths from 1 to {steps} are wanted for {input.shape}")
    order = sorted(range(n), key=lambda j: -sizes[j])
    if enforce_sorted and order != list(range(n)):
        raise ValueError("pack_padded_sequence: lengths must be in descending order; or pass enforce_sorted=False")
    batch_sizes = [sum(size > t for size in sizes) for t in range(max(sizes, default=0))]
    back = sorted(range(n), key=order.__getitem__)
    indices = (None, None) if enforce_sorted else (ops.tensor(order), ops.tensor(back))
    return repack(x, PackedSequence(input, ops.tensor(batch_sizes), *indices))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Packed sequences padded to one length, and their lengths, in the order they came in.

    -> (t, n, …), or (n, t, …) with batch_first, and (n,) int64. t is the longest length, or `total_length`.
    """
    sizes, order = integers(sequence.batch_sizes), _order(sequence)
    n, longest = len(order), len(sizes)
    steps = longest if total_length is None else total_length
    if steps < longest:
        raise ValueError(
            f"pad_packed_sequence: total_length={total_length} is less than the longest sequence, {longest}"
        )
    place = {sample: j for j, sample in enumerate(order)}
    starts = [sum(sizes[:t]) for t in range(longest)]
    rows, inside = [], []
    for t in range(steps):
        for sample in range(n):
            there = t < longest and place[sample] < sizes[t]
            rows.append(starts[t] + place[sample] if there else 0)
            inside.append(there)
    data = sequence.data
    table = ops.reshape(ops.take(data, rows, axis=0), (steps, n, *data.shape[1:]))
    mask = ops.reshape(ops.tensor(inside, backend=data.backend), (steps, n, *(1,) * (data.ndim - 1)))
    padded = ops.where(mask, table, padding_value)
    return ops.swapaxes(padded, 0, 1) if batch_first else padded, ops.tensor(sequence.lengths)


def pad_sequence(
    sequences: Iterable[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (tᵢ, …) padded to the longest and stacked: (t, n, …), or (n, t, …) with batch_first."""
    choice("pad_sequence", "padding_side", padding_side, ("left", "right"))
    given = list(sequences)
    if not given:
        raise ValueError("pad_sequence: there are no sequences")
    longest = max(x.shape[0] for x in given)
    padded = []
    for x in given:
        missing = longest - x.shape[0]
        ends = (missing, 0) if padding_side == "left" else (0, missing)
        padded.append(ops.pad(x, (ends, *((0, 0),) * (x.ndim - 1)), value=padding_value))
    return ops.stack(padded, axis=0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences (tᵢ, …) of a padded array (t, n, …), or (n, t, …) with batch_first."""
    x = padded_sequences if batch_first else ops.swapaxes(padded_sequences, 0, 1)
    return [x[j, :size] for j, size in enumerate(integers(lengths))]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (tᵢ, …) packed without padding."""
    return pack_padded_sequence(pad_sequence(sequences), [x.shape[0] for x in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences (tᵢ, …) of a packed one, in the order they came in."""
    padded, lengths = pad_packed_sequence(packed_sequences)
    return unpad_sequence(padded, lengths)
