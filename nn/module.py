"""Module: a part of a model, which finds its parameters, buffers and submodules by walking its attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

from ..autograd.dtypes import as_dtype
from ..autograd.state import state
from ..autograd.tensor import Parameter, Tensor
from ..backends import Backend, get_backend
from .buffer import Buffer
from .hooks import Hooks, RemovableHandle
from .state import Incompatible, load_state, read_state

_INTERNAL = frozenset({"_hooks", "_normed"})


class Module:
    """Base class of layers and models: assign parameters and submodules as attributes and write `forward`.

    Attributes that are a `Parameter`, a `Buffer` or a `Module`, also inside lists, tuples and dicts, belong to the
    module; nothing needs to be registered, and `super().__init__()` may be left out. Names are PyTorch's: an attribute
    `layers = [Linear(2, 3)]` has the parameters `layers.0.weight` and `layers.0.bias`.

    >>> import pullback as pb
    >>> from pullback import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         self.hidden = nn.Linear(2, 3)
    ...         self.out = nn.Linear(3, 1)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).tanh())
    >>> [name for name, _ in Net().named_parameters()]
    ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    training: bool = True
    _assumed = True  # a compiled step takes what the attributes are for granted, and looks whether they still are that

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        module = super().__new__(cls)
        module.__dict__["training"] = cls.training  # there from the start: the attributes tell when the mode changes
        return module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; subclasses write this."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the hooks and `forward`. An error that arises inside carries a note with the layer's path."""
        hooks = self.__dict__.get("_hooks")
        if state.now.capture is not None:
            state.now.capture.module_called(self)
        try:
            return hooks.run(self, args, kwargs) if hooks else self.forward(*args, **kwargs)
        except Exception as error:
            _note_path(error, self)
            raise

    # ------------------------------------------------------------ attributes

    def _members(self) -> Iterator[tuple[str, Any]]:
        """(name, value) of the parameters, buffers and modules directly in this one, in the order of assignment."""
        for name, value in vars(self).items():
            if name not in _INTERNAL:
                yield from _walk(name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Tensor) and not isinstance(value, Parameter | Buffer):
            before = self.__dict__.get(name)
            if isinstance(before, Parameter):
                raise TypeError(
                    f"{type(self).__name__}.{name} is a Parameter; change its values with .{name}.assign(value), or "
                    f"replace it by another Parameter"
                )
            if isinstance(before, Buffer) and state.now.capture is not None and before.takes(value):
                before.assign(value)  # a compiled step goes on writing into the buffer that it knows
                return
            if isinstance(before, Buffer):
                value = Buffer(value.detach(), persistent=before.persistent)
        object.__setattr__(self, name, value)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Make `tensor` the buffer of that name, as `self.name = Buffer(tensor)` does; None makes the name absent."""
        setattr(self, _checked(name), None if tensor is None else Buffer(tensor, persistent=persistent))

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """The same as assigning the attribute; for code written for PyTorch."""
        setattr(self, _checked(name), param)

    def add_module(self, name: str, module: Module | None) -> None:
        """The same as assigning the attribute; for code written for PyTorch."""
        setattr(self, _checked(name), module)

    register_module = add_module

    # ------------------------------------------------------------ walking

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules directly in this one, each once."""
        seen = set()
        for name, value in self._members():
            if isinstance(value, Module) and value not in seen:
                seen.add(value)
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules directly in this one, each once."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module, whose path is "", and all modules in it, outer ones first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, value in self._members():
            if isinstance(value, Module):
                yield from value.named_modules(memo, join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all modules in it, each once."""
        return (module for _, module in self.named_modules())

    def _tensors(
        self, kind: type[Tensor], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[Tensor] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in module._members():
                if isinstance(value, kind) and not (remove_duplicate and value in seen):
                    seen.add(value)
                    yield join(path, name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of this module and those in it; a shared parameter once, under its first path."""
        return self._tensors(Parameter, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """(path, buffer) of this module and those in it."""
        return self._tensors(Buffer, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as `"layers.3"`; this one for ""."""
        return self._find(target, Module, "module")

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as `"layers.3.weight"`."""
        return self._find(target, Parameter, "parameter")

    def _find(self, target: str, kind: type, what: str) -> Any:
        if kind is Module:
            found = dict(self.named_modules(remove_duplicate=False))
        else:
            found = dict(self._tensors(kind, "", True, False))
        if target not in found:
            names = ", ".join(filter(None, found))
            raise AttributeError(f"{type(self).__name__} has no {what} {target!r}; it has {names}")
        return found[target]

    # ------------------------------------------------------------ modes

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and in all submodules: it changes what dropout and batch normalisation do."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters are trained."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients, or set them to zeros."""
        for parameter in self.parameters():
            grad = parameter.grad
            parameter.grad = None if set_to_none or grad is None else grad.detach() * 0.0

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn(module)` on every module, submodules first, this one last."""
        for module in reversed(list(self.modules())):
            fn(module)
        return self

    # ------------------------------------------------------------ moving

    def to(self, backend: str | Backend | Any = None, dtype: Any = None) -> Self:
        """Move parameters and buffers to a backend, and floating ones to a dtype, in place.

        The Parameter objects stay the same, so optimisers made earlier go on working. `backend` may also be a dtype, as
        in PyTorch: `model.to("numba")`, `model.to(pb.float64)`, `model.to("cupy", "float32")`.
        """
        target = None
        if isinstance(backend, Backend) or (isinstance(backend, str) and not _is_dtype(backend)):
            target = get_backend(backend)
        elif backend is not None:
            if dtype is not None:
                raise TypeError(f"to() got two dtypes, {backend!r} and {dtype!r}")
            dtype = backend
        wanted = None if dtype is None else as_dtype(dtype)
        if wanted is not None and wanted.kind != "f":
            raise TypeError(f"a module can be converted to a floating dtype, not to {wanted}")
        for tensor in (*self.parameters(), *self.buffers()):
            if target is not None:
                tensor._move(target)
            if wanted is not None and tensor.dtype.kind == "f" and tensor.dtype != wanted:
                _cast(tensor, wanted)
        return self

    def float(self) -> Self:
        """Floating parameters and buffers to float32."""
        return self.to("float32")

    def double(self) -> Self:
        """Floating parameters and buffers to float64."""
        return self.to("float64")

    # ------------------------------------------------------------ state

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Copies of all parameters and persistent buffers by path, in PyTorch's keys and layouts."""
        return {prefix + key: tensor.detach() for key, tensor in read_state(self)}

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> Incompatible:
        """Set parameters and buffers to the values of a `state_dict`: ours, PyTorch's, or a dict of arrays.

        All shapes are checked before anything changes. Values are converted to the module's dtypes and backend. Of a
        parameter that several paths share, one is enough.

        Parameters
        ----------
        state_dict : path -> Tensor, NumPy array, torch tensor or anything with `__array__`.
        strict : missing and unexpected keys are errors. Shapes that differ always are.

        Returns
        -------
        The named tuple (missing_keys, unexpected_keys).

        Raises
        ------
        ValueError : lists the missing, unexpected and mismatched entries; the module is unchanged.
        """
        return load_state(self, state_dict, strict)

    # ------------------------------------------------------------ hooks

    def _hook(self, kind: str, hook: Callable[..., Any], with_kwargs: bool = False, prepend: bool = False) -> Any:
        if "_hooks" not in self.__dict__:
            self._hooks = Hooks()
        return self._hooks.add(kind, hook, with_kwargs, prepend)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before each forward; what it returns, if anything, replaces the arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)`, which may return the pair (args, kwargs).
        """
        return self._hook("forward_pre", hook, with_kwargs, prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after each forward; what it returns, if anything, replaces the output."""
        return self._hook("forward", hook, with_kwargs, prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of the outputs are known; it may return others."""
        return self._hook("backward_pre", hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the positional inputs are known.

        Both are tuples; `grad_input` has None for inputs that need no gradient. What the hook returns, if anything,
        replaces `grad_input`.
        """
        return self._hook("backward", hook, prepend=prepend)

    # ------------------------------------------------------------ showing

    def summary(self, input: Any = None, *, dtype: Any = None) -> str:
        """A table of the layers with their output shapes and parameter counts, for printing.

        Parameters
        ----------
        input : the shape of one input with its batch axis, such as `(1, 3, 32, 32)`, or an input, or a tuple of inputs.
            Without one the model does not run, and the table has no shapes.
        dtype : of the input made from a shape; the first parameter's by default.
        """
        from .summary import summary

        return summary(self, input, dtype=dtype)

    def extra_repr(self) -> str:
        """What stands in the parentheses of the repr; layers override it."""
        return ""

    def __repr__(self) -> str:
        lines = []
        for name, value in self._members():
            if isinstance(value, Module):
                lines.append(f"  ({name}): " + repr(value).replace("\n", "\n  "))
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        head = [f"  {extra}"] if extra else []
        return "\n".join([f"{type(self).__name__}(", *head, *lines, ")"])


def join(prefix: str, name: str) -> str:
    """`prefix.name`, or `name` alone."""
    return f"{prefix}.{name}" if prefix else name


def _walk(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Parameter | Buffer | Module):
        yield name, value
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _walk(f"{name}.{i}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(f"{name}.{key}", item)


def _checked(name: str) -> str:
    if not isinstance(name, str) or not name or "." in name:
        raise KeyError(f"{name!r} cannot name an attribute: give a non-empty string without dots")
    return name


def _is_dtype(name: str) -> bool:
    return name in ("float16", "float32", "float64")


def _cast(tensor: Any, dtype: Any) -> None:
    value = tensor.detach().astype(dtype)
    if isinstance(tensor, Buffer):
        tensor._value = value._value
        return
    grad = tensor.grad
    tensor._adopt(value._value)
    tensor.grad = None if grad is None else grad.detach().astype(dtype)


def _note_path(error: Exception, module: Module) -> None:
    """Note on the error the path, seen from `module`, of the innermost module it arose in.

    Each enclosing module renews the one note, so in the end the path starts at the outermost one.
    """
    before = error.__dict__.get("_pullback_layer")
    innermost, old = before or (module, None)
    path = next((name for name, m in module.named_modules() if m is innermost), None)
    if path is None:
        return
    shown = repr(innermost)
    shown = f"{type(innermost).__name__}(…)" if "\n" in shown else shown
    note = f"in {path} ({shown})" if path else f"in {shown}"
    notes = getattr(error, "__notes__", [])
    if old in notes:
        notes[notes.index(old)] = note
    else:
        error.add_note(note)
    error._pullback_layer = (innermost, note)  # type: ignore[attr-defined]
