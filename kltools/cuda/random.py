"""Random numbers by counting, on a device: the words and uniforms of `kltools._philox`, bit for bit."""

import functools

import numpy as np

from .._philox import two_normals, two_uniforms
from ._compat import MOST_BLOCKS, THREADS, Kernel, cuda, device, types
from .interop import Place
from .memory import telling_shortage

uint64 = types.uint64


def uniforms(n: int, seed: int, *, stream: int = 0, first: int = 0) -> np.ndarray:
    """The numbers first, ..., first + n - 1 of a stream of uniform numbers in (0, 1), made on the device."""
    return _numbers(two_uniforms, n, seed, stream, first)


def normals(n: int, seed: int, *, stream: int = 0, first: int = 0) -> np.ndarray:
    """The same of standard normal numbers; those of the CPU have the same uniforms, and differ by rounding."""
    return _numbers(two_normals, n, seed, stream, first)


def _numbers(two, n: int, seed: int, stream: int, first: int) -> np.ndarray:
    n_counters = (first + n + 1) // 2 - first // 2
    with telling_shortage(), Place() as place:
        out = place.scratch(2 * n_counters)
        arguments = (np.uint64(first // 2), np.uint64(stream), np.uint64(seed), n_counters, out)
        _pairs(two)(min(-(-n_counters // THREADS), MOST_BLOCKS) or 1, THREADS, place.stream, *arguments)
        return place.receive(out)[first % 2 :][:n]


@functools.cache
def _pairs(two) -> Kernel:
    two = device(two)

    def pairs(first, stream, seed, n_counters, out):
        for row in range(cuda.grid(1), n_counters, cuda.gridsize(1)):
            even, odd = two(first + uint64(row), stream, seed)
            out[2 * row] = even
            out[2 * row + 1] = odd

    return Kernel(pairs)
