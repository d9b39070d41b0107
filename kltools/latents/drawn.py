"""The report of a latent space of which nothing but codes are known."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from .._arrays import frozen
from ..errors import NotEnoughSamplesError
from ..estimate import Deferred, DivergenceEstimate
from ..estimators.gaussian import fit, needed_rows, units
from ..inference import Uncertainty, sum_of_means
from ..models.moments import Rows
from ..neighbors import Reference
from .aggregate import random_rows
from .decomposition import Value
from .findings import findings
from .known import ACTIVE, OVER_SPREAD, codes_of, units_where
from .priors import Prior, prior_of
from .report import LatentReport
from .sampled import MOST_ROWS, quiet_kl

_FEWEST_ROWS = 20
_DEVIATIONS = 3.0  # standard errors


def report_of_draws(
    z: np.ndarray, names: tuple[str, ...], prior: Any, labels: np.ndarray | None, n_jobs: int, rng: np.random.Generator
) -> LatentReport:
    """What samples can tell, which is less than posteriors can."""
    if len(z) < _FEWEST_ROWS:
        raise NotEnoughSamplesError(
            f"z has {len(z)} rows, at least {_FEWEST_ROWS} are needed where mu and log_var are not known."
        )
    law = prior_of(prior, z.shape[1])
    rows = frozen(z[random_rows(len(z), MOST_ROWS, rng)])
    estimates = [quiet_kl(rows[:, j], law.reference(np.array([j]), rng), "knn", rng, n_jobs) for j in range(law.d)]
    marginal = np.array([estimate.value for estimate in estimates])
    errors = np.array([estimate.standard_error for estimate in estimates])
    differs = marginal > np.maximum(ACTIVE, _DEVIATIONS * errors)
    active = active_units(rows, differs | paired_units(rows), n_jobs) if law.is_factorised else np.ones(law.d, bool)
    aggregate = _aggregate_kl(rows, law, active, rng, n_jobs)
    report = LatentReport(
        n=len(z),
        names=names,
        prior=law.name,
        active_by_kl=units_where(active),
        over_spread=units_where(((z - law.mean) ** 2).mean(axis=0) > OVER_SPREAD * law.var),
        mutual_information_limit=math.log(len(z)),
        aggregate_kl=aggregate,
        marginal_kl=marginal,
        marginal_kl_standard_error=errors,
        codes=codes_of(None, None, z, labels, rng),
    )
    told = (
        "mu and log_var are not known: the aggregate KL is estimated from draws, which do not show the narrow "
        "posteriors of many units; pass mu and log_var.",
    )
    return dataclasses.replace(report, warnings=(*told, *law.doubts, *findings(report, len(z), 0.0, math.nan)))


def _aggregate_kl(
    rows: np.ndarray, law: Prior, active: np.ndarray, rng: np.random.Generator, n_jobs: int
) -> DivergenceEstimate:
    """`auto` on the active units, and what the others, of which little is seen, add to it as if all were normal."""
    n, d = rows.shape
    if not active.all() and n < needed_rows(d)[0]:
        raise NotEnoughSamplesError(f"z has {n} rows, more than its {d} units are needed where mu is not known.")
    seen, method = (active, "auto") if active.any() else (~active, "gaussian")
    first = quiet_kl(rows[:, seen], law.reference(np.flatnonzero(seen), rng), method, rng, n_jobs)
    others = Value(np.array(0.0), np.array(0.0)) if seen.all() else _added(rows, law, active)
    return dataclasses.replace(
        first,
        value=first.value + float(others.value),
        d=d,
        direction="q(z)||p(z)",
        uncertainty=Deferred(lambda: Uncertainty(math.hypot(first.standard_error, float(others.standard_error)))),
    )


def _added(rows: np.ndarray, law: Prior, active: np.ndarray) -> Value:
    """KL of the other units given the active ones, of a normal distribution: no linear dependence is lost."""
    scaling = units(rows, "empirical")
    x = scaling.apply(rows)
    given, whole = (fit(Rows(frozen(np.ascontiguousarray(part)))) for part in (x[:, active], x))
    if given is None or whole is None:
        return Value(np.array(math.inf), np.array(math.nan))
    log_p = law.log_marginals(rows)[:, ~active].sum(axis=1) + math.log(2.0) * scaling.exponents[~active].sum()
    error = sum_of_means(0.5 * (given.own_squares - whole.own_squares) - log_p).standard_error
    return Value(np.array(given.entropy() - whole.entropy() - log_p.mean()), np.array(error))


def paired_units(z: np.ndarray) -> np.ndarray:
    """Units of which the ranks, or how far these are from the middle, are correlated with those of another unit."""
    n, d = z.shape
    ranks = np.argsort(np.argsort(z, axis=0, kind="stable"), axis=0) - 0.5 * (n - 1)
    columns = np.hstack([ranks, np.abs(ranks)])
    columns = columns - columns.mean(axis=0)
    columns /= np.linalg.norm(columns, axis=0)
    pairs = np.abs(columns.T @ columns).reshape(2, d, 2, d).max(axis=(0, 2))
    np.fill_diagonal(pairs, 0.0)
    chance = math.exp(-0.5 * _DEVIATIONS**2) / (2 * d * d)  # of as many correlations
    return pairs.max(axis=1) > math.sqrt(-2.0 * math.log(chance) / n)


def active_units(z: np.ndarray, known: np.ndarray, n_jobs: int) -> np.ndarray:
    """Units that are known to be, or that the nearest neighbour in the other units tells something of.

    In rounds, half of the units of which nothing is seen are left out: they hide the neighbours of the rest.
    """
    left = np.arange(z.shape[1])
    while len(left) > 1:
        evidence = np.array([_told_by_others(z[:, left], j, n_jobs) for j in range(len(left))])
        silent = np.flatnonzero((evidence < _DEVIATIONS) & ~known[left])
        if not len(silent):
            break
        weakest = silent[np.argsort(evidence[silent], kind="stable")][: max(1, len(silent) // 2)]
        left = np.delete(left, weakest)
    active = known.copy()
    active[left[known[left] | (len(left) > 1)]] = True
    return active


def _told_by_others(z: np.ndarray, unit: int, n_jobs: int) -> float:
    """How much closer coordinates of neighbours in the other units are than those of any two rows, in its errors."""
    reference = Reference(np.ascontiguousarray(np.delete(z, unit, axis=1)), n_jobs)
    _, nearest = reference.nearest(None, 1)
    own = z[reference.order, unit]
    gaps = np.abs(own - own[nearest[:, 0]])
    n = len(own)
    mean_gap = 2.0 * float((2.0 * np.arange(1, n + 1) - n - 1.0) @ np.sort(own)) / (n * (n - 1.0))
    spread = float(gaps.std()) * math.sqrt(2.0 / n)  # a pair that are neighbours of each other counts twice
    return (mean_gap - float(gaps.mean())) / spread if spread > 0.0 else math.inf
