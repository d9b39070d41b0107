"""The aggregate posterior: the mixture of the normal distributions that an encoder gives for all inputs."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from .._once import once
from .._scalar import LOG_2PI
from .._simd import constant, exp, fma, load, maximum, splat, store
from ..models.density import AT_ONCE, BLOCK, OPERATIONS_OF_EXP, lanes_for, log_density_kernel

_FAR, _NEAR = -700.0, 1e-250  # exponents that are as good as -inf, and sums that these have no part in


def random_rows(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """All of n rows, or a random part of them where they are too many, in their order."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


@dataclass(frozen=True)
class Aggregate:
    """Means and logarithms of variances of all components, (n, d), or of a random part of so many in all."""

    mu: np.ndarray
    log_var: np.ndarray
    n_total: int

    def __len__(self) -> int:
        return len(self.mu)

    @property
    def d(self) -> int:
        return self.mu.shape[1]

    @property
    def is_whole(self) -> bool:
        return len(self) == self.n_total

    @once
    def std(self) -> np.ndarray:
        return frozen(np.exp(0.5 * self.log_var))

    @once
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of each coordinate."""
        return self.mu.mean(axis=0), self.mu.var(axis=0) + np.exp(self.log_var).mean(axis=0)

    @once
    def negative_entropy(self) -> np.ndarray:
        """Mean over components of the expected log-density of each coordinate."""
        return -0.5 * (LOG_2PI + 1.0 + self.log_var.mean(axis=0))

    def take(self, rows: np.ndarray) -> Self:
        return type(self)(frozen(self.mu[rows]), frozen(self.log_var[rows]), self.n_total)

    def log_terms(self, z: np.ndarray, component: np.ndarray) -> np.ndarray:
        """Log-density of each coordinate of each row under a component of its own, to the rounding of `log_sums`."""
        value = (z - self.mu[component]) * (1.0 / self.std)[component]
        return -0.5 * (LOG_2PI + self.log_var[component]) - 0.5 * value**2


@dataclass(frozen=True)
class Groups:
    """Mixtures of parts of the components, each of about the same size, whose sums of densities add up.

    ``members`` are indices of components, (n_groups, size), and ``counts`` how many of each row are meant.
    """

    whole: Aggregate
    members: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, whole: Aggregate, order: np.ndarray, n_groups: int) -> Self:
        """Parts of the components in that order."""
        n_groups = min(n_groups, len(order))
        size = -(-len(order) // n_groups)
        bounds = np.linspace(0, len(order), n_groups + 1).astype(int)
        places = bounds[:-1, None] + np.arange(size)
        return cls(whole, order[np.minimum(places, len(order) - 1)], np.diff(bounds))

    @once
    def number(self) -> np.ndarray:
        """The group of each component."""
        number = np.empty(len(self.whole), dtype=int)
        for group, (row, count) in enumerate(zip(self.members, self.counts, strict=True)):
            number[row[:count]] = group
        return number

    def log_sums(self, z: np.ndarray, n_jobs: int) -> np.ndarray:
        """Logarithms of sums of densities over each group, (rows, n_groups)."""
        whole, members = self.whole, self.members
        constants = -0.5 * (LOG_2PI * whole.d + whole.log_var.sum(axis=1))[members]
        inner = np.arange(z.shape[0]).repeat(len(members))
        return log_sums(z, inner, self._without_filling(constants), whole.mu[members], whole.std[members], n_jobs)

    def log_sums_of_coordinates(self, z: np.ndarray, n_jobs: int) -> np.ndarray:
        """The same of each coordinate by itself, (rows, n_groups, d)."""
        n_groups, d = len(self.members), self.whole.d
        constants = self._without_filling(-0.5 * (LOG_2PI + self.whole.log_var)[self.members].transpose(2, 0, 1))
        means, stds = (a[self.members].transpose(2, 0, 1) for a in (self.whole.mu, self.whole.std))
        constants, means, stds = (a.reshape(d * n_groups, -1) for a in (constants, means, stds))
        out = _log_sums_of_one_coordinate(z, n_groups, constants, means, 1.0 / stds, n_jobs)
        if not np.isfinite(out).all():
            inner = np.arange(z.size).reshape(len(z), d).repeat(n_groups, axis=1).reshape(-1)
            out = log_sums(z.reshape(-1, 1), inner, constants, means[..., None], stds[..., None], n_jobs)
        return out.reshape(len(z), d, n_groups).transpose(0, 2, 1)

    def _without_filling(self, constants: np.ndarray) -> np.ndarray:
        """Groups that are smaller than others are filled with components of no weight."""
        filling = np.arange(self.members.shape[1]) >= self.counts[:, None]
        return np.where(filling, -math.inf, constants)


def log_sums(
    x: np.ndarray, x_row: np.ndarray, log_constants: np.ndarray, means: np.ndarray, stds: np.ndarray, n_jobs: int
) -> np.ndarray:
    """log sum_k exp(log_constant_k - |(x - mean_k) / std_k|^2 / 2), for rows and mixtures (mixtures, K, d).

    The point of row i for mixture j is that of index ``x_row[i * mixtures + j]``.
    """
    n_mixtures, n_components, d = means.shape
    n = len(x_row) // n_mixtures
    own = frozen(np.arange(n_mixtures))
    means, stds = (frozen(np.ascontiguousarray(a)) for a in (means, stds))
    out = np.empty((n, n_mixtures))
    parts = (log_constants, means, stds[:, :, None, :], frozen(1.0 / stds))
    arguments = [item for part in parts for item in (frozen(np.ascontiguousarray(part)), own)]
    cost = BLOCK * n_components * (d + OPERATIONS_OF_EXP) // AT_ONCE
    run_rows(
        log_density_kernel,
        -(-n // BLOCK) * n_mixtures,
        *(n, n_mixtures, frozen(np.ascontiguousarray(x)), frozen(x_row), *arguments, out.reshape(-1), lanes_for(n)),
        n_jobs=n_jobs,
        row_cost=cost,
    )
    return out


def _log_sums_of_one_coordinate(
    z: np.ndarray, n_groups: int, constants: np.ndarray, means: np.ndarray, inverses: np.ndarray, n_jobs: int
) -> np.ndarray:
    """The same for mixtures of one coordinate each, n_groups for one of z; -inf where nothing is near the row.

    All terms are relative to the largest that there can be, without a look at the row.
    """
    n, lanes = len(z), lanes_for(len(z))
    width = lanes.value
    rows = np.minimum(np.arange(-(-n // width) * width), n - 1)
    columns = z[rows].reshape(-1, width, z.shape[1]).transpose(0, 2, 1)
    level = constants.max(axis=1)
    inputs = (columns, constants - level[:, None], means, inverses)
    out = np.empty((len(columns), len(means), width))
    run_rows(
        _coordinate_kernel,
        len(columns) * len(means),
        *(frozen(np.ascontiguousarray(a)) for a in inputs),
        *(n_groups, out, lanes),
        n_jobs=n_jobs,
        row_cost=width * means.shape[1] * OPERATIONS_OF_EXP // AT_ONCE,
    )
    sums = out.transpose(0, 2, 1).reshape(-1, len(means))[:n]
    with np.errstate(divide="ignore"):
        return level + np.log(np.where(sums > _NEAR, sums, 0.0))


@jit
def _coordinate_kernel(start, stop, columns, constants, means, inverses, n_groups, out, lanes):
    """Sums of exponentials of numbers that are at most 0; what is below all that counts is told from no more."""
    width, n_mixtures = constant(lanes), means.shape[0]
    for block in range(start, stop):
        mixture = block % n_mixtures
        x = load(columns, (block // n_mixtures * columns.shape[1] + mixture // n_groups) * width, lanes)
        total = splat(0.0, lanes)
        for k in range(means.shape[1]):
            value = (x - means[mixture, k]) * inverses[mixture, k]
            term = fma(value * -0.5, value, splat(constants[mixture, k], lanes))
            total = total + exp(maximum(term, _FAR))
        store(out, block * width, total)
