"""Primitives: an op's forward and the rules that pull its cotangents back.

    @primitive(elementwise=True)
    def multiply(x, y, /, *, xp):
        return xp.multiply(x, y)

    multiply.vjp(x=lambda g, y: g * y, y=lambda g, x: g * x)

Arrays are positional-only, static parameters keyword-only and hashable, `xp` is the backend's namespace. Each keyword
of `.vjp` names the input it differentiates. What a rule's own parameters are called says what it is handed: `g` (the
cotangent), an input's name, `out`, `x_shape`, `x_dtype` (the dtype's name), `x_order` (its axes as they lie in memory,
or None), or a static parameter; the engine saves exactly those. Rules are written with operators and public ops only.
The engine runs them on bare arrays when nobody records, and on Tensors when the backward pass is itself differentiated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload
from weakref import WeakValueDictionary

from .state import Now, state

_VARIADIC = 0x04  # CO_VARARGS


@dataclass(frozen=True, slots=True)
class Plan:
    """How to differentiate one primitive when a certain set of its inputs wants a cotangent.

    Attributes
    ----------
    save : `save(values, out, dtype_name) -> residuals`, called when the op is recorded.
    kinds : per residual, ("input", i), ("inputs", -1), ("out", 0) or ("static", 0): how to turn it into a Tensor again.
    pulls : pairs (i, rule) with `rule(g, residuals, params)`; or one pair (-1, rule) for a joint rule, which also takes
        `need` and gives a tuple with one entry per input.
    saves_out, saves_both : the residuals are the output alone, or the two inputs in their order: `save` in short.
    pull_all : all of `pulls` in one call, giving a tuple with an entry per input, None where the mask has no bit; None
        itself for the joint rule of a variadic op, and for one that looks for tables.
    plain : one output, rules on bare arrays, and a `pull_all`: backward may take the short way.
    moved : the op's `moved` as `moved(residuals, params, rows)`, if it has one; see `tables.py`.
    """

    prim: Primitive
    mask: int
    save: Callable[[Sequence[Any], Any, Callable[[Any], str]], tuple[Any, ...]]
    kinds: tuple[tuple[str, int], ...]
    pulls: tuple[tuple[int, Callable[..., Any]], ...]
    pull_all: Callable[..., Any] | None
    plain: bool
    saves_out: bool
    saves_both: bool
    moved: Callable[..., Any] | None


class Primitive:
    """A differentiable op. Call it with Tensors, arrays or Python scalars; the current interpreter computes it.

    Attributes
    ----------
    name : what backends know their kernels by, and the test table its rows.
    key : the name, with a number if an op of that name was there before: ops of one name never meet in a backend, and a
        user's own `exp` is not given the kernel of ours.
    inputs : names of the array inputs; one name for a variadic op.
    outputs : how many arrays it returns; 0 means a tuple whose length the call decides.
    """

    def __init__(
        self, fn: Callable[..., Any], *, name: str | None, elementwise: bool, floating: bool,
        promote: bool | tuple[str, ...], outputs: int | None, tensor_rules: bool,
    ) -> None:  # fmt: skip
        code = fn.__code__
        self.forward = fn
        self.name = name or fn.__name__.rstrip("_")
        self.key = _unique(self.name)
        self.__name__, self.__qualname__, self.__doc__ = self.name, self.name, fn.__doc__
        self.__module__, self.__wrapped__ = fn.__module__, fn
        self.variadic = bool(code.co_flags & _VARIADIC)
        names = code.co_varnames
        n, k = code.co_argcount, code.co_kwonlyargcount
        if n != code.co_posonlyargcount or (self.variadic and n):
            raise TypeError(f"primitive {self.name}: array inputs must be positional-only (before '/') or a single *xs")
        self.statics = tuple(name for name in names[n : n + k] if name != "xp")
        self.static_names = frozenset(self.statics)
        self.takes_xp = "xp" in names[n : n + k]
        self.inputs = (names[n + k],) if self.variadic else names[:n]
        self.defaults = {k: v for k, v in (fn.__kwdefaults__ or {}).items() if k != "xp"}
        self.elementwise = elementwise
        self.floating = floating
        if isinstance(promote, tuple):
            self.promoted: tuple[str, ...] = promote
        else:
            self.promoted = tuple(self.inputs) if promote or elementwise or floating else ()
        #: Per input: does it take part in dtype promotion? One entry stands for all inputs of a variadic op.
        self.promotes = tuple(name in self.promoted for name in self.inputs)
        simple = elementwise and not self.statics and outputs == 1 and self.promoted == self.inputs and n in (1, 2)
        #: With so many arguments and no parameters a call takes the short way; −1: never.
        self.simple = n if simple else -1
        self.outputs = outputs
        self.tensor_rules = tensor_rules
        self.rules: dict[str, Callable[..., Any]] = {}
        self.joint: Callable[..., Any] | None = None
        self.batching: Callable[..., Any] | None = None
        #: `joined(cotangents, parameters, residuals)`, one of each a call, makes the cotangent of an input from those
        #: of several calls on it, all at once, in place of the sum of what the rule gives for each.
        self.joined: Callable[..., Any] | None = None
        #: For an op that may do no more than put whole rows of its first input elsewhere, `moved(rows, …)` says where:
        #: which row of a table each row of its result is, from the same for its input. See `tables.py`.
        self.moved: Callable[..., Any] | None = None
        #: Whether the joint rule can give the cotangent of a table of which the first input is rows.
        self.sees_tables = False
        primitives[self.key] = self
        self._plans: dict[int, Plan | None] = {}
        #: `short(*args)` applies the op to its inputs, without parameters, as a call does but sooner; see `short.py`.
        self.short = self.make_short(self)

    #: What makes `short`; set by `short.py`, which is built on this.
    make_short: Callable[[Primitive], Callable[..., Any]] = staticmethod(lambda prim: prim)

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Apply the op through the current interpreter."""
        apply = state.now.apply
        if apply is Now.default and self.simple == len(args) and not params:
            return self.short(*args)
        return apply(self, args, params)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce__(self) -> str:
        return self.__wrapped__.__name__

    # ------------------------------------------------------------- rules

    def vjp(self, joint: Callable[..., Any] | None = None, /, **rules: Callable[..., Any]) -> Primitive:
        """Give the rules: one per differentiable input by name, or one joint rule for all.

        A joint rule may ask for `need`, a tuple of bools per input, and returns a tuple with one entry per input
        (None where not needed). If it asks for `table`, that is None or, where the first input is rows of a table, a
        pair (index, number of the table's rows), and then the first cotangent is to be the table's (`tables.py`).
        Inputs without a rule are not differentiable (indices, masks, keys).
        """
        unknown = set(rules) - set(self.inputs)
        if unknown:
            raise TypeError(f"{self.name}.vjp names {sorted(unknown)}, which are not among its inputs {self.inputs}")
        if joint is not None:
            self._check_rule(joint)
            self.joint = joint
            self.sees_tables = "table" in rule_parameters(joint) and "table" not in (*self.inputs, *self.statics)
        for rule in rules.values():
            self._check_rule(rule)
        self.rules.update(rules)
        self._plans.clear()
        return self

    def moves(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Give `moved`, which is handed what it asks for by name as a rule is, and `rows`. See `tables.py`."""
        self._check_rule(rule)
        self.moved = rule
        self._plans.clear()
        return rule

    def batch(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Give the rule that computes a batch of examples at once under `vmap`; can be used as a decorator.

        It is called as rule(batch, *inputs, **static). Inputs that differ between examples have the batch axis in
        front, as `batch.mapped`, a tuple of bools, says of each; the result, or each of several, has it in front too.
        `batch.size` is its length, and `batch.full(x, i)` gives input i that axis where it lacks it. The rule is
        written with public ops; it need not be differentiable. Without one, elementwise ops align their inputs, and
        all others are computed for one example at a time.
        """
        self.batching = rule
        return rule

    def _check_rule(self, rule: Callable[..., Any]) -> None:
        for parameter in rule_parameters(rule):
            base = parameter.removesuffix("_shape").removesuffix("_dtype").removesuffix("_order")
            if parameter in ("out", *_HANDED, *self.statics) or base in self.inputs:
                continue
            raise TypeError(
                f"a rule of {self.name} asks for {parameter!r}; it may ask for g, out, need, table, an input "
                f"{self.inputs}, <input>_shape, <input>_dtype, <input>_order, or a static parameter {self.statics}"
            )

    @property
    def differentiable(self) -> bool:
        """Whether any input has a rule."""
        return bool(self.rules) or self.joint is not None

    def plan(self, mask: int) -> Plan | None:
        """The plan for those inputs whose bit is set; None if no rule applies to any of them. Made once."""
        try:
            return self._plans[mask]
        except KeyError:
            made = self._plans[mask] = _make_plan(self, mask)
            return made


#: Every primitive by its key.
primitives: WeakValueDictionary[str, Primitive] = WeakValueDictionary()
_names: Counter[str] = Counter()


def _unique(name: str) -> str:
    _names[name] += 1
    return name if _names[name] == 1 else f"{name}#{_names[name]}"


_HANDED = ("g", "need", "table", "rows")  # no residuals; the last two may also be an op's own names
_IDENTITY = (lambda g: g).__code__.co_code


def rule_parameters(rule: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a rule's parameters, read off its code object (cheaper than `inspect.signature`)."""
    code = rule.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _make_plan(prim: Primitive, mask: int) -> Plan | None:
    """Resolve every name a rule asks for, once, into two generated functions without any look-up by name."""
    if prim.joint is not None:
        wanted = {-1: prim.joint}
    else:
        wanted = {i: prim.rules[name] for i, name in enumerate(prim.inputs) if mask >> i & 1 and name in prim.rules}
    if not wanted:
        return None
    sources: list[str] = []  # code that computes each residual when the op is recorded
    kinds: list[tuple[str, int]] = []

    def residual(parameter: str) -> str:
        if parameter == "out":
            source, kind = "o", ("out", 0)
        elif parameter in prim.inputs:
            i = prim.inputs.index(parameter)
            source, kind = ("tuple(a)", ("inputs", -1)) if prim.variadic else (f"a[{i}]", ("input", i))
        else:
            base, _, what = parameter.rpartition("_")
            i = prim.inputs.index(base)
            read = {"shape": "shape({})", "dtype": "d({})", "order": "order({})"}[what]
            source = f"tuple({read.format('v')} for v in a)" if prim.variadic else read.format(f"a[{i}]")
            kind = ("static", 0)
        if source not in sources:
            sources.append(source)
            kinds.append(kind)
        return f"s[{sources.index(source)}]"

    asked = {parameter for rule in wanted.values() for parameter in rule_parameters(rule)}
    for parameter in prim.inputs:  # in their order, whichever rule asks first
        if parameter in asked:
            residual(parameter)
    scope: dict[str, Any] = {}

    def call(name: str, rule: Callable[..., Any]) -> str:
        scope[name] = rule
        arguments: list[str] = []
        for parameter in rule_parameters(rule):
            if parameter in prim.statics:
                value = f"p[{parameter!r}]"
            elif parameter in ("g", "need") or (parameter in _HANDED and parameter not in prim.inputs):
                value = parameter
            else:
                value = residual(parameter)
            keyword = len(arguments) >= rule.__code__.co_argcount
            arguments.append(f"{parameter}={value}" if keyword else value)
        if rule.__code__.co_code == _IDENTITY and arguments == ["g"]:
            return "g"
        return f"{name}({', '.join(arguments)})"

    calls = [call(f"rule{i}" if i >= 0 else "joint", rule) for i, rule in wanted.items()]
    takes = "g, s, p" if prim.joint is None else "g, s, p, need, table=None"
    pulls = tuple((i, eval(f"lambda {takes}: {text}", scope)) for i, text in zip(wanted, calls, strict=True))
    moves = eval(f"lambda s, p, rows: {call('moved', prim.moved)}", scope) if prim.moved and mask & 1 else None
    if prim.joint is None:
        by_input = dict(zip(wanted, calls, strict=True))
        every = ", ".join(by_input.get(i, "None") for i in range(len(prim.inputs)))
        pull_all = eval(f"lambda g, s, p: ({every},)", scope)
    elif prim.variadic or prim.sees_tables:
        pull_all = None
    else:  # one by one, what is wanted does not change from call to call; a rule may give more than was asked for
        scope["need"] = need = tuple(bool(mask >> i & 1) for i in range(len(prim.inputs)))
        chosen = ", ".join(f"c[{i}]" if wanted_here else "None" for i, wanted_here in enumerate(need))
        scope["choose"] = eval(f"lambda c: ({chosen},)")
        pull_all = eval(f"lambda g, s, p: choose({calls[0]})", scope)
    body = ", ".join(sources)
    save = eval(f"lambda a, o, d: ({body}{',' if sources else ''})", {"shape": _shape, "order": _order})
    plain = pull_all is not None and prim.outputs == 1 and not prim.tensor_rules and prim.joined is None
    saves_out, saves_both = kinds == [("out", 0)], kinds == [("input", 0), ("input", 1)] and len(prim.inputs) == 2
    return Plan(prim, mask, save, tuple(kinds), pulls, pull_all, plain, saves_out, saves_both, moves)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if hasattr(value, "shape") else ()


def _order(value: Any) -> tuple[int, ...] | None:
    """The axes from the outermost to the innermost in memory; None where that is their own order, or not known."""
    strides = getattr(value, "strides", None)
    if strides is None or value.flags.c_contiguous:
        return None
    order = sorted(range(len(strides)), key=lambda axis: -abs(strides[axis]))
    return None if order == list(range(len(strides))) else tuple(order)


@overload
def primitive(fn: Callable[..., Any], /) -> Primitive: ...
@overload
def primitive(
    *, name: str | None = None, elementwise: bool = False, floating: bool = False,
    promote: bool | tuple[str, ...] = False, outputs: int = 1, tensor_rules: bool = False,
) -> Callable[[Callable[..., Any]], Primitive]: ...  # fmt: skip
def primitive(
    fn: Callable[..., Any] | None = None, /, *, name: str | None = None, elementwise: bool = False,
    floating: bool = False, promote: bool | tuple[str, ...] = False, outputs: int = 1, tensor_rules: bool = False,
) -> Any:  # fmt: skip
    """Make a function on arrays an op.

    Parameters
    ----------
    name : the op's name, where it cannot be the function's.
    elementwise : inputs broadcast, take part in dtype promotion, and Python scalars reach the forward as they are.
    floating : integer and bool inputs are cast to the default float dtype first. Implies promotion of all inputs.
    promote : names of the inputs that are cast to a common dtype (all of them for True).
    outputs : number of arrays returned; with more than one, `g` and `out` in rules are tuples. 0: decided per call.
    tensor_rules : run the rules on Tensors always. For rules written by users, who may use Tensor methods in them.
    """

    def make(fn: Callable[..., Any]) -> Primitive:
        return Primitive(
            fn, name=name, elementwise=elementwise, floating=floating, promote=promote, outputs=outputs,
            tensor_rules=tensor_rules,
        )  # fmt: skip

    return make if fn is None else make(fn)
