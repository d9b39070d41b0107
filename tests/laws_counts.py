"""Distributions of counts: examples, laws of SciPy, exact divergences.

All binomial ones have one n, all negative binomial ones r = 1, as their closed forms want it; others are tested in
test_counts.py.
"""

import itertools
from types import SimpleNamespace

import numpy as np
from mpmath import mp
from scipy import stats

import kltools as kl

N = 7  # trials of the examples
K = 3  # outcomes of the examples


class MultinomialLaw:
    def __init__(self, n, probs):
        self.n, self.law, self.mean = n, stats.multinomial(n, probs), n * probs
        self.cov_object = SimpleNamespace(covariance=n * (np.diag(probs) - np.outer(probs, probs)))

    def logpmf(self, x):
        return self.law.logpmf(x)

    def entropy(self):
        counts = [x for x in itertools.product(range(self.n + 1), repeat=K) if sum(x) == self.n]
        logs = self.logpmf(np.array(counts))
        return -(np.exp(logs) * logs).sum()

    def rvs(self, size, random_state):
        return self.law.rvs(size=size, random_state=random_state)

    def total_mass(self, p):
        return np.exp(p.log_prob(list(itertools.product(np.arange(-1.0, self.n + 2), repeat=K)))).sum()


def probs(rng, batch):
    return rng.uniform(0.2, 0.9, size=batch)


EXAMPLES = {
    kl.Bernoulli: lambda rng, batch: kl.Bernoulli(probs=probs(rng, batch)),
    kl.Binomial: lambda rng, batch: kl.Binomial(n=np.full(batch, N), probs=probs(rng, batch)),
    kl.NegativeBinomial: lambda rng, batch: kl.NegativeBinomial(r=np.ones(batch), probs=probs(rng, batch)),
    kl.Geometric: lambda rng, batch: kl.Geometric(probs=probs(rng, batch)),
    kl.Poisson: lambda rng, batch: kl.Poisson(rate=rng.gamma(3.0, size=batch)),
    kl.Multinomial: lambda rng, batch: kl.Multinomial(
        n=np.full(batch, N), probs=rng.dirichlet(2.0 * np.ones(K), size=batch)
    ),
}

ORACLES = {
    kl.Bernoulli: lambda p: stats.bernoulli(float(p.probs)),
    kl.Binomial: lambda p: stats.binom(int(p.n), float(p.probs)),
    kl.NegativeBinomial: lambda p: stats.nbinom(float(p.r), float(p.probs)),
    kl.Geometric: lambda p: stats.geom(float(p.probs), loc=-1),
    kl.Poisson: lambda p: stats.poisson(float(p.rate)),
    kl.Multinomial: lambda p: MultinomialLaw(int(p.n), p.probs),
}

WITHOUT_ENTROPY: set = set()

# ---------------------------------------------------------------- exact divergences

DIGITS = 800  # 1e-300 beside 1, and its square


def exactly(function):
    def with_digits(p, q):
        with mp.workdps(DIGITS):
            return function(p, q)

    return with_digits


def mean_log_ratio(pairs):
    """sum of p log(p / q) over pairs of probabilities of one outcome."""
    if any(p > 0 and q == 0 for p, q in pairs):
        return mp.inf
    return mp.fsum(p * mp.log(p / q) for p, q in pairs if p > 0)


def bernoulli(p, q):
    return mean_log_ratio([(p, q), (1 - p, 1 - q)])


def geometric(p, q):
    value = bernoulli(p["probs"], q["probs"])
    return value / p["probs"]


def binomial(p, q):
    return p["n"] * bernoulli(p["probs"], q["probs"]) if p["n"] else mp.mpf(0)


def bernoulli_binomial(p, q):
    x, n, y = p["probs"], q["n"], q["probs"]
    return mean_log_ratio([(1 - x, (1 - y) ** n), (x, n * y * (1 - y) ** (n - 1))])


def binomial_bernoulli(p, q):
    if p["n"] > 1 and p["probs"] > 0:
        return mp.inf
    return bernoulli(p["n"] * p["probs"], q["probs"])


def bernoulli_poisson(p, q):
    x, rate = p["probs"], q["rate"]
    return mean_log_ratio([(1 - x, mp.exp(-rate)), (x, rate * mp.exp(-rate))])


def poisson(p, q):
    x, y = p["rate"], q["rate"]
    if y == 0:
        return mp.inf if x > 0 else mp.mpf(0)
    return (x * mp.log(x / y) if x > 0 else 0) - x + y


def multinomial(p, q):
    """For probabilities that need not sum to exactly 1, as for Categorical."""
    if p["n"] != q["n"]:
        return mp.inf
    pairs = list(zip(p["probs"], q["probs"], strict=True))
    return p["n"] * (mean_log_ratio(pairs) - mp.fsum(x - y for x, y in pairs)) if p["n"] else mp.mpf(0)


EXACT = {
    ("Bernoulli", "Bernoulli"): exactly(lambda p, q: bernoulli(p["probs"], q["probs"])),
    ("Bernoulli", "Binomial"): exactly(bernoulli_binomial),
    ("Bernoulli", "Poisson"): exactly(bernoulli_poisson),
    ("Binomial", "Bernoulli"): exactly(binomial_bernoulli),
    ("Binomial", "Binomial"): exactly(binomial),
    ("Geometric", "Geometric"): exactly(geometric),
    ("Geometric", "NegativeBinomial"): exactly(geometric),
    ("Multinomial", "Multinomial"): exactly(multinomial),
    ("NegativeBinomial", "Geometric"): exactly(geometric),
    ("NegativeBinomial", "NegativeBinomial"): exactly(lambda p, q: p["r"] * geometric(p, q)),
    ("Poisson", "Poisson"): exactly(poisson),
}

INSIDE = (1.0, 0.3, 0.3 + 1e-9, 0.5, 0.999, 1e-9, 1e-300, 1.0 - 1e-12)
GRID = {
    "Bernoulli": [{"probs": x} for x in (0.0, *INSIDE)],
    "Binomial": [{"n": 1000.0, "probs": x} for x in (0.0, *INSIDE)],
    "NegativeBinomial": [{"r": 1.0, "probs": x} for x in INSIDE],
    "Geometric": [{"probs": x} for x in INSIDE],
    "Poisson": [{"rate": x} for x in (0.0, 1e-300, 1e-9, 0.3, 0.3 + 1e-9, 1.0, 42.0, 1e9, 1e300)],
    "Multinomial": [
        {"n": n, "probs": list(x)}
        for n, x in itertools.product(
            (0.0, 5.0, 1e12), ([0.2, 0.3, 0.5], [0.2 + 1e-9, 0.3, 0.5 - 1e-9], [0.0, 0.5, 0.5], [1e-300, 1.0, 0.0])
        )
    ],
}
