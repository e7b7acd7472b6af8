"""IDX files, where they are found, downloads, and the data sets themselves where they are at hand."""

from __future__ import annotations

import gzip
import http.server
import struct
import sys
import threading

import numpy as np
import pytest

from pullback.data import (
    DataUnavailableError,
    cache_dir,
    files,
    images,
    load_digits,
    load_fashion_mnist,
    load_mnist,
    load_tiny_shakespeare,
    read_idx,
    resize,
)
from pullback.data.idx import parse_idx


def idx(array, code=0x08):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([1, 0, 9], dtype=np.uint8)


def write(folder, *, compress=True, **changes):
    """A tiny data set in MNIST's four files; `changes` replaces the content of a file."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "train_images": idx(IMAGES),
        "train_labels": idx(LABELS),
        "test_images": idx(IMAGES[:2]),
        "test_labels": idx(LABELS[:2]),
    }
    names = {
        "train_images": images.TRAIN_IMAGES, "train_labels": images.TRAIN_LABELS,
        "test_images": images.TEST_IMAGES, "test_labels": images.TEST_LABELS,
    }  # fmt: skip
    for key, content in {**contents, **changes}.items():
        if compress:
            (folder / names[key]).write_bytes(gzip.compress(content))
        else:
            (folder / names[key].removesuffix(".gz")).write_bytes(content)


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """Neither data nor cache: only what the test puts into `tmp_path`."""
    monkeypatch.setenv("PULLBACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PULLBACK_DATA", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")]
)
def test_idx_dtypes(code, dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    got = parse_idx(idx(array, code), "file")
    assert got.dtype.isnative
    assert got.flags.writeable
    np.testing.assert_array_equal(got, array)


def test_idx_raw_and_compressed(tmp_path):
    (tmp_path / "raw").write_bytes(idx(IMAGES))
    (tmp_path / "packed").write_bytes(gzip.compress(idx(IMAGES)))
    np.testing.assert_array_equal(read_idx(tmp_path / "raw"), IMAGES)
    np.testing.assert_array_equal(read_idx(tmp_path / "packed"), IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing, expected 00 00"),
        (b"PNG....", "starts with 50 4e 47 2e"),
        (b"\0\0\x07\x01" + b"\0" * 5, "unknown IDX dtype code 0x07"),
        (b"\0\0\x0d\x03" + struct.pack(">3I", 0, 1, 1), "holds float32 elements, expected uint8"),
        (b"\0\0\x08\x01" + struct.pack(">I", 1) + b"a", "has 1 axes, expected 3"),
        (b"\0\0\x08\x03" + struct.pack(">I", 1), "truncated in its header: 8 bytes, expected at least 16"),
        (idx(IMAGES)[:-1], r"truncated: 75 bytes, expected 76 for shape \(3, 4, 5\)"),
        (idx(IMAGES) + b"x", "longer than its header says: 77 bytes, expected 76"),
        (idx(IMAGES).replace(b"\0\0\0\x03", b"\xff\xff\xff\xff", 1), "truncated: 76 bytes, expected 85899345916"),
    ],
)
def test_idx_errors_name_the_file_and_what_was_expected(tmp_path, content, message):
    path = tmp_path / "images-idx3"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path, ndim=3, dtype=np.uint8)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:20] + bytes(9) + b[29:], lambda b: b[:5]])
def test_damaged_gzip(tmp_path, damage):
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(idx(IMAGES))))
    with pytest.raises(ValueError, match=r"images\.gz: the gzip data is truncated or damaged"):
        read_idx(path)


@pytest.mark.parametrize("layout", ["mnist", "MNIST/raw", "."])
@pytest.mark.parametrize("compress", [True, False])
def test_layouts(no_data, monkeypatch, layout, compress):
    write(no_data / "data" / layout, compress=compress)
    monkeypatch.setenv("PULLBACK_DATA", str(no_data / "data"))
    (x, y), (x_test, y_test) = load_mnist()
    assert x.shape == (3, 1, 4, 5)
    assert x.dtype == np.float32
    assert y.dtype == np.int64
    np.testing.assert_allclose(x[:, 0], IMAGES / 255, rtol=1e-7)
    assert y.tolist() == LABELS.tolist()
    assert len(x_test) == len(y_test) == 2


def test_the_cache_is_found(no_data):
    write(cache_dir() / "fashion-mnist")
    assert load_fashion_mnist()[0][0].shape == (3, 1, 4, 5)


def test_in_a_flat_folder_the_other_data_set_is_not_taken(no_data, monkeypatch):
    write(no_data / "flat")
    train = {"train_images": idx(IMAGES + 1), "train_labels": idx(LABELS[::-1])}
    write(cache_dir() / "fashion-mnist", **train, test_images=idx(IMAGES[1:]), test_labels=idx(LABELS[1:]))
    monkeypatch.setenv("PULLBACK_DATA", str(no_data / "flat"))
    for path in (no_data / "flat").iterdir():
        content = gzip.decompress(path.read_bytes())
        monkeypatch.setitem(images._MNIST.files, path.name, ("", files.digest(content)))
    assert load_mnist()[0][1].tolist() == [1, 0, 9]
    assert load_fashion_mnist()[0][1].tolist() == [9, 0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": idx(LABELS[:2])}, "holds 3 images, but .* holds 2 labels"),
        (
            {"train_labels": idx(np.array([1, 2, 10], dtype=np.uint8))},
            "holds the label 10, expected labels from 0 to 9",
        ),
        ({"test_images": idx(IMAGES[:2, :2])}, r"\(1, 4, 5\) and test images \(1, 2, 5\)"),
        ({"test_images": idx(IMAGES[:2])[:-3]}, "t10k-images-idx3-ubyte.gz: truncated"),
    ],
)
def test_files_that_do_not_fit(no_data, monkeypatch, changes, message):
    write(no_data / "mnist", **changes)
    monkeypatch.setenv("PULLBACK_DATA", str(no_data))
    with pytest.raises(ValueError, match=message):
        load_mnist()


def test_a_wrong_pullback_data_is_an_error(no_data, monkeypatch):
    monkeypatch.setenv("PULLBACK_DATA", str(no_data / "nowhere"))
    with pytest.raises(DataUnavailableError, match="nowhere is no folder"):
        load_mnist()


@pytest.fixture
def mirror(no_data, monkeypatch):
    """A local web server with the tiny data set; returns the function that makes it MNIST's only mirror."""
    pytest.importorskip("pooch")
    write(no_data / "site")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(no_data / "site"))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    url = f"http://127.0.0.1:{server.server_port}/"

    def use(digests):
        source = images._Source("MNIST", images._MNIST.folders, (url + "gone/", url), digests)
        monkeypatch.setattr(images, "_MNIST", source)

    yield use
    server.shutdown()
    server.server_close()
    thread.join()


