"""Methods of `Tensor`, each beside the OpInfo of the function that it is in PyTorch."""

from __future__ import annotations

from typing import Any

import pullback as pb

from .case import Absent, Entry, NotSupportedError, Section
from .opinfo import entry
from .ops import add_like, first, gather_like, named, scatter_like, symmetric, topk_like

ABOUT = """
`Tensor.<name>`, and the tensor's operators, called with the arguments of the samples.
"""

#: Those that an OpInfo of the same name has with the same arguments, or the ones named.
SAME = """
T atan2 bitwise_and bitwise_not bitwise_or bitwise_xor copysign cross cumprod diff digamma erfc erfinv fmod frac hypot
kron lerp lgamma logaddexp logcumsumexp logit nan_to_num pinverse remainder signbit unique unique_consecutive xlogy
scatter_reduce=scatter_reduce:sum,scatter_reduce:prod,scatter_reduce:mean,scatter_reduce:amin,scatter_reduce:amax
det=linalg.det slogdet=linalg.slogdet inverse=linalg.inv matrix_power=linalg.matrix_power qr=linalg.qr
abs acos acosh all amax amin any argmax argmin argsort asin asinh atan atanh bmm bool broadcast_to ceil chunk clamp
clone contiguous cos cosh count_nonzero cumsum diagonal dot double eq erf exp exp2 expand expand_as expm1 flatten flip
float floor ge gt half index_add index_select int isfinite isinf isnan le log log10 log1p log2 logical_and logical_not
logical_or logical_xor logsumexp long lt mT masked_fill masked_select matmul maximum mean minimum mm movedim mul ne neg
nonzero norm outer permute pow prod ravel reciprocal repeat repeat_interleave reshape roll round rsqrt scatter_add
sigmoid sign sin sinh sort sqrt square squeeze sum take tan tanh tile trace transpose tril triu trunc unbind unsqueeze
view

clip=clamp div=div:no_rounding_mode moveaxis=movedim relu=nn.functional.relu swapaxes=transpose
softmax=softmax,softmax:with_dtype log_softmax=log_softmax,log_softmax:with_dtype
std=std,std:unbiased var=var,var:unbiased

__getitem__ __radd__ __rand__ __rmatmul__ __rmod__ __rmul__ __ror__ __rsub__ __rxor__
__rtruediv__=__rdiv__ __add__=add __sub__=sub __mul__=mul __truediv__=div:no_rounding_mode
__floordiv__=floor_divide __mod__=remainder __pow__=pow __matmul__=matmul __and__=bitwise_and __or__=bitwise_or
__xor__=bitwise_xor __lshift__=bitwise_left_shift __rshift__=bitwise_right_shift __neg__=neg __abs__=abs
__invert__=bitwise_not __eq__=eq __ne__=ne __lt__=lt __le__=le __gt__=gt __ge__=ge
"""
ABSENT = {
    "what a tensor is, and conversions to what is none": """
        at backend backward detach device dim dtype grad is_leaf item ndim numel numpy register_hook requires_grad
        requires_grad_ retain_grad shape size tolist
    """,
    "conversions; `half`, `float`, `double`, `int`, `long` and `bool` are compared": "astype to type",
    "PyTorch has no samples": "__rfloordiv__ __rlshift__ __rrshift__",
}


def method(name: str) -> Any:
    """The method as a function; properties too."""
    made = getattr(pb.Tensor, name)
    return made if callable(made) else lambda x: getattr(x, name)


#: Of the language's own names, those of functions that are differentiated or compare.
OPERATORS = {
    f"__{side}{name}__"
    for name in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
    for side in ("", "r")
} | {f"__{name}__" for name in "neg abs invert eq ne lt le gt ge getitem".split()}


def public() -> set[str]:
    """What a Tensor offers, with its operators."""
    return {name for name in dir(pb.Tensor) if not name.startswith("_") or name in OPERATORS}


def rpow(x: Any, y: Any) -> Any:
    if x.dtype.kind == "i" and (x < 0).any():
        raise NotSupportedError("whole numbers to negative powers")
    return x.__rpow__(y)


def split(x: Any, size: Any, dim: int = 0) -> Any:
    return x.split(size, dim=dim)  # `axis` would mean NumPy's split


def where(x: Any, condition: Any, y: Any) -> Any:
    return x.where(condition, y)


def entries() -> dict[str, Entry | Absent]:
    """All, in alphabetical order, the operators last."""
    made: dict[str, Entry | Absent] = {name: entry(method(name), *infos) for name, infos in named(SAME)}
    made |= {
        "add": entry(add_like(method("add")), "add"),
        "gather": entry(gather_like(method("gather")), "gather"),
        "cholesky": entry(method("cholesky"), "linalg.cholesky", "cholesky", before=symmetric),
        "median": entry(method("median"), "median", keep=first),
        "max": entry(method("max"), "max:reduction_no_dim", "max:reduction_with_dim", keep=first),
        "min": entry(method("min"), "min:reduction_no_dim", "min:reduction_with_dim", keep=first),
        "scatter": entry(scatter_like(method("scatter")), "scatter"),
        "split": entry(split, "split", "split:list_args"),
        "sub": entry(add_like(method("sub")), "sub"),
        "topk": entry(topk_like(method("topk")), "topk"),
        "where": entry(where, "where"),
        "__add__": entry(add_like(method("__add__")), "add"),
        "__rpow__": entry(rpow, "__rpow__"),
        "__sub__": entry(add_like(method("__sub__")), "sub"),
    }
    for reason, names in ABSENT.items():
        made |= {name: Absent(reason) for name in names.split()}
    return dict(sorted(made.items(), key=lambda pair: (pair[0][0] == "_", pair[0].lower())))


SECTION = Section("Tensor", ABOUT, public, entries())
