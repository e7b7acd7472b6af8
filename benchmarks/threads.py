"""What threads gain, and what two processes on one machine cost each other.

    python benchmarks/threads.py                     # the CNN step at batch 128, pullback and torch-fused

Gain: time a step with one thread on one core over that with all. Sharing: two processes that train at once, each told
to use all threads; 1.00 is as fast as one after the other, more is slower: spinning and oversubscription show here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from peers import PEERS, installed
from specs import named, positive
from workers import Worker

HERE = Path(__file__).parent
ROUNDS = 8


def gain(peer: str, workload: str, threads: int, seconds: float) -> dict[str, float]:
    """Median ms with one thread and with `threads`, in turns."""
    workers = [Worker(peer, workload, n) for n in (1, threads)]
    for worker in workers:
        worker.run(keep=False, seconds=0.5)
    for _ in range(ROUNDS):
        for worker in workers:
            time.sleep(0.01)
            worker.run(keep=False, steps=1)
            worker.run(seconds=seconds / ROUNDS / 2)
    one, many = (statistics.median(w.times) * 1e3 for w in workers)
    for worker in workers:
        worker.close()
    return {"one_ms": one, "many_ms": many, "gain": one / many}


def sharing(peer: str, workload: str, threads: int, seconds: float) -> dict[str, float]:
    """Steps a second of one process alone, and of two together at once, in turns; the same number of threads each."""
    workers = [Worker(peer, workload, threads) for _ in range(2)]
    for worker in workers:
        worker.run(keep=False, seconds=0.5)
    part = seconds / ROUNDS / 3
    alone: list[float] = []
    together: list[float] = []
    for k in range(ROUNDS):
        alone.append(_rate([workers[k % 2]], part))
        together.append(_rate(workers, 2 * part))
    for worker in workers:
        worker.close()
    one, both = statistics.median(alone), statistics.median(together)
    return {"alone_steps_per_s": one, "together_steps_per_s": both, "slowdown": one / both}


def _rate(workers: list[Worker], seconds: float) -> float:
    """Steps a second of these workers, all at once."""
    time.sleep(0.01)
    for worker in workers:
        worker.ask(seconds=seconds)
    times = [worker.answer() for worker in workers]
    return sum(len(t) / sum(t) for t in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", type=named, default="cnn-128")
    parser.add_argument(
        "--peers", nargs="*", default=["pullback-numba", "pullback-numba-compiled", "torch-fused"], choices=list(PEERS)
    )
    parser.add_argument("--threads", type=positive, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=12, help="of each measurement")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    report: dict[str, Any] = {"workload": args.workload, "threads": args.threads}
    for peer in filter(installed, args.peers):
        found = gain(peer, args.workload, args.threads, args.seconds)
        shared = sharing(peer, args.workload, args.threads, args.seconds)
        report[peer] = {**found, **shared}
        print(
            f"{args.workload} {peer}: 1 thread {found['one_ms']:.2f} ms, {args.threads} threads {found['many_ms']:.2f} "
            f"ms, gain {found['gain']:.2f}; two processes at once take {shared['slowdown']:.2f} of twice one",
            flush=True,
        )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "threads.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
