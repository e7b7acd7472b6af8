"""One library, one workload, in a process of its own: builds it, then runs steps when told to, timing them itself.

Reads one JSON command a line: {"steps": n}, answers {"times": [...], "losses": [...]} in seconds a step.
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


def main(peer: str, workload: str, threads: int) -> None:
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "PULLBACK_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
    ):
        os.environ[name] = str(threads)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the library prints goes to stderr
    from peers import PEERS
    from specs import SPECS

    start = time.perf_counter()
    module, variant = PEERS[peer]
    step = importlib.import_module(f"peers.{module}").build(SPECS[workload], variant)
    built = time.perf_counter()
    first = step()
    cold = time.perf_counter()
    print(
        json.dumps({"ready": True, "build": built - start, "first_step": cold - built, "losses": [first]}),
        file=answers,
        flush=True,
    )
    count = getattr(step, "steps", lambda: 1)
    for line in sys.stdin:
        times, losses = [], []
        for _ in range(json.loads(line)["steps"]):
            steps = count()
            begin = time.perf_counter()
            loss = step()
            times.append((time.perf_counter() - begin) / steps)
            losses.append(loss)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"times": times, "losses": losses, "peak_mib": peak}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
