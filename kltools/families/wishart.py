"""Wishart and inverse Wishart distributions."""

import math
from typing import Any

import numpy as np

from .._bridge import near_wishart_part
from .._formula import Formula, digamma
from .._jit import jit, run_rows
from .._parameters import param
from .._scalar import LOG_2PI
from .._scalar import digamma as scalar_digamma
from .._special import log_gamma_remainder_excess, ratio_excess
from ..closed_forms import register_kl
from ..distribution import family
from ..errors import InvalidParameterError
from ..relatives import register_relative
from .gaussian_full import SMALL, covariance_excess, solve_lower, whiten_difference
from .matrix import WithFactors, flat_arrays


@Formula
def _log_gamma(x):
    return math.lgamma(x)


@Formula
def _log_gamma_rest(x):
    """lgamma(x) - x digamma(x) + x, which is about -log(x) / 2, from Stirling's series where x is large."""
    if x < 12.0:
        return math.lgamma(x) - x * scalar_digamma(x) + x
    t = 1.0 / (x * x)
    series = 1 / 6 - t * (1 / 90 - t * (1 / 210 - t * (1 / 210 - t * (5 / 594 - t * 691 / 30030))))
    return 0.5 * (1.0 + LOG_2PI - math.log(x)) + series / x


class _ByDegreesOfFreedom(WithFactors):
    """Shared by the Wishart distribution and that of its inverse."""

    _factored = ("scale",)
    df: Any
    scale: Any

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...]:
        return events[1]

    def _prepare(self) -> None:
        d = self.event_shape[0]
        if not (self.df > d - 1).all():
            raise InvalidParameterError(
                f"df of {self._name} must exceed {d - 1} for matrices of {d} rows, got a minimum of {self.df.min():g}."
            )
        super()._prepare()

    def _halves(self) -> np.ndarray:
        """Shapes (df - j) / 2 of the Gamma distributions that a determinant is made of, j = 0, ..., d - 1."""
        return 0.5 * (self.df[..., None] - np.arange(self.event_shape[0]))

    def _log_multigamma(self) -> np.ndarray:
        return self._log_pi() + _log_gamma.summed(self._halves(), n_axes=1)

    def _log_pi(self) -> float:
        d = self.event_shape[0]
        return 0.25 * d * (d - 1) * math.log(math.pi)

    def _df_entropy(self, extra: float) -> np.ndarray:
        """log Gamma_d(a) - (a + extra) psi_d(a) + a d for a = df / 2, where nothing of the size of a is subtracted."""
        halves, below = self._halves(), 0.5 * np.arange(self.event_shape[0])
        terms = _log_gamma_rest(halves) - (below + extra) * digamma(halves) + below
        return self._log_pi() + terms.sum(axis=-1)

    def _bartlett(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Lower triangular A, where A A^T is Wishart with the unit matrix for a scale."""
        d = self.event_shape[0]
        factor = np.tril(rng.standard_normal((*shape, d, d)), -1)
        diagonal = np.sqrt(2.0 * rng.standard_gamma(np.broadcast_to(self._halves(), (*shape, d))))
        return factor + diagonal[..., None] * np.eye(d)

    def _terms(self, x: np.ndarray, is_inverse: bool) -> tuple[np.ndarray, np.ndarray]:
        """log det(x) / 2 and tr(scale^-1 x), or tr(scale x^-1): nan where x is not symmetric positive definite."""
        shape = np.broadcast_shapes(x.shape[:-2], self._factors["scale"].shape[:-2])
        out = np.empty((math.prod(shape), 2))
        rows = flat_arrays([(x, 2), (self._factors["scale"], 2)], shape)
        run_rows(_wishart_terms_kernel, len(out), *rows, is_inverse, out, row_cost=x.shape[-1] ** 3)
        return out[:, 0].reshape(shape), out[:, 1].reshape(shape)

    def _density(self, x: np.ndarray, terms: np.ndarray) -> np.ndarray:
        outside = np.isnan(terms) & ~np.isnan(x).any(axis=(-2, -1))
        return np.where(outside, -np.inf, terms)


@family
class Wishart(_ByDegreesOfFreedom):
    r"""Distribution of scatter matrices: of the sum of x x^T over df draws x of a normal with mean 0.

    .. math:: p(X) \propto |X|^{(\nu - d - 1)/2} \, e^{-\mathrm{tr}(V^{-1} X) / 2}

    Its mean is df times scale. Draws are symmetric positive definite matrices of shape (d, d); other matrices have
    density 0.

    Parameters
    ----------
    df : array-like, > d - 1
        Degrees of freedom; whole numbers are not needed.
    scale : array-like of shape (..., d, d)
        The covariance V of the normal: symmetric and positive definite; its lower triangle is used.

    Raises
    ------
    InvalidParameterError
        Where df is d - 1 or less, or scale is not positive definite.

    Warns
    -----
    KLToolsWarning
        Where only rounding keeps scale from being singular.

    References
    ----------
    R. J. Muirhead (1982), Aspects of Multivariate Statistical Theory, theorem 3.2.1; draws by theorem 3.2.14.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Wishart(df=5, scale=[[1, 0], [0, 1]]), kl.Wishart(df=6, scale=[[1, 0.5], [0.5, 1]])
    >>> kl.kl_divergence(p, q).__round__(4)
    0.9338
    """

    scipy_name = "wishart"
    df: Any = param("positive")
    scale: Any = param("symmetric")

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        d = self.event_shape[0]
        half_log_det, trace = self._terms(x, False)
        terms = (self.df - d - 1.0) * half_log_det - 0.5 * trace - self.df * self._half_log_det("scale")
        return self._density(x, terms - 0.5 * math.log(2.0) * d * self.df - self._log_multigamma())

    def _natural(self) -> tuple[np.ndarray, ...]:
        return self.df, _inverse(self.scale)

    @classmethod
    def _from_natural(cls, df: np.ndarray, precision: np.ndarray) -> dict[str, np.ndarray]:
        df, precision = _where_possible(df, precision)
        return {"df": df, "scale": _inverse(precision)}

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        factor = self._factors["scale"] @ self._bartlett(rng, shape)
        return factor @ np.swapaxes(factor, -1, -2)

    def _entropy(self) -> np.ndarray:
        d = self.event_shape[0]
        scale = (d + 1.0) * (self._half_log_det("scale") + 0.5 * d * math.log(2.0))
        return scale + self._df_entropy(-0.5 * (d + 1.0))


@family
class InverseWishart(_ByDegreesOfFreedom):
    r"""Distribution of the inverse of a Wishart matrix, whose scale is the inverse of this one.

    .. math:: p(X) \propto |X|^{-(\nu + d + 1)/2} \, e^{-\mathrm{tr}(\Psi X^{-1}) / 2}

    Its mean is scale / (df - d - 1), for df > d + 1. Draws are symmetric positive definite matrices of shape (d, d);
    other matrices have density 0.

    Parameters
    ----------
    df : array-like, > d - 1
        Degrees of freedom.
    scale : array-like of shape (..., d, d)
        The matrix Psi: symmetric and positive definite; its lower triangle is used.

    Raises
    ------
    InvalidParameterError
        Where df is d - 1 or less, or scale is not positive definite.

    Warns
    -----
    KLToolsWarning
        Where only rounding keeps scale from being singular.

    References
    ----------
    R. J. Muirhead (1982), Aspects of Multivariate Statistical Theory, problem 3.6.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.InverseWishart(df=5, scale=[[1, 0], [0, 1]]), kl.InverseWishart(df=5, scale=[[2, 0], [0, 1]])
    >>> kl.kl_divergence(p, q).__round__(4)
    0.7671
    """

    scipy_name = "invwishart"
    df: Any = param("positive")
    scale: Any = param("symmetric")

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        d = self.event_shape[0]
        half_log_det, trace = self._terms(x, True)
        terms = self.df * self._half_log_det("scale") - (self.df + d + 1.0) * half_log_det - 0.5 * trace
        return self._density(x, terms - 0.5 * math.log(2.0) * d * self.df - self._log_multigamma())

    def _natural(self) -> tuple[np.ndarray, ...]:
        return self.df, self.scale

    @classmethod
    def _from_natural(cls, df: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
        df, scale = _where_possible(df, scale)
        return {"df": df, "scale": scale}

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Where df is next to d - 1, the last diagonal entry may be 0 in float64, and most entries of the draw inf."""
        triangle = self._bartlett(rng, shape)
        last = triangle[..., -1:, -1:].copy()
        triangle[..., -1, -1] = 1.0
        factor = self._factors["scale"] @ np.swapaxes(np.linalg.inv(triangle), -1, -2)
        products = factor[..., :, -1:] * np.swapaxes(factor[..., :, -1:], -1, -2)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            of_last = np.where(products == 0.0, 0.0, products / last / last)
        return factor[..., :-1] @ np.swapaxes(factor[..., :-1], -1, -2) + of_last

    def _entropy(self) -> np.ndarray:
        d = self.event_shape[0]
        scale = (d + 1.0) * (self._half_log_det("scale") - 0.5 * d * math.log(2.0))
        return scale + self._df_entropy(0.5 * (d + 1.0))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    try:
        inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        raise InvalidParameterError(
            "a scale matrix has no inverse in float64, its coordinates are linearly dependent but for rounding; drop "
            "those that others determine."
        ) from None
    return 0.5 * (inverse + np.swapaxes(inverse, -1, -2))


def _where_possible(df: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees of freedom and positive definite matrices; nan where there is no such distribution."""
    is_finite = np.isfinite(matrix).all(axis=(-2, -1))
    lower = np.tril(np.where(is_finite[..., None, None], matrix, 0.0))
    least = np.linalg.eigvalsh(lower)[..., 0]
    matrix = np.where((least > 0.0)[..., None, None], matrix, np.nan)
    return np.where(df > matrix.shape[-1] - 1, df, np.nan), matrix


@jit
def _factorise(matrix, factor):
    """Lower Cholesky factor of a matrix; whether it is symmetric (to 1e-9) and positive definite."""
    d = matrix.shape[0]
    for i in range(d):
        for j in range(i + 1):
            tolerance = 1e-9 * math.sqrt(abs(matrix[i, i])) * math.sqrt(abs(matrix[j, j]))
            if not abs(matrix[i, j] - matrix[j, i]) <= tolerance:
                return False
            value = matrix[i, j]
            for k in range(j):
                value -= factor[i, k] * factor[j, k]
            if i == j:
                if not 0.0 < value < np.inf:
                    return False
                factor[i, i] = math.sqrt(value)
            else:
                factor[i, j] = value / factor[j, j]
                factor[j, i] = 0.0
    return True


@jit
def _wishart_terms_kernel(start, stop, x, x_row, scale, scale_row, is_inverse, out):
    d = x.shape[1]
    factor, work = np.empty((d, d)), np.empty((d, d))
    for row in range(start, stop):
        if not _factorise(x[x_row[row]], factor):
            out[row, 0] = out[row, 1] = np.nan
            continue
        top, bottom = (scale[scale_row[row]], factor) if is_inverse else (factor, scale[scale_row[row]])
        out[row, 0] = out[row, 1] = 0.0
        for i in range(d):
            out[row, 0] += math.log(factor[i, i])
            for j in range(d):
                work[i, j] = top[i, j]
        solve_lower(bottom, work)
        for i in range(d):
            for j in range(i + 1):
                out[row, 1] += work[i, j] * work[i, j]


@register_kl(Wishart, Wishart)
def kl_wishart(p: Wishart, q: Wishart) -> np.ndarray:
    """df_q (tr B - d - log det B) / 2 for the ratio B of the means, and what the degrees of freedom add to it.

    At equal means that is the sum over the Gamma distributions of the determinants: of the Bregman divergence of the
    log-gamma function between the shapes (df - j) / 2, less that of x log(x) - x between df_p / 2 and df_q / 2.
    """
    return _kl_by_degrees_of_freedom(p, q, p, q)


@register_kl(InverseWishart, InverseWishart)
def kl_inverse_wishart(p: InverseWishart, q: InverseWishart) -> np.ndarray:
    """That of the inverse matrices, which are Wishart with the inverse scales."""
    return _kl_by_degrees_of_freedom(p, q, q, p)


def _kl_by_degrees_of_freedom(p: Any, q: Any, top: Any, bottom: Any) -> np.ndarray:
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    out = np.empty(math.prod(shape))
    matrices = [(matrix, 2) for side in (top, bottom) for matrix in (side.scale, side._factors["scale"])]
    rows = flat_arrays([(p.df, 0), (q.df, 0), *matrices], shape)
    run_rows(_kl_wishart_kernel, out.size, *rows, out, row_cost=2 * p.event_shape[0] ** 3)
    return out.reshape(shape)


@jit
def _shape_excess(df_p, df_q, d):
    """Divergence of Wishart distributions of equal means."""
    a, b, difference = 0.5 * df_p, 0.5 * df_q, 0.5 * (df_q - df_p)
    total = 0.0
    for j in range(d):
        s = 0.5 * j
        total += log_gamma_remainder_excess(a - s, b - s)
        # x log(x) - x has a greater divergence between a - s and b - s than between a and b
        total += s * ratio_excess(difference, a - s, b - s)
        total -= b * ratio_excess(s * (difference / a / b), (a - s) / a, (b - s) / b)
    return total


@jit
def _kl_wishart_kernel(
    start, stop, df_p, df_p_row, df_q, df_q_row,
    top, top_row, top_factor, top_factor_row, bottom, bottom_row, bottom_factor, bottom_factor_row, out,
):  # fmt: skip
    d = top.shape[1]
    work = np.empty((d, d))
    for row in range(start, stop):
        nu_p, nu_q = df_p[df_p_row[row]], df_q[df_q_row[row]]
        above = top[top_row[row]], top_factor[top_factor_row[row]]
        below = bottom[bottom_row[row]], bottom_factor[bottom_factor_row[row]]
        excess = covariance_excess(*above, nu_p / nu_q, (nu_p - nu_q) / nu_q, *below, work)
        out[row] = nu_q * excess + _shape_excess(nu_p, nu_q, d)


# ---------------------------------------------------------------- affinities

_near_part = Formula(near_wishart_part)


@register_relative("near_log_affinity", Wishart, Wishart)
def near_log_affinity_wishart(p: Wishart, q: Wishart, *, alpha: float) -> np.ndarray:
    """Summed over the axes of the scale of p in coordinates in which that of q is the identity."""
    excess = _near_excess(p, q)
    return _near_log_affinity(p, q, np.where(np.isinf(excess), excess, -excess / (1.0 + excess)), alpha)


@register_relative("near_log_affinity", InverseWishart, InverseWishart)
def near_log_affinity_inverse_wishart(p: InverseWishart, q: InverseWishart, *, alpha: float) -> np.ndarray:
    """The same, of which the inverse matrices have the inverse scales."""
    return _near_log_affinity(p, q, _near_excess(p, q), alpha)


def _near_log_affinity(p: Any, q: Any, excess: np.ndarray, alpha: float) -> np.ndarray:
    axes = np.arange(excess.shape[-1])
    return _near_part.summed(excess, axes, axes.size, p.df[..., None], q.df[..., None], alpha, n_axes=1)


def _near_excess(p: Any, q: Any) -> np.ndarray:
    """The eigenvalues of L_q^-1 (S_p - S_q) L_q^-T, inf where they are not small."""
    shape = np.broadcast_shapes(p.scale.shape[:-2], q.scale.shape[:-2])
    n, d = math.prod(shape), p.event_shape[0]
    whitened, is_near = np.zeros((n, d, d)), np.empty(n, np.bool_)
    rows = flat_arrays([(p.scale, 2), (q.scale, 2), (q._factors["scale"], 2)], shape)
    run_rows(_whiten_kernel, n, *rows, whitened, is_near, row_cost=2 * d**3)
    return np.where(is_near[:, None], np.linalg.eigvalsh(whitened), math.inf).reshape(*shape, d)


@jit
def _whiten_kernel(start, stop, scale_p, row_p, scale_q, row_q, factor_q, factor_row, out, is_near):
    d = scale_p.shape[1]
    work = np.empty((d, d))
    for row in range(start, stop):
        for i in range(d):
            for j in range(i + 1):
                work[i, j] = work[j, i] = scale_p[row_p[row], i, j] - scale_q[row_q[row], i, j]
        is_near[row] = whiten_difference(work, scale_q[row_q[row]], factor_q[factor_row[row]]) < SMALL
        if is_near[row]:
            for i in range(d):
                for j in range(d):
                    out[row, i, j] = work[i, j]
