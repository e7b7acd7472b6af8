"""Where in the user's code something happened."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType
from typing import Any

from .graph import GraphError

_ROOT = str(Path(__file__).parent.parent)
_INSIDE = tuple(f"{_ROOT}/{folder}/" for folder in ("autograd", "backends", "nn", "optim", "train"))
_internal: dict[CodeType, bool] = {}

Location = tuple[CodeType, int]

__all__ = ["AnomalyError", "GraphError", "Location", "show_location", "user_location"]


class AnomalyError(FloatingPointError):
    """A NaN or an infinity arose under `detect_anomaly()`."""


def user_location() -> Location | None:
    """The innermost caller outside the package, as (code, instruction): cheap, and it keeps no frame alive."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        inside = _internal.get(code)
        if inside is None:
            inside = _internal[code] = code.co_filename.startswith(_INSIDE)
        if not inside:
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def show_location(where: Location | None) -> str:
    """`file:line in function`, or a phrase that says it was not captured."""
    if where is None:
        return "an unknown line (run under pullback.detect_anomaly() to have it named)"
    code, instruction = where
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
            break
    return f"{code.co_filename}:{line} in {code.co_name}"
