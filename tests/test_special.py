"""Bregman divergences of the logarithm of the gamma function against mpmath, over the whole range of float64."""

import math

import exact
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp

from kltools import _special

DIGITS = 90  # two arguments that agree in 16 digits lose 32 of them, 1e12 and more as many again


def log_gamma_excess(a, b):
    return mp.loggamma(b) - mp.loggamma(a) - (b - a) * mp.digamma(a)


def remainder_excess(a, b):
    return log_gamma_excess(a, b) - b * mp.log(b / a) + (b - a)


TRUTHS = {
    "log_gamma_excess": (log_gamma_excess, 1e-14),
    "log_gamma_remainder_excess": (remainder_excess, 3e-14),
}
LIMITS = [1e-308, 1e-300, 1e-200, 1e-100, 1e-20, 1.0, 12.0, 1e20, 1e100, 1e200, 1e300]
MAGNITUDES = 10.0 ** np.linspace(-12.0, 12.0, 33)
SWITCHES = [1.4616321449683623, 2.0, *(10.0 - k for k in range(10)), 9.999999999999998, 10.000000000000002, 12.0]
SEAM = [1e-150, 1e-5, 0.3, 5.0, 9.9, 9.999999999999998, 10.0, 10.000000000000002, 10.1, 20.0, 1e5, 1e150]
EXTREMES = [5e-324, 1e-323, 1e-308, 1e-10, 0.5, 3.0, 12.0, 1e100, 1e200, 1.7e308]
every_function = pytest.mark.parametrize("name", TRUTHS)
positive = st.floats(min_value=1e-300, max_value=1e300)


def near(a):
    return [a * (1.0 + sign * 10.0**-k) for k in range(1, 16) for sign in (-1, 1)]


def factors(a):
    return [a * r for r in (0.1, 0.5, 0.64, 0.65, 0.74, 0.75, 0.8, 1.25, 1.3, 1.35, 1.5, 2.0, 10.0)]


def worst(name, points, digits=DIGITS):
    function, truth = getattr(_special, name), TRUTHS[name][0]
    with mp.workdps(digits):
        errors = {(a, b): exact.relative_error(function(a, b), truth(mp.mpf(a), mp.mpf(b))) for a, b in points}
    at = max(errors, key=errors.get)
    return errors[at], at


@every_function
def test_keeps_relative_accuracy_near_equality(name):
    error, at = worst(name, [(a, b) for a in map(float, (*MAGNITUDES[::2], *SWITCHES)) for b in near(a)])
    assert error <= TRUTHS[name][1], at


@every_function
def test_keeps_relative_accuracy_at_any_ratio(name):
    spread = [(float(a), float(b)) for a in MAGNITUDES for b in MAGNITUDES]
    close = [(float(a), float(b)) for a in (*MAGNITUDES, *SWITCHES) for b in factors(a)]
    error, at = worst(name, spread + close)
    assert error <= TRUTHS[name][1], at


@every_function
def test_keeps_relative_accuracy_where_one_form_takes_over_from_another(name):
    """Around the shift by 10, both arguments; and where rounded factors take over from 1 + v (v = -1/2, or -0.85)."""
    beside = [(a, b) for a in SEAM for b in SEAM if a != b]
    falling = [(a, a * r) for a in (1e-3, 0.5, 3.0, 9.0, 30.0) for r in np.linspace(0.02, 0.9, 45).tolist()]
    error, at = worst(name, beside + falling, digits=400)
    assert error <= TRUTHS[name][1], at


@every_function
def test_keeps_relative_accuracy_to_the_ends_of_the_range(name):
    apart = [(a, b) for a in LIMITS for b in LIMITS if a != b]
    together = [(a, b) for a in LIMITS for b in (a * (1 + 1e-8), a * (1 - 1e-8), a * 1.5, a * 20.0)]
    ends = [(a, b) for a in EXTREMES for b in EXTREMES if a != b and b < 1e300 * max(a, 1e-8)]
    error, at = worst(name, apart + together + ends, digits=1000)
    assert error <= TRUTHS[name][1], at


@every_function
@given(a=positive, b=positive)
def test_is_never_negative_and_never_nan(name, a, b):
    assert getattr(_special, name)(a, b) >= 0.0
    assert getattr(_special, name)(a, a) == 0.0


@given(a=st.floats(0.01, 1e6), b=st.floats(0.01, 1e6), n=st.integers(1, 30))
def test_a_step_of_the_gamma_function_is_a_logarithm(a, b, n):
    """lgamma(x + n) = lgamma(x) + log(x) + ... + log(x + n - 1): the divergence of -log is b/a - 1 - log(b/a)."""
    ratios = [(b + k) / (a + k) for k in range(n)]
    steps = sum(r - 1.0 - math.log(r) for r in ratios)
    expected = _special.log_gamma_excess(a, b) - steps
    scale = max(r + 1.0 + abs(math.log(r)) for r in ratios)
    assert _special.log_gamma_excess(a + n, b + n) == pytest.approx(expected, rel=1e-9, abs=1e-13 * n * scale)


