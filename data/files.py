"""Where data files are: the folder the user names, the cache, or the network, in that order."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path


class DataUnavailableError(OSError):
    """A data set is neither in `PULLBACK_DATA` nor in the cache, and could not be downloaded."""


def cache_dir() -> Path:
    """Where downloads are kept: `PULLBACK_CACHE`, else the system's folder for caches, with `/pullback`."""
    named = os.environ.get("PULLBACK_CACHE")
    if named:
        return Path(named).expanduser()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "pullback"


def data_dir() -> Path | None:
    """The folder that `PULLBACK_DATA` names, or None.

    Raises
    ------
    DataUnavailableError : `PULLBACK_DATA` is set to something that is no folder.
    """
    named = os.environ.get("PULLBACK_DATA")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise DataUnavailableError(f"PULLBACK_DATA={named} is no folder; set it to where the data sets are or unset it")
    return folder


def find(name: str, folders: Sequence[str]) -> list[Path]:
    """Every place where the file `name` (or `name` without `.gz`) lies, best first.

    Looks in `folders` under `PULLBACK_DATA`, then in the first of `folders` under the cache. The folder "." is the flat
    layout.
    """
    places = []
    root = data_dir()
    if root is not None:
        places += [root / folder for folder in folders]
    places.append(cache_dir() / folders[0])
    names = (name, name.removesuffix(".gz")) if name.endswith(".gz") else (name,)
    return [place / n for place in places for n in names if (place / n).is_file()]


def digest(content: bytes) -> str:
    """SHA-256 of the bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def download(name: str, folder: str, urls: Sequence[str], sha256: str) -> Path:
    """Fetch a file into the cache through pooch, trying each URL, and check it.

    Raises
    ------
    ImportError : pooch is missing; says how to install it.
    DataUnavailableError : no URL gave the file with this checksum; says what each answered and what else to do.
    """
    try:
        import pooch
    except ImportError as error:
        raise ImportError(f"downloading {name} needs pooch: pip install 'pullback[demo]'") from error
    failures = []
    for url in urls:
        try:
            got = pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name, path=cache_dir() / folder)
            return Path(got)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong checksum is a ValueError
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            failures.append(f"  {url}: {reason}")
    raise DataUnavailableError(
        f"{name} could not be downloaded:\n" + "\n".join(failures) + f"\nPut it into {cache_dir() / folder}, "
        f"or set PULLBACK_DATA to a folder that holds {folder}/{name}."
    )
