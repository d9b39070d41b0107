"""Jensen-Shannon divergence from samples: what the labels of the neighbours in both samples together tell."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _validation
from .._formula import Formula
from .._scalar import digamma
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN
from ..neighbors import Reference, in_safe_range
from ..neighbors.neighborhood import Search
from ..neighbors.reductions import TIE_TOLERANCE
from ..preprocessing import SCALES, drop_constant_columns, fit_scaling, tell_lost_digits
from .call import Call, Terms
from .problem import Result

_SMALLEST_TERM = 1e-17


@Formula
def _minus_log(n_hits: float, n_neighbors: float, beta: float) -> float:
    """sum_v beta^v / v C(hits, v) / C(neighbours, v), of which -log(1 - beta P(hit)) is nearly the mean.

    Each ratio of binomial coefficients is an unbiased estimate of P(hit)^v (Zhang 2012, for beta = 1); the
    powers beyond the number of neighbours are what is missing.
    """
    if beta == 1.0:
        return digamma(n_neighbors + 1.0) - digamma(n_neighbors - n_hits + 1.0)
    total = 0.0
    power = 1.0
    v = 0.0
    while v < n_hits and power > _SMALLEST_TERM:
        power *= beta * (n_hits - v) / (n_neighbors - v)
        v += 1.0
        total += power / v
    return total


def estimate_jensen_shannon(
    X: Any,
    Y: Any,
    *,
    weights: Sequence[float] = (0.5, 0.5),
    n_neighbors: Any = None,
    scale: str = "whiten",
    unit: str = "nats",
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    memory_limit: int | None = None,
) -> DivergenceEstimate:
    r"""Estimate the Jensen-Shannon divergence in nats from samples X of P and Y of Q.

    .. math:: \mathrm{JS} = w_1 \mathrm{KL}(P \,\|\, M) + w_2 \mathrm{KL}(Q \,\|\, M), \quad M = w_1 P + w_2 Q

    Around each row, its k nearest neighbours in both samples together show by their labels X and Y how p and
    q compare there: with the share :math:`\eta` of its own label,
    :math:`\log(p / m) = \log \eta - \log(\omega_x \eta_x + \omega_y \eta_y) - \log(n / (n + m))` for a row
    of X, where :math:`\omega_x = w_1 (n + m) / n`, and likewise for Y. The logarithms are estimated by the
    series of Zhang, whose bias falls exponentially in k, and not by those of observed shares, which would be
    too high by 1 / (2 k). Values for several k are averaged. What remains is that k neighbours lie within a
    distance over which p / q may change.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,)
        Rows drawn from Q.
    weights : pair of float
        Weights of P and Q in M, > 0 and with the sum 1; n and m may differ from them.
    n_neighbors : int or sequence of int, optional
        Neighbours in both samples together. By default 5, 10 and 20, each cut to n + m - 1.
    scale : {"whiten", "std", "none"}
        How features are made comparable, learnt from both samples together.
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error; the value itself has no randomness.
    memory_limit : int, optional
        Bytes of workspace beside some copies of the data, at least 1 MiB; by default 256 MiB.

    Returns
    -------
    DivergenceEstimate
        Never more than the entropy of the weights, log 2 for equal ones, which is the value of samples that
        do not mix; negative at times where P and Q agree. Nothing is clipped.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be estimated; the message names the argument.

    Warns
    -----
    TiesWarning, SmallSampleWarning, UnreliableEstimateWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    Z. Zhang (2012), Entropy estimation in Turing's perspective, eq. 4, for the entropy of the labels.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, 2000), rng.normal(1, 1, 2000)
    >>> round(kl.estimate_jensen_shannon(X, Y).value, 2)  # the truth is 0.11
    0.12
    """
    call = Call.checked(n_neighbors, unit, nan_policy, n_jobs, random_state, memory_limit)
    _validation.choice(scale, "scale", SCALES)
    of_both = _validation.weights(weights)
    rows, reference, n_dropped = _validation.sample_pair(X, Y, nan_policy, tell=call.notes.add)
    return call.report(
        _jensen_shannon(rows, reference, of_both, scale, call),
        quantity="Jensen-Shannon",
        direction="P, Q",
        method="knn",
        n_p=len(rows),
        n_q=len(reference),
        d=rows.shape[1],
        n_dropped=n_dropped,
    )


def _jensen_shannon(X: np.ndarray, Y: np.ndarray, weights: tuple[float, float], scale: str, call: Call) -> Result:
    asked = _validation.neighbors(call.n_neighbors)
    if asked is not None:
        needed = asked[-1] + 1
        _validation.check_enough_rows(len(X) + len(Y), "X and Y together", needed, f"n_neighbors={asked[-1]}")
    search = call.search(len(X) + len(Y), None)
    tell_lost_digits((X, Y), call.notes)
    told = len(call.notes.items)
    kept_x, kept_y, kl = drop_constant_columns(X, Y, call.notes)
    if kl == 0.0:
        return Result(0.0, lambda: UNKNOWN)
    if kl is None:
        assert kept_y is not None
        X, Y = kept_x, kept_y
    else:  # KL is inf: this divergence is not
        del call.notes.items[told:]
    together = np.concatenate([X, Y])
    scaling = fit_scaling(together, scale)
    (together,), _ = in_safe_range(scaling.apply(together, call.n_jobs))
    samples = together[: len(X)], together[len(X) :]

    def terms(X: np.ndarray, Y: np.ndarray) -> Terms:
        return _label_terms(X, Y, weights, search)

    half = (search.ks[-1] + 2) // 2
    tied = "all rows at that distance are counted as neighbours"
    return call.solve(terms, samples, search.ks, needed=(half, half), d=X.shape[1], tied=tied, scale=scaling.kind)


def _label_terms(X: np.ndarray, Y: np.ndarray, weights: tuple[float, float], search: Search) -> Terms:
    n, m = len(X), len(Y)
    together, own = search.reference(np.concatenate([X, Y])), search.reference(X)
    near = search.among(together)
    is_x = together.order < n
    place = np.full(n + m, -1)
    place[own.order] = np.arange(n)
    itself = place[together.order]
    excess = weights[0] * (n + m) / n, weights[1] * (n + m) / m  # of the weights over the shares of rows
    constants = [math.log((n + m) / rows) - math.log(max(excess)) for rows in (n, m)]
    beta = 1.0 - min(excess) / max(excess)
    values = []
    for k, distance, tied in zip(search.ks, near.distances, near.tied, strict=True):
        radius = distance * (1.0 + TIE_TOLERANCE)
        n_x = own.count_within(together.points, radius, itself)
        n_all = _counts(together, radius, k, tied)
        n_others = np.where(is_x, n_all - n_x, n_x)
        n_rarer = n_x if excess[0] < excess[1] else n_all - n_x
        log_ratio = _minus_log(n_rarer, n_all, beta) - _minus_log(n_others, n_all, 1.0)
        means = [float(log_ratio[rows].mean()) for rows in (is_x, ~is_x)]
        values.append(sum(w * (mean + c) for w, mean, c in zip(weights, means, constants, strict=True)))
    return Terms.mean(values, int(near.tied.any(axis=0).sum()))


def _counts(reference: Reference, radius: np.ndarray, k: int, tied: np.ndarray) -> np.ndarray:
    """Neighbours of each point within its radius: k, and more where distances tie."""
    counts = np.full(len(radius), k)
    rows = np.flatnonzero(tied)
    if len(rows):
        counts[rows] = reference.count_within(reference.points[rows], radius[rows], rows)
    return counts
