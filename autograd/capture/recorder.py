"""Watching a call: every kernel it runs is written down with the arrays that go in and come out.

While a recorder is `state.now.capture`, the backend's table of kernels is replaced by one that records. Backward hands
the rules Tensors then, so that nothing is computed outside of an op, and what is *not* an op but must happen at every
replay tells the recorder: a learning rate is read, a random key drawn, a gradient or a parameter assigned.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import ref

import numpy as np

from ...backends import Backend
from ..eager import eager
from ..errors import show_location, user_location
from ..graph import Leaf
from ..primitive import Primitive
from ..sharing import is_writable, make_writable
from ..state import interpreter, state
from ..tensor import Tensor


class CaptureError(RuntimeError):
    """A function does something that a compiled step cannot repeat."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The array with that number, in a step's arguments; anything else there is a constant."""

    number: int


@dataclass(slots=True)
class Step:
    """One kernel's run.

    Attributes
    ----------
    fn, args, params : the call; args are Slots and constants. outs : numbers of the arrays it returned.
    several : whether it returned a tuple. launches : the same run as compiled launches, where the backend knows it.
    view : its results are views of an argument, and nothing was computed. scalars : results that were NumPy scalars.
    """

    name: str
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    params: dict[str, Any]
    outs: tuple[int, ...]
    several: bool = False
    launches: Any = None
    view: bool = False
    scalars: bool = False


@dataclass(slots=True)
class Cell:
    """Something that holds an array from call to call: a parameter, a buffer, an optimiser's state.

    `read` gives the array it holds now, `write` makes it hold another, `array` is what it held at the start.
    """

    read: Callable[[], Any]
    write: Callable[[Any], None]
    array: Any


