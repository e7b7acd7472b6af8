"""The base of all optimisers: parameter groups, steps, and a state that can be saved and follows the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from ..autograd.capture.recorder import Cell
from ..autograd.dtypes import float64
from ..autograd.primitive import Primitive
from ..autograd.sharing import is_shared
from ..autograd.state import enable_grad, no_grad
from ..autograd.state import state as thread
from ..autograd.tensor import Parameter, Tensor
from ..backends import Backend

Group = dict[str, Any]
Params = Iterable[Parameter] | Iterable[tuple[str, Parameter]] | Iterable[dict[str, Any]]
#: Backend, dtype, steps taken and names of the state.
Kind = tuple[Backend, Any, int, tuple[str, ...]]


class Optimizer:
    """What every optimiser shares. A subclass names its update rule, its options and its state.

    Parameters
    ----------
    params : Parameters, pairs (name, Parameter) as `model.named_parameters()` gives, or groups: dicts with "params" and
        whatever options differ for them (`{"params": head.parameters(), "lr": 1e-2, "name": "head"}`).
    defaults : options of groups that do not set them.

    Attributes
    ----------
    param_groups : list of dicts, "params" and every option; schedules write "lr" there.
    state : parameter -> {"step": steps taken, name: Tensor, ...}, made at the parameter's first step. A step may write
        into these Tensors' memory, so copy what is to be kept, or use `state_dict()`.
    rule : the op of `autograd/ops/update.py` that moves all parameters of a group.

    Raises
    ------
    TypeError : something in `params` is no Parameter.
    ValueError : no parameters, the same one twice, or an option out of its range.

    A subclass is its rule, its options and the names of its state:

    >>> import pullback as pb
    >>> from pullback import optim
    >>> class SignDescent(optim.Optimizer):
    ...     rule = pb.lion_step
    ...     def state_names(self, group, p):
    ...         return ("exp_avg",)
    ...     def options(self, group):
    ...         return {"beta1": 0.0, "beta2": 0.0}
    >>> w = pb.Parameter([1.0, -2.0])
    >>> w.grad = pb.Tensor([0.5, -3.0])
    >>> SignDescent([w], {"lr": 0.25}).step()
    >>> w.numpy()
    array([ 0.75, -1.75], dtype=float32)
    """

    rule: ClassVar[Primitive]
    #: State that is one number per parameter and keeps its own dtype.
    scalar_state: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.state: dict[Parameter, dict[str, Any]] = {}
        self.param_groups: list[Group] = []
        if isinstance(params, Tensor | Mapping):
            raise TypeError(
                f"{type(self).__name__} takes an iterable of Parameters or of groups, not one {type(params).__name__}; "
                "put it in a list"
            )
        given = list(params)
        if not given:
            raise ValueError(f"{type(self).__name__} got no parameters to optimise")
        groups: list[Any] = given if isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters with options of their own, for example those of layers that were frozen at first."""
        title = f"{type(self).__name__}, group {len(self.param_groups)}"
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(f"{title}: a group is a dict with 'params' and options; do not mix groups and parameters")
        given = group["params"]
        params, names = [], []
        for i, item in enumerate([given] if isinstance(given, Tensor) else given):
            named = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
            name, p = item if named else (None, item)
            if not isinstance(p, Parameter):
                raise TypeError(
                    f"{title}: item {i} is a {type(p).__name__}, not a Parameter; optimisers change Parameters, "
                    "which are made by pullback.Parameter(tensor) and found by model.parameters()"
                )
            params.append(p)
            names.append(name)
        if not params:
            raise ValueError(f"{title} has no parameters")
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for i, p in enumerate(params):
            if id(p) in known:
                raise ValueError(
                    f"{title}: parameter {i} (shape {p.shape}) is given twice; each belongs in one group, once"
                )
            known.add(id(p))
        made = {**self.defaults, **group, "params": params}
        if any(name is not None for name in names):
            made["param_names"] = names
        if made.get("lr") is None:
            raise ValueError(f"{title} has no learning rate; pass lr=")
        made["lr"] = _rate(made["lr"])
        if not made["lr"] >= 0.0:
            raise ValueError(f"{title}: lr must be at least 0, not {made['lr']}")
        self.check(made, title)
        self.param_groups.append(made)

    # ------------------------------------------------------- what a subclass says

    def check(self, group: Group, title: str) -> None:
        """Raise ValueError if one of the group's options is out of its range."""

    def state_names(self, group: Group, p: Parameter) -> tuple[str, ...]:
        """Names of the rule's state lists, in its order. Parameters with other names go to the rule apart."""
        return ()

    def options(self, group: Group) -> dict[str, Any]:
        """The rule's static parameters."""
        return {}

    def init_state(self, p: Parameter, group: Group) -> dict[str, Tensor]:
        """State of a parameter before its first step: zeros of its shape and dtype."""
        zeros = p.backend.xp.zeros_like
        return {name: Tensor._wrap(zeros(p._value), p.backend) for name in self.state_names(group, p)}

    # ------------------------------------------------------------------- stepping

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; those without are left alone, and that is no error.

        Parameters
        ----------
        closure : recomputes the loss and its gradients; called once before the step.

        Returns
        -------
        What the closure returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for (backend, _, step, names), params in self._alike(group).items():
                    self._move(group, backend, step, names, params)
        return loss

    def _alike(self, group: Group) -> dict[Kind, list[Parameter]]:
        """The parameters with gradients by kind: one call of the rule takes one kind."""
        kinds: dict[Kind, list[Parameter]] = {}
        capture = thread.now.capture
        recorded = capture is not None and capture.recording  # then the memory was made its own before
        for p in group["params"]:
            g = p.grad
            if g is None:
                continue
            value = p._value
            dtype = value.dtype
            if g._value.dtype != dtype:
                raise TypeError(f"the gradient of a parameter of shape {p.shape} is {g.dtype}, the parameter {p.dtype}")
            state = self.state.get(p)
            if state is None:
                state = self.state[p] = {"step": 0, **self.init_state(p, group)}
            kinds.setdefault((p.backend, dtype, state["step"], self.state_names(group, p)), []).append(p)
            del value
            if not recorded and is_shared(p):
                # the step may write into the parameter's memory: whoever else looks at it keeps the old values
                p._value = p.backend.xp.asarray(p._value, copy=True)
        return kinds

    def _move(self, group: Group, backend: Backend, step: int, names: tuple[str, ...], params: list[Parameter]) -> None:
        states = [self.state[p] for p in params]
        for p, state in zip(params, states, strict=True):
            self._follow(p, state, names, group)
        lists = [[state[name] for state in states] for name in names]
        n = len(params)
        if thread.now.capture is None:
            rate, count = number(group["lr"], backend), number(step + 1, backend)
        else:
            rate, count = self._watched(group, backend, params, names)
        new = self.rule(
            rate, count, *params, *[p.grad for p in params],
            *[t for values in lists for t in values], n=n, donate=True, **self.options(group),
        )  # fmt: skip
        del lists
        for p, out in zip(params, new, strict=False):
            p._adopt(out._value)
        for i, state in enumerate(states):
            state["step"] = step + 1
            for k, name in enumerate(names, 1):
                state[name] = new[k * n + i]

    def _watched(
        self, group: Group, backend: Backend, params: list[Parameter], names: tuple[str, ...]
    ) -> tuple[Tensor, Tensor]:
        """Learning rate and number of the step for a compiled step, which is told what it depends on here."""
        capture: Any = thread.now.capture
        states = [self.state[p] for p in params]
        first = states[0]

        def advance() -> float:
            for state in states:
                state["step"] += 1
            return float(first["step"])

        def assumed() -> Any:
            together = all(state["step"] == first["step"] for state in states)  # or they are of several kinds by now
            return list(map(id, self.param_groups)), list(map(id, group["params"])), together, self.options(group)

        cells = [_cell(self, p, name, backend) for p in params for name in names]
        capture.optimised(cells, assumed)
        rate = capture.fresh(lambda: float(group["lr"]), backend)
        return rate, capture.fresh(advance, backend)

    def _follow(self, p: Parameter, state: dict[str, Any], names: tuple[str, ...], group: Group) -> None:
        """Move the state to where its parameter is now, and make what an option that was switched on needs."""
        backend, dtype = p.backend, p._value.dtype
        for name in names:
            t = state.get(name)
            if t is None:
                t = state[name] = self.init_state(p, group)[name]
            if t.backend is not backend:
                t = state[name] = t.to(backend)
            if t._value.dtype != dtype and name not in self.scalar_state:
                state[name] = t.astype(p.dtype)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients; with `set_to_none=False` make them zeros instead."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad = Tensor._wrap(p.backend.xp.zeros_like(p._value), p.backend)

    # --------------------------------------------------------------------- saving

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs, in PyTorch's layout.

        Returns
        -------
        {"state": {i: {"step": int, name: Tensor, ...}}, "param_groups": [{"params": [i, ...], "lr": ..., ...}]}, where
        i counts the parameters through all groups. The Tensors are copies.
        """
        index: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                index[id(p)] = len(index)
            saved = {name: _plain(value) for name, value in group.items() if name != "params"}
            groups.append({**saved, "params": [index[id(p)] for p in group["params"]]})
        state = {
            index[id(p)]: {name: _copy(value) for name, value in entries.items()} for p, entries in self.state.items()
        }
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict()` gave, from this library or PyTorch, for the same groups of parameters.

        State goes to each parameter's backend and dtype. Nothing changes if anything does not fit.

        Raises
        ------
        ValueError : another number of groups or parameters, unknown or missing state, or a state of another shape.
        """
        saved_groups, saved_state = state_dict["param_groups"], state_dict["state"]
        sizes, expected = [len(g["params"]) for g in saved_groups], [len(g["params"]) for g in self.param_groups]
        if sizes != expected:
            raise ValueError(f"the saved groups have {sizes} parameters, this optimiser's {expected}")
        groups: list[Group] = []
        state: dict[Parameter, dict[str, Any]] = {}
        by_index = {str(i): entries for i, entries in saved_state.items()}  # JSON makes the keys strings
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            merged = {**group, **saved, "params": group["params"]}
            merged["lr"] = _rate(merged["lr"])
            groups.append({name: _plain(value) for name, value in merged.items()})
            for p, i in zip(group["params"], saved["params"], strict=True):
                entries = by_index.pop(str(i), None)
                if entries is not None:
                    state[p] = self._loaded(p, entries, merged, i)
        if by_index:
            raise ValueError(f"the saved state is for parameters {sorted(by_index)}, which no saved group lists")
        self.param_groups[:] = groups
        self.state = state

    def _loaded(self, p: Parameter, entries: Mapping[str, Any], group: Group, i: int) -> dict[str, Any]:
        template = self.init_state(p, group)
        steps = entries.get("step")
        state: dict[str, Any] = {
            "step": int(steps) if steps is not None else int(any(v is not None for v in entries.values()))
        }
        missing = set(template) - set(entries)
        if missing:
            raise ValueError(f"the saved state of parameter {i} has no {sorted(missing)}; it has {sorted(entries)}")
        for name, zero in template.items():
            value = entries[name]
            if value is None:  # PyTorch's SGD before its first step
                state[name] = zero
                continue
            t = Tensor(value, backend=p.backend) if not isinstance(value, Tensor) else value.detach().to(p.backend)
            if t.shape != zero.shape:
                raise ValueError(
                    f"the saved {name} of parameter {i} has shape {t.shape}, the parameter needs {zero.shape}"
                )
            state[name] = _copy(t.astype(zero.dtype))
        return state

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            shown = ", ".join(
                f"{name}={value}" for name, value in group.items() if name not in ("params", "param_names")
            )
            lines.append(f"  {i}: {len(group['params'])} parameters, {shown}")
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def _rate(value: Any) -> Any:
    """A learning rate as a plain number: a 0-d Tensor, PyTorch's too, is read."""
    return value if isinstance(value, int | float) else float(value)


def number(value: float, backend: Backend) -> Tensor:
    """A 0-d float64 Tensor: a rate, a count, or state that is one number."""
    return Tensor._wrap(backend.asarray(float(value), float64), backend)


def _cell(optimizer: Optimizer, p: Parameter, name: str, backend: Backend) -> Cell:
    """Where a compiled step finds a state, and leaves what becomes of it."""

    def read() -> Any:
        state = optimizer.state.get(p)
        return None if state is None else state[name]._value

    def write(array: Any) -> None:
        optimizer.state[p][name] = Tensor._wrap(array, backend)

    return Cell(read, write, read())


def filled(p: Parameter, value: float) -> Tensor:
    """State like the parameter with one value everywhere."""
    return Tensor._wrap(p.backend.xp.full_like(p._value, float(value)), p.backend)


def _copy(value: Any) -> Any:
    """An entry of the state for someone else: Tensors, also those of a list, are copied."""
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if not isinstance(value, Tensor):
        return value
    return Tensor._wrap(value.backend.xp.asarray(value._value, copy=True), value.backend)


def _plain(value: Any) -> Any:
    """An option as it is saved: lists are copied, so that later changes do not reach the saved ones."""
    return list(value) if isinstance(value, list) else value
