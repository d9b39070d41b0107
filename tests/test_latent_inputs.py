"""What latent reports, comparisons and accumulators take and refuse; what they print; the command."""

import json
import math
import warnings

import numpy as np
import pytest
from scipy.stats import norm

import kltools as kl
from kltools import errors
from kltools.cli import main

RNG = np.random.default_rng(0)
MU, LOG_VAR = RNG.normal(size=(60, 3)), RNG.normal(-1.0, 0.2, size=(60, 3))
REPORT = kl.latent_report(MU, LOG_VAR, random_state=0)


def report(*arguments, **options):
    return kl.latent_report(*arguments, random_state=0, **options)


def with_entry(value):
    changed = LOG_VAR.copy()
    changed[3, 1] = value
    return changed


# ---------------------------------------------------------------- what comes in


def containers():
    torch = pytest.importorskip("torch")

    def tensor(a, dtype=torch.float64):
        return torch.tensor(a, dtype=dtype, requires_grad=True)

    return {
        "lists": (MU.tolist(), LOG_VAR.tolist()),
        "tensors": (tensor(MU), tensor(LOG_VAR)),
        "batches": ([MU[:20], MU[20:]], [LOG_VAR[:20], LOG_VAR[20:]]),
        "equal batches": ([MU[:30], MU[30:]], [LOG_VAR[:30], LOG_VAR[30:]]),
        "batches of tensors": ([tensor(MU[:7]), tensor(MU[7:])], [tensor(LOG_VAR[:7]), tensor(LOG_VAR[7:])]),
        "batches of lists": ([MU[:20].tolist(), MU[20:].tolist()], (LOG_VAR[:20], LOG_VAR[20:])),
        "rows of tensors": (list(tensor(MU)), list(tensor(LOG_VAR))),
        "Fortran order": (np.asfortranarray(MU), np.asfortranarray(LOG_VAR)),
    }


def test_containers():
    for name, arrays in containers().items():
        assert report(*arrays).to_dict() == REPORT.to_dict(), name


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 1e-6), ("float16", 1e-3), ("bfloat16", 1e-2)])
def test_narrow_tensors_with_gradients(dtype, digits):
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(a, dtype=getattr(torch, dtype), requires_grad=True) for a in (MU, LOG_VAR)]
    assert report(*tensors).kl == pytest.approx(REPORT.kl, rel=digits)


