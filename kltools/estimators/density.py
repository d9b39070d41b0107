"""Densities, and ratios of densities, from nearest neighbours: also where distances tie."""

import math

import numpy as np

from .._formula import digamma
from .._scalar import log_ball_volume
from ..neighbors import Reference
from ..neighbors.neighborhood import Search
from ..neighbors.reductions import TIE_TOLERANCE

_ROWS_TO_PROBE, _FEWEST_ROWS_TO_PROBE = 500, 50
_DISCRETE_SHARE = 0.1  # more tied rows than this, and the data as a whole are taken as discrete


def counts_where_tied(
    references: tuple[Reference, Reference], distances: tuple[np.ndarray, np.ndarray], tied: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the first sample to be treated as tied, and the rows of both samples within equal radii of them.

    The radius is the larger of the distances to the k-th neighbour in either sample (Wang, Kulkarni and
    Verdu 2009, eq. 29). Where more than a tenth of the rows are tied, all are treated so.
    """
    own, other = references
    chosen, radius = where_to_count(distances, tied)
    queries = own.points[chosen]
    return chosen, own.count_within(queries, radius, chosen), other.count_within(queries, radius)


def where_to_count(distances: tuple[np.ndarray, np.ndarray], tied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of `counts_where_tied`, and their radii."""
    chosen = np.flatnonzero(tied | (tied.mean() > _DISCRETE_SHARE))
    return chosen, np.maximum(*distances)[chosen] * (1.0 + TIE_TOLERANCE)


def log_density(reference: Reference, queries: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """k-NN estimate of the log-density of the reference at each query, averaged over k."""
    order = reference.order_of(queries)
    result = np.empty(len(queries))
    search = Search(ks, reference.n_jobs)
    result[order] = np.mean(log_densities(search, reference, queries[order])[0], axis=0)
    return result


def log_densities(
    search: Search, reference: Reference, queries: np.ndarray | None
) -> tuple[list[np.ndarray], np.ndarray, int]:
    """digamma(l) - log N - log c_d - d log r at each query for every k; which tie; how many lie on a point.

    r is the k-th distance and l = k; where that distance is 0 or not unique, r is the smallest positive
    one from there on and l the number of points within it. N is the number of points that count. Without
    queries the density is that of the other points, at each of the points.
    """
    m, d = reference.shape
    available = m - (queries is None)
    near = search.among(reference) if queries is None else search.of(queries, reference)
    asked, exclude = (reference.points, np.arange(m)) if queries is None else (queries, None)
    densities = []
    for k, radius, tied in zip(search.ks, near.distances, near.tied, strict=True):
        count = np.full(len(asked), k)
        if tied.any():
            rows = np.flatnonzero(tied)
            skip = None if exclude is None else exclude[rows]
            radius[rows] = _smallest_positive(reference, asked[rows], radius[rows], k, available, skip)
            count[rows] = reference.count_within(asked[rows], radius[rows] * (1.0 + TIE_TOLERANCE), skip)
        with np.errstate(divide="ignore"):
            densities.append(digamma(count) - math.log(available) - log_ball_volume(d) - d * np.log(radius))
    return densities, near.tied, near.n_at_zero


def _smallest_positive(
    reference: Reference, queries: np.ndarray, radius: np.ndarray, k: int, available: int, exclude: np.ndarray | None
) -> np.ndarray:
    """The radius where it is positive, else the distance to the nearest point elsewhere (0 if there is none)."""
    radius = radius.copy()
    while k < available and (radius == 0.0).any():
        k = min(2 * k, available)
        rows = np.flatnonzero(radius == 0.0)
        distances = reference.kth_distances(queries[rows], k, None if exclude is None else exclude[rows])
        first = np.argmax(distances > 0.0, axis=1)
        radius[rows] = distances[np.arange(len(rows)), first]
    return radius


def share_outside(nu: np.ndarray, Y: np.ndarray, other: Reference, k: int) -> float:
    """Share of the rows of X that lie farther from Y than 99% of the rows of Y from one another (k-th distances)."""
    return share_beyond(nu, usual_distance(Y, other, k))


def usual_distance(Y: np.ndarray, other: Reference, k: int) -> float:
    """The distance within which 99% of the rows of Y have their k-th neighbour; inf for too few rows to tell."""
    probed = rows_to_probe(len(Y), k)
    return math.inf if probed is None else distance_of_most(other.kth_distances(Y[probed], k + 1))


def rows_to_probe(m: int, k: int) -> np.ndarray | None:
    """Rows of Y whose distances to their neighbours show how far apart rows are; None where there are too few."""
    if m < _FEWEST_ROWS_TO_PROBE or k == m:
        return None
    return np.linspace(0, m - 1, min(m, _ROWS_TO_PROBE)).astype(int)


def distance_of_most(distances: np.ndarray) -> float:
    """That to the last neighbour which 99% of the rows do not exceed; the first neighbour is the row itself."""
    last = np.sort(distances[:, -1])
    return float(last[int(0.99 * (len(last) - 1))])


def share_beyond(nu: np.ndarray, usual: float) -> float:
    """Share of the distances that are larger; 0 of too few to tell."""
    return float((nu > usual).mean()) if len(nu) >= _FEWEST_ROWS_TO_PROBE else 0.0
