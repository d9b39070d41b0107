"""One feature: sorted points, and for each query a walk to the left and to the right."""

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows


@jit
def _place(values, x, first):
    """The number of values smaller than x, at least `first` if so many are known to be."""
    step = 1
    last = first
    m = values.shape[0]
    while last < m and values[last] < x:  # gallop: the queries come in order, most steps are short
        first = last + 1
        last += step
        step *= 2
    last = min(last, m)
    while first < last:
        middle = (first + last) // 2
        if values[middle] < x:
            first = middle + 1
        else:
            last = middle
    return first


@jit
def _nearest_kernel(start, stop, queries, padded, exclude, k, out, out_rows):
    """The k smallest distances; `padded` has an infinity in front and behind."""
    values = padded[1:-1]
    place = 0
    previous = np.inf
    for i in range(start, stop):
        x = queries[i, 0]
        skipped = -1 if exclude is None else exclude[i]
        elsewhere = False
        if skipped >= 0 and values[skipped] == x:
            left, right = np.uint64(skipped), np.uint64(skipped + 2)  # in the padded array
        else:
            place = _place(values, x, place if x >= previous else 0)
            previous = x
            left, right = np.uint64(place), np.uint64(place + 1)
            elsewhere = skipped >= 0
        for j in range(k):
            if elsewhere:
                left -= np.uint64(left == np.uint64(skipped + 1))
                right += np.uint64(right == np.uint64(skipped + 1))
            below = x - padded[left]
            above = padded[right] - x
            go_left = below <= above
            out[i, j] = below if go_left else above
            if out_rows is not None:
                out_rows[i, j] = (left if go_left else right) - np.uint64(1)
            left -= np.uint64(go_left)
            right += np.uint64(not go_left)


@jit
def _count_kernel(start, stop, queries, padded, exclude, radius, out):
    """How many values lie within the radius of each query."""
    values = padded[1:-1]
    for i in range(start, stop):
        x = queries[i, 0]
        first, last = 0, values.shape[0]
        while first < last:
            middle = (first + last) // 2
            if x - values[middle] > radius[i]:
                first = middle + 1
            else:
                last = middle
        begin, last = first, values.shape[0]
        while first < last:
            middle = (first + last) // 2
            if values[middle] - x > radius[i]:
                last = middle
            else:
                first = middle + 1
        out[i] = first - begin
        if exclude is not None and begin <= exclude[i] < first:
            out[i] -= 1


class Line:
    """Points on a line, in ascending order."""

    def __init__(self, points: np.ndarray, n_jobs: int):
        self._given = points
        self._padded = np.empty(len(points) + 2)
        self._padded[0], self._padded[-1] = -np.inf, np.inf
        self._padded[1:-1] = points[:, 0]
        self._padded[1:-1].sort()
        self._padded = frozen(self._padded)
        self.points = self._padded[1:-1].reshape(-1, 1)
        self._n_jobs = n_jobs

    @property
    def order(self) -> np.ndarray:
        """Rows of the sorted points in the array given."""
        return self.order_of(self._given)

    def order_of(self, queries: np.ndarray) -> np.ndarray:
        """The order in which a search for these queries is fast."""
        return np.argsort(queries[:, 0], kind="stable")

    def nearest(self, queries, k: int, exclude, with_rows: bool, progress=None):
        """Distances to the k nearest points, and their rows if asked for."""
        out = np.empty((len(queries), k))
        rows = np.empty((len(queries), k), dtype=np.int64) if with_rows else None
        arguments = queries, self._padded, exclude, k, out, rows
        run_rows(_nearest_kernel, len(queries), *arguments, n_jobs=self._n_jobs, row_cost=4 * k, progress=progress)
        return out, rows

    def count_within(self, queries: np.ndarray, radius: np.ndarray, exclude) -> np.ndarray:
        out = np.empty(len(queries), dtype=np.int64)
        run_rows(
            _count_kernel, len(queries), queries, self._padded, exclude, radius, out, n_jobs=self._n_jobs, row_cost=100
        )
        return out
