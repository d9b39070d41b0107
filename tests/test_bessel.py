"""Bessel ratios and ratios of gamma functions against mpmath."""

import math

import numpy as np
import pytest
from exact import relative_error
from mpmath import mp

from kltools import _bessel, _gamma_ratio, _special

ORDERS = [0.0, 0.5, 1.0, 1.5, 4.0, 9.5, 38.0, 39.5, 40.0, 45.0, 100.0, 499.0]
POINTS = [1e-12, 1e-3, 0.5, 1.0, 2.0, 3.3, 7.0, 20.0, 33.0, 38.0, 39.9, 40.1, 60.0, 140.0, 300.0, 900.0]
HUGE = [1e5, 1e12, 1e100, 1e300]
DIGITS = 80
every_order = pytest.mark.parametrize("order", ORDERS)


def growth(order, x):
    """log of gamma(order + 1) (2/x)^order I_order(x)."""
    return mp.log(mp.hyp0f1(mp.mpf(order) + 1, mp.mpf(x) ** 2 / 4, maxterms=10**6))


def ratio(order, x):
    above, here = (mp.hyp0f1(mp.mpf(order) + i, mp.mpf(x) ** 2 / 4, maxterms=10**6) for i in (2, 1))
    return mp.mpf(x) / (2 * mp.mpf(order) + 2) * above / here


def in_three_dimensions(x):
    """growth(x) and its derivative for order 1/2: log(sinh(x) / x), coth(x) - 1/x."""
    x = mp.mpf(x)
    small = mp.exp(-2 * x) if x < 1e4 else mp.mpf(0)
    return x - mp.log(2 * x) + mp.log1p(-small), (1 + small) / (1 - small) - 1 / x


@every_order
def test_ratio(order):
    with mp.workdps(DIGITS):
        for x in POINTS:
            truth = ratio(order, x)
            assert relative_error(_bessel.bessel_ratio(order, x), truth) < 3e-15
            assert relative_error(_bessel.bessel_ratio_complement(order, x), 1 - truth) < 1e-13
        assert _bessel.bessel_ratio(order, 0.0) == 0.0
        assert _bessel.bessel_ratio_complement(order, 0.0) == 1.0


@every_order
def test_divergence_of_concentrations_apart_and_nearly_equal(order):
    with mp.workdps(DIGITS):
        known = {x: (growth(order, x), ratio(order, x)) for x in POINTS}
        known[0.0] = mp.mpf(0), mp.mpf(0)
        for x, (value, slope) in known.items():
            ends = [*known, x * (1.0 + 1e-8), x * (1.0 - 1e-3), 1.4 * x]
            for y in ends:
                other = known[y][0] if y in known else growth(order, y)
                truth = other - value - (mp.mpf(y) - mp.mpf(x)) * slope
                assert relative_error(_bessel.bessel_divergence(order, x, y), truth) < 3e-13, (x, y)


@every_order
def test_gap(order):
    with mp.workdps(DIGITS):
        for x in POINTS:
            truth = x - growth(order, x)
            scale = max(1.0, order * math.log(order + 1.0), abs(float(truth)))
            assert abs(_bessel.log_bessel_gap(order, x) - truth) < 3e-15 * scale


def test_huge_concentrations():
    with mp.workdps(700):
        for x in HUGE:
            value, slope = in_three_dimensions(x)
            assert relative_error(_bessel.bessel_ratio(0.5, x), slope) < 3e-15
            assert relative_error(_bessel.bessel_ratio_complement(0.5, x), 1 - slope) < 3e-15
            assert relative_error(_bessel.log_bessel_gap(0.5, x), x - value) < 3e-15
            for y in (*HUGE, 3.0, 50.0, x * (1.0 - 1e-8), 0.7 * x):
                truth = in_three_dimensions(y)[0] - value - (mp.mpf(y) - mp.mpf(x)) * slope
                assert relative_error(_bessel.bessel_divergence(0.5, x, y), truth) < 1e-13, (x, y)


def test_divergence_of_equals_is_zero_and_never_negative():
    rng = np.random.default_rng(0)
    for order, x, t in zip(*(10.0 ** rng.uniform(-6, 6, size=(2, 500))), rng.normal(size=500), strict=True):
        assert _bessel.bessel_divergence(order, x, x) == 0.0
        for step in (1e-12, 1e-4, 0.3, 3.0):
            assert _bessel.bessel_divergence(order, x, x * math.exp(step * t)) >= 0.0


