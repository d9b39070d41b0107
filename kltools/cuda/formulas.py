"""Formulas over arrays of any library: the kernel calls the scalar that the CPU calls."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .._formula import Formula
from ..errors import DeviceUnavailableError
from ._compat import CALLS_WITH_STAR, MOST_BLOCKS, TARGET, THREADS, Kernel, cuda, device, types
from .interop import Place, View
from .memory import telling_shortage, workspace

float64 = types.float64
_PART = 1 << 14  # terms that one sum runs over; longer ones are sums of such sums, on every device
_TERMS_OF_THREAD = 4  # of an event, at least, before more threads share it


def evaluate(formula: Formula, *arguments: Any) -> Any:
    """The formula over arrays that broadcast; nothing is copied to be repeated."""
    return evaluate_sum(formula, *arguments, n_axes=0)


def evaluate_sum(formula: Formula, *arguments: Any, n_axes: int) -> Any:
    """The formula over arrays that broadcast, summed over the last `n_axes` axes.

    Where all arrays live on the host the result does as well, and they are sent to the device in blocks; else it
    belongs to the library of the first that does not. The order of summation depends on the shape alone.
    """
    with telling_shortage(), Place(*arguments) as place:
        if place.is_host:
            return _in_blocks(formula, [_floats(a) for a in arguments], n_axes, place)
        views = [place.view(a) for a in arguments]
        shape = np.broadcast_shapes(*(v.shape for v in views))
        out, flat = place.result(shape[: len(shape) - n_axes])
        fill(formula, views, shape, n_axes, flat, place)
        return out


def total(x: Any) -> float:
    """The sum of all numbers of an array of float64, in an order that depends on its shape alone."""
    with telling_shortage(), Place(x) as place:
        view = place.view(x)
        out = place.scratch(1)
        fill(ITSELF, [view], view.shape, len(view.shape), out, place)
        return float(place.receive(out)[0])


def _floats(x: Any) -> np.ndarray:
    array = np.asarray(x)
    return array if array.dtype == np.float32 else np.asarray(array, dtype=np.float64)


def _in_blocks(formula: Formula, arrays: list[np.ndarray], n_axes: int, place: Place) -> np.ndarray:
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    batch = shape[: len(shape) - n_axes]
    out = np.empty(batch)
    if not out.size:
        return out
    arrays = [a.reshape((1,) * (len(shape) - a.ndim) + a.shape) for a in arrays]
    axis = int(np.argmax(batch)) if batch else None
    kept = {k: place.view(a) for k, a in enumerate(arrays) if axis is None or a.shape[axis] == 1}
    for block in _blocks(arrays, batch, axis):
        views = [kept.get(k) or place.view(a[block]) for k, a in enumerate(arrays)]
        part = out[block]
        flat = place.scratch(part.size)
        length = {} if axis is None else {axis: part.shape[axis]}
        block_shape = tuple(length.get(i, n) for i, n in enumerate(shape))
        fill(formula, views, block_shape, n_axes, flat, place)
        out[block] = place.receive(flat).reshape(part.shape)
    return out


def _blocks(arrays: list[np.ndarray], batch: tuple[int, ...], axis: int | None) -> Iterator[tuple[slice, ...]]:
    """Slices of the longest axis of a batch whose data fit into the workspace."""
    if axis is None:
        yield ()
        return
    items = math.prod(batch) // batch[axis]
    each = 8 * items + sum(a.nbytes // a.shape[axis] for a in arrays if a.shape[axis] > 1)
    step = max(1, workspace() // each)
    for start in range(0, batch[axis], step):
        yield (slice(None),) * axis + (slice(start, start + step),)


def fill(formula: Formula, views: Sequence[View], shape: tuple[int, ...], n_axes: int, out: Any, place: Place) -> None:
    """Write the formula over views, summed over the last axes of the shape, into a flat array."""
    split = len(shape) - n_axes
    steps = [v.over(shape) for v in views]
    batch, across = joined(shape[:split], [s[:split] for s in steps])
    event, along = joined(shape[split:], [s[split:] for s in steps])
    layout = tuple((v.first, *a, *b) for v, a, b in zip(views, across, along, strict=True))
    flats = tuple(v.flat for v in views)
    n, n_terms = math.prod(batch), math.prod(event)
    if n == 0:
        return
    if not n_axes:
        kernel = elementwise(formula, len(views), len(batch))
        kernel(min(-(-n // THREADS), MOST_BLOCKS), THREADS, place.stream, flats, layout, batch, n, out)
        return
    n_parts = max(1, -(-n_terms // _PART))
    sums = out if n_parts == 1 else place.scratch(n * n_parts)
    team = _team(min(n_terms, _PART))
    kernel = summing(formula, len(views), len(batch), len(event), team)
    blocks = -(-n * n_parts * team // THREADS)
    kernel(blocks, THREADS, place.stream, flats, layout, batch, event, n_terms, n_parts, n * n_parts, sums)
    if n_parts > 1:
        fill(ITSELF, [View.of_contiguous(sums, (n, n_parts))], (n, n_parts), 1, out, place)


def joined(shape: tuple[int, ...], strides: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Lengths of axes, and of each array the strides, where neighbours that all arrays walk alike are one."""
    lengths, walks = [1], [[0] for _ in strides]
    for axis, length in enumerate(shape):
        own = [s[axis] for s in strides]
        if length == 1:
            continue
        if lengths[-1] == 1 or [w[-1] for w in walks] == [step * length for step in own]:
            lengths[-1] *= length
            for walk, step in zip(walks, own, strict=True):
                walk[-1] = step
        else:
            lengths.append(length)
            for walk, step in zip(walks, own, strict=True):
                walk.append(step)
    return tuple(lengths), [tuple(walk) for walk in walks]


