"""Arrays of any library on a device: how kernels see them, and results as the caller's library has them."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _device
from .._arrays import check_real, is_tensor, numeric_array
from ..errors import InvalidParameterError, InvalidTypeError
from . import require
from ._compat import cuda, flat_array, interface, stream, synchronize, wait

_TORCH_KEEPS = ("float32", "float64", "int32", "int64", "uint8", "int8", "int16")
_DLPACK_KINDS = {0: "i", 1: "u", 2: "f", 5: "c", 6: "b"}
_LEGACY_STREAM = 1  # the default stream, as exporters want it named
_HOST_BYTES = 8


@dataclass(frozen=True)
class View:
    """Numbers on a device: a flat array, and where in it the items of a shape stand (in numbers, not bytes)."""

    flat: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    first: int = 0

    @classmethod
    def of_contiguous(cls, flat: Any, shape: tuple[int, ...]) -> View:
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        return cls(flat, shape, strides)

    def rows(self, start: int, stop: int) -> View:
        """Some of the items along the first axis."""
        return View(self.flat, (stop - start, *self.shape[1:]), self.strides, self.first + start * self.strides[0])

    def over(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Strides of the view broadcast to a shape, 0 where it is repeated."""
        own = [s if n > 1 else 0 for n, s in zip(self.shape, self.strides, strict=True)]
        return (0,) * (len(shape) - len(own)) + tuple(own)


