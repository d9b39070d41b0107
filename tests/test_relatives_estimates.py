"""Renyi, Hellinger, Jensen-Shannon and Jeffreys from samples, and what all relatives of KL have in common."""

import json
import math
import warnings

import cases
import naive
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from scipy import integrate, stats

import kltools as kl
from kltools import errors
from kltools.estimators import RELATIVES

KINDS = ["normal", "integer_lattice", "tenth_grid", "cauchy", "offset_1e7", "duplicated_rows", "single_precision"]
OPTIONS = {"estimate_renyi": {"alpha": 0.7}}
ONE_SAMPLE = ("estimate_entropy", "estimate_total_correlation")
DIVERGENCES = ("estimate_renyi", "estimate_hellinger", "estimate_jensen_shannon", "estimate_jeffreys")
LABELS = {
    "estimate_entropy": "entropy(P)",
    "estimate_cross_entropy": "cross-entropy(P, Q)",
    "estimate_mutual_information": "mutual information(X;Y)",
    "estimate_total_correlation": "total correlation(X)",
    "estimate_jensen_shannon": "Jensen-Shannon(P, Q)",
    "estimate_renyi": "Renyi 0.7(P||Q)",
    "estimate_hellinger": "Hellinger(P, Q)",
    "estimate_jeffreys": "Jeffreys(P, Q)",
}
each_relative = pytest.mark.parametrize("name", RELATIVES)


@pytest.fixture(autouse=True)
def _only_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        yield


def pair(kind, n, m, d, seed=0):
    return tuple(np.asarray(sample, dtype=float) for sample in cases.Pair(kind, n, m, d, seed).samples)


def estimated(name, X, Y, **options):
    samples = (X,) if name in ONE_SAMPLE else (X, Y)
    return getattr(kl, name)(*samples, **{**OPTIONS.get(name, {}), "random_state": 0, **options})


# ---------------------------------------------------------------- against naive estimates


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "m", "d"), [(60, 40, 2), (40, 70, 1)])
@pytest.mark.parametrize("alpha", [0.3, 0.999, 1.5, 3.5])
def test_renyi_equals_naive(kind, n, m, d, alpha):
    X, Y = pair(kind, n, m, d)
    integral = np.mean([naive.alpha_integral(X, Y, k, alpha) for k in (3, 6)])
    found = kl.estimate_renyi(X, Y, alpha=alpha, n_neighbors=(3, 6), scale="none")
    assert found.diagnostics["affinity"] == pytest.approx(integral, rel=1e-10)
    assert found.value == pytest.approx(math.log(integral) / (alpha - 1), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 4, 39])
def test_hellinger_equals_naive(kind, k):
    X, Y = pair(kind, 40, 60, 2)
    deficit = 1 - naive.alpha_integral(X, Y, k, 0.5)
    found = kl.estimate_hellinger(X, Y, n_neighbors=k, scale="none").value
    assert found == pytest.approx(math.copysign(math.sqrt(abs(deficit)), deficit), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "m", "d"), [(40, 40, 2), (30, 70, 1)])
@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.3, 0.7), (0.9, 0.1)])
def test_jensen_shannon_equals_naive(kind, n, m, d, weights):
    X, Y = pair(kind, n, m, d)
    expected = np.mean([naive.jensen_shannon(X, Y, k, weights) for k in (1, 6)])
    found = kl.estimate_jensen_shannon(X, Y, n_neighbors=(1, 6), weights=weights, scale="none")
    assert found.value == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("options", [{"method": "knn", "n_neighbors": 3}, {"method": "gaussian"}, {"method": "auto"}])
