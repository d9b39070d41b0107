"""Means over draws of the aggregate posterior, of what is known but for such means."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .aggregate import Aggregate

_BLOCK_NUMBERS = 2**20  # coordinates drawn at a time


@dataclass(frozen=True)
class Draws:
    """Rows z of the aggregate posterior, each from a component of its own, with the noise they are made of."""

    component: np.ndarray
    noise: np.ndarray
    z: np.ndarray


class Plan:
    """Which components are drawn from: all equally often, or as many as there are draws, once each."""

    def __init__(self, whole: Aggregate, n_samples: int, rng: np.random.Generator):
        self._whole, self._rng = whole, rng
        self.each = -(-n_samples // len(whole)) if n_samples > len(whole) else 1
        if self.each > 1:
            self.components = np.arange(len(whole)).repeat(self.each)
        else:
            self.components = np.sort(rng.choice(len(whole), n_samples, replace=False))

    @property
    def is_of_all(self) -> bool:
        """Whether there are draws from every component of the aggregate posterior."""
        return self._whole.is_whole and len(self.components) >= len(self._whole)

    def blocks(self) -> Iterator[Draws]:
        """Draws of one component are in one block."""
        rows = max(1, _BLOCK_NUMBERS // (self._whole.d * self.each)) * self.each
        for start in range(0, len(self.components), rows):
            component = self.components[start : start + rows]
            noise = self._rng.standard_normal((len(component), self._whole.d))
            yield Draws(component, noise, self._whole.mu[component] + self._whole.std[component] * noise)


class Means:
    """Mean of each column over the draws of a plan, which come in blocks, and its standard error.

    Where every component is drawn from more than once only the variance within components counts. Else it is that of
    the means of components, which is more than there is where they are many of all.
    """

    def __init__(self, plan: Plan):
        self._each, self._within = plan.each, plan.each > 1 and plan.is_of_all
        self._count = 0
        self._sum = self._squares = self._shift = np.zeros(0)

    def add(self, values: np.ndarray) -> None:
        """Rows of draws, with columns of quantities."""
        if self._count == 0:
            mean = values.mean(axis=0)
            self._shift = np.where(np.isfinite(mean), mean, 0.0)
            self._sum = self._squares = np.zeros_like(self._shift)
        groups = (values - self._shift).reshape(-1, self._each, values.shape[1])
        means = groups.mean(axis=1)
        self._count += len(means)
        self._sum = self._sum + means.sum(axis=0)
        rest = groups - means[:, None] if self._within else means[:, None]
        self._squares = self._squares + (rest**2).sum(axis=(0, 1))

    @property
    def values(self) -> np.ndarray:
        return self._shift + self._sum / self._count

    @property
    def standard_errors(self) -> np.ndarray:
        """Of the means; nan where one component was drawn from once."""
        if self._within:
            return np.sqrt(self._squares / (self._each - 1) / self._each) / self._count
        if self._count == 1:
            return np.full(len(self._sum), math.nan)
        squares = np.maximum(self._squares - self._sum**2 / self._count, 0.0)
        return np.sqrt(squares / (self._count - 1) / self._count)


class Controls:
    """Two quantities with known means of 0, which much of the noise of log-densities is a multiple of.

    They are the deviations from their means, given the component, of log q(z|x) and of the log-density of the normal
    distribution with the moments of the aggregate. How much of them to subtract is learnt from the first block.
    """

    def __init__(self, whole: Aggregate, each: int):
        self._whole, self._each = whole, each
        self._coefficients: np.ndarray | None = None

    def of(self, draws: Draws) -> np.ndarray:
        """(2, rows, d + 1): of each coordinate, and of all together."""
        whole = self._whole
        mean, var = whole.moments
        std = whole.std[draws.component]
        step, away = std * draws.noise, whole.mu[draws.component] - mean
        with np.errstate(divide="ignore"):
            second = -0.5 * (2.0 * away * step + step**2 - std**2) / var
        second = np.where(np.isfinite(second), second, 0.0)  # squares beyond float64 control nothing
        parts = np.stack([-0.5 * (draws.noise**2 - 1.0), second])
        return np.concatenate([parts, parts.sum(axis=2, keepdims=True)], axis=2)

    def rid(self, values: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Columns without the noise that the controls of the same columns explain."""
        if self._coefficients is None:
            self._coefficients = self._fit(values, controls)
        return values - np.einsum("kj,kij->ij", self._coefficients, controls)

    def _fit(self, values: np.ndarray, controls: np.ndarray) -> np.ndarray:
        everything = np.concatenate([values[None], controls])
        groups = everything.reshape(3, -1, self._each if self._each > 1 else values.shape[0], values.shape[1])
        centred = groups - groups.mean(axis=2, keepdims=True)
        products = np.einsum("agrj,bgrj->jab", centred, centred)
        inverses = np.linalg.pinv(products[:, 1:, 1:], rcond=1e-10, hermitian=True)
        coefficients = np.einsum("jab,jb->aj", inverses, products[:, 1:, 0])
        return np.where(np.isfinite(coefficients), coefficients, 0.0)  # nothing explains what is infinite
