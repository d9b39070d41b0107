"""The divergence of two normal distributions, estimated without bias from their samples."""

import math
from dataclasses import dataclass

import numpy as np

from .. import _device
from .._formula import digamma
from .._once import once
from .._scalar import LOG_2PI
from .._validation import check_enough_rows, gaussian_options
from ..errors import InfiniteDivergenceWarning, InvalidParameterError, SmallSampleWarning, UnreliableEstimateWarning
from ..inference import UNKNOWN, sum_of_means
from ..models.moments import Rows
from ..preprocessing import (
    cholesky_or_none,
    column_exponents,
    deviations,
    independent_columns,
    spans_fewer_dimensions,
)
from ..repeats import tell_repeats
from ..scaling import Scaling, fit_scaling
from .problem import Problem, Result, in_other_planes, outside_support, too_wild

_SPARE_ROWS = 10
_SURPRISE = 0.001  # probability
_FEWEST_ROWS_TO_SHRINK = 3
_MOST_APART = 400  # powers of two: squares of such ratios are far from overflow
_LARGEST_SQUARE = 1e140  # of which the squares of what rows contribute have a sum


@dataclass(frozen=True)
class Fit:
    """A sample, its mean less the origin of its rows, and the Cholesky factor of its covariance.

    That is the unbiased one, the maximum-likelihood one where ``is_plug_in``, or a ``shrinkage`` of it.
    """

    rows: Rows
    offset: np.ndarray
    factor: np.ndarray
    is_plug_in: bool = False
    shrinkage: float = 0.0

    @property
    def n(self) -> int:
        return self.rows.n

    @property
    def d(self) -> int:
        return self.rows.d

    @property
    def origin(self) -> np.ndarray:
        return self.rows.origin

    @once
    def whitening(self) -> np.ndarray:
        """factor^-1"""
        return np.linalg.solve(self.factor, np.eye(self.d))

    @once
    def own_squares(self) -> np.ndarray:
        """Squared distances of the rows of the sample from its mean, in standard deviations."""
        return self.squares(self.rows)

    def squares(self, rows: Rows) -> np.ndarray:
        """|factor^-1 (x - mean)|^2 for every row x of any sample."""
        return rows.squares(self.origin, self.offset, self.whitening)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            squares = self.squares(Rows(x))
        squares = np.where(np.isnan(squares), np.inf, squares)  # overflow: farther away than float64 can tell
        return -0.5 * (squares + self.d * LOG_2PI) - float(np.log(np.diag(self.factor)).sum())

    def log_det(self) -> float:
        """log det of the covariance; where that is unbiased, freed of its bias (a log-Wishart mean), too."""
        plain = 2.0 * float(np.log(np.diag(self.factor)).sum())
        if self.is_plug_in:
            return plain
        halves = (self.n - 1 - np.arange(self.d)) / 2
        return plain - (float(digamma(halves).sum()) + self.d * math.log(2 / (self.n - 1)))

    def entropy(self) -> float:
        return 0.5 * (self.d * (1.0 + LOG_2PI) + self.log_det())

    def precision(self) -> np.ndarray:
        return self.whitening.T @ self.whitening

    def pull(self, matrix: np.ndarray) -> np.ndarray:
        """What shrinking takes from the influence 0.5 u'Mu of each row, u = x - mean: it moves the mean square only."""
        weights, axes = np.linalg.eigh(matrix)
        taken = 0.5 * self.shrinkage * (weights - weights.mean())
        return self.rows.squares(self.origin, self.offset, axes.T, weights=taken)


def fit(rows: Rows, bias: str = "unbiased", covariance: str = "empirical") -> Fit | None:
    """Fit a normal distribution; None where the columns are linearly dependent."""
    n = rows.n
    offset, products = rows.moments()
    if covariance == "empirical":
        factor, s = _factor_or_none(products / (n - 1 if bias == "unbiased" else n)), 0.0
    else:
        S = products / n
        s = SHRINKAGES[covariance](S, rows.squares(rows.origin, offset))
        factor = _factor_or_none(_shrunk(S, s))
    return None if factor is None else Fit(rows, offset, factor, bias == "mle" or covariance != "empirical", s)


def _factor_or_none(covariance: np.ndarray) -> np.ndarray | None:
    """Cholesky factor, None where columns are linearly dependent."""
    spread = np.sqrt(np.diag(covariance))
    if not (spread > 0).all():
        return None
    factor = cholesky_or_none(covariance / spread[:, None] / spread)
    return None if factor is None else spread[:, None] * factor


def _shrunk(S: np.ndarray, s: float) -> np.ndarray:
    """(1 - s) S + s tr(S) / d I"""
    matrix = (1.0 - s) * S
    matrix[np.diag_indices(len(S))] += s * float(np.trace(S)) / len(S)
    return matrix


