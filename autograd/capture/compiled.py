"""`compile`: a function whose calls are recorded once for each signature, then replayed."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from ...backends import Backend, current_backend
from .. import tree
from ..eager import eager
from ..sharing import make_writable
from ..state import state
from ..tensor import Parameter, Tensor
from .program import Program
from .recorder import CaptureError, Discovery, Recorder, watching
from .surroundings import Surroundings

KEPT = 4  # programs of one signature: one for training mode, one for evaluation, ...
PATIENCE = 8  # programs in a row that could not be replayed even once
SIGNATURES = 64  # of one function

_capturing = threading.Lock()


class _Signature:
    """What is known of one signature: what its first call touched, and the programs made since."""

    def __init__(self) -> None:
        self.seen: Discovery | None = None
        self.programs: list[Program] = []
        self.vain = 0  # programs made since one was last replayed


class Compiled:
    """What `compile` returns: call it like the function.

    Attributes
    ----------
    function : the function itself. recorded, replayed : how many calls were recorded, and how many replayed.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.recorded = self.replayed = 0
        self._warned = False
        self._signatures: dict[Any, _Signature] = {}
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Replay the program recorded for arguments like these, or run the function and record one."""
        now = state.now
        if now.apply is not eager or now.capture is not None or now.levels or now.anomaly:
            return self.function(*args, **kwargs)  # inside another transform, this is just a function
        key, arrays = self._signature(args, kwargs)
        signature = self._signatures.get(key)
        if signature is None:
            signature = self._signatures[key] = _Signature()
            if len(self._signatures) > SIGNATURES:
                self._forget_oldest()
        for program in signature.programs:
            if program.fits():
                signature.vain = 0
                self.replayed += 1
                return program(arrays)
        if signature.vain > PATIENCE:
            return self.function(*args, **kwargs)
        return self._record(signature, args, kwargs)

    def profile(self, *args: Any, **kwargs: Any) -> list[tuple[str, float]]:
        """Make one call, and say where its time goes: (op with the shapes it takes, seconds) in order of running.

        The call is a real one: a training step trains. Kernels are timed one by one, which costs each a microsecond.

        Raises
        ------
        CaptureError : no program was recorded for arguments like these; call the function three times first.
        """
        key, arrays = self._signature(args, kwargs)
        signature = self._signatures.get(key)
        for program in signature.programs if signature is not None else ():
            if program.fits():
                return program.profile(arrays)[1]
        raise CaptureError(f"{self!r} has no program for these arguments yet; call it three times first")

    def programs(self) -> list[Program]:
        """The programs made so far."""
        return [program for signature in self._signatures.values() for program in signature.programs]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> Any:
        """By name where it decorates; else the function, so that a copy of a model records programs of its own."""
        found: Any = sys.modules.get(getattr(self.function, "__module__", None) or "")
        path: str = getattr(self.function, "__qualname__", "")
        for name in path.split("."):
            found = getattr(found, name, None)
        return path if found is self else (Compiled, (self.function,))

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", repr(self.function))
        return f"<compiled {name}: {self.recorded} recorded, {self.replayed} replayed>"

    # ------------------------------------------------------------ signatures

    def _forget_oldest(self) -> None:
        with suppress(KeyError, RuntimeError, StopIteration):  # another thread was faster
            del self._signatures[next(iter(self._signatures))]
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{self!r} was called with more than {SIGNATURES} different shapes or constants, and each is recorded "
                "apart; pass numbers that change as tensors, and pad batches to a few shapes",
                RuntimeWarning,
                stacklevel=3,
            )

    def _signature(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any]]:
        """What must be equal for a program to be replayed, and the arrays among the arguments."""
        key: list[Any] = [state.now.grad, current_backend().name]
        arrays: list[Any] = []
        whole: Any = (args, kwargs) if kwargs else args
        flat: Iterator[tuple[str, Any]] = ((f"[{i}]", a) for i, a in enumerate(args))
        if kwargs or any(isinstance(a, list | tuple | dict) for a in args):
            key.append(tree.mapped(lambda _: None, _hashable(whole)))
            flat = tree.leaves(whole)
        for path, a in flat:
            if type(a) is Tensor:
                if a._node is not None:
                    raise CaptureError(
                        f"argument {path} of a compiled function requires a gradient; pass x.detach() and "
                        "differentiate inside, with pullback.grad or a Parameter"
                    )
                value = a._value
                key.append((value.shape, value.dtype, a.backend.name, _layout(value)))
                arrays.append(value)
            elif isinstance(a, np.ndarray):
                key.append((a.shape, a.dtype, None, _layout(a)))
                arrays.append(a)
            else:  # numbers by their text: 0.0 equals −0.0, and nan nothing
                key.append((type(a), repr(a) if isinstance(a, float | complex | np.generic) else a))
        made = tuple(key)
        try:
            hash(made)
        except TypeError:
            raise CaptureError(
                "arguments of a compiled function are tensors, arrays, containers of these, or hashable constants; "
                f"got {', '.join(type(a).__name__ for a in args)}"
            ) from None
        return made, arrays

    # ------------------------------------------------------------ recording

    def _record(self, signature: _Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with _capturing:
            seen = signature.seen
            if seen is None:
                found = Discovery()
                with watching(found):
                    result = self.function(*_as_tensors(args), **_as_tensors(kwargs))
                signature.seen = found
                return _detached(result)
            for x in seen.tensors.values():
                make_writable(x)
            program, result = self._program(seen, args, kwargs)
            program.backend.trim()
            self.recorded += 1
            signature.programs.insert(0, program)
            del signature.programs[KEPT:]
            signature.vain += 1
            if signature.vain > PATIENCE:
                signature.programs.clear()
                warnings.warn(
                    f"{self!r} was recorded {signature.vain} times in a row without a replay, because parameters, "
                    "buffers, optimiser options or variables that it looks up change between its calls; from now on "
                    "it runs uncompiled",
                    RuntimeWarning,
                    stacklevel=3,
                )
            return result

    def _program(self, seen: Discovery, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Program, Any]:
        """Record a call: the program, and what the call returned."""
        recorder = Recorder(_backend_of(args, kwargs))
        given = _owned((args, kwargs), recorder)
        surroundings = Surroundings([self.function, *(a for _, a in tree.leaves((args, kwargs)))])
        with watching(recorder):
            result = self.function(*given[0], **given[1])
        replaced = surroundings.settle(recorder.modules.values(), lambda x: id(x._value) in recorder.numbers)
        if replaced is not None:
            raise CaptureError(
                f"a compiled function reads a tensor from outside and puts another in its place ({replaced}), which "
                "replays would not do; take it as an argument and return the new one, or make it a Buffer or Parameter "
                "and use its assign()"
            )
        program = Program(recorder, result, surroundings)
        seen.tensors.update(recorder.tensors)
        return program, tree.mapped(_copy, result)


def compile(function: Callable[..., Any] | None = None) -> Any:
    """Record a function of tensors once, then replay it without Python's part: for whole training steps, or inference.

    The first call with a signature (structure, shapes and dtypes of the arguments; values of those that are no tensors;
    whether gradients are recorded) runs as ever, the second is recorded, and all others are replays: the same kernels
    in the same order on the same memory, which gives the same results. Parameters, buffers, optimiser states, `.grad`,
    learning rates, step counts and random numbers go on as they would.

    Parameters
    ----------
    function : takes tensors (NumPy arrays arrive as tensors), containers of them, and hashable constants, each value
        of which is recorded anew; returns tensors, or containers with tensors and constants. What it returns is cut off
        from the graph: call `backward()`, or take `pullback.grad`, inside.

    Returns
    -------
    `Compiled`: called like the function; `recorded` and `replayed` count.

    Raises
    ------
    CaptureError : the function looks at a tensor's value (`item`, `numpy`, `if tensor:`), uses two backends, or an
        argument requires a gradient.
    TypeError : it is no function, or a class, a generator or a coroutine.

    It is recorded anew where a parameter or buffer holds another array (`assign`, `load_state_dict`), or where a layer
    or its mode, an optimiser's option other than the learning rate, or a variable that the code mentions has changed.
    Python's own effects (prints, counters, schedules, arrays made with NumPy) happen at the first two calls alone: keep
    them outside. The memory of `.grad` and of parameters is written into by the next call: copy what is to be kept
    (`detach()` of a parameter is a copy).

    >>> import pullback as pb
    >>> from pullback import nn, optim
    >>> model = nn.Linear(3, 1)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> @pb.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = ((model(x) - y) ** 2).mean()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> losses = [step(pb.ones((4, 3)), pb.zeros((4, 1))).item() for _ in range(5)]
    >>> step.recorded, step.replayed, losses[-1] < losses[0]
    (1, 3, True)
    """
    if function is None:
        return compile
    if not callable(function):
        raise TypeError(f"compile takes a function, not {type(function).__name__}")
    if isinstance(function, type):
        raise TypeError(f"compile takes a function, not the class {function.__name__}; compile an instance of it")
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise TypeError(
            f"compile takes a function that returns what it computes; {function.__qualname__} is a generator or a "
            "coroutine, whose body runs after the call: compile the function that makes one of its steps"
        )
    return Compiled(function)


def _layout(array: Any) -> Any:
    """How an array that is not row-major lies in memory: kernels may sum it in another order."""
    flags = getattr(array, "flags", None)
    return None if flags is None or flags.c_contiguous else array.strides


def _hashable(whole: Any) -> Any:
    """Containers as tuples, with their types and the keys of dicts."""
    if isinstance(whole, dict):
        return (dict, *((key, _hashable(value)) for key, value in whole.items()))
    if isinstance(whole, list | tuple):
        return (type(whole), *map(_hashable, whole))
    return None


def _as_tensors(whole: Any) -> Any:
    return tree.mapped(lambda a: Tensor(a) if isinstance(a, np.ndarray) else a, whole)


def _detached(result: Any) -> Any:
    return tree.mapped(lambda a: Tensor._wrap(a._value, a.backend) if isinstance(a, Tensor) else a, result)


def _copy(a: Any) -> Any:
    if not isinstance(a, Tensor):
        return a
    return Tensor._wrap(a.backend.xp.asarray(a._value, copy=True), a.backend)


def _backend_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Backend:
    """The backend of the tensors among the arguments and of the models; the current one if there is none."""
    for _, a in tree.leaves((args, kwargs)):
        if isinstance(a, Tensor):
            return a.backend
    return current_backend()


def _owned(whole: Any, recorder: Recorder) -> Any:
    """The arguments, with tensors and arrays in memory of the program's own."""

    def own(a: Any) -> Any:
        if isinstance(a, Parameter) or not isinstance(a, Tensor | np.ndarray):
            return a
        backend = recorder.backend
        source = a._value if isinstance(a, Tensor) else backend.asarray(a)
        value = backend.xp.asarray(source, copy=True)
        recorder.inputs.append(recorder.number(value))
        recorder.varying.add(recorder.number(value))
        return Tensor._wrap(value, backend)

    return tree.mapped(own, whole)
