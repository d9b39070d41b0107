"""The log odds of a classifier that tells the samples apart, as the log density ratio."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _validation
from .._validation import check_enough_rows
from ..errors import (
    InfiniteDivergenceWarning,
    InvalidParameterError,
    InvalidTypeError,
    KLToolsWarning,
    PoorOverlapWarning,
    UnreliableEstimateWarning,
)
from ..inference import UNKNOWN, Uncertainty, random_blocks, sum_of_means
from ..preprocessing import column_exponents
from ..repeats import tell_repeats
from .problem import BOUNDS, Problem, Result

_MOST_FEATURES_TO_CROSS = 50
_FEWEST_EFFECTIVE_ROWS = 10
_LOG_ODDS_TOLERANCE = 1e-12


def estimate(problem: Problem, *, classifier: Any = None, n_folds: int = 5, bound: str = "dv") -> Result:
    """A bound on KL from held-out log odds minus log(n / m); options: `RatioDivergence`."""
    _validation.choice(bound, "bound", BOUNDS)
    Y = problem.sample_of_q("classifier")
    check_enough_rows(len(Y), "Y", 2, "method='classifier'")
    n_folds = min(_validation.integer(n_folds, "n_folds", minimum=2), problem.rows)
    tell_repeats(problem.X, Y, problem.notes)
    exponents = column_exponents(problem.X, Y)
    X, Y = np.ldexp(problem.X, -exponents), np.ldexp(Y, -exponents)
    rng = np.random.default_rng(problem.seed)
    model = seeded_classifier(classifier, problem.d, rng)
    if classifier is None and problem.d > _MOST_FEATURES_TO_CROSS:
        problem.notes.add(
            KLToolsWarning,
            f"with more than {_MOST_FEATURES_TO_CROSS} features, here {problem.d}, the default classifier is linear: "
            "it sees differences of means only; pass a classifier.",
        )
    held_out = cross_fitted(model, X, Y, n_folds, rng)
    return _result(problem, held_out, bound, n_folds)


def default_classifier(d: int) -> Any:
    """Logistic regression, with an l2 penalty, on standardised features, their squares and products."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    regression = LogisticRegression(solver="newton-cholesky")
    if d > _MOST_FEATURES_TO_CROSS:
        return make_pipeline(StandardScaler(), regression)
    squares = PolynomialFeatures(degree=2, include_bias=False)
    return make_pipeline(StandardScaler(), squares, StandardScaler(), regression)


