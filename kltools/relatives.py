"""Closed forms of the relatives of KL, and what all of those share that are functions of an affinity.

The integral of p^a q^(1 - a) gives the divergences of Renyi and Tsallis, that of Bhattacharyya, the distance of
Hellinger and chi squared: one form of its logarithm serves them all. A family of exponential type need not register
one. It offers ``_natural()``, its natural parameters, and ``_from_natural(*natural)``, the parameters that belong to
them by name, outside of their domains where there is no such distribution. A special case of such a family offers
``_widened()``, the same distribution as a member of that family.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _validation, integrands, quadrature
from ._formula import Formula
from ._parameters import DOMAINS, declaration, event_ndim
from ._stirling import product_difference
from .closed_forms import METHODS, evaluate, kl_divergence
from .distribution import Distribution, broadcast_shapes, check_distribution, check_same_events
from .errors import NoClosedFormError
from .integrands import Term

_FORMS: dict[tuple[str, type, type], tuple[Callable[..., np.ndarray], Callable[[Any, Any], Any] | None]] = {}
_product_difference = Formula(product_difference)


def register_relative(
    name: str, family_p: type, family_q: type, *, only_where: Callable[[Any, Any], Any] | None = None
) -> Callable[[Any], Any]:
    """Register a form of "log_affinity" (option alpha) or "total_variation" for two families.

    Or one of "aligned": two distributions that one map makes of p and q, whose integrals are the easier ones.

    It is a function ``f(p, q, **options)``, or a scalar formula of parameters with the suffixes ``_p`` and ``_q`` and
    of the options. ``only_where(p, q)`` tells, over the batch, where it holds; unless everywhere, there is none.
    """

    def register(function: Any) -> Any:
        _FORMS[name, family_p, family_q] = _over_parameters(function), only_where
        return function

    return register


def _over_parameters(function: Any) -> Callable[..., np.ndarray]:
    names = tuple(inspect.signature(function).parameters)
    if names[:2] == ("p", "q"):
        return function
    formula = Formula(function)
    return lambda p, q, **options: evaluate(formula, p, q, "cpu", **options)


def registered(name: str, p: Distribution, q: Distribution) -> Callable[..., np.ndarray] | None:
    """The form of a relative for two distributions, None where there is none."""
    for class_p in type(p).__mro__:
        for class_q in type(q).__mro__:
            if (name, class_p, class_q) in _FORMS:
                form, only_where = _FORMS[name, class_p, class_q]
                return form if only_where is None or np.all(only_where(p, q)) else None
    return None


def check_laws(laws: Sequence[Any], names: Sequence[str]) -> tuple[int, ...]:
    """The broadcast batch shape of distributions of equal events."""
    shape: tuple[int, ...] = ()
    for law, name in zip(laws, names, strict=True):
        check_distribution(law, name)
        check_same_events(laws[0], law, names[0], name)
        shape = broadcast_shapes(shape, law.batch_shape, f"the batches of {', '.join(names)}.")
    return shape


def check_method(method: Any) -> None:
    """Raise for anything but a method, or None for whichever there is."""
    if method is not None:
        _validation.choice(method, "method", METHODS)


def no_form(laws: Sequence[Distribution], call: str) -> NoClosedFormError:
    """What to raise where a relative has no closed form."""
    listing = ", ".join(law._name for law in laws)
    if quadrature.applies(*laws):
        return NoClosedFormError(f'{call} has no closed form for {listing}; pass method="quadrature", or None.')
    name = call.partition("(")[0]
    way_out = f"estimate it from draws: {monte_carlo(name)}" if len(laws) == 2 else "estimate it from draws"
    return NoClosedFormError(f"{call} has neither a closed form nor one dimension for {listing}; {way_out}.")


def without_form(laws: Sequence[Distribution], name: str) -> Callable[[], Any]:
    """For `by_form_or_quadrature`, the form of a relative that has none."""

    def form() -> Any:
        raise no_form(laws, f"{name}(p, q)")

    return form


def monte_carlo(name: str) -> str:
    """The call that estimates a relative from draws."""
    return f'estimate_divergence_monte_carlo(p, q, "{name}", n_samples=100_000, random_state=0)'


def by_form_or_quadrature(
    form: Callable[[], np.ndarray], term: Term, laws: Sequence[Distribution], method: str | None, name: str
) -> np.ndarray:
    """What a form gives; where it raises `NoClosedFormError` and no method was asked for, the integral of a term."""
    if method != "quadrature":
        try:
            return form()
        except NoClosedFormError:
            if all(law._table() is not None for law in laws):  # a finite sum is a closed form
                return _integral(term, laws, name)
            if method is not None or not quadrature.applies(*laws):
                raise
    return _integral(term, laws, name)


def _integral(term: Term, laws: Sequence[Distribution], name: str) -> np.ndarray:
    aligned: Callable[..., Any] | None = registered("aligned", *laws) if len(laws) == 2 else None
    return quadrature.integral(term, laws if aligned is None else aligned(*laws), monte_carlo(name))


# ---------------------------------------------------------------- affinities


def log_affinity(p: Distribution, q: Distribution, alpha: float, method: str | None, name: str) -> np.ndarray:
    """Logarithm of the integral of p^a q^(1 - a); inf where that diverges."""
    if method != "quadrature":
        form = _affinity_form(p, q)
        if form is not None:
            with np.errstate(all="ignore"):
                return np.asarray(form(p, q, alpha=alpha))
    less_one = _affinity_less_one(p, q, alpha, method, name)
    with np.errstate(all="ignore"):
        logarithm = np.asarray(np.log1p(less_one))
        small = ~(less_one > -0.5)
        if small.any():  # 1 has swallowed the digits
            whole = _integral(integrands.affinity(alpha), (p, q), name)
            logarithm = np.where(small, np.log(whole), logarithm)
        table_p, table_q = p._table(), q._table()
        if np.isinf(logarithm).any() and table_p is not None and table_q is not None:
            logarithm = np.where(np.isinf(logarithm), log_sum_of_powers(table_p, table_q, alpha), logarithm)
    return logarithm


def log_sum_of_powers(log_p: np.ndarray, log_q: np.ndarray, alpha: float) -> np.ndarray:
    """Logarithm of the sum of p^a q^(1 - a) over the last axis, also where that is beyond float64."""
    logs = integrands.log_power(alpha, log_p, log_q)
    top = np.clip(logs.max(axis=-1), -1e308, 1e308)
    return np.asarray(top + np.log(np.exp(logs - top[..., None]).sum(axis=-1)))


def affinity_less_one(p: Distribution, q: Distribution, alpha: float, method: str | None, name: str) -> np.ndarray:
    """The integral of p^a q^(1 - a), minus 1."""
    if method != "quadrature":
        form = _affinity_form(p, q)
        if form is not None:
            with np.errstate(all="ignore"):
                return np.expm1(form(p, q, alpha=alpha))
    return _affinity_less_one(p, q, alpha, method, name)


def _affinity_less_one(p: Distribution, q: Distribution, alpha: float, method: str | None, name: str) -> np.ndarray:
    return by_form_or_quadrature(without_form((p, q), name), integrands.power(alpha), (p, q), method, name)


def _affinity_form(p: Distribution, q: Distribution) -> Callable[..., np.ndarray] | None:
    form = registered("log_affinity", p, q)
    if form is not None:
        return form
    p, q = _widened(p), _widened(q)
    return exponential_log_affinity if type(p) is type(q) and hasattr(p, "_natural") else None


def has_affinity(p: Distribution, q: Distribution) -> bool:
    """Whether the affinity of two distributions has a closed form."""
    return _affinity_form(p, q) is not None


def _widened(law: Any) -> Any:
    return law._widened() if hasattr(law, "_widened") else law


def exponential_log_affinity(p: Any, q: Any, *, alpha: float) -> np.ndarray:
    """From divergences within an exponential family, by the distribution m at the mixed natural parameter.

    The logarithm is (a - 1) KL(m || q) - a KL(m || p), a sum of one sign for 0 < a < 1, and where a > 1 also
    KL(p || m) + (a - 1) KL(p || q). The first feels the rounding of m in second order only, the second never cancels.
    Where p and q are so near that this order is felt, a family may have a form "near_log_affinity", nan elsewhere.
    """
    p, q = _widened(p), _widened(q)
    form = registered("near_log_affinity", p, q)
    near = np.array(math.nan) if form is None else np.asarray(form(p, q, alpha=alpha))
    if not np.isnan(near).any():
        return near
    naturals = [(np.asarray(a), np.asarray(b)) for a, b in zip(p._natural(), q._natural(), strict=True)]
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    mixed = type(p)._from_natural(*(_between(a, b, alpha) for a, b in naturals))
    exists, same = np.ones(shape, bool), np.ones(shape, bool)
    for name in p.parameters:
        exists = exists & _lies_in_domain(type(p), name, mixed[name])
        same = same & _over_batch(getattr(p, name) == getattr(q, name), p, name)
    m = type(p)(**{name: np.where(_back(exists, p, name), mixed[name], getattr(p, name)) for name in p.parameters})
    from_p = kl_divergence(m, p)
    value = (alpha - 1.0) * kl_divergence(m, q) - alpha * from_p
    if alpha > 1.0:
        to_m = kl_divergence(p, m)
        is_near = (0.5 * from_p <= to_m) & (to_m <= 2.0 * from_p)
        value = np.where(is_near, value, to_m + (alpha - 1.0) * kl_divergence(p, q))
    value = np.where(exists, value, math.inf)
    return np.where(same, 0.0, np.where(np.isnan(near), value, near))


def _between(a: np.ndarray, b: np.ndarray, alpha: float) -> np.ndarray:
    """alpha a + (1 - alpha) b, rounded once (where alpha - 1 is), exactly b where both are equal."""
    finite = np.isfinite(a) & np.isfinite(b)
    mixed = np.where(finite, _product_difference(alpha, a, alpha - 1.0, b), alpha * a + (1.0 - alpha) * b)
    mixed = np.where(finite & ~np.isfinite(mixed), b + alpha * (a - b), mixed)  # only the products overflow
    return np.where(a == b, b, mixed)


def _lies_in_domain(cls: type, name: str, values: np.ndarray) -> np.ndarray:
    """Over the batch, whether the events of a parameter are what it may be."""
    domain, n_axes = declaration(cls, name)
    holds, split = DOMAINS[domain].holds, values.ndim - n_axes
    if holds(values):
        return np.ones(values.shape[:split], bool)
    events = values.reshape(-1, *values.shape[split:])
    return np.array([holds(event) for event in events], bool).reshape(values.shape[:split])


def _over_batch(values: np.ndarray, p: Distribution, name: str) -> np.ndarray:
    """Whether something is true of a whole event."""
    return np.all(values, axis=tuple(range(-event_ndim(type(p), name), 0)))


def _back(values: np.ndarray, p: Distribution, name: str) -> np.ndarray:
    return values.reshape(values.shape + (1,) * event_ndim(type(p), name))
