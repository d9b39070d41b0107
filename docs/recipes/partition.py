"""Cells between the quantiles of Y, in one feature.

Q. Wang, S. R. Kulkarni, S. Verdu (2005), Divergence estimation of continuous distributions based on data-dependent
partitions.
"""

import math

import numpy as np

from .. import _validation
from ..errors import InfiniteDivergenceWarning, ShapeMismatchError
from ..inference import UNKNOWN, sum_of_means
from .problem import Problem, Result


def estimate(problem: Problem, *, n_cells: int | None = None) -> Result:
    """sum_c p_c log(p_c / q_c) over the cells c; by default as many as the root of the rows of Y."""
    Y = problem.sample_of_q("partition")
    if problem.d != 1:
        raise ShapeMismatchError(f"method='partition' takes one feature, X has {problem.d}; take method='knn'.")
    n_cells = math.isqrt(len(Y)) if n_cells is None else _validation.integer(n_cells, "n_cells", minimum=2)
    edges = np.quantile(Y[:, 0], np.linspace(0.0, 1.0, n_cells + 1)[1:-1])
    of_x, of_y = np.searchsorted(edges, problem.X[:, 0]), np.searchsorted(edges, Y[:, 0])
    p = np.bincount(of_x, minlength=n_cells) / len(of_x)
    q = np.bincount(of_y, minlength=n_cells) / len(of_y)
    if (q[of_x] == 0.0).any():
        problem.notes.add(InfiniteDivergenceWarning, "cells hold rows of X and none of Y: the divergence is inf.")
        return Result(math.inf, lambda: UNKNOWN)
    log_ratio = np.log(p[of_x] / q[of_x])
    return Result(
        float(log_ratio.mean()),
        lambda: sum_of_means(log_ratio, p[of_y] / q[of_y]),
        diagnostics={"n_cells": n_cells},
    )
