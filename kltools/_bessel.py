"""Modified Bessel functions I of an order >= 0, as far as laws on spheres need them, compiled for any device.

With A(x) = I_{order+1}(x) / I_order(x) and L(x) = log(gamma(order + 1) (2/x)^order I_order(x)), the logarithm of the
mean of exp(x t) over the sphere in 2 order + 2 dimensions, L' = A and L(0) = 0.

Where r = hypot(order, x) is small, A and A' are means of positive terms under the weights of the power series
of I_order(x)^2 (DLMF 10.31.3), else they follow from Debye's expansion (DLMF 10.41.3) written in powers of 1/r:

    log I_order(x) = r + order log(x / (order + r)) - log(2 pi r) / 2 + C(x),  C(x) = sum of d_ji (order/r)^2i / r^j.
"""

import math
from fractions import Fraction

from ._jit import jit
from ._scalar import NODES, x_minus_log1p

_N_TERMS = 14  # of Debye's expansion: from r = 40 on what is left out is below the rounding
_LEAST_RADIUS = 40.0
_NEAR = 0.5  # steps up to this share of the distance to the singularities are integrated


def _debye_coefficients() -> list[list[Fraction]]:
    """Rows j = 1, 2, ... of d_ji: the logarithm of the series whose terms are U_j(p) = p^j u_j(p^2), DLMF 10.41.9."""
    rows: list[list[Fraction]] = [[Fraction(1)]]
    logs: list[list[Fraction]] = []
    for j in range(_N_TERMS):
        following = [Fraction(0)] * (j + 2)
        for i, u in enumerate(rows[j]):
            power = j + 2 * i
            following[i] += u * (Fraction(power, 2) + Fraction(1, 8 * (power + 1)))
            following[i + 1] -= u * (Fraction(power, 2) + Fraction(5, 8 * (power + 3)))
        rows.append(following)
    for j in range(1, _N_TERMS + 1):
        row = list(rows[j])
        for m in range(1, j):
            for a, d in enumerate(logs[m - 1]):
                for b, u in enumerate(rows[j - m]):
                    row[a + b] -= Fraction(m, j) * d * u
        logs.append(row)
    return logs


_DEBYE = tuple(float(d) for row in _debye_coefficients() for d in row)


@jit
def _debye_sums(order: float, radius: float) -> tuple[float, float, float]:
    """The sums over j and i of d_ji (order/r)^2i / r^j times 1, n and n (n + 2), where n = j + 2i."""
    v, square = 1.0 / radius, (order / radius) * (order / radius)
    plain = first = second = 0.0
    end = len(_DEBYE)
    for j in range(_N_TERMS, 0, -1):
        end -= j + 1
        row = row_1 = row_2 = 0.0
        for i in range(j, -1, -1):
            n = j + 2.0 * i
            coefficient = _DEBYE[end + i]
            row = row * square + coefficient
            row_1 = row_1 * square + n * coefficient
            row_2 = row_2 * square + n * (n + 2.0) * coefficient
        plain = (plain + row) * v
        first = (first + row_1) * v
        second = (second + row_2) * v
    return plain, first, second


@jit
def _square_means(order: float, x: float) -> tuple[float, float]:
    """A(x) and A'(x) as means over k under the positive terms of the power series of I_order(x)^2."""
    term, total, ratio, slope = 1.0, 0.0, 0.0, 0.0
    square = 0.5 * x * x
    k = 0.0
    while True:
        share = term / ((2.0 * order + k + 1.0) * (order + k + 1.0))
        total += term
        ratio += share * (2.0 * order + 2.0 * k + 1.0)
        slope += share
        growth = (2.0 * order + 2.0 * k + 1.0) * square / ((2.0 * order + k + 1.0) * (k + 1.0) * (order + k + 1.0))
        term *= growth
        k += 1.0
        if growth < 0.5 and term < 1e-17 * total:
            return 0.5 * x * ratio / total, (order + 0.5) * slope / total


@jit
def bessel_ratio(order: float, x: float) -> float:
    """A(x) = I_{order+1}(x) / I_order(x) for order, x >= 0, with full relative accuracy."""
    radius = math.hypot(order, x)
    if radius < _LEAST_RADIUS:
        return _square_means(order, x)[0]
    _, first, _ = _debye_sums(order, radius)
    return (x / radius) * (radius / (order + radius) - (0.5 + first) / radius)


