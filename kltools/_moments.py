"""Means and covariances of rows, from chunks of them whose moments are added in order.

They come out the same, to the last bit, wherever the chunks are computed: in one array, in blocks of a file, or on
other machines. (Products of matrices would not: their sums depend on the library and on its threads.)
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ._arrays import frozen
from ._jit import jit, run_rows
from ._simd import Const, fma, load, splat, total

CHUNK = 4096  # rows
_LANES = Const(8)
_NUMBERS_AT_ONCE = 2**21  # of products of columns
_STRIDE = CHUNK + 8  # of columns: at a power of two they would crowd into the same lines of the cache


@jit
def _moments_kernel(start, stop, X, inside, origin, counts, means, products):
    """Count, mean and sums of products of deviations of chunks of rows, or of those inside."""
    d = X.shape[1]
    columns = np.zeros((d, _STRIDE))
    for chunk in range(start, stop):
        n = 0
        for i in range(chunk * CHUNK, min((chunk + 1) * CHUNK, X.shape[0])):
            if inside is None or inside[i]:
                for j in range(d):
                    columns[j, n] = X[i, j] - origin[j]
                n += 1
        counts[chunk] = n
        stop_lanes = (n + 7) // 8 * 8
        for j in range(d):
            for i in range(n, stop_lanes):
                columns[j, i] = 0.0
            sums = splat(0.0, _LANES)
            for i in range(j * _STRIDE, j * _STRIDE + stop_lanes, 8):
                sums = sums + load(columns, i, _LANES)
            means[chunk, j] = total(sums) / max(n, 1)
            for i in range(n):
                columns[j, i] -= means[chunk, j]
        for j in range(d):
            for k in range(j, d):
                sums = splat(0.0, _LANES)
                for i in range(0, stop_lanes, 8):
                    sums = fma(load(columns, j * _STRIDE + i, _LANES), load(columns, k * _STRIDE + i, _LANES), sums)
                products[chunk, j, k] = products[chunk, k, j] = total(sums)


@dataclass(frozen=True)
class RowMoments:
    """Count and mean of rows less an origin, and sums of products of their deviations from the mean."""

    count: int
    mean: np.ndarray
    products: np.ndarray

    def __add__(self, other: RowMoments) -> RowMoments:
        """Moments of both sets of rows together (Chan, Golub and LeVeque 1983, eq. 2.1)."""
        if self.count == 0 or other.count == 0:
            return self if other.count == 0 else other
        count = self.count + other.count
        step, share = other.mean - self.mean, other.count / count
        between = step[:, None] * step * (self.count * share)
        return RowMoments(count, self.mean + step * share, self.products + other.products + between)

    @property
    def covariance(self) -> np.ndarray:
        return self.products / max(self.count - 1, 1)


def chunk_moments(
    X: np.ndarray, origin: np.ndarray, inside: np.ndarray | None = None, n_jobs: int = 1
) -> Iterator[RowMoments]:
    """Moments of every `CHUNK` rows, or of those of them that are inside; a few chunks at a time are kept."""
    n, d = X.shape
    at_once = max(1, _NUMBERS_AT_ONCE // (d * d)) * CHUNK
    for first in range(0, n, at_once):
        rows = slice(first, first + at_once)
        n_chunks = -(-min(at_once, n - first) // CHUNK)
        counts, means, products = np.empty(n_chunks, np.int64), np.empty((n_chunks, d)), np.empty((n_chunks, d, d))
        arguments = frozen(X[rows]), None if inside is None else frozen(inside[rows]), frozen(origin)
        row_cost = CHUNK * d * d
        run_rows(_moments_kernel, n_chunks, *arguments, counts, means, products, n_jobs=n_jobs, row_cost=row_cost)
        for count, mean, product in zip(counts, means, products, strict=True):
            yield RowMoments(int(count), mean, product)


def added(parts: Iterable[RowMoments]) -> RowMoments:
    """Moments of all rows, from those of the chunks in their order."""
    return functools.reduce(lambda a, b: a + b, parts)
