"""Relatives of KL by draws: against closed forms and quadrature, within standard errors."""

import math
import warnings

import numpy as np
import pytest
import scalar_laws as laws

import kltools as kl
from kltools import errors

N = 40_000
P, Q = kl.Normal(mean=0, var=1), kl.Normal(mean=0.7, var=1.5)
OPTIONS = {"renyi": {"alpha": 0.7}, "tsallis": {"alpha": 1.3}, "jensen_shannon": {"weights": (0.3, 0.7)}}
NAMES = (
    "jeffreys",
    "jensen_shannon",
    "total_variation",
    "hellinger",
    "bhattacharyya",
    "chi_squared",
    "renyi",
    "tsallis",
)


def estimated(p, q, name, n=N, seed=0, **options):
    return kl.estimate_divergence_monte_carlo(p, q, name, n_samples=n, random_state=seed, **options)


def exact(p, q, name):
    if name == "kl":
        return kl.kl_divergence(p, q)
    return getattr(kl, name)(p, q, **OPTIONS.get(name, {}))


@pytest.mark.parametrize("name", ["kl", "cross_entropy", *NAMES])
@pytest.mark.parametrize(
    ("p", "q"),
    [(P, Q), (Q, P), (kl.Categorical(probs=[0.2, 0.3, 0.5]), kl.Categorical(probs=[0.4, 0.4, 0.2]))],
    ids=["PQ", "QP", "categories"],
)
def test_within_standard_errors(p, q, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.UnreliableEstimateWarning)  # chi squared of q from p
        found = estimated(p, q, name, **OPTIONS.get(name, {}))
    assert found.standard_error > 0.0
    assert abs(found.value - exact(p, q, name)) <= 5 * found.standard_error
    assert (found.n_p, found.n_q, found.d, found.method) == (N, N, 1, "monte_carlo")


@pytest.mark.parametrize("name", ["jensen_shannon", "hellinger", "renyi"])
def test_standard_errors_are_those_of_repetitions(name):
    found = [estimated(P, Q, name, n=500, seed=seed, **OPTIONS.get(name, {})) for seed in range(200)]
    spread = np.std([each.value for each in found], ddof=1)
    assert np.mean([each.standard_error for each in found]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("name", NAMES)
def test_equals_are_exactly_0_apart(name):
    found = estimated(P, P, name, n=100, **OPTIONS.get(name, {}))
    assert (found.value, found.standard_error) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["jensen_shannon", "total_variation", "hellinger", "bhattacharyya"])
def test_several_dimensions_and_mixtures(name):
    """Of a mixture and itself shifted along an axis that its components share: one coordinate decides."""
    means = np.array([[0.0, -2.0], [0.0, 2.0]])
    p, q = (
        kl.GaussianMixture(weights=[0.5, 0.5], means=means + np.array([m, 0.0]), covs=np.ones((2, 2)))
        for m in (0.0, 1.5)
    )
    found = estimated(p, q, name)
    truth = getattr(kl, name)(kl.Normal(mean=0, var=1), kl.Normal(mean=1.5, var=1))
    assert abs(found.value - truth) <= 5 * found.standard_error
    assert found.d == 2


def test_far_apart():
    p, q = (kl.MultivariateNormalDiag(mean=[m, 0], var=[1, 1]) for m in (0, 6))
    found = estimated(p, q, "bhattacharyya")
    assert abs(found.value - 4.5) <= 5 * found.standard_error
    assert estimated(p, q, "total_variation").value == pytest.approx(1.0, abs=0.01)


def test_near_equality_the_error_is_relative():
    for name in ("jensen_shannon", "bhattacharyya", "chi_squared", "jeffreys"):
        found = estimated(P, kl.Normal(mean=1e-6, var=1), name)
        assert found.standard_error < 0.02 * found.value
        truth = getattr(kl, name)(P, kl.Normal(mean=1e-6, var=1))
        assert abs(found.value - truth) <= 5 * found.standard_error


def test_f_divergence():
    found = estimated(P, Q, "f_divergence", f=lambda t: abs(t - 1) / 2)
    assert found.value == pytest.approx(estimated(P, Q, "total_variation").value, rel=1e-10)


def test_units():
    nats, bits = (estimated(P, Q, "jensen_shannon", unit=unit) for unit in ("nats", "bits"))
    assert bits.value == pytest.approx(nats.value / math.log(2))
    assert bits.standard_error == pytest.approx(nats.standard_error / math.log(2))
    assert estimated(P, Q, "hellinger", unit="bits").unit is None


def test_the_seed_decides():
    assert estimated(P, Q, "renyi", alpha=2).value == estimated(P, Q, "renyi", alpha=2).value
    assert estimated(P, Q, "renyi", alpha=2).value != estimated(P, Q, "renyi", alpha=2, seed=1).value


def test_no_common_place():
    p, q = kl.Categorical(probs=[0.5, 0.5]), kl.Categorical(probs=[1.0, 0.0])
    for name in ("chi_squared", "jeffreys", "kl"):
        with pytest.warns(errors.InfiniteDivergenceWarning, match="inf"):
            found = estimated(p, q, name)
        assert found.value == math.inf
        assert found.support_mismatch
    assert estimated(p, q, "jensen_shannon").value == pytest.approx(kl.jensen_shannon(p, q), abs=0.02)


def test_heavy_terms_are_told():
    with pytest.warns(errors.UnreliableEstimateWarning, match="k-hat"):
        found = estimated(kl.Normal(mean=0, var=1.9), kl.Normal(mean=0, var=1), "chi_squared")
    assert found.reliable is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert estimated(P, Q, "jensen_shannon").reliable is None


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((P, Q, "js"), {}, errors.InvalidParameterError, "name must be one of"),
        ((P, Q, "renyi"), {}, errors.InvalidParameterError, "needs alpha="),
        ((P, Q, "renyi"), {"alpha": 1}, errors.InvalidParameterError, "alpha=1 is KL"),
        (
            (P, Q, "hellinger"),
            {"alpha": 2},
            errors.InvalidParameterError,
            'alpha is an option of "renyi" and "tsallis"',
        ),
        ((P, Q, "renyi"), {"alpha": 2, "weights": (0.5, 0.5)}, errors.InvalidParameterError, "weights is an option"),
        ((P, Q, "f_divergence"), {}, errors.InvalidParameterError, "needs f="),
        ((P, Q, "kl"), {"n": 1}, errors.InvalidParameterError, "n_samples"),
        ((P, Q, "kl"), {"unit": "bit"}, errors.InvalidParameterError, "unit"),
        ((P[None], Q, "kl"), {}, errors.ShapeMismatchError, "single distribution"),
        ((P, kl.MultivariateNormalDiag(mean=[0], var=[1]), "kl"), {}, errors.ShapeMismatchError, "events differ"),
        ((P, kl.Categorical(probs=[0.5, 0.5]), "kl"), {}, errors.InvalidTypeError, "densities"),
        ((P, [1.0], "kl"), {}, errors.InvalidTypeError, "q is a list"),
        ((laws.Cauchy(loc=0, scale=1), P, "kl"), {}, NotImplementedError, "_sample"),
    ],
    ids=str,
)
def test_wrong_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        estimated(*arguments, **options)
