"""Uncertainties of estimates from counts: near the points where the first order vanishes, far from them, between."""

import math
from dataclasses import dataclass, field

import numpy as np

from .._formula import Formula, digamma
from .._scalar import trigamma as scalar_trigamma
from ..inference import UNKNOWN, Combined, Deficit, ScaledChiSquared, Uncertainty, noncentral_chi_squared
from .cells import Pair, deviance, divergence_uncertainty, shares, spread

_LARGE_MEAN = 50.0
_LEAST_DEGREES = 1e-3
_REACH = 2.0  # standard deviations around its expectation in which an estimate may be one of 0
_NEAR = 1e-9

trigamma = Formula(scalar_trigamma)


@Formula
def poisson_deviance(mean, power):
    """Expectation of (x log(x / mean) - x + mean)^power, power 1 or 2, for a Poisson number x: about 1/2 and 3/4."""
    if mean >= _LARGE_MEAN:
        first = 0.5 + (1.0 + 1.0 / mean) / (12.0 * mean)
        return first if power == 1.0 else first * first + 0.5 + 1.0 / (6.0 * mean)
    probability, x = math.exp(-mean), 0.0
    total = probability * (mean if power == 1.0 else mean * mean)
    while x < mean or probability > 1e-17:
        x += 1.0
        probability *= mean / x
        if probability > 0.0:
            deviance = x * math.log(x / mean) - x + mean
            total += probability * (deviance if power == 1.0 else deviance * deviance)
    return total


@dataclass(frozen=True)
class Edge:
    """What the uncorrected estimate of a divergence is where the divergence is 0: its expectation, and its scale."""

    bias: float
    scale: float

    @property
    def error(self) -> float:
        return math.sqrt(2.0 * self.scale * self.bias)

    def weight(self, plug_in: float) -> float:
        """How much an estimate looks like one of 0: wholly within two standard deviations, ever less beyond."""
        reach, excess = _REACH * self.error, plug_in - self.bias
        return 1.0 if excess <= reach else (reach / excess) ** 2

    def law(self, plug_in: float, bias: float, variance: float, second: float = 0.0) -> ScaledChiSquared:
        """Uncertainty from a first-order variance, which away from 0 is at least twice that of the second order."""
        weight = self.weight(plug_in)
        scale = weight * self.scale
        if weight < 1.0:
            variance = max(variance, 2.0 * second * (1.0 - weight))
            scale += (1.0 - weight) * variance / (4.0 * plug_in)
        return ScaledChiSquared.of(plug_in - bias, max(bias, _LEAST_DEGREES * scale), scale)


@dataclass(frozen=True)
class TiltedChiSquared(ScaledChiSquared):
    """Uncertainty of the divergence from the uniform distribution along the powers of P: p^t / sum p^t.

    They are the least favourable family, of all that lead to another entropy the hardest to tell from P; the scale
    is that of the member whose divergence is in question.
    """

    P: np.ndarray = field(kw_only=True, compare=False)
    n: float = field(kw_only=True)
    excess: float = field(kw_only=True)  # of the variance over that of the relative frequencies

    def _truth(self, raw: float, probability: float) -> float:
        if not self._holds(1e-9, raw, probability):
            return 0.0
        low, high = 1e-9, 1.0
        while self._holds(high, raw, probability):
            low, high = high, 2.0 * high
            if high > 1e12:
                return super()._truth(raw, probability)
        while low < (middle := 0.5 * (low + high)) < high and high - low > 1e-9 * high:
            low, high = (middle, high) if self._holds(middle, raw, probability) else (low, middle)
        return self._member(high)[0]

    def _holds(self, t: float, raw: float, probability: float) -> bool:
        """Whether an uncorrected estimate is `raw` or less with more than that probability."""
        divergence, scale = self._member(t)
        if scale == 0.0:
            return raw > divergence + self.bias
        return noncentral_chi_squared(raw / scale, self.bias / scale, divergence / scale) > probability

    def _member(self, t: float) -> tuple[float, float]:
        """The divergence of a power of P from the uniform distribution, and the scale there."""
        powers = (self.P / self.P.max()) ** t
        tilted = powers / powers.sum()
        divergence = float(deviance(tilted, 1.0 / len(tilted)).sum())
        if divergence * self.n <= _NEAR:
            return divergence, 0.5 / self.n
        logs = np.log(tilted, out=np.zeros_like(tilted), where=tilted > 0.0)
        return divergence, self.excess * spread(tilted, logs) / self.n / (4.0 * divergence)


def entropy_uncertainty(seen: np.ndarray, best: float) -> Uncertainty:
    """Of the entropy, which is log K less the divergence from the uniform distribution."""
    if len(seen) < 2:
        return UNKNOWN
    n, top = float(seen.sum()), math.log(len(seen))
    P = shares(seen, 0.0)
    plug_in = float(deviance(P, 1.0 / len(seen)).sum())
    bias = max(plug_in - (top - best), _LEAST_DEGREES / n)
    variance = spread(P, np.log(P)) / n
    logs = digamma(seen) - digamma(n)
    corrected = float((P * (logs**2 - trigamma(seen) + trigamma(n))).sum()) - best**2 + 2.0 * bias
    law = Edge(bias, 0.5 / n).law(plug_in, bias, max(variance, corrected / n))
    if plug_in * n > _NEAR:
        excess = max(1.0, corrected / (n * variance))
        law = TiltedChiSquared(
            law.standard_error, law.degrees_of_freedom, law.divergence, bias, law.scale, P=P, n=n, excess=excess
        )
    return Combined.of(Deficit.of(law, top), center=best, best=best)


