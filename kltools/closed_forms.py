"""The table of closed forms, and `kl_divergence`: a closed form is one function decorated with `register_kl`."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _device, _validation, integrands, quadrature
from ._formula import Formula
from ._jit import effective_n_jobs, is_ours
from ._parameters import event_ndim
from .distribution import (
    FAMILIES,
    Distribution,
    broadcast_shapes,
    check_distribution,
    check_same_events,
    unwrap,
)
from .errors import InvalidParameterError, InvalidTypeError, NoClosedFormError, ShapeMismatchError

METHODS = ("closed_form", "quadrature")
_MONTE_CARLO = "estimate_kl_monte_carlo(p, q, n_samples=100_000, random_state=0)"
_CLOSED_FORMS: dict[tuple[type, type | str], Formula | Callable] = {}
_CONDITIONS: dict[tuple[type, type | str], Callable] = {}


def register_kl(
    family_p: type, family_q: type | str, *, only_where: Callable[[Any, Any], Any] | None = None
) -> Callable[[Any], Any]:
    """Register a closed form of KL(P || Q), in nats, for a pair of families.

    Parameters
    ----------
    family_p, family_q : type
        Subclasses of `Distribution`; a subclass inherits the forms of its family. Of q the name will do, if
        it is a family of the library (another name raises `InvalidParameterError`).
    only_where : callable, optional
        ``only_where(p, q)`` tells, over the batch, where the formula holds; elsewhere `NoClosedFormError` is raised,
        with the docstring of the function as the condition.

    Returns
    -------
    callable
        A decorator for one of two kinds of function:

        - a scalar formula whose arguments are parameters of P and of Q with the suffixes ``_p`` and
          ``_q``; it becomes a `Formula`, is broadcast over batches and summed over the event;
        - a function ``f(p, q)`` of the two distributions that returns an array of the batch shape, or
          ``f(p, q, device)``, which hands the device on to `kl_divergence` of its parts, or
          ``f(p, q, n_jobs)``, which uses so many threads.

    Examples
    --------
    >>> import math
    >>> from kltools import Distribution, family, kl_divergence, param, register_kl
    >>> @family
    ... class Halves(Distribution):
    ...     rate: float = param("positive")
    >>> @register_kl(Halves, Halves)
    ... def kl_halves_halves(rate_p, rate_q):
    ...     return math.log(rate_p / rate_q) + rate_q / rate_p - 1.0
    >>> kl_divergence(Halves(rate=1.0), Halves(rate=2.0)).__round__(4)
    0.3069
    """

    for cls in (family_p, family_q):
        if not (
            (isinstance(cls, type) and issubclass(cls, Distribution)) or (cls is family_q and isinstance(cls, str))
        ):
            raise InvalidTypeError(f"register_kl takes subclasses of Distribution, got {cls!r}.")

    def register(function: Any) -> Any:
        if not callable(function):
            raise InvalidTypeError(f"register_kl decorates a function, got {function!r}.")
        name_q = family_q if isinstance(family_q, str) else family_q.__name__
        if isinstance(family_q, str) and family_q not in FAMILIES and not is_ours(function):  # ours may come later
            raise InvalidParameterError(f"no family of the library is named {family_q!r}; pass the class itself.")
        known = _CLOSED_FORMS.get((family_p, family_q))
        if known is not None and _identity(known) != _identity(function):
            raise InvalidParameterError(
                f"KL({family_p.__name__} || {name_q}) is registered already, by {_identity(known)}; "
                "derive a family of your own for another formula."
            )
        names = function.parameters if isinstance(function, Formula) else tuple(inspect.signature(function).parameters)
        entry = function
        if names not in (("p", "q"), ("p", "q", "device"), ("p", "q", "n_jobs")):
            _check_parameter_names(names, family_p, FAMILIES.get(family_q, family_q))  # type: ignore[arg-type]
            entry = function if isinstance(function, Formula) else Formula(function)
        _CLOSED_FORMS[family_p, family_q] = entry
        if only_where is not None:
            _CONDITIONS[family_p, family_q] = only_where
        return entry

    return register


def _identity(function: Any) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', function)}"


def _check_parameter_names(names: tuple[str, ...], family_p: type, family_q: type | str) -> None:
    sides: list[tuple[str, Any]] = [("p", family_p), ("q", family_q)]
    families = [(side, cls) for side, cls in sides if not isinstance(cls, str)]
    valid = [f"{name}_{side}" for side, cls in families for name in (*_fields(cls), *cls._derived)]
    is_known = isinstance(family_q, type)
    unknown = [name for name in names if name not in valid and (is_known or not name.endswith("_q"))]
    if unknown or not names:
        raise InvalidParameterError(
            f"a closed form takes (p, q) or parameters out of {', '.join(valid)}; got {', '.join(unknown) or 'none'}."
        )


def _fields(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def registered_pairs() -> tuple[tuple[type, type], ...]:
    """All pairs of families with a closed form."""
    return tuple((p, FAMILIES[q] if isinstance(q, str) else q) for p, q in _CLOSED_FORMS)


def _closed_form(p: Distribution, q: Distribution, is_outside: Any) -> Formula | Callable:
    """The form for the families of p and q, where it holds wherever q has the values of p."""
    for class_p in type(p).__mro__:
        for class_q in type(q).__mro__:
            name_q = class_q.__name__ if FAMILIES.get(class_q.__name__) is class_q else ""
            for key in ((class_p, class_q), (class_p, name_q)):
                if key in _CLOSED_FORMS:
                    _check_condition(key, p, q, is_outside)
                    return _CLOSED_FORMS[key]
    raise NoClosedFormError(f"no closed form is registered for KL({p._name} || {q._name}); {way_out(p, q)}.")


def way_out(p: Distribution, q: Distribution) -> str:
    """What to do where there is no closed form."""
    if quadrature.applies(p, q):
        return 'integrate it numerically: kl_divergence(p, q, method="quadrature")'
    return f"estimate it from draws of p: {_MONTE_CARLO}"


def _check_condition(key: tuple[type, type | str], p: Distribution, q: Distribution, is_outside: Any) -> None:
    condition = _CONDITIONS.get(key)
    if condition is not None and not np.all(condition(p, q) | is_outside):
        raise NoClosedFormError(
            f"KL({p._name} || {q._name}) has a closed form only where {condition.__doc__} For others {way_out(p, q)}."
        )


def kl_divergence(
    p: Distribution,
    q: Distribution,
    *,
    method: str = "closed_form",
    unit: str = "nats",
    n_jobs: int | None = None,
    device: str | None = None,
) -> Any:
    r"""Kullback-Leibler divergence KL(p || q) of two distributions, by its closed form or by quadrature.

    .. math:: \mathrm{KL}(p \,\|\, q) = \int p(x) \log \frac{p(x)}{q(x)} \, dx

    It is never negative, keeps its relative accuracy where p and q nearly agree, and is inf where p has
    mass that q has not: always where one has a density and the other counts.

    Parameters
    ----------
    p, q : Distribution
        Equal ``event_shape``; their batches broadcast.
    method : {"closed_form", "quadrature"}
        "quadrature" integrates over one dimension, or sums over counts, from the log-densities alone: to a relative
        error of 1e-9, but for the rounding of these, which is felt where the divergence is below 1e-12. A divergence
        that is infinite because of tails comes out as inf; one whose tail goes on beyond float64 raises.
    unit : {"nats", "bits"}
    n_jobs : int, optional
        Threads for closed forms of large batches; None is 1 unless a joblib context says otherwise, -1 all cores.
        The result does not depend on it.
    device : {None, "cpu", "cuda"}
        Where closed forms are computed; None is the CPU, where parameters live. Quadrature has no GPU, and neither
        have `LowRankMultivariateNormal`, `MatrixNormal`, `Wishart` and `InverseWishart`.

    Returns
    -------
    float, or ndarray of the broadcast batch shape

    Raises
    ------
    NoClosedFormError
        Where no formula is registered for the two families, or quadrature does not apply or misses its accuracy.
    ShapeMismatchError
        Where events differ or batches do not broadcast.
    InvalidTypeError
        For arrays, and for distributions of other libraries.
    DeviceUnavailableError
        Where ``device="cuda"`` finds no GPU, or no implementation for it.

    References
    ----------
    S. Kullback and R. A. Leibler (1951), On information and sufficiency, eq. 2.4.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1))
    0.5
    >>> p = kl.MultivariateNormalDiag(mean=[[0, 0], [1, 1]], var=[1, 1])
    >>> kl.kl_divergence(p, kl.MultivariateNormalDiag(mean=[0, 0], var=[1, 1]))
    array([0., 1.])
    >>> kl.kl_divergence(kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1), method="quadrature").__round__(12)
    0.5
    """
    check_distribution(p, "p")
    check_distribution(q, "q")
    factor = _validation.unit_factor(unit)
    _validation.choice(method, "method", METHODS)
    threads = effective_n_jobs(_validation.check_n_jobs(n_jobs))
    device = _device.resolve(device)
    by_quadrature = _device.twin("quadrature") if device == "cuda" and method == "quadrature" else quadrature.integral
    check_same_events(p, q)
    shape = broadcast_shapes(p.batch_shape, q.batch_shape, "the batches of p and q; for all pairs use pairwise_kl.")
    is_outside = _reaches_outside(p, q)
    if np.all(is_outside):
        return unwrap(np.full(shape, math.inf))
    if method == "quadrature":
        value = by_quadrature(integrands.kl, (p, q), _MONTE_CARLO)
        return unwrap(factor * np.where(is_outside, math.inf, value))
    value = _apply(_closed_form(p, q, is_outside), p, q, device, threads)
    if np.any(is_outside):
        value = np.where(is_outside, math.inf, value)
    return unwrap(factor * np.broadcast_to(value, shape))


def _apply(form: Formula | Callable, p: Distribution, q: Distribution, device: str, n_jobs: int) -> Any:
    if isinstance(form, Formula):
        return evaluate(form, p, q, device, n_jobs)
    names = inspect.signature(form).parameters
    if "device" in names:
        return form(p, q, device)
    if "n_jobs" in names and device == "cpu":
        return form(p, q, n_jobs)
    return form(p, q) if device == "cpu" else _device.twin(form.__name__, f"KL({p._name} || {q._name})")(p, q)


def _reaches_outside(p: Distribution, q: Distribution) -> Any:
    """Where p has values that q cannot have, as far as their kinds and intervals tell; no density has counts."""
    if p.is_continuous != q.is_continuous:
        return np.True_
    inner, outer = p._support(), q._support()
    if inner is None or outer is None:
        return np.False_
    return np.less(inner[0], outer[0]) | np.greater(inner[1], outer[1])


def evaluate(
    formula: Formula, p: Distribution, q: Distribution, device: str, n_jobs: int = 1, **options: float
) -> np.ndarray:
    """A scalar formula over the parameters of p and q, and of options by their names, summed over the event."""
    names = [(q if name.endswith("_q") else p, name[:-2]) for name in formula.parameters if name not in options]
    own_axes = [
        source._derived[name] if name in source._derived else event_ndim(type(source), name) for source, name in names
    ]
    n_axes = max(own_axes)
    arrays = [
        getattr(source, name)[(..., *[None] * (n_axes - own))]  # one number for a whole event
        for (source, name), own in zip(names, own_axes, strict=True)
    ]
    return formula.summed(*arrays, *options.values(), n_axes=n_axes, device=device, n_jobs=n_jobs)


def pairwise_kl(
    ps: Distribution,
    qs: Distribution | None = None,
    *,
    unit: str = "nats",
    n_jobs: int | None = None,
    device: str | None = None,
) -> np.ndarray:
    """All divergences KL(ps[a] || qs[b]) of two batches.

    Parameters
    ----------
    ps, qs : Distribution
        One-dimensional batches of A and B distributions; qs defaults to ps.
    unit : {"nats", "bits"}
    n_jobs : int, optional
        Threads, as for `kl_divergence`.
    device : {None, "cpu", "cuda"}

    Returns
    -------
    ndarray of shape (A, B)

    Examples
    --------
    >>> import kltools as kl
    >>> kl.pairwise_kl(kl.Normal(mean=[0.0, 1.0], var=1.0))
    array([[0. , 0.5],
           [0.5, 0. ]])
    """
    qs = ps if qs is None else qs
    for name, batch in (("ps", ps), ("qs", qs)):
        check_distribution(batch, name)
        if len(batch.batch_shape) != 1:
            raise ShapeMismatchError(f"{name} must be a one-dimensional batch, it has batch shape {batch.batch_shape}.")
    return kl_divergence(ps[:, None], qs[None, :], unit=unit, n_jobs=n_jobs, device=device)
