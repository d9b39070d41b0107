"""Arrays of other libraries, in the simulator: memory of the host stands for that of a device."""

import contextlib
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import kltools as kl
from kltools import _device, cuda
from kltools.cuda import _compat, interop, memory
from kltools.families.gaussian import kl_normal_normal

RNG = np.random.default_rng(0)
MEANS = RNG.normal(size=(6, 8))
VARIANCES = RNG.uniform(0.5, 2.0, (6, 8))
LAYOUTS = {
    "contiguous": lambda a: a,
    "transposed": lambda a: np.asfortranarray(a),
    "strided": lambda a: a.repeat(3, axis=0)[::3],
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "read-only": lambda a: _frozen(a.copy()),
    "float32": lambda a: a.astype(np.float32),
    "big": lambda a: np.concatenate([a, a], axis=1)[:, 8:],
}


def _frozen(a):
    a.flags.writeable = False
    return a


class Interfaced:
    """What has the CUDA array interface alone."""

    def __init__(self, array, **changed):
        self.array, self.shape = array, array.shape
        self.__cuda_array_interface__ = {**array.__array_interface__, "version": 3, **changed}


class Exported:
    """What has DLPack alone."""

    def __init__(self, array, device=(2, 0)):
        self.array, self.shape, self._device = array, array.shape, device
        self.streams = []

    def __dlpack__(self, *, stream):
        self.streams.append(stream)
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self._device


def on_host(x):
    return x.copy_to_host() if hasattr(x, "copy_to_host") else np.asarray(x)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("wrap", [Interfaced, Exported])
def test_arrays_are_read_where_they_are(wrap, layout):
    if wrap is Exported and layout == "read-only":
        pytest.skip("NumPy does not export what is read-only")
    array = LAYOUTS[layout](MEANS)
    expected = kl_normal_normal(array.astype(np.float64), VARIANCES, 0.0, 1.0)
    value = cuda.evaluate(kl_normal_normal, wrap(array), VARIANCES, 0.0, 1.0)
    assert not isinstance(value, np.ndarray)  # it stays on the device
    np.testing.assert_allclose(on_host(value), expected, rtol=1e-14)
    sums = cuda.evaluate_sum(kl_normal_normal, wrap(array), VARIANCES, 0.0, 1.0, n_axes=1)
    np.testing.assert_allclose(on_host(sums), expected.sum(axis=1), rtol=1e-14)


def test_results_on_the_device_are_arguments_again():
    value = cuda.evaluate(kl_normal_normal, Interfaced(MEANS), VARIANCES, 0.0, 1.0)
    again = cuda.evaluate(kl_normal_normal, value, 1.0, 0.0, 1.0)
    expected = 0.5 * kl_normal_normal(MEANS, VARIANCES, 0.0, 1.0) ** 2
    np.testing.assert_allclose(on_host(again), expected, rtol=1e-13)
    assert cuda.total(value) == pytest.approx(on_host(value).sum(), rel=1e-14)
    np.testing.assert_array_equal(cuda.host_copy(value, "x"), on_host(value))


def test_integers_and_nothing_at_all():
    whole = np.arange(6)
    value = cuda.evaluate(kl_normal_normal, Interfaced(whole), 1.0, 0.0, 1.0)
    assert on_host(value).tolist() == [0.5 * k * k for k in range(6)]
    empty = cuda.evaluate(kl_normal_normal, Interfaced(np.empty((0, 3))), 1.0, 0.0, 1.0)
    assert empty.shape == (0, 3)


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (Interfaced(MEANS, mask=object()), kl.errors.InvalidTypeError, "mask"),
        (Interfaced(MEANS.astype(complex)), kl.errors.InvalidParameterError, "complex128; pass real and imaginary"),
        (Interfaced(MEANS.astype("M8[s]")), kl.errors.InvalidTypeError, "holds dates"),
        (Interfaced(MEANS, strides=(3, 8)), kl.errors.InvalidTypeError, "strides"),
        (Exported(MEANS.astype(complex)), kl.errors.InvalidParameterError, "complex128; pass real and imaginary"),
    ],
)
def test_what_cannot_be_read_is_refused(array, error, words):
    with pytest.raises(error, match=words):
        cuda.evaluate(kl_normal_normal, array, 1.0, 0.0, 1.0)


def test_arrays_on_different_devices_are_refused():
    with pytest.raises(kl.InvalidParameterError, match=r"different devices, \[0, 1\]"):
        cuda.evaluate(kl_normal_normal, Exported(MEANS), Exported(MEANS, device=(2, 1)), 0.0, 1.0)


@pytest.mark.parametrize(("device", "is_there"), [((2, 0), True), ((13, 0), True), ((1, 0), False), ((3, 0), False)])
def test_where_arrays_live(device, is_there):
    assert _device.is_on_gpu(Exported(MEANS, device)) is is_there
    assert _device.is_on_gpu(Interfaced(MEANS))
    assert not _device.is_on_gpu(MEANS)
    assert not _device.is_on_gpu([1.0])
    assert _device.resolve(None, MEANS, Exported(MEANS, device)) == ("cuda" if is_there else "cpu")


