"""Writes two pages from the code: all ops with their rules, and the reference of the public functions, by family."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import textwrap
from collections import defaultdict
from pathlib import Path
from types import CodeType
from typing import Any

import pullback
from pullback.backends import BackendError, get_backend
from pullback.conformance.cases import all_primitives, families

CODE = re.compile(r"`([^`]+)`")
TABLE = """# All ops

Made from the code: every primitive with its formula, the rules that pull its cotangents back, the order of derivative
to which the conformance table checks it in `rows` of that table, and which backends have a kernel of their own for it
(all others run the generic forward). Backward ops are ops like any other and stand here too. What the public functions
take and give is in the [reference](functions.md); how they compare with PyTorch's, in [parity](../../parity.md).

In a rule, `g` is the cotangent of the result, and its other parameters are the op's inputs, its result `out`, the shape
or dtype of an input, and static parameters. A rule is written with ops, so that it has a derivative itself. A joint
rule gives the cotangents of all inputs at once.
"""
REFERENCE = """# Functions

Every function here is `pullback.<name>`; many are methods of `Tensor` too. Inputs before the `/` are tensors, or what
can become one. In a rule, `g` is the cotangent of the result, and ∂x stands for what the input x gets of it.
[All ops](ops.md) has their rules, and the backends' kernels.
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
    """The page of all ops."""
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
        listed = sorted(by_family[family], key=lambda pair: pair[0])
        parts.append(f"## {family}\n\n| op | meaning | order | rows | kernels |\n|---|---|---|---|---|")
        for name, op in listed:
            order = orders[name] if op.differentiable else "–"
            has = ", ".join(backend for backend, names in own.items() if name in names)
            link = f"[`{name}`](#op-{name.replace('_', '-')})"
            parts.append(f"| {link} | {markdown(op.__doc__ or '')} | {order} | {rows[name]} | {has} |")
        for name, op in listed:
            parts.append(f"\n(op-{name.replace('_', '-')})=\n### {name}\n\n`{call(op)}`\n")
            if op.differentiable:
                parts.append(f"```python\n{rules(op)}\n```")
            else:
                parts.append("Not differentiable.")
        parts.append("")
    return "\n".join(parts) + "\n"


def call(op: Any) -> str:
    """How an op is called: its inputs, then its static parameters with their defaults."""
    static = [f"{name}={op.defaults[name]!r}" if name in op.defaults else name for name in op.statics]
    inputs = [f"*{op.inputs[0]}"] if op.variadic else [*op.inputs, "/"]
    return f"{op.name}({', '.join([*inputs, *(['*'] if static and not op.variadic else []), *static])})"


def rules(op: Any) -> str:
    """The source of an op's rules; one that several inputs share stands once."""
    given = {"joint rule": op.joint} if op.joint is not None else dict(op.rules)
    names: dict[Any, list[str]] = {}
    for name, rule in given.items():
        names.setdefault(rule, []).append(name)
    parts = []
    for rule, inputs in names.items():
        text = source(rule)
        parts.append(f"# {'∂' if op.joint is None else ''}{', '.join(inputs)}\n{text}")
    return "\n\n".join(parts)


def source(rule: Any) -> str:
    """The text of a rule: its definition, or the lambda alone out of the call that it is an argument of."""
    if rule.__name__ != "<lambda>":
        return textwrap.dedent(inspect.getsource(rule)).strip()
    text, lambdas = _lambdas(rule.__code__.co_filename)
    places = _places(rule.__code__)
    for node in lambdas:
        body = node.body
        start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
        if node.lineno == rule.__code__.co_firstlineno and all(start <= a and b <= end for a, b in places):
            return textwrap.dedent(" " * node.col_offset + (ast.get_source_segment(text, node) or ""))
    raise ValueError(f"no lambda at line {rule.__code__.co_firstlineno} of {rule.__code__.co_filename}")


@functools.cache
def _lambdas(path: str) -> tuple[str, list[ast.Lambda]]:
    text = Path(path).read_text(encoding="utf-8")
    return text, [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Lambda)]


def _places(code: CodeType) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where the expressions of a code object start and end in its file, but for those of no width."""
    found = [p for p in code.co_positions() if None not in p and (p[0], p[2]) != (p[1], p[3])]
    return [((a, c), (b, d)) for a, b, c, d in found]  # type: ignore[misc]


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
