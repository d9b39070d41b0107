"""Estimates of KL from counts: errors of the methods, and how often the 95% interval holds the truth."""

import math
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from environment import heading, publish
from scipy.special import psi, xlogy

import kltools as kl

ERROR_REPEATS, COVERAGE_REPEATS, RELATIVE_REPEATS = 1000, 2000, 600
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


def banded(n_categories: int, width: float) -> np.ndarray:
    i = np.arange(n_categories)
    joint = np.exp(-0.5 * ((i[:, None] - i) / width) ** 2)
    return joint / joint.sum()


def mixed(joint: np.ndarray, share: float) -> np.ndarray:
    """A table with that share of the joint distribution, the rest independent with its margins."""
    return share * joint + (1.0 - share) * np.outer(joint.sum(axis=1), joint.sum(axis=0))


def plogp(p: np.ndarray) -> float:
    return float(xlogy(p, p).sum())


def information(joint: np.ndarray) -> float:
    return max(plogp(joint) - plogp(joint.sum(axis=0)) - plogp(joint.sum(axis=1)), 0.0)


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    return max(0.5 * plogp(p) + 0.5 * plogp(q) - plogp(0.5 * (p + q)), 0.0)


def tables() -> Iterator[tuple[str, np.ndarray, int]]:
    for a, b, n in ((2, 2, 50), (4, 5, 200)):
        yield f"independent, even, {a} x {b}", np.outer(uniform(a), uniform(b)), n
    for a, b, n in ((3, 4, 100), (5, 5, 200), (10, 10, 1000), (20, 20, 2000)):
        yield f"independent, Zipf, {a} x {b}", np.outer(zipf(a), zipf(b)), n
    yield "band of 5, 1, 85% independent", mixed(banded(5, 1.0), 0.15), 300
    yield "band of 10, 1, 70% independent", mixed(banded(10, 1.0), 0.3), 1000
    yield "Dirichlet draw, 4 x 5", dirichlet(20, 1.0, 0).reshape(4, 5), 300
    yield "two even blocks of 2 x 2", np.kron(np.eye(2) / 2, np.full((2, 2), 0.25)), 200
    bands = (
        (5, 2.0, 200),
        (6, 1.5, 200),
        (10, 1.0, 150),
        (10, 0.6, 500),
        (10, 0.3, 2000),
        (20, 0.6, 2000),
        (20, 1, 2000),
    )
    for k, width, n in bands:
        yield f"band of {k}, {width:g}", banded(k, width), n
    for k, share, n in ((2, 0.5, 50), (2, 0.9, 100), (3, 0.95, 90), (5, 0.3, 100), (5, 0.9, 500), (5, 0.99, 500)):
        yield f"diagonal, even, {k}, {100 * (1 - share):.2g}% independent", mixed(np.eye(k) / k, share), n
    for k, n in ((2, 100), (3, 90), (5, 500)):
        yield f"diagonal, even, {k}", np.eye(k) / k, n
    yield "diagonal, Zipf, 5", np.diag(zipf(5)), 200


def distributions() -> Iterator[tuple[str, np.ndarray, int]]:
    pairs = (
        (0.5, 30),
        (0.501, 10**6),
        (0.55, 1000),
        (0.6, 100),
        (0.62, 50),
        (0.62, 100),
        (0.7, 30),
        (0.9, 100),
        (0.9, 300),
    )
    for p, n in pairs:
        yield f"({p:g}, {1 - p:g})", np.array([p, 1.0 - p]), n
    for p, n in (((0.36, 0.33, 0.31), 200), ((0.4, 0.33, 0.27), 200), ((0.98, 0.01, 0.01), 300)):
        yield str(p), np.array(p), n
    yield "uniform, K = 3", uniform(3), 200
    yield "uniform, K = 20", uniform(20), 200
    for k, n in ((5, 100), (20, 200), (20, 1000), (100, 1000)):
        yield f"Zipf, K = {k}", zipf(k), n
    yield "Dirichlet draw, K = 50", dirichlet(50, 1.0, 1), 500


