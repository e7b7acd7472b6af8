"""The cache of compiled kernels: filled ahead, used by read-only installations, never stale."""

from __future__ import annotations

import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

import pullback
from pullback.__main__ import main
from pullback.backends import numba as package

ROOT = Path(pullback.__file__).parent


def script(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_list_has_every_kernel(capsys):
    assert main(["warmup", "--list", "--dtype", "float32", "float64"]) == 0
    listed = capsys.readouterr().out.split("\n")
    for info in pkgutil.iter_modules(package.__path__):
        text = (Path(package.__path__[0]) / f"{info.name}.py").read_text()
        for block in text.split("@kernel\ndef ")[1:]:
            name = f"{info.name}.{block.split('(')[0]}"
            assert name in listed or {f"{name} float32", f"{name} float64"} <= set(listed)
    assert "running.run" in listed


WARMUP = """
from pullback.backends.numba import warmup
every = warmup.jobs
warmup.jobs = lambda dtypes: [job for job in every(dtypes) if job.name.startswith("pointwise._relu")]
from pullback.__main__ import main
raise SystemExit(main(["warmup", "--jobs", "1"]))
"""


def test_warming_up_fills_the_cache_once(tmp_path):
    first = script(WARMUP, NUMBA_CACHE_DIR=str(tmp_path))
    assert "compiled 0 kernels" not in first
    assert "0 were there already" in first
    assert str(tmp_path) in first.splitlines()[-1]
    assert any("pointwise._relu_span" in path.name for path in tmp_path.rglob("*.nbc"))
    assert "compiled 0 kernels" in script(WARMUP, NUMBA_CACHE_DIR=str(tmp_path))


ALONE = """
from pullback.backends.numba.warmup import Job, compile_job
print(compile_job(Job("broadcasting._multiply_spread", "float32"))[0] > 0)
"""


def test_a_fresh_process_finds_the_kernels_that_are_made_from_templates():
    """Each process of a warm-up imports the module that a kernel's name begins with, perhaps its template's alone."""
    assert script(ALONE) == "True"


RELU = """
import numpy as np
from pullback.backends.numba import pointwise
x = np.linspace(-2, 2, 2 * pointwise.SMALL, dtype=np.float32)
y = pointwise.relu(x)
print(y[0], y[-1], pointwise._relu.found)
"""
NOT_BESIDE = """
import numba.core.caching as caching
def refuse(self): raise PermissionError("read-only")
caching.InTreeCacheLocator.ensure_cache_path = refuse
caching.InTreeCacheLocatorFsAgnostic.ensure_cache_path = refuse
"""


def test_a_read_only_installation_uses_the_users_cache(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path), "NUMBA_CACHE_DIR": ""}
    assert script(NOT_BESIDE + RELU, **environment).split() == ["0.0", "2.0", "False"]
    assert any("pointwise._relu_span" in path.name for path in tmp_path.rglob("*.nbc"))
    assert script(NOT_BESIDE + RELU, **environment).split() == ["0.0", "2.0", "True"]


def test_without_any_cache_directory_warming_up_says_so(monkeypatch, capsys):
    from pullback.backends.numba import caching

    monkeypatch.setattr(caching, "cache_directory", lambda: None)
    assert main(["warmup"]) == 1
    assert "NUMBA_CACHE_DIR" in capsys.readouterr().err


HELPER = """
from .compile import jit

@jit
def moved(x):
    return x + {step}
"""
CALLER = """
from __future__ import annotations
from .compile import Floats, kernel
from .helper import moved

@kernel
def move(x: Floats, task: int) -> None:
    x[task] = moved(x[task])
"""


def test_a_changed_helper_in_another_file_is_compiled_anew(tmp_path):
    kept_out = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "benchmarks", "*.md")
    shutil.copytree(ROOT, tmp_path / "pullback", ignore=kept_out)
    kernels = tmp_path / "pullback" / "backends" / "numba"
    (kernels / "caller.py").write_text(CALLER)
    code = """
import numpy as np
from pullback.backends.numba.caller import move
x = np.zeros(3, np.float32)
move(3, x)
print(*x, move.found)
"""
    environment = {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    (kernels / "helper.py").write_text(HELPER.format(step=1))
    assert script(code, **environment) == "1.0 1.0 1.0 False"
    assert script(code, **environment) == "1.0 1.0 1.0 True"
    (kernels / "helper.py").write_text(HELPER.format(step=5))
    assert script(code, **environment) == "5.0 5.0 5.0 False"
