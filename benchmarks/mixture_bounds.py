"""Do the bounds of `mixture_kl_bounds` hold? On random mixtures, against draws and densities of SciPy."""

import math
import sys

import numpy as np
from environment import heading, publish
from scipy import stats
from scipy.special import logsumexp

import kltools as kl

N_PAIRS, N_DRAWS = 1000, 100_000
BEYOND = 5.0  # standard errors on the wrong side of the estimate, which chance explains once in 3 million
ROUNDING = 1e-9
LOWER = ("durrieu_lower", "kolchinsky_tracey_lower", "lower")
UPPER = ("durrieu_upper", "variational_upper", "kolchinsky_tracey_upper", "upper")
APPROXIMATIONS = ("variational", "product")


def random_mixture(rng, d, n_components):
    factor = rng.normal(size=(n_components, d, d + 2))
    covs = rng.choice([0.3, 1.0, 2.0]) * (factor @ np.swapaxes(factor, 1, 2) / d + 0.05 * np.eye(d))
    if rng.random() < 0.5:
        covs = np.diagonal(covs, axis1=1, axis2=2)
    means = rng.choice([0.1, 0.5, 1.0, 3.0]) * rng.normal(size=(n_components, d))
    return kl.GaussianMixture(weights=rng.dirichlet(np.full(n_components, 0.7)), means=means, covs=covs)


def random_pair(seed):
    """Up to 8 coordinates and components; every fourth q is a single Gaussian, every fifth is near p."""
    rng = np.random.default_rng(seed)
    d, k, m = rng.integers(1, 9, size=3)
    p, q = random_mixture(rng, d, k), random_mixture(rng, d, 1 if seed % 4 == 0 else m)
    if seed % 5 == 1:
        q = kl.GaussianMixture(weights=p.weights, means=p.means + 0.1 * rng.normal(size=p.means.shape), covs=p.covs)
    return rng, p, q


def laws(mixture):
    covs = mixture.covs if mixture.covs.ndim > mixture.means.ndim else [np.diag(var) for var in mixture.covs]
    return [stats.multivariate_normal(*law) for law in zip(mixture.means, covs, strict=True)]


def log_density(mixture, x):
    return logsumexp([law.logpdf(x) for law in laws(mixture)], axis=0, b=mixture.weights[:, None])


def estimate(rng, p, q):
    """Mean of log p/q over draws of p whose numbers from each component are its share, and the standard error."""
    value = variance = 0.0
    for weight, law in zip(p.weights, laws(p), strict=True):
        n = max(100, round(weight * N_DRAWS))
        x = law.rvs(size=n, random_state=rng).reshape(n, -1)
        ratios = log_density(p, x) - log_density(q, x)
        value += weight * ratios.mean()
        variance += weight**2 * ratios.var() / n
    return value, math.sqrt(variance)


def measure(seed, table):
    rng, p, q = random_pair(seed)
    bounds = kl.mixture_kl_bounds(p, q, n_samples=10_000, random_state=seed)
    truth, error = estimate(rng, p, q)
    for name in LOWER + UPPER + APPROXIMATIONS:
        value = getattr(bounds, name)
        if value is not None:
            slack = truth - value if name in LOWER else value - truth
            table[name].append((slack, (slack + ROUNDING) / (error + 1e-300), truth))
    own = bounds.monte_carlo
    table["monte_carlo"].append((own.value - truth) / math.hypot(own.standard_error, error, ROUNDING))


def row(name, found):
    slack, standard, truth = np.array(found).T
    wrong = "-" if name in APPROXIMATIONS else np.count_nonzero(standard < -BEYOND)
    least = "-" if name in APPROXIMATIONS else f"{standard.min():.1f}"
    typical = np.median(np.abs(slack) / np.maximum(truth, ROUNDING))
    kind = "approximation" if name in APPROXIMATIONS else "lower bound" if name in LOWER else "upper bound"
    return f"| {name} | {kind} | {len(found)} | {wrong} | {least} | {np.median(np.abs(slack)):.3g} | {typical:.2g} |"


def main() -> None:
    names = LOWER + UPPER + APPROXIMATIONS
    table = {name: [] for name in (*names, "monte_carlo")}
    for seed in range(N_PAIRS):
        measure(seed, table)
        if seed % 100 == 99:
            print(seed + 1, file=sys.stderr, flush=True)
    scores = np.array(table["monte_carlo"])
    lines = [
        heading("Bounds of the divergence of Gaussian mixtures"),
        f"{N_PAIRS} random pairs of up to 8 components in up to 8 coordinates, each against {N_DRAWS} draws and",
        f"densities of SciPy. A bound is violated that lies more than {BEYOND:g} standard errors of these on the wrong",
        "side. The least margin is that of the nearest pair, negative by chance where a bound is the divergence.\n",
        "| value | what it is | pairs | violated | least margin, standard errors | median distance, nats | relative |",
        "|---|---|---|---|---|---|---|",
        *(row(name, table[name]) for name in names),
        "",
        f"The stratified estimate from 10000 draws: deviations in standard errors have mean {scores.mean():+.2f} and",
        f"standard deviation {scores.std():.2f}; the largest is {np.abs(scores).max():.1f}.",
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
