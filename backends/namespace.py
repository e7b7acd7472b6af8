"""The namespace handed to generic forwards: the array API standard plus the few functions it lacks.

The extra functions are written here against the standard alone, so they work on any conforming library; a backend
replaces those its library does better (`Namespace(np, erf=scipy_erf)`). Everything is copied into one flat object, so
looking a function up costs one attribute access.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import generic

# The 2024.12 standard's functions, constants and dtypes that op families use.
STANDARD = """
abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh
bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor broadcast_arrays broadcast_to
can_cast ceil clip concat copysign cos cosh count_nonzero cumulative_prod cumulative_sum diff divide
empty empty_like equal exp expand_dims expm1 eye finfo flip floor floor_divide from_dlpack full full_like
greater greater_equal hypot iinfo isdtype isfinite isinf isnan less less_equal linspace
log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul matrix_transpose max maximum mean
meshgrid min minimum moveaxis multiply negative nextafter nonzero not_equal ones ones_like permute_dims positive pow
prod real reciprocal remainder repeat reshape result_type roll round searchsorted sign signbit sin sinh sort sqrt square
squeeze stack std subtract sum take take_along_axis tan tanh tensordot tile tril triu trunc unique_values unstack var
vecdot where zeros zeros_like
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64
e inf nan newaxis pi linalg
""".split()

EXTRAS: dict[str, Callable[..., Any]] = {name: getattr(generic, name) for name in generic.__all__}


class Namespace:
    """Attributes of an array library, flattened, with extras bound to it.

    Parameters
    ----------
    library : a module that follows the Python array API standard, 2024.12.
    extras : replacements for the functions of `backends/generic.py`; called without the `xp` argument.
    """

    def __init__(self, library: Any, **extras: Callable[..., Any]) -> None:
        for name in STANDARD:
            found = getattr(library, name, None)
            if found is not None:
                setattr(self, name, found)
        for name, fn in EXTRAS.items():
            setattr(self, name, extras.pop(name, None) or self._bind(fn))
        if extras:
            raise TypeError(f"not extra functions of the namespace: {sorted(extras)}; known: {sorted(EXTRAS)}")

    def _bind(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        def bound(*args: Any, **kwargs: Any) -> Any:
            return fn(self, *args, **kwargs)

        bound.__name__, bound.__doc__ = fn.__name__, fn.__doc__
        return bound

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the backend's namespace has no {name!r}: neither array API 2024.12 nor an extra")
