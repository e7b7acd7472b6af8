"""Trains ten small models here and in PyTorch, from the same weights and data, and prints how far they come apart.

    python tests/ported_models.py                     on every backend of the host, in float32 and float64
    python tests/ported_models.py --backend numpy     on one

Output and gradients are those of the first step, weights those after 20 optimiser steps, batch statistics included. A
difference is relative to the largest magnitude in its tensor; the largest one of all tensors is shown.

Needs PyTorch, which pullback itself does not: pip install torch==2.13.0
"""

from __future__ import annotations

import argparse
import importlib.util
import sys

import pullback as pb
from ported.all_models import MODELS
from ported.compare import STEPS, differences, first_weights, train
from ported.model import Library


def main(arguments: list[str] | None = None) -> int:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", action="append", help="a backend of pullback; may be repeated")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("torch") is None:
        print("SKIPPED: the models are compared with PyTorch, which is not installed: pip install torch==2.13.0")
        return 0
    found = ["numpy", *(["numba"] if importlib.util.find_spec("numba") else [])]
    theirs = Library.theirs()
    theirs.T.set_num_threads(1)
    print(f"Against PyTorch {theirs.T.__version__}; weights after {STEPS} steps\n")
    print("| model | backend | dtype | output | gradients | weights |\n|---|---|---|---|---|---|")
    for model in MODELS:
        for dtype in ("float32", "float64"):
            weights, batch = first_weights(model, dtype)
            wanted = train(model, theirs, weights, batch, dtype)
            for name in options.backend or found:
                with pb.backend(name):
                    apart = differences(train(model, Library.ours(), weights, batch, dtype), wanted)
                row = f"{apart.output:.0e} | {apart.gradients:.0e} | {apart.state:.0e}"
                print(f"| {model.name} | {name} | {dtype} | {row} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
