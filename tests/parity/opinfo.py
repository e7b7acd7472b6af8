"""Cases from PyTorch's OpInfo table: each of its sample inputs, given to PyTorch's function and to ours."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .case import Case, Entry, NotSupportedError, Outcome, some
from .compare import compare

#: Keyword arguments about where a tensor lives, which all samples set to what they would be anyway.
ELSEWHERE = ("device", "layout", "pin_memory")


@dataclass(frozen=True)
class How:
    """How samples of an OpInfo are compared with a function of ours.

    Attributes
    ----------
    ours : called as ours(input, *args, **kwargs), with our tensors and dtypes for PyTorch's.
    before : applied to the first input in both libraries; `keep`: to the results. Both use what both libraries have.
    order : the highest order of derivative that is compared, if PyTorch has it.
    tolerance : in place of the usual one in float64.
    integers : why samples of whole numbers are not compared.
    """

    ours: Callable[..., Any]
    before: Callable[[Any], Any] = lambda x: x
    keep: Callable[[Any], Any] = lambda result: result
    order: int = 2
    tolerance: float | None = None
    integers: str = ""


def entry(ours: Callable[..., Any], *infos: str, **how: Any) -> Entry:
    """Compare `ours` on the samples of OpInfos, which are named `name` or `name:variant`; see How for the options."""
    made = How(ours, **how)
    return Entry(", ".join(infos), lambda: (case for info in infos for case in _cases(made, info)))


@functools.cache
def _table() -> dict[str, Any]:
    from torch.testing._internal.common_methods_invocations import op_db

    return {f"{op.name}:{op.variant_test_name}" if op.variant_test_name else op.name: op for op in op_db}


def _cases(how: How, info: str) -> Iterator[Case]:
    """float64 samples for values and derivatives; float32 samples, and those of whole numbers or bools, for values."""
    import torch

    op = _table()[info]
    order = min(how.order, 2 if op.supports_gradgrad else 1) if op.supports_autograd else 0
    dtypes = [(torch.float64, order), (torch.float32, 0), (torch.int64, 0)]
    dtypes = [(dtype, n) for dtype, n in dtypes if dtype in op.dtypes] or [(torch.bool, 0)]
    for dtype, n in dtypes:
        torch.manual_seed(0)
        random.seed(0)
        # op.sample_inputs() is this and a look at the whole call stack, which takes seconds under pytest
        for i, sample in enumerate(some(list(op.sample_inputs_func(op, "cpu", dtype, n > 0)))):
            name = f"{info} {str(dtype).removeprefix('torch.')} {i} {describe(sample)}"
            yield Case(name, functools.partial(_check, how, op, sample, n))


def _check(how: How, op: Any, sample: Any, order: int) -> Outcome:
    import torch

    if how.integers and isinstance(sample.input, torch.Tensor) and not sample.input.is_floating_point():
        return Outcome(skipped=how.integers)
    tensors: list[Any] = []
    whole = (sample.input, tuple(sample.args), dict(sample.kwargs))
    try:
        template = _template(whole, tensors)
    except NotSupportedError as error:
        return Outcome(skipped=str(error))

    def mine(*given: Any) -> Any:
        x, args, kwargs = _fill(template, given)
        return how.keep(sample.output_process_fn_grad(how.ours(how.before(x), *args, **kwargs)))

    def theirs(*given: Any) -> Any:
        x, args, kwargs = _fill(whole, given, torch.Tensor)
        return how.keep(sample.output_process_fn_grad(op(how.before(x), *args, **kwargs)))

    import pullback as pb

    arrays = [t.detach().numpy() for t in tensors]
    wanted = [t.requires_grad for t in tensors]
    return compare(
        mine, theirs, arrays, order=order, wanted=wanted, tolerance=how.tolerance, backend=pb.current_backend().name
    )


class _Slot:
    """Where a tensor goes in a sample's arguments."""

    def __init__(self, number: int) -> None:
        self.number = number


def _template(value: Any, tensors: list[Any]) -> Any:
    """A sample's arguments in our terms: slots for tensors, which are collected, and names for dtypes."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_complex():
            raise NotSupportedError("complex numbers")
        tensors.append(value)
        return _Slot(len(tensors) - 1)
    if isinstance(value, dict):
        return {key: _template(part, tensors) for key, part in value.items() if key not in ELSEWHERE}
    if isinstance(value, (tuple, list)):
        return (list if isinstance(value, list) else tuple)(_template(part, tensors) for part in value)
    if isinstance(value, complex) or (isinstance(value, torch.dtype) and value.is_complex):
        raise NotSupportedError("complex numbers")
    if isinstance(value, torch.dtype):
        name = str(value).removeprefix("torch.")
        if name == "bfloat16":
            raise NotSupportedError("bfloat16")
        return name
    if isinstance(value, (torch.layout, torch.memory_format)):
        raise NotSupportedError("layouts in memory")
    if isinstance(value, torch.device):
        raise NotSupportedError("torch.device")
    return value


def _fill(value: Any, given: Any, tensor: type = _Slot, count: list[int] | None = None) -> Any:
    """A sample's arguments with tensors put in, in the order in which `_template` met their places."""
    count = [0] if count is None else count
    if isinstance(value, tensor):
        count[0] += 1
        return given[count[0] - 1]
    if isinstance(value, dict):
        return {key: _fill(part, given, tensor, count) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return (list if isinstance(value, list) else tuple)(_fill(part, given, tensor, count) for part in value)
    return value


def describe(sample: Any) -> str:
    """A sample's arguments in a few words."""
    parts = [_short(sample.input), *map(_short, sample.args), *(f"{k}={_short(v)}" for k, v in sample.kwargs.items())]
    return "(" + ", ".join(parts) + ")"


def _short(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_short, value)) + "]"
    return repr(value)
