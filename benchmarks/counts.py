"""Estimates of KL from counts: errors of the methods, and how often the 95% interval holds the truth."""

import math
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from environment import heading, publish
from scipy.special import psi

import kltools as kl

ERROR_REPEATS, COVERAGE_REPEATS = 1000, 2000
GOAL = 1.05  # the default's error to that of the best method
Counts = np.ndarray


def zipf(n_categories: int) -> np.ndarray:
    p = 1.0 / np.arange(1, n_categories + 1)
    return p / p.sum()


def uniform(n_categories: int) -> np.ndarray:
    return np.full(n_categories, 1.0 / n_categories)


def dirichlet(n_categories: int, concentration: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(n_categories, concentration))


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum())


def by_library(**options) -> Callable[[Counts, Counts], float]:
    return lambda x, y: kl.estimate_kl_from_counts(x, y, **options).value


def with_flat_prior(x: Counts, y: Counts) -> float:
    """The method "dirichlet" with one count for all categories together."""
    return kl.estimate_kl_from_counts(x, y, method="dirichlet", concentration=1.0 / len(x)).value


def posterior_mean(x: Counts, y: Counts) -> float:
    """Of the divergence, under Jeffreys priors of both."""
    a, b = x + 0.5, y + 0.5
    return float((a / a.sum() * (psi(a + 1.0) - psi(a.sum() + 1.0) - psi(b) + psi(b.sum()))).sum())


METHODS: dict[str, Callable[[Counts, Counts], float]] = {
    "zhang-grabchak": by_library(),
    "plug-in": by_library(method="plug-in"),
    "plug-in, zeros dropped": by_library(method="plug-in", zero="drop"),
    "miller-madow": by_library(method="miller-madow"),
    "augmented": by_library(method="augmented"),
    "laplace": by_library(method="laplace"),
    "jeffreys": by_library(method="jeffreys"),
    "dirichlet 1/K": with_flat_prior,
    "posterior mean": posterior_mean,
}
PAIRS = {
    "uniform ‖ Zipf, K = 20": (uniform(20), zipf(20), (50, 200, 1000, 5000)),
    "Zipf ‖ uniform, K = 100": (zipf(100), uniform(100), (50, 200, 1000, 5000)),
    "P = Q uniform, K = 50": (uniform(50), uniform(50), (50, 200, 1000, 5000)),
    "Dirichlet draws, K = 200": (dirichlet(200, 1.0, 28), dirichlet(200, 1.0, 128), (200, 1000, 5000)),
}


def error_rows() -> tuple[list[str], list[str]]:
    rows, goals = [], []
    for name, (p, q, sizes) in PAIRS.items():
        for n in sizes:
            rng, truth = np.random.default_rng(n), divergence(p, q)
            x, y = rng.multinomial(n, p, ERROR_REPEATS), rng.multinomial(n, q, ERROR_REPEATS)
            errors = {
                method: np.array([estimate(*pair) - truth for pair in zip(x, y, strict=True)])
                for method, estimate in METHODS.items()
            }
            rmse = {method: math.sqrt((e**2).mean()) for method, e in errors.items()}
            rows.append(f"| {name}, KL {truth:.3f} | {n} | {' | '.join(cell(e) for e in errors.values())} |")
            if len(p) <= 50 and n >= 1000:
                ratio = rmse["zhang-grabchak"] / min(rmse.values())
                goals.append(f"| {name} | {n} | {min(rmse, key=rmse.__getitem__)} | {ratio:.3f} | {verdict(ratio)} |")
    return rows, goals


def verdict(ratio: float) -> str:
    return "reached" if ratio <= GOAL else "**missed**"


def cell(errors: np.ndarray) -> str:
    """Root mean square, and mean."""
    return f"{math.sqrt((errors**2).mean()):.3f} ({errors.mean():+.3f})" if np.isfinite(errors).all() else "inf"


