"""KL and the population stability index from counts of categories, or from labels."""

import math
from collections import Counter
from typing import Any

import numpy as np

from .. import _count_validation
from .._formula import digamma
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN, Uncertainty
from .cells import (
    AUGMENTED,
    CORRECTED,
    METHODS,
    MILLER_MADOW,
    Call,
    Pair,
    check_zero,
    deviance,
    divergence_uncertainty,
    is_partial,
    tell_unseen,
)


def estimate_kl_from_counts(
    counts_p: Any,
    counts_q: Any,
    *,
    method: str = CORRECTED,
    zero: str = "estimate",
    concentration: float | None = None,
    unit: str = "nats",
) -> DivergenceEstimate:
    r"""Estimate KL(P || Q) in nats from counts of categories, observed of P and of Q.

    .. math:: \sum_k \frac{x_k}{n} \bigl[\psi(x_k) - \psi(n) - \psi(y_k + 1) + \psi(m + 1)\bigr],
        \qquad n = \sum_k x_k, \quad m = \sum_k y_k

    over categories with :math:`x_k > 0`: the estimate of Zhang and Grabchak, a double series there, in its
    closed form. Its bias decays exponentially in n and m; it is finite where Q never saw a category of P,
    and takes the probability of that for about 0.56 / m.

    Parameters
    ----------
    counts_p : array-like of shape (K,), or dict
        Observations of P in each category: whole numbers, not all 0. A dict or Counter has them by name.
    counts_q : array-like of shape (K,), or dict
        Observations of Q in the same categories, in the same order; 0 where there were none. Dicts are matched by
        name, and need no zeros.
    method : {"zhang-grabchak", "plug-in", "miller-madow", "jeffreys", "laplace", "dirichlet", "augmented"}
        "plug-in" is the divergence of the relative frequencies, "miller-madow" that less its second-order bias;
        both are inf where Q never saw a category of P. "jeffreys", "laplace" and "dirichlet" add 1/2, 1 or the
        ``concentration`` to all counts of both first; "jeffreys" serves where categories are many for the
        counts. "augmented" takes (y_k + 1) / m for the frequencies of Q.
    zero : {"estimate", "inf", "drop", "raise"}
        What to do where Q never saw a category of P: leave it to the method; return inf; leave out their terms,
        which makes a sum that is no divergence, is never called reliable, and has no interval; raise.
    concentration : float, optional
        For "dirichlet" alone: what is added to each count.
    unit : {"nats", "bits"}

    Returns
    -------
    DivergenceEstimate
        ``diagnostics``: ``n_categories``; ``n_unseen`` categories of P that Q never saw, and the
        ``unseen_share`` of the observations of P in them, and, of counts by name, their ``unseen_labels``, the 20
        most frequent in order; the G test of P = Q (``g_statistic``,
        ``degrees_of_freedom`` and ``p_value``, from the chi-squared law, which wants some five counts in each
        category). The interval is one for the divergence, from the default method
        whatever the chosen one is: it takes that for a multiple of a noncentral chi-squared number, so that it
        holds its level where P and Q are far from each other, near, and equal. It never reaches below 0, where no
        divergence lies, though the value may, being unbiased: a negative value lies outside of its interval.
        ``reliable`` is False where the categories that Q never saw hold more than a tenth of the observations of P,
        or weigh more than half a standard error, and where a method is more than two standard errors away from the
        default one.

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
    Y. Bu, S. Zou, Y. Liang, V. V. Veeravalli (2018), Estimation of KL divergence: optimal minimax rate, for
    "augmented".

    Examples
    --------
    >>> import kltools as kl
    >>> estimate = kl.estimate_kl_from_counts([60, 30, 10], [90, 80, 30])
    >>> round(estimate.value, 4), round(estimate.diagnostics["p_value"], 3)
    (0.0313, 0.047)
    >>> low, high = estimate.confidence_interval()
    >>> round(low, 4), round(high, 4)
    (0.0007, 0.1365)
    >>> kl.estimate_kl_from_counts({"a": 60, "b": 30, "c": 10}, {"c": 30, "a": 90, "b": 80}).value == estimate.value
    True
    """
    call = Call.checked(method, (*METHODS, AUGMENTED), concentration, unit)
    pair = Pair(*_count_validation.count_pair(counts_p, counts_q, tell=call.notes.add))
    return call.report(*kl_of(pair, zero, call, "counts_q"), n_p=int(pair.n), n_q=int(pair.m))


