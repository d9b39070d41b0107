"""Gaussian distributions: univariate, with diagonal and with full covariance."""

import math
import sys
import warnings
from typing import Any, Self

import numpy as np

from .. import _arrays
from .._arrays import frozen
from .._formula import on_lanes
from .._parameters import check_domain, param
from .._scalar import (
    LARGEST_EXPONENT,
    LOG_2PI,
    expm1_minus_x,
    half_ratio_excess,
    half_squared_difference,
    half_squared_ratio_excess,
    standard_difference,
)
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from ..errors import InvalidParameterError, KLToolsWarning

_ROUNDING_PIVOT = 1e-14
_UNSAFE_SHARE = 1e-10  # below it six digits may be all


def _checked_var(var: np.ndarray, source: str, cls: type) -> np.ndarray:
    """Variances computed from `source`; raise where they left the range of normal float64."""
    bad = ~np.isfinite(var) | (var < np.finfo(np.float64).tiny)
    if bad.any():
        parameter = "cov" if issubclass(cls, MultivariateNormal) else "var"
        raise InvalidParameterError(
            f"{parameter} of {cls.__name__} under- or overflows, computed from {source} "
            f"({int(bad.sum())} of {bad.size} values); rescale the data; vae_kl works on log_var itself."
        )
    return var


class _ByVariance(Distribution):
    """Shared by the families with parameters `mean` and `var`."""

    mean: Any
    var: Any

    @classmethod
    def from_std(cls, *, mean: Any, std: Any) -> Self:
        """From the standard deviation (> 0); var = std**2 is rounded once.

        Raises
        ------
        InvalidParameterError
            Where std is not positive, or its square under- or overflows.
        """
        deviation = _arrays.numeric_array(std, f"std of {cls.__name__}")
        if not (deviation > 0).all():
            raise InvalidParameterError(f"std of {cls.__name__} must be > 0, got a minimum of {deviation.min():g}.")
        with np.errstate(over="ignore", under="ignore"):
            return cls(mean=mean, var=_checked_var(deviation**2, "std", cls))  # type: ignore[call-arg]

    @classmethod
    def from_log_var(cls, *, mean: Any, log_var: Any) -> Self:
        """From the logarithm of the variance; var = exp(log_var) is rounded once.

        Raises
        ------
        InvalidParameterError
            Where exp(log_var) under- or overflows.
        """
        exponent = _arrays.numeric_array(log_var, f"log_var of {cls.__name__}")
        with np.errstate(over="ignore", under="ignore"):
            return cls(mean=mean, var=_checked_var(np.exp(exponent), "log_var", cls))  # type: ignore[call-arg]

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self._from_noise(rng.standard_normal(shape + self.event_shape))

    def _from_noise(self, noise: np.ndarray) -> np.ndarray:
        return self.mean + np.sqrt(self.var) * noise

    def _moments(self) -> tuple[Any, Any]:
        return self.mean, self.var

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        terms = -0.5 * (((x - self.mean) / np.sqrt(self.var)) ** 2 + np.log(self.var) + LOG_2PI)
        return self._sum_over_event(terms)

    def _entropy(self) -> np.ndarray:
        return self._sum_over_event(0.5 * (1.0 + LOG_2PI + np.log(self.var)))

    def _sum_over_event(self, terms: np.ndarray) -> np.ndarray:
        return terms.sum(axis=-1) if self.event_shape else terms


@family
class Normal(_ByVariance):
    """Univariate Gaussian with the given mean and variance.

    Parameters
    ----------
    mean : array-like
    var : array-like, > 0
        Variance; for a standard deviation use ``Normal.from_std``, for its logarithm ``from_log_var``.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Normal.from_std(mean=0, std=1), kl.Normal.from_std(mean=0, std=2)).__round__(4)
    0.3181
    """

    scipy_name = "norm"
    mean: Any = param("real")
    var: Any = param("positive")

    def _support(self) -> tuple[Any, Any]:
        return -math.inf, math.inf

    def _bulk(self) -> tuple[Any, Any]:
        return self.mean, np.sqrt(self.var)


