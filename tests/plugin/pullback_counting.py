"""A backend in its own package: NumPy's arrays and functions, with kernels of its own that count their calls."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from pullback.backends.numpy import NumpyBackend


class CountingBackend(NumpyBackend):
    """Registered through the entry point `counting` of the group `pullback.backends`.

    Attributes
    ----------
    calls : op name -> how often this backend's own kernel ran.
    """

    name = "counting"

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

        @self.register("exp")
        def exp(x: Any) -> Any:
            self.calls["exp"] += 1
            return np.exp(x)

        @self.register("matmul", guard=lambda x, y: x.ndim == y.ndim == 2)
        def matmul(x: Any, y: Any) -> Any:
            self.calls["matmul"] += 1
            return np.dot(x, y)

    def describe(self) -> str:
        """NumPy's version, and what is counted."""
        return f"{super().describe()}, counting exp and matmul"
