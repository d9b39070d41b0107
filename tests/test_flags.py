"""What makes an estimate unreliable is told, and what does not is not."""

import re
import warnings

import numpy as np
import pytest

import kltools as kl


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def flagged(X, Y, match, **options):
    """The estimate, which gives the reason that is sought, perhaps among others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimate = kl.estimate_kl(X, Y, random_state=0, **options)
    assert estimate.reliable is False
    assert any(re.search(match, reason) for reason in estimate.reasons)
    assert any(w.category is kl.UnreliableEstimateWarning and re.search(match, str(w.message)) for w in caught)
    return estimate


def test_plain_normal_samples_raise_no_flag(rng):
    X, Y = rng.normal(size=(2, 1000, 2))
    assert kl.estimate_kl(X, Y, method="knn").reliable is None
    assert kl.estimate_kl(X, Y, random_state=0).reliable is True


def test_one_wild_row_does_not_decide_the_scale(rng):
    X, Y = rng.normal(0.5, 1, (1000, 2)), rng.normal(0, 1, (1000, 2))
    clean = kl.estimate_kl(X, Y, method="knn").value
    wild = kl.estimate_kl(np.vstack([X, [[9999.0, 9999.0]]]), Y, method="knn").value
    assert wild == pytest.approx(clean, abs=0.03)


def test_an_estimate_that_moves_with_the_number_of_neighbours(rng):
    flagged(rng.normal(0, 1.5, (1000, 3)), rng.normal(0, 1, (1000, 3)), "the estimate moves from", method="knn")


def test_copied_rows(rng):
    X = np.repeat(rng.normal(size=(200, 2)), 2, axis=0)
    flagged(X, rng.normal(size=(400, 2)), "repeat within X and never occur in Y", method="knn")


def test_a_column_of_categories_beside_a_continuous_one(rng):
    X, Y = (np.column_stack([rng.random(1000) < share, rng.normal(size=1000)]) for share in (0.5, 0.2))
    flagged(X, Y, r"columns \[0\] take few values")


def test_auto_does_not_take_exponentials_for_normal_in_silence(rng):
    estimate = flagged(rng.exponential(size=(150, 20)), rng.exponential(size=(900, 20)), "far from normal")
    assert estimate.diagnostics["chosen_method"] == "gaussian"


def test_a_closed_form_is_not_replaced():
    with pytest.raises(kl.InvalidParameterError, match=r"KL\(Normal \|\| Normal\) is registered already"):

        @kl.register_kl(kl.Normal, kl.Normal)
        def other(p, q):
            return -7.0
