"""A model of the densities, and what nearest neighbours find beyond it."""

import dataclasses
import math
from typing import Any

import numpy as np

from .. import _validation
from ..errors import PoorOverlapWarning, SmallSampleWarning, UnreliableEstimateWarning
from ..inference import Uncertainty, rows_left
from ..models.normality import departure_from_normal
from ..neighbors.neighborhood import Search
from ..preprocessing import Notes, column_exponents, deviations
from ..repeats import has_atoms
from . import gaussian, knn
from .calibration import Calibration, calibrated_pair, calibrated_sample
from .edges import Edges, cut_at_edges
from .model import Model, Sample, fitted_sample
from .preparation import prepared, rows_for_model, samples_in_fewer_dimensions, scales_apart
from .problem import Problem, Result
from .spaces import best_space

_ROWS_PER_FEATURE = 10
_FEWEST_ROWS = 100  # simulations of fewer rows say little of these
_FEWEST_ROWS_TO_JUDGE = 20
_MODEL_DOUBT = 0.5  # of what the neighbours find beyond the model
_NORMAL_SIGNIFICANCE = 2.0  # at least, of what is believed against two normal distributions
_CONTRADICTION = -4.0  # standard errors below a model that can only be too low: it is wrong
_FEW_FEATURES, _SHARE_OF_BIAS = 3, 0.5
_DEPARTURE = 3.5  # standard errors of skewness or kurtosis that a normal distribution does not show
_WIDE_SHARE, _SMALL_DIVERGENCE = 0.25, 0.2


def estimate(problem: Problem, *, n_neighbors: Any = None) -> Result:
    """A model corrected by calibrated nearest neighbours; with few rows `gaussian` or `knn`. See `estimate_kl`."""
    ks = _validation.neighbors_within(n_neighbors, problem.n, problem.m)
    needed = max(_FEWEST_ROWS, rows_for_model(problem.d))
    if problem.rows < needed:
        return _for_few_rows(problem, n_neighbors)
    has_density = not (problem.has_atoms or has_atoms(problem.X, problem.Y))
    if not has_density or scales_apart(problem):  # no model holds the latter
        return _by_neighbors(problem, n_neighbors)
    notes = Notes(columns=problem.notes.columns)  # what is told of samples made fit for a model holds for that only
    samples = prepared(dataclasses.replace(problem, notes=notes))
    is_outside = samples.Y is None and bool(np.isneginf(samples.log_q()).any())
    if is_outside or samples.rows < max(needed, ks[-1] + 1) or samples_in_fewer_dimensions(samples):
        return _by_neighbors(problem, n_neighbors)
    search = problem.search(ks)
    edges = Edges(samples) if samples.Y is None else cut_at_edges(samples, max(rows_for_model(problem.d), ks[-1] + 1))
    model, calibration, space = (_one_sample if samples.Y is None else _two_samples)(edges.samples, search)
    if not math.isfinite(calibration.value):
        return _by_neighbors(problem, n_neighbors)
    result = _combined(samples, ks, edges, model, _tempered(calibration, model, problem.d), space)
    problem.notes.items.extend(samples.notes.items)
    return result


def _two_samples(problem: Problem, search: Search) -> tuple[Model, Calibration, str]:
    return calibrated_pair(problem, search, lambda X, Y: best_space(X, Y, problem.seed, problem.n_jobs))


def _one_sample(problem: Problem, search: Search) -> tuple[Model, Calibration, str]:
    """The same for a known q. The model of large samples is fitted to all rows: there is one, and it is linear."""
    model = fitted_sample(problem)
    return model, calibrated_sample(problem, model, search), "linear"


def _tempered(calibration: Calibration, model: Model, d: int) -> Calibration:
    """In few features mixtures follow the rows too closely and exaggerate the bias: half of it is believed."""
    if max(model.components) == 1 or d > _FEW_FEATURES:
        return calibration
    return calibration.with_bias(_SHARE_OF_BIAS)


