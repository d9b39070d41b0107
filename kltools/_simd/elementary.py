"""Elementary functions of `Simd` vectors of float64, over the whole range: subnormals, inf and nan."""

import math

import numpy as np

from .._jit import jit
from .exponents import nearest_whole, scale, scale_normal, split
from .lanes import equal, everywhere, fma, less, less_equal, maximum, minimum, select

_LN2_HIGH = 6.93147180369123816490e-01  # its last 20 bits are 0: times an exponent it is exact
_LN2_LOW = 1.90821492927058770002e-10
_SMALLEST_NORMAL = 2.0**-1022
_ORDINARY = 708.0  # exp of what is smaller is a normal number
_INVERSE_LN2 = 1.0 / math.log(2.0)
_E = tuple(1.0 / math.factorial(i) for i in range(14))  # series of exp
# series of 2 artanh(s) / s - 2 in s^2 on |s| < 3 - sqrt(8) (Ng 1993, __ieee754_log of fdlibm)
_L = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)


@jit
def exp(x):
    """e to the x, to 1 ulp."""
    if everywhere(less(maximum(x, 0.0 - x), _ORDINARY)):
        n, shifted = nearest_whole(x * _INVERSE_LN2)
        return scale_normal(_exp_of_rest(x, n), shifted)
    clamped = minimum(maximum(x, -800.0), 800.0)
    n, _ = nearest_whole(clamped * _INVERSE_LN2)
    return select(less(x, np.inf), scale(_exp_of_rest(clamped, n), n), x + x)  # nan and inf


@jit
def _exp_of_rest(x, n):
    """e to the r for x = n log 2 + r, by the series."""
    high = fma(n, -_LN2_HIGH, x)
    low = n * _LN2_LOW
    r = high - low
    rest = fma(r * r, _exp_series(r), (high - r) - low)
    return (r + rest) + 1.0


@jit
def _exp_series(r):
    """(e^r - 1 - r) / r^2, in two halves, so that nothing waits for long."""
    w = r * r
    odd = fma(fma(fma(fma(fma(w, _E[13], _E[11]), w, _E[9]), w, _E[7]), w, _E[5]), w, _E[3])
    even = fma(fma(fma(fma(fma(w, _E[12], _E[10]), w, _E[8]), w, _E[6]), w, _E[4]), w, _E[2])
    return fma(odd, r, even)


@jit
def log(x):
    """Natural logarithm to 1 ulp; -inf at 0, nan below."""
    if everywhere(less_equal(_SMALLEST_NORMAL, x)) and everywhere(less(x, np.inf)):
        mantissa, exponent = split(x)
        return _log_of_parts(mantissa, exponent)
    mantissa, exponent = parts(x)
    result = _log_of_parts(mantissa, exponent)
    at_most_zero = select(less(x, 0.0), np.nan, -np.inf)
    return select(less(0.0, x), select(less(x, np.inf), result, x), select(less_equal(x, 0.0), at_most_zero, x))


@jit
def parts(x):
    """Mantissas in [sqrt(1/2), sqrt(2)) and exponents of positive numbers, also of subnormal ones."""
    tiny = less(x, _SMALLEST_NORMAL)
    mantissa, exponent = split(select(tiny, x * 2.0**54, x))
    return mantissa, select(tiny, exponent - 54.0, exponent)


@jit
def _log_of_parts(mantissa, exponent):
    f = mantissa - 1.0
    s = f / (f + 2.0)
    half_square = (f * 0.5) * f
    rest = fma(s, _tail(s, half_square), exponent * _LN2_LOW)
    return fma(exponent, _LN2_HIGH, f - (half_square - rest))


@jit
def _tail(s, half_square):
    """(log(1 + f) - f + half_square) / s for s = f / (2 + f) and half_square = f^2 / 2."""
    z = s * s
    w = z * z  # two halves, so that nothing waits for long
    odd = fma(fma(w, _L[5], _L[3]), w, _L[1])
    even = fma(fma(fma(w, _L[6], _L[4]), w, _L[2]), w, _L[0])
    return fma(even, z, fma(odd, w, half_square))


@jit
def log1p(x):
    """log(1 + x) to 2 ulp: the logarithm of the rounded sum, and what the rounding lost."""
    u = x + 1.0
    lost = (x - (u - 1.0)) / u
    result = log(u)
    corrected = select(less(-1.0, x), select(less(x, 2.0**60), result + lost, result), result)
    return select(equal(x, 0.0), x, corrected)  # -0.0 stays -0.0


@jit
def minus_log(t, r):
    """t - log(r) for r = 1 + t, both positive or near 0 with full relative accuracy, to 4 ulp where r is normal.

    With r = m 2^n it is (t - f) - n log 2 + (f - log(1 + f)) for f = m - 1, which is t itself where n = 0.
    """
    mantissa, exponent = split(r)
    f = select(equal(exponent, 0.0), t, mantissa - 1.0)
    half_square = (f * 0.5) * f
    s = f / (f + 2.0)
    excess = half_square - s * _tail(s, half_square)
    return fma(exponent, -_LN2_HIGH, t - f) + fma(exponent, -_LN2_LOW, excess)


@jit
def expm1_minus_x(x):
    """exp(x) - 1 - x to a few ulp, inf where exp overflows."""
    if everywhere(less(maximum(x, 0.0 - x), _ORDINARY)):
        n, shifted = nearest_whole(x * _INVERSE_LN2)
        r, excess = _excess_of_rest(x, n)
        far = scale_normal((excess + r) + 1.0, shifted) - (x + 1.0)
        return select(equal(n, 0.0), excess, far)
    clamped = minimum(maximum(x, -800.0), 800.0)
    n, _ = nearest_whole(clamped * _INVERSE_LN2)
    r, excess = _excess_of_rest(clamped, n)
    far = scale((excess + r) + 1.0, n) - (x + 1.0)
    return select(less(x, np.inf), select(equal(n, 0.0), excess, far), x)


@jit
def _excess_of_rest(x, n):
    """r and e^r - 1 - r for x = n log 2 + r."""
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x))
    return r, (r * r) * _exp_series(r)
