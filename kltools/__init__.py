"""KL divergences you can trust: from formulas, or just from samples.

Everything is in nats unless `unit` says otherwise. p comes first, q second, always KL(p || q).
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import errors, maps
from ._parameters import param
from ._progress import show_progress
from ._version import __version__ as __version__
from ._warmup import warmup
from .closed_forms import kl_divergence, pairwise_kl, register_kl
from .comparison import *
from .comparison import __all__ as _comparison
from .dependence import mutual_information
from .distribution import Distribution, family
from .divergences import cross_entropy, entropy, f_divergence, jeffreys, jensen_shannon, total_variation
from .drift.report import DriftReport, FeatureDrift
from .errors import *
from .estimate import DivergenceEstimate
from .estimators import RELATIVES as _RELATIVES
from .estimators import estimate_kl
from .estimators.counts import (
    estimate_kl_from_counts,
    estimate_kl_from_labels,
    estimate_population_stability_index_from_counts,
)
from .estimators.counts_entropy import estimate_cross_entropy_from_counts, estimate_entropy_from_counts
from .estimators.counts_information import (
    estimate_jensen_shannon_from_counts,
    estimate_mutual_information_from_counts,
)
from .estimators.divergence_monte_carlo import estimate_divergence_monte_carlo
from .estimators.log_prob import estimate_kl_from_log_prob
from .estimators.monte_carlo import estimate_kl_monte_carlo
from .families import *
from .families import __all__ as _families
from .fits import fit_gaussian
from .latents import LatentAccumulator, LatentComparison, LatentReport, compare_latents, latent_report
from .mixture_bounds import MixtureBounds, mixture_kl_bounds
from .neighbors import kth_neighbor_distances
from .power_divergences import bhattacharyya, chi_squared, hellinger, renyi, tsallis
from .selection import divergence_matrix, kl_feature_score
from .vae import vae_kl

if TYPE_CHECKING:
    from . import dask as dask
    from . import plotting
    from .drift.detector import DriftDetector
    from .drift.monitor import DriftMonitor
    from .estimators.model_objects import AutoDivergence, CalibratedKNNDivergence, MixtureDivergence
    from .estimators.objects import (
        GaussianDivergence,
        KNNDivergence,
        KNNRadiusDivergence,
        WeightedKNNDivergence,
    )
    from .estimators.ratio_objects import (
        KDEDivergence,
        KLIEPDivergence,
        RatioDivergence,
        RuLSIFDivergence,
        ULSIFDivergence,
    )
    from .selection.scoring import kl_scorer, nwj_scorer, pipeline_divergence

# scikit-learn takes a second to import: only who uses its estimators pays for it
_LAZY = {
    "AutoDivergence": "estimators.model_objects",
    "CalibratedKNNDivergence": "estimators.model_objects",
    "DriftDetector": "drift.detector",
    "DriftMonitor": "drift.monitor",
    "GaussianDivergence": "estimators.objects",
    "KDEDivergence": "estimators.ratio_objects",
    "KLIEPDivergence": "estimators.ratio_objects",
    "KNNDivergence": "estimators.objects",
    "KNNRadiusDivergence": "estimators.objects",
    "MixtureDivergence": "estimators.model_objects",
    "RatioDivergence": "estimators.ratio_objects",
    "RuLSIFDivergence": "estimators.ratio_objects",
    "ULSIFDivergence": "estimators.ratio_objects",
    "WeightedKNNDivergence": "estimators.objects",
    "kl_scorer": "selection.scoring",
    "nwj_scorer": "selection.scoring",
    "pipeline_divergence": "selection.scoring",
    **{name: f"estimators.{module}" for name, module in _RELATIVES.items()},
}

# and matplotlib with pictures; `dask` is in no `import *`, where it would hide Dask itself
_LAZY_MODULES = ("dask", "plotting")

__all__ = [
    "AutoDivergence",
    "CalibratedKNNDivergence",
    "Distribution",
    "DivergenceEstimate",
    "DriftDetector",
    "DriftMonitor",
    "DriftReport",
    "FeatureDrift",
    "GaussianDivergence",
    "KDEDivergence",
    "KLIEPDivergence",
    "KNNDivergence",
    "KNNRadiusDivergence",
    "LatentAccumulator",
    "LatentComparison",
    "LatentReport",
    "MixtureBounds",
    "MixtureDivergence",
    "RatioDivergence",
    "RuLSIFDivergence",
    "ULSIFDivergence",
    "WeightedKNNDivergence",
    "bhattacharyya",
    "chi_squared",
    "compare_latents",
    "cross_entropy",
    "divergence_matrix",
    "entropy",
    "estimate_cross_entropy_from_counts",
    "estimate_divergence_monte_carlo",
    "estimate_entropy_from_counts",
    "estimate_jensen_shannon_from_counts",
    "estimate_kl",
    "estimate_kl_from_counts",
    "estimate_kl_from_labels",
    "estimate_kl_from_log_prob",
    "estimate_kl_monte_carlo",
    "estimate_mutual_information_from_counts",
    "estimate_population_stability_index_from_counts",
    "f_divergence",
    "family",
    "fit_gaussian",
    "hellinger",
    "jeffreys",
    "jensen_shannon",
    "kl_divergence",
    "kl_feature_score",
    "kl_scorer",
    "kth_neighbor_distances",
    "latent_report",
    "maps",
    "mixture_kl_bounds",
    "mutual_information",
    "nwj_scorer",
    "pairwise_kl",
    "param",
    "pipeline_divergence",
    "plotting",
    "register_kl",
    "renyi",
    "show_progress",
    "total_variation",
    "tsallis",
    "vae_kl",
    "warmup",
    *_comparison,
    *errors.__all__,
    *_RELATIVES,
    *_families,
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    if name in _LAZY_MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY, *_LAZY_MODULES, *(name for name in globals() if name.startswith("__"))})
