"""What estimates from counts have in common: the cells, their corrections, errors, and what is told of them."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .. import _validation
from .._formula import Formula
from .._scalar import x_minus_log1p
from ..errors import (
    InfiniteDivergenceWarning,
    InvalidParameterError,
    InvalidTypeError,
    PoorOverlapWarning,
    SmallSampleWarning,
    UnreliableEstimateWarning,
)
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN, ScaledChiSquared, Uncertainty, chi_squared_tail
from ..preprocessing import Notes
from .problem import Result, report

CORRECTED, PLUG_IN, MILLER_MADOW, AUGMENTED, DIRICHLET = (
    "zhang-grabchak",
    "plug-in",
    "miller-madow",
    "augmented",
    "dirichlet",
)
PSEUDO_COUNTS = {PLUG_IN: 0.0, MILLER_MADOW: 0.0, "jeffreys": 0.5, "laplace": 1.0}
METHODS = (CORRECTED, *PSEUDO_COUNTS, DIRICHLET)
ZERO_POLICIES = ("estimate", "inf", "drop", "raise")
_FEW_PER_CELL, _FEWEST_PER_CELL = 5, 2
MOST_OF_ERROR = 0.5  # share of the standard error that what nobody saw may weigh
_MOST_ERRORS = 2.0
_MOST_UNSEEN = 0.1  # of the observations of one side, where the other has none: whatever the standard error
_MOST_NAMES, _MOST_LABELS = 5, 20
_NEAR = 1e-9  # of the variance of a frequency: where both sums below are rounding


@Formula
def deviance(x, y):
    """x log(x / y) - x + y, without cancellation: the sum over distributions is their divergence."""
    if x == 0.0:
        return y
    if y == 0.0:
        return math.inf
    return x * x_minus_log1p((y - x) / x)


@dataclass(frozen=True)
class Call:
    """The method and unit asked for, and what is to be told."""

    method: str
    unit: str
    concentration: float | None
    notes: Notes = field(default_factory=Notes)

    @classmethod
    def checked(cls, method: Any, methods: tuple[str, ...], concentration: Any, unit: Any) -> "Call":
        _validation.choice(method, "method", methods)
        _validation.unit_factor(unit)
        if (concentration is None) == (method == DIRICHLET):
            verb = "needs" if method == DIRICHLET else "takes no"
            raise InvalidTypeError(f"method {method!r} {verb} concentration=, a count added to each category.")
        if concentration is not None:
            concentration = _validation.positive(concentration, "concentration")
        return cls(method, unit, concentration)

    @property
    def pseudo_count(self) -> float:
        """What the method adds to each count."""
        return PSEUDO_COUNTS[self.method] if self.concentration is None else self.concentration

    def frequencies(self, pair: "Pair") -> tuple[np.ndarray, np.ndarray]:
        """What the method takes for P and Q; those of "augmented" for Q sum to more than 1."""
        if self.method == AUGMENTED:
            return pair.x / pair.n, (pair.y + 1.0) / pair.m
        return pair.frequencies(self.pseudo_count)

    def report(
        self, value: float, best: float, uncertainty: Uncertainty, diagnostics: dict[str, Any], **fields: Any
    ) -> DivergenceEstimate:
        """The estimate; `best` is the one that the uncertainty is about. Warnings point to the user's call."""
        if math.isinf(value):
            uncertainty = UNKNOWN
        error = uncertainty.standard_error
        if math.isfinite(value) and abs(value - best) > _MOST_ERRORS * error:
            self.notes.add(
                UnreliableEstimateWarning,
                f"method {self.method!r} gives {value:.3g} nats, more than {_MOST_ERRORS:g} standard errors from the "
                f"{best:.3g} of the default method, which has less bias, and whose interval is given.",
            )
        result = Result(value, lambda: uncertainty, assessed=math.isfinite(value), diagnostics=diagnostics)
        return report(result, self.notes, unit=self.unit, stacklevel=3, method=self.method, d=None, **fields)

    def object(self, text: str) -> None:
        self.notes.add(UnreliableEstimateWarning, text)

    def tell_few(self, n: float, n_cells: int, of: str) -> None:
        if n_cells < 2:
            self.object(
                f"all {_counted(n, 'observation')} of {of} are in one category: neither an error nor an interval can "
                "be told from that, and others may be rare."
            )
        elif n < _FEWEST_PER_CELL * n_cells:
            self.object(
                f"{_counted(n, 'observation')} of {of} in {n_cells} categories: fewer than {_FEWEST_PER_CELL} for "
                "each, and no correction makes up for that; merge categories."
            )
        elif n < _FEW_PER_CELL * n_cells:
            self.notes.add(
                SmallSampleWarning,
                f"{_counted(n, 'observation')} of {of} in {n_cells} categories: fewer than {_FEW_PER_CELL} for each.",
            )

    def tell_missing(self, share: float, error: float, of: str) -> None:
        """Object where observations that are alone in their category show how much of P is yet unseen (Good 1953)."""
        if share > MOST_OF_ERROR * error:
            self.object(
                f"{share:.1%} of the observations of {of} are the only ones of their category, so that about as much "
                "is in categories that nobody saw: too much for the standard error; expect bias."
            )


