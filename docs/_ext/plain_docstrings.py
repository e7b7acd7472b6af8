"""Docstrings as RST and napoleon want them.

They are plain text with code between single backticks: the rest of RST's inline markup is switched off. Entries of a
section are `name : text`, where napoleon would take the text for a type, and a paragraph after them ends the section.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
ENTRY = re.compile(r"^(\S[^:]*?) : (.*)$")
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


def sections(lines: list[str]) -> list[str]:
    """The lines with each section's entries as a name and an indented text."""
    out: list[str] = []
    inside, title = False, ""
    for i, line in enumerate(lines):
        if i + 1 < len(lines) and re.fullmatch("-{3,}", lines[i + 1]):
            inside, title = True, line
        elif re.fullmatch("-{3,}", line) or not inside or not line or line[0] == " ":
            pass
        elif found := ENTRY.match(line):
            out += _entries(*found.groups()) if title == "Raises" else [found[1], f"    {found[2]}"]
            continue
        elif not lines[i - 1]:
            inside = False
            out.append("")  # two empty lines end a section
        out.append(line)
    return out


def _entries(name: str, text: str) -> list[str]:
    """Several exceptions of one line, `A : text. B : text`, as an entry each."""
    first, *rest = re.split(r"(?<=\.) (\w+(?:Error|Warning)) : ", text)
    pairs = [(name, first), *zip(rest[::2], rest[1::2], strict=True)]
    return [line for pair in pairs for line in (pair[0], f"    {pair[1]}")]


def docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Sphinx's hook: rewrite the lines in place."""
    lines[:] = prose(sections(lines))


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
