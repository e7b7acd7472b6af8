"""NVIDIA GPUs through CuPy: its array functions, cuBLAS products, and CUDA C kernels, compiled at first use."""

from .backend import CupyBackend

__all__ = ["CupyBackend"]
