"""Pictures show the numbers of what they are drawn from, on the Axes they are given, and leave all else alone."""

import importlib
import math
import sys
import warnings

import numpy as np
import pytest

import kltools as kl

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from kltools import plotting  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.normal(0, 1, (400, 2)), RNG.normal(0.7, 1, (500, 2))
DRIFT = kl.DriftDetector(n_permutations=99, random_state=0).fit(X).detect(Y)
MIXTURE = kl.GaussianMixture(weights=[0.5, 0.5], means=[[-3.0], [3.0]], covs=[[1.0], [1.0]])


@pytest.fixture(scope="module")
def latents():
    """Six units: two over-spread and in clusters, two active, two collapsed."""
    rng = np.random.default_rng(1)
    labels = np.array(["a$b$c", "<b>", "_c"])[rng.integers(0, 3, 600)]
    spread = np.array([1.8, 1.6, 0.9, 0.5, 0.0, 0.0])
    mu = rng.normal(size=(600, 6)) * spread
    log_var = np.log(1.0 - 0.8 * np.minimum(spread, 1.0) ** 2) * np.ones((600, 6))
    return kl.latent_report(mu, log_var, labels=labels, n_samples=1000, random_state=0)


@pytest.fixture(scope="module")
def diagnosis():
    return kl.diagnose(X, Y, random_state=0)