def truths() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for k in (2, 5, 20, 50):
        other = dirichlet(k, 5.0, k)
        yield f"P = Q uniform, K = {k}", uniform(k), uniform(k)
        yield f"P = Q Zipf, K = {k}", zipf(k), zipf(k)
        for share in (0.1, 0.3):
            yield (
                f"uniform moved by {share:.0%} ‖ uniform, K = {k}",
                (1 - share) * uniform(k) + share * other,
                uniform(k),
            )
        yield f"uniform ‖ Zipf, K = {k}", uniform(k), zipf(k)
        yield f"Zipf ‖ uniform, K = {k}", zipf(k), uniform(k)
    yield "Zipf ‖ uniform, K = 100", zipf(100), uniform(100)
    yield "Dirichlet draws, K = 200", *(dirichlet(200, 1.0, seed) for seed in (28, 128))


def delta_error(x: Counts, y: Counts) -> float:
    """What the first order alone says, at frequencies with half a count more."""
    P, Q = (x + 0.5) / (x + 0.5).sum(), (y + 0.5) / (y + 0.5).sum()
    logs = np.log(P / Q)
    of_p, of_q = (P * logs**2).sum() - (P * logs).sum() ** 2, (P * P / Q).sum() - 1.0
    return math.sqrt(max(of_p / x.sum() + of_q / y.sum(), 0.0))


def coverage_row(number: int, name: str, p: np.ndarray, q: np.ndarray, n: int, m: int) -> str:
    rng, truth = np.random.default_rng([number, n, m]), divergence(p, q)
    held, plain, missed, flagged, errors, values = [], [], [], [], [], []
    for x, y in zip(rng.multinomial(n, p, COVERAGE_REPEATS), rng.multinomial(m, q, COVERAGE_REPEATS), strict=True):
        estimate = kl.estimate_kl_from_counts(x, y)
        low, high = estimate.confidence_interval()
        held.append(low <= max(truth, 0.0) <= high)
        missed.append(low > max(truth, 0.0))
        plain.append(abs(estimate.value - truth) <= 1.96 * delta_error(x, y))
        flagged.append(estimate.reliable is False)
        errors.append(estimate.standard_error)
        values.append(estimate.value)
    return (
        f"| {name} | {truth:.4f} | {np.mean(values) - truth:+.4f} | {np.std(values):.4f} | {np.mean(errors):.4f} | "
        f"{100 * np.mean(held):.1f} | {100 * np.mean(missed):.1f} | {100 * np.mean(plain):.1f} | "
        f"{100 * np.mean(flagged):.0f} |"
    )


def main() -> None:
    warnings.simplefilter("ignore", kl.KLToolsWarning)
    rows, goals = error_rows()
    text = [
        heading("KL from counts"),
        f"## Root mean square error, and (bias), of the methods; {ERROR_REPEATS} repeats\n",
        f"| distributions | n = m | {' | '.join(METHODS)} |",
        "|---" * (len(METHODS) + 2) + "|",
        *rows,
        f"\nFor K of 20 and 50 and 1000 and more counts the default's error is to be at most {GOAL} times the least:\n",
        "| distributions | n = m | best | default / best | |",
        "|---|---|---|---|---|",
        *goals,
    ]
    for n, m in ((1000, 1000), (100, 100), (1000, 100)):
        text += [
            f"\n## How often 95% intervals hold the truth, n = {n}, m = {m}; {COVERAGE_REPEATS} repeats\n",
            "`above` is the share of intervals that lie above the truth. `first order` is the delta method, value",
            "± 1.96 standard errors; `flagged` the share with `reliable=False`. The last four columns are percent.\n",
            "| distributions | KL | bias | standard deviation | mean `standard_error` | interval | above | first order "
            "| flagged |",
            "|---|---|---|---|---|---|---|---|---|",
            *(coverage_row(number, *pair, n, m) for number, pair in enumerate(truths())),
        ]
    publish("\n".join(text))


if __name__ == "__main__":
    main()