def _team(n_terms: int) -> int:
    """Threads that share one sum: a power of two."""
    wanted = max(1, n_terms // _TERMS_OF_THREAD)
    return min(THREADS, 1 << (wanted - 1).bit_length())


# ---------------------------------------------------------------- kernels


@functools.cache
def elementwise(formula: Formula, n_arrays: int, n_axes: int) -> Kernel:
    scalar, read, place_of = _of_tuple(formula, n_arrays), _reader(n_arrays, n_axes), _unraveled(n_axes)

    def kernel(arrays, layout, shape, n, out):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            out[i] = scalar(read(arrays, layout, place_of(i, shape)))

    kernel.__name__ = f"{formula.function.__name__}_{n_axes}"
    return Kernel(kernel)


@functools.cache
def summing(formula: Formula, n_arrays: int, n_batch: int, n_event: int, team: int) -> Kernel:
    """Teams of threads sum up parts of events, in the order of a tree."""
    scalar, read = _of_tuple(formula, n_arrays), _reader(n_arrays, n_batch + n_event)
    place_of, place_in = _unraveled(n_batch), _unraveled(n_event)
    sums_of_block = THREADS // team

    def kernel(arrays, layout, batch, event, n_terms, n_parts, n_sums, out):
        kept = cuda.shared.array(THREADS, float64)
        thread = cuda.threadIdx.x
        member = thread % team
        row = cuda.blockIdx.x * sums_of_block + thread // team
        own = 0.0
        if row < n_sums:
            item = place_of(row // n_parts, batch)
            first = row % n_parts * _PART
            for j in range(first + member, min(first + _PART, n_terms), team):
                own += scalar(read(arrays, layout, item + place_in(j, event)))
        kept[thread] = own
        cuda.syncthreads()
        reach = team // 2
        while reach > 0:
            if member < reach:
                kept[thread] += kept[thread + reach]
            cuda.syncthreads()
            reach //= 2
        if member == 0 and row < n_sums:
            out[row] = kept[thread]

    kernel.__name__ = f"sum_{formula.function.__name__}_{n_batch}_{n_event}"
    return Kernel(kernel)


def _of_tuple(formula: Formula, n: int) -> Callable[..., Any]:
    """The scalar as a function of a tuple."""
    scalar = device(formula.scalar)
    if not CALLS_WITH_STAR:
        if n > len(_EXPLICIT):
            raise DeviceUnavailableError(
                f"{TARGET} cannot compile formulas of more than {len(_EXPLICIT)} parameters; unset KLTOOLS_CUDA_TARGET."
            )
        return device(_EXPLICIT[n - 1](scalar))

    def of_tuple(numbers):
        return scalar(*numbers)

    return device(of_tuple)


_EXPLICIT: tuple[Callable[..., Any], ...] = (
    lambda f: lambda x: f(x[0]),
    lambda f: lambda x: f(x[0], x[1]),
    lambda f: lambda x: f(x[0], x[1], x[2]),
    lambda f: lambda x: f(x[0], x[1], x[2], x[3]),
    lambda f: lambda x: f(x[0], x[1], x[2], x[3], x[4]),
    lambda f: lambda x: f(x[0], x[1], x[2], x[3], x[4], x[5]),
)


@functools.cache
def _reader(n_arrays: int, n_axes: int) -> Callable[..., Any]:
    """The function that gathers one number of each array into a tuple."""
    last, where = n_arrays - 1, _offset(n_axes)
    if n_arrays == 1:

        def read_one(arrays, layout, place):
            return (float64(arrays[0][where(layout[0], place)]),)

        return device(read_one)
    rest = _reader(last, n_axes)

    def read(arrays, layout, place):
        return (*rest(arrays, layout, place), float64(arrays[last][where(layout[last], place)]))

    return device(read)


@functools.cache
def _offset(n_axes: int) -> Callable[..., Any]:
    """The function that tells where in a flat array the place of a batch is."""
    axis = n_axes - 1
    if n_axes == 0:

        def first(strides, place):
            return strides[0]

        return device(first)
    rest = _offset(axis)

    def offset(strides, place):
        return rest(strides, place) + place[axis] * strides[axis + 1]

    return device(offset)


@functools.cache
def _unraveled(n_axes: int) -> Callable[..., Any]:
    """The function that makes a flat index a place on each axis."""
    axis = n_axes - 1
    if n_axes == 1:

        def place_of_one(i, shape):
            return (i,)

        return device(place_of_one)
    rest = _unraveled(axis)

    def place_of(i, shape):
        return (*rest(i // shape[axis], shape), i % shape[axis])

    return device(place_of)


def _itself(x):
    return x


def _is_no_number(x):
    return 0.0 if abs(x) < math.inf else 1.0


ITSELF, IS_NO_NUMBER = Formula(_itself), Formula(_is_no_number)
