"""The recorded graph: nodes, leaves, and the order to walk them in.

A node refers to its parents, never to a Tensor and never forward, so a graph has no reference cycle and is freed the
moment its last Tensor is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from ..backends import Backend
    from .primitive import Plan
    from .tensor import Tensor

#: One clock for the process: nodes are numbered as they are made, and a parameter's assignments read it too, so
#: "assigned after it was saved" is a comparison of two integers.
clock = count(1).__next__


class _Assignments:
    """When any parameter was last assigned to: nodes younger than that cannot hold a stale residual."""

    latest = 0


assignments = _Assignments()

Shape = tuple[int, ...]
Hook = Callable[[Any], Any]


class GraphError(RuntimeError):
    """The graph cannot be differentiated: freed, changed underneath, or not connected."""


class Node:
    """One recorded op.

    Attributes
    ----------
    plan : which primitive this was and which inputs want a cotangent; None for leaves.
    params : static parameters. parents : per input, its node or None. saved : residuals for the rules.
    seq : when it was recorded. shape : of the output. where : user's source line, when it was captured.
    """

    __slots__ = ("__weakref__", "backend", "hooks", "params", "parents", "plan", "saved", "seq", "shape", "where")

    plan: Plan | None
    params: dict[str, Any]
    parents: tuple[Node | None, ...]
    saved: Any
    seq: int
    shape: Any
    backend: Backend
    hooks: list[Hook] | None
    where: Any

    @property
    def name(self) -> str:
        """The op's name, for messages and drawings."""
        return "leaf" if self.plan is None else self.plan.prim.name


def recorded(
    plan: Plan, params: dict[str, Any], parents: tuple[Node | None, ...], saved: Any, shape: Any, backend: Backend
) -> Node:
    """A new node. `Node` has no constructor, so that the hot path can make one without a call of Python code."""
    node = Node()
    node.plan = plan
    node.params = params
    node.parents = parents
    node.saved = saved
    node.shape = shape
    node.backend = backend
    node.seq = clock()
    node.hooks = node.where = None
    return node


class Leaf(Node):
    """Where a gradient is wanted: the node of a tensor made with `requires_grad=True`.

    It refers to its tensor weakly, so a tensor and its leaf are no cycle.
    """

    __slots__ = ("assigned", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.plan = None
        self.params = {}
        self.parents = ()
        self.saved = None
        self.shape = tuple(tensor.shape)
        self.backend = tensor.backend
        self.seq = clock()
        self.hooks = None
        self.where = None
        self.tensor = ref(tensor)
        self.assigned = 0

    def mark_assigned(self) -> None:
        """Note that the tensor's values were replaced now."""
        self.assigned = assignments.latest = clock()


class Output(Node):
    """Output number `index` of an op with several outputs; its only parent is the op's node."""

    __slots__ = ("index",)

    def __init__(self, parent: Node, index: int, shape: Shape) -> None:
        self.plan = parent.plan
        self.params = parent.params
        self.parents = (parent,)
        self.saved = ()
        self.shape = shape
        self.backend = parent.backend
        self.seq = clock()  # later than its op, so a backward walk meets it first
        self.hooks = None
        self.where = None
        self.index = index


def descending(roots: Iterable[Node]) -> list[Node]:
    """All nodes that the roots depend on, each before its parents."""
    stack = list(roots)
    seen = set(stack)
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=attrgetter("seq"), reverse=True)


def leading_to(order: list[Node], wanted: set[Node]) -> set[Node]:
    """Those nodes of a descending order from which one of `wanted` is reached, `wanted` included."""
    needed: set[Node] = set()
    for node in reversed(order):
        if node in wanted or any(parent in needed for parent in node.parents if parent is not None):
            needed.add(node)
    return needed
