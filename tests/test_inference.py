"""Moments, intervals and the block jackknife."""

import math

import numpy as np
import pytest
from scipy import stats

from kltools.inference import UNKNOWN, Moments, Uncertainty, jackknife_uncertainty, random_blocks, sum_of_means


@pytest.mark.parametrize("offset", [0.0, 1e7, 1e12])
def test_moments(offset):
    values = np.random.default_rng(0).integers(-1000, 1000, 501) / 8.0
    moments = Moments.of(offset + values)
    assert moments.count == 501
    assert moments.mean == pytest.approx(offset + values.mean(), rel=1e-15)
    assert moments.variance == pytest.approx(values.var(ddof=1), rel=1e-9)
    assert moments.standard_error == pytest.approx(stats.sem(values), rel=1e-9)


@pytest.mark.parametrize("cut", [1, 2, 250, 499])
def test_moments_of_parts_add_up(cut):
    values = 1e6 + np.random.default_rng(0).standard_normal(500)
    parts, whole = Moments.of(values[:cut]) + Moments.of(values[cut:]), Moments.of(values)
    assert parts.count == whole.count
    assert parts.mean == pytest.approx(whole.mean, rel=1e-14)
    assert parts.variance == pytest.approx(whole.variance, rel=1e-8)


def test_moments_add_in_any_order():
    a, b, c = (Moments.of(np.random.default_rng(i).standard_normal(10 + i)) for i in range(3))
    assert ((a + b) + c).variance == pytest.approx((c + (b + a)).variance, rel=1e-13)


def test_one_number_has_no_variance():
    assert math.isnan(Moments.of([3.0]).variance)
    assert math.isnan(Moments.of([3.0]).standard_error)


@pytest.mark.parametrize("degrees", [1, 5, 19, 1000])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_interval_of_students_t(degrees, level):
    half_width = 2.0 * stats.t(degrees).ppf(0.5 + level / 2)
    low, high = Uncertainty(2.0, degrees).interval(1.0, level)
    assert (low, high) == pytest.approx((1.0 - half_width, 1.0 + half_width), rel=1e-9)


def test_interval_of_the_normal_distribution():
    assert Uncertainty(2.0).interval(1.0, 0.95) == pytest.approx((1 - 3.919927969, 1 + 3.919927969))


def test_interval_of_an_infinite_value():
    low, high = Uncertainty(0.1, 19).interval(math.inf, 0.95)
    assert math.isnan(low)
    assert high == math.inf


def test_unknown_uncertainty():
    assert all(math.isnan(end) for end in UNKNOWN.interval(1.0, 0.95))


def test_sum_of_means():
    x, y = np.random.default_rng(0).standard_normal((2, 100))
    uncertainty = sum_of_means(x, 3.0 * y[:50])
    assert uncertainty.standard_error == pytest.approx(math.hypot(stats.sem(x), stats.sem(3.0 * y[:50])))
    assert uncertainty.degrees_of_freedom == math.inf


def test_leaving_out_single_rows_gives_the_textbook_error_of_a_mean():
    x = np.random.default_rng(0).standard_normal(60)
    uncertainty = jackknife_uncertainty(np.array([np.delete(x, i).mean() for i in range(60)]))
    assert uncertainty.standard_error == pytest.approx(stats.sem(x), rel=1e-12)
    assert uncertainty.degrees_of_freedom == 59


def test_an_estimate_that_never_changes_has_no_error():
    assert jackknife_uncertainty(np.full(20, 3.0)).standard_error == 0.0


@pytest.mark.parametrize(("n", "sizes"), [(103, {5, 6}), (20, {1}), (400, {20})])
def test_every_row_is_in_one_of_blocks_of_nearly_equal_size(n, sizes):
    labels = random_blocks(n, 20, np.random.default_rng(0))
    assert labels.shape == (n,)
    assert set(np.bincount(labels, minlength=20)) == sizes
    assert (labels != np.arange(n) % 20).any()


def test_blocks_are_those_of_the_generator():
    first, second, other = (random_blocks(100, 20, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
