"""What samples look like: how many dimensions they fill, and rows that repeat."""

import numpy as np

from ..neighbors import Reference
from ..preprocessing import column_exponents, deviations, spread_rows

_NEIGHBORS, _FEWEST_NEIGHBORS, _ROWS_AT_MOST = 20, 3, 2000


def standardised(X: np.ndarray) -> np.ndarray:
    """The columns that vary, with mean 0 and variance 1."""
    deviation = deviations(np.ldexp(X, -column_exponents(X)))
    spread = deviation.std(axis=0)
    return np.ascontiguousarray(deviation[:, spread > 0.0] / spread[spread > 0.0])


def participation_ratio(X: np.ndarray) -> float:
    """d^2 / sum_ij r_ij^2 over the correlations r of the d columns that vary; 0 if there are none."""
    standard = standardised(X)
    d = standard.shape[1]
    return d**2 / float(((standard.T @ standard / len(X)) ** 2).sum()) if d else 0.0


def intrinsic_dimension(X: np.ndarray, n_jobs: int = 1) -> float:
    """Levina and Bickel (2004), eq. 8, with inverses averaged over rows; nan where there are too few of them.

    Equal rows count once, columns are standardised, and of many rows some are asked for their neighbours.
    """
    points = standardised(np.unique(X, axis=0))
    k = min(_NEIGHBORS, len(points) - 1)
    if points.shape[1] == 0 or k < _FEWEST_NEIGHBORS:
        return np.nan
    reference = Reference(points, n_jobs)
    asked = spread_rows(np.arange(len(points)), _ROWS_AT_MOST)
    distances = reference.kth_distances(reference.points[asked], k, asked)
    distances = distances[distances[:, 0] > 0.0]
    inverse = float(np.log(distances[:, -1:] / distances[:, :-1]).mean()) if len(distances) else 0.0
    return 1.0 / inverse if inverse > 0.0 else np.nan


def count_repeated(X: np.ndarray) -> int:
    """Rows that occur more than once."""
    counts = np.unique(X, axis=0, return_counts=True)[1]
    return int(counts[counts > 1].sum())
