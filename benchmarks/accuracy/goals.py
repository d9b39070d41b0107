"""The goals of accuracy: `python goals.py` measures those that need no rows of `run.py`; `tables.py` has the others."""

import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from grades import Flags, Grade, Measure, against_best_peer, flags, geometric_mean, log_ratio, mean_coverage, share
from methods import NEIGHBOR_PEERS
from tasks import TASKS

import kltools as kl

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Goal:
    """One line of the table."""

    goal: str
    bar: str
    measured: str = NOT_MEASURED
    met: str = "-"


def within(measure: Measure, low: float = -math.inf, high: float = math.inf) -> str:
    """A bar is missed where the measure lies outside of it by more than 2 standard errors."""
    if low <= measure.value <= high:
        return "yes"
    return "within 2 se" if low - 2 * measure.error <= measure.value <= high + 2 * measure.error else "**no**"


def bounded(goal: str, bar: str, measure: Measure | None, **bounds: float) -> Goal:
    if measure is None or math.isnan(measure.value):
        return Goal(goal, bar)
    return Goal(goal, bar, str(measure), within(measure, **bounds))


def of_auto(table: dict, n: int) -> list[Grade]:
    return [g for g in table.values() if g.n == n and g.method == "auto"]


# ---------------------------------------------------------------- from rows


def from_rows(table: dict) -> list[Goal]:
    """The goals that are about the tasks."""
    sizes = sorted({g.n for g in table.values()})
    return [
        *(
            ratio_of_all(table, name, n, bar)
            for name, n, bar in (("G1", 1000, 0.4), ("G2", 200, 0.55), ("G2", 5000, 0.3))
        ),
        *(worst_ratio(table, n) for n in sizes if n >= 1000 and against_best_peer(table, n, NEIGHBOR_PEERS)),
        *(normal_against_gaussian(table, n) for n in sizes if n >= 1000),
        rmse_goal(table, "G4", "normal50_correlated", 0.15),
        *coverage(of_auto(table, 1000)),
        *(flag_goals(flags(of_auto(table, 1000))) if of_auto(table, 1000) else ()),
        *(rmse_goal(table, "G7", task, 0.015) for task in ("normal5_same", "normal8_same")),
        *ties(table, sizes),
        rmse_goal(table, "G9", "unequal3", 0.07),
        *(
            rmse_goal(table, "G10", task, bar)
            for task, bar in (("mixture5", 0.35), ("normal5_large", 0.3), ("normal10_large", 0.32))
        ),
        slowest(table, 1000, 10, 0.15),
        slowest(table, 5000, 20, 2.0),
    ]


def ratio_of_all(table: dict, name: str, n: int, bar: float) -> Goal:
    ratio = geometric_mean([log for _, log in against_best_peer(table, n, NEIGHBOR_PEERS).values()])
    return bounded(f"{name} geometric mean of RMSE(auto) / RMSE(best peer), n = {n}", f"<= {bar}", ratio, high=bar)


def worst_ratio(table: dict, n: int) -> Goal:
    logs = {task: log for task, (_, log) in against_best_peer(table, n, NEIGHBOR_PEERS).items()}
    return worst(f"G3 largest RMSE(auto) / RMSE(best peer), n = {n}", logs, 1.25)


def normal_against_gaussian(table: dict, n: int) -> Goal:
    logs = {
        g.task: log_ratio(g, table[g.task, n, "gaussian"])
        for g in of_auto(table, n)
        if TASKS[g.task].group == "normal" and (g.task, n, "gaussian") in table and len(g.seeds) > 1
    }
    return worst(f"G4 largest RMSE(auto) / RMSE(gaussian) on normal tasks, n = {n}", logs, 1.1)


def worst(goal: str, logs: dict[str, Measure], bar: float) -> Goal:
    """Every task has to be below the bar, or within 2 standard errors of it."""
    if not logs:
        return Goal(goal, f"<= {bar}")
    task = max(logs, key=lambda task: logs[task].value)
    verdicts = [within(log, high=math.log(bar)) for log in logs.values()]
    met = next((verdict for verdict in ("**no**", "within 2 se") if verdict in verdicts), "yes")
    missed = f", {verdicts.count('**no**')} of {len(logs)} tasks above" if met == "**no**" else ""
    return Goal(goal, f"<= {bar}", f"{math.exp(logs[task].value):.3g} ({task}){missed}", met)


def rmse_goal(table: dict, name: str, task: str, bar: float) -> Goal:
    grade = table.get((task, 1000, "auto"))
    measure = None if grade is None else grade.rmse
    if grade is not None and grade.failure_rate:
        measure = Measure(math.inf)
    return bounded(f"{name} RMSE, {task}, n = 1000", f"<= {bar}", measure, high=bar)