@pytest.mark.parametrize(
    ("mu", "log_var", "kind", "words"),
    [
        (MU, with_entry(math.nan), errors.InvalidParameterError, "log_var.*NaN.*row 3, latent 1"),
        (MU, with_entry(math.inf), errors.InvalidParameterError, "log_var.*infinite.*row 3, latent 1"),
        (MU, with_entry(-math.inf), errors.InvalidParameterError, "log_var.*infinite"),
        (MU, with_entry(2000.0), errors.InvalidParameterError, "log_var.*1400.*row 3, latent 1"),
        (with_entry(math.nan), LOG_VAR, errors.InvalidParameterError, "mu.*NaN"),
        (MU, LOG_VAR[:, :2], errors.ShapeMismatchError, r"\(60, 3\).*\(60, 2\)"),
        (MU[:9], LOG_VAR, errors.ShapeMismatchError, r"\(9, 3\).*\(60, 3\)"),
        (MU[:0], LOG_VAR[:0], errors.NotEnoughSamplesError, "mu is empty"),
        ([], [], errors.NotEnoughSamplesError, "mu is empty"),
        ([MU, MU[:0]], [LOG_VAR, LOG_VAR[:0]], errors.NotEnoughSamplesError, r"mu\[1\] is empty"),
        ([MU, MU[:, :2]], [LOG_VAR, LOG_VAR], errors.ShapeMismatchError, "batches of mu.*2, 3"),
        (MU[:, :0], LOG_VAR[:, :0], errors.ShapeMismatchError, "no latents"),
        (MU[None], LOG_VAR[None], errors.ShapeMismatchError, "reshape"),
        (1.0, 2.0, errors.ShapeMismatchError, "mu must have shape"),
        (None, None, errors.InvalidTypeError, "all None"),
        (MU, None, errors.InvalidTypeError, "log_var is None"),
        ("mu.npy", LOG_VAR, errors.InvalidTypeError, "mu is a str"),
        (1j * MU, LOG_VAR, errors.InvalidParameterError, "mu has dtype complex"),
    ],
)
def test_what_is_refused(mu, log_var, kind, words):
    with pytest.raises(kind, match=words):
        kl.latent_report(mu, log_var)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"z": MU[:5]}, errors.ShapeMismatchError, "z has shape"),
        ({"z": MU * math.nan}, errors.InvalidParameterError, "z holds"),
        ({"labels": [1, 2]}, errors.ShapeMismatchError, "labels has 2"),
        ({"n_samples": 3}, errors.InvalidParameterError, "n_samples"),
        ({"n_samples": 10**12}, errors.InvalidParameterError, "n_samples must be <= 100000000"),
        ({"prior": np.full((50, 3), math.nan)}, errors.InvalidParameterError, "prior holds.*leave those draws out"),
        ({"prior": kl.Normal(mean=np.zeros(3), var=1.0)}, errors.ShapeMismatchError, "MultivariateNormalDiag"),
        ({"max_components": 3}, errors.InvalidParameterError, "max_components"),
        ({"n_jobs": 0}, errors.InvalidParameterError, "n_jobs"),
        ({"prior": kl.Laplace(loc=0.0, scale=1.0)}, errors.InvalidTypeError, "Laplace"),
        ({"prior": kl.Normal}, errors.InvalidTypeError, "class Normal"),
        ({"prior": norm(0, 1)}, errors.InvalidTypeError, "prior"),
        ({"prior": kl.Normal(mean=[0.0, 1.0], var=1.0)}, errors.ShapeMismatchError, "batch shape"),
        ({"prior": kl.MultivariateNormalDiag(mean=[0.0], var=[1.0])}, errors.ShapeMismatchError, "3 latents"),
        ({"prior": np.zeros((50, 2))}, errors.ShapeMismatchError, "2 latents"),
        ({"prior": np.zeros((5, 3))}, errors.ShapeMismatchError, "5 draws"),
    ],
)
def test_what_else_is_refused(options, kind, words):
    with pytest.raises(kind, match=words):
        kl.latent_report(MU, LOG_VAR, **options)


@pytest.mark.parametrize("value", [1e3, -1e3, 1399.0, -1399.0, 700.0, -700.0])
def test_one_extreme_posterior(value):
    """The mean KL is exact or inf; what the codes tell apart is what they do with a posterior that meets no other."""
    found = report(MU, with_entry(value))
    assert found.kl == pytest.approx(kl.vae_kl(MU, with_entry(value), reduction="mean"), rel=1e-12)
    assert math.isfinite(found.mutual_information.value)
    assert math.isfinite(found.total_correlation.value)
    low, high = found.mutual_information_bounds
    assert low <= found.mutual_information.value <= high
    assert not np.isnan(found.marginal_kl).any()
    assert (found.kl == math.inf) == any("inf" in text for text in found.warnings)


@pytest.mark.parametrize("prior", [kl.GaussianMixture(weights=[1.0], means=np.zeros((1, 3)), covs=np.ones((1, 3)))])
def test_an_infinite_mean_kl_from_a_mixture(prior):
    found = report(MU, with_entry(1e3), prior=prior)
    assert found.kl == found.aggregate_kl.value == math.inf
    assert math.isfinite(found.mutual_information.value)
    assert found.prior_coupling is None


