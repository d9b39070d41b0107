"""The divergence of two normal distributions, estimated without bias from their samples."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._formula import Formula
from .._scalar import LOG_2PI, digamma
from .._validation import check_enough_rows, gaussian_options
from ..errors import InfiniteDivergenceWarning, InvalidParameterError, SmallSampleWarning, UnreliableEstimateWarning
from ..inference import UNKNOWN, sum_of_means
from ..preprocessing import cholesky_or_none, column_exponents, deviations, independent_columns
from ..repeats import tell_repeats
from ..scaling import Scaling, fit_scaling
from .problem import Problem, Result, in_other_planes, outside_support

_digamma = Formula(digamma)
_SPARE_ROWS = 10
_SURPRISE = 0.001  # probability
_FEWEST_ROWS_TO_SHRINK = 3
_MOST_APART = 400  # powers of two: squares of such ratios are far from overflow
_LARGEST_SQUARE = 1e140  # of which the squares of what rows contribute have a sum


@dataclass(frozen=True)
class Fit:
    """Mean, as a row of the sample plus a small offset, and Cholesky factor of the covariance.

    That is the unbiased one, the maximum-likelihood one where ``is_plug_in``, or a ``shrinkage`` of it.
    """

    origin: np.ndarray
    offset: np.ndarray
    factor: np.ndarray
    n: int
    is_plug_in: bool = False
    shrinkage: float = 0.0

    @property
    def d(self) -> int:
        return len(self.offset)

    def standardised(self, x: np.ndarray) -> np.ndarray:
        """factor^-1 (x - mean) for every row."""
        return np.linalg.solve(self.factor, ((x - self.origin) - self.offset).T).T

    def log_density(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            squares = (self.standardised(x) ** 2).sum(axis=1)
        squares = np.where(np.isnan(squares), np.inf, squares)  # overflow: farther away than float64 can tell
        return -0.5 * (squares + self.d * LOG_2PI) - float(np.log(np.diag(self.factor)).sum())

    def log_det(self) -> float:
        """log det of the covariance; where that is unbiased, freed of its bias (a log-Wishart mean), too."""
        plain = 2.0 * float(np.log(np.diag(self.factor)).sum())
        if self.is_plug_in:
            return plain
        halves = (self.n - 1 - np.arange(self.d)) / 2
        return plain - (float(_digamma(halves).sum()) + self.d * math.log(2 / (self.n - 1)))

    def entropy(self) -> float:
        return 0.5 * (self.d * (1.0 + LOG_2PI) + self.log_det())

    def precision(self) -> np.ndarray:
        inverse = np.linalg.inv(self.factor)
        return inverse.T @ inverse

    def pull(self, x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """What shrinking takes from the influence 0.5 u'Mu of each row, u = x - mean: it moves the mean square only."""
        u = (x - self.origin) - self.offset
        share = float(np.trace(matrix)) / self.d
        return 0.5 * self.shrinkage * (((u @ matrix) * u).sum(axis=1) - share * (u**2).sum(axis=1))


def fit(X: np.ndarray, bias: str = "unbiased", covariance: str = "empirical") -> Fit | None:
    """Fit a normal distribution; None where the columns are linearly dependent."""
    deviation = deviations(X)
    if covariance != "empirical":
        return _shrunk(X, deviation, SHRINKAGES[covariance])
    spread = deviation.std(axis=0, ddof=1)
    if not (spread > 0).all():
        return None
    standard = deviation / spread
    factor = cholesky_or_none(standard.T @ standard / (len(X) - 1))
    if factor is None:
        return None
    factor = spread[:, None] * factor
    if bias == "mle":
        factor *= math.sqrt((len(X) - 1) / len(X))
    return Fit(X[0], (X - X[0]).mean(axis=0), factor, len(X), bias == "mle")


def _shrunk(X: np.ndarray, deviation: np.ndarray, intensity: Callable[[np.ndarray], float]) -> Fit | None:
    """(1 - s) S + s tr(S) / d I for the maximum-likelihood covariance S."""
    n, d = X.shape
    s = intensity(deviation)
    matrix = (1.0 - s) * (deviation.T @ deviation / n)
    matrix[np.diag_indices(d)] += s * float((deviation**2).sum()) / (n * d)
    spread = np.sqrt(np.diag(matrix))
    if not (spread > 0).all():
        return None
    factor = cholesky_or_none(matrix / spread[:, None] / spread)
    if factor is None:
        return None
    return Fit(X[0], (X - X[0]).mean(axis=0), spread[:, None] * factor, n, True, s)


def ledoit_wolf(deviation: np.ndarray) -> float:
    """Intensity b^2 / d^2 of Ledoit and Wolf (2004), lemma 3.2 to 3.5, from deviations of rows from their mean."""
    n, d = deviation.shape
    S = deviation.T @ deviation / n
    distance = float((S**2).sum()) - float(np.trace(S)) ** 2 / d
    noise = (float(((deviation**2).sum(axis=1) ** 2).sum()) / n - float((S**2).sum())) / n
    return min(noise, distance) / distance if noise > 0.0 and distance > 0.0 else 0.0


