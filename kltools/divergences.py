"""Relatives of KL that are no functions of an affinity: entropies, symmetric divergences, f-divergences."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _validation, integrands, quadrature
from .closed_forms import kl_divergence
from .distribution import Distribution, check_distribution, unwrap
from .errors import InvalidTypeError, NoClosedFormError
from .relatives import (
    by_form_or_quadrature,
    check_laws,
    check_method,
    log_affinity,
    monte_carlo,
    no_form,
    registered,
    without_form,
)

_NO_OVERLAP = -50.0  # logarithm of a share that is nothing


def entropy(p: Distribution, *, method: str | None = None, unit: str = "nats") -> Any:
    r"""Entropy of a distribution, or differential entropy of a continuous one.

    .. math:: H(p) = -\int p(x) \log p(x) \, dx

    Parameters
    ----------
    p : Distribution
    method : {None, "closed_form", "quadrature"}
        None takes the closed form where there is one, else quadrature in one dimension (or a sum over counts).
    unit : {"nats", "bits"}

    Returns
    -------
    float, or ndarray of the batch shape

    Raises
    ------
    NoClosedFormError
        Where neither applies.

    References
    ----------
    T. M. Cover and J. A. Thomas (2006), Elements of Information Theory, eq. 2.1 and 8.1.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.entropy(kl.Categorical(probs=[0.5, 0.25, 0.25]), unit="bits").__round__(12)
    1.5
    """
    check_distribution(p, "p")
    factor = _validation.unit_factor(unit)
    check_method(method)
    return unwrap(factor * np.broadcast_to(_entropy(p, method), p.batch_shape))


def _entropy(p: Distribution, method: str | None) -> Any:
    if method != "quadrature":
        try:
            return p.entropy()
        except NotImplementedError:
            if method is not None or not quadrature.applies(p):
                raise
    return quadrature.integral(integrands.cross_entropy, (p,), "-p.log_prob(p.sample(n)).mean()", with_measure=True)


def cross_entropy(p: Distribution, q: Distribution, *, method: str | None = None, unit: str = "nats") -> Any:
    r"""Cross-entropy of two distributions: the entropy of p plus KL(p || q).

    .. math:: H(p, q) = -\int p(x) \log q(x) \, dx

    Parameters
    ----------
    p, q : Distribution
        Equal ``event_shape``; their batches broadcast.
    method : {None, "closed_form", "quadrature"}
        None takes the closed form where there is one, else quadrature in one dimension (or a sum over counts).
    unit : {"nats", "bits"}

    Returns
    -------
    float, or ndarray of the broadcast batch shape

    Raises
    ------
    NoClosedFormError
        Where neither applies; the message names `estimate_divergence_monte_carlo`.

    References
    ----------
    K. P. Murphy (2012), Machine Learning, eq. 2.112.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Categorical(probs=[0.5, 0.5]), kl.Categorical(probs=[0.25, 0.75])
    >>> kl.cross_entropy(p, q, unit="bits").__round__(4)
    1.2075
    """
    shape, factor = check_laws((p, q), ("p", "q")), _validation.unit_factor(unit)
    check_method(method)
    value = None
    if method != "quadrature":
        try:
            value = kl_divergence(p, q) + p.entropy()
        except NotImplementedError:
            if method is not None or not quadrature.applies(p, q):
                raise no_form((p, q), "cross_entropy(p, q)") from None
    if value is None:
        call = monte_carlo("cross_entropy")
        value = quadrature.integral(integrands.cross_entropy, (p, q), call, with_measure=True)
    return unwrap(factor * np.broadcast_to(value, shape))


def jeffreys(p: Distribution, q: Distribution, *, method: str | None = None, unit: str = "nats") -> Any:
    r"""Jeffreys divergence of two distributions.

    .. math:: J(p, q) = \mathrm{KL}(p \,\|\, q) + \mathrm{KL}(q \,\|\, p)

    Parameters
    ----------
    p, q : Distribution
        Equal ``event_shape``; their batches broadcast.
    method : {None, "closed_form", "quadrature"}
        None takes the closed forms where there are both, else quadrature in one dimension (or a sum over counts).
    unit : {"nats", "bits"}

    Returns
    -------
    float, or ndarray of the broadcast batch shape

    Raises
    ------
    NoClosedFormError
        Where neither applies; the message names `estimate_divergence_monte_carlo`.

    References
    ----------
    H. Jeffreys (1946), An invariant form for the prior probability in estimation problems, eq. 1.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.jeffreys(kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1))
    1.0
    """
    shape, factor = check_laws((p, q), ("p", "q")), _validation.unit_factor(unit)
    check_method(method)

    def form() -> Any:
        try:
            return kl_divergence(p, q) + kl_divergence(q, p)
        except NoClosedFormError:
            raise no_form((p, q), "jeffreys(p, q)") from None

    value = by_form_or_quadrature(form, integrands.jeffreys, (p, q), method, "jeffreys")
    return unwrap(factor * np.broadcast_to(value, shape))


def jensen_shannon(
    p: Distribution | Sequence[Distribution],
    q: Distribution | None = None,
    *,
    weights: Any = None,
    method: str | None = None,
    unit: str = "nats",
) -> Any:
    r"""Jensen-Shannon divergence of two or more distributions (not its square root).

    .. math:: \sum_i w_i \, \mathrm{KL}(p_i \,\|\, m), \qquad m = \sum_i w_i \, p_i

    It is at most the entropy of the weights, log 2 for two distributions, and just that where nothing overlaps. Only
    distributions over finitely many categories have a closed form.

    Parameters
    ----------
    p : Distribution, or list of them
    q : Distribution, optional
        Left out where p is a list. Events are equal, batches broadcast.
    weights : array-like, optional
        One for each distribution, > 0, with sum 1; equal ones by default.
    method : {None, "closed_form", "quadrature"}
        None takes the closed form where there is one, else quadrature in one dimension (or a sum over counts).
    unit : {"nats", "bits"}

    Returns
    -------
    float, or ndarray of the broadcast batch shape

    Raises
    ------
    NoClosedFormError
        Where neither applies; the message names `estimate_divergence_monte_carlo`.

    References
    ----------
    J. Lin (1991), Divergence measures based on the Shannon entropy, eq. 4.1 and 5.1.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.jensen_shannon(kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1)).__round__(4)
    0.1114
    >>> kl.jensen_shannon([kl.Categorical(probs=row) for row in ([1, 0, 0], [0, 1, 0], [0, 0, 1])]).__round__(4)
    1.0986
    """
    if isinstance(p, list | tuple) and q is None:
        laws, names = tuple(p), [f"p[{i}]" for i in range(len(p))]
        if len(laws) < 2:
            raise InvalidTypeError(f"jensen_shannon compares two or more distributions, got a list of {len(laws)}.")
    else:
        laws, names = (p, q), ["p", "q"]
    shape, factor = check_laws(laws, names), _validation.unit_factor(unit)
    check_method(method)
    shares = np.asarray(_validation.weights(weights, len(laws)))
    most, term = -float((shares * np.log(shares)).sum()), integrands.jensen_shannon(tuple(shares))
    value = _unless_apart(
        lambda laws: by_form_or_quadrature(without_form(laws, "jensen_shannon"), term, laws, method, "jensen_shannon"),
        laws,
        method,
        most,
    )
    return unwrap(factor * np.broadcast_to(value, shape))


def _unless_apart(
    value: Callable[[Sequence[Distribution]], Any], laws: Sequence[Distribution], method: str | None, most: float
) -> Any:
    """What a bounded divergence is, its largest value where an affinity says that nothing overlaps.

    Of Jensen-Shannon and of total variation at most log(2) times the sum of affinities of pairs is missing.
    """
    is_apart: Any = np.bool_(method is None and all(law._table() is None for law in laws))
    for first, second in itertools.combinations(laws, 2):
        try:
            overlap = log_affinity(first, second, 0.5, "closed_form", "") if np.any(is_apart) else 0.0
        except NoClosedFormError:
            overlap = 0.0
        is_apart = is_apart & np.less(overlap, math.log(most) + _NO_OVERLAP)
    if not np.any(is_apart):
        return value(laws)
    if np.all(is_apart):
        return most
    return quadrature.loop(lambda items: float(_unless_apart(value, items, method, most)), laws)


def total_variation(p: Distribution, q: Distribution, *, method: str | None = None) -> Any:
    r"""Total variation distance of two distributions, between 0 and 1.

    .. math:: \mathrm{TV}(p, q) = \frac{1}{2} \int |p(x) - q(x)| \, dx

    There are closed forms for univariate Gaussians and for distributions over finitely many categories.

    Parameters
    ----------
    p, q : Distribution
        Equal ``event_shape``; their batches broadcast.
    method : {None, "closed_form", "quadrature"}
        None takes the closed form where there is one, else quadrature in one dimension (or a sum over counts).

    Returns
    -------
    float, or ndarray of the broadcast batch shape

    Raises
    ------
    NoClosedFormError
        Where neither applies; the message names `estimate_divergence_monte_carlo`.

    References
    ----------
    A. L. Gibbs and F. E. Su (2002), On choosing and bounding probability metrics, p. 424.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.total_variation(kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1)).__round__(4)
    0.3829
    """
    shape = check_laws((p, q), ("p", "q"))
    check_method(method)

    def of(laws: Sequence[Distribution]) -> Any:
        return by_form_or_quadrature(
            without_form(laws, "total_variation"), integrands.total_variation, laws, method, "total_variation"
        )

    found = registered("total_variation", p, q) if method != "quadrature" else None
    value = found(p, q) if found is not None else _unless_apart(of, (p, q), method, 1.0)
    return unwrap(np.broadcast_to(np.minimum(value, 1.0), shape))


def f_divergence(p: Distribution, q: Distribution, f: Callable[[np.ndarray], Any], *, method: str | None = None) -> Any:
    r"""The f-divergence of two distributions for any convex function f with f(1) = 0.

    .. math:: D_f(p \,\|\, q) = \int q(x) \, f\!\left(\frac{p(x)}{q(x)}\right) dx

    It has no unit. Where q is 0 it is the slope of f at infinity times p, inf where f grows faster than any line.
    Where p and q nearly agree, f should vanish at 1 to second order, as ``t * log(t) - t + 1`` does, or digits cancel.

    Parameters
    ----------
    p, q : Distribution
        Equal ``event_shape``; their batches broadcast.
    f : callable
        Takes an array of ratios p / q >= 0, returns an array of the same shape.
    method : {None, "closed_form", "quadrature"}
        Only distributions over finitely many categories have a closed form, which is a sum; None takes this one,
        else quadrature in one dimension (or a sum over counts).

    Returns
    -------
    float, or ndarray of the broadcast batch shape

    Raises
    ------
    NoClosedFormError
        Where neither applies; the message names `estimate_divergence_monte_carlo`.
    InvalidTypeError
        Where f is no function of an array.
    InvalidParameterError
        Where f(1) is not 0, and where f has no values at ratios > 0, or not one for each.

    References
    ----------
    I. Csiszar (1967), Information-type measures of difference of probability distributions, eq. 1.1.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1)
    >>> kl.f_divergence(p, q, lambda t: abs(t - 1) / 2).__round__(4)  # total variation
    0.3829
    """
    shape = check_laws((p, q), ("p", "q"))
    check_method(method)
    if not callable(f):
        raise InvalidTypeError(f"f must be a function of an array of ratios p / q, got {f!r}.")
    value = by_form_or_quadrature(
        without_form((p, q), "f_divergence"), integrands.of_generator(f), (p, q), method, "f_divergence"
    )
    return unwrap(np.broadcast_to(value, shape))