def test_known_by_heart():
    """lgamma(1) = lgamma(2) = 0 and digamma(1) = -Euler's constant."""
    assert _special.log_gamma_excess(1.0, 2.0) == pytest.approx(np.euler_gamma, rel=1e-15)
    assert _special.log_gamma_excess(2.0, 1.0) == pytest.approx(1.0 - np.euler_gamma, rel=1e-15)


@pytest.mark.parametrize("name", [*TRUTHS, "log_ratio"])
def test_nan_stays_nan(name):
    assert math.isnan(getattr(_special, name)(math.nan, 2.0))
    assert math.isnan(getattr(_special, name)(2.0, math.nan))


def test_log_ratio_of_what_cannot_be_divided():
    assert _special.log_ratio(1e300, 1e-300) == pytest.approx(600 * math.log(10), rel=1e-15)
    assert _special.log_ratio(1e-300, 1e300) == pytest.approx(-600 * math.log(10), rel=1e-15)
    assert _special.log_ratio(5e-324, 5e-324) == 0.0


# ---------------------------------------------------------------- values of the gamma function

VALUES = {
    "log_gamma_remainder": (lambda x: mp.loggamma(x) - x * mp.log(x) + x, 0.0),
    "gamma_negentropy": (
        lambda x: mp.log(2 * mp.pi * mp.e * x) / 2 - x - mp.loggamma(x) - (1 - x) * mp.digamma(x),
        1e-12,
    ),
    "scaled_exponential_integral": (lambda x: mp.exp(x) * mp.e1(x), 3e-15),
    "log_gamma_beside_1": (lambda u: mp.loggamma(1 + u) + mp.euler * u, 1e-14),
    "log_gamma_beside_2": (lambda u: mp.loggamma(2 + u) - (1 - mp.euler) * u, 1e-14),
}
SPREAD = [float(x) for x in (*10.0 ** np.linspace(-15.0, 15.0, 121), *np.linspace(0.05, 40.0, 300), 0.9999999, 1.0)]


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    truth, rtol = VALUES[name]
    function = getattr(_special, name)
    points = SPREAD + ([-x for x in SPREAD if x < 1] if "beside" in name else [])
    with mp.workdps(70):
        for x in points:
            exactly = truth(mp.mpf(x))
            error = float(abs(mp.mpf(function(x)) - exactly))
            atol = 0.0 if rtol else 4e-15 * max(1.0, abs(math.log(x)))
            assert error <= max(rtol * float(abs(exactly)), atol), x


# ---------------------------------------------------------------- ratios of products


def relatives(rng, n):
    """Factors whose products nearly agree, some of them to the last digit."""
    for _ in range(n):
        a, b, c, d = (float(x) for x in 10.0 ** rng.uniform(-60, 60, size=4))
        yield a, b, c, d, a * b * c / d * (1.0 + float(rng.choice([0.0, 1e-14, -1e-8, 1e-3, -0.3, 1.0, 7.0])))


def test_ratios_of_products_are_those_of_the_unrounded_ones():
    rng = np.random.default_rng(0)
    points = [*relatives(rng, 500), *(tuple(map(float, 10.0 ** rng.uniform(-100, 100, size=5))) for _ in range(200))]
    with mp.workdps(200):
        for point in points:
            a, b, c, d, e = map(mp.mpf, point)
            m = a * b * c / (d * e)
            t, logarithm = _special.product_ratio(*point)
            rtol = 2e-15 if abs(m - 1) > 1e-16 else 2e-13  # 1e-32 is what remains of the products
            assert exact.relative_error(t, m - 1) <= rtol, point
            assert exact.relative_error(logarithm, mp.log(m)) <= rtol, point
            assert exact.relative_error(_special.product_excess(*point), e * (m - 1 - mp.log(m))) <= 4 * rtol, point
            if 1e-280 < float(a) * float(b) / float(d) < 1e280:
                shift = (a * b / d - e) / c
                assert (
                    exact.relative_error(_special.deviation(*point[:2], point[3], point[4], point[2]), shift) <= 2e-15
                )


def test_ratios_of_equal_products_are_exactly_one():
    rng = np.random.default_rng(1)
    for a, b in rng.lognormal(sigma=20.0, size=(200, 2)):
        assert _special.product_ratio(a, b, 3.0, b, 3.0 * a)[0] == pytest.approx(0.0, abs=3e-16)
        assert _special.product_ratio(a, b, 1.0, b, a) == (0.0, 0.0)
        assert _special.product_ratio(a, 1.0, b, b, a) == (0.0, 0.0)


@pytest.mark.parametrize(("center", "truth"), [(-2.0, 3.5), (0.0, 2.5), (1e-310, 2.5), (1e300, -5e299)])
def test_deviation_of_any_center(center, truth):
    assert _special.deviation(10.0, 2.0, 4.0, center, 2.0) == pytest.approx(truth, rel=1e-15)
