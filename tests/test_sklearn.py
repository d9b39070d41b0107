"""The estimators inside scikit-learn."""

import pickle
import warnings

import cases
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.covariance import OAS, LedoitWolf
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import kltools as kl
from kltools import errors
from kltools.estimators import METHODS, method_function, method_options
from kltools.estimators.objects import DivergenceEstimator

NEIGHBORS = [kl.KNNDivergence, kl.KNNRadiusDivergence, kl.WeightedKNNDivergence]
DENSITIES = [*NEIGHBORS, kl.GaussianDivergence, kl.KDEDivergence]
RATIOS = [kl.ULSIFDivergence, kl.RuLSIFDivergence, kl.KLIEPDivergence]
MODELS = [kl.AutoDivergence, kl.CalibratedKNNDivergence, kl.MixtureDivergence]  # their values depend on a seed
ESTIMATORS = [*DENSITIES, *RATIOS, *MODELS]
PUBLIC = [getattr(kl, name) for name in kl.__all__]
CHECKED = [thing for thing in PUBLIC if isinstance(thing, type) and issubclass(thing, BaseEstimator)]
CHECKS = parametrize_with_checks([make() for make in CHECKED])
every_estimator = pytest.mark.parametrize("make", ESTIMATORS)
every_density = pytest.mark.parametrize("make", DENSITIES)


def seeded(make):
    return make(random_state=0) if make in MODELS else make()


def subclasses(kind):
    return {kind, *(below for child in kind.__subclasses__() for below in subclasses(child))}


def normals(n=200, m=300, d=2, shift=0.5, seed=0):
    X, Y = cases.Pair("normal", n, m, d, seed).samples
    return X, Y + shift