def coverage(selected: list[Grade]) -> list[Goal]:
    """The second bar counts tasks; one is below 90% beyond doubt if it is so by 2 standard errors of 90%."""
    mean = mean_coverage(selected)
    goals = [bounded("G5 mean coverage of 95% intervals, n = 1000", "0.92 to 0.97", mean, low=0.92, high=0.97)]
    what, bar = "G5 share of tasks with coverage of at least 90%", ">= 0.85"
    if not selected:
        return [*goals, Goal(what, bar)]
    reached = np.mean([g.coverage >= 0.9 for g in selected])
    perhaps = np.mean([g.coverage >= 0.9 - 2 * math.sqrt(0.09 / len(g.seeds)) for g in selected])
    met = "yes" if reached >= 0.85 else "within 2 se" if perhaps >= 0.85 else "**no**"
    return [*goals, Goal(what, bar, f"{reached:.2f} ({perhaps:.2f} within 2 se)", met)]


def flag_goals(found: Flags) -> list[Goal]:
    return [
        bounded("G6 bad estimates that are flagged, n = 1000", ">= 0.8", found.caught, low=0.8),
        bounded("G6 flagged estimates", "<= 0.2", found.flagged, high=0.2),
        bounded("G6 bad ones among the unflagged", "<= 0.02", found.bad_unflagged, high=0.02),
    ]


def ties(table: dict, sizes: list[int]) -> list[Goal]:
    tied = [g for g in table.values() if g.method == "auto" and TASKS[g.task].group == "ties"]
    if not tied:
        return [Goal("G8 failures on data with ties", "0")]
    failures = sum(int((~g.finite).sum()) for g in tied)
    goals = [Goal("G8 failures on data with ties", "0", str(failures), "**no**" if failures else "yes")]
    for g in tied:
        twin = table.get((TASKS[g.task].untied, g.n, "auto"))
        if twin is None or g.n not in sizes or g.failure_rate or len(g.seeds) < 2:
            continue
        a, b = g.rmse, twin.rmse
        ratio = a.value / b.value
        measure = Measure(ratio, ratio * math.hypot(a.error / a.value, b.error / b.value))
        what = f"G8 RMSE, {g.task} / {twin.task}, n = {g.n}"
        goals.append(bounded(what, "<= 1.3", measure, high=1.3))
    return goals


def slowest(table: dict, n: int, d: int, bar: float) -> Goal:
    what = f"G16 largest median time of auto, one thread, n = {n}, d <= {d}"
    times = {g.task: g.seconds for g in of_auto(table, n) if TASKS[g.task].d <= d}
    if not times:
        return Goal(what, f"<= {bar} s")
    task = max(times, key=times.__getitem__)
    return Goal(what, f"<= {bar} s", f"{times[task]:.3g} s ({task})", "yes" if times[task] <= bar else "**no**")


# ---------------------------------------------------------------- simulations of their own


def permutation_size(simulations: int = 2000) -> list[Goal]:
    """P-values of the test where P = Q."""
    what = f"G7 size of the permutation test at 5%, n = 200, d = 2, {simulations} simulations"
    if not hasattr(kl, "two_sample_test"):
        return [Goal(what, "0.04 to 0.06")]
    rejected = []
    for seed in range(simulations):
        X, Y = np.random.default_rng([7, seed]).standard_normal((2, 200, 2))
        rejected.append(kl.two_sample_test(X, Y, random_state=seed).p_value <= 0.05)
    return [bounded(what, "0.04 to 0.06", share(np.array(rejected)), low=0.04, high=0.06)]


def common_maps(n: int = 1000) -> list[Goal]:
    """One map of the features of X and Y together changes no divergence, and should change no estimate."""
    affine, scaled, permuted, monotone = [], [], [], []
    for task in (TASKS[name] for name in ("normal5_shift", "scales5", "gamma3", "laplace10", "mixture5", "banana2")):
        X, Y = task.sample(n, 0)
        reference = kl.estimate_kl(X, Y, random_state=0)

        def change(transform, X=X, Y=Y, reference=reference) -> float:
            value = kl.estimate_kl(transform(X), transform(Y), random_state=0).value
            return abs(value - reference.value) / reference.standard_error

        rng = np.random.default_rng(task.d)
        centre, scales = X.mean(axis=0), 10.0 ** np.linspace(-6, 6, task.d)
        rotation = np.linalg.qr(rng.standard_normal((task.d, task.d)))[0]
        spread = X.std(axis=0)
        affine.append(change(lambda z: z @ rotation * scales + scales))  # noqa: B023 - called at once
        scaled.append(change(lambda z: z * scales + scales))  # noqa: B023
        permuted.append(change(lambda z: z[:, ::-1]))
        monotone.append(change(lambda z: np.arcsinh((z - centre) / spread)))  # noqa: B023
    return [
        largest("G11 change by a rotation and scales 1e-6 to 1e6, in standard errors", affine, 0.1),
        largest("G11 change by scales 1e-6 to 1e6 and shifts, in standard errors", scaled, 0.1),
        largest("G11 change by another order of features, in standard errors", permuted, 0.1),
        largest("G11 change by a monotone map of each feature, in standard errors", monotone, 1.0),
    ]


