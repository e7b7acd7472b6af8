"""What drawing from a generator means inside `vmap`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backends import Backend
from ..ops.random import Generator
from ..state import state
from ..tensor import Tensor
from .arrays import BatchArray
from .backend import root_of
from .boundary import base_of, scope_of


def keys(generator: Generator, backend: Backend) -> Any:
    """A key from the generator, or one for each example of the levels that want different ones.

    Raises
    ------
    RuntimeError : a running `vmap` has not said what it wants.
    """
    if any(level.randomness == "error" for level in state.now.levels):
        raise RuntimeError(
            "random numbers are drawn inside vmap, which does not say whether the examples get different ones: give "
            'vmap randomness="different" or randomness="same"'
        )
    levels = tuple(level for level in state.now.levels if level.randomness == "different")
    if not levels:
        return generator.next_key()
    sizes = tuple(level.size for level in levels)
    drawn = [generator.next_key() for _ in range(math.prod(sizes))]
    words = np.asarray(drawn, dtype=np.uint32).reshape((*sizes, 4))
    base = base_of(backend)
    return Tensor._wrap(BatchArray(base.asarray(words), levels, root_of(base)), scope_of(base, levels))
