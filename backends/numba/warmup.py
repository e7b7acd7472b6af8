"""Filling the cache of compiled kernels ahead of their first use: `python -m pullback warmup`.

Numba compiles one function at a time in a process, so the kernels are shared among several.
"""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import threads
from . import compile as compiling
from . import running

__all__ = ["Job", "Warmth", "compile_job", "jobs", "warm_up"]

_LOOPS = "running.run"


@dataclass(frozen=True)
class Job:
    """One kernel, by module and name, for one floating dtype, or for None where it has no floating arrays."""

    name: str
    dtype: str | None

    def __str__(self) -> str:
        return self.name if self.dtype is None else f"{self.name} {self.dtype}"


@dataclass
class Warmth:
    """What a warm-up did: seconds by job for what was compiled, and what the cache already had."""

    compiled: dict[Job, float] = field(default_factory=dict)
    found: list[Job] = field(default_factory=list)
    seconds: float = 0.0


def jobs(dtypes: Iterable[str]) -> list[Job]:
    """All kernels of the package for these dtypes, and the loops that run them."""
    made = [Job(_LOOPS, None)]
    for name, kernel in _kernels():
        made += [Job(name, d) for d in dtypes] if "Floats" in kernel.kinds else [Job(name, None)]
    return made


def _kernels() -> Iterator[tuple[str, compiling.Kernel]]:
    package = importlib.import_module(__package__)
    for info in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{info.name}")
    for name, kernel in sorted(compiling.KERNELS.items()):
        if name.startswith(f"{__package__}."):
            yield name.removeprefix(f"{__package__}."), kernel


def compile_job(job: Job) -> tuple[float, bool]:
    """Compile one; seconds, and whether the cache had it."""
    start = time.perf_counter()
    if job.name == _LOOPS:
        found = running.prepare_loops()
    else:
        importlib.import_module(f"{__package__}.{job.name.split('.')[0]}")
        # a template's kernels belong to the template's module, but whoever names them makes them
        kernel = compiling.KERNELS.get(f"{__package__}.{job.name}") or dict(_kernels())[job.name]
        kernel.compile(job.dtype and np.dtype(job.dtype))
        found = kernel.found
    return time.perf_counter() - start, found


def warm_up(
    dtypes: Iterable[str], processes: int | None = None, done: Callable[[Job, float, bool], Any] = lambda *_: None
) -> Warmth:
    """Compile what the cache does not have; `done(job, seconds, found)` is called as each is ready."""
    start, result = time.perf_counter(), Warmth()
    work = jobs(dtypes)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes or threads.available_cores(), mp_context=context) as pool:
        futures = {pool.submit(compile_job, job): job for job in work}
        for future in as_completed(futures):
            job, (seconds, found) = futures[future], future.result()
            if found:
                result.found.append(job)
            else:
                result.compiled[job] = seconds
            done(job, seconds, found)
    result.seconds = time.perf_counter() - start
    return result