def drawn(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def values(ax, along="y"):
    return [float(getattr(line, f"get_{along}data")()[0]) for line in drawn(ax, "_value")]


def ends(ax, along="y"):
    return [tuple(map(float, getattr(line, f"get_{along}data")())) for line in drawn(ax, "_interval")]


def rendered(ax):
    """Draw in earnest: a label that matplotlib cannot read, or Axes without room, would tell here."""
    np.ravel(ax)[0].figure.canvas.draw()
    return ax


def test_drift_is_drawn_as_told():
    reference = {"$a_{": ["<b>"] * 30 + ["x"] * 30, "n": np.arange(60.0), "flat": np.ones(60), "same": ["a", "b"] * 30}
    window = {"$a_{": ["x"] * 40, "n": np.arange(40.0), "flat": np.ones(40), "same": ["a", "b"] * 20}
    report = kl.DriftDetector(n_permutations=99, random_state=0).fit(reference).detect(window)
    ax = rendered(plotting.plot_drift(report, ax=Figure(figsize=(10, 8), layout="constrained").subplots(2, 2)))
    assert ax[0].get_title() == "drift: yes"
    assert [line.get_xdata()[0] for line in ax[0].lines[:2]] == [report.p_value, report.p_value_of_neighbors]
    assert [text.get_text() for text in ax[1].get_yticklabels()] == [r"\$a_{", "n", "same"]
    widths = [bar.get_width() for bar in ax[1].patches]
    assert sorted(widths) == pytest.approx(sorted(f.contribution for f in report.features))
    assert min(widths) < 0.0
    assert [text.get_text() for text in ax[2].get_yticklabels()] == ["<b>", "x"]
    assert [bar.get_width() for bar in ax[2].patches] == [0.5, 0.5, 0.0, 1.0]
    with pytest.raises(kl.InvalidTypeError, match=r"what DriftDetector\.detect returns, got dict"):
        plotting.plot_drift(reference)


def test_drift_of_nothing_that_varies():
    report = kl.DriftDetector(n_permutations=19, random_state=0).fit(np.ones((30, 1))).detect(np.ones((30, 1)))
    ax = rendered(plotting.plot_drift(report, ax=Figure(figsize=(10, 8), layout="constrained").subplots(2, 2)))
    assert [len(each.patches) for each in ax] == [0, 0, 0, 0]
    assert [text.get_text() for text in ax[1].texts] == ["no feature varies"]


# ---------------------------------------------------------------- Axes and figures


CALLS = {
    "sample size": lambda ax, *_: plotting.plot_sample_size(X, Y, method="gaussian", sizes=[100, 400], ax=ax),
    "neighbours": lambda ax, *_: plotting.plot_n_neighbors(X, Y, n_neighbors=[3, 9], ax=ax),
    "contributions": lambda ax, *_: plotting.plot_contributions(X, Y, ax=ax),
    "forest": lambda ax, *_: plotting.plot_forest({"a": kl.estimate_kl(X, Y, method="gaussian")}, ax=ax),
    "fits": lambda ax, *_: plotting.plot_fits(kl.Logistic(loc=0, scale=1), ax=ax),
}
PANELS = {
    "latents": (lambda ax, latents, _: plotting.plot_latents(latents, ax=ax), 4),
    "diagnosis": (lambda ax, _, diagnosis: plotting.plot_diagnosis(diagnosis, ax=ax), 4),
    "drift": (lambda ax, *_: plotting.plot_drift(DRIFT, ax=ax), 4),
    "estimate": (lambda ax, *_: plotting.plot_estimate(X, Y, method="gaussian", random_state=0, ax=ax), 3),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_axes_passed_are_returned_and_no_figure_is_made_or_closed(name, latents, diagnosis):
    mine = pyplot.figure()
    before = pyplot.get_fignums()
    ax = Figure(layout="constrained").add_subplot()
    assert rendered(CALLS[name](ax, latents, diagnosis)) is ax
    assert pyplot.get_fignums() == before
    assert ax.get_xlabel()
    assert ax.has_data()
    pyplot.close(mine)


@pytest.mark.parametrize("name", PANELS)
def test_panels_take_as_many_axes_as_they_have_pictures(name, latents, diagnosis):
    draw, count = PANELS[name]
    given = Figure(figsize=(12.0, 4.0 * count), layout="constrained").subplots(count, 1)
    returned = rendered(draw(given, latents, diagnosis))
    assert [a is b for a, b in zip(returned, given, strict=True)] == [True] * count
    assert all(ax.get_title() for ax in given)
    with pytest.raises(kl.InvalidParameterError, match=rf"ax must hold {count} Axes.*got 1"):
        draw(given[0], latents, diagnosis)
    with pytest.raises(kl.InvalidTypeError, match="ax must be Axes of matplotlib, got str"):
        draw(["axes"] * count, latents, diagnosis)


@pytest.mark.parametrize("name", [*CALLS, *PANELS])
def test_without_axes_there_is_a_new_figure(name, latents, diagnosis):
    before = pyplot.get_fignums()
    settings = dict(matplotlib.rcParams)
    draw = CALLS[name] if name in CALLS else PANELS[name][0]
    ax = rendered(draw(None, latents, diagnosis))
    (number,) = set(pyplot.get_fignums()) - set(before)
    assert np.ravel(ax)[0].figure.number == number
    assert dict(matplotlib.rcParams) == settings
    pyplot.close(number)


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path, latents):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for call in (lambda: plotting.plot_latents(latents), lambda: latents.to_html(tmp_path / "page.html")):
        with pytest.raises(kl.MissingDependencyError, match=r"pip install 'kltools\[plot\]'"):
            call()
    assert not (tmp_path / "page.html").exists()


def test_the_module_is_lazy():
    assert importlib.import_module("kltools.plotting") is kl.plotting
    assert set(plotting.__all__) == {name for name in dir(plotting) if name.startswith("plot_")}


# ---------------------------------------------------------------- estimates


def test_sample_sizes_show_estimates_of_nested_parts():
    ax = plotting.plot_sample_size(X, Y, method="gaussian", random_state=5, truth=0.49, ax=Figure().add_subplot())
    whole = kl.estimate_kl(X, Y, method="gaussian", random_state=0)
    assert values(ax, "x") == [50, 100, 200, 400]
    assert values(ax)[-1] == pytest.approx(whole.value, rel=1e-9)
    assert ends(ax)[-1] == pytest.approx(whole.confidence_interval(), rel=1e-6)
    assert len(set(values(ax))) == 4
    (truth,) = [line for line in ax.lines if line.get_label() == "truth"]
    assert list(truth.get_ydata()) == [0.49, 0.49]
    again = plotting.plot_sample_size(X, Y, method="gaussian", random_state=5, ax=Figure().add_subplot())
    assert values(again) == values(ax)


def test_sizes_are_checked_and_a_known_reference_serves():
    q = kl.MultivariateNormalDiag(mean=[0.7, 0.7], var=[1.0, 1.0])
    ax = plotting.plot_sample_size(X, q, method="knn", sizes=[400, 100], random_state=0, ax=Figure().add_subplot())
    assert values(ax, "x") == [100, 400]
    for sizes, message in (([1], "sizes"), ([401], "from 2 to the 400"), ([], "from 2 to the 400")):
        with pytest.raises(kl.InvalidParameterError, match=message):
            plotting.plot_sample_size(X, Y, sizes=sizes)


def test_neighbours_show_the_estimate_with_each_k():
    ax = plotting.plot_n_neighbors(
        X, Y, n_neighbors=[2, 20, 10_000], unit="bits", random_state=3, confidence_level=0.8, ax=Figure().add_subplot()
    )
    expected = [kl.estimate_kl(X, Y, method="knn", n_neighbors=k, unit="bits", random_state=3) for k in (2, 20)]
    assert values(ax) == [estimate.value for estimate in expected]
    assert ends(ax) == [estimate.confidence_interval(0.8) for estimate in expected]
    assert "bits" in ax.get_ylabel()
    with pytest.raises(kl.InvalidParameterError, match="at most 399"):
        plotting.plot_n_neighbors(X, Y, n_neighbors=[1000])


def test_warnings_of_parts_are_shown_as_hollow_points():
    few = X[:12], Y[:12]
    ax = plotting.plot_n_neighbors(*few, n_neighbors=[8], ax=Figure().add_subplot())
    (point,) = drawn(ax, "_value")
    assert point.get_markerfacecolor() == "none"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["not reliable"]


def test_all_rows_give_the_estimate_itself():
    ax = plotting.plot_sample_size(X, Y, sizes=[100, 400], random_state=3, ax=Figure().add_subplot())
    assert values(ax)[-1] == kl.estimate_kl(X, Y, random_state=3).value


def test_a_forest_has_a_row_for_each_estimate():
    named = {m: kl.estimate_kl(X, Y, method=m, random_state=0) for m in ("knn", "gaussian", "kde")}
    ax = plotting.plot_forest(named, truth=0.49, confidence_level=0.5, ax=Figure().add_subplot())
    assert values(ax, "x") == [e.value for e in named.values()]
    assert ends(ax, "x") == [e.confidence_interval(0.5) for e in named.values()]
    assert values(ax) == [0, 1, 2]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first one is at the top
    assert ax.get_xlabel() == "KL(P||Q) (nats), 50% intervals"
    ax = plotting.plot_forest(list(named.values()), ax=Figure().add_subplot())
    assert [text.get_text() for text in ax.get_yticklabels()] == ["knn", "gaussian", "kde"]


@pytest.mark.parametrize("truth", [math.inf, -math.inf])
def test_a_truth_beyond_the_axis_is_told_in_words(truth):
    estimate = kl.estimate_kl(X, Y, method="gaussian")
    ax = plotting.plot_forest({"a": estimate}, truth=truth, ax=Figure().add_subplot())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"truth: {truth:g}"]
    assert all(np.isfinite(line.get_xdata()).all() for line in rendered(ax).lines)
    ax = plotting.plot_n_neighbors(X, Y, n_neighbors=[5], truth=truth, ax=Figure().add_subplot())
    assert f"truth: {truth:g}" in [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.filterwarnings("ignore::kltools.errors.KLToolsWarning")
def test_infinite_estimates_are_told_in_words():
    flat = np.column_stack([X[:, 0], X[:, 0]])
    named = {"inf": kl.estimate_kl(flat, Y, method="gaussian"), "finite": kl.estimate_kl(X, Y, method="gaussian")}
    assert named["inf"].value == math.inf
    ax = rendered(plotting.plot_forest(named, ax=Figure().add_subplot()))
    assert values(ax, "x") == [named["finite"].value]
    assert [text.get_text() for text in ax.texts] == ["inf"]


def test_forests_refuse_other_things():
    estimate = kl.estimate_kl(X, Y, method="gaussian")
    with pytest.raises(kl.InvalidTypeError, match="must map names"):
        plotting.plot_forest(estimate)
    with pytest.raises(kl.InvalidTypeError, match="DivergenceEstimate, got float"):
        plotting.plot_forest({"a": 0.5})
    with pytest.raises(kl.InvalidParameterError, match="bits, nats"):
        plotting.plot_forest({"a": estimate, "b": estimate.to("bits")})
    with pytest.raises(kl.InvalidParameterError, match="found none"):
        plotting.plot_forest({})


def test_names_are_shown_as_they_stand():
    estimate = kl.estimate_kl(X, Y, method="gaussian")
    ax = plotting.plot_forest({"x$_{y$": estimate, "a\nb\0": estimate, "w" * 99: estimate}, ax=Figure().add_subplot())
    rendered(ax)
    texts = [text.get_text() for text in ax.get_yticklabels()]
    assert texts == [r"x\$_{y\$", "a b ", "w" * 23 + "…"]


@pytest.mark.parametrize("d", [1, 2])
def test_contributions_have_the_estimate_as_their_mean(d):
    ax = plotting.plot_contributions(X[:, :d], Y[:, :d], ax=Figure().add_subplot())
    expected = kl.estimate_kl(X[:, :d], Y[:, :d], method="knn").value
    if d == 1:
        (line,) = drawn(ax, "_terms")
        rows, terms = line.get_data()
        np.testing.assert_array_equal(rows, X[:, 0])
    else:
        terms = ax.collections[0].get_array()
        assert {tuple(row) for row in ax.collections[0].get_offsets()} == {tuple(row) for row in X}
    assert terms.mean() == pytest.approx(expected, rel=1e-9)
    assert f"{expected:.3g} nats" in ax.get_title()


def test_contributions_are_high_where_p_has_more_mass():
    ax = plotting.plot_contributions(X, Y, ax=Figure().add_subplot())
    drawn_rows = np.asarray(ax.collections[0].get_offsets())
    exact = 0.49 - 0.7 * drawn_rows.sum(axis=1)  # log N(0, I) - log N(0.7, I)
    assert np.corrcoef(exact, ax.collections[0].get_array())[0, 1] > 0.7


@pytest.mark.parametrize("d", [1, 2])
def test_one_row_far_out_hides_no_other(d):
    """The axes hold all rows but that, which is counted; the names of columns stand at them."""
    pd = pytest.importorskip("pandas")
    far = X.copy()
    far[7] = 1e8
    names = ["width", "height"][:d]
    frames = [pd.DataFrame(rows[:, :d], columns=names) for rows in (far, Y)]
    ax = rendered(plotting.plot_contributions(*frames, ax=Figure(layout="constrained").add_subplot()))
    assert "1 row lies beyond the axes" in ax.get_title()
    rest = np.concatenate([np.delete(far, 7, axis=0), Y])[:, :d]
    for (low, high), column in zip((ax.get_xlim(), ax.get_ylim())[:d], rest.T, strict=True):
        assert low < column.min()
        assert high > column.max()
        assert high - low < 1.2 * np.ptp(column)
    assert ax.get_xlabel() == "width"
    assert d == 1 or ax.get_ylabel() == "height"


def test_contributions_refuse_what_cannot_be_drawn():
    with pytest.raises(kl.ShapeMismatchError, match="3 features"):
        plotting.plot_contributions(np.ones((9, 3)), np.ones((9, 3)))
    with pytest.raises(kl.InvalidParameterError, match="a column of Y does not vary"):
        plotting.plot_contributions(X, Y * [1.0, 0.0])


def test_an_estimate_of_many_features_has_no_picture_of_samples():
    wide, other = np.hstack([X, X[::-1, :1]]), np.hstack([Y, Y[::-1, :1]])
    axes = plotting.plot_estimate(wide, other, method="gaussian", random_state=0, ax=Figure().subplots(1, 2))
    assert values(axes[0])[-1] == pytest.approx(kl.estimate_kl(wide, other, method="gaussian").value, rel=1e-9)
    gaps = X.copy()
    gaps[3, 1] = np.nan
    with pytest.raises(kl.InvalidParameterError, match="X contains NaN"):
        plotting.plot_estimate(gaps, Y, method="gaussian")
    axes = plotting.plot_estimate(gaps, Y, method="gaussian", nan_policy="omit", ax=Figure().subplots(1, 3))
    assert values(axes[0], "x")[-1] == 399


# ---------------------------------------------------------------- fits


def test_fits_show_densities_and_least_divergences():
    ax = plotting.plot_fits(MIXTURE, ax=Figure().add_subplot())
    forward, reverse = ax.lines
    for line, fit in ((forward, kl.fit_gaussian(MIXTURE)), (reverse, kl.fit_gaussian(MIXTURE, direction="reverse"))):
        x, density = line.get_data()
        np.testing.assert_allclose(density, np.exp(fit.log_prob(x[:, None])))
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    for text, (p, q) in zip(
        told[1:],
        ((MIXTURE, kl.fit_gaussian(MIXTURE)), (kl.fit_gaussian(MIXTURE, direction="reverse"), MIXTURE)),
        strict=True,
    ):
        sampled = kl.estimate_kl_monte_carlo(p, q, n_samples=200_000, random_state=0)
        assert float(text.split()[-2]) == pytest.approx(sampled.value, abs=5 * sampled.standard_error + 5e-4)


def test_narrow_peaks_are_not_missed():
    """Of two peaks, each thinner than a pixel, the top is drawn; the flat fit beside them is seen on a log scale."""
    target = kl.GaussianMixture(weights=[0.5, 0.5], means=[[-1000.0], [1000.0]], covs=[[1e-4], [1.0]])
    ax = rendered(plotting.plot_fits(target, ax=Figure().add_subplot()))
    corners = ax.collections[0].get_paths()[0].vertices
    for mean, std in ((-1000.0, 0.01), (1000.0, 1.0)):
        near = corners[np.abs(corners[:, 0] - mean) < std]
        assert near[:, 1].max() == pytest.approx(0.5 / (std * math.sqrt(2.0 * math.pi)), rel=0.01)
    assert ax.get_yscale() == "log"
    forward = ax.lines[0].get_ydata().max()
    assert ax.get_ylim()[0] < forward < ax.get_ylim()[1]


def test_one_direction_where_only_one_exists():
    ax = plotting.plot_fits(kl.Gamma(shape=2, rate=1), directions=["forward"], ax=Figure().add_subplot())
    assert len(ax.lines) == 1
    with pytest.raises(kl.InvalidParameterError, match="infinite"):
        plotting.plot_fits(kl.Gamma(shape=2, rate=1))
    with pytest.raises(kl.InvalidParameterError, match="directions"):
        plotting.plot_fits(MIXTURE, directions=["sideways"])
    with pytest.raises(kl.ShapeMismatchError, match="batch shape"):
        plotting.plot_fits(kl.Normal(mean=[0.0, 1.0], var=1.0))


# ---------------------------------------------------------------- diagnoses


def test_a_diagnosis_is_drawn_with_its_numbers(diagnosis):
    estimates, neighbors, overlap, dimensions = plotting.plot_diagnosis(diagnosis, ax=Figure().subplots(2, 2))
    assert values(estimates, "x") == [e.value for e in diagnosis.estimates.values()]
    assert sorted(drawn(estimates, "from half the rows")[0].get_xdata()) == sorted(diagnosis.at_half.values())
    (line,) = drawn(neighbors, "_value")
    assert dict(zip(*line.get_data(), strict=True)) == diagnosis.by_n_neighbors
    assert [bar.get_width() for bar in overlap.patches] == list(diagnosis.outside)
    x, y = zip(diagnosis.participation_ratio, diagnosis.intrinsic_dimension, strict=True)
    assert [bar.get_width() for bar in dimensions.patches] == [*x, *y]


def test_a_diagnosis_of_next_to_nothing_can_be_drawn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.KLToolsWarning)
        found = kl.diagnose(np.ones((20, 1)), np.zeros((20, 1)), random_state=0)
    rendered(plotting.plot_diagnosis(found, ax=Figure().subplots(2, 2)))
    with pytest.raises(kl.InvalidTypeError, match="got float"):
        plotting.plot_diagnosis(0.5)


