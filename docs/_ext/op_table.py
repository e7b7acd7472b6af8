"""Writes the page that lists every op, from the primitives themselves and the conformance table."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from pullback.backends import BackendError, get_backend
from pullback.conformance.cases import all_primitives, families

HEAD = """# All ops

Made from the code: every primitive, the order of derivative to which the conformance table checks it, and which
backends have a kernel of their own for it (all others run the generic forward). Shapes, formulas and kinks are in the
docstrings.
"""


def kernels(name: str) -> set[str]:
    """Ops with a kernel on that backend beyond NumPy's; none where it cannot be loaded."""
    try:
        own = set(get_backend(name).kernels)
    except BackendError:
        return set()
    return own - (set(get_backend("numpy").kernels) if name != "numpy" else set())


def page() -> str:
    """The page's text."""
    orders: dict[str, int] = defaultdict(int)
    rows: dict[str, int] = defaultdict(int)
    for cases in families().values():
        for case in cases:
            orders[case.op.name] = max(orders[case.op.name], case.orders)
            rows[case.op.name] += 1
    backends = {name: kernels(name) for name in ("numpy", "numba")}
    by_family: dict[str, list[Any]] = defaultdict(list)
    for name, prim in all_primitives().items():
        by_family[prim.__module__.rsplit(".", 1)[1]].append((name, prim))
    parts = [HEAD]
    for family in sorted(by_family):
        parts.append(
            f"## {family}\n\n| op | meaning | inputs | checked to order | rows | kernels |\n|---|---|---|---|---|---|"
        )
        for name, prim in sorted(by_family[family], key=lambda pair: pair[0]):
            meaning = (
                " ".join((prim.__doc__ or "").strip().split("\n\n")[0].split()).replace("|", "\\|").replace("*", "\\*")
            )
            inputs = ("\\*" if prim.variadic else "") + ", ".join(prim.inputs)
            own = ", ".join(b for b, names in backends.items() if name in names)
            order = orders[name] if prim.differentiable else "–"
            parts.append(f"| `{name}` | {meaning} | {inputs} | {order} | {rows[name]} | {own} |")
        parts.append("")
    return "\n".join(parts) + "\n"


def write(app: Any) -> None:
    """Write the page before Sphinx reads its sources."""
    target = Path(app.srcdir) / "api" / "generated"
    target.mkdir(parents=True, exist_ok=True)
    path = target / "ops.md"
    text = page()
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
