"""Writes two pages from the code: the table of all ops, and the reference of the public functions, by family."""

from __future__ import annotations

import importlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pullback
from pullback.backends import BackendError, get_backend
from pullback.conformance.cases import all_primitives, families

CODE = re.compile(r"`([^`]+)`")
TABLE = """# All ops

Made from the code: every primitive, the order of derivative to which the conformance table checks it, the number of
its rows there, and which backends have a kernel of their own for it (all others run the generic forward). Backward ops
are ops like any other and stand here too. What the public functions take and give is in the [reference](functions.md).
"""
REFERENCE = """# Functions

Every function here is `pullback.<name>`; many are methods of `Tensor` too. Inputs before the `/` are tensors, or what
can become one. In a rule, `g` is the cotangent of the result, and ∂x stands for what the input x gets of it.
[All ops](ops.md) has them in a table, with the backends' kernels.
"""


def kernels(backend: str) -> set[str]:
    """Ops for which that backend has a kernel, not counting those it inherits."""
    if backend == "cupy":  # its modules load only where there is CuPy, but their text is here
        texts = [path.read_text() for path in (Path(pullback.__file__).parent / "backends" / "cupy").glob("*.py")]
        return set(re.findall(r'\bregister\("(\w+)"', "\n".join(texts)))
    try:
        found = get_backend(backend).kernels
    except BackendError:
        return set()
    return {op for op, kernel in found.items() if backend == "numpy" or f".{backend}" in kernel.fn.__module__}


def markdown(text: str) -> str:
    """A docstring's first paragraph as the cell of a table."""
    parts = CODE.split(" ".join(text.strip().split("\n\n")[0].split()))
    for i, part in enumerate(parts):
        parts[i] = f"`{part}`" if i % 2 else re.sub(r"([*_<$])", r"\\\1", part)
    return "".join(parts).replace("|", "\\|")


def table() -> str:
    """The table of all ops."""
    orders: dict[str, int] = defaultdict(int)
    rows: dict[str, int] = defaultdict(int)
    for cases in families().values():
        for case in cases:
            orders[case.op.name] = max(orders[case.op.name], case.orders)
            rows[case.op.name] += 1
    own = {name: kernels(name) for name in ("numpy", "numba", "cupy")}
    by_family: dict[str, list[Any]] = defaultdict(list)
    for name, op in all_primitives().items():
        by_family[op.__module__.rsplit(".", 1)[1]].append((name, op))
    parts = [TABLE]
    for family in sorted(by_family):
        parts.append(f"## {family}\n\n| op | meaning | inputs | order | rows | kernels |\n|---|---|---|---|---|---|")
        for name, op in sorted(by_family[family], key=lambda pair: pair[0]):
            inputs = ("\\*" if op.variadic else "") + ", ".join(op.inputs)
            order = orders[name] if op.differentiable else "–"
            has = ", ".join(backend for backend, names in own.items() if name in names)
            parts.append(f"| `{name}` | {markdown(op.__doc__ or '')} | {inputs} | {order} | {rows[name]} | {has} |")
        parts.append("")
    return "\n".join(parts) + "\n"


def reference() -> str:
    """The public functions of each family, for autodoc."""
    folder = Path(pullback.__file__).parent / "autograd" / "ops"
    parts = [REFERENCE]
    seen: dict[int, str] = {}
    for path in sorted(folder.glob("[!_]*.py")):
        module = importlib.import_module(f"pullback.autograd.ops.{path.stem}")
        names = [name for name in getattr(module, "__all__", ()) if name in vars(pullback)]
        if not names:
            continue
        parts.append(f"## {path.stem}\n\n{(module.__doc__ or '').strip()}\n\n```{{eval-rst}}")
        for name in names:
            thing = getattr(pullback, name)
            if id(thing) in seen:  # another name of the same function
                parts.append(
                    f".. py:function:: pullback.{name}\n\n   The same as :func:`pullback.{seen[id(thing)]}`.\n"
                )
                continue
            seen[id(thing)] = name
            kind = "autoclass" if isinstance(thing, type) else "autofunction" if callable(thing) else "autodata"
            members = "\n   :members:" if kind == "autoclass" else ""
            parts.append(f".. {kind}:: pullback.{name}{members}")
        parts.append("```\n")
    return "\n".join(parts) + "\n"


def write(app: Any) -> None:
    """Write the pages before Sphinx reads its sources."""
    target = Path(app.srcdir) / "api" / "generated"
    target.mkdir(parents=True, exist_ok=True)
    for path, text in ((target / "ops.md", table()), (target / "functions.md", reference())):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
