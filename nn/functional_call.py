"""A module as a function of its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..autograd.tensor import Tensor
from .module import Module, join


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """module(*args, **kwargs) with other tensors in place of its parameters and buffers: `torch.func.functional_call`.

    What is not named keeps its value, and the module is as before afterwards. With `grad` and `vmap` it gives
    per-sample gradients:

    >>> import pullback as pb
    >>> from pullback import nn
    >>> model = nn.Linear(2, 1)
    >>> def loss(params, x, y):
    ...     return ((nn.functional_call(model, params, (x,)) - y) ** 2).sum()
    >>> params = {name: p.detach() for name, p in model.named_parameters()}
    >>> grads = pb.vmap(pb.grad(loss), in_axes=(None, 0, 0))(params, pb.ones(5, 2), pb.ones(5, 1))
    >>> {name: g.shape for name, g in grads.items()}
    {'weight': (5, 1, 2), 'bias': (5, 1)}

    Parameters
    ----------
    parameter_and_buffer_dicts : tensors by the paths of `named_parameters` and `named_buffers`, in one dict or several.
    args : the positional arguments as a tuple, or the only one.

    Raises
    ------
    KeyError : a path names no parameter or buffer. ValueError : a tensor has another shape than what it stands for.
    """
    many = (
        [parameter_and_buffer_dicts] if isinstance(parameter_and_buffer_dicts, Mapping) else parameter_and_buffer_dicts
    )
    tensors = {path: tensor for one in many for path, tensor in one.items()}
    owners = {path: (owner, name) for path, owner, name in _places(module)}
    unknown = sorted(tensors.keys() - owners.keys())
    if unknown:
        raise KeyError(
            f"functional_call: {type(module).__name__} has no parameter or buffer named {', '.join(unknown)}"
        )
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for path, tensor in tensors.items():
            owner, name = owners[path]
            before = owner[name]
            if tuple(tensor.shape) != before.shape:
                raise ValueError(f"functional_call: {path} has shape {before.shape}, not {tuple(tensor.shape)}")
            for other, (where, key) in owners.items():  # a tensor that is shared is replaced wherever it stands
                if where[key] is before and (other == path or other not in tensors):
                    replaced.append((where, key, before))
                    where[key] = tensor
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for where, key, before in replaced:
            where[key] = before


def _places(module: Module) -> list[tuple[str, dict[str, Any], str]]:
    """(path, dict, key) of all parameters and buffers: the dict is the one that holds it in its module."""
    found = []
    for prefix, owner in module.named_modules(remove_duplicate=False):
        for name, value in owner._members():
            if isinstance(value, Tensor):
                entries = owner.__dict__.get("_entries", {})
                found.append((join(prefix, name), entries if name in entries else owner.__dict__, name))
    return found
