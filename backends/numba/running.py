"""Running kernels: the one loop that calls a kernel's machine code for all tasks, on all threads, and doing so again.

Numba's own parallel functions cost seconds each to compile; here there is just one of them, for every kernel.

Launches can be written down as they are made (`noting_launches`) and repeated from a table, without Python between them
(`replay`).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import prange, types

from .. import threads
from . import workers
from .caching import cached
from .workers import call_task


@dataclass(slots=True)
class Launch:
    """One run of a kernel: enough to run it again, on the same memory."""

    address: int
    block: Any
    tasks: int
    args: tuple[Any, ...]
    kinds: list[Any]


class Notes:
    """What a thread launched, and the arrays whose addresses it took."""

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.addressed: list[Any] = []


def _all_tasks(address: int, block: int, tasks: int) -> None:
    for task in prange(tasks):
        call_task(address, block, np.int64(task))


class _Loops:
    """What runs tasks: the pool of `workers.py`, or, where there is no futex to sleep on, Numba's parallel loop."""

    pool: workers.Pool | None = None
    plain: Any = None  # `_all_tasks` on this thread
    parallel: Any = None  # `_all_tasks` on Numba's threads
    one_at_a_time: AbstractContextManager[Any] = nullcontext()
    compiled: tuple[Any, ...] = ()


_loops = _Loops()
_setup = threading.Lock()


class Local(threading.local):
    version = -1
    helpers = 0
    notes: Notes | None = None  # where this thread's launches are written down


local = Local()


def run(address: int, block: int, tasks: int) -> None:
    """Call the C function at that address for every task; the tasks are shared among the threads."""
    if local.version != threads.version():
        _prepare()
    pool = _loops.pool
    if pool is not None:
        pool.run(address, block, tasks, local.helpers)
    elif tasks == 1:
        _loops.plain(address, block, 1)
    else:
        with _loops.one_at_a_time:
            _loops.parallel(address, block, tasks)


@contextmanager
def noting_launches() -> Iterator[Notes]:
    """Within the block, all launches of this thread are written down."""
    before, notes = local.notes, Notes()
    local.notes = notes
    try:
        yield notes
    finally:
        local.notes = before


def replay(table: Any, start: int, stop: int) -> int:
    """Run the launches in these rows of a table (address, block, tasks, address of a flag or 0) in order.

    Returns −1, or the row whose flag was set: what comes after it did not run.
    """
    if local.version != threads.version():
        _prepare()
    pool = _loops.pool
    if pool is not None:
        return pool.replay(table, start, stop, local.helpers)
    for row in range(start, stop):
        address, block, tasks, flag = (int(word) for word in table[4 * row : 4 * row + 4])
        run(address, block, tasks)
        if flag and ctypes.c_int64.from_address(flag).value:
            return row
    return -1


def _prepare() -> None:
    """Read the number of threads; the first call compiles the loops and starts the threads."""
    with _setup:
        if not _loops.compiled:
            threads.kernels_started()
            if workers.AVAILABLE:
                loop = _driver(workers.all_tasks, types.void(*[types.int64] * 7), "pool")
                work = _driver(workers.work, types.void(*[types.int64] * 5), "pool")
                _loops.pool, _loops.compiled = workers.Pool(loop, work, _replay_driver), (loop, work)
            else:
                signature = types.void(*[types.int64] * 3)
                _loops.plain = _driver(_all_tasks, signature, "serial")
                _loops.parallel = _driver(_all_tasks, signature, "parallel")
                _loops.compiled = _loops.plain, _loops.parallel
        if _loops.pool is None:
            numba.set_num_threads(min(threads.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
            if numba.threading_layer() == "workqueue":  # aborts the process if two Python threads use it at once
                _loops.one_at_a_time = threading.Lock()
        else:
            local.helpers = threads.get_num_threads() - 1
            _loops.pool.grow(local.helpers)
        local.version = threads.version()


def _driver(fn: Any, signature: Any, kind: str) -> Any:
    made = numba.njit(nogil=True, error_model="numpy", parallel=kind == "parallel")(fn)
    cached(made, fn, kind).compile(signature)
    return made


def _replay_driver() -> Any:
    words = types.Array(types.int64, 1, "C")
    return _driver(workers.replay, types.int64(words, *[types.int64] * 6), "pool")


def prepare_loops() -> bool:
    """Compile the loops that run tasks, or load them; returns whether they came from the cache."""
    _prepare()
    made = list(_loops.compiled)
    if _loops.pool is not None:
        made.append(_loops.pool.replay_loop())
    return all(loop.stats.cache_hits for loop in made)


def describe() -> str:
    """Numba's version, the number of threads and their kind."""
    _prepare()
    kind = numba.threading_layer() if _loops.pool is None else "own"
    return f"Numba {numba.__version__}, {threads.get_num_threads()} threads ({kind})"
