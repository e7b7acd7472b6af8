"""Callbacks: what else happens between epochs and batches. Keras's names and meanings."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..nn.state import save_safetensors

if TYPE_CHECKING:
    from .trainer import Trainer

Logs = Mapping[str, float]


class Callback:
    """Base class: override what you need. `self.trainer` is the Trainer, with its `model`, `optimizer` and `history`.

    Setting `self.trainer.stop_training = True` ends training after the current batch. What `state_dict` gives is saved
    in checkpoints and handed to `load_state_dict` when training resumes.
    """

    trainer: Trainer

    def on_train_begin(self) -> None:
        """Before the first epoch, after a checkpoint was restored."""

    def on_train_end(self) -> None:
        """After the last epoch, or an interruption; not after an error."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch; epochs count from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation; `logs` holds the loss, the metrics and `val_...` of each."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """After a training step; `logs` holds the epoch's means so far. Overriding it costs time in every batch."""

    def state_dict(self) -> dict[str, Any]:
        """What the callback remembers, of plain data and arrays."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""


class _Best:
    """The best value so far of a quantity, and which direction is better."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f'mode must be "auto", "min" or "max", not {mode!r}')
        if mode == "auto":
            mode = "max" if monitor.endswith(("accuracy", "auc", "f1", "precision", "recall", "r2")) else "min"
        self.monitor = monitor
        self.sign = 1.0 if mode == "min" else -1.0
        self.min_delta = abs(min_delta)
        self.reset()

    def reset(self) -> None:
        """Forget the best value."""
        self.value = math.inf * self.sign

    def improves(self, logs: Logs) -> bool:
        """Whether the monitored value is better than the best by more than `min_delta`; if so it is the best now."""
        if self.monitor not in logs:
            hint = "; give fit validation_data or validation_split" if self.monitor.startswith("val_") else ""
            raise ValueError(f"there is no {self.monitor!r} to monitor, only {', '.join(logs)}{hint}")
        value = logs[self.monitor]
        better = self.sign * value < self.sign * self.value - self.min_delta
        if better:
            self.value = value
        return better


class EarlyStopping(Callback):
    """Stop when a quantity has not become better for `patience` epochs.

    Parameters
    ----------
    monitor : `"val_loss"`, `"val_accuracy"`, `"loss"`, ...
    patience : epochs without improvement that are put up with.
    min_delta : a smaller change is no improvement.
    mode : `"min"`, `"max"`, or `"auto"`: by the name.
    restore_best_weights : leave the model with the weights of its best epoch, also when training ends by itself.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 0,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best_weights: bool = False,
    ) -> None:
        self.best = _Best(monitor, mode, min_delta)
        self.patience = patience
        self.restore_best_weights = restore_best_weights
        self._reset()

    def _reset(self) -> None:
        self.best.reset()
        self.wait = 0
        self.best_epoch = -1
        self.stopped_epoch: int | None = None
        self._weights: Any = None

    def on_train_begin(self) -> None:
        """Forget an earlier run, unless this one resumes."""
        if not self.trainer.epoch:
            self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare, and stop if patience is out."""
        if self.best.improves(logs):
            self.wait, self.best_epoch = 0, epoch
            if self.restore_best_weights:
                self._weights = self.trainer.model.state_dict()
            return
        self.wait += 1
        if self.wait >= max(self.patience, 1):
            self.stopped_epoch = epoch
            self.trainer.stop_training = True

    def on_train_end(self) -> None:
        """Restore the best weights."""
        if self._weights is not None:
            self.trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best value, its epoch and weights, and the patience used up."""
        return {
            "best": self.best.value, "best_epoch": self.best_epoch, "wait": self.wait,
            "stopped_epoch": self.stopped_epoch, "weights": self._weights,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.best.value, self.best_epoch, self.wait = state["best"], state["best_epoch"], state["wait"]
        self.stopped_epoch, self._weights = state["stopped_epoch"], state["weights"]


class ModelCheckpoint(Callback):
    """Save after each epoch, or after each that is the best so far.

    Parameters
    ----------
    path : the file, in which `{epoch}` (from 1) and the names of the logs may stand, such as
        `"best-{epoch:02d}-{val_loss:.3f}.safetensors"`.
    monitor, mode : what is the best, as for `EarlyStopping`. Used with `save_best_only`.
    save_best_only : save only when the monitored quantity has become better.
    save_weights_only : the model's parameters alone, as safetensors; otherwise a whole checkpoint to resume from, in
        which callbacks that come later in the list have not seen the epoch yet: put this one last.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        save_weights_only: bool = True,
        mode: str = "auto",
    ) -> None:
        self.path = os.fspath(path)
        self.best = _Best(monitor, mode)
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Save if this epoch is to be saved."""
        if self.save_best_only and not self.best.improves(logs):
            return
        try:
            path = Path(self.path.format(epoch=epoch + 1, **logs))
        except KeyError as error:
            raise ValueError(f"the path {self.path!r} asks for {error}; there are epoch, {', '.join(logs)}") from None
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            save_safetensors(self.trainer.model, path)
        else:
            self.trainer.save_checkpoint(path)

    def state_dict(self) -> dict[str, Any]:
        """The best value."""
        return {"best": self.best.value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.best.value = state["best"]


class CSVLogger(Callback):
    """Write each epoch's values as a line of a CSV file.

    Parameters
    ----------
    path : the file, begun anew unless training resumes.
    append : go on with an existing file.
    separator : between the values.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False, separator: str = ",") -> None:
        self.path = Path(path)
        self.append = append
        self.separator = separator
        self._columns: list[str] = []

    def on_train_begin(self) -> None:
        """Begin the file, or find its columns and drop the lines of epochs that are to be done again."""
        self._columns = []
        if not (self.append or self.trainer.epoch) or not self.path.exists():
            self.path.unlink(missing_ok=True)
            return
        with open(self.path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, delimiter=self.separator))
        if not rows:
            return
        self._columns = rows[0]
        if not self.append:
            self._write("w", [rows[0], *(row for row in rows[1:] if row and int(row[0]) < self.trainer.epoch)])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Add a line."""
        rows: list[list[Any]] = []
        if not self._columns:
            self._columns = ["epoch", *logs]
            rows.append(self._columns)
        values = {"epoch": epoch, **logs}
        rows.append([values.get(name, "") for name in self._columns])
        self._write("a", rows)

    def _write(self, mode: str, rows: list[list[Any]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, mode, newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.separator).writerows(rows)


class LearningRateScheduler(Callback):
    """Set the learning rate of all parameter groups before each epoch.

    Parameters
    ----------
    schedule : called with (epoch from 0, current rate), returns the rate.
    """

    def __init__(self, schedule: Callable[[int, float], float]) -> None:
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int) -> None:
        """Set the rate."""
        for group in self.trainer.optimizer.param_groups:
            group["lr"] = float(self.schedule(epoch, float(group["lr"])))
