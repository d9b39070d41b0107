"""Estimators with the interface of scikit-learn: kernel densities, and density ratios."""

import math
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _arrays, _validation
from .._jit import effective_n_jobs
from .._state import VersionedState
from ..errors import InvalidParameterError
from ..estimate import DivergenceEstimate
from ..preprocessing import Notes, column_exponents
from . import classifier as classifiers
from . import estimate_samples
from .kde import Density
from .objects import DivergenceEstimator, host_rows
from .problem import BOUNDS


class KDEDivergence(DivergenceEstimator):
    """KL divergence from a reference sample by kernel density estimates.

    KL(P || Q) ~ mean_i log p(X_i) - log q(X_i). Both densities are means of normal kernels at the rows of a
    sample, with the sample's covariance times the square of a bandwidth (its variances alone below 10 rows
    per feature); that of P leaves out X_i. Sums are formed from the nearest row on, so that nothing
    underflows. Weaker than `KNNDivergence`: one bandwidth smooths everything, and from 6 features on it
    smooths too much, which a warning tells. The standard error takes bandwidths as given, and rows that repeat
    make it too small, which a warning tells.

    Parameters
    ----------
    bandwidth : {"silverman", "scott"} or float
        (N (d + 2) / 4)^(-1 / (d + 4)), N^(-1 / (d + 4)), or a number of standard deviations.
    n_jobs : int, optional
        Threads; -1 for all cores.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    B. W. Silverman (1986), Density estimation for statistics and data analysis, eq. 4.14;
    D. W. Scott (1992), Multivariate density estimation, eq. 6.42.

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import KDEDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = KDEDivergence().fit(rng.normal(0, 1, (2000, 2)))
    >>> round(estimator.divergence(rng.normal(0.5, 1, (2000, 2))).value, 1)  # the truth is 0.25
    0.3
    """

    _method = "kde"

    def __init__(self, bandwidth: Any = "silverman", *, n_jobs: int | None = None):
        self.bandwidth = bandwidth
        self.n_jobs = n_jobs

    def _fit_reference(self, rows: np.ndarray) -> None:
        _validation.bandwidth(self.bandwidth)
        _validation.check_n_jobs(self.n_jobs)

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-density of the reference at each row of X.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        ndarray of shape (n,)
            In nats.
        """
        queries = self._rows(X)
        rows = _arrays.frozen(self._fit_X)
        constant = np.flatnonzero((rows == rows[0]).all(axis=0))
        if len(constant):
            raise InvalidParameterError(f"the reference has no density: its columns {constant.tolist()} are constant.")
        n_jobs = effective_n_jobs(_validation.check_n_jobs(self.n_jobs))
        density = Density.fit(rows, _validation.bandwidth(self.bandwidth))
        return density.log_density(density.coordinates(queries, n_jobs), n_jobs)


class ULSIFDivergence(DivergenceEstimator):
    """KL divergence from a reference sample by a least-squares fit of the density ratio (uLSIF).

    KL(P || Q) ~ mean_X log w - log mean_Y w for a sum w of normal kernels at up to 100 rows of X with weights
    a = (mean_Y k k' + lambda I)^-1 mean_X k, those below 0 made 0. The kernels' width and lambda are chosen by
    leaving out each of up to 2000 rows of either sample, in closed form. Weaker than the other methods: the
    ratio is too smooth, and the estimate too low, unless the divergence is small.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    T. Kanamori, S. Hido, M. Sugiyama (2009), A least-squares approach to direct importance estimation,
    section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import ULSIFDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = ULSIFDivergence().fit(rng.normal(0, 1, (500, 1)))
    >>> round(estimator.divergence(rng.normal(0.5, 1, (500, 1))).value, 1)  # the truth is 0.125
    0.1
    """

    _method = "ulsif"


class RuLSIFDivergence(DivergenceEstimator):
    """Pearson divergence of P from a mixture of P and the reference, by a fit of their ratio (RuLSIF). Not KL.

    PE = 1/2 E_M (p/m - 1)^2 with M = alpha P + (1 - alpha) Q, estimated by mean_X w - alpha/2 mean_X w^2 -
    (1 - alpha)/2 mean_Y w^2 - 1/2. The ratio w of p to m never exceeds 1 / alpha, which makes it easier to
    estimate than p/q, but it is another quantity: every estimate says so in its ``reasons``.

    Parameters
    ----------
    alpha : float
        In [0, 1). With 0 it is half the chi-squared divergence.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    M. Yamada, T. Suzuki, T. Kanamori, H. Hachiya, M. Sugiyama (2013), Relative density-ratio estimation for
    robust distribution comparison, eq. 6 and 11.

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import RuLSIFDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = RuLSIFDivergence(alpha=0.5).fit(rng.normal(0, 1, (500, 1)))
    >>> round(estimator.divergence(rng.normal(1, 1, (500, 1))).value, 1)  # the truth is 0.1
    0.1
    """

    _method = "rulsif"

    def __init__(self, alpha: float = 0.1):
        self.alpha = alpha

    def _fit_reference(self, rows: np.ndarray) -> None:
        _validation.relative_share(self.alpha)


class KLIEPDivergence(DivergenceEstimator):
    """KL divergence from a reference sample by a likelihood fit of the density ratio (KLIEP).

    KL(P || Q) ~ max mean_X log w over sums w of normal kernels at up to 100 rows of X with weights >= 0 and
    mean_Y w = 1. The kernels' width is chosen by cross-validation on up to 2000 rows of X. Rows of X
    where Y has few make it too large, even wildly: it is weaker than the other methods.

    Parameters
    ----------
    n_folds : int
        Of the cross-validation; cut to the rows of X. Rows i, i + n_folds, ... make a fold.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    M. Sugiyama, T. Suzuki, S. Nakajima, H. Kashima, P. von Buenau, M. Kawanabe (2008), Direct importance
    estimation for covariate shift adaptation, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import KLIEPDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = KLIEPDivergence().fit(rng.normal(0, 1, (500, 1)))
    >>> round(estimator.divergence(rng.normal(0.5, 1, (500, 1))).value, 1)  # the truth is 0.125
    0.1
    """

    _method = "kliep"

    def __init__(self, n_folds: int = 5):
        self.n_folds = n_folds

    def _fit_reference(self, rows: np.ndarray) -> None:
        _validation.integer(self.n_folds, "n_folds", minimum=2)


class RatioDivergence(
    VersionedState, ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator
):
    """A classifier that tells the rows of P from those of Q, and the KL divergence that its log odds show.

    With f = log odds - log(n / m), an estimate of log p/q at rows that the classifier was not fitted to, KL(P || Q)
    is at least mean_X f - log mean_Y e^f ("dv") and mean_X f + 1 - mean_Y e^f ("nwj"), and about mean_X f
    ("plug_in"). No such bound can be trusted above log m; values there are reported as not reliable, and so are
    those of samples that are separated perfectly. The standard error takes the log ratio as known. In front of other
    steps of a pipeline it is the transformer of rows to their log ratio.

    Parameters
    ----------
    classifier : scikit-learn classifier with predict_proba, optional
        By default a logistic regression with an l2 penalty on standardised features, their squares and products
        (features alone where there are more than 50). Give it no class weights.
    n_folds : int
        Parts that are left out in turn for the estimate; cut to the rows of the smaller sample.
    bound : {"dv", "nwj", "plug_in"}
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the folds, and for random states of the classifier that are None.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels, sorted; rows with the second one are the sample of P.
    classifier_ : estimator
        Fitted to all rows, for predictions.
    n_features_in_ : int

    References
    ----------
    M. D. Donsker, S. R. S. Varadhan (1983), Asymptotic evaluation of certain Markov process expectations for
    large time IV; X. Nguyen, M. J. Wainwright, M. I. Jordan (2010), Estimating divergence functionals and the
    likelihood ratio by convex risk minimization, eq. 9; D. McAllester, K. Stratos (2020), Formal limitations on
    the measurement of mutual information, theorem 1.

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import RatioDivergence
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(1, 1, 1000), rng.normal(0, 1, 1000)])[:, None]
    >>> ratio = RatioDivergence(random_state=0).fit(X, np.repeat([1, 0], 1000))
    >>> round(ratio.divergence().value, 1), round(ratio.score(X, np.repeat([1, 0], 1000)), 1)  # the truth is 0.5
    (0.4, 0.7)
    """

    def __init__(self, classifier: Any = None, *, n_folds: int = 5, bound: str = "dv", random_state: Any = None):
        self.classifier = classifier
        self.n_folds = n_folds
        self.bound = bound
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any) -> "RatioDivergence":
        """Fit the classifier to both samples.

        Parameters
        ----------
        X : array-like of shape (n + m, d)
            Rows of both samples; they are copied.
        y : array-like of shape (n + m,)
            Two labels; the one that sorts last marks rows of P (1 of 0 and 1).

        Returns
        -------
        self
        """
        rows, y = validate_data(self, host_rows(X), y, dtype=np.float64, order="C", copy=True, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, is_p = np.unique(y, return_inverse=True)
        if len(self.classes_) > 2:
            raise InvalidParameterError(
                f"Only binary classification is supported. The type of the target is {type_of_target(y)}."
            )
        if len(self.classes_) < 2:
            raise InvalidParameterError(f"y has one class, {self.classes_[0]!r}; rows of P and of Q are needed.")
        _validation.choice(self.bound, "bound", BOUNDS)
        _validation.integer(self.n_folds, "n_folds", minimum=2)
        self._exponents, self._fit_columns = column_exponents(rows), _arrays.column_names(X)
        rng = np.random.default_rng(int(_validation.generator(self.random_state).integers(2**63)))
        model = classifiers.seeded_classifier(self.classifier, rows.shape[1], rng)
        self.classifier_ = model.fit(np.ldexp(rows, -self._exponents), is_p)
        self._fit_X, self._fit_is_p = rows, is_p
        return self

    def _rows(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        rows = validate_data(self, host_rows(X), dtype=np.float64, order="C", reset=False)
        _validation.check_same_names(_arrays.column_names(X), self._fit_columns)
        return np.ldexp(rows, -self._exponents)

    def predict(self, X: Any) -> np.ndarray:
        """The more likely label of each row.

        Parameters
        ----------
        X : array-like of shape (k, d)

        Returns
        -------
        ndarray of shape (k,)
        """
        positive = self.decision_function(X) > 0.0
        return self.classes_[positive.astype(int)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the two labels for each row.

        Parameters
        ----------
        X : array-like of shape (k, d)

        Returns
        -------
        ndarray of shape (k, 2)
        """
        rows = self._rows(X)
        return np.asarray(self.classifier_.predict_proba(rows))

    def decision_function(self, X: Any) -> np.ndarray:
        """Log odds that a row is of P, for samples in the proportion of those fitted to.

        Parameters
        ----------
        X : array-like of shape (k, d)

        Returns
        -------
        ndarray of shape (k,)
            Minus log(n / m) they estimate log p/q.
        """
        rows = self._rows(X)
        return classifiers.log_odds(self.classifier_, rows)

    def transform(self, X: Any) -> np.ndarray:
        """Estimates of log p/q: the log odds of each row minus log(n / m).

        Parameters
        ----------
        X : array-like of shape (k, d)

        Returns
        -------
        ndarray of shape (k, 1)
            In nats. For rows that were fitted to they are too extreme; `divergence` is free of that.
        """
        return self.decision_function(X)[:, None] - self._log_odds_of_rows()

    _n_features_out = 1

    def _log_odds_of_rows(self) -> float:
        """log(n / m) of the samples fitted to."""
        n = int(self._fit_is_p.sum())
        return math.log(n / (len(self._fit_is_p) - n))

    def divergence(self) -> DivergenceEstimate:
        """Estimate KL(P || Q) of the samples fitted to, each row judged by a classifier that has not seen it.

        Returns
        -------
        DivergenceEstimate
            In nats.
        """
        check_is_fitted(self)
        options = self.get_params(deep=False)
        random_state = options.pop("random_state")
        of_p, of_q = (_arrays.frozen(self._fit_X[self._fit_is_p == label]) for label in (1, 0))
        return estimate_samples(
            of_p, of_q, method="classifier", options=options, random_state=random_state, notes=Notes(), stacklevel=2
        )
