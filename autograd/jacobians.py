"""Whole matrices of derivatives: one sweep for many rows, as `vmap` over the cotangents or tangents of one graph."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import ops
from .state import state
from .tensor import Tensor
from .transforms import Argnums, Function, grad, gradients, pushforward, traced
from .vmap import vmap

__all__ = ["hessian", "jacfwd", "jacobian", "jacrev"]


def jacrev(fn: Function, argnums: Argnums = 0, *, chunk_size: int | None = None) -> Function:
    """fn ↦ its Jacobian, of shape fn(x).shape + x.shape, by reverse mode: best where the result is smaller than x.

    Parameters
    ----------
    argnums : which arguments to differentiate by, each a Tensor; a tuple gives a tuple of Jacobians.
    chunk_size : how many elements of the result to pull back in one backward sweep, all by default. Fewer need less
        memory: what one sweep needs is multiplied by it. With 1 nothing runs under `vmap`, so that hooks and rules of
        your own may look at values.

    >>> import pullback as pb
    >>> pb.jacrev(lambda x: x * x)(pb.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        recording = state.now.grad
        out, inputs = traced(fn, argnums, args, kwargs, "jacrev")
        _one_tensor("jacrev", out, inputs.args)

        def pull(g: Tensor) -> Any:
            return gradients(out, inputs, g, create_graph=recording, retain_graph=True)

        blocks = _rows(pull, out, len(inputs), chunk_size)
        made = tuple(block.reshape(out.shape + x.shape) for block, x in zip(blocks, inputs, strict=True))
        return made[0] if isinstance(argnums, int) else made

    return wrapped


jacobian = jacrev


def jacfwd(fn: Function, argnums: Argnums = 0, *, chunk_size: int | None = None) -> Function:
    """fn ↦ its Jacobian, of shape fn(x).shape + x.shape, column by column: best where x is smaller than the result.

    The arguments are those of `jacrev`; `chunk_size` counts elements of x. A column is a `jvp`, all from one graph.

    >>> import pullback as pb
    >>> pb.jacfwd(lambda x: x[0] * x)(pb.tensor([3.0, 2.0])).tolist()
    [[6.0, 0.0], [2.0, 3.0]]
    """

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        recording = state.now.grad
        out, inputs = traced(fn, argnums, args, kwargs, "jacfwd")
        _one_tensor("jacfwd", out, inputs.args)
        push = pushforward([out], inputs)
        made = []
        for k, x in enumerate(inputs):

            def column(t: Tensor, k: int = k) -> Any:
                others = [t if i == k else ops.zeros_like(y.detach()) for i, y in enumerate(inputs)]
                return push(others, create_graph=recording)

            (block,) = _rows(column, x, 1, chunk_size)
            moved = ops.moveaxis(block, 0, -1)
            made.append(moved.reshape(out.shape + x.shape))
        return made[0] if isinstance(argnums, int) else tuple(made)

    return wrapped


def _one_tensor(name: str, out: Any, args: Sequence[Any]) -> None:
    if not isinstance(out, Tensor):
        raise TypeError(f"{name} needs a function that returns one Tensor, not {type(out).__name__}")
    if any(isinstance(a, dict) for a in args) or any(isinstance(a, list | tuple) and _nested(a) for a in args):
        raise TypeError(f"{name} differentiates by single Tensors; for a container of them use grad or vjp")


def _nested(arg: Any) -> bool:
    return any(isinstance(a, Tensor) for a in arg)


def _rows(linear: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor, count: int, chunk_size: int | None) -> list[Any]:
    """A linear function's results for all unit tensors of x's shape, stacked."""
    n = x.size
    size = n if chunk_size is None else chunk_size
    if size < 1 and n:
        raise ValueError(f"chunk_size must be positive, not {chunk_size}")
    if size == 1 and n:
        units = np.eye(n, dtype=x.dtype).reshape((n, *x.shape))
        rows = [linear(Tensor(unit, backend=x.backend)) for unit in units]
        return [ops.stack([row[k] for row in rows], axis=0) for k in range(count)]
    parts: list[list[Tensor]] = [[] for _ in range(count)]
    for start in range(0, max(n, 1), max(size, 1)):
        stop = min(start + max(size, 1), n)
        basis = np.eye(stop - start, n, start, dtype=x.dtype).reshape((stop - start, *x.shape))
        batched = vmap(linear, randomness="same")(Tensor(basis, backend=x.backend))
        for part, block in zip(parts, batched, strict=True):
            part.append(block)
    return [blocks[0] if len(blocks) == 1 else ops.concatenate(blocks, axis=0) for blocks in parts]


def hessian(fn: Function, argnums: int = 0) -> Function:
    """fn ↦ its Hessian, of shape x.shape + x.shape, for a scalar-valued fn.

    >>> import pullback as pb
    >>> pb.hessian(lambda x: (x**3).sum())(pb.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacrev(grad(fn, argnums), argnums)
