"""False alarms of the drift detector, and its power beside other tests.

A window of n rows is tested against a reference of n rows, at the level 0.05. For false alarms both come from one
distribution. For power a part of the rows of the window comes from another one. Kolmogorov-Smirnov tests of each
feature are corrected by Bonferroni. A classifier is trained on four of five folds of both samples; its scores of the
rows left out are ranked within each fold, and the sum of ranks is tested as normal.
"""

import functools
import os
import sys
import time
import warnings

import numpy as np
from environment import heading, publish
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

import kltools as kl

LEVEL, PERMUTATIONS = 0.05, 199
N_FALSE, N_POWER = int(os.environ.get("SIMULATIONS", "2000")), int(os.environ.get("POWER_SIMULATIONS", "200"))
N_BOOSTED = N_POWER // 2  # which takes its time
SIZES = (200, 1000)
POWER_SIZE = 200


# ---------------------------------------------------------------- one distribution


def normal(rng, n):
    return rng.normal(size=(n, 5)) @ np.linalg.cholesky(ar1(5, 0.5)).T


def tied(rng, n):
    """Whole numbers, most of them 0 in the last of three columns, so that many rows are equal."""
    rows = np.round(normal(rng, n)[:, :3])
    rows[:, 2] *= rng.random(n) < 0.2
    return rows


def mixed(rng, n):
    """Numbers with gaps that depend on others, text with frequent and with rare categories, and booleans."""
    income, age = rng.lognormal(size=n), np.round(rng.normal(40, 12, n))
    income[(rng.random(n) < 0.1) | (age > 60)] = np.nan
    return {
        "income": income,
        "age": age,
        "region": rng.choice(["north", "east", "south", "west"], n, p=[0.6, 0.25, 0.1, 0.05]),
        "product": [f"p{int(number)}" for number in rng.pareto(1.0, n)],
        "member": np.where(rng.random(n) < 0.3, None, age > 40),
    }


def false_alarms(make, n):
    found = [drift(*(make(rng, n) for _ in range(2)), seed) for seed, rng in generators(N_FALSE)]
    return np.array(found)


def generators(count):
    return [(seed, np.random.default_rng([seed, 1])) for seed in range(count)]


# ---------------------------------------------------------------- tests


def drift(window, reference, seed):
    detector = kl.DriftDetector(
        kl.GaussianDivergence(), alpha=LEVEL, n_permutations=PERMUTATIONS, random_state=seed
    ).fit(reference)
    return detector.detect(window).p_value


def neighbors(window, reference, seed):
    return kl.two_sample_test(window, reference, n_permutations=PERMUTATIONS, random_state=seed).p_value


def kolmogorov_smirnov(window, reference, seed):
    d = window.shape[1]
    return d * min(stats.ks_2samp(window[:, j], reference[:, j]).pvalue for j in range(d))


def classifier(make, window, reference, seed):
    rows, labels = np.vstack([window, reference]), np.repeat([1, 0], [len(window), len(reference)])
    excess = variance = 0.0
    for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(rows, labels):
        scores = make().fit(rows[train], labels[train]).predict_proba(rows[test])[:, 1]
        ranks, n = stats.rankdata(scores), int(labels[test].sum())
        m = len(test) - n
        excess += ranks[labels[test] == 1].sum() - n * (len(test) + 1) / 2
        variance += n / len(test) * m * ranks.var(ddof=1)
    return float(stats.norm.sf(excess / np.sqrt(variance))) if variance else 1.0


TESTS = {
    "DriftDetector": (drift, N_POWER),
    "two_sample_test": (neighbors, N_POWER),
    "Kolmogorov-Smirnov": (kolmogorov_smirnov, N_POWER),
    "logistic regression": (functools.partial(classifier, LogisticRegression), N_POWER),
    "gradient boosting": (
        functools.partial(classifier, lambda: HistGradientBoostingClassifier(max_iter=30, random_state=0)),
        N_BOOSTED,
    ),
}


# ---------------------------------------------------------------- shifts


def ar1(d, r):
    return r ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))


def gaussian(mean, cov):
    mean, factor = np.asarray(mean, dtype=float), np.linalg.cholesky(np.asarray(cov, dtype=float))
    return lambda rng, n: mean + rng.normal(size=(n, len(mean))) @ factor.T


def along(d, length):
    return np.full(d, length / np.sqrt(d))


def ring(rng, n):
    angle = rng.integers(6, size=n) * np.pi / 3
    return 3.0 * np.column_stack([np.cos(angle), np.sin(angle)]) + 0.5 * rng.normal(size=(n, 2))


def clusters(seed, d, spread):
    centers = np.random.default_rng(seed).normal(0.0, spread, (3, d))
    return lambda rng, n: centers[rng.integers(3, size=n)] + rng.normal(size=(n, d))


def mapped(function, make):
    return lambda rng, n: function(make(rng, n))


def cube(z):
    return z**3


def tenths(z):
    return np.round(z, 1)


