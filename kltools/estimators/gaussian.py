"""The divergence of two normal distributions, estimated without bias from their samples."""

import math
from dataclasses import dataclass

import numpy as np

from .._formula import Formula
from .._scalar import LOG_2PI, digamma
from .._validation import check_enough_rows
from ..errors import InfiniteDivergenceWarning, SmallSampleWarning
from ..inference import UNKNOWN, sum_of_means
from ..preprocessing import cholesky_or_none, column_exponents, deviations, tell_shared_rows
from .problem import Problem, Result

_digamma = Formula(digamma)
_SPARE_ROWS = 10


@dataclass(frozen=True)
class Fit:
    """Mean, as a row of the sample plus a small offset, and Cholesky factor of the unbiased covariance."""

    origin: np.ndarray
    offset: np.ndarray
    factor: np.ndarray
    n: int

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

    def unbiased_log_det(self) -> float:
        """Unbiased estimate of log det of the true covariance (the mean of a log-Wishart determinant)."""
        halves = (self.n - 1 - np.arange(self.d)) / 2
        wishart = float(_digamma(halves).sum()) + self.d * math.log(2 / (self.n - 1))
        return 2.0 * float(np.log(np.diag(self.factor)).sum()) - wishart

    def unbiased_entropy(self) -> float:
        return 0.5 * (self.d * (1.0 + LOG_2PI) + self.unbiased_log_det())


def fit(X: np.ndarray) -> Fit | None:
    """Fit a normal distribution; None where the columns are linearly dependent."""
    deviation = deviations(X)
    spread = deviation.std(axis=0, ddof=1)
    if not (spread > 0).all():
        return None
    standard = deviation / spread
    factor = cholesky_or_none(standard.T @ standard / (len(X) - 1))
    if factor is None:
        return None
    return Fit(X[0], (X - X[0]).mean(axis=0), spread[:, None] * factor, len(X))


def needed_rows(d: int) -> tuple[int, int]:
    """Rows of X and of Y without which the unbiased estimate does not exist."""
    return d + 1, d + 3


def estimate(problem: Problem) -> Result:
    """Unbiased estimate of KL between the normal distributions of the samples; options: `GaussianDivergence`."""
    needed_x, needed_y = needed_rows(problem.d)
    check_enough_rows(problem.n, "X", needed_x, f"method='gaussian' in {problem.d} features")
    if problem.Y is not None:
        check_enough_rows(len(problem.Y), "Y", needed_y, f"method='gaussian' in {problem.d} features")
    _tell_small_sample(problem)
    if problem.Y is not None:
        tell_shared_rows(problem.X, problem.Y, problem.notes)
    exponents = column_exponents(problem.X, problem.Y)
    X = np.ldexp(problem.X, -exponents)
    p = fit(X)
    if problem.Y is None:
        if p is None:
            return _singular(problem, "X")
        log_q = problem.log_q()
        n_outside = int(np.isneginf(log_q).sum())
        if n_outside:
            return _outside_support(problem, n_outside)
        return against_density(X, log_q + math.log(2.0) * exponents.sum())
    Y = np.ldexp(problem.Y, -exponents)
    q = fit(Y)
    if p is None or q is None:
        return _singular(problem, "X" if p is None else "Y")
    return _against_sample(X, Y, p, q)


def _tell_small_sample(problem: Problem) -> None:
    if problem.rows < problem.d + _SPARE_ROWS:
        problem.notes.add(
            SmallSampleWarning,
            f"{problem.rows} rows are few for {problem.d} features: with fewer than {_SPARE_ROWS} rows to spare the "
            "standard error is too small.",
        )


def _singular(problem: Problem, name: str) -> Result:
    problem.notes.add(
        InfiniteDivergenceWarning,
        f"columns of {name} are linearly dependent in a way in which those of the other side are not: "
        "P has mass where Q has none, the divergence is inf.",
    )
    return Result(math.inf, lambda: UNKNOWN)


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
    return p.unbiased_entropy()


def _against_sample(X: np.ndarray, Y: np.ndarray, p: Fit, q: Fit) -> Result:
    """Every term of the closed form, freed of its bias (an inverse Wishart mean, two log-Wishart means).

    The uncertainty comes from the influence functions of the functional, and holds whether or not the
    samples are normal.
    """
    n, m, d = p.n, q.n, p.d
    shrink = (m - d - 2) / (m - 1)
    relative = np.linalg.solve(q.factor, p.factor)
    trace = shrink * float((relative**2).sum())
    shift = np.linalg.solve(q.factor, (p.origin - q.origin) + (p.offset - q.offset))
    distance = shrink * float(shift @ shift) - trace / n - d / m
    value = 0.5 * (trace + distance - d + q.unbiased_log_det() - p.unbiased_log_det())

    influence_x = 0.5 * ((q.standardised(X) ** 2).sum(axis=1) - (p.standardised(X) ** 2).sum(axis=1))
    v = q.standardised(Y)
    moved = (v @ relative) ** 2
    influence_y = 0.5 * (v**2).sum(axis=1) - 0.5 * (moved.sum(axis=1) + (v @ shift) ** 2) - v @ shift
    degrees = min(n, m) - d
    return Result(value, lambda: sum_of_means(influence_x, influence_y, degrees_of_freedom=degrees))


def against_density(X: np.ndarray, log_q: np.ndarray) -> Result:
    """Minus the unbiased entropy of a normal distribution, minus the mean of log q."""
    p = fit(X)
    assert p is not None
    value = -p.unbiased_entropy() - float(log_q.mean())
    influence = -0.5 * (p.standardised(X) ** 2).sum(axis=1) - log_q
    return Result(value, lambda: sum_of_means(influence, degrees_of_freedom=p.n - p.d))


def _outside_support(problem: Problem, count: int) -> Result:
    problem.notes.add(InfiniteDivergenceWarning, f"q has no mass at {count} rows of X: the divergence is inf.")
    return Result(math.inf, lambda: UNKNOWN)
