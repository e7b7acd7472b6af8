"""Parameters that are functions of others: the layer has W = f(V), and V is what is trained.

As in `torch.nn.utils.parametrize`, the originals live in `module.parametrizations.<name>`, as `original`, or
`original0`, `original1`, … where the function takes several; `module.<name>` is computed whenever it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...autograd.state import no_grad
from ...autograd.tensor import Parameter, Tensor
from ..containers import ModuleDict, ModuleList
from ..module import Module

#: id of a ParametrizationList -> what it gave, while `cached()` is in force
_cache: dict[int, Tensor] = {}
_caching = 0


@contextmanager
def cached() -> Iterator[None]:
    """Within the block every parametrised tensor is computed once, however often it is read."""
    global _caching
    _caching += 1
    try:
        yield
    finally:
        _caching -= 1
        if not _caching:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The originals of one tensor, and the modules that are applied to them one after the other."""

    def __init__(self, modules: Sequence[Module], original: Parameter) -> None:
        super().__init__(modules)
        with no_grad():
            values: Any = original.detach()
            for module in reversed(modules):
                inverse = getattr(module, "right_inverse", None)
                values = values if inverse is None else inverse(values)
        self.is_tensor = isinstance(values, Tensor)
        self.ntensors = 1 if self.is_tensor else len(values)
        for name, value in zip(self._names(), [values] if self.is_tensor else values, strict=True):
            setattr(self, name, Parameter(value, requires_grad=original.requires_grad))

    def _names(self) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Assign originals from which the modules make `value`, or what comes next to it."""
        with no_grad():
            values: Any = value.detach()
            for module in reversed(list(self)):
                inverse = getattr(module, "right_inverse", None)
                if inverse is None:
                    raise NotImplementedError(
                        f"{type(module).__name__} has no right_inverse, so the tensor cannot be assigned"
                    )
                values = inverse(values)
            for name, part in zip(self._names(), [values] if self.is_tensor else values, strict=True):
                getattr(self, name).assign(part)

    def forward(self) -> Tensor:
        """The tensor."""
        if _caching and id(self) in _cache:
            return _cache[id(self)]
        modules = list(self)
        value = modules[0](*(getattr(self, name) for name in self._names()))
        for module in modules[1:]:
            value = module(value)
        if _caching:
            _cache[id(self)] = value
        return value


def _property(name: str) -> property:
    def read(module: Module) -> Tensor:
        return module.parametrizations[name]()

    def write(module: Module, value: Tensor) -> None:
        module.parametrizations[name].right_inverse(value)

    return property(read, write)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether that tensor of the module, or any, is parametrised."""
    lists = module.__dict__.get("parametrizations")
    return isinstance(lists, ModuleDict) and (len(lists) > 0 if tensor_name is None else tensor_name in lists)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute a parameter of the module by `parametrization` from now on, and train what that takes.

    A `right_inverse(value)` of the parametrisation gives the tensor, or the tuple of tensors, to start from; without
    one it starts from the parameter's own value. On a tensor that is parametrised already it is applied after the
    earlier ones. Returns the module.

    Parameters
    ----------
    unsafe : do not check that the result has the parameter's shape and dtype.

    Raises
    ------
    ValueError : the module has no such parameter, or the result has another shape or dtype.

    >>> import pullback as pb
    >>> from pullback import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return pb.triu(x) + pb.triu(x, 1).mT
    >>> layer = nn.utils.parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.mT).all()), [name for name, _ in layer.named_parameters()]
    (True, ['bias', 'parametrizations.weight.original'])
    """
    if is_parametrized(module, tensor_name):
        lists = module.parametrizations[tensor_name]
        lists.append(parametrization)
        inverse = getattr(parametrization, "right_inverse", None)
        if inverse is not None and lists.is_tensor:
            with no_grad():
                lists.original.assign(inverse(lists.original.detach()))
        return module
    original = module.__dict__.get(tensor_name)
    if not isinstance(original, Parameter):
        raise ValueError(f"{type(module).__name__} has no parameter {tensor_name!r} to parametrise")
    lists = ParametrizationList([parametrization], original)
    if not unsafe:
        with no_grad():
            made = lists()
        if made.shape != original.shape or made.dtype != original.dtype:
            raise ValueError(
                f"{type(parametrization).__name__} makes {made.shape} {made.dtype} of the parameter {tensor_name!r}, "
                f"which is {original.shape} {original.dtype}"
            )
    del module.__dict__[tensor_name]
    if not is_parametrized(module):
        kind = type(module)
        module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), {"__doc__": kind.__doc__})
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _property(tensor_name))
    module.parametrizations[tensor_name] = lists
    return module


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make the tensor a parameter of its own again, with its present value. Returns the module.

    Parameters
    ----------
    leave_parametrized : with False it gets the value of its original.

    Raises
    ------
    ValueError : it is not parametrised, or several originals leave no value to go back to.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{type(module).__name__} has no parametrisation on {tensor_name!r}")
    lists = module.parametrizations[tensor_name]
    if not leave_parametrized and not lists.is_tensor:
        raise ValueError(f"{tensor_name!r} has {lists.ntensors} originals; only leave_parametrized=True is possible")
    trained = all(getattr(lists, name).requires_grad for name in lists._names())
    with no_grad():
        value = getattr(module, tensor_name) if leave_parametrized else lists.original
        parameter = Parameter(value.detach(), requires_grad=trained)
    del module.parametrizations[tensor_name]
    delattr(type(module), tensor_name)
    if not is_parametrized(module):
        del module.__dict__["parametrizations"]
        module.__class__ = type(module).__bases__[0]
    setattr(module, tensor_name, parameter)
    return module
