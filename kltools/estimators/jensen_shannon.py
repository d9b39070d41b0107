"""Jensen-Shannon divergence from samples: what the labels of neighbours tell."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _validation
from .._arrays import frozen
from .._formula import Formula
from .._once import once
from .._scalar import digamma
from ..errors import PoorOverlapWarning
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN
from ..neighbors import Reference, in_safe_range
from ..neighbors.neighborhood import Neighborhood, Search
from ..neighbors.reductions import TIE_TOLERANCE
from ..preprocessing import drop_constant_columns, tell_lost_digits
from ..repeats import tell_shared_rows
from ..scaling import SCALES, fit_scaling
from .call import Call, Terms
from .problem import Result

_SMALLEST_TERM = 1e-17
_MOST_ROWS = 10  # of the larger sample, for each of the smaller one: more tell hardly more
AT_BOUND = 0.95


@Formula
def _minus_log(n_hits: float, n_trials: float, beta: float, share: float) -> float:
    """sum_v beta^v / v C(hits, v) / C(trials, v), of which -log(1 - beta P(hit)) is the mean.

    Each ratio of binomial coefficients is an unbiased estimate of P(hit)^v (Zhang 2012), also where trials go
    on until there are so many misses; for hits = trials that are not, powers beyond are estimated by `share`.
    """
    if beta == 1.0:
        return digamma(n_trials + 1.0) - digamma(n_trials - n_hits + 1.0)
    total = 0.0
    power = 1.0
    v = 0.0
    while power > _SMALLEST_TERM:
        power *= beta * ((n_hits - v) / (n_trials - v) if v < n_hits else share)
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

    Up to the k-th neighbour of a row in its own sample, the rows of both samples show by their labels how p
    and q compare there: with :math:`\eta` the share of the row's own label,
    :math:`\log(p / m) = \log \eta - \log(\omega_x \eta_x + \omega_y \eta_y) - \log(n / (n + m))` for a row
    of X, where :math:`\omega_x = w_1 (n + m) / n`, and likewise for Y. With l rows until then, :math:`\log \eta`
    is estimated by :math:`\psi(k) - \psi(l)` and the other logarithm by a series. Where p / q is constant
    neither has a bias, but for powers beyond k where a sample is larger than its weight; hence in the larger
    sample k grows in proportion to its rows. (Logarithms of observed shares would make the divergence too high
    by about 1 / (2 k).) Values for several k are averaged. Of a sample with more than ten times the rows of the
    other, ten times as many are drawn.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,)
        Rows drawn from Q.
    weights : pair of float
        Weights of P and Q in M, > 0 and with the sum 1; n and m may differ from them.
    n_neighbors : int or sequence of int, optional
        Neighbours in the own sample, if it is the smaller one. By default 5, 10 and 20, each cut to
        min(n, m) - 1.
    scale : {"whiten", "std", "none"}
        How features are made comparable, learnt from both samples together.
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error, and for the rows drawn from a sample with more than ten
        times the rows of the other; no other value has any randomness.
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
    TiesWarning, SmallSampleWarning, PoorOverlapWarning, UnreliableEstimateWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    Z. Zhang (2012), Entropy estimation in Turing's perspective, eq. 4, for the series; the radius is that of
    Q. Wang, S. R. Kulkarni, S. Verdu (2009), Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances, section V.

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


def _jensen_shannon(X: np.ndarray, Y: np.ndarray, weights: tuple[float, ...], scale: str, call: Call) -> Result:
    _validation.check_enough_rows(len(X), "X", 2, "an estimate")
    _validation.check_enough_rows(len(Y), "Y", 2, "an estimate")
    asked = _validation.neighbors(call.n_neighbors)
    if asked is not None:
        _validation.check_enough_rows(len(Y), "Y", asked[-1] + 1, f"n_neighbors={asked[-1]}")
    search = call.search(len(X), len(Y) - 1)
    tell_lost_digits((X, Y), call.notes)
    tell_shared_rows(X, Y, call.notes)
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
    rng = np.random.default_rng([call.seed, 1])
    samples = drawn(together[: len(X)], len(Y), rng), drawn(together[len(X) :], len(X), rng)

    def terms(X: np.ndarray, Y: np.ndarray) -> Terms:
        own, other = (Side(reference, search) for reference in search.references(X, Y))
        return label_terms(own, other, weights, search.ks)

    needed = (search.ks[-1] + 1, search.ks[-1] + 1)
    tied = "all rows at that distance are counted as neighbours"
    result = call.solve(terms, samples, search.ks, needed=needed, d=X.shape[1], tied=tied, scale=scaling.kind)
    bound = -math.fsum(w * math.log(w) for w in weights)
    if result.value > AT_BOUND * bound:
        call.notes.add(
            PoorOverlapWarning,
            f"the estimate is near {bound:.3g} nats, the most that this divergence can be: the samples hardly overlap, "
            "and it does not tell how far apart they are.",
        )
    return result


def drawn(sample: np.ndarray, other_rows: int, rng: np.random.Generator) -> np.ndarray:
    """The sample, or rows drawn from it where it has far more than the other."""
    most = _MOST_ROWS * other_rows
    if len(sample) <= most:
        return sample
    return frozen(sample[np.sort(rng.choice(len(sample), most, replace=False))])


class Side:
    """A sample prepared for searches, whose own neighbourhoods are found once."""

    def __init__(self, reference: Reference, search: Search):
        self.reference = reference
        self.n_rows = reference.shape[0]
        self._search = search

    @once
    def _own(self) -> Neighborhood:
        return self._search.among(self.reference)

    def own(self, ks: tuple[int, ...]) -> Neighborhood:
        """Neighbours of each row among the others."""
        return self._own if ks == self._search.ks else dataclasses.replace(self._search, ks=ks).among(self.reference)


def label_terms(X: Side, Y: Side, weights: tuple[float, ...], of_smaller: tuple[int, ...]) -> Terms:
    """The estimate with these numbers of neighbours in the smaller sample."""
    sides = X, Y
    rows, fewest = X.n_rows + Y.n_rows, min(X.n_rows, Y.n_rows)
    values, n_ties = np.zeros(len(of_smaller)), 0
    excess = [w * rows / sample.n_rows for w, sample in zip(weights, sides, strict=True)]
    for side, own in enumerate(sides):
        ks = tuple(round(k * own.n_rows / fewest) for k in of_smaller)
        near = own.own(ks)
        n_ties += int(near.tied.any(axis=0).sum())
        constant = math.log(rows / own.n_rows) - math.log(max(excess))
        for i, k in enumerate(ks):
            n_own, n_other = _counts(own.reference, sides[1 - side].reference, near.distances[i], near.tied[i], k)
            log_ratio = _log_ratios(n_own, n_other, excess[side] / excess[1 - side])
            values[i] += weights[side] * (float(log_ratio.mean()) + constant)
    return Terms.mean(values.tolist(), n_ties)


def _counts(
    own: Reference, other: Reference, distance: np.ndarray, tied: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the own sample, each with itself, and of the other one, up to the k-th own neighbour of each.

    That neighbour ends the search and does not count, but where distances tie, which has no end.
    """
    radius = distance * (1.0 + TIE_TOLERANCE)
    n_own, rows = np.full(len(distance), k), np.flatnonzero(tied)
    if len(rows):
        n_own[rows] = own.count_within(own.points[rows], radius[rows], rows) + 1
    return n_own, other.count_within(own.points, radius)


def _log_ratios(n_own: np.ndarray, n_other: np.ndarray, preference: float) -> np.ndarray:
    """log(share of the own label / weighted share of both), where the larger weight is 1.

    Of the smaller weight 1 - beta it is -log(1 - beta share), and the row itself is no trial.
    """
    trials = n_own + n_other - 1
    log_share = -_minus_log(n_other, trials, 1.0, 0.0)
    if preference >= 1.0:
        return log_share + _minus_log(n_other, trials, 1.0 - 1.0 / preference, 0.0)
    return log_share + _minus_log(n_own - 1, trials, 1.0 - preference, n_own / (trials + 1))
