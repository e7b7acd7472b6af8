"""Tensor's methods that change shape or select elements: thin names for ops, in NumPy's and PyTorch's spelling."""
# Ops return Any; which of them return a Tensor is said here.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .indexing import resolve_int, resolve_slice
from .state import state

if TYPE_CHECKING:
    from .tensor import Tensor

Axis = int | Sequence[int] | None


def _sizes(shape: tuple[Any, ...]) -> Any:
    """Sizes given as separate ints or as one sequence."""
    return shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape


class ShapeMethods:
    """Mixin with shape and indexing methods."""

    __slots__ = ()

    # ------------------------------------------------------------ indexing

    def __getitem__(self, index: Any) -> Tensor:
        # One int or one slice, by far the most frequent, goes straight to the op.
        kind = type(index)
        if kind is int or kind is slice:
            shape = self._value.shape  # type: ignore[attr-defined]
            if shape:
                entry = resolve_int(index, shape[0], 0, shape) if kind is int else resolve_slice(index, shape[0])
                return state.now.apply(getitem_, (self,), {"index": (entry,)})
        return ops.getitem(self, index)

    @property
    def at(self) -> At:
        """Functional updates: `x.at[i].set(v)`, `.add(v)`, `.multiply(v)`, `.min(v)`, `.max(v)`, `.get()`.

        >>> import pullback as pb
        >>> pb.zeros(3).at[1].set(2.0).tolist()
        [0.0, 2.0, 0.0]
        """
        return At(self)

    def take(self, index: Any, axis: int | None = None, *, dim: int | None = None) -> Tensor:
        """Elements at integer positions along an axis, or of the flattened tensor without one."""
        return ops.take(self, index, axis, dim=dim)

    def index_select(self, dim: Any, index: Any) -> Tensor:
        """Elements at integer positions along an axis."""
        return ops.index_select(self, dim, index)

    def index_add(
        self, dim: Any, index: Any, source: Any = None, *, axis: int | None = None, alpha: float = 1
    ) -> Tensor:
        """With alpha·source added at integer positions along an axis; repeated indices accumulate."""
        if source is None:
            return ops.index_add(self, dim, index, axis=axis, alpha=alpha)
        return ops.index_add(self, dim, index, source, alpha=alpha)

    def gather(self, dim: Any, index: Any = None, *, axis: int | None = None) -> Tensor:
        """out[…, i, …] = x[…, index[…, i, …], …] along an axis."""
        return ops.gather(self, dim, axis=axis) if index is None else ops.gather(self, dim, index)

    def scatter_add(self, dim: Any, index: Any, src: Any = None, *, axis: int | None = None) -> Tensor:
        """With src added at the positions that index names along an axis; repeated indices accumulate."""
        if src is None:
            return ops.scatter_add(self, dim, index, axis=axis)
        return ops.scatter_add(self, dim, index, src)

    def scatter(
        self, dim: Any, index: Any, src: Any = None, *, axis: int | None = None, reduce: str | None = None
    ) -> Tensor:
        """With src written at the positions that index names along an axis; the last of several wins."""
        if src is None:
            return ops.scatter(self, dim, index, axis=axis, reduce=reduce)
        return ops.scatter(self, dim, index, src, reduce=reduce)

    def masked_fill(self, mask: Any, value: Any) -> Tensor:
        """With a value where the mask, which broadcasts, is true."""
        return ops.masked_fill(self, mask, value)

    def masked_select(self, mask: Any) -> Tensor:
        """The elements where the mask is true, in a 1-d tensor."""
        return ops.masked_select(self, mask)

    def nonzero(self, *, as_tuple: bool = True) -> Any:
        """The positions of non-zero elements: one int64 tensor per axis, or as the rows of one tensor."""
        return ops.nonzero(self, as_tuple=as_tuple)

    # ------------------------------------------------------------ shape

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in row-major order under another shape; one entry may be −1."""
        return ops.reshape(self, _sizes(shape))

    def view(self, *shape: Any) -> Tensor:
        """The same as `reshape`: tensors are immutable, so it does not matter whether memory is shared."""
        return ops.reshape(self, _sizes(shape))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes start_dim … end_dim, both included, merged into one."""
        return ops.flatten(self, start_dim, end_dim)

    def ravel(self) -> Tensor:
        """All elements in one axis."""
        return ops.flatten(self)

    def permute(self, *dims: Any) -> Tensor:
        """Axes in another order: axis i of the result is axis dims[i]."""
        return ops.permute(self, _sizes(dims))

    def transpose(self, *axes: Any) -> Tensor:
        """Axes reversed, without arguments; two of them swapped; or permuted, for a tuple."""
        return ops.transpose(self, *axes)

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The axes in reverse order; the transposed matrix of a 2-d tensor."""
        return ops.transpose(self)

    @property
    def mT(self) -> Tensor:  # noqa: N802 - the array standard's name
        """The last two axes swapped."""
        return ops.mT(self)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Two axes exchanged."""
        return ops.swapaxes(self, axis1, axis2)

    def moveaxis(self, source: Axis, destination: Axis) -> Tensor:
        """Axes moved to other places; the rest keep their order."""
        return ops.moveaxis(self, source, destination)

    movedim = moveaxis

    def squeeze(self, axis: Axis = None, *, dim: Axis = None) -> Tensor:
        """Without axes of length 1: all of them, or those among the ones named."""
        return ops.squeeze(self, axis, dim=dim)

    def unsqueeze(self, axis: Axis = None, *, dim: Axis = None) -> Tensor:
        """With new axes of length 1 at the given places of the result."""
        return ops.unsqueeze(self, axis, dim=dim)

    def expand(self, *shape: Any) -> Tensor:
        """Broadcast to a shape, in which −1 keeps a length."""
        return ops.expand(self, _sizes(shape))

    def expand_as(self, other: Any) -> Tensor:
        """Broadcast to another tensor's shape."""
        return ops.broadcast_to(self, other.shape)

    def broadcast_to(self, *shape: Any) -> Tensor:
        """Repeated along new leading axes and along axes of length 1, to the given shape."""
        return ops.broadcast_to(self, _sizes(shape))

    def repeat(self, *sizes: Any) -> Tensor:
        """The whole tensor repeated along each axis (PyTorch's `repeat`; NumPy's is `repeat_interleave`)."""
        return ops.tile(self, _sizes(sizes))

    def tile(self, *reps: Any) -> Tensor:
        """The whole tensor repeated along each axis."""
        return ops.tile(self, _sizes(reps))

    def repeat_interleave(
        self, repeats: Any, axis: int | None = None, *, dim: int | None = None, output_size: int | None = None
    ) -> Tensor:
        """Each element along an axis repeated."""
        return ops.repeat_interleave(self, repeats, axis, dim=dim, output_size=output_size)

    def flip(self, *axes: Any, axis: Axis = None, dims: Axis = None) -> Tensor:
        """Reversed along one, some or all axes."""
        return ops.flip(self, axis if not axes else _sizes(axes), dims=dims)

    def roll(self, shifts: Any, axis: Axis = None, *, dims: Axis = None) -> Tensor:
        """Shifted cyclically along axes."""
        return ops.roll(self, shifts, axis, dims=dims)

    def split(self, sections: Any, axis: int | None = None, *, dim: int | None = None) -> tuple[Tensor, ...]:
        """Cut into pieces: with `axis`, sections means what it means in NumPy; with `dim`, what it does in PyTorch."""
        return ops.split(self, sections, axis, dim=dim)

    def chunk(self, chunks: int, axis: int | None = None, *, dim: int | None = None) -> tuple[Tensor, ...]:
        """Cut into at most `chunks` pieces of equal size; the last may be smaller."""
        return ops.chunk(self, chunks, axis, dim=dim)

    def unbind(self, axis: int | None = None, *, dim: int | None = None) -> tuple[Tensor, ...]:
        """The slices along an axis, the first by default."""
        return ops.unbind(self, axis, dim=dim)

    def diagonal(
        self, offset: int = 0, axis1: int = 0, axis2: int = 1, *, dim1: int | None = None, dim2: int | None = None
    ) -> Tensor:
        """The diagonals of two axes, which become the last axis."""
        return ops.diagonal(self, offset, axis1, axis2, dim1=dim1, dim2=dim2)

    def trace(self) -> Tensor:
        """Sum of the main diagonal of the first two axes."""
        return ops.trace(self)

    def tril(self, diagonal: int = 0) -> Tensor:
        """The lower triangle of the last two axes."""
        return ops.tril(self, diagonal)

    def triu(self, diagonal: int = 0) -> Tensor:
        """The upper triangle of the last two axes."""
        return ops.triu(self, diagonal)

    def contiguous(self) -> Tensor:
        """The tensor itself: layout in memory is the backend's business."""
        return self  # type: ignore[return-value]

    def clone(self) -> Tensor:
        """The same values as a new node of the graph; nothing is copied, as tensors are immutable."""
        return ops.identity(self)

    # ------------------------------------------------------------ products

    def matmul(self, other: Any) -> Tensor:
        """Matrix product, batched and broadcast over leading axes."""
        return ops.matmul(self, other)

    mm = bmm = matmul

    def dot(self, other: Any) -> Tensor:
        """Sum of products over the last axis, and the last but one (or only) axis of `other`."""
        return ops.dot(self, other)

    def outer(self, other: Any) -> Tensor:
        """All products of an element of this and an element of `other`."""
        return ops.outer(self, other)

    def sort(
        self, axis: int | None = None, descending: bool = False, stable: bool = True, *, dim: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """(values, indices) in ascending or descending order along an axis, the last by default."""
        return ops.sort(self, axis, descending, stable, dim=dim)

    def argsort(
        self, axis: int | None = None, descending: bool = False, stable: bool = True, *, dim: int | None = None
    ) -> Tensor:
        """The positions that put the elements in order along an axis, the last by default."""
        return ops.argsort(self, axis, descending, stable, dim=dim)

    def topk(
        self, k: int, axis: int | None = None, largest: bool = True, sorted: bool = True, *, dim: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """(values, indices) of the k largest or smallest elements along an axis, in order."""
        return ops.topk(self, k, axis, largest, sorted, dim=dim)


from . import ops  # noqa: E402
from .ops.at import At  # noqa: E402
from .ops.slicing import getitem_  # noqa: E402
