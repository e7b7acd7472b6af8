"""Functions with a derivative of the user's own, in JAX's form."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from .dtypes import FLOATING
from .primitive import Primitive, primitive
from .state import state
from .tensor import Tensor

__all__ = ["custom_vjp"]


class custom_vjp:  # noqa: N801 (JAX's name; used as a decorator)
    """Decorator: a function whose derivative is given by `f.defvjp(fwd, bwd)`.

    - `fwd(*args) -> (out, residuals)` computes the result, a Tensor or a tuple of Tensors, and whatever `bwd` needs:
      Tensors, also in tuples, lists and dicts, and anything else. It may call `f`, which is then the plain function.
    - `bwd(residuals, g) -> cotangents` gives a tuple with one entry per argument: a Tensor of the argument's shape, or
      None for no gradient (and for arguments that are not floating Tensors). `g` is the result's cotangent, a tuple if
      the result is one.

    Where `bwd` is written with differentiable ops it can be differentiated again, to any order: the residuals are
    connected to the arguments as `fwd` computed them. Gradients flow to arguments only, not to Tensors that the
    functions close over. Without recording, the decorated function itself is called.

    Raises
    ------
    TypeError : no rule was given, or `fwd` or `bwd` returned something else than they should.
    ValueError : a cotangent has another shape than its argument.

    >>> import pullback as pb
    >>> @pb.custom_vjp
    ... def clipped_log(x):
    ...     return pb.log(x)
    >>> clipped_log.defvjp(
    ...     lambda x: (clipped_log(x), x),
    ...     lambda x, g: (g / pb.maximum(x, 0.1),),  # a bounded gradient near 0
    ... )
    >>> x = pb.Tensor([0.01, 2.0], requires_grad=True)
    >>> clipped_log(x).sum().backward()
    >>> x.grad.tolist()
    [10.0, 0.5]
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name = getattr(fn, "__name__", type(fn).__name__)
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None
        self.op = _op(self.name)
        self._forward = threading.local()  # .running: whether this thread is inside `fwd`

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Give the rule. See the class."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any) -> Any:
        """Call the function, recording its rule where a gradient is wanted."""
        if self.fwd is None or self.bwd is None:
            raise TypeError(f"{self.name} has no rule yet; give one with {self.name}.defvjp(fwd, bwd)")
        plain = not state.now.grad or getattr(self._forward, "running", False)
        if plain or not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            return self.fn(*args)
        self._forward.running = True
        try:
            result = self.fwd(*args)
        finally:
            self._forward.running = False
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"{self.name}: fwd must return the pair (out, residuals), not {_kind(result)}")
        out, residuals = result
        outs = list(out) if isinstance(out, tuple) else [out]
        if not outs or not all(isinstance(t, Tensor) for t in outs):
            raise TypeError(f"{self.name}: the result must be a Tensor or a tuple of Tensors, not {_kind(out)}")
        tensors: list[Tensor] = []
        places = _lift(residuals, tensors)
        inputs = [a for a in args if isinstance(a, Tensor)]
        call = _Call(self.name, self.bwd, len(outs), isinstance(out, tuple), args, places)
        # Detached, so that the result's gradient takes the rule given here and not that of the ops in fwd.
        made = self.op(*[t.detach() for t in outs], *inputs, *tensors, call=call)
        return made if isinstance(out, tuple) else made[0]


@functools.cache
def _op(name: str) -> Primitive:
    """The op that records calls of custom functions of that name; what differs between them is in its `_Call`."""
    op: Primitive = primitive(name=f"custom_vjp:{name}", outputs=0, tensor_rules=True)(_select)
    # the functions run under vmap as they are, so what they computed is batched already
    op.batch(lambda batch, *arrays, call: tuple(batch.full(a, i) for i, a in enumerate(arrays[: call.outputs])))
    return op.vjp(_pull)


class _Call:
    """What one call's rule needs to know besides arrays. The op's arrays are: outputs, Tensor arguments, residuals."""

    def __init__(
        self, name: str, bwd: Callable[..., Any], outputs: int, packed: bool, args: tuple[Any, ...], places: Any
    ) -> None:
        self.name, self.bwd, self.outputs, self.packed, self.places = name, bwd, outputs, packed, places
        #: Per argument, its shape and dtype; None for what is not a Tensor.
        self.args = [(a.shape, a.dtype) if isinstance(a, Tensor) else None for a in args]

    def pull(self, g: tuple[Tensor | None, ...], arrays: tuple[Tensor, ...]) -> list[Tensor | None]:
        """The cotangents that `bwd` gives for the Tensor arguments, checked."""
        count = sum(a is not None for a in self.args)
        residuals = _place(self.places, arrays[self.outputs + count :])
        result = self.bwd(residuals, g if self.packed else g[0])
        if not isinstance(result, tuple):
            raise TypeError(f"{self.name}: bwd must return a tuple with one entry per argument, not {_kind(result)}")
        if len(result) != len(self.args):
            raise TypeError(f"{self.name}: bwd gave {len(result)} cotangents for {len(self.args)} argument(s)")
        checked = [self._check(i, c) for i, c in enumerate(result)]
        return [c for c, a in zip(checked, self.args, strict=True) if a is not None]

    def _check(self, i: int, c: Any) -> Tensor | None:
        arg = self.args[i]
        if c is None:
            return None
        if not isinstance(c, Tensor):
            raise TypeError(f"{self.name}: bwd's cotangent {i} is {_kind(c)}; it must be a Tensor or None")
        if arg is None or arg[1] not in FLOATING:
            return None
        shape, dtype = arg
        if c.shape != shape:
            raise ValueError(f"{self.name}: bwd's cotangent {i} has shape {c.shape}, the argument {shape}")
        return c.astype(dtype)


def _select(*arrays: Any, call: _Call) -> tuple[Any, ...]:
    """The outputs, which were computed already; the other inputs are there for the rule."""
    return arrays[: call.outputs]


def _pull(g: Any, arrays: Any, call: _Call) -> tuple[Any, ...]:
    cotangents = call.pull(g, arrays)
    rest = len(arrays) - call.outputs - len(cotangents)
    return (*[None] * call.outputs, *cotangents, *[None] * rest)


class _Slot(int):
    """Where a Tensor stood in the residuals, as its number among them."""


def _lift(value: Any, tensors: list[Tensor]) -> Any:
    """Residuals with slots for their Tensors, which are appended to `tensors`."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return _Slot(len(tensors) - 1)
    if isinstance(value, dict):
        return {name: _lift(item, tensors) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_lift(item, tensors) for item in value)
    return value


def _place(value: Any, tensors: tuple[Tensor, ...]) -> Any:
    """Residuals with their Tensors put back."""
    if isinstance(value, _Slot):
        return tensors[value]
    if isinstance(value, dict):
        return {name: _place(item, tensors) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_place(item, tensors) for item in value)
    return value


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"a {type(value).__name__}"
