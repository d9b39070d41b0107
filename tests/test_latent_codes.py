"""Latent spaces of which only codes are known: no dependence of units is lost, and the error covers what is told."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kltools as kl
from kltools.latents.drawn import _added, paired_units
from kltools.latents.priors import prior_of

COV = np.array([[1.2, 0.6], [0.6, 1.4]])


def from_standard(cov):
    """KL(N(0, cov) || N(0, I))"""
    cov = np.atleast_2d(cov)
    return 0.5 * (np.trace(cov) - len(cov) - np.linalg.slogdet(cov)[1])


def aggregate(z, seed=0):
    return kl.latent_report(None, None, z, random_state=seed).aggregate_kl


def equicorrelated(d, r):
    return (1.0 - r) * np.eye(d) + r


def curved(rng, n, b):
    """A unit whose mean is a parabola of another one, without a linear correlation; the truth is -log(1 - b^2) / 2."""
    z = rng.normal(size=(n, 5))
    z[:, 3] = b * (z[:, 1] ** 2 - 1.0) / math.sqrt(2.0) + math.sqrt(1.0 - b * b) * z[:, 3]
    return z


def two_signs(rng, n, r):
    """Units correlated by r or by -r, with a coin thrown for each row."""
    z, sign = rng.normal(size=(n, 5)), rng.choice([-1.0, 1.0], n)
    z[:, 2] = sign * r * z[:, 0] + math.sqrt(1.0 - r * r) * z[:, 2]
    return z


def test_dependence_of_a_unit_that_differs_and_one_that_does_not():
    z = np.random.default_rng(18).multivariate_normal([0.0, 0.0], COV, size=2000)
    for seed in range(4):
        found = aggregate(z, seed)
        assert found.value == pytest.approx(from_standard(COV), abs=3.0 * found.standard_error)
        assert found.standard_error < 0.02


@pytest.mark.parametrize(("d", "r", "least"), [(2, 0.5, 0.8), (4, 0.2, 0.8), (4, 0.0, 0.6)])
def test_what_other_units_add_is_told_with_its_error(d, r, least):
    """Of 100 samples; the truth is a difference of closed forms. Where it is 0 the error is too large, by root 2."""
    cov = equicorrelated(d, r)
    active = np.arange(d) < d // 2
    truth = from_standard(cov) - from_standard(cov[np.ix_(active, active)])
    law, z = prior_of(None, d), []
    for seed in range(100):
        rows = np.random.default_rng(seed).multivariate_normal(np.zeros(d), cov, size=400)
        found = _added(rows, law, active)
        z.append((found.value - truth) / found.standard_error)
    assert least < np.sqrt(np.mean(np.square(z))) < 1.25
    assert abs(np.mean(z)) < 0.35


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_what_other_units_add_in_other_units(scale):
    """Codes and prior in units of their own: the divergence is the same."""
    rows = np.random.default_rng(0).multivariate_normal([0.0, 0.0], COV, size=300)
    scales = np.array([1.0 / scale, scale])
    expected = _added(rows, prior_of(None, 2), np.array([True, False]))
    prior = prior_of(kl.MultivariateNormalDiag(mean=[0.0, 0.0], var=scales**2), 2)
    found = _added(rows * scales, prior, np.array([True, False]))
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-9)


def test_a_unit_that_repeats_another_is_infinitely_far():
    z = np.random.default_rng(0).normal(size=(500, 3))
    z[:, 2] = z[:, 0]
    assert aggregate(z).value == math.inf
    assert _added(z, prior_of(None, 3), np.array([True, True, False])).value == math.inf


@pytest.mark.parametrize(
    ("draw", "strength", "truth"),
    [(curved, 0.5, -0.5 * math.log(0.75)), (curved, 0.3, -0.5 * math.log(0.91))],
)
def test_dependence_that_is_not_linear(draw, strength, truth):
    z = []
    for seed in range(6):
        found = aggregate(draw(np.random.default_rng(seed), 2000, strength), seed)
        z.append((found.value - truth) / found.standard_error)
    assert np.sqrt(np.mean(np.square(z))) < 1.6


@pytest.mark.parametrize(("draw", "strength", "pair"), [(curved, 0.3, {1, 3}), (two_signs, 0.6, {0, 2})])
def test_pairs_are_found(draw, strength, pair):
    found = [set(np.flatnonzero(paired_units(draw(np.random.default_rng(seed), 2000, strength)))) for seed in range(20)]
    assert found.count(pair) >= 19


def test_pairs_are_not_found_where_there_are_none():
    n_false = sum(paired_units(np.random.default_rng(seed).normal(size=(200, 6))).any() for seed in range(300))
    assert n_false <= 10  # 3 standard errors above the 1% of the bound


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(-0.9, 0.9))
def test_pairs_do_not_depend_on_scales(seed, r):
    z = np.random.default_rng(seed).multivariate_normal([0.0, 0.0], equicorrelated(2, r), size=100)
    np.testing.assert_array_equal(paired_units(z), paired_units(np.column_stack([np.exp(z[:, 0]), z[:, 1] ** 3])))


def test_constant_codes_are_named():
    z = np.random.default_rng(0).normal(size=(300, 3))
    z[:, 1] = 0.25
    found = kl.latent_report(None, None, z, random_state=0)
    assert found.aggregate_kl.value == math.inf
    assert any("of 1 is inf: the codes there are constant" in text for text in found.warnings)


def test_more_units_than_rows():
    z = np.random.default_rng(0).normal(size=(20, 25))
    z[:, 0] *= 10.0
    with pytest.raises(kl.NotEnoughSamplesError, match=r"z has 20 rows.*25 units"):
        kl.latent_report(None, None, z, random_state=0)