def cross_entropy_uncertainty(seen: Pair, best: float) -> Uncertainty:
    """Of the entropy of the frequencies of P and their divergence from Q: one normal, one like a divergence."""
    if len(seen.x) < 2:
        return UNKNOWN
    P, Q = seen.frequencies(0.5)
    observed = seen.x / seen.n
    entropy = -float((observed * np.log(observed, out=np.zeros_like(observed), where=observed > 0.0)).sum())
    bias = 0.5 * float((P * (1.0 - Q) / Q).sum()) / seen.m
    law = divergence_uncertainty(
        best - entropy, bias, spread(Q, P / Q) / seen.m, float(deviance(P, Q).sum()), 0.5 / seen.m
    )
    both = float((P / Q).sum() - 1.0) / (seen.n * seen.m)  # from errors of P and Q at once, in either of the two
    linear = spread(P, np.log(Q)) / seen.n
    normal = math.sqrt(max(linear - both, 0.5 * linear))
    return Combined.of(law, center=best - entropy, plus=entropy, best=best, normal=normal)


def information_uncertainty(seen: np.ndarray, best: float) -> tuple[Uncertainty, float]:
    """Of mutual information; and the standard error, where it may be 0 that of 0, which no estimate sways.

    At independence the law is that of the deviances of Poisson numbers; away from it the bias is that which the
    series of Zhang finds, and a term for cells too rare for that. It is negative where one variable nearly
    determines the other: mutual information then has its greatest possible value for an edge.
    """
    if min(seen.shape) < 2:
        return UNKNOWN, math.nan
    n, joint = float(seen.sum()), shares(seen, 0.0)
    rows, columns = seen.sum(axis=1), seen.sum(axis=0)
    expected = rows[:, None] * columns / n
    plug_in = float(deviance(seen, expected).sum()) / n
    logs = np.log(np.where(seen > 0.0, seen, expected) / expected)
    edge = _independence(rows, columns, expected)
    weight, error = edge.weight(plug_in), edge.error
    bias = weight * edge.bias + (1.0 - weight) * (plug_in - best + _rare(seen) / n)
    variance, second = spread(joint, logs) / n, _second_order(seen, expected) / n**2
    if bias >= 0.0:
        corrected = _corrected_spread(seen, rows, columns, best) + 2.0 * bias
        first: Uncertainty = edge.law(plug_in, bias, max(variance, corrected / n), second)
    else:
        top = math.log(min(seen.shape))
        edge = Edge(-bias, 0.5 / n)
        first = Deficit.of(edge.law(max(top - plug_in, 0.0), -bias, variance, second), top)
    unseen = (1.0 - weight) * _fall(seen, expected, plug_in) / n
    whole = Combined.of(first, center=plug_in - bias, best=best, unseen=unseen, least=0.0)
    return whole, weight * error + (1.0 - weight) * whole.standard_error


def _independence(rows: np.ndarray, columns: np.ndarray, expected: np.ndarray) -> Edge:
    n, cells = float(rows.sum()), poisson_deviance(expected, 1.0)
    of_margins = float(poisson_deviance(rows, 1.0).sum() + poisson_deviance(columns, 1.0).sum())
    bias = (float(cells.sum()) - of_margins + float(poisson_deviance(n, 1.0))) / n
    variances = poisson_deviance(expected, 2.0) - cells**2
    scale = 0.5 * float(variances.sum() / cells.sum()) / n
    return Edge(max(bias, _LEAST_DEGREES * scale), scale)


def _rare(seen: np.ndarray) -> float:
    """Bias, in n nats, from cells too rare for the series: their number is that of Chao (1984)."""
    singles, doubles = int((seen == 1.0).sum()), int((seen == 2.0).sum())
    unseen = min((seen == 0.0).sum(), singles * (singles - 1) / (2.0 * (doubles + 1)))
    return singles * math.log1p(unseen / singles) if singles else 0.0


def _second_order(seen: np.ndarray, expected: np.ndarray) -> float:
    """Variance of the quadratic part of n times the information: half the sum of its squared eigenvalues."""
    dependence = float(((seen - expected) ** 2 / expected).sum() / seen.sum())
    return 0.5 * ((seen > 0.0).sum() - sum(seen.shape) + 1 + 2.0 * dependence)


def _corrected_spread(seen: np.ndarray, rows: np.ndarray, columns: np.ndarray, best: float) -> float:
    """Variance of the information of one observation, its second moment by the series as well."""
    n, counts = float(seen.sum()), np.maximum(seen, 1.0)
    logs = digamma(counts) - digamma(rows)[:, None] - digamma(columns) + digamma(n)
    excess = trigamma(counts) - trigamma(rows)[:, None] - trigamma(columns) + trigamma(n)
    return float((seen / n * (logs**2 - excess)).sum()) - best**2


def _fall(seen: np.ndarray, expected: np.ndarray, plug_in: float) -> float:
    """How far an observation in one of the empty cells would lower n times the information."""
    empty = expected[seen == 0.0]
    return max(float((empty * (np.log(empty) + plug_in)).sum() / empty.sum()), 0.0) if len(empty) else 0.0
