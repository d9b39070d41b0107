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
SWITCHES = [1.4616321449683623, 2.0, *(12.0 - k for k in range(12)), 11.999999999999998, 12.000000000000002]
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
def test_keeps_relative_accuracy_to_the_ends_of_the_range(name):
    apart = [(a, b) for a in LIMITS for b in LIMITS if a != b]
    together = [(a, b) for a in LIMITS for b in (a * (1 + 1e-8), a * (1 - 1e-8), a * 1.5, a * 20.0)]
    error, at = worst(name, apart + together, digits=700)
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
