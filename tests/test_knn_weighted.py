"""Weights over numbers of neighbours: against their conditions, and against the estimates they add."""

import math
import warnings

import mpmath
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import kltools as kl
from kltools import errors
from kltools.estimators.knn_weighted import cancelling_weights


@pytest.fixture(autouse=True)
def _only_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        yield


def normals(seed, n, m, d, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((m, d)) + shift


def weighted(X, Y, **options):
    return kl.estimate_kl(X, Y, method="knn_weighted", random_state=0, **options)


def conditions(ks, d):
    """Rows of the conditions, by mpmath."""
    rows = [[mpmath.gamma(k + mpmath.mpf(2 * order) / d) / mpmath.gamma(k) for k in ks] for order in range(d // 4 + 1)]
    return np.array(rows, dtype=float)


@settings(derandomize=True, deadline=None, database=None, max_examples=40)
@given(ks=st.sets(st.integers(1, 200), min_size=3, max_size=12), d=st.integers(1, 11))
def test_weights_meet_the_conditions(ks, d):
    ks = tuple(sorted(ks))
    weights = cancelling_weights(ks, d)
    rows = conditions(ks, d)
    assert weights.sum() == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(rows[1:] @ weights, 0.0, atol=1e-7 * rows.max() * np.abs(weights).sum())


@pytest.mark.parametrize(("ks", "d"), [((3, 9), 2), ((5, 10, 15, 20), 4), ((2, 5, 7, 10, 12, 15, 17, 20), 8)])
def test_weights_have_the_least_norm(ks, d):
    rows = conditions(ks, d)
    rows /= rows.max(axis=1, keepdims=True)
    wanted = np.eye(len(rows))[0] / 1.0
    found = minimize(
        lambda w: w @ w,
        np.full(len(ks), 1 / len(ks)),
        jac=lambda w: 2 * w,
        constraints={"type": "eq", "fun": lambda w: rows @ w - wanted, "jac": lambda w: rows},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(cancelling_weights(ks, d), found.x, rtol=1e-4, atol=1e-4)


def test_too_few_numbers_of_neighbors_have_no_weights():
    assert cancelling_weights((5,), 4) is None
    assert cancelling_weights((5,), 3) == pytest.approx([1.0])


@pytest.mark.parametrize(("ks", "d"), [((1, 4, 9), 2), ((3, 8, 12, 20), 4)])
def test_value_adds_naive_estimates(ks, d):
    X, Y = normals(0, 60, 70, d, 0.5)
    expected = sum(w * naive.knn_divergence(X, Y, (k,)) for w, k in zip(cancelling_weights(ks, d), ks, strict=True))
    estimate = weighted(X, Y, n_neighbors=ks, scale="none")
    assert estimate.value == pytest.approx(expected, abs=1e-9)
    assert estimate.n_neighbors == ks
    assert list(estimate.diagnostics["weight_by_n_neighbors"]) == list(ks)


def test_standard_error_is_a_block_jackknife_of_the_weighted_estimate():
    X, Y = normals(1, 80, 60, 4, 0.3)
    ks = (3, 8, 15)
    weights = cancelling_weights(ks, 4)
    rng = np.random.default_rng(int(np.random.default_rng(0).integers(2**63)))
    labels = [rng.permutation(len(Z)) % 20 for Z in (X, Y)]

    def statistic(x, y):
        return sum(w * naive.knn_divergence(x, y, (k,)) for w, k in zip(weights, ks, strict=True))

    expected = naive.block_jackknife(statistic, (X, Y), labels, 20)
    assert weighted(X, Y, n_neighbors=ks, scale="none").standard_error == pytest.approx(expected, rel=1e-8)


def test_less_bias_than_the_plain_average():
    truth, plain, ours = 0.625, [], []
    for seed in range(8):
        X, Y = normals(seed, 2000, 2000, 5, 0.5)
        ours.append(weighted(X, Y).value)
        plain.append(kl.estimate_kl(X, Y, method="knn", n_neighbors=weighted(X, Y).n_neighbors).value)
    assert abs(np.mean(ours) - truth) < 0.6 * abs(np.mean(plain) - truth)


@pytest.mark.parametrize("d", [8, 20, 50])
def test_large_weights_are_not_used(d):
    """Errors of 2 to 230 nats otherwise."""
    X, Y = normals(2, 300, 300, d, 0.3)
    with pytest.warns(errors.KLToolsWarning, match=f"in {d} features .* averaged instead"):
        estimate = weighted(X, Y)
    plain = kl.estimate_kl(X, Y, method="knn", n_neighbors=estimate.n_neighbors)
    assert estimate.value == pytest.approx(plain.value, abs=1e-9)
    assert set(estimate.diagnostics["weight_by_n_neighbors"].values()) == {1 / len(estimate.n_neighbors)}


def test_known_q_and_tiny_samples():
    X, Y = normals(3, 1000, 1000, 1)
    assert abs(weighted(X, kl.Normal(mean=0, var=1)).value) < 0.15
    for n, m in ((2, 1), (3, 5), (20, 4)):
        assert math.isfinite(weighted(X[:n], Y[:m]).value)
    with pytest.raises(errors.NotEnoughSamplesError, match="n_neighbors=50"):
        weighted(X[:20], Y, n_neighbors=50)
