"""Function transforms, in JAX's names, and `gradients`, the one they stand on.

A differentiated argument is a Tensor, what can become one, or a dict, list or (named) tuple of such, and its gradient
has the same structure. Functions return a Tensor, or a tuple of Tensors where said.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import ops, tree
from .backward import sweep
from .batching.boundary import base_of, joined_levels, lift, lift_to_running
from .graph import GraphError
from .state import enable_grad, state
from .tensor import Tensor

Function = Callable[..., Any]
Argnums = int | tuple[int, ...]


def seed(out: Tensor, gradient: Any, as_tensor: bool) -> Any:
    """The cotangent a backward sweep starts from, checked: a Tensor, or a bare array."""
    if gradient is None:
        if out.size != 1:
            raise ValueError(
                f"backward from a tensor of shape {out.shape} needs a gradient of that shape; "
                "reduce to a scalar first (for example .sum() or .mean()) or pass one"
            )
        gradient = np.ones(out.shape, out.dtype)
    g = gradient if isinstance(gradient, Tensor) else Tensor(gradient, backend=out.backend)
    if base_of(g.backend) is not base_of(out.backend):
        raise ValueError(
            f"the gradient lives on {g.backend.name!r}, the tensor on {out.backend.name!r}; move it with .to()"
        )
    g = lift(g, out.backend.levels)
    if g.shape != out.shape:
        raise ValueError(f"the gradient has shape {g.shape}, the tensor {out.shape}; they must be equal")
    g = g.astype(out.dtype)
    return g if as_tensor else g._value


def _over(outs: Sequence[Tensor], cotangents: Sequence[Any]) -> tuple[Any, ...]:
    """The levels of `vmap` that cotangents are inside of, though their outputs are not."""
    levels = {
        level: None
        for out, g in zip(outs, cotangents, strict=True)
        if isinstance(g, Tensor)
        for level in g.backend.levels
        if level not in out.backend.levels
    }
    return tuple(levels)


def gradients(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    cotangents: Any = None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Σ over outputs of cotangentᵀ · ∂output/∂input, for each input: the engine's one question.

    Parameters
    ----------
    outputs, inputs : Tensors of one graph; inputs may be leaves or computed tensors. No `.grad` is touched.
    cotangents : one per output, of its shape; 1 for outputs with one element.
    create_graph : make the results differentiable. Implies `retain_graph`.
    allow_unused : give None for an input that no output depends on, instead of zeros.

    Raises
    ------
    GraphError : an input is not part of a graph at all (it does not require a gradient).
    """
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if cotangents is None or isinstance(cotangents, Tensor):
        cotangents = [cotangents] * len(outs) if cotangents is None else [cotangents]
    if len(cotangents) != len(outs):
        raise ValueError(f"{len(outs)} outputs need as many cotangents, got {len(cotangents)}")
    nodes = []
    for i, x in enumerate(ins):
        if x._node is None:
            raise GraphError(f"input {i} (shape {x.shape}) does not require a gradient")
        shared = [v for out in outs for v in out.backend.levels if v not in x.backend.levels and v in state.now.levels]
        if shared:
            raise GraphError(
                f"input {i} (shape {x.shape}) comes from outside of the vmap that its outputs are inside of, so it has "
                "one gradient, not one for each example; pass it to the mapped function with in_axes=None, and use grad"
            )
        nodes.append(x._node)
    roots = [
        (out._node, seed(out, g, create_graph))
        for out, g in zip(outs, cotangents, strict=True)
        if out._node is not None
    ]
    over = _over(outs, cotangents)
    found = sweep(roots, nodes, create_graph=create_graph, retain_graph=retain_graph, over=over) if roots else {}
    results: list[Tensor | None] = []
    for x, node in zip(ins, nodes, strict=True):
        g = found.get(node)
        if g is None:
            results.append(None if allow_unused else ops.zeros_like(x.detach()))
        elif create_graph:
            results.append(g)
        else:
            backend = joined_levels(node.backend, over) if over else node.backend
            results.append(Tensor._wrap(backend.asarray(g) if over else g, backend))
    return tuple(results)


def _numbers(argnums: Argnums, count: int, name: str) -> tuple[int, ...]:
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for n in numbers:
        if not -count <= n < count:
            raise ValueError(f"{name}: argnums {n} is out of range for {count} positional argument(s)")
    return tuple(n % count for n in numbers)


