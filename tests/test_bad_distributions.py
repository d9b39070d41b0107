"""Bad pairs of distributions, beyond the table of `bad_calls`."""

import math

import numpy as np
import pytest

import kltools as kl
from kltools import errors

HALVES = kl.Categorical(probs=[0.5, 0.5])


def test_normalising_is_asked_for():
    divided = kl.Categorical(probs=np.array([1.0, 3.0]) / 4.0)
    assert kl.kl_divergence(kl.Categorical.from_counts(counts=[1, 3]), HALVES) == kl.kl_divergence(divided, HALVES)


def test_zeros():
    p = kl.Categorical(probs=[0.5, 0.5, 0.0])
    for divergence in (kl.kl_divergence, kl.jeffreys, kl.chi_squared):
        assert divergence(p, kl.Categorical(probs=[0.5, 0.0, 0.5])) == math.inf
        assert divergence(p, kl.Categorical(probs=[0.25, 0.75, 0.0])) < math.inf
    assert kl.kl_divergence(p, p) == 0.0


def test_one_against_a_batch():
    """Batches broadcast, as their shapes say; categories never do."""
    p = kl.Categorical(probs=[[0.5, 0.5], [0.1, 0.9]])
    assert kl.kl_divergence(p, HALVES).shape == (2,)
    with pytest.raises(errors.ShapeMismatchError, match="2 categories, q has 3"):
        kl.kl_divergence(p, kl.Categorical(probs=[0.2, 0.3, 0.5]))
    with pytest.raises(errors.ShapeMismatchError, match="same categories"):
        kl.renyi(p, kl.Categorical(probs=[0.2, 0.3, 0.5]), alpha=0.5)


@pytest.mark.parametrize("swapped", [False, True])
def test_arguments_have_names(swapped):
    p = kl.Categorical(probs=[0.9, 0.1])
    pair = {"q": HALVES, "p": p} if swapped else {"p": p, "q": HALVES}
    assert kl.kl_divergence(**pair) == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2), rel=1e-14)


def test_supports_that_do_not_match():
    wide, narrow = kl.Uniform(low=0, high=2), kl.Uniform(low=0, high=1)
    assert kl.kl_divergence(wide, narrow) == kl.renyi(wide, narrow, alpha=2) == math.inf
    assert kl.kl_divergence(kl.Laplace(loc=0, scale=1), kl.Gamma(shape=2, rate=1)) == math.inf


def test_unknown_pairs():
    p, q = kl.Gamma(shape=1, rate=1), kl.Logistic(loc=0, scale=1)
    with pytest.raises(errors.NoClosedFormError, match=r'KL\(Gamma \|\| Logistic\).*method="quadrature"'):
        kl.kl_divergence(p, q)
    p, q = (
        kl.PowerSpherical(mean_direction=[1, 0], concentration=1),
        kl.PowerSpherical(mean_direction=[0, 1], concentration=1),
    )
    with pytest.raises(errors.NoClosedFormError, match="estimate_kl_monte_carlo"):
        kl.kl_divergence(p, q)
    with pytest.raises(errors.NoClosedFormError, match="estimate_divergence_monte_carlo"):
        kl.renyi(p, q, alpha=0.5)
