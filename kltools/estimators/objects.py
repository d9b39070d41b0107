"""Estimators with the interface of scikit-learn."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _arrays, _validation
from .._jit import effective_n_jobs
from ..errors import InvalidParameterError
from ..estimate import DivergenceEstimate
from ..neighbors import Reference, in_safe_range
from ..preprocessing import SCALES, Notes, column_exponents, deviations, fit_scaling, independent_columns
from . import estimate_samples, gaussian
from .density import log_density


class DivergenceEstimator(DensityMixin, BaseEstimator):
    """Base of estimators that are fitted on the reference sample of Q and compare other samples with it.

    A subclass names its method and may keep what it needs in ``_fit_reference``.
    """

    _method: ClassVar[str]

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
        rows = self._validated(X, copy=True, ensure_min_samples=2)
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
        _validation.neighbors_within(self.n_neighbors, None, len(rows))

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
        ks = _validation.neighbors_within(self.n_neighbors, None, len(rows))
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


class GaussianDivergence(DivergenceEstimator):
    """KL divergence from a reference sample as if both samples were normal, without bias.

    The closed form for two normal distributions with every term corrected for the bias that estimated
    means and covariances bring; the usual plug-in is too high by about d (d + 3) / 4 (1/n + 1/m). Needs
    more than d rows of X and d + 2 of the reference. The standard error holds whether or not the samples
    are normal; the value means what it says only where they nearly are.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    T. W. Anderson (2003), An introduction to multivariate statistical analysis, chapter 7 (the means of
    a Wishart matrix's inverse and log-determinant that remove the bias).

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

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-density of the normal distribution fitted to the reference, at each row of X.

        Of columns that are linearly dependent in the reference, the first ones are used.

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
        kept = independent_columns(deviations(rows))
        exponents = column_exponents(rows[:, kept])
        fitted = gaussian.fit(np.ldexp(rows[:, kept], -exponents)) if kept.any() else None
        if fitted is None:
            raise InvalidParameterError("the reference has no normal density: all of its columns are constant.")
        with np.errstate(over="ignore"):  # far out the density is 0
            return fitted.log_density(np.ldexp(queries[:, kept], -exponents)) - math.log(2.0) * exponents.sum()
