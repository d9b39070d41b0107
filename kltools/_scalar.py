"""Scalar mathematics that `math` lacks, compiled, for use in formulas and kernels on any device."""

import math
import sys

from ._jit import jit

LOG_2PI = math.log(2.0 * math.pi)
LARGEST_EXPONENT = math.log(sys.float_info.max)
EULER_GAMMA = 0.57721566490153286061
NODES = (  # of Gauss and Legendre on [0, 1], with their weights
    (0.013046735741414139, 0.03333567215434407),
    (0.06746831665550774, 0.07472567457529029),
    (0.16029521585048778, 0.10954318125799103),
    (0.2833023029353764, 0.1346333596549982),
    (0.4255628305091844, 0.14776211235737644),
    (0.5744371694908156, 0.14776211235737644),
    (0.7166976970646236, 0.1346333596549982),
    (0.8397047841495122, 0.10954318125799103),
    (0.9325316833444923, 0.07472567457529029),
    (0.9869532642585859, 0.03333567215434407),
)


@jit
def x_minus_log1p(x: float) -> float:
    """x - log(1 + x) for x > -1, with full relative accuracy around 0.

    Near 0 it uses log(1 + x) = 2 artanh(s) with s = x / (2 + x), which leaves
    s (x - 2 s^2 (1/3 + s^2/5 + s^4/7 + ...)), a sum without cancellation.
    """
    if x < -0.25 or x > 0.35:
        return x - math.log1p(x)
    s = x / (2.0 + x)
    t = s * s
    tail = 0.0
    for k in range(21, 1, -2):
        tail = tail * t + 1.0 / k
    return s * (x - 2.0 * t * tail)


@jit
def expm1_minus_x(x: float) -> float:
    """exp(x) - 1 - x, with full relative accuracy around 0 and until it overflows."""
    if x > LARGEST_EXPONENT:
        return math.inf
    if x < -0.5 or x > 0.5:
        return math.expm1(x) - x
    tail = 0.0
    for k in range(16, 1, -1):
        tail = (tail + 1.0) * x / k
    return tail * x


@jit
def select(condition: bool, x: float, y: float) -> float:
    """x where the condition holds, else y; of lanes, each by itself."""
    return x if condition else y


@jit
def everywhere(condition: bool) -> bool:
    """Whether a condition holds; of lanes, in all of them."""
    return condition


@jit
def minus_log(t: float, r: float) -> float:
    """t - log(r) for r = 1 + t > 0, both given to full relative accuracy, which the result keeps."""
    if -0.25 < t < 0.35:
        return x_minus_log1p(t)
    return t - math.log(r) if r > 0.0 else math.inf  # r may have underflowed


@jit
def parts(x: float) -> tuple[float, float]:
    """A mantissa between 1/2 and 2, and the exponent of 2 that belongs to it, of x > 0."""
    mantissa, exponent = math.frexp(x)
    return mantissa, float(exponent)


@jit
def scaled(x: float, exponent: float) -> float:
    """x times 2 to a whole number of magnitude up to 2000."""
    half = math.floor(0.5 * exponent)
    return x * math.ldexp(1.0, int(half)) * math.ldexp(1.0, int(exponent - half))


@jit
def half_ratio_excess(a: float, b: float) -> float:
    """(r - 1 - log r) / 2 with r = a / b, for a, b > 0, with full relative accuracy around a = b."""
    inverse = 1.0 / b
    r = a * inverse
    excess = 0.5 * minus_log((a - b) * inverse, r)
    ordinary = (inverse > 1e-290) & (inverse < 1e290) & (r > 1e-290) & (r < 1e290)
    if everywhere(ordinary):
        return excess
    return select(ordinary, excess, half_extreme_ratio_excess(a, b))


@jit
def half_extreme_ratio_excess(a: float, b: float) -> float:
    """The same where 1 / b or a / b has few digits, or overflows."""
    r = a / b
    excess = 0.5 * minus_log((a - b) / b, r)
    extreme = 0.5 * a / b - 0.5 - 0.5 * (math.log(a) - math.log(b))
    return select((r > 1e-290) & (r < 1e290), excess, extreme)


@jit
def half_squared_difference(a: float, b: float, var: float) -> float:
    """(a - b)^2 / (2 var), also where a - b or its square overflows."""
    inverse = 1.0 / var
    difference = a - b
    square = 0.5 * (difference * inverse) * difference
    ordinary = (inverse > 1e-290) & (inverse < 1e290)
    if everywhere(ordinary):
        return square
    z = standard_difference(a, b, math.sqrt(var))
    return select(ordinary, square, 0.5 * z * z)


@jit
def half_squared_ratio_excess(a: float, b: float) -> float:
    """(r^2 - 1 - log r^2) / 2 with r = a / b, for a, b > 0, with full relative accuracy around a = b."""
    inverse = 1.0 / b
    change, r = (a - b) * inverse, a * inverse
    excess = 0.5 * minus_log(change * (2.0 + change), r * r)
    ordinary = (inverse > 1e-290) & (inverse < 1e290) & (r > 1e-140) & (r < 1e140)
    if everywhere(ordinary):
        return excess
    return select(ordinary, excess, half_extreme_squared_ratio_excess(a, b))


@jit
def half_extreme_squared_ratio_excess(a: float, b: float) -> float:
    """The same where 1 / b or (a / b)^2 has few digits, or overflows."""
    r = a / b
    change = (a - b) / b
    excess = 0.5 * minus_log(change * (2.0 + change), r * r)
    extreme = 0.5 * r * r - 0.5 - (math.log(a) - math.log(b))
    return select((r > 1e-140) & (r < 1e140), excess, extreme)


@jit
def standard_difference(a: float, b: float, scale: float) -> float:
    """(a - b) / scale, also where a - b overflows."""
    difference = a - b
    finite = abs(difference) < math.inf
    if everywhere(finite):
        return difference / scale
    return select(finite, difference / scale, a / scale - b / scale)


@jit
def digamma(x: float) -> float:
    """Logarithmic derivative of the gamma function, for x > 0.

    Recurrence to x >= 12, then the asymptotic series (Abramowitz and Stegun, 6.3.18).
    """
    shift = 0.0
    while x < 12.0:
        shift -= 1.0 / x
        x += 1.0
    t = 1.0 / (x * x)
    series = t * (1 / 12 - t * (1 / 120 - t * (1 / 252 - t * (1 / 240 - t * (1 / 132 - t * 691 / 32760)))))
    return shift + math.log(x) - 0.5 / x - series


@jit
def trigamma(x: float) -> float:
    """Derivative of digamma, for x > 0: recurrence, then the asymptotic series (Abramowitz and Stegun, 6.4.12)."""
    shift = 0.0
    while x < 12.0:
        shift += 1.0 / (x * x)
        x += 1.0
    t = 1.0 / (x * x)
    series = t * (1 / 6 - t * (1 / 30 - t * (1 / 42 - t * (1 / 30 - t * (5 / 66 - t * 691 / 2730)))))
    return shift + (1.0 + 0.5 / x + series) / x


@jit
def log_ball_volume(d: float) -> float:
    """Logarithm of the volume of the unit ball in d dimensions."""
    return 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1.0)
