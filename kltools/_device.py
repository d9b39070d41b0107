"""Where data live, and which implementation belongs there."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ._arrays import is_tensor
from .errors import DeviceUnavailableError, InvalidParameterError

DEVICES = ("cpu", "cuda")
_CUDA_KINDS = (2, 13)  # of DLPack: memory of a device, managed memory


def is_on_gpu(x: Any) -> bool:
    """Whether an array lives in the memory of a CUDA device."""
    if is_tensor(x):
        return bool(x.is_cuda)
    if isinstance(x, np.ndarray):
        return False
    if getattr(x, "__cuda_array_interface__", None) is not None or hasattr(type(x), "__cuda_ndarray__"):
        return True
    return hasattr(type(x), "__dlpack_device__") and int(x.__dlpack_device__()[0]) in _CUDA_KINDS


def resolve(device: str | None, *arrays: Any) -> str:
    """The device meant by `device=`: None follows the data. There is no silent fallback to the CPU."""
    if device is None:
        device = "cuda" if any(is_on_gpu(a) for a in arrays) else "cpu"
    if not isinstance(device, str) or device not in DEVICES:
        raise InvalidParameterError(f"device must be None (follow the data), 'cpu' or 'cuda', got {device!r}.")
    if device == "cuda":
        importlib.import_module("kltools.cuda").require()
    return device


def twin(name: str, what: str | None = None) -> Callable[..., Any]:
    """The CUDA implementation of the same name; `what` it computes is told where there is none."""
    cuda = importlib.import_module("kltools.cuda")
    cuda.require()
    implementation = getattr(cuda, name, None)
    if implementation is None:
        raise DeviceUnavailableError(
            f"{what or name} has no CUDA implementation in this version; pass device='cpu' "
            "(arrays on a GPU are then copied to the host)."
        )
    return implementation
