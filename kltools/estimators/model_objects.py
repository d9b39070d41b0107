"""Estimators with the interface of scikit-learn: models of the densities, alone and beside nearest neighbours."""

from typing import Any

import numpy as np

from .. import _validation
from .objects import DivergenceEstimator


class AutoDivergence(DivergenceEstimator):
    """KL divergence from a reference sample by what suits the samples; the method of `estimate_kl` by default.

    A model of the densities gives a first estimate, and calibrated nearest neighbours (`CalibratedKNNDivergence`,
    also in coordinates that make the samples about normal) what it misses: of the residual r a part
    z^2 / (1 + z^2) is added, where z is r in standard errors, and max(0, 1 - 4 / z^2) to a model of two normal
    distributions; of the bias half is removed where the model is a mixture in up to 3 features. Where X ends
    sharply inside Y, the rows of Y beyond are counted, and the others compared. With fewer than 10 d rows it is
    `GaussianDivergence`, or `KNNDivergence` where that lacks rows, with fewer than 100, or without a density;
    ``diagnostics["chosen_method"]`` tells.
    It takes tenths of a second for thousands of rows of a few features; of more than 20 000 rows a part is
    used for the model and the simulations.

    Parameters
    ----------
    n_neighbors : int or sequence of int, optional
        By default 5, 10 and 20, each cut to min(n - 1, m).
    n_jobs : int, optional
        Threads; -1 for all cores.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the starts and folds of the model and the simulated samples: the value depends on it.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    Q. Wang, S. R. Kulkarni, S. Verdu (2009), Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances, eq. 5 and 29 (what is calibrated). K. V. Mardia (1970), Measures of multivariate
    skewness and kurtosis with applications (what tells that samples taken for normal are not).

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import AutoDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = AutoDivergence(random_state=0).fit(rng.normal(0, 1, (2000, 2)))
    >>> round(estimator.divergence(rng.normal(1, 1, (2000, 2))).value, 1)  # the truth is 1.0
    1.1
    """

    _method = "auto"

    def __init__(self, n_neighbors: Any = None, *, n_jobs: int | None = None, random_state: Any = None):
        self.n_neighbors = n_neighbors
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit_reference(self, rows: np.ndarray) -> None:
        _check_circumstances(self)
        _validation.neighbors_within(self.n_neighbors, None, len(rows))


class CalibratedKNNDivergence(DivergenceEstimator):
    """KL divergence from a reference sample by nearest neighbours, freed of their bias by simulation.

    D - (mean_b D_b - D_0), where D is the mean of the estimates of `KNNDivergence` and `KNNRadiusDivergence`, D_b
    the same for the b-th pair of samples drawn from a model of the densities, and D_0 the divergence of the model.
    The model only tells the bias: where it is somewhat wrong, so is the correction, but the neighbours still see the
    samples. Take it from 4 features on, or where the supports or scales of P and Q differ, at any shape of the
    densities. What is left of the bias is that by which the model's differs. Columns are whitened; lattices are
    spread, and repeated rows taken once, which a warning tells. Needs max(20, 10 d) rows of each sample; that fewer
    than 50 are few a warning tells. It costs as much as that many simulated pairs, 8 to 16 by default.

    Parameters
    ----------
    n_neighbors : int or sequence of int, optional
        By default 5, 10 and 20, each cut to min(n - 1, m); the largest but 10 for the equal radii.
    reference : {"auto", "gaussian", "mixture"}
        The model: a normal distribution for each sample, as far apart as the unbiased estimate says; mixtures of up
        to 16; or the former where one component is all that Akaike's criterion asks for, else the latter.
    n_simulations : int, optional
        Pairs of samples, at least 3. By default 8 to 16, more where they are cheap. The noise of the correction is
        the standard error of one estimate divided by its root.
    n_jobs : int, optional
        Threads; -1 for all cores.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the model and the simulated samples: the value depends on it.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    Q. Wang, S. R. Kulkarni, S. Verdu (2009), Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances, eq. 5 and 29; B. Efron, R. J. Tibshirani (1993), An introduction to the bootstrap,
    section 10.3 and 6.5 (bias from samples drawn from a fitted model).

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import CalibratedKNNDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = CalibratedKNNDivergence(random_state=0).fit(rng.normal(0, 1, (1000, 8)))
    >>> round(estimator.divergence(rng.normal(0.5, 1, (1000, 8))).value, 1)  # the truth is 1.0
    1.0
    """

    _method = "knn_calibrated"

    def __init__(
        self,
        n_neighbors: Any = None,
        *,
        reference: str = "auto",
        n_simulations: int | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ):
        self.n_neighbors = n_neighbors
        self.reference = reference
        self.n_simulations = n_simulations
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit_reference(self, rows: np.ndarray) -> None:
        _check_circumstances(self)
        _validation.choice(self.reference, "reference", _validation.REFERENCES)
        _validation.n_simulations(self.n_simulations)
        _validation.neighbors_within(self.n_neighbors, None, len(rows))


