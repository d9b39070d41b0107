"""Pairs of laws with a known divergence, and how samples of them are drawn.

Run as a script, it lists them.
"""

import functools
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import truths
from laws import AggregatePosterior, Dirichlet, Labelled, Mixture, Normal, Product, Rounded, Scalar, Student
from scipy import stats
from scipy.special import ndtr


@dataclass(frozen=True)
class Task:
    """Samples X ~ P of n rows, Y ~ Q of `ratio` n rows; one invertible `map` is applied to both."""

    name: str
    group: str
    p: Any
    q: Any
    map: Callable[[np.ndarray], np.ndarray] | None = None
    ratio: float = 1.0
    distinct: float = 1.0  # rows of X are drawn with repetition from this share of them
    untied: str | None = None  # the same task without ties

    @property
    def d(self) -> int:
        return self.p.d

    @property
    def truth(self) -> truths.Truth:
        return stored_truths()[self.name]

    def sample(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([zlib.crc32(self.name.encode()), n, seed])
        X, Y = self.p.draw(rng, n), self.q.draw(rng, round(n * self.ratio))
        if self.distinct < 1:
            X = X[rng.integers(0, round(self.distinct * n), n)]
        return (X, Y) if self.map is None else (self.map(X), self.map(Y))


@functools.cache
def stored_truths() -> dict[str, truths.Truth]:
    return truths.stored()


# ---------------------------------------------------------------- parts of laws


def away(d: int, distance: float) -> np.ndarray:
    """A point at this distance from 0, the same in every feature."""
    return np.full(d, distance / math.sqrt(d))


def decaying(d: int, correlation: float) -> np.ndarray:
    """Correlations that fall off with the distance between features."""
    return correlation ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))


def random_cov(seed: int, d: int, df: int | None = None) -> np.ndarray:
    """Covariance of `df` standard normal rows."""
    rows = np.random.default_rng(seed).standard_normal((d, df or 3 * d))
    return rows @ rows.T / rows.shape[1]


def normal(d: int, distance: float = 0.0, cov: Any = 1.0) -> Normal:
    """A normal law at a distance from 0; `cov` is a matrix, or a variance for all features."""
    return Normal(away(d, distance), np.eye(d) * cov if np.isscalar(cov) else cov)


def random_mixture(seed: int, d: int, spread: float) -> Mixture:
    rng = np.random.default_rng(seed)
    weights, means = rng.uniform(0.5, 1.5, 3), spread * rng.standard_normal((3, d))
    return Mixture(weights, [Normal(mean, random_cov(100 * seed + k, d)) for k, mean in enumerate(means)])


def normals(*parts: tuple[float, Any, Any]) -> Mixture:
    """A mixture of normal laws, given as weight, mean and variances."""
    return Mixture([part[0] for part in parts], [Normal(mean, np.diag(var)) for _, mean, var in parts])


def necklace(beads: int, radius: float, std: float) -> Mixture:
    angles = 2 * math.pi * np.arange(beads) / beads
    means = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    return Mixture(np.ones(beads), [Normal(mean, std**2 * np.eye(2)) for mean in means])


def posterior(seed: int, d: int, active: int, std: float = 0.35, encodings: int = 200) -> AggregatePosterior:
    """Encodings that tell the data apart in `active` features, and follow the prior in the others."""
    rng = np.random.default_rng(seed)
    means, stds = np.zeros((encodings, d)), np.ones((encodings, d))
    means[:, :active] = 0.95 * math.sqrt(1 - std**2) * rng.standard_normal((encodings, active)) + 0.15
    stds[:, :active] = std * np.exp(0.2 * rng.standard_normal((encodings, active)))
    means[:, active:] = 0.05 * rng.standard_normal((encodings, d - active))
    stds[:, active:] = 1 - 0.02 * rng.random((encodings, d - active))
    return AggregatePosterior(means, stds)


def times(d: int, law: Any) -> Product:
    return Product(*[law] * d)


# ---------------------------------------------------------------- invertible maps


def swirl(z):
    """Turn every point by 1.5 times its distance from 0."""
    turn = 1.5 * np.hypot(z[:, 0], z[:, 1])
    cos, sin = np.cos(turn), np.sin(turn)
    return np.column_stack([cos * z[:, 0] - sin * z[:, 1], sin * z[:, 0] + cos * z[:, 1]])


def banana(z):
    return np.column_stack([z[:, :1], z[:, 1:] + z[:, :1] ** 2 - 1])


