"""This machine: what it is, and its matrix-product rate, which is the yardstick for everything made of products."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

_SGEMM = """
import numpy as np, time
a = np.random.rand(2048, 2048).astype("f"); b = a.copy(); a @ b; best = 9.0
for _ in range(8):
    start = time.perf_counter(); a @ b; best = min(best, time.perf_counter() - start)
print(2 * 2048**3 / best / 1e9)
"""


def sgemm_rate(threads: int) -> float:
    """GFLOP/s of a 2048³ float32 product by NumPy's BLAS, the best of eight, in a process of its own."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run([sys.executable, "-c", _SGEMM], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def describe() -> str:
    """Processor, cores, Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    wide = "AVX-512" if any("avx512f" in line for line in lines) else "no AVX-512"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.machine()} {name} ({wide}), {cores} cores, Python {platform.python_version()}"
