"""Relatives of KL by Monte Carlo: draws of both distributions, and their log-densities there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _validation, integrands
from ..distribution import Distribution, check_distribution, check_same_events, check_same_kind, check_single
from ..errors import (
    InfiniteDivergenceWarning,
    InvalidParameterError,
    UnreliableEstimateWarning,
)
from ..estimate import Deferred, DivergenceEstimate
from ..inference import UNKNOWN, Moments, Uncertainty
from ..integrands import Term
from ..pareto import RELIABLE_BELOW, pareto_k
from ..preprocessing import Notes

_BLOCK_NUMBERS = 2**20
_FAR = -0.5  # of an affinity less 1

# name: quantity, direction, whether it has units, options
_NAMES: dict[str, tuple[str, str, bool, tuple[str, ...]]] = {
    "kl": ("KL", "P||Q", True, ()),
    "cross_entropy": ("cross-entropy", "P, Q", True, ()),
    "jeffreys": ("Jeffreys", "P, Q", True, ()),
    "jensen_shannon": ("Jensen-Shannon", "P, Q", True, ("weights",)),
    "total_variation": ("total variation", "P, Q", False, ()),
    "hellinger": ("Hellinger", "P, Q", False, ()),
    "bhattacharyya": ("Bhattacharyya", "P, Q", True, ()),
    "chi_squared": ("chi squared", "P||Q", False, ()),
    "renyi": ("Renyi", "P||Q", True, ("alpha",)),
    "tsallis": ("Tsallis", "P||Q", False, ("alpha",)),
    "f_divergence": ("f-divergence", "P||Q", False, ("f",)),
}
_BOUNDED = ("jensen_shannon", "total_variation", "hellinger", "bhattacharyya")
_ALPHA = {"hellinger": 0.5, "bhattacharyya": 0.5, "chi_squared": 2.0}


def estimate_divergence_monte_carlo(
    p: Distribution,
    q: Distribution,
    name: str,
    *,
    n_samples: int,
    alpha: float | None = None,
    weights: Any = None,
    f: Callable[[np.ndarray], Any] | None = None,
    random_state: Any = None,
    unit: str = "nats",
) -> DivergenceEstimate:
    r"""Estimate a relative of KL of two distributions whose log-densities are known, by drawing from both.

    .. math:: D(p, q) = \frac12 \, \mathbb{E}_{x \sim p} \frac{g(p, q)}{m} + \frac12 \, \mathbb{E}_{x \sim q}
              \frac{g(p, q)}{m}, \qquad m = \frac{p + q}{2}

    where the divergence is the integral of g, of which what integrates to 0 has been taken away: terms are never
    negative and all 0 where p = q, and those of total_variation, jensen_shannon, hellinger and bhattacharyya are
    bounded. It serves where there is neither a closed form nor a single dimension: for mixtures, and for
    divergences of multivariate distributions.

    Parameters
    ----------
    p, q : Distribution
        Single ones, of equal ``event_shape``.
    name : str
        "kl", "cross_entropy", "jeffreys", "jensen_shannon", "total_variation", "hellinger", "bhattacharyya",
        "chi_squared", "renyi", "tsallis" or "f_divergence".
    n_samples : int, >= 2
        Draws from each of p and q.
    alpha : float, > 0
        Order, not 1: for "renyi" and "tsallis", which need it.
    weights : array-like of two numbers, optional
        For "jensen_shannon": > 0 with sum 1, equal by default.
    f : callable
        For "f_divergence", which needs it: as in `f_divergence`.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
    unit : {"nats", "bits"}
        Of quantities that have one.

    Returns
    -------
    DivergenceEstimate
        Its standard error is that of the draws; "hellinger", "bhattacharyya" and "renyi" have a bias of the order
        of 1 / n_samples beside. ``diagnostics``: "pareto_k" of terms that are not bounded.

    Raises
    ------
    InvalidParameterError
        For an unknown name, and options that do not belong to it or are missing.
    ShapeMismatchError
        For batches, and events that differ.

    Warns
    -----
    InfiniteDivergenceWarning
        Where a draw says that the divergence is inf.
    UnreliableEstimateWarning
        Where the largest terms say that the variance is infinite or nearly so.

    References
    ----------
    A. B. Owen (2013), Monte Carlo theory, methods and examples, section 9.11 (mixture of proposals).

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1)
    >>> found = kl.estimate_divergence_monte_carlo(p, q, "jensen_shannon", n_samples=100_000, random_state=0)
    >>> found.value.__round__(2), found.standard_error < 1e-3  # by quadrature 0.1114
    (0.11, True)
    """
    _validation.choice(name, "name", tuple(_NAMES))
    _validation.unit_factor(unit)
    n = _validation.integer(n_samples, "n_samples", minimum=2)
    _check_laws(p, q)
    order = _order(name, alpha)
    _check_options(name, weights=weights, f=f)
    rng = _validation.generator(random_state)
    terms = [_term(name, order, weights, f)]
    if name in ("bhattacharyya", "renyi"):
        terms.append(integrands.affinity(order))  # type: ignore[arg-type]
    halves = [_Half(law, p, q, terms, n, rng, name == "cross_entropy") for law in (p, q)]
    values = [0.5 * sum(half.moments[i].mean for half in halves) for i in range(len(terms))]
    errors = [0.5 * math.hypot(*(half.moments[i].standard_error for half in halves)) for i in range(len(terms))]
    is_infinite = any(half.is_infinite for half in halves)
    value, error = (math.inf, math.nan) if is_infinite else _transformed(name, order, values, errors)
    is_bounded = name in _BOUNDED or (order is not None and order < 1.0)
    k = None if is_bounded else max(half.pareto_k() for half in halves)
    return _concluded(name, order, value, error, unit, n, math.prod(p.event_shape), k)


def _check_laws(p: Any, q: Any) -> None:
    for law, name in ((p, "p"), (q, "q")):
        check_distribution(law, name)
        check_single(law, name)
    check_same_events(p, q)
    check_same_kind(p, q)


def _order(name: str, alpha: Any) -> float | None:
    if "alpha" not in _NAMES[name][3]:
        _check_options(name, alpha=alpha)
        return _ALPHA.get(name)
    if alpha is None:
        raise InvalidParameterError(f'"{name}" needs alpha=, its order.')
    order = _validation.positive(alpha, "alpha")
    if order == 1.0:
        raise InvalidParameterError(f'"{name}" of order alpha=1 is KL: pass "kl", or use estimate_kl_monte_carlo.')
    return order


def _check_options(name: str, **options: Any) -> None:
    for option, value in options.items():
        if value is not None and option not in _NAMES[name][3]:
            owners = " and ".join(f'"{other}"' for other, row in _NAMES.items() if option in row[3])
            raise InvalidParameterError(f'{option} is an option of {owners}, not of "{name}".')
    if name == "f_divergence" and "f" in options and not callable(options["f"]):
        raise InvalidParameterError('"f_divergence" needs f=, a function of an array of ratios p / q.')


def _term(name: str, order: float | None, weights: Any, f: Callable[[np.ndarray], Any] | None) -> Term:
    if order is not None:
        return integrands.power(order)
    if name == "jensen_shannon":
        return integrands.jensen_shannon(_validation.weights(weights))
    return integrands.of_generator(f) if name == "f_divergence" else getattr(integrands, name)  # type: ignore[arg-type]


class _Half:
    """Terms over the density of the mixture, at draws of one of the two distributions."""

    def __init__(self, law: Any, p: Any, q: Any, terms: list[Term], n: int, rng: np.random.Generator, measure: bool):
        self.is_infinite = False
        self._largest: list[np.ndarray] = []
        self._n = n
        moments: list[list[Moments]] = [[] for _ in terms]
        rows = max(2, _BLOCK_NUMBERS // max(1, math.prod(law.event_shape)))
        for part in np.array_split(np.arange(n), -(-n // rows)):
            x = law._sample(rng, (len(part),))
            with np.errstate(all="ignore"):
                logs = np.array([each._log_prob(x) for each in (p, q)] + [np.zeros(len(part))] * measure)
                ratios = logs - (np.logaddexp(logs[0], logs[1]) - math.log(2.0))
                for term, kept in zip(terms, moments, strict=True):
                    kept.append(self._count(term(ratios), term is terms[0]))
        self.moments = [sum(kept[1:], kept[0]) for kept in moments]

    def _count(self, values: np.ndarray, is_first: bool) -> Moments:
        if np.isinf(values).any():
            self.is_infinite = True
            values = np.zeros(len(values))
        if is_first:
            self._largest.append(np.log(np.maximum(np.abs(values), 1e-300)))
        return Moments.of(values)

    def pareto_k(self) -> float:
        return pareto_k(np.concatenate(self._largest), self._n)


def _transformed(name: str, order: float | None, values: list[float], errors: list[float]) -> tuple[float, float]:
    """Value and standard error, from those of an integral (to first order)."""
    value, error = values[0], errors[0]
    if name in ("bhattacharyya", "renyi"):
        factor = -1.0 if name == "bhattacharyya" else 1.0 / (order - 1.0)  # type: ignore[operator]
        if value > _FAR:
            return factor * math.log1p(value) + 0.0, abs(factor) * error / (1.0 + value)
        affinity, error = values[1], errors[1]
        return (factor * math.log(affinity), abs(factor) * error / affinity) if affinity > 0.0 else (math.inf, math.nan)
    if name == "tsallis":
        return value / (order - 1.0) + 0.0, abs(error / (order - 1.0))  # type: ignore[operator]
    if name == "hellinger":
        root = math.sqrt(max(0.0, -value))
        return root, 0.5 * error / root if root > 0.0 else 0.0
    return value, error


def _concluded(
    name: str, order: float | None, value: float, error: float, unit: str, n: int, d: int, k: float | None
) -> DivergenceEstimate:
    quantity, direction, has_unit, _ = _NAMES[name]
    notes = Notes()
    if math.isinf(value):
        notes.add(InfiniteDivergenceWarning, "one distribution has no mass at draws of the other: the value is inf.")
    elif k is not None and k > RELIABLE_BELOW and math.isfinite(k):
        notes.add(
            UnreliableEstimateWarning,
            f"the terms of {quantity} have a Pareto k-hat of {k:.2f}, above {RELIABLE_BELOW}: their variance may be "
            "infinite, and the standard error has no meaning.",
        )
    reasons = tuple(text for category, text in notes.items if category is UnreliableEstimateWarning)
    notes.issue(3)
    return DivergenceEstimate(
        value=value * (_validation.unit_factor(unit) if has_unit else 1.0),
        unit=unit if has_unit else None,
        quantity=f"{quantity} {order:g}" if "alpha" in _NAMES[name][3] else quantity,
        direction=direction,
        method="monte_carlo",
        n_p=n,
        n_q=n,
        d=d,
        support_mismatch=math.isinf(value),
        reliable=False if reasons else None,
        reasons=reasons,
        warnings=notes.texts(),
        diagnostics={} if k is None else {"pareto_k": k},
        uncertainty=Deferred(lambda: UNKNOWN if math.isnan(error) else Uncertainty(error, 2 * n - 2)),
    )
