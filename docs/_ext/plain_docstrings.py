"""Docstrings are plain text with code between single backticks; the rest of RST's inline markup is switched off."""

from __future__ import annotations

import inspect
import re
from typing import Any

CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)")


def plain(text: str) -> str:
    """The text as RST: a word between backticks becomes a literal, and *, | and a trailing _ mean themselves."""
    parts = CODE.split(text)  # outside, inside, outside, ...
    for i, part in enumerate(parts):
        parts[i] = f"``{part}``" if i % 2 else MARKUP.sub(lambda found: "\\" + found[0], part)
    return "".join(parts)


def prose(lines: list[str]) -> list[str]:
    """A docstring's lines as RST, examples left alone."""
    blocks = re.split(r"(\n\s*\n)", "\n".join(lines))
    return "".join(block if block.lstrip().startswith(">>>") else plain(block) for block in blocks).split("\n")


def docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Sphinx's hook: rewrite the lines in place."""
    lines[:] = prose(lines)


def signature(app: Any, what: str, name: str, obj: Any, options: Any, args: str | None, returns: str | None) -> Any:
    """Sphinx's hook: an op's signature without the namespace, which the engine passes."""
    if args is None or not hasattr(obj, "takes_xp"):
        return None
    shape = inspect.signature(obj)
    kept = [p.replace(annotation=p.empty) for p in shape.parameters.values() if p.name != "xp"]
    return str(shape.replace(parameters=kept, return_annotation=shape.empty)), None


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx; before napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", docstring, priority=100)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True}