def oracle_approximating(deviation: np.ndarray) -> float:
    """Intensity of Chen, Wiesel, Eldar and Hero (2010), eq. 23 without its terms of 2 / d, as in scikit-learn."""
    n, d = deviation.shape
    S = deviation.T @ deviation / n
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
    X = scaling.apply(problem.X)
    p = fit(X, bias, covariance)
    if problem.Y is None:
        if p is None:
            return in_other_planes(problem, "X")
        log_q = problem.log_q()
        n_outside = int(np.isneginf(log_q).sum())
        if n_outside:
            return outside_support(problem, n_outside)
        _tell_wild_rows(problem, X, p, "X")
        return _against_density(X, log_q - scaling.log_det, p)
    Y = units_q.apply(problem.Y)
    q = fit(Y, bias, covariance)
    if p is None or q is None:
        return in_other_planes(problem, "X" if p is None else "Y")
    _tell_wild_rows(problem, X, p, "X")
    _tell_wild_rows(problem, Y, q, "Y")
    result = _against_sample(X, Y, p, q, scaling.exponents - units_q.exponents)
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


def _tell_wild_rows(problem: Problem, sample: np.ndarray, fitted: Fit, name: str) -> None:
    """Note a row farther from the mean than normal samples show: a chi-squared beyond d + 2 sqrt(d t) + 2 t has the
    probability e^-t at most (Laurent and Massart 2000, lemma 1), and a distance from a fitted mean is less.
    """
    t = math.log(len(sample) / _SURPRISE)
    farthest = float((fitted.standardised(sample) ** 2).sum(axis=1).max())
    if farthest > fitted.d + 2.0 * math.sqrt(fitted.d * t) + 2.0 * t:
        problem.notes.add(
            UnreliableEstimateWarning,
            f"a row of {name} lies {math.sqrt(farthest):.3g} standard deviations from the mean, which the farthest of "
            f"{len(sample)} rows of a normal distribution does with a probability below {_SURPRISE}: {name} is not "
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
    fitted = fit(scaling.apply(reference), bias, covariance)
    if fitted is None:
        raise InvalidParameterError("the reference has no normal density: its columns span too few dimensions.")
    with np.errstate(over="ignore"):  # far out the density is 0
        return fitted.log_density(scaling.apply(queries)) + scaling.log_det


def against_sample(X: np.ndarray, Y: np.ndarray) -> Result:
    """The estimate for samples of ordinary magnitude, without any check."""
    p, q = fit(X), fit(Y)
    assert p is not None
    assert q is not None
    return _against_sample(X, Y, p, q)


def unbiased_entropy(X: np.ndarray) -> float:
    """Entropy of the normal distribution of which X is a sample."""
    p = fit(X)
    assert p is not None
    return p.entropy()


def _against_sample(X: np.ndarray, Y: np.ndarray, p: Fit, q: Fit, apart: np.ndarray | int = 0) -> Result:
    """The closed form, each term freed of its bias (an inverse Wishart mean, two log-Wishart means) or as it is.

    The columns of X are in units 2^apart times those of Y. The uncertainty comes from the influence functions of the
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

    influence_x = 0.5 * ((q.standardised(np.ldexp(X, apart)) ** 2).sum(axis=1) - (p.standardised(X) ** 2).sum(axis=1))
    v = q.standardised(Y)
    moved = (v @ relative) ** 2
    influence_y = 0.5 * (v**2).sum(axis=1) - 0.5 * (moved.sum(axis=1) + (v @ shift) ** 2) - v @ shift
    degrees = min(n, m) - (1 if p.shrinkage or q.shrinkage else d)
    if p.shrinkage:
        influence_x -= p.pull(X, q.precision() - p.precision())
    if q.shrinkage:
        whitened = np.linalg.inv(q.factor)
        seen = np.column_stack([relative, shift])
        influence_y -= q.pull(Y, q.precision() - whitened.T @ (seen @ seen.T) @ whitened)
    return Result(value, lambda: sum_of_means(influence_x, influence_y, degrees_of_freedom=degrees))


def against_density(X: np.ndarray, log_q: np.ndarray) -> Result:
    """Minus the unbiased entropy of a normal distribution, minus the mean of log q."""
    p = fit(X)
    assert p is not None
    return _against_density(X, log_q, p)


def _against_density(X: np.ndarray, log_q: np.ndarray, p: Fit) -> Result:
    value = -p.entropy() - float(log_q.mean())
    influence = -0.5 * (p.standardised(X) ** 2).sum(axis=1) - log_q
    if p.shrinkage:
        influence += p.pull(X, p.precision())
    return Result(value, lambda: sum_of_means(influence, degrees_of_freedom=p.n - (1 if p.shrinkage else p.d)))
