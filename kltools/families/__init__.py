"""Families of distributions and their closed forms; importing a file registers what it holds."""

from . import gaussian_full  # noqa: F401  # divergences only
from .beta import Beta, Dirichlet
from .bounded import ContinuousBernoulli, Kumaraswamy
from .counts import Bernoulli, Binomial, Multinomial, Poisson
from .discrete import Categorical
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .mixture import GaussianMixture
from .uniform import Uniform
from .waiting import Geometric, NegativeBinomial

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "ContinuousBernoulli",
    "Dirichlet",
    "GaussianMixture",
    "Geometric",
    "Kumaraswamy",
    "Multinomial",
    "MultivariateNormal",
    "MultivariateNormalDiag",
    "NegativeBinomial",
    "Normal",
    "Poisson",
    "Uniform",
]
