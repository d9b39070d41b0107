"""Integrals of powers of near members of exponential families, for any order, against mpmath."""

import itertools
import math

import numpy as np
import pytest
from exact import relative_error
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from test_affinities import exact

import kltools as kl
from kltools._bridge import gamma_rest, gamma_rest_drop

ALPHAS = (1e-15, 1e-8, 1e-3, 0.5, 0.999, 1.0 - 1e-6, 1.0 + 1e-9, 1.01, 2.0, 7.0)
DISTANCES = (0.0, 1e-12, 1e-9, 1e-5, 0.03, 0.3)
LAWS = {
    "Gamma": [{"shape": a, "rate": b} for a, b in ((1e-9, 1.0), (0.3, 1e9), (2.5, 1e-20), (11.9, 2.0), (1e9, 1e9))],
    "InverseGamma": [{"shape": a, "scale": b} for a, b in ((1e-9, 1e-3), (2.5, 1.0), (1e6, 1e9))],
    "Chi2": [{"df": df} for df in (1e-9, 2.5, 1.3e6)],
    "Beta": [
        {"alpha": a, "beta": b}
        for a, b in ((1e-9, 1e-9), (7.5e-4, 720944.0), (1.0, 1e-9), (1e12, 1.0), (2.0, 3.0), (15.9, 16.1), (1e9, 1e6))
    ],
    "Dirichlet": [{"concentration": a} for a in ([1.0, 2.0, 3.0], [1e-5, 7.0, 1e5], [1e-9, 1e-9, 1.0])],
}


def moved(law, distance, directions):
    """Parameters that are so much larger in their logarithms; the next numbers at a distance of 0."""
    if distance == 0.0:
        return {key: np.nextafter(value, math.inf).tolist() for key, value in law.items()}
    pairs = zip(law.items(), directions, strict=True)
    return {key: (np.asarray(value) * np.exp(distance * u)).tolist() for (key, value), u in pairs}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("distance", DISTANCES)
def test_no_order_and_no_nearness_costs_digits(name, distance):
    cls, rng = getattr(kl, name), np.random.default_rng(7)
    with mp.workdps(110):
        for law in LAWS[name]:
            sizes = [np.shape(value) for value in law.values()]
            apart, together = [rng.normal(size=size) for size in sizes], [1.0] * len(sizes)
            for directions, alpha in itertools.product((apart, together), ALPHAS):
                other = moved(law, distance, directions)
                for p, q in ((law, other), (other, law)):
                    truth = exact(name, p, q, alpha) / (mp.mpf(alpha) - 1)
                    found = kl.renyi(cls(**p), cls(**q), alpha=alpha, method="closed_form")
                    assert relative_error(found, truth) <= 1e-12, (p, q, alpha)


@pytest.mark.parametrize("name", ["Wishart", "InverseWishart"])
@pytest.mark.parametrize("distance", DISTANCES[1::2])
@pytest.mark.parametrize("d", [1, 3])
def test_near_laws_of_matrices(name, distance, d):
    cls, rng = getattr(kl, name), np.random.default_rng(8)
    root, change = rng.normal(size=(2, d, d))
    scale, change = root @ root.T, 0.3 * root @ (change + change.T) @ root.T / np.linalg.norm(change + change.T)
    scale, change = (np.tril(a) + np.tril(a, -1).T for a in (scale, change))
    with mp.workdps(110):
        for df in (d - 0.9, 5.5, 1e6):
            for more, steps in ((df * (1.0 + distance), change), (df, change), (df * (1.0 + distance), 0.0 * change)):
                laws = {"df": df, "scale": scale.tolist()}, {"df": more, "scale": (scale + distance * steps).tolist()}
                for (p, q), alpha in itertools.product((laws, laws[::-1]), ALPHAS):
                    truth = exact(name, p, q, alpha) / (mp.mpf(alpha) - 1)
                    found = kl.renyi(cls(**p), cls(**q), alpha=alpha)
                    assert relative_error(found, truth) <= 1e-12 * np.linalg.cond(scale), (p, q, alpha)


