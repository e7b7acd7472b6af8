"""The first training step of a fresh process, with an empty cache of compiled code and with a filled one.

    python benchmarks/compile_time.py                       # the demo's network, batch 32
    python benchmarks/compile_time.py --workloads gpt-12 --peers pullback-numba torch-compile jax
    python benchmarks/compile_time.py --kernels             # pullback: each kernel's seconds, instead

"import" is the library's import and a small product on it, "first step" the model, its data and one step.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from peers import PEERS, installed
from specs import named, positive
from startup import compile_time


def kernels(dtype: str) -> None:
    """Seconds of each kernel, compiled one after the other in this process."""
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp()
    from pullback.backends.numba import warmup

    rows = [(warmup.compile_job(job)[0], job) for job in warmup.jobs([dtype])]
    for seconds, job in sorted(rows, key=lambda row: -row[0]):
        print(f"{seconds:7.2f} s  {job}")
    print(f"{sum(s for s, _ in rows):7.2f} s  all {len(rows)}, the first of them with Numba's own start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", type=named, default=["cnn-32"])
    parser.add_argument("--peers", nargs="+", default=["pullback-numba"], choices=list(PEERS))
    parser.add_argument("--threads", type=positive, default=os.cpu_count())
    parser.add_argument("--kernels", action="store_true")
    args = parser.parse_args()
    if args.kernels:
        kernels("float32")
        return
    for workload in args.workloads:
        for peer in filter(installed, args.peers):
            for state, found in compile_time(peer, workload, args.threads).items():
                print(
                    f"{workload} {peer} {state}: import {found['import_s']:.2f} s, first step "
                    f"{found['first_step_s']:.2f} s, together {sum(found.values()):.2f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