def test_jeffreys_is_the_sum_of_both_divergences(options):
    X, Y = pair("normal", 60, 90, 2)
    both = [kl.estimate_kl(*samples, **options).value for samples in ((X, Y), (Y, X))]
    found = kl.estimate_jeffreys(X, Y, random_state=5, **options)
    assert found.value == sum(both)
    assert list(found.diagnostics["parts"].values()) == both
    seed = int(np.random.default_rng(5).integers(2**63))
    rng = np.random.default_rng(seed)
    labels = [rng.permutation(60) % 20, rng.permutation(90) % 20]
    expected = naive.block_jackknife(
        lambda A, B: kl.estimate_kl(A, B, **options).value + kl.estimate_kl(B, A, **options).value, (X, Y), labels, 20
    )
    assert found.standard_error == pytest.approx(expected, rel=1e-9)


def test_jeffreys_of_models_adds_their_errors():
    """KL(P||Q) and KL(Q||P) of the same samples move together."""
    X, Y = pair("normal", 150, 120, 2)
    parts = [kl.estimate_kl(*samples, random_state=5) for samples in ((X, Y), (Y, X))]
    found = kl.estimate_jeffreys(X, Y, method="auto", random_state=5)
    assert found.value == sum(part.value for part in parts)
    assert found.standard_error == pytest.approx(sum(part.standard_error for part in parts), rel=1e-12)
    assert "Jeffreys(P, Q)" in found.summary()


@pytest.mark.parametrize("name", RELATIVES)
def test_standard_errors_do_not_see_what_becomes_of_the_arrays(name):
    X, Y = (np.ascontiguousarray(sample) for sample in pair("normal", 60, 60, 2))
    for options in ({}, {"scale": "none"}) if name != "estimate_jeffreys" else ({}, {"method": "gaussian"}):
        expected = estimated(name, X.copy(), Y.copy(), **options).standard_error
        mine = X.copy(), Y.copy()
        found = estimated(name, *mine, **options)
        for sample in mine:
            sample[:] = np.arange(120.0).reshape(60, 2) ** 2
        assert found.standard_error == expected


def test_standard_errors_leave_out_blocks():
    X, Y = pair("normal", 50, 60, 2)
    seed = int(np.random.default_rng(0).integers(2**63))
    rng = np.random.default_rng(seed)
    labels = [rng.permutation(50) % 20, rng.permutation(60) % 20]
    cases_of = {
        "estimate_renyi": lambda A, B: math.log(naive.alpha_integral(A, B, 3, 0.7)) / -0.3,
        "estimate_jensen_shannon": lambda A, B: naive.jensen_shannon(A, B, 3, (0.5, 0.5)),
    }
    for name, statistic in cases_of.items():
        expected = naive.block_jackknife(statistic, (X, Y), labels, 20)
        found = estimated(name, X, Y, n_neighbors=3, scale="none")
        assert found.standard_error == pytest.approx(expected, rel=1e-8), name


# ---------------------------------------------------------------- against truths


def truths(d, shift, scale, alpha):
    """Of N(0, I) and N(shift, scale^2 I): Renyi, Hellinger and Jeffreys in closed form, in full."""
    mixed = (1 - alpha) + alpha * scale**2  # variance of the normalised p^a q^(1-a), inverted
    log_affinity = -0.5 * d * (alpha * (1 - alpha) * shift**2 / mixed + math.log(mixed) - 2 * alpha * math.log(scale))
    there = naive.gaussian_kl(np.zeros(d), np.eye(d), np.full(d, shift), scale**2 * np.eye(d))
    back = naive.gaussian_kl(np.full(d, shift), scale**2 * np.eye(d), np.zeros(d), np.eye(d))
    return log_affinity / (alpha - 1), there + back


def test_the_truths_are_true():
    p, q = stats.norm(0, 1).pdf, stats.norm(0.5, 2).pdf
    for alpha in (0.5, 0.7):
        affinity = integrate.quad(lambda x, a=alpha: p(x) ** a * q(x) ** (1 - a), -30, 30)[0]
        assert truths(1, 0.5, 2.0, alpha)[0] == pytest.approx(math.log(affinity) / (alpha - 1), rel=1e-7)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1.0, 1.0), (0.0, 2.0)])
