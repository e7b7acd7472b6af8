"""The table of a model's layers."""

from __future__ import annotations

import numbers
from typing import Any

from ..autograd import ops
from ..autograd.dtypes import DEFAULT_FLOAT, as_dtype
from ..autograd.state import no_grad
from ..autograd.tensor import Tensor
from .module import Module

HEAD = ("layer", "type", "output shape", "parameters")


def summary(module: Module, input: Any = None, *, dtype: Any = None) -> str:
    """A table: path, type, output shape and parameter count of every layer, and the totals.

    Given an input, the model runs once, in evaluation mode and unrecorded. A layer that ran several times shows its
    last output; one that did not run shows "not run". Parameters shared by several layers are counted at the first.

    Parameters
    ----------
    module : the model.
    input : the shape of one input with its batch axis, or an input, or a tuple of inputs. Without one the table has no
        shapes.
    dtype : of the input made from a shape; the first parameter's by default.
    """
    shapes = {} if input is None else _output_shapes(module, _inputs(module, input, dtype))
    rows, counted = [], set()
    for path, layer in module.named_modules():
        own = list(layer.parameters(recurse=False))
        if next(layer.children(), None) is not None and not own:
            continue
        count = sum(p.size for p in own if p not in counted)
        counted.update(own)
        rows.append((path or "(the model)", type(layer).__name__, shapes.get(layer, "not run"), f"{count:,}"))
    parameters = list(module.parameters())
    total = sum(p.size for p in parameters)
    trained = sum(p.size for p in parameters if p.requires_grad)
    memory = sum(p.size * p.dtype.itemsize for p in parameters)
    foot = f"{total:,} parameters ({_size(memory)}), {trained:,} of them trained"
    table = [HEAD, *rows]
    return _table(table if input is not None else [(path, kind, count) for path, kind, _, count in table]) + "\n" + foot


def _inputs(module: Module, input: Any, dtype: Any) -> tuple[Any, ...]:
    first = next(module.parameters(), None)
    backend = None if first is None else first.backend
    if isinstance(input, tuple | list) and all(isinstance(n, numbers.Integral) for n in input):
        kind = as_dtype(dtype) if dtype is not None else DEFAULT_FLOAT if first is None else first.dtype
        return (ops.zeros(tuple(input), dtype=kind, backend=backend),)
    return tuple(
        x if isinstance(x, Tensor) else Tensor(x, backend=backend)
        for x in (input if isinstance(input, tuple | list) else (input,))
    )


def _output_shapes(module: Module, inputs: tuple[Any, ...]) -> dict[Module, str]:
    shapes: dict[Module, str] = {}

    def note(layer: Module, args: Any, out: Any) -> None:
        shapes[layer] = _shape(out)

    layers = list(module.modules())
    modes = [layer.training for layer in layers]
    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        module.eval()
        with no_grad():
            module(*inputs)
    finally:
        for layer, mode, handle in zip(layers, modes, handles, strict=True):
            layer.training = mode
            handle.remove()
    return shapes


def _shape(out: Any) -> str:
    if isinstance(out, Tensor):
        return str(out.shape)
    if isinstance(out, tuple | list):
        return ", ".join(map(_shape, out))
    return type(out).__name__


def _size(n: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"


def _table(rows: list[tuple[str, ...]]) -> str:
    """Rows, the first of which is the head, as text; the last column stands to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))

    def line(row: tuple[str, ...]) -> str:
        cells = [cell.ljust(w) for cell, w in zip(row[:-1], widths[:-1], strict=True)]
        return "  ".join([*cells, row[-1].rjust(widths[-1])])

    return "\n".join([line(rows[0]), rule, *map(line, rows[1:]), rule])
