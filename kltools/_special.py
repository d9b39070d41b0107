"""The gamma function for formulas: Bregman divergences of its logarithm, compiled, for any device.

The Bregman divergence of a convex f is f(b) - f(a) - (b - a) f'(a) >= 0. It is linear in f, so that the logarithm of
the gamma function splits into parts that are all convex, and nothing cancels.
"""

import math

from ._jit import jit
from ._scalar import x_minus_log1p

_ASYMPTOTIC = 12.0  # from here on Stirling's series, of six terms, is exact to the last digit


@jit
def log_ratio(a: float, b: float) -> float:
    """log(a / b) for a, b > 0, also where a / b under- or overflows."""
    ratio = a / b
    return math.log(ratio) if 1e-290 < ratio < 1e290 else math.log(a) - math.log(b)


@jit
def ratio_excess(difference: float, a: float, b: float) -> float:
    """b/a - 1 - log(b/a) for a, b > 0 and difference = b - a, which the caller knows better than a and b do."""
    t = difference / a
    return x_minus_log1p(t) if -0.25 < t < 0.35 else t - log_ratio(b, a)


@jit
def proportion_excess(difference: float, a: float, b: float) -> float:
    """b log(b/a) - (b - a) for a, b > 0 and difference = b - a; also the divergence of Poisson counts of means b, a."""
    t = difference / b
    return b * x_minus_log1p(-t) if -0.35 < t < 0.25 else b * log_ratio(b, a) - difference


@jit
def log_gamma_excess(a: float, b: float) -> float:
    """lgamma(b) - lgamma(a) - (b - a) digamma(a) >= 0 for a, b > 0, with full relative accuracy around a = b.

    It is the divergence of two Gamma distributions of equal rate and shapes a, b.
    """
    return proportion_excess(b - a, a, b) + log_gamma_remainder_excess(a, b)


@jit
def log_gamma_remainder_excess(a: float, b: float) -> float:
    """`log_gamma_excess` without its part b log(b/a) - (b - a): that of lgamma(x) - x log(x) + x, for a, b > 0.

    It is the smaller part where a and b are large, about (b/a - 1 - log(b/a)) / 2. Where several arguments grow in
    proportion, as those of a Dirichlet distribution may, the large parts cancel and this one stays.
    """
    difference = b - a
    below = 0.0
    while min(a, b) < _ASYMPTOTIC:
        below += _step_excess(difference, a, b)
        a += 1.0
        b += 1.0
    return below + 0.5 * ratio_excess(difference, a, b) + _series_excess(difference, a, b)


@jit
def _step_excess(difference: float, a: float, b: float) -> float:
    """That of (x + 1) log(1 + 1/x), which lgamma(x) - x log(x) + x loses from x to x + 1; difference = b - a."""
    w = difference / b / (a + 1.0)
    if -0.25 < w < 0.25:
        return difference / a * w - (b + 1.0) * x_minus_log1p(-w)
    return difference / a + (b + 1.0) * log_ratio(a / (a + 1.0), b / (b + 1.0))


@jit
def _series_excess(difference: float, a: float, b: float) -> float:
    """That of Stirling's series 1/(12 x) - 1/(360 x^3) + ... (Abramowitz and Stegun, 6.1.41); difference = b - a.

    For x^-m it is the sum of (m - i) a^-(m - 1 - i) b^-i over i < m, times (b - a)^2 / (a^2 b).
    """
    x, y = 1.0 / a, 1.0 / b
    plain = weighted = first = 1.0  # sums of a^-(m - 1 - i) b^-i, without and with the weights m - i
    total = 1.0 / 12.0
    for coefficient in (-1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360):
        for _ in range(2):
            first *= y
            plain = plain * x + first
            weighted = weighted * x + plain
        total += coefficient * weighted
    return difference * x * (difference * y) * x * total
