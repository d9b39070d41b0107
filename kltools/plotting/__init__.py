"""Pictures, with matplotlib (``pip install 'kltools[plot]'``).

Every function draws on the Axes that are passed as ``ax``, or on those of a new figure, and returns them; nothing is
shown, saved or closed.
"""

from .contributions import plot_contributions
from .diagnosis import plot_diagnosis
from .drift import plot_drift
from .estimate import plot_estimate
from .estimates import plot_forest, plot_n_neighbors, plot_sample_size
from .fits import plot_fits
from .latents import plot_latents

__all__ = [
    "plot_contributions",
    "plot_diagnosis",
    "plot_drift",
    "plot_estimate",
    "plot_fits",
    "plot_forest",
    "plot_latents",
    "plot_n_neighbors",
    "plot_sample_size",
]
