"""A recorded call as a program: what it takes for granted, what it carries from call to call, and its replay."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from .. import tree
from ..graph import Leaf
from ..sharing import note_writable
from ..tensor import Tensor
from .recorder import CaptureError, Cell, Recorder
from .surroundings import Surroundings
from .writer import Body, Writer, compiled


class Program:
    """One recorded call.

    Parameters
    ----------
    recorder : what the call did. result : what it returned. surroundings : what it looked up.
    """

    def __init__(self, recorder: Recorder, result: Any, surroundings: Surroundings) -> None:
        self.backend = recorder.backend
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._recorder = recorder
        self._surroundings = surroundings
        self._options = recorder.options
        self._held = [(x, recorder.held[id(x)]) for x in recorder.tensors.values() if id(x) in recorder.held]
        outside = {id(x): x for x in (found() for found in recorder.outside) if x is not None}
        self._tensors = [
            (x, array, x._node is not None, _hooks(x))
            for x, array in (*self._held, *((x, x._value) for x in outside.values()))
        ]
        self._cells = recorder.cells
        self._grads_before: list[tuple[Tensor, Any]] = []  # and the array that the steps read, or None
        self._grads_after: list[tuple[Tensor, int | None]] = []
        self._sums: list[Cell] = []  # gradients that go on adding up
        self._gradients()
        self._template = tree.mapped(lambda _: 0, result)
        self._changed = [x for x in recorder.changed.values() if isinstance(x._node, Leaf)]
        outputs = [leaf for _, leaf in tree.leaves(result)]
        self._outputs = [recorder.number(leaf._value) if isinstance(leaf, Tensor) else None for leaf in outputs]
        self._constants = [None if isinstance(leaf, Tensor) else leaf for leaf in outputs]
        self._single = isinstance(result, Tensor)
        self._carried = self._carry()
        writer = Writer(recorder, self._carried, [n for _, n in self._grads_after if n is not None], self._outputs)
        self._body = writer.function()
        self._timed, self._scope, self._handed = writer.timed, writer.scope, writer.handed
        #: How many kernels run as compiled launches, and how many by their Python functions.
        self.launched, self.called = writer.launched, writer.called
        self._settle()
        del self._recorder

    # ------------------------------------------------------------ what changes from call to call

    def _gradients(self) -> None:
        recorder = self._recorder
        for key, x in recorder.gradients.items():
            kind, before = recorder.first[key]
            after = getattr(x, "_grad", None)
            if kind == "read":
                array = None if before is None else before._value
                self._grads_before.append((x, array))
                if before is not None and after is not None:
                    self._sums.append(Cell(_grad_reader(x), _grad_writer(x), array))
                    recorder.number(after._value)  # zeros may come from outside
            if kind == "written" or after is None or before is None:
                self._grads_after.append((x, None if after is None else recorder.number(after._value)))

    def _carry(self) -> list[tuple[Cell, int]]:
        """Cells that hold another array at the end than at the start: its values are copied to where they were."""
        recorder = self._recorder
        carried = []
        held = [Cell(functools.partial(getattr, x, "_value"), _value_writer(x), a) for x, a in self._held]
        for cell in [*held, *self._cells, *self._sums]:
            now = cell.read()
            if now is cell.array:
                continue
            if id(now) not in recorder.numbers:
                raise CaptureError(
                    f"something of shape {tuple(cell.array.shape)} that is kept between calls was changed by other "
                    "means than ops inside a compiled function"
                )
            carried.append((cell, recorder.number(now)))
        return carried

    def _settle(self) -> None:
        """Do what a replay does at its end, for the call that was recorded."""
        values = [self._recorder.arrays[n] for _, n in self._carried]
        owned = [self.backend.xp.asarray(v, copy=True) for v in values]
        for (cell, _), value in zip(self._carried, owned, strict=True):
            cell.array[...] = value
            cell.write(cell.array)
        for cell in self._sums:
            note_writable(cell.array)
        for (x, n), kept in zip(((x, n) for x, n in self._grads_after if n is not None), self._handed, strict=True):
            if kept:
                note_writable(self._recorder.arrays[n])
            else:
                x._grad = Tensor._wrap(self.backend.xp.asarray(self._recorder.arrays[n], copy=True), self.backend)

    # ------------------------------------------------------------ replay

    def fits(self) -> bool:
        """Whether everything that was taken for granted when it was recorded still holds."""
        for x, array, wants, hooks in self._tensors:
            node = x._node
            if x._value is not array or (node is not None) is not wants:
                return False
            if node is not None and node.hooks != hooks and (node.hooks or hooks):
                return False
        for cell in self._cells:
            if cell.read() is not cell.array:
                return False
        for x, array in self._grads_before:
            grad = getattr(x, "_grad", None)
            if (grad is None) is not (array is None) or (grad is not None and grad._value.dtype != array.dtype):
                return False
        if not all(read() == value for read, value in self._options):
            return False
        return self._process == os.getpid() and self._surroundings.hold()

    def __call__(self, inputs: list[Any]) -> Any:
        """Replay with these arrays as arguments."""
        return self._replay(self._body, inputs)

    def profile(self, inputs: list[Any]) -> tuple[Any, list[tuple[str, float]]]:
        """Replay, and say what took how long: the result, and (op and shapes, seconds) in order."""
        marks: list[tuple[str, float]] = []
        clock = time.perf_counter
        lines = []
        for k, (line, label) in enumerate(self._timed):
            lines.append(line)
            if label:
                self._scope[f"label{k}"] = label
                lines.append(f"mark((label{k}, clock()))")
        scope = {**self._scope, "mark": marks.append, "clock": clock}
        body, start = compiled(lines, scope), clock()
        result = self._replay(body, inputs)
        times: list[tuple[str, float]] = []
        for label, now in marks:
            times.append((label, now - start))
            start = now
        return result, times

    def _replay(self, body: Body, inputs: list[Any]) -> Any:
        with self._lock:
            for x, array in self._grads_before:
                if array is not None and x._grad._value is not array:  # type: ignore[union-attr]
                    array[...] = x._grad._value  # type: ignore[union-attr]
            grads, outputs = body(inputs)
            for cell in self._sums:
                if cell.read() is not cell.array:
                    cell.write(cell.array)
            for x in self._changed:
                x._node.mark_assigned()  # type: ignore[union-attr]
            backend = self.backend
            given = iter(grads)
            for x, n in self._grads_after:
                x._grad = None if n is None else Tensor._wrap(next(given), backend)
        if self._single:
            return Tensor._wrap(outputs[0], backend)
        values: Iterator[Any] = (
            constant if n is None else Tensor._wrap(value, backend)
            for n, value, constant in zip(self._outputs, outputs, self._constants, strict=True)
        )
        return tree.rebuilt(self._template, values)


def _hooks(x: Tensor) -> list[Any] | None:
    return None if x._node is None or x._node.hooks is None else list(x._node.hooks)


def _value_writer(x: Tensor) -> Callable[[Any], None]:
    def write(array: Any) -> None:
        x._value = array

    return write


def _grad_reader(x: Tensor) -> Callable[[], Any]:
    def read() -> Any:
        grad = getattr(x, "_grad", None)
        return None if grad is None else grad._value

    return read


def _grad_writer(x: Tensor) -> Callable[[Any], None]:
    def write(array: Any) -> None:
        x._grad = Tensor._wrap(array, x.backend)

    return write
