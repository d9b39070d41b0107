"""Distributions on intervals and simplices: examples, laws of SciPy, exact divergences."""

import functools
import itertools
from types import SimpleNamespace

import numpy as np
from mpmath import mp
from scipy import special, stats

import kltools as kl

K = 3  # proportions of the examples


def uniform(rng, batch):
    """Inside [0, 1], or around it."""
    margin, sign = rng.uniform(0.05, 0.3, size=(2, *batch)), np.where(rng.random(batch) < 0.5, 1.0, -1.0)
    return kl.Uniform(low=sign * margin[0], high=1.0 - sign * margin[1])


class Mirrored:
    """1 - x for x of another law."""

    def __init__(self, law):
        self.law, self.var, self.entropy = law, law.var, law.entropy

    def logpdf(self, x):
        return self.law.logpdf(1.0 - x)

    def rvs(self, size, random_state):
        return 1.0 - self.law.rvs(size=size, random_state=random_state)

    def mean(self):
        return 1.0 - self.law.mean()

    def support(self):
        return 0.0, 1.0


def continuous_bernoulli_law(p):
    rate = abs(special.logit(float(p.probs)))
    law = stats.truncexpon(b=rate, scale=1.0 / rate)
    return law if p.probs < 0.5 else Mirrored(law)


class KumaraswamyLaw:
    """x^alpha has a Beta distribution."""

    def __init__(self, alpha, beta):
        self.alpha, self.beta, self.power = alpha, beta, stats.beta(1.0, beta)

    def logpdf(self, x):
        return self.power.logpdf(x**self.alpha) + np.log(self.alpha) + (self.alpha - 1.0) * np.log(x)

    def rvs(self, size, random_state):
        return self.power.rvs(size=size, random_state=random_state) ** (1.0 / self.alpha)

    def moment(self, k):
        return self.beta * special.beta(1.0 + k / self.alpha, self.beta)

    def mean(self):
        return self.moment(1)

    def var(self):
        return self.moment(2) - self.moment(1) ** 2

    def entropy(self):
        return float(-kumaraswamy_negative_entropy(mp.mpf(self.alpha), mp.mpf(self.beta)))

    def support(self):
        return 0.0, 1.0


class DirichletLaw:
    def __init__(self, concentration):
        self.law = stats.dirichlet(concentration)
        self.mean, self.entropy = self.law.mean(), self.law.entropy
        total = concentration.sum()
        covariance = (np.diag(self.mean) - np.outer(self.mean, self.mean)) / (total + 1.0)
        self.cov_object = SimpleNamespace(covariance=covariance)

    def logpdf(self, x):
        inside = np.abs(x.sum(axis=-1) - 1.0) < 1e-6
        return np.array([self.law.logpdf(each) if ok else -np.inf for each, ok in zip(x, inside, strict=True)])

    def rvs(self, size, random_state):
        return self.law.rvs(size=size, random_state=random_state)

    def total_mass(self, p):
        """With the first proportion x and the second (1 - x) y, by Gauss and Jacobi's rules for x and y."""
        nodes, weights = np.polynomial.legendre.leggauss(200)
        angle, weights = 0.25 * np.pi * (nodes + 1.0), 0.25 * np.pi * weights
        place, weights = np.sin(angle) ** 2, weights * np.sin(2.0 * angle)  # what is singular at the ends is spread
        x, y = place[:, None], place[None, :]
        points = np.stack(np.broadcast_arrays(x, (1.0 - x) * y, (1.0 - x) * (1.0 - y)), axis=-1)
        return (weights[:, None] * weights * (1.0 - x) * np.exp(p.log_prob(points))).sum()


def positive(rng, size):
    return rng.gamma(2.0, size=size) + 0.3


EXAMPLES = {
    kl.Uniform: uniform,
    kl.Beta: lambda rng, batch: kl.Beta(alpha=positive(rng, batch), beta=positive(rng, batch)),
    kl.Kumaraswamy: lambda rng, batch: kl.Kumaraswamy(alpha=positive(rng, batch), beta=positive(rng, batch)),
    kl.Dirichlet: lambda rng, batch: kl.Dirichlet(concentration=positive(rng, (*batch, K))),
    kl.ContinuousBernoulli: lambda rng, batch: kl.ContinuousBernoulli(probs=rng.uniform(0.05, 0.95, size=batch)),
}

ORACLES = {
    kl.Uniform: lambda p: stats.uniform(float(p.low), float(p.high - p.low)),
    kl.Beta: lambda p: stats.beta(float(p.alpha), float(p.beta)),
    kl.Kumaraswamy: lambda p: KumaraswamyLaw(float(p.alpha), float(p.beta)),
    kl.Dirichlet: lambda p: DirichletLaw(p.concentration),
    kl.ContinuousBernoulli: continuous_bernoulli_law,
}

WITHOUT_ENTROPY = set()

# ---------------------------------------------------------------- exact divergences

DIGITS = 450  # 1e-300 beside 1


