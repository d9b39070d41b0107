"""What is made of distances at once: logarithms of ratios, chosen neighbours and ties."""

import math

import naive
import numpy as np
import pytest

from kltools.neighbors import Reference
from kltools.neighbors.neighborhood import Search
from kltools.neighbors.reductions import log_ratio_moments, log_ratios

SIZES = (1, 7, 8, 9, 4095, 4096, 4097, 9000)


def positive(n, seed=0, spread=3.0):
    return np.exp(np.random.default_rng(seed).normal(0.0, spread, n))


@pytest.mark.parametrize("n", SIZES)
def test_logarithms_of_ratios(n):
    a, b = positive(n), positive(n, seed=1)
    expected = [math.log(x / y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(log_ratios(a, b), expected, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("n", SIZES)
def test_moments(n):
    a, b = positive(n), positive(n, seed=1)
    terms = [math.log(x / y) for x, y in zip(a, b, strict=True)]
    mean = math.fsum(terms) / n
    moments = log_ratio_moments(a, b)
    assert moments.count == n
    assert moments.mean == pytest.approx(mean, rel=1e-13, abs=1e-15)
    assert moments.squares == pytest.approx(math.fsum((x - mean) ** 2 for x in terms), rel=1e-12, abs=1e-20)


def test_ratios_beyond_float64():
    a = np.array([1e200, 1e-200, 5e-324, 1.7e308, 1.0, 2.0, 1e300, 1e-300, 3.0] * 5)
    b = np.array([1e-200, 1e200, 1e300, 5e-324, 1.0, 1.0, 1e-5, 1e5, 7.0] * 5)
    expected = [math.log(x) - math.log(y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(log_ratios(a, b), expected, rtol=1e-15, atol=1e-16)


def test_zero_and_inf():
    a = np.array([0.0, 1.0, 0.0, np.inf] + [1.0] * 8)
    b = np.array([1.0, 0.0, 0.0, 1.0] + [1.0] * 8)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(log_ratios(a, b), np.log(a) - np.log(b))


def test_a_common_power_of_two_changes_no_bit():
    a, b = positive(5000), positive(5000, seed=1)
    np.testing.assert_array_equal(log_ratios(a, b), log_ratios(np.ldexp(a, -900), np.ldexp(b, -900)))


@pytest.mark.parametrize("n_jobs", [2, 5])
def test_threads_change_no_bit(n_jobs):
    a, b = positive(300_000), positive(300_000, seed=1)
    assert log_ratio_moments(a, b, n_jobs) == log_ratio_moments(a, b)


# ---------------------------------------------------------------- chosen neighbours


@pytest.mark.parametrize("d", [1, 2, 12])
@pytest.mark.parametrize("lattice", [False, True])
def test_neighborhoods(d, lattice):
    rng = np.random.default_rng(d)
    X, Y = rng.normal(size=(90, d)), rng.normal(size=(110, d))
    if lattice:
        X, Y = X.round(), Y.round()
    ks = (1, 4, 20)
    own, other = Reference(X), Reference(Y)
    for found, table in (
        (Search(ks).among(own), naive.kth_distances(own.points, k=89)),
        (Search(ks).of(own.points, other), naive.kth_distances(own.points, Y, k=110)),
    ):
        for row, k in enumerate(ks):
            np.testing.assert_allclose(found.distances[row], table[:, k - 1], rtol=1e-15)
            np.testing.assert_array_equal(found.tied[row], [naive.is_tied(distances, k) for distances in table])
        np.testing.assert_array_equal(found.at_zero, table[:, 0] == 0.0)
        assert found.n_at_zero == (table[:, 0] == 0.0).sum()


@pytest.mark.parametrize("d", [1, 3, 20])
def test_parts_make_the_whole(d):
    rng = np.random.default_rng(0)
    own, other = Reference(rng.normal(size=(3000, d))), Reference(rng.normal(size=(2500, d)))
    whole, parts = Search((3, 5)), Search((3, 5), memory_limit=1)
    assert parts.rows_at_once(6) < 3000 < whole.rows_at_once(6)
    for search in ("among", "of"):
        arguments = (own,) if search == "among" else (own.points, other)
        a, b = getattr(whole, search)(*arguments), getattr(parts, search)(*arguments)
        np.testing.assert_array_equal(a.distances, b.distances)
        np.testing.assert_array_equal(a.tied, b.tied)
        np.testing.assert_array_equal(a.at_zero, b.at_zero)
