"""The one place that knows what compiles and runs kernels: Numba's simulator, numba-cuda, or its successor.

The simulator (NUMBA_ENABLE_CUDASIM=1) comes first, then numba-cuda. numba-cuda-mlir is taken where
KLTOOLS_CUDA_TARGET=mlir asks for it, and not by itself: it contracts a b + c into one rounding, from which nothing
keeps it, so that divergences near 0 have fewer digits. A kernel is a plain function that all of them understand: shared
arrays have a single constant as their shape, threads meet in trees over shared memory, nothing depends on fast
mathematics.
"""

import contextlib
import ctypes
import functools
import importlib
import os
import threading
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np
from numba.core import config

from ..errors import DeviceUnavailableError

SIMULATED = bool(getattr(config, "ENABLE_CUDASIM", False))
THREADS = 16 if SIMULATED else 256  # of a block; the simulator makes a thread of the system for each
MOST_BLOCKS = 2 if SIMULATED else 1 << 14  # kernels stride over what is left

_LOST = "row_stack"  # of NumPy before 2.5

_scope = threading.local()
_configuring = threading.Lock()


class _Simulated:
    """`numba.cuda` of the simulator, which inside of kernels is what the running kernel sees.

    So device functions of any module can be called by the threads of any kernel.
    """

    def __getattr__(self, name: str) -> Any:
        running = _kernel._get_kernel_context()
        return getattr(_simulator if running is None else running, name)


def _load() -> tuple[Any, Any, str]:
    """The module, its types and the name of the target."""
    asked = os.environ.get("KLTOOLS_CUDA_TARGET") or "numba-cuda"
    if asked == "mlir":
        return _load_successor()
    if asked != "numba-cuda":
        raise DeviceUnavailableError(
            f"KLTOOLS_CUDA_TARGET must be 'numba-cuda' or 'mlir', got {asked!r}; unset it for numba-cuda."
        )
    module = importlib.import_module("numba.cuda")
    _complete_registry()
    _keep_products_apart()
    return module, importlib.import_module("numba.core.types"), "numba-cuda"


def _load_successor() -> tuple[Any, Any, str]:
    name = "numba_cuda_mlir"
    try:
        return importlib.import_module(f"{name}.cuda"), importlib.import_module(f"{name}.types"), name
    except ImportError as error:
        raise DeviceUnavailableError(
            f"KLTOOLS_CUDA_TARGET=mlir needs numba-cuda-mlir, which cannot be imported ({error}); install it, or unset "
            "KLTOOLS_CUDA_TARGET for numba-cuda."
        ) from error


def _complete_registry() -> None:
    """numba-cuda asks for `numpy.row_stack` when it compiles its first kernel; NumPy 2.5 has it no more."""
    if hasattr(np, _LOST):
        return
    setattr(np, _LOST, np.vstack)
    try:
        with contextlib.suppress(ImportError):  # older ones have no such module, and do not ask
            importlib.import_module("numba.cuda.np.arrayobj")
    finally:
        delattr(np, _LOST)


def _keep_products_apart() -> None:
    """Let our kernels be compiled without contraction of a b + c, which formulas with compensated sums cannot bear.

    The compiler has an option for that, numba-cuda none: it is set for what is compiled while `_scope` says so.
    """
    nvvm: Any = importlib.import_module("numba.cuda.cudadrv.nvvm")
    original = getattr(nvvm, "compile_ir", None)
    if original is None:
        return

    @functools.wraps(original)
    def compile_ir(llvmir: Any, **options: Any) -> Any:
        if getattr(_scope, "exact", False):
            options["fma"] = False
        return original(llvmir, **options)

    nvvm.compile_ir = compile_ir


if SIMULATED:
    from numba import cuda as _simulator
    from numba.core import types
    from numba.cuda.simulator import kernel as _kernel
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    cuda: Any = _Simulated()
    TARGET = "simulator"