def _weight(calibration: Calibration, model: Model, space: str) -> float:
    """The part of the residual that is believed, the larger the clearer it stands out.

    Where q is normal, what the model of p misses can only add to the divergence; a clear contradiction says that q
    is not, and takes away at most all of it.
    """
    z = calibration.significance
    most = 1.0
    if z < 0.0 and model.can_only_be_more:
        most = max(0.0, model.value / -calibration.residual) if z < _CONTRADICTION else 0.0
    if model.is_normal and space == "linear":
        weight = max(0.0, 1.0 - (_NORMAL_SIGNIFICANCE / z) ** 2) if z else 0.0
    else:
        weight = z * z / (1.0 + z * z)
    return min(weight, most)


def _combined(
    problem: Problem, ks: tuple[int, ...], edges: Edges, model: Model, calibration: Calibration, space: str
) -> Result:
    """What lies beyond edges, the model's estimate, and a part of the residual."""
    weight = _weight(calibration, model, space)
    value = edges.value + model.value + weight * calibration.residual
    errors = edges.standard_error, model.standard_error, weight * calibration.residual_error
    doubts = calibration.residual, calibration.bias_left
    standard_error = math.hypot(*errors, *(_MODEL_DOUBT * doubt for doubt in doubts))
    return Result(
        value=value,
        uncertainty=lambda: Uncertainty(standard_error),
        n_neighbors=ks,
        reasons=(*_reasons(problem, value, standard_error), *edges.reasons, *_unseen_shape(edges.samples, model)),
        assessed=True,
        diagnostics={
            "chosen_method": "model and neighbors",
            "model_value": model.value,
            "model_components": model.components,
            "space": space,
            "share_within_edges": edges.share,
            "knn_value": calibration.raw,
            "knn_bias_removed": calibration.bias,
            "residual": calibration.residual,
            "residual_significance": calibration.significance,
            "residual_weight": weight,
        },
    )


def _reasons(problem: Problem, value: float, standard_error: float) -> tuple[str, ...]:
    """Why the value should not be believed, if there is anything."""
    reasons = []
    low, high = Uncertainty(standard_error).interval(value, 0.95)
    half_width = 0.5 * (high - low)
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


def _unseen_shape(problem: Problem, model: Model) -> tuple[str, ...]:
    """Where normal distributions were fitted, but do not fit, in more features than neighbours see details in."""
    if not model.is_normal or problem.d <= _FEW_FEATURES:
        return ()
    samples = {"X": model.X} if isinstance(model, Sample) else {"X": model.X, "Y": model.Y}
    departures = {name: departure_from_normal(Z) for name, Z in samples.items()}
    name = max(departures, key=departures.__getitem__)
    if departures[name] < _DEPARTURE:
        return ()
    text = (
        f"{name} is taken for normal, as {problem.rows} rows in {problem.d} features do not carry a finer model, but "
        f"its skewness or kurtosis departs by {departures[name]:.1f} standard errors: the divergence may be larger."
    )
    problem.notes.add(UnreliableEstimateWarning, text)
    return (text,)


def _for_few_rows(problem: Problem, n_neighbors: Any) -> Result:
    needed_x, needed_y = gaussian.needed_rows(problem.d)
    enough = problem.n >= needed_x and (problem.m is None or problem.m >= needed_y)
    if problem.rows < _ROWS_PER_FEATURE * problem.d and enough and not problem.has_atoms:
        _tell_far_from_normal(problem)
        return _chosen("gaussian", gaussian.estimate(problem))
    return _by_neighbors(problem, n_neighbors)


def _by_neighbors(problem: Problem, n_neighbors: Any) -> Result:
    result = knn.estimate(problem, n_neighbors=n_neighbors)
    if result.n_neighbors is not None:
        _tell_no_error(problem, result.n_neighbors[-1])
    return _chosen("knn", result)


def _tell_no_error(problem: Problem, k: int) -> None:
    own, other = rows_left([problem.n, problem.n if problem.m is None else problem.m])
    if own <= k or other < k:
        problem.notes.add(
            SmallSampleWarning,
            f"there is no standard error and no interval (nan): without a block of rows {min(own, other)} are left, "
            f"too few for n_neighbors={k}; pass fewer, or more rows.",
        )


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