@pytest.mark.parametrize("scale", [10.0, 200.0, 1e4, 1e10, 1e100])
def test_codes_that_do_not_overlap_do_not_tell_holes(scale):
    rng = np.random.default_rng(0)
    found = report(scale * rng.normal(size=(1000, 2)), np.full((1000, 2), math.log(0.01)))
    assert found.hole_share is None
    assert found.hole_share_standard_error is None
    assert len(found.holes) == 10
    assert any("hardly overlap, so that it cannot be told" in text for text in found.warnings)


def test_the_largest_codes():
    found = report(1e154 * MU, LOG_VAR)
    assert found.kl == found.aggregate_kl.value == math.inf
    assert (found.mu_variance == math.inf).all()
    seen = kl.LatentAccumulator()
    for rows in (MU[:30], MU[30:]):
        seen.update(1e154 * rows, LOG_VAR[:30])
    assert seen.report(random_state=0).kl == math.inf


def test_few_draws_of_a_prior_are_told():
    rows = np.random.default_rng(0).normal(size=(1000, 3))
    assert any("prior has 20 draws, which is few" in text for text in report(MU, LOG_VAR, prior=rows[:20]).warnings)
    assert not any("draws, which is few" in text for text in report(MU, LOG_VAR, prior=rows).warnings)


def test_many_labels_are_told_in_part():
    labels = np.random.default_rng(0).normal(size=60)
    found = report(MU, LOG_VAR, labels=labels)
    assert len(found.kl_by_label) == 60
    assert found.summary().count("mean KL ") == 20 + 1  # and that of all
    assert "and 40 labels more" in found.summary()


def test_one_row_and_one_unit():
    found = report(MU[:1], LOG_VAR[:1])
    assert "1 row, 3 units" in found.summary()
    assert "information 0 (to rounding)" in found.summary()
    assert found.mutual_information.value == pytest.approx(0.0, abs=1e-12)
    assert found.aggregate_kl.value == pytest.approx(kl.vae_kl(MU[:1], LOG_VAR[:1])[0], rel=1e-12)
    assert found.hole_share is None
    assert report(MU[:, 0], LOG_VAR[:, 0]).to_dict() == report(MU[:, :1], LOG_VAR[:, :1]).to_dict()


def test_a_collapsed_encoder():
    found = report(np.zeros((1200, 4)), np.zeros((1200, 4)))
    assert found.kl == 0.0
    assert found.collapsed == (0, 1, 2, 3)
    assert abs(found.mutual_information.value) < 1e-12
    assert found.hole_share == 0.0
    assert len(found.warnings) == 1
    assert "all units are collapsed" in found.warnings[0]


# ---------------------------------------------------------------- what belongs together

NAMES = ["a", "b", "c"]


def frames(**changes):
    """The posteriors as frames, of which one is changed."""
    pd = pytest.importorskip("pandas")
    pair = {"mu": pd.DataFrame(MU, columns=NAMES), "log_var": pd.DataFrame(LOG_VAR, columns=NAMES)}
    return tuple(changes.get(name, lambda frame: frame)(frame) for name, frame in pair.items())


UNLIKE = {
    "other order of columns": (lambda frame: frame[["b", "a", "c"]], "the columns differ: mu.*log_var"),
    "other names": (lambda frame: frame.rename(columns={"a": "z"}), "the columns differ: mu.*log_var"),
    "other order of rows": (lambda frame: frame.iloc[::-1], r"indices differ.*\[0, 1, 2\] and \[59, 58, 57\]"),
}
each_unlike = pytest.mark.parametrize(("change", "words"), UNLIKE.values(), ids=UNLIKE)


@each_unlike
def test_frames_of_other_rows_or_units_are_refused(change, words):
    mu, log_var = frames(log_var=change)
    for call in (
        lambda: kl.latent_report(mu, log_var),
        lambda: kl.latent_report([mu[:30], mu[30:]], [log_var[:30], log_var[30:]]),
        lambda: kl.vae_kl(mu, log_var),
        lambda: kl.LatentAccumulator().update(mu, log_var),
        lambda: kl.compare_latents((mu, log_var), frames()),
    ):
        with pytest.raises(errors.ShapeMismatchError, match=words):
            call()


