"""Jensen-Shannon divergence and mutual information from counts of categories."""

from typing import Any

import numpy as np

from .. import _count_validation, _validation
from .._formula import digamma
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN, Uncertainty
from .cell_errors import information_uncertainty
from .cells import (
    CORRECTED,
    METHODS,
    MILLER_MADOW,
    Call,
    Pair,
    deviance,
    divergence_uncertainty,
    g_test,
    shares,
)

_SECOND_ORDER = tuple(method for method in METHODS if method != CORRECTED)


def estimate_jensen_shannon_from_counts(
    counts_p: Any,
    counts_q: Any,
    *,
    weights: Any = None,
    method: str = MILLER_MADOW,
    concentration: float | None = None,
    unit: str = "nats",
) -> DivergenceEstimate:
    r"""Estimate the Jensen-Shannon divergence of P and Q in nats from counts of categories.

    .. math:: \mathrm{JS} = w \, \mathrm{KL}(P \,\|\, M) + v \, \mathrm{KL}(Q \,\|\, M) - \tfrac12 \sum_k \Bigl[
        \frac{w (1 - p_k)}{n} \Bigl(1 - \frac{w p_k}{m_k}\Bigr)
        + \frac{v (1 - q_k)}{m} \Bigl(1 - \frac{v q_k}{m_k}\Bigr)\Bigr]

    with M = w P + v Q: the divergence of the relative frequencies, less its second-order bias. (The series of
    Zhang and Grabchak has no counterpart here: M was not sampled.)

    Parameters
    ----------
    counts_p : array-like of shape (K,), or dict
        Observations of P in each category: whole numbers, not all 0.
    counts_q : array-like of shape (K,), or dict
        Observations of Q in the same categories, in the same order.
    weights : array-like of shape (2,), optional
        Weights w of P and v of Q in the mixture, equal ones by default.
    method : {"miller-madow", "plug-in", "jeffreys", "laplace", "dirichlet"}
        "plug-in" is the divergence of the relative frequencies, without correction; "jeffreys", "laplace" and
        "dirichlet" add 1/2, 1 or the ``concentration`` to all counts first.
    concentration : float, optional
        For "dirichlet" alone: what is added to each count.
    unit : {"nats", "bits"}

    Returns
    -------
    DivergenceEstimate
        The divergence, not its root. ``diagnostics`` and interval as by `estimate_kl_from_counts`; ``reliable``
        is False where observations that are alone in their category weigh more than half a standard error.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For counts that are none, that are all 0, or of different lengths; the message names the argument.

    Warns
    -----
    SmallSampleWarning, UnreliableEstimateWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    J. Lin (1991), Divergence measures based on the Shannon entropy, eq. 4.1; the bias is that of G. A. Miller
    (1955), Note on the bias of information estimates, for a mixture.

    Examples
    --------
    >>> import kltools as kl
    >>> estimate = kl.estimate_jensen_shannon_from_counts([60, 30, 10], [30, 40, 30])
    >>> round(estimate.value, 3), round(estimate.standard_error, 3)
    (0.05, 0.022)
    """
    call = Call.checked(method, _SECOND_ORDER, concentration, unit)
    w, v = _validation.weights(weights)
    pair = Pair(*_count_validation.count_pair(counts_p, counts_q, tell=call.notes.add))
    seen = pair.seen()
    bias = _jensen_shannon_bias(seen, w, v)
    best = value = corrected_jensen_shannon(pair, w, v)
    if call.method != MILLER_MADOW:
        value = _jensen_shannon(*pair.frequencies(call.pseudo_count), w, v)
    uncertainty = _jensen_shannon_uncertainty(seen, w, v, best, bias)
    singles = float(w * (pair.x == 1.0).sum() / pair.n + v * (pair.y == 1.0).sum() / pair.m)
    call.tell_few(seen.n, len(seen.x), "P")
    call.tell_few(seen.m, len(seen.x), "Q")
    call.tell_missing(singles, uncertainty.standard_error, "P and Q")
    diagnostics = {**pair.diagnostics(), "share_of_singles": singles}
    fields: dict[str, Any] = {"quantity": "Jensen-Shannon divergence", "direction": "P, Q"}
    return call.report(value, best, uncertainty, diagnostics, n_p=int(pair.n), n_q=int(pair.m), **fields)


