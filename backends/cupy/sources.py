"""The CUDA C sources beside this file. Needs no GPU and no CuPy, so that compile checks can use it anywhere.

A source is written in terms of the type `T` of stored elements and the type `A` of sums, which `common.cu` defines from
what the compiler is told per dtype; it precedes each source. Every kernel is `extern "C"`, so that its name in the
source is its name in the module.
"""

from __future__ import annotations

import re
from importlib.resources import files

KERNEL_NAME = re.compile(r'extern "C" __global__ void (\w+)\(')
#: dtype name -> definitions for the compiler. Sums have the type of what is summed, double for float64; long ones are
#: added in trees, tiles or parts.
DEFINITIONS = {
    "float32": ("-DSTORED=float", "-DSUMMED=float"),
    "float64": ("-DSTORED=double", "-DSUMMED=double"),
    "int32": ("-DSTORED=int", "-DSUMMED=int"),
    "int64": ("-DSTORED=long long", "-DSUMMED=long long"),
    "uint32": ("-DSTORED=unsigned int", "-DSUMMED=unsigned int"),
    "uint64": ("-DSTORED=unsigned long long", "-DSUMMED=unsigned long long"),
}
FLOATS = ("float32", "float64")
#: file (without .cu) -> the dtypes it is compiled for.
MODULES: dict[str, tuple[str, ...]] = {
    "conv": FLOATS,
    "pool": FLOATS,
    "softmax": FLOATS,
    "norm": FLOATS,
    "update": FLOATS,
    "index": tuple(DEFINITIONS),
    "random": FLOATS,
}


def source(module: str) -> str:
    """The full text of a module: `common.cu`, then its own file."""
    folder = files(__package__)
    return "\n".join((folder / f"{name}.cu").read_text(encoding="utf-8") for name in ("common", module))


def options(dtype: str) -> tuple[str, ...]:
    """Compiler options for a module's variant of that dtype."""
    return ("-std=c++14", *DEFINITIONS[dtype])


def functions(module: str) -> frozenset[str]:
    """Names of the kernels that a module defines."""
    return frozenset(KERNEL_NAME.findall(source(module)))
