"""Threads that share a kernel's tasks.

Each thread claims the next task until none is left, and the caller takes part. It never waits for a thread that has
not come: where the cores are busy with something else it does all tasks by itself, so nothing is lost but the help.
(A barrier, as OpenMP's parallel loops have, waits for every thread to be scheduled, milliseconds where two processes
share the cores.) Idle threads watch for the next job some tens of microseconds, since waking one takes longer than a
small kernel, give way to others for about a millisecond, then sleep on a futex.

One job runs at a time; a second Python thread that comes meanwhile does its tasks alone. The memory the threads share
is a few cache lines: what is written often lies apart.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import sys
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_WORD = ir.IntType(64)
_SYSCALLS = {"x86_64": 202, "aarch64": 98}  # Linux's number of futex
_SCHED_YIELD = 24 if platform.machine() == "x86_64" else 124
AVAILABLE = sys.platform == "linux" and platform.machine() in _SYSCALLS

# bytes from the start of the shared memory
_GENERATION, _SLEEPERS, _STOP, _BUSY = 0, 8, 16, 24
_OPEN, _ADDRESS, _BLOCK, _TASKS, _LIMIT = 128, 136, 144, 152, 160
_NEXT, _ACTIVE = 256, 384
_SIZE = 512
_WATCH, _YIELDS = 2000, 5000  # how often an idle thread looks before it gives way, and then before it sleeps
_WAIT, _WAKE, _EVERYONE = 128, 129, 1 << 30  # FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _WORD.as_pointer())


@intrinsic
def _load(typingctx: Any, address: Any) -> Any:
    """The word at the address, read after everything that was read before."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_pointer(builder, args[0]), "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def _store(typingctx: Any, address: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], _pointer(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _atomic(kind: str) -> Any:
    @intrinsic
    def change(typingctx: Any, address: Any, value: Any) -> Any:
        """Add to the word, or exchange it; returns what was there."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.atomic_rmw(kind, _pointer(builder, args[0]), args[1], "seq_cst")

        return types.int64(types.int64, types.int64), codegen

    return change


_add, _exchange = _atomic("add"), _atomic("xchg")


@intrinsic
def _pause(typingctx: Any) -> Any:
    """Tell the core that this is a loop that waits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if platform.machine() == "x86_64":
            hint, arguments = "llvm.x86.sse2.pause", []
        else:
            hint, arguments = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]
        function = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, function, hint), arguments)
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def call_task(typingctx: Any, address: Any, block: Any, task: Any) -> Any:
    """Call the C function at that address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = ir.FunctionType(ir.VoidType(), [_WORD, _WORD])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def _futex(typingctx: Any, syscall: Any, number: Any, address: Any, what: Any, value: Any) -> Any:
    """Linux's futex(address, what, value), or another call, through the C library's `syscall` at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = ir.FunctionType(_WORD, [_WORD] * 5)
        return builder.call(builder.inttoptr(args[0], function.as_pointer()), [*args[1:], ir.Constant(_WORD, 0)])

    return types.int64(*[types.int64] * 5), codegen