def moons(z):
    """The first feature as a wave in the second: two facing half-moons."""
    return np.column_stack([z[:, 0], z[:, 1] + 1.5 * np.sin(z[:, 0])])


def ring(z):
    """The first feature as an angle, the second as the logarithm of the radius."""
    angle, radius = 2 * math.pi * ndtr(z[:, 0]), np.exp(0.15 * z[:, 1])
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def unequal_scales(z):
    return z * 10.0 ** np.linspace(-3, 3, z.shape[1])


# ---------------------------------------------------------------- the tasks

SKEWED = (
    (Scalar(stats.gamma(2)), Scalar(stats.gamma(3, scale=0.8))),
    (Scalar(stats.gamma(0.8)), Scalar(stats.gamma(1))),
    (Scalar(stats.gamma(5)), Scalar(stats.gamma(4, scale=1.5))),
)
LIST = [
    Task("normal1_shift", "normal", normal(1), normal(1, 1)),
    Task("normal1_scale", "normal", normal(1), normal(1, 0.5, 4)),
    Task("normal2_shift", "normal", normal(2), normal(2, 1)),
    Task("normal2_correlated", "normal", normal(2, 0, decaying(2, 0.9)), normal(2)),
    Task("normal2_wide", "normal", normal(2, 0, 2.25), normal(2)),
    Task("normal3_wider", "normal", normal(3), normal(3, 1, 1.5)),
    Task("normal5_shift", "normal", normal(5), normal(5, 1)),
    Task("normal5_same", "normal", normal(5), normal(5)),
    Task("normal5_near", "normal", normal(5), normal(5, 0.1, 1.05)),
    Task("normal5_large", "normal", normal(5, 0, 0.5 * random_cov(3, 5)), normal(5, 3.5)),
    Task("normal8_same", "normal", normal(8, 0, decaying(8, 0.5)), normal(8, 0, decaying(8, 0.5))),
    Task("normal10_random", "normal", normal(10, 0, random_cov(1, 10)), normal(10, 0.5, random_cov(2, 10, 40))),
    Task("normal10_large", "normal", normal(10), normal(10, 4.5, decaying(10, 0.3))),
    Task("normal20_shift", "normal", normal(20), normal(20, 1.4)),
    Task("normal20_correlated", "normal", normal(20, 0, decaying(20, 0.5)), normal(20)),
    Task("normal50_correlated", "normal", normal(50, 0, decaying(50, 0.3)), normal(50, 0.5)),
    Task("normal64_scale", "normal", normal(64), normal(64, 0.5, 1.2)),
    Task("exponential1", "line", Scalar(stats.expon()), Scalar(stats.expon(scale=2))),
    Task("gamma1", "line", Scalar(stats.gamma(2)), Scalar(stats.gamma(3, scale=0.8))),
    Task("lognormal1", "line", Scalar(stats.lognorm(1)), Scalar(stats.lognorm(1.3, scale=math.exp(0.5)))),
    Task("weibull1", "line", Scalar(stats.weibull_min(2)), Scalar(stats.weibull_min(1.3, scale=1.2))),
    Task("pareto1", "line", Scalar(stats.pareto(3)), Scalar(stats.pareto(1.5))),
    Task("laplace1", "line", Scalar(stats.laplace()), Scalar(stats.laplace(0.5, 1.5))),
    Task("logistic1", "line", Scalar(stats.logistic()), Scalar(stats.logistic(1, 1.4))),
    Task("gumbel1", "line", Scalar(stats.gumbel_r()), Scalar(stats.gumbel_r(0.5, 1.5))),
    Task("normal_t1", "line", Scalar(stats.norm()), Scalar(stats.t(3))),
    Task("t1", "line", Scalar(stats.t(3)), Scalar(stats.t(3, 0.5, 2))),
    Task("beta1_uniform", "line", Scalar(stats.beta(2, 3)), Scalar(stats.uniform())),
    Task("uniform1_inside", "line", Scalar(stats.uniform(0.25, 0.5)), Scalar(stats.uniform())),
    Task("mixture1", "line", normals((1, [-1.5], [0.25]), (1, [1.5], [0.25])), normal(1, 0, 4)),
    Task("exponential3", "product", times(3, Scalar(stats.expon())), times(3, Scalar(stats.expon(scale=1.5)))),
    Task("gamma3", "product", Product(*[a for a, _ in SKEWED]), Product(*[b for _, b in SKEWED])),
    Task("uniform3_inside", "product", times(3, Scalar(stats.uniform(0.1, 0.8))), times(3, Scalar(stats.uniform()))),
    Task("beta5_uniform", "product", times(5, Scalar(stats.beta(2, 3))), times(5, Scalar(stats.uniform()))),
    Task("laplace10", "product", times(10, Scalar(stats.laplace())), times(10, Scalar(stats.laplace(0.2, 1.2)))),
    Task("t3_normal", "tails", Student(5, 1, 3), normal(3, 0, 1.6)),
    Task("normal5_t", "tails", normal(5), Student(3, 1, 5)),
    Task("t10", "tails", Student(8, 1, 10), Student(4, 1.2, 10)),
    Task("dirichlet3", "simplex", *(Dirichlet(a, all_shares=False) for a in ([2, 3, 4, 5], [2, 2, 2, 2]))),
    Task("simplex3", "simplex", *(Dirichlet(a, all_shares=True) for a in ([4, 2, 3], [1.5, 1.5, 1.5]))),
    Task("necklace2", "mixture", necklace(6, 3, 0.5), normal(2, 0, 6)),
    Task(
        "scales2",
        "mixture",
        normals((0.5, [0, 0], [1, 1]), (0.5, [0, 0], [1e-4, 1e-4])),
        normals((0.8, [0, 0], [1, 1]), (0.2, [0, 0], [4e-4, 4e-4])),
    ),
    Task(
        "scales3",
        "mixture",
        normals((0.6, [0, 0, 0], [1, 1, 1]), (0.4, [0, 0, 0], [0.01] * 3)),
        normals((0.7, [0, 0, 0], [4, 4, 4]), (0.3, [0, 0, 0], [0.04] * 3)),
    ),
    Task("mixture5", "mixture", random_mixture(5, 5, 1.5), random_mixture(6, 5, 1.5)),
    Task("mixture10_normal", "mixture", random_mixture(7, 10, 1), normal(10, 0, 2)),
    Task("cube2", "map", normal(2, 0, decaying(2, 0.6)), normal(2, 1), lambda z: z**3),
    Task("asinh5", "map", normal(5, 0, random_cov(4, 5)), normal(5, 1), lambda z: np.arcsinh(3 * z)),
    Task("lognormal3", "map", normal(3, 0, decaying(3, 0.5)), normal(3, 0.6, 1.3), np.exp),
    Task("spiral2", "map", normal(2, 0, np.diag([1, 0.3])), normal(2, 0.8), swirl),
    Task("banana2", "map", normal(2, 0, np.diag([1, 0.2])), normal(2, 0.5, np.diag([1.2, 0.3])), banana),
    Task("ring2", "map", normal(2), normal(2, 0.7, np.diag([0.8, 1.5])), ring),
    Task(
        "moons2",
        "map",
        Product(normals((1, [-1.6], [0.5]), (1, [1.6], [0.5])), normal(1, 0, 0.02)),
        Product(normal(1, 0, 4), normal(1, 0, 0.06)),
        moons,
    ),
    Task("scales5", "map", normal(5, 0, decaying(5, 0.7)), normal(5, 0.7), unequal_scales),
    Task("posterior2", "posterior", posterior(1, 2, 2), normal(2)),
    Task("posterior8", "posterior", posterior(2, 8, 3), normal(8)),
    Task("posterior32", "posterior", posterior(3, 32, 4), normal(32)),
    Task(
        "rounded2",
        "ties",
        times(2, Rounded(0, 0.1)),
        times(2, Rounded(math.sqrt(0.5), 0.1)),
        untied="normal2_shift",
    ),
    Task("repeated3", "ties", normal(3), normal(3, 1, 1.5), distinct=0.7, untied="normal3_wider"),
    Task(
        "labels3",
        "ties",
        Labelled([0.3, 0.7], [normal(2), normal(2, 1)]),
        Labelled([0.5, 0.5], [normal(2), normal(2, 1.5, 1.3)]),
    ),
    Task("unequal3", "sizes", normal(3, 0, random_cov(8, 3)), normal(3, 1), ratio=8),
    Task("unequal5", "sizes", normal(5), normal(5, 1), ratio=0.25),
    Task("unequal2_laplace", "sizes", times(2, Scalar(stats.laplace())), times(2, Scalar(stats.laplace(0.5))), ratio=5),
]
TASKS = {task.name: task for task in LIST}


def main() -> None:
    for task in LIST:
        truth = task.truth
        print(f"{task.name:20} {task.group:10} d {task.d:2}  KL {truth.value:.6g} +- {truth.error:.1g}, {truth.how}")


if __name__ == "__main__":
    main()
