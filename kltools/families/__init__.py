"""Families of distributions and their closed forms; importing a file registers what it holds."""

from . import directional_forms, gaussian_full, gaussian_relatives, structural_forms  # noqa: F401  # divergences only
from .beta import Beta, Dirichlet
from .bounded import ContinuousBernoulli, Kumaraswamy
from .counts import Bernoulli, Binomial, Multinomial, Poisson
from .directional import HypersphericalUniform, PowerSpherical, VonMises, VonMisesFisher
from .discrete import Categorical
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .gaussian_mixture import GaussianMixture
from .low_rank import LowRankMultivariateNormal
from .matrix import MatrixNormal
from .mixture import Mixture
from .positive import Chi2, Exponential, Gamma, InverseGamma
from .positive_scale import HalfCauchy, HalfNormal, InverseGaussian, LogNormal, Pareto
from .real_line import Cauchy, Gumbel, Laplace, Logistic, StudentT
from .structural import Independent, Product, Transformed
from .student import MultivariateStudentT
from .uniform import Uniform
from .waiting import Geometric, NegativeBinomial
from .weibull import Rayleigh, Weibull
from .wishart import InverseWishart, Wishart

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ContinuousBernoulli",
    "Dirichlet",
    "Exponential",
    "Gamma",
    "GaussianMixture",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "HypersphericalUniform",
    "Independent",
    "InverseGamma",
    "InverseGaussian",
    "InverseWishart",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "LowRankMultivariateNormal",
    "MatrixNormal",
    "Mixture",
    "Multinomial",
    "MultivariateNormal",
    "MultivariateNormalDiag",
    "MultivariateStudentT",
    "NegativeBinomial",
    "Normal",
    "Pareto",
    "Poisson",
    "PowerSpherical",
    "Product",
    "Rayleigh",
    "StudentT",
    "Transformed",
    "Uniform",
    "VonMises",
    "VonMisesFisher",
    "Weibull",
    "Wishart",
]
