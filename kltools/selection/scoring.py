"""Divergences of whole pipelines, and what model selection of scikit-learn maximises."""

import math
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..errors import InvalidParameterError, InvalidTypeError
from ..estimate import DivergenceEstimate
from ..estimators.classifier import HeldOut
from ..estimators.objects import DivergenceEstimator
from ..estimators.ratio_objects import RatioDivergence


def pipeline_divergence(pipe: Any, X: Any) -> DivergenceEstimate:
    """Estimate KL(P || Q) for a sample X of P by a fitted pipeline that ends in an estimator of the reference Q.

    X goes through all other steps, as the reference did when they were fitted; a pipeline passes on no method
    ``divergence``. Divergences are of the features that the last step sees: what maps rows one to one changes nothing
    of the truth, and what loses information only lowers it.

    Parameters
    ----------
    pipe : Pipeline or estimator
        Fitted. The last step is a `KNNDivergence`, `AutoDivergence` or another one with ``divergence(X)``, or a
        pipeline with such an end; of a grid search the best estimator is taken.
    X : array-like of shape (n, d)
        Rows drawn from P, as before the first step.

    Returns
    -------
    DivergenceEstimate
        In nats.

    Raises
    ------
    InvalidTypeError
        Where the last step has no divergence from a reference.
    NotFittedError
        scikit-learn's, before ``fit``.

    Warns
    -----
    TiesWarning, SmallSampleWarning, PoorOverlapWarning, UnreliableEstimateWarning, InfiniteDivergenceWarning
        Each is also kept as text in ``warnings`` of the result.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> rng = np.random.default_rng(0)
    >>> pipe = make_pipeline(StandardScaler(), kl.GaussianDivergence()).fit(rng.normal(0, 10, (500, 2)))
    >>> round(kl.pipeline_divergence(pipe, rng.normal(10, 10, (500, 2))).value, 1)  # the truth is 1.0
    1.1
    """
    last, rows = _with_reference(pipe, X)
    return last._estimate(rows)


def kl_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """KL(P || Q) in nats of a sample X of P from the reference of Q, as a scorer: ``scoring=kl_scorer``.

    The value of `pipeline_divergence`, with its sign: greater is farther. Over the folds of `cross_val_score` on
    the reference alone it shows what values to expect without any change. It is no criterion to choose the
    estimator's own parameters by, like ``n_neighbors``, whose bias it contains.

    Parameters
    ----------
    estimator : estimator, Pipeline or grid search
        Fitted on the reference.
    X : array-like of shape (n, d)
    y : ignored

    Returns
    -------
    float
        ``estimator.score`` is minus that.

    Raises
    ------
    InvalidTypeError
        Where there is no divergence from a reference; for `RatioDivergence` see `nwj_scorer`.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from sklearn.model_selection import cross_val_score
    >>> X = np.random.default_rng(0).normal(size=(1000, 2))
    >>> cross_val_score(kl.GaussianDivergence(), X, scoring=kl.kl_scorer, cv=4).round(2) + 0.0
    array([0.  , 0.  , 0.01, 0.01])
    """
    last, rows = _with_reference(estimator, X)
    return last._estimate(rows).value


def nwj_scorer(estimator: Any, X: Any, y: Any) -> float:
    r"""The bound of Nguyen, Wainwright and Jordan on KL(P || Q) in nats at held-out rows, as a scorer.

    .. math:: \frac{1}{n} \sum_{X} f(x) + 1 - \frac{1}{m} \sum_{Y} e^{f(y)} \lesssim \mathrm{KL}(P \,\|\, Q)

    where f is the log ratio of a fitted `RatioDivergence`: its log odds minus the log ratio of the rows of P and of Q
    that it was fitted to. Its expectation is a lower bound for whatever f, and the true log ratio is the best one. A
    greater score therefore is a better classifier, also in its probabilities, which accuracy does not see, so that
    `GridSearchCV` and `cross_val_score` may choose by it.

    Parameters
    ----------
    estimator : RatioDivergence, or a Pipeline or grid search that ends in one
        Fitted to other rows.
    X : array-like of shape (n + m, d)
        Rows of both samples.
    y : array-like of shape (n + m,)
        The labels; the one that sorts last marks rows of P.

    Returns
    -------
    float
        -inf where a row is given a probability of exactly 0 to be what it is: no bound at all.

    Raises
    ------
    InvalidTypeError
        For another estimator.
    InvalidParameterError
        Where rows of P or of Q are missing, or labels are unknown.

    References
    ----------
    X. Nguyen, M. J. Wainwright, M. I. Jordan (2010), Estimating divergence functionals and the likelihood ratio by
    convex risk minimization, eq. 9.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> from sklearn.model_selection import cross_val_score
    >>> rng = np.random.default_rng(0)
    >>> X, y = np.concatenate([rng.normal(1, 1, 1000), rng.normal(0, 1, 1000)])[:, None], np.repeat([1, 0], 1000)
    >>> float(cross_val_score(kl.RatioDivergence(), X, y, scoring=kl.nwj_scorer).mean().round(1))  # the truth is 0.5
    0.4
    """
    ratio, rows = _last_step(estimator, X)
    if not isinstance(ratio, RatioDivergence):
        raise InvalidTypeError(
            f"nwj_scorer needs a RatioDivergence, alone or at the end of a pipeline, got a {type(ratio).__name__}; for "
            "estimators that are fitted on a reference take kl_scorer."
        )
    log_ratio = ratio.decision_function(rows) - ratio._log_odds_of_rows()
    is_p, is_q = (np.asarray(y) == label for label in ratio.classes_[::-1])
    if not (is_p | is_q).all() or not (is_p.any() and is_q.any()):
        raise InvalidParameterError(
            f"y holds the labels {np.unique(np.asarray(y)).tolist()}, both of {ratio.classes_.tolist()} and no others "
            "are needed; with few rows let sklearn.model_selection.StratifiedKFold choose the folds."
        )
    held_out = HeldOut(log_ratio[is_p], log_ratio[is_q])
    if np.isneginf(held_out.of_x).any() or np.isposinf(held_out.of_y).any():
        return -math.inf
    return held_out.value("nwj")


def _with_reference(estimator: Any, X: Any) -> tuple[DivergenceEstimator, Any]:
    last, rows = _last_step(estimator, X)
    if not isinstance(last, DivergenceEstimator):
        advice = "its method divergence() takes no sample" if isinstance(last, RatioDivergence) else "let it end in one"
        raise InvalidTypeError(
            f"{type(last).__name__} has no divergence from a reference, which KNNDivergence, AutoDivergence and others "
            f"have; {advice}."
        )
    return last, rows


def _last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """The estimator that a pipeline or a search ends in, and the rows that it sees."""
    if hasattr(estimator, "best_estimator_"):
        return _last_step(estimator.best_estimator_, X)
    if not isinstance(estimator, Pipeline):
        return estimator, X
    check_is_fitted(estimator)
    for _, step in estimator.steps[:-1]:
        if step is not None and step != "passthrough":
            X = step.transform(X)
    return _last_step(estimator.steps[-1][1], X)