# ---------------------------------------------------------------- latents


def test_units_are_sorted_bars_with_the_line_of_collapse(latents):
    ax = plotting.plot_latents(latents, ax=Figure().subplots(2, 2))[0]
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == sorted(latents.kl_per_unit.tolist(), reverse=True)
    names = [text.get_text() for text in ax.get_xticklabels()]
    assert [latents.names[j] for j in np.argsort(-latents.kl_per_unit, kind="stable")] == names
    level = next(line for line in ax.lines if "collapse" in line.get_label()).get_ydata()[0]
    assert tuple(j for j in range(6) if latents.kl_per_unit[j] <= level) == latents.collapsed
    colors = {name: bar.get_facecolor() for name, bar in zip(names, ax.patches, strict=True)}
    assert len({colors[str(j)] for j in latents.collapsed}) == 1
    assert len(set(colors.values())) == 3


def test_parts_follow_each_other_and_end_at_the_mean_kl(latents):
    ax = plotting.plot_latents(latents, ax=Figure().subplots(2, 2))[1]
    whole, *parts = ax.patches
    assert whole.get_width() == latents.kl
    expected = (latents.mutual_information, latents.total_correlation, latents.dimension_wise_kl)
    assert [bar.get_width() for bar in parts] == pytest.approx([part.value for part in expected], rel=1e-12)
    edges = np.cumsum([0.0, *(part.value for part in expected)])
    np.testing.assert_allclose([bar.get_x() for bar in parts], edges[:-1], atol=1e-12)
    assert edges[-1] == pytest.approx(latents.kl)


