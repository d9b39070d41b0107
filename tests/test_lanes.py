"""Formulas on SIMD lanes: the scalar law in every lane, whatever the shapes, the threads and the neighbours."""

import math
import tracemalloc

import exact
import numba
import numpy as np
import pytest
from mpmath import mp

import kltools as kl
from kltools import _scalar, _special
from kltools._formula import on_lanes
from kltools._jit import jit
from kltools._lanes import for_vectors
from kltools._scalar import everywhere, expm1_minus_x, select
from kltools._simd import Const, constant, load, store
from kltools.families.gaussian import kl_normal_normal

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="lanes are compiled")
RNG = np.random.default_rng(7)


@on_lanes
def weighted_log(x, scale):
    """scale log(x), or x / scale where x > 2."""
    large = x > 2.0
    if everywhere(large):
        return x / scale
    return select(large, x / scale, scale * math.log(x))


def by_loop(x, scale):
    x, scale = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(scale, dtype=float))
    values = [a / b if a > 2.0 else b * math.log(a) for a, b in zip(x.flat, scale.flat, strict=True)]
    return np.array(values).reshape(x.shape)


# ---------------------------------------------------------------- functions


def vectors_of(function):
    term = for_vectors(function)

    @jit
    def kernel(x, y, out, width):
        for i in range(0, len(x), constant(width)):
            store(out, i, term(load(x, i, width), load(y, i, width)))

    def evaluate(x, y):
        size = -len(x) % 8
        x, y = np.append(x, np.ones(size)), np.append(y, np.ones(size))
        out = np.empty(len(x))
        kernel(x, y, out, Const(8))
        return out[: len(x) - size]

    return evaluate


MAGNITUDES = np.array([m * 10.0**e for e in range(-307, 308, 7) for m in (1.0, 2.7, 9.1)])
NEAR_ONE = np.array([1.0, *(1.0 + s * 10.0**-k for k in range(1, 17) for s in (-1, 1)), *np.linspace(0.2, 3.0, 301)])
RATIOS = {
    "half_ratio_excess": (lambda r: (r - 1 - mp.log(r)) / 2),
    "half_squared_ratio_excess": (lambda r: (r * r - 1 - 2 * mp.log(r)) / 2),
}


@pytest.mark.parametrize("name", RATIOS)
def test_excesses_of_ratios_keep_relative_accuracy(name):
    a, b = np.meshgrid(np.append(MAGNITUDES, NEAR_ONE), [1e-320, 1e-300, 0.3, 1.0, 7.7, 1e200, 1.7e308])
    near = np.outer([1e-300, 0.3, 7.7, 1e200, 5e307], NEAR_ONE)
    a, b = np.append(a, near), np.append(b, np.repeat(near[:, :1], near.shape[1], axis=1))
    values = vectors_of(getattr(_scalar, name))(a, b)
    with mp.workdps(60):
        for value, x, y in zip(values, a, b, strict=True):
            truth = RATIOS[name](mp.mpf(float(x)) / mp.mpf(float(y)))
            if truth < 1.7e308:
                assert exact.relative_error(float(value), truth) <= 1e-14, (x, y)
            else:
                assert value == math.inf
    assert (values >= 0.0).all()


GAMMA_EXCESSES = {
    "log_gamma_excess": lambda a, b: mp.loggamma(b) - mp.loggamma(a) - (b - a) * mp.digamma(a),
    "log_gamma_remainder_excess": lambda a, b: (
        mp.loggamma(b) - mp.loggamma(a) - (b - a) * (mp.digamma(a) - 1) - b * mp.log(b / a)
    ),
}


@pytest.mark.parametrize("name", GAMMA_EXCESSES)
def test_excesses_of_the_gamma_function_keep_relative_accuracy(name):
    """Lanes of every kind beside each other: both arguments beyond 10, one, or none, extremes, and neighbours."""
    sizes = np.array([1e-300, 1e-8, 0.3, 2.0, 9.9, 10.1, 40.0, 1e9, 1e155, 1e300])
    a, b = (x.ravel() for x in np.meshgrid(sizes, sizes))
    steps = np.array([1e-12, -1e-8, 1e-3, -0.2, 0.5, -0.9])
    near = np.repeat(sizes[1:8], steps.size), np.outer(sizes[1:8], 1.0 + steps).ravel()
    order = RNG.permutation(a.size + near[0].size)
    a, b = np.append(a, near[0])[order], np.append(b, near[1])[order]
    values = vectors_of(getattr(_special, name))(a, b)
    with mp.workdps(700):
        for value, x, y in zip(values, a, b, strict=True):
            truth = GAMMA_EXCESSES[name](mp.mpf(float(x)), mp.mpf(float(y)))
            if truth < 1.7e308:
                assert exact.relative_error(float(value), truth) <= 3e-14, (x, y)
            else:
                assert value == math.inf


