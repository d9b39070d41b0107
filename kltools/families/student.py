"""Student's t distribution of vectors."""

from typing import Any, Self

import numpy as np

from .._arrays import frozen
from .._parameters import param
from ..distribution import Distribution, family
from .gaussian import cholesky_factor, half_log_det, standardised, warn_of_rounding
from .real_line import student_entropy, student_log_prob, student_variance


@family
class MultivariateStudentT(Distribution):
    r"""Multivariate Student's t distribution: Gaussian vectors divided by one common random scale.

    .. math:: p(x) = \frac{\Gamma((\nu + d) / 2)}{\Gamma(\nu / 2) (\nu \pi)^{d/2} |S|^{1/2}}
        \left(1 + \frac{(x - \mu)^T S^{-1} (x - \mu)}{\nu}\right)^{-(\nu + d) / 2}

    Parameters
    ----------
    df : array-like, > 0
        Degrees of freedom :math:`\nu`, whole or not.
    loc : array-like of shape (..., d)
        Centre :math:`\mu`.
    scale_matrix : array-like of shape (..., d, d)
        :math:`S`, symmetric and positive definite; its lower triangle is used. It is not the covariance, which is
        scale_matrix df / (df - 2) for df > 2.

    Warns
    -----
    KLToolsWarning
        Where only rounding keeps a scale matrix from being singular.

    References
    ----------
    S. Kotz and S. Nadarajah (2004), Multivariate t Distributions and Their Applications, eq. 1.1.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.MultivariateStudentT(df=4, loc=[0, 0], scale_matrix=[[1, 0], [0, 1]])
    >>> p.log_prob([1.0, 0.0]).__round__(4), p.entropy().__round__(4)
    (-2.5073, 3.3379)
    """

    scipy_name = "multivariate_t"
    df: Any = param("positive")
    loc: Any = param("real", event_ndim=1)
    scale_matrix: Any = param("symmetric")

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...] | None:
        return super()._event_shape(*events[1:])

    def _prepare(self) -> None:
        if not hasattr(self, "_cholesky"):
            name = "scale_matrix of MultivariateStudentT"
            self._keep_cholesky(cholesky_factor(self.scale_matrix, name))
            warn_of_rounding(self.scale_matrix, self.cholesky, name)

    def _keep_cholesky(self, factor: np.ndarray) -> None:
        object.__setattr__(self, "_cholesky", frozen(np.array(factor, order="C")))

    @property
    def cholesky(self) -> np.ndarray:
        """Lower triangular L with L L^T = scale_matrix, shape (..., d, d)."""
        return self._cholesky  # type: ignore[attr-defined]

    def _take(self, positions: np.ndarray) -> Self:
        shape = self.scale_matrix.shape[-2:]
        factors = np.broadcast_to(self.cholesky, self.batch_shape + shape)
        instance = type(self).__new__(type(self))
        instance._keep_cholesky(factors.reshape((-1, *shape))[positions])
        instance.__init__(**{name: self._gather(name, positions) for name in self.parameters})  # type: ignore[misc]
        return instance

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        standard, exponent = standardised(self.cholesky, x, self.loc)
        with np.errstate(over="ignore"):
            distance = np.ldexp(np.linalg.norm(standard, axis=-1), exponent)
        return student_log_prob(distance, self.df, float(self.event_shape[0])) - half_log_det(self.cholesky)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        noise = rng.standard_normal(shape + self.event_shape)
        gaussian = np.einsum("...ij,...j->...i", self.cholesky, noise)
        return self.loc + gaussian / np.sqrt(rng.chisquare(self.df, size=shape) / self.df)[..., None]

    def _moments(self) -> tuple[Any, Any]:
        return self.loc, student_variance(self.df)[..., None] * np.diagonal(self.scale_matrix, axis1=-2, axis2=-1)

    def _entropy(self) -> np.ndarray:
        return student_entropy(self.df, float(self.event_shape[0])) + half_log_det(self.cholesky)
