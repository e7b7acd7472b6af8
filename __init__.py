"""pullback: reverse-mode automatic differentiation with pluggable array backends."""

from .autograd.tensor import Parameter, Tensor
from .autograd import *
from .backends import backend, set_backend, get_backend
