"""The engine: Tensor, primitives and their rules, the graph, and function transforms."""

from . import eager, short
from .tensor import Parameter, Tensor
