"""A recorded graph as a picture, as DOT text, or as a plain list."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from .errors import GraphError
from .graph import Node, Output, descending
from .tensor import Tensor


def _named(names: Mapping[str, Tensor] | None) -> dict[Node, str]:
    return {t._node: name for name, t in (names or {}).items() if t._node is not None}


def _label(node: Node, names: Mapping[Node, str]) -> str:
    if node in names:
        return f"{names[node]}\n{node.shape}"
    if isinstance(node, Output):
        return f"{node.name}[{node.index}]\n{node.shape}"
    if node.plan is not None and node.plan.prim.outputs != 1:
        return node.name
    return f"{node.name}\n{node.shape}"


def _nodes(tensor: Tensor) -> list[Node]:
    if tensor._node is None:
        raise GraphError("this tensor has no graph: nothing it was computed from requires a gradient")
    return descending([tensor._node])


def graph_dot(tensor: Tensor, names: Mapping[str, Tensor] | None = None) -> str:
    r"""The graph of a tensor in Graphviz's DOT language; arrows point from inputs to results.

    Tensors in `names` stand under the name given; other nodes under that of their op.

    >>> import pullback as pb
    >>> x = pb.tensor(2.0, requires_grad=True)
    >>> print(pb.graph_dot(x * x, {"x": x}))
    digraph {
      n0 [label="multiply\n()", shape=box];
      n1 [label="x\n()", shape=ellipse];
      n1 -> n0;
      n1 -> n0;
    }
    """
    order, called = _nodes(tensor), _named(names)
    number = {node: i for i, node in enumerate(order)}
    lines = ["digraph {"]
    for node, i in number.items():
        text = _label(node, called).replace("\n", "\\n")
        lines.append(f'  n{i} [label="{text}", shape={"ellipse" if node.plan is None else "box"}];')
    lines += [f"  n{number[p]} -> n{i};" for node, i in number.items() for p in node.parents if p is not None]
    return "\n".join([*lines, "}"])


def _spread(row: list[Node], place: dict[Node, tuple[float, float]]) -> dict[Node, float]:
    """Where the nodes of a row stand: each below the middle of its inputs, moved apart to distance 1 at least."""
    wanted: dict[Node, float] = {}
    for node in row:
        above = [place[p][0] for p in node.parents if p is not None]
        wanted[node] = sum(above) / len(above) if above else 0.0
    row = sorted(row, key=lambda node: wanted[node])
    found: dict[Node, float] = {}
    edge = -math.inf
    for node in row:
        found[node] = edge = max(wanted[node], edge + 1.0)
    shift = sum(wanted[node] - found[node] for node in row) / len(row)
    return {node: x + shift for node, x in found.items()}


def draw_graph(tensor: Tensor, names: Mapping[str, Tensor] | None = None, ax: Any = None) -> Any:
    """Draw the graph of a tensor with matplotlib, inputs at the top; returns the axes.

    Each node stands one row below the lowest of its inputs, under the name that `names` gives its tensor, or that of
    its op. Meant for graphs of up to a few dozen nodes.

    Raises
    ------
    GraphError : the tensor has no graph.
    ImportError : matplotlib is not installed (`pip install 'pullback[demo]'`).
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("draw_graph needs matplotlib: pip install 'pullback[demo]'") from error

    order, called = _nodes(tensor), _named(names)
    depth: dict[Node, int] = {}
    for node in reversed(order):  # parents first
        depth[node] = 1 + max((depth[p] for p in node.parents if p is not None), default=-1)
    rows: dict[int, list[Node]] = {}
    for node in reversed(order):
        rows.setdefault(depth[node], []).append(node)
    place: dict[Node, tuple[float, float]] = {}
    for level in sorted(rows):
        for node, x in _spread(rows[level], place).items():
            place[node] = (x, -float(level))
    left, right = min(x for x, _ in place.values()), max(x for x, _ in place.values())
    if ax is None:
        _, ax = plt.subplots(figsize=(max(4.0, 1.7 * (right - left + 1)), max(2.0, 0.95 * len(rows))))
    for node, (x, y) in place.items():
        leaf = node.plan is None
        ax.text(
            x, y, _label(node, called), ha="center", va="center", fontsize=9,
            bbox={"boxstyle": "round" if leaf else "square", "facecolor": "#dcefe0" if leaf else "#e8ecf7"},
        )  # fmt: skip
        for parent, uses in Counter(p for p in node.parents if p is not None).items():
            for i in range(uses):
                bend = 0.25 * (i - (uses - 1) / 2)  # a value used twice has two arrows, side by side
                ax.annotate(
                    "", xy=(x, y + 0.28), xytext=(place[parent][0], place[parent][1] - 0.28),
                    arrowprops={"arrowstyle": "->", "color": "#666666", "connectionstyle": f"arc3,rad={bend}"},
                )  # fmt: skip
    ax.set_xlim(left - 0.7, right + 0.7)
    ax.set_ylim(-len(rows) + 0.4, 0.6)
    ax.axis("off")
    return ax