@pytest.mark.parametrize("name", LAWS)
def test_every_relative_of_near_laws(name):
    cls = getattr(kl, name)
    for law in LAWS[name]:
        with mp.workdps(110):
            other = moved(law, 1e-9, [1.0] * len(law))
            half, double = exact(name, law, other, 0.5), exact(name, law, other, 2.0)
            p, q = cls(**law), cls(**other)
            assert relative_error(kl.bhattacharyya(p, q), -half) <= 1e-13
            assert relative_error(kl.hellinger(p, q), mp.sqrt(-mp.expm1(half))) <= 1e-13
            assert relative_error(kl.chi_squared(p, q), mp.expm1(double)) <= 1e-13
            tsallis = mp.expm1(exact(name, law, other, 1e-6)) / (mp.mpf(1e-6) - 1)
            assert relative_error(kl.tsallis(p, q, alpha=1e-6), tsallis) <= 1e-13


@given(st.floats(-12, 12), st.floats(-12, 12))
def test_rest_of_the_curvature(log_x, log_step):
    x, step = 10.0**log_x, 10.0**log_step
    with mp.workdps(60):
        rest = [mp.mpf(a) ** 2 * mp.psi(1, a) - a for a in (mp.mpf(x), mp.mpf(x) + mp.mpf(step))]
        assert relative_error(gamma_rest(x), rest[0]) <= 1e-14
        drop = gamma_rest_drop(x, step)
        assert abs(drop - (rest[0] - rest[1])) <= 1e-14 * min(1.0, step)  # beside step / (x + step) / 2 that is nothing


SMALL = (1e-4, 1e-6, 1e-8, 1e-10, 1e-15)


@pytest.mark.parametrize("alpha", SMALL)
@pytest.mark.parametrize(
    ("name", "p", "q"),
    [
        ("LogNormal", {"mean": 0.0, "var": 1.0}, {"mean": 1.0, "var": 2.0}),
        ("LogNormal", {"mean": 0.0, "var": 2.0}, {"mean": 0.0, "var": 1.1}),
        ("LogNormal", {"mean": 0.0, "var": 1e-300}, {"mean": 0.0, "var": 1.0}),
        ("LogNormal", {"mean": 0.0, "var": 1.0}, {"mean": 3.0, "var": 1e-300}),
        ("Geometric", {"probs": 0.5442}, {"probs": 0.8079}),
        ("Exponential", {"rate": 1e-100}, {"rate": 1e100}),
        ("Exponential", {"rate": 1e200}, {"rate": 1e-100}),
        ("HalfNormal", {"scale": 1e-100}, {"scale": 1e100}),
        ("Rayleigh", {"scale": 1e100}, {"scale": 1e-100}),
        ("Weibull", {"shape": 3.7, "scale": 1e90}, {"shape": 3.7, "scale": 1e-90}),
        ("Poisson", {"rate": 3.0}, {"rate": 4.0}),
        ("Bernoulli", {"probs": 0.3}, {"probs": 0.4}),
        ("Gamma", {"shape": 2.0, "rate": 1.0}, {"shape": 30.0, "rate": 7.0}),
    ],
)
def test_small_orders(name, p, q, alpha):
    cls = getattr(kl, name)
    with mp.workdps(700):
        truth = exact(name, p, q, alpha) / (mp.mpf(alpha) - 1)
        assert relative_error(kl.renyi(cls(**p), cls(**q), alpha=alpha), truth) <= 1e-13
        truth = mp.expm1(truth * (mp.mpf(alpha) - 1)) / (mp.mpf(alpha) - 1)
        assert relative_error(kl.tsallis(cls(**p), cls(**q), alpha=alpha), truth) <= 1e-13


@pytest.mark.parametrize("alpha", SMALL)
def test_small_orders_of_gaussians(alpha):
    p, q = {"mean": 0.0, "var": 1.0}, {"mean": 1.0, "var": 2.0}
    with mp.workdps(60):
        truth = exact("LogNormal", p, q, alpha) / (mp.mpf(alpha) - 1)
        assert relative_error(kl.renyi(kl.Normal(**p), kl.Normal(**q), alpha=alpha), truth) <= 1e-15
        diagonal = [kl.MultivariateNormalDiag(mean=2 * [a["mean"]], var=2 * [a["var"]]) for a in (p, q)]
        assert relative_error(kl.renyi(*diagonal, alpha=alpha), 2 * truth) <= 1e-15
        assert relative_error(kl.renyi(*(law.to_full() for law in diagonal), alpha=alpha), 2 * truth) <= 2e-15
