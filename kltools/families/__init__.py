"""Families of distributions and their closed forms; importing a file registers what it holds."""

from . import gaussian_full  # noqa: F401  # divergences only
from .discrete import Categorical
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .low_rank import LowRankMultivariateNormal
from .mixture import GaussianMixture

__all__ = [
    "Categorical",
    "GaussianMixture",
    "LowRankMultivariateNormal",
    "MultivariateNormal",
    "MultivariateNormalDiag",
    "Normal",
]