def exactly(function):
    def with_digits(p, q):
        with mp.workdps(DIGITS):
            return function(p, q)

    return with_digits


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def beta_log_means(p):
    total = mp.digamma(p["alpha"] + p["beta"])
    return mp.digamma(p["alpha"]) - total, mp.digamma(p["beta"]) - total


def beta_negative_entropy(p):
    log_x, log_rest = beta_log_means(p)
    return (p["alpha"] - 1) * log_x + (p["beta"] - 1) * log_rest - log_beta(p["alpha"], p["beta"])


def beta_moments(p):
    total = p["alpha"] + p["beta"]
    return p["alpha"] / total, p["alpha"] * p["beta"] / total**2 / (total + 1)


def tilted_moments(p):
    t = logit(p)
    if t == 0:
        return mp.mpf(1) / 2, mp.mpf(1) / 12
    return 1 - 1 / t + 1 / mp.expm1(t), 1 / t**2 - 1 / (4 * mp.sinh(t / 2) ** 2)


def tilted_negative_entropy(p):
    t = logit(p)
    return t * tilted_moments(p)[0] - log_partition(t)


def logit(p):
    return mp.log(p["probs"] / (1 - p["probs"]))


def log_partition(t):
    return mp.log(mp.expm1(t) / t) if t else mp.mpf(0)


def uniform_moments(p):
    return (p["low"] + p["high"]) / 2, (p["high"] - p["low"]) ** 2 / 12


def uniform_negative_entropy(p):
    return -mp.log(p["high"] - p["low"])


def uniform_log_means(low, high):
    def integral(x):
        return x * mp.log(x) - x if x else mp.mpf(0)

    return (integral(high) - integral(low)) / (high - low)


def kumaraswamy_negative_entropy(alpha, beta):
    return mp.log(alpha * beta) - (1 - 1 / beta) - (1 - 1 / alpha) * mp.harmonic(beta)


NEGATIVE_ENTROPY = {
    "Beta": beta_negative_entropy,
    "ContinuousBernoulli": tilted_negative_entropy,
    "Uniform": uniform_negative_entropy,
    "Kumaraswamy": lambda p: kumaraswamy_negative_entropy(p["alpha"], p["beta"]),
}
MOMENTS = {"Beta": beta_moments, "ContinuousBernoulli": tilted_moments, "Uniform": uniform_moments}
LOG_MEAN = {
    "Beta": lambda p: beta_log_means(p)[0],
    "Uniform": lambda p: uniform_log_means(p["low"], p["high"]),
}
ENDS = {
    "Beta": lambda p: (0, 1),
    "Kumaraswamy": lambda p: (0, 1),
    "ContinuousBernoulli": lambda p: (0, 1),
    "Uniform": lambda p: (p["low"], p["high"]),
    "Exponential": lambda q: (0, mp.inf),
    "Gamma": lambda q: (0, mp.inf),
    "Pareto": lambda q: (q["scale"], mp.inf),
}


@functools.cache
def kumaraswamy_log_rest(a, b):
    """E log(1 - x), over t = -log(1 - x^a), which is exponential with rate b."""
    if a == 1 or b == 1:  # a Beta distribution
        return -mp.harmonic(a) / b

    def term(t):
        rest = mp.exp(-t)
        log_x = (mp.log(-mp.expm1(-t)) if t < 1 else mp.log1p(-rest)) / a
        return (mp.log(-mp.expm1(log_x)) if log_x > -90 else -mp.exp(log_x)) * b * mp.exp(-b * t)

    edges, steep, last = [mp.mpf(10) ** -50 / b], max(1, 60 - mp.log(a)), 100 / b
    while edges[-1] < last:
        edges.append(min(last, edges[-1] + 1 if 1 <= edges[-1] < steep else 4 * edges[-1]))
    with mp.workdps(40):
        return mp.fsum(mp.quad(term, [low, high], maxdegree=5) for low, high in itertools.pairwise(edges))


def against_beta(name, p, q):
    if name == "Kumaraswamy":
        a, b = p["alpha"], p["beta"]
        log_rest = kumaraswamy_log_rest(a, b)
        return log_beta(q["alpha"], q["beta"]) + (q["alpha"] - 1) * mp.harmonic(b) / a - (q["beta"] - 1) * log_rest
    log_rest = beta_log_means(p)[1] if name == "Beta" else uniform_log_means(1 - p["high"], 1 - p["low"])
    return log_beta(q["alpha"], q["beta"]) - (q["alpha"] - 1) * LOG_MEAN[name](p) - (q["beta"] - 1) * log_rest


def against_gamma(name, p, q):
    shape, rate = q.get("shape", mp.mpf(1)), q["rate"]
    log_mean = LOG_MEAN[name](p) if shape != 1 else 0
    return mp.loggamma(shape) - shape * mp.log(rate) - (shape - 1) * log_mean + rate * MOMENTS[name](p)[0]


