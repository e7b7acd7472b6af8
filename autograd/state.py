"""What a thread is doing right now: which interpreter applies ops, and whether they are recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Now:
    """What one thread is doing.

    Attributes
    ----------
    apply : `apply(prim, args, params)` of the current interpreter; every op goes through it.
    grad : whether ops on tensors that require a gradient are recorded.
    anomaly : whether values and cotangents are checked for NaN and infinities.
    levels : the `vmap` calls that are running, outermost first.
    capture : what records the compiled step that is running, or None; see `capture/`.
    """

    __slots__ = ("anomaly", "apply", "capture", "grad", "levels")

    #: The interpreter that a thread starts with: `eager`, once that is imported.
    default: Any = None

    def __init__(self) -> None:
        self.apply = Now.default
        self.grad = True
        self.anomaly = False
        self.levels: tuple[Any, ...] = ()
        self.capture: Any = None


class _State(threading.local):
    """Per-thread state: `now` is the one look-up by thread that the hot path can afford."""

    def __init__(self) -> None:
        self.now = Now()


state = _State()


@contextmanager
def interpreter(apply: Callable[..., Any]) -> Iterator[None]:
    """Within the block, every op of this thread goes through `apply`."""
    before = state.now.apply
    state.now.apply = apply
    try:
        yield
    finally:
        state.now.apply = before


class _GradMode:
    """A context manager and a decorator that sets whether ops are recorded."""

    def __init__(self, value: bool, name: str) -> None:
        self.value = value
        self.__name__ = name

    def __call__(self, fn: Callable[..., Any] | None = None) -> Any:
        if fn is None:
            return _GradBlock(self.value)

        import functools

        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _GradBlock(self.value):
                return fn(*args, **kwargs)

        return wrapped


class _GradBlock:
    __slots__ = ("before", "value")

    def __init__(self, value: bool) -> None:
        self.value = value

    def __enter__(self) -> None:
        self.before = state.now.grad
        state.now.grad = self.value

    def __exit__(self, *exc: object) -> None:
        state.now.grad = self.before

    def __call__(self, fn: Callable[..., Any]) -> Any:
        return _GradMode(self.value, "grad_mode")(fn)


#: `with no_grad():` or `@no_grad` or `@no_grad()`: ops inside are not recorded.
no_grad = _GradMode(False, "no_grad")
#: `with enable_grad():`: ops inside are recorded again, within a `no_grad` block.
enable_grad = _GradMode(True, "enable_grad")


def is_grad_enabled() -> bool:
    """Whether ops are being recorded in this thread."""
    return state.now.grad