def test_expm1_minus_x_keeps_relative_accuracy():
    x = np.concatenate([np.linspace(-3, 3, 601), np.linspace(-800, 709.7, 800), [0.0, -1e300, -1e5]])
    x = np.concatenate([x, *(s * 10.0 ** np.arange(-150.0, 0.0, 3) for s in (1, -1))])

    @jit
    def ignoring_second(x, y):
        return expm1_minus_x(x) + 0.0 * y

    values = vectors_of(ignoring_second)(x, np.ones_like(x))
    with mp.workdps(400):
        errors = [exact.relative_error(float(v), mp.expm1(float(a)) - float(a)) for v, a in zip(values, x, strict=True)]
    assert max(errors) <= 6e-15
    ends = vectors_of(ignoring_second)(np.array([np.inf, -np.inf, 711.0, np.nan]), np.ones(4))
    np.testing.assert_array_equal(ends, [np.inf, np.inf, np.inf, np.nan])


# ---------------------------------------------------------------- shapes

SHAPES = [((), ()), ((3,), ()), ((3, 1), (4,)), ((2, 1, 3), (5, 1)), ((0,), ()), ((2, 0), (2, 1)), ((9, 1, 7), (2, 1))]
SHAPES += [((5, 33), (33,)), ((4, 1, 9), (3, 9)), ((70,), (70,)), ((4, 1, 16), (1, 6, 16)), ((2, 3, 4, 5), (3, 1, 1))]


@pytest.mark.parametrize("n_axes", [0, 1, 2])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_broadcasts_and_sums_like_numpy(shapes, n_axes):
    x, scale = RNG.uniform(0.1, 4.0, shapes[0]), RNG.uniform(1.0, 3.0, shapes[1])
    terms = by_loop(x, scale)
    n_axes = min(n_axes, terms.ndim)
    expected = terms.sum(axis=tuple(range(terms.ndim - n_axes, terms.ndim)))
    result = weighted_log.summed(x, scale, n_axes=n_axes)
    np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-14)
    assert np.shape(result) == np.shape(expected)


@pytest.mark.parametrize("view", [np.asfortranarray, lambda x: x[::-1][::-1], lambda x: x.astype(">f8")])
def test_memory_order_does_not_matter(view):
    x = RNG.uniform(0.1, 4.0, (6, 11))
    for n_axes in (0, 1):
        expected = weighted_log.summed(x, 2.0, n_axes=n_axes)
        np.testing.assert_array_equal(weighted_log.summed(view(x), 2.0, n_axes=n_axes), expected)


def test_float32_is_computed_in_float64():
    x = RNG.uniform(0.1, 4.0, (6, 11)).astype(np.float32)
    for n_axes in (0, 1):
        wide = weighted_log.summed(x.astype(float), 1.5, n_axes=n_axes)
        np.testing.assert_array_equal(weighted_log.summed(x, 1.5, n_axes=n_axes), wide)


@pytest.mark.parametrize("d", [1, 3, 8, 13, 32])
def test_neighbours_and_threads_change_no_bit(d):
    """Some lanes hold extremes, which are computed in another way."""
    mean, var = RNG.normal(size=(501, d)), RNG.gamma(2.0, size=(501, d))
    var[::7, 0] = 1e-310
    p, q = kl.MultivariateNormalDiag(mean=mean, var=var), kl.MultivariateNormalDiag(mean=mean[::-1], var=var[::-1])
    values = kl.kl_divergence(p, q)
    for n_jobs in (2, 3, -1):
        np.testing.assert_array_equal(kl.kl_divergence(p, q, n_jobs=n_jobs), values)
    for i in range(0, 501, 50):
        assert kl.kl_divergence(p[i], q[i]) == values[i]


FAMILIES = {
    "Gamma": lambda a, b: kl.Gamma(shape=a[:, 0], rate=b[:, 0]),
    "InverseGamma": lambda a, b: kl.InverseGamma(shape=a[:, 0], scale=b[:, 0]),
    "Chi2": lambda a, b: kl.Chi2(df=a[:, 0]),
    "Beta": lambda a, b: kl.Beta(alpha=a[:, 0], beta=b[:, 0]),
    "Dirichlet of 3": lambda a, b: kl.Dirichlet(concentration=a[:, :3]),
    "Dirichlet of 11": lambda a, b: kl.Dirichlet(concentration=a),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_neighbours_and_threads_change_no_bit_of_gamma_functions(name):
    a, b = RNG.uniform(0.01, 30.0, (2, 301, 11))
    a[::7, 0], b[::9, 0], a[::11, 1:] = 1e-200, 1e200, 1e-9
    p, q = FAMILIES[name](a, b), FAMILIES[name](a[::-1], b[::-1])
    values = kl.kl_divergence(p, q)
    assert (values >= 0.0).all()
    assert values[150] == 0.0  # itself
    for n_jobs in (2, 3, -1):
        np.testing.assert_array_equal(kl.kl_divergence(p, q, n_jobs=n_jobs), values)
    for i in range(0, 301, 25):
        assert kl.kl_divergence(p[i], q[i]) == values[i]


def test_a_float_passes_through_a_formula_as_before():
    assert float(kl_normal_normal(1.0, 1.0, 0.0, 1.0)) == kl_normal_normal.scalar(1.0, 1.0, 0.0, 1.0) == 0.5


def test_memory_of_all_pairs_is_that_of_the_result():
    batch = kl.MultivariateNormalDiag(mean=RNG.normal(size=(300, 64)), var=RNG.gamma(2.0, size=(300, 64)))
    kl.pairwise_kl(batch[:2])
    tracemalloc.start()
    result = kl.pairwise_kl(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * result.nbytes + 4 * batch.mean.nbytes
