"""Mutual information and total correlation from samples: KSG estimates, also for discrete and mixed data."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import _validation
from .._formula import digamma
from ..errors import InfiniteDivergenceWarning, InvalidParameterError, UnreliableEstimateWarning
from ..estimate import DivergenceEstimate
from ..inference import UNKNOWN
from ..neighbors import Reference, in_safe_range
from ..neighbors.neighborhood import Search
from ..neighbors.reductions import TIE_TOLERANCE
from ..preprocessing import count_dimensions, tell_lost_digits
from ..repeats import spread_rounded
from ..scaling import SCALES, fit_scaling
from .call import Call, Terms
from .problem import Result, moves_with_neighbors

ALGORITHMS = ("auto", "ksg1", "ksg2", "mixed")
_SHARE_OF_MOST = 0.5  # of what the rows can show at most
_ROWS_PER_CELL = 5
_DISTINCT_SHARE = 0.5  # a column with fewer different values has no density
_TIED = "they are estimated by counts of all rows within that distance, as for discrete data"


def estimate_mutual_information(
    X: Any,
    Y: Any,
    *,
    algorithm: str = "auto",
    n_neighbors: Any = None,
    scale: str = "whiten",
    unit: str = "nats",
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    memory_limit: int | None = None,
) -> DivergenceEstimate:
    r"""Estimate the mutual information of two parts X and Y of the same rows in nats.

    .. math:: I(X;Y) = \mathrm{KL}(P_{XY} \,\|\, P_X \times P_Y)
        \approx \psi(k) + \psi(n) - \langle \psi(n_x + 1) + \psi(n_y + 1) \rangle

    where :math:`n_x` and :math:`n_y` count the other rows that are nearer in X alone, and in Y alone, than
    the k-th neighbour in both together (algorithm 1 of Kraskov, Stoegbauer and Grassberger; all norms are
    maximum norms). Algorithm 2 counts within the sides of the smallest rectangle around the k neighbours:
    :math:`\psi(k) - 1/k + \psi(n) - \langle \psi(n_x) + \psi(n_y) \rangle`. Values for several k are averaged.

    Parameters
    ----------
    X : array-like of shape (n, d_x) or (n,)
        One part of the rows; continuous, discrete (coded as numbers), or a mixture.
    Y : array-like of shape (n, d_y) or (n,)
        The other part: row i belongs to row i of X.
    algorithm : {"auto", "ksg1", "ksg2", "mixed"}
        "mixed" is "ksg1" but where distances tie or are 0: there k becomes the number of rows within the
        closed ball, and the counts those within it, all with the row itself (Gao, Kannan, Oh and Viswanath
        2017). A part in which each value occurs more than k times is taken as a set of labels without any
        distances, so that neighbours have the same label (Ross 2014); for two such parts the estimate is
        that from counts. "auto" is "mixed" where there is any of this, else "ksg1"; ``method`` tells. Before,
        it spreads rounded columns, which lie on a lattice with ten or more values and are no labels, over its
        cells by uniform noise: that changes no mutual information.
    n_neighbors : int or sequence of int, optional
        By default 5, 10 and 20, each cut to n - 1. Strong dependence asks for few.
    scale : {"whiten", "std", "none"}
        How features are made comparable: "whiten" removes the correlations within X and within Y, and
        divides by standard deviations, none of which changes the mutual information.
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN in any column.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error, and the noise that spreads rounded columns over the cells
        of their lattice; no other value has any randomness.
    memory_limit : int, optional
        Bytes of workspace beside some copies of the data, at least 1 MiB; by default 256 MiB.

    Returns
    -------
    DivergenceEstimate
        Negative at times where X and Y are independent; 0 where one of them is constant; inf where columns of
        one are linear in those of the other, and continuous. Otherwise at most about psi(n) - psi(k), so that
        strong dependence needs many rows: ``reliable`` is False for more than half of that, and where the
        values for several k disagree. ``standard_error`` comes from leaving out twenty random blocks of rows,
        and is about variance, not bias.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be estimated; the message names the argument.

    Warns
    -----
    TiesWarning, SmallSampleWarning, UnreliableEstimateWarning, InfiniteDivergenceWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    Kraskov, Stoegbauer and Grassberger (2004), Estimating mutual information, eq. 8 and 9.
    Ross (2014), Mutual information between discrete and continuous data sets, eq. 1.
    Gao, Kannan, Oh and Viswanath (2017), Estimating mutual information for discrete-continuous mixtures,
    algorithm 1.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=2000)
    >>> Y = 0.6 * X + 0.8 * rng.normal(size=2000)
    >>> round(kl.estimate_mutual_information(X, Y, random_state=0).value, 2)  # the truth is 0.22
    0.21
    >>> round(kl.estimate_mutual_information(X > 0, Y).value, 2)
    0.12
    """
    call = Call.checked(n_neighbors, unit, nan_policy, n_jobs, random_state, memory_limit)
    first, second, n_dropped = _validation.paired_samples(X, Y, nan_policy, tell=call.notes.add)
    result, method = dependence([first, second], algorithm, scale, call)
    return call.report(
        result,
        quantity="mutual information",
        direction="X;Y",
        method=method,
        n_p=len(first),
        n_q=None,
        d=first.shape[1] + second.shape[1],
        n_dropped=n_dropped,
    )


def estimate_total_correlation(
    X: Any,
    *,
    algorithm: str = "auto",
    n_neighbors: Any = None,
    scale: str = "std",
    unit: str = "nats",
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    memory_limit: int | None = None,
) -> DivergenceEstimate:
    r"""Estimate the total correlation of the columns of X in nats: how far they are from independent.

    .. math:: \mathrm{TC} = \mathrm{KL}\Bigl(P \,\Big\|\, \prod_j P_j\Bigr)
        \approx \psi(k) + (d - 1) \psi(n) - \Bigl\langle \sum_j \psi(n_j + 1) \Bigr\rangle

    with counts as in `estimate_mutual_information`, which it is for two columns; algorithm 2 is
    :math:`\psi(k) - (d - 1)/k + (d - 1) \psi(n) - \langle \sum_j \psi(n_j) \rangle`.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Rows drawn from P; columns may be continuous, discrete, or mixtures.
    algorithm : {"auto", "ksg1", "ksg2", "mixed"}
        As in `estimate_mutual_information`.
    n_neighbors : int or sequence of int, optional
        By default 5, 10 and 20, each cut to n - 1.
    scale : {"std", "none"}
        Whether columns are divided by their standard deviations.
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN in any column.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the random blocks of the standard error, and the noise that spreads rounded columns over the cells
        of their lattice; no other value has any randomness.
    memory_limit : int, optional
        Bytes of workspace beside some copies of the data, at least 1 MiB; by default 256 MiB.

    Returns
    -------
    DivergenceEstimate
        0 for a single column; else as by `estimate_mutual_information`.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be estimated; the message names the argument.

    Warns
    -----
    TiesWarning, SmallSampleWarning, UnreliableEstimateWarning, InfiniteDivergenceWarning
        Each is also kept as text in ``warnings`` of the result.

    References
    ----------
    Kraskov, Stoegbauer and Grassberger (2004), Estimating mutual information, eq. 23 and 24.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> X = rng.multivariate_normal([0, 0, 0], [[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]], 3000)
    >>> round(kl.estimate_total_correlation(X, random_state=0).value, 2)  # the truth is 0.35
    0.37
    """
    call = Call.checked(n_neighbors, unit, nan_policy, n_jobs, random_state, memory_limit)
    _validation.choice(scale, "scale", ("std", "none"))
    rows, n_dropped = _validation.sample(X, "X", nan_policy, tell=call.notes.add)
    columns = np.hsplit(rows, rows.shape[1])
    result, method = dependence(columns, algorithm, scale, call)
    return call.report(
        result,
        quantity="total correlation",
        direction="X",
        method=method,
        n_p=len(rows),
        n_q=None,
        d=rows.shape[1],
        n_dropped=n_dropped,
    )


def dependence(blocks: list[np.ndarray], algorithm: str, scale: str, call: Call) -> tuple[Result, str]:
    """The estimate, and the name of its algorithm."""
    _validation.choice(algorithm, "algorithm", ALGORITHMS)
    _validation.choice(scale, "scale", SCALES)
    _validation.check_enough_rows(len(blocks[0]), "X", 2, "an estimate")
    search = call.search(len(blocks[0]), None)
    tell_lost_digits(tuple(blocks), call.notes)
    if _is_singular(blocks):
        text = "columns of one part are linear in those of the others: together they have no density, the value is inf."
        call.notes.add(InfiniteDivergenceWarning, text)
        return Result(math.inf, lambda: UNKNOWN), "ksg1" if algorithm == "auto" else algorithm
    if algorithm == "auto":
        blocks = _spread(blocks, search.ks[-1], call)
    labels = [None if algorithm.startswith("ksg") else _labels(block, search.ks[-1]) for block in blocks]
    joint = _comparable(blocks, scale, call.n_jobs)
    widths = [block.shape[1] for block in blocks]
    parts, reach = _with_labels(np.hsplit(joint, np.cumsum(widths)[:-1]), labels)
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]

    def terms(joint: np.ndarray) -> Terms:
        together = Reference(joint, search.n_jobs, norm="maximum")
        sides = [_Side(part, search.n_jobs) for part in np.hsplit(together.points, ends)]
        if algorithm == "ksg2":
            return _in_rectangles(together, sides, search)
        return _in_cubes(together, sides, search, reach, algorithm == "ksg1")

    needed = (search.ks[-1] + 1,)
    tied = "algorithm 'ksg1' makes nothing of it; use 'mixed'" if algorithm == "ksg1" else _TIED
    result = call.solve(terms, (np.hstack(parts),), search.ks, needed=needed, d=sum(widths), tied=tied)
    objections = tuple(_objections(result, labels, len(joint)))
    for text in objections:
        call.notes.add(UnreliableEstimateWarning, text)
    result = dataclasses.replace(result, reasons=result.reasons + objections)
    if algorithm != "auto":
        return result, algorithm
    return result, "mixed" if result.n_ties or any(label is not None for label in labels) else "ksg1"


def _is_singular(blocks: list[np.ndarray]) -> bool:
    """Whether continuous columns of different parts are bound together by a linear equation."""
    parts = [block[:, _are_continuous(block)] for block in blocks]
    joint = np.hstack(parts)
    return len(joint) >= joint.shape[1] + 3 and count_dimensions(joint) < sum(map(count_dimensions, parts))


def _are_continuous(block: np.ndarray) -> np.ndarray:
    in_order = np.sort(block, axis=0)
    return (in_order[1:] != in_order[:-1]).sum(axis=0) >= _DISTINCT_SHARE * len(block)


def _spread(blocks: list[np.ndarray], k: int, call: Call) -> list[np.ndarray]:
    """The parts with rounded columns spread over their cells, but for labels."""
    widths = [block.shape[1] for block in blocks]
    measured = np.repeat([_labels(block, k) is None for block in blocks], widths)
    joint, _ = spread_rounded(np.hstack(blocks), None, call.seed, call.notes, measured)
    return np.hsplit(joint, np.cumsum(widths)[:-1])


def _objections(result: Result, labels: list[np.ndarray | None], n: int) -> Iterator[str]:
    """Why the value should not be believed."""
    assert result.n_neighbors is not None
    ks, values = result.n_neighbors, list(result.diagnostics["value_by_n_neighbors"].values())
    known = [label for label in labels if label is not None]
    n_measured = len(labels) - len(known)
    most = (n_measured - 1) * (float(digamma(n)) - float(digamma(np.array(ks)).mean()))
    if n_measured > 1 and result.value > _SHARE_OF_MOST * most:
        yield (
            f"{n} rows show at most about {most:.2f} nats with these neighbours, and the estimate is more than half of "
            "that: the dependence is so strong that it may be any number beyond; use more rows, or fewer neighbours."
        )
    if n_measured and moves_with_neighbors(values, result.value, n):
        yield (
            f"the estimate moves from {values[0]:.3g} nats at {ks[0]} neighbours to {values[-1]:.3g} at {ks[-1]}: "
            "expect bias, which the interval, about variance only, does not contain; use more rows."
        )
    if len(known) > 1:
        n_cells = len(np.unique(np.stack(known, axis=1), axis=0))
        if n < _ROWS_PER_CELL * n_cells:
            yield (
                f"{n} rows in {n_cells} combinations of labels: fewer than {_ROWS_PER_CELL} in each on average make "
                "independent labels look dependent; use more rows, or coarser labels."
            )


def _labels(block: np.ndarray, k: int) -> np.ndarray | None:
    """Numbers for the distinct rows of a block, if each of them occurs more than k times."""
    _, numbers, counts = np.unique(block, axis=0, return_inverse=True, return_counts=True)
    return numbers.reshape(-1) if counts.min() > k else None


def _comparable(blocks: list[np.ndarray], scale: str, n_jobs: int) -> np.ndarray:
    """The blocks side by side, mapped one by one so that distances in all of them are alike."""
    if scale == "whiten":
        blocks = [fit_scaling(block, "whiten").apply(block, n_jobs) for block in blocks]
    joint = np.ascontiguousarray(np.hstack(blocks))
    if scale != "none":
        joint = fit_scaling(joint, "std").apply(joint, n_jobs)
    return in_safe_range(joint)[0][0]


def _with_labels(parts: list[np.ndarray], labels: list[np.ndarray | None]) -> tuple[list[np.ndarray], float]:
    """Parts with labels in the place of discrete ones, and the reach beyond which labels differ."""
    measured = [part for part, label in zip(parts, labels, strict=True) if label is None]
    extent = max((float(np.ptp(part, axis=0).max()) for part in measured), default=0.0)
    step = 4.0 * extent if extent > 0.0 else 1.0
    placed = [
        part if label is None else step * label[:, None].astype(float)
        for part, label in zip(parts, labels, strict=True)
    ]
    return placed, math.inf if len(measured) == len(parts) else 0.5 * step


class _Side:
    """One part of the rows, to be counted in."""

    def __init__(self, part: np.ndarray, n_jobs: int):
        self.width = part.shape[1]
        self._reference = Reference(np.ascontiguousarray(part), n_jobs, norm="maximum")
        self._order = self._reference.order

    def counts(self, radius: np.ndarray) -> np.ndarray:
        """How many others lie within the radius of each row."""
        counts = np.empty(len(radius), dtype=np.int64)
        rows = np.arange(len(radius))
        counts[self._order] = self._reference.count_within(self._reference.points, radius[self._order], rows)
        return counts


def _in_cubes(together: Reference, sides: list[_Side], search: Search, reach: float, ignore_ties: bool) -> Terms:
    """Algorithm 1; and where distances tie, or only rows with other labels are left, counts within the closed ball."""
    n = together.shape[0]
    near = search.among(together)
    values = []
    for k, radius, is_tied in zip(search.ks, near.distances, near.tied, strict=True):
        if ignore_ties:
            _refuse_zeros(radius, "ksg1")
            is_tied = np.zeros(n, dtype=bool)
        is_tied = is_tied | _draw_in(together, radius, k, reach)
        radius = radius * np.where(is_tied, 1.0 + TIE_TOLERANCE, 1.0 - TIE_TOLERANCE)  # <= and <
        inside, rows = np.full(n, k), np.flatnonzero(is_tied)
        if len(rows):
            inside[rows] = together.count_within(together.points[rows], radius[rows], rows) + 1
        terms = digamma(inside) - sum(digamma(side.counts(radius) + 1) for side in sides)
        values.append(float(terms.mean()) + (len(sides) - 1) * float(digamma(n)))
    return Terms.mean(values, int(near.tied.any(axis=0).sum()))


def _draw_in(together: Reference, radius: np.ndarray, k: int, reach: float) -> np.ndarray:
    """Shorten radii to the last of the k neighbours within reach (or 0), and tell which these are."""
    is_far = radius > reach
    rows = np.flatnonzero(is_far)
    if len(rows):
        distances = together.kth_distances(together.points[rows], k, rows)
        radius[rows] = np.where(distances < reach, distances, 0.0).max(axis=1)
    return is_far


def _in_rectangles(together: Reference, sides: list[_Side], search: Search) -> Terms:
    """Algorithm 2."""
    n, others = together.shape[0], len(sides) - 1
    extents = _extents(together, [side.width for side in sides], search)
    values = []
    for k, radii in zip(search.ks, extents, strict=True):
        for radius in radii:
            _refuse_zeros(radius, "ksg2")
        counted = sum(
            digamma(side.counts(radius * (1.0 + TIE_TOLERANCE))) for side, radius in zip(sides, radii, strict=True)
        )
        values.append(float(digamma(k)) - others / k + others * float(digamma(n)) - float(counted.mean()))
    return Terms.mean(values, 0)


def _extents(together: Reference, widths: list[int], search: Search) -> np.ndarray:
    """For each k, part and row, the largest distance in that part to one of the k nearest rows."""
    n, d = together.shape
    ks, points = np.array(search.ks), together.points
    extents = np.empty((len(ks), len(widths), n))
    step = search.rows_at_once(int(ks[-1]) * d)
    for first in range(0, n, step):
        rows = np.arange(first, min(first + step, n))
        _, nearest = together.nearest(points[rows], int(ks[-1]), rows)
        apart = np.abs(points[nearest] - points[rows][:, None, :])
        starts = np.cumsum([0, *widths[:-1]])
        by_part = np.maximum.reduceat(apart, starts, axis=2)
        extents[:, :, rows] = np.maximum.accumulate(by_part, axis=1)[:, ks - 1].transpose(1, 2, 0)
    return extents


def _refuse_zeros(radius: np.ndarray, algorithm: str) -> None:
    count = int(np.count_nonzero(radius == 0.0))
    if count:
        raise InvalidParameterError(
            f"algorithm={algorithm!r} needs distances that differ from 0, which those of {count} of {len(radius)} rows "
            "to their nearest rows do not; use algorithm='mixed'."
        )
