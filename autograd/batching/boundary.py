"""Going into a level of `vmap` and out of it again: the ops whose input and output have different scopes.

Like moving between backends these are recorded, so that gradients cross the boundary. `enter` and `leave` are each
other's transposes, as are `lift` (what is the same for every example comes in) and `lower` (a sum over the examples).
"""

from __future__ import annotations

from typing import Any

from ...backends import Backend, BackendError
from ..graph import recorded
from ..ops.elementwise import multiply
from ..ops.reduce import sum_
from ..ops.shape import broadcast_to_, permute_, reshape_
from ..primitive import Primitive, primitive
from ..state import state
from ..tensor import Tensor
from .arrays import BatchArray, Level
from .backend import Batched, peeled, root_of, scope

Levels = tuple[Level, ...]


def base_of(backend: Backend) -> Backend:
    """The backend underneath a batched one."""
    return backend.base if isinstance(backend, Batched) else backend


def levels_of(backend: Backend) -> Levels:
    """The levels that tensors of a backend are inside of."""
    return backend.levels if isinstance(backend, Batched) else ()


def scope_of(base: Backend, levels: Levels) -> Backend:
    """The backend of tensors inside of these levels."""
    return scope(base, levels) if levels else base


def union(*many: Levels) -> Levels:
    """All these levels, in ascending order."""
    found = {level for levels in many for level in levels}
    return tuple(sorted(found, key=lambda level: level.number))


def _without(levels: Levels, removed: Levels) -> Levels:
    return tuple(level for level in levels if level not in removed)


# ---------------------------------------------------------------- on arrays


def _move(x: BatchArray, source: int, target: int) -> BatchArray:
    if source == target:
        return x
    order = [i for i in range(x.ndim) if i != source]
    order.insert(target, source)
    moved: BatchArray = x.root.compute(permute_, (x,), {"axes": tuple(order)})
    return moved


def _enter(x: BatchArray, level: Level, axis: int) -> BatchArray:
    """An axis of x as that of a level."""
    if x.levels and x.levels[-1].number > level.number:
        inner = _enter(peeled(x), level, axis + 1)
        return BatchArray(inner.value, (*inner.levels, x.levels[-1]), x.root)
    moved = _move(x, axis, 0)
    return BatchArray(moved.value, (*moved.levels, level), x.root)


def _leave(x: BatchArray, level: Level, axis: int) -> BatchArray:
    """The axis of a level as an ordinary one; repeated, if x is the same for every example."""
    if x.levels and x.levels[-1].number > level.number:
        inner = _leave(peeled(x), level, axis + 1)
        return BatchArray(inner.value, (*inner.levels, x.levels[-1]), x.root)
    if x.levels and x.levels[-1] is level:
        return _move(peeled(x), 0, axis)
    shape = x.shape
    column = x.root.compute(reshape_, (x,), {"shape": (*shape[:axis], 1, *shape[axis:])})
    spread: BatchArray = x.root.compute(broadcast_to_, (column,), {"shape": (*shape[:axis], level.size, *shape[axis:])})
    return spread


def _sum_out(x: BatchArray, levels: Levels) -> BatchArray:
    for level in reversed(levels):
        if level in x.levels:
            x = x.root.compute(sum_, (_leave(x, level, 0),), {"axis": (0,), "keepdims": False})
        else:
            x = x.root.compute(multiply, (x, float(level.size)))
    return x


# ---------------------------------------------------------------- on Tensors


@primitive(tensor_rules=True, name="vmap:enter")
def enter_(x: Any, /, *, level: Level, axis: int) -> Any:
    """An axis of x becomes that of a level."""
    return x


@primitive(tensor_rules=True, name="vmap:leave")
def leave_(x: Any, /, *, level: Level, axis: int) -> Any:
    """The axis of a level becomes one of the array."""
    return x


@primitive(tensor_rules=True, name="vmap:lift")
def lift_(x: Any, /, *, levels: Levels) -> Any:
    """What is the same for every example is used inside of levels."""
    return x


@primitive(tensor_rules=True, name="vmap:lower")
def lower_(x: Any, /, *, levels: Levels) -> Any:
    """The sum over all examples of levels."""
    return x


enter_.vjp(x=lambda g, level, axis: leave(g, level, axis))
leave_.vjp(x=lambda g, level, axis: enter(g, level, axis))
lift_.vjp(x=lambda g, levels: lower(g, levels))
lower_.vjp(x=lambda g, levels: lift(g, levels))


def _recorded(prim: Primitive, x: Tensor, array: BatchArray, levels: Levels, params: dict[str, Any]) -> Tensor:
    """A Tensor of the scope of `levels` around an array that one of these ops made of x."""
    base = base_of(x.backend)
    out = Tensor._wrap(array if levels else array.value, scope_of(base, levels))
    if x._node is not None and state.now.grad:
        plan = prim.plan(1)
        assert plan is not None
        out._node = recorded(plan, params, (x._node,), (), array.shape, out.backend)
    return out


def _array(x: Tensor) -> BatchArray:
    value = x._value
    return value if type(value) is BatchArray else root_of(x.backend).wrap(value)


def enter(x: Tensor, level: Level, axis: int) -> Tensor:
    """`x` inside a level: along that axis stand the examples."""
    levels = union(levels_of(x.backend), (level,))
    return _recorded(enter_, x, _enter(_array(x), level, axis), levels, {"level": level, "axis": axis})


def leave(x: Tensor, level: Level, axis: int) -> Tensor:
    """`x` outside of a level, with its examples along that axis."""
    x = lift(x, (level,))
    levels = _without(levels_of(x.backend), (level,))
    return _recorded(leave_, x, _leave(_array(x), level, axis), levels, {"level": level, "axis": axis})


def lift(x: Tensor, levels: Levels) -> Tensor:
    """`x`, which is the same for every example, as a tensor inside of these levels."""
    own = levels_of(x.backend)
    new = _without(levels, own)
    return _recorded(lift_, x, _array(x), union(own, new), {"levels": new}) if new else x


def lower(x: Tensor, levels: Levels) -> Tensor:
    """The sum over the examples of these levels, outside of them."""
    x = lift(x, levels)
    rest = _without(levels_of(x.backend), levels)
    return _recorded(lower_, x, _sum_out(_array(x), levels), rest, {"levels": levels})


# ---------------------------------------------------------------- several scopes at once


def lift_to_running(x: Tensor) -> Tensor:
    """`x` as a tensor inside of every `vmap` call that is running."""
    return lift(x, state.now.levels) if state.now.levels else x


def joined(what: str, first: Backend, second: Backend) -> Backend:
    """The scope of tensors of both backends together.

    Raises
    ------
    BackendError : they do not lie over one backend.
    """
    base = base_of(first)
    if base_of(second) is not base:
        raise BackendError(
            f'{what}: inputs live on the backends {first.name!r} and {second.name!r}; move one with .to("{first.name}")'
        )
    return joined_levels(first, levels_of(second))


def joined_levels(backend: Backend, levels: Levels) -> Backend:
    """The scope of a backend's tensors inside of these levels too."""
    return scope_of(base_of(backend), union(levels_of(backend), levels))


def lifted(args: tuple[Any, ...], backend: Backend) -> tuple[Any, ...]:
    """The arguments with their Tensors inside of all levels of a backend."""
    levels = levels_of(backend)
    return tuple(lift(a, levels) if isinstance(a, Tensor) and a.backend is not backend else a for a in args)
