"""What the gamma function is beside x log(x) - x, for densities, entropies and divergences that keep their digits.

Where the arguments of gamma functions are large, the parts x log(x) - x cancel on paper, and these remain.
"""

import math

from ._jit import jit
from ._scalar import digamma, everywhere, minus_log, parts, scaled, select
from ._special import log_gamma_remainder_excess, log_ratio, proportion_excess, remainder_excess

_LOG_2 = math.log(2.0)
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_ASYMPTOTIC = 12.0
_SLOPE_SERIES = (1 / 12, 0.0, -1 / 120, 0.0, 1 / 252, 0.0, -1 / 240, 0.0, 1 / 132, 0.0, -691 / 32760)


@jit
def mass_excess(difference: float, p: float, q: float) -> float:
    """p log(p / q) - p + q >= 0 for p, q >= 0 and difference = q - p, which the caller knows better than they do.

    Its sum over outcomes is a divergence.
    """
    if p == 0.0:
        return q
    if q == 0.0:
        return math.inf
    return proportion_excess(-difference, q, p)


@jit
def product_difference(a: float, b: float, c: float, d: float) -> float:
    """a b - c d, without cancellation (the rounding errors of both products are computed, after Dekker)."""
    first, second = a * b, c * d
    exact = (abs(first) > 1e-250) & (abs(first) < 1e250) & (abs(second) > 1e-250) & (abs(second) < 1e250)
    exact = exact & (abs(a) < 1e250) & (abs(b) < 1e250) & (abs(c) < 1e250) & (abs(d) < 1e250)
    return select(exact, _exact_difference(a, b, c, d), first - second)


@jit
def _exact_difference(a: float, b: float, c: float, d: float) -> float:
    first, second = a * b, c * d
    difference = 0.5 * (2.0 * first - 2.0 * second)  # fused or not it is the same
    return difference + (rounding_error(a, b, first) - rounding_error(c, d, second))


@jit
def rounding_error(a: float, b: float, product: float) -> float:
    """a b - product, for the rounded product, where neither over- nor underflows."""
    split = 134217729.0  # 2^27 + 1
    high_a = split * a - (split * a - a)
    high_b = split * b - (split * b - b)
    low_a, low_b = a - high_a, b - high_b
    return low_a * low_b - (((product - high_a * high_b) - low_a * high_b) - high_a * low_b)


@jit
def two_sum(a: float, b: float) -> tuple[float, float]:
    """A sum and its rounding error (Knuth)."""
    total = a + b
    shared = total - a
    return total, (a - (total - shared)) + (b - shared)


@jit
def rest_of_sum(own: float, largest: float, others: float, rounding: float) -> tuple[float, float]:
    """A sum of positive numbers without one of them, and its rounding error.

    Of the numbers are given the largest, the sum of the others, and the rounding error of this. Nothing cancels, since
    the rest is at least the largest, or own is the largest.
    """
    short, error_of_short = two_sum(largest, 0.0 - own)
    rest, error_of_rest = two_sum(short, others)
    return rest, (error_of_short + error_of_rest) + rounding


@jit
def _stirling_series(x: float) -> float:
    """1/(12 x) - 1/(360 x^3) + ... (Abramowitz and Stegun, 6.1.41), for x >= 12."""
    t = 1.0 / (x * x)
    return (1 / 12 - t * (1 / 360 - t * (1 / 1260 - t * (1 / 1680 - t * (1 / 1188 - t * 691 / 360360))))) / x


@jit
def stirling_slope(x: float) -> float:
    """Derivative of that series: digamma(x) - log(x) + 1 / (2 x), for x >= 12."""
    return late_stirling_slope(x) - 1.0 / (12.0 * x * x)


@jit
def late_stirling_slope(x: float) -> float:
    """The same without the first term -1 / (12 x^2)."""
    t = 1.0 / (x * x)
    return t * t * (1 / 120 - t * (1 / 252 - t * (1 / 240 - t * (1 / 132 - t * 691 / 32760))))


