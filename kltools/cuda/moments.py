"""Moments of a sample and quadratic functions of its rows, by products of tiles in shared memory.

What is summed over rows is summed in chunks of `_CHUNK` rows, which are folded in order, so that the result depends
neither on the shape of a launch nor on how much of the sample the device holds at a time.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._once import once
from ..models import moments
from ._compat import SIMULATED, THREADS, Kernel, cuda, device, types
from .interop import Place
from .memory import telling_shortage, workspace

float64 = types.float64
_SIDE = math.isqrt(THREADS)  # threads on a side of a tile
_DEPTH = _SIDE  # terms that are added before new ones are read
_CHUNK = 16 if SIMULATED else 1024  # rows
_MOST_OWN = 4  # numbers of a thread on a side of a tile
_MOST_PARTS, _MOST_CHUNKS = 1 << 23, 1 << 15  # numbers, and chunks, whose sums are kept at a time
_FOLDING_BLOCKS = 2 if SIMULATED else 1 << 12


class Rows(moments.Rows):
    """The twin of `models.moments.Rows`: rows on the device, or sent in blocks where they do not fit there."""

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean less the origin, and the products of deviations from the mean, summed: shapes (d,) and (d, d)."""
        d, own = self.d, own_on_side(self.d)
        sides = -(-d // (_SIDE * own))
        with telling_shortage(), Place() as place:
            origin, zeros = place.send(_floats(self.origin)), place.send(np.zeros(d))
            offset = self._summed(_column_sums(), 1, d, (origin, zeros), place) / self.n
            center = origin, place.send(offset)
            lower = self._summed(products(own), sides * (sides + 1) // 2, d * d, center, place).reshape(d, d)
        return offset, np.tril(lower) + np.tril(lower, -1).T

    def squares(
        self,
        origin: np.ndarray,
        offset: np.ndarray,
        matrix: np.ndarray | None = None,
        constants: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> np.ndarray:
        """Sums of weighted squares of matrix (x - origin - offset) + constants for each row x, shape (n,)."""
        matrix = np.eye(self.d) if matrix is None else matrix
        length = len(matrix)
        constants = np.zeros(length) if constants is None else constants
        weights = np.ones(length) if weights is None else weights
        own, found = own_on_side(self.d), np.empty(self.n)
        with telling_shortage(), Place() as place:
            given = [place.send(_floats(a).reshape(-1)) for a in (origin, offset, matrix.T, constants, weights)]
            for block, x in self._blocks(place):
                n = block.stop - block.start
                out = place.scratch(n)
                squares(own)(-(-n // (_SIDE * own)), THREADS, place.stream, n, self.d, length, x, *given, out)
                found[block] = place.receive(out)
        return found

    def _summed(self, kernel: Kernel, n_tiles: int, size: int, center: tuple, place: Place) -> np.ndarray:
        """So many sums over all rows, of which a kernel writes those over each chunk."""
        totals = place.send(np.zeros(size))
        at_once = max(1, min(_MOST_CHUNKS, min(_MOST_PARTS, workspace() // 16) // size))
        for block, x in self._blocks(place):
            n = block.stop - block.start
            n_chunks = -(-n // _CHUNK)
            parts = place.scratch(min(at_once, n_chunks), size)
            for first in range(0, n_chunks, at_once):
                length = min(at_once, n_chunks - first)
                kernel((n_tiles, length), THREADS, place.stream, n, self.d, first, x, *center, parts)
                blocks = min(-(-size // THREADS), _FOLDING_BLOCKS)
                _folded()(blocks, THREADS, place.stream, length, parts, totals)
        return place.receive(totals)

    def _blocks(self, place: Place) -> Iterator[tuple[slice, Any]]:
        """Rows by whole chunks, with what the device has of them; all of them stay there if they fit."""
        if self._rows_at_once >= self.n:
            yield slice(0, self.n), self._held
            return
        for start in range(0, self.n, self._rows_at_once):
            block = slice(start, min(start + self._rows_at_once, self.n))
            yield block, place.view(self.X[block]).flat

    @once
    def _rows_at_once(self) -> int:
        return max(1, workspace() // (2 * self.X.itemsize * self.d * _CHUNK)) * _CHUNK

    @once
    def _held(self) -> Any:
        with Place() as place:
            return place.view(self.X).flat


def own_on_side(d: int) -> int:
    """Numbers of a thread on a side of a tile: one where that tile is large enough already."""
    return 1 if d <= _SIDE else _MOST_OWN


def _floats(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=np.float64)


# ---------------------------------------------------------------- kernels


@functools.cache
def _column_sums() -> Kernel:
    """Sums of each column less its origin over the rows of a chunk: teams of threads take turns at the rows."""

    def column_sums(n, d, first_chunk, x, origin, offset, parts):
        kept = cuda.shared.array(THREADS, float64)
        thread, chunk = cuda.threadIdx.x, cuda.blockIdx.y
        start = (first_chunk + chunk) * _CHUNK
        stop = min(start + _CHUNK, n)
        width = min(d, THREADS)
        teams = THREADS // width
        for begin in range(0, d, width):
            column = begin + thread % width
            total = 0.0
            if thread < teams * width and column < d:
                for row in range(start + thread // width, stop, teams):
                    total += (float64(x[row * d + column]) - origin[column]) - offset[column]
            kept[thread] = total
            cuda.syncthreads()
            if thread < width and column < d:
                for team in range(1, teams):
                    total += kept[thread + team * width]
                parts[chunk, column] = total
            cuda.syncthreads()

    return Kernel(column_sums)


@functools.cache
def _folded() -> Kernel:
    """Adds the sums of chunks to the totals, one chunk after the other."""

    def folded(n_chunks, parts, totals):
        for e in range(cuda.grid(1), totals.shape[0], cuda.gridsize(1)):
            total = totals[e]
            for chunk in range(n_chunks):
                total += parts[chunk, e]
            totals[e] = total

    return Kernel(folded)


@functools.cache
def _multiplied(own: int) -> Any:
    """Adds the products of two tiles, whose lines stand `_SIDE * own + 1` apart, to what a thread has."""
    stride = _SIDE * own + 1

    def multiplied(left, right, sums):
        line, column = cuda.threadIdx.x // _SIDE, cuda.threadIdx.x % _SIDE
        for t in range(_DEPTH):
            for r in range(own):
                factor = left[t * stride + r * _SIDE + line]
                for c in range(own):
                    at = r * own + c
                    sums[at] = cuda.fma(factor, right[t * stride + c * _SIDE + column], sums[at])

    return device(multiplied)


@functools.cache
def products(own: int) -> Kernel:
    """Products of deviations summed over a chunk, for a tile of columns on or below the diagonal."""
    width, stride, n_sums = _SIDE * own, _SIDE * own + 1, own * own
    size, multiply = _DEPTH * stride, _multiplied(own)

    def cross_products(n, d, first_chunk, x, origin, offset, parts):
        left = cuda.shared.array(size, float64)
        right = cuda.shared.array(size, float64)
        sums = cuda.local.array(n_sums, float64)
        thread, chunk = cuda.threadIdx.x, cuda.blockIdx.y
        down, across = 0, cuda.blockIdx.x
        while across > down:  # tiles line by line: one, two, three ...
            down += 1
            across -= down
        for a in range(n_sums):
            sums[a] = 0.0
        start = (first_chunk + chunk) * _CHUNK
        stop = min(start + _CHUNK, n)
        for begin in range(start, stop, _DEPTH):
            cuda.syncthreads()
            for e in range(thread, _DEPTH * width, THREADS):
                row, at = begin + e // width, e // width * stride + e % width
                i, j = down * width + e % width, across * width + e % width
                left[at] = (float64(x[row * d + i]) - origin[i]) - offset[i] if row < stop and i < d else 0.0
                right[at] = (float64(x[row * d + j]) - origin[j]) - offset[j] if row < stop and j < d else 0.0
            cuda.syncthreads()
            multiply(left, right, sums)
        for r in range(own):
            for c in range(own):
                i = down * width + r * _SIDE + thread // _SIDE
                j = across * width + c * _SIDE + thread % _SIDE
                if i < d and j < d:
                    parts[chunk, i * d + j] = sums[r * own + c]

    cross_products.__name__ = f"cross_products_{own}"
    return Kernel(cross_products)


@functools.cache
def squares(own: int) -> Kernel:
    """For each row x the sum of weighted squares of matrix (x - origin - offset) + constants; the matrix is turned."""
    width, stride, n_sums = _SIDE * own, _SIDE * own + 1, own * own
    size, multiply = _DEPTH * stride, _multiplied(own)

    def weighted_squares(n, d, length, x, origin, offset, matrix, constants, weights, out):
        left = cuda.shared.array(size, float64)
        right = cuda.shared.array(size, float64)
        sums = cuda.local.array(n_sums, float64)
        found = cuda.local.array(own, float64)
        thread, first_row = cuda.threadIdx.x, cuda.blockIdx.x * width
        line, column = thread // _SIDE, thread % _SIDE
        for r in range(own):
            found[r] = 0.0
        for first in range(0, length, width):
            for a in range(n_sums):
                sums[a] = 0.0
            for begin in range(0, d, _DEPTH):
                cuda.syncthreads()
                for e in range(thread, _DEPTH * width, THREADS):
                    row, k = first_row + e // _DEPTH, begin + e % _DEPTH
                    number = (float64(x[row * d + k]) - origin[k]) - offset[k] if row < n and k < d else 0.0
                    left[e % _DEPTH * stride + e // _DEPTH] = number
                    k, j = begin + e // width, first + e % width
                    right[e // width * stride + e % width] = matrix[k * length + j] if k < d and j < length else 0.0
                cuda.syncthreads()
                multiply(left, right, sums)
            for c in range(own):
                j = first + c * _SIDE + column
                if j < length:
                    for r in range(own):
                        number = sums[r * own + c] + constants[j]
                        found[r] += weights[j] * (number * number)
        for r in range(own):
            cuda.syncthreads()
            left[line * _SIDE + column] = found[r]
            cuda.syncthreads()
            row = first_row + r * _SIDE + line
            if column == 0 and row < n:
                total = 0.0
                for other in range(_SIDE):
                    total += left[line * _SIDE + other]
                out[row] = total

    weighted_squares.__name__ = f"weighted_squares_{own}"
    return Kernel(weighted_squares)
