"""Weight normalisation in its older form, with the parameters `weight_g` and `weight_v` on the module itself."""

from __future__ import annotations

from typing import Any

from ...autograd.tensor import Parameter
from ..module import Module
from .parametrizations import _WeightNorm


class WeightNorm:
    """Called before each forward: sets the weight to g·v/‖v‖."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.norm = _WeightNorm(dim)

    def __call__(self, module: Module, args: Any = None) -> None:
        """Compute the weight and set it."""
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        object.__setattr__(module, self.name, self.norm(g, v))


def replaced(module: Module, name: str) -> Parameter:
    """Take a parameter off the module, and return it."""
    weight = module.__dict__.get(name)
    if not isinstance(weight, Parameter):
        raise ValueError(f"{type(module).__name__} has no parameter {name!r}")
    del module.__dict__[name]
    return weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Replace a parameter by its lengths `<name>_g` and directions `<name>_v`, W = g·v/‖v‖. Returns the module.

    `parametrizations.weight_norm` is the newer form of it. Salimans & Kingma 2016.
    """
    weight = replaced(module, name)
    hook = WeightNorm(name, dim)
    g, v = hook.norm.right_inverse(weight.detach())
    setattr(module, f"{name}_g", Parameter(g))
    setattr(module, f"{name}_v", Parameter(v))
    hook(module)
    module.__dict__.setdefault("_normed", {})[name] = (hook, module.register_forward_pre_hook(hook))
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a parameter again, with its present value. Returns the module."""
    removed(module, name, WeightNorm)
    del module.__dict__[f"{name}_g"], module.__dict__[f"{name}_v"]
    return module


def removed(module: Module, name: str, kind: type) -> None:
    """Take the hook of that kind away, and make what it last computed a parameter."""
    hook, handle = module.__dict__.get("_normed", {}).get(name, (None, None))
    if not isinstance(hook, kind):
        raise ValueError(f"{type(module).__name__} has no {kind.__name__} on {name!r}")
    hook(module)
    value = module.__dict__.pop(name)
    handle.remove()
    del module.__dict__["_normed"][name]
    setattr(module, name, Parameter(value.detach()))
