"""All pairs, for many features and for few points.

References are stored by feature, so that the inner loop runs over neighbouring points without a
reduction: the compiler uses vector instructions, and every sum keeps the order of the direct formula.
"""

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from ._nearest import largest_square_within, replace_farthest, sort_heap

_TILE = 256


@jit
def _squared_distances(query, points_t, first, last, out):
    """Squared distances from one query to the points [first, last)."""
    for j in range(last - first):
        out[j] = 0.0
    for feature in range(query.shape[0]):
        value = query[feature]
        column = points_t[feature, first:last]
        for j in range(last - first):
            difference = value - column[j]
            out[j] += difference * difference


@jit
def _kth_kernel(start, stop, queries, points_t, exclude, out_squares, out_points):
    m = points_t.shape[1]
    squares = np.empty(_TILE)
    for i in range(start, stop):
        nearest = out_squares[i]
        nearest[:] = np.inf
        for first in range(0, m, _TILE):
            last = min(first + _TILE, m)
            _squared_distances(queries[i], points_t, first, last, squares)
            for j in range(last - first):
                if squares[j] < nearest[0] and first + j != exclude[i]:
                    replace_farthest(nearest, out_points[i], squares[j], first + j)
        sort_heap(nearest, out_points[i])


@jit
def _count_kernel(start, stop, queries, points_t, exclude, radius, out):
    m = points_t.shape[1]
    squares = np.empty(_TILE)
    for i in range(start, stop):
        limit = largest_square_within(radius[i])
        count = 0
        for first in range(0, m, _TILE):
            last = min(first + _TILE, m)
            _squared_distances(queries[i], points_t, first, last, squares)
            for j in range(last - first):
                if squares[j] <= limit and first + j != exclude[i]:
                    count += 1
        out[i] = count


class Brute:
    def __init__(self, points: np.ndarray, n_jobs: int):
        self._points_t = frozen(np.ascontiguousarray(points.T))
        self._n_jobs = n_jobs
        self._row_cost = points.size

    def nearest(self, queries: np.ndarray, k: int, exclude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances and rows of the k nearest points, the nearest first."""
        squares = np.empty((len(queries), k))
        points = np.zeros((len(queries), k), dtype=np.int64)
        arguments = (queries, self._points_t, exclude, squares, points)
        run_rows(_kth_kernel, len(queries), *arguments, n_jobs=self._n_jobs, row_cost=self._row_cost)
        return squares, points

    def count_within(self, queries: np.ndarray, radius: np.ndarray, exclude: np.ndarray) -> np.ndarray:
        out = np.empty(len(queries), dtype=np.int64)
        arguments = (queries, self._points_t, exclude, radius, out)
        run_rows(_count_kernel, len(queries), *arguments, n_jobs=self._n_jobs, row_cost=self._row_cost)
        return out
