"""Families of distributions and their closed forms; importing a file registers what it holds."""

from . import gaussian_full  # noqa: F401  # divergences only
from .directional import HypersphericalUniform, PowerSpherical, VonMises, VonMisesFisher
from .discrete import Categorical
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .mixture import GaussianMixture
from .real_line import Cauchy, Gumbel, Laplace, Logistic, StudentT
from .student import MultivariateStudentT

__all__ = [
    "Categorical",
    "Cauchy",
    "GaussianMixture",
    "Gumbel",
    "HypersphericalUniform",
    "Laplace",
    "Logistic",
    "MultivariateNormal",
    "MultivariateNormalDiag",
    "MultivariateStudentT",
    "Normal",
    "PowerSpherical",
    "StudentT",
    "VonMises",
    "VonMisesFisher",
]
