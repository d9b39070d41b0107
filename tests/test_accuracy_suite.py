"""The accuracy suite: truths by other routes, samplers against truths, resuming, and tables of made-up rows."""

import itertools
import json
import math
import warnings

import goals
import grades
import methods
import mpmath
import numpy as np
import pytest
import run
import tables
import truths
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats
from tasks import TASKS

import kltools as kl

EULER = float(mpmath.euler)
each_task = pytest.mark.parametrize("name", TASKS)


# ---------------------------------------------------------------- truths by other routes


def gamma_gamma(shape_p, shape_q, scale_q):
    ratio = (shape_p - shape_q) * special.digamma(shape_p) - special.gammaln(shape_p) + special.gammaln(shape_q)
    return ratio + shape_q * math.log(scale_q) + shape_p / scale_q - shape_p


def weibull_weibull(k, s, k_q, s_q):
    logs = math.log(k / s**k) - math.log(k_q / s_q**k_q) + (k - k_q) * (math.log(s) - EULER / k)
    return logs + (s / s_q) ** k_q * math.gamma(k_q / k + 1) - 1


def laplace_laplace(step, scale):
    return math.log(scale) + (step + math.exp(-step)) / scale - 1


def gumbel_gumbel(loc, scale):
    moment = math.exp(loc / scale) * math.gamma(1 / scale + 1)
    return math.log(scale) + EULER * (1 / scale - 1) - loc / scale + moment - 1


def beta_uniform(a, b):
    log_beta = special.betaln(a, b)
    digammas = special.digamma(a), special.digamma(b), special.digamma(a + b)
    return (a - 1) * (digammas[0] - digammas[2]) + (b - 1) * (digammas[1] - digammas[2]) - log_beta


def on_the_line(p, q, points):
    """Quadrature of mpmath, over densities written for it."""
    return float(mpmath.quad(lambda x: p(x) * mpmath.log(p(x) / q(x)), points))


def logistic(x, loc=0, scale=1):
    half = mpmath.sech((x - loc) / (2 * scale))
    return half * half / (4 * scale)


def student(x, df, loc=0, scale=1):
    constant = mpmath.gamma((df + 1) / mpmath.mpf(2)) / (mpmath.gamma(df / mpmath.mpf(2)) * mpmath.sqrt(df * mpmath.pi))
    return constant / scale * (1 + ((x - loc) / scale) ** 2 / df) ** (-(df + 1) / mpmath.mpf(2))


def two_normals(x):
    return (mpmath.npdf(x, -1.5, 0.5) + mpmath.npdf(x, 1.5, 0.5)) / 2


def of_squares(p, q):
    """For spherical laws: the divergence of the squared distances from 0, given by their log-densities."""

    def weighed(log_square):
        square = math.exp(log_square)
        return square * math.exp(p(square)) * (p(square) - q(square))

    pieces = itertools.pairwise(np.linspace(-40, 40, 41))
    return math.fsum(integrate.quad(weighed, a, b, epsabs=1e-12)[0] for a, b in pieces)


def chi2_mixture(d, *parts):
    return lambda square: special.logsumexp(
        [math.log(w / var) + stats.chi2.logpdf(square / var, d) for w, var in parts]
    )


def scaled_f(d, df, scale=1):
    return lambda square: stats.f.logpdf(square / (d * scale**2), d, df) - math.log(d * scale**2)


def stick_breaking(a, b):
    """A Dirichlet law is a chain of independent beta laws."""
    total = 0.0
    for i in range(len(a) - 1):
        p, q = stats.beta(a[i], sum(a[i + 1 :])), stats.beta(b[i], sum(b[i + 1 :]))
        total += integrate.quad(lambda x, p=p, q=q: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), 0, 1, epsabs=1e-12)[0]
    return total


def rounded_normals(step, shift):
    cells = [k * step for k in range(round(-12 / step), round(12 / step) + 1)]
    h = mpmath.mpf(step) / 2

    def mass(x, mean):
        return (mpmath.erfc((x - mean - h) / mpmath.sqrt(2)) - mpmath.erfc((x - mean + h) / mpmath.sqrt(2))) / 2

    with mpmath.workdps(150):
        pairs = [(mass(mpmath.mpf(x), 0), mass(mpmath.mpf(x), mpmath.mpf(shift))) for x in cells]
        return float(mpmath.fsum(p * mpmath.log(p / q) for p, q in pairs))


