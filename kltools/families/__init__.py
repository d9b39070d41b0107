"""Families of distributions and their closed forms; importing a file registers what it holds."""

from . import gaussian_full  # noqa: F401  # divergences only
from .discrete import Categorical
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .low_rank import LowRankMultivariateNormal
from .matrix import MatrixNormal
from .mixture import GaussianMixture
from .structural import Independent, Product, Transformed
from .wishart import InverseWishart, Wishart

__all__ = [
    "Categorical",
    "GaussianMixture",
    "Independent",
    "InverseWishart",
    "LowRankMultivariateNormal",
    "MatrixNormal",
    "MultivariateNormal",
    "MultivariateNormalDiag",
    "Normal",
    "Product",
    "Transformed",
    "Wishart",
]
