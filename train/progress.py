"""What training shows: a one-line bar while an epoch runs, and a line when it is over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


class Progress:
    """One epoch's bar on stderr, if that is a terminal, and its line on stdout.

    Parameters
    ----------
    label : what stands first, such as `Epoch 2/5`.
    total, done : batches in the epoch (None if unknown), and those done already.
    verbose : 0 shows nothing, 1 the bar and the line, 2 the line only.
    logs : called for the current values, a few times a second.
    """

    INTERVAL = 0.2

    def __init__(
        self, label: str, total: int | None, done: int, verbose: int, logs: Callable[[], Mapping[str, float]]
    ) -> None:
        self.label = label
        self.logs = logs
        self.verbose = verbose
        self.started = time.perf_counter()
        self._due = 0.0
        self._bar: Any = None
        if verbose == 1 and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                desc=label,
                total=total,
                initial=done,
                leave=False,
                unit="batch",
                dynamic_ncols=True,
                mininterval=self.INTERVAL,
            )

    @property
    def seconds(self) -> float:
        """Time since the start of the epoch."""
        return time.perf_counter() - self.started

    def step(self) -> None:
        """A batch is done."""
        bar = self._bar
        if bar is not None:
            now = time.perf_counter()
            if now >= self._due:
                self._due = now + self.INTERVAL
                bar.set_postfix_str(show(self.logs()), refresh=False)
            bar.update(1)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def finish(self, logs: Mapping[str, float]) -> None:
        """Put the epoch's line where the bar was."""
        self.close()
        if self.verbose:
            print(f"{self.label}  {show(logs)}  ({self.seconds:.1f} s)", flush=True)


def show(logs: Mapping[str, float]) -> str:
    """`loss 0.1234  accuracy 0.9876`."""
    return "  ".join(
        f"{name} {value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{name} {value:.4g}" for name, value in logs.items()
    )
