"""Ratios of products and the gamma function for formulas, compiled, for any device.

The Bregman divergence of a convex f is f(b) - f(a) - (b - a) f'(a) >= 0. It is linear in f, so that the logarithm of
the gamma function splits into parts that are all convex, and nothing cancels.
"""

import math

from ._jit import jit
from ._scalar import EULER_GAMMA, digamma, everywhere, minus_log, select, x_minus_log1p

_LOG_2 = math.log(2.0)
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_ASYMPTOTIC = 12.0  # from here on Stirling's series, of six terms, is exact to the last digit
_SHIFT = 10.0  # and with eight terms from here on
_GRID = 67108864.0  # 2^26: products of two numbers of 26 bits are exact

# ---------------------------------------------------------------- ratios


@jit
def log_ratio(a: float, b: float) -> float:
    """log(a / b) for a, b > 0, accurate around a = b, also where a / b under- or overflows."""
    t, ratio = (a - b) / b, a / b
    near = (t > -0.25) & (t < 0.35)
    ordinary = (ratio > 1e-290) & (ratio < 1e290)
    value = select(near, math.log1p(select(near, t, 0.0)), math.log(select(ordinary, ratio, 1.0)))
    if everywhere(ordinary):
        return value
    return select(ordinary, value, math.log(a) - math.log(b))


@jit
def ratio_excess(difference: float, a: float, b: float) -> float:
    """b/a - 1 - log(b/a) for a, b > 0 and difference = b - a, which the caller knows better than a and b do."""
    t = difference / a
    return x_minus_log1p(t) if -0.25 < t < 0.35 else t - log_ratio(b, a)


@jit
def proportion_excess(difference: float, a: float, b: float) -> float:
    """b log(b/a) - (b - a) for a, b > 0 and difference = b - a; also the divergence of Poisson counts of means b, a."""
    ratio = a / b
    excess = b * minus_log(0.0 - difference / b, ratio)
    ordinary = (ratio > 1e-290) & (ratio < 1e290)
    if everywhere(ordinary):
        return excess
    return select(ordinary, excess, b * (math.log(b) - math.log(a)) - difference)


@jit
def product_ratio(a: float, b: float, c: float, d: float, e: float) -> tuple[float, float]:
    """m - 1 and log(m) with m = a b c / (d e), all > 0, as if the products were not rounded; m - 1 may overflow."""
    x, exponent_a = math.frexp(a)
    factor, exponent_b = math.frexp(b)
    product, exponent_x = math.frexp(x * factor)
    slip = math.ldexp(_product_error(x, factor, math.ldexp(product, exponent_x)), -exponent_x)
    y, exponent_c = math.frexp(c)
    v, exponent_d = math.frexp(d)
    w, exponent_e = math.frexp(e)
    exponent = exponent_a + exponent_b + exponent_c + exponent_x - exponent_d - exponent_e
    above, below = product * y, v * w
    if -4 < exponent < 4:  # the factors of 2 leave nothing to contract: fused or not, the differences are the same
        scale = math.ldexp(1.0, exponent)
        error = scale * (_product_error(product, y, above) + slip * y) - _product_error(v, w, below)
        t = (0.5 * (above * (2.0 * scale) - 2.0 * below) + error) / below
        return t, math.log1p(t)
    return quotient(a, b, c, d, e) - 1.0, math.log(above / below) + exponent * _LOG_2


@jit
def quotient(a: float, b: float, c: float, d: float, e: float) -> float:
    """a b c / (d e), all > 0, where only the result may under- or overflow."""
    u, exponent_a = math.frexp(a)
    v, exponent_b = math.frexp(b)
    w, exponent_c = math.frexp(c)
    x, exponent_d = math.frexp(d)
    y, exponent_e = math.frexp(e)
    exponent = min(max(exponent_a + exponent_b + exponent_c - exponent_d - exponent_e, -1200), 1200)
    half = exponent // 2
    return u * v * w / (x * y) * math.ldexp(1.0, half) * math.ldexp(1.0, exponent - half)


@jit
def _product_error(x: float, y: float, product: float) -> float:
    """x y - product for x, y in [1/2, 1) and their rounded product (Dekker 1971, in steps that are all exact)."""
    x_high = math.floor(x * _GRID + 0.5) / _GRID
    y_high = math.floor(y * _GRID + 0.5) / _GRID
    x_low, y_low = x - x_high, y - y_high
    rest = 0.5 * (2.0 * (x_high * y_high) - 2.0 * product)
    return ((rest + x_high * y_low) + x_low * y_high) + x_low * y_low


@jit
def product_excess(a: float, b: float, c: float, d: float, e: float) -> float:
    """e (m - 1 - log m) with m = a b c / (d e), all > 0, as if the products were not rounded."""
    t, logarithm = product_ratio(a, b, c, d, e)
    if -0.25 < t < 0.35:
        return e * x_minus_log1p(t)
    if not math.isinf(t):
        return e * (t - logarithm)
    value = quotient(a, b, c, d, 1.0)  # e may be tiny
    return value if math.isinf(value) else value - e * logarithm


