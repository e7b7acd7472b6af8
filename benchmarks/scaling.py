"""Cost an image of the CNN training step as the batch grows: flat is right, a step up is a cliff.

python benchmarks/scaling.py --peers pullback-numba torch-fused keras
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import machine
from peers import PEERS, installed
from report import plot_scaling
from specs import positive
from workers import measure

HERE = Path(__file__).parent
COMPARED = ["pullback-numba", "pullback-numba-compiled", "torch-fused", "torch-channels-last-fused", "jax", "keras"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="*", default=COMPARED, choices=list(PEERS))
    parser.add_argument("--batches", type=int, nargs="*", default=[32, 64, 128, 256, 512, 1024, 2048])
    parser.add_argument("--threads", type=positive, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=20, help="timed seconds per batch, over all libraries")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    peers = [p for p in args.peers if installed(p)]
    times: dict[str, dict[int, float]] = {peer: {} for peer in peers}
    peaks: dict[str, dict[int, float]] = {peer: {} for peer in peers}
    for batch in args.batches:
        result = measure(f"cnn-{batch}", peers, args.threads, args.seconds)
        for peer, row in result["rows"].items():
            times[peer][batch], peaks[peer][batch] = row["median_ms"], row["peak_mib"]
        for peer, reason in result["failed"].items():
            print(f"batch {batch}, {peer}: {reason}")
        costs = (f"{peer} {1e3 * by[batch] / batch:.0f}" for peer, by in times.items() if batch in by)
        print(f"batch {batch}: {', '.join(costs)} µs an image", flush=True)
    lines = [f"{machine.describe()}, {args.threads} threads: µs an image (peak MiB of the step)", ""]
    lines += ["| batch | " + " | ".join(peers) + " |", "|---:|" + "---:|" * len(peers)]
    for batch in args.batches:
        cells = [
            f"{1e3 * times[p][batch] / batch:.0f} ({peaks[p][batch]:.0f})" if batch in times[p] else "–" for p in peers
        ]
        lines.append(f"| {batch} | " + " | ".join(cells) + " |")
    for peer in peers:
        each = [ms / n for n, ms in times[peer].items()]
        if each:
            lines.append(f"\n{peer}: dearest to cheapest image {max(each) / min(each):.2f}")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "scaling.json").write_text(json.dumps({"median_ms": times, "peak_mib": peaks}, indent=1))
    (args.out / "scaling.md").write_text("\n".join(lines) + "\n")
    plot_scaling(times, args.out / "scaling.png")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
