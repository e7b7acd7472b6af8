"""The classic CNN on MNIST for some seeds: test accuracy, and wall time beside PyTorch's for the same job.

    PULLBACK_DATA=... python benchmarks/mnist.py --seeds 0 1 2 --epochs 5

Runs of the two libraries take turns, seed by seed, in processes of their own. Same model, initial weights drawn by each
library's own defaults, batch 32, Adam 1e-3, 5 epochs, shuffled every epoch.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time


def run_pullback(backend: str, seed: int, epochs: int) -> dict[str, float]:
    import numpy as np

    import pullback as pb
    from pullback import nn, optim
    from pullback.data import batches, load_mnist
    from pullback.train.demo import classic_cnn

    pb.set_backend(backend)
    pb.manual_seed(seed)
    (x, y), (x_test, y_test) = load_mnist()
    model = classic_cnn()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    start = time.perf_counter()
    for epoch in range(epochs):
        for bx, by in batches(x, y, batch_size=32, seed=1000 * seed + epoch):
            loss = criterion(model(bx), by)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    seconds = time.perf_counter() - start
    model.eval()
    with pb.no_grad():
        right = sum(
            int((model(pb.tensor(x_test[i : i + 1000])).numpy().argmax(1) == np.asarray(y_test[i : i + 1000])).sum())
            for i in range(0, len(x_test), 1000)
        )
    return {"accuracy": right / len(x_test), "seconds": seconds}


def run_torch(seed: int, epochs: int) -> dict[str, float]:
    import torch

    from peers.torch_ import cnn
    from pullback.data import load_mnist

    torch.manual_seed(seed)
    (x, y), (x_test, y_test) = load_mnist()
    x, y, x_test, y_test = (torch.tensor(a) for a in (x, y, x_test, y_test))
    model = cnn()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = torch.nn.CrossEntropyLoss()
    start = time.perf_counter()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(32):
            loss = criterion(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    seconds = time.perf_counter() - start
    with torch.inference_mode():
        right = sum(
            int((model(a).argmax(1) == b).sum()) for a, b in zip(x_test.split(1000), y_test.split(1000), strict=True)
        )
    return {"accuracy": right / len(x_test), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        seed = args.seeds[0]
        result = run_torch(seed, args.epochs) if args.only == "torch" else run_pullback(args.only, seed, args.epochs)
        print(json.dumps(result))
        return
    peers = [args.backend, *(["torch"] if importlib.util.find_spec("torch") else [])]
    results: dict[str, list[dict[str, float]]] = {peer: [] for peer in peers}
    for seed in args.seeds:
        for peer in peers:
            command = [sys.executable, __file__, "--only", peer, "--seeds", str(seed), "--epochs", str(args.epochs)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results[peer].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"seed {seed}, {peer}: {results[peer][-1]}", flush=True)
    for peer, rows in results.items():
        accuracies = [row["accuracy"] for row in rows]
        seconds = statistics.median(row["seconds"] for row in rows)
        print(
            f"{peer}: mean accuracy {statistics.mean(accuracies):.4f}, lowest {min(accuracies):.4f}, "
            f"median {seconds:.0f} s"
        )


if __name__ == "__main__":
    main()