@intrinsic
def _give_way(typingctx: Any, sched_yield: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.call(builder.inttoptr(args[0], ir.FunctionType(ir.IntType(32), []).as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


_options = {"nogil": True, "error_model": "numpy"}


@numba.njit(**_options)
def _claim(state: int, address: int, block: int, tasks: int) -> None:
    while True:
        task = _add(state + _NEXT, 1)
        if task >= tasks:
            return
        call_task(address, block, task)


def all_tasks(address: int, block: int, tasks: int, state: int, limit: int, syscall: int, number: int) -> None:
    """Run all tasks, with the help of the first `limit` threads of the pool; with none if there is no pool (0)."""
    if tasks == 1 or limit == 0 or _exchange(state + _BUSY, 1) != 0:
        for task in range(tasks):
            call_task(address, block, task)
        return
    _store(state + _ADDRESS, address)
    _store(state + _BLOCK, block)
    _store(state + _TASKS, tasks)
    _store(state + _LIMIT, limit)
    _store(state + _NEXT, 0)
    _store(state + _OPEN, 1)
    _add(state + _GENERATION, 1)
    if _load(state + _SLEEPERS) > 0:
        _futex(syscall, number, state + _GENERATION, _WAKE, _EVERYONE)
    _claim(state, address, block, tasks)
    _store(state + _OPEN, 0)
    looks = 0
    while _load(state + _ACTIVE) > 0:  # those still at a task, or about to see that the job is closed
        looks += 1
        if looks < _WATCH:
            _pause()
        else:  # one of them may wait for a core: this one, perhaps
            _futex(syscall, _SCHED_YIELD, 0, 0, 0)
    _store(state + _BUSY, 0)


_all_tasks = numba.njit(**_options)(all_tasks)


def replay(
    table: Any, start: int, stop: int, state: int, limit: int, syscall: int, number: int
) -> int:  # fmt: skip
    """Run the jobs in these rows of a table: address, block, tasks, and the address of a flag, or 0.

    Stops behind the first job that set its flag, and returns its row; −1 if none did.
    """
    for row in range(start, stop):
        _all_tasks(table[4 * row], table[4 * row + 1], table[4 * row + 2], state, limit, syscall, number)
        flag = table[4 * row + 3]
        if flag != 0 and _load(flag) != 0:
            return row
    return -1


def work(state: int, index: int, syscall: int, number: int, sched_yield: int) -> None:
    """A thread's life."""
    seen = 0
    while True:
        looks = 0
        generation = _load(state + _GENERATION)
        while generation == seen:
            looks += 1
            if looks < _WATCH:
                _pause()
            elif looks < _WATCH + _YIELDS:
                _give_way(sched_yield)
            else:
                _add(state + _SLEEPERS, 1)
                _futex(syscall, number, state + _GENERATION, _WAIT, seen & 0xFFFFFFFF)
                _add(state + _SLEEPERS, -1)
            generation = _load(state + _GENERATION)
        seen = generation
        if _load(state + _STOP) != 0:
            return
        _add(state + _ACTIVE, 1)  # before looking whether the job is open: its caller closes it, then waits for these
        if _load(state + _OPEN) != 0 and index < _load(state + _LIMIT):
            _claim(state, _load(state + _ADDRESS), _load(state + _BLOCK), _load(state + _TASKS))
        _add(state + _ACTIVE, -1)


class Pool:
    """The threads, and `run`, which is safe under any number of Python threads.

    Parameters
    ----------
    compiled_loop, compiled_work : `all_tasks` and `work`, compiled. compile_replay : compiles `replay`.
    """

    def __init__(self, compiled_loop: Any, compiled_work: Any, compile_replay: Callable[[], Any]) -> None:
        memory = np.zeros(_SIZE + 128, np.uint8)
        self._memory, self._process = memory, os.getpid()
        self._state = -(-memory.ctypes.data // 128) * 128
        self._loop, self._work = compiled_loop, compiled_work
        self._compile_replay = compile_replay
        self._replay: Any = None
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        library = ctypes.CDLL(None)
        self._syscall, self._yield = (
            ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (library.syscall, library.sched_yield)
        )
        self._number = _SYSCALLS[platform.machine()]
        atexit.register(self.stop)  # before the compiled code is freed

    def grow(self, helpers: int) -> None:
        """Have at least so many threads besides the caller."""
        with self._lock:
            for index in range(len(self._threads), helpers):
                arguments = (self._state, index, self._syscall, self._number, self._yield)
                thread = threading.Thread(
                    target=self._work, args=arguments, name=f"pullback-kernels-{index}", daemon=True
                )
                thread.start()
                self._threads.append(thread)

    def run(self, address: int, block: int, tasks: int, helpers: int) -> None:
        """Call the C function at that address for every task, on this thread and at most `helpers` of the pool."""
        self._loop(address, block, tasks, self._state, helpers, self._syscall, self._number)

    def replay_loop(self) -> Any:
        """`replay`, compiled when it is first wanted."""
        if self._replay is None:
            self._replay = self._compile_replay()
        return self._replay

    def replay(self, table: Any, start: int, stop: int, helpers: int) -> int:
        """Run the jobs in these rows of a table; see the function of this name."""
        row: int = self.replay_loop()(table, start, stop, self._state, helpers, self._syscall, self._number)
        return row

    def stop(self) -> None:
        """End the threads."""
        if self._process != os.getpid():
            return
        word = ctypes.c_int64.from_address
        word(self._state + _STOP).value = 1
        word(self._state + _GENERATION).value += 1
        ctypes.CDLL(None).syscall(self._number, ctypes.c_void_p(self._state), _WAKE, _EVERYONE, None)
        for thread in self._threads:
            thread.join(timeout=1.0)