# scikit-learn's toy samples are tiny and tied; its 1.6 hands pytest an iterator, which pytest 9 deprecates
@pytest.mark.filterwarnings("ignore::kltools.errors.KLToolsWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------- parameters


def test_every_estimator_has_a_method_and_is_public():
    assert subclasses(DivergenceEstimator) - {DivergenceEstimator} == set(ESTIMATORS)
    assert {make._method for make in ESTIMATORS} <= set(METHODS)
    assert {*ESTIMATORS, kl.RatioDivergence} <= set(CHECKED)
    for make in ESTIMATORS:
        assert make.__name__ in kl.__all__


@pytest.mark.parametrize("method", METHODS)
def test_constructor_parameters_are_the_options_of_the_method(method):
    assert method_function(method).__doc__
    for make in ESTIMATORS:
        if make._method == method:
            parameters = make().get_params()
            circumstances = {"n_jobs", "random_state"} & set(parameters)
            assert all(parameters.pop(name) is None for name in circumstances)
            assert parameters == method_options(method)


@pytest.mark.parametrize(
    "parameters", [{"n_neighbors": 0}, {"n_neighbors": 10**6}, {"scale": "sphere"}, {"n_jobs": 0}, {"random_state": -1}]
)
def test_bad_parameters_are_found_when_fitting(parameters):
    estimator = kl.KNNDivergence(**parameters)  # the constructor checks nothing
    with pytest.raises(ValueError, match=next(iter(parameters))):
        estimator.fit(normals()[1])


@pytest.mark.parametrize(
    ("make", "parameters", "match"),
    [
        (kl.GaussianDivergence, {"bias": "none"}, "bias must be one of 'unbiased', 'mle'"),
        (kl.GaussianDivergence, {"covariance": "lw"}, "covariance must be one of 'empirical', 'ledoit-wolf', 'oas'"),
        (kl.GaussianDivergence, {"covariance": "oas"}, "pass bias='mle' with it"),
        (kl.CalibratedKNNDivergence, {"reference": "normal"}, "reference must be one of"),
        (kl.CalibratedKNNDivergence, {"n_simulations": 2}, "n_simulations must be >= 3"),
        (kl.MixtureDivergence, {"max_components": 0}, "max_components must be >= 1"),
        (kl.MixtureDivergence, {"covariance": "spherical"}, "covariance must be one of 'auto', 'full', 'tied', 'diag'"),
        (kl.MixtureDivergence, {"n_folds": 1}, "n_folds must be >= 2"),
        (kl.AutoDivergence, {"n_neighbors": 10**6}, "n_neighbors=1000000 needs"),
    ],
)
def test_bad_options_are_found_when_fitting_and_by_the_function(make, parameters, match):
    X, Y = normals()
    with pytest.raises(ValueError, match=match):
        make(**parameters).fit(Y)
    with pytest.raises(ValueError, match=match):
        kl.estimate_kl(X, Y, method=make._method, **parameters)


# ---------------------------------------------------------------- answers


@pytest.mark.filterwarnings("ignore::kltools.errors.UnreliableEstimateWarning")  # auto has doubts about 200 rows
@every_estimator
def test_divergence_is_that_of_the_function(make):
    X, Y = normals()
    estimator = seeded(make).fit(Y)
    estimate, expected = estimator.divergence(X), kl.estimate_kl(X, Y, method=make._method, random_state=0)
    assert estimate == expected
    assert estimator.score(X) == -expected.value
    assert type(estimator.score(X)) is float
    assert estimator.n_features_in_ == 2
    assert estimator.n_samples_fit_ == 300


def test_parameters_reach_the_estimate():
    X, Y = normals()
    estimate = kl.KNNDivergence(3, scale="none", n_jobs=2, random_state=5).fit(Y).divergence(X)
    expected = kl.estimate_kl(X, Y, method="knn", n_neighbors=3, scale="none", random_state=5)
    assert estimate == expected
    assert estimate.standard_error == expected.standard_error


@every_density
def test_score_samples_are_log_densities(make):
    """Against N(mean, cov) at 20 000 rows, where it is dense."""
    cov = np.array([[1.0, 0.6], [0.6, 4.0]])
    truth, rng = stats.multivariate_normal([1.0, -2.0], cov), np.random.default_rng(0)
    estimator = make().fit(truth.rvs(20_000, random_state=rng))
    queries = np.array([1.0, -2.0]) + rng.uniform(-1, 1, (200, 2))
    error = estimator.score_samples(queries) - truth.logpdf(queries)
    assert error.shape == (200,)
    assert abs(error.mean()) < (0.06 if make is kl.KDEDivergence else 0.03)  # kernels smooth the peak
    assert error.std() < 0.35


@every_density
@pytest.mark.parametrize("kind", ["normal", "tenth_grid", "offset_1e7"])
def test_score_samples_depend_on_the_row_alone(make, kind):
    Y, queries = cases.Pair(kind, 300, 40, 3, 0).samples
    estimator = make().fit(Y)
    together = estimator.score_samples(queries)
    alone = [estimator.score_samples(queries[i : i + 1])[0] for i in range(40)]
    tolerance = 0.0 if make is kl.KNNDivergence else 1e-13  # LAPACK solves blocks of rows in other orders
    np.testing.assert_allclose(estimator.score_samples(queries[::-1]), together[::-1], rtol=tolerance)
    np.testing.assert_allclose(alone, together, rtol=tolerance)


@pytest.mark.filterwarnings("ignore::kltools.errors.TiesWarning")
def test_one_neighbor_on_the_training_data():
    Y = normals()[1]
    estimator = kl.KNNDivergence(1).fit(Y)
    assert np.isfinite(estimator.score(Y))
    assert np.isfinite(estimator.score_samples(Y)).all()


@pytest.mark.parametrize("make", NEIGHBORS)
@pytest.mark.filterwarnings("ignore::kltools.errors.KLToolsWarning")
def test_one_row_of_reference(make):
    """As for the functions: one neighbour is enough for a distance."""
    X, Y = normals()
    estimate = make().fit(Y[:1]).divergence(X)
    assert estimate == kl.estimate_kl(X, Y[:1], method=make._method)
    assert np.isfinite(estimate.value)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        kl.GaussianDivergence().fit(Y[:1])


def test_neighbors_of_equal_radii_are_one_number():
    X, Y = normals()
    assert kl.KNNRadiusDivergence(3).fit(Y).divergence(X).n_neighbors == (3,)
    with pytest.raises(errors.InvalidParameterError, match="n_neighbors must be one number"):
        kl.KNNRadiusDivergence((3, 4)).fit(Y)
    np.testing.assert_array_equal(
        kl.KNNRadiusDivergence().fit(Y).score_samples(X), kl.KNNDivergence(10).fit(Y).score_samples(X)
    )


@pytest.mark.parametrize("covariance", ["ledoit-wolf", "oas"])
def test_log_densities_with_a_shrunk_covariance(covariance):
    """Twelve rows of 30 columns of unlike units, against scikit-learn's covariance of the standardised columns."""
    rng = np.random.default_rng(0)
    units = 10.0 ** rng.uniform(-3, 3, 30)
    Y, queries = rng.standard_normal((12, 30)) * units, rng.standard_normal((5, 30)) * units
    spread = Y.std(axis=0, ddof=1)
    fitted = {"ledoit-wolf": LedoitWolf, "oas": OAS}[covariance]().fit(Y / spread)
    expected = stats.multivariate_normal(fitted.location_, fitted.covariance_).logpdf(queries / spread)
    found = kl.GaussianDivergence(bias="mle", covariance=covariance).fit(Y).score_samples(queries)
    np.testing.assert_allclose(found, expected - np.log(spread).sum(), rtol=1e-9)


def test_a_reference_without_a_density():
    with pytest.raises(errors.InvalidParameterError, match="all of its columns are constant"):
        kl.GaussianDivergence().fit(np.ones((20, 2))).score_samples(np.ones((20, 2)))


def test_a_reference_with_dependent_columns_has_the_density_of_the_others():
    column = np.arange(20.0)[:, None]
    whole = kl.GaussianDivergence().fit(column * [1.0, 2.0]).score_samples(column * [1.0, 2.0])
    np.testing.assert_array_equal(whole, kl.GaussianDivergence().fit(column).score_samples(column))


# ---------------------------------------------------------------- behaviour of estimators


@every_estimator
@pytest.mark.parametrize("method", ["divergence", "score", "score_samples"])
def test_not_fitted(make, method):
    if hasattr(make, method):
        with pytest.raises(NotFittedError):
            getattr(seeded(make), method)(normals()[0])


@every_estimator
@pytest.mark.parametrize("call", [lambda e, Y: e.fit(Y[:, 0]), lambda e, Y: e.fit(Y).score(Y[:, 0])])
def test_one_dimensional_input_is_refused(make, call):
    with pytest.raises(ValueError, match="Reshape your data"):
        call(seeded(make), normals()[1])


@every_estimator
def test_other_numbers_of_features_are_refused(make):
    with pytest.raises(ValueError, match="expecting 2 features"):
        seeded(make).fit(normals()[1]).divergence(normals(d=3)[0])


@every_density
def test_pipeline(make):
    X, Y = normals()
    pipeline = make_pipeline(StandardScaler(), make()).fit(Y * [1.0, 1000.0])
    assert pipeline.score(X * [1.0, 1000.0]) == pytest.approx(-kl.estimate_kl(X, Y, method=make._method).value)
    assert pipeline.score_samples(X).shape == (200,)


def test_clone():
    estimator = kl.KNNDivergence(n_neighbors=(3, 4), scale="std", random_state=7)
    copied = clone(estimator.fit(normals()[1]))
    assert copied.get_params() == estimator.get_params()
    assert not hasattr(copied, "n_features_in_")
    assert copied.set_params(n_neighbors=9).n_neighbors == 9


@every_density
def test_pickle(make):
    X, Y = normals()
    estimator = make().fit(Y)
    again = pickle.loads(pickle.dumps(estimator))
    assert again.divergence(X) == estimator.divergence(X)
    np.testing.assert_array_equal(again.score_samples(X), estimator.score_samples(X))


@pytest.mark.filterwarnings("ignore::kltools.errors.UnreliableEstimateWarning")
@every_estimator
def test_fitting_again_forgets(make):
    X, Y = normals()
    estimator = seeded(make).fit(normals(d=3)[1]).fit(Y)
    assert estimator.divergence(X) == seeded(make).fit(Y).divergence(X)


@every_density
def test_changing_the_reference_afterwards_has_no_effect(make):
    X, Y = normals()
    estimator = make().fit(Y)
    divergence, densities = estimator.divergence(X), estimator.score_samples(X)
    Y += 100.0
    assert estimator.divergence(X) == divergence
    np.testing.assert_array_equal(estimator.score_samples(X), densities)


@every_density
def test_read_only_memory_maps(make, tmp_path):
    X, Y = normals()
    for name, sample in (("x", X), ("y", Y)):
        np.save(tmp_path / f"{name}.npy", sample)
    mapped_x, mapped_y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy")
    estimator, expected = make().fit(mapped_y), make().fit(Y)
    assert estimator.divergence(mapped_x) == expected.divergence(X)
    np.testing.assert_array_equal(estimator.score_samples(mapped_x), expected.score_samples(X))


# ---------------------------------------------------------------- frames


@every_density
def test_names_of_columns_are_kept(make):
    X, Y = (pd.DataFrame(Z, columns=["height", "weight"]) for Z in normals())
    estimator = make().fit(Y)
    assert list(estimator.feature_names_in_) == ["height", "weight"]
    expected = make().fit(Y.to_numpy())
    assert estimator.divergence(X) == expected.divergence(X.to_numpy())
    np.testing.assert_array_equal(estimator.score_samples(X), expected.score_samples(X.to_numpy()))


@every_density
@pytest.mark.parametrize("method", ["divergence", "score_samples"])
def test_columns_in_another_order_are_refused(make, method):
    X, Y = (pd.DataFrame(Z, columns=["height", "weight"]) for Z in normals())
    estimator = make().fit(Y)
    with pytest.raises(ValueError, match="same order"):
        getattr(estimator, method)(X[["weight", "height"]])
    with pytest.raises(ValueError, match="feature names"):
        getattr(estimator, method)(X.rename(columns={"weight": "mass"}))


@every_estimator
def test_text_columns_are_refused(make):
    frame = pd.DataFrame(normals()[1], columns=["height", "weight"]).assign(weight="heavy")
    with pytest.raises(errors.InvalidTypeError, match="'weight'"):
        seeded(make).fit(frame)


@pytest.mark.parametrize("method", ["divergence", "score"])
def test_warnings_point_at_the_caller(method):
    estimator = kl.KNNDivergence(3).fit(normals(20, 20)[1])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        getattr(estimator, method)(normals(20, 20)[0])
    assert [entry.filename for entry in seen] == [__file__]


@every_estimator
def test_a_good_sample_warns_of_nothing(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        X, Y = normals(2000, 3000) if make is kl.AutoDivergence else normals()
        estimator = seeded(make).fit(Y)
        estimator.score(X)
        repr(estimator), estimator._repr_html_()
