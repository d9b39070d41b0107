"""Scalar functions against mpmath, over the whole range of float64."""

import math
from fractions import Fraction

import exact
import numpy as np
import pytest
from mpmath import mp

from kltools import _scalar

DIGITS = 700  # of 1e-300: its square is far below it, and wanted to 17 digits
MAGNITUDES = [m * 10.0**e for e in range(-323, 308, 3) for m in (1.0, 2.7, 9.1)]
LARGEST = np.finfo(float).max


def neighbourhood(x):
    """A point with the floats beside it: where a function changes its method."""
    return [float(np.nextafter(x, -math.inf)), x, float(np.nextafter(x, math.inf))]


def near(x):
    return [x + sign * 10.0**-k for k in range(1, 17) for sign in (-1, 1)]


FUNCTIONS = {
    "x_minus_log1p": _scalar.x_minus_log1p,
    "expm1_minus_x": _scalar.expm1_minus_x,
    "half_ratio_excess": lambda a: _scalar.half_ratio_excess(a, 1.0),
    "half_squared_ratio_excess": lambda a: _scalar.half_squared_ratio_excess(a, 1.0),
    "digamma": _scalar.digamma,
}
TRUTHS = {
    "x_minus_log1p": (lambda x: x - mp.log1p(x), 2e-15),
    "expm1_minus_x": (lambda x: mp.expm1(x) - x, 2e-15),
    "half_ratio_excess": (lambda r: (r - 1 - mp.log(r)) / 2, 4e-15),
    "half_squared_ratio_excess": (lambda r: (r * r - 1 - 2 * mp.log(r)) / 2, 4e-15),
}
ARGUMENTS = {
    "x_minus_log1p": [*MAGNITUDES, *(-x for x in MAGNITUDES if x < 1), *np.linspace(-0.9999, 2.0, 301), -1 + 2**-53],
    "expm1_minus_x": [*(x for x in MAGNITUDES if x < 709), *(-x for x in MAGNITUDES), *np.linspace(-3.0, 3.0, 301)],
    "half_ratio_excess": [*MAGNITUDES, *near(1.0), *np.linspace(0.01, 3.0, 300), 1.0],
    "half_squared_ratio_excess": [*MAGNITUDES, *near(1.0), *np.linspace(0.01, 3.0, 300), 1.0],
}
ENDS = {
    "x_minus_log1p": [LARGEST, 5e-324, -5e-324, 0.0],
    "expm1_minus_x": [709.0, -LARGEST, 5e-324, 0.0],
    "half_ratio_excess": [LARGEST, 5e-324],
    "half_squared_ratio_excess": [LARGEST, 5e-324],
}
SWITCHES = {
    "x_minus_log1p": (-0.25, 0.35),
    "expm1_minus_x": (-0.5, 0.5),
    "half_ratio_excess": (0.75, 1.35),
    "half_squared_ratio_excess": (math.sqrt(0.75), math.sqrt(1.35)),
}
every_function = pytest.mark.parametrize("name", TRUTHS)


def arguments(name):
    beside = [x for switch in SWITCHES[name] for x in neighbourhood(switch)]
    return [float(x) for x in (*ARGUMENTS[name], *ENDS[name], *beside)]


@every_function
def test_keeps_relative_accuracy(name):
    truth, rtol = TRUTHS[name]
    function = FUNCTIONS[name]
    with mp.workdps(DIGITS):
        errors = {x: exact.relative_error(function(x), truth(mp.mpf(x))) for x in arguments(name)}
    worst = max(errors, key=errors.get)
    assert errors[worst] <= rtol, f"{name}({worst!r}) = {function(worst)!r}"


@every_function
def test_is_never_negative(name):
    assert min(FUNCTIONS[name](x) for x in arguments(name)) >= 0.0


@pytest.mark.parametrize("name", [*TRUTHS, "digamma"])
def test_nan_stays_nan(name):
    assert math.isnan(FUNCTIONS[name](math.nan))


def test_tiny_arguments_give_half_their_square():
    assert _scalar.x_minus_log1p(1e-150) == pytest.approx(5e-301, rel=1e-15, abs=0)
    assert _scalar.expm1_minus_x(-1e-150) == pytest.approx(5e-301, rel=1e-15, abs=0)


# ---------------------------------------------------------------- digamma


def digamma_error(x):
    """Relative where |digamma| > 1, absolute around its root at 1.4616."""
    with mp.workdps(60):
        truth = mp.digamma(mp.mpf(x))
        if abs(truth) > 1:
            return exact.relative_error(_scalar.digamma(x), truth)
        return float(abs(mp.mpf(_scalar.digamma(x)) - truth))


def test_digamma():
    root = 1.4616321449683623
    spread = [*MAGNITUDES, *np.linspace(0.01, 40.0, 500), LARGEST]
    beside = [*neighbourhood(12.0), *neighbourhood(root), *near(root)]
    errors = {float(x): digamma_error(float(x)) for x in (*spread, *beside)}
    worst = max(errors, key=errors.get)
    assert errors[worst] <= 2e-15, f"digamma({worst!r}) = {_scalar.digamma(worst)!r}"


@pytest.mark.parametrize("n", [1, 2, 3, 10, 11, 12, 13, 100])
def test_digamma_of_integers_is_a_harmonic_number(n):
    harmonic = float(sum(Fraction(1, k) for k in range(1, n)))
    assert _scalar.digamma(float(n)) == pytest.approx(harmonic - np.euler_gamma, rel=2e-15, abs=2e-15)


# ---------------------------------------------------------------- constants and volumes


def test_log_2pi():
    assert math.log(2 * math.pi) == _scalar.LOG_2PI == pytest.approx(1.8378770664093453, rel=1e-16, abs=0)


def test_log_ball_volume():
    with mp.workdps(60):
        for d in [*range(301), 1000, 10**4, 10**6]:
            truth = mp.log(mp.pi) * d / 2 - mp.loggamma(mp.mpf(d) / 2 + 1)
            error = abs(mp.mpf(_scalar.log_ball_volume(d)) - truth)
            assert error <= 5e-15 * max(1, abs(truth)), d


def test_ball_volumes_known_by_heart():
    volumes = [math.exp(_scalar.log_ball_volume(d)) for d in range(5)]
    assert volumes == pytest.approx([1.0, 2.0, math.pi, 4 * math.pi / 3, math.pi**2 / 2], rel=2e-15, abs=0)


# ---------------------------------------------------------------- for any caller


@pytest.mark.parametrize("name", [*TRUTHS, "digamma"])
def test_accepts_every_real_type(name):
    function = FUNCTIONS[name]
    assert function(2) == function(2.0) == function(np.float64(2.0)) == function(np.int64(2))
    assert function(np.float32(0.5)) == pytest.approx(function(0.5), rel=1e-6, abs=0)


@pytest.mark.parametrize("x", [*MAGNITUDES, 5e-324, LARGEST, 1.0, 2.0, 0.5])
def test_parts_and_what_is_put_together_from_them(x):
    mantissa, exponent = _scalar.parts(x)
    assert 0.5 <= mantissa < 2.0
    assert Fraction(mantissa) * Fraction(2) ** int(exponent) == Fraction(x)
    assert _scalar.scaled(mantissa, exponent) == x


def test_scaled_beyond_the_range():
    assert _scalar.scaled(1.5, 2000.0) == math.inf
    assert _scalar.scaled(1.5, -2000.0) == 0.0
