"""Ratios of gamma functions, compiled for any device.

Differences of log-gamma and of digamma are accurate where both arguments are large or nearly agree.
"""

import math

from ._jit import jit
from ._scalar import EULER_GAMMA, NODES, digamma, trigamma, x_minus_log1p

_ASYMPTOTIC = 12.0
_ZETA_MINUS_ONE = (  # of 2, 3, ..., 25
    *(0.6449340668482264, 0.2020569031595943, 0.08232323371113819, 0.03692775514336993, 0.01734306198444914),
    *(0.008349277381922827, 0.004077356197944339, 0.0020083928260822143, 0.0009945751278180853),
    *(0.0004941886041194645, 0.0002460865533080483, 0.00012271334757848915, 6.124813505870482e-05),
    *(3.058823630702049e-05, 1.5282259408651871e-05, 7.637197637899763e-06, 3.81729326499984e-06),
    *(1.908212716553939e-06, 9.539620338727962e-07, 4.769329867878065e-07, 2.38450502727733e-07),
    *(1.192199259653111e-07, 5.96081890512595e-08, 2.9803503514652282e-08),
)


@jit
def log_gamma_tail(x: float) -> float:
    """lgamma(2 + x) - (1 - gamma) x >= 0 for x >= -1, with gamma of Euler and full relative accuracy around 0.

    Near 0 it is the sum over k >= 2 of (zeta(k) - 1) (-x)^k / k (Abramowitz and Stegun, 6.1.33).
    """
    if x < -0.5 or x > 0.5:
        return math.lgamma(2.0 + x) - (1.0 - EULER_GAMMA) * x
    total = 0.0
    for k in range(25, 1, -1):
        total = -total * x + _ZETA_MINUS_ONE[k - 2] / k
    return total * x * x


@jit
def _log_gamma_series(x: float) -> float:
    """lgamma(x) - (x - 1/2) log(x) + x - log(2 pi) / 2 for x >= 12 (Abramowitz and Stegun, 6.1.41)."""
    return 1 / 12 / x - _log_gamma_rest(x)


@jit
def _log_gamma_rest(x: float) -> float:
    t = 1.0 / x / x
    return t / x * (1 / 360 - t * (1 / 1260 - t * (1 / 1680 - t * (1 / 1188 - t * 691 / 360360))))


@jit
def _digamma_series(x: float) -> float:
    """log(x) - 1 / (2 x) - digamma(x) for x >= 12 (Abramowitz and Stegun, 6.3.18)."""
    return 1 / 12 / x / x - _digamma_rest(x)


@jit
def _digamma_rest(x: float) -> float:
    t = 1.0 / x / x
    return t * t * (1 / 120 - t * (1 / 252 - t * (1 / 240 - t * (1 / 132 - t * 691 / 32760))))


@jit
def log_gamma_ratio(x: float, step: float) -> float:
    """lgamma(x + step) - lgamma(x) for x, step > 0."""
    if x < _ASYMPTOTIC:
        return math.lgamma(x + step) - math.lgamma(x)
    r = step / x
    if r > 1.0:
        main = step * (math.log(x) + math.log1p(r) - 1.0) + (x - 0.5) * math.log1p(r)
    else:
        main = step * math.log(x) + (step - 0.5) * math.log1p(r) - x * x_minus_log1p(r)
    return main + _log_gamma_series(x + step) - _log_gamma_series(x)


@jit
def log_beta(x: float, y: float) -> float:
    """Logarithm of the beta function, for x, y > 0."""
    small, large = min(x, y), max(x, y)
    return math.lgamma(small) - log_gamma_ratio(large, small)


@jit
def digamma_step(x: float, step: float) -> float:
    """digamma(x + step) - digamma(x) for x, step > 0."""
    if x < _ASYMPTOTIC:
        return digamma(x + step) - digamma(x)
    end = x + step
    return math.log1p(step / x) + 0.5 * step / end / x - (_digamma_series(end) - _digamma_series(x))


@jit
def gamma_ratio_divergence(half: float, x: float, y: float) -> float:
    """G(y) - G(x) - (y - x) G'(x) >= 0 for G(x) = lgamma(half + x) - lgamma(2 half + x), half > 0 and x, y >= 0.

    It is the divergence of two power spherical laws of one direction and concentrations x and y in 2 half + 1
    dimensions.
    """
    step = y - x
    distance = abs(step) / (half + min(x, y))
    if distance > 4.0:
        ratios = log_gamma_ratio(half + x, half) - log_gamma_ratio(half + y, half)
        return ratios + step * digamma_step(half + x, half)
    n_panels = 1.0 + math.floor(2.0 * distance)
    total, panel = 0.0, 0.0
    while panel < n_panels:
        for i in range(len(NODES)):
            node, weight = NODES[i]
            place = (panel + node) / n_panels
            at = half + x + place * step
            total += weight * (1.0 - place) * (trigamma(at) - trigamma(half + at))
        panel += 1.0
    return step * (total / n_panels) * step


@jit
def gamma_ratio_remainder(half: float, x: float) -> float:
    """What is left of k G'(k) - G(k) - half log(k + 2 half) + half less its first term half (half - 1) / (k + 2 half).

    G is that of `gamma_ratio_divergence`, k = x > 12 large against half; what is left is of the order (half / x)^2.
    """
    end, middle = x + 2.0 * half, x + half
    share = half / end
    digammas = _digamma_rest(middle) - _digamma_rest(end) - share / middle * ((end + middle) / middle) / 12.0 / end
    log_gammas = _log_gamma_rest(middle) - _log_gamma_rest(end) - share / middle / 12.0
    main = (half - 0.5) * x_minus_log1p(-share) + 0.5 * share * half / middle
    return main + x * digammas + log_gammas
