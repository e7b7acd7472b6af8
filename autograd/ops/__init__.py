"""Op families, one file each. What each file lists in `__all__` is public as `pullback.<name>`."""

from types import ModuleType as _Module

from .activation import *
from .activation_more import *
from .arrange import *
from .attention import *
from .binary import *
from .comparison import *
from .contraction import *
from .conv import *
from .conv_nd import *
from .creation import *
from .ctc import *
from .decompositions import *
from .elementwise import *
from .extrema import *
from .fused import *
from .fused_linear import *
from .grouping import *
from .images import *
from .index import *
from .linalg import *
from .linear import *
from .lookup import *
from .loss import *
from .loss_margin import *
from .loss_more import *
from .lstm import *
from .norm import *
from .norm_group import *
from .norm_relu import *
from .norm_rms import *
from .pool import *
from .pool_nd import *
from .random import *
from .reduce import *
from .resample import *
from .rnn import *
from .running import *
from .sampling import *
from .scan import *
from .selection import *
from .shape import *
from .softmax import *
from .sorting import *
from .special import *
from .transfer import transfer
from .unary import *
from .update import *
from .update_layerwise import *
from .windows import *

from .extrema import norm  # isort: skip  (the submodule of that name hides the function otherwise)

# The public names, without the submodules that hold them.
__all__ = [name for name, value in globals().items() if not name.startswith("_") and not isinstance(value, _Module)]
