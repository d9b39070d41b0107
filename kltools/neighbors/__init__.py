"""Exact nearest-neighbour distances: the ground that every sample-based estimator stands on.

A `Reference` chooses among the structures `line` (one feature), `tree` (few features, or few that matter)
and `brute` (many); all have the methods ``nearest``, ``count_within`` and ``order_of``.
"""

from typing import Any

import numpy as np

from .. import _arrays, _device, _validation
from .._jit import Progress, call_all, effective_n_jobs
from .._simd import EUCLIDEAN, MAXIMUM
from ..errors import NotEnoughSamplesError, ShapeMismatchError
from . import brute, line, tree, wide

__all__ = ["Reference", "kth_neighbor_distances"]

NORMS = {"euclidean": EUCLIDEAN, "maximum": MAXIMUM}
ALWAYS_TREE, NEVER_TREE = 8, 16  # features; in between a probe decides
FEWEST_ROWS_TO_PROBE = 50_000  # with fewer, comparing all pairs takes less than compiling a tree as well
_PROBED, _PROBED_NEIGHBORS = 200, 5
_OFTEN_TREE, _OFTEN_TREE_ROWS = 32, 2000  # features and rows up to which a tree, once compiled, is the faster one
_LARGEST_SHARE_VISITED = 0.2  # of the leaves; a tree compares in float64 and in smaller tiles
_ROWS_WORTH_A_THREAD = 20_000
_LARGEST_EXPONENT = 480  # squares of differences of numbers up to 2**480, and their sums, do not overflow
_SMALLEST_EXPONENT = -200  # squares of what float64 resolves in smaller numbers might underflow


def in_safe_range(*arrays: np.ndarray) -> tuple[list[np.ndarray], int]:
    """The arrays divided by one power of two, and its exponent, so that squared distances stay within float64.

    The exponent is 0 for ordinary data, which are then not touched at all.
    """
    exponent = safe_exponent(max(wide.largest(a) for a in arrays))
    return [divided(a, exponent) for a in arrays], exponent


def safe_exponent(largest: float) -> int:
    """The power of two that data with this largest magnitude are to be divided by."""
    exponent = int(np.frexp(largest)[1])
    if largest == 0.0 or _SMALLEST_EXPONENT <= exponent <= _LARGEST_EXPONENT:
        return 0
    return exponent - max(0, min(exponent, _LARGEST_EXPONENT))


def divided(points: np.ndarray, exponent: int) -> np.ndarray:
    """Points divided by a power of two."""
    return _arrays.frozen(np.ldexp(points, -exponent)) if exponent else points


def _structure(points: np.ndarray, norm: str, n_jobs: int, asked_often: bool) -> Any:
    """Points prepared by the algorithm that suits them."""
    m, d = points.shape
    if d == 1:
        return line.Line(points, n_jobs)
    is_small = asked_often and d <= _OFTEN_TREE and m <= _OFTEN_TREE_ROWS
    if d <= ALWAYS_TREE or norm != "euclidean" or is_small:
        return tree.Tree(points, NORMS[norm], n_jobs)
    if d < NEVER_TREE and m >= FEWEST_ROWS_TO_PROBE:
        candidate = tree.Tree(points, NORMS[norm], n_jobs)
        if candidate.share_visited(_PROBED, _PROBED_NEIGHBORS) < _LARGEST_SHARE_VISITED:
            return candidate
    return brute.Brute(points, n_jobs)


