"""What the estimates of relatives of KL have in common: the circumstances of a call, and its result."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _validation
from .._jit import effective_n_jobs
from ..errors import PoorOverlapWarning, TiesWarning, UnreliableEstimateWarning
from ..estimate import DivergenceEstimate
from ..inference import block_jackknife
from ..neighbors.neighborhood import Search
from ..preprocessing import Notes
from .problem import MOST_OUTSIDE, Result, are_neighbors_far, report, tell_few_rows


@dataclass(frozen=True)
class Terms:
    """An estimate, and its values for each number of neighbours; rows that tie for some of these.

    Where overlap matters, ``share_outside`` are the rows of X that lie outside of Y.
    """

    value: float
    values: tuple[float, ...]
    n_ties: int
    diagnostics: dict[str, Any] = field(default_factory=dict)
    share_outside: float | None = None

    @classmethod
    def mean(cls, values: Sequence[float], n_ties: int, **more: Any) -> "Terms":
        return cls(math.fsum(values) / len(values), tuple(values), n_ties, **more)


@dataclass(frozen=True)
class Call:
    """Checked arguments that all estimates share."""

    n_neighbors: Any
    unit: str
    nan_policy: str
    n_jobs: int
    seed: int
    memory_limit: int
    notes: Notes = field(default_factory=Notes)

    @classmethod
    def checked(
        cls, n_neighbors: Any, unit: str, nan_policy: str, n_jobs: Any, random_state: Any, memory_limit: Any
    ) -> "Call":
        _validation.neighbors(n_neighbors)
        _validation.unit_factor(unit)
        return cls(
            n_neighbors,
            unit,
            _validation.choice(nan_policy, "nan_policy", _validation.NAN_POLICIES),
            effective_n_jobs(_validation.check_n_jobs(n_jobs)),
            int(_validation.generator(random_state).integers(2**63)),
            _validation.check_memory_limit(memory_limit),
        )

    def search(self, n: int | None, m: int | None) -> Search:
        """The neighbours asked for, among n rows of X and m of Y."""
        return Search(_validation.neighbors_within(self.n_neighbors, n, m), self.n_jobs, self.memory_limit)

    def solve(
        self,
        terms: Callable[..., Terms],
        samples: Sequence[np.ndarray],
        ks: tuple[int, ...],
        *,
        needed: Sequence[int],
        d: int,
        tied: str,
        **diagnostics: Any,
    ) -> Result:
        """The estimate from independent samples; `needed` rows of each can be estimated from.

        ``tied`` says what became of rows at zero or repeated distances.
        """
        rows = min(len(sample) for sample in samples)
        found = terms(*samples)
        tell_few_rows(rows, ks[0], self.notes)
        if are_neighbors_far(ks[-1], rows, d):
            self.notes.add(
                UnreliableEstimateWarning,
                f"in {d} features the nearest {ks[-1]} of {rows} rows are not near: expect bias, which the interval, "
                "about variance only, does not contain; use fewer features or more rows.",
            )
        if found.n_ties:
            self.notes.add(
                TiesWarning,
                f"{found.n_ties} rows have a zero or repeated distance to a neighbour, which a density never gives: "
                f"{tied}.",
            )
        if found.share_outside is not None:
            diagnostics["share_outside"] = found.share_outside
        return Result(
            found.value,
            lambda: block_jackknife(lambda *parts: terms(*parts).value, samples, needed, self.seed),
            ks,
            found.n_ties,
            self._objections(found.share_outside),
            diagnostics={
                "value_by_n_neighbors": dict(zip(ks, found.values, strict=True)),
                **diagnostics,
                **found.diagnostics,
            },
        )

    def _objections(self, share_outside: float | None) -> tuple[str, ...]:
        """Why the value should not be believed."""
        if share_outside is None or share_outside <= MOST_OUTSIDE:
            return ()
        text = (
            f"{share_outside:.0%} of the rows of X lie outside of Y: the samples hardly overlap, and nearest "
            "neighbours cannot see how far apart."
        )
        self.notes.add(PoorOverlapWarning, text)
        return (text,)

    def report(self, result: Result, **fields: Any) -> DivergenceEstimate:
        """Warnings point to the caller of the function that calls this."""
        return report(result, self.notes, stacklevel=3, **{"unit": self.unit, **fields})
