"""Latent spaces of variational autoencoders: reports, comparisons, and what gathers them in a loop."""

from .accumulator import LatentAccumulator
from .call import latent_report
from .comparison import LatentComparison, compare_latents
from .report import LatentReport

__all__ = ["LatentAccumulator", "LatentComparison", "LatentReport", "compare_latents", "latent_report"]
