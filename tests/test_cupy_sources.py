"""Checks of the CuPy backend that need no GPU: sources compile, names and signatures agree, importing launches nothing.

A source that compiles is not a kernel that ran: `test_gpu.py` runs them, where there is a GPU.
"""

from __future__ import annotations

import ast
import ctypes
import ctypes.util
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pullback
from pullback.conformance.cases import all_primitives

FOLDER = Path(pullback.__file__).parent / "backends" / "cupy"
ARCHITECTURE = "sm_80"


def _sources() -> object:
    """`sources.py` by itself: the package it is in needs CuPy."""
    spec = importlib.util.spec_from_file_location("pullback.backends.cupy.sources", FOLDER / "sources.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("cupy_sources_alone", module)
    spec.loader.exec_module(module)
    module.files = lambda package: FOLDER
    return module


sources = _sources()
VARIANTS = [(module, dtype) for module, dtypes in sources.MODULES.items() for dtype in dtypes]
WRAPPERS = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.py"))}


# ------------------------------------------------------------------------------------------------------ compile checks


class Nvrtc:
    """NVIDIA's run-time compiler, through its C interface; it needs no driver and no GPU."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(self.path())

    @staticmethod
    def path() -> str:
        found = [
            str(path)
            for root in map(Path, sys.path)
            for path in sorted(root.glob("nvidia/*/lib*/libnvrtc.so.*"))
            if "builtins" not in path.name and ".alt." not in path.name
        ]
        system = ctypes.util.find_library("nvrtc")
        if system:
            found.append(system)
        if not found:
            pytest.skip("no NVRTC: neither the wheel nvidia-cuda-nvrtc nor the CUDA toolkit's library is installed")
        return found[0]

    def compile(self, text: str, options: tuple[str, ...]) -> None:
        program = ctypes.c_void_p()
        call = self.library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
        assert call == 0, f"nvrtcCreateProgram answered {call}"
        try:
            given = [option.encode() for option in options]
            status = self.library.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
            size = ctypes.c_size_t()
            self.library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            self.library.nvrtcGetProgramLog(program, log)
            assert status == 0, log.value.decode()
            assert not log.value.strip(), f"warnings: {log.value.decode()}"
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))


@pytest.fixture(scope="module")
def nvrtc() -> Nvrtc:
    return Nvrtc()


@pytest.mark.parametrize(("module", "dtype"), VARIANTS, ids=lambda value: value)
def test_compile_check_with_nvrtc(nvrtc: Nvrtc, module: str, dtype: str) -> None:
    nvrtc.compile(sources.source(module), (*sources.options(dtype), f"--gpu-architecture={ARCHITECTURE}"))


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
@pytest.mark.parametrize("module", sources.MODULES)
def test_compile_check_with_nvcc(tmp_path: Path, module: str) -> None:
    dtype = sources.MODULES[module][0]
    source = tmp_path / "kernels.cu"
    source.write_text(sources.source(module), encoding="utf-8")
    command = ["nvcc", "-cubin", f"-arch={ARCHITECTURE}", "-Werror", "all-warnings", *sources.options(dtype)]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "kernels.cubin"), str(source)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_every_source_file_is_a_module() -> None:
    assert {path.stem for path in FOLDER.glob("*.cu")} == {"common", *sources.MODULES}


# --------------------------------------------------------------------------------------------------- names, signatures


def launches() -> Iterator[tuple[str, str, str]]:
    """Wrapper file, module and kernel name (a pattern, where part of the name is computed) of every launch."""
    for stem, tree in WRAPPERS.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in ("launch", "launch_each") and isinstance(node.args[0], ast.Constant):
                name = node.args[1]
                parts = name.values if isinstance(name, ast.JoinedStr) else [name]
                pattern = "".join(re.escape(p.value) if isinstance(p, ast.Constant) else r"\w+" for p in parts)
                yield stem, node.args[0].value, pattern


def registered() -> Iterator[tuple[str, str, ast.FunctionDef]]:
    """Wrapper file, op name and function of every `backend.register(op, guard)(function)`."""
    for stem, tree in WRAPPERS.items():
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        for node in ast.walk(functions.get("register", ast.Module([], []))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Call):
                yield stem, node.func.args[0].value, functions[node.args[0].id]


def test_every_launch_names_a_kernel_of_its_source() -> None:
    found = list(launches())
    assert found
    for stem, module, pattern in found:
        matches = [name for name in sources.functions(module) if re.fullmatch(pattern, name)]
        assert matches, f"{stem}.py launches {pattern} of {module}.cu, which has {sorted(sources.functions(module))}"


def test_every_kernel_of_a_source_is_launched() -> None:
    wanted = list(launches())
    for module in sources.MODULES:
        for name in sources.functions(module):
            assert any(m == module and re.fullmatch(pattern, name) for _, m, pattern in wanted), f"{module}.cu: {name}"


def test_every_kernel_names_an_op_and_takes_its_arguments() -> None:
    ops = all_primitives()
    found = list(registered())
    assert len({op for _, op, _ in found}) == len(found)
    for stem, op, function in found:
        assert op in ops, f"{stem}.py registers a kernel for {op!r}, which is no op"
        prim, args = ops[op], function.args
        where = f"{stem}.py: {function.name}"
        assert not args.posonlyargs, where
        if prim.variadic:
            assert args.vararg is not None, where
            assert not args.args, where
        else:
            assert tuple(a.arg for a in args.args) == tuple(prim.inputs), where
        static = {a.arg for a in args.kwonlyargs}
        assert static <= set(prim.statics), where
        assert args.kwarg is not None or static == set(prim.statics), where
        assert not any(default is not None for default in args.kw_defaults), f"{where}: defaults belong to the op"


def test_issue_families_have_kernels() -> None:
    ops = {op for _, op, _ in registered()}
    assert {"conv2d", "conv2d_bias", "conv2d_input_grad", "conv2d_weight_grad"} <= ops
    assert {"max_pool2d", "max_pool2d_unpool", "max_pool2d_gather", "avg_pool2d", "avg_pool2d_grad"} <= ops
    assert {"softmax", "log_softmax", "softmax_grad", "log_softmax_grad"} <= ops
    assert {"layer_norm", "layer_norm_grad", "batch_norm", "batch_norm_grad"} <= ops
    assert {"sgd_step", "adam_step", "rmsprop_step", "philox_bits"} <= ops


# ------------------------------------------------------------------------------------------------- without any GPU


def test_importing_the_backend_calls_nothing_of_cupy() -> None:
    for stem, tree in WRAPPERS.items():
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                continue  # what functions do happens later; class bodies here hold attributes and methods
            for node in ast.walk(statement):
                root = node.func if isinstance(node, ast.Call) else None
                while isinstance(root, ast.Attribute):
                    root = root.value
                assert not (isinstance(root, ast.Name) and root.id == "cp"), f"{stem}.py:{node.lineno}"


def test_every_cupy_name_that_is_used_exists() -> None:
    cupy = pytest.importorskip("cupy", reason="cupy is not installed")
    for stem, tree in WRAPPERS.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cp":
                assert hasattr(cupy, node.attr), f"{stem}.py:{node.lineno} uses cupy.{node.attr}"


def test_without_a_gpu_the_error_says_so_and_gives_the_install_line() -> None:
    cupy = pytest.importorskip("cupy", reason="cupy is not installed")
    if cupy.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(pullback.BackendError, match="no usable NVIDIA GPU") as error:
        pullback.get_backend("cupy")
    assert "pip install 'pullback[cuda12x]'" in str(error.value)