def test_normal_distributions(d, shift, scale):
    rng = np.random.default_rng(d)
    samples = [(rng.standard_normal((1500, d)), shift + scale * rng.standard_normal((1000, d))) for _ in range(8)]
    slack = 0.03 * d * (shift + scale - 1.0)
    renyi, jeffreys = truths(d, shift, scale, 0.7)
    for name, truth, options in (
        ("estimate_renyi", renyi, {"n_neighbors": 5}),
        ("estimate_jeffreys", jeffreys, {"method": "gaussian"}),
    ):
        values = [estimated(name, X, Y, **options).value for X, Y in samples]
        error = np.std(values, ddof=1) / math.sqrt(len(values))
        assert abs(np.mean(values) - truth) < 4 * error + slack * (1 + truth), name
    distance = math.sqrt(1 - math.exp(-0.5 * truths(d, shift, scale, 0.5)[0]))
    squares = [1 - kl.estimate_hellinger(X, Y, n_neighbors=5).diagnostics["affinity"] for X, Y in samples]
    assert np.mean(squares) == pytest.approx(distance**2, abs=0.02 + 0.5 * slack)


@pytest.mark.parametrize(("n", "m"), [(1000, 1000), (500, 1500), (1500, 500)])
@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.2, 0.8)])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1.0, 1.0), (0.0, 3.0)])
def test_jensen_shannon_of_normals(n, m, weights, shift, scale):
    """No trace of the 1 / (2 k) = 0.1 by which observed shares are off."""
    p, q = stats.norm(0, 1).pdf, stats.norm(shift, scale).pdf

    def integrand(x):
        mixture = weights[0] * p(x) + weights[1] * q(x)
        return weights[0] * p(x) * math.log(p(x) / mixture) + weights[1] * q(x) * math.log(q(x) / mixture)

    truth = integrate.quad(integrand, -25, 25, points=(-3, 0, 3))[0] if (shift, scale) != (0.0, 1.0) else 0.0
    rng = np.random.default_rng(0)
    values = [
        kl.estimate_jensen_shannon(
            rng.standard_normal(n), shift + scale * rng.standard_normal(m), weights=weights, n_neighbors=10
        ).value
        for _ in range(12)
    ]
    assert np.mean(values) == pytest.approx(truth, abs=0.015)


@pytest.mark.parametrize(("n", "m"), [(1000, 100), (5000, 50), (50, 5000)])
@pytest.mark.parametrize(("shift", "truth"), [(0.0, 0.0), (1.0, 0.1111)])
def test_jensen_shannon_of_unlike_numbers_of_rows(n, m, shift, truth):
    rng = np.random.default_rng(0)
    values = [
        kl.estimate_jensen_shannon(rng.standard_normal(n), shift + rng.standard_normal(m), random_state=0).value
        for _ in range(20)
    ]
    error = np.std(values, ddof=1) / math.sqrt(20)
    assert np.mean(values) == pytest.approx(truth, abs=0.01 + 3 * error)
    assert error < 0.015


def test_jensen_shannon_draws_from_the_larger_sample():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal(2000), rng.standard_normal(30)
    found = [
        kl.estimate_jensen_shannon(X, Y, random_state=seed, n_jobs=jobs) for seed, jobs in ((0, 1), (0, 2), (1, 1))
    ]
    assert found[0].value == found[1].value != found[2].value
    assert found[0].n_p == 2000


@pytest.mark.parametrize("name", ["estimate_renyi", "estimate_hellinger", "estimate_jensen_shannon"])
def test_copied_rows_and_poor_overlap_are_told(name):
    X, Y = pair("normal", 300, 300, 2)
    quiet = estimated(name, X, Y)
    assert quiet.reliable is None
    assert not quiet.warnings
    with pytest.warns(errors.TiesWarning, match="40 rows of X occur also in Y"):
        estimated(name, X, np.vstack([X[:40], Y]))
    with pytest.warns(errors.PoorOverlapWarning, match="hardly overlap"):
        found = estimated(name, X + 30, Y)
    if name != "estimate_jensen_shannon":  # whose bound is the right answer
        assert found.reliable is False
        assert found.diagnostics["share_outside"] == 1.0


