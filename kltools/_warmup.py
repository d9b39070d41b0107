"""Compile ahead of time what searches and estimates will need."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from . import _validation
from .comparison import two_sample_test
from .estimators import METHODS, estimate_kl
from .estimators.log_prob import estimate_kl_from_log_prob
from .neighbors import FEWEST_ROWS_TO_PROBE, NEVER_TREE, kth_neighbor_distances

_ROWS, _ROWS_PER_FEATURE = 300, 40  # more than any structure takes in one piece, and enough for a mixture
_MANY_NEIGHBORS = 65  # more are all the same
_FEATURES = (1, 2, 3, NEVER_TREE)


def warmup(d: int | Iterable[int] | None = None, k: int | Iterable[int] | None = None) -> None:
    """Compile the kernels of nearest-neighbour searches and estimates, and keep them on disk.

    A kernel is compiled when it is first called, in a second or two, and read from disk by later
    processes. Call this to wait at a moment of your choice instead: when an image is built, before a fork, at the
    start of a service.

    Parameters
    ----------
    d : int or iterable of int, optional
        Numbers of features. By default 1, 2, 3, and many; all from 16 on are the same.
    k : int or iterable of int, optional
        Numbers of neighbours. They do not change what is compiled, except beyond 64.

    Raises
    ------
    InvalidTypeError, InvalidParameterError
        For what is no positive integer.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.warmup(d=2)
    """
    # an estimate looks at the next neighbour, too, to see ties
    ks = {min(asked, _MANY_NEIGHBORS) for neighbors in _positive(k, "k", (5,)) for asked in (neighbors, neighbors + 1)}
    rng = np.random.default_rng(0)
    for features in sorted({min(features, NEVER_TREE) for features in _positive(d, "d", _FEATURES)}):
        X, Y = rng.standard_normal((2, max(_ROWS, _ROWS_PER_FEATURE * features), features))
        many = rng.standard_normal((FEWEST_ROWS_TO_PROBE, features))
        clumps = np.repeat(1e6 * X[:20], 110, axis=0) + rng.standard_normal((2200, features))
        for neighbors in ks:
            kth_neighbor_distances(X, k=neighbors)
            kth_neighbor_distances(X, many, k=neighbors)
            kth_neighbor_distances(clumps, k=neighbors)  # for all pairs, a filter in float64
        for method in METHODS:
            _quiet_estimate(X, Y, method)
        _quiet_estimate(np.repeat(X[:30], 10, axis=0), Y, "knn")  # ties are counted
        two_sample_test(X[:50], Y[:50], n_permutations=19, random_state=0)
    estimate_kl_from_log_prob(rng.standard_normal(50), rng.standard_normal(50))


def _positive(value: Any, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    if value is None:
        return default
    values = value if isinstance(value, Iterable) and not (hasattr(value, "ndim") and value.ndim == 0) else [value]
    return tuple(_validation.integer(x, name, minimum=1) for x in values)


def _quiet_estimate(X: np.ndarray, Y: np.ndarray, method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _ = estimate_kl(X, Y, method=method, random_state=0).standard_error
