"""Laws that samples are drawn from: `draw(rng, n)` gives rows of shape (n, d), `log_density(x)` one number a row."""

import math
from functools import reduce

import numpy as np
from scipy import stats
from scipy.linalg import solve_triangular
from scipy.special import gammaln, logsumexp

LOG_2PI = math.log(2 * math.pi)


class Normal:
    """The normal law."""

    def __init__(self, mean, cov):
        self.mean = np.asarray(mean, dtype=float)
        self.cov = np.asarray(cov, dtype=float)
        self.d = len(self.mean)
        self.factor = np.linalg.cholesky(self.cov)
        self.spherical = not self.mean.any() and bool((self.cov == self.cov[0, 0] * np.eye(self.d)).all())

    def draw(self, rng, n):
        return self.mean + rng.standard_normal((n, self.d)) @ self.factor.T

    def log_density(self, x):
        z = solve_triangular(self.factor, (x - self.mean).T, lower=True)
        return -0.5 * ((z**2).sum(axis=0) + self.d * LOG_2PI) - np.log(np.diag(self.factor)).sum()

    def edges(self):
        """Where quadrature over the line should be cut into pieces."""
        return self.mean[0] + self.factor[0, 0] * np.array([-40, -10, -5, -2, -1, 0, 1, 2, 5, 10, 40])


class Mixture:
    """A mixture of a few laws."""

    def __init__(self, weights, laws):
        self.weights = np.asarray(weights, dtype=float) / np.sum(weights)
        self.laws = tuple(laws)
        self.d = self.laws[0].d
        self.spherical = all(law.spherical for law in self.laws)

    def draw(self, rng, n):
        label = rng.choice(len(self.laws), n, p=self.weights)
        rows = np.empty((n, self.d))
        for k, law in enumerate(self.laws):
            rows[label == k] = law.draw(rng, np.count_nonzero(label == k))
        return rows

    def log_density(self, x):
        parts = (math.log(w) + law.log_density(x) for w, law in zip(self.weights, self.laws, strict=True))
        return reduce(np.logaddexp, parts)

    def edges(self):
        return np.concatenate([law.edges() for law in self.laws])


class AggregatePosterior:
    """Equal mixture of many normal laws with independent features, like the encodings of a data set."""

    spherical = False

    def __init__(self, means, stds):
        self.means, self.stds = means, stds
        self.d = means.shape[1]

    def draw(self, rng, n):
        label = rng.integers(0, len(self.means), n)
        return self.means[label] + self.stds[label] * rng.standard_normal((n, self.d))

    def log_density(self, x):
        precision = self.stds**-2.0
        constant = -0.5 * (self.means**2 * precision + LOG_2PI).sum(axis=1) - np.log(self.stds).sum(axis=1)
        parts = x @ (self.means * precision).T - 0.5 * x**2 @ precision.T + constant
        return logsumexp(parts, axis=1) - math.log(len(self.means))


class Scalar:
    """A law of the line, given as a frozen distribution of SciPy."""

    d = 1
    spherical = False

    def __init__(self, frozen):
        self.frozen = frozen

    def draw(self, rng, n):
        return self.frozen.rvs(size=(n, 1), random_state=rng)

    def log_density(self, x):
        return self.frozen.logpdf(x[:, 0])

    def edges(self):
        """Quantiles; many of them where a tail goes on for ever."""
        low, high = self.frozen.support()
        left, right = (np.geomspace(1e-30 if math.isinf(end) else 1e-3, 0.5, 31) for end in (low, high))
        return np.concatenate([[low, high], self.frozen.ppf(left), self.frozen.isf(right)])


class Rounded:
    """The normal law of mean `mean` and variance 1, rounded to multiples of `step`; its density is a mass."""

    d = 1
    spherical = False

    def __init__(self, mean, step):
        self.normal = stats.norm(mean)
        self.step = step

    def draw(self, rng, n):
        return self.step * np.rint(self.normal.rvs(size=(n, 1), random_state=rng) / self.step)

    def log_density(self, x):
        below, above = x[:, 0] - 0.5 * self.step, x[:, 0] + 0.5 * self.step
        left = self.normal.cdf(above) - self.normal.cdf(below)
        right = self.normal.sf(below) - self.normal.sf(above)
        return np.log(np.where(x[:, 0] < self.normal.mean(), left, right))

    def support(self):
        """All values but those with less than 1e-40 of the mass."""
        centre = np.rint(self.normal.mean() / self.step)
        return self.step * (centre + np.arange(-np.ceil(14 / self.step), np.ceil(14 / self.step) + 1))


class Product:
    """Independent blocks of features."""

    spherical = False

    def __init__(self, *laws):
        self.laws = laws
        self.d = sum(law.d for law in laws)

    def draw(self, rng, n):
        return np.hstack([law.draw(rng, n) for law in self.laws])

    def log_density(self, x):
        ends = np.cumsum([law.d for law in self.laws])[:-1]
        blocks = np.split(x, ends, axis=1)
        return sum(law.log_density(block) for law, block in zip(self.laws, blocks, strict=True))


class Student:
    """The spherical Student law around 0."""

    spherical = True

    def __init__(self, df, scale, d):
        self.df, self.scale, self.d = df, scale, d

    def draw(self, rng, n):
        return self.scale * rng.standard_normal((n, self.d)) / np.sqrt(rng.chisquare(self.df, (n, 1)) / self.df)

    def log_density(self, x):
        half = 0.5 * (self.df + self.d)
        squares = (x**2).sum(axis=1) / (self.df * self.scale**2)
        constant = gammaln(half) - gammaln(0.5 * self.df) - 0.5 * self.d * math.log(math.pi * self.df * self.scale**2)
        return constant - half * np.log1p(squares)


class Dirichlet:
    """Shares that sum to 1: all of them, or all but the last."""

    spherical = False

    def __init__(self, concentration, *, all_shares):
        self.concentration = np.asarray(concentration, dtype=float)
        self.all_shares = all_shares
        self.d = len(concentration) if all_shares else len(concentration) - 1

    def draw(self, rng, n):
        return rng.dirichlet(self.concentration, n)[:, : self.d]

    def log_density(self, x):
        """With respect to all shares but the last, whichever are given."""
        free = x[:, : len(self.concentration) - 1]
        shares = np.column_stack([free, 1.0 - free.sum(axis=1)])
        norm = gammaln(self.concentration.sum()) - gammaln(self.concentration).sum()
        return norm + ((self.concentration - 1) * np.log(shares)).sum(axis=1)


class Labelled:
    """A label 0, 1, ... as the first feature, and a law of the other features for each label."""

    spherical = False

    def __init__(self, probs, laws):
        self.probs, self.laws = np.asarray(probs, dtype=float), tuple(laws)
        self.d = 1 + self.laws[0].d

    def draw(self, rng, n):
        label = rng.choice(len(self.probs), n, p=self.probs)
        rows = np.empty((n, self.d))
        for k, law in enumerate(self.laws):
            rows[label == k, 1:] = law.draw(rng, np.count_nonzero(label == k))
        rows[:, 0] = label
        return rows

    def log_density(self, x):
        parts = [math.log(w) + law.log_density(x[:, 1:]) for w, law in zip(self.probs, self.laws, strict=True)]
        return np.choose(x[:, 0].astype(int), parts)