class MixtureDivergence(DivergenceEstimator):
    """KL divergence from a reference sample by normal mixtures fitted to both samples.

    KL(P || Q) ~ mean_i log p(X_i) - log q(X_i), with mixtures p and q fitted without the fold of X_i. How many
    components they have the Bayesian criterion says, for all rows; expectation-maximisation from there fits each fold.
    The best there is where the densities are a few smooth bumps, also far apart and in tens of features; where they
    are not, its bias is E log(p / p') - E log(q / q') with p' and q' the nearest mixtures, and may have either sign:
    compare `KNNDivergence` or `CalibratedKNNDivergence`. Columns are whitened, variances of components are at least
    1e-4 of those of X; lattices are spread, and repeated rows taken once, which a warning tells. It takes time in
    proportion to rows, components and squared features, a tenth of a second for 20 000 rows of a few features.

    Parameters
    ----------
    max_components : int
        At most so many components; 2, 3, 4, 6, 8, 12 and 16 are tried, until the criterion grows.
    covariance : {"auto", "full", "tied", "diag"}
        Those of the components: any, the same for all, or diagonal in the columns of the data, which are then not
        whitened. "auto" is "full" or "tied", whichever the criterion prefers.
    n_folds : int
        Folds of the rows, at least 2.
    n_jobs : int, optional
        Threads; -1 for all cores.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the starts and the folds: the value depends on it.

    Attributes
    ----------
    n_features_in_ : int
    n_samples_fit_ : int
        Rows of the reference.

    References
    ----------
    G. Schwarz (1978), Estimating the dimension of a model (the criterion); A. P. Dempster, N. M. Laird, D. B. Rubin
    (1977), Maximum likelihood from incomplete data via the EM algorithm.

    Examples
    --------
    >>> import numpy as np
    >>> from kltools import MixtureDivergence
    >>> rng = np.random.default_rng(0)
    >>> estimator = MixtureDivergence(random_state=0).fit(rng.normal(0, 1, (2000, 2)))
    >>> round(estimator.divergence(rng.normal(1, 1, (2000, 2))).value, 1)  # the truth is 1.0
    1.1
    """

    _method = "mixture"

    def __init__(
        self,
        max_components: int = 12,
        *,
        covariance: str = "auto",
        n_folds: int = 5,
        n_jobs: int | None = None,
        random_state: Any = None,
    ):
        self.max_components = max_components
        self.covariance = covariance
        self.n_folds = n_folds
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit_reference(self, rows: np.ndarray) -> None:
        _check_circumstances(self)
        _validation.integer(self.max_components, "max_components", minimum=1)
        _validation.choice(self.covariance, "covariance", _validation.MIXTURE_COVARIANCES)
        _validation.integer(self.n_folds, "n_folds", minimum=2)


def _check_circumstances(estimator: Any) -> None:
    _validation.check_n_jobs(estimator.n_jobs)
    _validation.generator(estimator.random_state)
