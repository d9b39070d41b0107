"""k-NN estimates of KL by kltools, by its peers, and by the script people paste, on the same data.

Needs divergence, infomeasure and universal-divergence (the environment `bench` of tox installs them).
"""

import math
import statistics
import time
import warnings

import divergence
import infomeasure
import numpy as np
import universal_divergence
from environment import heading, publish
from scipy.spatial import cKDTree

import kltools as kl

K = 5
SEEDS = 20


def pasted_script(X, Y):
    n, d = X.shape
    rho = cKDTree(X).query(X, K + 1)[0][:, -1]
    nu = cKDTree(Y).query(X, K)[0][:, -1]
    return d * np.mean(np.log(nu / rho)) + math.log(len(Y) / (n - 1))


ESTIMATORS = {
    "kltools knn": lambda X, Y: kl.estimate_kl(X, Y, method="knn", n_neighbors=K, random_state=0).value,
    "kltools gaussian": lambda X, Y: kl.estimate_kl(X, Y, method="gaussian").value,
    "cKDTree script": pasted_script,
    "universal-divergence": lambda X, Y: universal_divergence.estimate(X, Y, k=K),
    "infomeasure": lambda X, Y: float(infomeasure.kld(X, Y, approach="kl", k=K)),
    "divergence": lambda X, Y: float(divergence.knn_kl_divergence(X, Y, k=K)),
}


def normal(rng, n, m, d=2, shift=0.0):
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) + shift


def tenth_grid(rng):
    return tuple(np.round(sample, 1) for sample in normal(rng, 1000, 1000, shift=0.5))


def zeros_added(rng):
    X, Y = normal(rng, 500, 500)
    return np.vstack([X, np.zeros((10, 2))]), Y


def rows_shared(rng):
    X, Y = normal(rng, 500, 500)
    return np.vstack([X, Y[:50]]), Y


def unequal_scales(rng):
    X, Y = normal(rng, 1000, 1000, d=3, shift=0.5)
    mix = np.array([[1e-3, 0, 0], [1e-3, 1, 0], [0, 1, 1e3]])
    return X @ mix, Y @ mix


CASES = {
    "P = Q, n 500, m 4000": (0.0, lambda rng: normal(rng, 500, 4000)),
    "P = Q, n 4000, m 500": (0.0, lambda rng: normal(rng, 4000, 500)),
    "shift, n = m = 1000, d 2": (0.25, lambda rng: normal(rng, 1000, 1000, shift=0.5)),
    "the same, rounded to 0.1": (0.25, tenth_grid),
    "shift, correlated, scales 1e-3 to 1e3, d 3": (0.375, unequal_scales),
    "P = Q, ten zeros added to X": (0.0, zeros_added),
    "P = Q, 50 rows of Y added to X": (0.0, rows_shared),
}


def accuracy(case: str) -> str:
    truth, draw = CASES[case]
    cells = []
    for estimator in ESTIMATORS.values():
        values = [float(estimator(*draw(np.random.default_rng(seed)))) for seed in range(SEEDS)]
        failures = sum(not math.isfinite(value) for value in values)
        if failures:
            cells.append(f"{failures} of {SEEDS} not finite")
        else:
            cells.append(f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}")
    return f"| {case} | {truth:g} | {' | '.join(cells)} |"


def speed(n: int, d: int) -> str:
    X, Y = normal(np.random.default_rng(0), n, n, d=d, shift=0.1)
    times = {name: [] for name in ESTIMATORS}
    for repeat in range(6):  # interleaved, the first round compiles and warms up
        for name, estimator in ESTIMATORS.items():
            began = time.perf_counter()
            estimator(X, Y)
            if repeat:
                times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ours = medians["kltools knn"]
    return f"| {n} | {d} | {' | '.join(f'{1000 * t:.1f} ms ({t / ours:.1f})' for t in medians.values())} |"


def main() -> None:
    warnings.simplefilter("ignore")
    names = " | ".join(ESTIMATORS)
    rule = "|---" * (len(ESTIMATORS) + 2) + "|"
    lines = [
        heading(f"KL from two samples, k = {K}, one thread"),
        f"Mean and standard deviation over {SEEDS} seeds.\n",
        f"| case | truth | {names} |",
        rule,
        *(accuracy(case) for case in CASES),
        "\nMedian time of the value alone, and in brackets its ratio to kltools knn (same process, interleaved).\n",
        f"| n = m | d | {names} |",
        rule,
        *(speed(n, d) for n, d in ((1000, 2), (10_000, 2), (10_000, 10), (10_000, 20))),
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
