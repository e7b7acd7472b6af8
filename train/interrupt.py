"""Ctrl-C between two batches, not in the middle of one."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupt:
    """Within the block, a first Ctrl-C only sets `requested`; a second one raises KeyboardInterrupt as usual.

    So a training step is never torn: the loop looks at `requested` between batches. Elsewhere than in the main thread,
    or where the program handles SIGINT itself, the block does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._active = False

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._active = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._active:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *exc: object) -> None:
        if self._active:
            signal.signal(signal.SIGINT, signal.default_int_handler)