ROUTES = {
    "exponential1": lambda: math.log(2) - 0.5,
    "exponential3": lambda: 3 * (math.log(1.5) + 1 / 1.5 - 1),
    "gamma1": lambda: gamma_gamma(2, 3, 0.8),
    "gamma3": lambda: gamma_gamma(2, 3, 0.8) + gamma_gamma(0.8, 1, 1) + gamma_gamma(5, 4, 1.5),
    "lognormal1": lambda: kl.kl_divergence(kl.Normal(mean=0, var=1), kl.Normal(mean=0.5, var=1.69)),
    "weibull1": lambda: weibull_weibull(2, 1, 1.3, 1.2),
    "pareto1": lambda: math.log(2) + 0.5 - 1,
    "laplace1": lambda: laplace_laplace(0.5, 1.5),
    "laplace10": lambda: 10 * laplace_laplace(0.2, 1.2),
    "unequal2_laplace": lambda: 2 * laplace_laplace(0.5, 1),
    "logistic1": lambda: on_the_line(logistic, lambda x: logistic(x, 1, 1.4), [-700, -20, 0, 20, 700]),
    "gumbel1": lambda: gumbel_gumbel(0.5, 1.5),
    "normal_t1": lambda: on_the_line(mpmath.npdf, lambda x: student(x, 3), [-30, -5, 0, 5, 30]),
    "t1": lambda: on_the_line(
        lambda x: student(x, 3), lambda x: student(x, 3, 0.5, 2), [-mpmath.inf, -10, 0, 10, mpmath.inf]
    ),
    "beta1_uniform": lambda: beta_uniform(2, 3),
    "beta5_uniform": lambda: 5 * beta_uniform(2, 3),
    "uniform1_inside": lambda: math.log(2),
    "uniform3_inside": lambda: 3 * math.log(1.25),
    "mixture1": lambda: on_the_line(two_normals, lambda x: mpmath.npdf(x, 0, 2), [-12, -3, -1.5, 0, 1.5, 3, 12]),
    "t3_normal": lambda: of_squares(scaled_f(3, 5), chi2_mixture(3, (1, 1.6))),
    "normal5_t": lambda: of_squares(chi2_mixture(5, (1, 1)), scaled_f(5, 3)),
    "t10": lambda: of_squares(scaled_f(10, 8), scaled_f(10, 4, 1.2)),
    "scales2": lambda: of_squares(chi2_mixture(2, (0.5, 1), (0.5, 1e-4)), chi2_mixture(2, (0.8, 1), (0.2, 4e-4))),
    "scales3": lambda: of_squares(chi2_mixture(3, (0.6, 1), (0.4, 0.01)), chi2_mixture(3, (0.7, 4), (0.3, 0.04))),
    "dirichlet3": lambda: stick_breaking([2, 3, 4, 5], [2, 2, 2, 2]),
    "simplex3": lambda: stick_breaking([4, 2, 3], [1.5, 1.5, 1.5]),
    "rounded2": lambda: 2 * rounded_normals(0.1, math.sqrt(0.5)),
}


@pytest.mark.parametrize("name", ROUTES)
def test_a_truth_is_found_by_another_route(name):
    assert TASKS[name].truth.value == pytest.approx(ROUTES[name](), rel=1e-8)


def normal_names():
    return [name for name, task in TASKS.items() if type(task.p).__name__ == type(task.q).__name__ == "Normal"]


@pytest.mark.parametrize("name", normal_names())
def test_normal_truths_are_those_of_the_library(name):
    p, q = (kl.MultivariateNormal(mean=law.mean, cov=law.cov) for law in (TASKS[name].p, TASKS[name].q))
    assert TASKS[name].truth.value == pytest.approx(kl.kl_divergence(p, q), rel=1e-9, abs=1e-12)


