"""The density ratio p / q fitted directly by normal kernels: uLSIF, RuLSIF and KLIEP."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _validation
from .._log_sums import log_mean_exp, log_sum_exp
from .._validation import check_enough_rows
from ..inference import UNKNOWN, Uncertainty, sum_of_means
from ..neighbors import in_safe_range
from ..preprocessing import spread_rows
from ..repeats import tell_repeats
from ..scaling import fit_scaling
from .problem import Problem, Result

_MOST_CENTERS = 100
_ORDINARY_EXPONENT = 200  # of a width: its square, and what it divides, stay within float64
_ROWS_TO_LEARN = 2000  # of each sample: the weights of 100 kernels need no more
_ROWS_AT_ONCE = 1000
_WIDTHS = 2.0 ** np.arange(-4, 3)  # of kernels, in median distances
_PENALTIES = 10.0 ** np.arange(-3, 2)
_STEPS, _GAP = 500, 1e-4


def ulsif(problem: Problem) -> Result:
    """KL of the ratio by least squares (Kanamori, Hido and Sugiyama 2009); its class: `ULSIFDivergence`."""
    kernels = _Kernels.of(problem, "ulsif")
    width, penalty, weights = least_squares(kernels, 0.0, clip=True)
    return _kl_result(problem, kernels, width, weights, {"penalty": penalty})


def kliep(problem: Problem, *, n_folds: int = 5) -> Result:
    """KL of the ratio by likelihood (Sugiyama et al. 2008); options: `KLIEPDivergence`."""
    n_folds = min(_validation.integer(n_folds, "n_folds", minimum=2), problem.n)
    kernels = _Kernels.of(problem, "kliep")
    labels = np.arange(len(kernels.to_x)) % n_folds  # without chance, so that the estimate has none
    nearest = kernels.to_y.min(axis=0)
    widths = [width for width in kernels.widths if np.isfinite(in_widths(nearest, width)).all()]
    if not widths:  # no kernel reaches Y
        weights = np.ones(len(kernels.centers))
        return _kl_result(problem, kernels, float(kernels.widths[-1]), weights, {"n_folds": n_folds})
    scores = [_held_out_likelihood(kernels, width, labels) for width in widths]
    width = float(widths[int(np.argmax(scores))])
    terms = kernels.likelihood_terms(width)
    shares = likelihood_shares(terms)
    log_masses = log_mean_exp(-in_widths(kernels.to_y, width), axis=0)
    with np.errstate(divide="ignore"):
        log_weights = np.log(shares) - log_masses
    return _kl_result(problem, kernels, width, np.exp(log_weights - log_weights.max()), {"n_folds": n_folds})


def rulsif(problem: Problem, *, alpha: float = 0.1) -> Result:
    """Pearson divergence of P from alpha P + (1 - alpha) Q (Yamada et al. 2013); options: `RuLSIFDivergence`."""
    alpha = _validation.relative_share(alpha)
    kernels = _Kernels.of(problem, "rulsif")
    width, penalty, weights = least_squares(kernels, alpha, clip=False)
    of_x, of_y = (kernels.ratio(rows, width, weights) for rows in (kernels.X, kernels.Y))
    terms_x, terms_y = of_x - 0.5 * alpha * of_x**2, 0.5 * (1.0 - alpha) * of_y**2
    not_kl = f"the value is the Pearson divergence of P from {alpha:g} P + {1.0 - alpha:g} Q, not KL(P || Q)."
    return Result(
        float(terms_x.mean() - terms_y.mean() - 0.5),
        lambda: sum_of_means(terms_x, terms_y),
        reasons=(not_kl,),
        diagnostics={"divergence": "relative Pearson", "alpha": alpha, **kernels.told(width), "penalty": penalty},
    )


def _kl_result(
    problem: Problem, kernels: "_Kernels", width: float, weights: np.ndarray, diagnostics: dict[str, Any]
) -> Result:
    """mean_X log w - log mean_Y w: the ratio w is made to have the mean 1 under Q."""
    of_x, of_y = (kernels.log_ratio(rows, width, weights) for rows in (kernels.X, kernels.Y))
    log_mass = float(log_mean_exp(of_y))
    value, lowest = (float(of_log) - log_mass for of_log in (of_x.mean(), of_x.min()))
    if math.isnan(value):  # rows of Y so far out that no kernel sees any of them
        value = lowest = math.inf
    return Result(
        value,
        lambda: _uncertainty(of_x, of_y - log_mass),
        reasons=problem.tell_beyond_sight(value) + problem.tell_impossible_ratio(lowest),
        diagnostics={**kernels.told(width), **diagnostics},
    )


def _uncertainty(of_x: np.ndarray, of_y: np.ndarray) -> Uncertainty:
    return sum_of_means(of_x, np.exp(of_y)) if np.isfinite(of_x).all() else UNKNOWN


# ---------------------------------------------------------------- kernels


@dataclass(frozen=True)
class _Kernels:
    """Scaled samples, some rows of them to learn from, the centres, and squared distances to those.

    ``center_rows`` are the centres among the rows of X to learn from.
    """

    X: np.ndarray
    Y: np.ndarray
    centers: np.ndarray
    center_rows: np.ndarray
    to_x: np.ndarray
    to_y: np.ndarray

    @classmethod
    def of(cls, problem: Problem, method: str) -> "_Kernels":
        Y = problem.sample_of_q(method)
        check_enough_rows(len(Y), "Y", 2, f"method={method!r}")
        tell_repeats(problem.X, Y, problem.notes)
        scaling = fit_scaling(problem.X, "whiten", Y)
        (X, Y), _ = in_safe_range(scaling.apply(problem.X, problem.n_jobs), scaling.apply(Y, problem.n_jobs))
        kernels = cls._between(X, Y)
        exponent = int(np.frexp(kernels.widths[0])[1])
        if abs(exponent) < _ORDINARY_EXPONENT:
            return kernels
        with np.errstate(over="ignore"):  # rows as far out as that are out of reach
            return cls._between(np.ldexp(X, -exponent), np.ldexp(Y, -exponent))

    @classmethod
    def _between(cls, X: np.ndarray, Y: np.ndarray) -> "_Kernels":
        some_x, some_y = (spread_rows(Z, _ROWS_TO_LEARN) for Z in (X, Y))
        center_rows = spread_rows(np.arange(len(some_x)), _MOST_CENTERS)
        centers = some_x[center_rows]
        return cls(X, Y, centers, center_rows, squares(some_x, centers), squares(some_y, centers))

    @property
    def widths(self) -> np.ndarray:
        """Standard deviations of kernels to choose from."""
        together = np.concatenate([self.to_x.ravel(), self.to_y.ravel()])
        return _WIDTHS * math.sqrt(float(np.median(together[together > 0.0])))

    def ratio(self, rows: np.ndarray, width: float, weights: np.ndarray) -> np.ndarray:
        """The sum of kernels with weights of any sign at each row."""
        return np.concatenate(
            [np.exp(-in_widths(squares(part, self.centers), width)) @ weights for part in _parts(rows)]
        )

    def log_ratio(self, rows: np.ndarray, width: float, weights: np.ndarray) -> np.ndarray:
        """log of the sum of kernels with weights >= 0 at each row."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(weights)
        return np.concatenate(
            [log_sum_exp(log_weights - in_widths(squares(part, self.centers), width)) for part in _parts(rows)]
        )

    def likelihood_terms(self, width: float) -> np.ndarray:
        """log of each kernel, divided by its mean over Y, at the rows of X."""
        return -in_widths(self.to_x, width) - log_mean_exp(-in_widths(self.to_y, width), axis=0)

    def told(self, width: float) -> dict[str, Any]:
        return {"n_centers": len(self.centers), "width": width}


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[first : first + _ROWS_AT_ONCE] for first in range(0, len(rows), _ROWS_AT_ONCE))


