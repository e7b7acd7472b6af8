"""Checkpoints: all that a training run needs to go on, in one safetensors file that nothing has to unpickle.

The arrays are the file's tensors. Everything else (step counts, learning rates, the position in the data, the history)
is JSON in the file's metadata, which refers to the arrays by name, with a SHA-256 of both.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd.ops.random import Generator, default_generator
from ..autograd.tensor import Tensor
from ..nn.state import load_safetensors, save_safetensors

FORMAT = "pullback-checkpoint"
VERSION = "1"


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: Any = None,
    optimizer: Any = None,
    scheduler: Any = None,
    loader: Any = None,
    generator: Generator | None = None,
    extra: Any = None,
) -> None:
    """Write the state of a training run to a file, atomically: a crash leaves the old file or the new one.

    Parameters
    ----------
    path : the file, usually `*.safetensors`; any safetensors reader can open it.
    model, optimizer, scheduler, loader : objects with a `state_dict()`; those given are saved.
    generator : the random generator to save; the default one, which dropout draws from, if None.
    extra : anything made of dicts, lists, tuples, strings, numbers, None, arrays and Tensors.

    Raises
    ------
    TypeError : something that is neither an array nor plain data; says where.
    """
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": loader}
    tree = {name: part.state_dict() for name, part in parts.items() if part is not None}
    tree["generator"] = _Random(generator).state_dict()
    if extra is not None:
        tree["extra"] = extra
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    text = json.dumps(_encode(tree, "", arrays))
    metadata = {"format": FORMAT, "version": VERSION, "state": text, "sha256": _digest(text, arrays)}
    save_safetensors(arrays, path, metadata)


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: Any = None,
    optimizer: Any = None,
    scheduler: Any = None,
    loader: Any = None,
    generator: Generator | None = None,
) -> Any:
    """Restore what is given from a checkpoint, all of it or, if anything does not fit, nothing.

    Training that goes on from here is bit for bit what it would have been, on the same backend.

    Parameters
    ----------
    path : a file that `save_checkpoint` wrote.
    model, optimizer, scheduler, loader : restored by their `load_state_dict`.
    generator : the random generator to restore; the default one if None.

    Returns
    -------
    The `extra` it was saved with, its Tensors as NumPy arrays; None if there was none.

    Raises
    ------
    FileNotFoundError : there is no such file.
    ValueError : the file is truncated, altered, no checkpoint, of another version, lacks a part that is asked for, or
        that part does not fit.
    """
    tree = read_checkpoint(path)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": loader}
    wanted = {name: part for name, part in parts.items() if part is not None}
    wanted["generator"] = _Random(generator)
    absent = [name for name in wanted if name not in tree]
    if absent:
        raise ValueError(f"{path} holds no {' and no '.join(absent)}; it holds {', '.join(tree)}")
    before = {name: part.state_dict() for name, part in wanted.items()}
    for name, part in wanted.items():
        try:
            part.load_state_dict(tree[name])
        except Exception as error:
            for other, state in before.items():
                wanted[other].load_state_dict(state)
            error.add_note(f"while restoring the {name} from {path}; nothing was changed")
            raise
    return tree.get("extra")


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A checkpoint's parts by name (`model`, `optimizer`, ...), their arrays as NumPy arrays, checked.

    Raises
    ------
    FileNotFoundError, ValueError : as for `load_checkpoint`.
    """
    from safetensors import safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    arrays = load_safetensors(path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path} is a safetensors file but no checkpoint: its format is {metadata.get('format')!r}, expected "
            f"{FORMAT!r}. Weights alone are loaded with model.load_state_dict(nn.load_safetensors(path))."
        )
    if metadata.get("version") != VERSION:
        raise ValueError(
            f"{path} is a checkpoint of version {metadata.get('version')!r}; this pullback reads version {VERSION!r}"
        )
    text = metadata.get("state", "")
    if metadata.get("sha256") != _digest(text, arrays):
        raise ValueError(f"{path}: the content does not match its SHA-256; the file is damaged or was altered")
    tree: dict[str, Any] = _decode(json.loads(text), arrays)
    return tree


class _Random:
    """A random generator, the default one for None, with the two methods of the other parts."""

    def __init__(self, generator: Generator | None) -> None:
        self._generator = default_generator if generator is None else generator

    def state_dict(self) -> dict[str, int]:
        return self._generator.get_state()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._generator.set_state(state)


def _digest(text: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    sha = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(f"\n{name} {array.dtype.name} {array.shape}\n".encode())
        sha.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return sha.hexdigest()


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Plain JSON for `value`; arrays are put aside under their path. What JSON has not is a dict with one $-key."""
    if value is None or (isinstance(value, bool | int | float | str) and not isinstance(value, np.generic)):
        return value
    if isinstance(value, Tensor | np.ndarray | np.generic):
        array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"a checkpoint cannot hold the {array.dtype} array at {path}")
        name = path
        while name in arrays:
            name += "'"
        arrays[name] = array
        return {"$array": name}
    if isinstance(value, Mapping):
        plain = all(isinstance(key, str) and not key.startswith("$") for key in value)
        items = [(key, _encode(item, _join(path, key), arrays)) for key, item in value.items()]
        if plain:
            return dict(items)
        if not all(isinstance(key, str | int) and not isinstance(key, bool) for key in value):
            raise TypeError(
                f"a checkpoint cannot hold the dict at {path or 'the top'}: its keys must be strings or ints"
            )
        return {"$items": [list(item) for item in items]}
    if isinstance(value, list | tuple):
        encoded = [_encode(item, _join(path, i), arrays) for i, item in enumerate(value)]
        return encoded if isinstance(value, list) else {"$tuple": encoded}
    raise TypeError(f"a checkpoint holds plain data and arrays, not the {type(value).__name__} at {path or 'the top'}")


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _decode(value: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return arrays[value["$array"]]
    if "$tuple" in value:
        return tuple(_decode(item, arrays) for item in value["$tuple"])
    if "$items" in value:
        return {key: _decode(item, arrays) for key, item in value["$items"]}
    return {key: _decode(item, arrays) for key, item in value.items()}
