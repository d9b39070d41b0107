"""How certain is an estimate: moments, standard errors, intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

_JACKKNIFE_BLOCKS = 20


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of numbers; the parts of a whole can be added.

    Examples
    --------
    >>> from kltools.inference import Moments
    >>> (Moments.of([1.0, 2.0]) + Moments.of([3.0, 6.0])).variance.__round__(3)
    4.667
    """

    count: int
    mean: float
    squares: float

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        array = np.asarray(values, dtype=np.float64)
        mean = float(array.mean())
        return cls(array.size, mean, float(((array - mean) ** 2).sum()))

    def __add__(self, other: Moments) -> Moments:
        """Moments of both sets of numbers together (Chan, Golub and LeVeque 1983, eq. 2.1)."""
        count = self.count + other.count
        step = other.mean - self.mean
        return Moments(
            count,
            self.mean + step * other.count / count,
            self.squares + other.squares + step * step * self.count * other.count / count,
        )

    @property
    def variance(self) -> float:
        """Unbiased variance of one number."""
        return self.squares / (self.count - 1) if self.count > 1 else math.nan

    @property
    def standard_error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.variance / self.count)


@dataclass(frozen=True)
class Uncertainty:
    """Standard error of an estimate in nats, and the degrees of freedom it was estimated with."""

    standard_error: float
    degrees_of_freedom: float = math.inf

    def interval(self, value: float, confidence_level: float) -> tuple[float, float]:
        """Symmetric interval around the value; of a value of inf it is (nan, inf), of -inf (-inf, nan)."""
        if math.isinf(value):
            return (math.nan, value) if value > 0.0 else (value, math.nan)
        half_width = -self.standard_error * _quantile(0.5 * (1.0 - confidence_level), self.degrees_of_freedom)
        return (value - half_width, value + half_width)


UNKNOWN = Uncertainty(math.nan)


def _quantile(probability: float, degrees_of_freedom: float) -> float:
    """Quantile of Student's t, or of the normal distribution where the degrees are infinite."""
    if math.isinf(degrees_of_freedom):
        return NormalDist().inv_cdf(probability)
    from scipy.special import stdtrit  # only who asks for such an interval pays for this import

    return float(stdtrit(degrees_of_freedom, probability))


def sum_of_means(*samples: np.ndarray, degrees_of_freedom: float = math.inf) -> Uncertainty:
    """Uncertainty of a sum of means of independent samples, given the values that are averaged.

    Unknown where squares of these are beyond float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        variance = sum(Moments.of(values).variance / len(values) for values in samples)
    return Uncertainty(math.sqrt(variance), degrees_of_freedom) if math.isfinite(variance) else UNKNOWN


def random_blocks(n: int, blocks: int, rng: np.random.Generator) -> np.ndarray:
    """A random block 0 to blocks - 1 for each of n rows, in blocks of equal size (to within a row)."""
    return rng.permutation(n) % blocks


def jackknife_uncertainty(values: np.ndarray) -> Uncertainty:
    """Standard error from the values of an estimate without each of g blocks of rows.

    se^2 = (g - 1) / g sum_j (T_j - mean T)^2 (Shao and Tu 1995, eq. 2.42), with g - 1 degrees of
    freedom. Of several independent samples one block each is left out at once.
    """
    blocks = len(values)
    if not np.isfinite(values).all():
        return UNKNOWN
    return Uncertainty(math.sqrt((blocks - 1) / blocks * Moments.of(values).squares), blocks - 1)


def block_jackknife(
    statistic: Callable[..., float], samples: Sequence[np.ndarray], needed: Sequence[int], seed: int
) -> Uncertainty:
    """Standard error of a statistic of independent samples, computed anew without each of 20 random blocks.

    Unknown where fewer than the `needed` rows of some sample would be left.
    """
    blocks = min(_JACKKNIFE_BLOCKS, *(len(sample) for sample in samples))
    if blocks < 2 or any(
        len(sample) - math.ceil(len(sample) / blocks) < rows for sample, rows in zip(samples, needed, strict=True)
    ):
        return UNKNOWN
    rng = np.random.default_rng(seed)
    labels = [random_blocks(len(sample), blocks, rng) for sample in samples]
    values = [
        statistic(*(sample[label != block] for sample, label in zip(samples, labels, strict=True)))
        for block in range(blocks)
    ]
    return jackknife_uncertainty(np.array(values))
