"""Distributions of positive numbers: examples, laws of SciPy, and divergences in exact arithmetic.

The exact ones are minus the entropy of p minus the mean of log q, from textbook moments of p.
"""

import numpy as np
from mpmath import mp
from scipy import stats

import kltools as kl

EXAMPLES = {
    kl.Exponential: lambda rng, batch: kl.Exponential(rate=rng.gamma(3.0, size=batch)),
    kl.Gamma: lambda rng, batch: kl.Gamma(shape=rng.uniform(1.5, 9.0, size=batch), rate=rng.gamma(3.0, size=batch)),
    kl.Chi2: lambda rng, batch: kl.Chi2(df=rng.uniform(2.5, 9.0, size=batch)),
    kl.InverseGamma: lambda rng, batch: kl.InverseGamma(
        shape=rng.uniform(9.0, 15.0, size=batch), scale=rng.gamma(3.0, size=batch)
    ),
    kl.Weibull: lambda rng, batch: kl.Weibull(
        shape=rng.uniform(1.2, 4.0, size=batch), scale=rng.gamma(3.0, size=batch)
    ),
    kl.Rayleigh: lambda rng, batch: kl.Rayleigh(scale=rng.gamma(3.0, size=batch)),
    kl.LogNormal: lambda rng, batch: kl.LogNormal(mean=rng.normal(size=batch), var=rng.uniform(0.05, 0.3, size=batch)),
    kl.HalfNormal: lambda rng, batch: kl.HalfNormal(scale=rng.gamma(3.0, size=batch)),
    kl.HalfCauchy: lambda rng, batch: kl.HalfCauchy(scale=rng.gamma(3.0, size=batch)),
    kl.Pareto: lambda rng, batch: kl.Pareto(  # one least value: else half of all divergences are inf
        shape=rng.uniform(11.0, 20.0, size=batch), scale=np.full(batch, 0.7)
    ),
    kl.InverseGaussian: lambda rng, batch: kl.InverseGaussian(
        mean=rng.gamma(3.0, size=batch), shape=20.0 + rng.gamma(3.0, size=batch)
    ),
}

ORACLES = {
    kl.Exponential: lambda p: stats.expon(scale=1.0 / float(p.rate)),
    kl.Gamma: lambda p: stats.gamma(float(p.shape), scale=1.0 / float(p.rate)),
    kl.Chi2: lambda p: stats.chi2(float(p.df)),
    kl.InverseGamma: lambda p: stats.invgamma(float(p.shape), scale=float(p.scale)),
    kl.Weibull: lambda p: stats.weibull_min(float(p.shape), scale=float(p.scale)),
    kl.Rayleigh: lambda p: stats.rayleigh(scale=float(p.scale)),
    kl.LogNormal: lambda p: stats.lognorm(float(p.var) ** 0.5, scale=float(mp.exp(float(p.mean)))),
    kl.HalfNormal: lambda p: stats.halfnorm(scale=float(p.scale)),
    kl.HalfCauchy: lambda p: stats.halfcauchy(scale=float(p.scale)),
    kl.Pareto: lambda p: stats.pareto(float(p.shape), scale=float(p.scale)),
    kl.InverseGaussian: lambda p: stats.invgauss(float(p.mean / p.shape), scale=float(p.shape)),
}

WITHOUT_ENTROPY: set = set()

# ---------------------------------------------------------------- in exact arithmetic

DIGITS = 450  # of terms as large as 1e200, whose sum may be as small as 1e-200


class GammaMoments:
    def __init__(self, shape, rate):
        self.shape, self.rate = mp.mpf(shape), mp.mpf(rate)

    def entropy(self):
        a = self.shape
        return a - mp.log(self.rate) + mp.loggamma(a) + (1 - a) * mp.digamma(a)

    def log(self):
        return mp.digamma(self.shape) - mp.log(self.rate)

    def power(self, s):
        if s in (1, 2):
            return self.shape * (self.shape + s - 1) ** (s - 1) / self.rate**s
        return mp.exp(mp.loggamma(self.shape + s) - mp.loggamma(self.shape) - s * mp.log(self.rate))

    def exponential(self, t):
        """Mean of exp(-t x)."""
        return mp.exp(-self.shape * mp.log1p(t / self.rate))


