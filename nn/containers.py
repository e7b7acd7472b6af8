"""Modules and parameters in sequence and by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from ..autograd.tensor import Parameter, Tensor
from .module import Module


class Container(Module):
    """A module with named entries that are attributes too: `model.conv1`, `getattr(model, "0")`.

    As in PyTorch, assigning a new attribute that could be an entry adds it as the last one.
    """

    _entry: type = Module
    _entries: dict[str, Any]

    def __init__(self) -> None:
        self._entries = {}

    def _members(self) -> Iterator[tuple[str, Any]]:
        yield from self._entries.items()
        for name, value in super()._members():
            if not name.startswith("_entries."):
                yield name, value

    def __getattr__(self, name: str) -> Any:
        entries = self.__dict__.get("_entries", {})
        if name in entries:
            return entries[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_entries", ()) or (isinstance(value, self._entry) and name != "_entries"):
            self._entries[name] = self._check(value)
        else:
            super().__setattr__(name, value)

    def _check(self, value: Any) -> Any:
        if not isinstance(value, self._entry):
            raise TypeError(
                f"{type(self).__name__} holds objects of type {self._entry.__name__}, not {type(value).__name__}"
            )
        return value

    def __len__(self) -> int:
        return len(self._entries)


class ListContainer(Container):
    """Entries named "0", "1", …, with Python's list operations."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(() if values is None else values)

    def _renumber(self, values: Iterable[Any]) -> None:
        self._entries = {str(i): value for i, value in enumerate(values)}

    def _key(self, index: int) -> str:
        keys = list(self._entries)
        if not -len(keys) <= index < len(keys):
            raise IndexError(f"index {index} is out of range for a {type(self).__name__} of length {len(keys)}")
        return keys[index]

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._entries.values())[index])
        return self._entries[self._key(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        self._entries[self._key(index)] = self._check(value)

    def __delitem__(self, index: int | slice) -> None:
        values = list(self._entries.values())
        del values[index]
        self._renumber(values)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._entries.values()))

    def append(self, value: Any) -> Self:
        """Add one entry at the end."""
        self._entries[str(len(self._entries))] = self._check(value)
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add entries at the end."""
        for value in values:
            self.append(value)
        return self

    def insert(self, index: int, value: Any) -> Self:
        """Put an entry before the one at `index`; later ones are renumbered."""
        values = list(self._entries.values())
        values.insert(index, self._check(value))
        self._renumber(values)
        return self

    def pop(self, index: int = -1) -> Any:
        """Remove an entry and return it."""
        value = self[index]
        del self[index]
        return value


class ModuleList(ListContainer):
    """A list of modules; it computes nothing itself."""


class ParameterList(ListContainer):
    """A list of parameters; tensors and arrays put into it become parameters."""

    _entry = Parameter

    def _check(self, value: Any) -> Parameter:
        return value if isinstance(value, Parameter) else Parameter(value)

    def extra_repr(self) -> str:
        """One line a parameter."""
        return _parameters(self._entries)


class _Dict(Container):
    """Entries by name, with Python's dict operations."""

    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        super().__init__()
        self.update({} if values is None else values)

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._entries[entry_name(key)] = self._check(value)

    def __delitem__(self, key: str) -> None:
        del self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._entries.keys()

    def values(self) -> Iterable[Any]:
        """The entries."""
        return self._entries.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs (name, entry)."""
        return self._entries.items()

    def pop(self, key: str) -> Any:
        """Remove an entry and return it."""
        return self._entries.pop(key)

    def update(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add or replace entries."""
        for key, value in dict(values).items():
            self[key] = value


class ModuleDict(_Dict):
    """Modules by name; it computes nothing itself."""


class ParameterDict(_Dict):
    """Parameters by name; tensors and arrays put into it become parameters."""

    _entry = Parameter

    def _check(self, value: Any) -> Parameter:
        return value if isinstance(value, Parameter) else Parameter(value)

    def extra_repr(self) -> str:
        """One line a parameter."""
        return _parameters(self._entries)


def entry_name(name: Any) -> str:
    if not isinstance(name, str) or not name or "." in name:
        raise KeyError(f"{name!r} cannot name a module: give a non-empty string without dots")
    return name


def _parameters(entries: dict[str, Tensor]) -> str:
    return ", ".join(f"({name}): Parameter of shape {value.shape}" for name, value in entries.items())
