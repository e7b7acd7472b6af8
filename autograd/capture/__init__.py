"""Capture: a training step, or any function of tensors, recorded once and replayed without Python's part of it.

`recorder.py` watches a call and writes down the kernels it runs; `program.py` turns that into a program over fixed
memory; `compiled.py` holds the programs of one function, one for each signature, and says when they may be used.
"""

from .compiled import Compiled, compile
from .recorder import CaptureError

__all__ = ["CaptureError", "Compiled", "compile"]