@each_unlike
def test_codes_and_encoders_of_other_rows_or_units_are_refused(change, words):
    mu, log_var = frames()
    with pytest.raises(errors.ShapeMismatchError, match=r"columns differ: mu.*z has|indices differ"):
        kl.latent_report(mu, log_var, change(mu))
    with pytest.raises(errors.ShapeMismatchError, match=r"mu of a.*mu of b"):
        kl.compare_latents((mu, log_var), (change(mu), change(log_var)))


def test_labels_of_other_rows_are_refused():
    pd = pytest.importorskip("pandas")
    mu, log_var = frames()
    labels = pd.Series(["x", "y"] * 30)
    assert report(mu, log_var, labels=labels).kl_by_label == report(MU, LOG_VAR, labels=list(labels)).kl_by_label
    for call in (
        lambda: kl.latent_report(mu, log_var, labels=labels[::-1]),
        lambda: kl.latent_report(None, None, mu, labels=labels[::-1]),
        lambda: kl.LatentAccumulator().update(mu, log_var, labels[::-1]),
    ):
        with pytest.raises(errors.ShapeMismatchError, match=r"(mu|z) belongs to row i of labels.*indices differ"):
            call()


def test_frames_that_belong_together():
    """Equal indices in any order, and arrays or unnamed columns beside names."""
    mu, log_var = frames(mu=lambda f: f.iloc[::-1], log_var=lambda f: f.iloc[::-1])
    found = report(mu, log_var)
    assert found.names == tuple(NAMES)
    assert found.kl == pytest.approx(REPORT.kl, rel=1e-12)
    mu, log_var = frames(log_var=lambda f: f.set_axis(range(3), axis=1))
    assert report(mu, log_var).kl == report(mu, LOG_VAR).kl == REPORT.kl
    assert report([mu[:20], mu[20:]], [log_var[:20], log_var[20:]]).names == tuple(NAMES)


def test_labels_in_batches():
    labels = np.array(["x", "y"] * 30)
    found = report([MU[:25], MU[25:]], [LOG_VAR[:25], LOG_VAR[25:]], labels=[labels[:25], labels[25:].tolist()])
    assert found.kl_by_label == report(MU, LOG_VAR, labels=labels).kl_by_label
    with pytest.raises(errors.InvalidTypeError, match="text in some batches"):
        report(MU, LOG_VAR, labels=[labels[:25], np.arange(35)])


def test_frames_and_labels_in_a_loop():
    pd = pytest.importorskip("pandas")
    seen = kl.LatentAccumulator()
    seen.update(MU[:20], LOG_VAR[:20], ["x"] * 20)
    seen.update(pd.DataFrame(MU[20:], columns=NAMES), LOG_VAR[20:], ["y"] * 40)
    with pytest.raises(errors.InvalidTypeError, match="text in some batches"):
        seen.update(MU, LOG_VAR, np.arange(60))
    with pytest.raises(errors.ShapeMismatchError, match=r"the batch before has .*mu has"):
        seen.update(pd.DataFrame(MU, columns=["c", "b", "a"]), LOG_VAR, ["x"] * 60)
    assert len(seen) == 60
    merged = kl.LatentAccumulator()
    merged.update(MU[:20], LOG_VAR[:20], ["x"] * 20)
    for found in (seen, kl.LatentAccumulator().merge(seen), merged.merge(seen)):
        assert found.report(random_state=0).names == tuple(NAMES)
    numbers = kl.LatentAccumulator()
    numbers.update(MU, LOG_VAR, np.arange(60))
    with pytest.raises(errors.InvalidTypeError, match="text in some batches"):
        merged.merge(numbers)


# ---------------------------------------------------------------- z


