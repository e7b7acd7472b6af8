"""Recomputing instead of saving: `checkpoint` trades one more forward pass for the memory of its residuals.

The ops of a checkpointed function are recorded as usual, so the graph has its ordinary nodes and everything that works
on graphs works; but what the nodes would save is dropped. When a backward sweep comes to the first of them, the
function is run once more, and its residuals are handed out in the order the nodes were made.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from .graph import GraphError, Leaf, Node, clock
from .ops import random
from .state import enable_grad, interpreter, state
from .tensor import Parameter, Tensor

__all__ = ["checkpoint"]

Apply = Callable[..., Any]


def checkpoint(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Compute fn(*args, **kwargs), but save its inputs only, and compute it again when the backward pass needs it.

    Every order of derivative works, as do closures over parameters, nested checkpoints, and dropout: the default
    generator gives the second run the numbers it gave the first. Each backward pass runs fn once more.

    Parameters
    ----------
    fn : a function of Tensors (also in lists, tuples and dicts) and anything else, that does the same at every call.

    Returns
    -------
    What fn returns.

    Raises
    ------
    GraphError : in backward, if fn recorded other ops the second time, or if a parameter that it used was assigned to.

    Notes
    -----
    Chen et al., *Training deep nets with sublinear memory cost*, 2016: n layers in √n checkpointed blocks need memory
    for about 2√n of them.

    >>> import pullback as pb
    >>> x = pb.Tensor([0.5, 1.0], requires_grad=True)
    >>> runs = []
    >>> def f(x):
    ...     runs.append(1)
    ...     return (x.exp().tanh() * x).sum()
    >>> y = pb.checkpoint(f, x)
    >>> y.backward()
    >>> len(runs)
    2
    """
    if not state.now.grad:
        return fn(*args, **kwargs)
    region = _Region(fn, args, kwargs)
    watcher = _Watcher()
    with interpreter(watcher):
        out = fn(*args, **kwargs)
    region.close(watcher.nodes)
    return out


class _Watcher:
    """An interpreter that lists every node that is made. Of several nested ones, all list it."""

    def __init__(self) -> None:
        outer = state.now.apply
        self.outer: _Watcher | None = outer if isinstance(outer, _Watcher) else None
        self.base: Apply = self.outer.base if self.outer is not None else outer
        self.nodes: list[Node] = []

    def __call__(self, prim: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        out = self.base(prim, args, params)
        for t in out if type(out) is tuple else (out,):
            node = t._node
            if node is not None:
                self.notice(node if prim.outputs == 1 else node.parents[0])
                break  # the outputs of an op share its node
        return out

    def notice(self, node: Node) -> None:
        """List a node just made, here and in the enclosing watchers."""
        watcher: _Watcher | None = self
        while watcher is not None:
            watcher.nodes.append(node)
            watcher = watcher.outer


class _Promise:
    """Stands for a node's residuals until they are needed."""

    __slots__ = ("index", "region")

    def __init__(self, region: _Region, index: int) -> None:
        self.region = region
        self.index = index

    def materialise(self, apply: Apply) -> tuple[Any, ...]:
        """The residuals, recomputed through the interpreter `apply` unless they wait already."""
        saved = self.region.take(self.index, apply)
        while isinstance(saved, _Promise):  # of a checkpoint inside the checkpoint
            saved = saved.materialise(apply)
        kept: tuple[Any, ...] = saved
        return kept


class _Region:
    """One call of a checkpointed function: how to make it again, and the residuals that wait to be used.

    Attributes
    ----------
    names : the ops that were recorded, in order. leaves : the leaves they used, whose values must not have changed.
    """

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.fn = fn
        self.args = _detached(args)
        self.kwargs = _detached(kwargs)
        self.random = random.default_generator.get_state()
        self.began = clock()
        self.names: list[str] = []
        self.leaves: set[Leaf] = set()
        self.waiting: dict[int, Any] = {}

    def close(self, nodes: list[Node]) -> None:
        """Drop what the nodes of the call saved, once it is complete."""
        self.names = [node.name for node in nodes]
        for i, node in enumerate(nodes):
            self.leaves.update(p for p in node.parents if isinstance(p, Leaf))
            if node.saved is not None:  # else a backward pass within the function has used it up
                node.saved = _Promise(self, i)

    def take(self, index: int, apply: Apply) -> Any:
        """The residuals of node number `index`, which leave the region with this."""
        if index not in self.waiting:
            self.waiting = dict(enumerate(self.recompute(apply)))
        return self.waiting.pop(index)

    def recompute(self, apply: Apply) -> list[Any]:
        """Run the function again; what its nodes save."""
        for leaf in self.leaves:
            if leaf.assigned > self.began:
                raise GraphError(
                    f"checkpoint: a parameter of shape {leaf.shape} was assigned to (by an optimiser step or .assign) "
                    "before the function could be recomputed. Call backward() before changing parameters."
                )
        generator = random.default_generator
        now = generator.get_state()
        generator.set_state(self.random)
        try:
            # The nodes of this run are nobody's but ours: enclosing checkpoints need not list them.
            with enable_grad(), interpreter(apply.base if isinstance(apply, _Watcher) else apply):
                watcher = _Watcher()
                with interpreter(watcher):
                    self.fn(*self.args, **self.kwargs)
        finally:
            generator.set_state(now)
        again = [node.name for node in watcher.nodes]
        if again != self.names:
            pairs = enumerate(zip_longest(self.names, again, fillvalue="none"))
            i, (before, after) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
            raise GraphError(
                f"checkpoint: when it was recomputed, the function recorded another graph (op number {i} was {before}, "
                f"now {after}); it must do the same at every call, whatever mode, state or data it depends on"
            )
        return [node.saved for node in watcher.nodes]


def _detached(value: Any) -> Any:
    """A value with its Tensors cut off from the graph, yet recorded where they were. Parameters stay themselves."""
    if isinstance(value, Tensor):
        if isinstance(value, Parameter):
            return value
        t = Tensor._wrap(value._value, value.backend)
        return t.requires_grad_() if value._node is not None else t
    if isinstance(value, dict):
        return {name: _detached(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_detached(item) for item in value)
    return value