@family
class MultivariateNormalDiag(_ByVariance):
    """Multivariate Gaussian with independent coordinates, from vectors of means and variances.

    Parameters
    ----------
    mean : array-like of shape (..., d)
    var : array-like of shape (..., d), > 0
        Variances; see also ``from_std`` and ``from_log_var``.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.MultivariateNormalDiag(mean=[0, 0], var=[1, 1])
    >>> kl.kl_divergence(p, kl.MultivariateNormalDiag(mean=[1, 0], var=[1, 1]))
    0.5
    """

    mean: Any = param("real", event_ndim=1)
    var: Any = param("positive", event_ndim=1)

    def to_full(self) -> "MultivariateNormal":
        """The same distribution with its covariance written as a matrix."""
        return MultivariateNormal._from_diagonal(self.mean, self.var, np.sqrt(self.var))


@family
class MultivariateNormal(Distribution):
    """Multivariate Gaussian with a full covariance matrix.

    Parameters
    ----------
    mean : array-like of shape (..., d)
    cov : array-like of shape (..., d, d)
        Symmetric and positive definite; its lower triangle is used. See also ``from_cholesky`` and
        ``from_precision``.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.MultivariateNormal(mean=[0, 0], cov=[[1, 0.9], [0.9, 1]])
    >>> kl.kl_divergence(p, kl.MultivariateNormal(mean=[0, 0], cov=[[1, 0], [0, 1]])).__round__(4)
    0.8304
    """

    scipy_name = "multivariate_normal"
    mean: Any = param("real", event_ndim=1)
    cov: Any = param("symmetric")

    def _prepare(self) -> None:
        if not hasattr(self, "_cholesky"):
            self._keep_cholesky(cholesky_factor(self.cov, "cov of MultivariateNormal"), False)
            warn_of_rounding(self.cov, self.cholesky, "cov of MultivariateNormal")

    def _keep_cholesky(self, factor: np.ndarray, by_factor: bool) -> None:
        object.__setattr__(self, "_cholesky", frozen(np.array(factor, order="C")))
        object.__setattr__(self, "_by_factor", by_factor)  # whether it, and not cov, is what was given

    @property
    def cholesky(self) -> np.ndarray:
        """Lower triangular L with L L^T = cov, shape (..., d, d)."""
        return self._cholesky  # type: ignore[attr-defined]

    @classmethod
    def _factored(cls, mean: Any, cov: Any, factor: np.ndarray, by_factor: bool) -> Self:
        instance = cls.__new__(cls)
        instance._keep_cholesky(factor, by_factor)
        instance.__init__(mean=mean, cov=cov)  # type: ignore[misc]
        return instance

    @classmethod
    def _from_diagonal(cls, mean: np.ndarray, var: np.ndarray, std: np.ndarray) -> Self:
        identity = np.eye(var.shape[-1])
        return cls._factored(mean, var[..., None] * identity, std[..., None] * identity, False)

    @classmethod
    def from_cholesky(cls, *, mean: Any, cholesky: Any) -> Self:
        """From the lower triangular Cholesky factor L of the covariance, with a positive diagonal.

        Divergences are those of the factors, which may tell apart what their rounded covariances do not.
        """
        factor = _arrays.numeric_array(cholesky, "cholesky")
        square = factor.ndim >= 2 and factor.shape[-1] == factor.shape[-2]
        if not square or not np.isfinite(factor).all() or (np.triu(factor, 1) != 0).any():
            raise InvalidParameterError(f"cholesky must be finite lower triangular matrices, got shape {factor.shape}.")
        diagonal = np.diagonal(factor, axis1=-2, axis2=-1)
        if not (diagonal > 0).all():
            raise InvalidParameterError(f"cholesky must have a positive diagonal, its minimum is {diagonal.min():g}.")
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            cov = factor @ np.swapaxes(factor, -1, -2)
        _checked_var(np.diagonal(cov, axis1=-2, axis2=-1), "cholesky", cls)
        return cls._factored(mean, cov, factor, True)

    @classmethod
    def from_precision(cls, *, mean: Any, precision: Any) -> Self:
        """From the precision matrix, the inverse of the covariance.

        Warns
        -----
        KLToolsWarning
            Where the precision is so near to a singular matrix that rounding its entries shows in divergences.
        """
        array = _arrays.numeric_array(precision, "precision")
        name = "precision of MultivariateNormal"
        check_domain(array, "symmetric", name)
        reverse = cholesky_factor(array[..., ::-1, ::-1], name)
        upper = reverse[..., ::-1, ::-1]  # U with U U^T = precision, so that U^-T is the factor of the covariance
        _warn_of_lost_digits(array, upper, name)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            factor = inverse_of_lower(np.swapaxes(upper, -1, -2))
            cov = factor @ np.swapaxes(factor, -1, -2)
        _checked_var(np.diagonal(cov, axis1=-2, axis2=-1), "precision", cls)
        return cls._factored(mean, cov, factor, True)

    def _take(self, positions: np.ndarray) -> "MultivariateNormal":
        factors = np.broadcast_to(self.cholesky, self.batch_shape + self.cov.shape[-2:])
        factor = factors.reshape((-1, *self.cov.shape[-2:]))[positions]
        return self._factored(self._gather("mean", positions), self._gather("cov", positions), factor, self._by_factor)  # type: ignore[attr-defined]

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self._from_noise(rng.standard_normal(shape + self.event_shape))

    def _from_noise(self, noise: np.ndarray) -> np.ndarray:
        return self.mean + np.einsum("...ij,...j->...i", self.cholesky, noise)

    def _moments(self) -> tuple[Any, Any]:
        return self.mean, np.diagonal(self.cov, axis1=-2, axis2=-1)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        standard, exponent = standardised(self.cholesky, x, self.mean)
        with np.errstate(over="ignore"):
            squares = np.ldexp((standard**2).sum(axis=-1), 2 * exponent)
        return -0.5 * (squares + self.event_shape[0] * LOG_2PI) - half_log_det(self.cholesky)

    def _entropy(self) -> np.ndarray:
        return 0.5 * self.event_shape[0] * (1.0 + LOG_2PI) + half_log_det(self.cholesky)


