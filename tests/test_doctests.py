"""The examples in docstrings say what really happens."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from types import ModuleType

import pytest

import pullback as pb

# What else lies in the package's folder (tests, docs, benchmarks, virtual environments) is no part of the product, and
# `pullback.__main__` is a command.
FOLDERS = ("autograd", "backends", "conformance", "data", "nn", "optim", "train")
ROOT = Path(pb.__file__).parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def product_modules() -> dict[str, Path]:
    """Every module of the product, by its full name, and its file."""
    files = {"pullback": ROOT / "__init__.py", "pullback.info": ROOT / "info.py"}
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        files[".".join(("pullback", *parts)).removesuffix(".__init__")] = path
    return files


def load(name: str) -> ModuleType:
    """The module, or a visible skip where an optional library that it needs is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pullback"):
            raise
        pytest.skip(f"{name} needs {error.name}, which is not installed")


def examples(module: ModuleType) -> list[doctest.DocTest]:
    """The examples of a module's functions and classes, and of its ops, which doctest takes for plain data."""
    found = doctest.DocTestFinder().find(module)
    parser = doctest.DocTestParser()
    for op in vars(module).values():
        if isinstance(op, pb.Primitive) and op.__module__ == module.__name__ and op.__doc__:
            found.append(parser.get_doctest(op.__doc__, vars(module).copy(), op.name, module.__file__, None))
    return [test for test in found if test.examples]


@pytest.mark.parametrize(
    "name", [name for name, path in product_modules().items() if ">>> " in path.read_text("utf-8")]
)
def test_examples_of_module(name: str) -> None:
    tests = examples(load(name))
    assert tests, f"{name} holds a prompt that doctest does not find"
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    with pb.backend("numpy"):
        for test in tests:
            runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_all_modules_are_looked_at() -> None:
    names = set(product_modules())
    assert {
        "pullback.autograd.ops.conv",
        "pullback.backends.cupy.launch",
        "pullback.nn",
        "pullback.train.trainer",
    } <= names
    assert not any(name.startswith(("pullback.tests", "pullback.docs", "pullback.benchmarks")) for name in names)


def test_a_wrong_example_is_caught() -> None:
    module = ModuleType("wrong")
    module.__doc__ = ">>> 1 + 1\n3\n"
    (test,) = examples(module)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test, out=lambda text: None)
    assert runner.failures == 1
