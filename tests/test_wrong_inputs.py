"""Wrong inputs that people really give, and the error each must raise: the op or layer named, and what to do.

Run as a script, it prints each input with its error.
"""

from __future__ import annotations

import gzip
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback import nn, optim
from pullback.data.idx import read_idx
from pullback.nn import functional as F
from pullback.train import Trainer, load_checkpoint, save_checkpoint

Case = tuple[Callable[[Path], object], type[Exception], str]


def truncated_idx(folder: Path) -> object:
    path = folder / "images-idx3-ubyte"
    path.write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, 10, 28, 28) + bytes(100))
    return read_idx(path)


def wrong_magic(folder: Path) -> object:
    path = folder / "images-idx3-ubyte"
    path.write_bytes(b"PNG not IDX" * 4)
    return read_idx(path)


def damaged_gzip(folder: Path) -> object:
    path = folder / "labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 3) + bytes(3))[:-9])
    return read_idx(path)


def _saved(folder: Path) -> tuple[Path, nn.Module]:
    model = nn.Linear(4, 3)
    path = folder / "checkpoint.safetensors"
    save_checkpoint(path, model=model)
    return path, model


def truncated_checkpoint(folder: Path) -> object:
    path, model = _saved(folder)
    path.write_bytes(path.read_bytes()[:-10])
    return load_checkpoint(path, model=model)


def tampered_checkpoint(folder: Path) -> object:
    path, model = _saved(folder)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    return load_checkpoint(path, model=model)


def nan_loss(folder: Path) -> object:
    model = nn.Linear(2, 2)
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    return trainer.fit(np.full((8, 2), np.nan, np.float32), np.zeros(8, np.int64), epochs=1, batch_size=4, verbose=0)


def nan_under_detection(folder: Path) -> object:
    with pb.detect_anomaly():
        x = pb.tensor([1.0, -1.0], requires_grad=True)
        return pb.log(x).sum()


def stale_parameter(folder: Path) -> object:
    layer = nn.Linear(2, 2)
    loss = (layer(pb.tensor([[1.0, 2.0]], requires_grad=True)) ** 2).sum()
    layer.weight.assign(np.zeros((2, 2)))
    return loss.backward()


def assign_item(folder: Path) -> object:
    x = pb.zeros(3)
    x[0] = 1.0
    return x


x23, x45 = np.ones((2, 3), np.float32), np.ones((4, 5), np.float32)

