"""Modules applied one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .containers import Container, ListContainer, entry_name
from .fusion import run_fused


class Sequential(ListContainer):
    """Modules applied one after the other.

    Takes modules, or one dict from names to modules.

    >>> import pullback as pb
    >>> from pullback import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> model
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=2, bias=True)
    )
    >>> len(model[:2])
    2
    """

    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            Container.__init__(self)
            for name, module in modules[0].items():
                self._entries[entry_name(name)] = self._check(module)
        else:
            super().__init__(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Sequential(dict(list(self._entries.items())[index]))
        return super().__getitem__(index)

    def forward(self, input: Any) -> Any:
        """The last module's output. Modules that the backend has one op for are computed by that (`fusion.py`)."""
        modules = list(self._entries.values())
        i = 0
        while i < len(modules):
            fused = run_fused(modules, i, input)
            if fused is None:
                input = modules[i](input)
                i += 1
            else:
                input, some = fused
                i += some
        return input
