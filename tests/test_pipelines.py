"""Estimators inside pipelines, searches and frames of scikit-learn; their state on disk; bad frames."""

import io
import math
import pickle
import warnings

import cases
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy.special import expit
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

import kltools as kl
from kltools import _state, errors
from kltools.estimators.objects import DivergenceEstimator

PUBLIC = [getattr(kl, name) for name in kl.__all__]
CLASSES = [thing for thing in PUBLIC if isinstance(thing, type) and issubclass(thing, BaseEstimator)]
REFERENCES = [make for make in CLASSES if issubclass(make, DivergenceEstimator)]
SHOWS_DEFAULTS = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 7)  # pages of scikit-learn
FEW = 60  # rows, of which "auto" and its like do not simulate
every_estimator = pytest.mark.parametrize("make", CLASSES)
every_reference = pytest.mark.parametrize("make", REFERENCES)

pytestmark = [
    pytest.mark.filterwarnings("ignore::kltools.errors.UnreliableEstimateWarning"),
    pytest.mark.filterwarnings("ignore::kltools.errors.SmallSampleWarning"),
]


def seeded(make):
    return make(random_state=0) if "random_state" in make().get_params() else make()


def normals(n=200, m=300, d=2, shift=0.5, seed=0):
    X, Y = cases.Pair("normal", n, m, d, seed).samples
    return X, Y + shift


