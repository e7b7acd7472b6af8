"""Time every workload on every installed library, interleaved, and report ratios to the fastest peer.

See README.md beside this file for what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import machine
import startup
from peers import PEERS, applies, installed
from report import markdown, plot
from specs import SPECS, find, flops, named, positive
from workers import measure

HERE = Path(__file__).parent


def start_up(peers: list[str], threads: int) -> dict[str, Any]:
    """Import time and installed size by library, compile time by peer."""
    kept = {PEERS[p][0].rstrip("_") for p in peers}
    libraries = {
        name: {
            "import_s": startup.import_time(module),
            **startup.installed_size(startup.DISTRIBUTIONS[name], startup.EXTRA.get(name, [])),
        }
        for name, module in startup.MODULES.items()
        if name in kept
    }
    workload, compiled = "cnn-32", {}
    for peer in peers:
        if applies(peer, SPECS[workload]):
            try:
                compiled[peer] = startup.compile_time(peer, workload, threads)
            except RuntimeError as error:
                compiled[peer] = {"failed": str(error)}
    return {"libraries": libraries, "workload": workload, "compile": compiled}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--workloads", nargs="*", type=named, default=list(SPECS), help=f"of {', '.join(SPECS)}; also cnn-N, mlp-N"
    )
    parser.add_argument("--peers", nargs="*", default=None, choices=list(PEERS))
    parser.add_argument("--threads", type=positive, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=20, help="timed seconds per workload, over all libraries")
    parser.add_argument("--no-startup", action="store_true", help="leave out import time, size and compile time")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    peers = [p for p in (args.peers or PEERS) if installed(p)]
    report: dict[str, Any] = {
        "when": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python benchmarks/run.py", *sys.argv[1:]]),
        "machine": machine.describe(),
        "threads": args.threads,
        "sgemm_gflops": machine.sgemm_rate(args.threads),
        "workloads": {},
    }
    args.out.mkdir(parents=True, exist_ok=True)

    def save() -> None:
        (args.out / "report.json").write_text(json.dumps(report, indent=1))
        (args.out / "report.md").write_text(markdown(report))

    for workload in args.workloads:
        spec = find(workload)
        result = measure(workload, [p for p in peers if applies(p, spec)], args.threads, args.seconds)
        report["sgemm_gflops"] = max(report["sgemm_gflops"], machine.sgemm_rate(args.threads))
        report["workloads"][workload] = {"flops": flops(spec), "batch": spec.batch, **result}
        print(markdown({**report, "workloads": {workload: report["workloads"][workload]}}), flush=True)
        save()
    if not args.no_startup:
        report["startup"] = start_up(peers, args.threads)
        print(markdown({**report, "workloads": {}}), flush=True)
        save()
    plot(report, args.out / "report.png")
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
