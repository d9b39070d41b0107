"""The report of a latent space whose posteriors are known."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..estimate import Deferred, DivergenceEstimate
from ..inference import Uncertainty
from .aggregate import Aggregate, Groups, random_rows
from .bounds import information_bounds
from .decomposition import N_GROUPS, Holes, Value, decompose, find_holes
from .findings import MANY_UNCOVERED, findings, hardly_overlap
from .monte_carlo import Plan
from .priors import Prior, SampledPrior, prior_of
from .report import Codes, LatentReport
from .sampled import with_sampled_prior
from .tally import Tally

ACTIVE = 0.01  # nats, and variance of mu (Burda et al. 2016)
OVER_SPREAD = 2.0  # mean squares from the prior's mean, in its variances
_MOST_PAIRS = 2**28  # of rows, which are compared for bounds
_MOST_CODES = 5_000  # rows for pictures


@dataclass(frozen=True)
class Seen:
    """What is known of all rows, and the rows that are left of them for everything else."""

    tally: Tally
    whole: Aggregate
    prior: Prior
    labels: np.ndarray | None
    z: np.ndarray | None
    squares: float = math.nan

    @classmethod
    def of(
        cls,
        mu: np.ndarray,
        log_var: np.ndarray,
        prior: Any,
        rows: np.ndarray,
        labels: np.ndarray | None,
        z: np.ndarray | None,
    ) -> Self:
        law = prior_of(prior, mu.shape[1])
        tally = Tally.of(mu, log_var, law, labels)
        whole = Aggregate(mu, log_var, len(mu))
        squares = math.nan if z is None else _mean_squares(mu, log_var, z)
        kept = whole if len(rows) == len(mu) else whole.take(rows)
        labels, z = (None if a is None else a[rows] for a in (labels, z))
        return cls(tally, kept, law, labels, z, squares)


def _mean_squares(mu: np.ndarray, log_var: np.ndarray, z: np.ndarray) -> float:
    with np.errstate(over="ignore"):
        return float((((z - mu) * np.exp(-0.5 * log_var)) ** 2).mean())


@np.errstate(over="ignore", invalid="ignore")  # inf is an answer, and then there is no standard error
def report_of(
    seen: Seen, names: tuple[str, ...], n_samples: int, n_jobs: int, rng: np.random.Generator
) -> LatentReport:
    """All that can be told."""
    tally, whole, prior = seen.tally, seen.whole, seen.prior
    plan = Plan(whole, n_samples, rng)
    groups = Groups.of(whole, rng.permutation(len(whole)), N_GROUPS)
    parts = decompose(whole, prior, _known(tally, prior), plan, groups, n_jobs)
    if isinstance(prior, SampledPrior):
        parts = with_sampled_prior(parts, whole, prior, rng, n_jobs)
    holes = find_holes(groups, prior, parts.log_ratios, rng, n_jobs)
    share = _share_of_holes(holes, float(parts.mutual_information.value), len(whole))
    bounds, bounds_error = _bounds(whole, rng, n_jobs)
    kl, of_units = float(parts.kl.value), parts.kl_of_units.value
    has_coupling = not prior.is_factorised and math.isfinite(kl)  # else it would be a difference of infinite numbers

    def told(value: Value, quantity: str, direction: str) -> DivergenceEstimate:
        return _estimate(value, quantity, direction, parts.n_draws, whole.d)

    report = LatentReport(
        n=tally.n,
        names=names,
        prior=prior.name,
        kl=kl,
        kl_standard_error=float(parts.kl.standard_error),
        kl_per_unit=of_units,
        mu_variance=tally.mu_variance,
        mean_variance=tally.var,
        active_by_kl=units_where(of_units > ACTIVE),
        active_by_mu=units_where(tally.mu_variance > ACTIVE),
        collapsed=units_where(of_units <= ACTIVE),
        over_spread=_over_spread(tally, prior),
        mutual_information=told(parts.mutual_information, "mutual information", "x;z"),
        mutual_information_limit=math.log(tally.n),
        mutual_information_bounds=bounds,
        total_correlation=told(parts.total_correlation, "total correlation", "z"),
        dimension_wise_kl=told(parts.dimension_wise_kl, "dimension-wise KL", "q(z_j)||p(z_j)"),
        prior_coupling=told(parts.prior_coupling, "prior coupling", "z") if has_coupling else None,
        aggregate_kl=told(parts.aggregate_kl, "KL", "q(z)||p(z)"),
        aggregate_kl_bounds=_bounds_of_rest(kl, bounds) if prior.has_formula else None,
        bounds_standard_error=bounds_error,
        marginal_kl=parts.marginal_kl.value,
        marginal_kl_standard_error=parts.marginal_kl.standard_error,
        hole_share=share,
        hole_share_standard_error=None if share is None or holes is None else holes.standard_error,
        holes=None if holes is None else holes.rows,
        hole_log_ratios=None if holes is None else holes.log_ratios,
        kl_by_label=_by_label(tally, prior),
        warnings=(),
        codes=codes_of(whole.mu, whole.log_var, seen.z, seen.labels, rng),
    )
    found = findings(report, len(whole), parts.subsampling_bias, seen.squares)
    return dataclasses.replace(report, warnings=(*prior.doubts, *found))


def _share_of_holes(holes: Holes | None, information: float, n: int) -> float | None:
    """Where codes do not overlap it says nothing that draws of the prior are as close to them as they to each other."""
    if holes is None or (hardly_overlap(information, n) and holes.share <= MANY_UNCOVERED):
        return None
    return holes.share


def _known(tally: Tally, prior: Prior) -> tuple[float, np.ndarray]:
    if prior.has_formula:
        return tally.kl, tally.kl_of_units
    if isinstance(prior, SampledPrior):
        return 0.0, np.zeros(prior.d)
    return float(tally.negative_entropy.sum()), tally.negative_entropy


def _estimate(value: Value, quantity: str, direction: str, n_draws: int, d: int) -> DivergenceEstimate:
    error = float(value.standard_error)
    return DivergenceEstimate(
        value=float(value.value),
        method="monte_carlo",
        n_p=n_draws,
        n_q=None,
        d=d,
        quantity=quantity,
        direction=direction,
        uncertainty=Deferred(lambda: Uncertainty(error)),
    )


def units_where(chosen: np.ndarray) -> tuple[int, ...]:
    """Numbers of the units that are chosen."""
    return tuple(int(j) for j in np.flatnonzero(chosen))


def _over_spread(tally: Tally, prior: Prior) -> tuple[int, ...]:
    with np.errstate(over="ignore"):
        squares = tally.var + tally.mu_variance + (tally.mu - prior.mean) ** 2
    return units_where(squares > OVER_SPREAD * prior.var)


def _by_label(tally: Tally, prior: Prior) -> dict[Any, float] | None:
    known = prior.has_formula and tally.by_label
    return {label: value for label, (_, value) in sorted(tally.by_label.items())} if known else None


def _bounds(whole: Aggregate, rng: np.random.Generator, n_jobs: int) -> tuple[tuple[float, float] | None, float]:
    """Of the mutual information, with the larger of their standard errors where not all rows are summed over."""
    n = len(whole)
    if not whole.is_whole:
        return None, 0.0
    most = _MOST_PAIRS // n
    rows = random_rows(n, most, rng)
    terms = np.stack(information_bounds(whole, rows, n_jobs))
    low, high = terms.mean(axis=1)
    error = math.sqrt((1.0 - len(rows) / n) * terms.var(axis=1).max() / len(rows))
    # as the information itself both lie between 0 and log n, and may be the same, but for rounding
    high = min(max(float(high), 0.0), math.log(n))
    return (min(max(float(low), 0.0), high), high), error


def _bounds_of_rest(kl: float, bounds: tuple[float, float] | None) -> tuple[float, float] | None:
    """Bounds of the mean KL less the mutual information."""
    return None if bounds is None else (max(0.0, kl - bounds[1]), max(0.0, kl - bounds[0]))


def codes_of(
    mu: np.ndarray | None,
    log_var: np.ndarray | None,
    z: np.ndarray | None,
    labels: np.ndarray | None,
    rng: np.random.Generator,
) -> Codes:
    """The same rows of all that is given, no more than a picture can show."""
    n = len(next(a for a in (mu, z) if a is not None))
    rows = random_rows(n, _MOST_CODES, rng)
    mu, log_var, z, labels = (None if a is None else a[rows] for a in (mu, log_var, z, labels))
    return Codes(mu=mu, log_var=log_var, z=z, labels=labels)
