"""What is found out about samples before distances are measured or models fitted, done about it, and told."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field

import numpy as np

from ._arrays import frozen
from ._jit import jit
from .errors import InfiniteDivergenceWarning, KLToolsWarning, TiesWarning, UnreliableEstimateWarning

_ORDINARY_EXPONENT = 200  # squares of numbers up to 2**200, and their sums, are far from overflow
_FEW_DIGITS = 1e6 * 2.2e-16
_FOLD = 64
_OUTLIER_RANGES = 20.0
ROWS_TO_LOOK_AT, _DISTINCT_SHARE = 500, 0.05
_SHARE_OF_ATOM, _FEWEST_OF_ATOM, _SHARE_OF_OTHERS = 0.05, 5, 0.9
_ROWS_PER_FEATURE = 10  # more to look at
_SMALLEST_PIVOT = 1e-13  # of a correlation matrix: below it columns count as linearly dependent


@dataclass
class Notes:
    """Warnings collected on the way to an estimate, to be issued once and kept in the result.

    ``columns`` are the numbers that columns had before some were dropped or moved; None while none were.
    """

    items: list[tuple[type[KLToolsWarning], str]] = field(default_factory=list)
    columns: np.ndarray | None = None

    def add(self, category: type[KLToolsWarning], message: str) -> None:
        self.items.append((category, message))

    def texts(self) -> tuple[str, ...]:
        return tuple(message for _, message in self.items)

    def select(self, columns: np.ndarray) -> None:
        """Go on with some of the columns, given by a mask or in a new order."""
        before = np.arange(len(columns)) if self.columns is None else self.columns
        self.columns = before[columns]

    def names(self, which: np.ndarray) -> list[int]:
        """The columns of a mask, as the user numbers them."""
        columns = np.flatnonzero(which)
        return sorted(int(j) for j in (columns if self.columns is None else self.columns[columns]))

    def issue(self, stacklevel: int) -> None:
        for category, message in self.items:
            warnings.warn(message, category, stacklevel=stacklevel + 1)


def drop_constant_columns(
    X: np.ndarray, Y: np.ndarray | None, notes: Notes
) -> tuple[np.ndarray, np.ndarray | None, float | None]:
    """Treat columns with a single value: the samples left over, and the answer where such columns decide it.

    A column with one and the same value in X and Y carries no information and is dropped; nothing left
    means 0. Where one sample is constant and the other never, or not only, takes that value, P has mass
    where Q has none, and the answer is inf.
    """
    constant_x = _is_constant(X)
    if Y is None:
        if not constant_x.any():
            return X, Y, None
        notes.add(InfiniteDivergenceWarning, "a column of X is constant, q is continuous: the divergence is inf.")
        return X, Y, math.inf
    constant_y = _is_constant(Y)
    same = constant_x & constant_y & (X[0] == Y[0])
    met = np.array([bool((Y[:, j] == X[0, j]).any()) for j in range(X.shape[1])])
    mismatch = (constant_y & ~same) | (constant_x & ~met)
    if mismatch.any():
        column = int(np.flatnonzero(mismatch)[0])
        who = "Y" if constant_y[column] else "X"
        notes.add(
            InfiniteDivergenceWarning,
            f"column {column} of {who} is constant, at a value that the other sample lacks, or has among others: "
            "P has mass where Q has none, the divergence is inf.",
        )
        return X, Y, math.inf
    if not same.any():
        return X, Y, None
    columns = notes.names(same)
    notes.add(TiesWarning, f"columns {columns} have the same single value in X and Y and are dropped.")
    if same.all():
        return X, Y, 0.0
    notes.select(~same)
    return frozen(np.ascontiguousarray(X[:, ~same])), frozen(np.ascontiguousarray(Y[:, ~same])), None


def drop_dependent_columns(X: np.ndarray, Y: np.ndarray, notes: Notes) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Treat columns that are linear in the columns before them: what is left, and inf where they decide it.

    A column with the same dependence in X and in Y carries no information, but would be taken for a
    dimension; it is dropped. With another constant in the dependence the samples lie in different planes.
    """
    if X.shape[1] == 1 or independent_in_part(X, Y):
        return X, Y, None
    exponents = column_exponents(X, Y)
    inner_x, inner_y = (without_outliers(divided(sample, exponents)) for sample in (X, Y))
    x, y = deviations(inner_x), deviations(inner_y)
    together = np.concatenate([x, y])
    if len(together) < X.shape[1] + 3:  # so few rows are dependent by themselves
        return X, Y, None
    kept = independent_columns(together)
    if kept.all():
        return X, Y, None
    kept |= independent_columns(x) | independent_columns(y)
    columns = notes.names(~kept)
    if not columns:
        return X, Y, None
    coefficients = np.linalg.lstsq(together[:, kept], together[:, ~kept], rcond=None)[0]
    shift = (inner_x[0] - inner_y[0]) - (x[0] - y[0])
    apart = np.abs(shift[~kept] - shift[kept] @ coefficients)
    if (apart > 1e-6 * (together.std(axis=0)[~kept] + np.abs(shift).max())).any():
        notes.add(
            InfiniteDivergenceWarning,
            f"columns {columns} are linear in others with another constant in X than in Y: P has mass where Q has "
            "none, the divergence is inf.",
        )
        return X, Y, math.inf
    notes.add(TiesWarning, f"columns {columns} are linear in others, equally in X and Y (dependent), and are dropped.")
    notes.select(kept)
    return frozen(np.ascontiguousarray(X[:, kept])), frozen(np.ascontiguousarray(Y[:, kept])), None


