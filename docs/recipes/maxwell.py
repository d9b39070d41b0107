import numpy as np

from kltools import Distribution, Normal, family, kl_divergence, param, register_kl
from kltools._scalar import half_squared_ratio_excess


@family
class Maxwell(Distribution):
    """Maxwell distribution: the length of a normal vector in space, of this scale in every coordinate."""

    scale: float = param("positive")

    def _log_prob(self, x):
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = 2.0 * np.log(x / self.scale) - 0.5 * (x / self.scale) ** 2 - np.log(self.scale)
        return np.where(x > 0.0, inside + 0.5 * np.log(2.0 / np.pi), -np.inf)

    def _sample(self, rng, shape):
        return self.scale * np.sqrt(rng.chisquare(3.0, shape))

    def _support(self):
        return np.zeros(self.batch_shape), np.full(self.batch_shape, np.inf)

    def _bulk(self):
        return 1.4 * self.scale, self.scale


@register_kl(Maxwell, Maxwell)
def kl_maxwell_maxwell(scale_p, scale_q):
    """3 (r - 1 - log r) / 2 with r = (scale_p / scale_q)^2, without cancellation."""
    return 3.0 * half_squared_ratio_excess(scale_p, scale_q)


p, q = Maxwell(scale=[1.0, 2.0, 1.0 + 1e-9]), Maxwell(scale=1.0)
print(kl_divergence(p, q))
print(kl_divergence(p[:2], q, method="quadrature").round(9))
print(kl_divergence(q, Normal(mean=2.0, var=1.0), method="quadrature").__round__(6))
