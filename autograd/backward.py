"""The backward sweep: cotangents carried from outputs to the leaves, or to chosen nodes.

Cotangents live in a dict while the sweep runs. Without `create_graph` the rules see bare arrays, through an interpreter
that only looks kernels up; with it they see Tensors and everything they do is recorded.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from math import inf
from typing import Any

from ..backends import Backend
from .anomaly import checked_pulls
from .bare import bare
from .errors import show_location
from .graph import GraphError, Leaf, Node, Output, assignments, descending, leading_to
from .primitive import Plan
from .state import enable_grad, interpreter, no_grad, state
from .tables import Table, table_of
from .tensor import Tensor


def sweep(
    roots: Sequence[tuple[Node, Any]],
    wanted: Sequence[Node] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
    over: tuple[Any, ...] = (),
) -> dict[Node, Any]:
    """Carry cotangents back from `roots`.

    Parameters
    ----------
    roots : pairs (node, cotangent); cotangents are Tensors with `create_graph`, else arrays.
    wanted : the nodes whose cotangents are asked for; None for all leaves.
    create_graph : record the sweep itself, so that its results can be differentiated.
    retain_graph : keep the residuals for another sweep; otherwise each is dropped as soon as it is used.
    over : levels of `vmap` that the cotangents are inside of but the graph is not: one sweep for a batch of cotangents.

    Returns
    -------
    node -> cotangent, for every wanted node that was reached.
    """
    targets = None if wanted is None else set(wanted)
    needed = None if targets is None else leading_to(descending(node for node, _ in roots), targets)
    run = _Run(create_graph, retain_graph, targets, needed, over)
    wrap = run.tensors and not create_graph
    for node, g in roots:
        run.add(node, Tensor._wrap(g, node.backend) if wrap else g)
    with enable_grad() if create_graph else no_grad(), interpreter(state.now.apply):
        found = run.walk()
    return {node: g._value for node, g in found.items()} if wrap else found


class _Run:
    """One sweep: its settings, the cotangents under way, and the nodes still to visit, youngest first."""

    def __init__(
        self, create_graph: bool, retain_graph: bool, targets: set[Node] | None, needed: set[Node] | None,
        over: tuple[Any, ...],
    ) -> None:  # fmt: skip
        self.create_graph = create_graph
        #: Cotangents are Tensors and all that is done with them goes through the interpreter: also for a capture.
        self.tensors = create_graph or state.now.capture is not None
        self.over = over
        self.retain = retain_graph or create_graph
        self.targets = targets
        self.needed = needed
        self.cotangents: dict[Node, Any] = {}
        #: What is added to a node's cotangent when it is visited: cotangents of its parts, by the op that took them.
        self.parts: dict[Node, dict[Any, list[tuple[Any, dict[str, Any], Any]]]] = {}
        self.heap: list[tuple[int, Node]] = []
        self.backend: Backend | None = None
        self.outer = state.now.apply

    def walk(self) -> dict[Node, Any]:
        """Visit nodes until none is left; what leaves and targets received.

        A node is younger than its parents, so the youngest node that has a cotangent has all of it.
        """
        cotangents, heap, targets, parts = self.cotangents, self.heap, self.targets, self.parts
        found: dict[Node, Any] = {}
        bare_arrays = not (self.tensors or self.over)
        short = bare_arrays and self.needed is None and not state.now.anomaly
        drop = not self.retain
        latest = assignments.latest if short else inf
        backend: Backend | None = None
        add: Any = None  # the sum of two arrays of that backend
        large: int | None = None  # elements from which its own arithmetic is worth the long way
        # As long as one node alone is to be visited, as in a chain, it and its cotangent stay out of heap and dict.
        only: Any = None
        whole: Any = None
        while True:
            if only is not None:
                node, g, only = only, whole, None
            elif heap:
                node = heappop(heap)[1]
                g = cotangents.pop(node, None)
            else:
                break
            if parts and node in parts:
                g = self.whole(node, g)
            if bare_arrays and not node.shape and type(g) is not node.backend.array_type:
                g = node.backend.asarray(g)  # operators may give a library's scalars for 0-d arrays
            if node.hooks is not None:
                g = self.hooked(node, g)
                latest = assignments.latest if short else inf  # a hook may assign to parameters
            if targets is not None and node in targets:
                found[node] = g
            plan: Any = node.plan
            if node.backend is not backend or node.seq <= latest or not plan.plain or (large and g.size >= large):
                self.step(node, plan, g)
                if short and backend is not self.backend:
                    backend = self.backend
                    add, large = self.adder(backend), self.backend.large if self.backend else None
                continue
            saved = node.saved
            if saved.__class__ is not tuple:
                saved = _residuals(node, self.outer)
            pulled = plan.pull_all(g, saved, node.params)
            i = -1
            parent: Any
            for parent in node.parents:  # with an index, which costs half of zip()
                i += 1
                c = pulled[i]
                if c is None:
                    continue
                if (node.shape if c is g else c.shape) != parent.shape:
                    c = _sum_to(node, c, parent.shape)
                if parent is only:
                    whole = add(whole, c) if parent.backend is backend else whole + c
                elif parent in cotangents:
                    previous = cotangents[parent]
                    cotangents[parent] = add(previous, c) if parent.backend is backend else previous + c
                elif parent.plan is None or (parts and parent in parts):
                    cotangents[parent] = c
                elif only is None and not heap:
                    only, whole = parent, c
                else:
                    if only is not None:
                        cotangents[only] = whole
                        heappush(heap, (-only.seq, only))
                        only = None
                    cotangents[parent] = c
                    heappush(heap, (-parent.seq, parent))
            if drop:
                node.saved = None
        for leaf in tuple(parts):
            cotangents[leaf] = self.whole(leaf, cotangents.get(leaf))
        for leaf, g in cotangents.items():
            if bare_arrays and not leaf.shape and type(g) is not leaf.backend.array_type:
                g = leaf.backend.asarray(g)
            if targets is None or leaf in targets:
                found[leaf] = self.hooked(leaf, g) if leaf.hooks is not None else g
        return found

    def step(self, node: Node, plan: Plan, g: Any) -> None:
        """The long way at one node: several outputs, joint rules, Tensors, another backend, only some inputs."""
        if type(node) is Output:
            self.add_output(node, g)
            return
        if plan.prim.joined is not None and not (self.over or state.now.anomaly):
            self.add_part(node, plan, g)
            return
        backend = self.enter(node)
        saved = _residuals(node, self.outer)
        if node.seq < assignments.latest:
            check_versions(node, plan)
        if plan.prim.outputs != 1:
            g = tuple(
                _zeros(shape, dtype, backend, self.tensors) if c is None and dtype.startswith("float") else c
                for c, (shape, dtype) in zip(g, node.shape, strict=True)
            )
        # Operators of bare arrays are the array library's own, those of Tensors the backend's, which may be threaded.
        large = bool(backend.large) and plan.prim.outputs == 1 and not self.over and g.size >= backend.large
        tensors = self.tensors or plan.prim.tensor_rules or large
        unwrap = tensors and not self.tensors
        if tensors:
            saved = rewrap(node, plan, saved)
        elif self.over:
            saved = _wrapped(saved, backend)
        if unwrap:
            g = _as_tensors(g, backend)
            state.now.apply = self.outer
        if state.now.anomaly:
            results = checked_pulls(node, g, lambda: self.pull(node, plan, g, saved))
        else:
            results = self.pull(node, plan, g, saved)
        if unwrap:
            state.now.apply = bare(backend)
            results = [(parent, c._value) for parent, c in results]
        for parent, c in results:
            self.add(parent, _sum_to(node, c, parent.shape) if c.shape != parent.shape else c)
        if not self.retain:
            node.saved = None

    def enter(self, node: Node) -> Backend:
        """Compute on the node's backend from now on."""
        backend = self.widened(node.backend) if self.over else node.backend
        if backend is not self.backend:
            self.backend = backend
            if not self.tensors:
                state.now.apply = bare(backend)
        return backend

    def add_part(self, node: Node, plan: Plan, g: Any) -> None:
        """Keep the cotangent of a part of the node's parent until the parent is visited, and has all of them."""
        saved = _residuals(node, self.outer)
        parent: Any = node.parents[0]
        if self.needed is None or parent in self.needed:
            if parent not in self.parts:
                self.parts[parent] = {}
                if parent not in self.cotangents and parent.plan is not None:
                    heappush(self.heap, (-parent.seq, parent))
            self.parts[parent].setdefault(plan.prim, []).append((g, node.params, saved))
        if not self.retain:
            node.saved = None

    def whole(self, node: Node, g: Any) -> Any:
        """A node's cotangent with those of its parts, which came by themselves."""
        self.enter(node)
        for prim, pieces in self.parts.pop(node).items():
            c = prim.joined(*zip(*pieces, strict=True))
            g = c if g is None else self.plus(node, g, c)
        return g

    def widened(self, backend: Backend) -> Backend:
        """The backend on which a node's rule meets a batch of cotangents."""
        from .batching.boundary import joined_levels

        return joined_levels(backend, self.over)

    def pull(self, node: Node, plan: Plan, g: Any, saved: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        """What the rules make of a node's cotangent: pairs (parent, cotangent)."""
        parents, needed = node.parents, self.needed
        results: list[tuple[Any, Any]] = []
        for i, pull in plan.pulls:
            if i >= 0:
                if needed is None or parents[i] in needed:
                    results.append((parents[i], pull(g, saved, node.params)))
            else:
                need = tuple(p is not None and (needed is None or p in needed) for p in parents)
                table = None
                if plan.prim.sees_tables and need[0] and not (self.over or state.now.anomaly):
                    table = self.table(parents[0])
                if table is None:
                    joint = pull(g, saved, node.params, need)
                else:
                    parents = (table.node, *parents[1:])
                    joint = pull(g, saved, node.params, need, (table.index, table.node.shape[0]))
                results += [(p, c) for p, c, n in zip(parents, joint, need, strict=True) if n and c is not None]
        return results

    def table(self, node: Any) -> Table | None:
        """The table of which a node's result is rows, if nobody wants the cotangents of what lies in between."""

        def residuals(node: Node, plan: Plan) -> tuple[Any, ...]:
            saved = _residuals(node, self.outer)
            return rewrap(node, plan, saved) if self.tensors else saved

        return table_of(node, self.targets or (), residuals)

    def add(self, node: Node, g: Any) -> None:
        """Add a cotangent to a node's."""
        previous = self.cotangents.get(node)
        if previous is not None:
            self.cotangents[node] = self.plus(node, previous, g)
        else:
            self.cotangents[node] = g
            if node.plan is not None and node not in self.parts:
                heappush(self.heap, (-node.seq, node))

    def plus(self, node: Node, x: Any, y: Any) -> Any:
        """The sum of two cotangents of a node."""
        return x + y if self.tensors or self.over else self.adder(node.backend)(x, y)

    def adder(self, backend: Any) -> Any:
        """The sum of two arrays by the backend's own addition, which may be threaded."""
        kernel = backend.kernels.get("add")
        return operator.add if kernel is None or kernel.guard is not None else kernel.fn

    def add_output(self, node: Output, g: Any) -> None:
        """Hand one output's cotangent to its op, whose cotangent is a list with an entry per output."""
        op: Any = node.parents[0]
        slots = self.cotangents.get(op)
        if slots is None:
            slots = self.cotangents[op] = [None] * len(op.shape)
            heappush(self.heap, (-op.seq, op))
        slots[node.index] = g if slots[node.index] is None else slots[node.index] + g

    def hooked(self, node: Node, g: Any) -> Any:
        """The cotangent after the node's hooks, which see Tensors and the caller's interpreter."""
        inner, state.now.apply = state.now.apply, self.outer
        try:
            t = g if self.tensors else Tensor._wrap(g, node.backend)
            for hook in tuple(node.hooks or ()):
                changed = hook(t)
                if changed is not None:
                    if tuple(changed.shape) != tuple(t.shape):
                        raise ValueError(
                            f"a hook on {node.name} changed the gradient's shape {t.shape} to {changed.shape}"
                        )
                    t = changed
            return t if self.tensors else t._value
        finally:
            state.now.apply = inner


def _residuals(node: Node, outer: Any) -> tuple[Any, ...]:
    """What the node saved, recomputed where it is checkpointed, unless an earlier sweep dropped it."""
    saved = node.saved
    if saved is None:
        raise GraphError(
            f"the graph was already differentiated and its residuals are freed (at the op {node.name}); pass "
            "retain_graph=True to the first backward() or grad() to differentiate it twice"
        )
    kept: tuple[Any, ...] = saved if saved.__class__ is tuple else saved.materialise(outer)
    return kept


def _wrapped(saved: tuple[Any, ...], backend: Any) -> tuple[Any, ...]:
    """Residuals with their arrays as ones that are the same for every cotangent of a batch."""
    array = backend.base.array_type
    return tuple(
        backend.asarray(v) if type(v) is array else _wrapped(v, backend) if type(v) is tuple else v for v in saved
    )


def _as_tensors(g: Any, backend: Backend) -> Any:
    if isinstance(g, tuple):
        return tuple(None if c is None else Tensor._wrap(c, backend) for c in g)
    return Tensor._wrap(g, backend)


def _zeros(shape: tuple[int, ...], dtype: str, backend: Backend, tensor: bool) -> Any:
    """One zero, broadcast: no memory to fill, and kernels can tell that there is no cotangent."""
    zeros = backend.xp.broadcast_to(backend.xp.zeros((), dtype=backend.native_dtype(dtype)), shape)
    return Tensor._wrap(zeros, backend) if tensor else zeros


def _sum_to(node: Node, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which its input was broadcast."""
    from .ops.reduce import sum_

    if g.ndim < len(shape):
        raise GraphError(
            f"the rule of {node.name} gave a cotangent of shape {tuple(g.shape)} for an input of shape {shape}"
        )
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1)
    g = sum_(g, axis=axes, keepdims=True)
    if extra:
        from .ops.shape import reshape

        g = reshape(g, shape=g.shape[extra:])
    if tuple(g.shape) != shape:
        raise GraphError(
            f"the rule of {node.name} gave a cotangent of shape {tuple(g.shape)} for an input of shape {shape}"
        )
    return g


def rewrap(node: Node, plan: Plan, saved: tuple[Any, ...]) -> tuple[Any, ...]:
    """Residual arrays as Tensors that are connected to the graph where they came from it."""
    parents, backend = node.parents, node.backend

    def tensor(value: Any, parent: Node | None) -> Any:
        return Tensor._wrap(value, backend, parent) if type(value) is backend.array_type else value

    wrapped: list[Any] = []
    for value, (kind, i) in zip(saved, plan.kinds, strict=True):
        if kind == "input":
            wrapped.append(tensor(value, parents[i]))
        elif kind == "inputs":
            wrapped.append(tuple(tensor(v, p) for v, p in zip(value, parents, strict=True)))
        elif kind == "out" and plan.prim.outputs == 1:
            wrapped.append(tensor(value, node))
        elif kind == "out":
            wrapped.append(
                tuple(
                    tensor(v, Output(node, k, tuple(v.shape)) if v.dtype in backend.float_dtypes else None)
                    for k, v in enumerate(value)
                )
            )
        else:
            wrapped.append(value)
    return tuple(wrapped)


def check_versions(node: Node, plan: Plan) -> None:
    """Refuse to use a saved parameter that was assigned to after it was saved."""
    for kind, i in plan.kinds:
        if kind == "input" or kind == "inputs":
            for parent in node.parents if i < 0 else (node.parents[i],):
                if type(parent) is Leaf and parent.assigned > node.seq:
                    raise GraphError(
                        f"backward needs the value that a parameter of shape {parent.shape} had when {node.name} used "
                        f"it at {show_location(node.where)}, but it was assigned to since (by an optimiser step or "
                        ".assign). Call backward() before changing parameters."
                    )


def deliver(found: Iterable[tuple[Node, Any]], create_graph: bool) -> None:
    """Add cotangents to the `.grad` of their leaves."""
    for node, g in found:
        tensor = node.tensor() if isinstance(node, Leaf) else None
        if tensor is not None:
            if not create_graph:
                g = Tensor._wrap(g, node.backend)
            previous = tensor.grad
            tensor.grad = g if previous is None else previous + g
