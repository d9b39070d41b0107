"""Estimates by classifiers: against scikit-learn used by hand, and against truths."""

import math
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

import kltools as kl
from kltools import errors
from kltools.estimators import METHODS
from kltools.estimators.problem import BOUNDS, KNOWN_Q


@pytest.fixture(autouse=True)
def _only_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        yield


def normals(seed, n, m, d, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), shift + scale * rng.standard_normal((m, d))


def by_classifier(X, Y, **options):
    options.setdefault("random_state", 0)
    return kl.estimate_kl(X, Y, method="classifier", **options)


def by_hand(X, Y, n_folds, seed=0):
    """Held-out log ratios by a logistic regression, with every step of the default classifier written out."""
    rng = np.random.default_rng(int(np.random.default_rng(seed).integers(2**63)))
    labels = [rng.permutation(len(Z)) % n_folds for Z in (X, Y)]
    log_ratios = [np.empty(len(Z)) for Z in (X, Y)]
    for fold in range(n_folds):
        x, y = (Z[label != fold] for Z, label in zip((X, Y), labels, strict=True))
        first, second, squares = StandardScaler(), StandardScaler(), PolynomialFeatures(2, include_bias=False)
        features = second.fit_transform(squares.fit_transform(first.fit_transform(np.concatenate([x, y]))))
        target = np.r_[np.ones(len(x)), np.zeros(len(y))]
        model = LogisticRegression(C=1.0, solver="lbfgs", tol=1e-10, max_iter=5000).fit(features, target)
        for out, Z, label in zip(log_ratios, (X, Y), labels, strict=True):
            rows = second.transform(squares.transform(first.transform(Z[label == fold])))
            out[label == fold] = rows @ model.coef_[0] + model.intercept_[0] - math.log(len(x) / len(y))
    return log_ratios


@pytest.mark.parametrize(("n", "m", "d", "n_folds"), [(120, 90, 1, 5), (60, 100, 3, 2)])
def test_equals_a_logistic_regression_by_hand(n, m, d, n_folds):
    X, Y = normals(0, n, m, d, 0.4, 1.3)
    of_x, of_y = by_hand(X, Y, n_folds)
    expected = {
        "plug_in": of_x.mean(),
        "dv": of_x.mean() - math.log(np.exp(of_y).mean()),
        "nwj": of_x.mean() + 1 - np.exp(of_y).mean(),
    }
    weights = np.exp(of_y)
    for bound in BOUNDS:
        estimate = by_classifier(X, Y, bound=bound, n_folds=n_folds)
        assert estimate.value == pytest.approx(expected[bound], abs=1e-5)
        ratio = weights if bound == "nwj" else weights / weights.mean()
        error = math.sqrt(of_x.var(ddof=1) / n + ratio.var(ddof=1) / m)
        assert estimate.standard_error == pytest.approx(error, rel=1e-4)
        found = estimate.diagnostics["effective_sample_size"]
        assert found == pytest.approx(weights.sum() ** 2 / (weights**2).sum(), rel=1e-4)


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize(("n", "m"), [(1500, 1500), (600, 3000)])
def test_normal_distributions(bound, n, m):
    truth = 2 * (math.log(1.2) + (1 + 0.5**2) / (2 * 1.2**2) - 0.5)
    values = [by_classifier(*normals(seed, n, m, 2, 0.5, 1.2), bound=bound).value for seed in range(8)]
    assert np.mean(values) == pytest.approx(truth, abs=0.04)


def test_one_seed_one_answer():
    X, Y = normals(1, 200, 200, 2, 0.5)
    forest = RandomForestClassifier(10, min_samples_leaf=30)
    assert by_classifier(X, Y, classifier=forest) == by_classifier(X, Y, classifier=forest)
    assert by_classifier(X, Y).value != by_classifier(X, Y, random_state=1).value
    assert forest.random_state is None
    assert not hasattr(forest, "classes_")


@pytest.mark.parametrize("exponent", [-900, 660, 900])
def test_scales_beyond_squares(exponent):
    X, Y = normals(2, 100, 100, 2, 0.5)
    tiny = np.ldexp(X, -700), np.ldexp(Y, -700)
    scaled = (np.ldexp(Z, 700 + exponent) for Z in tiny)
    assert by_classifier(*scaled).value == pytest.approx(by_classifier(X, Y).value, rel=1e-9)


# ---------------------------------------------------------------- what should not be believed


def test_perfect_separation_is_told():
    X, Y = normals(3, 100, 80, 1, 50.0)
    with pytest.warns(errors.PoorOverlapWarning, match="separates the samples perfectly"):
        estimate = by_classifier(X, Y)
    assert estimate.reliable is False
    assert estimate.value > 1.0


