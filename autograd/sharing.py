"""Who else can see a tensor's memory: asked before it is written into."""

from __future__ import annotations

import sys
from contextlib import suppress
from weakref import WeakValueDictionary

from .tensor import Tensor


class _Holder:
    __slots__ = ("_value",)
    _value: list[int]


_probe = _Holder()
_probe._value = [0]
#: What `sys.getrefcount` says of an object that one slot alone refers to (it differs between Python versions).
_ALONE = sys.getrefcount(_probe._value)


def is_shared(x: Tensor) -> bool:
    """Whether anyone but the tensor can see its array: a view of it, a residual of a live graph, another Tensor."""
    return sys.getrefcount(x._value) > _ALONE or getattr(x._value, "base", None) is not None


#: Arrays that compiled steps write into, which they share among themselves.
_written: WeakValueDictionary[int, object] = WeakValueDictionary()


def make_writable(x: Tensor) -> None:
    """Give the tensor memory that only it and compiled steps see; whoever looks at the old memory keeps its values."""
    if is_writable(x._value):
        return
    if is_shared(x):
        x._value = x.backend.xp.asarray(x._value, copy=True)
    note_writable(x._value)


def is_writable(array: object) -> bool:
    """Whether compiled steps write into the array, so that no tensor looks at it whose values must stay."""
    return _written.get(id(array)) is array


def note_writable(array: object) -> None:
    """From now on compiled steps write into the array."""
    with suppress(TypeError):  # this backend's arrays take no weak references: copied for every program, then
        _written[id(array)] = array