def test_marginals_are_those_of_the_mixture(latents):
    from kltools.plotting.latents import marginal_density

    edges = np.linspace(-6.0, 6.0, 241)
    mu, std = latents.codes.mu[:, 2], np.exp(0.5 * latents.codes.log_var[:, 2])
    middles = 0.5 * (edges[1:] + edges[:-1])
    naive = np.mean(
        [np.exp(-0.5 * ((middles - m) / s) ** 2) / (s * math.sqrt(2 * math.pi)) for m, s in zip(mu, std, strict=True)],
        axis=0,
    )
    np.testing.assert_allclose(marginal_density(latents, 2, edges), naive, atol=2e-4)
    assert (marginal_density(latents, 2, edges) * 0.05).sum() == pytest.approx(1.0, abs=1e-6)


def test_long_names_of_bars_do_not_overlap():
    mu = np.random.default_rng(0).normal(size=(200, 6))
    pd = pytest.importorskip("pandas")
    names = [f"longname{j:02d}" for j in range(6)]
    report = kl.latent_report(pd.DataFrame(mu, columns=names), 0.0 * mu - 1.0, n_samples=100, random_state=0)
    ax = rendered(plotting.plot_latents(report, ax=Figure((11.0, 8.0), layout="constrained").subplots(2, 2)))[0]
    assert {text.get_rotation() for text in ax.get_xticklabels()} == {45.0}


