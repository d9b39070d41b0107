"""Data of every kind that a sample can be: generators and hypothesis strategies.

A generator is a function ``(rng, n, d)``; samples of one kind are drawn from one distribution, so that two
of them are a P and a Q that agree.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st


def normal(rng, n, d):
    return rng.standard_normal((n, d))


def integer_lattice(rng, n, d):
    return rng.integers(-3, 4, (n, d)).astype(float)


def tenth_grid(rng, n, d):
    return np.round(rng.standard_normal((n, d)), 1)


def constant_column(rng, n, d):
    X = rng.standard_normal((n, d))
    X[:, -1] = 0.3
    return X


def cauchy(rng, n, d):
    return rng.standard_cauchy((n, d))


def offset_1e7(rng, n, d):
    return 1e7 + rng.standard_normal((n, d))


def offset_1e15(rng, n, d):
    return 1e15 + 100.0 * rng.standard_normal((n, d))


def tight_clusters(rng, n, d):
    centers = np.random.default_rng(7).standard_normal((3, d))
    return centers[rng.integers(0, 3, n)] + 1e-9 * rng.standard_normal((n, d))


def collinear(rng, n, d):
    return rng.standard_normal((n, 1)) * np.arange(1.0, d + 1.0)


def duplicated_rows(rng, n, d):
    rows = np.random.default_rng(8).standard_normal((max(2, n // 3), d))
    return rows[rng.integers(0, len(rows), n)]


def scaled_up(rng, n, d):
    return rng.standard_normal((n, d)) * 1e200


def scaled_down(rng, n, d):
    return rng.standard_normal((n, d)) * 1e-200


def wide_range(rng, n, d):
    """Numbers around 1e-170, whose squares underflow, beside numbers around 1."""
    return rng.standard_normal((n, d)) * np.where(rng.random((n, d)) < 0.5, 1e-170, 1.0)


def single_precision(rng, n, d):
    return rng.standard_normal((n, d)).astype(np.float32)


def largest(rng, n, d):
    return 1.7e308 * rng.uniform(-1.0, 1.0, (n, d))


def subnormal(rng, n, d):
    return 5e-324 * rng.integers(-9, 10, (n, d))


KINDS = {
    f.__name__: f
    for f in (
        normal,
        integer_lattice,
        tenth_grid,
        constant_column,
        cauchy,
        offset_1e7,
        offset_1e15,
        tight_clusters,
        collinear,
        duplicated_rows,
        scaled_up,
        scaled_down,
        wide_range,
        single_precision,
        largest,
        subnormal,
    )
}

# squares of their differences leave float64: only exact arithmetic is an oracle for them
EXTREME = ("scaled_up", "scaled_down", "wide_range", "largest", "subnormal")
# no distance and no coordinate of these repeats, but by the rarest chance
GENERIC = ("normal", "cauchy", "offset_1e7", "single_precision", "scaled_up", "scaled_down")


def sample(kind, n, d, seed=0):
    return KINDS[kind](np.random.default_rng(seed), n, d)


@dataclass(frozen=True)
class Pair:
    """Two samples of one kind; the repr is all that is needed to draw them again."""

    kind: str
    n: int
    m: int
    d: int
    seed: int

    @property
    def samples(self):
        rng = np.random.default_rng(self.seed)
        return KINDS[self.kind](rng, self.n, self.d), KINDS[self.kind](rng, self.m, self.d)


def pairs(kinds=tuple(KINDS), max_rows=60, max_features=5, min_rows=2):
    """Pairs of samples, of unequal sizes more often than not."""
    rows = st.integers(min_rows, max_rows)
    return st.builds(
        Pair,
        kind=st.sampled_from(kinds),
        n=rows,
        m=rows,
        d=st.integers(1, max_features),
        seed=st.integers(0, 2**16),
    )


def tensor(a, **options):
    """A tensor of torch; without torch the test is skipped."""
    return pytest.importorskip("torch").tensor(a, **options)