def seeded_classifier(classifier: Any, d: int, rng: np.random.Generator) -> Any:
    """An unfitted copy, with a seed wherever it has a random state that is not set."""
    from sklearn.base import clone

    if classifier is None:
        return default_classifier(d)
    if isinstance(classifier, type) or not hasattr(classifier, "fit") or not hasattr(classifier, "predict_proba"):
        raise InvalidTypeError(
            f"classifier must be an estimator with fit and predict_proba, got {classifier!r}; wrap a classifier "
            "without probabilities in sklearn.calibration.CalibratedClassifierCV."
        )
    model = clone(classifier)
    seeds = {
        name: int(rng.integers(2**31))
        for name, value in sorted(model.get_params().items())
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    return model.set_params(**seeds)


def log_odds(model: Any, rows: np.ndarray) -> np.ndarray:
    """log p(1 | x) / p(0 | x); a decision function that is just this has more digits than probabilities."""
    probabilities = np.asarray(model.predict_proba(rows))
    with np.errstate(divide="ignore", over="ignore"):
        if hasattr(model, "decision_function"):
            decision = np.asarray(model.decision_function(rows))
            if np.abs(1.0 / (1.0 + np.exp(-decision)) - probabilities[:, 1]).max() < _LOG_ODDS_TOLERANCE:
                return decision
        return np.log(probabilities[:, 1]) - np.log(probabilities[:, 0])


@dataclass(frozen=True)
class HeldOut:
    """Estimates of log p/q at the rows of X and of Y, each by a classifier that has not seen the row."""

    of_x: np.ndarray
    of_y: np.ndarray

    @property
    def log_mass(self) -> float:
        """log mean_Y of the ratio, which is 0 for a true one."""
        largest = float(self.of_y.max())
        if math.isinf(largest):
            return largest
        return largest + math.log(float(np.exp(self.of_y - largest).mean()))

    def value(self, bound: str) -> float:
        """Donsker and Varadhan (1983); Nguyen, Wainwright and Jordan (2010), eq. 9; or the plain mean."""
        mean = float(self.of_x.mean())
        if bound == "plug_in":
            return mean
        if bound == "dv":
            return mean - self.log_mass
        with np.errstate(over="ignore"):
            return mean + 1.0 - float(np.exp(self.of_y).mean())

    def effective_rows(self) -> float:
        """(sum w)^2 / sum w^2 of the ratios at rows of Y."""
        if math.isinf(self.log_mass):
            return 0.0
        weights = np.exp(self.of_y - self.of_y.max())
        return float(weights.sum() ** 2 / (weights**2).sum())

    def uncertainty(self, bound: str) -> Uncertainty:
        """From the influence of each row, as if the log ratio were known; the ratio has the mean 1 but for "nwj"."""
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = np.exp(self.of_y - (0.0 if bound == "nwj" else self.log_mass))
        if not (np.isfinite(ratio).all() and np.isfinite(self.of_x).all()):
            return UNKNOWN
        return sum_of_means(self.of_x, ratio)


def cross_fitted(model: Any, X: np.ndarray, Y: np.ndarray, n_folds: int, rng: np.random.Generator) -> HeldOut:
    """The log ratio at the rows of each fold by a classifier fitted to the others."""
    from sklearn.base import clone

    folds = [random_blocks(len(sample), n_folds, rng) for sample in (X, Y)]
    found = [np.empty(len(sample)) for sample in (X, Y)]
    for fold in range(n_folds):
        kept = [sample[labels != fold] for sample, labels in zip((X, Y), folds, strict=True)]
        of_p = np.repeat([1, 0], [len(kept[0]), len(kept[1])])
        fitted = clone(model).fit(np.concatenate(kept), of_p)
        prior = math.log(len(kept[0]) / len(kept[1]))
        for values, sample, labels in zip(found, (X, Y), folds, strict=True):
            values[labels == fold] = log_odds(fitted, sample[labels == fold]) - prior
    return HeldOut(*found)


def _result(problem: Problem, held_out: HeldOut, bound: str, n_folds: int) -> Result:
    wrong = int(np.isneginf(held_out.of_x).sum() + np.isposinf(held_out.of_y).sum())
    if wrong:
        raise InvalidParameterError(
            f"classifier gives a probability of exactly 0 to the sample that {wrong} held-out rows belong to, which "
            "makes a mean of log odds meaningless; calibrate it (sklearn.calibration.CalibratedClassifierCV), or "
            "limit it (min_samples_leaf of trees)."
        )
    value = held_out.value(bound)
    if value == math.inf:
        problem.notes.add(
            InfiniteDivergenceWarning,
            "classifier gives a probability of exactly 1 to held-out rows of one sample: the divergence is inf.",
        )
    reasons = _tell_separation(problem, held_out) + _tell_few_effective_rows(problem, held_out)
    return Result(
        value,
        lambda: held_out.uncertainty(bound),
        reasons=reasons
        + problem.tell_beyond_sight(value)
        + problem.tell_impossible_ratio(float(held_out.of_x.min()) - max(held_out.log_mass, 0.0)),
        diagnostics={
            "bound": bound,
            "n_folds": n_folds,
            "effective_sample_size": held_out.effective_rows(),
            "value_by_bound": {name: held_out.value(name) for name in BOUNDS},
        },
    )


def _tell_separation(problem: Problem, held_out: HeldOut) -> tuple[str, ...]:
    if held_out.of_x.min() <= held_out.of_y.max():
        return ()
    text = (
        "the classifier separates the samples perfectly: the divergence is not identifiable, and the value is set by "
        "the classifier's penalty; it may be any number beyond, or inf."
    )
    problem.notes.add(PoorOverlapWarning, text)
    return (text,)


def _tell_few_effective_rows(problem: Problem, held_out: HeldOut) -> tuple[str, ...]:
    rows = held_out.effective_rows()
    if rows >= _FEWEST_EFFECTIVE_ROWS:
        return ()
    text = f"the mean of the ratio p / q over {problem.m} rows of Y rests on about {rows:.1f} of them."
    problem.notes.add(UnreliableEstimateWarning, text)
    return (text,)
