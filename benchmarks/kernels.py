"""Time single ops on pullback, PyTorch and, for some, JAX: rows of `kernel_rows.py`, each library in its own process.

    python benchmarks/kernels.py                  all rows
    python benchmarks/kernels.py conv norm/rms    rows whose names contain one of these words

The processes take turns within one row, a fraction of a second each, after their results and gradients have been
compared. Times are medians, in microseconds, of eager calls: forward, and backward where a row has gradients. The ratio
is the fastest peer's time over pullback's: above 1, pullback is faster.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from kernel_rows import ROWS, Row
from specs import positive
from worker import limit

PEERS = ("pullback", "torch", "torch-channels-last", "jax")
ROUNDS = 5
TOLERANCE = {"float32": 2e-4, "float64": 1e-9}  # of the largest value in an array
Arrays = list[np.ndarray[Any, Any]]


def applies(peer: str, row: Row) -> bool:
    """Whether a library has this row."""
    if peer == "jax":
        return row.jax is not None
    return peer != "torch-channels-last" or (row.last and len(row.shapes[0]) in (4, 5))


def inputs(row: Row) -> Arrays:
    """The same numbers in every process."""
    rng = np.random.default_rng(0)
    made = [rng.standard_normal(shape).astype(row.dtype) for shape in row.shapes]
    return [np.minimum(np.abs(a) + 0.1, 0.95 if "asin" in row.name else 9) if row.positive else a for a in made]


def channels_last(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same array, with axis 1 last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim > 2 else a


def cotangent(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


def host(a: Any) -> np.ndarray[Any, Any]:
    """A library's array as NumPy's."""
    return np.asarray(a.detach().numpy() if hasattr(a, "detach") else a)


# ------------------------------------------------------------ the libraries: row -> a step that returns its results


def training(run: Callable[[], Any], wanted: list[Any], g: Any) -> Callable[[], Any]:
    """Forward and backward: the result, and the gradients of what is wanted."""

    def step() -> Any:
        for x in wanted:
            x.grad = None
        out = run()
        out.backward(g)
        return [out, *(x.grad for x in wanted)]

    return step


def build_pullback(row: Row, peer: str) -> Callable[[], Any]:
    import pullback as pb
    from pullback.nn import functional as F

    def tensor(a: np.ndarray[Any, Any], i: int) -> Any:
        return pb.tensor(channels_last(a) if row.last and i == 0 else a, requires_grad=i in row.wanted)

    xs = [tensor(a, i) for i, a in enumerate(inputs(row))]
    if not row.wanted:
        return lambda: [row.run(pb, F, *xs)]
    out = row.run(pb, F, *xs)
    g = cotangent(tuple(out.shape), out.dtype.name)
    g = pb.tensor(channels_last(g) if row.last else g)
    return training(lambda: row.run(pb, F, *xs), [xs[i] for i in row.wanted], g)


def build_torch(row: Row, peer: str) -> Callable[[], Any]:
    import torch
    from torch.nn import functional as F

    def laid(a: np.ndarray[Any, Any], i: int = 0) -> Any:
        x = torch.tensor(a)
        if peer == "torch" or x.ndim not in (4, 5) or x.shape[1] == 1:
            return x
        return x.to(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)

    xs = [laid(a).requires_grad_(i in row.wanted) for i, a in enumerate(inputs(row))]
    if not row.wanted:
        return lambda: [row.run(torch, F, *xs)]
    out = row.run(torch, F, *xs)
    g = laid(cotangent(tuple(out.shape), str(out.dtype).removeprefix("torch.")))
    return training(lambda: row.run(torch, F, *xs), [xs[i] for i in row.wanted], g)


def build_jax(row: Row, peer: str) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    xs = [jnp.asarray(a) for a in inputs(row)]
    run = row.jax
    assert run is not None
    g = jnp.asarray(cotangent(jax.eval_shape(lambda *xs: run(jax, jnp, *xs), *xs).shape, row.dtype))

    @jax.jit
    def both(g: Any, *xs: Any) -> Any:
        out, back = jax.vjp(lambda *xs: run(jax, jnp, *xs), *xs)
        return [out, *back(g)]

    return lambda: jax.block_until_ready(both(g, *xs))


BUILDERS = {"pullback": build_pullback, "jax": build_jax}


def worker(peer: str, threads: int) -> None:
    """Answer commands, one JSON object a line: {"row", "save": file} and {"seconds"}."""
    limit(threads)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the library prints goes to stderr
    if peer.startswith("torch"):
        import torch

        torch.set_num_threads(threads)
    elif peer == "pullback":
        import pullback as pb

        pb.set_num_threads(threads)
    build, step = BUILDERS.get(peer, build_torch), None
    for line in sys.stdin:
        command = json.loads(line)
        times: list[float] = []
        if "row" in command:
            row, step = ROWS[command["row"]], None  # the last row's arrays are gone before the next are made
            step = build(row, peer)
            np.savez(command["save"], *[host(a) for a in step()])
        end = time.perf_counter() + command.get("seconds", 0)
        while step is not None and (len(times) < 3 or time.perf_counter() < end):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), file=answers, flush=True)


# ------------------------------------------------------------ the measurement


class Process:
    """A library's worker."""

    def __init__(self, peer: str, threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", peer, "--threads", str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, **command: Any) -> list[float]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a worker ended; its error is above")
        times: list[float] = json.loads(line)
        return times

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def differs(row: Row, ours: Arrays, theirs: Arrays) -> str:
    """Where two libraries' results differ by more than rounding; nothing if they agree."""
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a.shape != b.shape:
            return f"result {i} has shape {a.shape}, not {b.shape}"
        a, b = a.astype(np.float64), b.astype(np.float64)
        if row.random:
            a, b = a.mean(), b.mean()
        limit = 0.02 if row.random else TOLERANCE[row.dtype] * np.abs(b).max(initial=1e-30)
        if not (np.abs(a - b) <= limit).all():
            return f"result {i} differs by {np.abs(a - b).max():.3g} of {np.abs(b).max():.3g}"
    return ""


