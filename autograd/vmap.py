"""`vmap`: a function of one example becomes a function of many, computed all at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from . import tree
from .batching.arrays import Level
from .batching.boundary import enter, leave
from .ops.slicing import getitem_
from .state import state
from .tensor import Tensor

__all__ = ["vmap"]

_RANDOMNESS = ("error", "different", "same")
_numbers = count(1)


def vmap(
    fn: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0, *, axis_size: int | None = None,
    randomness: str = "error",
) -> Callable[..., Any]:  # fmt: skip
    """A function that maps `fn` over an axis of its arguments, for all examples at once: JAX's `vmap`.

    The result of `vmap(fn)(xs)` is that of `stack([fn(x) for x in xs])`, but every op runs once on all examples, by its
    batching rule. It can be nested, and combined with `grad`, `vjp`, `jvp`, `jacobian` and `hessian` in any order:
    `vmap(grad(loss), in_axes=(None, 0, 0))(weights, xs, ys)` are per-sample gradients.

    Parameters
    ----------
    fn : a function of tensors, also in dicts, lists and (named) tuples, that returns the same. Inside it a tensor has
        the shape of one example, and its values cannot be looked at (`if`, `item()`): choose with `pb.where`.
    in_axes : the axis of each argument along which the examples stand; None for an argument that is the same for all.
        One entry for all arguments, or a tuple with an entry for each; an entry may be a container like its argument.
        Keyword arguments are mapped over their first axis.
    out_axes : where the axis of the examples goes in the result, or in each part of it, in the same form; None for a
        part that is the same for all.
    axis_size : the number of examples, where no argument is mapped.
    randomness : what functions that draw from a generator do inside: "error" raises (the default); "different" draws
        for each example, with as many keys from the generator; "same" gives all examples the same numbers. Random ops
        that are handed a key are functions of it like others: mapped keys give different numbers, one key the same.

    Raises
    ------
    ValueError : the mapped axes differ in length; an axis is out of range; `in_axes` or `out_axes` do not fit what they
        stand for; a result under `out_axes=None` differs between examples.
    BackendError : `fn` looks at values.

    Notes
    -----
    Ops without a batching rule for a call run once for each example; such calls are counted in
    `backend.fallbacks["vmap:<op>"]`, and `PULLBACK_FALLBACK=warn` or `error` makes them known. `backward()` inside adds
    the gradients of all examples to the `.grad` of a tensor from outside.

    >>> import pullback as pb
    >>> x = pb.Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> pb.vmap(pb.dot)(x, x).tolist()
    [5.0, 25.0]
    >>> pb.vmap(pb.grad(lambda w, x: (w * x).sum() ** 2), in_axes=(None, 0))(pb.Tensor([1.0, 1.0]), x).tolist()
    [[6.0, 12.0], [42.0, 56.0]]
    """
    if randomness not in _RANDOMNESS:
        raise ValueError(f"vmap: randomness must be one of {', '.join(_RANDOMNESS)}, not {randomness!r}")

    @functools.wraps(fn)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        if isinstance(in_axes, list | tuple) and len(in_axes) != len(args):
            raise ValueError(f"vmap: in_axes has {len(in_axes)} entries for {len(args)} positional argument(s)")
        axes = tree.spread(tuple(in_axes) if isinstance(in_axes, list) else in_axes, args, "vmap: in_axes")
        axes += [0] * sum(1 for _ in tree.leaves(kwargs))
        given = [*tree.leaves(args, "args"), *tree.leaves(kwargs, "kwargs")]
        inputs = [_input(path, leaf, axis) for (path, leaf), axis in zip(given, axes, strict=True)]
        size = _size([path for path, _ in given], inputs, axis_size)
        level = Level(next(_numbers), size, randomness)
        inner = iter([x if axis is None else enter(x, level, axis) for x, axis in inputs])
        before, state.now.levels = state.now.levels, (*state.now.levels, level)
        try:
            args, kwargs = tree.rebuilt(args, inner), tree.rebuilt(kwargs, inner)
            result = fn(*args, **kwargs)
        finally:
            state.now.levels = before
        axes = tree.spread(out_axes, result, "vmap: out_axes")
        outputs = zip(tree.leaves(result, "result"), axes, strict=True)
        return tree.rebuilt(result, iter([_output(path, leaf, axis, level) for (path, leaf), axis in outputs]))

    return mapped


def _input(path: str, leaf: Any, axis: Any) -> tuple[Any, int | None]:
    """A leaf of the arguments, as a Tensor with a non-negative axis if it is mapped."""
    if axis is None:
        return leaf, None
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise TypeError(f"vmap: in_axes must hold ints and None, not {axis!r} (for {path})")
    if not isinstance(leaf, Tensor):
        if not isinstance(leaf, np.ndarray | np.generic | bool | int | float):
            raise TypeError(f"vmap: {path} is a {type(leaf).__name__}, which cannot be mapped; give it in_axes=None")
        leaf = Tensor(leaf)
    if not -leaf.ndim <= axis < leaf.ndim:
        raise ValueError(
            f"vmap: {path} has shape {leaf.shape} and no axis {axis} to map over; in_axes=None leaves it unmapped"
        )
    return leaf, axis % leaf.ndim


def _size(paths: list[str], inputs: list[tuple[Any, int | None]], axis_size: int | None) -> int:
    """The number of examples, on which all mapped inputs and `axis_size` must agree."""
    lengths: dict[str, int] = {
        path: x.shape[axis] for path, (x, axis) in zip(paths, inputs, strict=True) if axis is not None
    }
    found = {*lengths.values(), *([] if axis_size is None else [axis_size])}
    if len(found) > 1:
        each = ", ".join(f"{path} has {n}" for path, n in lengths.items())
        wanted = "" if axis_size is None else f"; axis_size={axis_size}"
        raise ValueError(f"vmap: the mapped axes differ in length: {each}{wanted}")
    if not found:
        raise ValueError("vmap: no argument is mapped, so the number of examples is unknown; give in_axes or axis_size")
    return found.pop()


def _output(path: str, leaf: Any, axis: Any, level: Level) -> Any:
    """A leaf of the result, with its examples along an axis."""
    x = leaf if isinstance(leaf, Tensor) else Tensor(leaf)
    if axis is None:
        if level in getattr(x._value, "levels", ()):
            raise ValueError(f"vmap: {path} differs between examples; out_axes=None needs what is the same for all")
        return getitem_(leave(x, level, 0), index=(0,)) if level in x.backend.levels else leaf
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise TypeError(f"vmap: out_axes must hold ints and None, not {axis!r} (for {path})")
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise ValueError(f"vmap: {path} has shape {x.shape} for one example, so out_axes cannot be {axis}")
    return leave(x, level, axis % (x.ndim + 1))
