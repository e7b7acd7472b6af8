"""Image data sets: float32 images in [0, 1] of shape (n, 1, h, w) and int64 labels of shape (n,)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .files import digest, download, find
from .idx import parse_idx, read_bytes

Array = np.ndarray[Any, Any]
#: `(x_train, y_train), (x_test, y_test)`
Split = tuple[tuple[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class _Source:
    """The four IDX files of a data set: where they may lie, where they come from, and their SHA-256.

    `files` maps a name to the digests of the compressed and of the decompressed file.
    """

    title: str
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    files: dict[str, tuple[str, str]]


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

_MNIST = _Source(
    "MNIST",
    ("mnist", "MNIST/raw", "."),
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    {
        TRAIN_IMAGES: (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        TRAIN_LABELS: (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        TEST_IMAGES: (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        TEST_LABELS: (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    },
)
_FASHION = _Source(
    "Fashion-MNIST",
    ("fashion-mnist", "FashionMNIST/raw", "."),
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    {
        TRAIN_IMAGES: (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        TRAIN_LABELS: (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        TEST_IMAGES: (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        TEST_LABELS: (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    },
)

#: What Fashion-MNIST's labels mean.
FASHION_CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def load_mnist() -> Split:
    """Handwritten digits of LeCun, Cortes and Burges: 60,000 images to train with, 10,000 to test, 28×28.

    The IDX files, raw or `.gz`, are taken from `PULLBACK_DATA` (its folder `mnist/`, torchvision's `MNIST/raw/`, or the
    folder itself), else from the cache, else downloaded with a checksum.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : images float32 in [0, 1], (n, 1, 28, 28); labels int64, (n,).

    Raises
    ------
    ValueError : a file is truncated, damaged, or does not hold what it should; names it.
    DataUnavailableError, ImportError : no files and no network, or no pooch; says what to do.
    """
    return _load(_MNIST)


def load_fashion_mnist() -> Split:
    """Zalando's articles in ten classes (Xiao, Rasul and Vollgraf 2017): MNIST's layout and sizes.

    Found, returned and failing as `load_mnist`, in the folder `fashion-mnist/`. `FASHION_CLASSES` names the labels.
    """
    return _load(_FASHION)


def _load(source: _Source) -> Split:
    files = {name: _fetch(source, name) for name in source.files}
    train = _pair(*files[TRAIN_IMAGES], *files[TRAIN_LABELS])
    test = _pair(*files[TEST_IMAGES], *files[TEST_LABELS])
    if train[0].shape[1:] != test[0].shape[1:]:
        raise ValueError(
            f"{source.title}: training images are {train[0].shape[1:]} and test images {test[0].shape[1:]} "
            f"({files[TRAIN_IMAGES][0]}, {files[TEST_IMAGES][0]})"
        )
    return train, test


def _fetch(source: _Source, name: str) -> tuple[Path, bytes]:
    """A file's path and decompressed bytes."""
    others = {s.files[name][1] for s in (_MNIST, _FASHION) if s is not source}
    for path in find(name, source.folders):
        content = read_bytes(path)
        # MNIST and Fashion-MNIST share their file names: in a flat folder only the content tells them apart.
        if digest(content) not in others:
            return path, content
    path = download(name, source.folders[0], [mirror + name for mirror in source.mirrors], source.files[name][0])
    return path, read_bytes(path)


def _pair(image_path: Path, image_bytes: bytes, label_path: Path, label_bytes: bytes) -> tuple[Array, Array]:
    images = parse_idx(image_bytes, str(image_path), ndim=3, dtype=np.uint8)
    labels = parse_idx(label_bytes, str(label_path), ndim=1, dtype=np.uint8)
    if len(images) != len(labels):
        raise ValueError(f"{image_path} holds {len(images)} images, but {label_path} holds {len(labels)} labels")
    if labels.size and labels.max() > 9:
        raise ValueError(f"{label_path}: holds the label {labels.max()}, expected labels from 0 to 9")
    x = images[:, None].astype(np.float32)
    x /= 255.0
    return x, labels.astype(np.int64)


def load_digits(size: int = 8, mode: str = "bilinear") -> Split:
    """scikit-learn's 1,797 handwritten digits, 8×8, a fifth of them held out for testing.

    The split is fixed, and the one others report results for: `train_test_split(..., test_size=0.2, random_state=0)`.

    Parameters
    ----------
    size : enlarge the images to size×size.
    mode : how: `"bilinear"` or `"nearest"`, as in `resize`.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : 1,437 and 360 images float32 in [0, 1], (n, 1, size, size); labels int64.

    Raises
    ------
    ImportError : scikit-learn is missing; says how to install it.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise ImportError("the digits come with scikit-learn: pip install 'pullback[demo]'") from error
    found = load()
    order = np.random.RandomState(0).permutation(len(found.target))  # a stream that NumPy has frozen
    x = resize((found.images[order] / 16.0).astype(np.float32)[:, None], (size, size), mode)
    y = found.target[order].astype(np.int64)
    n = -(-len(y) // 5)
    return (x[n:], y[n:]), (x[:n], y[:n])


def resize(images: Array, size: tuple[int, int], mode: str = "bilinear") -> Array:
    """Images resampled to another size, pixel centres aligned (PyTorch's `align_corners=False`).

    Output pixel i reads the input at s = (i + ½)·n_in / n_out − ½: `"nearest"` takes the pixel whose area holds it,
    `"bilinear"` interpolates between the two around it, along each axis; beyond the border the border counts.

    Parameters
    ----------
    images : (..., h, w), floating.
    size : (h, w) wanted.
    mode : `"bilinear"` or `"nearest"`.

    >>> resize(np.array([[0.0, 1.0]]), (1, 4))
    array([[0.  , 0.25, 0.75, 1.  ]])
    """
    if mode not in ("bilinear", "nearest"):
        raise ValueError(f'mode must be "bilinear" or "nearest", not {mode!r}')
    if min(size) < 1:
        raise ValueError(f"size must be positive, not {size}")
    rows, columns = (_weights(n, m, mode).astype(images.dtype) for n, m in zip(images.shape[-2:], size, strict=True))
    return np.ascontiguousarray(rows @ images @ columns.T)


def _weights(n: int, m: int, mode: str) -> Array:
    """The (m, n) matrix that resamples n pixels to m."""
    at = (np.arange(m) + 0.5) * n / m - 0.5
    if mode == "nearest":
        return np.eye(n)[np.clip(np.floor(at + 0.5).astype(np.int64), 0, n - 1)]
    at = np.clip(at, 0, n - 1)
    low = np.minimum(np.floor(at).astype(np.int64), max(n - 2, 0))
    weights = np.zeros((m, n))
    weights[np.arange(m), low] = 1 - (at - low)
    weights[np.arange(m), np.minimum(low + 1, n - 1)] += at - low
    return weights
