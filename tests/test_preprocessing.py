"""Constant columns and scales: what happens to samples before distances are measured."""

import math
import warnings

import cases
import numpy as np
import pytest

import kltools as kl
from kltools import _jit, errors
from kltools.preprocessing import Notes, drop_constant_columns
from kltools.scaling import SCALES, fit_scaling

A, B = np.random.default_rng(0).standard_normal((2, 40, 3))


def with_column(X, values, at=1):
    X = X.copy()
    X[:, at] = values
    return X


def dropped(X, Y):
    notes = Notes()
    return *drop_constant_columns(X, Y, notes), [category for category, _ in notes.items]


# ---------------------------------------------------------------- constant columns


def test_nothing_constant_nothing_touched():
    X, Y, answer, told = dropped(A, B)
    assert X is A
    assert Y is B
    assert answer is None
    assert told == []


def test_the_same_constant_is_dropped():
    X, Y, answer, told = dropped(with_column(A, 4.0), with_column(B, 4.0))
    np.testing.assert_array_equal(X, A[:, [0, 2]])
    np.testing.assert_array_equal(Y, B[:, [0, 2]])
    assert answer is None
    assert told == [errors.TiesWarning]


@pytest.mark.parametrize(
    ("x", "y"),
    [
        pytest.param(4.0, 5.0, id="two constants"),
        pytest.param(4.0, np.nextafter(4.0, 5.0), id="two constants one ulp apart"),
        pytest.param(4.0, B[:, 1], id="X alone, at a value never seen in Y"),
        pytest.param(A[:, 1], 4.0, id="Y alone"),
        pytest.param(np.arange(40) % 2, 1.0, id="Y alone, at a value of X"),
    ],
)
def test_mass_where_q_has_none(x, y):
    *_, answer, told = dropped(with_column(A, x), with_column(B, y))
    assert answer == math.inf
    assert told == [errors.InfiniteDivergenceWarning]


def test_a_constant_that_q_takes_too_is_kept():
    """P sits on an atom of Q: that is for the estimator to count."""
    X, _, answer, told = dropped(with_column(A, 1.0), with_column(B, np.arange(40) % 2))
    assert X.shape == A.shape
    assert answer is None
    assert told == []


def test_only_constants_left():
    _, _, answer, told = dropped(np.full((5, 2), 3.0), np.full((4, 2), 3.0))
    assert answer == 0.0
    assert told == [errors.TiesWarning]


def test_a_constant_against_a_density():
    *_, answer, told = dropped(with_column(A, 4.0), None)
    assert answer == math.inf
    assert told == [errors.InfiniteDivergenceWarning]
    assert dropped(A, None)[2] is None


def test_one_row_is_not_a_constant():
    assert dropped(A, B[:1])[2] is None


@pytest.mark.filterwarnings("ignore::kltools.errors.PoorOverlapWarning")  # these clusters lie apart
@pytest.mark.parametrize("method", kl.estimators.METHODS)
def test_constants_in_an_estimate(method):
    X, Y = cases.Pair("normal", 200, 200, 3, 0).samples
    with pytest.warns(errors.TiesWarning, match=r"columns \[1\] have the same single value"):
        estimate = kl.estimate_kl(with_column(X, 7.0), with_column(Y, 7.0), method=method, random_state=0)
    assert estimate.d == 2
    assert estimate.value == kl.estimate_kl(X[:, [0, 2]], Y[:, [0, 2]], method=method, random_state=0).value
    with pytest.warns(errors.InfiniteDivergenceWarning, match="column 1 of X"):
        estimate = kl.estimate_kl(with_column(X, 7.0), Y, method=method)
    assert estimate.value == math.inf
    assert estimate.support_mismatch
    with pytest.warns(errors.TiesWarning):
        assert kl.estimate_kl(np.ones((5, 2)), np.ones((6, 2)), method=method).value == 0.0


def test_notes_point_at_the_caller():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        kl.estimate_kl(np.ones(5), np.ones(6))
    assert [entry.filename for entry in seen] == [__file__]


# ---------------------------------------------------------------- scales


def correlated(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) * 10.0 ** rng.integers(-3, 4, d) + 5.0


@pytest.mark.parametrize("d", [2, 5, 20])
def test_whitening_makes_the_covariance_the_identity(d):
    X = correlated(10 * d, d)
    scaling = fit_scaling(X, "whiten")
    assert scaling.kind == "whiten"
    np.testing.assert_allclose(np.cov(scaling.apply(X), rowvar=False), np.eye(d), atol=1e-9)
    assert scaling.log_det == pytest.approx(-0.5 * np.linalg.slogdet(np.cov(X, rowvar=False))[1], abs=1e-8)


