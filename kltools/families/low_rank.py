"""Gaussians whose covariance is a diagonal and a few factors: no matrix of all coordinates is formed.

Coordinate after coordinate x_i = f_i . z + e_i tells of the hidden factors z, which a Kalman filter follows. What it
did not foresee of x_i, the innovation, is independent of the coordinates before and has a variance alpha_i: density and
entropy are those of the innovations, and a divergence is that of the laws of x_i given the coordinates before, summed.
"""

import math
from typing import Any

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from .._once import once
from .._parameters import param
from .._scalar import LOG_2PI, half_ratio_excess, x_minus_log1p
from .._special import log_ratio
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from ..errors import InvalidParameterError
from .gaussian import MultivariateNormal, MultivariateNormalDiag
from .gaussian_full import flat_rows, kl_diagonal_and_full
from .kalman import filter_coordinates, forget, innovations_kernel, measure, new_filter, squares, squares_kernel, update

_FAR = 0.02  # share of a trace from which on a difference from it has all its digits


@family
class LowRankMultivariateNormal(Distribution):
    r"""Multivariate Gaussian with covariance :math:`F F^\top + \mathrm{diag}(v)`, of d coordinates and r factors.

    Densities, entropies, and divergences between such distributions and diagonal ones take O(d r^2) steps and no
    d x d matrix. Divergences keep their relative accuracy where the parameters nearly agree; two factors that differ
    but for a rotation, or a covariance given as a matrix, agree to rounding only.

    Parameters
    ----------
    mean : array-like of shape (..., d)
    cov_factor : array-like of shape (..., d, r)
        The factor F.
    cov_diag : array-like of shape (..., d), > 0
        The variances v that the factors do not explain.

    Raises
    ------
    InvalidParameterError
        Where a variance of F F^T + diag(v) overflows.

    References
    ----------
    G. J. Bierman (1977), Factorization Methods for Discrete Sequential Estimation, section V.3.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.LowRankMultivariateNormal(mean=[0, 0], cov_factor=[[1], [1]], cov_diag=[1, 1])
    >>> kl.kl_divergence(p, kl.MultivariateNormalDiag(mean=[0, 0], var=[2, 2])).__round__(4)
    0.1438
    """

    mean: Any = param("real", event_ndim=1)
    cov_factor: Any = param("real", event_ndim=2)
    cov_diag: Any = param("positive", event_ndim=1)

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...] | None:
        mean, factor, diagonal = events
        return mean if mean == diagonal == factor[:1] else None

    def _prepare(self) -> None:
        with np.errstate(over="ignore"):
            if not np.isfinite((self.cov_factor**2).sum(axis=-1) + self.cov_diag).all():
                raise InvalidParameterError(
                    f"cov_factor of {self._name} must give finite variances, its entries reach "
                    f"{np.abs(self.cov_factor).max():g}; rescale the data."
                )

    @once
    def _innovations(self) -> tuple[np.ndarray, np.ndarray]:
        """How far an innovation moves the factors, shape (..., d, r), and the variances of innovations, (..., d)."""
        batch = np.broadcast_shapes(self.cov_factor.shape[:-2], self.cov_diag.shape[:-1])
        d, r = self.cov_factor.shape[-2:]
        gains, variances = np.empty((math.prod(batch), d, r)), np.empty((math.prod(batch), d))
        arguments = (*flat_rows(self.cov_factor, 2, batch), *flat_rows(self.cov_diag, 1, batch), gains, variances)
        run_rows(innovations_kernel, len(gains), *arguments, row_cost=4 * d * r * r)
        return gains.reshape(*batch, d, r), variances.reshape(*batch, d)

    def to_full(self) -> MultivariateNormal:
        """The same distribution with its covariance written as a matrix."""
        gains, variances = self._innovations
        identity = np.eye(self.event_shape[0])
        cov = self.cov_factor @ np.swapaxes(self.cov_factor, -1, -2) + self.cov_diag[..., None] * identity
        std = np.sqrt(variances)[..., None, :]
        below = self.cov_factor @ (np.swapaxes(gains, -1, -2) * std)
        return MultivariateNormal._factored(self.mean, cov, np.tril(below, -1) + std * identity, True)

    def _moments(self) -> tuple[Any, Any]:
        return self.mean, (self.cov_factor**2).sum(axis=-1) + self.cov_diag

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        hidden = rng.standard_normal((*shape, self.cov_factor.shape[-1], 1))
        noise = np.sqrt(self.cov_diag) * rng.standard_normal(shape + self.event_shape)
        return self.mean + (self.cov_factor @ hidden)[..., 0] + noise

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        deviation = x - self.mean
        gains, variances = self._innovations
        shape = np.broadcast_shapes(deviation.shape[:-1], variances.shape[:-1])
        out = np.empty(math.prod(shape))
        d, r = self.cov_factor.shape[-2:]
        rows = [flat_rows(deviation, 1, shape), flat_rows(self.cov_factor, 2, shape)]
        rows += [flat_rows(gains, 2, shape), flat_rows(variances, 1, shape)]
        run_rows(squares_kernel, out.size, *(array for pair in rows for array in pair), out, row_cost=4 * d * r)
        log_prob = -0.5 * (out.reshape(shape) + np.log(variances).sum(axis=-1) + d * LOG_2PI)
        return np.where(np.isnan(x).any(axis=-1), np.nan, log_prob)

    def _entropy(self) -> np.ndarray:
        return 0.5 * (1.0 + LOG_2PI + np.log(self._innovations[1])).sum(axis=-1)


