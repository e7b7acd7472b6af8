"""What `import pullback` loads and costs, and which way imports run inside the package."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pullback

ROOT = Path(pullback.__file__).parent

#: part of the package -> the parts it may import from, itself included
LAW = {
    "backends": {"backends"},
    "autograd": {"autograd", "backends"},
    "conformance": {"conformance", "autograd", "backends"},
    "nn": {"nn", "autograd", "backends"},
    "optim": {"optim", "autograd", "backends"},
    "data": {"data", "autograd", "backends"},
    "train": {"train", "data", "nn", "optim", "autograd", "backends"},
}
#: Files that come in by the front door, `from .. import name`, as a user would.
USER_CODE = {"train/demo.py": "the example that people copy"}
#: Libraries that load on first use, never with the package.
LAZY = ("numba", "cupy", "scipy", "matplotlib", "tqdm", "sklearn", "pooch", "safetensors", "torch")
#: Arrays are computed on by ops alone; NumPy serves these files for values that live on the host.
NUMPY_ON_THE_HOST = {
    "nn/init.py": "initial weights are drawn on the host",
    "nn/state.py": "files and the state_dicts of other libraries hold host arrays",
}


def sources(part: str) -> list[Path]:
    return sorted((ROOT / part).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every module that the file imports, inside functions and for type checking too."""
    here = ("pullback", *path.relative_to(ROOT).with_suffix("").parts)
    package = here[:-1]  # the package that relative imports start from, for modules and for __init__.py alike
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            if node.module:
                yield node.lineno, module
            else:  # from .. import name: the name is a module of that package, or something its front door offers
                for alias in node.names:
                    yield node.lineno, f"{module}.{alias.name}"


def test_the_reader_of_imports_understands_relative_ones() -> None:
    found = {name for _, name in imported(ROOT / "autograd" / "eager.py")}
    assert {"numpy", "pullback.backends", "pullback.autograd.primitive"} <= found
    assert "pullback.backends.registry" in {name for _, name in imported(ROOT / "backends" / "__init__.py")}


@pytest.mark.parametrize("part", LAW)
def test_imports_run_one_way(part: str) -> None:
    broken = []
    for path in sources(part):
        for line, name in imported(path):
            head, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            front_door = path.relative_to(ROOT).as_posix() in USER_CODE and not (ROOT / target).is_dir()
            if head == "pullback" and target not in LAW[part] and not front_door:
                broken.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("part", LAW)
def test_imports_inside_the_package_are_relative(part: str) -> None:
    absolute = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources(part)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "pullback" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "pullback")
    ]
    assert not absolute, absolute


@pytest.mark.parametrize("part", ["nn", "optim"])
def test_layers_and_optimisers_compute_through_ops_alone(part: str) -> None:
    forbidden = {"numba", "cupy", "scipy", "numpy"}
    broken = []
    for path in sources(part):
        name = path.relative_to(ROOT).as_posix()
        allowed = {"numpy"} if name in NUMPY_ON_THE_HOST else set()
        broken += [
            f"{name}:{line} imports {module}"
            for line, module in imported(path)
            if module.partition(".")[0] in forbidden - allowed
        ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("library", ["numba", "cupy"])
def test_accelerators_are_imported_by_their_own_backend_alone(library: str) -> None:
    elsewhere = [
        f"{path.relative_to(ROOT)}:{line}"
        for part in LAW
        for path in sources(part)
        for line, name in imported(path)
        if name.partition(".")[0] in (library, f"{library}x")
        and path.relative_to(ROOT).parts[:2] != ("backends", library)
    ]
    assert not elsewhere, elsewhere


def test_importing_pullback_loads_no_optional_or_heavy_library() -> None:
    code = f"import sys, pullback; print(sorted(set(sys.modules) & set({LAZY!r})))"
    assert python(code).strip() == "[]"


def test_importing_pullback_takes_under_a_tenth_of_a_second_beyond_numpy(tmp_path: Path) -> None:
    # NumPy is most of the whole 0.2 s that an import may take. Processor time and the best of several runs, since other
    # work on the machine only ever adds time; with bytecode on disk, as after any installation.
    code = "import time, numpy; t = time.process_time(); import pullback; print(time.process_time() - t)"
    best = min(float(python(code, bytecode=tmp_path)) for _ in range(6))
    assert best < 0.1, f"import pullback took {best:.3f} s at best"


def python(code: str, bytecode: Path | None = None) -> str:
    env = dict(os.environ)
    if bytecode is not None:
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        env["PYTHONPYCACHEPREFIX"] = str(bytecode)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.anchor, timeout=120, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
