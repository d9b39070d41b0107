"""How certain is an estimate: moments, standard errors, intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

JACKKNIFE_BLOCKS = 20


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


def rows_left(n_rows: Sequence[int]) -> list[int]:
    """How many of the rows of each sample the jackknife leaves, at least, where it leaves out a block."""
    blocks = min(JACKKNIFE_BLOCKS, *n_rows)
    return [rows - math.ceil(rows / blocks) for rows in n_rows]


def block_jackknife(
    statistic: Callable[..., float], samples: Sequence[np.ndarray], needed: Sequence[int], seed: int
) -> Uncertainty:
    """Standard error of a statistic of independent samples, computed anew without each of 20 random blocks.

    Unknown where fewer than the `needed` rows of some sample would be left.
    """
    n_rows = [len(sample) for sample in samples]
    blocks = min(JACKKNIFE_BLOCKS, *n_rows)
    if blocks < 2 or any(left < rows for left, rows in zip(rows_left(n_rows), needed, strict=True)):
        return UNKNOWN
    rng = np.random.default_rng(seed)
    labels = [random_blocks(len(sample), blocks, rng) for sample in samples]
    values = [
        statistic(*(sample[label != block] for sample, label in zip(samples, labels, strict=True)))
        for block in range(blocks)
    ]
    return jackknife_uncertainty(np.array(values))


@dataclass(frozen=True)
class ScaledChiSquared(Uncertainty):
    """Uncertainty of a divergence: smooth distributions of counts leave it between a chi-squared and a normal law.

    An estimate without correction, ``divergence + bias``, is taken for `scale` times a noncentral chi-squared
    number with ``bias / scale`` degrees of freedom and the noncentrality D / scale. With a scale of V / (4 D),
    where V is the first-order variance, both of its moments are right, far from D = 0, where that is a normal
    law, and at 0, where V vanishes and the law is that of the G statistic.
    """

    divergence: float = math.nan
    bias: float = math.nan
    scale: float = math.nan

    @classmethod
    def of(cls, divergence: float, bias: float, scale: float) -> ScaledChiSquared:
        """From an estimate without bias, the bias that it is rid of, and the scale."""
        variance = 2.0 * scale * (2.0 * max(divergence, 0.0) + bias)
        return cls(math.sqrt(variance), math.inf, divergence, bias, scale)

    def interval(self, value: float, confidence_level: float) -> tuple[float, float]:
        """All divergences of which the estimate is no surprise, whichever value was made of the counts.

        Next to 0, where no estimate is too small, the whole error is spent on those that are too large: the
        interval leaves 0 out just where a one-sided test rejects it, and never ends below what an estimate
        of 0 leaves possible.
        """
        if math.isinf(value):
            return super().interval(value, confidence_level)
        alpha, raw = 1.0 - confidence_level, max(self.divergence + self.bias, 0.0)
        high = self._truth(max(raw, self.bias), 0.5 * alpha)
        low = max(self._truth(raw, 1.0 - 0.5 * alpha), self._truth(self.bias, 0.5 * alpha))
        return (min(low, self._truth(raw, 1.0 - alpha)), high)

    def _truth(self, raw: float, probability: float) -> float:
        """The divergence for which an uncorrected estimate is `raw` or less with that probability; 0 for none."""
        return self.scale * _noncentrality(raw / self.scale, self.bias / self.scale, probability)


@dataclass(frozen=True)
class Deficit(Uncertainty):
    """Uncertainty of a quantity that is `top` less a divergence, which is 0 where the quantity is greatest."""

    below: ScaledChiSquared = field(kw_only=True)
    top: float = field(kw_only=True)

    @classmethod
    def of(cls, below: ScaledChiSquared, top: float) -> Deficit:
        return cls(below.standard_error, below=below, top=top)

    def interval(self, value: float, confidence_level: float) -> tuple[float, float]:
        low, high = self.below.interval(value, confidence_level)
        return (self.top - high, self.top - low)


@dataclass(frozen=True)
class Combined(Uncertainty):
    """Errors of independent causes in one estimate: the distances of their ends are added in quadrature.

    The first has an interval of its own around `center`, to which `plus` is added; the second is normal; the third,
    what an observation too rare to be seen would take away, is Poisson, and only lowers.
    The interval holds `best`, the estimate that it is about, and nothing below `least`.
    (Zou and Donner 2008, Construction of confidence limits about effect measures, eq. 4.)
    """

    first: Uncertainty = field(kw_only=True)
    center: float = field(kw_only=True)
    best: float = field(kw_only=True)
    plus: float = field(kw_only=True, default=0.0)
    normal: float = field(kw_only=True, default=0.0)
    unseen: float = field(kw_only=True, default=0.0)
    least: float = field(kw_only=True, default=-math.inf)

    @classmethod
    def of(cls, first: Uncertainty, **causes: float) -> Combined:
        others = (causes.get("normal", 0.0), causes.get("unseen", 0.0))
        return cls(math.hypot(first.standard_error, *others), first=first, **causes)

    def interval(self, value: float, confidence_level: float) -> tuple[float, float]:
        if math.isinf(value):
            return super().interval(value, confidence_level)
        tail, center = 0.5 * (1.0 - confidence_level), self.center + self.plus
        low, high = self.first.interval(value, confidence_level)
        around, best = self.normal * _quantile(tail, math.inf), max(self.best, self.least)
        rare = -0.5 * self.unseen * math.log(tail)  # as the upper limit of a Poisson mean: x + r + sqrt(z^2 x + r^2)
        below = rare + math.hypot(max(self.center - low, 0.0), around, rare)
        above = math.hypot(max(high - self.center, 0.0), around)
        return (min(max(center - below, self.least), best), max(center + above, best))


_NORMAL_BEYOND = 1e7  # where a noncentral chi-squared number is normal to four digits of its deviation


def noncentral_chi_squared(x: float, degrees: float, noncentrality: float) -> float:
    """Probability that a noncentral chi-squared number is at most x."""
    from scipy.special import chndtr  # only who asks for such an interval pays for this import

    if max(x, degrees, noncentrality) <= _NORMAL_BEYOND:
        return float(chndtr(x, degrees, noncentrality))
    deviation = math.sqrt(2.0 * (degrees + 2.0 * noncentrality))
    return NormalDist().cdf((x - degrees - noncentrality) / deviation)


def _noncentrality(x: float, degrees: float, probability: float) -> float:
    """The noncentrality for which x is that quantile of the chi-squared distribution; 0 where none is."""
    if x > _NORMAL_BEYOND:
        z, excess = NormalDist().inv_cdf(probability), x - degrees
        room = 4.0 * excess + 4.0 * z * z + 2.0 * degrees
        return max(excess + 2.0 * z * z - z * math.sqrt(max(room, 0.0)), 0.0)
    if noncentral_chi_squared(x, degrees, 0.0) <= probability:
        return 0.0
    low, high = 0.0, 1.0
    while noncentral_chi_squared(x, degrees, high) > probability:
        low, high = high, 2.0 * high
    while low < (middle := 0.5 * (low + high)) < high and high - low > 1e-13 * high:
        low, high = (middle, high) if noncentral_chi_squared(x, degrees, middle) > probability else (low, middle)
    return high


def chi_squared_tail(x: float, degrees_of_freedom: float) -> float:
    """Probability that a chi-squared number exceeds x: the regularised upper incomplete gamma function.

    By its series, or the continued fraction by Lentz's method (Press et al. 2007, eq. 6.2.5 and 6.2.7).
    """
    a, t = 0.5 * degrees_of_freedom, 0.5 * x
    if t <= 0.0:
        return 1.0
    factor = math.exp(a * math.log(t) - t - math.lgamma(a))
    if t < a + 1.0:
        term = total = 1.0 / a
        divisor = a
        while term > 1e-17 * total:
            divisor += 1.0
            term *= t / divisor
            total += term
        return 1.0 - factor * total
    b, c = t + 1.0 - a, math.inf
    d = fraction = 1.0 / b
    for i in range(1, 10**7):
        step = -i * (i - a)
        b += 2.0
        c, d = b + step / c, 1.0 / (b + step * d)
        fraction *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return factor * fraction
