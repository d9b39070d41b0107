"""The choice of a method by the size of the samples."""

import dataclasses
import math
from typing import Any

import numpy as np

from ..errors import UnreliableEstimateWarning
from ..preprocessing import column_exponents, deviations
from . import gaussian, knn
from .problem import Problem, Result

_ROWS_PER_FEATURE = 10
_FEWEST_ROWS_TO_JUDGE = 20


def estimate(problem: Problem, *, n_neighbors: Any = None, scale: str = "whiten") -> Result:
    """`gaussian` where a sample has fewer than 10 rows per feature, else `knn`; options are those of `knn`."""
    needed_x, needed_y = gaussian.needed_rows(problem.d)
    enough = problem.n >= needed_x and (problem.m is None or problem.m >= needed_y)
    if problem.rows < _ROWS_PER_FEATURE * problem.d and enough:
        _tell_far_from_normal(problem)
        return _chosen("gaussian", gaussian.estimate(problem))
    return _chosen("knn", knn.estimate(problem, n_neighbors=n_neighbors, scale=scale))


def _tell_far_from_normal(problem: Problem) -> None:
    """Note columns whose skewness or excess kurtosis is large, and far beyond what normal samples show."""
    for name, sample in (("X", problem.X), ("Y", problem.Y)):
        if sample is None or len(sample) < _FEWEST_ROWS_TO_JUDGE:
            continue
        deviation = deviations(np.ldexp(sample, -column_exponents(sample)))
        spread = deviation.std(axis=0)
        standard = deviation / np.where(spread > 0.0, spread, 1.0)
        skewness, kurtosis = np.abs((standard**3).mean(axis=0)), (standard**4).mean(axis=0) - 3.0
        n = len(sample)
        far = (skewness > max(0.7, 6.0 * math.sqrt(6.0 / n))) | (kurtosis > max(2.0, 10.0 * math.sqrt(24.0 / n)))
        if far.any():
            columns = [int(j) for j in np.flatnonzero(far)]
            problem.notes.add(
                UnreliableEstimateWarning,
                f"columns {columns} of {name} are far from normal, which method='gaussian', chosen for want of rows, "
                "takes them for; transform them, or compare method='knn'.",
            )


def _chosen(name: str, result: Result) -> Result:
    rule = f"gaussian where min(n, m) < {_ROWS_PER_FEATURE} d and the rows suffice, else knn"
    return dataclasses.replace(result, diagnostics={"chosen_method": name, "rule": rule, **result.diagnostics})
