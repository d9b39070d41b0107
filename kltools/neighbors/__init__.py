"""Exact nearest-neighbour distances: the ground that every sample-based estimator stands on."""

import numpy as np

from .. import _arrays, _device, _validation
from .._jit import effective_n_jobs
from ..errors import NotEnoughSamplesError, ShapeMismatchError
from . import brute, tree, wide

__all__ = ["Reference", "kth_neighbor_distances"]

ROWS_AT_ONCE = 1 << 16  # queries whose neighbours are held in memory by those who need a mean alone
_TREE_MAX_FEATURES = 8
_TREE_MIN_ROWS = 128
_LARGEST_EXPONENT = 480  # squares of differences of numbers up to 2**480, and their sums, do not overflow
_SMALLEST_EXPONENT = -200  # squares of what float64 resolves in smaller numbers might underflow


def in_safe_range(*arrays: np.ndarray) -> tuple[list[np.ndarray], int]:
    """The arrays divided by one power of two, and its exponent, so that squared distances stay within float64.

    The exponent is 0 for ordinary data, which are then not touched at all.
    """
    largest = max((float(np.abs(a).max()) for a in arrays if a.size), default=0.0)
    exponent = int(np.frexp(largest)[1])
    if largest == 0.0 or _SMALLEST_EXPONENT <= exponent <= _LARGEST_EXPONENT:
        return list(arrays), 0
    exponent -= max(0, min(exponent, _LARGEST_EXPONENT))
    return [_arrays.frozen(np.ldexp(a, -exponent)) for a in arrays], exponent


class Reference:
    """Points among which neighbours are searched, prepared once for any number of searches.

    Distances are those of the direct formula sqrt(sum((x - y)**2)) in float64, whatever the algorithm.

    Parameters
    ----------
    points : ndarray of shape (m, d)
        Validated, and scaled so that squared distances do not overflow (`in_safe_range`).
    n_jobs : int
        Threads.
    """

    def __init__(self, points: np.ndarray, n_jobs: int = 1):
        self.points = points = _arrays.frozen(points)
        self.n_jobs = n_jobs
        m, d = points.shape
        use_tree = d <= _TREE_MAX_FEATURES and m >= _TREE_MIN_ROWS
        self._search = tree.Tree(points, n_jobs) if use_tree else brute.Brute(points, n_jobs)
        self._wide = wide.is_wide(points)

    def nearest(self, queries: np.ndarray, k: int, exclude: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Distances to the k nearest points, ascending, and the rows of those, each of shape (n, k).

        ``exclude[i]`` is the row of the reference that is no neighbour of query i (-1 for none).
        """
        queries, exclude = _arrays.frozen(queries), _exclusion(exclude, len(queries))
        squares, rows = self._search.nearest(queries, k, exclude)
        distances = np.sqrt(squares, out=squares)
        for i in self._suspects(queries, distances[:, 0]):
            exact = wide.distances(queries[i], self.points, exclude[i])
            rows[i] = np.argsort(exact, kind="stable")[:k]
            distances[i] = exact[rows[i]]
        return distances, rows

    def kth_distances(self, queries: np.ndarray, k: int, exclude: np.ndarray | None = None) -> np.ndarray:
        """Distances to the 1st to k-th neighbour, ascending, shape (n, k)."""
        return self.nearest(queries, k, exclude)[0]

    def count_within(self, queries: np.ndarray, radius: np.ndarray, exclude: np.ndarray | None = None) -> np.ndarray:
        """Number of points at distance <= radius[i] from query i, shape (n,)."""
        queries, exclude = _arrays.frozen(queries), _exclusion(exclude, len(queries))
        radius = _arrays.frozen(radius)
        counts = self._search.count_within(queries, radius, exclude)
        for i in self._suspects(queries, radius):
            counts[i] = np.count_nonzero(wide.distances(queries[i], self.points, exclude[i]) <= radius[i])
        return counts

    def _suspects(self, queries: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Queries at whose distances squares have underflowed, though points may differ."""
        if not (self._wide or wide.is_wide(queries)):
            return np.empty(0, dtype=np.intp)
        return np.flatnonzero(distance < wide.SMALLEST_SAFE_DISTANCE)


def _exclusion(exclude: np.ndarray | None, n: int) -> np.ndarray:
    return _arrays.frozen(np.full(n, -1) if exclude is None else exclude)


def kth_neighbor_distances(X, Y=None, *, k, n_jobs=None, device=None):
    r"""Euclidean distances from each row of X to its 1st to k-th nearest neighbour.

    .. math:: \rho_k(i) = \min\{r : \#\{j : \lVert x_i - y_j \rVert \le r\} \ge k\}

    The distances are those of the direct float64 formula, to the last bits; nothing is approximated.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Points whose neighbours are sought.
    Y : array-like of shape (m, d) or (m,), optional
        Points among which they are sought. By default X itself, where a row is no neighbour of itself
        (it is left out by its index, so that equal rows count as neighbours at distance 0).
    k : int
        Number of neighbours, at most m, or n - 1 without Y.
    n_jobs : int, optional
        Threads; -1 for all cores. The result does not depend on it.
    device : {None, "cpu", "cuda"}
        None follows the data.

    Returns
    -------
    ndarray of shape (n, k)
        Distances in ascending order, in the unit of the data.

    Raises
    ------
    NotEnoughSamplesError
        Where there are fewer than k neighbours.

    References
    ----------
    J. L. Bentley (1975), Multidimensional binary search trees used for associative searching.

    Examples
    --------
    >>> from kltools import kth_neighbor_distances
    >>> kth_neighbor_distances([0.0, 1.0, 3.0], k=2)
    array([[1., 3.],
           [1., 2.],
           [2., 3.]])
    """
    if _device.resolve(device, X, Y) == "cuda":
        return _device.twin("kth_neighbor_distances")(X, Y, k=k)
    n_jobs = effective_n_jobs(_validation.check_n_jobs(n_jobs))
    if Y is not None:
        _validation.check_same_columns(X, Y)
    queries, _ = _validation.sample(X, "X")
    points = queries if Y is None else _validation.sample(Y, "Y")[0]
    k = _validation.integer(k, "k", minimum=1)
    if points.shape[1] != queries.shape[1]:
        raise ShapeMismatchError(f"X has {queries.shape[1]} features, Y has {points.shape[1]}.")
    available = len(points) - (Y is None)
    if k > available:
        raise NotEnoughSamplesError(f"k={k} needs as many neighbours, there are {available} (shape {points.shape}).")
    (queries, points), exponent = in_safe_range(queries, points)
    exclude = np.arange(len(queries)) if Y is None else None
    distances = Reference(points, n_jobs).kth_distances(queries, k, exclude)
    with np.errstate(over="ignore"):  # a distance beyond the largest float64 is inf
        return np.ldexp(distances, exponent)
