"""Changing shape: no arithmetic, only where elements stand."""

from __future__ import annotations

from typing import Any

from ..primitive import primitive

__all__ = ["broadcast_to", "permute", "reshape"]

Array = Any
Shape = tuple[int, ...]


@primitive
def reshape(x: Array, /, *, shape: Shape, xp: Any) -> Array:
    """The same elements in row-major order under another shape; one entry may be −1."""
    return xp.reshape(x, shape)


reshape.vjp(x=lambda g, x_shape: reshape(g, shape=x_shape))


@primitive
def broadcast_to(x: Array, /, *, shape: Shape, xp: Any) -> Array:
    """x repeated along new leading axes and along axes of length 1, to the given shape; a view where possible."""
    return xp.broadcast_to(x, shape)


# The engine sums the cotangent over whatever was broadcast.
broadcast_to.vjp(x=lambda g: g)


@primitive
def permute(x: Array, /, *, axes: tuple[int, ...], xp: Any) -> Array:
    """Axes in another order: axis i of the result is axis axes[i] of x."""
    return xp.permute_dims(x, axes)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    n = len(axes)
    order = [0] * n
    for i, a in enumerate(axes):
        order[a % n] = i
    return tuple(order)


permute.vjp(x=lambda g, axes: permute(g, axes=_inverse(axes)))
