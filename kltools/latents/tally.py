"""Exact means over all rows of what encoders put out, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from .._scalar import LOG_2PI
from .priors import Prior

_BLOCK_NUMBERS = 2**20


@dataclass(frozen=True)
class Tally:
    """Means over n rows, of each unit where they are arrays; tallies of parts of the rows can be added.

    ``kl`` and ``kl_of_units`` are nan where the prior has no formula. ``by_label`` has pairs of a count and a mean KL.
    """

    n: int
    mu: np.ndarray
    mu_squares: np.ndarray
    var: np.ndarray
    log_var: np.ndarray
    kl: float
    kl_of_units: np.ndarray
    by_label: dict[Any, tuple[int, float]] = field(default_factory=dict)

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")  # inf is an answer
    def of(cls, mu: np.ndarray, log_var: np.ndarray, prior: Prior, labels: np.ndarray | None) -> Self:
        """Of some rows, in blocks that bound the memory."""
        total: Self | None = None
        for block in _blocks(*mu.shape):
            part = cls._of_block(mu[block], log_var[block], prior, None if labels is None else labels[block])
            total = part if total is None else total + part
        assert total is not None
        return total

    @classmethod
    def _of_block(cls, mu: np.ndarray, log_var: np.ndarray, prior: Prior, labels: np.ndarray | None) -> Self:
        n, d = mu.shape
        rows, units = np.full(n, math.nan), np.full((n, d), math.nan)
        if prior.has_formula:
            rows, units = prior.exact(mu, log_var)
        var, mean = np.exp(log_var).mean(axis=0), mu.mean(axis=0)
        squares = ((mu - mean) ** 2).sum(axis=0)
        return cls(
            *(n, mean, squares, var, log_var.mean(axis=0), float(rows.mean()), units.mean(axis=0)),
            by_label={} if labels is None else _by_label(rows, labels),
        )

    @np.errstate(over="ignore", invalid="ignore")
    def __add__(self, other: Tally) -> Self:
        """Of both sets of rows together (Chan, Golub and LeVeque 1983, eq. 2.1)."""
        n = self.n + other.n
        step, share = other.mu - self.mu, other.n / n

        def mean(mine: Any, its: Any) -> Any:
            return mine * (1.0 - share) + its * share

        return type(self)(
            n,
            mean(self.mu, other.mu),
            self.mu_squares + other.mu_squares + step**2 * self.n * share,
            mean(self.var, other.var),
            mean(self.log_var, other.log_var),
            mean(self.kl, other.kl),
            mean(self.kl_of_units, other.kl_of_units),
            _added(self.by_label, other.by_label),
        )

    @property
    def mu_variance(self) -> np.ndarray:
        return self.mu_squares / self.n

    @property
    def negative_entropy(self) -> np.ndarray:
        """Mean over rows of the expected log-density of each coordinate under its own posterior."""
        return -0.5 * (LOG_2PI + 1.0 + self.log_var)


def _blocks(n: int, d: int) -> Iterator[slice]:
    rows = max(1, _BLOCK_NUMBERS // d)
    return (slice(start, start + rows) for start in range(0, n, rows))


def _by_label(kl: np.ndarray, labels: np.ndarray) -> dict[Any, tuple[int, float]]:
    found = {}
    for label in np.unique(labels).tolist():
        rows = kl[labels == label]
        found[label] = (len(rows), float(rows.mean()))
    return found


def _added(mine: dict[Any, tuple[int, float]], its: dict[Any, tuple[int, float]]) -> dict[Any, tuple[int, float]]:
    both = dict(mine)
    for label, (count, value) in its.items():
        other_count, other = both.get(label, (0, 0.0))
        both[label] = (count + other_count, (count * value + other_count * other) / (count + other_count))
    return both
