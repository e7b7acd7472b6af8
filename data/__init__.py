"""Data sets and batching: a thin layer over NumPy arrays."""

from .files import DataUnavailableError, cache_dir
from .idx import read_idx
from .images import FASHION_CLASSES, load_digits, load_fashion_mnist, load_mnist, resize
from .loader import ArrayDataset, DataLoader, batches, permutation
from .text import load_tiny_shakespeare