def spans_fewer_dimensions(X: np.ndarray) -> bool:
    """Whether a column is constant or, where there are rows enough to tell, linear in those before it."""
    X = divided(X, column_exponents(X))
    if (_column_spreads(X) == 0.0).any():
        return True
    return len(X) >= X.shape[1] + 3 and not independent_columns(deviations(without_outliers(X))).all()


def count_dimensions(X: np.ndarray) -> int:
    """How many columns are neither constant nor linear in those before them."""
    if X.shape[1] == 0:
        return 0
    return int(independent_columns(deviations(without_outliers(divided(X, column_exponents(X))))).sum())


def in_same_planes(X: np.ndarray, Y: np.ndarray) -> bool:
    """Whether rows of X span no dimension that the rows of Y do not span."""
    exponents = column_exponents(X, Y)
    X, Y = divided(X, exponents), divided(Y, exponents)
    together = np.concatenate([Y, X])
    return independent_columns(deviations(together)).sum() == independent_columns(deviations(Y)).sum()


def rows_that_show(d: int) -> int:
    """Of how many rows it is seen, as a rule, whether columns depend on each other."""
    return ROWS_TO_LOOK_AT + _ROWS_PER_FEATURE * d


def independent_in_part(X: np.ndarray, Y: np.ndarray) -> bool:
    """Whether some of the rows show already that no column is linear in those before it."""
    parts = [spread_rows(Z, rows_that_show(X.shape[1])) for Z in (X, Y)]
    exponents = column_exponents(*parts)
    parts = [deviations(without_outliers(divided(part, exponents))) for part in parts]
    together = np.concatenate(parts)
    return len(together) >= X.shape[1] + 3 and bool(independent_columns(together).all())


def spread_rows(X: np.ndarray, at_most: int) -> np.ndarray:
    """Some rows, evenly over the sample."""
    return X if len(X) <= at_most else X[spread_places(len(X), at_most)]


def spread_places(n: int, at_most: int) -> np.ndarray:
    """The places of `spread_rows` among n rows."""
    return np.arange(n) if n <= at_most else np.linspace(0, n - 1, at_most).astype(int)


def independent_columns(deviation: np.ndarray) -> np.ndarray:
    """Which columns are not linear in those before them; the rows are deviations from a mean."""
    d = deviation.shape[1]
    correlation, _ = correlation_and_spreads(deviation.T @ deviation)
    if cholesky_or_none(correlation) is not None:
        return np.ones(d, dtype=bool)
    kept = np.zeros(d, dtype=bool)
    factor = np.zeros((d, d))
    for j in range(d):  # a Cholesky factorisation that passes over dependent columns
        row = np.linalg.solve(factor[kept][:, kept], correlation[kept, j])
        pivot = correlation[j, j] - float(row @ row)
        kept[j] = pivot > _SMALLEST_PIVOT
        if kept[j]:
            factor[j, kept] = [*row, math.sqrt(pivot)]
    return kept


