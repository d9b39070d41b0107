"""Distances to k-th neighbours when blocks of rows are left out, from one search."""

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from . import Reference

_ROWS_AT_ONCE = 1 << 16

_SPARE_NEIGHBORS = 8  # of k + 8 neighbours, more than 8 in one of many blocks is rare


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
    sums = np.zeros(n_blocks)
    for start in range(0, len(queries), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        skip = None if exclude is None else exclude[rows]
        part = _mean_over_k(reference, queries[rows], ks, weights, labels, query_labels[rows], n_blocks, skip)
        sums += part.sum(axis=0, where=kept[rows])
    return sums / kept.sum(axis=0)


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
    known, available = ks[-1] + _SPARE_NEIGHBORS, len(labels) - (exclude is not None)
    while len(left):
        known = min(known, available)
        skip = None if exclude is None else exclude[left]
        distances, rows = reference.nearest(queries[left], known, skip)
        with np.errstate(divide="ignore"):
            log_distances = np.log(distances, out=distances)
        result = np.empty((len(left), n_blocks))
        arguments = (log_distances, labels[rows], query_labels[left], np.array(ks), weights)
        run_rows(_kernel, len(left), *(frozen(a) for a in arguments), result, n_jobs=reference.n_jobs)
        out[left] = result
        if known == available:
            break
        left = left[np.isnan(result).any(axis=1)]
        known *= 2
    return out


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