# ---------------------------------------------------------------- divergences

for _pair in ((LowRankMultivariateNormal, MultivariateNormal), (MultivariateNormal, LowRankMultivariateNormal)):
    register_kl(*_pair)(kl_diagonal_and_full)


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormalDiag)
@register_kl(MultivariateNormalDiag, LowRankMultivariateNormal)
def kl_low_rank(p: Distribution, q: Distribution) -> np.ndarray:
    """(tr(S_q^-1 S_p) - d - log det(S_q^-1 S_p) + (m_p - m_q)^T S_q^-1 (m_p - m_q)) / 2.

    The trace is a sum of terms >= 0. Where the rest cancels most of it, the divergence is the sum over i of those of
    x_i given the coordinates before, in the mean over these under p: (a - 1 - log a) / 2 + E g^2 / 2 for the ratio a of
    the variances of the innovations and the difference g of the predictions in standard deviations of q. What differs
    between p and q (parameters, filters, predictions) is then followed by the rules for differences of products and
    quotients, and never subtracted.
    """
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    out = np.empty(math.prod(shape))
    d, r = p.event_shape[0], max(_parts(p)[1].shape[-1], _parts(q)[1].shape[-1])
    rows = [array for side in (p, q) for array in _rows(side, r, shape)]
    run_rows(_kl_low_rank_kernel, out.size, *rows, out, row_cost=40 * d * r * r)
    return out.reshape(shape)


