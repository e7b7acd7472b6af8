"""Where a workload's step goes, op by op: wall time inside each op's kernel, and what is left for Python around them.

python benchmarks/profile_ops.py cnn-128 --backend numba
python benchmarks/profile_ops.py cnn-128 --compiled          # kernel by kernel of a step under pb.compile
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import pullback as pb
from peers import pullback_
from specs import SPECS


class Timed(dict):
    """A backend's kernel table whose entries count their time."""

    def __init__(self, backend: pb.Backend) -> None:
        super().__init__()
        self.backend = backend
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)

    def __setitem__(self, name: str, kernel: Any) -> None:
        def timed(*arrays: Any, **static: Any) -> Any:
            start = time.perf_counter()
            out = kernel(*arrays, **static)
            shapes = " ".join("x".join(map(str, a.shape)) for a in arrays[:2] if getattr(a, "ndim", 0))
            key = f"{name} {shapes}"
            self.seconds[key] += time.perf_counter() - start
            self.calls[key] += 1
            return out

        super().__setitem__(name, timed)


class Watched:
    """A compiled function whose calls can be timed kernel by kernel."""

    def __init__(self, function: Any) -> None:
        self.compiled = pb.autograd.capture.Compiled(function)
        self.table: Timed | None = None

    def __call__(self, *args: Any) -> Any:
        if self.table is None:
            return self.compiled(*args)
        for key, seconds in self.compiled.profile(*args):
            self.table.seconds[key] += seconds
            self.table.calls[key] += 1
        return self.compiled(*args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=list(SPECS))
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    backend = pb.get_backend(args.backend)
    table = Timed(backend)
    watched: list[Watched] = []
    if args.compiled:
        pb.compile = lambda function: watched.append(Watched(function)) or watched[-1]
    else:
        backend._table = table
    step = pullback_.build(SPECS[args.workload], f"{args.backend},compile" if args.compiled else args.backend)
    for _ in range(5):
        step()
    table.seconds.clear()
    table.calls.clear()
    start = time.perf_counter()
    for _ in range(args.steps):
        step()
    total = (time.perf_counter() - start) / args.steps
    for compiled in watched:
        compiled.table = table
        for _ in range(args.steps):
            step()
    print(f"{args.workload} on {args.backend}: {total * 1e3:.2f} ms a step")
    inside = 0.0
    for key, seconds in sorted(table.seconds.items(), key=lambda item: -item[1]):
        each = seconds / args.steps
        inside += each
        if each > total / 200:
            print(f"{each * 1e3:9.3f} ms {each / total:6.1%}  {table.calls[key] // args.steps:4d}x  {key}")
    print(f"{(total - inside) * 1e3:9.3f} ms {(total - inside) / total:6.1%}        outside kernels")


if __name__ == "__main__":
    main()
