"""One library, one workload, in a process of its own: builds it, then runs steps when told to, timing them itself.

Reads one JSON command a line, {"steps": n} or {"seconds": s}, the latter for at least so long, and answers
{"times": [...], "losses": [...], ...}, times in seconds a step.

Memory is resident memory, by the system's own high-water mark: `peak_mib`, the peak while steps run less what was
resident before model and data were built, when the library was imported and had computed something; `resident_mib`,
that peak itself.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

STATUS = Path("/proc/self/status")
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PULLBACK_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
)  # fmt: skip


def limit(threads: int) -> None:
    """One number of threads for all: by their variables, and by the cores they may run on."""
    for name in THREADS:
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if threads < len(cores):
            start = int(os.environ.get("BENCHMARK_FIRST_CORE", "0")) % len(cores)
            os.sched_setaffinity(0, (cores + cores)[start : start + threads])


def resident(kind: str) -> float:
    """MiB: "VmRSS", resident now, or "VmHWM", the most since it was last reset; without /proc, the most ever."""
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(int(line.split()[1]) / 1024 for line in STATUS.read_text().splitlines() if line.startswith(kind))


def reset_peak() -> None:
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")


def main(peer: str, workload: str, threads: int) -> None:
    limit(threads)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the library prints goes to stderr
    from peers import PEERS
    from specs import find

    start = time.perf_counter()
    name, variant = PEERS[peer]
    module = importlib.import_module(f"peers.{name}")
    module.prime(variant)
    imported = time.perf_counter()
    before = resident("VmRSS")
    begun = time.perf_counter()
    step = module.build(find(workload), variant)
    built = time.perf_counter()
    first = step()
    cold = time.perf_counter()
    ready = {"import": imported - start, "build": built - begun, "first_step": cold - built, "losses": [first]}
    print(json.dumps(ready), file=answers, flush=True)
    count = getattr(step, "steps", lambda: 1)
    for line in sys.stdin:
        command = json.loads(line)
        times, losses = [], []
        reset_peak()
        end = time.perf_counter() + command.get("seconds", 0)
        while len(times) < command.get("steps", 1) or time.perf_counter() < end:
            steps = count()
            begin = time.perf_counter()
            loss = step()
            times.append((time.perf_counter() - begin) / steps)
            losses.append(loss)
        peak = resident("VmHWM")
        answer = {"times": times, "losses": losses[:8], "peak_mib": peak - before, "resident_mib": peak}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
