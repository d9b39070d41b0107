"""The KL term of a VAE whose latents live on a device."""

import math
from typing import Any

from .. import vae
from .._formula import Formula
from ..families.gaussian import MultivariateNormal
from .formulas import IS_NO_NUMBER, evaluate, total
from .interop import Place, host_copy


def _product(x, factor):
    return x * factor


_PRODUCT = Formula(_product)


def settle_latents(value: Any, mu: Any, log_var: Any, reduction: str, factor: float) -> Any:
    """What the caller wants of divergences on the device, once it is known that the latents are numbers."""
    n_axes = len(value.shape)
    if total(evaluate(IS_NO_NUMBER, value)):
        for array, name in ((mu, "mu"), (log_var, "log_var")):
            vae.check_finite(host_copy(array, name), name)
    if reduction not in ("sum", "mean"):
        if not n_axes:
            return factor * total(value)
        return value if factor == 1.0 else evaluate(_PRODUCT, value, factor)
    n = math.prod(value.shape) if reduction == "mean" else 1
    mean = total(value) / n
    if math.isinf(mean):  # a sum may overflow where the mean does not
        mean = total(evaluate(_PRODUCT, value, 1.0 / n))
    return factor * mean


def kl_from_full_prior(mu: Any, log_var: Any, prior: MultivariateNormal, device: str) -> Any:
    """Divergences from a prior with a full covariance, in the library of the latents."""
    means, log_variances = host_copy(mu, "mu"), host_copy(log_var, "log_var")
    value = vae.kl_from_full_prior(means, log_variances, prior, device)
    with Place(mu, log_var) as place:
        return place.deliver(value)