def squares(rows: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Squared distances, from differences: without loss of digits far from the origin; inf where out of reach."""
    result = np.zeros((len(rows), len(centers)))
    with np.errstate(over="ignore"):
        for x, c in zip(rows.T, centers.T, strict=True):
            result += (x[:, None] - c) ** 2
    return result


def in_widths(squares: np.ndarray, width: float) -> np.ndarray:
    """Minus the logarithm of a normal kernel of this width, at squared distances from its centre."""
    with np.errstate(over="ignore"):
        return squares / (2.0 * width**2)


# ---------------------------------------------------------------- least squares


def least_squares(kernels: _Kernels, alpha: float, clip: bool) -> tuple[float, float, np.ndarray]:
    """Width, penalty and weights of the ratio of P to alpha P + (1 - alpha) Q, chosen by leaving out each row.

    With `clip` negative weights become 0, in the choice as well (Kanamori, Hido and Sugiyama 2009).
    """
    best = (math.inf, math.nan, math.nan)
    for width in kernels.widths:
        of_x, of_y = (np.exp(-in_widths(part, width)) for part in (kernels.to_x, kernels.to_y))
        for penalty in _PENALTIES:
            score = leave_one_out(of_x, of_y, alpha, float(penalty), clip)
            best = min(best, (score, float(width), float(penalty)))
    _, width, penalty = best
    of_x, of_y = (np.exp(-in_widths(part, width)) for part in (kernels.to_x, kernels.to_y))
    hessian = alpha * of_x.T @ of_x / len(of_x) + (1.0 - alpha) * of_y.T @ of_y / len(of_y)
    weights = np.linalg.solve(hessian + penalty * np.eye(len(hessian)), of_x.mean(axis=0))
    return width, penalty, np.maximum(weights, 0.0) if clip else weights


def leave_one_out(of_x: np.ndarray, of_y: np.ndarray, alpha: float, penalty: float, clip: bool) -> float:
    """alpha/2 mean_X w^2 + (1 - alpha)/2 mean_Y w^2 - mean_X w, each term at a row that its w was fitted without.

    A row changes the normal equations by a matrix of rank one, so that (Sherman and Morrison 1950) the fit
    without it takes a division. Rows of X and Y are left out on their own, not in pairs as by Kanamori,
    Hido and Sugiyama: the order of rows does not matter, nor which sample is the larger.
    """
    n, mean_x = len(of_x), of_x.mean(axis=0)
    moments = [share * part.T @ part / len(part) for share, part in ((alpha, of_x), (1.0 - alpha, of_y))]
    penalised = moments[0] + moments[1] + penalty * np.eye(len(mean_x))

    def without(part: np.ndarray, share: float, moment: np.ndarray, numerator: np.ndarray) -> np.ndarray:
        others = len(part) - 1
        inverse = np.linalg.inv(penalised + moment / others)
        solved, weights = part @ inverse, numerator @ inverse
        leverage = share / others * np.einsum("ij,ij->i", solved, part)
        at_row = np.einsum("ij,ij->i", weights, part)
        if not clip:
            return at_row / (1.0 - leverage)
        weights = weights + solved * (share / others * at_row / (1.0 - leverage))[:, None]
        return np.einsum("ij,ij->i", np.maximum(weights, 0.0), part)

    at_x = without(of_x, alpha, moments[0], (n * mean_x - of_x) / (n - 1))
    at_y = without(of_y, 1.0 - alpha, moments[1], mean_x[None, :])
    return float(0.5 * alpha * (at_x**2).mean() + 0.5 * (1.0 - alpha) * (at_y**2).mean() - at_x.mean())


# ---------------------------------------------------------------- likelihood


def likelihood_shares(terms: np.ndarray) -> np.ndarray:
    """Shares s >= 0, sum s = 1, that maximise mean_i log sum_l s_l exp(terms_il), to 1e-4 nats.

    In shares s_l = a_l mean_Y K_l the constraint that w has the mean 1 under Q is that of a mixture. The
    multiplicative step s_l <- s_l mean_i exp(terms_il) / w_i raises the likelihood and keeps the
    constraint, which steps along the gradient must be projected to; the largest factor minus 1 bounds what
    is left to gain.
    """
    factors = np.exp(terms - terms.max(axis=1, keepdims=True))
    shares = np.full(terms.shape[1], 1.0 / terms.shape[1])
    for _ in range(_STEPS):
        gains = (1.0 / (factors @ shares)) @ factors / len(factors)
        if gains.max() < 1.0 + _GAP:
            break
        shares = shares * gains
    return shares / shares.sum()


def _held_out_likelihood(kernels: _Kernels, width: float, labels: np.ndarray) -> float:
    """Sum over folds of the log-likelihood of rows of X that the shares were fitted without.

    A ratio beyond the number of rows of Y, which they cannot show, counts as that number: narrow kernels where
    Y has no rows would win by any margin.
    """
    ceiling = math.log(len(kernels.to_y))
    all_terms = kernels.likelihood_terms(width)
    total = 0.0
    for fold in range(int(labels.max()) + 1):
        out = labels == fold
        terms = all_terms[:, ~out[kernels.center_rows]]  # a kernel at a row that is left out would know it
        with np.errstate(divide="ignore"):
            log_shares = np.log(likelihood_shares(terms[~out]))
        total += float(np.minimum(log_sum_exp(terms[out] + log_shares), ceiling).sum())
    return total
