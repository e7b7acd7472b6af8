"""What a function looks up outside of its arguments: globals, enclosed variables, attributes, layers and their options.

A recorded call takes all of it for granted. `Surroundings` finds it before the call, by reading the function's code and
that of the functions it mentions, and tells before each replay whether it is still the same. What the call itself has
changed is left out: such effects happen at the first two calls only. A tensor that it has read and then replaced is
refused, since replays could not hand it on.

Of other people's objects those attributes count whose names occur in the code; of layers, all that may matter.
A comparison costs some 30 ns a value: what is compared lies in lists that C code walks.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from operator import attrgetter, is_
from pathlib import Path
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

from ..tensor import Tensor

LARGEST = 1000  # items of a container that is looked into
REACH = 5_000  # objects that are followed from one function

_OURS = __name__.partition(".")[0]
_ARRAYS = frozenset({_OURS, "numpy", "numba", "scipy", "cupy"})  # whose objects hold nothing that a user sets
_LIBRARIES = (_ARRAYS | sys.stdlib_module_names) - {"__main__"}
_ATOMS = (bool, int, float, complex, str, bytes)
_SPECIAL = frozenset({"__call__", "__enter__", "__exit__", "__getattr__", "__getitem__", "__iter__", "__len__"})
_LAYER = frozenset({"forward", "training", "_hooks"})
_contents, _parts = attrgetter("cell_contents"), attrgetter("__code__", "__defaults__", "__kwdefaults__")
_ABSENT: Any = object()
_absent = repeat(_ABSENT)


@dataclass(slots=True)
class _Place:
    """Where values are found: a list, a dict under some keys or all of them, a cell; and what was there then.

    `sized`: that no key is added matters too.
    """

    label: str
    where: Any
    keys: tuple[Any, ...] | None
    then: list[Any]
    sized: bool = False

    def now(self) -> list[Any]:
        """What is there now."""
        if type(self.where) is CellType:
            try:
                return [self.where.cell_contents]
            except ValueError:
                return [_ABSENT]
        if self.keys is not None:
            return [self.where.get(key, _ABSENT) for key in self.keys]
        return list(self.where.values() if isinstance(self.where, Mapping) else self.where)


class Surroundings:
    """What the roots refer to, as it is now: the function that is recorded, and arguments that are no tensors."""

    def __init__(self, roots: Iterable[Any]) -> None:
        self._names = set(_SPECIAL | _LAYER)
        self._places: list[_Place] = []
        self._functions: list[FunctionType] = []
        self._seen: dict[int, Any] = {}
        self._follow(list(roots))

    def settle(self, modules: Iterable[Any], used: Callable[[Tensor], bool]) -> str | None:
        """After the call: leave out what it changed, take in the layers it ran, and be ready to compare.

        `used` says whether the call read a tensor. Returns where there was one that it read and replaced, or None.
        """
        for i, place in enumerate(self._places):
            now = place.now()
            if len(now) == len(place.then) and all(map(is_, now, place.then)):
                continue
            for k, (x, y) in enumerate(zip(place.then, now, strict=False)):
                if x is not y and isinstance(x, Tensor) and isinstance(y, Tensor) and used(x):
                    return place.label + (f"[{place.keys[k]!r}]" if place.keys is not None else "")
            if isinstance(place.where, Mapping):
                keys = place.where if place.keys is None else place.keys
                stay = {key: x for key, x in zip(keys, place.then, strict=False) if place.where.get(key, _ABSENT) is x}
                self._places[i] = _Place(place.label, place.where, tuple(stay), list(stay.values()))
            else:
                self._places[i] = _Place(place.label, [], None, [])
        self._follow(list(modules))
        self._ready()
        return None

    # ------------------------------------------------------------ comparing

    def _ready(self) -> None:
        """Sort what is compared into few long lists."""
        del self._seen, self._names
        whole = [p for p in self._places if p.keys is None and type(p.where) is not CellType]
        self._wholes: list[Any] = [p.where.values() if isinstance(p.where, Mapping) else p.where for p in whole]
        self._items = [x for p in whole for x in p.then]
        cells = [p for p in self._places if type(p.where) is CellType]
        self._cells, self._contents = [p.where for p in cells], [p.then[0] for p in cells]
        self._named = [(p.where.get, p.keys, p.then) for p in self._places if p.keys]
        self._sized = [p.where for p in self._places if p.sized]
        self._sizes = sum(map(len, self._sized))
        self._code = list(map(_parts, self._functions))
        del self._places

    def hold(self) -> bool:
        """Whether everything is what it was."""
        try:
            if sum(map(len, self._wholes)) != len(self._items) or sum(map(len, self._sized)) != self._sizes:
                return False
            if not _same(chain.from_iterable(self._wholes), self._items):
                return False
            if not _same(map(_contents, self._cells), self._contents):
                return False
            for get, keys, then in self._named:
                if not _same(map(get, keys, _absent), then):
                    return False
            return list(map(_parts, self._functions)) == self._code
        except (LookupError, RuntimeError, TypeError, ValueError):  # gone, changed while we looked, or not comparable
            return False

    # ------------------------------------------------------------ finding

    def _follow(self, roots: list[Any]) -> None:
        """Find the places that can be reached from the roots and were not seen before."""
        known = -1
        while known != len(self._names):  # code that is found late may mention attributes of what was found before
            known = len(self._names)
            seen, places, functions = dict(self._seen), list(self._places), list(self._functions)
            waiting = [(root, "") for root in reversed(roots)]
            while waiting and len(seen) < REACH:
                value, label = waiting.pop()
                if value is None or isinstance(value, (*_ATOMS, Tensor)) or id(value) in seen:
                    continue
                seen[id(value)] = value
                if isinstance(value, FunctionType) and not _of_library(value.__module__):
                    functions.append(value)
                for place in self._places_of(value, label):
                    places.append(place)
                    waiting += [(x, place.label) for x in place.then]
                waiting += [(x, label) for x in self._behind(value)]
        self._seen, self._places, self._functions = seen, places, functions

    def _places_of(self, value: Any, label: str) -> Iterator[_Place]:
        """The places in one object."""
        if isinstance(value, FunctionType):
            if not _of_library(value.__module__):
                names, attributes = _mentioned(value.__code__)
                self._names |= attributes
                yield _some(value.__globals__, names, "a global")
                for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
                    place = _Place(f"the variable {name!r}", cell, None, [])
                    place.then = place.now()
                    yield place
        elif isinstance(value, list | dict | set | deque):
            yield _all(value, label) if len(value) <= LARGEST else _Place(label, value, (), [], sized=True)
        elif isinstance(value, ModuleType):
            if not _of_library(value.__name__):
                yield self._present(vars(value), value.__name__)
        elif isinstance(value, type):
            if not _of_library(value.__module__):
                yield self._present(vars(value), value.__name__)
        elif type(value).__module__ != "builtins":
            yield from self._attributes(value)

    def _attributes(self, value: Any) -> Iterator[_Place]:
        """The attributes of an object that matter."""
        kind, own = type(value), getattr(value, "__dict__", None)
        layer = getattr(kind, "_assumed", False)
        if layer and isinstance(own, dict):
            names = None if _of_library(kind.__module__) else {key for key, x in own.items() if _is_part(x)}
            yield _all(own, kind.__name__) if names is None else self._present(own, kind.__name__, names)
        elif _ARRAYS.isdisjoint(str(c.__module__).partition(".")[0] for c in kind.__mro__):
            if isinstance(own, dict):
                yield self._present(own, kind.__name__)
            slots = {name for c in kind.__mro__ for name, x in vars(c).items() if isinstance(x, MemberDescriptorType)}
            if slots & self._names:
                yield _some(_Slots(value), slots & self._names, kind.__name__)

    def _present(self, where: Mapping[str, Any], label: str, more: Iterable[str] = ()) -> _Place:
        """Attributes under the names that the code mentions. Others may come: then their number tells."""
        place = _some(where, {name for name in self._names.union(more) if name in where}, label)
        place.sized = isinstance(where, dict)
        return place

    def _behind(self, value: Any) -> Iterator[Any]:
        """What an object always refers to, so that nothing needs to be compared."""
        if isinstance(value, FunctionType):
            yield from (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
        elif isinstance(value, MethodType):
            yield from (value.__self__, value.__func__)
        elif isinstance(value, functools.partial):
            yield from (value.func, *value.args, *value.keywords.values())
        elif isinstance(value, tuple):
            yield from value
        elif isinstance(value, property):
            yield value.fget
        elif isinstance(value, staticmethod | classmethod):
            yield value.__func__
        elif isinstance(value, type):
            yield from value.__mro__
        wrapped = getattr(value, "__dict__", {}).get("__wrapped__")
        if wrapped is not None:
            yield wrapped
        yield from type(value).__mro__  # for the methods that the code mentions


class _Slots:
    """The attributes in an object's slots, as a dict would give them."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def get(self, name: str, default: Any) -> Any:
        """As of a dict."""
        return getattr(self.value, name, default)