def test_z_is_checked_against_the_posteriors():
    z = MU + np.exp(0.5 * LOG_VAR) * np.random.default_rng(1).normal(size=MU.shape)
    assert not any("z was not drawn" in text for text in report(MU, LOG_VAR, z).warnings)
    as_if_deviations = MU + np.exp(LOG_VAR) * np.random.default_rng(1).normal(size=MU.shape)
    assert any("z was not drawn" in text for text in report(MU, LOG_VAR, as_if_deviations).warnings)


def test_only_z():
    """Two units that depend on each other among others that are the prior; the truth is a formula."""
    rng = np.random.default_rng(2)
    z = rng.normal(size=(3000, 6))
    z[:, 4] = 0.9 * z[:, 1] + math.sqrt(1.0 - 0.81) * z[:, 4]
    found = report(None, None, z)
    assert found.kl is None
    assert found.mutual_information is None
    assert {1, 4} <= set(found.active_by_kl)
    assert len(found.active_by_kl) <= 3
    truth = -0.5 * math.log(1.0 - 0.81)
    assert found.aggregate_kl.value == pytest.approx(truth, abs=4.0 * found.aggregate_kl.standard_error)
    assert (np.abs(found.marginal_kl) < 5.0 * found.marginal_kl_standard_error).all()
    assert "mu and log_var are not known" in found.summary()
    json.loads(found.to_json())


def test_only_a_few_z():
    with pytest.raises(errors.NotEnoughSamplesError, match="z has 5 rows"):
        kl.latent_report(None, None, MU[:5])


# ---------------------------------------------------------------- what comes out


def test_the_text_says_it_all():
    found = report(MU, LOG_VAR, labels=["a", "b"] * 30)
    text = str(found)
    for word in ("60 rows, 3 units", "mean KL", "information", "correlation", "marginals", "aggregate", "active"):
        assert word in text
    assert "label a" in text
    assert max(map(len, text.splitlines())) <= 100
    assert repr(found).startswith("LatentReport(n=60, d=3, kl=")
    rows = kl.vae_kl(MU, LOG_VAR)
    assert found.kl_by_label == pytest.approx({"a": rows[::2].mean(), "b": rows[1::2].mean()}, rel=1e-12)


def test_names_of_columns_do_no_harm():
    pd = pytest.importorskip("pandas")
    names = ["x$_{y$", "=HYPERLINK(1)", "<script>alert(1)</script>"]
    found = report(pd.DataFrame(MU, columns=names), LOG_VAR, labels=["<b>", "b"] * 30)
    assert found.names == tuple(names)
    page = found._repr_html_()
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    assert found.to_dict()["names"] == tuple(names)


def test_to_json():
    fields = json.loads(report(MU, with_entry(1e3), labels=np.arange(60) % 3).to_json())
    assert fields["kl"] == "Infinity"
    assert fields["mutual_information"]["standard_error"] > 0.0
    assert len(fields["kl_per_unit"]) == 3
    assert "codes" not in fields


def test_frozen_and_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = report(MU, LOG_VAR)
    with pytest.raises(AttributeError):
        found.kl = 0.0


def test_codes_for_pictures():
    found = report(MU, LOG_VAR, MU, labels=np.arange(60))
    np.testing.assert_array_equal(found.codes.mu, MU)
    np.testing.assert_array_equal(found.codes.labels, np.arange(60))
    many = report(np.zeros((6000, 1)), np.zeros((6000, 1)), labels=np.arange(6000))
    assert len(many.codes.labels) == len(many.codes.mu) == 5000
    assert len(set(many.codes.labels)) == 5000


# ---------------------------------------------------------------- two encoders


def test_comparison_of_each_input():
    other = MU + 0.3, LOG_VAR + 0.5
    found = kl.compare_latents((MU, LOG_VAR), other, random_state=0)
    p, q = (kl.MultivariateNormalDiag.from_log_var(mean=m, log_var=v) for m, v in ((MU, LOG_VAR), other))
    np.testing.assert_allclose(found.per_input, kl.kl_divergence(p, q), rtol=1e-12)
    np.testing.assert_allclose(found.per_input_reverse, kl.kl_divergence(q, p), rtol=1e-12)
    assert found.per_unit.sum() == pytest.approx(found.mean, rel=1e-12)


