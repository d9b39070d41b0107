"""The joint permutation test: neighbours, means of ranks and cells of each feature, under the same labellings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..comparison.permutation import Graph, counts_at_least, far_from_permuted, labellings, neighbors_within
from .binning import Cells, Counter, encoded
from .columns import Column

_EQUAL = 1e-9  # standard deviations: numbers that differ by rounding only


@dataclass(frozen=True)
class Evidence:
    """P-values, jointly, of the three parts and of each feature, with what speaks for them."""

    p_value: float
    p_value_of_neighbors: float
    p_value_of_means: float
    p_value_of_features: float
    contributions: np.ndarray
    p_values: np.ndarray
    log_ratios: np.ndarray
    n_neighbors: int


def joint_test(
    columns: Sequence[Column],
    cells: Sequence[Cells],
    n: int,
    n_permutations: int,
    rng: np.random.Generator,
    n_jobs: int,
) -> Evidence:
    """Whether the first n rows have the distribution of the others.

    All parts see all labellings, and each labelling is judged by the smallest of its p-values among all of them
    (Westfall and Young 1993, algorithm 2.8): whatever the parts are, the result is exact where rows are exchangeable.
    """
    if not columns:
        return Evidence(1.0, 1.0, 1.0, 1.0, np.zeros(0), np.zeros(0), np.zeros(0), 0)
    rows, n_numbers = encoded(columns, cells)
    k = neighbors_within(None, len(rows))
    graph, counter = Graph.of(rows, k, n_jobs, n_numbers), Counter.of(cells)
    points = graph.points[graph.cell]
    points -= points.mean(axis=0)
    by_labels, by_means, by_cells = [], [], []
    for labels in labellings(n, len(rows), n_permutations, rng):
        by_labels.append(graph.divergences(labels, n_jobs))
        by_means.append(_squared_means(points, labels))
        by_cells.append(counter.statistics(labels, n_jobs))
    of_features = _comparable(np.concatenate(by_cells))
    of_neighbors, of_means = far_from_permuted(np.concatenate(by_labels)), np.concatenate(by_means)
    parts = counts_at_least(of_neighbors), counts_at_least(of_means), _counts_at_least(of_features.max(axis=1))
    total = n_permutations + 1
    least = np.min(parts, axis=0)
    observed = (np.arange(len(rows)) < n).astype(np.uint8)
    return Evidence(
        p_value=int(np.count_nonzero(least <= least[0])) / total,
        p_value_of_neighbors=int(parts[0][0]) / total,
        p_value_of_means=int(parts[1][0]) / total,
        p_value_of_features=int(parts[2][0]) / total,
        contributions=of_features[0],
        p_values=np.count_nonzero(of_features >= of_features[0] - _EQUAL, axis=0) / total,
        log_ratios=graph.log_ratios(observed),
        n_neighbors=k,
    )


def _squared_means(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each labelling the squared length of the sum of the rows labelled 1, which is 0 for all rows together.

    Of whitened ranks that is the rank test of Puri and Sen (1971, chapter 5), which sees many small shifts at once.
    """
    return ((labels.astype(np.float64) @ points) ** 2).sum(axis=1)


def _comparable(statistics: np.ndarray) -> np.ndarray:
    """For each labelling and feature the larger one of its two statistics, in standard deviations.

    Their cube roots are about normal (Wilson and Hilferty 1931), so that features with few cells and with many weigh
    the same.
    """
    roots = np.cbrt(np.maximum(statistics, 0.0))
    deviation = roots - roots[0]
    deviation -= deviation.mean(axis=0)
    spread = deviation.std(axis=0)
    constant = spread <= _EQUAL * np.abs(roots).max(axis=0)
    scores = np.where(constant, 0.0, deviation / np.where(constant, 1.0, spread))
    d = statistics.shape[1] // 2
    return np.maximum(scores[:, :d], scores[:, d:])


def _counts_at_least(values: np.ndarray) -> np.ndarray:
    return len(values) - np.searchsorted(np.sort(values), values - _EQUAL)


def false_discovery_adjusted(p_values: np.ndarray) -> np.ndarray:
    """The smallest level of false discoveries at which each is one (Benjamini and Hochberg 1995)."""
    n = len(p_values)
    order = np.argsort(-p_values, kind="stable")
    adjusted = np.empty(n)
    adjusted[order] = np.minimum.accumulate(p_values[order] * n / np.arange(n, 0, -1))
    return np.minimum(adjusted, 1.0)