@jit
def deviation(a: float, b: float, c: float, center: float, scale: float) -> float:
    """(a b / c - center) / scale for a, b, c, scale > 0, as if a b / c were not rounded."""
    if center > 0.0:
        t = product_ratio(a, b, 1.0, c, center)[0]
        if t < 1.0:
            return t * center / scale
        return quotient(a, b, 1.0, c, scale) * (1.0 - 1.0 / (1.0 + t))
    return quotient(a, b, 1.0, c, scale) - center / scale


# ---------------------------------------------------------------- the gamma function


@jit
def log_gamma_excess(a: float, b: float) -> float:
    """lgamma(b) - lgamma(a) - (b - a) digamma(a) >= 0 for a, b > 0, with full relative accuracy around a = b.

    It is the divergence of two Gamma distributions of equal rate and shapes a, b.
    """
    return _log_gamma_excess(b - a, a, b)


@jit
def _log_gamma_excess(difference: float, a: float, b: float) -> float:
    return proportion_excess(difference, a, b) + remainder_excess(difference, a, b)


@jit
def log_gamma_remainder_excess(a: float, b: float) -> float:
    """`log_gamma_excess` without its part b log(b/a) - (b - a): that of lgamma(x) - x log(x) + x, for a, b > 0.

    It is the smaller part where a and b are large, about (b/a - 1 - log(b/a)) / 2. Where several arguments grow in
    proportion, as those of a Dirichlet distribution may, the large parts cancel and this one stays.
    """
    return remainder_excess(b - a, a, b)


@jit
def remainder_excess(difference: float, a: float, b: float) -> float:
    """The same for difference = b - a, which the caller knows better than a and b do."""
    large = (a > _SHIFT) & (b > _SHIFT)
    x, y = select(large, a, a + _SHIFT), select(large, b, b + _SHIFT)
    beyond = 0.5 * minus_log(difference / x, y / x) + _series_excess(difference, x, y)
    if everywhere(large):
        return beyond
    return select(large, beyond, beyond + _shift_excess(difference, a, b))


