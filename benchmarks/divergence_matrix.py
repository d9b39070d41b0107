"""What `divergence_matrix` costs beside a loop of `estimate_kl` over all pairs, and how far their values differ."""

import itertools
import time
import warnings

import numpy as np
from environment import heading, publish

import kltools as kl

N_SAMPLES, N_ROWS = 50, 500
FEATURES = (1, 2, 5, 10)
GOAL = 5.0


def samples(d: int) -> list[np.ndarray]:
    rng = np.random.default_rng(d)
    return [rng.normal(size=(N_ROWS, d)) + 0.3 * rng.normal(size=d) for _ in range(N_SAMPLES)]


def by_matrix(some: list[np.ndarray]) -> np.ndarray:
    return kl.divergence_matrix(some, scale="none")


def by_loop(some: list[np.ndarray]) -> np.ndarray:
    matrix = np.zeros((len(some), len(some)))
    for i, j in itertools.permutations(range(len(some)), 2):
        matrix[i, j] = kl.estimate_kl(some[i], some[j], method="knn", scale="none").value
    return matrix


def seconds(call, some: list[np.ndarray]) -> tuple[float, np.ndarray]:
    began = time.process_time()
    matrix = call(some)
    return time.process_time() - began, matrix


def row(d: int) -> str:
    """One way after the other; what is compiled is compiled before."""
    some = samples(d)
    by_loop(some[:2])
    by_matrix(some)
    (matrix, found), (loop, expected) = seconds(by_matrix, some), seconds(by_loop, some)
    difference = np.abs(found - expected).max()
    verdict = "yes" if loop / matrix >= GOAL else "no"
    return f"| {d} | {matrix:.2f} | {loop:.2f} | {loop / matrix:.1f} | {verdict} | {difference:.0e} |"


def main() -> None:
    warnings.simplefilter("ignore")
    lines = [
        heading("Divergences of all pairs of samples"),
        f"{N_SAMPLES} samples of {N_ROWS} rows, {N_SAMPLES * (N_SAMPLES - 1)} pairs, one thread, without scaling;",
        "seconds of the processor for `divergence_matrix` and for a loop of `estimate_kl(method='knn')`, after",
        "compilation.\n",
        f"| features | matrix, s | loop, s | ratio | at least {GOAL:g} | largest difference, nats |",
        "|---|---|---|---|---|---|",
        *(row(d) for d in FEATURES),
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
