"""Scores of features: how far the classes are apart in each."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import digamma
from sklearn.datasets import load_iris
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import kltools as kl
from kltools import errors

TOLERANCE = 1e-9  # of ties


def ross(x, y, k):
    """Ross (2014), eq. 1, row by row; where the k-th distance in the class ties, all rows as near are counted."""
    terms = []
    for i in range(len(x)):
        distances = np.abs(x - x[i])
        others = np.arange(len(x)) != i
        own = np.sort(distances[others & (y == y[i])])
        radius, inside = own[k - 1], k
        if radius == 0.0 or (k < len(own) and own[k] <= radius * (1 + TOLERANCE)):
            radius *= 1 + TOLERANCE
            inside = (own <= radius).sum() + 1
        else:
            radius *= 1 - TOLERANCE
        near = (distances[others] <= radius).sum() + 1
        terms.append(digamma(inside) - digamma((y == y[i]).sum()) - digamma(near))
    return digamma(len(x)) + math.fsum(terms) / len(x)


def from_counts(x, y):
    """The same of two discrete columns."""
    cells, table = {}, list(zip(x.tolist(), y.tolist(), strict=True))
    for cell in table:
        cells[cell] = cells.get(cell, 0) + 1
    terms = [digamma(cells[a, b]) - digamma((x == a).sum()) - digamma((y == b).sum()) for a, b in table]
    return digamma(len(x)) + math.fsum(terms) / len(x)


def data(n=150, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    return rng.normal(size=(n, 3)) + y[:, None] * [0.0, 1.0, 4.0], y


@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_scores_of_continuous_features(k, n_classes):
    X, y = data(n_classes=n_classes)
    expected = [ross(x, y, k) for x in X.T]
    np.testing.assert_allclose(kl.kl_feature_score(X, y, n_neighbors=k), expected, rtol=1e-11, atol=1e-12)


def test_several_numbers_of_neighbours_are_averaged():
    X, y = data(n_classes=2)
    expected = [np.mean([ross(x, y, k) for k in (5, 10, 20)]) for x in X.T]
    np.testing.assert_allclose(kl.kl_feature_score(X, y), expected, rtol=1e-11)


def test_small_classes_cut_the_default():
    X, y = data(n=40, n_classes=2)
    y[:4], y[4:] = 2, y[4:] % 2
    assert kl.kl_feature_score(X, y) == pytest.approx([ross(x, y, 3) for x in X.T])


def test_discrete_and_mixed_features():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    discrete = (y + rng.integers(0, 2, 200)) % 3
    mixed = np.where(rng.random(200) < 0.4, 0.0, rng.normal(size=200) + y)
    found = kl.kl_feature_score(np.column_stack([discrete, mixed]), y, n_neighbors=3)
    np.testing.assert_allclose(found, [from_counts(discrete, y), ross(mixed, y, 3)], rtol=1e-10)


def test_rounding_loses_little():
    """Counts of all rows that tie would be too high by a third."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 50)
    X = rng.normal(size=(150, 20)) + y[:, None]
    found, expected = kl.kl_feature_score(np.round(X * 3.0) / 3.0, y), kl.kl_feature_score(X, y)
    assert found.mean() == pytest.approx(expected.mean(), rel=0.05)
    np.testing.assert_array_equal(kl.kl_feature_score(np.round(X * 3.0) / 3.0, y), found)
    assert (kl.kl_feature_score(np.round(X * 3.0) / 3.0, y, random_state=1) != found).any()


def test_constant_features_are_0_exactly():
    X, y = data()
    found = kl.kl_feature_score(np.column_stack([X, np.full(len(X), 0.1)]), y)
    assert found[3] == 0.0
    np.testing.assert_array_equal(found[:3], kl.kl_feature_score(X, y))


