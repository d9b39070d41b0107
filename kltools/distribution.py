"""Distributions, the table of closed forms, and `kl_divergence`.

A family is a frozen dataclass whose fields are declared with `param`, which states the domain once:
validation, documentation and tests read it. A closed form is one function decorated with `register_kl`.
"""

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np

from . import _arrays, _device, _validation
from ._formula import Formula
from ._parameters import check_axes, check_domain, declaration, event_ndim
from .errors import InvalidParameterError, InvalidTypeError, NoClosedFormError, ShapeMismatchError

FAMILIES: dict[str, type["Distribution"]] = {}
_CLOSED_FORMS: dict[tuple[type, type], Formula | Callable] = {}

T = TypeVar("T", bound=type)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def family(cls: T) -> T:
    """Make a class a family of distributions: a frozen keyword-only dataclass that the library knows by name.

    Parameters
    ----------
    cls : type
        Subclass of `Distribution` whose fields are declared with `param`. It may define ``_log_prob(x)``,
        ``_sample(rng, shape)`` and ``_entropy()``.

    Returns
    -------
    type

    Examples
    --------
    >>> from kltools import Distribution, family, param
    >>> @family
    ... class Exponential(Distribution):
    ...     rate: float = param("positive")
    >>> Exponential(rate=[1.0, 2.0]).batch_shape
    (2,)
    """
    FAMILIES[cls.__name__] = dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)
    return FAMILIES[cls.__name__]  # type: ignore[return-value]


def unwrap(array: Any) -> Any:
    """A float for a 0-d array, the array itself otherwise."""
    return float(array) if np.ndim(array) == 0 else array


class Distribution:
    """A distribution, or a batch of distributions of one family.

    Parameters are keyword-only, are converted to float64, and broadcast against each other:
    ``batch_shape`` is the shape of the batch, ``event_shape`` that of one draw. Indexing selects from the
    batch.

    Attributes
    ----------
    batch_shape, event_shape : tuple of int

    Examples
    --------
    >>> import kltools as kl
    >>> batch = kl.MultivariateNormalDiag(mean=[[0.0, 0.0], [1.0, 1.0]], var=[1.0, 1.0])
    >>> batch
    MultivariateNormalDiag(batch_shape=(2,), event_shape=(2,))
    >>> batch[1].log_prob([1.0, 1.0]).__round__(4)
    -1.8379
    """

    scipy_name: ClassVar[str | None] = None
    is_continuous: ClassVar[bool] = True
    batch_shape: tuple[int, ...]
    event_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        batches, events = [], []
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            array = self._check_parameter(field, getattr(self, field.name))
            object.__setattr__(self, field.name, array)
            split = array.ndim - self._declared(field.name, array.ndim)[1]
            batches.append(array.shape[:split])
            events.append(array.shape[split:])
        shapes = ", ".join(f"{f.name} {getattr(self, f.name).shape}" for f in dataclasses.fields(self))  # type: ignore[arg-type]
        try:
            batch_shape = np.broadcast_shapes(*batches)
        except ValueError:
            raise ShapeMismatchError(f"{self._name}: batch shapes do not broadcast: {shapes}.") from None
        event_shape = self._event_shape(*events)
        if event_shape is None:
            raise ShapeMismatchError(f"{self._name}: event shapes differ: {shapes}.")
        object.__setattr__(self, "batch_shape", batch_shape)
        object.__setattr__(self, "event_shape", event_shape)
        self._prepare()

    def _check_parameter(self, field: dataclasses.Field, value: Any) -> np.ndarray:
        name = f"{field.name} of {self._name}"
        array = _arrays.numeric_array(value, name)
        domain, n_axes = self._declared(field.name, array.ndim)
        check_axes(array, n_axes, name)
        check_domain(array, domain, name)
        return _arrays.frozen(array.copy())  # what the caller does to the array later must not matter

    def _declared(self, name: str, ndim: int) -> tuple[str, int]:
        """Domain and number of event axes of a parameter that was given with ndim axes."""
        return declaration(type(self), name)

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...] | None:
        """Shape of one draw, from the event axes of all parameters; None where they do not fit together."""
        return events[0] if len({length for event in events for length in event}) <= 1 else None

    def _prepare(self) -> None:
        """Check what concerns several parameters, and keep what is derived from them."""

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def __repr__(self) -> str:
        if any(array.ndim for array in self.parameters.values()):
            return f"{self._name}(batch_shape={self.batch_shape}, event_shape={self.event_shape})"
        return f"{self._name}({', '.join(f'{k}={float(v)!r}' for k, v in self.parameters.items())})"

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        if not self.batch_shape:
            raise InvalidTypeError(f"{self!r} is a single distribution, not a batch: it has no length.")
        return self.batch_shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> "Distribution":
        """Select from the batch, as from an array of shape ``batch_shape``."""
        positions = np.arange(math.prod(self.batch_shape)).reshape(self.batch_shape)[index]
        return self._take(np.asarray(positions))

    def _take(self, positions: np.ndarray) -> "Distribution":
        return type(self)(**{name: self._gather(name, positions) for name in self.parameters})

    def _gather(self, name: str, positions: np.ndarray) -> np.ndarray:
        """Rows of a parameter at flat positions of the batch."""
        array = getattr(self, name)
        event = array.shape[array.ndim - self._declared(name, array.ndim)[1] :]
        return np.broadcast_to(array, self.batch_shape + event).reshape((-1, *event))[positions]

    def log_prob(self, x: Any) -> Any:
        """Logarithm of the density (or probability) at x, in nats.

        Parameters
        ----------
        x : array-like
            Shape ``(..., *event_shape)``; the leading axes broadcast against ``batch_shape``.

        Returns
        -------
        float or ndarray
        """
        array = _arrays.numeric_array(x, "x")
        n_event = len(self.event_shape)
        if array.shape[array.ndim - n_event :] != self.event_shape:
            raise ShapeMismatchError(f"x of shape {array.shape} does not end in the event shape {self.event_shape}.")
        _broadcast(array.shape[: array.ndim - n_event], self.batch_shape, "the leading axes of x and the batch.")
        with np.errstate(over="ignore"):  # far out a density is 0
            return unwrap(self._log_prob(array))

    def sample(self, size: int | tuple[int, ...] = (), random_state: Any = None) -> Any:
        """Draw from the distribution.

        Parameters
        ----------
        size : int or tuple of int
            Number of draws from each distribution of the batch.
        random_state : None, int, numpy.random.Generator or numpy.random.RandomState

        Returns
        -------
        float or ndarray of shape ``(*size, *batch_shape, *event_shape)``
        """
        lengths = size if isinstance(size, tuple) else (size,)
        lengths = tuple(_validation.integer(length, "size", minimum=0) for length in lengths)
        rng = _validation.generator(random_state)
        return unwrap(self._sample(rng, lengths + self.batch_shape))

    def entropy(self) -> Any:
        """Entropy in nats: a float, or an array of shape ``batch_shape``."""
        return unwrap(np.broadcast_to(self._entropy(), self.batch_shape))

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError(f"{self._name} defines no _log_prob(x).")

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        raise NotImplementedError(f"{self._name} defines no _sample(rng, shape).")

    def _entropy(self) -> np.ndarray:
        raise NotImplementedError(f"{self._name} defines no _entropy().")


