"""Processes that run one library's workload each, and the interleaved measurement of several of them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROUNDS = 12
TOLERANCE = 2e-3  # of the losses of the first steps, relative


class Worker:
    """A library's process."""

    def __init__(self, peer: str, workload: str, threads: int, **environment: str) -> None:
        self.peer = peer
        self.times: list[float] = []
        self.losses: list[float] = []
        self.peak = self.resident = 0.0
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), peer, workload, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        self.ready = self._read()
        self.losses += self.ready["losses"]

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            error = self.process.stderr.read().strip().splitlines()
            self.close()
            raise RuntimeError(error[-1] if error else "the process ended without a word")
        return json.loads(line)

    def ask(self, **command: float) -> None:
        """Send a command: `steps`, or `seconds` to run at least so long."""
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self, keep: bool = True) -> list[float]:
        """Wait for the answer; seconds of each step."""
        found = self._read()
        self.losses += found["losses"]
        self.peak, self.resident = found["peak_mib"], found["resident_mib"]
        if keep:
            self.times += found["times"]
        return found["times"]

    def run(self, keep: bool = True, **command: float) -> list[float]:
        self.ask(**command)
        return self.answer(keep)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()
        self.process.stderr.close()

    def row(self) -> dict[str, Any]:
        """What was measured."""
        return {
            "median_ms": statistics.median(self.times) * 1e3,
            "quartiles_ms": [q * 1e3 for q in statistics.quantiles(self.times, n=4)[::2]],
            "steps": len(self.times),
            "peak_mib": self.peak,
            "resident_mib": self.resident,
            "import_s": self.ready["import"],
            "first_step_s": self.ready["build"] + self.ready["first_step"],
        }


def agreeing(workers: list[Worker], failed: dict[str, str]) -> list[Worker]:
    """Those whose losses of the first three steps are PyTorch's, or the first one's; the others are closed."""
    for worker in workers:
        worker.run(keep=False, steps=2)
    reference = next((w for w in workers if w.peer.startswith("torch")), workers[0] if workers else None)
    kept = []
    for worker in workers:
        pairs = zip(worker.losses[:3], reference.losses[:3], strict=True)
        off = max(abs(a - b) / max(abs(b), 1e-3) for a, b in pairs)
        if off <= TOLERANCE:
            kept.append(worker)
        else:
            failed[worker.peer] = f"its losses differ from {reference.peer}'s by {off:.1e}; not timed"
            worker.close()
    return kept


def measure(workload: str, peers: list[str], threads: int, seconds: float) -> dict[str, Any]:
    """Time a workload on these peers in turns: every one gets at least its share of the seconds, in `ROUNDS` parts.

    Between turns there is a pause, in which the threads of who worked last go to sleep, and each turn begins with a
    step that is not counted, since others have used the caches.
    """
    started, failed = [], {}
    for peer in peers:
        try:
            started.append(Worker(peer, workload, threads))
        except RuntimeError as error:
            failed[peer] = str(error)
    workers = agreeing(started, failed)
    for worker in workers:
        worker.run(keep=False, seconds=0.3)
    share = seconds / ROUNDS / max(len(workers), 1)
    for _ in range(ROUNDS):
        for worker in workers:
            time.sleep(0.01)
            worker.run(keep=False, steps=1)
            worker.run(seconds=share)
    rows = {worker.peer: worker.row() for worker in workers}
    for worker in workers:
        worker.close()
    others = {p: r["median_ms"] for p, r in rows.items() if not p.startswith("pullback")}
    if others:
        fastest = min(others, key=others.__getitem__)
        for row in rows.values():
            row["times_faster_than_best_peer"] = others[fastest] / row["median_ms"]
    return {"rows": rows, "failed": failed}