def estimate_mutual_information_from_counts(
    counts: Any,
    *,
    method: str = CORRECTED,
    concentration: float | None = None,
    unit: str = "nats",
) -> DivergenceEstimate:
    r"""Estimate the mutual information of two discrete variables in nats from a table of counts.

    .. math:: \sum_{ij} \frac{c_{ij}}{n} \bigl[\psi(c_{ij}) - \psi(c_{i \cdot}) - \psi(c_{\cdot j}) + \psi(n)\bigr]

    over cells with :math:`c_{ij} > 0`: the entropies of both variables less that of the pair, each by the series
    of Zhang in its closed form.

    Parameters
    ----------
    counts : array-like of shape (a, b)
        Rows observed with the i-th value of one variable and the j-th of the other: whole numbers, not all 0.
    method : {"zhang-grabchak", "plug-in", "miller-madow", "jeffreys", "laplace", "dirichlet"}
        "plug-in" is the mutual information of the relative frequencies, "miller-madow" that less
        (K - A - B + 1) / 2n, with the numbers of cells, rows and columns that were seen. The others add 1/2, 1 or
        the ``concentration`` to all counts first.
    concentration : float, optional
        For "dirichlet" alone: what is added to each count.
    unit : {"nats", "bits"}

    Returns
    -------
    DivergenceEstimate
        ``diagnostics``: ``n_cells`` that were seen, ``share_of_singles``, and the G test of independence
        (``g_statistic``, ``degrees_of_freedom`` and ``p_value``). The interval is as by `estimate_kl_from_counts`
        and holds its level at independence, for any dependence, and where one variable determines the other;
        where cells are empty its lower end allows for their being rare, not impossible. ``reliable`` is False
        where observations that are alone in their cell weigh more than half a standard error, and where one
        variable had one value.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what is no table of counts, and for one of zeros.

    Warns
    -----
    SmallSampleWarning, UnreliableEstimateWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    Z. Zhang (2012), Entropy estimation in Turing's perspective, eq. 4.

    Examples
    --------
    >>> import kltools as kl
    >>> estimate = kl.estimate_mutual_information_from_counts([[30, 10], [15, 45]])
    >>> round(estimate.value, 3), round(estimate.standard_error, 3)
    (0.121, 0.048)
    """
    call = Call.checked(method, METHODS, concentration, unit)
    table = _count_validation.counts(counts, "counts", n_axes=2, tell=call.notes.add)
    seen = table[np.ix_(table.any(axis=1), table.any(axis=0))]
    n = float(seen.sum())
    best, plug_in = _corrected_information(seen, n), _information(shares(seen, 0.0))
    value = best if call.method == CORRECTED else _information(shares(table, call.pseudo_count))
    if call.method == MILLER_MADOW:
        value -= ((seen > 0.0).sum() - sum(seen.shape) + 1) / (2.0 * n)
    degrees = (seen.shape[0] - 1) * (seen.shape[1] - 1)
    uncertainty, error = information_uncertainty(seen, best)
    singles = float((seen == 1.0).sum()) / n
    call.tell_few(n, seen.size if degrees else 1, "the pair")
    call.tell_missing(singles, error, "the pair")
    diagnostics = {
        "n_cells": int((seen > 0.0).sum()),
        "share_of_singles": singles,
        **g_test(2.0 * n * plug_in, degrees),
    }
    fields: dict[str, Any] = {"quantity": "mutual information", "direction": "X;Y", "n_p": int(n), "n_q": None}
    return call.report(float(value), best, uncertainty, diagnostics, **fields)


def corrected_jensen_shannon(pair: Pair, w: float = 0.5, v: float = 0.5) -> float:
    """The divergence by the default method."""
    return _jensen_shannon(*pair.frequencies(), w, v) - _jensen_shannon_bias(pair.seen(), w, v)


def _jensen_shannon(P: np.ndarray, Q: np.ndarray, w: float, v: float) -> float:
    M = w * P + v * Q
    return float((w * deviance(P, M) + v * deviance(Q, M)).sum())


def _jensen_shannon_bias(seen: Pair, w: float, v: float) -> float:
    P, Q = seen.frequencies(0.5)
    M = w * P + v * Q
    of_p = w * (1.0 - P) / seen.n * (1.0 - w * P / M)
    of_q = v * (1.0 - Q) / seen.m * (1.0 - v * Q / M)
    return 0.5 * float((of_p + of_q).sum())


def _jensen_shannon_uncertainty(seen: Pair, w: float, v: float, best: float, bias: float) -> Uncertainty:
    if len(seen.x) < 2:
        return UNKNOWN
    P, Q = seen.frequencies(0.5)
    M = w * P + v * Q
    variance = seen.variance(w * np.log(P / M), v * np.log(Q / M))
    fourth = 0.5 * (w**3 + v**3) * seen.spread * float((1.0 / M).mean())
    return divergence_uncertainty(
        best - fourth * bias,
        (1.0 + fourth) * bias,
        (1.0 + 3.0 * fourth) * variance,
        _jensen_shannon(P, Q, w, v),
        0.5 * w * v * seen.spread,
    )


def _independent(joint: np.ndarray) -> np.ndarray:
    return joint.sum(axis=1)[:, None] * joint.sum(axis=0)


def _information(joint: np.ndarray) -> float:
    return float(deviance(joint, _independent(joint)).sum())


def _corrected_information(seen: np.ndarray, n: float) -> float:
    margins = digamma(seen.sum(axis=1))[:, None] + digamma(seen.sum(axis=0))
    return float((seen / n * (digamma(np.maximum(seen, 1.0)) - margins + digamma(n))).sum())
