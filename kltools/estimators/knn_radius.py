"""Nearest-neighbour estimates that look equally far into both samples."""

from typing import Any

import numpy as np

from .. import _validation
from ..neighbors.contrast import equal_radius_terms
from ..neighbors.neighborhood import Neighborhood
from ..neighbors.reductions import TIE_TOLERANCE
from ..scaling import SCALES
from . import knn
from .problem import Problem, Result


def estimate(problem: Problem, *, n_neighbors: Any = None, scale: str = "whiten") -> Result:
    """mean_i digamma(l_i) - digamma(k_i) + log(m / (n - 1)) from counts within equal radii; see `KNNRadiusDivergence`.

    Against a known q there is one radius only, and the estimate is that of `knn`.
    """
    _validation.choice(scale, "scale", SCALES)
    k = _validation.one_number_of_neighbors(n_neighbors, problem.n, problem.m)
    return knn.weighted(problem, (k,), np.ones(1), scale, _AtEqualRadii)


class _AtEqualRadii(knn.WithSample):
    """Counts at every row, as `equal_radius_terms` where no distances tie, and plain ones where they do."""

    leaves_out_in_one_search = False
    knows_atoms = True

    def tied(self, rho: Neighborhood, nu: Neighborhood) -> np.ndarray:
        """On a lattice both samples may have their k-th neighbours equally far away, too."""
        smaller, larger = np.minimum(rho.distances, nu.distances), np.maximum(rho.distances, nu.distances)
        return super().tied(rho, nu) | (larger <= smaller * (1.0 + TIE_TOLERANCE))

    def mean_log_ratio(self, row: int, rho: Neighborhood, nu: Neighborhood, tied: np.ndarray) -> float:
        own, other = self.references
        terms = equal_radius_terms(
            own, other, np.arange(len(own.points)), rho.distances[row], nu.distances[row], self.ks[row]
        )
        return self.mean_with_counts(terms, row, rho, nu, tied) if tied.any() else float(terms.mean())
