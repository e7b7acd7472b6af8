"""Text data sets."""

from __future__ import annotations

from .files import digest, download, find

_NAME = "input.txt"
_FOLDER = "tinyshakespeare"
_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def load_tiny_shakespeare() -> str:
    """1,115,394 characters of Shakespeare's plays (Karpathy, char-rnn, 2015), 65 distinct ones.

    `tinyshakespeare/input.txt` is taken from `PULLBACK_DATA`, else from the cache, else downloaded. The usual split is
    the first nine tenths to train with and the rest to validate.

    Raises
    ------
    ValueError : the file found is not the known one.
    DataUnavailableError, ImportError : no file and no network, or no pooch; says what to do.
    """
    found = find(_NAME, (_FOLDER,))
    path = found[0] if found else download(_NAME, _FOLDER, (_URL,), _SHA256)
    content = path.read_bytes()
    if digest(content) != _SHA256:
        raise ValueError(
            f"{path}: {len(content)} bytes with SHA-256 {digest(content)[:12]}..., expected {_SHA256[:12]}..."
        )
    return content.decode("ascii")
