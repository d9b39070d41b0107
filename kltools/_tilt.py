"""The uniform distribution on [0, 1] tilted by exp(t x): its cumulants, entropy and divergence.

It is the continuous Bernoulli distribution with t = log(probs / (1 - probs)) (Loaiza-Ganem and Cunningham, 2019). The
centred logarithm of the partition function, L(t) = log of the integral of exp(t (x - 1/2)) = log(sinh(t/2) / (t/2)), is
even and smooth at t = 0.
"""

import math

from ._jit import jit

_SMALL = 0.5  # up to here series serve
# coefficients of t^2, t^4, ... in L(t): B_2n / (2n (2n)!)
_SERIES = (
    1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800, 1 / 479001600, -691 / 15692092416000, 1 / 1046139494400,
    -3617 / 170729965486080000,
)  # fmt: skip
# nodes and weights of Gauss and Legendre's rule on [0, 1]
_RULE = (
    (0.019855071751231884, 0.05061426814518813), (0.10166676129318663, 0.11119051722668724),
    (0.2372337950418355, 0.15685332293894364), (0.4082826787521751, 0.18134189168918100),
    (0.5917173212478249, 0.18134189168918100), (0.7627662049581645, 0.15685332293894364),
    (0.8983332387068134, 0.11119051722668724), (0.9801449282487681, 0.05061426814518813),
)  # fmt: skip


@jit
def centred_log_partition(t: float) -> float:
    """L(t) >= 0."""
    t = abs(t)
    if t >= _SMALL:
        return 0.5 * t + math.log(-math.expm1(-t) / t)
    total, power = 0.0, 1.0
    for coefficient in _SERIES:
        power *= t * t
        total += coefficient * power
    return total


@jit
def log_decay(t: float) -> float:
    """log of the integral of exp(-t x) over [0, 1]."""
    if t >= _SMALL:
        return math.log(-math.expm1(-t) / t)
    return centred_log_partition(t) - 0.5 * t


@jit
def tilted_mean(t: float) -> float:
    """Mean of the distribution; that of -t is 1 - mean."""
    if t <= -_SMALL:
        return -1.0 / t - (1.0 / math.expm1(-t) if t > -700.0 else 0.0)
    if t >= _SMALL:
        return 1.0 - 1.0 / t + (1.0 / math.expm1(t) if t < 700.0 else 0.0)
    return 0.5 + _series_slope(t)


@jit
def _series_slope(t: float) -> float:
    total, power, order = 0.0, t, 0.0
    for coefficient in _SERIES:
        order += 2.0
        total += order * coefficient * power
        power *= t * t
    return total


@jit
def tilted_variance(t: float) -> float:
    """Variance of the distribution: 1/t^2 - 1/(4 sinh(t/2)^2)."""
    t = abs(t)
    if t >= _SMALL:
        return 1.0 / (t * t) - (0.25 / math.sinh(0.5 * t) ** 2 if t < 700.0 else 0.0)
    total, power, order = 0.0, 1.0, 0.0
    for coefficient in _SERIES:
        order += 2.0
        total += order * (order - 1.0) * coefficient * power
        power *= t * t
    return total


@jit
def tilted_entropy(t: float) -> float:
    """Entropy of the distribution, <= 0."""
    t = abs(t)
    if t >= _SMALL:
        return math.log(-math.expm1(-t) / t) + t * tilted_mean(-t)
    return centred_log_partition(t) - t * _series_slope(t)


@jit
def mean_tilt(t: float, mean: float, one_minus_mean: float, to_center: float) -> float:
    """Minus the mean log-density of the distribution over values of the given mean, to_center = 1/2 - mean."""
    if t >= _SMALL:
        return log_decay(t) + t * one_minus_mean
    if t <= -_SMALL:
        return log_decay(-t) - t * mean
    return centred_log_partition(t) + t * to_center


@jit
def tilt_excess(difference: float, t: float, u: float) -> float:
    """Divergence of the distribution with t from that with u, difference = u - t.

    It is L(u) - L(t) - (u - t) L'(t), near t = u in the integral form of Taylor's remainder.
    """
    nearest = min(abs(t), abs(u)) if t * u > 0.0 else 0.0
    if abs(difference) <= max(1.0, 0.25 * nearest):
        total = 0.0
        for place, weight in _RULE:
            total += weight * (1.0 - place) * tilted_variance(t + place * difference)
        return difference * total * difference
    if t < 0.0:
        t, u, difference = -t, -u, -difference
    return log_decay(u) - log_decay(t) + difference * tilted_mean(-t)


@jit
def log_width_beyond(low: float, high: float) -> float:
    """log(high - low) of an interval that contains [0, 1]; inf where it does not."""
    return math.log1p((high - 1.0) - low) if low <= 0.0 and high >= 1.0 else math.inf
