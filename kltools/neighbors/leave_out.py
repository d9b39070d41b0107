"""Distances to k-th neighbours when blocks of rows are left out, from one search."""

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from .._sums import column_totals, partial_sums
from . import Reference

_ROWS_AT_ONCE = 1 << 16
SPARE_NEIGHBORS = 8  # of k + 8 neighbours, more than 8 in one of many blocks is rare


def mean_log_distances(
    reference: Reference,
    queries: np.ndarray,
    ks: tuple[int, ...],
    labels: np.ndarray,
    query_labels: np.ndarray,
    exclude: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Mean over queries, and over k, of the log distance to the k-th neighbour, without each block.

    The mean over k has the given weights, equal ones by default.
    ``labels`` and ``query_labels`` are the blocks 0, 1, ... of the rows of the reference and of the
    queries; entry j of the result leaves out block j of both. The result has shape (number of blocks,).
    """
    n_blocks = int(labels.max()) + 1
    weights = np.full(len(ks), 1.0 / len(ks)) if weights is None else weights
    kept = query_labels[:, None] != np.arange(n_blocks)
    sums = []
    for start in range(0, len(queries), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        skip = None if exclude is None else exclude[rows]
        part = _mean_over_k(reference, queries[rows], ks, weights, labels, query_labels[rows], n_blocks, skip)
        sums.append(partial_sums(part, kept[rows], reference.n_jobs))
    return column_totals(np.concatenate(sums)) / kept.sum(axis=0)


def _mean_over_k(
    reference: Reference,
    queries: np.ndarray,
    ks: tuple[int, ...],
    weights: np.ndarray,
    labels: np.ndarray,
    query_labels: np.ndarray,
    n_blocks: int,
    exclude: np.ndarray | None,
) -> np.ndarray:
    """One value for each query and block; queries for which too few neighbours are known are asked again."""
    out = np.empty((len(queries), n_blocks))
    left = np.arange(len(queries))
    known, available = ks[-1] + SPARE_NEIGHBORS, len(labels) - (exclude is not None)
    while len(left):
        known = min(known, available)
        skip = None if exclude is None else exclude[left]
        distances, rows = reference.nearest(queries[left], known, skip)
        result = means_without_blocks(
            distances, labels[rows], query_labels[left], ks, weights, n_blocks, reference.n_jobs
        )
        out[left] = result
        if known == available:
            break
        left = left[np.isnan(result).any(axis=1)]
        known *= 2
    return out


def means_without_blocks(
    distances: np.ndarray,
    labels: np.ndarray,
    query_labels: np.ndarray,
    ks: tuple[int, ...],
    weights: np.ndarray,
    n_blocks: int,
    n_jobs: int = 1,
) -> np.ndarray:
    """Weighted means over k of the log distance to the k-th neighbour outside of each block, of every query.

    They are nan where too few of the distances given are to neighbours outside. Rows of the block are not counted.
    """
    with np.errstate(divide="ignore"):
        log_distances = np.log(distances)
    result = np.empty((len(distances), n_blocks))
    arguments = (frozen(a) for a in (log_distances, labels, query_labels, np.array(ks), weights))
    run_rows(_kernel, len(distances), *arguments, result, n_jobs=n_jobs)
    return result


@jit
def _kernel(start, stop, log_distances, labels, query_labels, ks, weights, out):
    """Mean over k of the log distance to the k-th neighbour outside block j; nan where too few are known."""
    for i in range(start, stop):
        for j in range(out.shape[1]):
            total = 0.0
            outside = 0
            done = 0
            for position in range(log_distances.shape[1]):
                if labels[i, position] == j:
                    continue
                outside += 1
                if ks[done] == outside:
                    total += weights[done] * log_distances[i, position]
                    done += 1
                    if done == ks.shape[0]:
                        break
            if query_labels[i] == j:
                out[i, j] = 0.0
            elif done == ks.shape[0]:
                out[i, j] = total
            else:
                out[i, j] = np.nan
