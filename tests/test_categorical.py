"""Categorical distributions: zeros, infinities and accuracy of the divergence, logits and counts."""

import math

import exact
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kltools as kl
from kltools import errors


def divergence(p, q):
    return kl.kl_divergence(kl.Categorical(probs=p), kl.Categorical(probs=q))


def relative_error(p, q):
    """Against the probabilities as they are stored."""
    p, q = kl.Categorical(probs=p), kl.Categorical(probs=q)
    return exact.relative_error(kl.kl_divergence(p, q), exact.kl_categorical(p.probs.tolist(), q.probs.tolist()))


ZEROS = [
    ([1.0, 0.0], [0.5, 0.5], math.log(2)),
    ([0.5, 0.5], [1.0, 0.0], math.inf),
    ([0.5, 0.5, 0.0], [0.5, 0.5, 0.0], 0.0),
    ([0.0, 1.0], [1.0, 0.0], math.inf),
    ([0.5, 0.5], [1.0 - 2**-53, 5e-324], 0.5 * math.log(0.5) + 0.5 * (math.log(0.5) - math.log(5e-324))),
    ([5e-324, 1.0], [0.0, 1.0], math.inf),
    ([1.0], [1.0], 0.0),
]


@pytest.mark.parametrize(("p", "q", "truth"), ZEROS)
def test_zeros(p, q, truth):
    assert divergence(p, q) == pytest.approx(truth, rel=1e-14, abs=0)


@pytest.mark.parametrize("k", range(1, 17))
def test_near_equal(k):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        p = rng.dirichlet(np.ones(6))
        q = p * np.exp(10.0**-k * rng.normal(size=6))
        assert relative_error(p, q / q.sum()) <= 1e-13


@pytest.mark.parametrize("n_categories", [2, 3, 10, 1000])
def test_log_spaced_probabilities(n_categories):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        p, q = 10.0 ** rng.uniform(-320, 0, (2, n_categories))
        assert relative_error(p / p.sum(), q / q.sum()) <= 1e-13


weights = st.lists(st.floats(2.0**-20, 1.0, width=32), min_size=2, max_size=6)


@given(weights, st.data())
@settings(deadline=None, derandomize=True, max_examples=150)
def test_is_never_negative_and_zero_only_for_equals(first, data):
    second = data.draw(st.lists(st.floats(2.0**-20, 1.0, width=32), min_size=len(first), max_size=len(first)))
    p, q = (np.array(w) / np.sum(w) for w in (first, second))
    assert divergence(p, q) >= 0.0
    assert (divergence(p, q) == 0.0) == bool((p == q).all())


def test_probabilities_are_not_normalised():
    for probs in ([0.5, 0.6], [1.0, 1.0], [5.0, 5.0], [0.9, 0.05], [0.0, 0.0]):
        with pytest.raises(errors.InvalidParameterError, match="sum to 1"):
            kl.Categorical(probs=probs)
    single = np.full(3, 1.0 / 3.0, np.float32)
    assert divergence(single, single) == 0.0


# ---------------------------------------------------------------- logits and counts


def test_logits_are_probabilities_up_to_a_factor():
    logits = np.array([[0.0, 1.0, -2.0], [700.0, 701.0, 698.0], [-1e5, -1e5 + 1, -1e5 - 2]])
    p = kl.Categorical.from_logits(logits=logits)
    np.testing.assert_allclose(p.probs, np.tile(np.exp([0, 1, -2]) / np.exp([0, 1, -2]).sum(), (3, 1)), rtol=1e-14)
    np.testing.assert_allclose(np.exp(p.log_probs), p.probs, rtol=1e-14)
    np.testing.assert_array_equal(kl.Categorical.from_logits(logits=[-math.inf, 3.0]).probs, [0.0, 1.0])


def test_logits_carry_probabilities_that_underflow():
    even, far = kl.Categorical(probs=[0.5, 0.5]), kl.Categorical.from_logits(logits=[-2000.0, 0.0])
    assert kl.kl_divergence(even, far) == pytest.approx(1000.0 - math.log(2), rel=1e-14, abs=0)
    assert kl.kl_divergence(far, even) == pytest.approx(math.log(2), rel=1e-14, abs=0)
    assert kl.kl_divergence(far, far) == 0.0
    assert far.log_prob(0) == -2000.0
    assert kl.kl_divergence(even, far[None])[0] == kl.kl_divergence(even, far)


def test_a_probability_that_underflows_is_not_zero():
    """exp(-2000) > 0 of p where q has none: the divergence is infinite, however little the mass."""
    far, never = kl.Categorical.from_logits(logits=[-2000.0, 0.0]), kl.Categorical(probs=[0.0, 1.0])
    assert kl.kl_divergence(far, never) == math.inf
    assert kl.kl_divergence(never, never) == kl.kl_divergence(never, far) == 0.0


@pytest.mark.parametrize(
    "logits", [[0.0, math.nan], [math.inf, 0.0], [-math.inf, -math.inf], 1.0, [], [[0, 1], [-math.inf] * 2]]
)
def test_logits_that_are_none(logits):
    with pytest.raises(errors.InvalidParameterError, match="logits of Categorical"):
        kl.Categorical.from_logits(logits=logits)


def test_counts_become_frequencies():
    p = kl.Categorical.from_counts(counts=[[1, 3, 0], [2, 2, 4]])
    np.testing.assert_array_equal(p.probs, [[0.25, 0.75, 0.0], [0.25, 0.25, 0.5]])
    np.testing.assert_array_equal(kl.kl_divergence(p, p[0]), [0.0, math.inf])


@pytest.mark.parametrize(
    "counts", [[0, 0], [3, -1], [1.0, math.nan], [1.0, math.inf], [1e308, 1e308], [[1, 2], [0, 0]]], ids=str
)
def test_counts_that_are_none(counts):
    with pytest.raises(errors.InvalidParameterError, match="counts of Categorical"):
        kl.Categorical.from_counts(counts=counts)


def test_a_single_count_is_no_distribution():
    with pytest.raises(errors.ShapeMismatchError, match="Categorical"):
        kl.Categorical.from_counts(counts=3)


# ---------------------------------------------------------------- categories


def test_log_prob_outside_the_categories():
    p = kl.Categorical(probs=[0.25, 0.75])
    expected = [math.log(0.25), math.log(0.75), -math.inf, -math.inf, -math.inf]
    np.testing.assert_allclose(p.log_prob([0, 1, 2, -1, 0.5]), expected, rtol=1e-15)


def test_draws_never_fall_on_a_zero():
    p = kl.Categorical(probs=[0.0, 0.5, 0.0, 0.5, 0.0])
    assert set(p.sample(2000, random_state=0)) == {1.0, 3.0}
    assert set(kl.Categorical(probs=[0.0, 1.0, 0.0]).sample(200, random_state=0)) == {1.0}


def test_entropy_with_zeros():
    p = kl.Categorical(probs=[[1.0, 0.0], [0.5, 0.5]])
    np.testing.assert_allclose(p.entropy(), [0.0, math.log(2)], rtol=1e-15)


def test_a_divergence_from_uniform_is_the_lacking_entropy():
    p = kl.Categorical(probs=np.random.default_rng(0).dirichlet(np.ones(7), size=4))
    uniform = kl.Categorical(probs=np.full(7, 1 / 7))
    np.testing.assert_allclose(kl.kl_divergence(p, uniform), math.log(7) - p.entropy(), rtol=1e-12)
