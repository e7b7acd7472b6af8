"""What registering a hook on a tensor or a module returns."""

from __future__ import annotations

from typing import Any


class RemovableHandle:
    """`remove()` takes the hook away, and so does the end of a `with` block."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks = hooks
        self._hook = hook

    def remove(self) -> None:
        """Take the hook away; nothing happens the second time."""
        for i, hook in enumerate(self._hooks):
            if hook is self._hook:
                del self._hooks[i]
                break
        self._hooks = []

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