def test_comparison_of_aggregates_with_monte_carlo_of_mixtures():
    other = -1.5 * MU + 0.3, LOG_VAR + 0.5
    found = kl.compare_latents((MU, LOG_VAR), other, n_samples=20_000, random_state=0)
    mixtures = [
        kl.GaussianMixture(weights=np.full(60, 1 / 60), means=m, covs=np.exp(v)) for m, v in ((MU, LOG_VAR), other)
    ]
    for estimate, pair in ((found.aggregate, mixtures), (found.aggregate_reverse, mixtures[::-1])):
        truth = kl.estimate_kl_monte_carlo(*pair, n_samples=200_000, random_state=1)
        error = math.hypot(estimate.standard_error, truth.standard_error)
        assert abs(estimate.value - truth.value) < 3.0 * error
    assert found.aggregate.value <= found.mean  # convexity


def test_comparison_with_itself_and_with_fewer_rows():
    same = kl.compare_latents((MU, LOG_VAR), (MU, LOG_VAR), random_state=0)
    assert same.mean == 0.0
    assert abs(same.aggregate.value) < 1e-12
    fewer = kl.compare_latents((MU, LOG_VAR), (MU[:9], LOG_VAR[:9]), random_state=0)
    assert fewer.per_input is None
    assert "rows differ" in fewer.summary()
    assert json.loads(fewer.to_json())["mean"] is None


def test_comparison_at_the_extremes():
    found = kl.compare_latents((MU, LOG_VAR), (MU, with_entry(-1e3)), random_state=0)
    assert found.mean == math.inf
    assert found.mean_reverse == pytest.approx(0.5 * (1000.0 + LOG_VAR[3, 1] - 1.0) / 60, rel=1e-9)
    assert not math.isnan(found.aggregate.value)


@pytest.mark.parametrize(
    ("a", "b", "kind", "words"),
    [
        (MU, LOG_VAR, errors.InvalidTypeError, r"tuple \(mu, log_var\)"),
        ((MU, LOG_VAR), (MU[:, :2], LOG_VAR[:, :2]), errors.ShapeMismatchError, "3 latents, b has 2"),
        ((MU, LOG_VAR), (MU, with_entry(math.nan)), errors.InvalidParameterError, "log_var of b.*NaN"),
        ((MU[:5], LOG_VAR), (MU, LOG_VAR), errors.ShapeMismatchError, "mu of a has shape"),
        ((MU, LOG_VAR, 1), (MU, LOG_VAR), errors.InvalidTypeError, "a is a tuple of 3 items; pass"),
    ],
)
def test_comparisons_that_are_refused(a, b, kind, words):
    with pytest.raises(kind, match=words):
        kl.compare_latents(a, b)


# ---------------------------------------------------------------- in a loop


def test_batches_are_the_whole():
    seen = kl.LatentAccumulator(random_state=0)
    labels = np.arange(60) % 2
    for rows in (slice(0, 7), slice(7, 50), slice(50, 60)):
        buffer = MU[rows].copy()
        seen.update(buffer, LOG_VAR[rows], labels[rows])
        buffer[:] = math.nan  # it was copied
    found, whole = seen.report(random_state=0), report(MU, LOG_VAR, labels=labels)
    assert len(seen) == 60
    assert found.mutual_information.value == whole.mutual_information.value
    np.testing.assert_allclose(found.kl_per_unit, whole.kl_per_unit, rtol=1e-12)
    np.testing.assert_allclose(found.mu_variance, whole.mu_variance, rtol=1e-12)
    assert found.kl_by_label == pytest.approx(whole.kl_by_label, rel=1e-12)


