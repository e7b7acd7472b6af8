"""Changing shape: no arithmetic, only where elements stand.

Public functions take NumPy's `axis` or PyTorch's `dim`; negative axes count from the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import index as as_int
from typing import Any

import numpy as np

from ..primitive import primitive

__all__ = [
    "broadcast_tensors", "broadcast_to", "cat", "chunk", "concat", "concatenate", "expand", "expand_dims", "flatten",
    "flip", "identity", "moveaxis", "movedim", "permute", "reshape", "split", "squeeze", "stack", "swapaxes",
    "transpose", "unbind", "unsqueeze", "view",
]  # fmt: skip

Array = Any
Shape = tuple[int, ...]
Axis = int | Sequence[int] | None

# ---------------------------------------------------------------- arguments


def either(axis: Any, dim: Any, default: Any = None) -> Any:
    """The argument that was given: NumPy's `axis` or PyTorch's `dim`."""
    if dim is None:
        return default if axis is None else axis
    if axis is not None:
        raise TypeError("give axis= or dim=, not both: they are the same argument")
    return dim


def one_axis(axis: Any, ndim: int, op: str) -> int:
    """An axis as an int in [0, ndim)."""
    try:
        a = as_int(axis)
    except TypeError:
        raise TypeError(f"{op}: an axis is an int, not {axis!r}") from None
    if not -ndim <= a < ndim:
        raise np.exceptions.AxisError(f"{op}: axis {a} is out of bounds for an array with {ndim} axes")
    return a % ndim


def some_axes(axes: Any, ndim: int, op: str) -> tuple[int, ...]:
    """Axes as distinct ints in [0, ndim), in the order given; None for all of them."""
    if axes is None:
        return tuple(range(ndim))
    given = tuple(axes) if isinstance(axes, list | tuple) else (axes,)
    found = tuple(one_axis(a, ndim, op) for a in given)
    if len(set(found)) != len(found):
        raise ValueError(f"{op}: an axis is named twice in {given}")
    return found


def as_vector(op: Callable[[Array], Any], x: Array) -> Any:
    """An op along the one axis that a 0-d array is taken to have, as in PyTorch; its results are 0-d again."""
    made = op(reshape_(x, shape=(1,)))
    parts = tuple(reshape_(part, shape=()) for part in (made if isinstance(made, tuple) else (made,)))
    return parts if isinstance(made, tuple) else parts[0]


def sizes(shape: Any) -> Shape:
    """A shape from an int or a sequence, as a tuple of ints."""
    return tuple(as_int(n) for n in shape) if isinstance(shape, list | tuple) else (as_int(shape),)


# ---------------------------------------------------------------- one array


@primitive(name="reshape")
def reshape_(x: Array, /, *, shape: Shape, xp: Any) -> Array:
    """The same elements in row-major order under another shape; one entry may be −1."""
    return xp.reshape(x, shape)


reshape_.vjp(x=lambda g, x_shape: reshape_(g, shape=x_shape))
reshape_.moves(
    lambda rows, x_shape, shape: (
        None if rows is None or not x_shape or tuple(shape[-1:]) != x_shape[-1:] else reshape_(rows, shape=shape[:-1])
    )
)


def reshape(x: Array, shape: Any) -> Array:
    """The same elements in row-major order under another shape; one entry may be −1, and is worked out."""
    return reshape_(x, shape=sizes(shape))


view = reshape


@primitive
def identity(x: Array, /, *, xp: Any) -> Array:
    """`x` itself, as a new node of the graph."""
    return x


identity.vjp(x=lambda g: g)


@primitive(name="broadcast_to")
def broadcast_to_(x: Array, /, *, shape: Shape, xp: Any) -> Array:
    """`x` repeated along new leading axes and along axes of length 1, to the given shape; a view where possible."""
    return xp.broadcast_to(x, shape)


# The engine sums the cotangent over whatever was broadcast.
broadcast_to_.vjp(x=lambda g: g)


def broadcast_to(x: Array, shape: Any) -> Array:
    """`x` repeated along new leading axes and along axes of length 1, to the given shape."""
    return broadcast_to_(x, shape=sizes(shape))


def expand(x: Array, shape: Any) -> Array:
    """As `broadcast_to`, with −1 for a length that stays as it is (PyTorch's `expand`)."""
    wanted = sizes(shape)
    extra = len(wanted) - x.ndim
    if extra < 0 or -1 in wanted[:extra]:
        raise ValueError(
            f"expand: {wanted} does not extend the shape {tuple(x.shape)}; -1 stands for existing axes only"
        )
    return broadcast_to_(x, shape=tuple(x.shape[i - extra] if n == -1 else n for i, n in enumerate(wanted)))


def broadcast_tensors(*tensors: Array) -> tuple[Array, ...]:
    """All tensors expanded to their common broadcast shape."""
    shape = np.broadcast_shapes(*(tuple(t.shape) for t in tensors))
    return tuple(broadcast_to_(t, shape=shape) for t in tensors)


@primitive(name="permute")
def permute_(x: Array, /, *, axes: tuple[int, ...], xp: Any) -> Array:
    """Axes in another order: axis i of the result is axis axes[i] of x."""
    return xp.permute_dims(x, axes)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    n = len(axes)
    order = [0] * n
    for i, a in enumerate(axes):
        order[a % n] = i
    return tuple(order)


permute_.vjp(x=lambda g, axes: permute_(g, axes=_inverse(axes)))
permute_.moves(lambda rows, axes: None if rows is None or axes[-1] != len(axes) - 1 else permute_(rows, axes=axes[:-1]))


def permute(x: Array, axes: Any = None, *, dims: Any = None) -> Array:
    """Axes in another order: axis i of the result is axis axes[i] of x."""
    wanted = some_axes(either(axes, dims), x.ndim, "permute")
    if len(wanted) != x.ndim:
        raise ValueError(f"permute: {wanted} does not name all {x.ndim} axes of an array of shape {tuple(x.shape)}")
    return permute_(x, axes=wanted)


def transpose(x: Array, *axes: Any) -> Array:
    """Axes reordered: `transpose(x)` reverses them, `transpose(x, i, j)` swaps two, `transpose(x, (2, 0, 1))` permutes.

    Two ints always mean PyTorch's swap; for NumPy's meaning give a tuple.
    """
    if not axes or axes == (None,):
        return permute_(x, axes=tuple(reversed(range(x.ndim))))
    if len(axes) == 2:
        return swapaxes(x, *axes)
    return permute(x, axes[0] if len(axes) == 1 else axes)


def swapaxes(x: Array, axis1: int, axis2: int) -> Array:
    """`x` with two axes exchanged; a 0-d array is left as it is."""
    i, j = one_axis(axis1, x.ndim or 1, "swapaxes"), one_axis(axis2, x.ndim or 1, "swapaxes")
    if not x.ndim:
        return identity(x)
    order = list(range(x.ndim))
    order[i], order[j] = j, i
    return permute_(x, axes=tuple(order))


def moveaxis(x: Array, source: Axis, destination: Axis) -> Array:
    """`x` with the axes `source` moved to the places `destination`; the others keep their order."""
    old, new = some_axes(source, x.ndim, "moveaxis"), some_axes(destination, x.ndim, "moveaxis")
    if len(old) != len(new):
        raise ValueError(f"moveaxis: {len(old)} axes to move to {len(new)} places")
    order = [a for a in range(x.ndim) if a not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return permute_(x, axes=tuple(order))


movedim = moveaxis


def squeeze(x: Array, axis: Axis = None, *, dim: Axis = None) -> Array:
    """`x` without axes of length 1: all of them, or those among the ones named; others are left, as in PyTorch."""
    wanted = either(axis, dim)
    axes = some_axes(wanted, x.ndim or (wanted is not None), "squeeze")
    return reshape_(x, shape=tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in axes))


def unsqueeze(x: Array, axis: Axis = None, *, dim: Axis = None) -> Array:
    """`x` with new axes of length 1 at the given places of the result."""
    wanted = either(axis, dim)
    if wanted is None:
        raise TypeError("unsqueeze needs an axis")
    count = len(wanted) if isinstance(wanted, list | tuple) else 1
    axes = some_axes(wanted, x.ndim + count, "unsqueeze")
    old = iter(x.shape)
    return reshape_(x, shape=tuple(1 if i in axes else next(old) for i in range(x.ndim + count)))


expand_dims = unsqueeze


def flatten(x: Array, start_dim: int = 0, end_dim: int = -1) -> Array:
    """The axes start_dim … end_dim, both included, merged into one."""
    if x.ndim == 0:
        return reshape_(x, shape=(1,))
    first, last = one_axis(start_dim, x.ndim, "flatten"), one_axis(end_dim, x.ndim, "flatten")
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = tuple(x.shape)
    return reshape_(x, shape=(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@primitive(name="flip")
def flip_(x: Array, /, *, axes: tuple[int, ...], xp: Any) -> Array:
    """`x` reversed along the axes."""
    return xp.flip(x, axis=axes)


flip_.vjp(x=lambda g, axes: flip_(g, axes=axes))
flip_.moves(lambda rows, x_shape, axes: None if rows is None or len(x_shape) - 1 in axes else flip_(rows, axes=axes))


def flip(x: Array, axis: Axis = None, *, dims: Axis = None, dim: Axis = None) -> Array:
    """`x` reversed along one, some or all axes."""
    return flip_(x, axes=some_axes(either(either(axis, dims), dim), x.ndim, "flip"))


# ---------------------------------------------------------------- several arrays


@primitive(name="concatenate", promote=True)
def concatenate_(*xs: Array, axis: int, xp: Any) -> Array:
    """Arrays one after the other along an axis; their other axes agree."""
    return xp.concat(xs, axis=axis)


@primitive(name="split", outputs=0)
def split_(x: Array, /, *, sizes: tuple[int, ...], axis: int, xp: Any) -> tuple[Array, ...]:
    """`x` cut along an axis into pieces of the given sizes."""
    head = (slice(None),) * axis
    pieces, start = [], 0
    for size in sizes:
        pieces.append(x[(*head, slice(start, start + size), ...)])
        start += size
    return tuple(pieces)


def _concatenate_rule(g: Array, xs_shape: Any, axis: int, need: tuple[bool, ...]) -> tuple[Array, ...]:
    if len(need) == 1:
        return (g,)
    return tuple(split_(g, sizes=tuple(shape[axis] for shape in xs_shape), axis=axis))


concatenate_.vjp(_concatenate_rule)
split_.vjp(x=lambda g, axis: concatenate_(*g, axis=axis))


@primitive(name="stack", promote=True)
def stack_(*xs: Array, axis: int, xp: Any) -> Array:
    """Arrays of one shape side by side along a new axis."""
    return xp.stack(xs, axis=axis)


@primitive(name="unbind", outputs=0)
def unbind_(x: Array, /, *, axis: int, xp: Any) -> tuple[Array, ...]:
    """The slices of x along an axis, which they no longer have."""
    return tuple(xp.unstack(x, axis=axis))


stack_.vjp(lambda g, axis, need: tuple(unbind_(g, axis=axis)))
unbind_.vjp(x=lambda g, axis: stack_(*g, axis=axis))


def _several(tensors: tuple[Any, ...], axis: Any, dim: Any, op: str) -> tuple[tuple[Any, ...], Any]:
    """Tensors given one by one or as a sequence, which an axis may follow."""
    if tensors and isinstance(tensors[0], list | tuple):
        if len(tensors) == 2:
            axis = either(axis, tensors[1])
        elif len(tensors) > 2:
            raise TypeError(f"{op} takes one sequence of tensors and an axis")
        tensors = tuple(tensors[0])
    if not tensors:
        raise ValueError(f"{op} needs at least one tensor")
    return tensors, either(axis, dim, 0)


def _ndim(x: Any) -> int:
    return len(x.shape) if hasattr(x, "shape") else 1


def concatenate(*tensors: Any, axis: int | None = None, dim: int | None = None) -> Any:
    """Tensors one after the other along an existing axis, the first by default.

    They are given as one sequence, `concatenate([x, y], axis=1)`, or one by one.
    """
    xs, wanted = _several(tensors, axis, dim, "concatenate")
    return concatenate_(*xs, axis=one_axis(wanted, _ndim(xs[0]), "concatenate"))


cat = concat = concatenate


def stack(*tensors: Any, axis: int | None = None, dim: int | None = None) -> Any:
    """Tensors of one shape side by side along a new axis of the result, the first by default."""
    xs, wanted = _several(tensors, axis, dim, "stack")
    return stack_(*xs, axis=one_axis(wanted, _ndim(xs[0]) + 1, "stack"))


def unbind(x: Array, axis: int | None = None, *, dim: int | None = None) -> tuple[Array, ...]:
    """The slices of x along an axis, the first by default: the inverse of `stack`."""
    made: tuple[Array, ...] = unbind_(x, axis=one_axis(either(axis, dim, 0), x.ndim, "unbind"))
    return made


def split(x: Array, sections: Any, axis: int | None = None, *, dim: int | None = None) -> tuple[Array, ...]:
    """`x` cut into pieces along an axis, the first by default.

    With `axis` (or neither), `sections` means what it means in NumPy: the number of equal pieces, or the indices to
    cut at. With `dim`, what it means in PyTorch: the size of every piece (the last may be smaller), or all sizes.

    >>> import pullback as pb
    >>> x = pb.arange(6)
    >>> [p.tolist() for p in pb.split(x, 2)], [p.tolist() for p in pb.split(x, 2, dim=0)]
    ([[0, 1, 2], [3, 4, 5]], [[0, 1], [2, 3], [4, 5]])
    """
    a = one_axis(either(axis, dim, 0), x.ndim, "split")
    n = x.shape[a]
    if isinstance(sections, list | tuple):
        given = tuple(as_int(s) for s in sections)
        if dim is not None:
            if sum(given) != n or min(given, default=0) < 0:
                raise ValueError(f"split: the sizes {given} do not sum to {n}, the length of axis {a}")
            pieces = given
        else:
            cuts = [min(max(c + n if c < 0 else c, 0), n) for c in given]
            pieces = tuple(max(stop - start, 0) for start, stop in zip([0, *cuts], [*cuts, n], strict=True))
            if cuts != sorted(cuts):
                raise ValueError(f"split: the indices {given} are not in ascending order")
    else:
        count = as_int(sections)
        if count <= 0:
            raise ValueError(f"split: sections must be positive, not {count}")
        if dim is not None:
            pieces = _chunks(n, count)
        elif n % count:
            raise ValueError(f"split: axis {a} has length {n}, which is not a multiple of {count}; see also chunk")
        else:
            pieces = (n // count,) * count
    return tuple(split_(x, sizes=pieces, axis=a))


def _chunks(n: int, size: int) -> tuple[int, ...]:
    """Lengths of pieces of one size that make up n; the last may be smaller. There is always one."""
    full, rest = divmod(n, size)
    return (size,) * full + ((rest,) if rest or not n else ())


def chunk(x: Array, chunks: int, axis: int | None = None, *, dim: int | None = None) -> tuple[Array, ...]:
    """`x` cut into at most `chunks` pieces of equal size along an axis; the last may be smaller (PyTorch's `chunk`)."""
    a = one_axis(either(axis, dim, 0), x.ndim, "chunk")
    if chunks <= 0:
        raise ValueError(f"chunk: chunks must be positive, not {chunks}")
    n = x.shape[a]
    pieces = _chunks(n, -(-n // chunks)) if n else (0,) * chunks
    return tuple(split_(x, sizes=pieces, axis=a))
