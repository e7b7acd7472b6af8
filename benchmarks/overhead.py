"""Per-op overhead: chains of tiny ops on 4×4 arrays, forward and backward, against PyTorch eager in one process."""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import pullback as pb


def chains(leaf: Callable[[Any], Any], ones: Any) -> dict[str, Callable[[], None]]:
    x, w = (leaf(np.full((4, 4), v, np.float32)) for v in (0.5, 0.9))

    def clear() -> None:
        x.grad = w.grad = None

    def adds() -> None:
        y = x
        for _ in range(50):
            y = y + w
        y.backward(ones)
        clear()

    def mul_tanh() -> None:
        y = x
        for _ in range(50):
            y = (y * w).tanh()
        y.backward(ones)
        clear()

    return {"50 adds": adds, "50 x (mul, tanh)": mul_tanh}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--rounds", type=int, default=300)
    args = parser.parse_args()
    pb.set_backend(args.backend)
    ones = np.ones((4, 4), np.float32)
    ours = chains(lambda a: pb.tensor(a, requires_grad=True), pb.tensor(ones))
    theirs = chains(lambda a: torch.tensor(a, requires_grad=True), torch.tensor(ones))
    gc.collect()
    for name in ours:
        times: dict[str, list[float]] = {"ours": [], "theirs": []}
        for i in range(args.rounds + 20):
            for key, step in (("ours", ours[name]), ("theirs", theirs[name])):
                start = time.perf_counter()
                step()
                if i >= 20:
                    times[key].append(time.perf_counter() - start)
        a, b = statistics.median(times["ours"]), statistics.median(times["theirs"])
        print(f"{name}: pullback ({args.backend}) {a * 1e6:.0f} us, torch {b * 1e6:.0f} us, ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
