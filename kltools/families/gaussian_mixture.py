"""Mixtures of Gaussians."""

import math
from typing import Any, NoReturn, Self

import numpy as np

from .._arrays import frozen
from .._jit import effective_n_jobs, jit, run_rows
from .._once import once
from .._parameters import param
from .._scalar import LOG_2PI
from ..distribution import Distribution, family
from ..errors import InvalidParameterError, InvalidTypeError, NoClosedFormError
from ..models.density import (
    AT_ONCE,
    BLOCK,
    OPERATIONS_OF_EXP,
    lanes_for,
    log_density_kernel,
    pack_kernel,
    packed_length,
)
from .discrete import Categorical
from .gaussian import MultivariateNormal, MultivariateNormalDiag, cholesky_factor, warn_of_rounding
from .gaussian_full import flat_rows


@family
class GaussianMixture(Distribution):
    r"""Mixture of K multivariate Gaussians with full or diagonal covariances.

    .. math:: p(x) = \sum_{k=1}^K w_k \, \mathcal{N}(x; \mu_k, \Sigma_k)

    Neither its entropy nor a divergence from or to it has a closed form: `estimate_kl_monte_carlo` takes it for p
    and for q, `estimate_kl` for the known reference, and `mixture_kl_bounds` tells what is known of their divergence.

    Parameters
    ----------
    weights : array-like of shape (..., K)
        Probabilities of the components, zeros allowed; they must sum to 1 (nothing is normalised).
    means : array-like of shape (..., K, d)
        One coordinate is d = 1: means of shape (K, 1).
    covs : array-like of shape (..., K, d, d) or (..., K, d)
        Where it has more axes than ``means``, symmetric positive definite matrices, whose lower triangles are used;
        else the variances of independent coordinates, > 0. Only the numbers of axes decide, so that (3, 3, 3) with
        means of shape (3, 3) are three matrices. Write out an axis of length 1 where they would mislead:
        ``covs[None]`` for matrices that a batch of means shares, ``means[None]`` for means that a batch of
        variances shares.

    Raises
    ------
    NoClosedFormError
        By ``entropy()``, and by `kl_divergence` of two mixtures.

    Warns
    -----
    KLToolsWarning
        Where only rounding keeps a covariance matrix from being singular.

    References
    ----------
    C. M. Bishop (2006), Pattern Recognition and Machine Learning, eq. 9.7.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.GaussianMixture(weights=[0.5, 0.5], means=[[-2.0], [2.0]], covs=[[1.0], [1.0]])
    >>> p.log_prob([0.0]).__round__(4)
    -2.9189
    >>> q = kl.MultivariateNormalDiag(mean=[0.0], var=[5.0])
    >>> estimate = kl.estimate_kl_monte_carlo(p, q, n_samples=100_000, random_state=0)
    >>> estimate.value.__round__(2), estimate.standard_error < 0.002  # by quadrature 0.168
    (0.17, True)
    """

    weights: Any = param("probabilities")
    means: Any = param("real", event_ndim=2)
    covs: Any = param("symmetric")

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """From a fitted mixture model of scikit-learn, with covariances of any type.

        Parameters
        ----------
        model : sklearn.mixture.GaussianMixture or BayesianGaussianMixture
            Of the latter the expected weights, means and covariances are taken, as its ``score_samples`` does not.

        Raises
        ------
        InvalidTypeError
            For what is no such model.
        InvalidParameterError
            Where it has not been fitted.
        """
        kind = getattr(model, "covariance_type", None)
        if isinstance(model, type) or kind not in ("full", "tied", "diag", "spherical"):
            raise InvalidTypeError(
                f"model is {model!r}; a fitted GaussianMixture of scikit-learn is needed, as in "
                "GaussianMixture.from_sklearn(sklearn.mixture.GaussianMixture(2).fit(X))."
            )
        if not hasattr(model, "covariances_"):
            raise InvalidParameterError(f"model is {model!r}, which has not been fitted; call its fit(X) first.")
        means, covs = np.asarray(model.means_), np.asarray(model.covariances_)
        if kind == "tied":
            covs = np.broadcast_to(covs, means.shape[:1] + covs.shape)
        if kind in ("full", "tied"):  # of models fitted to float32 the triangles differ
            covs = np.tril(covs) + np.swapaxes(np.tril(covs, -1), -1, -2)
        if kind == "spherical":
            covs = np.broadcast_to(covs[:, None], means.shape)
        return cls(weights=model.weights_, means=means, covs=covs)

    def _declared(self, name: str, ndim: int) -> tuple[str, int]:
        if name != "covs":
            return super()._declared(name, ndim)
        return ("symmetric", 3) if ndim > self.means.ndim else ("positive", 2)

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...] | None:
        weights, means, covs = events
        fit = weights == means[:1] and covs in (means, means + means[1:])
        return means[1:] if fit else None

    def _prepare(self) -> None:
        if hasattr(self, "_kept"):
            return
        if self._is_diagonal:
            factors = np.sqrt(self.covs)[..., None, :]
        else:
            factors = cholesky_factor(self.covs, "covs of GaussianMixture")
            warn_of_rounding(self.covs, factors, "covs of GaussianMixture")
        self._keep_factors(factors)

    def _keep_factors(self, factors: np.ndarray) -> None:
        object.__setattr__(self, "_kept", frozen(np.array(factors, order="C")))

    @property
    def _factors(self) -> np.ndarray:
        """Cholesky factors, (..., K, d, d), or the standard deviations that are their diagonals, (..., K, 1, d)."""
        return self._kept  # type: ignore[attr-defined]

    @property
    def _diagonals(self) -> np.ndarray:
        """Of the factors, (..., K, d)."""
        return self._factors[..., 0, :] if self._is_diagonal else np.diagonal(self._factors, axis1=-2, axis2=-1)

    @once
    def _whitenings(self) -> np.ndarray:
        """Inverses of the factors as `log_density_kernel` wants them, (..., K, length)."""
        if self._factors.shape[-2] == 1:
            return frozen(1.0 / self._factors[..., 0, :])
        d = self.event_shape[0]
        shape = self._factors.shape[:-2]
        packed = np.empty((math.prod(shape), packed_length(d)))
        run_rows(pack_kernel, len(packed), self._factors.reshape(len(packed), d, d), packed, row_cost=d**3)
        return frozen(packed.reshape(*shape, packed_length(d)))

    @property
    def _is_diagonal(self) -> bool:
        return self._declared("covs", self.covs.ndim) == ("positive", 2)

    @property
    def components(self) -> MultivariateNormalDiag | MultivariateNormal:
        """The Gaussians that are mixed, K along the last axis of their batch."""
        if self._is_diagonal:
            return MultivariateNormalDiag(mean=self.means, var=self.covs)
        return MultivariateNormal._factored(self.means, self.covs, self._factors, False)

    def _take(self, positions: np.ndarray) -> Self:
        event = self._factors.shape[-3:]
        factors = np.broadcast_to(self._factors, self.batch_shape + event)
        instance = type(self).__new__(type(self))
        instance._keep_factors(factors.reshape((-1, *event))[positions])
        instance.__init__(**{name: self._gather(name, positions) for name in self.parameters})  # type: ignore[misc]
        return instance

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        shape = np.broadcast_shapes(x.shape[:-1], self.batch_shape)
        split = len(shape) - len(self.batch_shape)
        n_each, mixtures = math.prod(shape[:split]), shape[split:]
        points, constants = flat_rows(x, 1, shape), flat_rows(self._log_constants(), 1, mixtures)
        rows = (*points, *constants, *self._flat_components(mixtures), *flat_rows(self._whitenings, 2, mixtures))
        out = np.empty(shape)
        n_mixtures = math.prod(mixtures)
        n_blocks = -(-n_each // BLOCK) * n_mixtures
        cost = BLOCK * self.means.shape[-2] * (self._whitenings.shape[-1] + OPERATIONS_OF_EXP) // AT_ONCE
        arguments = (n_each, n_mixtures, *rows, out.reshape(-1), lanes_for(n_each))
        run_rows(log_density_kernel, n_blocks, *arguments, row_cost=cost, n_jobs=effective_n_jobs(None))
        return out

    def _log_constants(self) -> np.ndarray:
        """Log of the weighted density of each component at its mean."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        return log_weights - np.log(self._diagonals).sum(axis=-1) - 0.5 * self.event_shape[0] * LOG_2PI

    def _flat_components(self, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        """Means and factors for the kernels, each with its index for every place of the shape."""
        return *flat_rows(self.means, 2, shape), *flat_rows(self._factors, 3, shape)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self._sample_components(rng, Categorical(probs=self.weights)._sample(rng, shape).astype(np.intp))

    def _sample_components(self, rng: np.random.Generator, chosen: np.ndarray) -> np.ndarray:
        """A draw from the component of each number, in an array whose last axes are the batch."""
        shape = chosen.shape
        draws = rng.standard_normal((chosen.size, *self.event_shape))
        parts = self._flat_components(shape)
        run_rows(_draw_kernel, chosen.size, frozen(chosen.reshape(-1)), *parts, draws, row_cost=draws.shape[1] ** 2)
        return draws.reshape(shape + self.event_shape)

    def _moments(self) -> tuple[Any, Any]:
        weights = self.weights[..., None]
        mean = (weights * self.means).sum(axis=-2)
        variances = self.covs if self._is_diagonal else np.diagonal(self.covs, axis1=-2, axis2=-1)
        return mean, (weights * (variances + (self.means - mean[..., None, :]) ** 2)).sum(axis=-2)

    def _entropy(self) -> NoReturn:
        raise NoClosedFormError(
            "the entropy of a GaussianMixture has no closed form; average -p.log_prob(x) over draws x of p, or compare "
            "p with another distribution: estimate_kl_monte_carlo(p, q, n_samples=100_000, random_state=0)."
        )


@jit
def _draw_kernel(start, stop, chosen, means, means_row, factors, factors_row, draws):
    """Overwrite standard normal numbers with draws of the chosen components."""
    d = draws.shape[1]
    for row in range(start, stop):
        mean, factor = means[means_row[row], chosen[row]], factors[factors_row[row], chosen[row]]
        for i in range(d - 1, -1, -1):  # from the last on: those before are still noise
            if factor.shape[0] > 1:
                value = 0.0
                for j in range(i + 1):
                    value += factor[i, j] * draws[row, j]
            else:
                value = factor[0, i] * draws[row, i]
            draws[row, i] = mean[i] + value
