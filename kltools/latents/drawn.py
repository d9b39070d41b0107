"""The report of a latent space of which nothing but codes are known."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from .._arrays import frozen
from ..errors import NotEnoughSamplesError
from ..estimate import Deferred, DivergenceEstimate
from ..inference import Uncertainty
from ..neighbors import Reference
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
    rows = z if len(z) <= MOST_ROWS else frozen(z[np.sort(rng.choice(len(z), MOST_ROWS, replace=False))])
    estimates = [quiet_kl(rows[:, j], law.reference(np.array([j]), rng), "knn", rng, n_jobs) for j in range(law.d)]
    marginal = np.array([estimate.value for estimate in estimates])
    errors = np.array([estimate.standard_error for estimate in estimates])
    differs = marginal > np.maximum(ACTIVE, _DEVIATIONS * errors)
    active = active_units(rows, differs, n_jobs) if law.is_factorised else np.ones(law.d, bool)
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
    return dataclasses.replace(report, warnings=(*told, *findings(report, len(z), 0.0, math.nan)))


def _aggregate_kl(
    rows: np.ndarray, law: Prior, active: np.ndarray, rng: np.random.Generator, n_jobs: int
) -> DivergenceEstimate:
    """`auto` on the active units, and as if normal on the others, where there is little to see."""
    parts = [(units, method) for units, method in ((active, "auto"), (~active, "gaussian")) if units.any()]
    estimates = [
        quiet_kl(rows[:, units], law.reference(np.flatnonzero(units), rng), method, rng, n_jobs)
        for units, method in parts
    ]
    return dataclasses.replace(
        estimates[0],
        value=sum(estimate.value for estimate in estimates),
        d=rows.shape[1],
        direction="q(z)||p(z)",
        uncertainty=Deferred(lambda: Uncertainty(math.hypot(*(estimate.standard_error for estimate in estimates)))),
    )


def active_units(z: np.ndarray, differs: np.ndarray, n_jobs: int) -> np.ndarray:
    """Units that differ from the prior, or that the nearest neighbour in the other units tells something of.

    In rounds, half of the units of which nothing is seen are left out: they hide the neighbours of the rest.
    """
    left = np.arange(z.shape[1])
    while len(left) > 1:
        evidence = np.array([_told_by_others(z[:, left], j, n_jobs) for j in range(len(left))])
        silent = np.flatnonzero((evidence < _DEVIATIONS) & ~differs[left])
        if not len(silent):
            break
        weakest = silent[np.argsort(evidence[silent], kind="stable")][: max(1, len(silent) // 2)]
        left = np.delete(left, weakest)
    active = differs.copy()
    active[left[differs[left] | (len(left) > 1)]] = True
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
