"""Nearest-neighbour estimates for samples without ties: of a divergence, and of a mean log-density."""

import math
from dataclasses import dataclass, replace

import numpy as np

from .._arrays import frozen
from .._formula import digamma
from .._scalar import log_ball_volume
from . import Reference
from .neighborhood import Search
from .reductions import TIE_TOLERANCE, log_ratio_moments


@dataclass(frozen=True)
class Contrast:
    """The average over fixed numbers of neighbours, and the estimate from counts within equal radii."""

    fixed: float
    equal: float

    @property
    def value(self) -> float:
        """Their mean."""
        return 0.5 * (self.fixed + self.equal)


@dataclass(frozen=True)
class Some:
    """So many rows, chosen at random; their order in a structure is one of places."""

    most_rows: int
    rng: np.random.Generator

    def of(self, n: int) -> np.ndarray | None:
        """Numbers of rows, or None for all."""
        return None if self.most_rows >= n else np.sort(self.rng.choice(n, self.most_rows, replace=False))


def contrast(X: np.ndarray, Y: np.ndarray, search: Search, radius_k: int, some: Some | None = None) -> Contrast:
    """Wang, Kulkarni and Verdu (2009), eq. 5 averaged over the search's numbers, and `equal_radius_terms`.

    The mean is that over all rows of X, or over some of them.
    """
    own, other = search.references(X, Y)
    (n, d), m = own.shape, len(Y)
    wanted = tuple(sorted({*search.ks, radius_k}))
    search_all = replace(search, ks=wanted, n_searches=2)
    chosen = None if some is None else some.of(n)
    points = own.points if chosen is None else frozen(own.points[chosen])
    rho, nu = search_all.among(own, chosen).distances, search_all.of(points, other).distances
    constant = math.log(m / (n - 1))
    rows = [wanted.index(k) for k in search.ks]
    means = [log_ratio_moments(nu[row], rho[row], search.n_jobs).mean for row in rows]
    row = wanted.index(radius_k)
    rows_of_points = np.arange(n) if chosen is None else chosen
    terms = equal_radius_terms(own, other, rows_of_points, rho[row], nu[row], radius_k)
    return Contrast(d * math.fsum(means) / len(rows) + constant, float(terms.mean()) + constant)


def equal_radius_terms(
    own: Reference, other: Reference, rows: np.ndarray, rho: np.ndarray, nu: np.ndarray, k: int
) -> np.ndarray:
    """digamma(l_i) - digamma(k_i) for some rows of X, in the order of `own`.

    Both samples are counted within the larger of the two k-th distances. There the sample whose k-th
    distance it is has k points; the other one has a number l of points, all of them inside, and
    digamma(l + 1) is the mean of what eq. 29 of Wang, Kulkarni and Verdu (2009) makes of the farthest
    of them.
    """
    counts = np.full((2, len(rho)), k)
    reach = 1.0 + TIE_TOLERANCE  # points of a lattice lie at the radius but for rounding
    in_nu, in_rho = np.flatnonzero(rho < nu), np.flatnonzero(rho >= nu)
    if len(in_nu):
        counts[0, in_nu] = own.count_within(own.points[rows[in_nu]], nu[in_nu] * reach, rows[in_nu]) + 1
    if len(in_rho):
        counts[1, in_rho] = other.count_within(own.points[rows[in_rho]], rho[in_rho] * reach) + 1
    return digamma(counts[0]) - digamma(counts[1])


def mean_log_density(X: np.ndarray, search: Search, some: Some | None = None) -> float:
    """Mean log-density of a sample at its own rows: minus the entropy of Kozachenko and Leonenko (1987), over `ks`."""
    reference = search.reference(X)
    n, d = reference.shape
    rhos = search.among(reference, None if some is None else some.of(n)).distances
    ones = np.ones(rhos.shape[1])
    means = [log_ratio_moments(rho, ones, search.n_jobs).mean for rho in rhos]
    mean_digamma = float(digamma(search.ks).mean())
    return mean_digamma - math.log(n - 1) - log_ball_volume(d) - d * math.fsum(means) / len(means)
