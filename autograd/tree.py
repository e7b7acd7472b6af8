"""Nested containers of tensors: dicts, lists, tuples and named tuples. Anything else is a leaf; None is no leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def _parts(tree: Any) -> list[tuple[str, Any]] | None:
    """The name and value of each part of a container; None for a leaf."""
    if isinstance(tree, dict):
        return [(f"[{key!r}]", value) for key, value in tree.items()]
    if isinstance(tree, list | tuple):
        return [(f"[{i}]", value) for i, value in enumerate(tree)]
    return [] if tree is None else None


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, leaf) of every leaf, in order."""
    parts = _parts(tree)
    if parts is None:
        yield path, tree
        return
    for name, part in parts:
        yield from leaves(part, path + name)


def rebuilt(tree: Any, values: Iterator[Any]) -> Any:
    """The same containers around other leaves, taken from `values` in order."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: rebuilt(part, values) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        parts = [rebuilt(part, values) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return next(values)


def mapped(fn: Callable[[Any], Any], tree: Any) -> Any:
    """The same containers around fn of every leaf."""
    return rebuilt(tree, iter([fn(leaf) for _, leaf in leaves(tree)]))


def spread(spec: Any, tree: Any, what: str) -> list[Any]:
    """One entry of `spec` for each leaf of `tree`; an entry that stands where the tree has a container holds for all.

    Raises
    ------
    ValueError : a container in `spec` has no counterpart of its kind and length in the tree. `what` names the spec.
    """
    own = None if spec is None else _parts(spec)
    if own is None:
        return [spec] * sum(1 for _ in leaves(tree))
    parts = _parts(tree) if isinstance(tree, type(spec)) or type(spec) in (list, tuple) else None
    if parts is None or isinstance(spec, dict) != isinstance(tree, dict) or len(parts) != len(own):
        given = f"a {type(tree).__name__}" + (f" of {len(parts)}" if parts is not None else "")
        raise ValueError(
            f"{what} is a {type(spec).__name__} of {len(own)}, but stands for {given}; it must have that structure, or "
            "be one entry for the whole"
        )
    if isinstance(spec, dict):
        if spec.keys() != tree.keys():
            raise ValueError(f"{what} has the keys {list(spec)}, but stands for a dict with the keys {list(tree)}")
        own = [(f"[{key!r}]", spec[key]) for key in tree]
    return [entry for (name, s), (_, t) in zip(own, parts, strict=True) for entry in spread(s, t, what + name)]