class Reference:
    """Points among which neighbours are searched, prepared once for any number of searches.

    Distances are those of the direct formula in float64, to 4 units in the last place, whatever the algorithm.

    Parameters
    ----------
    points : ndarray of shape (m, d)
        Validated, and scaled so that squared distances do not overflow (`in_safe_range`).
    n_jobs : int
        Threads.
    norm : {"euclidean", "maximum"}
    device : {"cpu", "cuda"}
        Where the points are kept and compared, by Euclidean distance; what is asked and found lives on the host.
    asked_often : bool
        Whether so much will be asked that compiling an algorithm for this number of features pays.

    Attributes
    ----------
    shape : (m, d)
    points : ndarray of shape (m, d)
        The points in an order in which neighbours stand close together. Searches for them in this order are
        fast, and rows that searches tell are rows of this array.
    order : ndarray of shape (m,)
        Their rows in the array given.
    """

    def __init__(
        self,
        points: np.ndarray,
        n_jobs: int = 1,
        norm: str = "euclidean",
        device: str = "cpu",
        asked_often: bool = False,
    ):
        self.n_jobs = n_jobs
        points = _arrays.frozen(points)
        on_gpu = device == "cuda"
        self._structure = _device.twin("structure")(points) if on_gpu else _structure(points, norm, n_jobs, asked_often)
        self.shape = points.shape
        self._squares = norm == "euclidean" and (points.shape[1] > 1 or on_gpu)
        self._wide = self._squares and wide.is_wide(points)

    @property
    def points(self) -> np.ndarray:
        return self._structure.points

    @property
    def order(self) -> np.ndarray:
        return self._structure.order

    def order_of(self, queries: np.ndarray) -> np.ndarray:
        """An order of other points in which searches for them are fast."""
        return self._structure.order_of(_arrays.frozen(queries))

    def nearest(
        self, queries: np.ndarray | None, k: int, exclude: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distances to the k nearest points, ascending, and the rows of those, each of shape (n, k).

        ``exclude[i]`` is the row that is no neighbour of query i (-1 for none). Without queries the
        neighbours of each of the points among the others are found.
        """
        return self._nearest(queries, k, exclude, with_rows=True)

    def kth_distances(
        self,
        queries: np.ndarray | None,
        k: int,
        exclude: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Distances to the 1st to k-th neighbour, ascending, shape (n, k)."""
        return self._nearest(queries, k, exclude, with_rows=False, progress=progress)[0]

    def _nearest(self, queries, k, exclude, with_rows, progress=None):
        if queries is None:
            queries, exclude = self.points, np.arange(len(self.points))
        else:
            queries = _arrays.frozen(queries)
        exclude = None if exclude is None else _arrays.frozen(exclude)
        distances, rows = self._structure.nearest(queries, k, exclude, with_rows, progress)
        for i in self._suspects(queries, distances[:, 0]):
            exact = wide.distances(queries[i], self.points, -1 if exclude is None else exclude[i])
            nearest = np.argsort(exact, kind="stable")[:k]
            distances[i] = exact[nearest]
            if with_rows:
                rows[i] = nearest
        return distances, rows

    def count_within(self, queries: np.ndarray, radius: np.ndarray, exclude: np.ndarray | None = None) -> np.ndarray:
        """Number of points at distance <= radius[i] from query i, shape (n,)."""
        queries, radius = _arrays.frozen(queries), _arrays.frozen(radius)
        exclude = None if exclude is None else _arrays.frozen(exclude)
        counts = self._structure.count_within(queries, radius, exclude)
        for i in self._suspects(queries, radius):
            distances = wide.distances(queries[i], self.points, -1 if exclude is None else exclude[i])
            counts[i] = np.count_nonzero(distances <= radius[i])
        return counts

    def _suspects(self, queries: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Queries at whose distances squares have underflowed, though points may differ."""
        if not self._squares or not (self._wide or wide.is_wide(queries)):
            return np.empty(0, dtype=np.intp)
        return np.flatnonzero(distance < wide.SMALLEST_SAFE_DISTANCE)


def references(X: np.ndarray, Y: np.ndarray, n_jobs: int = 1, device: str = "cpu") -> tuple[Reference, Reference]:
    """Two references; parts of their preparation are serial, so that threads prepare them at the same time."""
    if device == "cuda" or n_jobs < 2 or min(len(X), len(Y)) < _ROWS_WORTH_A_THREAD:
        return Reference(X, n_jobs, device=device), Reference(Y, n_jobs, device=device)
    own, other = call_all([lambda: Reference(X, n_jobs), lambda: Reference(Y, n_jobs)], n_jobs)
    return own, other


def kth_neighbor_distances(X, Y=None, *, k, n_jobs=None, device=None):
    r"""Euclidean distances from each row of X to its 1st to k-th nearest neighbour.

    .. math:: \rho_k(i) = \min\{r : \#\{j : \lVert x_i - y_j \rVert \le r\} \ge k\}

    The distances are those of the direct float64 formula, to 4 units in the last place; nothing is approximated.

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
        Distances in ascending order, in the unit of the data; inf where they exceed the largest float64. Where X or
        Y lives on a GPU, an array of its library there.

    Raises
    ------
    NotEnoughSamplesError
        Where there are fewer than k neighbours.
    DeviceUnavailableError
        Where the device cannot be used.

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
    return distances_to_nearest(X, Y, k, effective_n_jobs(_validation.check_n_jobs(n_jobs)))


def distances_to_nearest(X: Any, Y: Any, k: Any, n_jobs: int = 1, device: str = "cpu") -> np.ndarray:
    """`kth_neighbor_distances` of array-likes of the host, searched for by either device."""
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
    reference = Reference(points, n_jobs, device=device)
    if Y is None:
        order, sorted_queries = reference.order, None
    else:
        order = reference.order_of(queries)
        sorted_queries = queries[order]
    distances = np.empty((len(queries), k))
    distances[order] = reference.kth_distances(sorted_queries, k)
    if exponent:
        with np.errstate(over="ignore"):  # a distance beyond the largest float64 is inf
            return np.ldexp(distances, exponent)
    return distances
