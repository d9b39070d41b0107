"""Estimators with the interface of scikit-learn."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _arrays, _validation
from .._jit import effective_n_jobs
from .._state import VersionedState
from ..estimate import DivergenceEstimate
from ..neighbors import Reference, in_safe_range
from ..preprocessing import Notes
from ..scaling import SCALES, fit_scaling
from . import estimate_samples, gaussian
from .density import log_density


class DivergenceEstimator(VersionedState, DensityMixin, BaseEstimator):
    """Base of estimators that are fitted on the reference sample of Q and compare other samples with it.

    A subclass names its method and may keep what it needs in ``_fit_reference``.
    """

    _method: ClassVar[str]
    _fewest_rows: ClassVar[int] = 2  # of the reference

    def fit(self, X: Any, y: Any = None) -> "DivergenceEstimator":
        """Keep a sample of Q as the reference.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Rows drawn from Q; they are copied.
        y : ignored

        Returns
        -------
        self
        """
        rows = self._validated(X, copy=True, ensure_min_samples=self._fewest_rows)
        self._fit_columns = _arrays.column_names(X)
        self._fit_reference(rows)
        self._fit_X = rows
        self.n_samples_fit_ = len(rows)
        return self

    def _fit_reference(self, rows: np.ndarray) -> None:
        """Check the parameters against the reference, and learn from it."""

    def _rows(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self._validated(X, reset=False)

    def _validated(self, X: Any, tell: Callable[..., None] = _arrays.warn, **options: Any) -> np.ndarray:
        X = host_rows(X, tell)
        with np.errstate(over="ignore", invalid="ignore"):
            rows = validate_data(self, X, dtype=np.float64, order="C", **options)
        if not options.get("reset", True):  # older versions of scikit-learn know the names of pandas only
            _validation.check_same_names(_arrays.column_names(X), self._fit_columns)
        return _arrays.frozen(rows)

    def divergence(self, X: Any) -> DivergenceEstimate:
        """Estimate KL(P || Q) for a sample X of P and the reference of Q.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        DivergenceEstimate
            In nats.
        """
        return self._estimate(X)

    def _estimate(self, X: Any) -> DivergenceEstimate:
        check_is_fitted(self)
        notes = Notes()
        rows = self._validated(X, tell=notes.add, reset=False)
        parameters = self.get_params(deep=False)
        circumstances = {name: parameters.pop(name) for name in ("n_jobs", "random_state") if name in parameters}
        reference = _arrays.frozen(self._fit_X)
        return estimate_samples(
            rows, reference, method=self._method, options=parameters, notes=notes, stacklevel=3, **circumstances
        )

    def score(self, X: Any, y: Any = None) -> float:
        """-KL(P || Q) in nats: greater is better, as everywhere in scikit-learn.

        It is no criterion for choosing the estimator's own parameters, whose bias it contains.
        """
        return -self._estimate(X).value


def host_rows(X: Any, tell: Callable[..., None] = _arrays.warn) -> Any:
    """What scikit-learn is given: an array of numbers, or a frame of them, for the names of its columns."""
    if _arrays.is_frame(X):
        _arrays.check_frame(X, "X", tell)
        return X
    return _arrays.host_array(X, "X", tell)


class KNNDivergence(DivergenceEstimator):
    """KL divergence from a reference sample by nearest-neighbour distances.

    KL(P || Q) ~ mean_i d log(nu_k(i) / rho_k(i)) + log(m / (n - 1)), where rho_k(i) and nu_k(i) are the
    distances from row i of X to its k-th neighbour in X and in the reference. It is consistent for any
    pair of densities, but biased in finite samples, downwards or upwards, more so with more features and
    where P is wider than Q: see ``reliable`` and ``reasons`` of its estimates. Where distances tie, points
    within equal radii are counted instead.

    Parameters
    ----------
    n_neighbors : int or sequence of int, optional
        Estimates with several numbers are averaged; few neighbours mean less bias and more variance.
        By default 5, 10 and 20, each cut to min(n - 1, m).
    scale : {"whiten", "std", "none"}
        How features are made comparable, learnt from X. "whiten" removes correlations (it falls back to
        "std" for fewer than 10 rows per feature, or dependent columns), "std" divides by standard
        deviations, "none" keeps the distances of the data. A single feature is not scaled.
    n_jobs : int, optional
        Threads; -1 for all cores.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    Q. Wang, S. R. Kulkarni, S. Verdu (2009), Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances, eq. 5 and 17.

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import KNNDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = KNNDivergence(n_neighbors=5).fit(rng.normal(0, 1, (2000, 2)))
    >>> round(estimator.divergence(rng.normal(1, 1, (2000, 2))).value, 1)  # the truth is 1.0
    1.0
    """

    _method = "knn"
    _fewest_rows = 1

    def __init__(
        self, n_neighbors: Any = None, *, scale: str = "whiten", n_jobs: int | None = None, random_state: Any = None
    ):
        self.n_neighbors = n_neighbors
        self.scale = scale
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit_reference(self, rows: np.ndarray) -> None:
        _validation.choice(self.scale, "scale", SCALES)
        _validation.check_n_jobs(self.n_jobs)
        _validation.generator(self.random_state)
        self._neighbors(len(rows))

    def _neighbors(self, m: int) -> tuple[int, ...]:
        """The numbers of neighbours among the rows of the reference."""
        return _validation.neighbors_within(self.n_neighbors, None, m)

    def score_samples(self, X: Any) -> np.ndarray:
        """k-NN estimate of log q, the log-density of the reference, at each row of X.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        ndarray of shape (n,)
            In nats; each entry depends on its row alone.
        """
        queries = self._rows(X)
        n_jobs = effective_n_jobs(_validation.check_n_jobs(self.n_jobs))
        rows = _arrays.frozen(self._fit_X)
        ks = self._neighbors(len(rows))
        scaling = fit_scaling(rows, self.scale)
        (points, asked), exponent = in_safe_range(scaling.apply(rows, n_jobs), scaling.apply(queries, n_jobs))
        log_det = scaling.log_det - exponent * rows.shape[1] * math.log(2.0)
        return log_density(Reference(points, n_jobs), asked, ks) + log_det


class WeightedKNNDivergence(KNNDivergence):
    """KL divergence from a reference sample by nearest neighbours, weighted to cancel leading terms of the bias.

    sum_k w_k D_k, where D_k is the estimate of `KNNDivergence` with k neighbours, and w are the weights of
    least norm with sum_k w_k = 1 and sum_k w_k Gamma(k + 2 l / d) / Gamma(k) = 0 for l = 1 to d // 4. Below 4
    features that is a plain average. From 8 on such weights are so large that they would multiply noise:
    where the sum of their magnitudes exceeds 5, the estimates are averaged, which a warning tells.

    Parameters
    ----------
    n_neighbors : int or sequence of int, optional
        Numbers of neighbours that get weights. By default K j / d, j = 1 to d, rounded down, where K is the
        larger of 20 and the square root of the rows of the smaller sample.
    scale : {"whiten", "std", "none"}
        As for `KNNDivergence`.
    n_jobs : int, optional
        Threads; -1 for all cores.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    T. B. Berrett, R. J. Samworth (2023), Efficient functional estimation and the super-oracle phenomenon;
    T. B. Berrett, R. J. Samworth, M. Yuan (2019), Efficient multivariate entropy estimation via k-nearest
    neighbour distances, section 2 (the weights).

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import WeightedKNNDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = WeightedKNNDivergence().fit(rng.normal(0, 1, (4000, 4)))
    >>> round(estimator.divergence(rng.normal(0.25, 1, (4000, 4))).value, 1)  # the truth is 0.125
    0.1
    """

    _method = "knn_weighted"


class KNNRadiusDivergence(KNNDivergence):
    """KL divergence from a reference sample by counts within equal radii.

    KL(P || Q) ~ mean_i psi(l_i) - psi(k_i) + log(m / (n - 1)), where l_i and k_i count the rows of X and of the
    reference about row i of X: k in that sample whose k-th neighbour is farther, and in the other one those within
    that distance, plus 1. Where densities change over such a distance both are smoothed alike, so that less bias is
    left than by `KNNDivergence` where P and Q differ in scale; with more than about 5 features, or where they hardly
    overlap, too much is left of either. It costs about as much, and its standard error 20 times that. At rows
    with tied distances the counts are plain ones, which a warning tells.

    Parameters
    ----------
    n_neighbors : int, optional
        The k of the above, by default 10, cut to min(n - 1, m).
    scale : {"whiten", "std", "none"}
        As for `KNNDivergence`.
    n_jobs : int, optional
        Threads; -1 for all cores.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    Q. Wang, S. R. Kulkarni, S. Verdu (2009), Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances, eq. 29, and eq. 17 at ties.

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import KNNRadiusDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = KNNRadiusDivergence().fit(rng.normal(0, 2, (4000, 2)))
    >>> round(estimator.divergence(rng.normal(0, 1, (4000, 2))).value, 1)  # the truth is 0.64
    0.7
    """

    _method = "knn_radius"

    def _neighbors(self, m: int) -> tuple[int, ...]:
        return (_validation.one_number_of_neighbors(self.n_neighbors, None, m),)


class GaussianDivergence(DivergenceEstimator):
    """KL divergence from a reference sample as if both samples were normal, without bias.

    The closed form for two normal distributions with every term corrected for the bias that estimated
    means and covariances bring; the usual plug-in is too high by about d (d + 3) / 4 (1/n + 1/m). Needs
    more than d rows of X and d + 2 of the reference. The standard error holds whether or not the samples
    are normal; the value means what it says only where they nearly are. It costs no more than the covariances.

    Parameters
    ----------
    bias : {"unbiased", "mle"}
        Whether terms are corrected; "mle" is the plug-in with maximum-likelihood covariances, which needs more than d
        rows of either sample.
    covariance : {"empirical", "ledoit-wolf", "oas"}
        The latter two are shrunk, (1 - s) S + s tr(S) / d I, with s learnt from each sample; columns are first divided
        by the standard deviations of X. Meant for d near or above the number of rows: 3 rows of either sample are
        enough. Only for bias="mle": their bias, downwards where correlations or scales tell P from Q, is unknown.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    T. W. Anderson (2003), An introduction to multivariate statistical analysis, chapter 7 (the means of
    a Wishart matrix's inverse and log-determinant that remove the bias); O. Ledoit, M. Wolf (2004), A
    well-conditioned estimator for large-dimensional covariance matrices, lemma 3.2 to 3.5; Y. Chen, A. Wiesel,
    Y. C. Eldar, A. O. Hero (2010), Shrinkage algorithms for MMSE covariance estimation, eq. 23 ("oas", without its
    terms of 2 / d, as in scikit-learn).

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import GaussianDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = GaussianDivergence().fit(rng.normal(0, 1, (500, 2)))
    >>> round(estimator.divergence(rng.normal(1, 1, (500, 2))).value, 1)  # the truth is 1.0
    1.1
    """

    _method = "gaussian"

    def __init__(self, bias: str = "unbiased", *, covariance: str = "empirical"):
        self.bias = bias
        self.covariance = covariance

    def _fit_reference(self, rows: np.ndarray) -> None:
        _validation.gaussian_options(self.bias, self.covariance)

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-density of the normal distribution fitted to the reference, at each row of X.

        Of columns that are linearly dependent in the reference, the first ones are used; shrunk ones all are.

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
        return gaussian.log_density(rows, queries, self.bias, self.covariance)
