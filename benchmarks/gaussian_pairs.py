"""What `estimate_kl` gives on pairs of normal samples whose divergence is known."""

import statistics
import warnings

import numpy as np
from environment import heading, publish

import kltools as kl

N, SEEDS = 1000, 100
DIMENSIONS = (1, 2, 5, 10, 20)
PAIRS = {
    "shift 0.5 in every coordinate": lambda d: (np.full(d, 0.5), np.ones(d)),
    "same": lambda d: (np.zeros(d), np.ones(d)),
    "q of variance 2": lambda d: (np.zeros(d), np.full(d, 2.0)),
    "p of 1.5 times the deviation of q": lambda d: (np.zeros(d), np.full(d, 1.5**-2)),
}


def row(pair: str, d: int, method: str) -> str:
    p = kl.MultivariateNormalDiag(mean=np.zeros(d), var=np.ones(d))
    mean, var = PAIRS[pair](d)
    q = kl.MultivariateNormalDiag(mean=mean, var=var)
    truth = kl.kl_divergence(p, q)
    values, covered, flagged = [], 0, 0
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, d])
        X, Y = p.sample(N, rng), q.sample(N, rng)
        estimate = kl.estimate_kl(X, Y, method=method, random_state=seed)
        low, high = estimate.confidence_interval()
        values.append(estimate.value)
        covered += low <= truth <= high
        flagged += estimate.reliable is False
    bias = statistics.fmean(values) - truth
    rmse = float(np.sqrt(np.mean((np.array(values) - truth) ** 2)))
    return (
        f"| {pair} | {d} | {method} | {truth:.3f} | {statistics.fmean(values):.3f} | {bias:+.3f} | {rmse:.3f} "
        f"| {covered / SEEDS:.2f} | {flagged / SEEDS:.2f} |"
    )


def main() -> None:
    warnings.simplefilter("ignore", kl.KLToolsWarning)
    lines = [
        heading(f"Normal pairs, n = m = {N}, {SEEDS} seeds"),
        "Coverage is that of the nominal 95% interval, flagged the share with `reliable=False`.\n",
        "| pair | d | method | truth | mean | bias | RMSE | coverage | flagged |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [row(pair, d, method) for pair in PAIRS for d in DIMENSIONS for method in ("auto", "knn", "gaussian")]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