def test_the_largest_codes_have_few_ticks():
    mu = np.random.default_rng(0).normal(size=(200, 3))
    report = kl.latent_report(1e100 * mu, 0.0 * mu, n_samples=100, random_state=0)
    ax = rendered(plotting.plot_latents(report, ax=Figure((11.0, 8.0), layout="constrained").subplots(2, 2)))[0]
    assert 4 <= len(ax.get_yticks()) <= 11


def test_one_wide_unit_leaves_the_others_room():
    mu = np.random.default_rng(0).normal(size=(200, 4))
    log_var = np.full((200, 4), -1.0)
    log_var[:, 2] = 1e3
    report = kl.latent_report(mu, log_var, n_samples=100, random_state=0)
    ax = rendered(plotting.plot_latents(report, ax=Figure((11.0, 8.0), layout="constrained").subplots(2, 2)))[2]
    assert -10.0 < ax.get_xlim()[0] < -3.0
    assert 3.0 < ax.get_xlim()[1] < 10.0
    assert [", wider than shown" in text.get_text() for text in ax.texts] == [True, False, False, False]


def test_labels_beyond_number_are_told_in_words():
    mu = np.random.default_rng(0).normal(size=(200, 2))
    for n_labels, told in ((18, "0"), (50, "50 labels, not told apart")):
        report = kl.latent_report(mu, 0.0 * mu - 1.0, labels=np.arange(200) % n_labels, n_samples=100, random_state=0)
        ax = plotting.plot_latents(report, ax=Figure().subplots(2, 2))[3]
        assert ax.get_legend().get_texts()[0].get_text() == told


