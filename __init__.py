"""pullback: reverse-mode automatic differentiation with pluggable array backends."""

from .autograd import eager as _eager
from .autograd import random_api as _random_api
from .autograd.anomaly import detect_anomaly
from .autograd.capture import CaptureError, compile
from .autograd.checkpointing import checkpoint
from .autograd.custom import custom_vjp
from .autograd.draw import draw_graph, graph_dot
from .autograd.dtypes import *
from .autograd.errors import AnomalyError, GraphError
from .autograd.gradcheck import GradcheckError, gradcheck
from .autograd.jacobians import hessian, jacfwd, jacobian, jacrev
from .autograd.ops import *
from .autograd.primitive import Primitive, primitive
from .autograd.state import enable_grad, is_grad_enabled, no_grad
from .autograd.tensor import Parameter, Tensor
from .autograd.transforms import grad, gradients, hvp, jvp, stop_gradient, value_and_grad, vjp
from .autograd.vmap import vmap
from .backends import (
    Backend,
    BackendError,
    FallbackWarning,
    Kernel,
    Namespace,
    backend,
    backend_names,
    current_backend,
    get_backend,
    get_num_threads,
    register_backend,
    set_backend,
    set_num_threads,
)

random = _random_api  # `pullback.random`: the functions users call, not the op family of that name

__version__ = "0.1.0"
