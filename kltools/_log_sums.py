"""Sums of numbers that are known by their logarithms."""

import numpy as np


def log_sum_exp(terms: np.ndarray, axis: int = -1) -> np.ndarray:
    """log of the sum of exp(terms) along an axis, which does not overflow; -inf for nothing but -inf."""
    largest = terms.max(axis=axis, keepdims=True)
    level = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        return np.squeeze(level, axis) + np.log(np.exp(terms - level).sum(axis=axis))


def log_mean_exp(terms: np.ndarray, axis: int = -1) -> np.ndarray:
    """log of the mean of exp(terms) along an axis."""
    return log_sum_exp(terms, axis) - np.log(terms.shape[axis])