def _as_input(value: Any, name: str, number: int) -> Tensor:
    """A fresh input that is differentiated: connected to the caller's graph if the value is."""
    x = lift_to_running(value if isinstance(value, Tensor) else Tensor(value))
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: argument {number} has dtype {x.dtype}; only floating arguments can be differentiated")
    # `identity` gives a new node even for a leaf, so that cotangents of this call stop here.
    return ops.identity(x) if x._node is not None else Tensor._wrap(x._value, x.backend).requires_grad_()


def _is_tree(arg: Any) -> bool:
    """Whether an argument is a container of tensors; a list of numbers is one tensor, as everywhere."""
    if isinstance(arg, list | tuple):
        return any(isinstance(leaf, Tensor) for _, leaf in tree.leaves(arg))
    return isinstance(arg, dict)


def flat(args: Sequence[Any]) -> list[Any]:
    """The tensors, or what can become one, that arguments consist of."""
    return [leaf for a in args for leaf in ([leaf for _, leaf in tree.leaves(a)] if _is_tree(a) else [a])]


class Inputs(list[Tensor]):
    """The Tensors that the differentiated arguments consist of, as fresh inputs of a graph."""

    def __init__(self, args: tuple[Any, ...], numbers: tuple[int, ...], name: str) -> None:
        self.args = [args[n] for n in numbers]
        super().__init__(_as_input(x, name, n) for n, a in zip(numbers, self.args, strict=True) for x in flat([a]))

    def packed(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """One value for each Tensor, in the arguments' structure."""
        rest = iter(values)
        return tuple(tree.rebuilt(a, rest) if _is_tree(a) else next(rest) for a in self.args)


def traced(fn: Function, argnums: Argnums, args: tuple[Any, ...], kwargs: Any, name: str) -> tuple[Any, Inputs]:
    """fn's result with the chosen arguments made inputs of a recorded graph."""
    numbers = _numbers(argnums, len(args), name)
    replaced = list(args)
    with enable_grad():
        inputs = Inputs(args, numbers, name)
        for n, arg in zip(numbers, inputs.packed(inputs), strict=True):
            replaced[n] = arg
        return fn(*replaced, **kwargs), inputs


def value_and_grad(fn: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """fn ↦ (x ↦ (fn(x), ∇fn(x))) for a scalar-valued fn.

    Parameters
    ----------
    argnums : which positional arguments to differentiate; a tuple gives a tuple of gradients. The gradient of a dict,
        list or tuple of tensors is one, too.
    has_aux : fn returns (value, aux); aux is passed through: ((value, aux), gradient).

    >>> import pullback as pb
    >>> v, g = pb.value_and_grad(lambda x: (x * x).sum())(pb.tensor([1.0, 3.0]))
    >>> v.item(), g.tolist()
    (10.0, [2.0, 6.0])
    """

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        recording = state.now.grad
        out, inputs = traced(fn, argnums, args, kwargs, "value_and_grad")
        aux = None
        if has_aux:
            out, aux = out
        _check_scalar(out)
        further = recording and _open(out, inputs)
        grads = inputs.packed(gradients(out, inputs, create_graph=further))
        result = grads[0] if isinstance(argnums, int) else grads
        value = out if further else out.detach()
        return ((value, aux), result) if has_aux else (value, result)

    return wrapped


def grad(fn: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """fn ↦ ∇fn for a scalar-valued fn. Compose it for higher orders: `grad(grad(f))`.

    >>> import pullback as pb
    >>> pb.grad(pb.grad(lambda x: x**3))(pb.tensor(2.0)).item()
    12.0
    """
    both = value_and_grad(fn, argnums, has_aux=has_aux)

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, result = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return wrapped


def _open(out: Tensor, inputs: Sequence[Tensor]) -> bool:
    """Whether the result can be differentiated further: something besides our own inputs requires a gradient."""
    from .graph import Leaf, descending

    if out._node is None:
        return False
    own = {x._node for x in inputs}
    return any(type(node) is Leaf and node not in own for node in descending([out._node]))


def _check_scalar(out: Any) -> None:
    if not isinstance(out, Tensor):
        raise TypeError(f"the differentiated function must return a Tensor, not {type(out).__name__}")
    if out.size != 1:
        raise ValueError(
            f"grad needs a function with a scalar result, this one returned shape {out.shape}; "
            "sum it, or use vjp, jacobian"
        )


def stop_gradient(x: Any) -> Any:
    """A Tensor, or each in a dict, list or tuple, as a constant: derivatives do not go through it (JAX's name).

    >>> import pullback as pb
    >>> pb.grad(lambda x: x * pb.stop_gradient(x))(pb.tensor(3.0)).item()
    3.0
    """
    return tree.mapped(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, x)


def vjp(fn: Function, *primals: Any) -> tuple[Any, Function]:
    """(fn(*primals), pullback) with pullback(cotangent) = a tuple of cotangents, one per primal.

    The pullback can be called again, and is itself differentiable.

    >>> import pullback as pb
    >>> y, pullback = pb.vjp(lambda a, b: a * b, pb.tensor([1.0, 2.0]), pb.tensor([3.0, 4.0]))
    >>> [g.tolist() for g in pullback(pb.tensor([1.0, 10.0]))]
    [[3.0, 40.0], [1.0, 20.0]]
    """
    out, inputs = traced(fn, tuple(range(len(primals))), primals, {}, "vjp")
    outs = out if isinstance(out, tuple) else (out,)

    def pullback(*cotangents: Any) -> tuple[Any, ...]:
        if len(cotangents) == 1 and isinstance(cotangents[0], tuple):
            cotangents = cotangents[0]
        return inputs.packed(gradients(outs, inputs, cotangents, create_graph=state.now.grad, retain_graph=True))

    return out, pullback


def jvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(fn(*primals), its derivative along the tangents).

    Computed as the vjp of the vjp, which is linear in its cotangent: J·t = ∂/∂u ⟨Jᵀu, t⟩.

    >>> import pullback as pb
    >>> y, dy = pb.jvp(pb.sin, (pb.tensor(0.0),), (pb.tensor(2.0),))
    >>> y.item(), dy.item()
    (0.0, 2.0)
    """
    if len(primals) != len(tangents):
        raise ValueError(f"jvp: {len(primals)} primals need as many tangents, got {len(tangents)}")
    out, inputs = traced(fn, tuple(range(len(primals))), tuple(primals), {}, "jvp")
    outs = out if isinstance(out, tuple) else (out,)
    given = flat(tangents)
    if len(given) != len(inputs):
        raise ValueError(f"jvp: the primals consist of {len(inputs)} tensors, the tangents of {len(given)}")
    directions = [
        t if isinstance(t, Tensor) else Tensor(t, backend=x.backend) for t, x in zip(given, inputs, strict=True)
    ]
    for i, (t, x) in enumerate(zip(directions, inputs, strict=True)):
        if t.shape != x.shape:
            raise ValueError(f"jvp: tangent {i} has shape {t.shape}, its primal {x.shape}")
    recording = state.now.grad
    push = pushforward(outs, inputs)
    pushed = push(directions, create_graph=recording)
    if not recording:
        outs = tuple(y.detach() for y in outs)
    return (outs, pushed) if isinstance(out, tuple) else (outs[0], pushed[0])


def pushforward(outs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Callable[..., tuple[Any, ...]]:
    """(tangents of the inputs, create_graph) ↦ tangents of the outputs, of a recorded graph."""
    with enable_grad():
        dummies = [ops.zeros_like(y.detach()).requires_grad_() for y in outs]
        pulled = gradients(outs, inputs, dummies, create_graph=True)

    def push(tangents: Sequence[Tensor], *, create_graph: bool) -> tuple[Any, ...]:
        connected = [
            (p, t.astype(p.dtype))
            for p, t in zip(pulled, tangents, strict=True)
            if p is not None and p._node is not None
        ]
        if not connected:
            return tuple(ops.zeros_like(y.detach()) for y in outs)
        along, by = [p for p, _ in connected], [t for _, t in connected]
        return gradients(along, dummies, by, create_graph=create_graph, retain_graph=True)

    return push


def hvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Hessian-vector product ∇²fn(x)·v, by one gradient and one gradient of ⟨∇fn, v⟩; never forms the Hessian.

    >>> import pullback as pb
    >>> pb.hvp(lambda x: (x**3).sum(), (pb.tensor([1.0, 2.0]),), (pb.tensor([1.0, 1.0]),))[0].tolist()
    [6.0, 12.0]
    """
    if len(primals) != len(tangents):
        raise ValueError(f"hvp: {len(primals)} primals need as many tangents, got {len(tangents)}")
    recording = state.now.grad
    out, inputs = traced(fn, tuple(range(len(primals))), tuple(primals), {}, "hvp")
    _check_scalar(out)
    with enable_grad():
        first = gradients(out, inputs, create_graph=True)
        pairs = [
            (g, v if isinstance(v, Tensor) else Tensor(v, backend=g.backend))
            for g, v in zip(first, flat(tangents), strict=True)
            if g is not None and g._node is not None
        ]
        if not pairs:
            return inputs.packed([ops.zeros_like(x.detach()) for x in inputs])
        along, by = [g for g, _ in pairs], [v for _, v in pairs]
        return inputs.packed(gradients(along, inputs, by, create_graph=recording))