def _reduce_columns(function: np.ufunc, X: np.ndarray) -> np.ndarray:
    """Reduce each column; NumPy is fast along long rows only, so that many rows are first taken as one."""
    n, d = X.shape
    whole = n - n % _FOLD
    parts = [X[whole:]]
    if whole:
        parts.append(function.reduce(X[:whole].reshape(-1, _FOLD * d), axis=0).reshape(_FOLD, d))
    return function.reduce(np.concatenate(parts), axis=0)


def column_ranges(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each column."""
    return _reduce_columns(np.minimum, X), _reduce_columns(np.maximum, X)


def _is_constant(X: np.ndarray) -> np.ndarray:
    if len(X) == 1:
        return np.zeros(X.shape[1], dtype=bool)
    low, high = column_ranges(X)
    return low == high


def count_shared_rows(X: np.ndarray, Y: np.ndarray) -> int:
    """Rows of X that occur in Y, found by 64-bit hashes of the rows."""
    return int(np.isin(_row_hashes(X), _row_hashes(Y)).sum())


def count_repeated_rows(X: np.ndarray) -> int:
    """Rows of X that occur there before, found like shared ones."""
    return len(X) - len(np.unique(_row_hashes(X)))


def _row_hashes(X: np.ndarray) -> np.ndarray:
    """FNV-1a over the bits of each row; 0.0 and -0.0 are one number."""
    bits = np.ascontiguousarray(X + 0.0).view(np.uint64)
    hashes = np.full(len(X), 0xCBF29CE484222325, dtype=np.uint64)
    for column in bits.T:
        hashes ^= column ^ (column >> np.uint64(32))
        hashes *= np.uint64(0x100000001B3)
    return hashes


def tell_mixed_columns(samples: tuple[np.ndarray, ...], notes: Notes, are_counted: bool = False) -> bool:
    """Note columns of which densities know nothing: of few distinct values beside continuous ones, or with atoms.

    Whether there are atoms; a method by which rows are then `are_counted` within equal radii can bear them.
    """
    looks = [spread_rows(X, ROWS_TO_LOOK_AT) for X in samples]
    ordered = [np.sort(np.ascontiguousarray(rows.T)) for rows in looks]
    few = np.ones(samples[0].shape[1], dtype=bool)
    for seen in ordered:
        few &= (seen[:, 1:] != seen[:, :-1]).sum(axis=1) + 1 <= _DISTINCT_SHARE * seen.shape[1]
    if few.any() and not few.all():
        columns = notes.names(few)
        notes.add(
            UnreliableEstimateWarning,
            f"columns {columns} take few values, the others many: no density has such rows, and what those columns "
            "contribute is misjudged; compare within their values, or drop them.",
        )
    atoms = np.any([_with_atoms(*look) for look in zip(looks, ordered, strict=True)], axis=0)
    if atoms.any():
        told = f"columns {notes.names(atoms)} have one value in many rows (clipped, or often 0) and many in the others"
        if are_counted:
            notes.add(TiesWarning, f"{told}: rows are compared by their counts within equal radii.")
        else:
            notes.add(UnreliableEstimateWarning, f"{told}: no density has such rows; methods of neighbours count them.")
    return bool(atoms.any())


def _with_atoms(rows: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Columns with one value in many different rows, and hardly one twice in the others, which are many, too."""
    many = max(_FEWEST_OF_ATOM, math.ceil(_SHARE_OF_ATOM * len(rows)))
    found = (ordered[:, many - 1 :] == ordered[:, : 1 - many]).any(axis=1)
    if found.any():
        distinct = np.unique(rows, axis=0)
        for j in np.flatnonzero(found):
            _, counts = np.unique(distinct[:, j], return_counts=True)
            others = counts[counts < many]
            found[j] = len(others) < len(counts) and len(others) > max(many, _SHARE_OF_OTHERS * others.sum())
    return found


def tell_lost_digits(samples: tuple[np.ndarray, ...], notes: Notes) -> None:
    """Note columns whose offset is so large that float64 left few digits of their spread."""
    for X in samples:
        low, high = column_ranges(X)
        with np.errstate(over="ignore", invalid="ignore"):
            extent = high - low
        lost = (extent < _FEW_DIGITS * np.maximum(np.abs(low), np.abs(high))) & (low != high)
        if lost.any():
            columns = notes.names(lost)
            notes.add(
                KLToolsWarning,
                f"the spread of columns {columns} is so small beside their offset that float64 keeps few of its "
                "digits; subtract the offset where the data are made.",
            )
            return


def column_exponents(X: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """Powers of two that bring columns of extreme magnitude to about 1; 0 for ordinary columns."""
    ends = column_ranges(X) + (() if other is None else column_ranges(other))
    largest = np.abs(ends).max(axis=0)
    exponents = np.frexp(largest)[1].astype(int)
    return np.where((np.abs(exponents) > _ORDINARY_EXPONENT) & (largest > 0.0), exponents, 0)


def divided(X: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    return frozen(np.ldexp(X, -exponents)) if exponents.any() else X


def without_outliers(X: np.ndarray) -> np.ndarray:
    """Rows that lie within 20 interquartile ranges of the middle half in every column.

    A scale or a dependence of columns must not be learnt from a few wild or sentinel values.
    """
    bounds = outlier_bounds(spread_rows(X, ROWS_TO_LOOK_AT), *column_ranges(X))
    if bounds is None:
        return X
    inside = rows_inside(X, bounds)
    return X if are_few(inside) else X[inside]


def outlier_bounds(some: np.ndarray, smallest: np.ndarray, largest: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The least and the greatest values that rows inside have, from some rows; None where no row exceeds them."""
    low, high = _quartiles(some)
    reach = _OUTLIER_RANGES * (high - low)
    free = high == low
    bounds = np.where(free, -np.inf, low - reach), np.where(free, np.inf, high + reach)
    return None if ((bounds[0] <= smallest) & (largest <= bounds[1])).all() else bounds


def rows_inside(X: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Which rows lie within bounds in every column."""
    return np.asarray(((bounds[0] <= X) & (bounds[1] >= X)).all(axis=1))


def are_few(inside: np.ndarray) -> bool:
    """Whether so few rows are inside that the others are no outliers."""
    return not inside.mean() > 0.5


def _quartiles(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values that about a quarter, and three quarters, of each column do not exceed."""
    columns = np.sort(np.ascontiguousarray(X.T))
    last = len(X) - 1
    return columns[:, last // 4], columns[:, last - last // 4]


def deviations(X: np.ndarray) -> np.ndarray:
    """Rows minus the mean row, without loss of digits where the data have a large offset."""
    shifted = np.empty(X.shape)
    _shift_kernel(X, X[0], shifted)
    _shift_kernel(shifted, _reduce_columns(np.add, shifted) / len(X), shifted)
    return shifted


@jit
def _shift_kernel(X, origin, out):
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            out[i, j] = X[i, j] - origin[j]


def _column_spreads(X: np.ndarray) -> np.ndarray:
    """Standard deviations; exactly 0 for a constant column."""
    deviation = deviations(X)
    return np.sqrt(np.einsum("ij,ij->j", deviation, deviation) / max(len(X) - 1, 1))


def correlation_and_spreads(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation matrix, with 0 for constant columns, and standard deviations."""
    spread = np.sqrt(np.diag(covariance))
    unit = np.where(spread > 0.0, spread, 1.0)
    return covariance / unit[:, None] / unit, spread


def cholesky_or_none(correlation: np.ndarray) -> np.ndarray | None:
    """Cholesky factor of a correlation matrix; None where columns are linearly dependent."""
    try:
        factor = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        return None
    return factor if (np.diag(factor) ** 2 > _SMALLEST_PIVOT).all() else None