def ledoit_wolf(S: np.ndarray, norms: np.ndarray) -> float:
    """Intensity b^2 / d^2 of Ledoit and Wolf (2004), lemma 3.2 to 3.5.

    S is the maximum-likelihood covariance, norms are the squared norms of the rows' deviations from their mean.
    """
    n, d = len(norms), len(S)
    distance = float((S**2).sum()) - float(np.trace(S)) ** 2 / d
    noise = (float((norms**2).sum()) / n - float((S**2).sum())) / n
    return min(noise, distance) / distance if noise > 0.0 and distance > 0.0 else 0.0


def oracle_approximating(S: np.ndarray, norms: np.ndarray) -> float:
    """Intensity of Chen, Wiesel, Eldar and Hero (2010), eq. 23 without its terms of 2 / d, as in scikit-learn."""
    n, d = len(norms), len(S)
    square, trace_square = float((S**2).sum()), float(np.trace(S)) ** 2
    distance = (n + 1.0) * (square - trace_square / d)
    return min(1.0, (square + trace_square) / distance) if distance > 0.0 else 1.0


SHRINKAGES = {"ledoit-wolf": ledoit_wolf, "oas": oracle_approximating}


def needed_rows(d: int, bias: str = "unbiased", covariance: str = "empirical") -> tuple[int, int]:
    """Rows of X and of Y without which the estimate does not exist."""
    if covariance != "empirical":
        return _FEWEST_ROWS_TO_SHRINK, _FEWEST_ROWS_TO_SHRINK
    return d + 1, d + (1 if bias == "mle" else 3)


def estimate(problem: Problem, *, bias: str = "unbiased", covariance: str = "empirical") -> Result:
    """Estimate of KL between the normal distributions of the samples; options: `GaussianDivergence`."""
    gaussian_options(bias, covariance)
    needed_x, needed_y = needed_rows(problem.d, bias, covariance)
    check_enough_rows(problem.n, "X", needed_x, f"method='gaussian' in {problem.d} features")
    if problem.Y is not None:
        check_enough_rows(len(problem.Y), "Y", needed_y, f"method='gaussian' in {problem.d} features")
    _tell_small_sample(problem)
    tell_repeats(problem.X, problem.Y, problem.notes)
    scaling, units_q = _units_of_both(problem, covariance)
    rows_of = _device.twin("Rows") if problem.device == "cuda" else Rows
    p = fit(rows_of(scaling.apply(problem.X)), bias, covariance)
    if problem.Y is None:
        if p is None:
            return _without_density(problem.X, "X", problem)
        log_q = problem.log_q()
        if (outside := outside_support(problem, log_q)) is not None:
            return outside
        _tell_wild_rows(problem, p, "X")
        return _against_density(p, log_q - scaling.log_det)
    q = fit(rows_of(units_q.apply(problem.Y)), bias, covariance)
    if p is None:
        return _without_density(problem.X, "X", problem)
    if q is None:
        return _without_density(problem.Y, "Y", problem)
    _tell_wild_rows(problem, p, "X")
    _tell_wild_rows(problem, q, "Y")
    result = _against_sample(p, q, scaling.exponents - units_q.exponents)
    if math.isinf(result.value):
        problem.notes.add(
            InfiniteDivergenceWarning, "X reaches so far beyond Y that the divergence is more than any float64: inf."
        )
    return result


def units(X: np.ndarray, covariance: str, other: np.ndarray | None = None) -> Scaling:
    """Columns of ordinary magnitude, divided by deviations where they are shrunk towards one variance.

    Powers of two change no digit, and where nothing is shrunk units do not matter.
    """
    if covariance == "empirical" or X.shape[1] == 1:
        exponents = column_exponents(X)
        return Scaling("none", -math.log(2.0) * float(exponents.sum()), exponents)
    return fit_scaling(X, "std", other)


def _units_of_both(problem: Problem, covariance: str) -> tuple[Scaling, Scaling]:
    """Those of X and of Y, which differ by powers of two, and not where they matter."""
    X, Y = problem.X, problem.Y
    of_x = units(X, covariance, Y)
    if Y is None:
        return of_x, of_x
    if of_x.matrix is None:
        return of_x, units(Y, covariance)
    apart = np.abs(column_exponents(X) - column_exponents(Y)) > _MOST_APART
    if apart.any():
        raise InvalidParameterError(
            f"columns {problem.notes.names(apart)} are of so different magnitude in X and Y that covariances cannot be "
            "shrunk in common units; compare their units, or use covariance='empirical'."
        )
    return of_x, of_x


def _tell_small_sample(problem: Problem) -> None:
    if problem.rows < problem.d + _SPARE_ROWS:
        problem.notes.add(
            SmallSampleWarning,
            f"{problem.rows} rows are few for {problem.d} features: with fewer than {_SPARE_ROWS} rows to spare the "
            "standard error is too small.",
        )


def _without_density(sample: np.ndarray, name: str, problem: Problem) -> Result:
    """The answer for a sample whose covariance has no inverse."""
    if not spans_fewer_dimensions(sample):
        raise too_wild(name)
    return in_other_planes(problem, name)


