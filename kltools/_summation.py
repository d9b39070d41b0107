"""Sums of terms over the integers that scalar distributions of counts range over."""

import math
import sys

import numpy as np

from .distribution import Distribution
from .errors import NoClosedFormError
from .integrands import Term

_MOST_TERMS = 2**24
_NEGLIGIBLE = 1e-17
_MASS_ERROR = 1e-9
_BLOCK = 2**20
_FARTHEST = 2.0**53
_LARGEST = sys.float_info.max


def summed(term: Term, laws: list[Distribution], monte_carlo: str, with_measure: bool) -> float:
    """The sum of a term over all values of some distributions of counts."""
    supports = [tuple(map(float, law._support())) for law in laws]  # type: ignore[arg-type]
    least, greatest = min(low for low, _ in supports), max(high for _, high in supports)

    def rows(k: np.ndarray) -> np.ndarray:
        logs = np.array([law._log_prob(k) for law in laws] + [np.zeros(k.shape)] * with_measure)
        return np.concatenate([term(logs)[None], np.exp(logs[: len(laws)])])

    places = [tuple(map(float, piece._bulk())) for law in laws for piece in law._pieces()]
    low = max(least, math.floor(min(place - reach for place, reach in places)))
    high = min(greatest, math.ceil(min(_LARGEST, max(place + reach for place, reach in places))))
    parts, sizes, n_terms = [], np.zeros(len(laws) + 1), 0.0
    todo = [(low, high)]
    while todo:
        n_terms += sum(stop - start + 1.0 for start, stop in todo)
        if not n_terms <= _MOST_TERMS:
            raise NoClosedFormError(
                f"the sum over the values of {', '.join(law._name for law in laws)} takes more than {_MOST_TERMS} "
                f"terms; estimate from draws: {monte_carlo}."
            )
        for start, stop in todo:
            for block in range(int(start), int(stop) + 1, _BLOCK):
                values = rows(np.arange(block, min(block + _BLOCK, int(stop) + 1), dtype=np.float64))
                parts.append(values.sum(axis=1))
                sizes = sizes + np.abs(values).sum(axis=1)
        if not math.isfinite(sizes[0]):
            return math.inf
        todo, width = [], high - low + 1.0
        for edge, end, sign in ((low, least, -1.0), (high, greatest, 1.0)):
            needs_more = _counts_beyond(rows, edge, end, sign, sizes)
            if needs_more is None:
                return math.inf
            if needs_more and sign < 0.0:
                todo.append((max(least, low - width), low - 1.0))
                low = todo[-1][0]
            elif needs_more:
                todo.append((high + 1.0, min(greatest, high + width)))
                high = todo[-1][1]
    totals = [math.fsum(column) for column in np.array(parts).T]
    if not (math.isfinite(totals[0]) and max(abs(mass - 1.0) for mass in totals[1:]) <= _MASS_ERROR):
        raise NoClosedFormError(
            f"the probabilities of {', '.join(law._name for law in laws)} add up to {totals[1:]}, not to 1; "
            f"estimate from draws: {monte_carlo}."
        )
    return totals[0]


def _counts_beyond(rows, edge: float, end: float, sign: float, sizes: np.ndarray) -> bool | None:
    """Whether what lies beyond an edge weighs anything; None where terms do not decay as far as one can see."""
    room = min((end - edge) * sign, _FARTHEST - abs(edge))
    if room < 1.0:
        return False
    distances = np.unique(np.floor(np.minimum(2.0 ** np.arange(0.0, 54.0, 0.5), room)))
    values = np.abs(rows(edge + sign * distances)) * distances
    if np.isinf(values[0]).any():
        return None
    counts = values > _NEGLIGIBLE * sizes[:, None]
    if room > 2.0**50 and counts[0, -1] and values[0, -1] > 0.999 * values[0, -5]:
        return None
    return bool(counts.any())