def half_log_det(factor: np.ndarray) -> np.ndarray:
    """Half the logarithm of the determinant of the matrices with these triangular factors."""
    return np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)


def standardised(factor: np.ndarray, x: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """factor^-1 (x - center) for a lower factor, as numbers times powers of two: what is far out overflows later."""
    with np.errstate(over="ignore"):
        deviation = np.clip(x - center, -sys.float_info.max, sys.float_info.max)
    exponent = np.frexp(np.abs(deviation).max(axis=-1))[1]
    deviation = np.ldexp(deviation, -exponent[..., None])
    if factor.ndim == 2:
        rows = deviation.reshape(-1, deviation.shape[-1])
        return np.linalg.solve(factor, rows.T).T.reshape(deviation.shape), exponent
    return np.linalg.solve(factor, deviation[..., None])[..., 0], exponent


def cholesky_factor(matrix: np.ndarray, name: str) -> np.ndarray:
    """Lower triangular factor; raise where the matrix, or one of the batch, is not positive definite."""
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(matrix).min()
        raise InvalidParameterError(
            f"{name} must be positive definite, its smallest eigenvalue is {smallest:.3g}; "
            "drop linearly dependent coordinates (nothing is added to the diagonal)."
        ) from None


def _least_share(matrix: np.ndarray, factor: np.ndarray) -> float:
    """The least share of a diagonal entry of a matrix that its triangular factor has on its own diagonal."""
    variance, pivot = (np.diagonal(a, axis1=-2, axis2=-1) for a in (matrix, factor))
    return float((pivot / np.sqrt(variance)).min(initial=1.0)) ** 2


def warn_of_rounding(matrix: np.ndarray, factor: np.ndarray, name: str) -> None:
    """Tell where only rounding keeps a matrix from being singular."""
    smallest = _least_share(matrix, factor)
    if smallest < _ROUNDING_PIVOT:
        warnings.warn(
            f"{name} is singular but for rounding (a coordinate keeps {smallest:.1g} of its "
            "variance given the others): divergences that involve it may have no correct digit.",
            KLToolsWarning,
            stacklevel=5,
        )


def _warn_of_lost_digits(precision: np.ndarray, factor: np.ndarray, name: str) -> None:
    """Tell where rounding a precision matrix is felt in its inverse, which is taken without further loss."""
    smallest = _least_share(precision, factor)
    if smallest < _UNSAFE_SHARE:
        digits = max(0, math.floor(math.log10(smallest / sys.float_info.epsilon)))
        warnings.warn(
            f"{name} is nearly singular (its factor keeps {smallest:.1g} of a diagonal entry): divergences that "
            f"involve it may have no more than {digits} correct digits; from_cholesky takes the covariance's factor.",
            KLToolsWarning,
            stacklevel=3,
        )


def inverse_of_lower(factor: np.ndarray) -> np.ndarray:
    """The inverse of lower triangular matrices, row by row."""
    inverse = np.zeros(factor.shape)
    for i in range(factor.shape[-1]):
        row = factor[..., i : i + 1, :i] @ inverse[..., :i, :]
        inverse[..., i, :] = -row[..., 0, :] / factor[..., i, i, None]
        inverse[..., i, i] = 1.0 / factor[..., i, i]
    return inverse


# ---------------------------------------------------------------- closed forms


@register_kl(MultivariateNormalDiag, MultivariateNormalDiag)
@register_kl(Normal, Normal)
@on_lanes
def kl_normal_normal(mean_p, var_p, mean_q, var_q):
    """(r - 1 - log r + (mean_p - mean_q)^2 / var_q) / 2 with r = var_p / var_q, without cancellation."""
    return half_ratio_excess(var_p, var_q) + half_squared_difference(mean_p, mean_q, var_q)


@register_kl(Normal, "Laplace")
def kl_normal_laplace(mean_p, var_p, loc_q, scale_q):
    """r - 1 - log r + 1/2 + log(2/pi) + (E|x - loc_q| - E|x - mean_p|) / scale_q with r = E|x - mean_p| / scale_q."""
    deviation = math.sqrt(var_p)
    z = standard_difference(mean_p, loc_q, deviation)
    mean_deviation = math.sqrt(2.0 / math.pi) * deviation
    spread = 2.0 * half_ratio_excess(mean_deviation, scale_q)
    if math.isinf(spread):
        return math.inf
    shift = abs(standard_difference(mean_p, loc_q, scale_q)) * math.erf(abs(z) / math.sqrt(2.0))
    shift += mean_deviation / scale_q * math.expm1(-0.5 * z * z)
    return spread + shift + 0.5 + math.log(2.0 / math.pi)


@register_kl(Normal, "Gumbel")
def kl_normal_gumbel(mean_p, var_p, loc_q, scale_q):
    """(r - 1 - log r) / 2 + exp(L) - 1 - L + 1 - log(2 pi) / 2 with r = var_p / scale_q^2.

    L = r / 2 - (mean_p - loc_q) / scale_q is the logarithm of the mean of exp(-(x - loc_q) / scale_q).
    """
    ratio = math.sqrt(var_p) / scale_q
    spread = half_squared_ratio_excess(math.sqrt(var_p), scale_q)
    if math.isinf(spread):
        return math.inf
    exponent = 0.5 * ratio * ratio - standard_difference(mean_p, loc_q, scale_q)
    if exponent > LARGEST_EXPONENT:
        return math.inf
    return spread + expm1_minus_x(exponent) + 1.0 - 0.5 * LOG_2PI
