"""A model of the densities, and what nearest neighbours find beyond it."""

import dataclasses
import math
from typing import Any

import numpy as np

from .. import _validation
from ..errors import PoorOverlapWarning, TiesWarning, UnreliableEstimateWarning
from ..inference import Uncertainty
from ..models.mixture import Rows
from ..neighbors.neighborhood import Search
from ..preprocessing import column_exponents, count_shared_rows, deviations, fit_scaling
from ..repeats import distinct_rows, spread_lattices
from . import gaussian, knn
from .calibration import Calibration, calibrate, carried_over, n_simulations
from .model import COVARIANCES, MOST_COMPONENTS, Pair, Sample, choose_mixture, mixture_sample, normal_sample
from .problem import Problem, Result
from .spaces import best_space, enlarged

_ROWS_PER_FEATURE = 10
_FEWEST_ROWS = 50
_FEWEST_ROWS_TO_JUDGE = 20
_MOST_ROWS = 20_000  # for the model and the simulations
_MODEL_DOUBT = 0.5  # of what the neighbours find beyond the model
_WIDE_SHARE, _SMALL_DIVERGENCE = 0.25, 0.2
_QUANTILE = 1.96


def estimate(problem: Problem, *, n_neighbors: Any = None) -> Result:
    """A model corrected by calibrated nearest neighbours; with few rows `gaussian` or `knn`. See `estimate_kl`."""
    ks = _validation.neighbors_within(n_neighbors, problem.n, problem.m)
    if problem.rows < max(_FEWEST_ROWS, _ROWS_PER_FEATURE * problem.d):
        return _for_few_rows(problem, n_neighbors)
    samples = _prepared(problem)
    if samples is None:
        return _chosen("knn", knn.estimate(problem, n_neighbors=n_neighbors))
    search = Search(ks, problem.n_jobs, problem.memory_limit, problem.progress)
    model, calibration, space = (_one_sample if samples.Y is None else _two_samples)(samples, search)
    if not math.isfinite(calibration.value):
        return _chosen("knn", knn.estimate(problem, n_neighbors=n_neighbors))
    return _combined(samples, ks, model, calibration, space)


def _prepared(problem: Problem) -> Problem | None:
    """Samples of ordinary magnitude without ties; None where they have no density of full dimension."""
    rng = np.random.default_rng([problem.seed, 1])
    X, Y = spread_lattices(problem.X, problem.Y, rng, problem.notes)
    X, n_shared = distinct_rows(X, rng), 0
    n_repeated = problem.n - len(X)
    if Y is not None:
        Y, n_given = distinct_rows(Y, rng), len(Y)
        n_repeated += n_given - len(Y)
        n_shared = count_shared_rows(X, Y)
        exponents = column_exponents(X, Y)
        X, Y = np.ldexp(X, -exponents), np.ldexp(Y, -exponents)
    _tell_repeats(problem, n_repeated, n_shared)
    smaller = min(len(Z) for Z in (X, Y) if Z is not None)
    if smaller < max(_FEWEST_ROWS, _ROWS_PER_FEATURE * problem.d):
        return None
    if Y is None and np.isneginf(problem.log_q()).any():
        return None
    if any(gaussian.fit(np.ldexp(Z, -column_exponents(Z))) is None for Z in (X, Y) if Z is not None):
        return None
    return dataclasses.replace(problem, X=X, Y=Y)


def _tell_repeats(problem: Problem, n_repeated: int, n_shared: int) -> None:
    if n_repeated or n_shared:
        problem.notes.add(
            TiesWarning,
            f"{n_repeated} rows repeat within their sample, where each is taken once, and {n_shared} rows of X occur "
            "in Y: such samples are not independent draws of densities; rows that were copied should be removed.",
        )


def _two_samples(problem: Problem, search: Search) -> tuple[Pair | Sample, Calibration, str]:
    assert problem.Y is not None
    X, Y = (_part(Z, problem.seed) for Z in (problem.X, problem.Y))
    space = best_space(X, Y, problem.seed, problem.n_jobs)
    model = space.model(problem.seed)
    n = max(len(X), len(Y))
    draws = n_simulations(n, problem.d)
    if len(X) == problem.n and len(Y) == problem.m:
        return model, calibrate(model, search, draws, problem.seed), space.name
    quiet = dataclasses.replace(search, progress=None)
    of_part = calibrate(model, quiet, draws, problem.seed)
    less = dataclasses.replace(model, X=model.X[::4], Y=model.Y[::4])
    of_less = calibrate(less, quiet, draws, problem.seed)
    model = enlarged(model, space, problem.X, problem.Y)
    return model, carried_over(of_part, of_less, model, search, min(len(X), len(Y))), space.name


def _part(X: np.ndarray, seed: int) -> np.ndarray:
    """Some rows, for what would take too long with all of them."""
    if len(X) <= _MOST_ROWS:
        return X
    chosen = np.random.default_rng([seed, 2]).choice(len(X), _MOST_ROWS, replace=False)
    return X[np.sort(chosen)]


