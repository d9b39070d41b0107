"""Arrays of other libraries, in the simulator: memory of the host stands for that of a device."""

import sys

import numpy as np
import pytest

import kltools as kl
from kltools import _device, cuda
from kltools.cuda import interop
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

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

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
        (Interfaced(MEANS.astype(complex)), kl.errors.InvalidTypeError, "complex128, real numbers"),
        (Interfaced(MEANS, strides=(3, 8)), kl.errors.InvalidTypeError, "strides"),
        (Exported(MEANS.astype(complex)), kl.errors.InvalidTypeError, "real numbers"),
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


def test_streams_of_all_arrays_are_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(interop, "stream", lambda pointer: pointer)
    monkeypatch.setattr(interop, "synchronize", waited.append)
    with interop.Place(Interfaced(MEANS, stream=5), Interfaced(MEANS, stream=7), Interfaced(MEANS, stream=5)) as place:
        assert (place.stream, waited) == (5, [7])


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


def test_other_errors_pass(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("something else")

    monkeypatch.setattr(interop.Place, "send", fail)
    p = kl.Normal(mean=[0.0, 1.0], var=1.0)
    with pytest.raises(RuntimeError, match="something else"):
        kl.kl_divergence(p, p, device="cuda")
