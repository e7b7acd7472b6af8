"""Where arrays lie in memory does not change a bit of what kernels compute.

LLVM guards a vectorised loop by a check that what it writes lies well apart from what it reads, and has a scalar loop
for the rest. A sum taken in any order (`plus`), in a loop that also writes, would come out otherwise there. So small
arrays that happen to be neighbours must give what others give.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from pullback.backends import get_backend
from pullback.backends.numba.compile import Kernel
from pullback.conformance.cases import all_cases, all_primitives
from pullback.conformance.checks import results

LARGEST = 200_000  # bytes of all arrays of a launch that is tried
run = Kernel.__call__


def placed(args: tuple[Any, ...], gap: int) -> list[Any] | None:
    """The arguments with their arrays in one block, in their order, `gap` bytes apart; None if some overlap."""
    places: dict[tuple[int, int], int] = {}
    end = 0
    for a in args:
        if isinstance(a, np.ndarray) and (a.ctypes.data, a.nbytes) not in places:
            places[a.ctypes.data, a.nbytes] = end
            end += -(-a.nbytes // 16) * 16 + gap
    spans = sorted(places)
    if end > LARGEST or any(at + size > after for (at, size), (after, _) in pairwise(spans)):
        return None
    block = np.zeros(end + 64, np.uint8)
    start = -block.ctypes.data % 64

    def moved(a: np.ndarray) -> np.ndarray:
        at = start + places[a.ctypes.data, a.nbytes]
        made = block[at : at + a.nbytes].view(a.dtype).reshape(a.shape)
        made[...] = a
        return made

    return [moved(a) if isinstance(a, np.ndarray) else a for a in args]


@contextmanager
def apart(gap: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every launch computes in such a block; the names of the kernels that did."""
    moved: list[str] = []

    def call(self: Kernel, tasks: int, *args: Any) -> None:
        arrays = placed(args, gap)
        if arrays is None:
            run(self, tasks, *args)
            return
        run(self, tasks, *arrays)
        moved.append(self.fn.__name__)
        for a, b in zip(args, arrays, strict=True):
            if isinstance(a, np.ndarray) and a.flags.writeable:
                a[...] = b

    with monkeypatch.context() as patch:
        patch.setattr(Kernel, "__call__", call)
        yield moved


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neighbours_in_memory_change_nothing(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = get_backend("numba")
    own = set(backend.kernels) & set(all_primitives())
    wrong, kernels = [], set()
    for case in all_cases():
        if case.op.name not in own:
            continue
        found = []
        for gap in (4096, 0, 16):
            with apart(gap, monkeypatch) as moved:
                found.append(results(case, backend, dtype))
            kernels |= set(moved)
        for other in found[1:]:
            same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found[0], other, strict=True))
            if not same and case.id not in wrong:
                wrong.append(case.id)
    assert not wrong
    assert len(kernels) > 80
