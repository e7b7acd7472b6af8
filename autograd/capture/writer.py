"""The body of a program, as the text of a Python function: which kernels run on what, in which order.

Arrays are *fixed*, at one place in memory from replay to replay, or *floating*, made anew by each. What compiled
launches touch is fixed, since their addresses are written down; so are arguments, parameters and states. Runs of
launches are one call of the backend's player. Everything else stays a call of the kernel's Python function, and its
results float, unless launches need them: then they are copied to where those look. Views of fixed arrays cost nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from .recorder import CaptureError, Cell, Recorder, Slot, Step

Body = Callable[[list[Any]], tuple[list[Any], list[Any]]]
_PLAY = "if (at := play({}, {})) >= 0: stopped(at)"

#: Stands for a step that was left out.
NOTHING = Step("nothing", lambda: None, (), {}, (), view=True)


class Writer:
    """Writes one program. `launched`, `called`: how many kernels run as launches, and how many by Python."""

    def __init__(
        self, recorder: Recorder, carried: list[tuple[Cell, int]], grads: list[int], outputs: list[int | None]
    ) -> None:
        self.recorder, self.backend = recorder, recorder.backend
        self.carried, self.grads, self.outputs = carried, grads, outputs
        self._drop_unused()
        self.base: dict[int, int] = {}  # view -> what it is a view of
        self.fixed: set[int] = set(range(len(recorder.arrays)))
        self.pinned: set[int] = set()  # results of Python calls that launches need
        self._analyse()
        self.scope: dict[str, Any] = {}
        self.lines: list[str] = []
        self.timed: list[tuple[str, str]] = []  # the same with launches one by one, and whose each line is
        self.launches: list[Any] = []
        self.owners: list[Step] = []  # of the launches
        self.launched = self.called = 0
        self.handed: list[bool] = []  # which gradients are handed out as they are, at one place from replay to replay

    def _drop_unused(self) -> None:
        """Leave out steps whose results nobody needs; those before and after keep their places."""
        used = {n for _, n in self.carried} | set(self.grads) | set(self.outputs)
        used |= {n for _, _, taken in self.recorder.checks for n in taken}
        steps = self.recorder.steps
        for i in range(len(steps) - 1, -1, -1):
            given = {a.number for a in steps[i].args if isinstance(a, Slot)}
            if used.isdisjoint(steps[i].outs) and given.isdisjoint(steps[i].outs):
                steps[i] = NOTHING
            else:
                used |= given

    def _analyse(self) -> None:
        """Which arrays are fixed, and which of them a Python call's result must be copied to."""
        recorder = self.recorder
        for step in recorder.steps:
            if step.view:
                taken = [a.number for a in step.args if isinstance(a, Slot)]
                for out in step.outs:
                    whole = recorder.arrays[out]
                    self.base[out] = next(n for n in taken if self.backend.shares(whole, recorder.arrays[n]))
            elif step.launches is None:
                given = {a.number for a in step.args if isinstance(a, Slot)}
                self.fixed -= set(step.outs) - given
        for step in recorder.steps:
            if step.view:
                self.fixed -= {out for out in step.outs if self.root(out) not in self.fixed}
        for step in recorder.steps:
            if step.launches is not None:
                for a in step.args:
                    if isinstance(a, Slot) and a.number not in self.fixed:
                        self.pinned.add(self.root(a.number))
        self.fixed |= self.pinned
        self.fixed |= {out for out in self.base if self.root(out) in self.fixed}
        self._check_views()

    def root(self, n: int) -> int:
        """The array that this one is a view of, however many views lie between."""
        while n in self.base:
            n = self.base[n]
        return n

    def _check_views(self) -> None:
        """Refuse a view of a parameter that is used after a step wrote into the parameter's memory."""
        made: dict[int, int] = {}
        written: dict[int, int] = {}

        def check(n: int, when: int) -> None:
            at = written.get(self.root(n))
            if at is not None and n in self.base and made[n] < at < when:
                raise CaptureError(
                    "a view of a parameter is used after an optimiser's step has changed the parameter inside one "
                    "compiled function; take parameter.detach(), which copies, or use it before the step"
                )

        for i, step in enumerate(self.recorder.steps):
            taken = [a.number for a in step.args if isinstance(a, Slot)]
            for n in taken:
                check(n, i)
            for out in step.outs:
                made[out] = i
                if out in taken:
                    written[out] = i
        for n in [*self.grads, *(n for n in self.outputs if n is not None)]:
            check(n, len(self.recorder.steps))

    # ------------------------------------------------------------ text

    def name(self, n: int) -> str:
        """How the text calls an array."""
        if n not in self.fixed:
            return f"s{n}"
        self.scope[f"c{n}"] = self.recorder.arrays[n]
        return f"c{n}"

    def emit(self, line: str, label: str = "") -> None:
        """Add a line to both texts."""
        self.lines.append(line)
        self.timed.append((line, label))

    def function(self) -> Body:
        """The body: arrays of the arguments -> arrays of gradients, and of outputs."""
        for i, n in enumerate(self.recorder.inputs):
            self.emit(f"{self.name(n)}[...] = asarray(inputs[{i}])", "arguments")
        self.scope["asarray"] = self.backend.asarray
        self._steps()
        self._ends()
        self._play()
        return compiled(self.lines, self.scope)

    def _steps(self) -> None:
        recorder = self.recorder
        launches, owners = self.launches, self.owners
        waiting = 0  # launches before this one have their line

        def play() -> None:
            nonlocal waiting
            if waiting < len(launches):
                self.lines.append(_PLAY.format(waiting, len(launches)))
                self.timed += [(_PLAY.format(k, k + 1), self._label(owners[k])) for k in range(waiting, len(launches))]
                waiting = len(launches)

        last = self._last_uses()
        for i, step in enumerate([*recorder.steps, None]):
            for before in self._before(i):
                play()
                self.emit(before, "arguments")
            if step is None:
                break
            if step.launches is not None:
                launches.append(step.launches)
                owners.append(step)
                self.launched += 1
                continue
            if step.view and all(out in self.fixed for out in step.outs):
                continue
            play()
            self._call(i, step)
            for n in last.get(i, ()):
                self.emit(f"s{n} = None")
        play()

    def _before(self, i: int) -> Iterator[str]:
        """Lines that stand before step i: conditions on values, and arrays that are filled anew."""
        for k, (at, run, taken) in enumerate(self.recorder.checks):
            if at == i:
                self.scope[f"check{k}"] = run
                yield f"check{k}({', '.join(map(self.name, taken))})"
        for k, (at, n, read) in enumerate(self.recorder.refreshed):
            if at == i:
                self.scope[f"read{k}"] = read
                yield f"{self.name(n)}[...] = asarray(read{k}())"

    def _play(self) -> None:
        """Make the player, once it is known which arrays Python's part touches."""
        if not self.launches:
            return
        arrays, scope = self.recorder.arrays, self.scope
        touched = [value for value in scope.values() if type(value) is self.backend.array_type]
        player = self.backend.player(self.launches, touched)
        taken = {a.number for step in self.owners for a in step.args if isinstance(a, Slot)}
        scope["play"] = player.play
        owners = [replace(step, launches=None) for step in self.owners]  # without the arrays that have moved
        scope["stopped"] = functools.partial(_stopped, owners, {n: player.place(arrays[n]) for n in taken})

    def _label(self, step: Step) -> str:
        """The op, and the shapes it takes."""
        arrays = self.recorder.arrays
        shapes = [tuple(arrays[a.number].shape) for a in step.args if isinstance(a, Slot)]
        return " ".join([step.name, *("x".join(map(str, shape)) for shape in shapes[:3] if shape)])

    def _call(self, i: int, step: Step) -> None:
        """A line that calls a kernel's Python function."""
        self.called += 1
        fn = functools.partial(step.fn, **step.params) if step.params else step.fn
        self.scope[f"f{i}"] = _arrays(fn, self.backend.asarray, step.several) if step.scalars else fn
        taken = []
        for k, a in enumerate(step.args):
            if not isinstance(a, Slot):
                self.scope[f"k{i}_{k}"] = a
            taken.append(self.name(a.number) if isinstance(a, Slot) else f"k{i}_{k}")
        call, label = f"f{i}({', '.join(taken)})", self._label(step)
        given = {a.number for a in step.args if isinstance(a, Slot)}
        if not step.several:
            n = step.outs[0]
            written = n in given and n in self.fixed
            before = "" if written else f"{self.name(n)}[...] = " if n in self.pinned else f"{self.name(n)} = "
            self.emit(before + call, label)
            return
        targets = [
            f"t{i}_{k}" if n in self.pinned or (n in given and n in self.fixed) else self.name(n)
            for k, n in enumerate(step.outs)
        ]
        self.emit(f"{', '.join(targets)}, = {call}", label)
        for k, n in enumerate(step.outs):
            if n in self.pinned:
                self.emit(f"{self.name(n)}[...] = t{i}_{k}", label)

    def _last_uses(self) -> dict[int, list[int]]:
        """Step -> floating arrays that nothing needs after it."""
        last: dict[int, int] = {}
        for i, step in enumerate(self.recorder.steps):
            for n in (*step.outs, *(a.number for a in step.args if isinstance(a, Slot))):
                last[n] = i
        for i, _, taken in self.recorder.checks:
            for n in taken:
                last[n] = max(last.get(n, 0), i)
        kept = {n for _, n in self.carried} | set(self.grads) | set(self.outputs)
        uses: dict[int, list[int]] = {}
        for n, i in last.items():
            if n not in self.fixed and n not in kept and self.recorder.steps[i].launches is None:
                uses.setdefault(i, []).append(n)
        return uses

    def _ends(self) -> None:
        """Lines that bring back what is carried to the next call, and the results."""
        homes = {id(self.recorder.arrays[self.root(n)]) for _, n in self.carried}
        swapped = any(id(cell.array) in homes for cell, _ in self.carried)
        for k, (cell, n) in enumerate(self.carried):
            self.scope[f"home{k}"] = cell.array
            if swapped:  # one's new values lie where another's go
                self.emit(f"moved{k} = copy({self.name(n)})", "results")
            else:
                self.emit(f"home{k}[...] = {self.name(n)}", "results")
        if swapped:
            for k in range(len(self.carried)):
                self.emit(f"home{k}[...] = moved{k}", "results")
        grads = ", ".join(self._gradients())
        outputs = ", ".join("None" if n is None else self._handed(n) for n in self.outputs)
        self.scope["copy"] = functools.partial(self.backend.xp.asarray, copy=True)
        self.emit(f"results = [{grads}], [{outputs}]", "results")
        self.emit("return results")

    def _gradients(self) -> Iterator[str]:
        """Gradients, which others may write into: copies of what is not made anew by each replay, for each alone."""
        made: set[int] = set()
        for step in self.recorder.steps:
            if not step.view:
                made |= set(step.outs) - {a.number for a in step.args if isinstance(a, Slot)}
        for n in self.grads:
            alone = self.root(n) in made
            made.discard(self.root(n))
            self.handed.append(alone and n in self.fixed)
            yield self.name(n) if alone else f"copy({self.name(n)})"

    def _handed(self, n: int) -> str:
        """An output, which the next replay must not change."""
        return f"copy({self.name(n)})" if n in self.fixed or self.root(n) in self.fixed else self.name(n)


def compiled(lines: list[str], scope: dict[str, Any]) -> Body:
    """The lines as a function of the arguments' arrays: arrays of gradients, and of outputs."""
    text = "\n    ".join(["def body(inputs):", *lines])
    exec(compile(text, "<compiled step>", "exec"), scope)
    body: Body = scope.pop("body")
    return body


def _arrays(fn: Callable[..., Any], asarray: Callable[[Any], Any], several: bool) -> Callable[..., Any]:
    """The function with NumPy's scalars as arrays."""
    if several:
        return lambda *args: tuple(map(asarray, fn(*args)))
    return lambda *args: asarray(fn(*args))


def _stopped(owners: list[Step], arrays: dict[int, Any], at: int) -> None:
    """A launch met bad data: the kernel's own function says what is wrong."""
    step = owners[at]
    step.fn(*(arrays[a.number] if isinstance(a, Slot) else a for a in step.args), **step.params)
    raise RuntimeError(f"{step.name} met bad data in a compiled step")
