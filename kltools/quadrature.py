"""Integrals of terms over scalar distributions, with a bound for their errors; sums where values are counts.

The line is cut where a support begins or ends. Between two such points panels of doubling lengths surround the bulk
of every distribution; towards each end they go on in the logarithm of the distance, where a tail x^-a and a pole
x^(a - 1) are exponentials, beyond the range of float64 if need be. Panels are halved until the rules of Gauss and
Kronrod agree. The densities are integrated with the same nodes: that they give 1 tells that no mass was missed.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ._charts import VISIBLE, End, Middle
from ._summation import summed
from .distribution import Distribution, broadcast_shapes, flat_positions
from .errors import InvalidTypeError, NoClosedFormError, ShapeMismatchError
from .integrands import Term

RELATIVE_ERROR = 1e-9  # of what is returned, with respect to the integral of the absolute value of the term
_GOAL = 1e-11
_MASS_ERROR = 1e-8
_MOST_ROUNDS, _MOST_PANELS = 60, 5_000
_PERTURBATION = 2.0**-50

# Piessens et al. (1983), QUADPACK, qk15: nodes >= 0 with the weights of Kronrod, and those of Gauss or 0
_RULE = np.array([
    [0.991455371120812639206854697526329, 0.022935322010529224963732008058970, 0.0],
    [0.949107912342758524526189684047851, 0.063092092629978553290700663189204, 0.129484966168869693270611432679082],
    [0.864864423359769072789712788640926, 0.104790010322250183839876322541518, 0.0],
    [0.741531185599394439863864773280788, 0.140653259715525918745189590510238, 0.279705391489276667901467771423780],
    [0.586087235467691130294144838258730, 0.169004726639267902826583426598550, 0.0],
    [0.405845151377397166906606412076961, 0.190350578064785409913256402421014, 0.381830050505118944950369775488975],
    [0.207784955007898467600689403773245, 0.204432940075298892414161999234649, 0.0],
    [0.0, 0.209482141084727828012999174891714, 0.417959183673469387755102040816327],
])  # fmt: skip
_NODES = np.concatenate([-_RULE[:, 0], _RULE[-2::-1, 0]])
_KRONROD = np.concatenate([_RULE[:, 1], _RULE[-2::-1, 1]])
_GAUSS = np.concatenate([_RULE[:, 2], _RULE[-2::-1, 2]])


def applies(*laws: Distribution) -> bool:
    """Whether terms can be integrated over these: tables, or scalar distributions with an interval and a bulk."""
    if all(law._table() is not None for law in laws):
        return True
    return all(
        not law.event_shape
        and type(law)._support is not Distribution._support
        and type(law)._bulk is not Distribution._bulk
        for law in laws
    )


def integral(term: Term, laws: Sequence[Distribution], monte_carlo: str, with_measure: bool = False) -> np.ndarray:
    """The integral (or sum) of a term, for each of a batch, one after the other.

    `monte_carlo` is what to call where this does not reach its accuracy; `with_measure` appends the logarithm 0 of
    the measure that densities refer to.
    """
    kinds = {law.is_continuous for law in laws}
    if len(kinds) > 1:
        return _without_overlap(term, laws, with_measure)
    tables = [table for law in laws if (table := law._table()) is not None]
    if tables:
        return _summed_tables(term, laws, tables, with_measure)
    if not applies(*laws):
        missing = next(law for law in laws if not applies(law))
        raise NoClosedFormError(
            f"method='quadrature' needs scalar distributions with _support() and _bulk(), which {missing._name} "
            f"(event shape {missing.event_shape}) lacks; estimate it from draws: {monte_carlo}."
        )
    routine = _integrated if kinds == {True} else summed
    with np.errstate(all="ignore"):
        return loop(lambda items: routine(term, items, monte_carlo, with_measure), laws)


def _without_overlap(term: Term, laws: Sequence[Distribution], with_measure: bool) -> np.ndarray:
    """The integral for two distributions, one with a density and one of counts: each alone wherever it is."""
    if len(laws) > 2:
        raise InvalidTypeError(f"{', '.join(law._name for law in laws)}: some have densities, some probabilities.")
    shape = broadcast_shapes(laws[0].batch_shape, laws[1].batch_shape, "the batches.")
    return np.full(shape, _corners(term, 2, with_measure))


def _corners(term: Term, n_laws: int, with_measure: bool = False) -> float:
    """The integral of a term where each place belongs to one law alone."""
    logs = np.where(np.eye(n_laws, dtype=bool), 0.0, -np.inf)
    with np.errstate(all="ignore"):
        return float(term(np.concatenate([logs, np.zeros((int(with_measure), n_laws))])).sum())


def _summed_tables(
    term: Term, laws: Sequence[Distribution], tables: list[np.ndarray], with_measure: bool
) -> np.ndarray:
    sizes = [table.shape[-1] for table in tables]
    if len(tables) < len(laws) or len(set(sizes)) > 1:
        listing = ", ".join(law._name for law in laws)
        raise ShapeMismatchError(f"the same categories are needed, got {listing} with {sizes} categories.")
    shape = functools.reduce(np.broadcast_shapes, [table.shape for table in tables])
    logs = np.array([np.broadcast_to(table, shape) for table in tables] + [np.zeros(shape)] * with_measure)
    with np.errstate(all="ignore"):
        return np.asarray(term(logs).sum(axis=-1))


def loop(value: Callable[[list[Distribution]], float], laws: Sequence[Distribution]) -> np.ndarray:
    """A number for each item of the broadcast batch."""
    shape: tuple[int, ...] = ()
    for law in laws:
        shape = broadcast_shapes(shape, law.batch_shape, "the batches.")
    flat = [np.broadcast_to(flat_positions(law), shape).reshape(-1) for law in laws]
    items = ([law._take(np.asarray(i)) for law, i in zip(laws, row, strict=True)] for row in zip(*flat, strict=True))
    return np.array([value(item) for item in items]).reshape(shape)


def _integrated(term: Term, laws: list[Distribution], monte_carlo: str, with_measure: bool) -> float:
    charts = list(_charts(laws, with_measure, monte_carlo))
    n_laws = len(laws)
    most = math.inf if with_measure else _most(term, n_laws)

    def rows(chart: Any, at: np.ndarray) -> np.ndarray:
        """The term, the densities, by how much rounding may change the term, and which of two laws has more mass."""
        logs = chart.logs(at)
        value = term(logs)
        step = np.zeros(logs.shape)
        sizes = np.where(np.isneginf(logs[0]), 0.0, np.abs(logs[0] - chart.log_jacobian(at)))
        step[0] = _PERTURBATION * np.maximum(1.0, sizes)
        moves = np.abs(np.array([term(logs + step), term(logs - step)]) - value)
        noise = np.where(np.isinf(value), np.where(np.isnan(moves).all(axis=0), 0.0, np.inf), moves.max(axis=0))
        side = np.sign(logs[0] - logs[1]) if n_laws > 1 else np.zeros(at.shape)
        return np.concatenate([value[None], np.exp(logs[:n_laws]), noise[None], side[None]])

    panels = _Panels(rows)
    for chart in charts:
        if isinstance(chart, Middle) and len(chart.edges) > 1:
            panels.add(chart, chart.edges)
    scale = panels.sizes()
    ends = [chart for chart in charts if isinstance(chart, End)]
    samples = [rows(end, end.grid)[: n_laws + 2] for end in ends]
    for end, found in zip(ends, samples, strict=True):
        is_visible = found[-1] <= VISIBLE * np.abs(found[0])
        scale = scale + np.where(is_visible, np.nan_to_num(np.abs(found[:-1]), posinf=0.0) * end.steps, 0.0).sum(axis=1)
    rest, is_infinite = 0.0, False
    for end, found in zip(ends, samples, strict=True):
        values, noise = found[:-1], found[-1]
        last, beyond = end.reach(values, noise, scale)
        is_infinite |= bool((np.isinf(values[0]) & (noise == 0.0)).any())
        if beyond > RELATIVE_ERROR:
            is_infinite |= end.diverges(term, values, noise, float(scale[0]))
        if last:
            panels.add(end, end.grid[: last + 1])
        rest += beyond
    if not panels.refine():
        is_infinite = True
    if is_infinite and math.isinf(most):
        return math.inf
    value, bound = panels.result()
    if not (bound := bound + rest) <= RELATIVE_ERROR:
        raise NoClosedFormError(
            f"quadrature over {', '.join(law._name for law in laws)} does not reach a relative error of "
            f"{RELATIVE_ERROR:g} (it bounds it by {bound:.1g}); estimate from draws: {monte_carlo}."
        )
    return math.copysign(min(abs(value), most), value)


def _most(term: Term, n_laws: int) -> float:
    """The largest size of the integral of a term: that where each place is of one law alone, or all agree."""
    return max(abs(_corners(term, n_laws)), abs(float(term(np.zeros((n_laws, 1)))[0])))


def _charts(laws: list[Distribution], with_measure: bool, monte_carlo: str) -> Iterator[Middle | End]:
    pieces = [piece for law in laws for piece in law._pieces()]
    supports = [tuple(map(float, piece._support())) for piece in pieces]  # type: ignore[arg-type]
    places = [(float(place), float(reach)) for place, reach in (piece._bulk() for piece in pieces)]
    for piece, (place, reach) in zip(pieces, places, strict=True):
        if not (math.isfinite(place) and 0.0 < reach < math.inf and place - reach < place + reach):
            raise NoClosedFormError(
                f"float64 has no numbers among the mass of {piece!r}; estimate from draws: {monte_carlo}."
            )
    ends = sorted({end for support in supports for end in support})
    points = _breakpoints(places, supports)
    reaches = min(reach for _, reach in places), max(reach for _, reach in places)
    for low, high in itertools.pairwise(ends):
        inner = points[(points > low) & (points < high)]
        if not len(inner):
            inner = np.array([_somewhere(low, high, reaches[1])])
            if not low < inner[0] < high:  # float64 has no number in between
                continue
        common = (laws, [_covers(law, low, high) for law in laws], with_measure)
        yield Middle(*common, inner)
        for end, edge, sign in ((low, inner[0], 1.0), (high, inner[-1], -1.0)):
            if math.isinf(end):
                center = min((place for place, _ in places), key=lambda place: abs(place - edge))
                center = center if (edge - center) * sign < 0.0 else edge + sign * reaches[1]
                yield End(*common, center, -sign, abs(edge - center), reaches)
            else:
                yield End(*common, end, sign, abs(edge - end), reaches, is_finite=True)


def _covers(law: Distribution, low: float, high: float) -> bool:
    supports = (piece._support() for piece in law._pieces())
    return any(first <= low and high <= last for first, last in supports)  # type: ignore[misc]


def _breakpoints(places: list[tuple[float, float]], supports: list[tuple[float, ...]]) -> np.ndarray:
    """Around each place, at doubling distances as far as any other place or end is."""
    marks = [x for place, reach in places for x in (place - reach, place + reach)]
    marks += [x for support in supports for x in support if math.isfinite(x)]
    points = [np.array([place for place, _ in places])]
    for place, reach in places:
        farthest = max(abs(x - place) for x in marks)
        n = min(2100, 4 + max(0, math.ceil(math.log2(farthest) - math.log2(reach))))
        steps = np.ldexp(reach, np.arange(-2, n))
        points += [place - steps, place + steps]
    together = np.unique(np.concatenate(points))
    return together[np.isfinite(together)]


def _somewhere(low: float, high: float, reach: float) -> float:
    if math.isinf(low):
        return high - reach
    return low + reach if math.isinf(high) else low + 0.5 * (high - low)


def integrals(
    rows: Callable[[np.ndarray], np.ndarray], edges: np.ndarray, rounding: float, what: str
) -> np.ndarray | None:
    """Integrals of functions that share their nodes, of shape (functions, *nodes); None where one is not finite.

    Panels are halved until what each adds is known to the rounding of the functions, a share of their sizes; `what`
    is named where that is out of reach.
    """
    low, high = edges[:-1], edges[1:]
    totals, scale = [], 1.0
    for attempt in range(_MOST_ROUNDS):
        half, middle = 0.5 * (high - low), 0.5 * low + 0.5 * high
        values = rows(middle[:, None] + half[:, None] * _NODES)
        kronrod, gauss = (half * (values @ weights) for weights in (_KRONROD, _GAUSS))
        if not np.isfinite(kronrod).all():
            return None
        if not attempt:
            scale = max(scale, float(np.abs(kronrod).sum(axis=1).max()))
        errors = np.abs(kronrod - gauss).max(axis=0)
        is_bad = errors > rounding * scale
        if is_bad.sum() > _MOST_PANELS or attempt == _MOST_ROUNDS - 1:
            if (bound := float(errors[is_bad].sum()) / scale) > max(RELATIVE_ERROR, len(errors) * rounding):
                raise NoClosedFormError(f"quadrature over {what} has a relative error of up to {bound:.1g}.")
            is_bad[:] = False
        totals.append(kronrod[:, ~is_bad])
        if not is_bad.any():
            break
        low, middle, high = low[is_bad], middle[is_bad], high[is_bad]
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    return np.array([math.fsum(parts) for parts in np.concatenate(totals, axis=1)])


class _Panels:
    """Panels of several charts, with what the rules give on each."""

    def __init__(self, rows: Callable[[Any, np.ndarray], np.ndarray]):
        self._rows = rows
        self._charts: list[Any] = []
        self._edges: list[np.ndarray] = []  # of each chart, (2, n)
        self._values: list[np.ndarray] = []  # (rows, n)
        self._errors: list[np.ndarray] = []
        self._noise: list[np.ndarray] = []

    def add(self, chart: Any, edges: np.ndarray) -> None:
        pairs = np.array([edges[:-1], edges[1:]])
        self._charts.append(chart)
        self._edges.append(pairs)
        for kept, new in zip((self._values, self._errors, self._noise), self._measure(chart, pairs), strict=True):
            kept.append(new)

    def _measure(self, chart: Any, edges: np.ndarray) -> tuple[np.ndarray, ...]:
        half, middle = 0.5 * (edges[1] - edges[0]), 0.5 * edges[0] + 0.5 * edges[1]
        at = np.column_stack([edges[0], middle[:, None] + half[:, None] * _NODES, edges[1]])
        rows = self._rows(chart, at.reshape(-1)).reshape(-1, *at.shape)
        kronrod, gauss = (half * (rows[:-1, :, 1:-1] @ weights) for weights in (_KRONROD, _GAUSS))
        side = rows[-1]
        errors = np.abs(kronrod - gauss)
        crosses = (side.min(axis=1) < 0.0) & (side.max(axis=1) > 0.0)
        errors[0] = np.where(crosses, np.abs(kronrod[0]), errors[0])  # there |p - q| has a kink, and is small
        return kronrod[:-1], errors[:-1], kronrod[-1]

    def sizes(self) -> np.ndarray:
        return sum(np.abs(values).sum(axis=1) for values in self._values)

    def refine(self) -> bool:
        """Halve panels until their errors are small; False where the term is inf at a node.

        Once all are small every panel is halved, for both rules may agree by accident.
        """
        is_verified = False
        for _ in range(_MOST_ROUNDS):
            sums, noise = (np.concatenate(rows, axis=-1) for rows in (self._values, self._noise))
            if not np.isfinite(sums[0]).all():
                return not (np.isinf(sums[0]) & (noise == 0.0)).any()
            bad = self._bad_panels()
            if not any(is_bad.any() for is_bad in bad):
                if is_verified:
                    return True
                is_verified, bad = True, [np.ones(len(is_bad), bool) for is_bad in bad]
            for i, is_bad in enumerate(bad):
                if is_bad.any():
                    self._halve(i, is_bad)
        return True

    def _bad_panels(self) -> list[np.ndarray]:
        """For each chart, which panels have errors that count and that are not from rounding."""
        scale = np.maximum(self.sizes(), 1e-300)[:, None]
        n = sum(edges.shape[1] for edges in self._edges)
        bad = []
        for errors, noise in zip(self._errors, self._noise, strict=True):
            excess = errors.copy()
            excess[0] -= 2.0 * noise
            excess = np.maximum(excess, 0.0) / scale
            counts = excess.sum(axis=1).max(initial=0.0) > _GOAL and n < _MOST_PANELS
            bad.append((excess > 0.1 * _GOAL / n).any(axis=0) & counts)
        return bad

    def _halve(self, i: int, is_bad: np.ndarray) -> None:
        low, high = self._edges[i][:, is_bad]
        middle = 0.5 * low + 0.5 * high
        edges = np.array([np.concatenate([low, middle]), np.concatenate([middle, high])])
        values, errors, noise = self._measure(self._charts[i], edges)
        moved = 0.5 * np.abs(values.reshape(len(values), 2, -1).sum(axis=1) - self._values[i][:, is_bad])
        errors = np.maximum(errors, np.concatenate([moved, moved], axis=1))
        for old, new in zip((self._values, self._errors, self._noise), (values, errors, noise), strict=True):
            old[i] = np.concatenate([old[i][..., ~is_bad], new], axis=-1)
        self._edges[i] = np.concatenate([self._edges[i][:, ~is_bad], edges], axis=1)

    def result(self) -> tuple[float, float]:
        """The integral of the term, and a bound of its relative error beyond the rounding of log-densities."""
        scale = np.maximum(self.sizes(), 1e-300)
        values = [math.fsum(np.concatenate([v[j] for v in self._values])) for j in range(len(scale))]
        noise = sum(float(n.sum()) for n in self._noise)
        errors = sum(e.sum(axis=1) for e in self._errors) / scale
        lost = max(abs(mass - 1.0) for mass in values[1:])
        bound = max(float(errors[0]) - 2.0 * noise / float(scale[0]), 0.1 * float(errors[1:].max()))
        if not noise <= _MASS_ERROR * max(1.0, float(scale[0])):  # of differences of huge log-densities nothing is left
            bound = max(bound, noise / float(scale[0]))
        return values[0], bound if lost <= _MASS_ERROR else max(bound, lost)
