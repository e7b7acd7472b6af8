"""The batched backend: a base backend whose kernels compute on `BatchArray`s, one level at a time.

A Tensor inside `vmap` is an ordinary Tensor on such a backend: eager computation, the graph, the backward sweep and
every transform work on it as they are. A kernel here looks for the innermost level among its arrays, moves it out of
the way (its axis becomes the first of an ordinary array), and applies the op's batching rule; the ops of the rule find
the next level. Without levels the base backend's own kernel runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ...backends import Backend, BackendError
from ..bare import bare
from ..ops.creation import full_like_
from ..ops.shape import broadcast_to_, reshape_, stack_
from ..ops.slicing import getitem_
from ..primitive import Primitive, primitives
from ..state import state
from .arrays import BatchArray, Level


class Batched(Backend):
    """`base` with arrays that may differ between the examples of some levels.

    There is one for every set of levels that Tensors are inside of, so that tensors of two scopes are told apart as
    those of two backends are; all of one base share the table of kernels.
    """

    array_type = BatchArray

    def __init__(self, base: Backend, levels: tuple[Level, ...], root: Batched | None) -> None:
        super().__init__(_Constants(base, self if root is None else root))  # type: ignore[arg-type]
        self.base, self.levels = base, levels
        self.name, self.host, self.float_dtypes = base.name, base.host, base.float_dtypes
        self.root = self if root is None else root
        if root is None:
            self.apply, self.base_apply = bare(self), bare(base)
            self.scopes: WeakValueDictionary[tuple[Level, ...], Batched] = WeakValueDictionary()
        else:
            self._table = root._table

    # ---------------------------------------------------------------- the backend protocol

    def asarray(self, data: Any, dtype: np.dtype[Any] | None = None) -> Any:
        """Host data, or an array of the base backend, the same for every example."""
        return data if type(data) is BatchArray else BatchArray(self.base.asarray(data, dtype), (), self.root)

    def to_numpy(self, array: Any) -> np.ndarray[Any, Any]:
        """The values of an array that is the same for every example; of another they cannot be asked for."""
        if array.levels:
            raise BackendError(
                "a tensor inside vmap stands for all examples at once, so its values cannot be looked at: not by "
                "numpy(), item() or tolist(), nor by `if` or bool(). Choose between values with pb.where, and return "
                "from the function what you want to see"
            )
        return self.base.to_numpy(array.value)

    def every_value(self, array: Any) -> np.ndarray[Any, Any]:
        """The values of all examples, for checks."""
        return self.base.to_numpy(array.value)

    def text(self, array: Any, prefix: str) -> str:
        """What stands in a Tensor's repr for the values."""
        return repr(array) if array.levels else self.base.text(array.value, prefix)

    def dtype_of(self, array: Any) -> np.dtype[Any]:
        """The dtype as a NumPy dtype."""
        return self.base.dtype_of(array.value)

    def dtype_name(self, array: Any) -> str:
        """The dtype's name."""
        return self.base.dtype_name(array.value if type(array) is BatchArray else array)

    def native_dtype(self, name: str) -> Any:
        """The base backend's dtype object."""
        return self.base.native_dtype(name)

    @property
    def device(self) -> str:
        """Where the base backend's arrays live."""
        return self.base.device

    def kernel(self, op: str, forward: Callable[..., Any], takes_xp: bool = True) -> Callable[..., Any]:
        """The function that computes an op on batched arrays, made once."""
        found = self._table.get(op)
        if found is None:
            found = self._table[op] = functools.partial(self.root._call, primitives[op])
        return found

    def __repr__(self) -> str:
        return f"<backend {self.name} inside vmap over {' × '.join(str(level.size) for level in self.levels)} examples>"

    def __reduce__(self) -> Any:
        raise TypeError("a tensor inside vmap cannot be pickled or copied; return it from the function")

    # ---------------------------------------------------------------- computing

    def compute(self, prim: Primitive, args: tuple[Any, ...], params: dict[str, Any] | None = None) -> Any:
        """An op on arrays, with all its static parameters."""
        return self.kernel(prim.key, prim.forward, prim.takes_xp)(*args, **(params or {}))

    def _call(self, prim: Primitive, /, *args: Any, **params: Any) -> Any:
        top: Level | None = None
        for a in args:
            if type(a) is BatchArray and a.levels and (top is None or a.levels[-1].number > top.number):
                top = a.levels[-1]
        if top is not None:
            return self._batch(prim, top, args, params)
        base = self.base
        kernel = base._table.get(prim.key) or base.kernel(prim.key, prim.forward, prim.takes_xp)
        out = kernel(*[a.value if type(a) is BatchArray else a for a in args], **params)
        return tuple(map(self.wrap, out)) if type(out) is tuple else self.wrap(out)

    def wrap(self, value: Any) -> BatchArray:
        """An array of the base backend as one that is the same for every example."""
        if type(value) is BatchArray:
            return value
        return BatchArray(value if type(value) is self.base.array_type else self.base.asarray(value), (), self)

    def _batch(self, prim: Primitive, top: Level, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Apply an op's batching rule for the level `top`; other levels, if any, wait in the arrays."""
        wrapped = [a if type(a) is BatchArray or not hasattr(a, "shape") else self.wrap(a) for a in args]
        mapped = tuple(type(a) is BatchArray and top in a.levels for a in wrapped)
        inner = [peeled(a) if m else a for a, m in zip(wrapped, mapped, strict=True)]
        alone = not any(type(a) is BatchArray and a.levels for a in inner)
        if alone:  # nothing but this level: the rule may have the base backend's arrays themselves
            inner = [a.value if type(a) is BatchArray else a for a in inner]
        batch = Batch(prim, top.size, mapped, self.base)
        before, state.now.apply = state.now.apply, self.base_apply if alone else self.apply
        try:
            out = batch.rule()(batch, *inner, **params)
        finally:
            state.now.apply = before
        if type(out) is tuple:
            return tuple(self._labelled(v, top, prim) for v in out)
        return self._labelled(out, top, prim)

    def _labelled(self, value: Any, top: Level, prim: Primitive) -> BatchArray:
        array = self.wrap(value)
        if not array.shape or array.shape[0] != top.size:
            raise ValueError(
                f"the batching rule of {prim.name} gave an array of shape {array.shape}; its first axis must be the "
                f"batch axis, of length {top.size}"
            )
        return BatchArray(array.value, (*array.levels, top), self)


def peeled(array: BatchArray) -> BatchArray:
    """The same array with the axis of its last level as an ordinary first axis."""
    return BatchArray(array.value, array.levels[:-1], array.root)


@functools.cache
def root_of(base: Backend) -> Batched:
    """The batched backend over `base`, inside of no level."""
    return Batched(base, (), None)


def scope(base: Backend, levels: tuple[Level, ...]) -> Batched:
    """The batched backend over `base` inside of these levels, in ascending order: always the same one."""
    root = root_of(base)
    found = root.scopes.get(levels)
    if found is None:
        found = root.scopes[levels] = Batched(base, levels, root)
    return found


class Batch:
    """What a batching rule is told.

    Attributes
    ----------
    prim : the op. size : the number of examples. mapped : per input, whether the examples differ in it.
    """

    __slots__ = ("base", "mapped", "prim", "size")

    def __init__(self, prim: Primitive, size: int, mapped: tuple[bool, ...], base: Backend) -> None:
        self.prim, self.size, self.mapped, self.base = prim, size, mapped, base

    def full(self, x: Any, i: int) -> Any:
        """Input i with the batch axis in front, also if it is the same for every example."""
        return x if self.mapped[i] else broadcast_to_(x, shape=(self.size, *x.shape))

    def rule(self) -> Callable[..., Any]:
        """The op's rule, or what stands in for one."""
        return self.prim.batching or (aligned if self.prim.elementwise else one_by_one)


def give(rule: Callable[..., Any], *names: str) -> None:
    """Make this the batching rule of the ops of those names."""
    for name in names:
        primitives[name].batch(rule)


def aligned(batch: Batch, *args: Any, **params: Any) -> Any:
    """The rule of elementwise ops: as many axes behind the batch axis for all, and the op itself."""
    axes = max(len(a.shape) - m for a, m in zip(args, batch.mapped, strict=True) if hasattr(a, "shape"))
    return batch.prim(*(stretched(a, axes) if m else a for a, m in zip(args, batch.mapped, strict=True)), **params)


def stretched(x: Any, axes: int) -> Any:
    """A mapped array with axes of length 1 put behind the batch axis, so that so many follow it."""
    missing = axes + 1 - len(x.shape)
    return x if missing <= 0 else reshape_(x, shape=(x.shape[0], *[1] * missing, *x.shape[1:]))


def one_by_one(batch: Batch, *args: Any, **params: Any) -> Any:
    """What is done without a rule: the op for each example, counted among the backend's fallbacks."""
    batch.base.count_fallback(
        f"vmap:{batch.prim.name}", args, "there is no batching rule for this call, so it runs once for each example"
    )
    made = []
    for b in range(max(batch.size, 1)):
        own = [example(a, b) if m else a for a, m in zip(args, batch.mapped, strict=True)]
        made.append(batch.prim(*own, **params))
    if type(made[0]) is tuple:
        return tuple(_together(batch, [out[k] for out in made]) for k in range(len(made[0])))
    return _together(batch, made)


def example(x: Any, b: int) -> Any:
    """The array of example b; zeros where there are no examples."""
    if not x.shape[0]:
        return full_like_(x, value=0.0, dtype=None, shape=tuple(x.shape[1:]))
    return getitem_(x, index=(b,))


def _together(batch: Batch, parts: list[Any]) -> Any:
    shapes = {tuple(part.shape) for part in parts}
    if len(shapes) != 1:
        raise ValueError(
            f"vmap needs results of one shape, but those of {batch.prim.name} depend on the values: {sorted(shapes)}"
        )
    made = stack_(*parts, axis=0)
    return made if batch.size else getitem_(made, index=((0, 0, 1),))


class _Constants:
    """The few functions of a namespace that the engine itself calls, on batched arrays."""

    def __init__(self, base: Backend, root: Batched) -> None:
        self._base, self._root = base, root

    def zeros(self, shape: Any, dtype: Any = None) -> BatchArray:
        return self._root.wrap(self._base.xp.zeros(shape, dtype=dtype))

    def full(self, shape: Any, value: Any, dtype: Any = None) -> BatchArray:
        return self._root.wrap(self._base.xp.full(shape, value, dtype=dtype))

    def broadcast_to(self, x: BatchArray, shape: Any) -> Any:
        return self._root.compute(broadcast_to_, (x,), {"shape": tuple(shape)})

    def zeros_like(self, x: BatchArray) -> BatchArray:
        return self.zeros(x.shape, dtype=x.dtype)

    def __getattr__(self, name: str) -> Any:
        """Functions of one array that keep its shape (`astype`, `asarray`, `isnan`, …), and `all` and `any`, of all."""
        found = getattr(self._base.xp, name)
        if name not in ("all", "any", "asarray", "astype", "isfinite", "isnan"):
            raise AttributeError(f"batched arrays have no {name} outside of ops")

        def on_values(x: Any, *args: Any, **kwargs: Any) -> Any:
            if type(x) is not BatchArray:
                return self._root.wrap(found(x, *args, **kwargs))
            out = found(x.value, *args, **kwargs)
            return out if name in ("all", "any") else BatchArray(out, x.levels, self._root)

        return on_values
