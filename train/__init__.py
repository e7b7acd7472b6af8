"""Training: the Trainer, metrics, callbacks and checkpoints."""

from . import swa_utils
from .callbacks import Callback, CSVLogger, EarlyStopping, LearningRateScheduler, ModelCheckpoint
from .checkpoint import load_checkpoint, read_checkpoint, save_checkpoint
from .classification import AUROC, ClassAverage, ConfusionMatrix, F1Score, Precision, Recall
from .history import History
from .metrics import Accuracy, BinaryAccuracy, MeanMetric, Metric, RunningMean, TopKAccuracy
from .named_metrics import get_metric
from .regression import MeanAbsoluteError, MeanSquaredError, Perplexity, R2Score
from .trainer import NonFiniteLossError, Trainer
