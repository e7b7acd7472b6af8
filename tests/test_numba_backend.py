"""The Numba kernels against NumPy's way of computing the same op, at awkward shapes, layouts and thread counts."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("numba")

from pullback.autograd.ops import activation, classify, conv, pool, update
from pullback.autograd.ops.norm import layer_norm, layer_norm_grad
from pullback.autograd.ops.softmax import log_softmax_, log_softmax_grad, softmax_, softmax_grad
from pullback.backends import BackendError, get_backend, threads

numba_backend, numpy_backend = get_backend("numba"), get_backend("numpy")
DTYPES = ["float32", "float64"]
LAYOUTS = ["rows", "channels last", "reversed", "read-only"]


def laid_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The same values, lying otherwise in memory."""
    if layout == "channels last" and x.ndim == 4:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if layout == "reversed":
        return x[::-1].copy()[::-1]
    if layout == "read-only":
        x = x.copy()
        x.flags.writeable = False
    return x


def compare(prim, arrays, params=None, rtol=None, exact=False, declines=False):
    """Both backends' results agree, nothing fell back, and the inputs are as they were."""
    params = {**prim.defaults, **(params or {})}
    before, copies = numba_backend.fallbacks[prim.name], [np.array(a) for a in arrays]
    got = numba_backend.kernel(prim.name, prim.forward)(*arrays, **params)
    want = numpy_backend.kernel(prim.name, prim.forward)(*copies, **params)
    assert (numba_backend.fallbacks[prim.name] - before == 1) == declines
    for a, b in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(a, b)
    if not isinstance(got, tuple):
        got, want = (got,), (want,)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if exact:
            np.testing.assert_array_equal(a, b)
        elif b.size:
            tolerance = rtol or (2e-5 if a.dtype == np.float32 else 1e-12)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, np.abs(b).max()))
    return got


@pytest.fixture
def rng():
    return np.random.default_rng(7)


