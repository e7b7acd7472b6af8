"""A stand-in for CuPy on the host: NumPy's arrays, and CUDA kernels compiled as C++ and run one thread after another.

It shows what the Python wrappers and the kernels of `backends/cupy` compute. It does not show that a GPU computes it:
not that a device compiler takes the sources, not that memory accesses are safe in parallel, not CuPy's own functions.

A block's threads are fibers. `__syncthreads()` hands over to the next one, so each runs up to the barrier before any
runs past it; shared memory is static. Kernel arguments are checked against the kernel's parameters by kind and size,
which CUDA does not do.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

COMPILER = shutil.which("g++")
_built = tempfile.TemporaryDirectory(prefix="cupy-on-host-")  # removed when the process ends

PRELUDE = r"""
#include <setjmp.h>
#include <ucontext.h>
#include <cmath>
#include <cstdio>
#include <type_traits>
#include <utility>
#include <vector>
using namespace std;
struct dim3 { unsigned x, y, z; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;
struct Fiber {
    ucontext_t start;
    jmp_buf barrier;
    int state;  // 0: not entered, 1: waits at a barrier, 2: has ended
};
static std::vector<Fiber> fibers;
static std::vector<char> stacks;
static jmp_buf scheduler;
static void (*body)(void**);
static void** arguments;
static int current;
static const int STACK = 1 << 16;
static void wait_for_block() {
    fibers[current].state = 1;
    if (!_setjmp(fibers[current].barrier)) _longjmp(scheduler, 1);
}
static void enter() {
    body(arguments);
    fibers[current].state = 2;
    _longjmp(scheduler, 1);
}
#define __global__
#define __device__
#define __shared__ static
#define __restrict__
#define __syncthreads() wait_for_block()
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }
"""

EPILOGUE = r"""
template <class P> char kind() {
    return is_pointer<P>::value ? 'p' : is_floating_point<P>::value ? 'f' : 'i';
}
template <class... P> struct Kernel {
    template <void (*kernel)(P...), size_t... I> static void call(void** a, index_sequence<I...>) {
        kernel(*(typename remove_const<P>::type*)a[I]...);
    }
    template <void (*kernel)(P...)> static void thunk(void** a) { call<kernel>(a, index_sequence_for<P...>()); }
    static int check(int count, const char* kinds, const int* sizes) {
        if (count != (int)sizeof...(P)) return -1;
        const char wanted[] = {kind<P>()..., 0};
        const int bytes[] = {(int)sizeof(P)..., 0};
        for (int i = 0; i < count; i++) if (wanted[i] != kinds[i] || bytes[i] != sizes[i]) return i + 1;
        return 0;
    }
};
template <class... P> Kernel<P...> describe(void (*)(P...));
// Lets fiber t run up to its next barrier or its end. Contexts enter fibers; jumps, which need no system call, resume.
static void resume(int t) {
    current = t;
    threadIdx = {(unsigned)t, 0, 0};
    if (_setjmp(scheduler)) return;
    if (fibers[t].state) _longjmp(fibers[t].barrier, 1);
    setcontext(&fibers[t].start);
}
static void run(void (*kernel)(void**), void** a, const int* grid, int threads) {
    body = kernel; arguments = a;
    fibers.resize(threads); stacks.resize((size_t)threads * STACK);
    gridDim = {(unsigned)grid[0], (unsigned)grid[1], (unsigned)grid[2]};
    blockDim = {(unsigned)threads, 1, 1};
    for (int t = 0; t < threads; t++) {
        getcontext(&fibers[t].start);
        fibers[t].start.uc_stack.ss_sp = &stacks[(size_t)t * STACK];
        fibers[t].start.uc_stack.ss_size = STACK;
        fibers[t].start.uc_link = 0;
        makecontext(&fibers[t].start, enter, 0);
    }
    for (int z = 0; z < grid[2]; z++) for (int y = 0; y < grid[1]; y++) for (int x = 0; x < grid[0]; x++) {
        blockIdx = {(unsigned)x, (unsigned)y, (unsigned)z};
        for (int t = 0; t < threads; t++) fibers[t].state = 0;
        for (bool left = true; left;) {
            left = false;
            for (int t = 0; t < threads; t++) if (fibers[t].state != 2) {
                resume(t);
                left = left || fibers[t].state != 2;
            }
        }
    }
}
"""

ENTRY = """
extern "C" int host_{name}(int count, const char* kinds, const int* sizes, void** a, const int* grid, int threads) {{
    typedef decltype(describe(&{name})) K;
    const int wrong = K::check(count, kinds, sizes);
    if (!wrong) run(&K::template thunk<&{name}>, a, grid, threads);
    return wrong;
}}
"""


class RawModule:
    """`cupy.RawModule` for the host: compiled once per source and options."""

    def __init__(self, code: str, options: tuple[str, ...] = ()) -> None:
        from pullback.backends.cupy.sources import KERNEL_NAME

        names = KERNEL_NAME.findall(code)
        text = "\n".join([PRELUDE, code, EPILOGUE, *(ENTRY.format(name=name) for name in names)])
        key = hashlib.sha256("\0".join([text, *options]).encode()).hexdigest()[:20]
        library, listing = (Path(_built.name) / f"{key}{ending}" for ending in (".so", ".cpp"))
        if not library.exists():
            listing.write_text(text, encoding="utf-8")
            flags = ["-std=c++17", "-O2", "-w", "-ffp-contract=off", "-shared", "-fPIC", "-fno-gnu-unique"]
            definitions = [option for option in options if option.startswith("-D")]
            command = [str(COMPILER), *flags, *definitions, "-o", str(library), str(listing)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stderr)
        self._library = ctypes.CDLL(str(library))

    def get_function(self, name: str) -> Any:
        entry = getattr(self._library, f"host_{name}")

        def kernel(grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
            assert 0 not in grid, "CUDA refuses an empty grid"
            assert all(n <= most for n, most in zip(grid, (2**31 - 1, 65535, 65535), strict=False)), grid
            kinds, sizes, held = [], [], []
            for a in args:
                if isinstance(a, np.ndarray):
                    assert a.flags.c_contiguous, f"{name} reads memory in row-major order"
                    kinds.append("p")
                    held.append(ctypes.c_void_p(a.ctypes.data))
                    sizes.append(8)
                else:
                    assert isinstance(a, np.generic), f"{name} got {type(a)}"
                    kinds.append("f" if a.dtype.kind == "f" else "i")
                    held.append(ctypes.create_string_buffer(a.tobytes(), a.itemsize))
                    sizes.append(a.itemsize)
            pointers = (ctypes.c_void_p * len(args))(*(ctypes.addressof(h) for h in held))
            wrong = entry(
                len(args), "".join(kinds).encode(), (ctypes.c_int * len(args))(*sizes), pointers,
                (ctypes.c_int * 3)(*grid, *[1] * (3 - len(grid))), block[0],
            )  # fmt: skip
            if wrong:
                position = "the number of arguments" if wrong < 0 else f"argument {wrong - 1}"
                raise TypeError(f"{name}: {position} does not match the kernel's parameters")

        return kernel


class FakeCupy(ModuleType):
    """What `backends/cupy` uses of the module `cupy`; every array function is NumPy's."""

    RawModule = RawModule
    __version__ = "0 (host stand-in)"

    def __init__(self) -> None:
        super().__init__("cupy")
        self.cuda = SimpleNamespace(
            runtime=SimpleNamespace(
                getDevice=lambda: 0,
                getDeviceCount=lambda: 1,
                runtimeGetVersion=lambda: 12090,
                driverGetVersion=lambda: 12090,
                getDeviceProperties=lambda device: {"name": b"host stand-in", "major": 0, "minor": 0},
            ),
            get_current_stream=lambda: SimpleNamespace(synchronize=lambda: None),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def argsort(array: Any, axis: int = -1, kind: None = None) -> np.ndarray[Any, Any]:
        return np.argsort(array, axis=axis, kind="stable")  # as all of CuPy's sorts are

    @staticmethod
    def asnumpy(array: Any) -> np.ndarray[Any, Any]:
        return np.asarray(array)

    @staticmethod
    def asarray(data: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.asarray(data, dtype=dtype, copy=copy)


def modules() -> dict[str, ModuleType]:
    """Entries for `sys.modules` under which `pullback.backends.cupy` imports the stand-in."""
    special = ModuleType("cupyx.scipy.special")
    from scipy.special import erf

    special.erf = erf  # type: ignore[attr-defined]
    cupy, cupyx, scipy_part = FakeCupy(), ModuleType("cupyx"), ModuleType("cupyx.scipy")
    tricks = ModuleType("cupy.lib.stride_tricks")
    tricks.as_strided = np.lib.stride_tricks.as_strided  # type: ignore[attr-defined]
    return {
        "cupy": cupy,
        "cupy.lib": ModuleType("cupy.lib"),
        "cupy.lib.stride_tricks": tricks,
        "cupyx": cupyx,
        "cupyx.scipy": scipy_part,
        "cupyx.scipy.special": special,
    }