def estimate_kl_from_labels(
    labels_p: Any,
    labels_q: Any,
    *,
    method: str = CORRECTED,
    zero: str = "estimate",
    concentration: float | None = None,
    unit: str = "nats",
) -> DivergenceEstimate:
    """Estimate KL(P || Q) in nats from labels, observed of P and of Q: their counts, over the labels of both.

    Parameters
    ----------
    labels_p : array-like of shape (n,)
        Observations of P: all numbers, or all text. Lists, NumPy, pandas, polars.
    labels_q : array-like of shape (m,)
        Observations of Q, of the same kind.
    method : {"zhang-grabchak", "plug-in", "miller-madow", "jeffreys", "laplace", "dirichlet", "augmented"}
        As in `estimate_kl_from_counts`, with the labels of both for categories.
    zero : {"estimate", "inf", "drop", "raise"}
        What to do about labels of P that Q never had, as there.
    concentration : float, optional
        For "dirichlet" alone: what is added to each count.
    unit : {"nats", "bits"}

    Returns
    -------
    DivergenceEstimate
        As by `estimate_kl_from_counts` of counts by name.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For missing labels, no labels, more than one axis, and numbers beside text.

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
    >>> estimate = kl.estimate_kl_from_labels(list("aaaaaaaabb") * 10, list("aaaaabbbbc") * 10)
    >>> round(estimate.value, 2), estimate.diagnostics["n_categories"]
    (0.23, 3)
    """
    call = Call.checked(method, (*METHODS, AUGMENTED), concentration, unit)
    pair = _counted(*_count_validation.label_pair(labels_p, labels_q))
    return call.report(*kl_of(pair, zero, call, "labels_q"), n_p=int(pair.n), n_q=int(pair.m))


def estimate_population_stability_index_from_counts(
    counts_p: Any,
    counts_q: Any,
    *,
    method: str = CORRECTED,
    zero: str = "estimate",
    concentration: float | None = None,
    unit: str = "nats",
) -> DivergenceEstimate:
    r"""Estimate the population stability index of P and Q from counts of categories or bins.

    .. math:: \mathrm{PSI} = \sum_k (p_k - q_k) \log \frac{p_k}{q_k}
        = \mathrm{KL}(P \,\|\, Q) + \mathrm{KL}(Q \,\|\, P)

    which is the Jeffreys divergence. Of relative frequencies (``method="plug-in"``, what is commonly reported) it
    is on average (K - 1)(1/n + 1/m) where P = Q, and inf with an empty bin: common thresholds, such as 0.1
    and 0.25, then tell the numbers of observations as much as the drift. The default has no such bias.

    Parameters
    ----------
    counts_p : array-like of shape (K,), or dict
        Observations of P, the new ones, in each bin: whole numbers, not all 0.
    counts_q : array-like of shape (K,), or dict
        Observations of Q, the reference, in the same bins.
    method : {"zhang-grabchak", "plug-in", "miller-madow", "jeffreys", "laplace", "dirichlet", "augmented"}
        As in `estimate_kl_from_counts`, for both of the divergences.
    zero : {"estimate", "inf", "drop", "raise"}
        As there, for bins that either of both never saw.
    concentration : float, optional
        For "dirichlet" alone: what is added to each count.
    unit : {"nats", "bits"}

    Returns
    -------
    DivergenceEstimate
        As by `estimate_kl_from_counts`. ``n_unseen`` and ``unseen_share`` are about bins of P that Q never
        saw, ``n_unseen_by_p`` and ``unseen_share_by_p`` about the others.

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
    Z. Zhang and M. Grabchak (2014), Nonparametric estimation of Kullback-Leibler divergence, Neural Computation 26,
    who treat the symmetrised divergence as well.

    Examples
    --------
    >>> import kltools as kl
    >>> today, reference = [12, 25, 30, 33], [30, 25, 25, 20]
    >>> round(kl.estimate_population_stability_index_from_counts(today, reference).value, 3)
    0.173
    >>> round(kl.estimate_population_stability_index_from_counts(today, reference, method="plug-in").value, 3)
    0.239
    """
    call = Call.checked(method, (*METHODS, AUGMENTED), concentration, unit)
    pair = Pair(*_count_validation.count_pair(counts_p, counts_q, tell=call.notes.add))
    swapped = pair.swapped()
    diagnostics = pair.diagnostics()
    back = swapped.diagnostics()
    diagnostics |= {"n_unseen_by_p": back["n_unseen"], "unseen_share_by_p": back["unseen_share"]}
    if "unseen_labels" in back:
        diagnostics["unseen_labels_by_p"] = back["unseen_labels"]
    value = _value(pair, zero, call, "counts_q") + _value(swapped, zero, call, "counts_p")
    best = corrected_kl(pair) + corrected_kl(swapped)
    partial = is_partial(zero, pair, swapped)
    uncertainty = UNKNOWN if partial else _stability_uncertainty(pair.seen(), best)
    _tell_few(pair.seen(), call)
    for (of, by), one in ((("P", "Q"), pair), (("Q", "P"), swapped)):
        tell_unseen(one, value, uncertainty, zero, call, of=of, by=by)
    return call.report(
        value,
        best,
        uncertainty,
        diagnostics,
        quantity="population stability index",
        direction="P, Q",
        n_p=int(pair.n),
        n_q=int(pair.m),
    )