@dataclass(frozen=True)
class Pair:
    """Counts x of P and y of Q in the same categories."""

    x: np.ndarray
    y: np.ndarray
    names: list | None = None

    @cached_property
    def n(self) -> float:
        return float(self.x.sum())

    @cached_property
    def m(self) -> float:
        return float(self.y.sum())

    @property
    def spread(self) -> float:
        """Variance of a difference of two frequencies of the same category, over its probability."""
        return 1.0 / self.n + 1.0 / self.m

    def swapped(self) -> "Pair":
        return Pair(self.y, self.x, self.names)

    def seen(self) -> "Pair":
        """The categories that were seen at all."""
        occurs = self.x + self.y > 0.0
        return self if occurs.all() else Pair(self.x[occurs], self.y[occurs])

    def frequencies(self, pseudo_count: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        return shares(self.x, pseudo_count), shares(self.y, pseudo_count)

    def unseen(self) -> np.ndarray:
        """Categories of P that Q never saw."""
        return (self.x > 0.0) & (self.y == 0.0)

    def unseen_names(self) -> list | None:
        """What `unseen` are called, the most frequent first."""
        if self.names is None:
            return None
        unseen = np.flatnonzero(self.unseen())
        return [self.names[i] for i in unseen[np.argsort(-self.x[unseen], kind="stable")]]

    def _biased(self, zero: str) -> np.ndarray | slice:
        return (self.x > 0.0) & (self.y > 0.0) if zero == "drop" and self.unseen().any() else slice(None)

    def kept(self, zero: str) -> np.ndarray | slice:
        """The categories whose terms are summed."""
        return ~self.unseen() if zero == "drop" else slice(None)

    def diagnostics(self) -> dict[str, Any]:
        """The cells, and the likelihood ratio test of P = Q."""
        unseen, seen = self.unseen(), self.seen()
        expected = self.n * (seen.x + seen.y) / (self.n + self.m)
        rest = self.m * (seen.x + seen.y) / (self.n + self.m)
        statistic = 2.0 * float((deviance(seen.x, expected) + deviance(seen.y, rest)).sum())
        names = self.unseen_names()
        named = {} if names is None else {"unseen_labels": names[:_MOST_LABELS]}
        return {
            "n_categories": len(self.x),
            "n_unseen": int(unseen.sum()),
            "unseen_share": float(self.x[unseen].sum()) / self.n,
            **named,
            **g_test(statistic, len(seen.x) - 1),
        }

    def variance(self, gradient_p: np.ndarray, gradient_q: np.ndarray) -> float:
        """First-order variance of a quantity with these derivatives at `frequencies(0.5)`."""
        P, Q = self.frequencies(0.5)
        return spread(P, gradient_p) / self.n + spread(Q, gradient_q) / self.m

    def plug_in_bias(self, zero: str = "estimate") -> float:
        """Expectation of the plug-in estimate of KL less KL, to second order: ½Σ(1-p)/n + ½Σ(p/q)(1-q)/m."""
        P, _ = self.frequencies(0.5)
        return 0.5 * float((1.0 - P)[self._biased(zero)].sum()) / self.n + self.cross_entropy_bias(zero)

    def cross_entropy_bias(self, zero: str = "estimate") -> float:
        """The part of it that is about Q."""
        P, Q = self.frequencies(0.5)
        return 0.5 * float((P * (1.0 - Q) / Q)[self._biased(zero)].sum()) / self.m


def shares(counts: np.ndarray, pseudo_count: float) -> np.ndarray:
    raised = counts + pseudo_count
    return raised / raised.sum()


def spread(shares: np.ndarray, values: np.ndarray) -> float:
    """Variance of values that are taken with these probabilities."""
    mean = (shares * values).sum()
    return float((shares * (values - mean) ** 2).sum())


def divergence_uncertainty(
    best: float, bias: float, variance: float, plug_in: float, scale_at_zero: float
) -> ScaledChiSquared:
    """Uncertainty of a divergence; at 0 the ratio of variance and divergence is 4 times the scale at 0."""
    near = plug_in <= _NEAR * scale_at_zero
    return ScaledChiSquared.of(best, bias, scale_at_zero if near else variance / (4.0 * float(plug_in)))


def g_test(statistic: float, degrees_of_freedom: int) -> dict[str, Any]:
    """What is told of a likelihood ratio test; its p-value is that of the chi-squared distribution."""
    return {
        "g_statistic": statistic,
        "degrees_of_freedom": degrees_of_freedom,
        "p_value": chi_squared_tail(statistic, degrees_of_freedom) if degrees_of_freedom else 1.0,
    }


def check_zero(zero: Any, pair: Pair, name: str) -> None:
    """What is done about categories without which P and Q could not be compared."""
    _validation.choice(zero, "zero", ZERO_POLICIES)
    unseen = pair.unseen()
    if zero == "raise" and unseen.any():
        names = pair.unseen_names()
        which = f", the first at index {int(unseen.argmax())}" if names is None else _listing(names)
        raise InvalidParameterError(
            f"{name} has no observation in {int(unseen.sum())} of {len(unseen)} categories, which the other "
            f"has{which}, and zero='raise'; merge categories, or choose 'estimate', 'inf' or 'drop'."
        )


def is_partial(zero: str, *pairs: Pair) -> bool:
    """Whether terms are left out, so that the value is no estimate of what the interval is about."""
    return zero == "drop" and any(pair.unseen().any() for pair in pairs)


def tell_unseen(
    pair: Pair,
    value: float,
    uncertainty: Uncertainty,
    zero: str,
    call: Call,
    *,
    of: str = "P",
    by: str = "Q",
) -> None:
    """Tell of categories that one side never saw; object where they weigh too much."""
    unseen = pair.unseen()
    if not unseen.any():
        return
    count, share = int(unseen.sum()), float(pair.x[unseen].sum()) / pair.n
    text = (
        f"{by} has no observation in {count} of {len(pair.x)} categories{_listing(pair.unseen_names())}, which hold "
        f"{share:.1%} of those of {of}"
    )
    if math.isinf(value):
        call.notes.add(InfiniteDivergenceWarning, f"{text}: the value is inf.")
    elif zero == "drop":
        call.notes.add(PoorOverlapWarning, f"{text}: their terms are left out, and what remains is no divergence.")
        call.object(
            f"the terms of categories that {by} never saw are left out: what is left is no divergence, may be off by "
            "any amount, and has no interval."
        )
    else:
        call.notes.add(PoorOverlapWarning, f"{text}: how rare they are is a guess, and they may be any rarer.")
        few = share <= MOST_OF_ERROR * uncertainty.standard_error
        if not few or share > _MOST_UNSEEN:
            than = f"{_MOST_UNSEEN:.0%}" if few else "half of the standard error"
            call.object(
                f"categories that {by} never saw hold {share:.1%} of the observations of {of}, more than {than}: "
                "expect bias, mostly downwards; use more observations, or merge categories."
            )


def _counted(n: float, what: str) -> str:
    return f"{n:.0f} {what}{'' if n == 1 else 's'}"


def _listing(names: list[Any] | None) -> str:
    if names is None:
        return ""
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return f" ({', '.join(map(repr, names[:_MOST_NAMES]))}{more})"
