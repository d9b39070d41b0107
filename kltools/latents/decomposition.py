"""The mean KL of a VAE in parts, and where the aggregate posterior leaves its prior uncovered.

With T = log q(z|x) - log q(z) and T_j the same of coordinate j, I(x; z) = E T and I(x; z_j) = E T_j, and all else
follows: TC = sum_j E T_j - E T, KL(q(z) || p) = KL - E T, KL(q(z_j) || p_j) = KL_j - E T_j. A draw is compared with the
component that it is from by the same operations as with all others, so that T is right even where rounding moves it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._log_sums import log_sum_exp
from .aggregate import Aggregate, Groups
from .monte_carlo import Controls, Draws, Means, Plan
from .priors import Prior

N_GROUPS = 8
UNCOVERED = 0.01  # share of the codes whose density tells what is hardly covered
_MOST_PRIOR_DRAWS, _N_HOLES = 10_000, 10
_OF_UNITS = 6  # the first column of quantities of units


@dataclass(frozen=True)
class Value:
    """A number or an array of them, with standard errors."""

    value: np.ndarray
    standard_error: np.ndarray


@dataclass(frozen=True)
class Parts:
    """What `decompose` finds; quantities of coordinates have shape (d,)."""

    mutual_information: Value
    total_correlation: Value
    dimension_wise_kl: Value
    aggregate_kl: Value
    kl: Value
    prior_coupling: Value
    information_of_units: Value
    marginal_kl: Value
    kl_of_units: Value
    n_draws: int
    subsampling_bias: float
    log_ratios: np.ndarray


def decompose(
    whole: Aggregate,
    prior: Prior,
    known: tuple[float, np.ndarray],
    plan: Plan,
    groups: Groups,
    n_jobs: int,
) -> Parts:
    """All parts from the same draws; ``known`` is what these leave out of the mean KL, and of that of each unit."""
    d = whole.d
    information, controls = _Information(groups, n_jobs), Controls(whole, plan.each)
    means, prior_controls = Means(plan), Controls(whole, plan.each)
    log_ratios = []
    for draws in plan.blocks():
        values, log_others = information.of(draws)
        noise = controls.of(draws)
        T = controls.rid(values, noise)
        K = np.zeros_like(T)
        log_p = prior.log_prob(draws.z)
        if log_p is not None and not prior.has_formula:
            terms = np.concatenate([-prior.log_marginals(draws.z), -log_p[:, None]], axis=1)
            K = prior_controls.rid(terms, noise)
        means.add(_columns(T, K))
        log_ratios.append(log_others if log_p is None else log_others - log_p)
    bias, error = information.of_subsampling()
    scale = _columns(np.eye(d + 1), np.zeros((d + 1, d + 1)))  # how much of each T is in each column
    columns = means.values + _shifts(known, d) - bias @ scale
    doubt = np.abs(bias) @ np.abs(scale)  # what is removed may be as wrong as it is large
    errors = np.linalg.norm(np.vstack([means.standard_errors, doubt, error @ scale]), axis=0)
    errors = np.where(np.isfinite(columns), errors, math.nan)  # what is finite in an infinite sum says nothing of it

    def value(first: int) -> Value:
        """Of a quantity; those of units, d columns each, follow the first six."""
        place = first if first < _OF_UNITS else slice(first, first + d)
        return Value(columns[place], errors[place])

    return Parts(
        mutual_information=value(0),
        total_correlation=value(1),
        dimension_wise_kl=value(2),
        aggregate_kl=value(3),
        kl=value(4),
        prior_coupling=value(5),
        information_of_units=value(_OF_UNITS),
        marginal_kl=value(_OF_UNITS + d),
        kl_of_units=value(_OF_UNITS + 2 * d),
        n_draws=len(plan.components),
        subsampling_bias=float(bias[-1]),
        log_ratios=np.concatenate(log_ratios),
    )


def _columns(T: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Rows of what `Parts` begins with; the last columns of T and K are of all coordinates together."""
    t, k = T[:, -1], K[:, -1]
    t_sum, k_sum = T[:, :-1].sum(axis=1), K[:, :-1].sum(axis=1)
    together = np.column_stack([t, t_sum - t, k_sum - t_sum, k - t, k, k - k_sum])
    return np.hstack([together, T[:, :-1], K[:, :-1] - T[:, :-1], K[:, :-1]])


def _shifts(known: tuple[float, np.ndarray], d: int) -> np.ndarray:
    """What is known of each of these columns."""
    kl, of_units = known
    coupling = 0.0 if math.isinf(kl) else kl - of_units.sum()
    return np.hstack([0.0, 0.0, of_units.sum(), kl, kl, coupling, np.zeros(d), of_units, of_units])


