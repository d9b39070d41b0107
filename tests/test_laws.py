"""What must hold for every method and every kind of data."""

import math
import warnings

import cases
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import kltools as kl
from kltools import errors
from kltools.estimators import METHODS, method_options

# a failing example is small as it is: shrinking would take longer than everything else
few = settings(derandomize=True, deadline=None, database=None, max_examples=12, phases=[Phase.explicit, Phase.generate])
FORMS = ("sample", "known q")
FOLDED = ("classifier", "kliep", "mixture")  # folds are of rows in their order
WEAK = (  # moments of Cauchy samples may differ
    "gaussian",
    "knn_calibrated",
    "mixture",
    "classifier",
    "ulsif",
    "rulsif",
    "kliep",
)
every_method = pytest.mark.parametrize("method", METHODS)
every_form = pytest.mark.parametrize("form", FORMS)
every_kind = pytest.mark.parametrize("kind", cases.KINDS)

# distances of these do not change when rows, columns or scales do; ties stay ties, and others stay none
STEADY = ("normal", "integer_lattice", "tenth_grid", "cauchy", "duplicated_rows", "single_precision")


def standard_normal(d):
    return kl.MultivariateNormalDiag(mean=np.zeros(d), var=np.ones(d))


def estimate(X, Y, method, form="sample", **options):
    """An estimate, None where the method refuses these data; no warnings but our own are allowed."""
    reference = standard_normal(X.shape[1]) if form == "known q" else Y
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        try:
            found = kl.estimate_kl(X, reference, method=method, random_state=0, **options)
        except errors.KLToolsError:
            return None
        found.standard_error  # noqa: B018 (it may warn too)
        return found


def value(*args, **options):
    found = estimate(*args, **options)
    return None if found is None else found.value


def unscaled(method):
    return {"scale": "none"} if "scale" in method_options(method) else {}


def same(a, b, tolerance=1e-8):
    if a is None or b is None or math.isinf(a) or math.isinf(b):
        assert a == b
    else:
        assert a == pytest.approx(b, rel=tolerance, abs=tolerance)


def dyadic(X):
    """Multiples of 2**-20: shifting them by powers of two is exact."""
    return np.round(X * 2.0**20) / 2.0**20


# ---------------------------------------------------------------- never nan


@every_kind
@every_method
@every_form
@settings(few, max_examples=6)
@given(data=st.data())
def test_a_number_or_inf_but_never_nan(kind, method, form, data):
    X, Y = data.draw(cases.pairs((kind,))).samples
    found = estimate(X, Y, method, form)
    if found is not None:
        assert not math.isnan(found.value)
        assert found.value > -math.inf
        assert found.support_mismatch == (found.value == math.inf)
        if found.value == math.inf:
            assert any("divergence is inf" in text for text in found.warnings)


# the tiny numbers of wide_range come in clusters of fewer rows than a neighbourhood has
@pytest.mark.parametrize("kind", sorted(set(cases.KINDS) - {"wide_range"}))
@every_method
@settings(few, max_examples=4)
@given(data=st.data())
def test_samples_of_one_distribution_are_not_far_apart(kind, method, data):
    X, Y = data.draw(cases.pairs((kind,), min_rows=40, max_features=3)).samples
    options = {"n_neighbors": 3} if "n_neighbors" in method_options(method) else {}  # fewer than a cluster has
    found = value(X, Y, method, **options, **unscaled(method))
    if method not in WEAK and (method, kind) != ("kde", "cauchy") and found is not None:
        assert abs(found) < 1.5


# ---------------------------------------------------------------- order


@every_method
@every_form
@few
@given(pair=cases.pairs(STEADY), order=st.randoms(use_true_random=False))
def test_order_of_rows(method, form, pair, order):
    if method in FOLDED:
        return
    X, Y = pair.samples
    shuffled = (Z[order.sample(range(len(Z)), len(Z))] for Z in (X, Y))
    same(value(X, Y, method, form), value(*shuffled, method, form))


@every_method
@few
@given(pair=cases.pairs(STEADY, min_rows=20), order=st.randoms(use_true_random=False))
def test_order_of_columns(method, pair, order):
    if method in FOLDED:  # starts and simulated rows are drawn in the whitened columns, which depend on it
        return
    X, Y = pair.samples
    columns = order.sample(range(pair.d), pair.d)
    same(value(X, Y, method), value(X[:, columns], Y[:, columns], method))


# ---------------------------------------------------------------- common maps