@jit
def log_factorial_remainder(x: float) -> float:
    """log(x!) - x log(x) + x for x >= 0."""
    if x == 0.0:
        return 0.0
    if x < _ASYMPTOTIC:
        return math.lgamma(x + 1.0) - x * math.log(x) + x
    return _HALF_LOG_2PI + 0.5 * math.log(x) + _stirling_series(x)


@jit
def digamma_remainder(x: float) -> float:
    """digamma(x) - log(x) for x > 0."""
    if x < _ASYMPTOTIC:
        return digamma(x) - math.log(x)
    return stirling_slope(x) - 0.5 / x


@jit
def log_gamma_shift_excess(a: float, b: float, shift_a: float, shift_b: float, change: float) -> float:
    """How much less `log_gamma_remainder_excess` is at a + shift_a, b + shift_b than at a, b; for small shifts.

    change = shift_b - shift_a.

    The integral of the derivative along the way, by Gauss and Legendre's rule with three nodes.
    """
    total = 0.0 * a
    for weight, place in ((5 / 18, 0.1127016653792583), (4 / 9, 0.5), (5 / 18, 0.8872983346207417)):
        difference = (b - a) + place * change
        total = total + weight * _shift_slope(difference, a + place * shift_a, b + place * shift_b, shift_a, change)
    return total


@jit
def _shift_slope(difference: float, a: float, b: float, shift: float, change_of_shift: float) -> float:
    """shift (b - a) s''(a) - (shift + change_of_shift) (s'(b) - s'(a)) of s(x) = lgamma(x) - x log(x) + x.

    As shift times the Bregman divergence of -s', which is convex, minus the other part; difference = b - a.
    """
    excess = change = 0.0 * difference
    for _ in range(12):  # s'(x) = s'(x + 1) - 1/x + log(1 + 1/x)
        slope = difference / a
        w = slope / (b + 1.0)
        far = w - log_ratio(b / (b + 1.0), a / (a + 1.0))
        beyond = select((w > -0.25) & (w < 0.25), minus_log(w, 1.0 + w), far)
        excess = excess + shift / b * w * slope * (1.0 + b / (a + 1.0)) - shift * beyond
        change = change + change_of_shift / b * w + change_of_shift * beyond
        a = a + 1.0
        b = b + 1.0
    x, y = 1.0 / a, 1.0 / b
    order = 1.0  # m
    power = weighted = 1.0 + 0.0 * x  # x^(m - 1); the sum of (i + 1) x^i y^(m - 1 - i) over i < m
    excess_sum = 0.5 + 0.0 * x
    for coefficient in _SLOPE_SERIES:
        order = order + 1.0
        power = power * x
        weighted = weighted * y + order * power
        excess_sum = excess_sum + coefficient * weighted
    change = change + change_of_shift * (difference * x * y * _change_sum(x, y))
    excess = excess + shift * (difference * x) * (difference * y) * x * excess_sum
    return excess - change


@jit
def _change_sum(x: float, y: float) -> float:
    """(t(y) - t(x)) / (y - x) of t(x) = x/2 + x^2/12 - x^4/120 + ..., which is log(1/x) - digamma(1/x)."""
    power = plain = 1.0 + 0.0 * x  # x^(m - 1); the sum of x^i y^(m - 1 - i) over i < m
    total = 0.5 + 0.0 * x
    for coefficient in _SLOPE_SERIES:
        power = power * x
        plain = plain * y + power
        total = total + coefficient * plain
    return total


@jit
def digamma_change(difference: float, a: float, b: float) -> float:
    """digamma(b) - digamma(a) for a, b > 0 and difference = b - a."""
    total = 0.0
    while min(a, b) < _ASYMPTOTIC:
        total += difference / a / b
        a += 1.0
        b += 1.0
    t = difference / a
    total += math.log1p(t) if -0.25 < t < 0.35 else log_ratio(b, a)
    return total + t / b * _change_sum(1.0 / a, 1.0 / b)