class _Information:
    """T at draws, with all components or a random part of them, and then the error of that."""

    def __init__(self, groups: Groups, n_jobs: int):
        self._groups, self._n_jobs = groups, n_jobs
        whole = groups.whole
        self._of_coordinates = Groups.of(whole, np.arange(len(whole)), 1) if whole.is_whole else groups
        self._sum, self._count = np.zeros((len(groups.members) + 1, whole.d + 1)), 0

    def of(self, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """T of each coordinate and of all, (rows, d + 1); log-densities under the groups that rows are not from."""
        whole, groups = self._groups.whole, self._groups
        terms = whole.log_terms(draws.z, draws.component)
        own = np.concatenate([terms, terms.sum(axis=1, keepdims=True)], axis=1)
        joint = groups.log_sums(draws.z, self._n_jobs)
        coordinates = self._of_coordinates.log_sums_of_coordinates(draws.z, self._n_jobs)
        n_seen, number = len(whole), groups.number[draws.component]
        log_sums = np.concatenate([log_sum_exp(coordinates, 1), log_sum_exp(joint, 1)[:, None]], axis=1)
        values = own - self._log_density(own, log_sums, n_seen)
        if not whole.is_whole:
            self._count += len(values)
            self._sum[-1] += values.sum(axis=0)
            sums = np.concatenate([coordinates, joint[:, :, None]], axis=2)
            for group in range(len(groups.members)):
                self._sum[group] += self._without(group, own, sums, number == group).sum(axis=0)
        joint[np.arange(len(joint)), number] = -math.inf
        others = np.maximum(n_seen - groups.counts[number], 1)
        return values, log_sum_exp(joint, 1) - np.log(others)

    def _log_density(self, own: np.ndarray, log_sums: np.ndarray, n_seen: int) -> np.ndarray:
        """log q(z) from the sum over the components that are seen, of which its own is one.

        That one has its weight of 1/n whatever else is seen: the rest is the mean of a random part of the others.
        """
        n = self._groups.whole.n_total
        if n_seen == n:
            return log_sums - math.log(n)
        share = np.exp(np.minimum(own - log_sums, 0.0))
        return math.log((n - 1) / (n * (n_seen - 1))) + log_sums + np.log1p(-(n - n_seen) / (n - 1) * share)

    def _without(self, group: int, own: np.ndarray, sums: np.ndarray, is_own: np.ndarray) -> np.ndarray:
        """T with the other groups of components only."""
        n = self._groups.whole.n_total
        n_left = len(self._groups.whole) - self._groups.counts[group]
        log_sums = log_sum_exp(np.delete(sums, group, axis=1), 1)
        other = math.log((n - 1) / (n * n_left)) + log_sums[is_own]
        log_density = self._log_density(own, log_sums, n_left)
        log_density[is_own] = np.logaddexp(own[is_own] - math.log(n), other)
        return own - log_density

    def of_subsampling(self) -> tuple[np.ndarray, np.ndarray]:
        """Bias and standard error of T from the components that are not seen, by the jackknife over groups.

        Both vanish with the share of these: bias = (g - 1)(mean_g T_g - T)(1 - m / n).
        """
        whole, n_groups = self._groups.whole, len(self._groups.members)
        if whole.is_whole:
            return np.zeros(whole.d + 1), np.zeros((1, whole.d + 1))
        unseen = 1.0 - len(whole) / whole.n_total
        values = self._sum / self._count
        centred = values[:-1] - values[:-1].mean(axis=0)
        bias = (n_groups - 1) * unseen * (values[:-1].mean(axis=0) - values[-1])
        return bias, math.sqrt((n_groups - 1) / n_groups * unseen) * centred


@dataclass(frozen=True)
class Holes:
    """Draws of the prior that the aggregate posterior covers least, and the share of those that it hardly covers."""

    share: float
    standard_error: float
    rows: np.ndarray
    log_ratios: np.ndarray


def find_holes(
    groups: Groups, prior: Prior, log_ratios: np.ndarray, rng: np.random.Generator, n_jobs: int
) -> Holes | None:
    """A prior draw is hardly covered where q/p is at most a half, and no more than at 1% of the codes.

    For codes q is that of the groups that they are not from: no code is covered by itself. Where p has no density it is
    q instead, and nothing is a half.
    """
    if len(groups.members) < 2:
        return None
    z = prior.draw(_MOST_PRIOR_DRAWS, rng)
    log_p = prior.log_prob(z)
    ratios = log_sum_exp(groups.log_sums(z, n_jobs), 1) - math.log(len(groups.whole))
    ratios = ratios if log_p is None else ratios - log_p
    level = float(np.quantile(log_ratios, UNCOVERED, method="inverted_cdf"))
    uncovered = ratios <= (level if log_p is None else min(level, math.log(0.5)))
    lowest = np.argsort(ratios, kind="stable")[:_N_HOLES]
    share = float(uncovered.mean())
    return Holes(share, math.sqrt(share * (1.0 - share) / len(z)), z[lowest], ratios[lowest])
