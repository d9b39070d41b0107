"""Formulas on SIMD lanes: the same source, whose words mean what they mean for vectors."""

import functools
import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from . import _scalar, _simd
from ._arrays import frozen
from ._jit import jit, run_rows
from ._once import once
from ._simd import Const, constant, first_lanes, gather_each, load_each, mathematics, splat, store, store_first, total

_WIDTH = Const(8)
_OPERATIONS_PER_TERM = 20
_FEW_TERMS = 8  # of an event, below which the lanes hold items of the batch instead
_ON_LANES: dict[Any, Any] = {
    math: mathematics,
    _scalar.select: _simd.select,
    _scalar.everywhere: _simd.everywhere,
    _scalar.minus_log: _simd.minus_log,
    _scalar.parts: _simd.parts,
    _scalar.scaled: _simd.scale,
    _scalar.expm1_minus_x: _simd.expm1_minus_x,
}


@functools.cache
def for_vectors(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function without branches, compiled from its own source for vectors, as are those that it calls."""
    source: Any = getattr(function, "py_func", function)
    words = {"__name__": source.__module__, "abs": _simd.magnitude}
    for name in source.__code__.co_names:
        if name in source.__globals__:
            words[name] = _meaning(source.__globals__[name])
    return jit(FunctionType(source.__code__, words, source.__name__))


def _meaning(word: Any) -> Any:
    if isinstance(word, float):
        return word
    if word in _ON_LANES:
        return _ON_LANES[word]
    return for_vectors(word) if hasattr(word, "py_func") else word


class LaneKernels:
    """The loops over batch and event of one formula."""

    def __init__(self, function: Callable[..., float]):
        self._function = function

    @once
    def _along_event(self) -> Callable[..., Any]:
        term = for_vectors(self._function)

        def along_event(start, stop, arrays, shape, strides, steps, n_terms, out, lanes):
            """The lanes hold terms of one event."""
            width = constant(lanes)
            place = np.empty(steps.size, np.int64)
            turn = start
            for row in range(start, stop):
                if row == turn:
                    turn += find_place(row, shape, strides, place)
                else:
                    for k in range(place.size):
                        place[k] += strides[-1, k]
                sums = splat(0.0, lanes)
                for j in range(0, n_terms - width + 1, width):
                    sums = sums + term(*load_each(arrays, place, steps, j, lanes))
                left = n_terms % width
                if left:
                    last = term(*gather_each(arrays, place, steps, n_terms - left, steps, left, lanes))
                    sums = sums + first_lanes(last, left)
                out[row] = total(sums)

        return self._compiled(along_event)

    @once
    def _along_batch(self) -> Callable[..., Any]:
        term = for_vectors(self._function)

        def along_batch(start, stop, arrays, shape, strides, steps, n_terms, out, lanes):
            """The lanes hold items of the batch that follow one another on its last axis."""
            width = constant(lanes)
            place = np.empty(steps.size, np.int64)
            across = strides[-1]
            row = turn = start
            while row < stop:
                if row == turn:
                    turn += find_place(row, shape, strides, place)
                n = min(width, min(stop, turn) - row)
                sums = splat(0.0, lanes)
                for j in range(n_terms):
                    sums = sums + term(*gather_each(arrays, place, steps, j, across, n, lanes))
                if n == width:
                    store(out, row, sums)
                else:
                    store_first(out, row, sums, n)
                row += n
                for k in range(place.size):
                    place[k] += n * across[k]

        return self._compiled(along_batch)

    def _compiled(self, kernel: Any) -> Callable[..., Any]:
        kernel.__module__ = self._function.__module__
        kernel.__qualname__ = f"{self._function.__qualname__}.{kernel.__name__}"  # its name in the cache
        return jit(kernel)

    def summed(self, arrays: list[np.ndarray], n_axes: int, n_jobs: int) -> np.ndarray:
        """The formula over arrays that broadcast, summed over the last `n_axes` axes; nothing large is copied."""
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        split = len(shape) - n_axes
        out = np.empty(shape[:split])
        n_terms = math.prod(shape[split:])
        arrays = [_with_one_step(a.reshape((1,) * (len(shape) - a.ndim) + a.shape), shape[split:]) for a in arrays]
        steps = np.array([int(a.shape[split:] == shape[split:]) for a in arrays]) * (n_terms > 1)
        batch = _joined_axes(arrays, shape[:split])
        kernel = self._along_event if n_terms >= _FEW_TERMS else self._along_batch
        flat = tuple(frozen(a.reshape(-1)) for a in arrays)
        arguments = (flat, *batch, steps, n_terms, out.reshape(-1), _WIDTH)
        run_rows(kernel, out.size, *arguments, n_jobs=n_jobs, row_cost=_OPERATIONS_PER_TERM * max(n_terms, 1))
        return out


def _with_one_step(array: np.ndarray, event: tuple[int, ...]) -> np.ndarray:
    """C-contiguous, and along the event either whole or one number."""
    split = array.ndim - len(event)
    own = array.shape[split:]
    if own != event and math.prod(own) != 1:
        array = np.broadcast_to(array, array.shape[:split] + event)
    return np.ascontiguousarray(array)


def _joined_axes(arrays: list[np.ndarray], batch: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the axes of a batch, and of each the strides of all arrays, where some axes may be one."""
    lengths, strides = [1], [[0] * len(arrays)]
    for axis, length in enumerate(batch):
        own = [a.strides[axis] // a.itemsize if a.shape[axis] > 1 else 0 for a in arrays]
        if length == 1:
            continue
        if strides[-1] == [stride * length for stride in own] or lengths[-1] == 1:
            lengths[-1] *= length
            strides[-1] = own
        else:
            lengths.append(length)
            strides.append(own)
    return np.array(lengths), np.array(strides)


@jit
def find_place(row, shape, strides, place):
    """Where the item `row` of a batch begins in each array; how many items are left on the last axis."""
    for k in range(place.size):
        place[k] = 0
    left = shape[-1] - row % shape[-1]
    for axis in range(shape.size - 1, -1, -1):
        index = row % shape[axis]
        row //= shape[axis]
        for k in range(place.size):
            place[k] += index * strides[axis, k]
    return left