def test_rounded_rows_are_not_copies():
    X, Y = (np.round(sample, 1) for sample in pair("normal", 300, 300, 1))
    for name in DIVERGENCES[:3]:
        assert not any("occur also in Y" in text for text in estimated(name, X, Y).warnings)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.2, 0.8)])
def test_jensen_shannon_is_bounded_by_the_entropy_of_the_weights(weights):
    X, Y = pair("normal", 60, 90, 2)
    bound = -sum(w * math.log(w) for w in weights)
    apart = kl.estimate_jensen_shannon(X, Y + 1e3, weights=weights, n_neighbors=10).value
    assert apart == pytest.approx(bound, abs=1e-3)
    assert apart <= bound + 1e-15


def test_jensen_shannon_and_hellinger_are_not_clipped():
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((20, 2, 100))
    for function in (kl.estimate_jensen_shannon, kl.estimate_hellinger):
        values = [function(*sample).value for sample in samples]
        assert min(values) < 0 < max(values)
        assert abs(np.mean(values)) < 0.1


def test_renyi_has_the_divergence_as_its_limit():
    for kind in ("normal", "tenth_grid"):
        X, Y = pair(kind, 100, 80, 2)
        nearly = kl.estimate_renyi(X, Y, alpha=1 - 1e-7, n_neighbors=5).value
        assert nearly == pytest.approx(kl.estimate_kl(X, Y, method="knn", n_neighbors=5).value, abs=1e-5)


def test_standard_errors_are_those_of_the_spread():
    rng = np.random.default_rng(0)
    samples = [(rng.standard_normal(300), 1 + rng.standard_normal(400)) for _ in range(80)]
    for name in DIVERGENCES:
        found = [estimated(name, X, Y) for X, Y in samples]
        spread = np.std([one.value for one in found], ddof=1)
        typical = math.sqrt(np.mean([one.standard_error**2 for one in found[:15]]))
        assert spread / 1.5 < typical < spread * 1.8, name


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(("alpha", "match"), [(0.0, "> 0"), (-1, "> 0"), (math.nan, "> 0"), (1, "estimate_kl")])
def test_alpha_out_of_range(alpha, match):
    with pytest.raises(errors.InvalidParameterError, match=f"alpha.*{match}"):
        kl.estimate_renyi(*pair("normal", 20, 20, 1), alpha=alpha)


def test_alpha_of_the_wrong_type_and_too_large():
    for alpha in ("0.5", None, True, [0.5]):
        with pytest.raises(errors.InvalidTypeError, match="alpha"):
            kl.estimate_renyi(*pair("normal", 20, 20, 1), alpha=alpha)
    with pytest.raises(errors.InvalidParameterError, match="alpha=4 needs n_neighbors > 3, got n_neighbors=3"):
        kl.estimate_renyi(*pair("normal", 20, 20, 1), alpha=4, n_neighbors=3)


@pytest.mark.parametrize("weights", [(0.5,), (0.5, 0.6), (1.0, 0.0), (-0.5, 1.5), (0.5, math.nan), 0.5])
def test_weights(weights):
    with pytest.raises((errors.InvalidParameterError, errors.ShapeMismatchError), match="weights must be"):
        kl.estimate_jensen_shannon(*pair("normal", 20, 20, 1), weights=weights)


@each_relative
@pytest.mark.parametrize(
    ("argument", "value", "kind"),
    [
        ("n_neighbors", 0, errors.InvalidParameterError),
        ("n_neighbors", 2.0, errors.InvalidTypeError),
        ("n_neighbors", 50, errors.NotEnoughSamplesError),
        ("nan_policy", "drop", errors.InvalidParameterError),
        ("n_jobs", 0, errors.InvalidParameterError),
        ("random_state", -1, errors.InvalidParameterError),
        ("memory_limit", 10, errors.InvalidParameterError),
        ("scale", "sphere", errors.InvalidParameterError),
        ("unit", "bit", errors.InvalidParameterError),
        ("unit", None, errors.InvalidParameterError),
    ],
)
def test_bad_arguments_are_named(name, argument, value, kind):
    if name == "estimate_hellinger" and argument == "unit":
        return
    with pytest.raises(kind, match=argument):
        estimated(name, *pair("normal", 30, 30, 2), **{argument: value})


