"""Divergences of variational autoencoders."""

import math
from typing import Any

import numpy as np

from . import _arrays, _device, _validation
from ._formula import on_lanes
from ._jit import effective_n_jobs
from ._scalar import everywhere, expm1_minus_x, half_squared_difference, select
from .closed_forms import kl_divergence
from .distribution import Distribution, check_distribution, unwrap
from .errors import InvalidParameterError, InvalidTypeError, ShapeMismatchError
from .families.gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .families.gaussian_full import blocks_of_matrices

REDUCTIONS = ("none", "sum", "mean", "per_dim")
_EXP_OVERFLOWS = 708.0


@on_lanes
def kl_log_var_normal(mu, log_var, mean_q, var_q, log_var_q):
    """KL(N(mu, exp(log_var)) || N(mean_q, var_q)), from the logarithm of the variance itself."""
    shift = half_squared_difference(mu, mean_q, var_q)
    difference = log_var - log_var_q
    ordinary = difference < _EXP_OVERFLOWS
    if everywhere(ordinary):
        return 0.5 * expm1_minus_x(difference) + shift
    half = math.exp(0.5 * difference)  # half of exp may still be a number
    return select(ordinary, 0.5 * expm1_minus_x(difference), 0.5 * half * half) + shift


def vae_kl(
    mu: Any,
    log_var: Any,
    *,
    prior: Distribution | None = None,
    reduction: str = "none",
    unit: str = "nats",
    n_jobs: int | None = None,
    device: str | None = None,
) -> Any:
    r"""KL term of a VAE: of the encoder's N(mu, exp(log_var)) from the prior, N(0, I) by default.

    .. math:: \mathrm{KL}(q(z|x) \,\|\, p(z)) = \tfrac12 \sum_j \left(e^{v_j} - 1 - v_j + \mu_j^2\right)

    with v = log_var. It is the reverse divergence KL(approximation || prior), computed from log_var
    without forming the variance, so that it keeps its relative accuracy near collapse, where it is 0.
    It is for evaluation: results are NumPy, and no gradient flows through them.

    Parameters
    ----------
    mu, log_var : array-like of shape (B, D), or (..., D)
        Outputs of the encoder, equal shapes; NumPy, torch or nested lists.
    prior : Normal, MultivariateNormalDiag or MultivariateNormal, optional
        A single distribution; a Normal is taken for every latent dimension.
    reduction : {"none", "sum", "mean", "per_dim"}
        "none" sums over the D latents: shape (B,). "per_dim" sums over nothing: shape (B, D).
        "mean" is the mean over the batch of "none" (the usual loss term), "sum" its sum.
    unit : {"nats", "bits"}
    n_jobs : int, optional
        Threads; None is 1 unless a joblib context says otherwise, -1 all cores. The result does not depend on it.
    device : {None, "cpu", "cuda"}

    Returns
    -------
    float or ndarray

    References
    ----------
    D. P. Kingma and M. Welling (2014), Auto-encoding variational Bayes, appendix B.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.vae_kl([[0.5, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]])
    array([0.125, 0.   ])
    >>> kl.vae_kl([[0.5, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], reduction="mean")
    0.0625
    """
    _validation.choice(reduction, "reduction", REDUCTIONS)
    factor = _validation.unit_factor(unit)
    threads = effective_n_jobs(_validation.check_n_jobs(n_jobs))
    place = _device.resolve(device, mu, log_var)
    means = _latents(mu, "mu")
    log_variances = _latents(log_var, "log_var")
    if means.shape != log_variances.shape:
        raise ShapeMismatchError(f"mu has shape {means.shape}, log_var has shape {log_variances.shape}.")
    prior = Normal(mean=0.0, var=1.0) if prior is None else check_distribution(prior, "prior")
    if prior.batch_shape:
        raise ShapeMismatchError(f"prior must be a single distribution, it has batch shape {prior.batch_shape}.")
    if prior.event_shape not in ((), means.shape[-1:]):
        raise ShapeMismatchError(f"prior draws shape {prior.event_shape}, there are {means.shape[-1]} latents.")
    if isinstance(prior, MultivariateNormal):
        _check_finite(means, "mu")
        _check_finite(log_variances, "log_var")
        if reduction == "per_dim":
            raise InvalidParameterError("reduction='per_dim' needs a prior with independent dimensions.")
        value = (_device.twin("vae_kl") if place == "cuda" else _kl_from_full_prior)(means, log_variances, prior)
    elif isinstance(prior, Normal | MultivariateNormalDiag):
        arguments = (means, log_variances, prior.mean, prior.var, np.log(prior.var))
        n_axes = int(reduction != "per_dim")
        value = kl_log_var_normal.summed(*arguments, n_axes=n_axes, device=place, n_jobs=threads)
        if not np.isfinite(value).all():  # only then may the latents be so, and they need not be read twice
            _check_finite(means, "mu")
            _check_finite(log_variances, "log_var")
    else:
        raise InvalidTypeError(f"prior must be a Gaussian distribution, got {type(prior).__name__}.")
    with np.errstate(over="ignore"):
        if reduction in ("sum", "mean"):
            value = value.sum() if reduction == "sum" else _mean(value)
        return unwrap(factor * value)


def _kl_from_full_prior(mu: np.ndarray, log_var: np.ndarray, prior: MultivariateNormal) -> np.ndarray:
    if log_var.max() > _EXP_OVERFLOWS or log_var.min() < -2.0 * _EXP_OVERFLOWS:
        raise InvalidParameterError(
            f"log_var goes from {log_var.min():g} to {log_var.max():g}; with a prior of full covariance it must lie "
            f"between {-2.0 * _EXP_OVERFLOWS:g} and {_EXP_OVERFLOWS:g}, where variance and deviation are numbers."
        )
    mu, log_var = (np.asarray(a, dtype=np.float64) for a in (mu, log_var))
    n_latents = mu.shape[-1]
    means, log_variances = mu.reshape(-1, n_latents), log_var.reshape(-1, n_latents)
    out = np.empty(len(means))
    for block in blocks_of_matrices(len(means), n_latents):
        var, std = np.exp(log_variances[block]), np.exp(0.5 * log_variances[block])
        out[block] = kl_divergence(MultivariateNormal._from_diagonal(means[block], var, std), prior)
    return out.reshape(mu.shape[:-1])


def _mean(values: np.ndarray) -> float:
    mean = values.mean()
    return (values / values.size).sum() if np.isinf(mean) else mean  # a sum may overflow where the mean does not


def _latents(x: Any, name: str) -> np.ndarray:
    """float32 stays what it is; formulas compute in float64 whatever they read."""
    narrow = getattr(x, "dtype", None) == np.float32 and isinstance(x, np.ndarray)
    array = _arrays.host_array(x, name) if narrow else _arrays.numeric_array(x, name)
    if array.ndim == 0 or array.size == 0:
        raise ShapeMismatchError(f"{name} must have shape (B, D), got {array.shape}.")
    return array


def _check_finite(array: np.ndarray, name: str) -> None:
    if not np.isfinite(array).all():
        raise InvalidParameterError(f"{name} contains {int((~np.isfinite(array)).sum())} values that are not finite.")