def test_the_truth_of_labels_by_the_chain_rule():
    def gaussian(shift, var):
        return kl.MultivariateNormalDiag(mean=np.full(2, shift / math.sqrt(2)), var=np.full(2, var))

    labels = kl.kl_divergence(kl.Categorical(probs=[0.3, 0.7]), kl.Categorical(probs=[0.5, 0.5]))
    first, second = (
        kl.kl_divergence(gaussian(shift, 1), gaussian(far, var)) for shift, far, var in ((0, 0, 1), (1, 1.5, 1.3))
    )
    assert TASKS["labels3"].truth.value == pytest.approx(labels + 0.3 * first + 0.7 * second, rel=1e-9)


def test_the_truth_of_moons_by_its_parts():
    first = on_the_line(
        lambda x: (mpmath.npdf(x, -1.6, mpmath.sqrt(0.5)) + mpmath.npdf(x, 1.6, mpmath.sqrt(0.5))) / 2,
        lambda x: mpmath.npdf(x, 0, 2),
        [-15, -1.6, 0, 1.6, 15],
    )
    second = kl.kl_divergence(kl.Normal(mean=0, var=0.02), kl.Normal(mean=0, var=0.06))
    assert TASKS["moons2"].truth.value == pytest.approx(first + second, rel=1e-9)


def scipy_log_density(law, x):
    """The density of a mixture or a normal law by SciPy's."""
    if hasattr(law, "mean"):
        return stats.multivariate_normal(law.mean, law.cov).logpdf(x)
    if hasattr(law, "means"):
        parts = [stats.norm(mean, std).logpdf(x).sum(axis=1) for mean, std in zip(law.means, law.stds, strict=True)]
        return special.logsumexp(parts, axis=0) - math.log(len(parts))
    parts = [scipy_log_density(part, x) + math.log(w) for w, part in zip(law.weights, law.laws, strict=True)]
    return special.logsumexp(parts, axis=0)


@pytest.mark.parametrize("name", ["necklace2", "posterior2"])
def test_monte_carlo_truths_in_the_plane_are_those_of_a_grid(name):
    task, axis = TASKS[name], np.linspace(-7, 7, 281)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    log_p, log_q = scipy_log_density(task.p, grid), scipy_log_density(task.q, grid)
    value = (np.exp(log_p) * (log_p - log_q)).sum() * (axis[1] - axis[0]) ** 2
    assert 0 < task.truth.error < 1e-3
    assert abs(value - task.truth.value) < 4 * task.truth.error


@pytest.mark.parametrize("name", ["mixture5", "mixture10_normal", "posterior8", "posterior32"])
def test_monte_carlo_truths_are_those_of_other_draws_and_densities(name):
    task = TASKS[name]
    x = task.p.draw(np.random.default_rng(1), 10_000)
    ratios = scipy_log_density(task.p, x) - scipy_log_density(task.q, x)
    error = math.hypot(ratios.std() / 100, task.truth.error)
    assert abs(ratios.mean() - task.truth.value) < 4 * error


def test_every_truth_is_checked_and_stored():
    others = {*normal_names(), "labels3", "moons2", "necklace2", "posterior2"}
    others |= {"mixture5", "mixture10_normal", "posterior8", "posterior32"}
    assert others | set(ROUTES) == set(TASKS)
    assert list(truths.stored()) == list(TASKS)
    assert len(TASKS) >= 45


@pytest.mark.parametrize("name", [*ROUTES, "labels3", "moons2", "normal5_large"])
def test_stored_truths_are_those_that_the_script_finds(name):
    found = truths.truth(TASKS[name].p, TASKS[name].q)
    assert TASKS[name].truth.value == pytest.approx(found.value, rel=1e-11, abs=1e-13)
    assert TASKS[name].truth.how == found.how
    assert found.error < 1e-9


# ---------------------------------------------------------------- samplers


@each_task
def test_draws_have_the_densities_that_the_truth_is_of(name):
    """E_P log p/q is the truth, and the bounded means E_Q p/(p + q) and E_P q/(p + q) are the same integral."""
    task, rng = TASKS[name], np.random.default_rng(2)
    x, y = task.p.draw(rng, 8000), task.q.draw(rng, 8000)
    at_x = task.p.log_density(x) - task.q.log_density(x)
    at_y = task.p.log_density(y) - task.q.log_density(y)
    error = math.hypot(at_x.std() / math.sqrt(8000), task.truth.error)
    assert abs(at_x.mean() - task.truth.value) <= 4.5 * error + 1e-12
    q_share, p_share = special.expit(-at_x), special.expit(at_y)
    error = math.hypot(q_share.std(), p_share.std()) / math.sqrt(8000)
    assert abs(q_share.mean() - p_share.mean()) <= 4.5 * error + 1e-12


