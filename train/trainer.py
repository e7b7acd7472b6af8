"""Trainer: the training loop with Keras's `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd.capture import compile
from ..autograd.tensor import Tensor
from ..data.loader import DataLoader
from ..optim import ReduceLROnPlateau
from .arguments import callback_list, check_parts, check_settings
from .callbacks import Callback
from .checkpoint import load_checkpoint, save_checkpoint
from .feed import batches_of, loader_of, split_off, unpack
from .history import History
from .interrupt import Interrupt
from .metrics import Metric, RunningMean
from .mode import evaluating, on_backend_of
from .named_metrics import get_metric
from .progress import Progress, show
from .steps import predict_step, test_step, train_step


class NonFiniteLossError(ArithmeticError):
    """The loss became nan or infinite during training."""


@dataclass(frozen=True)
class _Run:
    """The settings of one `fit` that its epochs need."""

    epochs: int
    validation: DataLoader | None
    verbose: int
    checkpoint: str | os.PathLike[str] | None
    every: int | None
    interrupt: Interrupt

    def save(self, trainer: Trainer) -> None:
        """Bring the checkpoint up to date, if there is to be one."""
        if self.checkpoint is not None:
            trainer.save_checkpoint(self.checkpoint)


class Trainer:
    """Trains a model: the loop, measured, interruptible and resumable.

    Parameters
    ----------
    model : a `Module`.
    optimizer : over its parameters.
    loss : called as `loss(prediction, target)`; gives a 0-d Tensor, the mean over the batch.
    metrics : names (`"accuracy"`) or `Metric` objects.
    scheduler : a learning rate schedule, stepped after each epoch; ReduceLROnPlateau gets `val_loss`, or `loss`.
    clip_norm : scale gradients down to this norm over all parameters.
    jit_compile : record what is computed for a batch once for each size of batch, and replay it, in `fit`, `evaluate`
        and `predict` alike: the same results, sooner. Model and loss must not look at values; see `pullback.compile`.

    Attributes
    ----------
    epoch : epochs of the current `fit` that are finished.
    history : what the current `fit` measured.
    stop_training : callbacks set it to end training.

    >>> import numpy as np, pullback as pb
    >>> from pullback import nn, optim
    >>> from pullback.train import Trainer
    >>> x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
    >>> model = nn.Linear(1, 1)
    >>> trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.5), nn.MSELoss())
    >>> history = trainer.fit(x, 2 * x, epochs=20, seed=0, verbose=0)
    >>> history["loss"][-1] < 1e-3
    True
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Callable[[Tensor, Tensor], Tensor],
        metrics: Sequence[str | Metric] = (),
        *,
        scheduler: Any = None,
        clip_norm: float | None = None,
        jit_compile: bool = False,
    ) -> None:
        if isinstance(metrics, str | Metric):
            metrics = [metrics]
        check_parts(model, optimizer, loss)
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = [get_metric(m) for m in metrics]
        self.scheduler = scheduler
        self.clip_norm = clip_norm
        self.epoch = 0
        self.history = History()
        self.stop_training = False
        self._callbacks: list[Callback] = []
        self._loader: DataLoader | None = None
        self._mean_loss = RunningMean()
        self._trained = False
        steps: tuple[Callable[..., Any], ...] = (train_step, test_step, predict_step)
        self._train_step, self._test_step, self._predict_step = map(compile, steps) if jit_compile else steps

    # ------------------------------------------------------------ training

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int | None = 32,
        validation_data: Any = None,
        validation_split: float = 0.0,
        callbacks: Callback | Sequence[Callback] = (),
        shuffle: bool = True,
        seed: int | None = None,
        verbose: int = 1,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        resume: bool = False,
    ) -> History:
        """Train the model.

        Parameters
        ----------
        x, y : inputs and targets, arrays or Tensors; x may be a tuple of several inputs. Or x alone: a `DataLoader`,
            data set or iterable that yields (*inputs, target).
        epochs : passes over the data.
        batch_size, shuffle, seed : as for `DataLoader`, None for an x that yields batches; a DataLoader has its own.
        validation_data : (x, y) or a DataLoader, evaluated after each epoch.
        validation_split : hold out this last part of the arrays for validation, before shuffling.
        callbacks : `Callback` objects.
        verbose : 0 silent; 1 a bar on a terminal and a line per epoch; 2 the lines only.
        checkpoint : a file that is kept up to date: after each epoch, and every `checkpoint_every` batches.
        resume : go on from that file if it exists, at the very batch; the result is bit for bit that of a run that was
            never stopped, on the same backend. Give the same arguments as before; the saved seed wins over `seed`.

        Returns
        -------
        The History. Ctrl-C ends training after the current batch; the History of the finished epochs is returned with
        `interrupted` set, the model is usable, and the checkpoint, if there is one, is written.

        Raises
        ------
        NonFiniteLossError : the loss is nan or infinite; the weights are those before that batch (on a device, up to
            32 batches later).
        ValueError : data, settings or checkpoint that do not fit together.
        """
        check_settings(epochs, checkpoint, checkpoint_every, resume)
        x, y, held_out = split_off(x, y, validation_split)
        if held_out is not None and validation_data is not None:
            raise ValueError("give validation_data or validation_split, not both")
        validation = held_out if validation_data is None else validation_data
        checked = None if validation is None else batches_of(validation, batch_size)
        self._loader = loader_of(x, y, batch_size=batch_size, shuffle=shuffle, seed=seed)
        self.history = History()
        self.epoch = 0
        self.stop_training = False
        self._callbacks = callback_list(callbacks)
        for callback in self._callbacks:
            callback.trainer = self
        self._reset()
        if checkpoint is not None:
            Path(checkpoint).parent.mkdir(parents=True, exist_ok=True)
        if resume and checkpoint is not None and Path(checkpoint).exists():
            self.load_checkpoint(checkpoint)
        with on_backend_of(self.model), Interrupt() as interrupt:
            run = _Run(epochs, checked, verbose, checkpoint, checkpoint_every, interrupt)
            try:
                for callback in self._callbacks:
                    callback.on_train_begin()
                while self.epoch < epochs and not self.stop_training:
                    self._epoch(self._loader, run)
            except KeyboardInterrupt:
                self.history.interrupted = True
                if verbose:
                    print(f"interrupted in epoch {self.epoch + 1}, after {self._loader.batch} batches", flush=True)
            for callback in self._callbacks:
                callback.on_train_end()
        return self.history

    def _epoch(self, loader: DataLoader, run: _Run) -> None:
        """One epoch, or what is left of it after resuming."""
        epoch = self.epoch
        for callback in self._callbacks:
            callback.on_epoch_begin(epoch)
        total = len(loader) if loader.indexable else None
        progress = Progress(f"Epoch {epoch + 1}/{run.epochs}", total, loader.batch, run.verbose, self._logs)
        try:
            if not self._trained:
                self._batches(loader, progress, run)
            if not self._mean_loss.weight:
                raise ValueError(
                    "the training data gave no batch: it is empty, drop_last left nothing of it, or it is an iterator "
                    "that is used up"
                )
            self._trained = True
            logs = self._logs(over=True)
            if not math.isfinite(self._mean_loss.total):
                raise self._not_finite(self._mean_loss.total)
            if run.validation is not None:
                logs.update(self._validate(run.validation, run))
        finally:
            progress.close()
        if self.scheduler is not None:
            logs["lr"] = float(self.optimizer.param_groups[0]["lr"])
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(logs.get("val_loss", logs["loss"]))
            else:
                self.scheduler.step()
        self.history.append(epoch, logs, progress.seconds)
        self.epoch += 1
        self._reset()
        for callback in self._callbacks:
            callback.on_epoch_end(epoch, logs)
        run.save(self)
        progress.finish(logs)

    def _batches(self, loader: DataLoader, progress: Progress, run: _Run) -> None:
        """The hot loop. The loss is looked at before the step, so a nan never reaches the weights."""
        metrics, mean = self.metrics, self._mean_loss
        hooks = [c for c in self._callbacks if type(c).on_train_batch_end is not Callback.on_train_batch_end]
        self.model.train()
        for batch in loader:
            inputs, target = unpack(batch)
            loss, scores = self._train_step(
                self.model, self.loss, self.optimizer, self.clip_norm, self._not_finite, bool(metrics), inputs, target
            )
            n = len(target)
            mean.add(loss, n, scale=n)
            if not math.isfinite(mean.total):
                raise self._not_finite(mean.total)
            for metric in metrics:
                metric.update(scores, target)
            progress.step()
            for callback in hooks:
                callback.on_train_batch_end(loader.batch - 1, self._logs())
            if run.every is not None and loader.batch % run.every == 0:
                run.save(self)
            if run.interrupt.requested:
                run.save(self)
                raise KeyboardInterrupt
            if self.stop_training:
                return

    def _validate(self, loader: DataLoader, run: _Run) -> dict[str, float]:
        """The validation data's loss and metrics, their names with `val_`. An interruption saves what was trained."""
        try:
            found = self._measure(loader, run.interrupt)
        except KeyboardInterrupt:
            run.save(self)
            raise
        left_out = {metric.name for metric in self.metrics if not metric.scalar}
        return {f"val_{name}": value for name, value in found.items() if name not in left_out}

    def _not_finite(self, loss: float) -> NonFiniteLossError:
        """What is raised when the loss, as far as it is known, is not finite."""
        kind = "nan" if math.isnan(loss) else "infinite"
        batch = 0 if self._loader is None else self._loader.batch
        return NonFiniteLossError(
            f"the loss became {kind} in epoch {self.epoch + 1}, batch {batch}. Run fit within pb.detect_anomaly() to "
            "see the op and the line where the first nan or inf arose; often the learning rate is too high, or a log "
            "or division meets 0."
        )

    # ------------------------------------------------------------ measuring

    def evaluate(self, x: Any, y: Any = None, *, batch_size: int = 32, verbose: int = 0) -> dict[str, Any]:
        """Loss and metrics over data, in evaluation mode and without recording a graph.

        Parameters
        ----------
        x, y : as for `fit`.
        verbose : print the result.

        Returns
        -------
        `{"loss": ..., "accuracy": ...}`, means over all samples. During `fit` it may be called by callbacks.
        """
        with on_backend_of(self.model):
            logs = self._measure(loader_of(x, y, batch_size=batch_size, shuffle=False, seed=0))
        if verbose:
            matrices = {metric.name for metric in self.metrics if not metric.scalar}
            print(show({name: value for name, value in logs.items() if name not in matrices}), flush=True)
        return logs

    def _measure(self, loader: DataLoader, interrupt: Interrupt | None = None) -> dict[str, float]:
        mean = RunningMean()
        saved = [metric.state_dict() for metric in self.metrics]
        for metric in self.metrics:
            metric.reset()
        try:
            with evaluating(self.model):
                for batch in loader:
                    inputs, target = unpack(batch)
                    loss, prediction = self._test_step(self.model, self.loss, inputs, target)
                    n = len(target)
                    mean.add(loss, n, scale=n)
                    for metric in self.metrics:
                        metric.update(prediction, target)
                    if interrupt is not None and interrupt.requested:
                        raise KeyboardInterrupt
            if not mean.weight:
                raise ValueError("there is nothing to evaluate: the data gave no batch")
            return {"loss": mean.result(), **{metric.name: metric.result() for metric in self.metrics}}
        finally:
            for metric, state in zip(self.metrics, saved, strict=True):
                metric.load_state_dict(state)

    def predict(self, x: Any, *, batch_size: int = 32) -> Any:
        """The model's outputs for x, in evaluation mode, as one NumPy array, or a tuple of them if it has several.

        Parameters
        ----------
        x : an array, a tuple of several inputs, or a DataLoader; of one that yields tuples the last entry, the target,
            is left out.
        """
        if isinstance(x, DataLoader):
            inputs = (unpack(batch)[0] if isinstance(batch, tuple) else (batch,) for batch in x)
        else:
            arrays = x if isinstance(x, tuple) else (x,)
            loader = loader_of(arrays, None, batch_size=batch_size, shuffle=False, seed=0)
            inputs = (batch if isinstance(batch, tuple) else (batch,) for batch in loader)
        with on_backend_of(self.model), evaluating(self.model):
            outputs = [self._predict_step(self.model, batch) for batch in inputs]
        if not outputs:
            raise ValueError("there is nothing to predict: the data gave no batch")
        if isinstance(outputs[0], tuple):
            return tuple(np.concatenate([o.numpy() for o in field]) for field in zip(*outputs, strict=True))
        return np.concatenate([o.numpy() for o in outputs])

    # ------------------------------------------------------------ state

    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write model, optimiser, schedule, random state, position, history and callbacks to a file, atomically."""
        save_checkpoint(
            path, model=self.model, optimizer=self.optimizer, scheduler=self.scheduler, loader=self._loader,
            extra={
                "epoch": self.epoch,
                "trained": self._trained,
                "stop_training": self.stop_training,
                "history": self.history.state_dict(),
                "loss": self._mean_loss.state_dict(),
                "metrics": [[m.name, m.state_dict()] for m in self.metrics],
                "callbacks": [[type(c).__name__, c.state_dict()] for c in self._callbacks],
            },
        )  # fmt: skip

    def load_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Restore what `save_checkpoint` wrote; `fit(resume=True)` does it.

        Raises
        ------
        FileNotFoundError, ValueError : as `train.load_checkpoint`, or other metrics or callbacks than saved.
        """
        extra = load_checkpoint(
            path, model=self.model, optimizer=self.optimizer, scheduler=self.scheduler, loader=self._loader
        )
        expected = {"metrics": [m.name for m in self.metrics], "callbacks": [type(c).__name__ for c in self._callbacks]}
        for kind, names in expected.items():
            saved = [name for name, _ in extra[kind]]
            if saved != names:
                raise ValueError(f"{path} was saved with the {kind} {saved}, this run has {names}")
        self.epoch = extra["epoch"]
        self._trained = extra["trained"]
        self.stop_training = extra["stop_training"]
        self.history.load_state_dict(extra["history"])
        self._mean_loss.load_state_dict(extra["loss"])
        for part, (_, state) in zip(
            [*self.metrics, *self._callbacks], extra["metrics"] + extra["callbacks"], strict=True
        ):
            part.load_state_dict(state)

    # ------------------------------------------------------------ helpers

    def _logs(self, over: bool = False) -> dict[str, float]:
        """The means of the epoch so far; once it is over, also of metrics that are not asked for during one."""
        found = {m.name: m.result() for m in self.metrics if m.scalar and (m.live or over)}
        return {"loss": self._mean_loss.result(), **found}

    def _reset(self) -> None:
        """Begin an epoch's measurements."""
        self._trained = False
        self._mean_loss.reset()
        for metric in self.metrics:
            metric.reset()
