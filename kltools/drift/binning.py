"""Cells that window and reference share, the rows of each in them, and what they tell of one feature.

All of this is made of the pooled rows, never of their labels. Bins that are laid on the reference, scales learnt from
it, or categories that it has, would treat the two samples differently even where they have the same distribution,
and no permutation of the labels could tell: the test would not be exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from ..estimators.cells import Pair
from ..estimators.counts import corrected_kl
from ..estimators.counts_information import corrected_jensen_shannon
from .columns import Column
from .values import CATEGORY, NUMERIC

_BINS_EXPONENT = 0.4  # the number of bins grows like this power of the rows (Mann and Wald 1942)
_FEWEST_BINS = 2
_RARE, _RARE_SHARE = 5, 0.1  # categories of fewer rows, and of less than this share of them, are one cell
_MOST_INDICATORS = 20  # of one feature, in the space where neighbours are sought
MISSING, RARE = "(missing)", "(rare)"


@dataclass(frozen=True)
class Cells:
    """The cell of each row of one feature, and what the cells are called; `ordered` where they are bins of numbers.

    Missing values have the last cell, where there are any. `apart` are the cells where rare categories have their own.
    """

    codes: np.ndarray
    names: tuple[str, ...]
    ordered: bool
    apart: np.ndarray

    @property
    def distinct(self) -> np.ndarray:
        """The cells, where there are several."""
        return self.codes if len(self.names) > 1 else self.apart

    @property
    def varies(self) -> bool:
        """Whether labellings of the rows differ in their counts: not where all values are equal, or none are."""
        return len(self.names) > 1 or 0 < self.apart.max() < len(self.apart) - 1


def cells_of(column: Column, n: int) -> Cells:
    """Bins of about equally many rows, equal numbers together; or categories, rare ones together.

    There are as many bins as two samples of the size of the smaller one need: n rows are the window.
    """
    present = ~column.missing
    if not present.any():
        nothing = np.zeros(len(present), dtype=np.int64)
        return Cells(nothing, (MISSING,), False, nothing)
    if column.kind == NUMERIC:
        of_smaller = 2 * min(n, len(present) - n) / len(present)
        found, names = _bins(column.values[present], of_smaller)
    else:
        found, names = _categories(column, present)
    codes = np.full(len(present), len(names))
    codes[present] = found
    names = names if present.all() else (*names, MISSING)
    apart = np.where(present, column.values, len(column.labels)) if column.kind == CATEGORY else codes
    return Cells(codes, names, column.kind == NUMERIC, apart)


def _bins(values: np.ndarray, of_smaller: float) -> tuple[np.ndarray, tuple[str, ...]]:
    distinct, place, count = np.unique(values, return_inverse=True, return_counts=True)
    n_bins = max(_FEWEST_BINS, round((of_smaller * len(place)) ** _BINS_EXPONENT))
    bins = (n_bins * _middle_ranks(count) // (2 * len(place))).astype(np.int64)
    _, first, codes = np.unique(bins, return_index=True, return_inverse=True)
    last = np.append(first[1:], len(distinct)) - 1
    names = tuple(
        f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
        for low, high in zip(distinct[first], distinct[last], strict=True)
    )
    return codes[place], names


def _middle_ranks(count: np.ndarray) -> np.ndarray:
    """Twice the number of rows below each distinct value, half of those equal to it counted: whole numbers."""
    return 2 * np.cumsum(count) - count


def _categories(column: Column, present: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    values = column.values[present]
    count = np.bincount(values, minlength=len(column.labels))
    rare = (count < _RARE) & (count < _RARE_SHARE * len(values))
    kept = np.flatnonzero(~(rare & (rare.sum() > 1)))
    codes = np.full(len(count), len(kept))
    codes[kept] = np.arange(len(kept))
    names = tuple(column.labels[i] for i in kept)
    return codes[values], names if rare.sum() <= 1 else (*names, RARE)


# ---------------------------------------------------------------- where neighbours are sought


def encoded(columns: Sequence[Column], cells: Sequence[Cells]) -> tuple[np.ndarray, int]:
    """Coordinates of the rows, and how many of them are numbers, which come first.

    Numbers are normal scores of pooled ranks, missing ones in the middle; whether a number is missing, and which
    category a row has, are indicators scaled so that two random rows are as far apart as by a number on average.
    """
    pairs = list(zip(columns, cells, strict=True))
    scores = [_scores(column) for column, _ in pairs if column.kind == NUMERIC]
    indicators = [
        _indicators(column.missing.astype(np.int64) if column.kind == NUMERIC else cell.distinct)
        for column, cell in pairs
        if column.kind == CATEGORY or column.missing.any()
    ]
    return np.column_stack([*scores, *indicators]), len(scores)


def _scores(column: Column) -> np.ndarray:
    present = ~column.missing
    scores = np.zeros(len(present))
    _, place, count = np.unique(column.values[present], return_inverse=True, return_counts=True)
    ranks, where = np.unique(_middle_ranks(count), return_inverse=True)
    quantile = NormalDist().inv_cdf
    scores[present] = np.array([quantile(rank / (2 * len(place))) for rank in ranks.tolist()])[where][place]
    return scores


def _indicators(codes: np.ndarray) -> np.ndarray:
    """One column for each of the most frequent cells; squared distances of two random rows are 2 on average."""
    total = np.bincount(codes)
    frequent = np.argsort(-total, kind="stable")[:_MOST_INDICATORS]
    equal = float((total / len(codes)) @ (total / len(codes)))
    return (codes[:, None] == frequent) * np.sqrt(1.0 / (1.0 - equal))


# ---------------------------------------------------------------- counts


@dataclass(frozen=True)
class Counter:
    """The cells of all features, numbered on from one to the next, and what their counts are weighed with.

    Features that are categories follow once more, with a cell for each category.
    """

    codes: np.ndarray
    starts: np.ndarray
    totals: np.ndarray
    weights: np.ndarray
    x_log_x: np.ndarray
    ordered: np.ndarray

    @classmethod
    def of(cls, cells: Sequence[Cells]) -> Counter:
        ordered = np.array([cell.ordered for cell in cells])
        each = [cell.codes for cell in cells] + [cell.apart for cell in cells if not cell.ordered]
        totals = [np.bincount(codes) for codes in each]
        starts = np.cumsum([0, *map(len, totals)])
        codes = np.stack(each, axis=1) + starts[:-1]
        weights = np.zeros(starts[-1])
        for cell, first, last in zip(cells, starts, starts[1:], strict=False):
            if cell.ordered:
                weights[first : last - 1] = _weights(cell)
        counts = np.arange(len(codes) + 1.0)
        x_log_x = counts * np.log(np.maximum(counts, 1.0))
        return cls(*map(frozen, (codes, starts, np.concatenate(totals), weights, x_log_x, ordered)))

    def statistics(self, labels: np.ndarray, n_jobs: int = 1) -> np.ndarray:
        """G statistics of all features, then cumulative ones, of categories G of each of them, for each labelling."""
        n_rows, d = self.codes.shape
        n = int(labels[0].sum())
        out = np.empty((len(labels), 2 * d))
        arguments = self.codes, self.starts, self.totals, self.weights, self.x_log_x, n / n_rows, out
        run_rows(_count_kernel, len(labels), labels, *arguments, n_jobs=n_jobs, row_cost=self.codes.size)
        of_totals = np.add.reduceat(self.x_log_x[self.totals], self.starts[:-1])
        expected = self.x_log_x[n] + self.x_log_x[n_rows - n] - self.x_log_x[n_rows]
        g, cumulative = 2.0 * (out[:, :d] - of_totals - expected), out[:, d:]
        n_features = len(self.ordered)
        second = cumulative[:, :n_features]
        second[:, ~self.ordered] = g[:, n_features:]
        return np.hstack([g[:, :n_features], second])


def _weights(cell: Cells) -> np.ndarray:
    """Of squared differences of cumulative counts at the ends of bins but the last, as Anderson and Darling have."""
    totals = np.bincount(cell.codes)
    below = np.cumsum(totals[:-1]) / len(cell.codes)
    return (totals[:-1] + totals[1:]) / (below * (1.0 - below))


@jit
def _count_kernel(start, stop, labels, codes, starts, totals, weights, x_log_x, share, out):
    d = starts.shape[0] - 1
    ones = np.zeros(totals.shape[0], dtype=np.int64)
    for b in range(start, stop):
        ones[:] = 0
        for i in range(codes.shape[0]):
            if labels[b, i]:
                for j in range(d):
                    ones[codes[i, j]] += 1
        for j in range(d):
            sum_of_logs = 0.0
            excess = 0.0
            squares = 0.0
            for c in range(starts[j], starts[j + 1]):
                sum_of_logs += x_log_x[ones[c]] + x_log_x[totals[c] - ones[c]]
                excess += ones[c] - share * totals[c]
                squares += weights[c] * excess * excess
            out[b, j] = sum_of_logs
            out[b, d + j] = squares


def divergences(cells: Cells, n: int) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Counts of the first n rows, the window, and of the others; KL(window || others), JS and PSI without bias."""
    x, y = (np.bincount(codes, minlength=len(cells.names)) for codes in np.split(cells.codes, [n]))
    pair = Pair(x.astype(np.float64), y.astype(np.float64))
    kl = corrected_kl(pair)
    return x, y, (kl, corrected_jensen_shannon(pair), kl + corrected_kl(pair.swapped()))