@each_task
def test_samples_are_finite_of_their_size_and_those_of_their_seed(name):
    task = TASKS[name]
    X, Y = task.sample(60, 3)
    assert X.shape == (60, task.d)
    assert Y.shape == (round(60 * task.ratio), task.d)
    assert np.isfinite(X).all()
    assert np.isfinite(Y).all()
    again, other = task.sample(60, 3), task.sample(60, 4)
    np.testing.assert_array_equal(again[0], X)
    np.testing.assert_array_equal(again[1], Y)
    assert not np.array_equal(other[0], X)
    assert name in ("rounded2", "labels3", "repeated3") or len(np.unique(X, axis=0)) == 60


def unturned(w):
    turn = -1.5 * np.hypot(w[:, 0], w[:, 1])
    z = (w[:, 0] + 1j * w[:, 1]) * np.exp(1j * turn)
    return np.column_stack([z.real, z.imag])


INVERSES = {
    "cube2": np.cbrt,
    "asinh5": lambda w: np.sinh(w) / 3,
    "lognormal3": np.log,
    "spiral2": unturned,
    "banana2": lambda w: np.column_stack([w[:, 0], w[:, 1] - w[:, 0] ** 2 + 1]),
    "moons2": lambda w: np.column_stack([w[:, 0], w[:, 1] - 1.5 * np.sin(w[:, 0])]),
    "ring2": lambda w: np.column_stack(
        [
            stats.norm.ppf(np.arctan2(w[:, 1], w[:, 0]) % (2 * np.pi) / (2 * np.pi)),
            np.log(np.hypot(w[:, 0], w[:, 1])) / 0.15,
        ]
    ),
    "scales5": lambda w: w / [1e-3, 10**-1.5, 1, 10**1.5, 1e3],
}


def test_maps_are_invertible():
    assert set(INVERSES) == {name for name, task in TASKS.items() if task.map is not None}
    for name, inverse in INVERSES.items():
        for law in (TASKS[name].p, TASKS[name].q):
            z = law.draw(np.random.default_rng(5), 500)
            np.testing.assert_allclose(inverse(TASKS[name].map(z)), z, rtol=1e-7, atol=1e-9, err_msg=name)


def test_ties_are_where_they_should_be():
    X, Y = TASKS["rounded2"].sample(500, 0)
    np.testing.assert_allclose(10 * X, np.rint(10 * X), atol=1e-9)
    assert len(np.unique(Y)) < 100
    X, Y = TASKS["repeated3"].sample(500, 0)
    assert 200 < len(np.unique(X, axis=0)) < 350
    assert len(np.unique(Y, axis=0)) == 500
    assert all(TASKS[task.untied].d == task.d for task in TASKS.values() if task.untied)


# ---------------------------------------------------------------- the runner


def counted(monkeypatch, seconds=0.0):
    """Calls of `measure` are counted, and answered at once."""
    calls = []

    def measure(method, X, Y, seed):
        calls.append((method, len(X), seed))
        return {"value": float(seed), **methods.NOTHING, "seconds": seconds}

    monkeypatch.setattr(methods, "measure", measure)
    return calls


def test_a_run_in_processes_and_again(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    chosen = ("auto", "scipy KDE")
    run.run(path, ["normal1_shift", "exponential1"], {40: 2}, chosen, 2)
    rows, lines = run.read(path), path.read_text().splitlines()
    assert len(lines) == 8
    assert set(rows) == set(itertools.product(["normal1_shift", "exponential1"], [40], [0, 1], chosen))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.KLToolsWarning)
        expected = kl.estimate_kl(*TASKS["exponential1"].sample(40, 1), random_state=1)
    row = rows["exponential1", 40, 1, "auto"]
    assert row["value"] == expected.value
    assert row["standard_error"] == expected.standard_error
    assert (row["low"], row["high"]) == expected.confidence_interval()
    assert 0 < row["interval_seconds"] < row["seconds"]
    run.run(path, ["normal1_shift", "exponential1"], {40: 2}, chosen, 1)
    assert path.read_text().splitlines() == lines
    assert "[2/2," in capsys.readouterr().err


