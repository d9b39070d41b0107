"""Divergences of variational autoencoders."""

import math
from typing import Any

import numpy as np

from . import _arrays, _device, _latent_validation, _validation
from ._formula import on_lanes
from ._jit import effective_n_jobs
from ._scalar import everywhere, expm1_minus_x, half_squared_difference, select
from .closed_forms import kl_divergence
from .distribution import Distribution, check_distribution, check_single, unwrap
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
    It is for evaluation: no gradient flows through the result. Arrays come out as NumPy, or, where the latents live
    on a GPU, there and in the caller's library.

    Parameters
    ----------
    mu, log_var : array-like of shape (B, D), or (..., D)
        Outputs of the encoder, equal shapes; NumPy, torch, CuPy or nested lists.
    prior : Normal, MultivariateNormalDiag or MultivariateNormal, optional
        A single distribution; a Normal is taken for every latent dimension.
    reduction : {"none", "sum", "mean", "per_dim"}
        "none" sums over the D latents: shape (B,). "per_dim" sums over nothing: shape (B, D).
        "mean" is the mean over the batch of "none" (the usual loss term), "sum" its sum.
    unit : {"nats", "bits"}
    n_jobs : int, optional
        Threads; None is 1 unless a joblib context says otherwise, -1 all cores. The result does not depend on it.
    device : {None, "cpu", "cuda"}
        None follows the data.

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
    means, log_variances = _latents(mu, "mu", place), _latents(log_var, "log_var", place)
    shape = tuple(means.shape)
    if shape != tuple(log_variances.shape):
        raise ShapeMismatchError(f"mu has shape {shape}, log_var has shape {tuple(log_variances.shape)}.")
    _latent_validation.check_alike(mu, log_var, "mu", "log_var")
    stays = _device.is_on_gpu(means) or _device.is_on_gpu(log_variances)
    prior = Normal(mean=0.0, var=1.0) if prior is None else check_distribution(prior, "prior")
    check_single(prior, "prior")
    if prior.event_shape not in ((), shape[-1:]):
        raise ShapeMismatchError(f"prior draws shape {prior.event_shape}, there are {shape[-1]} latents.")
    if isinstance(prior, MultivariateNormal):
        if reduction == "per_dim":
            raise InvalidParameterError("reduction='per_dim' needs a prior with independent dimensions.")
        from_prior = _device.twin("kl_from_full_prior") if stays else kl_from_full_prior
        value = from_prior(means, log_variances, prior, place)
    elif isinstance(prior, Normal | MultivariateNormalDiag):
        arguments = (means, log_variances, prior.mean, prior.var, np.log(prior.var))
        n_axes = int(reduction != "per_dim")
        value = kl_log_var_normal.summed(*arguments, n_axes=n_axes, device=place, n_jobs=threads)
    else:
        raise InvalidTypeError(f"prior must be a Gaussian distribution, got {type(prior).__name__}.")
    settle = _device.twin("settle_latents") if stays else _settle
    return settle(value, means, log_variances, reduction, factor)


def _settle(value: np.ndarray, mu: np.ndarray, log_var: np.ndarray, reduction: str, factor: float) -> Any:
    """What the caller wants of the divergences, once it is known that the latents are numbers."""
    if not np.isfinite(value).all():  # only then may the latents be none, and they need not be read twice
        check_finite(mu, "mu")
        check_finite(log_var, "log_var")
    with np.errstate(over="ignore"):
        if reduction in ("sum", "mean"):
            return float(factor * (value.sum() if reduction == "sum" else _mean(value)))
        return unwrap(factor * value)


def kl_from_full_prior(mu: np.ndarray, log_var: np.ndarray, prior: MultivariateNormal, device: str) -> np.ndarray:
    """Divergences from a prior with a full covariance, in blocks that bound the memory."""
    check_finite(mu, "mu")
    check_finite(log_var, "log_var")
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
        out[block] = kl_divergence(MultivariateNormal._from_diagonal(means[block], var, std), prior, device=device)
    return out.reshape(mu.shape[:-1])


def _mean(values: np.ndarray) -> float:
    mean = values.mean()
    return (values / values.size).sum() if np.isinf(mean) else mean  # a sum may overflow where the mean does not


def _latents(x: Any, name: str, place: str) -> Any:
    """float32 stays what it is, and what lives on a GPU where it is; formulas compute in float64 whatever they read."""
    if place == "cuda" and _device.is_on_gpu(x):
        array = x
    else:
        narrow = getattr(x, "dtype", None) == np.float32 and isinstance(x, np.ndarray)
        array = _arrays.host_array(x, name) if narrow else _arrays.numeric_array(x, name)
    if not array.shape or 0 in array.shape:
        raise ShapeMismatchError(f"{name} must have shape (B, D), got {tuple(array.shape)}.")
    return array


def check_finite(array: np.ndarray, name: str) -> None:
    if not np.isfinite(array).all():
        raise InvalidParameterError(f"{name} contains {int((~np.isfinite(array)).sum())} values that are not finite.")
