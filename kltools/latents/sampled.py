"""A prior of which nothing but draws are known: what stands in its density is estimated from samples."""

import dataclasses
import math
import warnings
from typing import Any

import numpy as np

from ..estimate import DivergenceEstimate
from ..estimators import estimate_kl
from .aggregate import Aggregate
from .decomposition import Parts, Value
from .monte_carlo import Plan
from .priors import SampledPrior

MOST_ROWS = 5_000  # of each sample


def with_sampled_prior(
    parts: Parts, whole: Aggregate, prior: SampledPrior, rng: np.random.Generator, n_jobs: int
) -> Parts:
    """The parts with the divergences from the prior, which were left out of them."""
    draws = next(Plan(whole, min(MOST_ROWS, max(len(whole), 1000)), rng).blocks())
    rows = prior.draw(MOST_ROWS, rng)
    aggregate = value_of(quiet_kl(draws.z, rows, "auto", rng, n_jobs))
    units = [value_of(quiet_kl(draws.z[:, j], rows[:, j], "knn", rng, n_jobs)) for j in range(whole.d)]
    marginal = Value(np.array([u.value for u in units]), np.array([u.standard_error for u in units]))
    together = Value(np.asarray(marginal.value.sum()), np.array(math.hypot(*marginal.standard_error)))
    rest = parts.total_correlation
    return dataclasses.replace(
        parts,
        aggregate_kl=aggregate,
        marginal_kl=marginal,
        dimension_wise_kl=together,
        prior_coupling=_sum(aggregate, (rest, -1.0), (together, -1.0)),
        kl=_sum(parts.mutual_information, (aggregate, 1.0)),
        kl_of_units=_sum(parts.information_of_units, (marginal, 1.0)),
    )


def quiet_kl(x: np.ndarray, reference: Any, method: str, rng: np.random.Generator, n_jobs: int) -> DivergenceEstimate:
    """An estimate whose warnings are its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimate_kl(x, reference, method=method, n_jobs=n_jobs, random_state=int(rng.integers(2**63)))


def value_of(estimate: DivergenceEstimate) -> Value:
    return Value(np.array(estimate.value), np.array(estimate.standard_error))


def _sum(first: Value, *others: tuple[Value, float]) -> Value:
    value, variance = first.value, first.standard_error**2
    for other, sign in others:
        value, variance = value + sign * other.value, variance + other.standard_error**2
    return Value(np.asarray(value), np.sqrt(variance))
