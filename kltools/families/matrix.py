"""The matrix normal distribution, and what families with several Cholesky factors share."""

import math
from typing import Any, ClassVar

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from .._parameters import param
from .._scalar import LOG_2PI, half_squared_ratio_excess, x_minus_log1p
from .._special import log_ratio
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from .gaussian import cholesky_factor, half_log_det, warn_of_rounding
from .gaussian_full import SMALL, flat_rows, small_excess, solve_lower, whiten_difference


class WithFactors(Distribution):
    """Keeps the Cholesky factors of parameters that are matrices, also when some of a batch are selected."""

    _factored: ClassVar[tuple[str, ...]]
    _factors: dict[str, np.ndarray]

    def _prepare(self) -> None:
        if not hasattr(self, "_factors"):
            factors = {}
            for name in self._factored:
                matrix, label = getattr(self, name), f"{name} of {self._name}"
                factors[name] = frozen(np.array(cholesky_factor(matrix, label), order="C"))
                warn_of_rounding(matrix, factors[name], label)
            object.__setattr__(self, "_factors", factors)

    def _take(self, positions: np.ndarray) -> "Distribution":
        factors = {}
        for name, factor in self._factors.items():
            event = factor.shape[-2:]
            flat = np.broadcast_to(factor, self.batch_shape + event).reshape((-1, *event))
            factors[name] = frozen(np.array(flat[positions], order="C"))
        instance = type(self).__new__(type(self))
        object.__setattr__(instance, "_factors", factors)
        instance.__init__(**{name: self._gather(name, positions) for name in self.parameters})  # type: ignore[misc]
        return instance

    def _half_log_det(self, name: str) -> np.ndarray:
        return half_log_det(self._factors[name])


def flat_arrays(arrays: list[tuple[np.ndarray, int]], shape: tuple[int, ...]) -> list[np.ndarray]:
    """Arrays with their numbers of event axes, flat, each with the index of its item for every place of the shape."""
    return [flat for array, n_event in arrays for flat in flat_rows(array, n_event, shape)]


@family
class MatrixNormal(WithFactors):
    r"""Normal distribution of matrices whose rows and columns are correlated independently of each other.

    .. math:: X = M + A Z B^\top, \quad A A^\top = U, \; B B^\top = V, \; Z_{ij} \sim \mathcal{N}(0, 1)

    Scales can pass from one covariance to the other: c U and V / c give the same distribution.

    Parameters
    ----------
    mean : array-like of shape (..., n, m)
        The matrix M.
    row_cov : array-like of shape (..., n, n)
        The covariance U between rows: symmetric and positive definite; its lower triangle is used.
    col_cov : array-like of shape (..., m, m)
        The covariance V between columns.

    Raises
    ------
    InvalidParameterError
        Where a covariance is not positive definite.

    Warns
    -----
    KLToolsWarning
        Where only rounding keeps a covariance from being singular.

    References
    ----------
    A. P. Dawid (1981), Some matrix-variate distribution theory, section 2.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.MatrixNormal(mean=[[0, 0]], row_cov=[[1]], col_cov=[[1, 0], [0, 1]])
    >>> kl.kl_divergence(p, kl.MatrixNormal(mean=[[0, 1]], row_cov=[[1]], col_cov=[[1, 0], [0, 1]]))
    0.5
    """

    scipy_name = "matrix_normal"
    _factored = ("row_cov", "col_cov")
    mean: Any = param("real", event_ndim=2)
    row_cov: Any = param("symmetric")
    col_cov: Any = param("symmetric")

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...] | None:
        mean, row, col = events
        return mean if mean == (row[0], col[0]) else None

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        deviation = np.linalg.solve(self._factors["row_cov"], x - self.mean)
        standard = np.linalg.solve(self._factors["col_cov"], np.swapaxes(deviation, -1, -2))
        return -0.5 * (standard**2).sum(axis=(-2, -1)) - 0.5 * math.prod(self.event_shape) * LOG_2PI - self._half_logs()

    def _half_logs(self) -> np.ndarray:
        n, m = self.event_shape
        return m * self._half_log_det("row_cov") + n * self._half_log_det("col_cov")

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        noise = rng.standard_normal(shape + self.event_shape)
        return self.mean + self._factors["row_cov"] @ noise @ np.swapaxes(self._factors["col_cov"], -1, -2)

    def _entropy(self) -> np.ndarray:
        return 0.5 * math.prod(self.event_shape) * (1.0 + LOG_2PI) + self._half_logs()


