"""Bad distributions and pairs of them, numbered as in the project's list of measured inputs: rows 93-102, 110, 111.

Rows 103-109, on variances and covariances, stand in `test_bad_inputs`.
"""

import math

import numpy as np
import pytest

import kltools as kl
from kltools import errors

HALVES = kl.Categorical(probs=[0.5, 0.5])
INVALID = errors.InvalidParameterError

# (row, probabilities, error, message)
PROBABILITIES = [
    ("93-sums_of_4", [2, 2], INVALID, r"probs of Categorical must .*sum to 1.*sums from 4 to 4; divide by the sum"),
    ("93-too_little", [0.5, 0.4], INVALID, r"sums from 0\.9 to 0\.9"),
    ("93-one_of_a_batch", [[0.5, 0.5], [1, 3]], INVALID, r"sums from 1 to 4"),
    ("94-negative", [-0.5, 1.5], INVALID, r"must be >= 0.*from -0\.5 to 1\.5"),
    ("95-all_zero", [0, 0], INVALID, r"sums from 0 to 0"),
    ("96-empty", [], errors.ShapeMismatchError, r"probs of Categorical is empty"),
    ("99-nan", [np.nan, 1.0], INVALID, r"1 values that are not finite"),
    ("99-inf", [np.inf, 0.0], INVALID, r"not finite"),
    ("101-logarithms", np.log([0.5, 0.5]), INVALID, r"must be >= 0.*logarithms.*from_logits"),
    ("101-one", [0.5], INVALID, r"sum to 1.*got 0\.5"),
]


@pytest.mark.parametrize(
    ("probs", "error", "match"), [row[1:] for row in PROBABILITIES], ids=[row[0] for row in PROBABILITIES]
)
def test_probabilities(probs, error, match):
    with pytest.raises(error, match=match):
        kl.Categorical(probs=probs)
    with pytest.raises(error, match=match.replace("of Categorical", "of Multinomial")):
        kl.Multinomial(n=3, probs=probs)


def test_normalising_is_asked_for():  # row 93
    divided = kl.Categorical(probs=np.array([1.0, 3.0]) / 4.0)
    assert kl.kl_divergence(kl.Categorical.from_counts(counts=[1, 3]), HALVES) == kl.kl_divergence(divided, HALVES)


def test_zeros():  # rows 97, 98
    p = kl.Categorical(probs=[0.5, 0.5, 0.0])
    for divergence in (kl.kl_divergence, kl.jeffreys, kl.chi_squared):
        assert divergence(p, kl.Categorical(probs=[0.5, 0.0, 0.5])) == math.inf
        assert divergence(p, kl.Categorical(probs=[0.25, 0.75, 0.0])) < math.inf
    assert kl.kl_divergence(p, p) == 0.0


def test_one_against_a_batch():  # row 100
    """Batches broadcast, as their shapes say; categories never do."""
    p = kl.Categorical(probs=[[0.5, 0.5], [0.1, 0.9]])
    assert kl.kl_divergence(p, HALVES).shape == (2,)
    with pytest.raises(errors.ShapeMismatchError, match="2 categories, q has 3"):
        kl.kl_divergence(p, kl.Categorical(probs=[0.2, 0.3, 0.5]))
    with pytest.raises(errors.ShapeMismatchError, match="same categories"):
        kl.renyi(p, kl.Categorical(probs=[0.2, 0.3, 0.5]), alpha=0.5)


@pytest.mark.parametrize("swapped", [False, True])
def test_arguments_have_names(swapped):  # row 102
    p = kl.Categorical(probs=[0.9, 0.1])
    pair = {"q": HALVES, "p": p} if swapped else {"p": p, "q": HALVES}
    assert kl.kl_divergence(**pair) == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2), rel=1e-14)


def test_supports_that_do_not_match():  # row 110
    wide, narrow = kl.Uniform(low=0, high=2), kl.Uniform(low=0, high=1)
    assert kl.kl_divergence(wide, narrow) == kl.renyi(wide, narrow, alpha=2) == math.inf
    assert kl.kl_divergence(kl.Laplace(loc=0, scale=1), kl.Gamma(shape=2, rate=1)) == math.inf


def test_unknown_pairs():  # row 111
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
