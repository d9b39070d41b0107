"""Logarithms of integrals of p^a q^(1 - a) of near members of a family, from the curvature along the way between them.

In an exponential family with the log-partition function F the logarithm is F(a s + (1 - a) t) - a F(s) - (1 - a) F(t),
the integral over u of K(u) F''(t + u (s - t)) (s - t)^2 with a kernel K of one sign (Peano): no difference is left
that could cancel, whatever a is and however near s and t are. The curvature of the log-gamma function is that of
x log(x), which tells of proportions, and a rest.
"""

import math

from ._jit import jit
from ._scalar import NODES
from ._stirling import product_difference

N_PLACES = 2 * len(NODES)
FARTHEST = 2.0  # ratio of parameters up to which the rule of Gauss and Legendre gives all digits
_ASYMPTOTIC = 16.0
_SERIES = (1 / 6, 0.0, -1 / 30, 0.0, 1 / 42, 0.0, -1 / 30, 0.0, 5 / 66, 0.0, -691 / 2730)  # of powers of 1 / x


@jit
def bridge_place(alpha: float, i: int) -> tuple[float, float]:
    """The i-th of the places u from q (0) to p (1), and for a > 1 beyond, with its weight, which has K in it."""
    node, weight = NODES[i % len(NODES)]
    inside = min(alpha, 1.0)
    if i < len(NODES):
        return inside * node, (alpha - 1.0) * inside * inside * weight * node
    width = abs(alpha - 1.0)
    return inside + width * node, (alpha - 1.0) * inside * width * weight * (1.0 - node)


@jit
def are_near(p: float, q: float, alpha: float) -> bool:
    """Whether p, q and a p + (1 - a) q, all > 0, are within a factor."""
    beyond = q + max(alpha, 1.0) * (p - q)
    least, greatest = min(p, q, beyond), max(p, q, beyond)
    return 1e-140 < least <= greatest <= FARTHEST * least < 1e140


@jit
def _tail(x: float) -> float:
    """x^2 trigamma(x) - x - 1/2 for x >= 16 (Abramowitz and Stegun, 6.4.12)."""
    u, total = 1.0 / x, 0.0
    for i in range(len(_SERIES) - 1, -1, -1):
        total = (total + _SERIES[i]) * u
    return total


@jit
def gamma_rest(x: float) -> float:
    """x^2 trigamma(x) - x, between 1 (at 0) and 1/2 (at infinity): what is not of x log(x)."""
    if x >= _ASYMPTOTIC:
        return 0.5 + _tail(x)
    total, y = 0.0, x
    while y < _ASYMPTOTIC:
        total += (x / y) * (x / y)
        y += 1.0
    return total + (x / y) * (x / y) * (y + 0.5 + _tail(y)) - x


@jit
def gamma_rest_drop(x: float, step: float) -> float:
    """gamma_rest(x) - gamma_rest(x + step) >= 0 for step >= 0, in proportion to which it is."""
    if x >= _ASYMPTOTIC:
        return step / x / (x + step) * _tail_slope(1.0 / x, 1.0 / (x + step))
    if step > 1.0:
        return gamma_rest(x) - gamma_rest(x + step)
    end = x + step
    slope, j = 0.0, 1.0  # of the terms (x / (x + j))^2
    while x + j < _ASYMPTOTIC:
        slope += j / (x + j) / (end + j) * (x / (x + j) + end / (end + j))
        j += 1.0
    y, z = x + j, end + j
    u, v = 1.0 / y, 1.0 / z
    fall = u * v * (1.0 + 0.5 * (u + v) + _weighted_slope(u, v))  # of trigamma from y to z, over the step
    slope += (x + end) * v * (1.0 + (0.5 + _tail(z)) * v) - x * x * fall
    return step * (1.0 - slope)


@jit
def _tail_slope(u: float, v: float) -> float:
    """(t(u) - t(v)) / (u - v) of the sum t of the coefficients times powers of u."""
    power, plain, total = 1.0, 1.0, _SERIES[0]
    for i in range(1, len(_SERIES)):
        power *= u
        plain = plain * v + power
        total += _SERIES[i] * plain
    return total


@jit
def _weighted_slope(u: float, v: float) -> float:
    """The same of u^2 t(u)."""
    power, plain, total = u * u, u * (u + v) + v * v, 0.0
    for i in range(len(_SERIES)):
        total += _SERIES[i] * plain
        power *= u
        plain = plain * v + power
    return total


@jit
def near_gamma_log_affinity(shape_p: float, rate_p: float, shape_q: float, rate_q: float, alpha: float) -> float:
    """Of Gamma distributions, or of their reciprocals; nan where they are not near."""
    if not (are_near(shape_p, shape_q, alpha) and are_near(rate_p, rate_q, alpha)):
        return math.nan
    change, faster = shape_p - shape_q, rate_p - rate_q
    cross = product_difference(shape_p, rate_q, rate_p, shape_q) / rate_q
    total = 0.0
    for i in range(N_PLACES):
        place, weight = bridge_place(alpha, i)
        shape, rate = shape_q + place * change, rate_q + place * faster
        own, of_mean = change / shape, cross / shape * (rate_q / rate)
        total += weight * (gamma_rest(shape) * own * own + shape * of_mean * of_mean)
    return total


@jit
def near_dirichlet_part(own: float, rest: float, change: float, change_of_rest: float, alpha: float) -> float:
    """What a coordinate adds for Dirichlet distributions, from those of q and what p has more; nan where not near."""
    if not (are_near(own + change, own, alpha) and are_near(rest + change_of_rest, rest, alpha)):
        return math.nan
    cross = product_difference(change, rest, change_of_rest, own) / own
    total = 0.0
    for i in range(N_PLACES):
        place, weight = bridge_place(alpha, i)
        a, others = own + place * change, rest + place * change_of_rest
        whole = a + others
        share, step, apart = others / whole, change / a, cross / a * (own / whole)
        of_whole = gamma_rest(whole)
        value = (a + of_whole * (a / whole)) * apart * apart
        value += (gamma_rest_drop(a, others) + share * of_whole) * step * step
        total += weight * value
    return total


@jit
def near_wishart_part(excess: float, j: float, d: float, df_p: float, df_q: float, alpha: float) -> float:
    """What the axis j < d adds for Wishart distributions, from the precision of p less that of q in units of the
    latter; nan where not near."""
    if not (are_near(1.0 + excess, 1.0, alpha) and are_near(df_p - (d - 1.0), df_q - (d - 1.0), alpha)):
        return math.nan
    change = df_p - df_q
    cross = product_difference(excess, df_q, change, 1.0)
    total = 0.0
    for i in range(N_PLACES):
        place, weight = bridge_place(alpha, i)
        df = df_q + place * change
        left = df - j
        of_scale, step = cross / (1.0 + place * excess) / df, change / left
        value = 0.5 * df * of_scale * of_scale
        total += weight * (value + (0.5 * j * (left / df) + gamma_rest(0.5 * left)) * step * step)
    return total
