"""k-nearest-neighbour estimates of a divergence."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import _validation
from .._formula import digamma
from .._once import once
from .._scalar import log_ball_volume
from .._sums import mean
from ..errors import PoorOverlapWarning, TiesWarning, UnreliableEstimateWarning
from ..inference import JACKKNIFE_BLOCKS, UNKNOWN, Uncertainty, jackknife_uncertainty, random_blocks, rows_left
from ..neighbors import Reference, in_safe_range
from ..neighbors.leave_out import mean_log_distances
from ..neighbors.neighborhood import Neighborhood, Search
from ..neighbors.reductions import log_ratio_moments, log_ratios
from ..preprocessing import Notes
from ..scaling import SCALES, fit_scaling
from .density import counts_where_tied, log_densities, share_outside
from .problem import (
    MOST_OUTSIDE,
    Problem,
    Result,
    are_neighbors_far,
    is_beyond_neighbors,
    moves_with_neighbors,
    outside_support,
    tell_few_rows,
)

_UNMATCHED_SHARE = 0.05


def estimate(problem: Problem, *, n_neighbors: Any = None, scale: str = "whiten") -> Result:
    """Average over k of mean_i d log(nu_k(i) / rho_k(i)) + log(m / (n - 1)); options: `KNNDivergence`.

    rho_k(i) and nu_k(i) are the distances from X_i to its k-th neighbour in X and in Y.
    """
    _validation.choice(scale, "scale", SCALES)
    ks = _validation.neighbors_within(n_neighbors, problem.n, problem.m)
    return weighted(problem, ks, np.full(len(ks), 1.0 / len(ks)), scale)


def weighted(
    problem: Problem,
    ks: tuple[int, ...],
    weights: np.ndarray,
    scale: str,
    with_sample: "type[WithSample] | None" = None,
) -> Result:
    """The estimates with each k, added with these weights; another comparison `with_sample` has other estimates."""
    if problem.Y is None:
        scaling = fit_scaling(problem.X, scale, None, problem.notes)
        kind, X = scaling.kind, scaling.apply(problem.X, problem.n_jobs)
        log_q = problem.log_q()
        if (outside := outside_support(problem, log_q)) is not None:
            return outside
        (X,), exponent = in_safe_range(X)
        log_det = scaling.log_det - exponent * problem.d * math.log(2.0)
        comparison: _Comparison = _WithDensity((X, log_q - log_det), problem.search(ks), weights)
    else:
        kind, samples = problem.scaled(scale)
        compare = with_sample or problem.comparison or WithSample
        are_tied = problem.has_atoms and not compare.knows_atoms
        comparison = compare(tuple(samples), problem.search(ks, n_searches=2), weights, are_tied)
    terms = comparison.terms()
    has_ties = terms.n_ties > 0 or comparison.are_tied
    tell_few_rows(problem.rows, ks[0], problem.notes)
    _tell_ties(terms, problem.notes)
    return Result(
        value=terms.value,
        uncertainty=lambda: _block_jackknife(comparison, has_ties, problem),
        n_neighbors=ks,
        n_ties=terms.n_ties,
        reasons=_reasons(problem, ks, terms),
        diagnostics={
            "value_by_n_neighbors": dict(zip(ks, terms.values, strict=True)),
            "scale": kind,
            "n_repeated_rows": terms.n_repeated,
            "n_shared_rows": terms.n_shared,
            "share_outside": terms.share_outside,
        },
    )


@dataclass(frozen=True)
class _Terms:
    """One estimate for each number of neighbours, and the ties that were met."""

    values: tuple[float, ...]
    weights: np.ndarray
    n_ties: int
    n_repeated: int
    n_shared: int
    n_unmatched: int = 0
    share_outside: float = 0.0

    @property
    def value(self) -> float:
        return math.fsum(self.weights * self.values)


@dataclass(frozen=True)
class _Comparison:
    """A scaled sample of P together with what stands for Q; `samples` has one entry for each, arrays or `Rows`.

    Where columns have atoms all rows ``are_tied``, whatever their distances.
    """

    samples: tuple[Any, ...]
    search: Search
    weights: np.ndarray
    are_tied: bool = False
    leaves_out_in_one_search: ClassVar[bool] = True
    knows_atoms: ClassVar[bool] = False

    @property
    def ks(self) -> tuple[int, ...]:
        return self.search.ks

    def terms(self) -> _Terms:
        """The estimate."""
        raise NotImplementedError

    def labels(self, rng: np.random.Generator, blocks: int) -> list[np.ndarray]:
        """A random block for every row of each sample."""
        raise NotImplementedError

    def values_without_blocks(self, labels: list[np.ndarray]) -> np.ndarray:
        """The estimate without each block in turn, from one search; right where no distances tie."""
        raise NotImplementedError


class WithSample(_Comparison):
    """Wang, Kulkarni and Verdu (2009), eq. 5 and, where distances tie, eq. 17 at equal radii.

    At a row with a k-th distance of 0, or not unique in X, both samples are counted within the larger of
    the two k-th distances: l_i rows of X and k_i of Y give digamma(l_i) - digamma(k_i). Where more than a
    tenth of the rows are so, or a column has atoms, all of them are treated so.
    """

    @once
    def references(self) -> tuple[Reference, Reference]:
        return self.search.references(*self.samples)

    def terms(self) -> _Terms:
        rho, nu = self.neighborhoods()
        n, m = (len(sample) for sample in self.samples)
        tied = self.tied(rho, nu)
        constant = math.log(m / (n - 1))
        counted = tied | self.are_tied
        values = [self.mean_log_ratio(row, rho, nu, counted[row]) + constant for row in range(len(self.ks))]
        n_ties, outside = int(tied.any(axis=0).sum()), self.share_outside(nu)
        on_lattice = nu.n_at_zero > _UNMATCHED_SHARE * n  # then rows of X repeat where Y has none by chance
        n_unmatched = 0 if on_lattice else int(np.count_nonzero(rho.at_zero & ~nu.at_zero))
        return _Terms(tuple(values), self.weights, n_ties, rho.n_at_zero, nu.n_at_zero, n_unmatched, outside)

    def neighborhoods(self) -> tuple[Neighborhood, Neighborhood]:
        """Neighbours of the rows of X, in the order of `references`: among the others, and in Y."""
        own, other = self.references
        return self.search.among(own), self.search.of(own.points, other)

    def share_outside(self, nu: Neighborhood) -> float:
        return share_outside(nu.distances[0], self.samples[1], self.references[1], self.ks[0])

    def counts_where_tied(
        self, distances: tuple[np.ndarray, np.ndarray], tied: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return counts_where_tied(self.references, distances, tied)

    def tied(self, rho: Neighborhood, nu: Neighborhood) -> np.ndarray:
        """Rows at which distances tie; far from Y those to it agree to many digits: no tie unless X says so too."""
        return rho.tied | (nu.distances == 0.0)

    def mean_log_ratio(self, row: int, rho: Neighborhood, nu: Neighborhood, tied: np.ndarray) -> float:
        """The estimate with the row-th of the numbers of neighbours, but for its constant."""
        d = self.samples[0].shape[1]
        distances = nu.distances[row], rho.distances[row]
        if not tied.any():
            return d * log_ratio_moments(*distances, self.search.n_jobs).mean
        return self.mean_with_counts(d * log_ratios(*distances, self.search.n_jobs), row, rho, nu, tied)

    def mean_with_counts(
        self, terms: np.ndarray, row: int, rho: Neighborhood, nu: Neighborhood, tied: np.ndarray
    ) -> float:
        """The mean of terms for each row of X, where distances tie of those from counts."""
        counted = self.counts_where_tied((rho.distances[row], nu.distances[row]), tied)
        return mean_with_counts(terms, counted, self.search.n_jobs)

    def labels(self, rng: np.random.Generator, blocks: int) -> list[np.ndarray]:
        return [random_blocks(len(sample), blocks, rng) for sample in self.samples]

    def values_without_blocks(self, labels: list[np.ndarray]) -> np.ndarray:
        own, other = self.references
        X = own.points
        labels = [label[reference.order] for label, reference in zip(labels, self.references, strict=True)]
        nu = mean_log_distances(other, X, self.ks, labels[1], labels[0], None, self.weights)
        rho = mean_log_distances(own, X, self.ks, labels[0], labels[0], np.arange(len(X)), self.weights)
        n, m = (len(label) - np.bincount(label) for label in labels)
        return X.shape[1] * (nu - rho) + np.log(m / (n - 1))


class _WithDensity(_Comparison):
    """Mean of log p_k(X_i) - log q(X_i) (Perez-Cruz 2008, eq. 18); the samples are X and log q(X)."""

    @once
    def reference(self) -> Reference:
        return self.search.reference(self.samples[0])

    def terms(self) -> _Terms:
        log_q = self.samples[1][self.reference.order]
        densities, tied, n_at_zero = log_densities(self.search, self.reference, None)
        values = tuple(float((density - log_q).mean()) for density in densities)
        return _Terms(values, self.weights, int(tied.any(axis=0).sum()), n_at_zero, 0)

    def labels(self, rng: np.random.Generator, blocks: int) -> list[np.ndarray]:
        return [random_blocks(len(self.samples[0]), blocks, rng)] * 2

    def values_without_blocks(self, labels: list[np.ndarray]) -> np.ndarray:
        order = self.reference.order
        X, log_q, label = self.reference.points, self.samples[1][order], labels[0][order]
        d = X.shape[1]
        rho = mean_log_distances(self.reference, X, self.ks, label, label, np.arange(len(X)), self.weights)
        n = len(label) - np.bincount(label)
        mean_log_q = (log_q.sum() - np.bincount(label, weights=log_q)) / n
        return float(self.weights @ digamma(self.ks)) - np.log(n - 1) - log_ball_volume(d) - d * rho - mean_log_q


def mean_with_counts(terms: np.ndarray, counted: tuple[np.ndarray, np.ndarray, np.ndarray], n_jobs: int = 1) -> float:
    """The mean of terms for each row of the first sample, some of which are those of counts (`counts_where_tied`)."""
    chosen, own, other = counted
    terms[chosen] = digamma(own) - digamma(other)
    return mean(terms, n_jobs)


def _block_jackknife(comparison: _Comparison, has_ties: bool, problem: Problem) -> Uncertainty:
    blocks = min(JACKKNIFE_BLOCKS, problem.rows)
    largest = comparison.ks[-1]
    left = rows_left([len(sample) for sample in comparison.samples])
    if blocks < 2 or left[0] <= largest or left[1] < largest:
        return UNKNOWN
    labels = comparison.labels(np.random.default_rng(problem.seed), blocks)
    if comparison.leaves_out_in_one_search and not has_ties:
        return jackknife_uncertainty(comparison.values_without_blocks(labels))
    values = []
    for block in range(blocks):
        samples = tuple(s[label != block] for s, label in zip(comparison.samples, labels, strict=True))
        search = dataclasses.replace(comparison.search, progress=None)
        values.append(dataclasses.replace(comparison, samples=samples, search=search).terms().value)
    return jackknife_uncertainty(np.array(values))


def _tell_ties(terms: _Terms, notes: Notes) -> None:
    if terms.n_ties:
        notes.add(
            TiesWarning,
            f"{terms.n_ties} rows of X have a zero or repeated distance to a neighbour ({terms.n_repeated} rows "
            f"occur again in X, {terms.n_shared} also in Y): they are estimated by counts within equal radii. "
            "A density never gives such data; for discrete columns compare counts.",
        )
    elif terms.n_repeated or terms.n_shared:
        notes.add(
            TiesWarning,
            f"{terms.n_repeated} rows of X occur again in X, {terms.n_shared} also in Y: such samples are not "
            "independent draws, and shared rows pull the estimate down; remove them from one of the samples.",
        )


def _reasons(problem: Problem, ks: tuple[int, ...], terms: _Terms) -> tuple[str, ...]:
    """Why the value should not be believed, if there is anything."""
    ceiling = math.log(problem.rows / ks[0])
    reasons = list(_objections(problem, ks, terms))
    for text in reasons:
        problem.notes.add(UnreliableEstimateWarning, text)
    poor = []
    if is_beyond_neighbors(terms.value, problem.rows, ks[0]):
        poor.append(f"the estimate exceeds log({problem.rows} / {ks[0]}) = {ceiling:.2f} nats")
    if terms.share_outside > MOST_OUTSIDE:
        poor.append(f"{terms.share_outside:.0%} of the rows of X lie outside of Y")
    if poor:
        text = f"{' and '.join(poor)}: the samples hardly overlap, and nearest neighbours cannot see how far apart."
        problem.notes.add(PoorOverlapWarning, text)
        reasons.append(text)
    return tuple(reasons)


def _objections(problem: Problem, ks: tuple[int, ...], terms: _Terms) -> Iterator[str]:
    """What speaks against the value but for poor overlap."""
    if 2 * ks[0] > problem.rows:
        yield (
            f"{ks[0]} neighbours of {problem.rows} rows are too many: they reach to the ends of both samples, and "
            f"cannot show more than {math.log(problem.rows / ks[0]):.2f} nats; pass a smaller n_neighbors."
        )
    elif are_neighbors_far(ks[-1], problem.rows, problem.d):
        yield (
            f"in {problem.d} features the nearest {ks[-1]} of {problem.rows} rows are not near: expect bias, which the "
            "interval, about variance only, does not contain; compare method='gaussian', or use fewer features "
            "or more rows."
        )
    if moves_with_neighbors(terms.values, terms.value, problem.rows):
        yield (
            f"the estimate moves from {terms.values[0]:.3g} nats at {ks[0]} neighbours to {terms.values[-1]:.3g} at "
            f"{ks[-1]}: expect bias, which the interval, about variance only, does not contain; use more rows, or "
            "compare method='gaussian'."
        )
    if terms.n_unmatched > _UNMATCHED_SHARE * problem.n:
        yield (
            f"{terms.n_unmatched} of {problem.n} rows of X repeat within X and never occur in Y: rows were copied, or "
            "P has atoms that Q does not have, and then the divergence is inf."
        )
