"""Relatives of KL that are functions of the affinity of two distributions, the integral of p^a q^(1 - a)."""

from typing import Any

import numpy as np

from . import _validation
from .closed_forms import kl_divergence
from .distribution import Distribution, unwrap
from .errors import NoClosedFormError
from .relatives import affinity_less_one, check_laws, check_method, log_affinity, no_form


def _checked(p: Any, q: Any, method: Any, unit: str = "nats") -> tuple[tuple[int, ...], float]:
    shape, factor = check_laws((p, q), ("p", "q")), _validation.unit_factor(unit)
    check_method(method)
    return shape, factor


def _result(value: Any, shape: tuple[int, ...]) -> Any:
    return unwrap(np.broadcast_to(value, shape))


def _kl(p: Distribution, q: Distribution, method: str | None, name: str) -> Any:
    """KL(p || q), which divergences of order 1 are."""
    try:
        return kl_divergence(p, q, method=method or "closed_form")
    except NoClosedFormError:
        if method is not None:
            raise
        try:
            return kl_divergence(p, q, method="quadrature")
        except NoClosedFormError:
            raise no_form((p, q), f"{name}(p, q)") from None


def renyi(p: Distribution, q: Distribution, *, alpha: float, method: str | None = None, unit: str = "nats") -> Any:
    r"""Renyi divergence of order alpha of two distributions.

    .. math:: D_\alpha(p \,\|\, q) = \frac{1}{\alpha - 1} \log \int p(x)^\alpha q(x)^{1 - \alpha} \, dx

    It is never negative, 0 where p = q, KL(p || q) for alpha = 1, and inf where the integral diverges: for alpha > 1
    already where the tails of q are too light.

    Parameters
    ----------
    p, q : Distribution
        Equal ``event_shape``; their batches broadcast.
    alpha : float, > 0
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
    T. van Erven and P. Harremoes (2014), Renyi divergence and Kullback-Leibler divergence, eq. 1.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.renyi(kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1), alpha=2).__round__(12)
    1.0
    """
    shape, factor = _checked(p, q, method, unit)
    order = _validation.positive(alpha, "alpha")
    if order == 1.0:
        return _result(factor * _kl(p, q, method, "renyi"), shape)
    value = log_affinity(p, q, order, method, "renyi") / (order - 1.0)
    return _result(factor * value + 0.0, shape)


def tsallis(p: Distribution, q: Distribution, *, alpha: float, method: str | None = None) -> Any:
    r"""Tsallis divergence of order alpha of two distributions.

    .. math:: \frac{1}{\alpha - 1} \left( \int p(x)^\alpha q(x)^{1 - \alpha} \, dx - 1 \right)

    It has no unit, is never negative, 0 where p = q, and KL(p || q) in nats for alpha = 1.

    Parameters
    ----------
    p, q : Distribution
        Equal ``event_shape``; their batches broadcast.
    alpha : float, > 0
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
    C. Tsallis (1998), Generalized entropy-based criterion for consistent testing, eq. 5.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Categorical(probs=[0.5, 0.5]), kl.Categorical(probs=[0.25, 0.75])
    >>> kl.tsallis(p, q, alpha=2).__round__(12)
    0.333333333333
    """
    shape, _ = _checked(p, q, method)
    order = _validation.positive(alpha, "alpha")
    if order == 1.0:
        return _result(_kl(p, q, method, "tsallis"), shape)
    return _result(affinity_less_one(p, q, order, method, "tsallis") / (order - 1.0) + 0.0, shape)


def chi_squared(p: Distribution, q: Distribution, *, method: str | None = None) -> Any:
    r"""Pearson's chi-squared divergence of two distributions; for Neyman's swap the arguments.

    .. math:: \chi^2(p \,\|\, q) = \int \frac{(p(x) - q(x))^2}{q(x)} \, dx

    It has no unit, is 0 where p = q, and inf where the tails of q are too light: of two Gaussians where the
    variance of p is at least twice that of q.

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
    F. Nielsen and R. Nock (2014), On the chi square and higher-order chi distances, eq. 2.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.chi_squared(kl.Normal(mean=0, var=2), kl.Normal(mean=0, var=1))
    inf
    >>> kl.chi_squared(kl.Normal(mean=1, var=1), kl.Normal(mean=0, var=1)).__round__(4)  # e - 1
    1.7183
    """
    shape, _ = _checked(p, q, method)
    return _result(affinity_less_one(p, q, 2.0, method, "chi_squared"), shape)


def bhattacharyya(p: Distribution, q: Distribution, *, method: str | None = None, unit: str = "nats") -> Any:
    r"""Bhattacharyya distance of two distributions.

    .. math:: -\log \int \sqrt{p(x) \, q(x)} \, dx

    It is symmetric, 0 where p = q, and inf where p and q have no place in common.

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
    T. Kailath (1967), The divergence and Bhattacharyya distance measures in signal selection, eq. 15.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.bhattacharyya(kl.Normal(mean=0, var=1), kl.Normal(mean=2, var=1))
    0.5
    """
    shape, factor = _checked(p, q, method, unit)
    return _result(0.0 - factor * log_affinity(p, q, 0.5, method, "bhattacharyya"), shape)


def hellinger(p: Distribution, q: Distribution, *, method: str | None = None) -> Any:
    r"""Hellinger distance of two distributions, between 0 and 1.

    .. math:: H(p, q) = \sqrt{1 - \int \sqrt{p(x) \, q(x)} \, dx}

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
    A. L. Gibbs and F. E. Su (2002), On choosing and bounding probability metrics, p. 421, divided by sqrt(2).

    Examples
    --------
    >>> import kltools as kl
    >>> kl.hellinger(kl.Normal(mean=0, var=1), kl.Normal(mean=2, var=1)).__round__(4)
    0.6273
    """
    shape, _ = _checked(p, q, method)
    return _result(np.sqrt(np.minimum(1.0, 0.0 - affinity_less_one(p, q, 0.5, method, "hellinger"))), shape)
