"""The permutation test of P = Q by labels of nearest neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import _progress, _validation
from .._arrays import frozen
from .._jit import effective_n_jobs, jit, run_rows
from ..errors import SmallSampleWarning
from ..estimate import Report
from ..neighbors import Reference, in_safe_range
from ..preprocessing import Notes, tell_lost_digits
from ..scaling import fit_scaling

STATISTICS = ("knn",)
_NEIGHBOR_SHARE, _FEWEST_NEIGHBORS, _MOST_NEIGHBORS = 8, 3, 100
_SMALLEST_LEVEL = 0.05
_LABELS_AT_ONCE = 1 << 22
_ROWS_AT_ONCE = 1 << 16
_EQUAL = 1e-12  # relative: numbers that differ by rounding only


@dataclass(frozen=True, kw_only=True, repr=False)
class TestResult(Report):
    """What a permutation test of P = Q has found.

    Attributes
    ----------
    statistic : float
        How far the two divergences lie from what permuted labels give; 0 where the samples are no more
        different than that.
    p_value : float
        Share of labellings, the observed one included, with at least this statistic.
    n_permutations : int
    divergences : tuple of float
        KL(P || Q) and KL(Q || P) in nats, as label counts see them: to compare with permuted labels, not
        to report (`estimate_kl` has less bias).
    n_neighbors : int
        Neighbours whose labels are counted, at least.
    n_p, n_q : int
        Rows used of X and of Y.
    d : int
        Features, without those that never vary.
    n_repeated : int
        Rows that are equal to another row of X or Y; the test is valid with any number of them.
    n_dropped : int
        Rows dropped because of NaN.
    method : str
    warnings : tuple of str

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> result = kl.two_sample_test(rng.normal(0, 1, 100), rng.normal(2, 1, 100), random_state=0)
    >>> result.p_value, result.n_permutations
    (0.001, 999)
    """

    __test__: ClassVar[bool] = False  # pytest collects classes whose names begin so

    statistic: float
    p_value: float
    n_permutations: int
    divergences: tuple[float, float]
    n_neighbors: int
    n_p: int
    n_q: int
    d: int
    n_repeated: int = 0
    n_dropped: int = 0
    method: str = "knn"
    warnings: tuple[str, ...] = ()

    def _summary_rows(self) -> list[tuple[str, str]]:
        forward, reverse = self.divergences
        rows = [
            ("p-value", f"{self.p_value:.4g} of P = Q, {self.n_permutations} permutations"),
            ("statistic", f"{self.statistic:.4g}, n_neighbors {self.n_neighbors}"),
            ("by counts", f"KL(P||Q) {forward:.3g}, KL(Q||P) {reverse:.3g} nats"),
            ("data", f"{self.n_p} rows of P, {self.n_q} of Q, {self.d} features"),
        ]
        return rows + [("warning", text) for text in self.warnings]

    def __repr__(self) -> str:
        return (
            f"TestResult(statistic={self.statistic:.6g}, p_value={self.p_value:.6g}, "
            f"n_permutations={self.n_permutations}, n_p={self.n_p}, n_q={self.n_q}, d={self.d})"
        )


def two_sample_test(
    X: Any,
    Y: Any,
    *,
    statistic: str = "knn",
    n_neighbors: int | None = None,
    n_permutations: int = 999,
    n_jobs: int | None = None,
    random_state: Any = None,
    nan_policy: str = "raise",
    progress: bool | Callable[[int, int], object] | None = None,
) -> TestResult:
    r"""Test whether X and Y were drawn from the same distribution, by permuting their labels.

    .. math:: p = \frac{1 + \#\{b : T_b \ge T\}}{B + 1}, \qquad
        T = \max(0, z_{D(P\|Q) + D(Q\|P)})^2 + z_{D(P\|Q) - D(Q\|P)}^2

    Of the k nearest neighbours of a row in both samples together, l come from its own sample; D(P || Q) is
    the mean of log((l + 1/2) / (k - l + 1/2)) over the rows of X, and D(Q || P) over those of Y. Their sum
    and their difference are standardised by their mean and deviation over all labellings. The sum sees
    shifts, the difference sees scales and tails, which one direction alone may miss altogether.

    If P = Q, the probability of p <= alpha is at most alpha, whatever the distribution: with ties,
    repeated rows, rounded columns, unequal and tiny samples. Equal rows are counted together or not at
    all. Rows must be drawn independently; no number of features is too large, though power falls.

    Parameters
    ----------
    X : array-like of shape (n, d) or (n,)
        Rows drawn from P.
    Y : array-like of shape (m, d) or (m,)
        Rows drawn from Q.
    statistic : {"knn"}
    n_neighbors : int, optional
        At most n + m - 1; by default an eighth of all rows, but 3 to 100. More see broader differences.
        4 bytes are kept for every neighbour of every row.
    n_permutations : int
        The smallest p-value is 1 / (n_permutations + 1).
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the permutations.
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    progress : True or callable, optional
        True shows a bar; a function is called as ``progress(done, total)`` with permutations, now and then, by the
        calling thread.

    Returns
    -------
    TestResult

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be tested; the message names the argument.

    Warns
    -----
    SmallSampleWarning
        Where there are so few rows, or permutations, that no p-value is 0.05 or less.

    References
    ----------
    M. F. Schilling (1986), Multivariate two-sample tests based on nearest neighbors; H. Chen, J. H. Friedman
    (2017), A new graph-based two-sample test for multivariate and object data, section 3 (why two directions);
    B. Phipson, G. K. Smyth (2010), Permutation p-values should never be zero, eq. 2.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(0, 1, (200, 3)), rng.normal(0, 1.5, (150, 3))
    >>> kl.two_sample_test(X, Y, random_state=0).p_value
    0.001
    >>> kl.two_sample_test(X[:100], X[100:], random_state=0).p_value > 0.05
    True
    """
    _validation.choice(statistic, "statistic", STATISTICS)
    _validation.choice(nan_policy, "nan_policy", _validation.NAN_POLICIES)
    n_permutations = _validation.integer(n_permutations, "n_permutations", minimum=1)
    asked = None if n_neighbors is None else _validation.integer(n_neighbors, "n_neighbors", minimum=1)
    jobs = effective_n_jobs(_validation.check_n_jobs(n_jobs))
    rng = _validation.generator(random_state)
    listener = _progress.checked(progress)
    notes = Notes()
    X, Y, n_dropped = _validation.sample_pair(X, Y, nan_policy, tell=notes.add)
    for rows, name in ((X, "X"), (Y, "Y")):
        _validation.check_enough_rows(len(rows), name, 2, "a test")
    k = neighbors_within(asked, len(X) + len(Y))
    tell_lost_digits((X, Y), notes)
    _tell_too_few(len(X), len(Y), n_permutations, notes)

    with _progress.shown(listener):
        graph = Graph.of(np.concatenate([X, Y]), k, jobs)
        values = _divergences(graph, len(X), n_permutations, rng, jobs, listener)
    distances = far_from_permuted(values)
    notes.issue(2)
    return TestResult(
        statistic=float(distances[0]),
        p_value=int(counts_at_least(distances)[0]) / (n_permutations + 1),
        n_permutations=n_permutations,
        divergences=(float(values[0, 0]), float(values[0, 1])),
        n_neighbors=k,
        n_p=len(X),
        n_q=len(Y),
        d=graph.d,
        n_repeated=int(graph.weight[graph.weight > 1].sum()),
        n_dropped=n_dropped,
        method=statistic,
        warnings=notes.texts(),
    )


def neighbors_within(asked: int | None, n_rows: int) -> int:
    if asked is None:
        return min(max(n_rows // _NEIGHBOR_SHARE, _FEWEST_NEIGHBORS), _MOST_NEIGHBORS, n_rows - 1)
    _validation.check_enough_rows(n_rows, "X and Y together", asked + 1, f"n_neighbors={asked}")
    return asked


def _tell_too_few(n: int, m: int, n_permutations: int, notes: Notes) -> None:
    """Note what keeps every p-value above 0.05: permutations, or labellings that differ at all."""
    smallest = 1.0 / (n_permutations + 1)
    if smallest > _SMALLEST_LEVEL:
        notes.add(
            SmallSampleWarning, f"n_permutations={n_permutations} gives no p-value below {smallest:.2g}; ask for more."
        )
    ways = math.comb(n + m, n) if min(n, m) < 1.0 / _SMALLEST_LEVEL else math.inf
    if ways * _SMALLEST_LEVEL < 1.0:
        notes.add(
            SmallSampleWarning,
            f"{n} rows of X and {m} of Y can be labelled in {ways} ways only: no p-value is much below "
            f"{1.0 / ways:.2g}; more rows are needed.",
        )


def far_from_permuted(divergences: np.ndarray) -> np.ndarray:
    """The statistic of each labelling, among all of them, the observed one first."""
    total, difference = divergences.sum(axis=1), divergences[:, 0] - divergences[:, 1]
    return _far_from_mean(total) + _far_from_mean(difference, both_sides=True)


def counts_at_least(statistics: np.ndarray) -> np.ndarray:
    """How many statistics, none of them negative, are at least as large as each one, itself included."""
    ascending = np.sort(statistics)
    return len(statistics) - np.searchsorted(ascending, statistics * (1.0 - _EQUAL))


def _far_from_mean(values: np.ndarray, both_sides: bool = False) -> np.ndarray:
    """Squares of standardised numbers, 0 below the mean where that side is not asked for."""
    deviation = values - values[0]
    deviation -= deviation.mean()
    spread = deviation.std()
    if spread <= _EQUAL * np.abs(values).max():
        return np.zeros(len(values))
    return (deviation if both_sides else np.maximum(deviation, 0.0)) ** 2 / spread**2


@dataclass(frozen=True)
class Graph:
    """Distinct rows of both samples together, how often each occurs, and which are its neighbours.

    It is made from the rows in ascending order, so that it cannot know in which sample they stood: this is
    what makes the test exact. ``neighbors[u, :length[u]]`` are the nearest other rows that, with the
    repetitions of row u itself, are k or more; ``size`` counts them all, with u. ``points`` are the rows, scaled.
    """

    cell: np.ndarray
    weight: np.ndarray
    neighbors: np.ndarray
    length: np.ndarray
    size: np.ndarray
    points: np.ndarray
    d: int

    @classmethod
    def of(cls, rows: np.ndarray, k: int, n_jobs: int, n_whitened: int | None = None) -> Graph:
        """Of the columns only the first `n_whitened` are whitened, by default all."""
        varies = rows.min(axis=0) < rows.max(axis=0)
        whitened = int(varies[:n_whitened].sum())
        distinct, cell, weight = np.unique(rows[:, varies] + 0.0, axis=0, return_inverse=True, return_counts=True)
        cell = cell.reshape(-1)
        if len(distinct) == 1:
            nobody = np.zeros(1, dtype=np.int64)
            return cls(cell, weight, np.empty((1, 0), dtype=np.int32), nobody, weight, distinct, 0)
        (points,), _ = in_safe_range(_whitened(distinct, weight, whitened, n_jobs))
        reference = Reference(points, n_jobs)
        position = np.argsort(reference.order)
        weight = weight[reference.order]
        neighbors, length, size = _neighbors(reference, weight, k)
        return cls(position[cell], weight, neighbors, length, size, reference.points, int(varies.sum()))

    def divergences(self, labels: np.ndarray, n_jobs: int = 1) -> np.ndarray:
        """D(P || Q) and D(Q || P) for each labelling, in which all have as many rows of P, labelled 1, and of Q."""
        n_rows, n = len(self.cell), int(labels[0].sum())
        logs = np.log(np.arange(self.size.max() + 1) + 0.5)
        fixed = [frozen(a) for a in (self.cell, self.weight, self.neighbors, self.length, self.size, logs)]
        out = np.empty((len(labels), 2))
        run_rows(_label_kernel, len(labels), labels, *fixed, out, n_jobs=n_jobs, row_cost=self.neighbors.size)
        return out + np.log([(n_rows - n) / (n - 1), n / (n_rows - n - 1)])

    def log_ratios(self, labels: np.ndarray) -> np.ndarray:
        """log((l + 1/2) / (k - l + 1/2)) + log(m / (n - 1)) at each row labelled 1, in their order."""
        ones = np.bincount(self.cell, weights=labels, minlength=len(self.weight))
        cells, n = self.cell[labels == 1], float(labels.sum())
        within = np.arange(self.neighbors.shape[1]) < self.length[cells, None]
        own = ones[cells] + np.where(within, ones[self.neighbors[cells]], 0.0).sum(axis=1)
        return np.log((own - 0.5) / (self.size[cells] - own + 0.5)) + math.log((len(labels) - n) / (n - 1.0))


def _whitened(distinct: np.ndarray, weight: np.ndarray, n_whitened: int, n_jobs: int) -> np.ndarray:
    if n_whitened == 0:
        return frozen(distinct)
    first = np.ascontiguousarray(distinct[:, :n_whitened])
    points = fit_scaling(np.repeat(first, weight, axis=0), "whiten").apply(first, n_jobs)
    if n_whitened == distinct.shape[1]:
        return points
    return frozen(np.hstack([points, distinct[:, n_whitened:]]))


def _neighbors(reference: Reference, weight: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = reference.shape[0]
    k_distinct = min(k, n - 1)
    neighbors, length, size = np.empty((n, k_distinct), dtype=np.int32), np.empty(n, np.int64), np.empty(n, np.int64)
    for first in range(0, n, _ROWS_AT_ONCE):
        part = np.arange(first, min(first + _ROWS_AT_ONCE, n))
        _, rows = reference.nearest(reference.points[part], k_distinct, part)
        before = weight[part, None] - 1 + np.cumsum(weight[rows], axis=1) - weight[rows]
        needed = before < k
        neighbors[part], length[part] = rows, needed.sum(axis=1)
        size[part] = weight[part] + np.where(needed, weight[rows], 0).sum(axis=1)
    return neighbors, length, size


def labellings(n: int, n_rows: int, n_permutations: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Labels of rows, of which the first n have 1 and the others 0, as they are; then permuted, in blocks of some."""
    labels = (np.arange(n_rows) < n).astype(np.uint8)
    yield frozen(labels[None])
    step = max(1, _LABELS_AT_ONCE // n_rows)
    for first in range(0, n_permutations, step):
        count = min(step, n_permutations - first)
        yield frozen(rng.permuted(np.broadcast_to(labels, (count, n_rows)), axis=1))


def _divergences(
    graph: Graph,
    n: int,
    n_permutations: int,
    rng: np.random.Generator,
    n_jobs: int,
    progress: Callable[[int, int], object] | None,
) -> np.ndarray:
    """D(P || Q) and D(Q || P) for the labels as they are and for permuted ones, shape (1 + n_permutations, 2)."""
    parts, done = [], -1
    for labels in labellings(n, len(graph.cell), n_permutations, rng):
        parts.append(graph.divergences(labels, n_jobs))
        done += len(labels)
        if progress is not None and done:
            progress(done, n_permutations)
    return np.concatenate(parts)


@jit
def _label_kernel(start, stop, labels, cell, weight, neighbors, length, size, logs, out):
    """Mean of log((own + 1/2) / (other + 1/2)) over the rows labelled 1, and over the others, for every labelling.

    Counts are tallied first, as whole numbers: labellings that count the same give the same bits.
    """
    ones = np.zeros(weight.shape[0], dtype=np.int64)
    tally = np.zeros((2, logs.shape[0]), dtype=np.int64)
    for b in range(start, stop):
        ones[:] = 0
        tally[:] = 0
        for i in range(cell.shape[0]):
            ones[cell[i]] += labels[b, i]
        n = 0
        for u in range(weight.shape[0]):
            near = ones[u]
            for j in range(length[u]):
                near += ones[neighbors[u, j]]
            far = size[u] - near
            n += ones[u]
            if ones[u] > 0:
                tally[0, near - 1] += ones[u]
                tally[0, far] -= ones[u]
            if ones[u] < weight[u]:
                tally[1, far - 1] += weight[u] - ones[u]
                tally[1, near] -= weight[u] - ones[u]
        totals = np.zeros(2)
        for count in range(logs.shape[0]):
            totals[0] += tally[0, count] * logs[count]
            totals[1] += tally[1, count] * logs[count]
        out[b, 0] = totals[0] / n
        out[b, 1] = totals[1] / (cell.shape[0] - n)