@dataclass(frozen=True)
class _Described:
    """What an array on a device says of itself; strides in bytes, None where it is contiguous."""

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: np.dtype
    owner: Any

    def view(self) -> View:
        size = self.dtype.itemsize
        check_real(self.dtype, "an array on the device")
        if 0 in self.shape:
            return View.of_contiguous(cuda.device_array(1, self.dtype), self.shape)
        if self.strides is None:
            return View.of_contiguous(
                flat_array(self.pointer, math.prod(self.shape), self.dtype, self.owner), self.shape
            )
        if any(step % size for step in self.strides):
            raise InvalidTypeError(
                f"an array on the device has strides of {self.strides} bytes, which are no multiples of its itemsize "
                f"{size}; make a contiguous copy of it."
            )
        reach = [(n - 1) * (step // size) for n, step in zip(self.shape, self.strides, strict=True)]
        lowest, highest = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach)
        flat = flat_array(self.pointer + lowest * size, highest - lowest + 1, self.dtype, self.owner)
        return View(flat, self.shape, tuple(step // size for step in self.strides), -lowest)


class Place:
    """The device on which some arrays live, the stream that orders work on them, and their library."""

    def __init__(self, *arrays: Any):
        require()
        found = [x for x in arrays if _device.is_on_gpu(x)]
        ordinals = {ordinal for ordinal in map(_ordinal, found) if ordinal is not None}
        if len(ordinals) > 1:
            raise InvalidParameterError(
                f"the arrays live on different devices, {sorted(ordinals)}; bring them to one of them."
            )
        self.example = found[0] if found else None
        self.ordinal = ordinals.pop() if ordinals else None
        self._pointers = list(dict.fromkeys(_stream_of(x) for x in found)) or [0]
        self.stream: Any = 0
        self._others: list[Any] = []
        self._holds_exports = False

    def __enter__(self) -> Place:
        self._context = cuda.gpus[self.ordinal] if self.ordinal is not None else None
        if self._context is not None:
            self._context.__enter__()
        self.stream, *self._others = map(stream, self._pointers)  # the first array's, whose library has the result
        for other in self._others:
            wait(self.stream, other)
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            for other in self._others:  # where memory that we still read may be written next
                wait(other, self.stream)
            if self._holds_exports:  # their owner's stream is not known, and they end with us
                synchronize(self.stream)
        finally:
            if self._context is not None:
                self._context.__exit__(*error)

    @property
    def is_host(self) -> bool:
        """Whether all arrays live on the host, where results then belong."""
        return self.example is None

    def view(self, x: Any) -> View:
        """An array of the host or of the device as kernels see it; what lives on the device is not copied."""
        if isinstance(x, View):
            return x
        if _device.is_on_gpu(x):
            return self._describe(x).view()
        array = x if isinstance(x, np.ndarray) and x.dtype == np.float32 else np.asarray(x, dtype=np.float64)
        return View.of_contiguous(self.send(np.ascontiguousarray(array).reshape(-1)), array.shape)

    def _describe(self, x: Any) -> _Described:
        if is_tensor(x):
            return _describe_tensor(x)
        told = interface(x)
        if told is not None:
            return _describe_interfaced(x, told)
        self._holds_exports = True
        return _from_dlpack(x, self._pointers[0] or _LEGACY_STREAM)

    def view_rows(self, x: Any, start: int, stop: int) -> View:
        """Some rows of a view, or of an array of the host, of which only these are sent."""
        return x.rows(start, stop) if isinstance(x, View) else self.view(x[start:stop])

    def send(self, array: np.ndarray) -> Any:
        """A copy on the device of a contiguous array of the host; of an empty one, something to point at."""
        return cuda.to_device(array if array.size else np.zeros(1, array.dtype), stream=self.stream)

    def scratch(self, *shape: int, dtype: Any = np.float64) -> Any:
        """Memory of the device for what is computed on the way."""
        return cuda.device_array(tuple(max(n, 1) for n in shape), dtype, stream=self.stream)

    def receive(self, array: Any) -> np.ndarray:
        """A copy on the host."""
        copy = array.copy_to_host(stream=self.stream)
        synchronize(self.stream)
        return copy

    def result(self, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """An empty array of float64 in the library of the caller, and the flat array in it that kernels fill."""
        x: Any = self.example
        if is_tensor(x):
            made = sys.modules["torch"].empty(shape, dtype=sys.modules["torch"].float64, device=x.device)
        elif type(x).__module__.partition(".")[0] == "cupy":
            made = sys.modules["cupy"].empty(shape, dtype=np.float64)
        else:
            made = cuda.device_array(shape, np.float64, stream=self.stream)
        return made, self.scratch(1) if 0 in shape else self._describe(made).view().flat

    def deliver(self, array: np.ndarray) -> Any:
        """A copy of an array of the host in the library of the caller."""
        out, flat = self.result(array.shape)
        fill = np.ascontiguousarray(array, dtype=np.float64).reshape(-1)
        flat.copy_to_device(fill if array.size else np.zeros(1), stream=self.stream)
        return out


def host_copy(x: Any, name: str) -> np.ndarray:
    """An array of the host or of a device as NumPy array of float64 on the host."""
    if not _device.is_on_gpu(x):
        return numeric_array(x, name)
    with Place(x) as place:
        view = place.view(x)
        flat = place.receive(view.flat)
    steps = [step * flat.itemsize for step in view.strides]
    return numeric_array(np.lib.stride_tricks.as_strided(flat[view.first :], view.shape, steps), name)


# ---------------------------------------------------------------- what arrays say of themselves


def _describe_interfaced(x: Any, told: dict[str, Any]) -> _Described:
    if told.get("mask") is not None:
        raise InvalidTypeError("an array on the device has a mask, which has no meaning here; fill or drop it.")
    pointer, strides = told["data"][0], told.get("strides")
    return _Described(pointer or 0, tuple(told["shape"]), strides, np.dtype(told["typestr"]), x)


def _describe_tensor(x: Any) -> _Described:
    tensor = x.detach().resolve_conj().resolve_neg()  # no gradient flows through our results
    if str(tensor.dtype).removeprefix("torch.") not in _TORCH_KEEPS:
        if tensor.is_complex():
            check_real(np.dtype(str(tensor.dtype).removeprefix("torch.")), "a tensor on the device")
        tensor = tensor.double()
    dtype = np.dtype(str(tensor.dtype).removeprefix("torch."))
    strides = tuple(step * dtype.itemsize for step in tensor.stride())
    return _Described(tensor.data_ptr(), tuple(tensor.shape), strides, dtype, tensor)


def _ordinal(x: Any) -> int | None:
    """The number of the device of an array, where it tells."""
    if is_tensor(x):
        return x.device.index
    if hasattr(x, "__dlpack_device__"):
        return int(x.__dlpack_device__()[1])
    context = getattr(getattr(x, "gpu_data", None), "context", None)  # of Numba's own arrays
    ordinals = (getattr(getattr(holder, "device", None), "id", None) for holder in (x, context))
    return next((ordinal for ordinal in ordinals if isinstance(ordinal, int)), None)


def _stream_of(x: Any) -> int:
    """The stream of the driver on which an array becomes ready; 0 is the default one."""
    if is_tensor(x):
        return int(sys.modules["torch"].cuda.current_stream(x.device).cuda_stream)
    if type(x).__module__.partition(".")[0] == "cupy":
        return int(sys.modules["cupy"].cuda.get_current_stream().ptr)
    return int((interface(x) or {}).get("stream") or 0)


# ---------------------------------------------------------------- DLPack, for libraries without the CUDA interface


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def _from_dlpack(x: Any, stream_pointer: int) -> _Described:
    """Read the capsule that an array exports for use on a stream; it is kept, and freed, with the description."""
    capsule = x.__dlpack__(stream=stream_pointer)
    pointer: Callable[..., int | None] = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)  # type: ignore[attr-defined]
    address = pointer(capsule, b"dltensor")  # what is asked for without a version
    tensor = _DLTensor.from_address(address)  # type: ignore[arg-type]
    if tensor.lanes != 1 or tensor.code not in _DLPACK_KINDS:
        raise InvalidTypeError(
            f"an array on the device has numbers of kind {tensor.code} of DLPack, real numbers are needed."
        )
    dtype = np.dtype(f"{_DLPACK_KINDS[tensor.code]}{tensor.bits // _HOST_BYTES}")
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    strides = tuple(tensor.strides[axis] * dtype.itemsize for axis in range(tensor.ndim)) if tensor.strides else None
    return _Described((tensor.data or 0) + tensor.byte_offset, shape, strides, dtype, (x, capsule))