@jit
def bessel_ratio_complement(order: float, x: float) -> float:
    """1 - A(x), with full relative accuracy for large x."""
    radius = math.hypot(order, x)
    if radius < _LEAST_RADIUS:
        return 1.0 - _square_means(order, x)[0]
    _, first, _ = _debye_sums(order, radius)
    return order / (order + radius) * (1.0 + order / (radius + x)) + (x / radius) * (0.5 + first) / radius


@jit
def _slope(order: float, x: float, step: float) -> float:
    """step^2 A'(x), with full relative accuracy."""
    radius = math.hypot(order, x)
    if radius < _LEAST_RADIUS:
        return step * step * _square_means(order, x)[1]
    p, s = order / radius, x / radius
    _, first, second = _debye_sums(order, radius)
    return (step / radius) * (step / radius) * (order / (1.0 + p) + 0.5 * (s - p) * (s + p) - first + s * s * second)


@jit
def bessel_divergence(order: float, x: float, y: float) -> float:
    """L(y) - L(x) - (y - x) A(x) >= 0 for order, x, y >= 0, with full relative accuracy.

    It is the divergence of two von Mises-Fisher laws of one direction and concentrations x and y.
    """
    step = y - x
    if abs(step) <= _NEAR * math.hypot(order + 1.0, min(x, y)):
        total = 0.0
        for i in range(len(NODES)):
            node, weight = NODES[i]
            total += weight * (1.0 - node) * _slope(order, x + node * step, step)
        return total
    radius_x, radius_y = math.hypot(order, x), math.hypot(order, y)
    if min(radius_x, radius_y) >= _LEAST_RADIUS:
        return _debye_divergence(order, x, y, radius_x, radius_y)
    gaps = log_bessel_gap(order, x) - log_bessel_gap(order, y)
    return gaps + bessel_ratio_complement(order, x) * step


@jit
def _debye_divergence(order: float, x: float, y: float, radius_x: float, radius_y: float) -> float:
    """The same by Debye's expansion, for x and y apart: the parts due to r + order log(x / (order + r)), to
    -log(r) / 2 and to C(x); the first two are written without cancellation."""
    step = y - x
    difference = step * ((x + y) / (radius_x + radius_y))  # of the radii
    t = difference / (order + radius_x)
    excess = x_minus_log1p(t) if -0.25 < t < 0.35 else t - math.log(order + radius_y) + math.log(order + radius_x)
    cosine = (order / radius_x) * (order / radius_y) + (x / radius_x) * (y / radius_y)
    spread = order / (order + radius_x) * (step / radius_x) * (order / radius_y * step / (1.0 + cosine))
    log_part = 0.5 * ((x / radius_x) * (step / radius_x) - math.log(radius_y) + math.log(radius_x))
    plain_x, first_x, _ = _debye_sums(order, radius_x)
    plain_y, _, _ = _debye_sums(order, radius_y)
    rest = plain_y - plain_x + (x / radius_x) * (step / radius_x) * first_x
    return order * excess + spread + log_part + rest


@jit
def log_bessel_gap(order: float, x: float) -> float:
    """x - L(x) for order, x >= 0; beyond a radius of 40 its error is of the rounding of order log(order), too."""
    radius = math.hypot(order, x)
    if radius < _LEAST_RADIUS:
        term, total = 1.0, 1.0
        k = 0.0
        while term > 1e-17 * total:
            k += 1.0
            term *= 0.25 * x * x / (k * (order + k))
            total += term
        return x - math.log(total)
    constant = math.lgamma(order + 1.0) + (order - 0.5) * math.log(2.0) - 0.5 * math.log(math.pi)
    shape = math.log1p(order / radius) - order / (radius + x)
    plain, _, _ = _debye_sums(order, radius)
    return (order + 0.5) * math.log(radius) + order * shape - constant - plain


@jit
def log_hankel_remainder(order: float, x: float) -> float:
    """log(I_order(x) sqrt(2 pi x) exp(-x)) less its first term -(4 order^2 - 1) / (8 x), for x >= 50 and >= order^2.

    By Hankel's expansion, DLMF 10.40.1; what is left is of the order (order^2 / x)^2.
    """
    term = first = (0.5 - order) * (0.5 + order) / (2.0 * x)
    rest = 0.0
    k = 1.0
    while abs(term) > 1e-18 * abs(rest) and term != 0.0:
        k += 1.0
        term *= (k - 0.5 - order) * (k - 0.5 + order) / (2.0 * k * x)
        rest += term
    return rest - x_minus_log1p(first + rest)