def test_finished_rows_are_not_computed_again(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    calls = counted(monkeypatch)
    assert run.run_task(path, "t1", 30, 2, ("knn", "gaussian"), {}) == 4
    assert run.run_task(path, "t1", 30, 3, ("knn", "gaussian"), run.read(path)) == 2
    assert calls[4:] == [("knn", 30, 2), ("gaussian", 30, 2)]
    assert len(run.read(path)) == 6


@given(cut=st.integers(0, 10_000))
def test_a_run_killed_at_any_byte_goes_on(cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "rows.jsonl"
    rows = [{"task": "t1", "n": 30, "seed": seed, "method": "knn", "value": 0.5, "seconds": 0.0} for seed in range(4)]
    whole = "".join(json.dumps(row) + "\n" for row in rows)
    cut %= len(whole) + 1
    path.write_text(whole[:cut])
    before = run.read(path)
    complete = sum(len("".join(json.dumps(row) + "\n" for row in rows[: k + 1])) - 1 <= cut for k in range(4))
    assert len(before) == complete
    run.mend(path)
    for row in rows[complete:]:
        run.append(path, row)
    assert list(run.read(path).values()) == rows


def test_budgets(tmp_path, monkeypatch):
    """At 3 s a call 7 calls reach the budget of 20 s, also when some are from an earlier run; auto has none."""
    path = tmp_path / "rows.jsonl"
    counted(monkeypatch, seconds=3.0)
    for seeds in (4, 10):
        run.run_task(path, "t1", 30, seeds, ("auto", "knn", "divergence"), run.read(path))
    numbers = {name: sum(key[3] == name for key in run.read(path)) for name in ("auto", "knn", "divergence")}
    assert numbers == {"auto": 10, "knn": 7, "divergence": 7}
    assert run.goes_on("divergence", 5000, [6.0, 1.0])
    assert not run.goes_on("divergence", 5000, [6.0, 7.0])
    assert run.goes_on("knn", 5000, [6.0, 7.0])
    assert run.goes_on("universal-divergence", 500, [])
    assert not run.goes_on("universal-divergence", 501, [])
    assert not run.goes_on("divergence", 20_000, [])


def test_the_command_line(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(run, "run", lambda *arguments: seen.append(arguments))
    monkeypatch.setattr(methods, "missing", lambda: ["divergence"])
    monkeypatch.setattr("sys.argv", ["run.py", str(tmp_path / "r"), "--tasks", "t1", "--processes", "1"])
    run.main()
    path, names, sizes, chosen, n_processes = seen.pop()
    assert (path, names, n_processes) == (tmp_path / "r", ["t1"], 1)
    assert sizes == {200: 100, 1000: 100, 5000: 10, 20_000: 4}
    assert chosen == tuple(name for name in methods.NAMES if name != "divergence")
    assert "divergence is not installed" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["run.py", "r", "--n", "300", "--seeds", "2", "--methods", "knn", "divergence"])
    run.main()
    assert seen[0][1:4] == (list(TASKS), {300: 2}, ("knn",))
    assert [run.default_seeds(n) for n in (60, 1000, 1001, 50_000)] == [100, 100, 10, 4]


def test_what_a_method_raises_is_an_answer():
    row = methods.measure("gaussian", *np.random.default_rng(0).standard_normal((2, 3, 3)), 0)
    assert math.isnan(row["value"])
    assert row["error"].startswith("NotEnoughSamplesError: ")
    assert row["seconds"] > 0


def test_kde_peer_equals_its_formula():
    X, Y = TASKS["normal2_shift"].sample(50, 0)

    def density(sample, at):
        cov = np.cov(sample.T) * len(sample) ** (-2 / 6)
        return np.mean([stats.multivariate_normal(row, cov).pdf(at) for row in sample], axis=0)

    row = methods.measure("scipy KDE", X, Y, 0)
    assert row["value"] == pytest.approx(np.log(density(X, X) / density(Y, X)).mean(), rel=1e-10)
    assert row["reliable"] is None


# ---------------------------------------------------------------- grades, goals, tables


def made_up(task, method, errors, n=1000, half_width=0.1, flagged=(), seconds=0.1):
    """Rows of a method with given errors."""
    truth = TASKS[task].truth.value
    return {
        (task, n, seed, method): {
            "task": task,
            "n": n,
            "seed": seed,
            "method": method,
            "value": truth + error,
            "low": truth + error - half_width,
            "high": truth + error + half_width,
            "reliable": False if seed in flagged else None,
            "seconds": seconds,
        }
        for seed, error in enumerate(errors)
    }


def test_a_grade_by_hand():
    rows = made_up("normal1_shift", "auto", [0.3, -0.1, math.inf, 0.05], flagged=[0, 3])
    found = grades.grades(rows)["normal1_shift", 1000, "auto"]
    assert found.bias == pytest.approx(0.25 / 3)
    assert found.rmse.value == pytest.approx(math.sqrt((0.09 + 0.01 + 0.0025) / 3))
    assert found.failure_rate == 0.25
    assert found.coverage in (0.25, 0.5)  # the second interval ends at the truth, but for rounding
    assert found.bad.tolist() == [True, False, True, False]
    flags = grades.flags([found])
    assert (flags.bad.value, flags.flagged.value) == (0.5, 0.5)
    assert (flags.caught.value, flags.false.value, flags.bad_unflagged.value) == (0.5, 0.5, 0.5)


def test_errors_of_rmse_and_ratios_are_those_of_repeated_draws():
    rng = np.random.default_rng(0)
    ours, ratios, claimed = [], [], []
    for _ in range(400):
        common = rng.standard_normal(60)
        rows = made_up("t1", "auto", 0.1 * common) | made_up(
            "t1", "infomeasure", 0.2 * common + 0.1 * rng.normal(size=60)
        )
        table = grades.grades(rows)
        ours.append(table["t1", 1000, "auto"].rmse)
        log = grades.log_ratio(table["t1", 1000, "auto"], table["t1", 1000, "infomeasure"])
        ratios.append(log.value)
        claimed.append(log.error)
    assert np.mean([measure.error for measure in ours]) == pytest.approx(np.std([m.value for m in ours]), rel=0.15)
    assert np.mean(claimed) == pytest.approx(np.std(ratios), rel=0.15)
    assert np.mean(ratios) == pytest.approx(math.log(0.1 / math.hypot(0.2, 0.1)), abs=0.02)


def test_the_best_peer_never_failed_and_is_compared_on_the_draws_of_both():
    rows = made_up("t1", "auto", [0.1, -0.2, 0.1, 0.1, 0.1, 5.0])
    rows |= made_up("t1", "divergence", [0.1, 0.1, 0.1, 0.1, 0.1, math.inf])
    rows |= made_up("t1", "infomeasure", [0.4, 0.8, -0.4, 0.4, 0.4])
    rows |= made_up("t1", "scipy KDE", [0.2, 0.2])
    name, log = grades.against_best_peer(grades.grades(rows), 1000)["t1"]
    assert name == "infomeasure"
    assert math.exp(log.value) == pytest.approx(0.25)
    assert log.error == pytest.approx(0.0, abs=1e-12)
    assert grades.against_best_peer(grades.grades(rows), 1000, ["divergence", "scipy KDE"]) == {}
    rows |= made_up("t1", "auto", [0.1, -0.2, math.nan, 0.1, 0.1])
    assert grades.against_best_peer(grades.grades(rows), 1000)["t1"][1].value == math.inf


def test_geometric_mean():
    mean = grades.geometric_mean([grades.Measure(math.log(0.5), 0.3), grades.Measure(math.log(2.0), 0.4)])
    assert mean.value == pytest.approx(1.0)
    assert mean.error == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("value", "error", "verdict"), [(0.3, 0.0, "yes"), (0.45, 0.03, "within 2 se"), (0.45, 0.02, "**no**")]
)
def test_a_bar_is_missed_outside_two_standard_errors(value, error, verdict):
    assert goals.within(grades.Measure(value, error), high=0.4) == verdict
    assert goals.within(grades.Measure(-value, error), low=-0.4) == verdict


def test_goals_from_rows():
    rows = {}
    for task in ("unequal3", "normal5_same", "rounded2", "normal2_shift"):
        rows |= made_up(task, "auto", 0.05 * (-1.0) ** np.arange(40), flagged=range(4), seconds=0.2)
        rows |= made_up(task, "gaussian", 0.02 * (-1.0) ** np.arange(40))
        rows |= made_up(task, "infomeasure", 0.2 * (-1.0) ** np.arange(40))
    found = {goal.goal: goal for goal in goals.from_rows(grades.grades(rows))}
    met = {name: goal.met for name, goal in found.items()}
    assert met["G1 geometric mean of RMSE(auto) / RMSE(best peer), n = 1000"] == "yes"
    assert met["G2 geometric mean of RMSE(auto) / RMSE(best peer), n = 200"] == "-"
    assert met["G3 largest RMSE(auto) / RMSE(best peer), n = 1000"] == "yes"
    g4 = found["G4 largest RMSE(auto) / RMSE(gaussian) on normal tasks, n = 1000"]
    assert (g4.met, g4.measured[:3]) == ("**no**", "2.5")
    assert "2 of 2" in g4.measured
    assert met["G5 share of tasks with coverage of at least 90%"] == "yes"
    assert met["G5 mean coverage of 95% intervals, n = 1000"] == "within 2 se"  # 1 of 40 draws each
    assert found["G6 flagged estimates"].measured.startswith("0.1 ")
    assert met["G6 bad ones among the unflagged"] == "yes"
    assert met["G7 RMSE, normal5_same, n = 1000"] == "**no**"
    assert met["G8 failures on data with ties"] == "yes"
    assert found["G8 RMSE, rounded2 / normal2_shift, n = 1000"].measured.startswith("1 ")
    assert met["G9 RMSE, unequal3, n = 1000"] == "yes"
    assert met["G16 largest median time of auto, one thread, n = 1000, d <= 10"] == "**no**"


def test_the_report_says_it_all():
    rows = made_up("t1", "auto", [0.1, -0.1, 0.3, 0.1]) | made_up(
        "t1", "infomeasure", [0.2, -0.2, 0.6, math.inf], n=200
    )
    rows |= made_up("t1", "infomeasure", [0.2, -0.2, 0.6, 0.2]) | made_up("laplace1", "knn", [0.2, 0.2])
    text = tables.report(rows)
    assert "over 1 tasks of RMSE(auto) / RMSE(best peer): 0.5 ±" in text
    assert "the nearest-neighbour tools, over 1 tasks: 0.5 ±" in text
    assert "| t1 | 1 | 0.2398 | auto | 4 | +0.1000 | 0.1732 |" in text
    assert "| t1 | 1 | 0.2398 | infomeasure | 4 | +0.2000 | 0.3830 | - | 0.25 | - | 0.1 |" in text
    widths = {section.count("|") for section in text.split("\n") if section.startswith(("| task | d |", "| t1 | 1 |"))}
    assert len(widths) == 1


# ---------------------------------------------------------------- simulations of the goals


@pytest.mark.slow
def test_simulated_goals_measure_what_they_say():
    assert [goal.met for goal in goals.unbiased_gaussian(60)] == ["yes"] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.KLToolsWarning)
        changes = goals.common_maps(200)
    assert [goal.bar for goal in changes] == ["<= 0.1", "<= 0.1", "<= 0.1", "<= 1.0"]
    assert changes[1].met == changes[2].met == "yes"


def test_the_size_of_a_test_that_rejects_too_often(monkeypatch):
    class Uniform:
        def __init__(self, p_value):
            self.p_value = p_value

    def too_small(X, Y, random_state):
        return Uniform(np.random.default_rng(random_state).random() / 3)

    monkeypatch.setattr(kl, "two_sample_test", too_small, raising=False)
    (goal,) = goals.permutation_size(400)
    assert goal.met == "**no**"
    assert 0.1 < float(goal.measured.split()[0]) < 0.2