def test_download_checks_and_caches(mirror, no_data):
    digests = {p.name: (files.digest(p.read_bytes()), "") for p in (no_data / "site").iterdir()}
    mirror(digests)
    (x, _), _ = load_mnist()
    assert x.shape == (3, 1, 4, 5)
    assert sorted(p.name for p in (cache_dir() / "mnist").iterdir()) == sorted(digests)


def test_a_download_with_another_checksum_is_refused(mirror, no_data):
    mirror({p.name: ("0" * 64, "") for p in (no_data / "site").iterdir()})
    with pytest.raises(DataUnavailableError, match=r"(?s)gone/.*404.*does not match.*PULLBACK_DATA"):
        load_mnist()
    assert not list((cache_dir() / "mnist").iterdir())


def test_without_pooch_the_error_says_what_to_install(no_data, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"pip install 'pullback\[demo\]'"):
        load_mnist()


@pytest.mark.parametrize(("load", "folder"), [(load_mnist, "mnist"), (load_fashion_mnist, "fashion-mnist")])
def test_the_real_images(load, folder):
    source = images._MNIST if folder == "mnist" else images._FASHION
    if not all(files.find(name, source.folders) for name in source.files):
        pytest.skip(f"{folder} is neither in PULLBACK_DATA nor in the cache")
    (x, y), (x_test, y_test) = load()
    assert x.shape == (60000, 1, 28, 28)
    assert x_test.shape == (10000, 1, 28, 28)
    assert x.min() == 0
    assert x.max() == 1
    assert set(y) == set(y_test) == set(range(10))
    for name in source.files:
        path = files.find(name, source.folders)[0]
        assert files.digest(path.read_bytes()) in source.files[name]


def test_tiny_shakespeare():
    if not files.find("input.txt", ("tinyshakespeare",)):
        pytest.skip("tinyshakespeare is neither in PULLBACK_DATA nor in the cache")
    text = load_tiny_shakespeare()
    assert (len(text), len(set(text))) == (1115394, 65)


def test_a_changed_text_is_refused(no_data, monkeypatch):
    (no_data / "tinyshakespeare").mkdir()
    (no_data / "tinyshakespeare" / "input.txt").write_text("To be")
    monkeypatch.setenv("PULLBACK_DATA", str(no_data))
    with pytest.raises(ValueError, match=r"input\.txt: 5 bytes with SHA-256"):
        load_tiny_shakespeare()


def test_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    (x, y), (x_test, y_test) = load_digits()
    assert (x.shape, x_test.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    assert (x.min(), x.max()) == (0, 1)
    assert set(y_test) == set(range(10))
    whole = datasets.load_digits()
    model_selection = pytest.importorskip("sklearn.model_selection")
    usual = model_selection.train_test_split(whole.images, whole.target, test_size=0.2, random_state=0)
    for ours, theirs in zip((x[:, 0] * 16, x_test[:, 0] * 16, y, y_test), usual, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    large, _ = load_digits(28)
    assert large[0].shape == (1437, 1, 28, 28)


def test_resize_is_pytorchs():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).random((2, 3, 8, 5), dtype=np.float32)
    for size in [(28, 28), (8, 5), (3, 9), (1, 1)]:
        for mode, theirs in [("bilinear", "bilinear"), ("nearest", "nearest-exact")]:
            expected = torch.nn.functional.interpolate(torch.tensor(x), size, mode=theirs).numpy()
            np.testing.assert_allclose(resize(x, size, mode), expected, atol=1e-6)
    with pytest.raises(ValueError, match="mode must be"):
        resize(x, (2, 2), "cubic")
    with pytest.raises(ValueError, match="size must be positive"):
        resize(x, (0, 2))