class Discovery:
    """The first call: it runs as ever, and only what may change between calls is noted."""

    recording = False

    def __init__(self) -> None:
        self.tensors: dict[int, Tensor] = {}
        self.modules: dict[int, Any] = {}

    def apply(self, prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """The interpreter: eager, with an eye on parameters and buffers."""
        for a in args:
            if type(a) is not Tensor and isinstance(a, Tensor):
                self.holds(a)
        return eager(prim, args, params)

    def holds(self, x: Tensor) -> None:
        """A parameter or buffer takes part."""
        self.tensors[id(x)] = x

    def module_called(self, module: Any) -> None:
        """A layer runs: what it does may depend on its mode."""
        self.modules[id(module)] = module

    def values_read(self, x: Tensor, how: str) -> None:
        """Python wants to see a value."""
        raise CaptureError(
            f"{how} of a tensor of shape {x.shape} at {show_location(user_location())}: a compiled function is "
            "recorded once and replayed, so Python cannot look at values inside it. Return the tensor and look at it "
            "outside, choose with pullback.where, or leave the function uncompiled (a Trainer: jit_compile=False)"
        )

    def fresh(self, read: Callable[[], Any], backend: Any) -> Any:
        """A value that is asked for anew at every replay."""
        return Tensor(np.array(read()), backend=backend)

    def gradient_read(self, x: Tensor) -> None:
        """`x.grad` is looked at."""

    def gradient_written(self, x: Tensor) -> None:
        """`x.grad` is set."""

    def assigned(self, x: Tensor) -> None:
        """A parameter or buffer takes other values."""

    def checked(self, run: Callable[..., None], tensors: Sequence[Tensor]) -> None:
        """A condition on values was tested."""

    def optimised(self, cells: list[Cell], options: Callable[[], Any]) -> None:
        """An optimiser's step: the states it reads, and the options that a program takes for granted."""


class _Table(dict[str, Any]):
    """A backend's table of kernels whose entries record themselves."""

    def __init__(self, table: dict[str, Any], recorder: Recorder) -> None:
        super().__init__(table)
        self.recorder = recorder
        self.wrapped: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        fn = super().__getitem__(key)
        found = self.wrapped.get(key)
        if found is None:
            recorder = self.recorder

            def found(*args: Any, **params: Any) -> Any:
                if recorder.thread != threading.get_ident():
                    return fn(*args, **params)
                return recorder.run(key, fn, args, params)

            self.wrapped[key] = found
        return found

    def get(self, key: str, default: Any = None) -> Any:
        """As for any dict."""
        return self[key] if key in self else default  # noqa: SIM401 (dict.get would not record)


class Recorder(Discovery):
    """What a call did, step by step. `arrays[k]` is the array with number k; `steps` are in order.

    Attributes
    ----------
    inputs : numbers of the arrays that the arguments are copied into. varying : of all that are not constants.
    refreshed : (step index, number, read): before that step, the array is filled with `read()`.
    cells : what holds an array from call to call. options : (read, value) that must not have changed.
    checks : (step index, run, numbers): before that step, `run` tests a condition on these arrays.
    gradients : tensors whose `.grad` was read or set. first : by id, which of the two came first, and what it was then.
    held : by id, the array of a parameter or buffer at first sight. changed : those that were assigned to.
    outside : other tensors that no op of the call made; what was made for the call is gone after it.
    """

    recording = True

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.thread = threading.get_ident()
        self.arrays: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.steps: list[Step] = []
        self.inputs: list[int] = []
        self.varying: set[int] = set()
        self.refreshed: list[tuple[int, int, Callable[[], Any]]] = []
        self.cells: list[Cell] = []
        self.options: list[tuple[Callable[[], Any], Any]] = []
        self.checks: list[tuple[int, Callable[..., None], tuple[int, ...]]] = []
        self.gradients: dict[int, Tensor] = {}
        self.first: dict[int, tuple[str, Any]] = {}
        self.changed: dict[int, Tensor] = {}
        self.held: dict[int, Any] = {}
        self.outside: list[ref[Tensor]] = []

    # ------------------------------------------------------------ what the engine tells

    def apply(self, prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """The interpreter."""
        for a in args:
            if isinstance(a, Tensor):
                if a.backend is not self.backend and not a.backend.levels:
                    raise CaptureError(
                        f"{prim.name} runs on the {a.backend.name!r} backend inside a function compiled for "
                        f"{self.backend.name!r}; a compiled function stays on one backend"
                    )
                if type(a) is not Tensor:
                    self.holds(a)
                elif id(a._value) not in self.numbers or isinstance(a._node, Leaf):
                    self.outside.append(ref(a))
        self.backend.kernel(prim.key, prim.forward, prim.takes_xp)
        out = eager(prim, args, params)
        for x in out if isinstance(out, tuple) else (out,):
            if x.backend is self.backend and id(x._value) not in self.numbers:
                raise CaptureError(f"{prim.name} returns what a compiled function cannot follow; let it return arrays")
        return out

    def holds(self, x: Tensor) -> None:
        """A parameter or buffer takes part."""
        if id(x) not in self.held:
            self.tensors[id(x)] = x
            make_writable(x)  # unless the first call has seen it, this is still to be done
            self.held[id(x)] = x._value
            self.varying.add(self.number(x._value))

    def fresh(self, read: Callable[[], Any], backend: Any) -> Any:
        """A tensor that is filled anew at every replay."""
        if state.now.levels:
            raise CaptureError("random numbers under vmap cannot be drawn inside a compiled function")
        value = self.backend.asarray(np.array(read()))
        self.varying.add(self.number(value))
        self.refreshed.append((len(self.steps), self.number(value), read))
        return Tensor._wrap(value, self.backend)

    def gradient_read(self, x: Tensor) -> None:
        """`x.grad` is looked at: if for the first time, its value at the start matters.

        Replays write it to where it lies, so that must be memory that no other tensor has.
        """
        if id(x) not in self.first:
            grad = getattr(x, "_grad", None)
            if grad is not None:
                home = grad._value
                if id(home) in self.numbers or not is_writable(home):
                    home = self.backend.xp.asarray(home, copy=True)
                    x._grad = grad = Tensor._wrap(home, x.backend)
                self.varying.add(self.number(home))
            self.first[id(x)] = ("read", grad)
            self.gradients[id(x)] = x

    def gradient_written(self, x: Tensor) -> None:
        """`x.grad` is set."""
        self.first.setdefault(id(x), ("written", None))
        self.gradients[id(x)] = x

    def assigned(self, x: Tensor) -> None:
        """A parameter or buffer takes other values."""
        self.holds(x)
        self.changed[id(x)] = x

    def checked(self, run: Callable[..., None], tensors: Sequence[Tensor]) -> None:
        """A condition on values was tested; replays test it too."""
        self.checks.append((len(self.steps), run, tuple(self.number(x._value) for x in tensors)))

    def optimised(self, cells: list[Cell], options: Callable[[], Any]) -> None:
        """An optimiser's step: the states it reads, and the options that a program takes for granted."""
        for cell in cells:
            self.varying.add(self.number(cell.array))
        self.cells += cells
        self.options.append((options, options()))

    # ------------------------------------------------------------ kernels

    def number(self, array: Any) -> int:
        """The array's number; a new one for an array that comes from outside."""
        found = self.numbers.get(id(array))
        if found is None:
            found = self.numbers[id(array)] = len(self.arrays)
            self.arrays.append(array)
        return found

    def run(self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Run a kernel and write it down."""
        kind = self.backend.array_type
        taken = tuple(Slot(self.number(a)) if type(a) is kind else a for a in args)
        constant = frozenset(i for i, a in enumerate(taken) if isinstance(a, Slot) and a.number not in self.varying)
        result, launches = self.backend.launched(fn, args, params, constant)
        several = isinstance(result, tuple | list)
        results = list(result) if several else [result]
        scalars = any(isinstance(v, np.generic) for v in results)
        donated = bool(params.get("donate"))
        view = launches is None and not donated
        outs = []
        for i, value in enumerate(results):
            if isinstance(value, np.generic):
                value = results[i] = self.backend.asarray(value)
            if type(value) is not kind:
                raise CaptureError(f"{name} returns a {type(value).__name__}, which a compiled function cannot follow")
            if id(value) in self.numbers and not donated:  # an argument as it is: from now on another name for it
                value = results[i] = self.backend.xp.reshape(value, value.shape)
            view = view and any(type(a) is kind and self.backend.shares(value, a) for a in args)
            outs.append(self.number(value))
        self.varying.update(outs)
        self.steps.append(Step(name, fn, taken, params, tuple(outs), several, launches, view, scalars))
        return tuple(results) if several else results[0]


@contextmanager
def watching(capture: Discovery) -> Iterator[None]:
    """Within the block, the capture sees all that this thread does."""
    state.now.capture = capture
    try:
        with interpreter(capture.apply):
            if not isinstance(capture, Recorder):
                yield
                return
            backend = capture.backend
            table = backend._table
            backend._table = _Table(table, capture)
            try:
                yield
            finally:
                backend._table = table
    finally:
        state.now.capture = None
