"""What comes before the first step: import time, installed size, and compile time, cold and warm, by library."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODULES = {"pullback": "pullback", "torch": "torch", "jax": "jax.numpy", "keras": "keras"}
DISTRIBUTIONS = {"pullback": "pullback[numba]", "torch": "torch", "jax": "jax", "keras": "keras"}
EXTRA = {"keras": ["tensorflow", "tensorflow-cpu"]}  # what computes, of which one is there; Keras requires none


def import_time(module: str, repeats: int = 5) -> float:
    """Seconds of `import module` in a fresh process: the median after one run that fills the disk's cache."""
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    times = []
    for _ in range(repeats + 1):
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd="/"
        )
        times.append(float(done.stdout.splitlines()[-1]))
    return statistics.median(times[1:])


def installed_size(requirement: str, more: list[str]) -> dict[str, float]:
    """MiB of a distribution's own files, and of it with all that it requires."""
    from packaging.requirements import Requirement

    own = 0.0
    seen: dict[str, float] = {}
    queue = [Requirement(r) for r in (requirement, *more)]
    while queue:
        wanted = queue.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in seen:
            seen[name] = _size(name, found)
        for text in found.requires or ():
            needed = Requirement(text)
            extras = wanted.extras or {""}
            if needed.name.lower() not in seen and (
                needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras)
            ):
                queue.append(needed)
        own = own or seen[name]
    return {"own_mib": own, "with_requirements_mib": sum(seen.values())}


def _size(name: str, found: importlib.metadata.Distribution) -> float:
    if name == "pullback":  # perhaps installed as a link to its source tree
        import pullback

        root = Path(pullback.__file__).parent
        inside = ("autograd", "backends", "conformance", "nn", "optim", "data", "train")
        files = [*root.glob("*.py"), *(p for d in inside for p in (root / d).rglob("*") if p.suffix in (".py", ".cu"))]
        return sum(p.stat().st_size for p in files) / 2**20
    paths = (Path(str(f.locate())) for f in found.files or () if f.suffix != ".pyc")
    return sum(p.stat().st_size for p in paths if p.is_file()) / 2**20


def first_step(peer: str, workload: str, threads: int, folder: str) -> dict[str, float]:
    """Seconds of import, and of building and the first step, of a fresh process that keeps its compiled code there."""
    environment = {
        **os.environ, "NUMBA_CACHE_DIR": folder, "TORCHINDUCTOR_CACHE_DIR": folder, "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(HERE / "worker.py"), peer, workload, str(threads)], env=environment, input="",
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    ready: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"import_s": ready["import"], "first_step_s": ready["build"] + ready["first_step"]}


def compile_time(peer: str, workload: str, threads: int) -> dict[str, dict[str, float]]:
    """The first step with an empty cache of compiled code, cold, and again with what that left, warm."""
    with tempfile.TemporaryDirectory() as folder:
        return {state: first_step(peer, workload, threads, folder) for state in ("cold", "warm")}
