"""The wheel holds every module of the product and nothing else, and works where only it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import pullback

ROOT = Path(pullback.__file__).parent
FOLDERS = ("autograd", "backends", "conformance", "data", "nn", "optim", "train")
METADATA = ("pyproject.toml", "README.md", "LICENSE")
SCRIPT = """
import sys
from pathlib import Path
import pullback as pb
assert Path(pb.__file__).is_relative_to(Path(sys.argv[1]).resolve()), pb.__file__
from pullback import data, nn, optim, train
x = pb.tensor([1.0, 2.0], requires_grad=True)
(x * x).sum().backward()
assert x.grad.tolist() == [2.0, 4.0]
print(pb.__version__)
"""


def product_files() -> set[str]:
    """Every file of the product, as its path in the wheel."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".cu")]
    files += [*ROOT.glob("*.py"), ROOT / "py.typed"]
    return {f"pullback/{path.relative_to(ROOT).as_posix()}" for path in files}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tree: what an earlier build left beside the sources cannot get into it."""
    pytest.importorskip("build", reason="the wheel is built with `build`")
    tree = tmp_path_factory.mktemp("wheel") / "pullback"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "_build", "generated")
    for name in (*FOLDERS, "tests", "docs", "benchmarks"):  # the last three must not get in
        shutil.copytree(ROOT / name, tree / name, ignore=unwanted)
    for path in [*ROOT.glob("*.py"), ROOT / "py.typed", *(ROOT / name for name in METADATA)]:
        shutil.copy(path, tree)
    out = tree.parent / "dist"
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tree.parent, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_the_product_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name for name in names if ".dist-info/" not in name}
    assert sorted(inside) == sorted(product_files())
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_packages_listed_in_pyproject_are_the_folders_of_the_tree() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = {path.parent for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    assert sorted(settings["packages"]) == sorted(
        ["pullback", *(f"pullback.{'.'.join(path.relative_to(ROOT).parts)}" for path in found)]
    )
    assert all((path / "__init__.py").exists() for path in found)


def test_installed_wheel_works_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    done = subprocess.run([*pip, "--target", str(site), str(wheel)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    environment = {**os.environ, "PYTHONPATH": str(site), "PULLBACK_BACKEND": "numpy"}
    for command in (["-c", SCRIPT, str(site)], ["-m", "pullback", "info"]):
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, cwd=elsewhere, env=environment, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert pullback.__version__ in done.stdout
