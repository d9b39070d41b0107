"""A stable radix sort of whole numbers on a device, four bits at a time, without atomic operations."""

import functools
from typing import Any

import numpy as np

from ._compat import SIMULATED, Kernel, cuda, types
from .interop import Place

int32, int64 = types.int32, types.int64
_BITS, _DIGITS = 4, 16
_THREADS = 4 if SIMULATED else 128
_ITEMS = 16  # of a thread, which stand together
_SCANNING = 4 if SIMULATED else 512
_COUNTERS = _DIGITS * _THREADS


def sorted_rows(keys: Any, n: int, n_bits: int, place: Place) -> Any:
    """The numbers 0 ... n - 1 in ascending order of n keys >= 0 of so many bits; the keys are overwritten."""
    rows, spare_rows = place.send(np.arange(n, dtype=np.int32)), place.scratch(n, dtype=np.int32)
    spare_keys = place.scratch(n, dtype=np.int64)
    blocks = -(-n // (_THREADS * _ITEMS))
    totals = place.scratch(_DIGITS * blocks, dtype=np.int64)
    count, scan, move = _kernels()
    for shift in range(0, n_bits, _BITS):
        count(blocks, _THREADS, place.stream, n, shift, keys, totals)
        scan(1, _SCANNING, place.stream, totals)
        move(blocks, _THREADS, place.stream, n, shift, keys, rows, totals, spare_keys, spare_rows)
        keys, spare_keys, rows, spare_rows = spare_keys, keys, spare_rows, rows
    return rows


@functools.cache
def _kernels() -> tuple[Kernel, Kernel, Kernel]:
    """Numbers of each digit in each block; where these begin; and every key to its place."""

    def count(n, shift, keys, totals):
        counters = cuda.shared.array(_COUNTERS, int32)
        thread, block = cuda.threadIdx.x, cuda.blockIdx.x
        for digit in range(_DIGITS):
            counters[digit * _THREADS + thread] = 0
        first = (block * _THREADS + thread) * _ITEMS
        for i in range(first, min(first + _ITEMS, n)):
            counters[((keys[i] >> shift) & (_DIGITS - 1)) * _THREADS + thread] += 1
        cuda.syncthreads()
        for digit in range(thread, _DIGITS, _THREADS):
            total = 0
            for other in range(_THREADS):
                total += counters[digit * _THREADS + other]
            totals[digit * cuda.gridDim.x + block] = total

    def scan(totals):
        sums = cuda.shared.array(_SCANNING, int64)
        thread, n = cuda.threadIdx.x, totals.shape[0]
        share = (n + _SCANNING - 1) // _SCANNING
        first, last = min(thread * share, n), min((thread + 1) * share, n)
        total = 0
        for i in range(first, last):
            total += totals[i]
        sums[thread] = total
        cuda.syncthreads()
        total = 0
        for other in range(thread):
            total += sums[other]
        for i in range(first, last):
            own = totals[i]
            totals[i] = total
            total += own

    def move(n, shift, keys, rows, starts, out_keys, out_rows):
        counters = cuda.shared.array(_COUNTERS, int32)
        thread, block = cuda.threadIdx.x, cuda.blockIdx.x
        for digit in range(_DIGITS):
            counters[digit * _THREADS + thread] = 0
        first = (block * _THREADS + thread) * _ITEMS
        last = min(first + _ITEMS, n)
        for i in range(first, last):
            counters[((keys[i] >> shift) & (_DIGITS - 1)) * _THREADS + thread] += 1
        cuda.syncthreads()
        for digit in range(thread, _DIGITS, _THREADS):
            total = int32(starts[digit * cuda.gridDim.x + block])
            for other in range(_THREADS):
                own = counters[digit * _THREADS + other]
                counters[digit * _THREADS + other] = total
                total += own
        cuda.syncthreads()
        for i in range(first, last):
            counter = ((keys[i] >> shift) & (_DIGITS - 1)) * _THREADS + thread
            out_keys[counters[counter]] = keys[i]
            out_rows[counters[counter]] = rows[i]
            counters[counter] += 1

    return Kernel(count), Kernel(scan), Kernel(move)
