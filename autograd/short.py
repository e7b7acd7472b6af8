"""The short way through eager: elementwise ops of one or two inputs, on plain Tensors of one backend and dtype.

This is the hot path of the engine. What depends on the op alone is decided when its function is made; whatever needs
conversion, promotion, another interpreter or a message goes on to the interpreter of the moment, with nothing done.
What the two functions share is written out in both: a call of Python's costs a tenth of all that they do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from . import ops
from .eager import array_result, eager, explain
from .elementwise_methods import ElementwiseMethods
from .graph import Node, clock
from .methods import TensorMethods
from .primitive import Primitive, primitives
from .state import state
from .tensor import Tensor

_new = Tensor.__new__
_NONE: dict[str, Any] = {}


def short_way(prim: Primitive) -> Callable[..., Any]:
    """A function that applies `prim` to its inputs, without parameters, as the current interpreter would."""
    if prim.simple == 1:
        return _unary(prim)
    if prim.simple == 2:
        return _binary(prim)
    return lambda *args: state.now.apply(prim, args, _NONE)


def _unary(prim: Primitive) -> Callable[[Any], Any]:
    key, floating, plans = prim.key, prim.floating, prim._plans

    def apply(x: Any) -> Any:
        now = state.now
        if now.apply is not eager:
            return now.apply(prim, (x,), _NONE)
        if type(x) is not Tensor:
            return eager(prim, (x,), _NONE)
        xv = x._value
        backend = x.backend
        if floating and xv.dtype not in backend.float_dtypes:
            return eager(prim, (x,), _NONE)
        try:
            kernel = backend._table[key]
        except KeyError:
            kernel = backend.kernel(key, prim.forward, prim.takes_xp)
        try:
            value = kernel(xv)
        except Exception as error:
            raise explain(prim, (x,), _NONE, error) from error
        if type(value) is not backend.array_type:
            value = array_result(prim, value, (xv,), backend)
        out = _new(Tensor)
        out._value = value
        out.backend = backend
        parent = x._node
        if parent is not None and now.grad:
            try:
                plan = plans[1]
            except KeyError:
                plan = prim.plan(1)
            if plan is not None:
                out._node = node = Node()
                node.plan = plan
                node.params = _NONE
                node.parents = (parent,)
                node.saved = (value,) if plan.saves_out else plan.save((xv,), value, backend.dtype_name)
                node.shape = value.shape
                node.backend = backend
                node.seq = clock()
                node.hooks = node.where = None
                return out
        out._node = None
        return out

    return apply


def _binary(prim: Primitive) -> Callable[[Any, Any], Any]:
    key, floating, plans = prim.key, prim.floating, prim._plans

    def apply(x: Any, y: Any) -> Any:
        now = state.now
        if now.apply is not eager:
            return now.apply(prim, (x, y), _NONE)
        if type(x) is not Tensor:
            return eager(prim, (x, y), _NONE)
        xv = x._value
        backend = x.backend
        kind = type(y)
        if kind is Tensor:
            yv = y._value
            other = y._node
            if xv.dtype is not yv.dtype or y.backend is not backend:
                return eager(prim, (x, y), _NONE)
            if floating and xv.dtype not in backend.float_dtypes:
                return eager(prim, (x, y), _NONE)
        elif (kind is float or kind is int) and xv.dtype in backend.float_dtypes:
            yv = y
            other = None
        else:
            return eager(prim, (x, y), _NONE)
        try:
            kernel = backend._table[key]
        except KeyError:
            kernel = backend.kernel(key, prim.forward, prim.takes_xp)
        try:
            value = kernel(xv, yv)
        except Exception as error:
            raise explain(prim, (x, y), _NONE, error) from error
        if type(value) is not backend.array_type:
            value = array_result(prim, value, (xv, yv), backend)
        out = _new(Tensor)
        out._value = value
        out.backend = backend
        if now.grad:
            parent = x._node
            if parent is None:
                mask = 0 if other is None else 2
            else:
                mask = 1 if other is None else 3
            if mask:
                try:
                    plan = plans[mask]
                except KeyError:
                    plan = prim.plan(mask)
                if plan is not None:
                    out._node = node = Node()
                    node.plan = plan
                    node.params = _NONE
                    node.parents = (parent, other)
                    if plan.kinds:
                        node.saved = (xv, yv) if plan.saves_both else plan.save((xv, yv), value, backend.dtype_name)
                    else:
                        node.saved = ()
                    node.shape = value.shape
                    node.backend = backend
                    node.seq = clock()
                    node.hooks = node.where = None
                    return out
        out._node = None
        return out

    return apply


def _install(methods: type) -> None:
    """Put the ops' functions in place of the methods that are marked as ops."""
    for name, method in list(vars(methods).items()):
        if hasattr(method, "is_op"):
            setattr(methods, name, update_wrapper(short_way(getattr(ops, method.is_op)), method))


Primitive.make_short = staticmethod(short_way)
for _prim in list(primitives.values()):
    _prim.short = short_way(_prim)
_install(ElementwiseMethods)
_install(TensorMethods)
