"""A scalar law, written once, for every kind of caller and every device."""

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import _device, _scalar
from ._jit import call_all, elementwise, is_compiled, jit
from ._lanes import LaneKernels
from ._once import once

_BLOCK_ELEMENTS = 1 << 18  # elements computed at once before they are summed: 2 MiB
_WORTH_THREADS = 1 << 14  # elements


class Formula:
    """A function of scalars that returns a scalar, made callable on arrays.

    Calling it broadcasts its arguments like a NumPy ufunc; `summed` also adds up trailing axes.
    `scalar` is the compiled scalar itself, for use inside compiled code: a CUDA kernel calls the same
    object, so that the law exists once.

    Parameters
    ----------
    function : callable
        Plain Python over floats that uses `math` and the functions of `kltools._scalar`, or one of those.
    on_lanes : bool
        Whether it has no branches but `everywhere` and `select`, so that arrays are computed in vectors.

    Examples
    --------
    >>> from kltools.families.gaussian import kl_normal_normal
    >>> float(kl_normal_normal(0.0, 1.0, 1.0, 1.0))
    0.5
    """

    def __init__(self, function: Callable[..., float], on_lanes: bool = False):
        function = getattr(function, "py_func", function)
        functools.update_wrapper(self, function)
        self.function = function
        self.parameters = tuple(inspect.signature(function).parameters)
        self._lanes = LaneKernels(function) if on_lanes and is_compiled() else None

    def __repr__(self) -> str:
        return f"Formula({self.function.__name__}({', '.join(self.parameters)}))"

    @once
    def scalar(self) -> Callable[..., float]:
        return jit(self.function)

    @once
    def _ufunc(self) -> Callable[..., Any]:
        return elementwise(self.function)

    def __call__(self, *arguments: Any, device: str = "cpu", n_jobs: int = 1) -> Any:
        if device == "cuda":
            return _device.twin("evaluate")(self, *arguments)
        if self._lanes is not None:
            return self._lanes.summed(_floats(arguments), 0, n_jobs)
        arrays = [np.asarray(a, dtype=np.float64) for a in arguments]  # one type, one compilation
        out = np.empty(np.broadcast_shapes(*(a.shape for a in arrays)))
        if n_jobs == 1 or out.size < _WORTH_THREADS:
            self._fill(out, arrays)
            return out
        axis = int(np.argmax(out.shape))
        arrays = [np.broadcast_to(a, out.shape) for a in arrays]
        call_all(
            [functools.partial(self._fill, out[b], [a[b] for a in arrays]) for b in _blocks(out.shape, axis)], n_jobs
        )
        return out

    def _fill(self, out: np.ndarray, arrays: list[np.ndarray]) -> None:
        with np.errstate(all="ignore"):  # inf is an answer
            self._ufunc(*arrays, out=out)

    def summed(self, *arguments: Any, n_axes: int, device: str = "cpu", n_jobs: int = 1) -> Any:
        """The formula summed over the last `n_axes` axes, in blocks that bound the memory."""
        if n_axes == 0:
            return self(*arguments, device=device, n_jobs=n_jobs)
        if device == "cuda":
            return _device.twin("evaluate_sum")(self, *arguments, n_axes=n_axes)
        if self._lanes is not None:
            return self._lanes.summed(_floats(arguments), n_axes, n_jobs)
        arrays = np.broadcast_arrays(*arguments)
        shape = arrays[0].shape
        batch_shape = shape[: len(shape) - n_axes]
        if not batch_shape:
            return self(*arrays).sum()
        out = np.empty(batch_shape)
        axis, n_terms = int(np.argmax(batch_shape)), math.prod(shape[len(batch_shape) :])

        def add_up(block: tuple[slice, ...]) -> None:
            terms = self(*(a[block] for a in arrays))
            out[block] = terms.reshape((*terms.shape[: len(batch_shape)], n_terms)).sum(axis=-1)

        call_all([functools.partial(add_up, block) for block in _blocks(shape, axis)], n_jobs)
        return out


digamma = Formula(_scalar.digamma)


def _blocks(shape: tuple[int, ...], axis: int) -> Iterator[tuple[slice, ...]]:
    """Parts of an array along an axis, of a bounded size."""
    per_item = math.prod(shape) // max(shape[axis], 1)
    step = max(1, _BLOCK_ELEMENTS // max(per_item, 1))
    for start in range(0, shape[axis], step):
        yield (slice(None),) * axis + (slice(start, start + step),)


def on_lanes(function: Callable[..., float]) -> Formula:
    """A formula without branches, which arrays meet in vectors."""
    return Formula(function, on_lanes=True)


def _floats(arguments: Any) -> list[np.ndarray]:
    """Arrays of float32 as they are, of anything else as float64."""
    arrays = [np.asarray(a) for a in arguments]
    return [a if a.dtype == np.float32 else np.asarray(a, dtype=np.float64) for a in arrays]
