"""Compile ahead of time what searches and estimates will need."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from . import _validation
from .estimators import METHODS, estimate_kl
from .neighbors import ALWAYS_TREE, FEWEST_ROWS_TO_PROBE, NEVER_TREE, kth_neighbor_distances

_ROWS = 300  # more than any structure takes in one piece
_FEATURES = (1, 2, 3, 20)


def warmup(d: int | Iterable[int] | None = None, k: int | Iterable[int] | None = None) -> None:
    """Compile the kernels of nearest-neighbour searches and estimates, and keep them on disk.

    A kernel is compiled when it is first called, in a second or two, and read from disk by later
    processes. Who would rather wait at a chosen moment (in an image, before a fork, at the start of a
    service) calls this.

    Parameters
    ----------
    d : int or iterable of int, optional
        Numbers of features. By default 1, 2, 3, and many.
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
    ks = _positive(k, "k", (5,))
    rng = np.random.default_rng(0)
    for features in _positive(d, "d", _FEATURES):
        n = max(_ROWS, *(neighbors + 2 for neighbors in ks))
        X, Y = rng.standard_normal((2, n, features))
        for neighbors in ks:
            kth_neighbor_distances(X, k=neighbors)
            kth_neighbor_distances(X, Y, k=neighbors)
            if ALWAYS_TREE < features < NEVER_TREE:
                kth_neighbor_distances(X, rng.standard_normal((FEWEST_ROWS_TO_PROBE, features)), k=neighbors)
        for method in METHODS:
            _quiet_estimate(X, Y, method)
        _quiet_estimate(X.round(1), Y.round(1), "knn")  # ties are counted


def _positive(value: Any, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    if value is None:
        return default
    values = value if isinstance(value, Iterable) else [value]
    return tuple(_validation.integer(x, name, minimum=1) for x in values)


def _quiet_estimate(X: np.ndarray, Y: np.ndarray, method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _ = estimate_kl(X, Y, method=method, random_state=0).standard_error
