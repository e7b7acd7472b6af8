"""Optimisers, each beside PyTorch's, with the arguments of PyTorch's OptimizerInfo table."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

import pullback as pb
from pullback import optim

from .case import Absent, Case, Entry, Outcome, Section
from .compare import MismatchError, difference

STEPS = 20
ABOUT = """
`pullback.optim.<name>`, with every set of arguments that PyTorch's own tests use. A matrix, a vector and a number
(Muon: two matrices) are fitted to data by least squares; compared are the parameters after each of 20 steps, and the
names of the optimiser's state. PyTorch keeps some single numbers (NAdam's product of momenta, ASGD's rate) in its
default dtype, and reckons with a learning rate that is a tensor in that tensor's: both are the dtype of the parameters
here. Its Muon iterates in bfloat16, which is taken away here.
"""
ABSENT = {
    "the base class": "Optimizer",
    "PyTorch has none; tests/test_optim_optimizers.py has its formula": "Lion",
    "PyTorch has none; tests/test_optim_layerwise.py has its formula": "LAMB",
}
#: In float32: a step of L-BFGS is up to 20 iterations, whose line searches and histories amplify rounding.
LOOSE = {"LBFGS": 1e-3}


def public() -> set[str]:
    """The optimisers that `pullback.optim` offers."""
    return {
        name for name, value in vars(optim).items() if isinstance(value, type) and issubclass(value, optim.Optimizer)
    }


def _cases(name: str) -> Iterator[Case]:
    import torch
    from torch.testing._internal.common_optimizers import optim_db

    info = next((info for info in optim_db if info.optim_cls.__name__ == name), None)
    if info is None:
        yield Case(name, lambda: Outcome(failed="PyTorch's table has no such optimiser; say so in ABSENT"))
        return
    for dtype in (torch.float64, torch.float32):
        for sample in info.optim_inputs_func(device="cpu"):
            text = f"{name} {str(dtype).removeprefix('torch.')} {sample.desc}"
            yield Case(text, functools.partial(_check, info.optim_cls, sample.kwargs, dtype))


def _check(cls: Any, kwargs: dict[str, Any], dtype: Any) -> Outcome:
    import torch

    name = str(dtype).removeprefix("torch.")
    default, narrow = torch.get_default_dtype(), torch.Tensor.bfloat16
    torch.set_default_dtype(dtype)
    torch.Tensor.bfloat16 = torch.Tensor.clone
    try:
        _walk(cls, kwargs, name, LOOSE.get(cls.__name__) if name == "float32" else None)
    except MismatchError as error:
        return Outcome(failed=str(error))
    finally:
        torch.set_default_dtype(default)
        torch.Tensor.bfloat16 = narrow
    return Outcome(("forward" if name == "float64" else "float32",))


def _walk(cls: Any, kwargs: dict[str, Any], dtype: str, tolerance: float | None) -> None:
    import torch

    rng = np.random.default_rng(0)
    shapes: list[tuple[int, ...]] = [(6, 4), (4, 6)] if cls.__name__ == "Muon" else [(6, 4), (6,), ()]
    start = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    x, y = rng.standard_normal((4, 12)).astype(dtype), rng.standard_normal((6, 12)).astype(dtype)
    ours = [pb.Parameter(a.copy()) for a in start]
    theirs = [torch.nn.Parameter(torch.tensor(a)) for a in start]
    kwargs = {key: v.to(theirs[0].dtype) if isinstance(v, torch.Tensor) else v for key, v in kwargs.items()}
    plain = {key: pb.Tensor(v.numpy()) if isinstance(v, torch.Tensor) else v for key, v in kwargs.items()}
    mine, other = getattr(optim, cls.__name__)(ours, **plain), cls(theirs, **kwargs)
    closures = (
        _closure(mine, ours, pb.Tensor(x), pb.Tensor(y)), _closure(other, theirs, torch.tensor(x), torch.tensor(y))
    )  # fmt: skip
    for step in range(STEPS):
        mine.step(closures[0])
        other.step(closures[1])
        for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            difference(p.numpy(), q.detach().numpy(), tolerance, f"parameter {i} after step {step + 1}")
    for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        # of a plain SGD PyTorch keeps a buffer that is None, and LBFGS's scratch list "al" is no state
        names = {key for key, value in other.state.get(q, {}).items() if value is not None} - {"step", "al"}
        if (found := set(mine.state.get(p, {})) - {"step"}) != names:
            raise MismatchError(f"the state of parameter {i} has {sorted(found)}, PyTorch's {sorted(names)}")


def _closure(optimizer: Any, params: list[Any], x: Any, y: Any) -> Any:
    def closure() -> Any:
        optimizer.zero_grad()
        out = params[0] @ x
        if len(params) == 3:
            loss = ((out + params[1][:, None] + params[2] - y) ** 2).sum() * 0.1
        else:
            loss = ((out - y) ** 2).sum() * 0.1 + ((params[1] @ y - x) ** 2).sum() * 0.05
        loss.backward()
        return loss

    return closure


def _entries() -> dict[str, Entry | Absent]:
    made: dict[str, Entry | Absent] = {
        name: Entry(f"torch.optim.{name}", functools.partial(_cases, name)) for name in sorted(public(), key=str.lower)
    }
    for reason, names in ABSENT.items():
        made |= {name: Absent(reason) for name in names.split()}
    return made


SECTION = Section("Optimisers", ABOUT, public, _entries())