def test_accumulators_merge():
    parts = [kl.LatentAccumulator(random_state=s) for s in range(3)]
    for part, rows in zip(parts, (slice(0, 20), slice(20, 60), slice(0, 0)), strict=True):
        if len(MU[rows]):
            part.update(MU[rows], LOG_VAR[rows])
    merged = kl.LatentAccumulator().merge(parts[2]).merge(parts[0]).merge(parts[1])
    assert len(merged) == 60
    assert merged.report(random_state=0).mutual_information.value == REPORT.mutual_information.value
    assert len(parts[0]) == 20


def test_sums_stay_exact_beyond_what_is_kept():
    rng = np.random.default_rng(3)
    mu, log_var = rng.normal(size=(3000, 2)), rng.normal(-1.0, 0.3, size=(3000, 2))
    seen = kl.LatentAccumulator(max_items=1000, random_state=0)
    for rows in np.array_split(np.arange(3000), 23):
        seen.update(mu[rows], log_var[rows])
    found, whole = seen.report(random_state=0), kl.latent_report(mu, log_var, n_samples=20_000, random_state=0)
    assert "kept=1000" in repr(seen)
    assert found.n == 3000
    assert found.kl == pytest.approx(whole.kl, rel=1e-12)
    np.testing.assert_allclose(found.mu_variance, mu.var(axis=0), rtol=1e-12)
    for name in ("mutual_information", "total_correlation", "dimension_wise_kl", "aggregate_kl"):
        part, truth = getattr(found, name), getattr(whole, name)
        assert abs(part.value - truth.value) < 3.5 * part.standard_error
    assert any("1000 random rows of 3000" in text for text in found.warnings)


def test_every_row_is_as_likely_to_be_kept():
    counts = np.zeros(400)
    for seed in range(150):
        seen = kl.LatentAccumulator(max_items=100, random_state=seed)
        for first in range(0, 400, 40):
            seen.update(np.arange(first, first + 40.0)[:, None], np.zeros((40, 1)))
        kept = seen.report(n_samples=100, random_state=0).codes.mu[:, 0].astype(int)
        assert len(set(kept)) == 100
        counts[kept] += 1
    expected, spread = 150 * 0.25, math.sqrt(150 * 0.25 * 0.75)
    assert np.abs(counts - expected).max() < 5.0 * spread
    halves = counts.reshape(4, 100).sum(axis=1)
    assert np.abs(halves - 100 * expected).max() < 5.0 * 10.0 * spread


def accumulated(prior=None, random_state=None):
    seen = kl.LatentAccumulator(prior=prior, random_state=random_state)
    seen.update(MU, LOG_VAR)
    return seen


EYE = kl.MultivariateNormal(mean=np.zeros(3), cov=np.eye(3))
PRIORS = {
    "none": None,
    "normal": kl.Normal(mean=0.0, var=2.0),
    "full": EYE,
    "correlated": kl.MultivariateNormal(mean=np.zeros(3), cov=0.5 * np.eye(3) + 0.5),
    "mixture": kl.GaussianMixture(weights=[1.0], means=np.zeros((1, 3)), covs=np.ones((1, 3))),
    "draws": MU,
}


def test_accumulators_of_other_priors_do_not_merge():
    for name, prior in PRIORS.items():
        assert len(accumulated(prior).merge(accumulated(prior))) == 120
        for other in PRIORS.keys() - {name}:
            for mine in (accumulated(prior), kl.LatentAccumulator(prior=prior)):
                with pytest.raises(errors.InvalidParameterError, match="another prior"):
                    mine.merge(accumulated(PRIORS[other]))
    empty = kl.LatentAccumulator()
    with pytest.raises(errors.InvalidParameterError, match="another prior"):
        empty.merge(accumulated(EYE))
    empty.update(MU[:, :2], LOG_VAR[:, :2])  # what was refused has left no trace
    written_out = kl.MultivariateNormalDiag(mean=np.zeros(3), var=np.ones(3))
    assert len(accumulated(None).merge(accumulated(written_out))) == 120


def test_equal_seeds_are_told():
    with pytest.warns(errors.KLToolsWarning, match="same random_state"):
        accumulated(random_state=7).merge(accumulated(random_state=7))
    accumulated(random_state=7).merge(accumulated(random_state=8))


