"""Entropy and cross-entropy from counts of categories."""

import math
from typing import Any

import numpy as np

from .. import _count_validation
from .._formula import Formula, digamma
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN
from .cell_errors import cross_entropy_uncertainty, entropy_uncertainty
from .cells import (
    AUGMENTED,
    CORRECTED,
    METHODS,
    MILLER_MADOW,
    Call,
    Pair,
    check_zero,
    is_partial,
    shares,
    tell_unseen,
)


def estimate_entropy_from_counts(
    counts: Any,
    *,
    method: str = CORRECTED,
    concentration: float | None = None,
    unit: str = "nats",
) -> DivergenceEstimate:
    r"""Estimate the Shannon entropy of P in nats from counts of categories.

    .. math:: \sum_k \frac{x_k}{n} \bigl[\psi(n) - \psi(x_k)\bigr], \qquad n = \sum_k x_k

    over categories with :math:`x_k > 0`: the series of Zhang, whose bias decays exponentially in n, in its
    closed form.

    Parameters
    ----------
    counts : array-like of shape (K,)
        Observations in each category: whole numbers, not all 0. Only "jeffreys", "laplace" and "dirichlet" heed
        categories without any.
    method : {"zhang-grabchak", "plug-in", "miller-madow", "jeffreys", "laplace", "dirichlet"}
        "plug-in" is the entropy of the relative frequencies, "miller-madow" that plus (K - 1) / 2n with the
        number K of categories that were seen. The others add 1/2, 1 or the ``concentration`` to all counts first.
    concentration : float, optional
        For "dirichlet" alone: what is added to each count.
    unit : {"nats", "bits"}

    Returns
    -------
    DivergenceEstimate
        ``diagnostics``: ``n_categories`` with observations, and the ``share_of_singles``, of observations that
        are alone in their category. That is about how much of P lies in categories that nobody saw (Good and
        Turing); ``reliable`` is False where it is more than half a standard error, where a method is
        more than two of these away from the default one, and where one category has all observations. The
        interval is one for the entropy over the categories that were seen: it takes the divergence from
        their uniform distribution for a multiple of a noncentral chi-squared number, so that it holds its level
        there, near, and far.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For counts that are none, or all 0.

    Warns
    -----
    SmallSampleWarning, UnreliableEstimateWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    Z. Zhang (2012), Entropy estimation in Turing's perspective, eq. 4.
    G. A. Miller (1955), Note on the bias of information estimates, for "miller-madow".

    Examples
    --------
    >>> import kltools as kl
    >>> estimate = kl.estimate_entropy_from_counts([50, 25, 15, 10], unit="bits")
    >>> round(estimate.value, 3), round(estimate.standard_error, 3)
    (1.765, 0.083)
    """
    call = Call.checked(method, METHODS, concentration, unit)
    x = _count_validation.counts(counts, "counts", tell=call.notes.add)
    seen, n = x[x > 0.0], float(x.sum())
    best = float((seen / n * (digamma(n) - digamma(seen))).sum())
    value = best if call.method == CORRECTED else _entropy(x, call)
    singles = float((seen == 1.0).sum()) / n
    uncertainty = entropy_uncertainty(seen, best)
    call.tell_few(n, len(seen), "P")
    call.tell_missing(singles, uncertainty.standard_error, "P")
    diagnostics = {"n_categories": len(seen), "share_of_singles": singles}
    fields: dict[str, Any] = {"quantity": "entropy", "direction": "P", "n_p": int(n), "n_q": None}
    return call.report(value, best, uncertainty, diagnostics, **fields)


def estimate_cross_entropy_from_counts(
    counts_p: Any,
    counts_q: Any,
    *,
    method: str = CORRECTED,
    zero: str = "estimate",
    concentration: float | None = None,
    unit: str = "nats",
) -> DivergenceEstimate:
    r"""Estimate the cross-entropy of Q under P in nats from counts of categories.

    .. math:: \sum_k \frac{x_k}{n} \bigl[\psi(m + 1) - \psi(y_k + 1)\bigr]
        \approx -\sum_k p_k \log q_k, \qquad n = \sum_k x_k, \quad m = \sum_k y_k

    It is the part of `estimate_kl_from_counts` that knows Q.

    Parameters
    ----------
    counts_p : array-like of shape (K,), or dict
        Observations of P in each category: whole numbers, not all 0.
    counts_q : array-like of shape (K,), or dict
        Observations of Q in the same categories, in the same order.
    method : {"zhang-grabchak", "plug-in", "miller-madow", "jeffreys", "laplace", "dirichlet", "augmented"}
        As in `estimate_kl_from_counts`.
    zero : {"estimate", "inf", "drop", "raise"}
        What to do where Q never saw a category of P, as there.
    concentration : float, optional
        For "dirichlet" alone: what is added to each count.
    unit : {"nats", "bits"}

    Returns
    -------
    DivergenceEstimate
        With the ``diagnostics`` of `estimate_kl_from_counts`. The interval adds two errors in quadrature: that of
        P is normal, that of Q like that of a divergence. Where P and Q are near to each other and to the uniform
        distribution it holds more than its level.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For counts that are none, that are all 0, or of different lengths; the message names the argument.

    Warns
    -----
    InfiniteDivergenceWarning, PoorOverlapWarning, SmallSampleWarning, UnreliableEstimateWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    Z. Zhang and M. Grabchak (2014), Nonparametric estimation of Kullback-Leibler divergence, Neural Computation 26.

    Examples
    --------
    >>> import kltools as kl
    >>> estimate = kl.estimate_cross_entropy_from_counts([60, 30, 10], [90, 80, 30])
    >>> round(estimate.value, 3), round(estimate.standard_error, 3)
    (0.939, 0.037)
    """
    call = Call.checked(method, (*METHODS, AUGMENTED), concentration, unit)
    pair = Pair(*_count_validation.count_pair(counts_p, counts_q, tell=call.notes.add))
    check_zero(zero, pair, "counts_q")
    value, best = _cross_entropy(pair, zero, call), float(_corrected_terms(pair).sum())
    seen = pair.seen()
    uncertainty = UNKNOWN if is_partial(zero, pair) else cross_entropy_uncertainty(seen, best)
    call.tell_few(seen.m, len(seen.x), "Q")
    tell_unseen(pair, value, uncertainty, zero, call)
    fields: dict[str, Any] = {"quantity": "cross-entropy", "n_p": int(pair.n), "n_q": int(pair.m)}
    return call.report(value, best, uncertainty, pair.diagnostics(), **fields)


@Formula
def _surprise(p, q):
    """-p log q, 0 where p is."""
    if p == 0.0:
        return 0.0
    return -p * math.log(q) if q > 0.0 else math.inf


def _entropy(x: np.ndarray, call: Call) -> float:
    P = shares(x, call.pseudo_count)
    value = float(_surprise(P, P).sum())
    correction = ((x > 0.0).sum() - 1) / (2.0 * x.sum())
    return value + float(correction) if call.method == MILLER_MADOW else value


def _cross_entropy(pair: Pair, zero: str, call: Call) -> float:
    unseen = pair.unseen()
    if zero == "inf" and unseen.any():
        return math.inf
    kept = pair.kept(zero)
    if call.method == CORRECTED:
        return float(_corrected_terms(pair)[kept].sum())
    value = float(_surprise(*call.frequencies(pair))[kept].sum())
    if call.method == MILLER_MADOW:
        value -= pair.seen().cross_entropy_bias(zero)
    return value


def _corrected_terms(pair: Pair) -> np.ndarray:
    return pair.x / pair.n * (digamma(pair.m + 1.0) - digamma(pair.y + 1.0))