def _parts(distribution: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if isinstance(distribution, LowRankMultivariateNormal):
        return distribution.mean, distribution.cov_factor, distribution.cov_diag
    return distribution.mean, np.zeros((*distribution.event_shape, 1)), distribution.var


def _rows(distribution: Any, n_factors: int, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Flat parameters with their indices; factors that only the other distribution has are 0."""
    mean, factor, diagonal = _parts(distribution)
    padding = [(0, 0)] * (factor.ndim - 1) + [(0, n_factors - factor.shape[-1])]
    factor = frozen(np.pad(factor, padding))
    return *flat_rows(mean, 1, shape), *flat_rows(factor, 2, shape), *flat_rows(diagonal, 1, shape)


@jit
def _measure_difference(row_p, noise_p, state_p, row_q, noise_q, state_q, change):
    """What `measure` gives for p less what it gives for q."""
    unit, weight, f, alpha, partial = change
    alpha[0] = noise_p - noise_q
    for j in range(row_p.shape[0]):
        f[j] = row_p[j] - row_q[j]
        for i in range(j):
            f[j] += unit[i, j] * row_p[i] + state_q[0][i, j] * (row_p[i] - row_q[i])
        v_p = state_p[1][j] * state_p[2][j]
        v = weight[j] * state_p[2][j] + state_q[1][j] * f[j]
        alpha[j + 1] = alpha[j] + f[j] * v_p + state_q[2][j] * v
        for i in range(j):
            partial[i, j + 1] = partial[i, j] + unit[i, j] * v_p + state_q[0][i, j] * v
        partial[j, j + 1] = v


@jit
def _update_difference(state_p, state_q, change):
    """What `update` is going to give for p less what it is going to give for q."""
    unit, weight, f, alpha, partial = change
    _, weight_q, f_q, alpha_q, partial_q = state_q
    f_p, alpha_p = state_p[2], state_p[3]
    for j in range(f.shape[0]):
        share_q, slope_q = alpha_q[j] / alpha_q[j + 1], f_q[j] / alpha_q[j]
        share = (alpha[j] - share_q * alpha[j + 1]) / alpha_p[j + 1]
        slope = (f[j] - slope_q * alpha[j]) / alpha_p[j]
        weight[j] = weight[j] * (alpha_p[j] / alpha_p[j + 1]) + weight_q[j] * share
        for i in range(j):
            unit[i, j] -= partial[i, j] * (f_p[j] / alpha_p[j]) + partial_q[i, j] * slope


@jit
def _disagree(row_p, row_q, std_q, root, n, g):
    """Fill g = (row_p - row_q) . z_p + row_q . (z_p - z_q), in units of q, for the predictions z of the factors, where
    under p (z_p, z_p - z_q) = root noise; return the variance of g."""
    r = row_p.shape[0]
    total = 0.0
    for k in range(n):
        g[k] = 0.0
        for j in range(r):
            g[k] += (row_p[j] - row_q[j]) / std_q * root[j, k] + row_q[j] / std_q * root[r + j, k]
        total += g[k] * g[k]
    return total


@jit
def _predict(state_p, state_q, change, root, n, g):
    """The root once both have seen the coordinate: the innovation of p is a new column, while q takes g for news."""
    r = state_p[1].shape[0]
    std_p, std_q = math.sqrt(state_p[3][r]), math.sqrt(state_q[3][r])
    for j in range(r):
        covariance_q = state_q[4][j, r]
        for k in range(n):
            root[r + j, k] -= covariance_q / std_q * g[k]
        root[j, n] = state_p[4][j, r] / std_p
        root[r + j, n] = (change[4][j, r] - covariance_q / state_q[3][r] * change[3][r]) / std_p
    return _shortened(root, n + 1)


@jit
def _shortened(root, n):
    """Number of columns of a root with n, which once it is full is turned, by reflections that keep the length of each
    row, so that as many columns as rows suffice."""
    n_rows = root.shape[0]
    if n < root.shape[1]:
        return n
    for i in range(n_rows):
        largest = 0.0
        for k in range(i, n):
            largest = max(largest, abs(root[i, k]))
        if largest == 0.0:
            continue
        norm = 0.0
        for k in range(i, n):
            root[i, k] /= largest
            norm += root[i, k] * root[i, k]
        head = -math.copysign(math.sqrt(norm), root[i, i])
        root[i, i] -= head
        for below in range(i + 1, n_rows):
            product = 0.0
            for k in range(i, n):
                product += root[below, k] * root[i, k]
            product /= -head * root[i, i]
            for k in range(i, n):
                root[below, k] -= product * root[i, k]
        root[i, i] = head * largest
        for k in range(i + 1, n):
            root[i, k] = 0.0
    return n_rows


@jit
def _near_excess(factor_p, noise_p, factor_q, noise_q, states, root, g):
    """(tr A - d - log det A) / 2 for A = S_q^-1 S_p as a sum of terms >= 0 that are small where p and q are near."""
    state_p, state_q, change = states
    d, r = factor_p.shape
    forget(state_p, 1.0)
    forget(state_q, 1.0)
    forget(change, 0.0)
    total, n = 0.0, 0
    for i in range(d):
        measure(factor_p[i], noise_p[i], state_p)
        measure(factor_q[i], noise_q[i], state_q)
        _measure_difference(factor_p[i], noise_p[i], state_p, factor_q[i], noise_q[i], state_q, change)
        t = change[3][r] / state_q[3][r]
        is_near = -0.25 < t < 0.35
        total += 0.5 * x_minus_log1p(t) if is_near else half_ratio_excess(state_p[3][r], state_q[3][r])
        total += 0.5 * _disagree(factor_p[i], factor_q[i], math.sqrt(state_q[3][r]), root, n, g)
        n = _predict(state_p, state_q, change, root, n, g)
        _update_difference(state_p, state_q, change)
        update(state_p)
        update(state_q)
    return total


@jit
def _trace(factor_p, noise_p, factor_q, gain, variance, hidden, root, g):
    """tr(S_q^-1 S_p). An element of the diagonal of S_q^-1 is that of one coordinate given all the others: what the
    coordinates behind it tell, whose information matrix is root root^T, is added to what is known before them."""
    d, r = factor_q.shape
    total, n = 0.0, 0
    for j in range(r):
        total += squares(factor_p[:, j], factor_q, gain, variance, hidden)
    for i in range(d - 1, -1, -1):
        std = math.sqrt(noise_p[i])
        total += noise_p[i] / variance[i]
        for k in range(n):
            g[k] = 0.0
            for j in range(r):
                g[k] += root[j, k] * gain[i, j]
            total += (std * g[k]) ** 2
        for j in range(r):
            for k in range(n):
                root[j, k] -= g[k] * factor_q[i, j]
            root[j, n] = factor_q[i, j] / math.sqrt(variance[i])
        n = _shortened(root, n + 1)
    return total


@jit
def _kl_low_rank_kernel(
    start, stop, mean_p, mean_p_row, factor_p, factor_p_row, noise_p, noise_p_row,
    mean_q, mean_q_row, factor_q, factor_q_row, noise_q, noise_q_row, out,
):  # fmt: skip
    d, r = factor_p.shape[1:]
    states = new_filter(r, 1.0), new_filter(r, 1.0), new_filter(r, 0.0)
    near_root, far_root, g, hidden = np.empty((2 * r, 4 * r)), np.empty((r, 2 * r)), np.empty(4 * r), np.empty(r)
    gain, variance_p, variance, shift = np.empty((d, r)), np.empty(d), np.empty(d), np.empty(d)
    for row in range(start, stop):
        p = factor_p[factor_p_row[row]], noise_p[noise_p_row[row]]
        q = factor_q[factor_q_row[row]], noise_q[noise_q_row[row]]
        filter_coordinates(*p, states[0], gain, variance_p)
        filter_coordinates(*q, states[1], gain, variance)
        trace = _trace(*p, q[0], gain, variance, hidden, far_root, g)
        excess = trace
        for i in range(d):
            excess -= 1.0 + log_ratio(variance_p[i], variance[i])
            shift[i] = mean_p[mean_p_row[row], i] - mean_q[mean_q_row[row], i]
        if excess < _FAR * trace:
            excess = 2.0 * _near_excess(*p, *q, states, near_root, g)
        out[row] = 0.5 * excess + 0.5 * squares(shift, q[0], gain, variance, hidden)
