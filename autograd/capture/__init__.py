"""Capture: a training step, or any function of tensors, recorded once and replayed without Python's part of it.

`recorder.py` watches a call and writes down the kernels it runs; `writer.py` makes a Python function of that, over
fixed memory; `surroundings.py` finds what the function looks up elsewhere; `program.py` is the recorded call with what
it takes for granted; `compiled.py` holds the programs of one function, one for each signature.
"""

from .compiled import Compiled, compile
from .recorder import CaptureError

__all__ = ["CaptureError", "Compiled", "compile"]
