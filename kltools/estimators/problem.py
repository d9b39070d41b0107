"""What an estimation method is given, what it gives back, and what is reported of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._validation import DEFAULT_MEMORY_LIMIT, unit_factor
from ..distribution import Distribution, check_single
from ..errors import (
    InfiniteDivergenceWarning,
    InvalidParameterError,
    InvalidTypeError,
    PoorOverlapWarning,
    ShapeMismatchError,
    SmallSampleWarning,
    UnreliableEstimateWarning,
)
from ..estimate import Deferred, DivergenceEstimate
from ..inference import UNKNOWN, Uncertainty
from ..neighbors import in_safe_range
from ..neighbors.neighborhood import Search
from ..preprocessing import Notes
from ..scaling import fit_scaling

# methods that can do with a distribution for Y
KNOWN_Q = ("auto", "gaussian", "kde", "knn", "knn_calibrated", "knn_radius", "knn_weighted", "mixture")

BOUNDS = ("dv", "nwj", "plug_in")  # what a classifier's log odds are made into
ROWS_PER_NEIGHBOR = 10
_FAR_REACH = 0.2
_TREND, _TREND_NOISE = 0.2, 2.5  # of a value, and over the root of the rows
MOST_OUTSIDE = 0.2  # of the rows of X, where the samples can be compared


@dataclass(frozen=True)
class Problem:
    """Validated samples X ~ P and Y ~ Q, or Q itself, and the circumstances of the call.

    ``comparison`` is what compares samples that are not arrays, by neighbours. Where a column ``has_atoms`` neighbours
    of some rows lie in fewer dimensions than there are columns.
    """

    X: np.ndarray
    Y: np.ndarray | None
    q: Distribution | None
    notes: Notes
    n_jobs: int
    seed: int
    memory_limit: int = DEFAULT_MEMORY_LIMIT
    progress: Callable[[int, int], object] | None = None
    device: str = "cpu"
    comparison: Any = None
    has_atoms: bool = False

    @property
    def n(self) -> int:
        return len(self.X)

    @property
    def m(self) -> int | None:
        return None if self.Y is None else len(self.Y)

    @property
    def d(self) -> int:
        return self.X.shape[1]

    @property
    def rows(self) -> int:
        """Rows of the smaller sample."""
        return self.n if self.Y is None else min(self.n, len(self.Y))

    def sample_of_q(self, method: str) -> np.ndarray:
        """Y, which a method that cannot do without it asks for."""
        if self.Y is None:
            raise InvalidTypeError(
                f"method={method!r} compares two samples, Y is a {type(self.q).__name__}; pass a sample of Q, or one "
                f"of the methods that take a distribution: {', '.join(KNOWN_Q)}."
            )
        return self.Y

    def search(self, ks: tuple[int, ...], n_searches: int = 1) -> Search:
        """The search for these neighbours in the circumstances of the call."""
        return Search(ks, self.n_jobs, self.memory_limit, self.progress, n_searches, self.device)

    def tell_beyond_sight(self, value: float) -> tuple[str, ...]:
        """Why an estimate that m rows of Y cannot show should not be believed (McAllester and Stratos 2020)."""
        if self.m is None or value <= math.log(self.m):
            return ()
        text = (
            f"the estimate exceeds log(m) = {math.log(self.m):.2f} nats, more than {self.m} rows of Y can show: the "
            "samples hardly overlap, and the divergence may be any number beyond."
        )
        self.notes.add(PoorOverlapWarning, text)
        return (text,)

    def tell_impossible_ratio(self, lowest: float) -> tuple[str, ...]:
        """Why the smallest log ratio at a row of X cannot be right: p/q is at most t with probability at most t."""
        if lowest >= -math.log(100.0 * self.n):
            return ()
        text = (
            f"log p/q is estimated as low as {lowest:.3g} at a row of X, and the true one is so low at one of {self.n} "
            "rows with a probability below 0.01: the estimate is wrong there, and too low."
        )
        self.notes.add(UnreliableEstimateWarning, text)
        return (text,)

    def scaled(self, kind: str) -> tuple[str, list[np.ndarray]]:
        """The kind of scale that was learnt, and both samples by it, in the safe range of distances."""
        assert self.Y is not None
        scaling = fit_scaling(self.X, kind, self.Y, self.notes)
        samples, _ = in_safe_range(*(scaling.apply(sample, self.n_jobs) for sample in (self.X, self.Y)))
        return scaling.kind, samples

    def log_q(self) -> np.ndarray:
        """log q at the rows of X, for a known q."""
        assert self.q is not None
        return np.asarray(self.q.log_prob(self.X if self.q.event_shape else self.X[:, 0]))


@dataclass(frozen=True)
class Result:
    """An estimate in nats; `uncertainty` is called when somebody asks.

    Without ``reasons`` it is reliable where the method has ``assessed`` that.
    """

    value: float
    uncertainty: Callable[[], Uncertainty]
    n_neighbors: tuple[int, ...] | None = None
    n_ties: int = 0
    reasons: tuple[str, ...] = ()
    assessed: bool = False
    diagnostics: dict[str, Any] = field(default_factory=dict)


def outside_support(problem: Problem, log_q: np.ndarray) -> Result | None:
    """The answer where a known q is 0 at rows of X, None where it is nowhere."""
    count = int(np.isneginf(log_q).sum())
    if not count:
        return None
    problem.notes.add(
        InfiniteDivergenceWarning, f"q has no mass at {count} of {problem.n} rows of X: the divergence is inf."
    )
    return Result(math.inf, lambda: UNKNOWN)


def in_other_planes(problem: Problem, name: str) -> Result:
    """The answer where one sample spans fewer dimensions than the other side."""
    problem.notes.add(
        InfiniteDivergenceWarning,
        f"columns of {name} are linearly dependent in a way in which those of the other side are not: "
        "P has mass where Q has none, the divergence is inf.",
    )
    return Result(math.inf, lambda: UNKNOWN)


def too_wild(name: str) -> InvalidParameterError:
    """What to raise where outliers keep a model from being fitted."""
    return InvalidParameterError(
        f"a few rows of {name} lie so far from the others that no model of a density holds both; remove them if they "
        "are no measurements, or use method='knn'."
    )


def check_reference(q: Distribution, d: int) -> Distribution:
    """The distribution, where it can stand for a sample of Q in d features."""
    check_single(q, "q")
    if q.event_shape != (d,) and not (q.event_shape == () and d == 1):
        raise ShapeMismatchError(f"X has {d} features, q draws shape {q.event_shape}.")
    if not q.is_continuous:
        raise InvalidTypeError(f"q is a {type(q).__name__}, which has no density; samples need a continuous q.")
    return q


def tell_few_rows(rows: int, k: int, notes: Notes) -> None:
    """Note that the neighbours asked for are a large part of the sample."""
    if rows < ROWS_PER_NEIGHBOR * k:
        notes.add(
            SmallSampleWarning,
            f"{rows} rows are few for n_neighbors={k}: fewer than {ROWS_PER_NEIGHBOR} times as many.",
        )


def are_neighbors_far(k: int, rows: int, d: int) -> bool:
    """Whether the k nearest of so many rows lie far away, so that bias must be expected.

    They are found within about (k / rows)^(1/d) of the distribution's width, and the bias is of the order
    of its square.
    """
    return (k / rows) ** (2.0 / d) > _FAR_REACH


def is_beyond_neighbors(value: float, rows: int, k: int) -> bool:
    """Whether an estimate is more than k neighbours of so many rows can show; too many neighbours say nothing of it."""
    return 2 * k <= rows and value > math.log(rows / k)


def moves_with_neighbors(values: Sequence[float], value: float, rows: int) -> bool:
    """Whether estimates with few and with many neighbours differ by more than chance, so that bias must be expected."""
    return abs(values[0] - values[-1]) > max(_TREND * abs(value), _TREND_NOISE / math.sqrt(rows))


def report(result: Result, notes: Notes, *, unit: str | None, stacklevel: int, **fields: Any) -> DivergenceEstimate:
    """Issue what was noted, `stacklevel` frames up, and hand out a result in its unit."""
    early = tuple(text for category, text in notes.items if category is UnreliableEstimateWarning)
    reasons = tuple(dict.fromkeys(early + result.reasons))
    notes.issue(stacklevel + 1)
    return DivergenceEstimate(
        value=result.value * (1.0 if unit is None else unit_factor(unit)),
        unit=unit,
        n_neighbors=result.n_neighbors,
        n_ties=result.n_ties,
        support_mismatch=result.value == math.inf,
        reliable=False if reasons else (True if result.assessed else None),
        reasons=reasons,
        warnings=notes.texts(),
        diagnostics=result.diagnostics,
        uncertainty=Deferred(result.uncertainty),
        **fields,
    )
