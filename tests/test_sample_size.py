"""How many rows an interval of a given width needs."""

import math
import warnings

import numpy as np
import pytest

import kltools as kl
from kltools import errors
from kltools.comparison import planning


def normals(seed, n, m, d=1, shift=1.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), shift + rng.standard_normal((m, d))


def half_width_at(estimate, level=0.95):
    low, high = estimate.confidence_interval(level)
    return (high - low) / 2


@pytest.mark.parametrize("method", ["gaussian", "knn"])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_is_the_law_of_the_square_root(method, level):
    X, Y = normals(0, 400, 400)
    width = half_width_at(kl.estimate_kl(X, Y, method=method, random_state=np.random.default_rng(0)), level)
    for factor in (1.0, 0.5, 0.37):
        n = kl.sample_size_for(X, Y, factor * width, method=method, confidence_level=level, random_state=0)
        assert type(n) is int
        # the blocks of the standard error of knn are others, and its error is known to a sixth
        assert n == pytest.approx(400 / factor**2, rel=0.02 if method == "gaussian" else 0.9)


def test_the_answer_is_right_on_normal_samples():
    """The asymptotic standard error of a shift s in one feature at n = m rows: sqrt((2 s^2 + s^4 / 2) / n)."""
    shift, wanted = 1.0, 0.05
    truth = (2 * shift**2 + shift**4 / 2) * (1.96 / wanted) ** 2
    answers = [kl.sample_size_for(*normals(seed, 1000, 1000), wanted, method="gaussian") for seed in range(10)]
    assert np.mean(answers) == pytest.approx(truth, rel=0.1)
    X, Y = normals(99, round(truth), round(truth))
    assert half_width_at(kl.estimate_kl(X, Y, method="gaussian")) == pytest.approx(wanted, rel=0.15)


def test_of_the_longer_sample_as_many_rows_are_taken():
    """The error of 1000 rows of X and 9000 of Y would promise fewer rows than a shift of 1 needs."""
    answers = [kl.sample_size_for(*normals(seed, 1000, 9000), 0.05, method="gaussian") for seed in range(20)]
    assert np.mean(answers) == pytest.approx(2.5 * (1.96 / 0.05) ** 2, rel=0.15)


def test_seeds_and_threads():
    X, Y = normals(0, 200, 230, 2)
    answer = kl.sample_size_for(X, Y, 0.1, random_state=3)
    assert kl.sample_size_for(X, Y, 0.1, random_state=3, n_jobs=2) == answer
    assert kl.sample_size_for(X, Y, 0.1, random_state=np.random.default_rng(3)) == answer


def test_many_rows_suffice_for_a_wide_interval():
    assert kl.sample_size_for(*normals(0, 200, 200), 1e6, random_state=0) == 2


def test_widths_at_the_ends_of_float64():
    X, Y = normals(0, 200, 200)
    for width in (1e300, 1.7e308):
        assert kl.sample_size_for(X, Y, width, method="gaussian", random_state=0) == 2
    for width in (1e-11, 1e-160, 5e-324):
        with pytest.raises(errors.InvalidParameterError, match=r"half_width=.* is so small beside the .* nats"):
            kl.sample_size_for(X, Y, width, method="gaussian", random_state=0)
    assert kl.sample_size_for(X, Y, 1e-8, method="gaussian", random_state=0) > 1e15


def test_rows_with_nan_are_dropped_where_asked():
    X, Y = normals(0, 200, 200)
    expected = kl.sample_size_for(X, Y, 0.1, method="gaussian", random_state=0)
    X, Y = np.insert(X, 3, math.nan, axis=0), np.insert(Y, 7, math.nan, axis=0)
    assert kl.sample_size_for(X, Y, 0.1, method="gaussian", nan_policy="omit", random_state=0) == expected
    with pytest.raises(errors.InvalidParameterError, match="nan_policy"):
        kl.sample_size_for(X, Y, 0.1, nan_policy="drop")


def test_bias_is_told():
    """At a divergence of 12.5 nats in 5 features the nearest-neighbour estimate has not settled at 200 rows."""
    with pytest.warns(errors.UnreliableEstimateWarning, match=r"moves from .* nats at 100 rows to .* at 200.*bias"):
        kl.sample_size_for(*normals(0, 200, 200, 5, shift=5**0.5), 0.01, method="knn", random_state=0)


def test_no_bias_is_told_of_an_unbiased_estimate():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(10):
            kl.sample_size_for(*normals(seed, 300, 300, 2), 0.02, method="gaussian", random_state=0)


def test_errors_that_do_not_fall_as_they_should_are_told():
    for at_half in (0.1 * 3.0, 0.1 * 0.5, math.nan, math.inf):
        with pytest.warns(errors.UnreliableEstimateWarning, match=r"0\.1 at 400, which is not the n\^\(-1/2\) law"):
            planning._tell_law(400, 0.1, at_half)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        planning._tell_law(400, 0.1, 0.1 * math.sqrt(2.0))


@pytest.mark.parametrize(
    ("half_width", "error"),
    [
        (0, errors.InvalidParameterError),
        (-0.1, errors.InvalidParameterError),
        (math.nan, errors.InvalidParameterError),
        (math.inf, errors.InvalidParameterError),
        ("0.1", errors.InvalidTypeError),
        (None, errors.InvalidTypeError),
        (True, errors.InvalidTypeError),
        ([0.1], errors.InvalidTypeError),
    ],
)
def test_bad_half_widths(half_width, error):
    with pytest.raises(error, match="half_width must be"):
        kl.sample_size_for(*normals(0, 50, 50), half_width)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"confidence_level": 95}, "did you mean 0.95"),
        ({"method": "mean"}, "method must be one of"),
        ({"n_neighbors": 0}, "n_neighbors must be >= 1"),
        ({"n_neighbors": 3, "method": "gaussian"}, "'gaussian' has no option 'n_neighbors'"),
        ({"n_jobs": 0}, "n_jobs=0"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_bad_arguments(options, match):
    with pytest.raises(errors.InvalidParameterError, match=match):
        kl.sample_size_for(*normals(0, 50, 50), 0.1, **options)


def test_what_cannot_be_answered():
    with pytest.raises(errors.InvalidParameterError, match="estimate is inf"):
        kl.sample_size_for(np.full(50, -1.0), np.arange(50.0), 0.1)
    with pytest.raises(errors.NotEnoughSamplesError, match="no standard error can be computed from 3 rows"):
        kl.sample_size_for(*normals(0, 3, 3), 0.1, method="knn")
    with pytest.raises(errors.NotEnoughSamplesError, match="n_samples=1"):
        kl.sample_size_for([1.0], [2.0], 0.1)
    with pytest.raises(errors.InvalidParameterError, match="Y contains NaN"):
        kl.sample_size_for([1.0, 2.0], [2.0, math.nan], 0.1)