ARGUMENTS = [1e-10, 1e-3, 0.5, 1.0, 2.0, 7.0, 11.9, 12.0, 30.0, 1e3, 1e8, 1e16]


def test_steps_of_the_gamma_function():
    with mp.workdps(60):
        for x in ARGUMENTS:
            for step in (0.5, 1.0, 2.0, 10.0, 50.0, 1e3, 1e6):
                a, b = mp.mpf(x), mp.mpf(x) + mp.mpf(step)
                truth = mp.loggamma(b) - mp.loggamma(a)
                assert abs(_gamma_ratio.log_gamma_ratio(x, step) - truth) <= 3e-15 * max(1.0, abs(truth))
                assert relative_error(_gamma_ratio.digamma_step(x, step), mp.digamma(b) - mp.digamma(a)) < 1e-14


def test_tail_of_the_gamma_function():
    with mp.workdps(60):
        for x in (-1 + 1e-9, -0.9, -0.51, -0.5, -0.3, -1e-8, 1e-12, 1e-5, 0.01, 0.3, 0.5, 0.51, 1.0, 10.0, 1e3, 1e10):
            truth = mp.loggamma(2 + mp.mpf(x)) - (1 - mp.euler) * mp.mpf(x)
            assert relative_error(_gamma_ratio.log_gamma_tail(x), truth) < 5e-15


@pytest.mark.parametrize("half", [0.5, 1.0, 1.5, 5.0, 12.0, 50.0, 500.0, 1e6])
def test_divergence_of_gamma_ratios(half):
    with mp.workdps(120):
        h = mp.mpf(half)

        def value(k):
            return mp.loggamma(h + k) - mp.loggamma(2 * h + k)

        def slope(k):
            return mp.digamma(h + k) - mp.digamma(2 * h + k)

        for x in (1e-20, 1e-8, 0.1, 0.24, 0.26, 1.0, 3.0, 10.0, 30.0, 1e3, 1e8, 1e40):
            k, zero = mp.mpf(x), mp.mpf(0)
            up, down = (_gamma_ratio.gamma_ratio_divergence(half, *ends) for ends in ((0.0, x), (x, 0.0)))
            assert relative_error(up, value(k) - value(zero) - k * slope(zero)) < 1e-13
            assert relative_error(down, value(zero) - value(k) + k * slope(k)) < 1e-13


def test_remainders_of_concentrated_laws():
    with mp.workdps(80):
        for half, x in ((0.5, 20.0), (0.5, 1e6), (1.0, 1e12), (4.5, 300.0), (49.5, 1e4), (49.5, 1e10)):
            h, k = mp.mpf(half), mp.mpf(x)
            n = k + 2 * h
            mean_log = k * (mp.digamma(h + k) - mp.digamma(n)) - mp.loggamma(h + k) + mp.loggamma(n)
            truth = mean_log - h * mp.log(n) + h - h * (h - 1) / n
            assert abs(_gamma_ratio.gamma_ratio_remainder(half, x) - truth) < 1e-14 * (half / x) ** 2 + 1e-13 * truth
        for order, x in ((0.0, 50.0), (0.0, 2000.0), (1.0, 60.0), (4.0, 300.0), (20.0, 400.0), (20.0, 2000.0)):
            scaled = mp.besseli(order, x) * mp.sqrt(2 * mp.pi * x) * mp.exp(-x)
            truth = mp.log(scaled) + (4 * mp.mpf(order) ** 2 - 1) / (8 * mp.mpf(x))
            assert relative_error(_bessel.log_hankel_remainder(order, x), truth) < 1e-13, (order, x)
        assert _bessel.log_hankel_remainder(0.5, 60.0) == 0.0


def test_exponential_integral():
    with mp.workdps(40):
        for x in (2.0, 2.7, 3.0, 5.0, 20.0, 300.0):
            assert relative_error(_special.exponential_integral(x), mp.e1(x)) < 1e-14
        for x in (1e-300, 1e-8, 0.3, 1.0, 2.0, 2.72, 3.0):
            truth = mp.e1(x) + mp.log(x) + mp.euler if x > 1e-100 else mp.mpf(x)
            assert relative_error(_special.exponential_integral_near_zero(x), truth) < 1e-14
    assert _special.exponential_integral(math.inf) == 0.0
    assert _special.exponential_integral_near_zero(0.0) == 0.0