def test_the_truth():
    """The class-weighted divergence from the pool, by quadrature, and the entropy of the label as the limit."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 1], 2000)
    X = rng.normal(size=(6000, 3)) + np.outer(y, [0.0, 1.0, 50.0])
    classes, weights = (stats.norm(0.0), stats.norm(1.0)), (1 / 3, 2 / 3)

    def integrand(x):
        densities = [law.pdf(x) for law in classes]
        pool = sum(w * p for w, p in zip(weights, densities, strict=True))
        return sum(w * p * math.log(p / pool) for w, p in zip(weights, densities, strict=True))

    expected = [0.0, integrate.quad(integrand, -10, 11)[0], stats.entropy(weights)]
    np.testing.assert_allclose(kl.kl_feature_score(X, y), expected, atol=0.02)


def test_scores_rank_as_those_of_scikit_learn():
    X, y = load_iris(return_X_y=True)
    found, theirs = kl.kl_feature_score(X, y), mutual_info_classif(X, y, random_state=0)
    assert np.abs(found - theirs).max() < 0.06
    assert set(np.argsort(found)[:2]) == set(np.argsort(theirs)[:2])


# ---------------------------------------------------------------- laws


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10), st.permutations(range(3)), st.integers(-300, 300), st.booleans())
def test_what_changes_nothing(seed, order, exponent, turn):
    """Names of classes, the order of rows and of features, units and signs."""
    X, y = data(n=60, seed=seed)
    rows = np.random.default_rng(seed).permutation(60)
    other = np.ldexp(X, exponent)[rows][:, order] * (-1.0 if turn else 1.0)
    names = np.array(["c", "a", "b"])[y[rows]]
    np.testing.assert_allclose(kl.kl_feature_score(other, names), kl.kl_feature_score(X, y)[order], rtol=1e-10)


@pytest.mark.parametrize("n_jobs", [2, -1])
def test_threads_change_no_bit(n_jobs):
    X, y = data(n=500)
    np.testing.assert_array_equal(kl.kl_feature_score(X, y, n_jobs=n_jobs), kl.kl_feature_score(X, y))


# ---------------------------------------------------------------- inside scikit-learn


def test_the_best_features_are_selected():
    X, y = data(n=300)
    frame = pd.DataFrame(X, columns=["noise", "weak", "strong"])
    selector = SelectKBest(kl.kl_feature_score, k=2).set_output(transform="pandas").fit(frame, y)
    assert list(selector.get_feature_names_out()) == ["weak", "strong"]
    assert list(selector.transform(frame).columns) == ["weak", "strong"]
    np.testing.assert_array_equal(selector.scores_, kl.kl_feature_score(X, y))


def test_the_number_of_features_is_searched():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    X = np.column_stack([rng.normal(size=(300, 8)), rng.normal(size=300) + 2.0 * y])
    pipe = make_pipeline(SelectKBest(kl.kl_feature_score, k=1), LogisticRegression())
    search = GridSearchCV(pipe, {"selectkbest__k": [1, 9]}, cv=3).fit(X, y)
    assert search.best_estimator_[0].get_support()[8]
    assert search.best_score_ > 0.75


# ---------------------------------------------------------------- what may be given


def test_containers():
    X, y = data()
    expected = kl.kl_feature_score(X, y)
    for rows in (X.tolist(), pd.DataFrame(X), pl.DataFrame(X), X.copy(order="F")):
        np.testing.assert_array_equal(kl.kl_feature_score(rows, y), expected)
    for labels in (y.tolist(), pd.Series(y), pd.Series(y.astype(str)), y.astype(float), y.astype(str), y == y):
        if len(set(labels)) > 1:
            np.testing.assert_array_equal(kl.kl_feature_score(X, labels), expected)
    assert kl.kl_feature_score(X[:, 2], y) == expected[2:]


@pytest.mark.parametrize(
    ("y", "error", "match"),
    [
        (np.linspace(0.0, 1.0, 150), errors.InvalidParameterError, "continuous target"),
        (np.arange(150), errors.NotEnoughSamplesError, "150 classes of y have one row"),
        (np.zeros(150), errors.InvalidParameterError, "y has one class"),
        (np.zeros(149), errors.ShapeMismatchError, "X has 150 rows, y has 149 labels"),
        (np.zeros((150, 2)), errors.ShapeMismatchError, "y must be one label for each"),
        ([None] + ["a"] * 149, errors.InvalidParameterError, "y holds 1 entries that are no labels"),
        ([math.nan] + [1.0] * 149, errors.InvalidParameterError, "y holds 1 entries that are no labels"),
        ([math.inf] + [1.0] * 149, errors.NotEnoughSamplesError, "classes of y have one row"),
        (None, errors.InvalidTypeError, "y is a NoneType"),
    ],
)
def test_bad_labels(y, error, match):
    with pytest.raises(error, match=match):
        kl.kl_feature_score(data()[0], y)


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (np.full((150, 2), np.nan), errors.InvalidParameterError, "X contains NaN"),
        (np.empty((0, 2)), errors.NotEnoughSamplesError, "X has 0 sample"),
        (np.empty((150, 0)), errors.InvalidParameterError, "X has 0 feature"),
        (pd.DataFrame({"a": ["x"] * 150}), errors.InvalidTypeError, "column 'a' of X"),
    ],
)
def test_bad_features(X, error, match):
    with pytest.raises(error, match=match):
        kl.kl_feature_score(X, data()[1])


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"n_neighbors": 0}, errors.InvalidParameterError, "n_neighbors"),
        ({"n_neighbors": 100}, errors.NotEnoughSamplesError, "n_neighbors=100 needs at least 101 rows of every class"),
        ({"n_jobs": 0}, errors.InvalidParameterError, "n_jobs=0"),
    ],
)
def test_bad_options(options, error, match):
    with pytest.raises(error, match=match):
        kl.kl_feature_score(*data(), **options)
