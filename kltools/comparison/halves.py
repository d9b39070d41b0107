"""Estimates that are made to be looked at beside others, and those on halves of the samples."""

import math
import warnings
from typing import Any

import numpy as np

from ..errors import KLToolsWarning
from ..estimate import DivergenceEstimate
from ..estimators import estimate_kl


def quiet_estimate(X: np.ndarray, Y: np.ndarray, **options: Any) -> DivergenceEstimate:
    """An estimate whose warnings are only kept in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KLToolsWarning)
        return estimate_kl(X, Y, **options)


def random_halves(
    X: np.ndarray, Y: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Two pairs of samples, each of half of the rows; of an odd number one row is left out."""
    x, y = (rng.permutation(len(Z))[: len(Z) - len(Z) % 2].reshape(2, -1) for Z in (X, Y))
    return (X[x[0]], Y[y[0]]), (X[x[1]], Y[y[1]])


def mean_value(estimates: list[DivergenceEstimate]) -> float:
    return math.fsum(estimate.value for estimate in estimates) / len(estimates)