@every_method
@few
@given(pair=cases.pairs(STEADY), exponents=st.lists(st.integers(-3, 20), min_size=5, max_size=5))
def test_common_shift(method, pair, exponents):
    X, Y = map(dyadic, pair.samples)
    shift = 2.0 ** np.array(exponents[: pair.d])
    same(value(X, Y, method), value(X + shift, Y + shift, method))
    if method == "knn" and pair.kind != "cauchy":  # whose sum may need more digits than float64 has
        assert value(X, Y, method, scale="none") == value(X + shift, Y + shift, method, scale="none")


@every_method
@few
@given(pair=cases.pairs((*STEADY, "tight_clusters", "offset_1e7")), exponent=st.integers(-900, 900))
def test_common_power_of_two(method, pair, exponent):
    X, Y = (np.asarray(Z, dtype=float) for Z in pair.samples)
    scaled = np.ldexp(X, exponent), np.ldexp(Y, exponent)
    ours, theirs = (value(*samples, method, **unscaled(method)) for samples in ((X, Y), scaled))
    if method == "knn":
        assert ours == theirs
    else:
        same(ours, theirs, 1e-12)


@pytest.mark.parametrize("exponent", [-640, -479, -470, -450, -400, 300, 479, 640])
@pytest.mark.parametrize("kind", STEADY)
def test_power_of_two_around_the_range_of_squares(kind, exponent):
    X, Y = (np.asarray(Z, dtype=float) for Z in cases.Pair(kind, 60, 50, 3, 0).samples)
    scaled = np.ldexp(X, exponent), np.ldexp(Y, exponent)
    same(value(X, Y, "knn", scale="none"), value(*scaled, "knn", scale="none"), 1e-12)


@every_method
@few
@given(pair=cases.pairs(("normal", "single_precision"), min_rows=50), seed=st.integers(0, 99))
def test_common_affine_map(method, pair, seed):
    """Where whitening works, it makes distances independent of any affine map; a normal fit always is."""
    if method in ("auto", *FOLDED, "knn_calibrated"):  # normal scores, penalties and draws are of each feature
        return
    X, Y = (np.asarray(Z, dtype=float) for Z in pair.samples)
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.standard_normal((pair.d, pair.d)))
    matrix, shift = rotation * 10.0 ** rng.uniform(-3, 3, pair.d), rng.standard_normal(pair.d)
    same(value(X, Y, method), value(X @ matrix + shift, Y @ matrix + shift, method), 1e-6)


@every_method
@few
@given(pair=cases.pairs(("normal", "tenth_grid"), min_rows=12), seed=st.integers(0, 99))
def test_scale_of_single_columns(method, pair, seed):
    X, Y = pair.samples
    scales = 10.0 ** np.random.default_rng(seed).uniform(-3, 3, pair.d)
    same(value(X, Y, method), value(X * scales, Y * scales, method), 1e-7)


# ---------------------------------------------------------------- circumstances


@every_method
@every_form
@few
@given(pair=cases.pairs(), n_jobs=st.sampled_from([2, 3, -1]))
def test_threads(method, form, pair, n_jobs):
    X, Y = pair.samples
    one, several = estimate(X, Y, method, form, n_jobs=1), estimate(X, Y, method, form, n_jobs=n_jobs)
    assert one == several
    if one is not None and not math.isnan(one.standard_error):
        assert one.standard_error == several.standard_error


@every_method
@few
@given(pair=cases.pairs(("normal", "tenth_grid", "single_precision")))
def test_containers_and_layouts(method, pair):
    X, Y = (np.asarray(Z, dtype=float) for Z in pair.samples)
    expected = value(X, Y, method)
    same(expected, value(np.asfortranarray(X), Y[::-1][::-1], method), 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        if expected is not None:
            assert kl.estimate_kl(X.tolist(), Y.tolist(), method=method, random_state=0).value == expected


@every_method
def test_single_precision_is_computed_in_double(method):
    X, Y = cases.Pair("single_precision", 80, 90, 2, 0).samples
    assert value(X, Y, method) == value(X.astype(float), Y.astype(float), method)


@every_method
def test_input_is_not_changed(method):
    X, Y = cases.Pair("tenth_grid", 80, 90, 2, 0).samples
    before = X.copy(), Y.copy()
    estimate(X, Y, method)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


@every_method
def test_units(method):
    X, Y = cases.Pair("normal", 80, 90, 2, 0).samples
    bits = value(X, Y, method, unit="bits")
    assert bits == pytest.approx(value(X, Y, method) / math.log(2.0), rel=1e-15)
