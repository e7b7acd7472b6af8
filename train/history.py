"""History: what `fit` measured, epoch by epoch."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class History:
    """The losses and metrics of a training run.

    Attributes
    ----------
    history : name -> one value for each finished epoch: `loss`, the metrics, and `val_...` of each.
    epoch : the numbers of these epochs, from 0.
    seconds : how long each took.
    interrupted : whether Ctrl-C ended the run.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.seconds: list[float] = []
        self.interrupted = False

    def append(self, epoch: int, logs: Mapping[str, float], seconds: float = 0.0) -> None:
        """Add an epoch's values."""
        for name in {**self.history, **logs}:
            column = self.history.setdefault(name, [float("nan")] * len(self.epoch))
            column.append(float(logs.get(name, float("nan"))))
        self.epoch.append(epoch)
        self.seconds.append(seconds)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.history:
            raise KeyError(f"there is no {name!r} in this history, only {', '.join(self.history) or 'nothing'}")
        return self.history[name]

    def __contains__(self, name: str) -> bool:
        return name in self.history

    def __len__(self) -> int:
        return len(self.epoch)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items() if values)
        state = ", interrupted" if self.interrupted else ""
        return f"History({len(self)} epochs{': ' + last if last else ''}{state})"

    def state_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"history": self.history, "epoch": self.epoch, "seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.history = {name: list(values) for name, values in state["history"].items()}
        self.epoch = list(state["epoch"])
        self.seconds = list(state["seconds"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON or CSV, as the file's name ends."""
        suffix = Path(path).suffix
        if suffix == ".json":
            Path(path).write_text(
                json.dumps({"epoch": self.epoch, "seconds": self.seconds, **self.history}, indent=1) + "\n"
            )
        elif suffix == ".csv":
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["epoch", *self.history])
                writer.writerows(zip(self.epoch, *self.history.values(), strict=True))
        else:
            raise ValueError(f"{path}: a history is saved as .json or .csv, not as {suffix or 'a file of no type'}")

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw each quantity over the epochs, training and validation together, to a file (png, svg, pdf).

        Raises
        ------
        ImportError : matplotlib is missing; says how to install it.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("plots need matplotlib: pip install 'pullback[demo]'") from error
        names = [name for name in self.history if not name.startswith("val_") or name[4:] not in self.history]
        figure = Figure(figsize=(5 * max(len(names), 1), 3.6), layout="constrained")
        for i, name in enumerate(names):
            axes = figure.add_subplot(1, len(names), i + 1)
            epochs = [e + 1 for e in self.epoch]
            axes.plot(epochs, self.history[name], marker=".", label="training")
            if f"val_{name}" in self.history:
                axes.plot(epochs, self.history[f"val_{name}"], marker=".", label="validation")
                axes.legend()
            axes.set(xlabel="epoch", title=name)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
        figure.savefig(path)