@jit
def kl_gamma(shape_p: float, rate_p: float, shape_q: float, rate_q: float) -> float:
    """Divergence of two Gamma distributions: that of the means, and what shapes in proportion to the rates leave."""
    return _means_excess(shape_p, rate_p, shape_q, rate_q) + log_gamma_remainder_excess(shape_p, shape_q)


@jit
def _means_excess(shape_p: float, rate_p: float, shape_q: float, rate_q: float) -> float:
    """shape_q (m - 1 - log m) with the ratio m of p's mean to q's, as if the products were not rounded."""
    ordinary = _is_moderate(shape_p) & _is_moderate(rate_p) & _is_moderate(shape_q) & _is_moderate(rate_q)
    below = rate_p * shape_q
    t = _exact_difference(shape_p, rate_q, rate_p, shape_q) / below
    excess = shape_q * minus_log(t, shape_p * rate_q / below)
    if everywhere(ordinary):
        return excess
    return select(ordinary, excess, _extreme_means_excess(shape_p, rate_p, shape_q, rate_q))


@jit
def _is_moderate(x: float) -> bool:
    return (x > 1e-70) & (x < 1e70)


@jit
def _extreme_means_excess(shape_p: float, rate_p: float, shape_q: float, rate_q: float) -> float:
    """The same from mantissas and exponents."""
    (a, of_a), (b, of_b), (c, of_c), (d, of_d) = parts(shape_p), parts(rate_q), parts(rate_p), parts(shape_q)
    exponent = of_a + of_b - of_c - of_d
    near = (exponent > -4.0) & (exponent < 4.0)
    a = a * scaled(1.0 + 0.0 * a, select(near, exponent, 0.0))
    t, ratio = _exact_difference(a, b, c, d) / (c * d), a * b / (c * d)
    of_mean = of_a + of_b - of_c
    of_mean = select(of_mean > 2000.0, 2000.0, select(of_mean < -2000.0, -2000.0, of_mean))
    mean = scaled(a * b / c, of_mean)  # shape_q times the ratio of the means
    far = mean - (shape_q + shape_q * (math.log(ratio) + exponent * _LOG_2))
    return select(near, shape_q * minus_log(t, ratio), select(mean < math.inf, far, mean))


@jit
def kl_beta(alpha_p: float, beta_p: float, alpha_q: float, beta_q: float) -> float:
    """Divergence of two Beta distributions."""
    of_alpha, of_beta = alpha_q - alpha_p, beta_q - beta_p
    of_total = remainder_excess(of_alpha + of_beta, alpha_p + beta_p, alpha_q + beta_q)
    part_of_alpha = _dirichlet_part(alpha_p, beta_p, alpha_q, beta_q, of_beta, of_total)
    return part_of_alpha + _dirichlet_part(beta_p, alpha_p, beta_q, alpha_q, of_alpha, of_total)


@jit
def dirichlet_part(own_p: float, rest_p: float, own_q: float, rest_q: float, change_of_rest: float) -> float:
    """What a coordinate adds to the divergence of two Dirichlet distributions; rest: the sum of all others.

    The divergence is the Bregman divergence of lgamma, summed over the coordinates, minus that for their totals. Of
    x log(x) - x there remains the divergence of the mean proportions, times the total of q; each coordinate bears its
    share own_p / total_p of what is subtracted of the other part of lgamma, so that sums do not cancel.
    """
    of_total = remainder_excess((own_q - own_p) + change_of_rest, own_p + rest_p, own_q + rest_q)
    return _dirichlet_part(own_p, rest_p, own_q, rest_q, change_of_rest, of_total)


