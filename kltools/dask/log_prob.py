"""KL from log-densities in Dask arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _log_prob_validation, _validation
from .._blocks import pieces_between
from ..errors import NotEnoughSamplesError, ShapeMismatchError
from ..estimate import DivergenceEstimate
from ..estimators.log_prob import concluded
from ..estimators.terms import ESTIMATORS, Tally, chunk_size
from ..preprocessing import Notes
from .tasks import Tasks, as_array, later, pieces_of

if TYPE_CHECKING:
    from dask.delayed import Delayed

_VECTOR_ROWS = 2**20


def estimate_kl_from_log_prob(
    log_p: Any, log_q: Any, *, estimator: str = "k1", unit: str = "nats", compute: bool = True
) -> DivergenceEstimate | Delayed:
    r"""Estimate KL(p || q) from Dask arrays of the log-densities of both at draws x ~ p.

    .. math:: \mathrm{KL}(p \,\|\, q) = \mathbb{E}_{x \sim p}[k(x)]

    with the terms of `kltools.estimate_kl_from_log_prob`, whose moments are computed chunk by chunk and added.

    Parameters
    ----------
    log_p, log_q : dask.array.Array of shape (n,)
        Logarithms of normalised densities, in nats, in chunks of any length; those of the two need not be the same.
    estimator : {"k1", "k2", "k3", "cv"}
        As there.
    unit : {"nats", "bits"}
    compute : bool
        False gives a `dask.delayed.Delayed` of the estimate.

    Returns
    -------
    DivergenceEstimate

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        As there.
    MissingDependencyError
        Without Dask.

    Warns
    -----
    InfiniteDivergenceWarning, UnreliableEstimateWarning, KLToolsWarning, SmallSampleWarning
        As there.

    References
    ----------
    J. Schulman (2020), Approximating KL divergence (k1, k2, k3).

    Examples
    --------
    >>> import dask.array as da, kltools.dask
    >>> x = da.random.default_rng(0).normal(size=100_000, chunks=30_000)
    >>> estimate = kltools.dask.estimate_kl_from_log_prob(-(x**2) / 2, -((x - 1) ** 2) / 2)
    >>> round(estimate.value, 2)  # the truth is 0.5
    0.5
    """
    _validation.choice(estimator, "estimator", ESTIMATORS)
    _validation.unit_factor(unit)
    if not compute:
        return later(estimate_kl_from_log_prob, log_p, log_q, estimator=estimator, unit=unit)
    runner, notes = Tasks(), Notes()
    pieces = [pieces_of(_vector(x, name)) for x, name in ((log_p, "log_p"), (log_q, "log_q"))]
    sizes = [runner.get([runner.call(len, piece) for piece in side]) for side in pieces]
    n, n_q = map(sum, sizes)
    if n != n_q:
        raise ShapeMismatchError(f"log_q has shape ({n_q},), ({n},) is needed: one number for each draw.")
    if n == 0:
        raise NotEnoughSamplesError("log_p is empty (shape (0,)): at least 1 draw is needed.")
    bounds = [np.concatenate([[0], np.cumsum(side)]) for side in sizes]
    handles = []
    for first in range(0, n, _VECTOR_ROWS):
        last = min(first + _VECTOR_ROWS, n)
        both = [
            runner.call(_cut, *pieces_between(side, bound, first, last))
            for side, bound in zip(pieces, bounds, strict=True)
        ]
        handles.append(runner.call(_counted, *both, estimator, n, first))
    tally, n_outside = Tally(estimator, n), 0
    for part, outside, warnings in runner.get(handles):
        tally.append(part)
        n_outside += outside
        notes.items += [told for told in warnings if told not in notes.items]
    return concluded(tally, unit, n, n, n_outside, {"n_masked": 0}, notes, stacklevel=2)


def _vector(x: Any, name: str) -> Any:
    x = as_array(x, name)
    if x.ndim != 1:
        raise ShapeMismatchError(
            f"{name} has {x.ndim} axes, 1 is needed; sums over tokens have one, and kltools.estimate_kl_from_log_prob "
            "takes sequences and tokens in memory."
        )
    return x


def _cut(pieces: list[Any], ranges: list[tuple[int, int]]) -> np.ndarray:
    return np.concatenate([piece[first:last] for piece, (first, last) in zip(pieces, ranges, strict=True)])


def _counted(log_p: Any, log_q: Any, estimator: str, n: int, first: int) -> tuple[Tally, int, list[Any]]:
    """The moments of some of n draws, how many of them are where q has no mass, and what was told."""
    told: list[Any] = []
    p = _log_prob_validation.log_densities(log_p, "log_p", tell=lambda *items: told.append(items))
    q = _log_prob_validation.log_densities(log_q, "log_q", p.shape, tell=lambda *items: told.append(items))
    for array, name in ((p, "log_p"), (q, "log_q")):
        _log_prob_validation.check_log_densities(array, name, first=first)
    _log_prob_validation.check_within_support(p, first=first)
    tally, n_outside = Tally(estimator, n), int(np.isneginf(q).sum())
    if not n_outside:
        tally.add(p, q, size=chunk_size(n))
    return tally, n_outside, told