def test_codes_are_those_of_the_two_units_of_the_largest_kl(latents):
    ax = plotting.plot_latents(latents, ax=Figure().subplots(2, 2))[3]
    first, second = np.argsort(-latents.kl_per_unit, kind="stable")[:2]
    *lines, _ = ax.lines
    assert [line.get_label() for line in lines] == ["<b>", " _c", r"a\$b\$c"]
    for line, name in zip(lines, ("<b>", "_c", "a$b$c"), strict=True):
        rows = latents.codes.mu[latents.codes.labels == name]
        np.testing.assert_array_equal(np.array(line.get_data()), rows[:, [first, second]].T)
    np.testing.assert_array_equal(
        np.array(drawn(ax, "least covered by codes")[0].get_data()), latents.holes[:, [first, second]].T
    )
    assert ax.get_xlabel() == f"mu of unit {first}"


def collapsed_report():
    return kl.latent_report(np.zeros((50, 3)), np.zeros((50, 3)), n_samples=500, random_state=0)


def single_unit_report():
    return kl.latent_report(X[:, :1], np.zeros((400, 1)), n_samples=500, random_state=0)


def report_of_codes():
    return kl.latent_report(None, None, X[:200], random_state=0)


def wide_report():
    """More units than names fit, a prior whose units are dependent, and many classes."""
    rng = np.random.default_rng(0)
    prior = kl.MultivariateNormal(mean=np.zeros(30), cov=0.7 * np.eye(30) + 0.3)
    mu = rng.normal(size=(200, 30))
    return kl.latent_report(
        mu, np.full((200, 30), -1.0), prior=prior, labels=np.arange(200), n_samples=200, random_state=0
    )