@jit
def _dirichlet_part(
    own_p: float, rest_p: float, own_q: float, rest_q: float, change_of_rest: float, of_total: float
) -> float:
    """The same, given `remainder_excess` of the totals."""
    total_p, proportions = own_p + rest_p, _proportions_excess(own_p, rest_p, own_q, rest_q, change_of_rest)
    apart = proportions + (log_gamma_remainder_excess(own_p, own_q) - own_p / total_p * of_total)
    ordinary = (of_total < math.inf) & (
        (rest_p > 1e-2) | (rest_q > 1e-2) | (rest_p > 1e-2 * own_p) | (rest_q > 1e-2 * own_q)
    )
    if everywhere(ordinary):
        return apart
    shifted = log_gamma_shift_excess(own_p, own_q, rest_p, rest_q, change_of_rest)
    dominant = select(of_total < math.inf, proportions + (shifted + rest_p / total_p * of_total), of_total)
    return select(ordinary, apart, dominant)


@jit
def _proportions_excess(own_p: float, rest_p: float, own_q: float, rest_q: float, change_of_rest: float) -> float:
    """own_q (m - 1 - log m) with the ratio m of the mean proportions, p's to q's."""
    total_p, total_q = own_p + rest_p, own_q + rest_q
    change = own_q - own_p
    near = (abs(change) < 0.5 * own_p) & (abs(change_of_rest) < 0.5 * rest_p)
    cross = product_difference(own_p, select(near, change_of_rest, rest_q), rest_p, select(near, change, own_q))
    t = cross / total_p / own_q
    excess = own_q * minus_log(t, own_p / own_q * (total_q / total_p))
    ordinary = _is_moderate(own_p) & _is_moderate(own_q) & _is_moderate(total_p) & _is_moderate(total_q)
    if everywhere(ordinary):
        return excess
    return select(ordinary, excess, _extreme_proportions_excess(own_p, rest_p, own_q, rest_q, change_of_rest))


@jit
def _extreme_proportions_excess(
    own_p: float, rest_p: float, own_q: float, rest_q: float, change_of_rest: float
) -> float:
    """The same in units of powers of 2 for each."""
    total_p, total_q, change = own_p + rest_p, own_q + rest_q, own_q - own_p
    (_, a), (_, b), (_, c), (_, d) = parts(own_p), parts(rest_q), parts(rest_p), parts(own_q)
    close = (a + b - c - d > -5.0) & (a + b - c - d < 5.0)
    near = (abs(change) < 0.5 * own_p) & (abs(change_of_rest) < 0.5 * rest_p)
    own = scaled(own_p, select(close, b - c - d, 0.0 - a))
    rest = scaled(select(near, change_of_rest, rest_q), 0.0 - b)
    cross = product_difference(own, rest, scaled(rest_p, 0.0 - c), scaled(select(near, change, own_q), 0.0 - d))
    apart = own_p / total_p * (rest_q / own_q) - rest_p / total_p
    t = select(close, cross / scaled(total_p, 0.0 - c) / scaled(own_q, 0.0 - d), apart)
    mean = select(total_p < total_q, own_p / total_p * total_q, own_p * (total_q / total_p))
    far = mean - own_q - own_q * (log_ratio(own_p, own_q) + log_ratio(total_q, total_p))
    far = select(mean < math.inf, far, mean)
    return select((t > -0.25) & (t < 0.35), own_q * minus_log(t, 1.0 + t), far)


@jit
def log_mean_excess(s: float) -> float:
    """log(m) - E log(x) >= 0 for x uniform on the interval from (1 - s) m to (1 + s) m, 0 <= s <= 1."""
    if s >= 1.0:  # by rounding, too
        return 1.0 - math.log(2.0)
    if s > 0.5:
        return 1.0 - ((1.0 + s) * math.log1p(s) - (1.0 - s) * math.log1p(-s)) / (2.0 * s)
    t = s * s
    total = 0.0
    for k in range(50, 0, -2):
        total = (total + 1.0 / (k * (k + 1.0))) * t
    return total
