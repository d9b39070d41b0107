"""Divergences of normal mixtures that are fitted to the samples."""

import math

from .. import _validation
from ..errors import SmallSampleWarning, UnreliableEstimateWarning
from ..inference import Uncertainty
from ..models.mixture import Mixture, Rows
from .model import COVARIANCES, Model, choose_mixture, linear_scaling, mixture_pair, mixture_sample
from .preparation import for_model
from .problem import Problem, Result, outside_support

_ROWS_PER_FEATURE = 10
_WIDE = 1.0  # half of an interval, in nats, and more than the value


def estimate(problem: Problem, *, max_components: int = 12, covariance: str = "auto", n_folds: int = 5) -> Result:
    """mean_i log p(X_i) - log q(X_i) with mixtures fitted without the fold of X_i; options: `MixtureDivergence`."""
    _validation.integer(max_components, "max_components", minimum=1)
    _validation.choice(covariance, "covariance", _validation.MIXTURE_COVARIANCES)
    _validation.integer(n_folds, "n_folds", minimum=2)
    samples = for_model(problem, "mixture", needed_rows(problem.d, n_folds))
    if isinstance(samples, Result):
        return samples
    _tell_few_rows(samples)
    scaling = linear_scaling(samples.X, samples.Y, "std" if covariance == "diag" else "whiten")
    x = Rows(scaling.apply(samples.X, problem.n_jobs), problem.n_jobs)
    kinds = COVARIANCES[: min(problem.d, 2)] if covariance == "auto" else (covariance,)

    def chosen(rows: Rows) -> Mixture:
        return choose_mixture(rows, problem.seed, kinds, max_components, penalty=None)[0]

    model: Model
    if samples.Y is None:
        log_q = samples.log_q()
        if (outside := outside_support(samples, log_q)) is not None:
            return outside
        model = mixture_sample(x, chosen(x), log_q - scaling.log_det, problem.seed, n_folds)
    else:
        y = Rows(scaling.apply(samples.Y, problem.n_jobs), problem.n_jobs)
        model = mixture_pair(x, y, chosen(x), chosen(y), problem.seed, whiten=False, n_folds=n_folds)
    return _result(problem, model)


def needed_rows(d: int, n_folds: int) -> int:
    """Rows of each sample of which every fold leaves more than there are features."""
    return max(n_folds, math.ceil((d + 1) * n_folds / (n_folds - 1)))


def _result(problem: Problem, model: Model) -> Result:
    standard_error = model.standard_error
    return Result(
        value=model.value,
        uncertainty=lambda: Uncertainty(standard_error),
        reasons=problem.tell_beyond_sight(model.value)
        + problem.tell_impossible_ratio(model.value)  # the lowest of the log ratios is no more than their mean
        + _tell_wide(problem, model),
        diagnostics={"components": model.components, "covariances": model.covariances},
    )


def _tell_wide(problem: Problem, model: Model) -> tuple[str, ...]:
    low, high = Uncertainty(model.standard_error).interval(model.value, 0.95)
    half_width = 0.5 * (high - low)
    if half_width <= max(model.value, _WIDE):
        return ()
    text = (
        f"the 95% interval reaches {half_width:.3g} nats to both sides of {model.value:.3g}, which says next to "
        "nothing: few rows, which mixtures fitted without them do not expect, decide the value."
    )
    problem.notes.add(UnreliableEstimateWarning, text)
    return (text,)


def _tell_few_rows(problem: Problem) -> None:
    if problem.rows < _ROWS_PER_FEATURE * problem.d:
        problem.notes.add(
            SmallSampleWarning,
            f"{problem.rows} rows are few for densities of {problem.d} features: with fewer than {_ROWS_PER_FEATURE} "
            "rows for each, what is fitted without a fold misses its rows, and the estimate is biased.",
        )