def test_what_an_accumulator_refuses():
    seen = kl.LatentAccumulator()
    with pytest.raises(errors.NotEnoughSamplesError, match="update"):
        seen.report()
    seen.update(MU, LOG_VAR)
    with pytest.raises(errors.ShapeMismatchError, match="had 3"):
        seen.update(MU[:, :2], LOG_VAR[:, :2])
    with pytest.raises(errors.InvalidTypeError, match="every batch"):
        seen.update(MU, LOG_VAR, np.arange(60))
    with pytest.raises(errors.InvalidTypeError, match="LatentAccumulator"):
        seen.merge(MU)
    with pytest.raises(errors.InvalidParameterError, match="itself"):
        seen.merge(seen)
    with pytest.raises(errors.InvalidParameterError, match="max_items"):
        kl.LatentAccumulator(max_items=5)
    assert len(seen) == 60


# ---------------------------------------------------------------- the command


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_prints_the_report(capsys, tmp_path):
    path = tmp_path / "latents.npz"
    np.savez(path, mu=MU, log_var=LOG_VAR, labels=np.array(["a", "b"] * 30))
    code, out, err = run(capsys, "vae", path)
    assert (code, err) == (0, "")
    assert out == report(MU, LOG_VAR, labels=["a", "b"] * 30).summary() + "\n"
    code, out, _ = run(capsys, "vae", path, "--json", "--seed", 3, "--samples", 500)
    expected = kl.latent_report(MU, LOG_VAR, labels=["a", "b"] * 30, n_samples=500, random_state=3)
    assert json.loads(out) == json.loads(expected.to_json())


def test_the_command_reads_priors_and_codes_alone(capsys, tmp_path):
    np.savez(tmp_path / "prior.npz", mu=MU, log_var=LOG_VAR, prior_mean=np.ones(3), prior_var=np.full(3, 2.0))
    _, out, _ = run(capsys, "vae", tmp_path / "prior.npz", "--json")
    prior = kl.MultivariateNormalDiag(mean=np.ones(3), var=np.full(3, 2.0))
    assert json.loads(out)["kl"] == pytest.approx(report(MU, LOG_VAR, prior=prior).kl, rel=1e-14)
    np.savez(tmp_path / "z.npz", z=MU)
    code, out, _ = run(capsys, "vae", tmp_path / "z.npz")
    assert code == 0
    assert "mu and log_var are not known" in out.replace("\n", " ")


@pytest.mark.parametrize("command", ["vae", "drift"])
def test_a_report_is_a_page(capsys, tmp_path, command):
    """What else it is called is refused before any file is read."""
    pytest.importorskip("matplotlib")
    files = ["missing.npz"] * (1 + (command == "drift"))
    code, _, err = run(capsys, command, *files, "--report", tmp_path / "x.pdf")
    assert code == 2
    assert "x.pdf: a report is a page, not '.pdf'; name it .html or .htm" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"mean": MU}, "needs the arrays mu and log_var"),
        ({"mu": MU}, "log_var is None"),
        ({"mu": MU, "log_var": LOG_VAR, "extra": MU}, "the array 'extra' has no meaning here"),
        (
            {"mu": MU, "log_var": LOG_VAR, "prior_mean": np.zeros(3), "prior_var": -np.ones(3)},
            "prior_mean and prior_var",
        ),
        ({"mu": MU, "log_var": LOG_VAR, "prior_mean": np.zeros(3)}, "prior_mean and prior_var"),
        ({"mu": MU, "log_var": with_entry(math.nan)}, "NaN"),
    ],
)
def test_files_that_the_command_refuses(capsys, tmp_path, arrays, words):
    np.savez(tmp_path / "bad.npz", **arrays)
    code, out, err = run(capsys, "vae", tmp_path / "bad.npz")
    assert (code, out) == (2, "")
    assert words in err
