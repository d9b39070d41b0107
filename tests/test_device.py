"""What is said where there is no GPU, and what can be done without one."""

import pydoc
import shutil
import sys
from types import SimpleNamespace

import pytest

import kltools as kl
from kltools import _device, cuda
from kltools.cuda import _compat

no_gpu = pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU")


def test_public_names_are_there_without_a_gpu():
    from kltools.cuda import aggregate_log_prob, memory_limit

    assert dir(cuda) == ["aggregate_log_prob", "memory_limit", "usable_devices"]
    assert hasattr(cuda, "memory_limit")
    assert not hasattr(cuda, "no_such_name")
    text = pydoc.render_doc(cuda, renderer=pydoc.plaintext)
    assert aggregate_log_prob.__doc__.splitlines()[0] in text
    with memory_limit(1000):
        pass


@no_gpu
@pytest.mark.parametrize(
    "call",
    [
        lambda: cuda.aggregate_log_prob([[0.0]], [[0.0]], [[0.0]]),
        lambda: cuda.uniforms(3, 0),
        cuda.usable_devices,
        lambda: kl.estimate_kl([0.0, 1.0], [0.0, 1.0], device="cuda"),
        lambda: _device.resolve("cuda"),
        lambda: _device.twin("evaluate"),
    ],
)
def test_every_entry_asks_for_a_device(call):
    with pytest.raises(kl.DeviceUnavailableError, match=r"device='cuda' needs .*pass device='cpu'"):
        call()


class Installation(SimpleNamespace):
    """What `_compat` knows of an installation that finds no device."""

    def __init__(self, error=None, target="numba-cuda", **settings):
        numba_cuda = SimpleNamespace(is_available=lambda: False, cuda_error=lambda: error)
        super().__init__(cuda=numba_cuda, TARGET=target, config=SimpleNamespace(**settings))


@pytest.mark.parametrize(
    ("installation", "is_installed", "words"),
    [
        (Installation(DISABLE_CUDA=1), False, "NUMBA_DISABLE_CUDA; unset"),
        (Installation(), False, r"numba-cuda is not installed; pip install 'kltools\[cuda13\]'"),
        (Installation("\nNo library.\nLook\n"), True, r"no device \(No library. Look\).*nvidia-smi"),
        (Installation("No library.", "numba_cuda_mlir"), False, r"no device \(No library.\)"),
        (Installation(), True, r"NVVM.*pip install"),
    ],
)
def test_causes_are_told_apart(monkeypatch, installation, is_installed, words):
    monkeypatch.setattr(cuda.importlib, "import_module", lambda *name: installation)
    monkeypatch.setattr(cuda.importlib.util, "find_spec", lambda name: is_installed or None)
    with pytest.raises(kl.DeviceUnavailableError, match=rf"{words}.*, or pass device='cpu'"):
        cuda.require()


def test_a_broken_installation_is_told(monkeypatch):
    def fail(*name):
        raise OSError("no such symbol")

    monkeypatch.setattr(cuda.importlib, "import_module", fail)
    with pytest.raises(kl.DeviceUnavailableError, match=r"OSError: no such symbol\); pip install"):
        cuda.require()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("ptx", "must be 'numba-cuda' or 'mlir', got 'ptx'"),
        ("mlir", r"needs numba-cuda-mlir.*numba_cuda_mlir.*install it, or unset"),
    ],
)
def test_targets_that_cannot_be_had(monkeypatch, target, words):
    monkeypatch.setenv("KLTOOLS_CUDA_TARGET", target)
    monkeypatch.setitem(sys.modules, "numba_cuda_mlir", None)  # as if it were not installed
    with pytest.raises(kl.DeviceUnavailableError, match=words):
        _compat._load()
