"""Bad inputs and bad calls: a clear error that names the argument, or the right answer, and nothing else.

The table is in `bad_inputs` and `bad_calls`; its numbers are those of the project's list of measured inputs.
"""

import json
import math
import re
import warnings

import bad_calls
import bad_inputs
import naive
import numpy as np
import pytest
from bad_calls import CALLS, FINITE
from bad_inputs import ARGUMENTS, BY_DISTANCE, CONFIDENCE_LEVELS, ESTIMATORS, FUNCTIONS, SAMPLES, P, Q, Raises

import kltools as kl
from kltools import errors
from kltools.inference import jackknife_uncertainty

SAMPLE_CASES = [case for row in SAMPLES for case in row.cases()]


def call(way, X, Y, **options):
    """An estimate by one of the ways in; those by distance with the numbers of neighbours of the table."""
    if way in BY_DISTANCE:
        options.setdefault("n_neighbors", bad_inputs.N_NEIGHBORS)
    if way in FUNCTIONS:
        return kl.estimate_kl(X, Y, method=way, **options)
    return getattr(kl, way)(**options).fit(Y).divergence(X)


def recorded(function):
    """What a function returns and the warnings it gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return function(), [(w.category, str(w.message)) for w in caught]


def check_error(way, function, expected):
    builtin = TypeError if issubclass(expected.kind, TypeError) else ValueError
    if way in FUNCTIONS:
        with pytest.raises(expected.kind, match=expected.match):
            function()
    else:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X (has|does not have valid) feature names", UserWarning)
            with pytest.raises(builtin) as caught:
                function()
        if isinstance(caught.value, errors.KLToolsError):
            assert re.search(expected.match, str(caught.value))


def check_estimate(way, function, expected):
    estimate, told = recorded(function)
    foreign = [item for item in told if not issubclass(item[0], errors.KLToolsWarning)]
    assert not foreign
    assert type(estimate.value) is float
    assert not math.isnan(estimate.value)
    if expected.like is not None:
        # the options of the clean call are those of the table: n_jobs and the like must not change it
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.KLToolsWarning)
            wanted = call(way, *expected.like()).value
        assert estimate.value == pytest.approx(wanted, rel=expected.rtol, abs=expected.rtol)
    elif expected.value is not None:
        assert estimate.value == expected.value
    else:
        assert math.isfinite(estimate.value)
    assert expected.between[0] <= estimate.value <= expected.between[1]
    if expected.warns is not None:
        assert {category for category, _ in told} == set(expected.warns)
    assert set(estimate.warnings) == {message for _, message in told}  # `fit` and `divergence` may tell the same
    assert not expected.text or re.search(expected.text, " | ".join(estimate.warnings))
    assert {name: getattr(estimate, name) for name in expected.flags} == expected.flags
    check_consequences(estimate)


def check_consequences(estimate):
    """Everything derived from an estimate exists, and is consistent with it."""
    (low, high), _ = recorded(estimate.confidence_interval)
    if math.isinf(estimate.value):
        assert math.isnan(low)
        assert high == estimate.value == math.inf
    elif not math.isnan(estimate.standard_error):
        assert low <= estimate.value <= high
    parsed = json.loads(estimate.to_json())
    assert parsed["value"] == ("Infinity" if math.isinf(estimate.value) else estimate.value)
    assert estimate.unit in estimate.summary()


def check(way, function, expected):
    (check_error if isinstance(expected, Raises) else check_estimate)(way, function, expected)


@pytest.mark.parametrize(("row", "way", "expected"), [c[1:] for c in SAMPLE_CASES], ids=[c[0] for c in SAMPLE_CASES])
def test_samples(row, way, expected):
    X, Y = row.samples()
    check(way, lambda: call(way, X, Y, **row.options), expected)


@pytest.mark.parametrize("way", BY_DISTANCE)
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [row[2:] for row in ARGUMENTS],
    ids=[f"{row[0]}-{row[2]}={row[1]}" for row in ARGUMENTS],
)
def test_arguments(name, value, expected, way):
    check(way, lambda: call(way, P, Q, **{name: value}), expected)


@pytest.mark.parametrize(("name", "value", "expected"), [row[2:] for row in ARGUMENTS if row[2] != "n_neighbors"])
def test_arguments_of_gaussian(name, value, expected):
    check("gaussian", lambda: call("gaussian", P, Q, **{name: value}), expected)


@pytest.mark.parametrize(("call", "expected"), [row[2:] for row in CALLS], ids=[f"{row[0]}-{row[1]}" for row in CALLS])
def test_calls(call, expected):
    if isinstance(expected, Raises):
        with pytest.raises(expected.kind, match=expected.match):
            call()
        return
    value, told = recorded(call)
    assert {category for category, _ in told} == set(expected.warns)
    if expected.value is FINITE:
        assert math.isfinite(value)
    elif isinstance(expected.value, float):
        assert value == pytest.approx(expected.value, rel=1e-14)
    else:
        assert value == expected.value


def test_every_row_of_the_list_is_tested():
    numbers = [row.number.rstrip("abc") for row in SAMPLES]
    numbers += [row[0] for table in (ARGUMENTS, CONFIDENCE_LEVELS, CALLS) for row in table]
    assert set(range(1, 132)) - {int(number) for number in numbers} == {bad_calls.ONLY_DOCUMENTED}


def test_the_answer_to_clean_samples():
    """What most rows are compared with."""
    estimate = kl.estimate_kl(P, Q, method="knn", n_neighbors=3, scale="none")
    assert estimate.value == pytest.approx(naive.knn_divergence(P, Q, [3]), rel=1e-12)


def test_neighbors_mean_nothing_to_gaussian():
    with pytest.raises(kl.InvalidParameterError, match="'gaussian' has no option 'n_neighbors'"):
        kl.estimate_kl(P, Q, method="gaussian", n_neighbors=3)


@pytest.mark.parametrize("way", FUNCTIONS + ESTIMATORS)
@pytest.mark.parametrize(
    ("value", "expected"), [row[1:] for row in CONFIDENCE_LEVELS], ids=[f"{r[0]}-{r[1]!r}" for r in CONFIDENCE_LEVELS]
)
def test_confidence_level(value, expected, way):
    estimate = call(way, P, Q)
    for method in (estimate.confidence_interval, estimate.summary, estimate.to_dict, estimate.to_json):
        with pytest.raises(expected.kind, match=expected.match):
            method(value)


@pytest.mark.parametrize("seed", [7, np.int64(7), [1, 2], 2**70])
def test_one_seed_gives_one_standard_error(seed):  # row 86
    first, second = (kl.estimate_kl(P, Q, method="knn", n_neighbors=3, random_state=seed) for _ in range(2))
    assert first.standard_error == second.standard_error
    assert math.isfinite(first.standard_error)


def test_a_constant_statistic_has_an_interval_of_no_width():  # row 88
    uncertainty = jackknife_uncertainty(np.full(10, 1.5))
    assert uncertainty.standard_error == 0.0
    assert uncertainty.interval(1.5, 0.95) == (1.5, 1.5)


@pytest.mark.parametrize("unit", [1, 0, -2, "e", "Nats", None, b"nats", np.array(["nats"]), ["nats", "bits"]], ids=repr)
def test_unit(unit):  # row 92
    for function in (
        lambda: kl.estimate_kl(P, Q, method="gaussian", unit=unit),
        lambda: kl.estimate_kl(P, Q, method="gaussian").to(unit),
        lambda: kl.vae_kl(P, P, unit=unit),
        lambda: kl.kl_divergence(kl.Normal(mean=0, var=1), kl.Normal(mean=0, var=1), unit=unit),
    ):
        with pytest.raises(kl.InvalidParameterError, match="unit must be one of 'nats', 'bits'"):
            function()


@pytest.mark.parametrize("name", ["KNNDivergence", "GaussianDivergence"])
@pytest.mark.parametrize("use", ["divergence", "score", "score_samples"])
def test_unfitted(name, use):  # row 128
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match=name):
        getattr(getattr(kl, name)(), use)(P)


# ---------------------------------------------------------------- parameters of Gaussians: rows 103-109

IDENTITY = np.eye(2)
POSITIVE = [0, -1, np.nan, np.inf, -np.inf, [1, 0], [1, -1], [1, np.nan], [np.inf, 1], -0.0]


@pytest.mark.parametrize("var", POSITIVE, ids=str)
def test_variance(var):  # rows 103, 104
    wanted = "be > 0" if np.isfinite(var).all() else "be finite"
    with pytest.raises(kl.InvalidParameterError, match=f"var of Normal must {wanted}, got"):
        kl.Normal(mean=0, var=var)
    with pytest.raises(kl.InvalidParameterError, match=f"var of MultivariateNormalDiag must {wanted}, got"):
        kl.MultivariateNormalDiag(mean=[0, 0], var=np.broadcast_to(var, 2))


@pytest.mark.parametrize(("shape", "index"), [((1000, 3), (641, 2)), ((7,), (0,)), ((2, 3, 4), (1, 2, 3))], ids=str)
@pytest.mark.parametrize(("value", "wanted"), [(np.nan, "be finite"), (-2.0, "be > 0")])
def test_the_offending_variance_is_found(shape, index, value, wanted):
    var = np.ones(shape)
    var[index] = value
    where = str(list(index)).replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(kl.InvalidParameterError, match=rf"must {wanted}, .*the first.* at {where}: {value:g}"):
        kl.Normal(mean=0, var=var)


def test_the_offending_direction_is_found():
    directions = np.tile([0.0, 1.0], (4, 5, 1))
    directions[2, 3] = directions[3, 0] = 0.0, 2.0
    with pytest.raises(kl.InvalidParameterError, match=r"the first offence at \[2, 3\]: length 2\b"):
        kl.VonMisesFisher(mean_direction=directions, concentration=1.0)


def test_the_offending_probabilities_are_found():
    with pytest.raises(kl.InvalidParameterError, match=r"sums from 1 to 4, the first offence at \[1\]: 4; divide"):
        kl.Categorical(probs=[[0.5, 0.5], [1.0, 3.0], [2.0, 0.0]])


def test_masked_parameters():
    with pytest.raises(kl.InvalidParameterError, match=r"mean of Normal has 1 masked values.*drop or fill them \("):
        kl.Normal(mean=np.ma.masked_array([1.0, 2.0], [False, True]), var=1.0)


@pytest.mark.parametrize("std", POSITIVE, ids=str)
def test_standard_deviation(std):
    with pytest.raises(kl.InvalidParameterError, match=r"\bstd\b"):
        kl.Normal.from_std(mean=0, std=std)


@pytest.mark.parametrize("log_var", [np.nan, np.inf, -np.inf, 1000, -1000, [0, np.nan]], ids=str)
def test_log_variance(log_var):
    with pytest.raises(kl.InvalidParameterError, match="log_var"):
        kl.Normal.from_log_var(mean=0, log_var=log_var)


@pytest.mark.parametrize("mean", [np.nan, np.inf, [0, -np.inf]], ids=str)
def test_mean(mean):
    with pytest.raises(kl.InvalidParameterError, match="mean of Normal must be finite"):
        kl.Normal(mean=mean, var=1)
    with pytest.raises(kl.InvalidParameterError, match="mean of MultivariateNormal must be finite"):
        kl.MultivariateNormal(mean=np.broadcast_to(mean, 2), cov=IDENTITY)


@pytest.mark.parametrize("precision", [[[1, 2], [2, 1]], [[1, 0.5], [0.2, 1]], [[1, 0], [0, np.nan]]], ids=str)
def test_precision_is_named(precision):
    with pytest.raises(kl.InvalidParameterError, match="precision"):
        kl.MultivariateNormal.from_precision(mean=[0, 0], precision=precision)


@pytest.mark.parametrize(
    "cholesky", [[[1, 1], [0, 1]], [[1, 0], [0, -1]], [[1, 0], [0, 0]], [[1, 0], [np.nan, 1]], [1, 1]], ids=str
)
def test_cholesky_is_named(cholesky):
    with pytest.raises(kl.InvalidParameterError, match="cholesky"):
        kl.MultivariateNormal.from_cholesky(mean=[0, 0], cholesky=cholesky)


def test_cholesky_whose_square_overflows():
    with pytest.raises(kl.InvalidParameterError, match=r"cov|cholesky"):
        kl.MultivariateNormal.from_cholesky(mean=[0, 0], cholesky=1e200 * IDENTITY)


@pytest.mark.parametrize("seed", range(10))
def test_covariance_singular_but_for_rounding(seed):  # rows 107, 109
    factor = np.random.default_rng(seed).normal(size=(5, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error", errors.KLToolsWarning)
        with pytest.raises((kl.InvalidParameterError, errors.KLToolsWarning), match="cov"):
            kl.MultivariateNormal(mean=np.zeros(5), cov=factor @ factor.T)
