"""Inputs that nobody should pass, and somebody will: no nan, no stranger's error, no wrong number without a word."""

import math
import warnings

import naive
import numpy as np
import pytest
from bad_inputs import P, Q

import kltools as kl
from kltools import errors


def quiet(X, Y, **options):
    """An estimate whose own warnings are read from the result; any other warning is an error."""
    options = {"method": "knn", "random_state": 0, **options}
    if isinstance(options["method"], str) and options["method"] == "knn":
        options.setdefault("n_neighbors", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        return kl.estimate_kl(X, Y, **options)


def told(X, Y, category, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kl.estimate_kl(X, Y, **options)
    return any(issubclass(w.category, category) for w in caught)


# ---------------------------------------------------------------- samples far apart, and of very different scales


@pytest.mark.parametrize("scale", ["whiten", "std", "none"])
@pytest.mark.parametrize("shift", [1e7, 1e8, 1e9, 1e10, 1e12])
def test_far_apart_is_far(shift, scale):
    """Per feature, a divergence by distances grows with the logarithm of the shift."""
    estimate = quiet(P + shift, Q, scale=scale)
    assert estimate.value == pytest.approx(quiet(P + 1e5, Q, scale=scale).value + 3 * math.log(shift / 1e5), rel=1e-3)
    assert "overlap" in " ".join(estimate.warnings)


@pytest.mark.parametrize("scale", ["whiten", "std", "none"])
@pytest.mark.parametrize("factor", [1e20, 1e154, 1e160, 1e200, 1e290])
def test_a_wide_reference_is_far(factor, scale):
    value = quiet(P, Q * factor, scale=scale).value
    assert value == pytest.approx(quiet(P, Q * 1e10, scale=scale).value + 3 * math.log(factor / 1e10), rel=1e-3)


@pytest.mark.parametrize("scale", ["whiten", "std", "none"])
def test_far_outliers_of_the_reference(scale):
    Y = np.append(Q[:6, 0], [1e200] * 30)
    estimate = quiet(P[:, 0], Y, scale=scale)
    assert estimate.value == pytest.approx(quiet(P[:, 0], np.append(Q[:6, 0], [1e3] * 30), scale=scale).value, rel=1e-9)
    assert math.isfinite(estimate.standard_error)


def test_lattices_without_a_common_point_are_told():
    estimate = quiet(np.round(P), np.round(Q) + 1000)
    assert math.isinf(estimate.value) or "overlap" in " ".join(estimate.warnings)


@pytest.mark.parametrize("factor", [1e8, 1e15, 1e17, 1e100])
def test_gaussian_of_a_wide_sample(factor):
    """Only (m - d - 2) / (m - 1) / 2 (tr(S_q^-1 S_p) (1 - 1/n) + distance of the means) matters."""
    mean, shrink = P.mean(axis=0), (60 - 3 - 2) / (60 - 1)
    inverse = np.linalg.inv(np.cov(Q, rowvar=False))
    leading = 0.5 * shrink * (np.trace(inverse @ np.cov(P, rowvar=False)) * (1 - 1 / 50) + mean @ inverse @ mean)
    assert quiet(P * factor, Q, method="gaussian").value == pytest.approx(leading * factor * factor, rel=1e-6)


@pytest.mark.parametrize("exponent", [-1074, -1060, -1040, -1030])
@pytest.mark.parametrize("method", ["knn", "gaussian"])
def test_subnormal_numbers(exponent, method):
    X, Y = np.ldexp(P, exponent), np.ldexp(Q, exponent)
    value = quiet(np.ldexp(X, -exponent), np.ldexp(Y, -exponent), method=method).value
    assert quiet(X, Y, method=method).value == pytest.approx(value, rel=1e-9)


# ---------------------------------------------------------------- structure


@pytest.mark.parametrize("columns", [[0, 1, 1], [0, 0, 0, 0]])
def test_dependent_columns_are_told(columns):
    """Their distances are those of fewer features: the estimate is too large by the ratio of the numbers."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(0.5, 1, (2000, 2)), rng.normal(0, 1, (2000, 2))
    estimate = quiet(X[:, columns], Y[:, columns])
    fewer = quiet(X[:, sorted(set(columns))], Y[:, sorted(set(columns))])
    assert estimate.value == pytest.approx(fewer.value, rel=0.1) or "dependent" in " ".join(estimate.warnings)


@pytest.mark.parametrize(("X", "Y"), [(P[:4], Q), (P[:2, :1], Q[:50, :1]), (P[:4], Q[:6])])
@pytest.mark.parametrize("method", ["gaussian", "auto"])
def test_few_rows_for_gaussian_are_told(X, Y, method):
    """The interval of two rows contains the truth half of the time."""
    assert told(X, Y, errors.SmallSampleWarning, method=method)


def test_two_rows_against_a_density_are_told():
    assert told(P[:2, 0], kl.Normal(mean=0, var=1), errors.SmallSampleWarning, method="gaussian")


@pytest.mark.parametrize(("n", "m", "d"), [(2, 1, 1), (2, 1, 3), (2, 2, 1), (3, 1, 5), (5, 5, 1000), (50, 5, 1000)])
def test_tiny_samples(n, m, d):
    rng = np.random.default_rng(0)
    estimate = quiet(rng.normal(size=(n, d)), rng.normal(size=(m, d)), n_neighbors=None)
    assert math.isfinite(estimate.value)
    assert estimate.n_neighbors[-1] <= min(n - 1, m)
    assert estimate.reliable is False
    assert "few for n_neighbors" in " ".join(estimate.warnings)


def test_atoms_in_one_sample():
    X = np.repeat([[0.0], [1.0]], 200, axis=0)
    Y = np.repeat([[0.0], [1.0]], [300, 100], axis=0)
    assert quiet(X, Y).value == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25), abs=0.02)
    assert quiet(X, Y, scale="none").value == pytest.approx(naive.knn_divergence(X, Y, [3]), rel=1e-12)
    assert quiet(X[:200], Y).value == pytest.approx(math.log(4 / 3), abs=0.01)


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize("options", [{"n_neighbors": 0}, {"n_neighbors": "a"}, {"scale": "other"}], ids=str)
@pytest.mark.parametrize(
    ("X", "Y", "method"),
    [(P[:20], Q[:20], "auto"), (np.ones((50, 3)), np.ones((60, 3)), "knn"), (np.ones((50, 3)), Q, "knn")],
    ids=["auto_takes_gaussian", "all_constant", "infinite"],
)
def test_options_are_checked_whatever_the_data(X, Y, method, options):
    (name,) = options
    with pytest.raises(errors.KLToolsError, match=name):
        quiet(X, Y, method=method, **{"n_neighbors": None, **options})


@pytest.mark.parametrize("value", [np.array(["knn", "auto"]), np.array("other"), ["raise"]], ids=str)
@pytest.mark.parametrize("name", ["method", "unit", "nan_policy", "device", "scale"])
def test_choices_are_single_words(name, value):
    with pytest.raises(kl.InvalidParameterError, match=name):
        quiet(P, Q, **{name: value})


@pytest.mark.parametrize("method", ["knn", "gaussian"])
def test_largest_confidence_level(method):
    low, high = quiet(P, Q, method=method).confidence_interval(np.nextafter(1.0, 0.0))
    assert low < high


# ---------------------------------------------------------------- estimators, distributions, distances, latents


@pytest.mark.parametrize("place", [1e200, 1e300, 1e307])
def test_log_densities_far_away(place):
    far = np.full((2, 3), place)
    assert (kl.GaussianDivergence().fit(Q).score_samples(far) == -np.inf).all()
    # log of 3 / (60 volume): how many neighbours count there is worth 3 at most
    expected = math.log(3 / 60 / (4 / 3 * math.pi)) - 3 * (math.log(place) + 0.5 * math.log(3))
    np.testing.assert_allclose(kl.KNNDivergence(3).fit(Q).score_samples(far), expected, atol=4)


def test_log_densities_of_subnormal_numbers():
    density = kl.KNNDivergence(3).fit(np.ldexp(Q, -1040)).score_samples(np.ldexp(P, -1040))
    expected = kl.KNNDivergence(3).fit(Q).score_samples(P) + 3 * 1040 * math.log(2)
    np.testing.assert_allclose(density, expected, atol=1e-3)


def test_a_reference_smaller_than_n_neighbors():
    with pytest.raises(kl.NotEnoughSamplesError, match=r"n_neighbors=61.*61 rows.*n_samples=60"):
        kl.KNNDivergence(61).fit(Q)


@pytest.mark.parametrize("X", [P * 1e200, P * 1e300])
@pytest.mark.parametrize("method", ["knn", "gaussian"])
def test_overflowing_log_densities_are_infinite(X, method):
    q = kl.MultivariateNormalDiag(mean=[0, 0, 0], var=[1, 1, 1])
    assert quiet(X, q, method=method).value == math.inf


@pytest.mark.parametrize(
    "distribution",
    [
        kl.Normal(mean=0, var=1),
        kl.Normal(mean=[0, 1], var=1),
        kl.MultivariateNormalDiag(mean=[0], var=[1]),
        kl.MultivariateNormal(mean=[0, 0], cov=np.eye(2)),
        kl.Categorical(probs=[0.5, 0.5]),
        kl.Categorical(probs=[[0.5, 0.5]]),
    ],
    ids=lambda d: f"{type(d).__name__}{d.batch_shape}",
)
def test_every_distribution_has_a_repr(distribution):
    assert type(distribution).__name__ in repr(distribution)
    assert type(distribution).__name__ in str(distribution)


def test_batches_that_do_not_broadcast_in_log_prob():
    with pytest.raises(kl.ShapeMismatchError, match=r"\(2,\).*\(3,\)|\bx\b"):
        kl.Normal(mean=[0, 1, 2], var=1).log_prob([1, 2])


@pytest.mark.parametrize("k", [0, True, 2.0, None, "3", [1, 2], 50, 10**30])
def test_number_of_distances(k):
    with pytest.raises(errors.KLToolsError, match=r"\bk\b"):
        kl.kth_neighbor_distances(P, k=k)


def test_vae_kl_of_tiny_variances_and_a_full_prior():
    prior = kl.MultivariateNormal(mean=np.zeros(3), cov=np.eye(3))
    np.testing.assert_allclose(kl.vae_kl(np.zeros((2, 3)), np.full((2, 3), -800.0), prior=prior), 0.5 * 3 * 799.0)


def test_vae_kl_whose_sum_overflows():
    assert kl.vae_kl(np.full((4, 1), 1.7e154), np.zeros((4, 1)), reduction="mean") == pytest.approx(1.445e308)
    assert kl.vae_kl(np.full((4, 1), 1.7e154), np.zeros((4, 1)), reduction="sum") == math.inf


@pytest.mark.parametrize("use", ["divergence", "score"])
def test_warnings_of_estimators_point_at_the_caller(use):
    estimator = kl.KNNDivergence(3).fit(np.round(Q))
    with pytest.warns(errors.TiesWarning) as caught:
        getattr(estimator, use)(np.round(P))
    assert {w.filename for w in caught} == {__file__}


def test_inputs_are_left_alone():
    X, Y = P.copy(), Q.copy()
    quiet(X, Y)
    kl.KNNDivergence(3).fit(Y).divergence(X)
    assert (X == P).all()
    assert (Y == Q).all()
    assert X.flags.writeable
    assert Y.flags.writeable
