"""Closed forms as textbooks print them and most libraries evaluate them, with NumPy and scipy.special."""

import numpy as np
from scipy.special import betaln, digamma, gammaln, i0e, i1e, xlogy

EULER = np.euler_gamma


def normal(p, q):
    return 0.5 * (np.log(q["var"] / p["var"]) + (p["var"] + (p["mean"] - q["mean"]) ** 2) / q["var"] - 1)


def diagonal(p, q):
    return normal(p, q).sum()


def full(p, q):
    inverse, shift = np.linalg.inv(q["cov"]), q["mean"] - p["mean"]
    log_dets = np.linalg.slogdet(q["cov"])[1] - np.linalg.slogdet(p["cov"])[1]
    return 0.5 * (log_dets + np.trace(inverse @ p["cov"]) + shift @ inverse @ shift - len(shift))


def gamma(p, q):
    return (
        (p["shape"] - q["shape"]) * digamma(p["shape"])
        - gammaln(p["shape"])
        + gammaln(q["shape"])
        + q["shape"] * (np.log(p["rate"]) - np.log(q["rate"]))
        + p["shape"] * (q["rate"] / p["rate"] - 1)
    )


def inverse_gamma(p, q):
    return gamma({"shape": p["shape"], "rate": p["scale"]}, {"shape": q["shape"], "rate": q["scale"]})


def chi2(p, q):
    return gamma({"shape": p["df"] / 2, "rate": 0.5}, {"shape": q["df"] / 2, "rate": 0.5})


def exponential(p, q):
    return np.log(p["rate"]) - np.log(q["rate"]) + q["rate"] / p["rate"] - 1


def beta(p, q):
    a, b = p["alpha"], p["beta"]
    return (
        betaln(q["alpha"], q["beta"])
        - betaln(a, b)
        + (a - q["alpha"]) * digamma(a)
        + (b - q["beta"]) * digamma(b)
        + (q["alpha"] - a + q["beta"] - b) * digamma(a + b)
    )


def dirichlet(p, q):
    a, b = p["concentration"], q["concentration"]
    log_norms = gammaln(a.sum()) - gammaln(b.sum()) - (gammaln(a) - gammaln(b)).sum()
    return log_norms + ((a - b) * (digamma(a) - digamma(a.sum()))).sum()


def laplace(p, q):
    distance = np.abs(p["loc"] - q["loc"])
    ratio = p["scale"] / q["scale"]
    return -np.log(ratio) + distance / q["scale"] + ratio * np.exp(-distance / p["scale"]) - 1


def gumbel(p, q):
    ratio = p["scale"] / q["scale"]
    return (
        -np.log(ratio)
        + EULER * (ratio - 1)
        + np.exp((q["loc"] - p["loc"]) / q["scale"] + gammaln(ratio + 1))
        - 1
        + (p["loc"] - q["loc"]) / q["scale"]
    )


def cauchy(p, q):
    return np.log(((p["scale"] + q["scale"]) ** 2 + (p["loc"] - q["loc"]) ** 2) / (4 * p["scale"] * q["scale"]))


def half_normal(p, q):
    return normal({"mean": 0.0, "var": p["scale"] ** 2}, {"mean": 0.0, "var": q["scale"] ** 2})


def weibull(p, q):
    k, j, ratio = p["shape"], q["shape"], q["shape"] / p["shape"]
    return (
        np.log(k / p["scale"] ** k)
        - np.log(j / q["scale"] ** j)
        + (k - j) * (np.log(p["scale"]) - EULER / k)
        + (p["scale"] / q["scale"]) ** j * np.exp(gammaln(ratio + 1))
        - 1
    )


def poisson(p, q):
    return p["rate"] * (np.log(p["rate"]) - np.log(q["rate"])) - (p["rate"] - q["rate"])


def bernoulli(p, q):
    a, b = p["probs"], q["probs"]
    return xlogy(a, a / b) + xlogy(1 - a, (1 - a) / (1 - b))


def binomial(p, q):
    return p["n"] * bernoulli(p, q) if p["n"] == q["n"] else np.nan


def geometric(p, q):
    return bernoulli(p, q) / p["probs"]


def categorical(p, q):
    return xlogy(p["probs"], p["probs"] / q["probs"]).sum()


def pareto(p, q):
    ratio = p["scale"] / q["scale"]
    if ratio < 1:
        return np.inf
    return q["shape"] * np.log(ratio) - np.log(q["shape"] / p["shape"]) + q["shape"] / p["shape"] - 1


def von_mises(p, q):
    a, b = p["concentration"], q["concentration"]
    mean_cosine = i1e(a) / i0e(a)
    return mean_cosine * (a - b * np.cos(p["loc"] - q["loc"])) + np.log(i0e(b) / i0e(a)) + (b - a)


FORMULAS = {
    "Bernoulli": bernoulli,
    "Beta": beta,
    "Binomial": binomial,
    "Categorical": categorical,
    "Cauchy": cauchy,
    "Chi2": chi2,
    "Dirichlet": dirichlet,
    "Exponential": exponential,
    "Gamma": gamma,
    "Geometric": geometric,
    "Gumbel": gumbel,
    "HalfNormal": half_normal,
    "InverseGamma": inverse_gamma,
    "Laplace": laplace,
    "LogNormal": normal,
    "MultivariateNormal": full,
    "MultivariateNormalDiag": diagonal,
    "Normal": normal,
    "Pareto": pareto,
    "Poisson": poisson,
    "VonMises": von_mises,
    "Weibull": weibull,
}