class OfNumba(Interfaced):
    """As numba-cuda has its arrays, on a device of its own."""

    def __init__(self, array, ordinal):
        super().__init__(array)
        self.gpu_data = SimpleNamespace(context=SimpleNamespace(device=SimpleNamespace(id=ordinal)))


def test_the_device_of_an_array_of_numba():
    assert interop.Place(OfNumba(MEANS, 1)).ordinal == 1
    assert interop.Place(Interfaced(MEANS)).ordinal is None
    with pytest.raises(kl.InvalidParameterError, match=r"different devices, \[0, 1\]"):
        cuda.evaluate(kl_normal_normal, OfNumba(MEANS, 0), OfNumba(MEANS, 1), 0.0, 1.0)


@pytest.fixture
def order(monkeypatch):
    """Which stream waits for which, and which ones the host waits for, as it happens."""
    happened = []
    monkeypatch.setattr(interop, "stream", lambda pointer: pointer)
    monkeypatch.setattr(interop, "wait", lambda later, earlier: happened.append((later, earlier)))
    monkeypatch.setattr(interop, "synchronize", happened.append)
    return happened


@pytest.mark.parametrize("error", [None, ValueError])
def test_streams_wait_for_one_another_before_and_after(order, error):
    arrays = [Interfaced(MEANS, stream=stream) for stream in (5, 7, 5, 9)]
    with contextlib.suppress(ValueError), interop.Place(*arrays) as place:
        assert (place.stream, order) == (5, [(5, 7), (5, 9)])
        if error:
            raise error
    assert order[2:] == [(7, 5), (9, 5)]


def test_an_export_is_for_our_stream_and_is_done_with_when_it_ends(order):
    own, exported = Interfaced(MEANS, stream=5), Exported(MEANS)
    with interop.Place(own, exported) as place:
        place.view(exported)
        assert (exported.streams, order) == ([5], [(5, 0)])
    assert order[1:] == [(0, 5), 5]
    with interop.Place(exported) as place:
        place.view(exported)
    assert exported.streams == [5, 1]  # the default one


def test_an_export_lives_as_long_as_it_is_read_and_no_longer():
    array = MEANS.copy()
    exported = Exported(array)
    before = sys.getrefcount(array)
    view = interop.Place(exported).view(exported)
    assert sys.getrefcount(array) > before
    del view
    assert sys.getrefcount(array) == before


# ---------------------------------------------------------------- memory


def test_a_shortage_is_told(monkeypatch):
    class OutOfMemoryError(RuntimeError):
        """As torch and CuPy have it."""

    def fail(*arguments, **options):
        raise OutOfMemoryError("tried to allocate")

    monkeypatch.setattr(interop.Place, "send", fail)
    p = kl.Normal(mean=[0.0, 1.0], var=1.0)
    with pytest.raises(kl.DeviceMemoryError, match=r"tried to allocate.*memory_limit"):
        kl.kl_divergence(p, p, device="cuda")
    assert issubclass(kl.DeviceMemoryError, MemoryError)


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])  # that of the host is not the device's
def test_other_errors_pass(monkeypatch, error):
    def fail(*arguments, **options):
        raise error("something else")

    monkeypatch.setattr(interop.Place, "send", fail)
    p = kl.Normal(mean=[0.0, 1.0], var=1.0)
    with pytest.raises(error, match="something else") as caught:
        kl.kl_divergence(p, p, device="cuda")
    assert caught.type is error


class CudaAPIError(Exception):
    """As numba-cuda has it."""

    def __init__(self, code):
        super().__init__(code, "of the driver")
        self.code = code


@pytest.mark.parametrize(("code", "expected"), [(2, kl.DeviceMemoryError), (700, CudaAPIError)])
def test_errors_of_the_driver_are_told_apart(code, expected):
    with pytest.raises(expected), memory.telling_shortage():
        raise CudaAPIError(code)


# ---------------------------------------------------------------- settings of Numba


def test_launches_of_several_threads_leave_the_settings_as_they_were(monkeypatch):
    flag = "CUDA_LOW_OCCUPANCY_WARNINGS"
    monkeypatch.setattr(_compat.config, flag, 1, raising=False)
    seen, both = [], threading.Barrier(2)

    def launch(*arguments):
        both.wait(timeout=10)
        seen.append(getattr(_compat.config, flag))
        both.wait(timeout=10)

    kernel = _compat.Kernel(lambda: None)
    kernel._compiled = _Configured(launch, flag)
    threads = [threading.Thread(target=kernel, args=(1, 1, 0)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kernel._compiled.while_configured == [0, 0]
    assert seen == [1, 1]


class _Configured:
    """What is launched once it is configured."""

    def __init__(self, launch, flag):
        self.launch, self.flag, self.while_configured = launch, flag, []

    def __getitem__(self, configuration):
        self.while_configured.append(getattr(_compat.config, self.flag))
        return self.launch
