"""Nearest-neighbour estimates with weights over k that cancel the leading terms of the bias."""

import math
from typing import Any

import numpy as np

from .. import _validation
from ..errors import KLToolsWarning
from ..scaling import SCALES
from . import knn
from .problem import Problem, Result

_LARGEST_MAGNITUDE = 5.0  # of the sum of |w|: beyond it weights multiply noise, and do harm
_FEWEST_NEIGHBORS = 20
_SMALLEST_RESIDUAL = 1e-9


def estimate(problem: Problem, *, n_neighbors: Any = None, scale: str = "whiten") -> Result:
    """sum_k w_k D_k of the `knn` estimates D_k with k neighbours; options: `WeightedKNNDivergence`."""
    _validation.choice(scale, "scale", SCALES)
    if n_neighbors is None:
        ks = default_neighbors(problem)
    else:
        ks = _validation.neighbors_within(n_neighbors, problem.n, problem.m)
    weights = cancelling_weights(ks, problem.d)
    if weights is None or np.abs(weights).sum() > _LARGEST_MAGNITUDE:
        problem.notes.add(KLToolsWarning, _objection(ks, problem.d, weights))
        weights = np.full(len(ks), 1.0 / len(ks))
    result = knn.weighted(problem, ks, weights, scale)
    result.diagnostics["weight_by_n_neighbors"] = dict(zip(ks, weights.tolist(), strict=True))
    return result


def default_neighbors(problem: Problem) -> tuple[int, ...]:
    """K j / d for j = 1 to d, rounded down, where K is the larger of 20 and the square root of the rows."""
    available = problem.n - 1 if problem.m is None else min(problem.n - 1, problem.m)
    largest = min(max(_FEWEST_NEIGHBORS, math.isqrt(problem.rows)), available)
    return tuple(sorted({max(1, largest * j // problem.d) for j in range(1, problem.d + 1)}))


def cancelling_weights(ks: tuple[int, ...], d: int) -> np.ndarray | None:
    """Weights of least norm whose sum is 1, and sum_k w_k Gamma(k + 2 l / d) / Gamma(k) = 0 for l = 1 to d // 4.

    None where so few numbers of neighbours have no such weights.
    """
    moments = [[math.lgamma(k + 2.0 * order / d) - math.lgamma(k) for k in ks] for order in range(d // 4 + 1)]
    conditions = np.exp(np.array(moments) - np.max(moments, axis=1, keepdims=True))
    wanted = np.zeros(len(conditions))
    wanted[0] = 1.0
    weights = np.linalg.lstsq(conditions, wanted)[0]
    return weights if np.abs(conditions @ weights - wanted).max() < _SMALLEST_RESIDUAL else None


def _objection(ks: tuple[int, ...], d: int, weights: np.ndarray | None) -> str:
    if weights is None:
        why = f"{len(ks)} numbers of neighbours are too few for the {d // 4 + 1} conditions on weights"
    else:
        why = f"the weights that cancel the bias have magnitudes that add up to {np.abs(weights).sum():.3g}"
    return f"in {d} features {why}: the estimates are averaged instead; use fewer features, or more rows."