def largest(what: str, changes: list[float], bar: float) -> Goal:
    met = "yes" if max(changes) <= bar else "**no**"
    return Goal(what, f"<= {bar}", f"{max(changes):.2g} of {len(changes)} tasks", met)


def unbiased_gaussian(simulations: int = 5000) -> list[Goal]:
    goals = []
    for d, n, m in ((5, 100, 150), (20, 100, 200), (50, 200, 200)):
        p = kl.MultivariateNormalDiag(mean=np.zeros(d), var=np.ones(d))
        q = kl.MultivariateNormalDiag(mean=np.full(d, 0.3), var=np.linspace(0.7, 1.8, d))
        values = np.empty(simulations)
        for seed in range(simulations):
            rng = np.random.default_rng([13, d, seed])
            values[seed] = kl.estimate_kl(p.sample(n, rng), q.sample(m, rng), method="gaussian").value
        bias = Measure(values.mean() - kl.kl_divergence(p, q), values.std() / math.sqrt(simulations))
        met = "yes" if abs(bias.value) <= 3 * bias.error else "**no**"
        what = f"G13 bias of gaussian, d, n, m = {d}, {n}, {m}, {simulations} simulations"
        goals.append(Goal(what, "<= 3 se", f"{bias.value:+.2g} ± {bias.error:.1g}", met))
    return goals


def monte_carlo(cases: int = 300, draws: int = 5000) -> list[Goal]:
    """Normal pairs from nearly equal to q of 9 times the variance, where the ratio q / p has a tail of k = 8/9."""
    warned = "G15 estimates with k-hat > 0.7 that are not warned about"
    error = "G15 cases with se(cv) <= 1.02 min(se(k1), se(k3))"
    if not hasattr(kl, "estimate_kl_from_log_prob"):
        return [Goal(warned, "0"), Goal(error, ">= 0.99")]
    silent, heavy, close = 0, 0, []
    for seed in range(cases):
        rng = np.random.default_rng([15, seed])
        d = int(rng.integers(1, 11))
        p = kl.MultivariateNormalDiag(mean=np.zeros(d), var=np.ones(d))
        var = np.exp(rng.uniform(-1, 1) * rng.uniform(0, math.log(9), d))
        q = kl.MultivariateNormalDiag(mean=rng.normal(0, 0.3, d), var=var)
        x = p.sample(draws, rng)
        found = {
            name: kl.estimate_kl_from_log_prob(p.log_prob(x), q.log_prob(x), estimator=name)
            for name in ("k1", "k3", "cv")
        }
        for name in ("k3", "cv"):
            if found[name].diagnostics["pareto_k"] > 0.7:
                heavy += 1
                silent += not found[name].warnings
        close.append(found["cv"].standard_error <= 1.02 * min(found[name].standard_error for name in ("k1", "k3")))
    return [
        Goal(warned, "0", f"{silent} of {heavy}", "**no**" if silent else "yes" if heavy else "-"),
        bounded(error, ">= 0.99", share(np.array(close)), low=0.99),
    ]


SIMULATIONS: tuple[Callable[[], list[Goal]], ...] = (permutation_size, common_maps, unbiased_gaussian, monte_carlo)


def lines(goals: list[Goal]) -> list[str]:
    rows = (f"| {g.goal} | {g.bar} | {g.measured} | {g.met} |" for g in goals)
    return ["| goal | bar | measured | met |", "|---|---|---|---|", *rows]


def main() -> None:
    sys.path.append(str(Path(__file__).parents[1]))  # environment.py is shared with the other benchmarks
    from environment import heading, publish

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.KLToolsWarning)
        goals = [goal for simulation in SIMULATIONS for goal in simulation()]
    publish("\n".join([heading("Goals that need no tasks"), *lines(goals)]))


if __name__ == "__main__":
    main()
