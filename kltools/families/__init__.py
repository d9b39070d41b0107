"""Families of distributions and their closed forms; importing a file registers what it holds."""

from .discrete import Categorical
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal

__all__ = ["Categorical", "MultivariateNormal", "MultivariateNormalDiag", "Normal"]
