"""Bounds and approximations of the divergence of Gaussian mixtures, which has no closed form."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import _validation
from ._jit import effective_n_jobs
from ._strata import stratified_kl
from .closed_forms import pairwise_kl
from .distribution import check_distribution, check_same_events, check_single
from .errors import InvalidParameterError, InvalidTypeError, UnreliableEstimateWarning
from .estimate import DivergenceEstimate, Report
from .families.gaussian import MultivariateNormal, MultivariateNormalDiag
from .families.gaussian_mixture import GaussianMixture
from .power_divergences import bhattacharyya

_BLOCK_NUMBERS = 2**20  # of a block of pairs
_MOST_PAIRS = 2**24  # of p and q, which are kept at once: 128 MiB
_MOST_OWN_PAIRS = 2**28  # of p, which take minutes
_MOST_ROUNDS, _SETTLED = 1000, 1e-10
_MOST_ERRORS, _ROUNDING = 6.0, 1e-9  # by which an estimate may leave its bounds

LOG_4PI = math.log(4.0 * math.pi)

LogPairs = Callable[[Any, Any], np.ndarray]  # of two batches of components, a table of logarithms


@dataclass(frozen=True, kw_only=True, repr=False)
class MixtureBounds(Report):
    """What `mixture_kl_bounds` tells of KL(p || q).

    Attributes
    ----------
    monte_carlo : DivergenceEstimate
        Unbiased, with its standard error.
    variational, product : float
        Approximations, which may lie on either side.
    durrieu_lower, durrieu_upper, variational_upper, kolchinsky_tracey_upper : float
        Bounds; a lower one may be negative.
    kolchinsky_tracey_lower : float or None
        A bound where q is a single Gaussian, else None.
    n_components_p, n_components_q : int
        Components with weight.
    unit : str
        "nats" or "bits".

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.GaussianMixture(weights=[0.5, 0.5], means=[[-2.0], [2.0]], covs=[[1.0], [1.0]])
    >>> bounds = kl.mixture_kl_bounds(p, kl.MultivariateNormalDiag(mean=[0.0], var=[5.0]), random_state=0)
    >>> bounds.lower.__round__(4), bounds.upper.__round__(4)  # by quadrature 0.168
    (0.1119, 0.2385)
    """

    monte_carlo: DivergenceEstimate
    variational: float
    product: float
    durrieu_lower: float
    durrieu_upper: float
    variational_upper: float
    kolchinsky_tracey_lower: float | None
    kolchinsky_tracey_upper: float
    n_components_p: int
    n_components_q: int
    unit: str = "nats"

    @property
    def lower(self) -> float:
        """The largest of the lower bounds, and 0."""
        others = () if self.kolchinsky_tracey_lower is None else (self.kolchinsky_tracey_lower,)
        return max(0.0, self.durrieu_lower, *others)

    @property
    def upper(self) -> float:
        """The smallest of the upper bounds."""
        return min(self.durrieu_upper, self.variational_upper, self.kolchinsky_tracey_upper)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain Python objects, and the best bounds."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**fields, "monte_carlo": self.monte_carlo.to_dict(), "lower": self.lower, "upper": self.upper}

    def _summary_rows(self) -> list[tuple[str, str]]:
        estimate, lower = self.monte_carlo, self.kolchinsky_tracey_lower
        rows = [
            ("KL(P||Q)", f"{estimate.value:.6g} {self.unit}, std. error {estimate.standard_error:.2g}"),
            ("within", f"[{self.lower:.6g}, {self.upper:.6g}]"),
            ("lower bound", f"{self.durrieu_lower:.6g} (Durrieu)"),
        ]
        rows += [] if lower is None else [("lower bound", f"{lower:.6g} (Kolchinsky-Tracey)")]
        return [
            *rows,
            ("upper bound", f"{self.variational_upper:.6g} (variational)"),
            ("upper bound", f"{self.kolchinsky_tracey_upper:.6g} (Kolchinsky-Tracey)"),
            ("upper bound", f"{self.durrieu_upper:.6g} (Durrieu)"),
            ("approx.", f"{self.variational:.6g} (variational)"),
            ("approx.", f"{self.product:.6g} (product)"),
        ]

    def __repr__(self) -> str:
        return (
            f"MixtureBounds(monte_carlo={self.monte_carlo.value:.6g}, lower={self.lower:.6g}, "
            f"upper={self.upper:.6g}, unit={self.unit!r})"
        )


def mixture_kl_bounds(
    p: Any,
    q: Any,
    *,
    n_samples: int = 100_000,
    unit: str = "nats",
    n_jobs: int | None = None,
    random_state: Any = None,
) -> MixtureBounds:
    r"""Bounds, approximations and a Monte Carlo estimate of KL(p || q) of two Gaussian mixtures.

    With :math:`p = \sum_a \pi_a f_a`, :math:`q = \sum_b \omega_b g_b`, entropies :math:`H_a` of the :math:`f_a`,
    :math:`D_{ab} = \mathrm{KL}(f_a \| g_b)`, :math:`D_{aa'} = \mathrm{KL}(f_a \| f_{a'})`,
    :math:`B_{aa'} = -\log \int \sqrt{f_a f_{a'}}`, :math:`t_{ab} = \int f_a g_b` and
    :math:`z_{aa'} = \int f_a f_{a'}`:

    .. math::
        \text{variational (approximation)} &= \sum_a \pi_a
            \log \frac{\sum_{a'} \pi_{a'} e^{-D_{aa'}}}{\sum_b \omega_b e^{-D_{ab}}} \\
        \text{product (approximation)} &= \sum_a \pi_a
            \log \frac{\sum_{a'} \pi_{a'} z_{aa'}}{\sum_b \omega_b t_{ab}} \\
        \text{variational upper bound} &= \min_{\phi \ge 0,\ \sum_b \phi_{ab} = \pi_a} \sum_{ab} \phi_{ab}
            \Big( D_{ab} + \log \frac{\sum_{a'} \phi_{a'b}}{\omega_b} \Big) \\
        \text{Durrieu upper bound} &= \sum_a \pi_a
            \Big( \log \frac{\sum_{a'} \pi_{a'} z_{aa'}}{\sum_b \omega_b e^{-D_{ab}}} + H_a \Big) \\
        \text{Durrieu lower bound} &= \sum_a \pi_a
            \Big( \log \frac{\sum_{a'} \pi_{a'} e^{-D_{aa'}}}{\sum_b \omega_b t_{ab}} - H_a \Big) \\
        \text{Kolchinsky-Tracey upper bound} &= \sum_a \pi_a
            \log \frac{\sum_{a'} \pi_{a'} e^{-B_{aa'}}}{\sum_b \omega_b e^{-D_{ab}}}

    The last one joins the lower bound for the entropy of p to the variational lower bound of :math:`\mathbb{E}_p
    \log q`. Where q is a single Gaussian, :math:`\mathbb{E}_p \log q` is known, and the variational approximation is
    the Kolchinsky-Tracey lower bound.

    The Monte Carlo estimate draws from every component, most where :math:`\pi_a` times the deviation of log p/q is
    large (Neyman allocation, from a tenth of the draws that serves for nothing else); components that are too
    many for this are drawn from in groups. Bounds are computed to rounding errors, from all pairs of components: in
    time proportional to the square of their number.

    Parameters
    ----------
    p, q : GaussianMixture, MultivariateNormal or MultivariateNormalDiag
        Single ones, of equal event shape.
    n_samples : int, >= 100
        Draws of the Monte Carlo estimate.
    unit : {"nats", "bits"}
    n_jobs : int, optional
        Threads for divergences of pairs, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState

    Returns
    -------
    MixtureBounds

    Raises
    ------
    InvalidTypeError
        For other distributions; `estimate_kl_monte_carlo` takes them.
    ShapeMismatchError
        For batches, and where events differ.
    InvalidParameterError
        Where p and q have more than 2**24 pairs of components, or p more than 2**14 components: as an aggregate
        posterior has. `estimate_kl_monte_carlo` takes those.

    Warns
    -----
    UnreliableEstimateWarning
        Where the Monte Carlo estimate lies more than six standard errors beyond the bounds.

    References
    ----------
    J. R. Hershey and P. A. Olsen (2007), Approximating the Kullback Leibler divergence between Gaussian mixture
    models, sections 5, 7 and 8. J.-L. Durrieu, J.-P. Thiran and F. Kelly (2012), Lower and upper bounds for
    approximation of the Kullback-Leibler divergence between Gaussian mixture models. A. Kolchinsky and B. D. Tracey
    (2017), Estimating mixture entropy with pairwise distances.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.GaussianMixture(weights=[0.5, 0.5], means=[[-2.0], [2.0]], covs=[[1.0], [1.0]])
    >>> q = kl.GaussianMixture(weights=[0.3, 0.7], means=[[-2.0], [1.0]], covs=[[1.0], [2.0]])
    >>> bounds = kl.mixture_kl_bounds(p, q, random_state=0)
    >>> bounds.lower <= bounds.monte_carlo.value <= bounds.upper
    True
    """
    factor = _validation.unit_factor(unit)
    n = _validation.integer(n_samples, "n_samples", minimum=100)
    threads = effective_n_jobs(_validation.check_n_jobs(n_jobs))
    first, second = _weighted(p, "p"), _weighted(q, "q")
    check_same_events(first, second)
    _check_pairs("p and q have", len(first.weights) * len(second.weights), _MOST_PAIRS)
    _check_pairs("p has", len(first.weights) ** 2, _MOST_OWN_PAIRS)
    rng = _validation.generator(random_state)
    with np.errstate(over="ignore"):
        bounds = {name: factor * value for name, value in _bounds(first, second, threads).items()}
    found = MixtureBounds(
        monte_carlo=stratified_kl(first, second, n, rng).to(unit),
        kolchinsky_tracey_lower=bounds["variational"] if len(second.weights) == 1 else None,
        n_components_p=len(first.weights),
        n_components_q=len(second.weights),
        unit=unit,
        **bounds,
    )
    return found if _agree(found) else replace(found, monte_carlo=_refuted(found))


def _agree(found: MixtureBounds) -> bool:
    """Whether the estimate lies between the bounds, or no farther from them than chance would have it."""
    estimate = found.monte_carlo
    slack = _MOST_ERRORS * estimate.standard_error + _ROUNDING * abs(estimate.value)
    return found.lower - slack <= estimate.value <= found.upper + slack


def _refuted(found: MixtureBounds) -> DivergenceEstimate:
    """The estimate, which its bounds contradict: its draws were rounded, or missed what matters."""
    reason = (
        f"the Monte Carlo estimate, {found.monte_carlo.value:.6g}, is beyond the bounds, {found.lower:.6g} and "
        f"{found.upper:.6g}: draws were rounded (variances are tiny beside means), overflowed, or missed where p/q is "
        "large"
    )
    warnings.warn(f"{reason}; rely on the bounds.", UnreliableEstimateWarning, stacklevel=3)
    return replace(found.monte_carlo, reliable=False, reasons=(*found.monte_carlo.reasons, reason))


def _weighted(law: Any, name: str) -> GaussianMixture:
    """The components with weight of a mixture, or of the mixture that a single Gaussian is."""
    check_distribution(law, name)
    if not isinstance(law, GaussianMixture | MultivariateNormal | MultivariateNormalDiag):
        raise InvalidTypeError(
            f"{name} is a {law._name}; a GaussianMixture, MultivariateNormal or MultivariateNormalDiag is needed. For "
            "others use estimate_kl_monte_carlo(p, q, n_samples=100_000, random_state=0)."
        )
    check_single(law, name)
    if isinstance(law, MultivariateNormal | MultivariateNormalDiag):
        shape = law.cov if isinstance(law, MultivariateNormal) else law.var
        return GaussianMixture(weights=[1.0], means=law.mean[None], covs=shape[None])
    has_weight = law.weights > 0.0
    return GaussianMixture(weights=law.weights[has_weight], means=law.means[has_weight], covs=law.covs[has_weight])


def _check_pairs(whose: str, n_pairs: int, most: int) -> None:
    if n_pairs > most:
        raise InvalidParameterError(
            f"{whose} {n_pairs} pairs of components, more than {most}; use estimate_kl_monte_carlo(p, q, "
            "n_samples=100_000, random_state=0), which needs no pairs."
        )


def _bounds(p: GaussianMixture, q: GaussianMixture, n_jobs: int) -> dict[str, float]:
    """All of them, in nats."""
    f, g = p.components, q.components
    entropy = float(p.weights @ f.entropy())
    divergences = np.concatenate([pairwise_kl(part, g, n_jobs=n_jobs) for part in _parts(f, g)])
    own, other = (
        _mean_log(p, p, lambda a, b: -pairwise_kl(a, b, n_jobs=n_jobs)),
        float(p.weights @ log_mix(q.weights, -divergences)),
    )
    own_product, other_product = _mean_log(p, p, _log_products), _mean_log(p, q, _log_products)
    own_bhattacharyya = _mean_log(p, p, lambda a, b: -bhattacharyya(a[:, None], b[None]))
    return {
        "variational": own - other,
        "product": own_product - other_product,
        "durrieu_lower": own - other_product - entropy,
        "durrieu_upper": own_product - other + entropy,
        "variational_upper": _variational_upper(p.weights, q.weights, divergences),
        "kolchinsky_tracey_upper": own_bhattacharyya - other,
    }


def _mean_log(p: GaussianMixture, q: GaussianMixture, log_pairs: LogPairs) -> float:
    """The mean over the components of p of the logarithm of the mean over those of q."""
    f, g = p.components, q.components
    return float(p.weights @ np.concatenate([log_mix(q.weights, log_pairs(part, g)) for part in _parts(f, g)]))


def _parts(f: Any, g: Any) -> Iterator[Any]:
    """Pieces of a batch whose pairs with all of the other one are a block."""
    d = f.event_shape[0]
    rows = max(1, _BLOCK_NUMBERS // (len(g) * d * (d if isinstance(f, MultivariateNormal) else 1)))
    return (f[start : start + rows] for start in range(0, len(f), rows))


def log_mix(weights: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """Logarithm of the weighted sum of exponentials along the last axis."""
    top = np.maximum(logs.max(axis=-1, keepdims=True), -np.finfo(np.float64).max)
    with np.errstate(divide="ignore"):
        return top[..., 0] + np.log(np.exp(logs - top) @ weights)


def _log_products(f: Any, g: Any) -> np.ndarray:
    """Logarithms of the integrals of products: the densities of sums of independent Gaussians."""
    half_shift = 0.5 * f.mean[:, None] - 0.5 * g.mean  # halves of sums may be numbers where sums are not
    if isinstance(f, MultivariateNormalDiag) and isinstance(g, MultivariateNormalDiag):
        half = 0.5 * f.var[:, None] + 0.5 * g.var
        return -((half_shift / np.sqrt(half)) ** 2 + 0.5 * (np.log(half) + LOG_4PI)).sum(axis=-1)
    f, g = (law.to_full() if isinstance(law, MultivariateNormalDiag) else law for law in (f, g))
    law = MultivariateNormal(mean=np.zeros(half_shift.shape), cov=0.5 * f.cov[:, None] + 0.5 * g.cov)
    return law._log_prob(math.sqrt(2.0) * half_shift) - 0.5 * math.log(2.0) * f.event_shape[0]


def _variational_upper(own: np.ndarray, other: np.ndarray, divergences: np.ndarray) -> float:
    """The least of sum_ab phi_ab (D_ab + log sum_a phi_ab / omega_b), as far as rounds of descent find it.

    By turns psi_ab = omega_b phi_ab / sum_a phi_ab and phi_ab = pi_a psi_ab e^-D_ab, divided so that rows sum to pi_a:
    every phi gives a bound, none a larger one than the one before.
    """
    if np.isinf(divergences).all(axis=1).any():
        return math.inf
    log_phi = np.log(other) - divergences
    upper = math.inf
    for _ in range(_MOST_ROUNDS):
        log_phi -= log_phi.max(axis=1, keepdims=True)
        phi = np.exp(log_phi)
        phi *= (own / phi.sum(axis=1))[:, None]
        columns = phi.sum(axis=0)
        with np.errstate(divide="ignore"):
            excess = np.where(columns > 0.0, np.log(columns / other), 0.0)
        previous, upper = upper, float(columns @ excess + phi[phi > 0.0] @ divergences[phi > 0.0])
        if not previous - upper > _SETTLED * abs(upper):
            break
        log_phi -= divergences + excess
    return min(previous, upper)
