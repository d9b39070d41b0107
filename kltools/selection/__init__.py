"""Many samples, features and pipelines compared by their divergences (scorers stand in `scoring`)."""

from .features import kl_feature_score
from .matrix import divergence_matrix

__all__ = ["divergence_matrix", "kl_feature_score"]
