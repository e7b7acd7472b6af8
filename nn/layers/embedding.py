"""Tables of vectors looked up by integers."""

from __future__ import annotations

from typing import Any, Self

from ...autograd.tensor import Parameter, Tensor
from .. import functional as F
from .. import init
from ..arguments import choice, whole
from ..module import Module
from ..parameters import parameter


class _Table(Module):
    """A table of vectors, and what is done to it when it is looked up."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, max_norm: float | None,
        norm_type: float, scale_grad_by_freq: bool, sparse: bool, weight: Any, dtype: Any, backend: Any,
    ) -> None:  # fmt: skip
        name = type(self).__name__
        self.num_embeddings = whole(name, "num_embeddings", num_embeddings)
        self.embedding_dim = whole(name, "embedding_dim", embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"{name}: padding_idx {padding_idx} is no row of a table of {num_embeddings}")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if weight is None:
            self.weight = parameter(num_embeddings, embedding_dim, dtype=dtype, backend=backend)
            self.reset_parameters()
        else:
            self.weight = Parameter(weight, dtype, backend=backend)
            if self.weight.shape != (num_embeddings, embedding_dim):
                raise ValueError(f"{name}: a table {(num_embeddings, embedding_dim)}, not {self.weight.shape}")

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.assign(self.weight.detach().at[self.padding_idx].set(0.0))

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, **options: Any) -> Self:
        """A layer with this table (rows, size), not trained unless `freeze` is False; options as of the layer."""
        values = embeddings if isinstance(embeddings, Tensor) else Tensor(embeddings)
        if values.ndim != 2:
            raise ValueError(f"{cls.__name__}: embeddings must be a table (rows, size), not of shape {values.shape}")
        layer = cls(*values.shape, _weight=values, **options)
        layer.weight.requires_grad_(not freeze)
        return layer

    def extra_repr(self) -> str:
        shown = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            shown += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            shown += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            shown += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return shown


class Embedding(_Table):
    """A table of vectors looked up by integers: (…) -> (…, embedding_dim).

    Parameters
    ----------
    num_embeddings, embedding_dim : rows and columns of the table.
    padding_idx : this row starts as zeros and gets no gradient.
    max_norm, norm_type : rows that are looked up and whose norm is larger are scaled down to it, for good.
    scale_grad_by_freq : divide a row's gradient by how often it was looked up in the batch.
    sparse : accepted; gradients are dense.

    Attributes
    ----------
    weight : (num_embeddings, embedding_dim), drawn from N(0, 1).
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False, _weight: Any = None,
        _freeze: bool = False, *, dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
            dtype, backend,
        )  # fmt: skip
        self.weight.requires_grad_(not _freeze)

    def forward(self, input: Tensor) -> Tensor:
        """Integers (…) -> (…, embedding_dim)."""
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    def extra_repr(self) -> str:
        head = f"{self.num_embeddings}, {self.embedding_dim}"
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return head + padding + super().extra_repr()[len(head) :] + (", sparse=True" if self.sparse else "")


class EmbeddingBag(_Table):
    """Sums, means or maxima of the vectors that each bag of integers looks up: `functional.embedding_bag`.

    Parameters
    ----------
    mode : "sum", "mean" or "max". include_last_offset : the last offset is where the last bag ends.
    num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, sparse : as in `Embedding`.
    padding_idx : this row starts as zeros, and counts for nothing.

    Attributes
    ----------
    weight : (num_embeddings, embedding_dim), drawn from N(0, 1).
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: Any = None,
        include_last_offset: bool = False, padding_idx: int | None = None, *, dtype: Any = None, backend: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
            dtype, backend,
        )  # fmt: skip
        self.mode = choice("EmbeddingBag", "mode", mode, ("sum", "mean", "max"))
        self.include_last_offset = include_last_offset

    def forward(self, input: Tensor, offsets: Any = None, per_sample_weights: Any = None) -> Tensor:
        """Integers (bags, k), or (n,) with the offsets at which bags start -> (bags, embedding_dim)."""
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode,
            self.sparse, per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{super().extra_repr()}, mode={self.mode!r}{padding}"