# n, c, o, h, w, kernel, stride, padding, dilation, groups
CONVOLUTIONS = [
    (1, 1, 1, 1, 1, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 3, 5, 7, 9, (3, 3), (1, 1), (0, 0), (1, 1), 1),
    (3, 4, 6, 11, 8, (3, 2), (2, 1), (1, 2), (1, 1), 1),
    (2, 6, 4, 9, 10, (3, 3), (2, 2), (2, 1), (2, 3), 2),
    (5, 8, 8, 7, 7, (3, 3), (1, 1), (1, 1), (1, 1), 8),
    (1, 64, 40, 5, 5, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (9, 32, 17, 6, 6, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (40, 1, 33, 13, 12, (3, 3), (1, 1), (0, 0), (1, 1), 1),
    (2, 70, 3, 4, 4, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 37, 37, 9, 8, (3, 3), (1, 1), (1, 1), (1, 1), 37),
    (9, 16, 16, 2, 3, (2, 3), (1, 1), (1, 2), (1, 1), 16),
    (1, 33, 33, 40, 50, (5, 3), (2, 3), (2, 0), (1, 2), 33),
    (3, 64, 64, 64, 21, (3, 3), (1, 1), (4, 0), (2, 1), 64),
    (2, 33, 22, 9, 21, (3, 2), (1, 1), (2, 1), (1, 2), 11),
    (2, 22, 22, 6, 5, (3, 3), (1, 2), (1, 1), (1, 1), 11),
    (1, 40, 40, 5, 6, (2, 3), (1, 1), (1, 1), (1, 1), 5),
    (9, 24, 72, 6, 7, (3, 3), (2, 3), (1, 0), (1, 1), 24),
    (1, 68, 34, 70, 5, (2, 2), (3, 1), (0, 1), (1, 1), 34),
    (2, 20, 20, 9, 8, (1, 1), (2, 2), (0, 0), (1, 1), 5),
    (5, 33, 17, 9, 12, (3, 3), (1, 1), (2, 2), (2, 2), 1),
    (4, 32, 17, 9, 11, (5, 5), (1, 1), (2, 1), (1, 1), 1),
    (5, 16, 40, 12, 10, (3, 5), (1, 1), (2, 4), (2, 1), 1),
    (9, 34, 9, 4, 3, (4, 4), (2, 2), (1, 1), (1, 1), 1),
    (1, 6, 15, 70, 61, (5, 1), (3, 4), (4, 0), (2, 1), 3),
    (4, 51, 60, 11, 8, (3, 3), (1, 1), (0, 3), (1, 3), 3),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda c: "-".join(str(v) for v in c[:5]) + f"g{c[-1]}")
def test_convolutions(case, dtype, rng):
    n, c, o, h, w, kernel, stride, padding, dilation, groups = case
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x = rng.standard_normal((n, c, h, w)).astype(dtype)
    weight = rng.standard_normal((o, c // groups, *kernel)).astype(dtype)
    bias = rng.standard_normal(o).astype(dtype)
    gy = rng.standard_normal(conv.conv2d.forward(x, weight, **params, xp=numpy_backend.xp).shape).astype(dtype)
    for layout in LAYOUTS:
        image, cotangent, kernels = laid_out(x, layout), laid_out(gy, layout), laid_out(weight, layout)
        compare(conv.conv2d, [image, kernels], params)
        compare(conv.conv2d_bias, [image, kernels, bias], params)
        compare(conv.conv2d_input_grad, [cotangent, kernels], {**params, "input_size": (h, w)})
        compare(conv.conv2d_weight_grad, [cotangent, image], {**params, "kernel_size": kernel})


def test_convolution_result_lies_channels_last(rng):
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    weight = rng.standard_normal((5, 3, 3, 3)).astype(np.float32)
    (y,) = compare(conv.conv2d, [x, weight])
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize(
    ("shapes", "error"),
    [
        (((1, 3, 4, 4), (2, 4, 3, 3)), "expects 4"),
        (((1, 3, 2, 2), (2, 3, 3, 3)), "the kernel spans 3"),
    ],
)
def test_wrong_arguments_get_the_ops_own_error(shapes, error):
    x, weight = (np.ones(shape, np.float32) for shape in shapes)
    with pytest.raises(ValueError, match=error):
        numba_backend.kernel("conv2d", conv.conv2d.forward)(x, weight, **conv.conv2d.defaults)


def test_guards_decline_other_dtypes_and_empty_batches():
    weight = np.ones((2, 3, 3, 3), np.float32)
    compare(conv.conv2d, [np.ones((0, 3, 4, 4), np.float32), weight], declines=True)
    compare(softmax_, [np.ones((2, 3), np.float16)], {"axis": 1}, declines=True, rtol=1e-3)
    compare(softmax_, [np.ones((2, 3), np.float32)], {"axis": 0}, declines=True)


# shape, kernel, stride, padding, dilation, ceil_mode
POOLINGS = [
    ((1, 1, 2, 2), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((3, 5, 7, 9), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((3, 5, 7, 9), (2, 2), (2, 2), (0, 0), (1, 1), True),
    ((2, 9, 11, 8), (3, 2), (2, 1), (1, 1), (1, 1), True),
    ((2, 3, 9, 9), (3, 3), (1, 1), (1, 1), (2, 1), False),
    ((4, 33, 6, 6), (2, 2), (1, 1), (1, 0), (1, 1), False),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", POOLINGS, ids=lambda c: f"{c[0]}{c[1]}")
def test_poolings(case, dtype, rng):
    shape, kernel, stride, padding, dilation, ceil_mode = case
    x = (np.round(rng.standard_normal(shape) * 2) / 2).astype(dtype)  # with ties
    params = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    for layout in LAYOUTS:
        image = laid_out(x, layout)
        (y,) = compare(pool.max_pool2d, [image], {**params, "dilation": dilation}, exact=True)
        gy = laid_out(rng.standard_normal(y.shape).astype(dtype), layout)
        compare(pool.max_pool2d_unpool, [gy, image], {**params, "dilation": dilation})
        for include in (True, False):
            averages = {**params, "count_include_pad": include}
            (y,) = compare(pool.avg_pool2d, [image], averages)
            gy = laid_out(rng.standard_normal(y.shape).astype(dtype), layout)
            compare(pool.avg_pool2d_grad, [gy], {**averages, "input_size": shape[2:]})


def test_max_pool_of_nan_and_infinity():
    x = np.full((1, 1, 4, 4), -np.inf, np.float32)
    x[0, 0, 1, 1] = np.nan
    params = {"kernel_size": (2, 2), "stride": (2, 2)}
    compare(pool.max_pool2d, [x], params, exact=True)
    compare(pool.max_pool2d, [laid_out(np.repeat(x, 3, 1), "channels last")], params, exact=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 10), (7, 17), (4, 1000), (2, 3, 33), (5,)])
def test_rows(shape, dtype, rng):
    x, gy = (
        rng.standard_normal((2, *shape)) * [[3.0]] if len(shape) == 1 else rng.standard_normal((2, *shape)) * 3
    ).astype(dtype)
    axis = {"axis": x.ndim - 1}
    for layout in ("rows", "reversed", "read-only"):
        (y,) = compare(softmax_, [laid_out(x, layout)], axis)
        compare(softmax_grad, [gy, laid_out(y, layout)], axis)
        (y,) = compare(log_softmax_, [laid_out(x, layout)], axis)
        compare(log_softmax_grad, [gy, laid_out(y, layout)], axis)
    weight, bias = rng.standard_normal((2, shape[-1])).astype(dtype)
    params = {"axes": 1, "eps": 1e-2}
    compare(layer_norm, [x, weight, bias], params)
    compare(layer_norm_grad, [gy, x, weight], params, rtol=1e-4 if dtype == "float32" else 1e-11)


def test_softmax_of_infinity_and_nan():
    x = np.array([[0.0, -np.inf, 1.0], [-np.inf] * 3, [np.nan, 0.0, 1.0], [200.0, -200.0, 0.0]], np.float32)
    with np.errstate(invalid="ignore"):
        compare(softmax_, [x], {"axis": 1})
        compare(log_softmax_, [x], {"axis": 1})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(1, 1), (5, 10), (33, 17), (3, 1001)])
def test_cross_entropy(shape, smoothing, dtype, rng):
    x = (rng.standard_normal(shape) * 4).astype(dtype)
    target = rng.integers(0, shape[1], shape[0])
    target[: shape[0] // 3] = -100
    params = {"label_smoothing": smoothing, "ignore_index": -100}
    for kind in (np.int64, np.int32):
        compare(classify.cross_entropy_index, [x, target.astype(kind)], params)
        gy = rng.standard_normal(shape[0]).astype(dtype)
        compare(classify.cross_entropy_index_grad, [gy, x, target.astype(kind)], params)


def test_cross_entropy_label_out_of_range():
    with pytest.raises(IndexError, match=r"must be in \[0, 4\).*found 4"):
        numba_backend.kernel("cross_entropy_index", classify.cross_entropy_index.forward)(
            np.zeros((2, 4), np.float32), np.array([0, 4]), label_smoothing=0.0, ignore_index=-100
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 7, 2049, 40_001])
def test_relu(size, dtype, rng):
    x, u = rng.standard_normal((2, size)).astype(dtype)
    x[0], x[-1] = 0, np.nan
    compare(activation.relu, [x], exact=True)
    compare(activation.relu_grad, [u, x], exact=True)
    images = laid_out(rng.standard_normal((3, 5, 17, 19)).astype(dtype), "channels last")
    (y,) = compare(activation.relu, [images], exact=True)
    assert y.strides == images.strides
    compare(activation.relu_grad, [np.ascontiguousarray(images), images], exact=True)
    compare(activation.relu_grad, [images[::-1], images[::-1]], exact=True)


STEPS = [
    ("sgd_step", 0, {}),
    ("sgd_step", 1, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("sgd_step", 1, {"momentum": 0.9, "dampening": 0.3, "maximize": True}),
    ("adam_step", 2, {"weight_decay": 0.1}),
    ("adam_step", 3, {"weight_decay": 0.1, "decoupled": True, "amsgrad": True, "maximize": True}),
    ("rmsprop_step", 1, {"weight_decay": 0.1}),
    ("rmsprop_step", 3, {"momentum": 0.9, "centered": True}),
    ("rmsprop_step", 2, {"centered": True, "maximize": True}),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "states", "options"), STEPS)
def test_optimiser_steps(name, states, options, dtype, rng):
    shapes = [(3,), (17, 19), (130, 141), (), (0, 3)]
    n = len(shapes)
    lists = [[np.array(rng.standard_normal(s), dtype) for s in shapes] for _ in range(2)]
    lists += [[np.array(rng.random(s) / 2 + (k == 0), dtype) for s in shapes] for k in range(states)]
    lists[1][1] = np.array(lists[1][1].T.copy().T)  # a gradient that lies otherwise
    arrays = [np.array(1e-2), np.array(3.0), *(a for kind in lists for a in kind)]
    prim = getattr(update, name)
    kept = compare(prim, arrays, {"n": n, **options})
    donated = numba_backend.kernel(name, prim.forward)(*arrays, **{**prim.defaults, "n": n, "donate": True, **options})
    for a, b in zip(kept, donated, strict=True):
        np.testing.assert_array_equal(a, b)
    assert donated[1] is arrays[3]


def test_bits_do_not_depend_on_threads(rng):
    x = rng.standard_normal((37, 32, 13, 13)).astype(np.float32)
    weight = rng.standard_normal((64, 32, 3, 3)).astype(np.float32)
    gy = rng.standard_normal((37, 64, 11, 11)).astype(np.float32)
    rows, affine = rng.standard_normal((300, 77)).astype(np.float32), np.ones(77, np.float32)
    plain = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}

    def everything():
        def run(prim, *arrays, **params):
            found = numba_backend.kernel(prim.name, prim.forward)(*arrays, **params)
            return found if isinstance(found, tuple) else (found,)

        return (
            *run(conv.conv2d, x, weight, **plain),
            *run(conv.conv2d_input_grad, gy, weight, input_size=(13, 13), **plain),
            *run(conv.conv2d_weight_grad, gy, x, kernel_size=(3, 3), **plain),
            *run(softmax_, rows, axis=1),
            *run(layer_norm_grad, rows, rows, affine, axes=1, eps=1e-5),
        )

    before = threads.get_num_threads()
    try:
        found = []
        for n in (1, 2, 1, before):
            threads.set_num_threads(n)
            found.append(everything())
    finally:
        threads.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_large_results_reuse_memory_of_dead_ones():
    from pullback.backends.numba import memory

    pool = memory._pool
    x = memory.empty((700, 1000), np.dtype(np.float32))
    view, address = x[5:].T, x.ctypes.data
    del x
    y = memory.empty((700, 1000), np.dtype(np.float32))
    assert y.ctypes.data != address, "a view keeps its memory"
    del view
    assert memory.empty((1000, 700), np.dtype(np.float32)).ctypes.data == address
    del y
    for n in range(100, 1000, 7):
        memory.empty((n, 1000), np.dtype(np.float64))
        assert pool.live + pool.idle <= pool.peak


def test_concurrent_python_threads(rng):
    x = rng.standard_normal((16, 8, 12, 12)).astype(np.float32)
    weight = rng.standard_normal((8, 8, 3, 3)).astype(np.float32)
    forward = numba_backend.kernel("conv2d", conv.conv2d.forward)
    want = forward(x, weight, **conv.conv2d.defaults)
    wrong = []

    def work():
        wrong.extend(1 for _ in range(20) if not np.array_equal(forward(x, weight, **conv.conv2d.defaults), want))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_describe_and_policy(monkeypatch):
    assert "Numba" in numba_backend.describe()
    assert "threads" in numba_backend.describe()
    monkeypatch.setenv("PULLBACK_FALLBACK", "error")
    with pytest.raises(BackendError, match="softmax"):
        numba_backend.kernel("softmax", softmax_.forward)(np.ones((2, 3), np.float32), axis=0)


def test_rules_of_large_arrays_use_the_backends_arithmetic(monkeypatch):
    import pullback as pb

    kinds = []

    @pb.primitive
    def watched(x, /, *, xp):
        return xp.multiply(x, x)

    def rule(g, x):
        kinds.append(type(g) is type(x) is pb.Tensor)
        return g * (2.0 * x)

    watched.vjp(x=rule)
    for large in (7, 6):
        monkeypatch.setattr(numba_backend, "large", large)
        x = pb.tensor(np.arange(6.0), backend="numba", requires_grad=True)
        (watched(x) / (1.0 + x) + x * 3.0).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), (x * (x + 2) / (1 + x) ** 2 + 3).numpy())
        assert x.grad._node is None
    assert kinds == [False, True]