def test_more_than_log_m_is_told():
    X, Y = normals(4, 300, 30, 1, 6.0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        estimate = by_classifier(X, Y, bound="plug_in")
    assert estimate.value > math.log(30)
    assert estimate.reliable is False
    assert any("exceeds log(m) = 3.40" in str(entry.message) for entry in seen)


def test_a_mean_that_rests_on_few_rows_is_told():
    with pytest.warns(errors.UnreliableEstimateWarning, match="rests on about 1"):
        estimate = by_classifier(*normals(2, 200, 300, 20, 0.3))
    assert estimate.reliable is False


class Certain(ClassifierMixin, BaseEstimator):
    """Probabilities of 0 and 1 by the sign of the first column."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.stack([X[:, 0] > 0, X[:, 0] <= 0], axis=1).astype(float)


def test_certain_classifiers():
    X, Y = normals(5, 60, 50, 1)
    with pytest.warns(errors.InfiniteDivergenceWarning, match="the divergence is inf"):
        estimate = by_classifier(-np.abs(X), np.abs(Y), classifier=Certain())
    assert estimate.value == math.inf
    assert math.isnan(estimate.standard_error)
    for classifier in (Certain(), DecisionTreeClassifier()):
        with pytest.raises(errors.InvalidParameterError, match="classifier gives a probability of exactly 0"):
            by_classifier(X, Y, classifier=classifier)


def test_many_features_are_linear():
    with pytest.warns(errors.KLToolsWarning, match="more than 50 features, here 51"):
        estimate = by_classifier(*normals(6, 400, 400, 51, 0.1))
    assert abs(estimate.value) < 0.6


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize("classifier", [3, LogisticRegression, LinearSVC()])
def test_bad_classifiers(classifier):
    with pytest.raises(errors.InvalidTypeError, match="classifier must be an estimator with fit and predict_proba"):
        by_classifier(*normals(0, 20, 20, 1), classifier=classifier)


@pytest.mark.parametrize(
    ("options", "kind"), [({"n_folds": 1}, ValueError), ({"n_folds": 2.0}, TypeError), ({"bound": "jsd"}, ValueError)]
)
def test_bad_options(options, kind):
    name = next(iter(options))
    X, Y = normals(0, 20, 20, 1)
    with pytest.raises(kind, match=name):
        by_classifier(X, Y, **options)
    with pytest.raises(kind, match=name):
        kl.RatioDivergence(**options).fit(np.concatenate([X, Y]), np.repeat([1, 0], 20))


@pytest.mark.parametrize("method", METHODS)
def test_methods_that_take_a_distribution(method):
    X, _ = normals(0, 200, 1, 1)
    q = kl.Normal(mean=0, var=1)
    if method in KNOWN_Q:
        assert abs(kl.estimate_kl(X, q, method=method).value) < 0.2
    else:
        with pytest.raises(errors.InvalidTypeError, match=f"'{method}' compares two samples.*Normal.*kde"):
            kl.estimate_kl(X, q, method=method)


def test_tiny_samples():
    X, Y = normals(7, 2, 2, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        assert math.isfinite(by_classifier(X, Y).value)
        assert by_classifier(X, Y).diagnostics["n_folds"] == 2
    with pytest.raises(errors.NotEnoughSamplesError, match="at least 2 rows of Y"):
        by_classifier(X, Y[:1])


# ---------------------------------------------------------------- RatioDivergence


def pooled(X, Y, labels=(1, 0)):
    return np.concatenate([X, Y]), np.repeat(np.array(labels), [len(X), len(Y)])


@pytest.mark.parametrize("labels", [(1, 0), ("today", "reference"), (True, False), (5, -5)])
def test_divergence_is_that_of_the_function(labels):
    X, Y = normals(8, 150, 100, 2, 0.5)
    order = np.random.default_rng(0).permutation(250)
    rows, y = (part[order] for part in pooled(X, Y, labels))
    ratio = kl.RatioDivergence(bound="nwj", n_folds=3, random_state=4).fit(rows, y)
    assert ratio.classes_[1] == labels[0]
    expected = by_classifier(rows[y == labels[0]], rows[y == labels[1]], bound="nwj", n_folds=3, random_state=4)
    assert ratio.divergence() == expected


def test_predictions_are_those_of_the_classifier():
    X, Y = normals(9, 80, 120, 3, 0.7)
    rows, y = pooled(X, Y)
    ratio = kl.RatioDivergence(LinearDiscriminantAnalysis()).fit(rows, y)
    model = LinearDiscriminantAnalysis().fit(rows, y)
    np.testing.assert_allclose(ratio.predict_proba(rows), model.predict_proba(rows), rtol=1e-12)
    np.testing.assert_array_equal(ratio.predict(rows), model.predict(rows))
    np.testing.assert_allclose(ratio.decision_function(rows), model.decision_function(rows), rtol=1e-12)
    assert ratio.score(rows, y) == model.score(rows, y)


def test_log_odds_without_a_decision_function():
    rows, y = pooled(*normals(9, 80, 120, 3, 0.7))
    forest = RandomForestClassifier(20, min_samples_leaf=30, random_state=0)
    ratio = kl.RatioDivergence(forest).fit(rows, y)
    probabilities = forest.fit(rows, y).predict_proba(rows)
    np.testing.assert_allclose(ratio.decision_function(rows), np.log(probabilities[:, 1] / probabilities[:, 0]))


@pytest.mark.parametrize(("y", "message"), [([0, 1, 2] * 5, "binary"), ([1] * 15, "one class")])
def test_two_labels_are_needed(y, message):
    with pytest.raises(errors.InvalidParameterError, match=message):
        kl.RatioDivergence().fit(np.random.default_rng(0).normal(size=(15, 2)), y)


def test_warnings_point_at_the_caller():
    ratio = kl.RatioDivergence(random_state=0).fit(*pooled(*normals(3, 100, 80, 1, 50.0)))
    with pytest.warns(errors.PoorOverlapWarning) as seen:
        ratio.divergence()
    assert {entry.filename for entry in seen} == {__file__}