def pairs_of_distributions() -> Iterator[tuple[str, np.ndarray, np.ndarray, int, int]]:
    for k, n, m in ((2, 50, 50), (5, 50, 50), (20, 1000, 1000), (30, 300, 300), (30, 200, 600)):
        yield f"P = Q uniform, K = {k}", uniform(k), uniform(k), n, m
    for p, q, n, m in ((0.6, 0.6, 50, 50), (0.9, 0.9, 50, 50), (0.7, 0.5, 50, 500), (0.7, 0.5, 500, 50)):
        yield f"({p}, {1 - p:.1f}) and ({q}, {1 - q:.1f})", np.array([p, 1 - p]), np.array([q, 1 - q]), n, m
    for k, n in ((5, 100), (20, 1000)):
        yield f"P = Q Zipf, K = {k}", zipf(k), zipf(k), n, n
        yield f"uniform and Zipf, K = {k}", uniform(k), zipf(k), n, n
        yield f"Zipf and uniform, K = {k}", zipf(k), uniform(k), n, n


def relative_row(name: str, sizes: str, truth: float, estimates: list[kl.DivergenceEstimate]) -> str:
    ends = np.array([estimate.confidence_interval() for estimate in estimates])
    values = np.array([estimate.value for estimate in estimates])
    held = (ends[:, 0] <= truth + 1e-12) & (truth - 1e-12 <= ends[:, 1])
    trusted = np.array([estimate.reliable is True for estimate in estimates])
    own = (ends[:, 0] <= np.maximum(values, 0.0)) & (np.maximum(values, 0.0) <= ends[:, 1])
    errors = np.nanmean([estimate.standard_error for estimate in estimates])
    return (
        f"| {name} | {sizes} | {truth:.4f} | {values.mean() - truth:+.4f} | {values.std():.4f} | {errors:.4f} | "
        f"{100 * held.mean():.1f} | {100 * (ends[:, 0] > truth + 1e-12).mean():.1f} | {100 * own.mean():.0f} | "
        f"{100 - 100 * trusted.mean():.0f} | {f'{100 * held[trusted].mean():.1f}' if trusted.any() else ''} |"
    )


def relative_rows() -> Iterator[tuple[str, list[str]]]:
    """For each quantity its rows: how often 95% intervals hold the truth."""
    rng = np.random.default_rng(6)
    rows = []
    for name, joint, n in tables():
        draws = rng.multinomial(n, joint.reshape(-1), RELATIVE_REPEATS).reshape(-1, *joint.shape)
        estimates = [kl.estimate_mutual_information_from_counts(table) for table in draws]
        rows.append(relative_row(name, str(n), information(joint), estimates))
    yield "mutual information", rows
    rows = []
    for name, p, n in distributions():
        estimates = [kl.estimate_entropy_from_counts(x) for x in rng.multinomial(n, p, RELATIVE_REPEATS)]
        rows.append(relative_row(name, str(n), -plogp(p), estimates))
    yield "entropy", rows
    quantities = {
        "cross-entropy": (kl.estimate_cross_entropy_from_counts, lambda p, q: -float(xlogy(p, q).sum())),
        "Jensen-Shannon divergence": (kl.estimate_jensen_shannon_from_counts, jensen_shannon),
    }
    for quantity, (function, truth) in quantities.items():
        rows = []
        for name, p, q, n, m in pairs_of_distributions():
            draws = zip(rng.multinomial(n, p, RELATIVE_REPEATS), rng.multinomial(m, q, RELATIVE_REPEATS), strict=True)
            rows.append(relative_row(name, f"{n}, {m}", truth(p, q), [function(x, y) for x, y in draws]))
        yield quantity, rows


def relatives() -> list[str]:
    text = [
        f"\n## Intervals of the relatives; {RELATIVE_REPEATS} repeats\n",
        "`band of k, w` has cells exp(-((i - j)/w)^2 / 2); `own` is the share of intervals that hold their own value,",
        "or 0 for a negative one; `trusted` is the share that holds the truth of those with `reliable=True`.",
    ]
    for quantity, rows in relative_rows():
        text += [
            f"\n### {quantity}\n",
            "| distribution | n | truth | bias | standard deviation | mean `standard_error` | interval | above | own "
            "| flagged | trusted |",
            "|---" * 11 + "|",
            *rows,
        ]
    return text


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
    publish("\n".join([*text, *relatives()]))


if __name__ == "__main__":
    main()
