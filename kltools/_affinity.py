"""Logarithms of integrals of p^a q^(1 - a) within exponential families, compiled, for any device.

They are gaps of Jensen's inequality for the log-partition function, written so that they keep their relative accuracy
where p and q nearly agree. For a > 1 the integral may diverge: then they are inf.
"""

import math

from ._bessel import bessel_divergence, bessel_ratio
from ._jit import jit
from ._scalar import expm1_minus_x, x_minus_log1p
from ._special import log_ratio
from ._tilt import tilt_excess

_NEAR = 0.5


@jit
def mean_gap(ratio: float, excess: float, weight: float) -> float:
    """log(1 + w e) - w log(r) with r = ratio, e = r - 1 and a weight w <= 1/2 that may be tiny, to which it is in
    proportion; -inf where 1 + w e is not positive."""
    mixed = weight * excess
    if mixed <= -1.0:
        return -math.inf
    if abs(excess) < 0.5:
        return weight * x_minus_log1p(excess) - x_minus_log1p(mixed)
    return math.log1p(mixed) - weight * math.log(ratio)


@jit
def far_mean_gap(logarithm: float, weight: float) -> float:
    """The same from log(r), where the smaller of r and 1 is nothing beside the larger."""
    if logarithm < 0.0:
        return math.log1p(-weight) - weight * logarithm
    return log1p_exp(math.log(weight) + logarithm) - weight * logarithm if weight > 0.0 else -math.inf


@jit
def log1p_exp(x: float) -> float:
    """log(1 + e^x), for any x."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@jit
def log_mean_gap(ratio: float, excess: float, alpha: float) -> float:
    """log((1 - a) r + a) - (1 - a) log(r) with r = ratio, excess = r - 1; -inf where the mean is not positive."""
    if alpha > 0.5:
        return mean_gap(ratio, excess, 1.0 - alpha)
    return mean_gap(1.0 / ratio, -excess / ratio, alpha)


@jit
def scale_log_affinity(scale_p: float, scale_q: float, power: float, alpha: float) -> float:
    """For densities of (x / scale)^power that decay exponentially: Weibull distributions of one shape, their kin."""
    logarithm = power * log_ratio(scale_p, scale_q)
    if logarithm == 0.0:
        return 0.0
    if abs(logarithm) > 600.0:
        return -far_mean_gap(logarithm, 1.0 - alpha) if alpha > 0.5 else -far_mean_gap(-logarithm, alpha)
    excess = (scale_p - scale_q) / scale_q
    if power == 1.0:
        return -log_mean_gap(scale_p / scale_q, excess, alpha)
    if power == 2.0:
        ratio = scale_p / scale_q
        return -log_mean_gap(ratio * ratio, excess * (2.0 + excess), alpha)
    return -log_mean_gap(math.exp(logarithm), math.expm1(logarithm), alpha)


@jit
def power_excess(difference: float, p: float, q: float, alpha: float) -> float:
    """a p + (1 - a) q - p^a q^(1 - a) for p, q >= 0 and difference = q - p, which the caller knows better than they do.

    It is >= 0 for a < 1, <= 0 for a > 1; for the rates of Poisson distributions it is minus the log-affinity.
    """
    beta = 1.0 - alpha
    if p == 0.0:
        return beta * q
    if q == 0.0:
        return alpha * p if alpha < 1.0 else -math.inf
    t = difference / p
    u = math.log1p(t) if -0.25 < t < 0.35 else log_ratio(q, p)
    if alpha > 0.5:
        return p * _mean_excess(beta, u) if u < 700.0 else beta * q + p * (alpha - math.exp(beta * u))
    return q * _mean_excess(alpha, -u) if u > -700.0 else alpha * p + q * (beta - math.exp(-alpha * u))


@jit
def _mean_excess(weight: float, u: float) -> float:
    """w e^u - e^(w u) + 1 - w."""
    if abs(u) * max(1.0, abs(weight)) < _NEAR:
        return weight * expm1_minus_x(u) - expm1_minus_x(weight * u)
    return weight * math.expm1(u) - (math.expm1(weight * u) if weight * u < 709.7 else math.inf)


@jit
def log_power(p: float, q: float, alpha: float) -> float:
    """Logarithm of p^a q^(1 - a), with the products that have a factor 0."""
    if p == 0.0 or (q == 0.0 and alpha < 1.0):
        return -math.inf
    return math.log(p) - (1.0 - alpha) * log_ratio(p, q) if q > 0.0 else math.inf


@jit
def two_outcomes_log_affinity(
    p: float, one_minus_p: float, q: float, one_minus_q: float, difference: float, alpha: float
) -> float:
    """For Bernoulli distributions; difference = q - p."""
    excess = power_excess(difference, p, q, alpha) + power_excess(-difference, one_minus_p, one_minus_q, alpha)
    if -1e300 < excess < _NEAR:
        return math.log1p(-excess)
    first, second = log_power(p, q, alpha), log_power(one_minus_p, one_minus_q, alpha)
    top = max(first, second)
    return top if math.isinf(top) else top + math.log1p(math.exp(min(first, second) - top))


@jit
def waiting_log_affinity(p: float, q: float, alpha: float) -> float:
    """For geometric distributions: a log p + (1 - a) log q - log(1 - (1 - p)^a (1 - q)^(1 - a))."""
    beta = 1.0 - alpha
    mean = alpha * p + beta * q
    excess = power_excess(p - q, 1.0 - p, 1.0 - q, alpha)  # of the failures
    if not excess > -mean:
        return math.inf
    return scale_log_affinity(q, p, 1.0, alpha) - math.log1p(excess / mean)


@jit
def tilt_log_affinity(difference: float, t: float, u: float, alpha: float) -> float:
    """For densities exp(t x) and exp(u x) on [0, 1]; difference = u - t."""
    beta = 1.0 - alpha
    mixed = t + beta * difference
    if alpha > 1.0:
        return tilt_excess(beta * difference, t, mixed) - beta * tilt_excess(difference, t, u)
    return -alpha * tilt_excess(-beta * difference, mixed, t) - beta * tilt_excess(alpha * difference, mixed, u)


@jit
def fisher_log_affinity(order: float, p: float, q: float, height: float, alpha: float) -> float:
    """For von Mises-Fisher laws of concentrations p and q, whose directions have the cosine 1 - height.

    m is the length of a p + (1 - a) q, the mixed vector; it is shorter (a < 1) or longer than that of equal
    directions, s.
    """
    beta = 1.0 - alpha
    top = max(p, q)
    if p == q and height * top == 0.0:
        return 0.0
    s = alpha * p + beta * q
    across = 2.0 * alpha * beta * (p / top) * (q / top) * height  # (s^2 - m^2) / top^2
    m = top * math.sqrt(max((s / top) * (s / top) - across, 0.0))
    if alpha < 1.0:
        turn = top * across * (top / (s + m))
        return (
            -alpha * bessel_divergence(order, m, p)
            - beta * bessel_divergence(order, m, q)
            - bessel_ratio(order, m) * turn
        )
    longer = -top * across * (top / (s + m)) if s > 0.0 else m - s
    from_p, to_m = bessel_divergence(order, m, p), bessel_divergence(order, p, m)
    if s > 0.0 and 0.5 * from_p <= to_m <= 2.0 * from_p:
        far = bessel_divergence(order, m, q)
        return bessel_ratio(order, m) * longer - alpha * from_p - beta * far
    return to_m - beta * bessel_divergence(order, p, q) + bessel_ratio(order, p) * longer