def labelled(n=300, m=400, shift=1.0, seed=0):
    """Rows of N(shift, 1) with label 1 and of N(0, 1) with label 0; the divergence is shift^2 / 2."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(shift, 1, (n, 1)), rng.normal(0, 1, (m, 1))]), np.repeat([1, 0], [n, m])


def fitted(make):
    return seeded(make).fit(*labelled()) if make is kl.RatioDivergence else seeded(make).fit(normals(m=FEW)[1])


# ---------------------------------------------------------------- divergence of a pipeline


@every_reference
def test_the_last_step_is_asked_for_transformed_rows(make):
    X, Y = normals(FEW, FEW)
    unit = [1.0, 1000.0]
    pipe = make_pipeline(StandardScaler(), seeded(make)).fit(Y * unit)
    found = kl.pipeline_divergence(pipe, X * unit)
    mean, spread = (Y * unit).mean(axis=0), (Y * unit).std(axis=0)
    expected = seeded(make).fit((Y * unit - mean) / spread).divergence((X * unit - mean) / spread)
    assert found == expected
    assert kl.kl_scorer(pipe, X * unit) == found.value == -pipe.score(X * unit)


def test_nested_pipelines_columns_and_gaps_in_the_steps():
    X, Y = normals(d=3)
    frame_x, frame_y = (pd.DataFrame(Z, columns=["a", "b", "c"]) for Z in (X, Y))
    columns = ColumnTransformer([("scaled", StandardScaler(), ["a", "b"]), ("same", "passthrough", ["c"])])
    inner = Pipeline([("nothing", "passthrough"), ("pca", PCA(2)), ("last", kl.GaussianDivergence())])
    pipe = Pipeline([("columns", columns.set_output(transform="pandas")), ("none", None), ("inner", inner)])
    pipe.fit(frame_y)
    found = kl.pipeline_divergence(pipe, frame_x)
    scale = lambda Z: np.column_stack([(Z[:, :2] - Y[:, :2].mean(axis=0)) / Y[:, :2].std(axis=0), Z[:, 2]])
    pca = PCA(2).fit(scale(Y))
    expected = kl.estimate_kl(pca.transform(scale(X)), pca.transform(scale(Y)), method="gaussian")
    assert found.value == pytest.approx(expected.value, rel=1e-9)


def test_one_hot_columns_in_front():
    rng = np.random.default_rng(0)
    today, reference = (
        pd.DataFrame({"x": rng.normal(size=n), "kind": rng.choice(["a", "b"], n, p=p)})
        for n, p in ((400, [0.5, 0.5]), (500, [0.8, 0.2]))
    )
    columns = make_column_transformer((OneHotEncoder(sparse_output=False), ["kind"]), remainder="passthrough")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        found = kl.pipeline_divergence(make_pipeline(columns, kl.KNNDivergence()).fit(reference), today)
    assert np.isfinite(found.value)
    assert any("take few values" in text for text in found.warnings)


def test_an_estimator_alone_or_found_by_a_search():
    X, Y = normals()
    alone = kl.GaussianDivergence().fit(Y)
    assert kl.pipeline_divergence(alone, X) == alone.divergence(X)
    pipe = make_pipeline(PCA(), kl.GaussianDivergence())
    search = GridSearchCV(pipe, {"pca__n_components": [1, 2]}, scoring=kl.kl_scorer, cv=3).fit(Y)
    assert kl.pipeline_divergence(search, X) == kl.pipeline_divergence(search.best_estimator_, X)


def test_warnings_point_at_the_caller():
    X, Y = normals(20, 20)
    pipe = make_pipeline(StandardScaler(), kl.KNNDivergence(3)).fit(Y)
    for call in (kl.pipeline_divergence, kl.kl_scorer):
        with pytest.warns(errors.SmallSampleWarning) as seen:
            call(pipe, X)
        assert {entry.filename for entry in seen} == {__file__}


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: make_pipeline(StandardScaler(), PCA()), "PCA has no divergence from a reference"),
        (lambda: Pipeline([("a", StandardScaler()), ("b", "passthrough")]), "str has no divergence"),
        (StandardScaler, "StandardScaler has no divergence"),
    ],
)
@pytest.mark.parametrize("call", [kl.pipeline_divergence, kl.kl_scorer])
def test_what_has_no_divergence(make, match, call):
    X, Y = normals()
    with pytest.raises(errors.InvalidTypeError, match=match):
        call(make().fit(Y), X)


def test_a_ratio_has_no_reference():
    ratio = kl.RatioDivergence().fit(*labelled())
    with pytest.raises(errors.InvalidTypeError, match=r"its method divergence\(\) takes no sample"):
        kl.pipeline_divergence(ratio, labelled()[0])
    with pytest.raises(errors.InvalidTypeError, match="take kl_scorer"):
        kl.nwj_scorer(kl.KNNDivergence().fit(normals()[1]), *labelled())


def test_pipelines_that_are_not_fitted():
    X, Y = normals()
    for pipe in (make_pipeline(StandardScaler(), kl.KNNDivergence()), kl.KNNDivergence()):
        with pytest.raises(NotFittedError):
            kl.pipeline_divergence(pipe, X)
    with pytest.raises(ValueError, match="expecting 2 features"):
        kl.pipeline_divergence(make_pipeline(StandardScaler(), kl.KNNDivergence()).fit(Y), normals(d=3)[0])


# ---------------------------------------------------------------- scorers


def test_scores_over_the_folds_of_the_reference():
    """Each is the divergence of a fold from the rest: what to expect without any change."""
    Y = normals(m=600)[1]
    found = cross_val_score(kl.GaussianDivergence(), Y, scoring=kl.kl_scorer, cv=4)
    folds = np.split(Y, 4)
    for i, value in enumerate(found):
        rest = np.concatenate(folds[:i] + folds[i + 1 :])
        assert value == pytest.approx(kl.estimate_kl(folds[i], rest, method="gaussian").value, rel=1e-12)
    assert abs(found.mean()) < 0.02
    plain = cross_val_score(kl.GaussianDivergence(), Y, cv=4)
    np.testing.assert_array_equal(plain, -found)


def test_the_bound_of_nguyen_wainwright_and_jordan():
    X, y = labelled()
    held_X, held_y = labelled(200, 150, seed=1)
    ratio = kl.RatioDivergence(LogisticRegression()).fit(X, y)
    model = LogisticRegression().fit(X, y)
    f = held_X[:, 0] * model.coef_[0, 0] + model.intercept_[0] - math.log(300 / 400)
    expected = f[held_y == 1].mean() + 1.0 - np.exp(f[held_y == 0]).mean()
    assert kl.nwj_scorer(ratio, held_X, held_y) == pytest.approx(expected, rel=1e-9)
    names = np.array(["q", "zp"])
    named = kl.RatioDivergence(LogisticRegression()).fit(X, names[y])
    assert kl.nwj_scorer(named, held_X, names[held_y]) == kl.nwj_scorer(ratio, held_X, held_y)


def test_the_bound_lies_below_the_truth_and_near_it():
    X, y = labelled(4000, 4000)
    scores = cross_val_score(kl.RatioDivergence(random_state=0), X, y, scoring=kl.nwj_scorer, cv=5)
    assert scores.mean() == pytest.approx(0.5, abs=0.06)
    the_other_way_round = kl.RatioDivergence().fit(X, 1 - y)
    assert kl.nwj_scorer(the_other_way_round, X, y) < -0.5


def test_a_search_chooses_the_penalty_by_the_bound():
    """Both penalties rank rows alike in one feature, so that accuracy is blind; probabilities differ."""
    X, y = labelled(1000, 1000)
    pipe = make_pipeline(StandardScaler(), kl.RatioDivergence(LogisticRegression()))
    grid = {"ratiodivergence__classifier__C": [1e-5, 1.0]}
    search = GridSearchCV(pipe, grid, scoring=kl.nwj_scorer, cv=3).fit(X, y)
    assert search.best_params_ == {"ratiodivergence__classifier__C": 1.0}
    assert search.best_score_ == pytest.approx(0.5, abs=0.1)
    assert search.score(X, y) == kl.nwj_scorer(search, X, y) == kl.nwj_scorer(search.best_estimator_, X, y)
    both = cross_validate(pipe, X, y, scoring={"bound": kl.nwj_scorer, "accuracy": "accuracy"}, cv=3)
    assert (both["test_accuracy"] > both["test_bound"]).all()


def test_no_bound_from_a_classifier_that_is_certain():
    X, y = labelled()
    ratio = kl.RatioDivergence(DecisionTreeClassifier(), random_state=0).fit(X, y)
    assert kl.nwj_scorer(ratio, *labelled(seed=1)) == -math.inf
    assert kl.nwj_scorer(ratio, X, y) == math.inf  # its own rows, all of which it has seen


@pytest.mark.parametrize("labels", [[1] * 10, [0] * 10, [0, 1, 2] * 3 + [0], ["0", "1"] * 5])
def test_labels_that_cannot_be_scored(labels):
    ratio = kl.RatioDivergence().fit(*labelled())
    with pytest.raises(errors.InvalidParameterError, match=r"both of \[0, 1\] and no others"):
        kl.nwj_scorer(ratio, labelled()[0][:10], labels)


# ---------------------------------------------------------------- the log ratio as a feature


def test_the_log_ratio_as_a_column():
    X, y = labelled(3000, 1000)
    ratio = kl.RatioDivergence(random_state=0).fit(X, y)
    found = ratio.transform(X)
    assert found.shape == (4000, 1)
    truth = X[:, 0] - 0.5
    assert np.abs(found[:, 0] - truth).mean() < 0.1
    np.testing.assert_allclose(expit(found[:, 0] + math.log(3.0)), ratio.predict_proba(X)[:, 1], rtol=1e-9)
    np.testing.assert_array_equal(kl.RatioDivergence(random_state=0).fit_transform(X, y), found)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(library):
    X, y = labelled()
    frame = pd.DataFrame(X, columns=["x"]) if library == "pandas" else pl.DataFrame(X, schema=["x"])
    ratio = kl.RatioDivergence(random_state=0).set_output(transform=library).fit(frame, y)
    out = ratio.transform(frame)
    assert type(out).__module__.startswith(library)
    assert list(out.columns) == list(ratio.get_feature_names_out()) == ["ratiodivergence0"]
    plain = kl.RatioDivergence(random_state=0).fit(X, y).transform(X)
    np.testing.assert_array_equal(np.asarray(out), plain)


def test_in_a_column_transformer():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    frame = pd.DataFrame({"a": rng.normal(size=400) + y, "b": rng.normal(size=400), "c": rng.normal(size=400)})
    columns = ColumnTransformer(
        [("ratio", kl.RatioDivergence(random_state=0), ["a", "b"]), ("scaled", StandardScaler(), ["c"])]
    ).set_output(transform="pandas")
    out = columns.fit_transform(frame, y)
    assert list(out.columns) == ["ratio__ratiodivergence0", "scaled__c"]
    alone = kl.RatioDivergence(random_state=0).fit(frame[["a", "b"]], y).transform(frame[["a", "b"]])
    np.testing.assert_array_equal(out["ratio__ratiodivergence0"], alone[:, 0])
    stacked = make_pipeline(columns, LogisticRegression())
    assert cross_val_score(stacked, frame, y, cv=3).mean() > 0.6


def test_a_log_density_as_a_column():
    """An estimator with score_samples needs no transformer of its own."""
    X, Y = normals()
    density = kl.KNNDivergence().fit(Y)
    column = FunctionTransformer(lambda Z: density.score_samples(Z)[:, None])
    np.testing.assert_array_equal(make_pipeline(column).fit(X).transform(X)[:, 0], density.score_samples(X))


# ---------------------------------------------------------------- what is shown, and what is told


@every_estimator
def test_pages_show_the_parameters(make):
    estimator = seeded(make)
    page = make_pipeline(StandardScaler(), estimator)._repr_html_()
    assert make.__name__ in page
    shown = ("n_neighbors", "scale", "random_state") if SHOWS_DEFAULTS else ("random_state",)
    for name in estimator.get_params():
        if name in shown:
            assert name in estimator._repr_html_()
    assert repr(make()).startswith(f"{make.__name__}(")


@every_estimator
def test_tags(make):
    tags = get_tags(make())
    is_ratio, is_drift = make is kl.RatioDivergence, make is kl.DriftDetector
    assert tags.estimator_type == ("classifier" if is_ratio else None if is_drift else "density_estimator")
    assert tags.target_tags.required == is_ratio
    assert (tags.transformer_tags is not None) == is_ratio
    assert (tags.input_tags.sparse, tags.input_tags.allow_nan, tags.array_api_support) == (False, is_drift, False)
    if is_ratio:
        assert not tags.classifier_tags.multi_class


# ---------------------------------------------------------------- state


def answers(make, estimator):
    """All numbers that a fitted estimator gives."""
    if make is kl.DriftDetector:
        return estimator.detect(normals(FEW, seed=1)[0]).to_json()
    X = labelled(seed=1)[0] if make is kl.RatioDivergence else normals(FEW, seed=1)[0]
    names = ("score_samples", "transform", "predict_proba")
    numbers = [getattr(estimator, name)(X).tolist() for name in names if hasattr(estimator, name)]
    estimate = estimator.divergence() if make is kl.RatioDivergence else estimator.divergence(X)
    return [estimate, *numbers]


def by_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def by_skops(estimator):
    """Loaded only if nothing but our own classes, and what skops trusts by itself, is in the file."""
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(estimator)
    foreign = skops.get_untrusted_types(data=data)
    assert all(name.startswith("kltools.") for name in foreign)
    return skops.loads(data, trusted=foreign)


@every_estimator
@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), by_joblib, by_skops])
def test_a_state_that_comes_back_gives_the_same_bits(make, again):
    estimator = fitted(make)
    copy = again(estimator)
    assert answers(make, copy) == answers(make, estimator)
    assert copy.get_params() == estimator.get_params() or make is kl.RatioDivergence
    assert vars(copy).keys() == vars(estimator).keys()


@every_estimator
def test_a_state_is_plain(make):
    """Arrays, numbers, text and lists of these, but for estimators in it and the columns of a reference."""
    state = fitted(make).__getstate__()
    foreign = {
        name
        for name, value in state.items()
        if not isinstance(value, np.ndarray | int | float | str | type(None))
        and not (isinstance(value, list) and all(isinstance(item, str) for item in value))
    }
    expected = {kl.RatioDivergence: {"classifier_"}, kl.DriftDetector: {"estimator_", "_reference"}}
    assert foreign == expected.get(make, set())


@every_estimator
def test_a_state_of_another_version_warns(make, monkeypatch):
    estimator = fitted(make)
    with monkeypatch.context() as patch:
        patch.setattr(_state, "__version__", "0.0.9")
        data = pickle.dumps(estimator)
    with pytest.warns(errors.StateVersionWarning, match=r"saved by version 0\.0\.9 of kltools") as seen:
        copy = pickle.loads(data)
    assert seen[0].filename == __file__
    assert answers(make, copy) == answers(make, estimator)
    assert pickle.loads(pickle.dumps(copy)).get_params().keys() == estimator.get_params().keys()


def test_a_state_without_a_version_warns():
    estimator = kl.KNNDivergence().fit(normals()[1])
    other = kl.KNNDivergence()
    with pytest.warns(errors.StateVersionWarning, match="an unknown version"):
        other.__setstate__(vars(estimator))
    assert other.divergence(normals()[0]) == estimator.divergence(normals()[0])


def test_the_stamp_is_not_in_the_way():
    estimator = kl.KNNDivergence().fit(normals()[1])
    assert estimator.__getstate__()["_kltools_version"] == kl.__version__
    copy = pickle.loads(pickle.dumps(estimator))
    assert "_kltools_version" not in vars(copy)
    assert clone(copy).get_params() == estimator.get_params()


# ---------------------------------------------------------------- frames


NAMES = ["height", "weight"]
FRAMES = {"pandas": lambda Z: pd.DataFrame(Z, columns=NAMES), "polars": lambda Z: pl.DataFrame(Z, schema=NAMES)}


def changed(frame, how):
    if how == "missing":
        return frame[["height"]]
    if how == "reordered":
        return frame[["weight", "height"]]
    if how == "extra":
        return pd.concat([frame, frame["weight"].rename("age")], axis=1)
    if how == "retyped":
        return frame.assign(weight=frame["weight"].astype(str))
    return frame.assign(weight=pd.Categorical(frame["weight"].round().astype(int).astype(str)))


@every_estimator
@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("missing", "weight|expecting 2 features"),
        ("extra", "age|expecting 2 features"),
        ("reordered", "order"),
        ("retyped", "'weight'.*numbers are needed|'weight'.*text"),
        ("category", "'weight'.*numbers are needed"),
    ],
)
def test_frames_with_other_columns(make, library, how, match):
    X, Y = (pd.DataFrame(Z, columns=NAMES) for Z in normals(40, 50))
    wrong = changed(X, how)
    if library == "polars":
        Y = pl.from_pandas(Y)
        wrong = pl.DataFrame(dict(wrong.items()))
    estimator = seeded(make)
    estimator.fit(Y, np.arange(50) % 2) if make is kl.RatioDivergence else estimator.fit(Y)
    names = ["transform", "predict"] if make is kl.RatioDivergence else ["divergence", "score", "score_samples"]
    for method in [name for name in names if hasattr(make, name)]:
        with pytest.raises((ValueError, TypeError), match=match):
            getattr(estimator, method)(wrong)


@every_reference
def test_arrays_after_frames_and_frames_after_arrays(make):
    """They are answered, with scikit-learn's warning."""
    X, Y = normals(FEW, FEW)
    by_name, by_place = seeded(make).fit(pd.DataFrame(Y, columns=NAMES)), seeded(make).fit(Y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert by_name.divergence(X) == by_place.divergence(X)
    with pytest.warns(UserWarning, match="fitted without feature names"):
        assert by_place.divergence(pd.DataFrame(X, columns=NAMES)) == by_place.divergence(X)


@every_reference
@pytest.mark.parametrize("library", FRAMES)
def test_empty_windows_and_missing_features(make, library):
    X, Y = normals()
    estimator = seeded(make).fit(FRAMES[library](Y))
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        estimator.divergence(FRAMES[library](X[:0]))
    X[:, 1] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.divergence(FRAMES[library](X))
    with pytest.raises(ValueError, match="contains NaN"):
        seeded(make).fit(FRAMES[library](X))
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        seeded(make).fit(FRAMES[library](Y[:0]))


@every_reference
def test_constant_features(make):
    """The same single value tells nothing; of another one the divergence is inf."""
    X, Y = normals(FEW, FEW)
    one = np.ones((len(Y), 1))
    with_constant = np.hstack([Y, one])
    with pytest.warns(errors.TiesWarning, match=r"columns \[2\] have the same single value"):
        found = seeded(make).fit(with_constant).divergence(np.hstack([X, one[: len(X)]]))
    assert found.value == pytest.approx(seeded(make).fit(Y).divergence(X).value, rel=1e-9)
    with pytest.warns(errors.InfiniteDivergenceWarning, match="column 2"):
        assert seeded(make).fit(with_constant).divergence(np.hstack([X, 2.0 * one[: len(X)]])).value == math.inf


@every_estimator
def test_lazy_frames(make):
    frame = pl.DataFrame(normals()[1], schema=NAMES)
    with pytest.raises(errors.InvalidTypeError, match="LazyFrame"):
        seeded(make).fit(frame.lazy(), np.arange(300) % 2)


@every_reference
def test_tensors(make):
    torch = pytest.importorskip("torch")
    X, Y = normals(FEW, FEW)
    expected = seeded(make).fit(Y).divergence(X)
    rows, reference = (torch.tensor(Z, requires_grad=True) for Z in (X, Y))
    assert seeded(make).fit(reference).divergence(rows) == expected
    halves = torch.tensor(X).to(torch.bfloat16)
    assert seeded(make).fit(Y).divergence(halves) == seeded(make).fit(Y).divergence(halves.double().numpy())


def test_folds_without_a_class():
    X, y = labelled(6, 60)
    scores = cross_val_score(
        kl.RatioDivergence(LogisticRegression(), random_state=0), X, y, scoring=kl.nwj_scorer, cv=StratifiedKFold(3)
    )
    assert np.isfinite(scores).all()
