"""Hooks on modules: functions called around a module's forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd.hooks import RemovableHandle
from ..autograd.primitive import primitive
from ..autograd.state import state
from ..autograd.tensor import Tensor

#: kind -> the hooks of that kind, in the order they were registered
KINDS = ("forward_pre", "forward", "backward_pre", "backward")


class _Hook:
    """One registration: the same function may be registered twice, and is then called twice."""

    __slots__ = ("call", "with_kwargs")

    def __init__(self, call: Callable[..., Any], with_kwargs: bool) -> None:
        self.call = call
        self.with_kwargs = with_kwargs


def observed(module: Any) -> bool:
    """Whether somebody expects the module's own `forward` to run: it has hooks, or a `forward` set on the object."""
    return bool(module.__dict__.get("_hooks")) or "forward" in module.__dict__


class Hooks:
    """The hooks of one module, by kind."""

    _assumed = True

    def __init__(self) -> None:
        self.lists: dict[str, list[_Hook]] = {kind: [] for kind in KINDS}

    def add(
        self, kind: str, hook: Callable[..., Any], with_kwargs: bool = False, prepend: bool = False
    ) -> RemovableHandle:
        """Register a hook, before the others of its kind if `prepend`."""
        hooks = self.lists[kind]
        entry = _Hook(hook, with_kwargs)
        hooks.insert(0 if prepend else len(hooks), entry)
        return RemovableHandle(hooks, entry)

    def __bool__(self) -> bool:
        return any(self.lists.values())

    def run(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The module's forward with its hooks around it."""
        for hook in tuple(self.lists["forward_pre"]):
            if hook.with_kwargs:
                changed = hook.call(module, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            else:
                changed = hook.call(module, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        watch = None
        if state.now.grad and (self.lists["backward"] or self.lists["backward_pre"]):
            watch = _Backward(module, self)
            args = watch.inputs(args)
        out = module.forward(*args, **kwargs)
        for hook in tuple(self.lists["forward"]):
            changed = hook.call(module, args, kwargs, out) if hook.with_kwargs else hook.call(module, args, out)
            if changed is not None:
                out = changed
        return out if watch is None else watch.outputs(out)


@primitive(outputs=0, tensor_rules=True)
def watched(*xs: Any, callback: Callable[..., Any]) -> Any:
    """The inputs, unchanged; in backward their cotangents pass through `callback`, all at once."""
    return xs


watched.vjp(lambda g, need, callback: callback(g, need))


class _Backward:
    """One call of a module whose backward is watched: where the two ends of it meet."""

    def __init__(self, module: Any, hooks: Hooks) -> None:
        self.module = module
        self.hooks = hooks
        self.count = 0
        self.recorded = False
        self.grad_output: tuple[Any, ...] = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, with the tensors among them behind a watched op."""
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        self.count = len(places)
        self.recorded = any(args[i].requires_grad for i in places)
        if not self.recorded:
            return args
        passed = list(args)
        for i, x in zip(places, watched(*(args[i] for i in places), callback=self.at_inputs), strict=True):
            passed[i] = x
        return tuple(passed)

    def outputs(self, out: Any) -> Any:
        """The result, with its tensors behind a watched op. Results are a Tensor, or a tuple or list of them."""
        if isinstance(out, Tensor):
            return watched(out, callback=self.at_outputs)[0] if out.requires_grad else out
        if not isinstance(out, tuple | list):
            raise TypeError(
                f"{type(self.module).__name__} has backward hooks and returns a {type(out).__name__}; they need a "
                "Tensor, or a tuple or list of Tensors"
            )
        places = [i for i, a in enumerate(out) if isinstance(a, Tensor)]
        if not any(out[i].requires_grad for i in places):
            return out
        passed = list(out)
        for i, y in zip(places, watched(*(out[i] for i in places), callback=self.at_outputs), strict=True):
            passed[i] = y
        if isinstance(out, tuple) and hasattr(out, "_fields"):
            return type(out)(*passed)
        return type(out)(passed)

    def at_outputs(self, g: tuple[Any, ...], need: tuple[bool, ...]) -> tuple[Any, ...]:
        for hook in tuple(self.hooks.lists["backward_pre"]):
            changed = hook.call(self.module, g)
            if changed is not None:
                g = changed if isinstance(changed, tuple) else (changed,)
        self.grad_output = g
        if not self.recorded:
            self._notify((None,) * self.count)
        return g

    def at_inputs(self, g: tuple[Any, ...], need: tuple[bool, ...]) -> tuple[Any, ...]:
        return self._notify(tuple(c if wanted else None for c, wanted in zip(g, need, strict=True)))

    def _notify(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in tuple(self.hooks.lists["backward"]):
            changed = hook.call(self.module, grad_input, self.grad_output)
            if changed is not None:
                grad_input = changed if isinstance(changed, tuple) else (changed,)
        return grad_input