def measure(row: Row, processes: dict[str, Process], seconds: float) -> tuple[dict[str, float], str]:
    """Medians by peer, and what is wrong with the results if anything is."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Arrays] = {}
        for peer, process in processes.items():
            file = str(Path(folder) / f"{peer}.npz")
            process.ask(row=row.name, save=file)
            with np.load(file) as arrays:
                found[peer] = [arrays[k] for k in arrays.files]
    ours = found.get("pullback")
    wrong = "; ".join(
        f"{peer}: {text}" for peer, theirs in found.items() if ours and (text := differs(row, ours, theirs))
    )  # fmt: skip
    times: dict[str, list[float]] = {peer: [] for peer in processes}
    for _ in range(ROUNDS):
        for peer, process in processes.items():
            times[peer] += process.ask(seconds=seconds / ROUNDS / len(processes))
    return {peer: statistics.median(t) * 1e6 for peer, t in times.items()}, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="rows whose names contain one of these; none: all")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--seconds", type=float, default=1.0, help="a row, over all libraries")
    parser.add_argument("--threads", type=positive, default=os.cpu_count())
    parser.add_argument("--list", action="store_true", help="print the rows' names")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker, args.threads)
        return
    rows = [row for name, row in ROWS.items() if not args.words or any(word in name for word in args.words)]
    if not rows:
        parser.error(f"no row's name contains {' or '.join(map(repr, args.words))}; --list prints the names")
    if args.list:
        print(*(row.name for row in rows), sep="\n")
        return
    used = [p for p in args.peers if importlib.util.find_spec(p.split("-")[0]) and any(applies(p, r) for r in rows)]
    processes = {peer: Process(peer, args.threads) for peer in used}
    print("| row | " + " | ".join(used) + " | × fastest peer |", flush=True)
    print("|---|" + "---:|" * (len(used) + 1), flush=True)
    failed = False
    for row in rows:
        medians, wrong = measure(row, {p: processes[p] for p in used if applies(p, row)}, args.seconds)
        cells = [f"{medians[p]:.0f}" if p in medians else "" for p in used]
        peers = [t for p, t in medians.items() if p != "pullback"]
        ratio = f"{min(peers) / medians['pullback']:.2f}" if peers and "pullback" in medians else ""
        failed |= bool(wrong)
        remark = f" DIFFERS: {wrong}" if wrong else ""
        print(f"| {row.name} | " + " | ".join(cells) + f" | {ratio} |{remark}", flush=True)
    for process in processes.values():
        process.close()
    sys.exit(failed)


if __name__ == "__main__":
    main()
