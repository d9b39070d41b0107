"""The choice of a method by the size of the samples."""

import dataclasses
from typing import Any

from . import gaussian, knn
from .problem import Problem, Result

_ROWS_PER_FEATURE = 10


def estimate(problem: Problem, *, n_neighbors: Any = None, scale: str = "whiten") -> Result:
    """`gaussian` where a sample has fewer than 10 rows per feature, else `knn`; options are those of `knn`."""
    needed_x, needed_y = gaussian.needed_rows(problem.d)
    enough = problem.n >= needed_x and (problem.m is None or problem.m >= needed_y)
    if problem.rows < _ROWS_PER_FEATURE * problem.d and enough:
        return _chosen("gaussian", gaussian.estimate(problem))
    return _chosen("knn", knn.estimate(problem, n_neighbors=n_neighbors, scale=scale))


def _chosen(name: str, result: Result) -> Result:
    rule = f"gaussian where min(n, m) < {_ROWS_PER_FEATURE} d and the rows suffice, else knn"
    return dataclasses.replace(result, diagnostics={"chosen_method": name, "rule": rule, **result.diagnostics})