def kl_of(pair: Pair, zero: str, call: Call, name: str) -> tuple[float, float, Uncertainty, dict[str, Any]]:
    """The estimate, that of the default method, and what is known about it."""
    value, best = _value(pair, zero, call, name), corrected_kl(pair)
    seen = pair.seen()
    uncertainty = UNKNOWN if is_partial(zero, pair) else _kl_uncertainty(seen, best)
    _tell_few(seen, call)
    tell_unseen(pair, value, uncertainty, zero, call)
    return value, best, uncertainty, pair.diagnostics()


def _value(pair: Pair, zero: str, call: Call, name: str) -> float:
    """KL by the method asked for."""
    check_zero(zero, pair, name)
    if zero == "inf" and pair.unseen().any():
        return math.inf
    kept = pair.kept(zero)
    if call.method == CORRECTED:
        return float(_corrected_terms(pair)[kept].sum())
    P, Q = call.frequencies(pair)
    value = float(deviance(P, Q)[kept].sum())
    if call.method == AUGMENTED or is_partial(zero, pair):
        value += float((P - Q)[kept].sum())  # which is 0 for distributions, and would be rounding
    return value - pair.seen().plug_in_bias(zero) if call.method == MILLER_MADOW else value


def corrected_kl(pair: Pair) -> float:
    """KL(P || Q) by the default method."""
    return float(_corrected_terms(pair).sum())


def _corrected_terms(pair: Pair) -> np.ndarray:
    logs_p = digamma(np.maximum(pair.x, 1.0)) - digamma(pair.n)
    return pair.x / pair.n * (logs_p - digamma(pair.y + 1.0) + digamma(pair.m + 1.0))


def _kl_uncertainty(seen: Pair, best: float) -> Uncertainty:
    if len(seen.x) < 2:
        return UNKNOWN
    P, Q = seen.frequencies(0.5)
    variance = seen.variance(np.log(P / Q), -P / Q)
    return divergence_uncertainty(best, seen.plug_in_bias(), variance, deviance(P, Q).sum(), 0.5 * seen.spread)


def _stability_uncertainty(seen: Pair, best: float) -> Uncertainty:
    if len(seen.x) < 2:
        return UNKNOWN
    P, Q = seen.frequencies(0.5)
    logs = np.log(P / Q)
    variance = seen.variance(logs - Q / P, -logs - P / Q)
    plug_in = (deviance(P, Q) + deviance(Q, P)).sum()
    bias = seen.plug_in_bias() + seen.swapped().plug_in_bias()
    return divergence_uncertainty(best, bias, variance, plug_in, seen.spread)


def _tell_few(seen: Pair, call: Call) -> None:
    call.tell_few(seen.n, len(seen.x), "P")
    call.tell_few(seen.m, len(seen.x), "Q")


def _counted(p: np.ndarray, q: np.ndarray) -> Pair:
    """The labels of both in order, and how often each occurs."""
    kinds = {p.dtype.kind, q.dtype.kind}
    if kinds == {"f"} or np.result_type(p, q).kind in "iub":
        names, numbers = np.unique(np.concatenate([p, q]), return_inverse=True)
        x, y = (np.bincount(part, minlength=len(names)).astype(np.float64) for part in np.split(numbers, [len(p)]))
        return Pair(x, y, names.tolist())
    return pair_of(*(Counter(labels.tolist()) for labels in (p, q)))  # which neither rounds numbers nor cuts text


def pair_of(p: Counter, q: Counter) -> Pair:
    """The counts of labels that occur in either, in their order."""
    ordered = sorted({*p, *q})
    x, y = (np.array([tally[name] for name in ordered], dtype=np.float64) for tally in (p, q))
    return Pair(x, y, ordered)