def _broadcast(first: tuple[int, ...], second: tuple[int, ...], advice: str) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(first, second)
    except ValueError:
        raise ShapeMismatchError(f"shapes do not broadcast: {first} and {second}, {advice}") from None


def register_kl(family_p: type, family_q: type) -> Callable[[Any], Any]:
    """Register a closed form of KL(P || Q), in nats, for a pair of families.

    Parameters
    ----------
    family_p, family_q : type
        Subclasses of `Distribution`; a subclass inherits the forms of its family.

    Returns
    -------
    callable
        A decorator for one of two kinds of function:

        - a scalar formula whose arguments are parameters of P and of Q with the suffixes ``_p`` and
          ``_q``; it becomes a `Formula`, is broadcast over batches and summed over the event;
        - a function ``f(p, q)`` of the two distributions that returns an array of the batch shape.

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
        if not (isinstance(cls, type) and issubclass(cls, Distribution)):
            raise InvalidTypeError(f"register_kl takes subclasses of Distribution, got {cls!r}.")

    def register(function: Any) -> Any:
        if not callable(function):
            raise InvalidTypeError(f"register_kl decorates a function, got {function!r}.")
        known = _CLOSED_FORMS.get((family_p, family_q))
        if known is not None and _identity(known) != _identity(function):
            raise InvalidParameterError(
                f"KL({family_p.__name__} || {family_q.__name__}) is registered already, by {_identity(known)}; "
                "derive a family of your own for another formula."
            )
        names = function.parameters if isinstance(function, Formula) else tuple(inspect.signature(function).parameters)
        entry = function
        if names != ("p", "q"):
            _check_parameter_names(names, family_p, family_q)
            entry = function if isinstance(function, Formula) else Formula(function)
        _CLOSED_FORMS[family_p, family_q] = entry
        return entry

    return register


def _identity(function: Any) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', function)}"


def _check_parameter_names(names: tuple[str, ...], family_p: type, family_q: type) -> None:
    valid = [f"{f.name}_{side}" for side, cls in (("p", family_p), ("q", family_q)) for f in dataclasses.fields(cls)]
    unknown = [name for name in names if name not in valid]
    if unknown or not names:
        raise InvalidParameterError(
            f"a closed form takes (p, q) or parameters out of {', '.join(valid)}; got {', '.join(unknown) or 'none'}."
        )


def registered_pairs() -> tuple[tuple[type, type], ...]:
    """All pairs of families with a closed form."""
    return tuple(_CLOSED_FORMS)


def _closed_form(p: Distribution, q: Distribution) -> Formula | Callable:
    for class_p in type(p).__mro__:
        for class_q in type(q).__mro__:
            if (class_p, class_q) in _CLOSED_FORMS:
                return _CLOSED_FORMS[class_p, class_q]
    raise NoClosedFormError(
        f"no closed form is registered for KL({p._name} || {q._name}); estimate it from draws of p: "
        "estimate_kl_monte_carlo(p, q, n_samples=100_000, random_state=0)."
    )


def check_distribution(x: Any, name: str) -> Distribution:
    """The door for arguments that must be distributions."""
    if isinstance(x, Distribution):
        return x
    module = type(x).__module__
    if module.startswith(("torch.distributions", "scipy.stats")):
        foreign = getattr(getattr(x, "dist", None), "name", None) or type(x).__name__.removesuffix("_frozen")
        ours = [f for f, cls in FAMILIES.items() if foreign in (f, cls.scipy_name, f"{cls.scipy_name}_gen")]
        advice = f"kltools.{ours[0]}({_signature(FAMILIES[ours[0]])})" if ours else "the family of kltools"
        raise InvalidTypeError(f"{name} is a distribution of {module.partition('.')[0]}; build {advice} instead.")
    if isinstance(x, type) and issubclass(x, Distribution):
        raise InvalidTypeError(f"{name} is the class {x.__name__}; build one: {x.__name__}({_signature(x)}).")
    raise InvalidTypeError(
        f"{name} is a {type(x).__name__}, a Distribution is needed. For samples use estimate_kl(X, Y); "
        "for probabilities kl_divergence(Categorical(probs=p), Categorical(probs=q))."
    )


def _signature(cls: type) -> str:
    return ", ".join(f"{f.name}=..." for f in dataclasses.fields(cls))


def kl_divergence(p: Distribution, q: Distribution, *, unit: str = "nats", device: str | None = None) -> Any:
    r"""Kullback-Leibler divergence KL(p || q) of two distributions, by its closed form.

    .. math:: \mathrm{KL}(p \,\|\, q) = \int p(x) \log \frac{p(x)}{q(x)} \, dx

    It is never negative, keeps its relative accuracy where p and q nearly agree, and is inf where p has
    mass that q has not.

    Parameters
    ----------
    p, q : Distribution
        Equal ``event_shape``; their batches broadcast.
    unit : {"nats", "bits"}
    device : {None, "cpu", "cuda"}
        None follows the data.

    Returns
    -------
    float, or ndarray of the broadcast batch shape

    Raises
    ------
    NoClosedFormError
        Where no formula is registered for the two families.
    ShapeMismatchError
        Where events differ or batches do not broadcast.
    InvalidTypeError
        For arrays, and for distributions of other libraries.

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
    """
    check_distribution(p, "p")
    check_distribution(q, "q")
    factor = _validation.unit_factor(unit)
    if p.event_shape != q.event_shape:
        raise ShapeMismatchError(f"events differ: p draws shape {p.event_shape}, q draws shape {q.event_shape}.")
    form = _closed_form(p, q)
    shape = _broadcast(p.batch_shape, q.batch_shape, "the batches of p and q; for all pairs use pairwise_kl.")
    device = _device.resolve(device)
    if isinstance(form, Formula):
        value = _evaluate(form, p, q, device)
    else:
        value = form(p, q) if device == "cpu" else _device.twin(form.__name__)(p, q)
    return unwrap(factor * np.broadcast_to(value, shape))


def _evaluate(formula: Formula, p: Distribution, q: Distribution, device: str) -> np.ndarray:
    """A scalar formula over the parameters of p and q, summed over the event."""
    names = [(q if name.endswith("_q") else p, name[:-2]) for name in formula.parameters]
    n_axes = max(event_ndim(type(source), name) for source, name in names)
    return formula.summed(*(getattr(source, name) for source, name in names), n_axes=n_axes, device=device)


def pairwise_kl(
    ps: Distribution, qs: Distribution | None = None, *, unit: str = "nats", device: str | None = None
) -> np.ndarray:
    """All divergences KL(ps[a] || qs[b]) of two batches.

    Parameters
    ----------
    ps, qs : Distribution
        One-dimensional batches of A and B distributions; qs defaults to ps.
    unit : {"nats", "bits"}
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
    return kl_divergence(ps[:, None], qs[None, :], unit=unit, device=device)