# name: the new distribution, that of the reference, and the share of the rows of the window that are new
SHIFTS = {
    "no shift, 5 features": (gaussian(along(5, 0), np.eye(5)), gaussian(along(5, 0), np.eye(5)), 1.0),
    "mean, 1 feature": (gaussian([1], [[1]]), gaussian([0], [[1]]), 0.3),
    "scale, 1 feature": (gaussian([0], [[1]]), gaussian([0.5], [[4]]), 0.3),
    "correlation 0.9, 2 features": (gaussian(along(2, 0), ar1(2, 0.9)), gaussian(along(2, 0), np.eye(2)), 0.5),
    "mean of all 5 features": (gaussian(along(5, 1), np.eye(5)), gaussian(along(5, 0), np.eye(5)), 0.4),
    "mean of 1 of 10 features": (gaussian(np.eye(10)[0], np.eye(10)), gaussian(np.zeros(10), np.eye(10)), 0.4),
    "mean of all 20 features": (gaussian(along(20, 1.4), np.eye(20)), gaussian(along(20, 0), np.eye(20)), 0.4),
    "correlations, 20 features": (gaussian(along(20, 0), ar1(20, 0.5)), gaussian(along(20, 0), np.eye(20)), 0.6),
    "normal to Student t, 3 degrees": (
        lambda rng, n: rng.standard_t(3, (n, 1)),
        gaussian([0], [[1]]),
        1.0,
    ),
    "beta to uniform": (lambda rng, n: rng.beta(2, 3, (n, 1)), lambda rng, n: rng.random((n, 1)), 0.4),
    "Laplace, 10 features": (
        lambda rng, n: 0.2 + 1.2 * rng.laplace(size=(n, 10)),
        lambda rng, n: rng.laplace(size=(n, 10)),
        0.5,
    ),
    "ring of 6 clusters": (ring, gaussian([0, 0], 6 * np.eye(2)), 0.3),
    "clusters, 5 features": (clusters(5, 5, 1.5), clusters(6, 5, 1.5), 0.1),
    "cubes of normals": (
        mapped(cube, gaussian(along(2, 1), ar1(2, 0.6))),
        mapped(cube, gaussian(along(2, 0), np.eye(2))),
        0.3,
    ),
    "rounded to tenths": (
        mapped(tenths, gaussian(along(2, 1), np.eye(2))),
        mapped(tenths, gaussian(along(2, 0), np.eye(2))),
        0.3,
    ),
}


def power(name, test, count):
    new, old, share = SHIFTS[name]
    n_new = round(share * POWER_SIZE)
    detected = 0
    for seed, rng in generators(count):
        window = np.vstack([new(rng, n_new), old(rng, POWER_SIZE - n_new)])
        detected += test(window, old(rng, POWER_SIZE), seed) <= LEVEL
    return detected / count


# ---------------------------------------------------------------- tables


def false_alarm_row(make, n):
    p_values = false_alarms(make, n)
    rates = " | ".join(f"{(p_values <= level).mean():.2%}" for level in (0.01, 0.05, 0.1, 0.5))
    return told(f"| {make.__name__} | {n} | {rates} |")


def power_row(name):
    rates = (f"{power(name, test, count):.0%}" for test, count in TESTS.values())
    return told(f"| {name} | {SHIFTS[name][2]:.0%} | {' | '.join(rates)} |")


def told(line):
    print(line, file=sys.stderr, flush=True)
    return line


def seconds():
    """Of a test of 1000 against 1000 rows of 10 features with 999 permutations, once everything is compiled."""
    rng = np.random.default_rng(0)
    reference, window = rng.normal(size=(2, 1000, 10))
    detector = kl.DriftDetector(random_state=0).fit(reference)
    detector.detect(window)
    times = []
    for _ in range(5):
        began = time.process_time()
        detector.detect(window)
        times.append(time.process_time() - began)
    return min(times)


def main():
    warnings.simplefilter("ignore")
    lines = [
        heading("Drift: false alarms and power"),
        f"1000 against 1000 rows of 10 features, 999 permutations: {1000 * seconds():.0f} ms of one core.\n",
        f"False alarms: share of {N_FALSE} simulations without drift with p at or below a level; {PERMUTATIONS} "
        f"permutations. The standard error is {np.sqrt(LEVEL * (1 - LEVEL) / N_FALSE):.2%} at the level {LEVEL:g}.\n",
        "| data | rows of each | 0.01 | 0.05 | 0.1 | 0.5 |\n| --- | --- | --- | --- | --- | --- |",
        *(false_alarm_row(make, n) for n in SIZES for make in (normal, tied, mixed)),
        f"\nPower at the level {LEVEL:g}, {POWER_SIZE} rows of each, {N_POWER} simulations ({N_BOOSTED} for gradient "
        "boosting), of which the part of the window that is new is given.\n",
        f"| shift | new | {' | '.join(TESTS)} |\n| --- | --- |{' --- |' * len(TESTS)}",
        *map(power_row, SHIFTS),
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