@each_relative
def test_bad_samples(name):
    X, Y = pair("normal", 30, 30, 2)
    with pytest.raises(errors.InvalidParameterError, match="X contains NaN"):
        estimated(name, np.where(np.arange(60).reshape(30, 2) == 7, np.nan, X), Y)
    with pytest.raises(errors.NotEnoughSamplesError):
        estimated(name, X[:1], Y[:1])
    with pytest.raises(errors.InvalidTypeError):
        estimated(name, [["a", "b"]] * 30, Y)
    if name not in ONE_SAMPLE and name != "estimate_mutual_information":
        with pytest.raises(errors.ShapeMismatchError, match="X has 2 features, Y has 1"):
            estimated(name, X, Y[:, :1])


# ---------------------------------------------------------------- circumstances


@each_relative
def test_one_answer_for_any_threads_container_and_seed(name):
    X, Y = pair("normal", 700, 700, 2)
    X = X.astype(np.float32).astype(float)
    expected = estimated(name, X, Y)
    assert math.isfinite(expected.value)
    assert 0 < expected.standard_error < 1
    for again in (
        estimated(name, X, Y, n_jobs=2),
        estimated(name, X.astype(np.float32), pd.DataFrame(Y)),
        estimated(name, X.tolist(), Y, memory_limit=2**20),
    ):
        assert again == expected
        assert again.standard_error == expected.standard_error
    other = estimated(name, X, Y, random_state=8)
    assert other.value == expected.value
    assert other.standard_error != expected.standard_error


@each_relative
def test_rows_with_nan_are_left_out(name):
    X, Y = pair("normal", 40, 40, 2)
    holes = X.copy()
    holes[3, 1] = math.nan
    found = estimated(name, holes, Y, nan_policy="omit")
    Y = np.delete(Y, 3, axis=0) if name == "estimate_mutual_information" else Y
    assert found.value == estimated(name, np.delete(X, 3, axis=0), Y).value
    assert (found.n_dropped, found.n_p) == (1, 39)


@each_relative
def test_results_name_their_quantity(name):
    found = estimated(name, *pair("normal", 100, 100, 2))
    text = found.summary()
    assert text.startswith(LABELS[name] + " ")
    width = max(len(LABELS[name]), len("95% interval"))
    assert all(line[width] == " " != line[width + 1] for line in text.splitlines())
    assert ("of Q" in text) == ("Q" in found.direction)
    assert found.quantity in repr(found)
    assert json.loads(found.to_json())["quantity"] == found.quantity


@each_relative
def test_units(name):
    X, Y = pair("normal", 60, 60, 2)
    found = estimated(name, X, Y)
    if name == "estimate_hellinger":
        assert found.unit is None
        with pytest.raises(errors.InvalidParameterError, match=r"Hellinger\(P, Q\) has no unit"):
            found.to("bits")
        return
    bits = estimated(name, X, Y, unit="bits")
    assert bits.value == pytest.approx(found.value / math.log(2), rel=1e-14)
    assert bits.standard_error == pytest.approx(found.to("bits").standard_error, rel=1e-14)


@each_relative
def test_warnings_point_to_the_caller(name):
    X, Y = pair("duplicated_rows", 40, 40, 2)
    with pytest.warns(errors.TiesWarning) as caught:
        found = estimated_directly(name, X, Y)
    assert {warning.filename for warning in caught} == {__file__}
    assert len(found.warnings) == len(caught)
    assert found.n_ties > 0


