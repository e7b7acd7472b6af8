"""Moving between backends: the one op whose output lives elsewhere than its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..primitive import Primitive, primitive

if TYPE_CHECKING:
    from ...backends import Backend
    from ..tensor import Tensor


@primitive(tensor_rules=True)
def to_backend(x: Any, /, *, source: Any, target: Any) -> Any:
    """The array's values on the backend `target`. The cotangent is moved back."""
    return target.asarray(source.to_numpy(x))


to_backend.vjp(x=lambda g, source, target: transfer(g, source))


def transfer(x: Tensor, target: Backend) -> Tensor:
    """`x` on another backend; x itself if it is there already. Inside `vmap`, x goes into the target's scope."""
    from ..graph import recorded
    from ..state import state
    from ..tensor import Tensor

    if x.backend is target:
        return x
    if x.backend.levels or target.levels:
        from ..batching.boundary import base_of, lift

        if base_of(x.backend) is base_of(target):
            return lift(x, target.levels)
    params = {"source": x.backend, "target": target}
    value = target.asarray(x.backend.to_numpy(x._value))
    out = Tensor._wrap(value, target)
    if x._node is not None and state.now.grad:
        plan = Primitive.plan(to_backend, 1)
        assert plan is not None
        out._node = recorded(plan, params, (x._node,), (), tuple(value.shape), target)
    return out