@register_kl(MatrixNormal, MatrixNormal)
def kl_matrix_normal(p: MatrixNormal, q: MatrixNormal) -> np.ndarray:
    """n m (r - 1 - log r) / 2 for the ratio r = a b of the scales, m and n times what the shapes of U and V add, and
    tr(V_q^-1 (M_p - M_q)^T U_q^-1 (M_p - M_q)) / 2; a is the mean eigenvalue of U_q^-1 U_p, b that of V_q^-1 V_p."""
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    out = np.empty(math.prod(shape))
    covs = [
        (matrix, 2) for name in p._factored for side in (p, q) for matrix in (getattr(side, name), side._factors[name])
    ]
    rows = flat_arrays([(p.mean, 2), (q.mean, 2), *covs], shape)
    run_rows(_kl_matrix_normal_kernel, out.size, *rows, out, row_cost=4 * sum(p.event_shape) ** 3)
    return out.reshape(shape)


@jit
def _root_mean_ratio(factor_p, factor_q, work):
    """Root of the mean eigenvalue of S_q^-1 S_p, from the elements of L_q^-1 L_p."""
    d = work.shape[0]
    largest = 0.0
    for i in range(d):
        for j in range(d):
            work[i, j] = factor_p[i, j]
    solve_lower(factor_q, work)
    for i in range(d):
        for j in range(i + 1):
            largest = max(largest, abs(work[i, j]))
    total = 0.0
    for i in range(d):
        for j in range(i + 1):
            total += (work[i, j] / largest) ** 2
    return largest * math.sqrt(total / d)


@jit
def _scale_and_shape(cov_p, factor_p, cov_q, factor_q, work):
    """The mean eigenvalue a of S_q^-1 S_p, as sqrt(a) and as a - 1, and -log det(S_q^-1 S_p / a) / 2 >= 0."""
    d = work.shape[0]
    root = 1.0
    for is_scaled in (False, True):
        if is_scaled:
            root = _root_mean_ratio(factor_p, factor_q, work)
        for i in range(d):
            for j in range(i + 1):
                work[i, j] = work[j, i] = cov_p[i, j] / root / root - cov_q[i, j]
        if whiten_difference(work, cov_q, factor_q) < SMALL:
            change = 0.0
            for i in range(d):
                change += work[i, i] / d
            for i in range(d):
                work[i, i] -= change
                for j in range(d):
                    work[i, j] /= 1.0 + change
            square = root * root
            return root * math.sqrt(1.0 + change), (square - 1.0) + square * change, small_excess(work)
    excess = d * math.log(root)
    for i in range(d):
        excess -= log_ratio(factor_p[i, i], factor_q[i, i])
    return root, root * root - 1.0, excess


@jit
def _kl_matrix_normal_kernel(
    start, stop, mean_p, mean_p_row, mean_q, mean_q_row,
    row_p, row_p_row, row_factor_p, row_factor_p_row, row_q, row_q_row, row_factor_q, row_factor_q_row,
    col_p, col_p_row, col_factor_p, col_factor_p_row, col_q, col_q_row, col_factor_q, col_factor_q_row, out,
):  # fmt: skip
    n, m = mean_p.shape[1:]
    row_work, col_work, shift = np.empty((n, n)), np.empty((m, m)), np.empty((n, m))
    for row in range(start, stop):
        below = row_factor_q[row_factor_q_row[row]], col_factor_q[col_factor_q_row[row]]
        root_a, a, row_shape = _scale_and_shape(
            row_p[row_p_row[row]], row_factor_p[row_factor_p_row[row]], row_q[row_q_row[row]], below[0], row_work
        )
        root_b, b, col_shape = _scale_and_shape(
            col_p[col_p_row[row]], col_factor_p[col_factor_p_row[row]], col_q[col_q_row[row]], below[1], col_work
        )
        if abs(a) < 0.15 and abs(b) < 0.15:
            scale = 0.5 * x_minus_log1p(a + b + a * b)
        else:
            scale = half_squared_ratio_excess(root_a, 1.0 / root_b)
        total = n * m * scale + m * row_shape + n * col_shape
        for i in range(n):
            for j in range(m):
                shift[i, j] = mean_p[mean_p_row[row], i, j] - mean_q[mean_q_row[row], i, j]
        solve_lower(below[0], shift)
        solve_lower(below[1], shift.T)
        for i in range(n):
            for j in range(m):
                total += 0.5 * shift[i, j] * shift[i, j]
        out[row] = total if total < np.inf else np.inf  # behind an overflow stands the nan of inf - inf