CASES: dict[str, Case] = {
    "matmul of shapes that do not fit": (lambda _: pb.tensor(x23) @ x45, ValueError, r"matmul\(\(2, 3\) float32, \(4, 5\)"),
    "add of shapes that do not broadcast": (lambda _: pb.tensor(x23) + x45, ValueError, r"add\(\(2, 3\) float32"),
    "an op given too many arrays": (lambda _: pb.exp(pb.zeros(2), pb.zeros(2)), TypeError, r"exp takes 1 array argument\(s\) \('x',\), got 2"),
    "an op given too few arrays": (lambda _: pb.add(pb.zeros(2)), TypeError, "add takes 2 array"),
    "an op given a parameter that it does not have": (lambda _: pb.add(pb.zeros(2), pb.zeros(2), alpha=2), TypeError, "add has no parameter.*alpha"),
    "a linear layer fed the wrong width": (lambda _: nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2))(x23), ValueError, "Linear"),
    "a convolution fed the wrong channels": (lambda _: nn.Conv2d(3, 8, 3)(np.ones((1, 1, 8, 8), "f")), ValueError, "channel"),
    "a kernel larger than the image": (lambda _: nn.Conv2d(1, 8, 9)(np.ones((1, 1, 4, 4), "f")), ValueError, "kernel"),
    "groups that do not divide": (lambda _: nn.Conv2d(3, 8, 3, groups=2), ValueError, "groups"),
    "a loss of unequal shapes": (lambda _: F.mse_loss(pb.zeros((4, 1)), pb.zeros(4)), ValueError, r"\(4, 1\).*\(4,\)"),
    "a label out of range": (lambda _: F.cross_entropy(pb.zeros((2, 3)), np.array([0, 3])), IndexError, "3"),
    "an index out of range": (lambda _: pb.zeros(3)[5], IndexError, "5"),
    "gradients of integers": (lambda _: pb.tensor([1, 2], requires_grad=True), TypeError, "float"),
    "a tensor of strings": (lambda _: pb.tensor(["a"]), TypeError, "dtype"),
    "an unknown dtype": (lambda _: pb.zeros(2, dtype="complex64"), TypeError, "complex64"),
    "backward from a vector": (lambda _: (pb.ones(2).requires_grad_() * 2).backward(), ValueError, "scalar"),
    "backward twice": (lambda _: (lambda y: (y.backward(), y.backward()))(pb.tensor(1.0, requires_grad=True).exp()), pb.GraphError, "retain_graph"),
    "backward without a graph": (lambda _: pb.tensor(1.0).exp().backward(), pb.GraphError, "requires_grad"),
    "backward after a parameter changed": (stale_parameter, pb.GraphError, "assigned"),
    "assigning to an element": (assign_item, TypeError, r"\.at\[i\]\.set"),
    "an unknown backend": (lambda _: pb.set_backend("torch"), pb.BackendError, "known are numpy"),
    "a backend whose library is missing": (lambda _: pb.get_backend("cupy"), pb.BackendError, "pip install"),
    "two backends in one op": (lambda _: pb.ones(2, backend="numpy") + pb.ones(2, backend="strict"), pb.BackendError, r"\.to\("),
    "a state_dict with another shape": (lambda _: nn.Linear(2, 2).load_state_dict(nn.Linear(3, 2).state_dict()), ValueError, r"\(2, 3\)"),
    "a state_dict with missing keys": (lambda _: nn.Linear(2, 2).load_state_dict({}), ValueError, "weight"),
    "an optimiser without parameters": (lambda _: optim.Adam([]), ValueError, "param"),
    "a negative learning rate": (lambda _: optim.SGD(nn.Linear(1, 1).parameters(), lr=-1.0), ValueError, "lr"),
    "a truncated checkpoint": (truncated_checkpoint, ValueError, "checkpoint.safetensors"),
    "a tampered checkpoint": (tampered_checkpoint, ValueError, "checkpoint.safetensors"),
    "a checkpoint that is not there": (lambda d: load_checkpoint(d / "none.safetensors", model=nn.Linear(1, 1)), FileNotFoundError, "none"),
    "a truncated IDX file": (truncated_idx, ValueError, "images-idx3-ubyte"),
    "a file that is no IDX file": (wrong_magic, ValueError, "images-idx3-ubyte"),
    "a damaged gzip file": (damaged_gzip, ValueError, "labels-idx1-ubyte.gz"),
    "a loss that became NaN": (nan_loss, ArithmeticError, "detect_anomaly"),
    "a NaN under detect_anomaly": (nan_under_detection, pb.AnomalyError, r"log.*test_wrong_inputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_wrong_input(name: str, tmp_path: Path) -> None:
    make, kind, pattern = CASES[name]
    if "library is missing" in name:
        try:
            import cupy  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("cupy is installed here")
    with np.errstate(all="ignore"), pytest.raises(kind, match=f"(?s){pattern}"):
        make(tmp_path)


if __name__ == "__main__":
    import conftest  # noqa: F401  (registers the test-only backends)

    for name, (make, _, _) in CASES.items():
        with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
            try:
                make(Path(folder))
                print(f"{name}\n    NO ERROR")
            except Exception as error:
                notes = " | ".join(getattr(error, "__notes__", []))
                print(f"{name}\n    {type(error).__name__}: {error}{f' [{notes}]' if notes else ''}")