def test_std_makes_the_deviations_one():
    X = correlated(50, 4)
    scaling = fit_scaling(X, "std")
    np.testing.assert_allclose(scaling.apply(X).std(axis=0, ddof=1), np.ones(4), rtol=1e-12)
    assert scaling.log_det == pytest.approx(-np.log(X.std(axis=0, ddof=1)).sum(), rel=1e-12)


@pytest.mark.parametrize(
    "X",
    [
        pytest.param(correlated(39, 4), id="fewer than 10 rows per feature"),
        pytest.param(cases.sample("collinear", 100, 3), id="dependent columns"),
        pytest.param(cases.sample("constant_column", 100, 3), id="a constant column"),
    ],
)
def test_whitening_falls_back_to_std(X):
    scaling = fit_scaling(X, "whiten", X + np.arange(len(X))[:, None])
    assert scaling.kind == "std"


def test_a_column_that_is_constant_in_x_alone_is_named():
    """By the number that the user knows it by: the column before it is dropped."""
    X, Y = np.random.default_rng(3).standard_normal((2, 80, 4))
    X[:, 0] = Y[:, 0] = 1.0
    X[:, 2], Y[:5, 2] = 3.0, 3.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.KLToolsWarning)
        estimate = kl.estimate_kl(X, Y, method="knn")
    assert any(text.startswith("columns [2] of X are constant") for text in estimate.reasons)
    assert not any("linearly dependent" in text for text in estimate.warnings)


def test_a_constant_column_takes_its_scale_from_the_other_sample():
    Y = correlated(50, 3)
    scaled = fit_scaling(with_column(Y, 2.0), "std", Y).apply(Y)
    assert scaled[:, 1].std(ddof=1) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(("scale", "d"), [("none", 3), ("whiten", 1), ("std", 1), ("none", 1)])
@pytest.mark.parametrize("kind", cases.KINDS)
def test_none_and_a_single_feature_change_nothing(kind, scale, d):
    X = np.asarray(cases.sample(kind, 50, d), dtype=float)
    scaling = fit_scaling(X, scale, X[::-1])
    assert scaling.kind == "none"
    assert np.array_equal(scaling.apply(X), X)
    assert not np.shares_memory(scaling.apply(X), X)
    assert scaling.log_det == 0.0


@pytest.mark.parametrize("scale", ["whiten", "std"])
@pytest.mark.parametrize("kind", ["scaled_up", "scaled_down", "largest", "offset_1e15"])
def test_spreads_neither_over_nor_underflow(kind, scale):
    X = cases.sample(kind, 100, 2)
    scaled = fit_scaling(X, scale).apply(X)
    np.testing.assert_allclose(scaled.std(axis=0, ddof=1), [1.0, 1.0], rtol=1e-5)


@pytest.mark.parametrize("scale", ["whiten", "std"])
def test_log_det_at_extreme_scales(scale):
    X = correlated(200, 2)
    expected = fit_scaling(X, scale).log_det - 2 * 700 * math.log(2.0)
    assert fit_scaling(np.ldexp(X, 700), scale).log_det == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", ["whiten", "std"])
def test_smallest_numbers_have_a_scale(scale):
    scaled = fit_scaling(cases.sample("subnormal", 100, 2), scale).apply(cases.sample("subnormal", 100, 2))
    assert np.isfinite(scaled).all()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", cases.KINDS)
def test_equal_rows_stay_equal_to_the_bit(kind, scale):
    X = np.asarray(cases.sample(kind, 100, 3), dtype=float)
    scaling = fit_scaling(X, scale)
    twice = scaling.apply(np.concatenate([X, X[::-1]]))
    np.testing.assert_array_equal(twice[:100], twice[:99:-1])
    np.testing.assert_array_equal(scaling.apply(X[17:18])[0], twice[17])


@pytest.mark.parametrize("scale", SCALES)
def test_one_column_with_numbers_of_all_sizes_keeps_its_differences(scale):
    """A center would swallow everything small (float64 data are not centred)."""
    X = np.exp(20.0 * np.random.default_rng(0).standard_normal((200, 1)))
    assert len(np.unique(fit_scaling(X, scale).apply(X))) == 200


@pytest.mark.parametrize("n_jobs", [2, 4])
def test_threads_and_blocks_do_not_matter(n_jobs, monkeypatch):
    X = correlated(500, 3)
    scaling = fit_scaling(X, "whiten")
    expected = scaling.apply(X)
    monkeypatch.setattr(_jit, "available_cores", lambda: 4)
    monkeypatch.setattr(_jit, "_BLOCK_SECONDS", 1e-9)
    np.testing.assert_array_equal(scaling.apply(X, n_jobs), expected)