def estimated_directly(name, X, Y):
    samples = (X,) if name in ONE_SAMPLE else (X, Y)
    return getattr(kl, name)(*samples, n_neighbors=2, **OPTIONS.get(name, {}))


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("exponent", [660, -660])
def test_any_scale(name, exponent):
    X, Y = pair("normal", 50, 60, 3)
    found = estimated(name, np.ldexp(X, exponent), np.ldexp(Y, exponent))
    assert found.value == pytest.approx(estimated(name, X, Y).value, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "apart"),
    [("estimate_renyi", math.inf), ("estimate_hellinger", 1.0), ("estimate_jeffreys", math.inf)],
)
def test_columns_that_decide(name, apart):
    X, Y = pair("normal", 40, 50, 2)
    for first, second in ((X, Y * [1, 0]), (X * [1, 0], Y), (X[:, [0, 0]], Y[:, [0, 0]] + [0, 1])):
        assert estimated(name, first, second).value == apart
    assert estimated(name, X * 0, Y * 0).value == 0.0
    same = estimated(name, np.c_[X, np.ones(40)], np.c_[Y, np.ones(50)])
    assert same.value == estimated(name, X, Y).value


def test_jensen_shannon_of_constant_columns():
    X, Y = pair("normal", 40, 50, 2)
    assert kl.estimate_jensen_shannon(X * 0, Y * 0).value == 0.0
    assert kl.estimate_jensen_shannon(X * [1, 0], Y * [1, 0] + [0, 9]).value == pytest.approx(math.log(2), abs=0.01)
    with_idle = kl.estimate_jensen_shannon(np.c_[X, np.ones(40)], np.c_[Y, np.ones(50)])
    assert with_idle.value == kl.estimate_jensen_shannon(X, Y).value


@pytest.mark.parametrize("alpha", [1e-3, 0.5, 0.999, 1.001, 2.0, 4.5])
def test_renyi_of_distributions_apart_is_infinite(alpha):
    """P and Q without a common point: the integral is 0 below order 1 and inf beyond, the divergence inf."""
    X, Y = pair("normal", 40, 50, 2)
    apart = [(X[:, 0], np.ones(50)), (np.ones(40), Y[:, 0]), (np.ones(40), np.zeros(50)), (X, Y * [1, 0] + [0, 9])]
    for samples in (*apart, (X[:, [0, 0]], Y[:, [0, 0]] + [0, 1])):
        with pytest.warns(errors.InfiniteDivergenceWarning, match="nothing in common"):
            found = kl.estimate_renyi(*samples, alpha=alpha)
        assert found.value == math.inf
        assert found.support_mismatch
        assert found.diagnostics["affinity"] == (0.0 if alpha < 1 else math.inf)


def test_renyi_where_p_has_an_atom_of_q():
    """q is an atom that p has, too: beyond order 1 that is inf, below it is not."""
    X, Y = np.append(np.zeros(30), np.arange(1.0, 31.0)), np.zeros(50)
    assert kl.estimate_renyi(X, Y, alpha=2).value == math.inf
    assert math.isfinite(kl.estimate_renyi(X, Y, alpha=0.5).value)


@settings(max_examples=60, deadline=None)
@given(cases.pairs(min_rows=3))
def test_never_nan(pair):
    X, Y = pair.samples
    for name in DIVERGENCES:
        assert not math.isnan(estimated(name, X, Y).value)
    assert kl.estimate_jensen_shannon(X, Y).value <= math.log(2) + 1e-12
    assert kl.estimate_hellinger(X, Y).value <= 1.0


@settings(max_examples=30, deadline=None)
@given(cases.pairs(min_rows=3))
def test_symmetric_in_the_samples(pair):
    X, Y = pair.samples
    there = kl.estimate_jensen_shannon(X, Y, weights=(0.3, 0.7), scale="none", random_state=0).value
    back = kl.estimate_jensen_shannon(Y, X, weights=(0.7, 0.3), scale="none", random_state=0).value
    assert back == pytest.approx(there, abs=1e-9)
    both = kl.estimate_jeffreys(X, Y, scale="none").value, kl.estimate_jeffreys(Y, X, scale="none").value
    assert both[0] == both[1] or math.isclose(*both, rel_tol=1e-9, abs_tol=1e-9)
