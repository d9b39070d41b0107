"""Families of distributions and their closed forms; importing a file registers what it holds."""

from . import gaussian_full, gaussian_relatives  # noqa: F401  # divergences only
from .discrete import Categorical
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .mixture import GaussianMixture
from .positive import Chi2, Exponential, Gamma, InverseGamma
from .positive_scale import HalfCauchy, HalfNormal, InverseGaussian, LogNormal, Pareto
from .weibull import Rayleigh, Weibull

__all__ = [
    "Categorical",
    "Chi2",
    "Exponential",
    "Gamma",
    "GaussianMixture",
    "HalfCauchy",
    "HalfNormal",
    "InverseGamma",
    "InverseGaussian",
    "LogNormal",
    "MultivariateNormal",
    "MultivariateNormalDiag",
    "Normal",
    "Pareto",
    "Rayleigh",
    "Weibull",
]
