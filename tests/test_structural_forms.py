"""Relatives of distributions made of others, and what they share with the families that say the same."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

import kltools as kl
from kltools import errors, maps

AFFINE = maps.Affine(loc=1.0, scale=-2.0)


def affinity(p, q, alpha):
    """The integral of p^a q^(1 - a) of two laws of SciPy."""
    ends = max(p.support()[0], q.support()[0]), min(p.support()[1], q.support()[1])

    def term(x):
        return math.exp(alpha * p.logpdf(x) + (1.0 - alpha) * q.logpdf(x))

    return integrate.quad(term, *ends, epsabs=0.0, epsrel=1e-10, limit=200)[0]


def check_relatives(p, q, expected):
    """`expected(alpha)` is the affinity."""
    half = expected(0.5)
    assert kl.bhattacharyya(p, q) == pytest.approx(-math.log(half), rel=1e-8)
    assert kl.hellinger(p, q) == pytest.approx(math.sqrt(1.0 - half), rel=1e-8)
    assert kl.chi_squared(p, q) == pytest.approx(expected(2.0) - 1.0, rel=1e-8)
    for alpha in (0.3, 1.5):
        assert kl.renyi(p, q, alpha=alpha) == pytest.approx(math.log(expected(alpha)) / (alpha - 1.0), rel=1e-8)
        assert kl.tsallis(p, q, alpha=alpha) == pytest.approx((expected(alpha) - 1.0) / (alpha - 1.0), rel=1e-8)


# ---------------------------------------------------------------- affinities of independent parts


def test_affinities_of_independent_parts_are_multiplied():
    p = kl.Independent(kl.Gamma(shape=[2.0, 3.0, 4.0], rate=1.0), 1)
    q = kl.Independent(kl.Gamma(shape=2.5, rate=[1.5, 1.5, 0.8]), 1)
    laws = [
        (stats.gamma(shape), stats.gamma(2.5, scale=1.0 / rate))
        for shape, rate in zip((2.0, 3.0, 4.0), (1.5, 1.5, 0.8), strict=True)
    ]
    check_relatives(p, q, lambda alpha: math.prod(affinity(*pair, alpha) for pair in laws))


def test_affinities_of_components_are_multiplied():
    p = kl.Product(kl.Normal(mean=0.0, var=1.0), kl.Exponential(rate=1.0))
    q = kl.Product(kl.Normal(mean=1.0, var=2.0), kl.Exponential(rate=0.7))
    laws = [
        (stats.norm(0.0, 1.0), stats.norm(1.0, 2.0**0.5)),
        (stats.expon(), stats.expon(scale=1.0 / 0.7)),
    ]
    check_relatives(p, q, lambda alpha: math.prod(affinity(*pair, alpha) for pair in laws))


def test_batches_of_parts():
    base_p, base_q = kl.Normal(mean=np.arange(12.0).reshape(4, 3), var=2.0), kl.Normal(mean=1.0, var=[1.0, 2.0, 3.0])
    p, q = kl.Independent(base_p, 1), kl.Independent(base_q, 1)
    expected = kl.bhattacharyya(base_p, base_q).sum(axis=-1)
    np.testing.assert_allclose(kl.bhattacharyya(p, q), expected, rtol=1e-14)
    wide, narrow = (kl.Independent(kl.Normal(mean=np.zeros(3), var=var), 1) for var in (2.0, 1.0))
    assert kl.chi_squared(wide, narrow) == math.inf
    assert kl.renyi(p, p, alpha=0.5).tolist() == [0.0] * 4


def test_parts_without_a_form():
    p, q = (kl.Independent(kl.Logistic(loc=[0.0, loc], scale=1.0), 1) for loc in (1.0, 2.0))
    pairs = [(p, q), (kl.Product(*p.base), kl.Product(*q.base))]
    pairs.append((kl.Product(kl.Normal(mean=0, var=1), p), kl.Product(p, kl.Normal(mean=0, var=1))))
    for one, other in pairs:
        with pytest.raises(errors.NoClosedFormError, match=r'estimate_divergence_monte_carlo\(p, q, "hellinger"'):
            kl.hellinger(one, other)


def test_the_total_variation_of_a_single_part():
    one, other = kl.Normal(mean=[0.0], var=1.0), kl.Normal(mean=[[1.0], [2.0]], var=1.0)
    expected = [2.0 * stats.norm.cdf(0.5) - 1.0, 2.0 * stats.norm.cdf(1.0) - 1.0]
    value = kl.total_variation(kl.Independent(one, 1), kl.Independent(other, 1))
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    two = kl.Independent(kl.Normal(mean=[0.0, 1.0], var=1.0), 1)
    with pytest.raises(errors.NoClosedFormError, match=r'monte_carlo.*"total_variation"'):
        kl.total_variation(two, two)


# ---------------------------------------------------------------- the same Gaussian, said in several ways


def ways(mean, var):
    """A Gaussian of independent coordinates."""
    normals = kl.Normal(mean=mean, var=var)
    return [
        kl.Independent(normals, 1),
        kl.Product(*normals),
        kl.Product(kl.MultivariateNormalDiag(mean=mean[:1], var=var[:1]), kl.Independent(normals[1:], 1)),
        kl.Product(kl.MultivariateNormal(mean=mean[:2], cov=np.diag(var[:2])), normals[2]),
        kl.MultivariateNormalDiag(mean=mean, var=var),
        kl.MultivariateNormal(mean=mean, cov=np.diag(var)),
    ]


def test_ways_to_say_a_gaussian():
    mean_p, mean_q = np.array([0.0, 1.0, -2.0]), np.array([0.5, 0.0, -1.0])
    var_p, var_q = np.array([1.0, 0.5, 2.0]), np.array([1.5, 0.8, 1.1])
    expected = 0.5 * (np.log(var_q / var_p) + (var_p + (mean_p - mean_q) ** 2) / var_q - 1.0).sum()
    mixed = 0.5 * (var_p + var_q)
    distance = (0.125 * (mean_p - mean_q) ** 2 / mixed + 0.5 * np.log(mixed / np.sqrt(var_p * var_q))).sum()
    n_checked = 0
    for p, q in itertools.product(ways(mean_p, var_p), ways(mean_q, var_q)):
        events = [[c.event_shape for c in law.components] for law in (p, q) if isinstance(law, kl.Product)]
        if len(events) == 2 and events[0] != events[1]:
            continue
        assert kl.kl_divergence(p, q) == pytest.approx(expected, rel=1e-13)
        assert kl.bhattacharyya(p, q) == pytest.approx(distance, rel=1e-13)
        n_checked += 1
    assert n_checked == 30
    for p in ways(mean_p, var_p):
        assert kl.kl_divergence(p, ways(mean_p, var_p)[0]) == 0.0


def test_batches_of_ways():
    p = kl.Product(kl.Normal(mean=np.arange(4.0)[:, None], var=1.0), kl.MultivariateNormal(mean=[0, 0], cov=np.eye(2)))
    q = kl.MultivariateNormal(mean=np.zeros((3, 3)), cov=np.eye(3) * np.array([1.0, 2.0, 4.0])[:, None, None])
    variances = np.array([1.0, 2.0, 4.0])
    expected = 1.5 * (np.log(variances) + 1.0 / variances - 1.0) + 0.5 * np.arange(4.0)[:, None] ** 2 / variances
    np.testing.assert_allclose(kl.kl_divergence(p, q), expected, rtol=1e-13)


def test_other_parts_beside_a_gaussian():
    laplace = kl.Independent(kl.Laplace(loc=[0.0, 1.0], scale=[1.0, 2.0]), 1)
    diagonal = kl.MultivariateNormalDiag(mean=[0.5, 0.0], var=[1.0, 2.0])
    normals = kl.Normal(mean=[0.5, 0.0], var=[1.0, 2.0])
    assert kl.kl_divergence(laplace, diagonal) == kl.kl_divergence(laplace.base, normals).sum()
    assert kl.kl_divergence(diagonal, laplace) == kl.kl_divergence(normals, laplace.base).sum()
    full = kl.MultivariateNormal(mean=[0.5, 0.0], cov=np.eye(2))
    with pytest.raises(errors.NoClosedFormError, match=r"only where p and q consist of Gaussians.*monte_carlo"):
        kl.kl_divergence(laplace, full)
    with pytest.raises(errors.NoClosedFormError, match=r"monte_carlo"):
        kl.renyi(laplace, full, alpha=0.5)


# ---------------------------------------------------------------- images under maps


@pytest.mark.parametrize("map", [maps.Exp(), maps.Sigmoid(), maps.Tanh(), AFFINE], ids=str)
def test_maps_change_no_relative(map):
    p, q = kl.Normal(mean=[0.0, 1.0], var=1.0), kl.Normal(mean=1.0, var=1.5)
    images = kl.Transformed(p, map), kl.Transformed(q, map)
    for relative in (kl.bhattacharyya, kl.hellinger, kl.chi_squared, kl.total_variation, kl.jeffreys):
        np.testing.assert_array_equal(relative(*images, method="closed_form"), relative(p, q))
    np.testing.assert_array_equal(kl.renyi(*images, alpha=3.0), kl.renyi(p, q, alpha=3.0))


def test_the_exponential_of_a_normal_number_is_log_normal():
    base = kl.Normal(mean=[0.0, -1.0], var=1.0)
    p, q = kl.Transformed(base, maps.Exp()), kl.LogNormal(mean=1.0, var=2.0)
    same = kl.LogNormal(mean=[0.0, -1.0], var=1.0)
    for relative in (kl.kl_divergence, kl.bhattacharyya, kl.chi_squared, kl.total_variation, kl.hellinger):
        np.testing.assert_array_equal(relative(p, q), relative(same, q))
        np.testing.assert_array_equal(relative(q, p), relative(q, same))
    assert kl.kl_divergence(p, same).tolist() == [0.0, 0.0]
    laplace = kl.Transformed(kl.Laplace(loc=0.0, scale=1.0), maps.Exp())
    assert kl.kl_divergence(laplace, q) == kl.kl_divergence(laplace.base, kl.Normal(mean=1.0, var=2.0))


def test_other_maps_than_the_exponential_beside_a_log_normal():
    p, q = kl.Transformed(kl.LogNormal(mean=0.0, var=1.0), maps.Affine(scale=2.0)), kl.LogNormal(mean=0.0, var=1.0)
    with pytest.raises(errors.NoClosedFormError, match=r'different maps.*method="quadrature"'):
        kl.kl_divergence(p, q)
    expected = 0.5 * math.log(2.0) ** 2  # p is log-normal with mean log 2
    assert kl.kl_divergence(p, q, method="quadrature") == pytest.approx(expected, rel=1e-9)
    affinity = math.exp(-0.125 * math.log(2.0) ** 2)
    assert kl.hellinger(p, q) == pytest.approx(math.sqrt(1.0 - affinity), rel=1e-8)