class WeibullMoments:
    def __init__(self, shape, scale):
        self.shape, self.scale = mp.mpf(shape), mp.mpf(scale)

    def entropy(self):
        return mp.euler * (1 - 1 / self.shape) + mp.log(self.scale / self.shape) + 1

    def log(self):
        return mp.log(self.scale) - mp.euler / self.shape

    def power(self, s):
        return mp.exp(s * mp.log(self.scale) + mp.loggamma(1 + s / self.shape))


class ParetoMoments:
    def __init__(self, shape, scale):
        self.shape, self.scale = mp.mpf(shape), mp.mpf(scale)

    def entropy(self):
        return mp.log(self.scale / self.shape) + 1 / self.shape + 1

    def log(self):
        return mp.log(self.scale) + 1 / self.shape

    def power(self, s):
        return self.shape * self.scale**s / (self.shape - s) if self.shape > s else mp.inf

    def absolute_deviation(self, loc):
        """Mean of |x - loc|: that of x - loc, and twice the integral of the distribution function up to loc."""
        a, low = self.shape, self.scale
        below = loc - low - low / (a - 1) * (1 - (low / loc) ** (a - 1)) if loc > low and a > 1 else 0
        return self.power(1) - loc + 2 * below


def _mean_log_gamma(p, shape, rate):
    return shape * mp.log(rate) - mp.loggamma(shape) + (shape - 1) * p.log() - rate * p.power(1)


def _mean_log_weibull(p, shape, scale):
    return mp.log(shape) - shape * mp.log(scale) + (shape - 1) * p.log() - p.power(shape) / scale**shape


def _mean_log_gumbel(p, loc, scale):
    return -mp.log(scale) - (p.power(1) - loc) / scale - mp.exp(loc / scale) * p.exponential(1 / scale)


MOMENTS = {
    "Exponential": lambda rate: GammaMoments(1, rate),
    "Gamma": GammaMoments,
    "Chi2": lambda df: GammaMoments(df / 2, mp.mpf(1) / 2),
    "Weibull": WeibullMoments,
    "Rayleigh": lambda scale: WeibullMoments(2, mp.sqrt(2) * scale),
    "Pareto": ParetoMoments,
}
MEAN_LOGS = {
    "Exponential": lambda p, rate: mp.log(rate) - rate * p.power(1),
    "Gamma": _mean_log_gamma,
    "Chi2": lambda p, df: _mean_log_gamma(p, df / 2, mp.mpf(1) / 2),
    "Weibull": _mean_log_weibull,
    "Rayleigh": lambda p, scale: _mean_log_weibull(p, mp.mpf(2), mp.sqrt(2) * scale),
    "Pareto": lambda p, shape, scale: (
        mp.log(shape) + shape * mp.log(scale) - (shape + 1) * p.log() if p.scale >= scale else -mp.inf
    ),
    "Normal": lambda p, mean, var: (
        -mp.log(2 * mp.pi * var) / 2 - (p.power(2) - 2 * mean * p.power(1) + mean**2) / (2 * var)
        if p.power(2) < mp.inf
        else -mp.inf
    ),
    "Laplace": lambda p, loc, scale: -mp.log(2 * scale) - p.absolute_deviation(loc) / scale,
    "Gumbel": _mean_log_gumbel,
}


def _from_moments(name_p, name_q):
    def kl_exact(p, q):
        with mp.workdps(DIGITS):
            moments = MOMENTS[name_p](**p)
            return -moments.entropy() - MEAN_LOGS[name_q](moments, **q)

    return kl_exact


def _kl_inverse_gamma(p, q):
    return EXACT["Gamma", "Gamma"]({"shape": p["shape"], "rate": p["scale"]}, {"shape": q["shape"], "rate": q["scale"]})


def _kl_log_normal(p, q):
    with mp.workdps(4 * DIGITS):
        ratio = p["var"] / q["var"]
        return (ratio - 1 - mp.log(ratio) + (p["mean"] - q["mean"]) ** 2 / q["var"]) / 2


def _kl_half_normal(p, q):
    with mp.workdps(DIGITS):
        ratio = (p["scale"] / q["scale"]) ** 2
        return (ratio - 1 - mp.log(ratio)) / 2