@jit
def _series_excess(difference: float, a: float, b: float) -> float:
    """That of Stirling's series 1/(12 x) - 1/(360 x^3) + ... (Abramowitz and Stegun, 6.1.41); difference = b - a.

    For x^-m it is the sum of (m - i) a^-(m - 1 - i) b^-i over i < m, times (b - a)^2 / (a^2 b).
    """
    x, y = 1.0 / a, 1.0 / b
    once = twice = thrice = 0.0 * x - 3617 / 122400  # of Horner's scheme, at y, x and x
    for coefficient in (1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        once = once * y
        twice = twice * x + once
        thrice = thrice * x + twice
        once = once * y + coefficient
        twice = twice * x + once
        thrice = thrice * x + twice
    return difference * x * (difference * y) * x * thrice


@jit
def _shift_excess(difference: float, a: float, b: float) -> float:
    """How much less `log_gamma_remainder_excess` is at a + 10, b + 10 than at a, b; difference = b - a.

    lgamma loses the logarithms of x, ..., x + 9, and the part x log(x) - x what it may: with h = (b - a) / (b + 10)
    and v_k = (10 - k) h / (a + k) there remain v_0 - log(1 + v_0), times 1 + b, the same of v_1, ..., v_9, and
    -h (b - a) / a times the sum of k / (a + k).
    """
    share = difference / (b + _SHIFT)
    slope = difference / a
    product, excess, ratio, places, _ = _later_shifts(share, a)
    v = _SHIFT * share / a
    first = minus_log(v, select(v > -0.5, 1.0 + v, b / (b + _SHIFT) * ((a + _SHIFT) / a)))
    ordinary = (a > 1e-150) & (a < 1e150) & (b > 1e-150) & (b < 1e150) & (v < 20.0)
    shifted = (1.0 + b) * first + (minus_log(product, ratio) - excess) - share * slope * places
    if everywhere(ordinary):
        return shifted
    return select(ordinary, shifted, _extreme_shift_excess(difference, a, b))


@jit
def _later_shifts(share: float, a: float) -> tuple[float, float, float, float, float]:
    """Of v_1, ..., v_9: the product of 1 + v_k less 1; it less the sum of v_k; the product; sums of k and 1 / (a + k).

    The places k and 10 - k are taken together: (a + k) (a + 10 - k) = a (a + 10) + k (10 - k).
    """
    inverse = 1.0 / (a + 5.0)
    product = 5.0 * share * inverse
    excess, ratio = 0.0 * product, 1.0 + product
    places, inverses = 5.0 * inverse, inverse
    for k in (9.0, 16.0, 21.0, 24.0):  # k (10 - k)
        inverse = 1.0 / (a * (a + _SHIFT) + k)
        both = share * share * (k * inverse)
        change = share * ((10.0 * a + (100.0 - 2.0 * k)) * inverse) + both
        excess = excess + both + product * change
        product = product + change + product * change
        ratio = ratio * (1.0 + change)
        places = places + (10.0 * a + 2.0 * k) * inverse
        inverses = inverses + (2.0 * a + _SHIFT) * inverse
    ratio = select(product > -0.85, 1.0 + product, ratio)
    return product, excess, ratio, places, inverses


@jit
def _extreme_shift_excess(difference: float, a: float, b: float) -> float:
    """The same where products over- or underflow, and where b/a is large and decides: term by term.

    If a is as large as that, it is as good as infinite.
    """
    inside = (a < 1e100) & (b < 1e100)
    c, d = select(a < 1e100, a, 1e100), select(b < 1e100, b, 1e100)
    slope = select(inside, difference, d - c) / c
    share = select(inside, difference, d - c) / (d + _SHIFT)
    product, excess, ratio, places, inverses = _later_shifts(share, c)
    v = slope * (_SHIFT / (d + _SHIFT))
    near = (1.0 + d) * minus_log(v, 1.0 + v) + (minus_log(product, ratio) - excess) - share * slope * places
    unit = select(b > 1e100, 2.0**-20, 1.0)
    change = unit * select(a < 1e100, difference, b - c)
    apart = log_ratio(c + _SHIFT, c) - log_ratio(d + _SHIFT, d)  # where one of them is large
    logarithm = select((c < 1.0) & (d < 1.0), log_ratio(d, c) + log_ratio(c + _SHIFT, d + _SHIFT), apart)
    far = change / c + change * inverses - (unit + unit * b) * logarithm - unit * math.log(ratio)
    return select((v > -0.5) & (v < 0.5), near, far / unit)


@jit
def log_gamma_beside_1(u: float) -> float:
    """lgamma(1 + u) + EULER_GAMMA u >= 0 for u > -1, with full relative accuracy around 0."""
    return _log_gamma_excess(u, 1.0, 1.0 + u)


@jit
def log_gamma_beside_2(u: float) -> float:
    """lgamma(2 + u) - (1 - EULER_GAMMA) u >= 0 for u > -2, with full relative accuracy around 0."""
    return _log_gamma_excess(u, 2.0, 2.0 + u)


@jit
def log_gamma_remainder(x: float) -> float:
    """lgamma(x) - x log(x) + x for x > 0, without cancellation where x is large."""
    if x < _ASYMPTOTIC:
        return math.lgamma(x) - x * math.log(x) + x
    return _HALF_LOG_2PI - 0.5 * math.log(x) + _series(x)


@jit
def _series(x: float) -> float:
    """Stirling's series for the logarithm of the gamma function (Abramowitz and Stegun, 6.1.41)."""
    t = 1.0 / x / x
    return (1 / 12 - t * (1 / 360 - t * (1 / 1260 - t * (1 / 1680 - t * (1 / 1188 - t * 691 / 360360))))) / x


@jit
def gamma_negentropy(shape: float) -> float:
    """Divergence of a Gamma distribution from the normal distribution of its mean and variance, about 1 / (3 shape).

    It is (1 + log(2 pi shape)) / 2 minus the entropy at rate 1.
    """
    if shape < _ASYMPTOTIC:
        entropy = shape + math.lgamma(shape) + (1.0 - shape) * digamma(shape)
        return 0.5 + _HALF_LOG_2PI + 0.5 * math.log(shape) - entropy
    # (x - 1) s'(x) - s(x) + 1 / (2 x) with the series s, term by term
    t = 1.0 / shape / shape
    even = 1 / 12 - t * (1 / 120 - t * (1 / 252 - t * (1 / 240 - t * (1 / 132 - t * 691 / 32760))))
    odd = 1 / 3 + t * (1 / 90 - t * (1 / 210 - t * (1 / 210 - t * (1 / 118.8 - t * 691 / 30030))))
    return odd / shape + t * even


@jit
def scaled_exponential_integral(x: float) -> float:
    """exp(x) E1(x) for x > 0 (Abramowitz and Stegun, 5.1.11 and 5.1.22)."""
    if x < 1.0:
        return math.exp(x) * (exponential_integral_near_zero(x) - EULER_GAMMA - math.log(x))
    fraction = 0.0
    for k in range(int(100.0 / x) + 20, 0, -1):
        fraction = k * k / (x + 2.0 * k + 1.0 - fraction)
    return 1.0 / (x + 1.0 - fraction)


@jit
def exponential_integral(x: float) -> float:
    """E1(x), the integral of exp(-t) / t from x to inf, for x > 0."""
    return math.exp(-x) * scaled_exponential_integral(x)


@jit
def exponential_integral_near_zero(x: float) -> float:
    """Ein(x) = E1(x) + log(x) + gamma of Euler, by its power series, for 0 <= x <= 3 (DLMF 6.6.4)."""
    power, total = 1.0, 0.0
    for n in range(1, 40):
        power *= -x / n
        total -= power / n
    return total