else:
    cuda, types, TARGET = _load()
CALLS_WITH_STAR = TARGET != "numba_cuda_mlir"


@contextlib.contextmanager
def exactly() -> Iterator[None]:
    """What this thread compiles inside rounds every product."""
    before = getattr(_scope, "exact", False)
    _scope.exact = True
    try:
        yield
    finally:
        _scope.exact = before


@contextlib.contextmanager
def _small_grids_allowed() -> Iterator[None]:
    """Numba warns of small grids when a launch is configured; its setting belongs to all threads."""
    flag = "CUDA_LOW_OCCUPANCY_WARNINGS"
    with _configuring:
        told = getattr(config, flag, None)
        if told is not None:
            setattr(config, flag, 0)
        try:
            yield
        finally:
            if told is not None:
                setattr(config, flag, told)


class Kernel:
    """A kernel, compiled for each kind of arguments when it first meets them."""

    def __init__(self, function: Callable[..., None]):
        self.function = function
        self._compiled = cuda.jit(np.errstate(all="ignore")(function) if SIMULATED else function)

    def __call__(self, blocks: Any, threads: Any, stream: Any, *arguments: Any) -> None:
        with _small_grids_allowed():
            launch = self._compiled[blocks, threads, stream]
        with exactly():
            launch(*arguments)


def device(function: Any) -> Any:
    """A compiled scalar of the CPU, or a plain function, for use inside of kernels: the same source, once."""
    if SIMULATED or (TARGET == "numba-cuda" and hasattr(function, "py_func")):
        return function
    return _rebuilt(function) if not CALLS_WITH_STAR else cuda.jit(device=True)(function)


@functools.cache
def _rebuilt(function: Any) -> Any:
    """For a target that does not know functions compiled by Numba: they, and those they call, from their source."""
    source = getattr(function, "py_func", function)
    if hasattr(source, "targetoptions"):
        return source
    words = {name: source.__globals__[name] for name in source.__code__.co_names if name in source.__globals__}
    words = {name: _rebuilt(word) if hasattr(word, "py_func") else word for name, word in words.items()}
    words["__name__"] = source.__module__
    made = FunctionType(source.__code__, words, source.__name__, source.__defaults__, source.__closure__)
    return cuda.jit(device=True)(made)


def flat_array(pointer: int, n: int, dtype: np.dtype, owner: Any) -> Any:
    """n numbers in memory that belongs to somebody else, as kernels take them."""
    if SIMULATED:
        memory: Any = (ctypes.c_char * (n * dtype.itemsize)).from_address(pointer)
        memory.owner = owner
        return FakeCUDAArray(np.frombuffer(memory, dtype=dtype))
    return cuda.as_cuda_array(_Flat(pointer, n, dtype, owner), sync=False)


def interface(x: Any) -> dict[str, Any] | None:
    """What an array tells by the CUDA array interface, version 3."""
    if SIMULATED and hasattr(type(x), "__cuda_ndarray__"):
        return x._ary.__array_interface__
    return getattr(x, "__cuda_array_interface__", None)


class _Flat:
    def __init__(self, pointer: int, n: int, dtype: np.dtype, owner: Any):
        self.owner = owner
        self.__cuda_array_interface__ = {
            "shape": (n,),
            "typestr": dtype.str,
            "data": (pointer, False),
            "strides": None,
            "version": 3,
        }


def stream(pointer: int) -> Any:
    """A stream of the driver; 0 is the default one."""
    return 0 if SIMULATED or pointer == 0 else cuda.external_stream(pointer)


def wait(later: Any, earlier: Any) -> None:
    """Let what a stream is given from now on wait for what another one has been given so far."""
    if SIMULATED:
        return
    event = cuda.event(timing=False)
    event.record(earlier)
    event.wait(later)


def synchronize(on: Any) -> None:
    if on:
        on.synchronize()
    else:
        cuda.synchronize()