def against_normal(name, p, q):
    mean, var = MOMENTS[name](p)
    return mp.log(2 * mp.pi * q["var"]) / 2 + (var + mp.fsub(mean, q["mean"], exact=True) ** 2) / (2 * q["var"])


def against_tilted(name, p, q):
    return log_partition(logit(q)) - logit(q) * MOMENTS[name](p)[0]


def against_pareto(name, p, q):
    shape, scale = q["shape"], q["scale"]
    return (shape + 1) * LOG_MEAN[name](p) - mp.log(shape) - shape * mp.log(scale)


def against_laplace(name, p, q):
    low, high, loc = p["low"], p["high"], q["loc"]
    inside = min(max(loc, low), high)
    distance = ((high - loc) ** 2 - (inside - loc) ** 2) / 2 if inside < high else 0
    if low < loc:
        distance = distance + ((loc - low) ** 2 - (loc - inside) ** 2) / 2
    if loc > high:
        distance = ((loc - low) ** 2 - (loc - high) ** 2) / 2
    return mp.log(2 * q["scale"]) + distance / (high - low) / q["scale"]


def against_gumbel(name, p, q):
    low, high = ((p[end] - q["loc"]) / q["scale"] for end in ("low", "high"))
    return mp.log(q["scale"]) + (low + high) / 2 + mp.exp(-low) * -mp.expm1(low - high) / (high - low)


MINUS_MEAN_LOG_DENSITY = {
    "Beta": against_beta,
    "ContinuousBernoulli": against_tilted,
    "Exponential": against_gamma,
    "Gamma": against_gamma,
    "Gumbel": against_gumbel,
    "Laplace": against_laplace,
    "Normal": against_normal,
    "Pareto": against_pareto,
    "Uniform": lambda name, p, q: mp.log(q["high"] - q["low"]),
}
PAIRS = [
    ("Beta", ("Beta", "ContinuousBernoulli", "Exponential", "Gamma", "Normal", "Uniform")),
    ("ContinuousBernoulli", ("ContinuousBernoulli", "Exponential", "Normal", "Uniform")),
    ("Kumaraswamy", ("Beta", "Uniform")),
    ("Uniform", ("Beta", "ContinuousBernoulli", "Exponential", "Gamma", "Gumbel", "Laplace", "Normal", "Pareto")),
    ("Uniform", ("Uniform",)),
]


def by_definition(name_p, name_q):
    @exactly
    def divergence(p, q):
        inner = ENDS[name_p](p)
        outer = ENDS[name_q](q) if name_q in ENDS else (-mp.inf, mp.inf)
        if inner[0] < outer[0] or inner[1] > outer[1]:
            return mp.inf
        return NEGATIVE_ENTROPY[name_p](p) + MINUS_MEAN_LOG_DENSITY[name_q](name_p, p, q)

    return divergence


@exactly
def dirichlet(p, q):
    a, b = p["concentration"], q["concentration"]
    total = mp.digamma(mp.fsum(a))
    means = [(y - x) * (mp.digamma(x) - total) for x, y in zip(a, b, strict=True)]
    logs = [mp.loggamma(y) - mp.loggamma(x) for x, y in zip(a, b, strict=True)]
    return mp.fsum(logs) - mp.loggamma(mp.fsum(b)) + mp.loggamma(mp.fsum(a)) - mp.fsum(means)


EXACT = {(p, q): by_definition(p, q) for p, qs in PAIRS for q in qs} | {("Dirichlet", "Dirichlet"): dirichlet}

SHAPES = [(1.0, 1.0), (1.0 + 1e-7, 1.0), (0.5, 0.5), (2.0, 3.0), (1e-8, 1e-5), (1e-6, 3.0), (1e6, 3e6),
          (1.0, 1e4), (1e9, 1e9)]  # fmt: skip
INTERVALS = [(0.0, 1.0), (0.0, 1.0 - 1e-9), (-1.0, 2.0), (0.25, 0.75), (0.1, 0.1000001), (0.0, 1e-300), (-1e300, 1e300),
             (1e8, 1e8 + 1.0), (2.0, 1e9)]  # fmt: skip
GRID = {
    "Beta": [{"alpha": a, "beta": b} for a, b in SHAPES],
    "Kumaraswamy": [{"alpha": a, "beta": b} for a, b in SHAPES],
    "Uniform": [{"low": low, "high": high} for low, high in INTERVALS],
    "ContinuousBernoulli": [{"probs": x} for x in (0.5, 0.5 + 1e-9, 0.3, 0.9, 1e-10, 1e-300, 1.0 - 1e-12)],
    "Dirichlet": [
        {"concentration": a}
        for a in (
            [1.0, 1.0, 1.0], [0.5, 2.0, 7.0], [1e-8, 1e-8, 1e-8], [1e-8, 3.0, 1e-5], [1e7, 2e7, 3e7],
            [1e-3, 1.0, 1e8],
        )
    ],
}  # fmt: skip
