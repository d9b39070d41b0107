"""How heavy is the tail of importance ratios: Pareto k-hat, and log weights with a smoothed tail."""

import math

import numpy as np

_SHARE_OF_TAIL = 0.2
_FEWEST_IN_TAIL = 5
_FEWEST_AT_AN_END = 20
_SURPRISE = 1e-3
_ROUNDING = 1e-12
_LARGEST_LOG_RANGE = 600.0  # ratios farther below the largest one are 0 beside it
_PRIOR_SHAPE, _PRIOR_DRAWS = 0.5, 10
_PRIOR_SCALE = 3.0
RELIABLE_BELOW = 0.7  # Vehtari et al. (2024), section 3.2.4


def tail_length(n: int) -> int:
    """How many of n ratios make the tail: min(n / 5, 3 sqrt(n)), rounded up."""
    return math.ceil(min(_SHARE_OF_TAIL * n, 3.0 * math.sqrt(n)))


def pareto_k(log_ratios: np.ndarray, n: int | None = None) -> float:
    """Shape k of the generalised Pareto distribution of the largest ratios, from their logarithms.

    Moments of the ratios of an order up to 1 / k exist: beyond k = 0.5 the variance is infinite, beyond 0.7
    a mean is not to be relied upon at any practical number of draws, beyond 1 there is none.

    Parameters
    ----------
    log_ratios : ndarray of shape (n,)
        Below inf, without nan; -inf is a ratio of 0.
    n : int, optional
        The number of all ratios, where only the ``tail_length(n) + 1`` largest or more are given.

    Returns
    -------
    float
        -inf where all ratios of the tail are the same to 1e-12, which has no tail at all; inf where fewer than five
        make the tail (as of fewer than 21 ratios) or come near the largest, so that nothing speaks for a
        lighter one.

    References
    ----------
    A. Vehtari, D. Simpson, A. Gelman, Y. Yao, J. Gabry (2024), Pareto smoothed importance sampling, section 3.
    J. Zhang, M. A. Stephens (2009), A new and efficient estimation method for the generalized Pareto
    distribution, eqs. 3-9; with the prior on k of Vehtari et al., appendix G.

    Examples
    --------
    >>> import numpy as np
    >>> from kltools.pareto import pareto_k
    >>> ratios = np.random.default_rng(0).pareto(1 / 0.4, 100_000)  # k = 0.4
    >>> round(pareto_k(np.log(ratios)), 1)
    0.4
    """
    return _tail(np.asarray(log_ratios, dtype=np.float64), n)[0]


def smoothed_log_weights(log_ratios: np.ndarray) -> tuple[np.ndarray, float]:
    """Logarithms of weights that sum to 1, the tail replaced by quantiles of its Pareto fit, and k.

    No weight exceeds the largest ratio there was. Where the tail has no fit (k is infinite) the ratios stay
    as they are.

    References
    ----------
    A. Vehtari et al. (2024), algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from kltools.pareto import smoothed_log_weights
    >>> log_weights, k = smoothed_log_weights(np.random.default_rng(0).normal(size=1000))
    >>> float(np.exp(log_weights).sum().round(12)), k < 0.7
    (1.0, True)
    """
    ratios = np.asarray(log_ratios, dtype=np.float64)
    k, scale, cutoff = _tail(ratios, None)
    smoothed = ratios.copy()
    if math.isfinite(k):
        in_tail = np.flatnonzero(ratios > cutoff)
        ranks = np.empty(len(in_tail))
        ranks[np.argsort(ratios[in_tail], kind="stable")] = np.arange(0.5, len(in_tail))
        excess = scale * _relative_quantiles(ranks / len(in_tail), k)
        smoothed[in_tail] = np.minimum(cutoff + np.log1p(excess), ratios.max())
    smoothed -= smoothed.max()
    return smoothed - math.log(np.exp(smoothed).sum()), k


def _relative_quantiles(probabilities: np.ndarray, k: float) -> np.ndarray:
    """Quantiles of the generalised Pareto distribution of scale 1."""
    exponential = -np.log1p(-probabilities)
    return exponential if k == 0.0 else np.expm1(k * exponential) / k


def _tail(log_ratios: np.ndarray, n: int | None) -> tuple[float, float, float]:
    """Shape k, the scale relative to the cutoff, and the logarithm of the cutoff, above which the tail begins."""
    length = tail_length(len(log_ratios) if n is None else n)
    largest = float(log_ratios.max())
    if length < _FEWEST_IN_TAIL:
        return math.inf, math.nan, largest
    cutoff = float(np.partition(log_ratios, -length - 1)[-length - 1])
    if largest - cutoff <= _ROUNDING * max(1.0, abs(largest)):
        return -math.inf, math.nan, cutoff
    cutoff = max(cutoff, largest - _LARGEST_LOG_RANGE)
    excess = np.expm1(np.sort(log_ratios[log_ratios > cutoff]) - cutoff)
    if len(excess) < _FEWEST_IN_TAIL:
        return math.inf, math.nan, cutoff
    k, scale = fit_generalised_pareto(excess / excess[-1])
    while len(excess) >= 2 * _FEWEST_AT_AN_END and _falls_short(k, scale, len(excess)):  # so low it is no Pareto tail
        base = excess[len(excess) // 2]
        beyond = excess[excess > base]
        if len(beyond) < _FEWEST_IN_TAIL:
            break
        excess, cutoff = (beyond - base) / (1.0 + base), cutoff + math.log1p(base)
        k, scale = fit_generalised_pareto(excess / excess[-1])
    return k, scale * excess[-1], cutoff


def _falls_short(k: float, scale: float, n: int) -> bool:
    """Whether a heavy tail is refuted: its n ratios would reach beyond their largest, 1, but once in a thousand."""
    if not RELIABLE_BELOW < k < math.inf:
        return False
    exceeded = -math.log1p(-(_SURPRISE ** (1.0 / n)))
    return math.log(scale / k) + k * exceeded > math.log1p(scale / k)


def fit_generalised_pareto(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale from ascending positive numbers: the posterior mean of Zhang and Stephens (2009).

    Their theta = -k / scale is averaged over a grid with profile likelihoods as weights; then k is drawn
    towards 0.5 by a prior worth ten numbers. The shape is inf where the quarter of them are nothing beside
    the largest. Numbers that crowd below their largest, in its upper half, have an end: likelihoods grow without bound
    for shapes below -1, where that of the uniform distribution is taken.
    """
    n = len(excess)
    if n >= _FEWEST_AT_AN_END and excess[-1] < 2.0 * excess[n // 2]:
        return -1.0, float(excess[-1])
    n_grid = 30 + math.isqrt(n)
    quartile = excess[int(n / 4 + 0.5) - 1]
    if quartile < 1e-300 * excess[-1]:
        return math.inf, math.nan
    grid = 1.0 - np.sqrt(n_grid / (np.arange(n_grid) + 0.5))
    theta = grid / (_PRIOR_SCALE * quartile) + 1.0 / excess[-1]
    theta = theta[theta != 0.0]
    shapes = np.log1p(-theta[:, None] * excess).mean(axis=1)
    log_likelihood = n * (np.log(-theta / shapes) - shapes - 1.0)
    weights = np.exp(log_likelihood - log_likelihood.max())
    mean = float((theta * weights).sum() / weights.sum())
    k = float(np.log1p(-mean * excess).mean())
    return (n * k + _PRIOR_DRAWS * _PRIOR_SHAPE) / (n + _PRIOR_DRAWS), -k / mean
