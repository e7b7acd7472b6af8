"""Rows that were looked up in a table, seen from the op that reads them.

The cotangent of a table is the sum, by row, of the cotangents of the rows that were taken from it. Where those are all
the product of something with one matrix, dx = da·W, that sum may come before the product,

    Σₖ [indexₖ = r] daₖ·W = (Σₖ [indexₖ = r] daₖ)·W,

and a product for each row taken becomes one for each row of the table: of a text, one for each symbol. The rule of the
op that read the rows can do so if it is told the index; whose rows they are is found here, by walking back through ops
that do no more than put whole rows elsewhere (`Primitive.moves`). What the rows themselves have of other uses, they
carry to the table as ever: it is a sum.

It is for the sweep to decide, not for the op when it is called, because a hook or a gradient that is asked for may make
the cotangents of the rows themselves wanted after all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from .graph import Node
from .primitive import Plan

#: Rows taken for each of the table's, below which it is not worth while.
SHARE = 4


@dataclass(frozen=True, slots=True)
class Table:
    """node : of the table, (rows, width). index : which of its rows each row of x: (…, width) is, (…)."""

    node: Node
    index: Any


def table_of(node: Node, targets: Container[Node], residuals: Callable[[Node, Plan], tuple[Any, ...]]) -> Table | None:
    """The table of whose rows the result of a node consists, if there is one.

    Parameters
    ----------
    targets : nodes whose own cotangents are wanted, which therefore are not passed by; nor are those with hooks.
    residuals : what the rules of a node are handed.
    """
    links, table = [], node
    while table.plan is not None and table.plan.moved is not None and not table.hooks and table not in targets:
        links.append((table, table.plan, table.plan.moved))
        table = table.parents[0]  # type: ignore[assignment]  # the plan has `moved` where that input has a node
    rows: Any = None
    for link, plan, moved in reversed(links):
        rows = moved(residuals(link, plan), link.params, rows)
        if rows is None:  # not whole rows, so at best a table itself
            table = link
    if rows is None or math.prod(node.shape[:-1]) < SHARE * table.shape[0]:
        return None
    return Table(table, rows)
