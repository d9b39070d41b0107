"""Families of distributions and their closed forms; importing a file registers what it holds."""

from . import gaussian_full, gaussian_relatives  # noqa: F401  # divergences only
from .directional import HypersphericalUniform, PowerSpherical, VonMises, VonMisesFisher
from .discrete import Categorical
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .low_rank import LowRankMultivariateNormal
from .matrix import MatrixNormal
from .mixture import GaussianMixture
from .positive import Chi2, Exponential, Gamma, InverseGamma
from .positive_scale import HalfCauchy, HalfNormal, InverseGaussian, LogNormal, Pareto
from .real_line import Cauchy, Gumbel, Laplace, Logistic, StudentT
from .structural import Independent, Product, Transformed
from .student import MultivariateStudentT
from .weibull import Rayleigh, Weibull
from .wishart import InverseWishart, Wishart

__all__ = [
    "Categorical",
    "Cauchy",
    "Chi2",
    "Exponential",
    "Gamma",
    "GaussianMixture",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "HypersphericalUniform",
    "Independent",
    "InverseGamma",
    "InverseGaussian",
    "InverseWishart",
    "Laplace",
    "LogNormal",
    "Logistic",
    "LowRankMultivariateNormal",
    "MatrixNormal",
    "MultivariateNormal",
    "MultivariateNormalDiag",
    "MultivariateStudentT",
    "Normal",
    "Pareto",
    "PowerSpherical",
    "Product",
    "Rayleigh",
    "StudentT",
    "Transformed",
    "VonMises",
    "VonMisesFisher",
    "Weibull",
    "Wishart",
]