def _tell_wild_rows(problem: Problem, fitted: Fit, name: str) -> None:
    """Note a row farther from the mean than normal samples show: a chi-squared beyond d + 2 sqrt(d t) + 2 t has the
    probability e^-t at most (Laurent and Massart 2000, lemma 1), and a distance from a fitted mean is less.
    """
    t = math.log(fitted.n / _SURPRISE)
    farthest = float(fitted.own_squares.max())
    if farthest > fitted.d + 2.0 * math.sqrt(fitted.d * t) + 2.0 * t:
        problem.notes.add(
            UnreliableEstimateWarning,
            f"a row of {name} lies {math.sqrt(farthest):.3g} standard deviations from the mean, which the farthest of "
            f"{fitted.n} rows of a normal distribution does with a probability below {_SURPRISE}: {name} is not "
            "normal, and the few rows far out may decide the value; look at them, or compare method='knn'.",
        )


def log_density(reference: np.ndarray, queries: np.ndarray, bias: str, covariance: str) -> np.ndarray:
    """That of the normal distribution fitted to a reference, at other rows.

    Of columns that are linearly dependent in the reference, the first ones are used, unless they are shrunk.
    """
    if covariance == "empirical":
        kept = independent_columns(deviations(reference))
        reference, queries = reference[:, kept], queries[:, kept]
    if reference.shape[1] == 0:
        raise InvalidParameterError("the reference has no normal density: all of its columns are constant.")
    scaling = units(reference, covariance)
    fitted = fit(Rows(scaling.apply(reference)), bias, covariance)
    if fitted is None:
        raise InvalidParameterError("the reference has no normal density: its columns span too few dimensions.")
    with np.errstate(over="ignore"):  # far out the density is 0
        return fitted.log_density(scaling.apply(queries)) + scaling.log_det


def against_sample(X: np.ndarray, Y: np.ndarray) -> Result:
    """The estimate for samples of ordinary magnitude, without any check."""
    p, q = fit(Rows(X)), fit(Rows(Y))
    assert p is not None
    assert q is not None
    return _against_sample(p, q)


def unbiased_entropy(X: np.ndarray) -> float:
    """Entropy of the normal distribution of which X is a sample."""
    p = fit(Rows(X))
    assert p is not None
    return p.entropy()


def _against_sample(p: Fit, q: Fit, apart: np.ndarray | int = 0) -> Result:
    """The closed form, each term freed of its bias (an inverse Wishart mean, two log-Wishart means) or as it is.

    The columns of p are in units 2^apart times those of q. The uncertainty comes from the influence functions of the
    functional, and holds whether or not the samples are normal.
    """
    n, m, d = p.n, q.n, p.d
    with np.errstate(over="ignore", invalid="ignore"):
        relative = np.linalg.solve(q.factor, np.ldexp(p.factor, np.reshape(apart, (-1, 1))))
        trace = float((relative**2).sum())
        difference = (np.ldexp(p.origin, apart) - q.origin) + (np.ldexp(p.offset, apart) - q.offset)
        shift = np.linalg.solve(q.factor, difference)
        distance = float(shift @ shift)
    if not math.isfinite(trace + distance):
        return Result(math.inf, lambda: UNKNOWN)
    if not q.is_plug_in:
        smaller = (m - d - 2) / (m - 1)
        trace *= smaller
        distance = smaller * distance - trace / n - d / m
    log_dets = q.log_det() - p.log_det() - 2.0 * math.log(2.0) * float(np.sum(apart))
    value = 0.5 * (trace + distance - d + log_dets)
    if trace + distance > _LARGEST_SQUARE:
        return Result(value, lambda: UNKNOWN)

    influence_x = 0.5 * (q.squares(p.rows.scaled(apart)) - p.own_squares)
    moved = np.column_stack([relative, shift]).T @ q.whitening
    seen = q.rows.squares(q.origin, q.offset, moved, np.append(np.zeros(d), 1.0))  # a linear term is in a square
    influence_y = 0.5 * (q.own_squares + 1.0 - seen)
    degrees = min(n, m) - (1 if p.shrinkage or q.shrinkage else d)
    if p.shrinkage:
        influence_x -= p.pull(q.precision() - p.precision())
    if q.shrinkage:
        influence_y -= q.pull(q.precision() - moved.T @ moved)
    return Result(value, lambda: sum_of_means(influence_x, influence_y, degrees_of_freedom=degrees))


def against_density(X: np.ndarray, log_q: np.ndarray) -> Result:
    """Minus the unbiased entropy of a normal distribution, minus the mean of log q."""
    p = fit(Rows(X))
    assert p is not None
    return _against_density(p, log_q)


def _against_density(p: Fit, log_q: np.ndarray) -> Result:
    value = -p.entropy() - float(log_q.mean())
    influence = -0.5 * p.own_squares - log_q
    if p.shrinkage:
        influence += p.pull(p.precision())
    return Result(value, lambda: sum_of_means(influence, degrees_of_freedom=p.n - (1 if p.shrinkage else p.d)))