def infinite_report():
    return kl.latent_report(np.full((60, 2), 1e200), np.zeros((60, 2)), n_samples=100, random_state=0)


def narrow_report():
    rng = np.random.default_rng(0)
    return kl.latent_report(rng.normal(size=(60, 2)), np.full((60, 2), -40.0), n_samples=100, random_state=0)


@pytest.mark.parametrize(
    "make", [collapsed_report, single_unit_report, report_of_codes, wide_report, infinite_report, narrow_report]
)
def test_any_report_can_be_drawn(make):
    report = make()
    axes = rendered(plotting.plot_latents(report, ax=Figure(figsize=(11, 8), layout="constrained").subplots(2, 2)))
    heights = [bar.get_height() for bar in axes[0].patches]
    shown = report.marginal_kl if report.kl_per_unit is None else report.kl_per_unit
    assert len(heights) == report.d
    finite = np.sort(shown[np.isfinite(shown)])[::-1]
    np.testing.assert_array_equal(heights[report.d - len(finite) :], finite)
    assert [text.get_text() for text in axes[0].texts] == ["inf"] * (report.d - len(finite))
    assert ("inf" in axes[1].get_title()) == (report.kl == math.inf)
    if report.kl is not None and report.prior_coupling is not None:
        assert axes[1].patches[-1].get_width() == pytest.approx(report.prior_coupling.value, rel=1e-9)
    with pytest.raises(kl.InvalidTypeError, match="got float"):
        plotting.plot_latents(0.5)
