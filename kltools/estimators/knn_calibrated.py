"""Nearest-neighbour estimates without the bias that they have on samples like the given ones."""

import math
from typing import Any

from .. import _validation
from ..errors import InvalidParameterError, SmallSampleWarning
from ..inference import Uncertainty
from .calibration import Calibration, calibrated_pair, calibrated_sample
from .model import Pair, Sample, fitted_sample
from .preparation import ROWS_PER_FEATURE, for_model, rows_for_model
from .problem import Problem, Result, outside_support
from .spaces import linear_space

_FEWEST_ROWS = 20


def estimate(
    problem: Problem, *, n_neighbors: Any = None, reference: str = "auto", n_simulations: int | None = None
) -> Result:
    """The estimate by neighbours minus its mean error on samples drawn from a model; see `CalibratedKNNDivergence`."""
    _validation.choice(reference, "reference", _validation.REFERENCES)
    draws = _validation.n_simulations(n_simulations)
    _validation.neighbors_within(n_neighbors, problem.n, problem.m)
    samples = for_model(problem, "knn_calibrated", max(_FEWEST_ROWS, ROWS_PER_FEATURE * problem.d))
    if isinstance(samples, Result):
        return samples
    _tell_few_rows(samples)
    ks = _validation.neighbors_within(n_neighbors, samples.n, samples.m)
    search = problem.search(ks)
    model: Pair | Sample
    if samples.Y is None:
        if (outside := outside_support(samples, samples.log_q())) is not None:
            return outside
        model = fitted_sample(samples, reference)
        calibration = calibrated_sample(samples, model, search, draws)
    else:
        model, calibration, _ = calibrated_pair(
            samples, search, lambda X, Y: linear_space(X, Y, problem.seed, reference), draws
        )
    if not math.isfinite(calibration.value):
        raise InvalidParameterError(
            f"{ks[-1]} and more rows lie so close together beside the spread of all that whitened they are equal: "
            "their distances do not follow from a model; use method='knn'."
        )
    return _result(problem, ks, model, calibration)


def _tell_few_rows(problem: Problem) -> None:
    needed = rows_for_model(problem.d)
    if problem.rows < needed:
        problem.notes.add(
            SmallSampleWarning,
            f"{problem.rows} rows are few for a model of their densities: with fewer than {needed} what it removes is "
            "as uncertain as the estimate.",
        )


def _result(problem: Problem, ks: tuple[int, ...], model: Pair | Sample, calibration: Calibration) -> Result:
    standard_error = math.hypot(model.standard_error, calibration.residual_error)
    return Result(
        value=calibration.value,
        uncertainty=lambda: Uncertainty(standard_error),
        n_neighbors=ks,
        reasons=problem.tell_beyond_sight(calibration.value),
        diagnostics={
            "knn_value": calibration.raw,
            "knn_bias_removed": calibration.bias,
            "model_value": model.value,
            "model_components": model.components,
        },
    )
