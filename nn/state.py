"""A module's state: reading it, checking a state_dict against it, and safetensors files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..autograd.tensor import Parameter, Tensor
from .buffer import Buffer

if TYPE_CHECKING:
    from .module import Module


class Incompatible(NamedTuple):
    """Keys that `load_state_dict(strict=False)` did without."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def read_state(module: Module) -> Iterator[tuple[str, Tensor]]:
    """(key, tensor) of every parameter and persistent buffer, shared ones under each of their paths."""
    for path, owner in module.named_modules(remove_duplicate=False):
        members = list(owner._members())
        for kind in (Parameter, Buffer):
            for name, value in members:
                if isinstance(value, kind) and getattr(value, "persistent", True):
                    yield f"{path}.{name}" if path else name, value


def load_state(module: Module, state_dict: Any, strict: bool) -> Incompatible:
    """`Module.load_state_dict`."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"a state_dict is a dict from names to arrays, not {type(state_dict).__name__}")
    own = dict(read_state(module))
    given = {tensor for key, tensor in own.items() if key in state_dict}
    missing = [key for key, tensor in own.items() if tensor not in given]
    unexpected = [key for key in state_dict if key not in own]
    problems, values = [], []
    for key, tensor in own.items():
        if key not in state_dict:
            continue
        try:
            value = as_host_array(state_dict[key])
        except (TypeError, ValueError, RuntimeError) as error:
            problems.append(f"{key} cannot be read as an array: {error}")
            continue
        if value.shape != tensor.shape:
            problems.append(f"{key} has shape {value.shape} in the state_dict, {tensor.shape} in the model")
        elif value.dtype.kind not in "biuf" or (value.dtype.kind == "f" and tensor.dtype.kind != "f"):
            problems.append(f"{key} has dtype {value.dtype} in the state_dict, {tensor.dtype} in the model")
        else:
            values.append((tensor, value))
    if strict and missing:
        problems.append(f"missing keys: {', '.join(missing)}")
    if strict and unexpected:
        problems.append(f"unexpected keys: {', '.join(map(str, unexpected))}")
    if problems:
        if strict and (missing or unexpected):
            problems.append("(strict=False ignores missing and unexpected keys)")
        head = f"the state_dict does not fit {type(module).__name__}, which is unchanged:"
        raise ValueError("\n  ".join([head, *problems]))
    for tensor, value in values:
        tensor.assign(value)  # type: ignore[attr-defined]
    return Incompatible(missing, unexpected)


def as_host_array(value: Any) -> np.ndarray[Any, Any]:
    """A Tensor, array, torch tensor or number as a NumPy array."""
    if isinstance(value, Tensor):
        return value.numpy()
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a torch tensor, wherever it lives
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        return np.asarray(value.numpy())
    if isinstance(value, np.ndarray | np.generic | int | float) or hasattr(value, "__array__"):
        return np.asarray(value)
    raise TypeError(f"{type(value).__name__} is no array")


# ---------------------------------------------------------------- files


def save_safetensors(
    state: Module | Mapping[str, Any], path: str | os.PathLike[str], metadata: dict[str, str] | None = None
) -> None:
    """Write a module's `state_dict`, or a dict of arrays, to a safetensors file, atomically.

    The file is written beside `path` and then renamed, so a crash leaves either the old file or the new one.
    """
    from safetensors.numpy import save

    entries = state if isinstance(state, Mapping) else state.state_dict()
    arrays = {key: np.ascontiguousarray(a).reshape(a.shape) for key, a in _arrays(entries)}
    data = save(arrays, metadata=metadata)
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _arrays(entries: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    for key, value in entries.items():
        yield key, as_host_array(value)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a safetensors file by name, for `load_state_dict`; PyTorch's files included.

    Raises
    ------
    FileNotFoundError : there is no such file.
    ValueError : the file is truncated, altered or of another format; the message names it.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = Path(path).read_bytes()
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{os.fspath(path)} ({len(data)} bytes) is no complete safetensors file: {error}; "
            "it is truncated, was altered, or has another format"
        ) from error
