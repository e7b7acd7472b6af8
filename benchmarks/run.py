"""Time every workload on every installed library, interleaved, and report ratios to the fastest peer.

See README.md beside this file for what is measured and how.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from peers import PEERS
from specs import SPECS

HERE = Path(__file__).parent
LIBRARY = {"pullback_": "pullback", "torch_": "torch", "jax_": "jax", "keras_": "keras"}


class Worker:
    """A peer's process."""

    def __init__(self, peer: str, workload: str, threads: int) -> None:
        self.peer = peer
        self.times: list[float] = []
        self.losses: list[float] = []
        self.peak = 0.0
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), peer, workload, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.ready = self._read()
        self.losses += self.ready["losses"]

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            error = self.process.stderr.read().strip().splitlines()
            raise RuntimeError(error[-1] if error else "the process ended without a word")
        return json.loads(line)

    def run(self, steps: int, keep: bool) -> list[float]:
        self.process.stdin.write(json.dumps({"steps": steps}) + "\n")
        self.process.stdin.flush()
        answer = self._read()
        self.losses += answer["losses"]
        self.peak = answer["peak_mib"]
        if keep:
            self.times += answer["times"]
        return answer["times"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)


def sgemm_rate(threads: int) -> float:
    """GFLOP/s of a 2048³ float32 product, in a process of its own: what this machine can do today."""
    code = (
        "import numpy as np, time; a=np.random.rand(2048,2048).astype('f'); b=a.copy(); a@b; best=9\n"
        "for _ in range(8):\n t=time.perf_counter(); a@b; best=min(best,time.perf_counter()-t)\n"
        "print(2*2048**3/best/1e9)"
    )
    env = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    return float(
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    )


def measure(workload: str, peers: list[str], threads: int, seconds: float) -> dict[str, Any]:
    workers, failed = [], {}
    for peer in peers:
        try:
            workers.append(Worker(peer, workload, threads))
        except RuntimeError as error:
            failed[peer] = str(error)
    for worker in workers:
        worker.run(2, keep=False)
    compared = [w for w in workers if w.losses]
    reference = next((w for w in compared if w.peer.startswith("torch")), compared[0] if compared else None)
    agreeing = []
    for worker in compared:
        off = max(abs(a - b) / max(abs(b), 1e-3) for a, b in zip(worker.losses[:3], reference.losses[:3], strict=True))
        if off > 2e-3:
            failed[worker.peer] = f"its losses differ from {reference.peer}'s by {off:.1e}; not timed"
            worker.close()
        else:
            agreeing.append(worker)
    for worker in agreeing:  # warm up, and see how long a step takes
        worker.run(3, keep=False)
    slowest = max((statistics.median(w.run(3, keep=False)) for w in agreeing), default=1.0)
    rounds = 12
    steps = max(1, min(200, round(seconds / rounds / max(slowest, 1e-6) / max(len(agreeing), 1))))
    for _ in range(rounds):
        for worker in agreeing:
            worker.run(steps, keep=True)
    rows = {}
    for worker in agreeing:
        rows[worker.peer] = {
            "median_ms": statistics.median(worker.times) * 1e3,
            "quartiles_ms": [q * 1e3 for q in statistics.quantiles(worker.times, n=4)[::2]],
            "steps": len(worker.times),
            "peak_mib": worker.peak,
            "build_s": worker.ready["build"],
            "first_step_s": worker.ready["first_step"],
        }
        worker.close()
    others = {p: r["median_ms"] for p, r in rows.items() if not p.startswith("pullback")}
    if others:
        fastest = min(others, key=others.__getitem__)
        for row in rows.values():
            row["times_faster_than_best_peer"] = others[fastest] / row["median_ms"]
    return {"rows": rows, "failed": failed}


def installed(peer: str) -> bool:
    module, variant = PEERS[peer]
    library = "numba" if variant == "numba" else LIBRARY[module]
    return importlib.util.find_spec(library) is not None


def markdown(report: dict[str, Any]) -> str:
    lines = [
        f"{report['when']}, {report['threads']} threads, {report['machine']}, "
        f"sgemm {report['sgemm_gflops']:.0f} GFLOP/s.",
        "",
        "| workload | library | median ms | × fastest peer | peak MiB | first step s |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for workload, result in report["workloads"].items():
        for peer, row in sorted(result["rows"].items(), key=lambda item: item[1]["median_ms"]):
            ratio = row.get("times_faster_than_best_peer")
            lines.append(
                f"| {workload} | {peer} | {row['median_ms']:.3f} | {'' if ratio is None else f'{ratio:.2f}'} "
                f"| {row['peak_mib']:.0f} | {row['first_step_s']:.2f} |"
            )
        lines += [f"| {workload} | {peer} | – | {reason} | | |" for peer, reason in result["failed"].items()]
    return "\n".join(lines) + "\n"


def plot(report: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ratio = "times_faster_than_best_peer"
    names = [n for n, r in report["workloads"].items() if any(ratio in x for x in r["rows"].values())]
    if not names:
        return
    fig, ax = plt.subplots(figsize=(7, 0.5 * len(names) + 1))
    for k, peer in enumerate(("pullback-numba", "pullback-numpy")):
        values = [report["workloads"][n]["rows"].get(peer, {}).get(ratio, 0) for n in names]
        ax.barh([i + 0.4 * k for i in range(len(names))], values, height=0.38, label=peer)
    ax.axvline(1, color="black", linewidth=1)
    ax.set_yticks([i + 0.2 for i in range(len(names))], names)
    ax.invert_yaxis()
    ax.set_xlabel("times faster than the fastest peer")
    ax.legend()
    fig.tight_layout()
    fig.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="*", default=list(SPECS), choices=list(SPECS))
    parser.add_argument("--peers", nargs="*", default=None, choices=list(PEERS))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=20, help="timed seconds per workload, over all libraries")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    peers = [p for p in (args.peers or PEERS) if installed(p)]
    report: dict[str, Any] = {
        "when": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "threads": args.threads,
        "sgemm_gflops": sgemm_rate(args.threads),
        "workloads": {},
    }
    for workload in args.workloads:
        report["workloads"][workload] = measure(workload, peers, args.threads, args.seconds)
        print(markdown({**report, "workloads": {workload: report["workloads"][workload]}}), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "report.json").write_text(json.dumps(report, indent=1))
    (args.out / "report.md").write_text(markdown(report))
    plot(report, args.out / "report.png")
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