def _one_sample(problem: Problem, search: Search) -> tuple[Pair | Sample, Calibration, str]:
    """The same for a known q. The model of large samples is fitted to all rows: there is one, and it is linear."""
    scaling = fit_scaling(problem.X, "whiten")
    X, log_q = scaling.apply(problem.X, problem.n_jobs), problem.log_q() - scaling.log_det
    rows = Rows(X, problem.n_jobs)
    p, _ = choose_mixture(rows, problem.seed, COVARIANCES[: min(problem.d, 2)], MOST_COMPONENTS)
    model = normal_sample(X, log_q) if p.n_components == 1 else mixture_sample(rows, p, log_q, problem.seed)
    return model, calibrate(model, search, n_simulations(problem.n, problem.d), problem.seed), "linear"


def _combined(
    problem: Problem, ks: tuple[int, ...], model: Pair | Sample, calibration: Calibration, space: str
) -> Result:
    """The model's estimate and a part of the residual, the larger the clearer it stands out.

    Where q is normal, what the model of p misses can only add to the divergence.
    """
    z = calibration.significance
    weight = z * z / (1.0 + z * z)
    if z < 0.0 and model.can_only_be_more:
        weight = 0.0
    value = model.value + weight * calibration.residual
    parts = model.standard_error, weight * calibration.residual_error, _MODEL_DOUBT * calibration.residual
    standard_error = math.sqrt(sum(part * part for part in parts))
    components = (model.p.n_components, model.q.n_components) if isinstance(model, Pair) else (model.p.n_components,)
    return Result(
        value=value,
        uncertainty=lambda: Uncertainty(standard_error),
        n_neighbors=ks,
        reasons=_reasons(problem, value, standard_error),
        assessed=True,
        diagnostics={
            "chosen_method": "model and neighbors",
            "model_value": model.value,
            "model_components": components,
            "space": space,
            "knn_value": calibration.raw,
            "knn_bias_removed": calibration.bias,
            "residual": calibration.residual,
            "residual_significance": z,
            "residual_weight": weight,
        },
    )


def _reasons(problem: Problem, value: float, standard_error: float) -> tuple[str, ...]:
    """Why the value should not be believed, if there is anything."""
    reasons = []
    half_width = _QUANTILE * standard_error
    if half_width > _WIDE_SHARE * max(value, _SMALL_DIVERGENCE):
        reasons.append(
            f"the 95% interval reaches {half_width:.3g} nats to both sides of {value:.3g}: the rows are few, or the "
            "model of the densities and the nearest neighbours disagree."
        )
    ceiling = math.log(problem.rows)
    if value > ceiling:
        text = (
            f"the estimate exceeds log({problem.rows}) = {ceiling:.2f} nats: the samples hardly overlap, and the value "
            "rests on the shape of the fitted densities alone."
        )
        problem.notes.add(PoorOverlapWarning, text)
        reasons.append(text)
    return tuple(reasons)


def _for_few_rows(problem: Problem, n_neighbors: Any) -> Result:
    needed_x, needed_y = gaussian.needed_rows(problem.d)
    enough = problem.n >= needed_x and (problem.m is None or problem.m >= needed_y)
    if problem.rows < _ROWS_PER_FEATURE * problem.d and enough:
        _tell_far_from_normal(problem)
        return _chosen("gaussian", gaussian.estimate(problem))
    return _chosen("knn", knn.estimate(problem, n_neighbors=n_neighbors))


def _chosen(name: str, result: Result) -> Result:
    rule = (
        f"gaussian where min(n, m) < {_ROWS_PER_FEATURE} d and the rows suffice, else knn where min(n, m) < "
        f"{_FEWEST_ROWS} or the samples have no density, else a model with calibrated nearest neighbours"
    )
    return dataclasses.replace(result, diagnostics={"chosen_method": name, "rule": rule, **result.diagnostics})


def _tell_far_from_normal(problem: Problem) -> None:
    """Note columns whose skewness or excess kurtosis is large, and far beyond what normal samples show."""
    for name, sample in (("X", problem.X), ("Y", problem.Y)):
        if sample is None or len(sample) < _FEWEST_ROWS_TO_JUDGE:
            continue
        deviation = deviations(np.ldexp(sample, -column_exponents(sample)))
        spread = deviation.std(axis=0)
        standard = deviation / np.where(spread > 0.0, spread, 1.0)
        skewness, kurtosis = np.abs((standard**3).mean(axis=0)), (standard**4).mean(axis=0) - 3.0
        n = len(sample)
        far = (skewness > max(0.7, 6.0 * math.sqrt(6.0 / n))) | (kurtosis > max(2.0, 10.0 * math.sqrt(24.0 / n)))
        if far.any():
            columns = [int(j) for j in np.flatnonzero(far)]
            problem.notes.add(
                UnreliableEstimateWarning,
                f"columns {columns} of {name} are far from normal, which method='gaussian', chosen for want of rows, "
                "takes them for; transform them, or compare method='knn'.",
            )
