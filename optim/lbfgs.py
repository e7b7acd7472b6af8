"""L-BFGS: a quasi-Newton method for deterministic losses of any number of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..autograd.ops import abs as absolute
from ..autograd.ops import amax, concatenate, matmul, reshape, split, zeros
from ..autograd.state import enable_grad, no_grad
from ..autograd.tensor import Parameter, Tensor
from .checks import at_least
from .line_search import Point, strong_wolfe
from .optimizer import Group, Optimizer, Params

#: Pairs (change of the gradient, step) whose product is no larger would spoil the approximation of the Hessian.
CURVATURE = 1e-10


class LBFGS(Optimizer):
    """L-BFGS: steps −H·g with H an approximation of the inverse Hessian from the last `history_size` steps.

    A step runs up to `max_iter` iterations, and needs a closure that computes the loss and its gradients anew, always
    in the same way: no dropout, no other batch. Liu & Nocedal, *On the limited memory BFGS method for large scale
    optimization*, 1989.

    Parameters
    ----------
    params : see `Optimizer`; one group, on one backend and of one dtype. lr : step size of an iteration, the first one
        to try in the line search.
    max_iter : iterations a step. max_eval : evaluations a step, 1.25·max_iter by default.
    tolerance_grad : stop where no gradient is larger. tolerance_change : stop where nothing moves, or the loss falls,
        by more. history_size : steps remembered. line_search_fn : None for steps of lr, or "strong_wolfe".

    >>> import pullback as pb
    >>> from pullback import optim
    >>> w = pb.Parameter([-1.0, 2.0], dtype="float64")
    >>> opt = optim.LBFGS([w], max_iter=60, line_search_fn="strong_wolfe")
    >>> def closure():  # Rosenbrock's valley, with its minimum at (1, 1)
    ...     opt.zero_grad()
    ...     loss = (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> opt.step(closure).item()
    104.0
    >>> w.numpy().round(4)
    array([1., 1.])
    """

    def __init__(
        self, params: Params, lr: float = 1.0, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )  # fmt: skip

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError for a second group, parameters of two dtypes or backends, or an option out of its range."""
        if self.param_groups:
            raise ValueError(f"{title}: LBFGS takes one group; its steps are of all parameters together")
        at_least(group, title, "max_iter", "max_eval", "tolerance_grad", "tolerance_change")
        if not group["history_size"] >= 1:
            raise ValueError(f"{title}: history_size must be at least 1, not {group['history_size']}")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f"{title}: line_search_fn is None or 'strong_wolfe', not {group['line_search_fn']!r}")
        self._one_kind(group["params"], title)

    def _one_kind(self, params: list[Parameter], title: str) -> None:
        kinds = {f"{p.dtype} on {p.backend.name}" for p in params}
        if len(kinds) > 1:
            raise ValueError(f"{title}: LBFGS needs parameters of one dtype on one backend, not {sorted(kinds)}")

    # ------------------------------------------------------------------- stepping

    @no_grad
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Run up to `max_iter` iterations.

        Parameters
        ----------
        closure : clears the gradients, computes the loss, calls its `backward()` and returns it.

        Returns
        -------
        The loss before the step.
        """
        if closure is None:
            raise TypeError("LBFGS.step needs a closure that computes the loss and its gradients anew")
        group = self.param_groups[0]
        params: list[Parameter] = group["params"]
        self._one_kind(params, "LBFGS")
        run = _Run(params, closure)
        state = self._ready(params[0])
        original = run.evaluate()
        state["func_evals"] += 1
        loss, gradient = float(original), run.gradient()
        if _largest(gradient) <= group["tolerance_grad"]:
            return original
        evaluations = 1
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = _direction(state, gradient, group["history_size"])
            state.update(d=direction, prev_flat_grad=gradient, prev_loss=loss)
            first = state["n_iter"] == 1
            t = min(1.0, 1.0 / absolute(gradient).sum().item()) * group["lr"] if first else group["lr"]
            state["t"] = t
            slope = _dot(gradient, direction)
            if slope > -group["tolerance_change"]:
                break
            here = Point(0.0, loss, gradient, slope)
            if group["line_search_fn"]:
                found, used = strong_wolfe(
                    partial(run.at, run.values(), direction), here, t, size=_largest(direction),
                    max_evaluations=group["max_eval"] - evaluations, tolerance=group["tolerance_change"],
                )  # fmt: skip
                loss, gradient, t = found.value, found.gradient, found.t
                run.move(run.values(), t, direction)
            else:
                run.move(run.values(), t, direction)
                used = 0
                if iteration < group["max_iter"]:  # what the last one found shows at the next step
                    loss, gradient, used = float(run.evaluate()), run.gradient(), 1
            state["t"] = t
            evaluations += used
            state["func_evals"] += used
            if (
                evaluations >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or _largest(direction) * abs(t) <= group["tolerance_change"]
                or abs(loss - here.value) < group["tolerance_change"]
            ):
                break
        return original

    def _ready(self, p: Parameter) -> dict[str, Any]:
        """The state, which is that of the first parameter, as in PyTorch, where the parameters are now."""
        state = self.state.setdefault(p, {"func_evals": 0, "n_iter": 0})
        state.update({name: _placed(value, p) for name, value in state.items()})
        return state

    def _loaded(self, p: Parameter, entries: Mapping[str, Any], group: Group, i: int) -> dict[str, Any]:
        size = sum(q.size for q in group["params"])
        state: dict[str, Any] = {"func_evals": int(entries["func_evals"]), "n_iter": int(entries["n_iter"])}
        for name in VECTORS:
            value = entries.get(name)
            if value is None:
                continue
            vectors = [_vector(v, p) for v in (value if isinstance(value, list | tuple) else [value])]
            if any(v.shape != (size,) for v in vectors):
                raise ValueError(
                    f"the saved {name} has shape {vectors[0].shape}, the parameters need ({size},), one per element"
                )
            state[name] = vectors if isinstance(value, list | tuple) else vectors[0]
        for name in NUMBERS:
            value = entries.get(name)
            if value is not None:
                state[name] = [float(v) for v in value] if isinstance(value, list | tuple) else float(value)
        return state


VECTORS = ("d", "prev_flat_grad", "old_dirs", "old_stps")
NUMBERS = ("t", "H_diag", "ro", "prev_loss")


class _Run:
    """The parameters of a step as one vector, and the loss as a function of it."""

    def __init__(self, params: list[Parameter], closure: Callable[[], Any]) -> None:
        self.params = params
        self.sizes = [p.size for p in params]
        self.evaluate = enable_grad(closure)

    def gradient(self) -> Tensor:
        """All gradients one after the other; zeros where there is none."""
        parts = [
            zeros(p.size, dtype=p.dtype, backend=p.backend) if p.grad is None else reshape(p.grad.detach(), (-1,))
            for p in self.params
        ]
        flat: Tensor = concatenate(*parts)
        return flat

    def values(self) -> list[Tensor]:
        """The parameters as they are. No step writes into their memory, so these keep the values."""
        return [Tensor._wrap(p._value, p.backend) for p in self.params]

    def put(self, values: list[Tensor]) -> None:
        """Set the parameters."""
        for p, value in zip(self.params, values, strict=True):
            p._adopt(value._value)

    def move(self, x: list[Tensor], t: float, direction: Tensor) -> None:
        """Set the parameters to x + t·direction."""
        moves = split(direction, self.sizes, dim=0)
        self.put([value + reshape(move, value.shape) * t for value, move in zip(x, moves, strict=True)])

    def at(self, x: list[Tensor], direction: Tensor, t: float) -> Point:
        """Loss and slope at x + t·direction; the parameters are x again afterwards."""
        self.move(x, t, direction)
        loss, gradient = float(self.evaluate()), self.gradient()
        self.put(x)
        return Point(t, loss, gradient, _dot(gradient, direction))


def _direction(state: dict[str, Any], gradient: Tensor, history_size: int) -> Tensor:
    """−H·g by the two-loop recursion (Nocedal & Wright, algorithm 7.4), after taking in the last step."""
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
        return -gradient
    changes, steps, inverse = state["old_dirs"], state["old_stps"], state["ro"]
    change, step = gradient - state["prev_flat_grad"], state["d"] * state["t"]
    curvature = _dot(change, step)
    if curvature > CURVATURE:
        for kept, newest in ((changes, change), (steps, step), (inverse, 1.0 / curvature)):
            kept.append(newest)
            del kept[:-history_size]
        state["H_diag"] = curvature / _dot(change, change)
    q = -gradient
    shares = []
    for y, s, rho in reversed(list(zip(changes, steps, inverse, strict=True))):
        shares.append(_dot(s, q) * rho)
        q = q - y * shares[-1]
    r = q * state["H_diag"]
    for y, s, rho in zip(changes, steps, inverse, strict=True):
        r = r + s * (shares.pop() - _dot(y, r) * rho)
    return r


def _dot(a: Tensor, b: Tensor) -> float:
    return matmul(a, b).item()  # type: ignore[no-any-return]


def _largest(x: Tensor) -> float:
    return amax(absolute(x)).item() if x.size else 0.0


def _vector(value: Any, p: Parameter) -> Tensor:
    """A copy where the parameter is."""
    t = Tensor(value, backend=p.backend) if not isinstance(value, Tensor) else value.detach().to(p.backend)
    return Tensor._wrap(p.backend.xp.asarray(t.astype(p.dtype)._value, copy=True), p.backend)


def _placed(value: Any, p: Parameter) -> Any:
    """Vectors of the state moved to the parameter's backend and dtype."""
    if isinstance(value, list):
        return [_placed(item, p) for item in value]
    return value.to(p.backend).astype(p.dtype) if isinstance(value, Tensor) else value
