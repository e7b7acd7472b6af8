"""Op families, one file each. What each file lists in `__all__` is public as `pullback.<name>`."""

from .activation import *
from .conv import *
from .creation import *
from .elementwise import *
from .index import *
from .linalg import *
from .loss import *
from .norm import *
from .pool import *
from .random import *
from .reduce import *
from .shape import *
from .softmax import *
from .transfer import transfer
from .unary import *
from .update import *