def _kl_half_cauchy(p, q):
    with mp.workdps(DIGITS):
        return mp.log((p["scale"] + q["scale"]) ** 2 / (4 * p["scale"] * q["scale"]))


def _kl_inverse_gaussian(p, q):
    """Both mean logarithms share the mean of log(x); of the exponents, those of x, 1/x and 1 are known."""
    with mp.workdps(DIGITS):
        mean, shape = p["mean"], p["shape"]
        mean_reciprocal = 1 / mean + 1 / shape
        exponent_q = q["shape"] * (mean - 2 * q["mean"] + q["mean"] ** 2 * mean_reciprocal) / (2 * q["mean"] ** 2)
        exponent_p = shape * (mean - 2 * mean + mean**2 * mean_reciprocal) / (2 * mean**2)
        return mp.log(shape / q["shape"]) / 2 + exponent_q - exponent_p


FROM_MOMENTS = [
    *((p, q) for p in ("Exponential", "Gamma", "Chi2") for q in ("Exponential", "Gamma", "Chi2")),
    *((p, q) for p in ("Exponential", "Gamma") for q in ("Normal", "Gumbel")),
    *((p, q) for p in ("Weibull", "Rayleigh") for q in ("Weibull", "Rayleigh")),
    ("Exponential", "Weibull"),
    ("Weibull", "Exponential"),
    ("Weibull", "Gamma"),
    *(("Pareto", q) for q in ("Pareto", "Exponential", "Gamma", "Normal", "Laplace")),
]
EXACT = {
    **{pair: _from_moments(*pair) for pair in FROM_MOMENTS},
    ("InverseGamma", "InverseGamma"): _kl_inverse_gamma,
    ("LogNormal", "LogNormal"): _kl_log_normal,
    ("HalfNormal", "HalfNormal"): _kl_half_normal,
    ("HalfCauchy", "HalfCauchy"): _kl_half_cauchy,
    ("InverseGaussian", "InverseGaussian"): _kl_inverse_gaussian,
}

SCALES = [1e-150, 1e-30, 1e-3, 0.7, 0.7 * (1 + 1e-8), 2.0, 1e3, 1e30, 1e150]
SHAPES = [
    (1e-6, 3.0),
    (0.3, 1e-20),
    (1.0, 1.0),
    (2.5, 2.0),
    (2.5 * (1 + 1e-8), 2.0),
    (30.0, 1e9),
    (1e4, 1e4),
    (1e9, 1e9),
]
GRID = {
    "Exponential": [{"rate": x} for x in SCALES],
    "Gamma": [{"shape": a, "rate": b} for a, b in (*SHAPES, (1e-100, 1e100), (1e100, 1e100))],
    "Chi2": [{"df": x} for x in (1e-100, 1e-3, 1.0, 2.0, 5.0, 5.0 * (1 + 1e-8), 300.0, 1e9, 1e100)],
    "InverseGamma": [{"shape": a, "scale": b} for a, b in (*SHAPES, (1e-100, 1e100), (1e100, 1e100))],
    "Weibull": [{"shape": a, "scale": b} for a, b in SHAPES[:-2]] + [{"shape": 50.0, "scale": 2.0}],
    "Rayleigh": [{"scale": x} for x in SCALES],
    "LogNormal": [
        {"mean": m, "var": v}
        for m, v in ((0.0, 1.0), (1e-8, 1.0), (1.0, 1 + 1e-8), (-700.0, 1e-5), (30.0, 100.0), (1e100, 1e-100))
    ],
    "HalfNormal": [{"scale": x} for x in SCALES],
    "HalfCauchy": [{"scale": x} for x in SCALES],
    "Pareto": [
        {"shape": a, "scale": b}
        for a, b in (
            (0.5, 2.0),
            (1.5, 1.0),
            (2.5, 1.0),
            (2.5 * (1 + 1e-8), 1 + 1e-8),
            (1e3, 7.0),
            (1e8, 1e-50),
            (9.0, 1e50),
        )
    ],
    "InverseGaussian": [
        {"mean": a, "shape": b}
        for a, b in (
            (1e-100, 1.0),
            (1e-3, 1e3),
            (1.0, 1.0),
            (1 + 1e-8, 1 - 1e-8),
            (7.0, 0.1),
            (1e50, 1e-50),
            (1e100, 1e100),
        )
    ],
}