def _some(where: Any, names: Iterable[str], label: str) -> _Place:
    keys = tuple(sorted(names))
    return _Place(label, where, keys, [where.get(key, _ABSENT) for key in keys])


def _is_part(value: Any) -> bool:
    """Whether a layer that holds it has it as a part: a parameter, a buffer, a layer, or several of them."""
    if isinstance(value, list | tuple | dict):
        return any(map(_is_part, value.values() if isinstance(value, dict) else value))
    return (isinstance(value, Tensor) and type(value) is not Tensor) or bool(getattr(type(value), "_assumed", False))


def _all(where: Any, label: str) -> _Place:
    place = _Place(label, where, None, [])
    place.then = place.now()
    return place


def _same(now: Iterable[Any], then: Iterable[Any]) -> bool:
    """Whether these are the same objects; of numbers and strings, others of the same value will do."""
    now = list(now)
    return all(map(is_, now, then)) or all(map(_alike, now, then))


def _alike(x: Any, y: Any) -> bool:
    return x is y or (type(x) is type(y) and isinstance(x, _ATOMS) and repr(x) == repr(y))


def _of_library(module: Any) -> bool:
    return isinstance(module, str) and _is_library(module.partition(".")[0])


@functools.lru_cache(maxsize=1000)
def _is_library(package: str) -> bool:
    """Whether a package's code is nobody's who writes a step: this one, Python's, or one that is installed."""
    module = sys.modules.get(package)
    where = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), "")
    return package in _LIBRARIES or not {"site-packages", "dist-packages"}.isdisjoint(Path(where).parts)


@functools.lru_cache(maxsize=1000)
def _mentioned(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The names that code looks up among globals, and those of attributes; strings may be names of attributes too."""
    names, attributes = set(), set()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(step.argval)
        elif "ATTR" in step.opname or "METHOD" in step.opname:
            attributes.add(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = _mentioned(constant)
            names |= inner[0]
            attributes |= inner[1]
        elif isinstance(constant, str) and constant.isidentifier():
            attributes.add(constant)
    return frozenset(names), frozenset(attributes)
