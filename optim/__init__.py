"""Optimisers, learning-rate schedules and gradient clipping, with PyTorch's names, defaults and formulas."""

from ..autograd.clipping import clip_grad_norm_, clip_grad_value_
from . import lr_scheduler
from .adam import Adam, Adamax, AdamW, NAdam, RAdam
from .adaptive import Adadelta, Adagrad, RMSprop
from .layerwise import LAMB, Adafactor, Muon
from .lbfgs import LBFGS
from .lr_scheduler import (
    SWALR,
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from .optimizer import Optimizer
from .sgd import ASGD, SGD, Lion, Rprop
