"""Training: the Trainer, metrics, callbacks and checkpoints."""

from . import swa_utils
from .callbacks import Callback, CSVLogger, EarlyStopping, LearningRateScheduler, ModelCheckpoint
from .checkpoint import load_checkpoint, read_checkpoint, save_checkpoint
from .history import History
from .metrics import Accuracy, BinaryAccuracy, MeanMetric, Metric, RunningMean, TopKAccuracy, get_metric
from .trainer import NonFiniteLossError, Trainer
