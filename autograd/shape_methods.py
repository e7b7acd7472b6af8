"""Tensor's methods that change shape or select elements."""

from __future__ import annotations

from typing import Any

Tensor: Any  # set by tensor.py, which needs this module first


class ShapeMethods:
    """Mixin with shape and indexing methods."""

    __slots__ = ()


from . import ops  # noqa: E402
